//! Data moved and leaders moved from the screens, on real clusters that are written to: throttled, paused, resumed, aborted,
//! undone and done, as from the command line.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;
use super::kafka;
use super::load::{Load, fill, nothing_lost};
use super::operations::{Desk, LOOK, Screen, ours, shifted, swapped};

const PARTITIONS: i32 = 6;
/// A key of which nothing is seen for so long was not heard.
const UNHEARD: Duration = Duration::from_secs(5);

impl Screen {
    /// Plans a command line that is typed, and applies it; where this machine's disk closes a gate, against that.
    pub(super) async fn plans(&mut self, line: &str) -> &mut Self {
        self.press(&format!(":{line}\r"));
        self.until("a plan", |text| text.contains("PLAN") && text.contains("E edit"))
            .await;
        if self.text().contains("O go on against disk") {
            let started = Instant::now();
            while !self.text().contains("why go on against disk") {
                assert!(started.elapsed() < PATIENCE, "never asked why:\n{}", self.text());
                self.press("O");
                tokio::time::sleep(LOOK).await;
            }
            self.press("\u{15}a test\r").shows("against disk: a test").await;
        }
        self.apply().await
    }

    /// Asks something of the operation on top of the list. A key is not heard while the plan before it closes, so it is
    /// pressed again where nothing came of it for long.
    async fn asks(&mut self, key: &str, title: &str) -> &mut Self {
        let (started, mut pressed) = (Instant::now(), None::<Instant>);
        while !self.text().contains(title) {
            assert!(started.elapsed() < PATIENCE, "never {title}:\n{}", self.text());
            if pressed.is_none_or(|at| at.elapsed() > UNHEARD) {
                self.press(key);
                pressed = Some(Instant::now());
            }
            tokio::time::sleep(LOOK).await;
        }
        self.apply().await
    }
}

/// The operation that was begun since `last`, once it is there.
async fn next(desk: &Desk, last: &mut String) -> String {
    let started = Instant::now();
    loop {
        let row = desk.json("operation list").await["items"][0].clone();
        if let Some(id) = row["operation"].as_str().filter(|id| id != last) {
            id.clone_into(last);
            return last.clone();
        }
        assert!(started.elapsed() < PATIENCE, "nothing has begun since {row:#}");
        tokio::time::sleep(LOOK).await;
    }
}

/// The same, to its end.
async fn ended(desk: &Desk, last: &mut String) {
    let id = next(desk, last).await;
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(0)
        .answers("finished");
}

async fn acted(bootstrap: &str, replication: usize, target: impl Fn(&[Vec<i64>]) -> Vec<Vec<i64>>) {
    let desk = Desk::of(bootstrap);
    desk.run(&format!(
        "topic create load --partitions {PARTITIONS} --replication-factor {replication} --yes"
    ))
    .await
    .ends(0);
    fill(bootstrap, "load", PARTITIONS, 3600, 20_000).await;
    let load = Load::on(bootstrap, "load", PARTITIONS);
    let before = desk.placement("load").await;
    let wanted = target(&before);
    // A batch takes seconds: it is paused and aborted before it is over, however late a busy machine presses the keys.
    let slowly = "--max-bytes-in-flight 6MB --max-rate 1MB";
    desk.planned("load", &wanted, slowly, 36_000_000).await;
    let file = desk.assignment("load", &wanted);

    let mut last = String::new();
    next(&desk, &mut last).await;
    let mut screen = Screen::open(&desk, "dev");
    screen.press("2").shows("brokers").await;
    screen
        .plans(&format!("reassign plan --from-json {} {slowly}", file.display()))
        .await;
    let id = next(&desk, &mut last).await;
    desk.until(&id, "begun", |operation| operation["steps_done"].as_u64() >= Some(2))
        .await;
    screen.press("6").shows("▸ running").await;
    screen.asks("P", "pause operation").await.shows("paused").await;
    let is = |state: &'static str| move |operation: &Value| operation["state"] == state;
    desk.until(&id, "paused", is("paused")).await;
    assert_eq!(desk.json("reassign list").await["items"], json!([]));
    screen.asks("R", "resume operation").await.shows("▸ running").await;
    desk.until(&id, "moving again", |operation| {
        let mut steps = operation["steps"].as_array().unwrap().iter();
        operation["state"] == "running" && steps.any(|step| step["state"] == "doing")
    })
    .await;
    screen.asks("X", "abort operation").await.shows("aborted").await;
    desk.until(&id, "aborted", is("aborted")).await;
    assert_eq!(desk.throttles().await, BTreeMap::new(), "no throttle is left");
    assert_eq!(desk.json("reassign list").await["items"], json!([]));
    assert!(desk.placement("load").await != before, "a batch was done and stays");

    screen.plans(&format!("operation undo {id} --max-rate none")).await;
    ended(&desk, &mut last).await;
    assert_eq!(desk.placement("load").await, before);

    screen
        .plans(&format!("reassign plan --from-json {} --max-rate 40MB", file.display()))
        .await;
    ended(&desk, &mut last).await;
    assert_eq!(desk.placement("load").await, wanted);
    assert_eq!(desk.throttles().await, BTreeMap::new());

    // Leaders leave the first broker of the list by its row, and come back.
    let led = async || -> Vec<i64> {
        let shown = desk.json("topic show load").await;
        let partitions = shown["items"][0]["partitions"].as_array().unwrap().clone();
        partitions
            .iter()
            .map(|row| row["leader"].as_i64().unwrap_or(-1))
            .collect()
    };
    let preferred: Vec<i64> = wanted.iter().map(|replicas| replicas[0]).collect();
    assert_eq!(led().await, preferred, "preferred leaders as planned");
    screen.plans("leader move --from-broker 1 --topic load").await;
    ended(&desk, &mut last).await;
    assert!(!led().await.contains(&1), "{:?}", led().await);
    screen.plans("leader restore").await;
    ended(&desk, &mut last).await;
    assert_eq!(led().await, preferred);
    assert_eq!(desk.placement("load").await, wanted);
    screen.quit().await;
    nothing_lost(&desk, "load", load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn data_and_leaders_are_moved_from_the_screens() {
    let (cluster, _folder) = ours().await;
    acted(&cluster.bootstrap(), 3, swapped).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn data_and_leaders_of_apache_kafka_are_moved_from_the_screens() {
    let Some(cluster) = kafka::Cluster::start().await else {
        return;
    };
    acted(&cluster.bootstrap, 2, |placement| shifted(placement, &[1, 2, 3])).await;
}
