//! Operations that slow down, wait for their hours, pause by themselves, tell somebody, and outlive whoever began them.

use std::time::Instant;

use azimuth::model::Moment;
use azimuth_broker::id::NodeId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::PATIENCE;
use super::gates::RECORD_BYTES;
use super::load::fill;
use super::operations::{Desk, LOOK, Screen, ours, swapped};

const PARTITIONS: u32 = 40;

impl Desk {
    /// Tells a file of what happens to operations; its path.
    fn notified(&self) -> std::path::PathBuf {
        let (contexts, news) = (self.path(".config/azimuth/contexts.toml"), self.path("news"));
        let mut text = std::fs::read_to_string(&contexts).unwrap();
        text.push_str(&format!(
            "[context.dev.notify]\ncommand = \"cat >> {}\"\n",
            news.display()
        ));
        std::fs::write(contexts, text).unwrap();
        news
    }

    async fn topic(&self, bootstrap: &str, name: &str) -> Vec<Vec<i64>> {
        let line = format!("topic create {name} --partitions {PARTITIONS} --replication-factor 3 --yes");
        self.run(&line).await.ends(0);
        fill(
            bootstrap,
            name,
            PARTITIONS as i32,
            PARTITIONS as usize,
            RECORD_BYTES as usize,
        )
        .await;
        swapped(&self.placement(name).await)
    }
}

/// The time of day, so many hours from now.
pub(super) fn hour(hours: i64) -> String {
    let at = Moment::now() + jiff::SignedDuration::from_hours(hours);
    at.strftime("%H:%M").to_string()
}

/// The words of every entry of an operation's journal.
fn journal(operation: &Value) -> Vec<String> {
    let entries = operation["journal"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["event"].as_str().unwrap().to_owned())
        .collect()
}

/// Events that were told, in the order in which they were.
fn told(news: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(news).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_move_slows_down_when_an_isr_shrinks_and_its_throttle_with_it() {
    let (mut cluster, _folder) = ours().await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    let wanted = desk.topic(&bootstrap, "orders").await;
    desk.planned(
        "orders",
        &wanted,
        "--max-rate 4MB",
        u64::from(PARTITIONS / 2) * RECORD_BYTES,
    )
    .await;
    let id = desk.paused("plan.json", "--override isr,disk --reason agreed").await;
    cluster.kill(NodeId(2)).await;
    let started = Instant::now();
    while desk.json("partition list --under-replicated").await["items"] == json!([]) {
        assert!(started.elapsed() < PATIENCE, "the ISRs never shrink");
        tokio::time::sleep(LOOK).await;
    }
    let mut resume = desk.command("anna", &format!("operation resume {id} --yes --context dev"));
    let mut resumed = resume.stdout(std::process::Stdio::null()).spawn().unwrap();
    // With broker 2 gone no batch ends, so it cannot run away before it is slowed.
    let is_slowed = |word: &String| {
        word.starts_with("slows down to ")
            && word.contains(" and 2.0 MB/s: ")
            && word.contains("broker 2 is missing from")
    };
    desk.until(&id, "slowed", |operation| journal(operation).iter().any(is_slowed))
        .await;
    cluster.restart(NodeId(2)).await.unwrap();
    assert!(resumed.wait().await.unwrap().success());
    let operation = desk.operation(&id).await;
    assert_eq!(operation["state"], "finished");
    let words = journal(&operation);
    let at = words.iter().position(is_slowed).unwrap();
    let set = words[at..]
        .iter()
        .find(|word| word.starts_with("sets ") && word.contains("on brokers"));
    assert!(
        set.is_some_and(|word| !word.starts_with("sets 4.0 MB/s")),
        "slower at first: {words:#?}"
    );
    assert_eq!(desk.placement("orders").await, wanted);
    assert!(
        desk.throttles().await.is_empty(),
        "no throttle is left, at whatever height"
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operation_keeps_its_hours_pauses_after_the_first_and_tells_a_command() {
    let (cluster, _folder) = ours().await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    let news = desk.notified();
    desk.run("context test dev")
        .await
        .answers("the command took a test message");
    assert_eq!(told(&news)[0]["event"], "test");

    let wanted = desk.topic(&bootstrap, "orders").await;
    desk.planned(
        "orders",
        &wanted,
        "--max-rate none",
        u64::from(PARTITIONS / 2) * RECORD_BYTES,
    )
    .await;
    // However full these small volumes are with the indexes that every log sets aside.
    let apply = "reassign apply plan.json --yes --override disk --reason nights";
    desk.run(&format!("{apply} --outside-rate 1MB --window 01:00-02:00Z"))
        .await
        .ends(4)
        .says("--outside-rate needs a plan that moves data under a throttle");
    desk.run(&format!("{apply} --pause-after az"))
        .await
        .ends(4)
        .says("no step of this plan works in one zone");

    // Whatever the clock says now.
    let later = format!("{}-{}Z", hour(2), hour(3));
    let line = format!("{apply} --window {later} --detach -o name");
    let id = desk.run(&line).await.ends(0).stdout.trim().to_owned();
    let waits = |operation: &Value| operation["state"] == "waiting";
    let waiting = desk.until(&id, "waiting for its hours", waits).await;
    let why = waiting["waits_for"].as_str().unwrap();
    assert!(
        why.starts_with(&format!("outside of the window {later}: goes on at ")),
        "{why}"
    );
    assert_eq!(waiting["steps_done"], json!(0));
    assert!(
        journal(&waiting)[0].contains(&format!("window {later}, against gates disk: nights")),
        "{waiting:#}"
    );
    desk.run(&format!("operation abort {id} --yes")).await.ends(0);

    // The hours that it is in, and a pause after the first batch; who logs in from where is in the journal.
    let now = format!("{}-{}Z", hour(-1), hour(1));
    let who = [("SUDO_USER", "carl"), ("SSH_CONNECTION", "10.0.0.7 50022 10.0.0.1 22")];
    let paused = desk
        .run_with(&who, &format!("{apply} --window {now} --pause-after first"))
        .await;
    paused
        .ends(0)
        .answers("paused (1 of ")
        .answers("it was to pause after the first");
    let latest = desk.json("operation list").await["items"][0]["operation"].clone();
    let id = latest.as_str().unwrap().to_owned();
    let shown = desk.operation(&id).await;
    assert_eq!((&shown["state"], &shown["steps_done"]), (&json!("paused"), &json!(1)));
    assert!(
        journal(&shown)[0].contains(", logged in as carl, from 10.0.0.7"),
        "{shown:#}"
    );
    desk.run(&format!("operation resume {id} --yes"))
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(desk.placement("orders").await, wanted);

    let events: Vec<Value> = told(&news).iter().map(|one| one["event"].clone()).collect();
    assert_eq!(
        events,
        ["test", "done", "aborted", "paused", "done"],
        "the topic, then the moves; a time that was set is nobody's business"
    );
    let done = &told(&news)[4];
    assert_eq!((&done["operation"], &done["context"]), (&json!(id), &json!("dev")));
    assert!(
        done["command"]
            .as_str()
            .unwrap()
            .starts_with(&format!("azimuth operation attach {id}"))
    );

    // Its journal holds together, until somebody changes it by hand.
    let shown = desk.operation(&id).await;
    assert!(
        shown["chain"].as_str().unwrap().starts_with("whole: each of "),
        "{shown:#}"
    );
    let mut folders = vec![desk.path(".local/state/azimuth")];
    let mut file = None;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with(format!("{id}/journal.jsonl")) {
                file = Some(path);
            }
        }
    }
    let file = file.unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replacen("it was to pause after the first", "it was to pause", 1),
    )
    .unwrap();
    let broken = desk.run(&format!("operation show {id}")).await.ends(0);
    broken.says("is BROKEN at line ");
    cluster.shutdown().await;
}

/// The shell that the screens were opened from dies, and the terminal with it.
async fn outlives(signal: Signal) {
    let (cluster, _folder) = ours().await;
    let desk = Desk::of(&cluster.bootstrap());
    desk.run("topic create orders --partitions 3 --replication-factor 3 --yes")
        .await
        .ends(0);
    let before = desk.placement("orders").await;
    let wanted = swapped(&before);
    let at = (0..3).find(|at| before[*at].contains(&1)).unwrap_or(0);
    let gone = if before[at].contains(&1) { 4 } else { 1 };
    let mut screen = Screen::shell(&desk);
    screen.press(&format!("{} --context dev\n", env!("CARGO_BIN_EXE_azimuth")));
    // Whichever is first.
    screen.until("the screens", |text| text.contains("azimuth  dev ")).await;
    screen.press("2").shows("4 brokers").await;
    let ids = wanted[at].iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    screen.press(&format!(":reassign plan --move orders:{at}={ids}\r"));
    screen
        .shows("PLAN reassign: move orders-")
        .await
        .shows("✓ rack-spread")
        .await;
    // The move stays in flight until the broker that gets the replica can copy.
    cluster.cut(NodeId(gone));
    screen.apply().await;
    let started = Instant::now();
    let id = loop {
        let listed = desk.json("operation list").await;
        let latest = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["kind"] == "reassign.plan");
        if let Some(id) = latest.and_then(|one| one["operation"].as_str()) {
            break id.to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "it never begins:\n{}", screen.text());
        tokio::time::sleep(LOOK).await;
    };
    let doing = |operation: &Value| journal(operation).iter().any(|word| word == "step 1 begins");
    desk.until(&id, "in flight", doing).await;
    kill_process(screen.pid(), signal).unwrap();
    // And its terminal is gone.
    drop(screen);
    let alive = desk.operation(&id).await;
    assert!(
        ["running", "waiting"].contains(&alive["state"].as_str().unwrap()),
        "{alive:#}"
    );
    cluster.heal(NodeId(gone));
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(desk.placement("orders").await[at], wanted[at]);
    let shown = desk.operation(&id).await;
    let engines = journal(&shown)
        .iter()
        .filter(|word| word.starts_with("taken up by"))
        .count();
    assert_eq!(engines, 1, "the engine that it began with: {shown:#}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hang_up_of_the_login_shell_harms_no_operation() {
    outlives(Signal::HUP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killing_the_login_shell_harms_no_operation() {
    outlives(Signal::KILL).await;
}

impl Screen {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.process_id() as i32).unwrap()
    }
}
