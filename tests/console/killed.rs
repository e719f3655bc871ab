//! Engines, screens and login shells that are killed at every step of an operation: what is shown then is so, somebody takes
//! the operation up or takes it back, and nothing is left set.

mod deed;
#[cfg(feature = "aws")]
mod volume;

use std::collections::BTreeMap;
use std::time::Instant;

use futures::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::PATIENCE;
use super::load::fill;
use super::operations::{Desk, LOOK, Screen, ours, swapped};
use super::throttles::ROOM;

impl Desk {
    /// A command whose engine dies at a point.
    pub(super) async fn dying(&self, at: u32, line: &str) {
        let mut command = self.command("anna", &format!("{line} --yes --context dev"));
        command.env("AZIMUTH_TEST_CRASH_AT", at.to_string());
        tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    }

    /// The latest operation.
    async fn latest(&self) -> Option<String> {
        let listed = self.json("operation list").await;
        listed["items"][0]["operation"].as_str().map(str::to_owned)
    }

    /// The same, once its engine is dead or done.
    pub(super) async fn settled(&self) -> (String, Value) {
        let started = Instant::now();
        loop {
            let id = self.latest().await.unwrap();
            let shown = self.operation(&id).await;
            let state = shown["state"].as_str().unwrap();
            if ["orphaned", "paused", "finished", "aborted", "failed"].contains(&state) {
                return (id, shown);
            }
            assert!(started.elapsed() < PATIENCE, "it neither dies nor ends: {shown:#}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Who was killed, at which point of the engine's way, and what became of the operation.
pub(super) struct Killed {
    pub kind: &'static str,
    pub whom: &'static str,
    pub at: u32,
    pub found: String,
    pub way: &'static str,
    pub end: String,
}

/// What the tests print: everything that was killed.
pub(super) fn print(table: &[&Killed]) {
    println!(
        "{:<18} | {:<11} | {:>2} | {:<47} | {:<11} | and it ended",
        "operation", "killed", "at", "what was found", "then"
    );
    for one in table {
        let Killed {
            kind,
            whom,
            at,
            found,
            way,
            end,
        } = one;
        println!("{kind:<18} | {whom:<11} | {at:>2} | {found:<47} | {way:<11} | {end}");
    }
}

impl Killed {
    /// The first words of the answer.
    pub(super) fn end(answer: &str) -> String {
        answer.split(" · ").next().unwrap_or_default().trim().to_owned()
    }
}

/// A desk at which engines die, and the two plans between which it goes to and fro.
struct Range {
    desk: Desk,
    there: [Vec<Vec<i64>>; 2],
}

impl Range {
    async fn of(bootstrap: &str) -> Self {
        let desk = Desk::of(bootstrap);
        desk.run("topic create orders --partitions 2 --replication-factor 3 --yes")
            .await
            .ends(0);
        fill(bootstrap, "orders", 2, 2, 50_000).await;
        let home = desk.placement("orders").await;
        let there = [home.clone(), swapped(&home)];
        Self { desk, there }
    }

    /// Plans the way to one of the two places, each partition a batch; waits until every size is known.
    async fn plan(&self, to: usize) {
        let file = self.desk.assignment("orders", &self.there[to]);
        let line = format!(
            "reassign plan --from-json {} --max-bytes-in-flight 1 --max-rate 50MB --out plan.json",
            file.display()
        );
        let started = Instant::now();
        loop {
            let plan = self.desk.json(&line).await;
            let known = plan["impact"]["unknown_sizes"] == json!(0);
            if known && !plan["throttle"]["ingest_bytes_per_second"].is_null() {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "never known: {plan:#}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What is shown of a dead operation is so: steps that are done are done, and what is set is its own.
    async fn is_true(&self, id: &str, shown: &Value, from: usize, to: usize) -> String {
        let now = self.desk.placement("orders").await;
        let steps = shown["steps"].as_array().unwrap();
        for partition in 0..2 {
            let (place, step) = (&now[partition], &steps[partition + 1]);
            let near = |wanted: &Vec<i64>| place == wanted;
            match step["state"].as_str().unwrap() {
                "done" => assert!(near(&self.there[to][partition]), "{partition} on {place:?}: {shown:#}"),
                "next" => assert!(
                    near(&self.there[from][partition]),
                    "{partition} on {place:?}: {shown:#}"
                ),
                // Under way, or there, or not yet asked for.
                _ => {}
            }
        }
        let set = self.desk.throttles().await;
        for (name, (_, whose)) in &set {
            assert_eq!(*whose, format!("mine {id}"), "{name}: {shown:#}");
        }
        let done = steps.iter().filter(|step| step["state"] == "done").count();
        let half = steps.iter().position(|step| step["state"] == "half done");
        let half = half
            .map(|at| format!(", step {} half done", at + 1))
            .unwrap_or_default();
        format!("{done} of {} done{half}, {} settings set", steps.len(), set.len())
    }

    async fn is_clean(&self) {
        assert_eq!(self.desk.throttles().await, BTreeMap::new(), "no throttle is left");
        assert_eq!(
            self.desk.json("reassign list").await["items"],
            json!([]),
            "nothing is in flight"
        );
    }

    /// Kills the engine at one point of the way from one place to the other and takes the operation up again; `None` when
    /// it came to its end before that point.
    async fn kill(&self, at: u32, from: usize) -> Option<Killed> {
        let to = 1 - from;
        self.plan(to).await;
        self.desk
            .dying(at, &format!("reassign apply plan.json {ROOM} --detach"))
            .await;
        let (id, shown) = self.desk.settled().await;
        if shown["state"] == "finished" {
            self.is_clean().await;
            return None;
        }
        assert_eq!(shown["state"], "orphaned", "{shown:#}");
        let found = self.is_true(&id, &shown, from, to).await;
        let way = if at.is_multiple_of(2) { "abort" } else { "resume" };
        let ran = self.desk.run(&format!("operation {way} {id} --yes")).await.ends(0);
        self.is_clean().await;
        let now = self.desk.placement("orders").await;
        if way == "resume" {
            assert_eq!(now, self.there[to]);
        } else {
            for (partition, place) in now.iter().enumerate() {
                let places = [&self.there[from][partition], &self.there[to][partition]];
                assert!(places.contains(&place), "{partition} on {place:?}");
            }
        }
        let end = Killed::end(&ran.stdout);
        Some(Killed {
            kind: "reassign",
            whom: "engine",
            at,
            found,
            way,
            end,
        })
    }

    /// Everything is where it was at first, whatever became of the last one.
    async fn home(&self) {
        if self.desk.placement("orders").await != self.there[0] {
            let (id, _) = self.desk.settled().await;
            let file = self.desk.assignment("orders", &self.there[0]);
            let line = format!(
                "reassign plan --from-json {} --max-rate none --out home.json",
                file.display()
            );
            self.desk.run(&line).await.ends(0);
            self.desk
                .run(&format!("reassign apply home.json {ROOM} --yes"))
                .await
                .ends(0);
            assert_eq!(self.desk.placement("orders").await, self.there[0], "after {id}");
        }
    }
}

/// Every `stride`-th point from `first` on, until the operation comes to its end.
async fn walk(first: u32, stride: u32) -> Vec<Killed> {
    let (cluster, _folder) = ours().await;
    let range = Range::of(&cluster.bootstrap()).await;
    let mut table = Vec::new();
    for at in (first..).step_by(stride as usize) {
        range.home().await;
        match range.kill(at, 0).await {
            Some(killed) => table.push(killed),
            None => break,
        }
    }
    cluster.shutdown().await;
    table
}

/// Both throttle and first batch were asked for.
const BEGUN: u32 = 18;

/// Engines that are killed on their way into a pause: after the first batch, while throttles are taken away, before the
/// journal says that it is paused and after.
async fn walk_pauses() -> Vec<Killed> {
    let (cluster, _folder) = ours().await;
    let range = Range::of(&cluster.bootstrap()).await;
    let mut table = Vec::new();
    for at in BEGUN.. {
        range.home().await;
        range.plan(1).await;
        let line = format!("reassign apply plan.json {ROOM} --pause-after first --detach");
        range.desk.dying(at, &line).await;
        let (id, shown) = range.desk.settled().await;
        if shown["state"] == "paused" {
            range.is_clean().await;
            // It still counts the points up to its death, and may die of being asked.
            let line = format!("operation abort {id} --yes");
            range.desk.run(&line).await;
            if range.desk.settled().await.1["state"] != "aborted" {
                range.desk.run(&line).await.ends(0);
            }
            break;
        }
        assert_eq!(shown["state"], "orphaned", "{shown:#}");
        let found = range.is_true(&id, &shown, 0, 1).await;
        let way = if at.is_multiple_of(2) { "abort" } else { "resume" };
        let mut ran = range.desk.run(&format!("operation {way} {id} --yes")).await.ends(0);
        range.is_clean().await;
        if way == "resume" && range.desk.operation(&id).await["state"] == "paused" {
            // The engine that took it up has paused it as its schedule says.
            ran = range.desk.run(&format!("operation resume {id} --yes")).await.ends(0);
            range.is_clean().await;
        }
        if way == "resume" {
            assert_eq!(range.desk.placement("orders").await, range.there[1]);
        }
        let end = Killed::end(&ran.stdout);
        table.push(Killed {
            kind: "reassign",
            whom: "pausing",
            at,
            found,
            way,
            end,
        });
    }
    cluster.shutdown().await;
    table
}

/// Engines that are killed while they take back what an engine that was killed before had in flight.
async fn walk_aborts() -> Vec<Killed> {
    let (cluster, _folder) = ours().await;
    let range = Range::of(&cluster.bootstrap()).await;
    let mut table = Vec::new();
    for at in 1.. {
        range.home().await;
        range.plan(1).await;
        range
            .desk
            .dying(BEGUN, &format!("reassign apply plan.json {ROOM} --detach"))
            .await;
        let (id, shown) = range.desk.settled().await;
        assert_eq!(shown["state"], "orphaned", "{shown:#}");
        range.desk.dying(at, &format!("operation abort {id}")).await;
        let (_, shown) = range.desk.settled().await;
        if shown["state"] == "aborted" {
            range.is_clean().await;
            break;
        }
        assert_eq!(shown["state"], "orphaned", "{shown:#}");
        let found = range.is_true(&id, &shown, 0, 1).await;
        let ran = range.desk.run(&format!("operation abort {id} --yes")).await.ends(0);
        range.is_clean().await;
        let end = Killed::end(&ran.stdout);
        table.push(Killed {
            kind: "reassign",
            whom: "aborting",
            at,
            found,
            way: "abort again",
            end,
        });
    }
    cluster.shutdown().await;
    table
}

const LANES: u32 = 3;

/// `tests/run --heavy` kills at every point; where people wait for it, one in [`LANES`] does.
fn is_heavy() -> bool {
    std::env::var_os("AZIMUTH_HEAVY").is_some()
}

/// On how many lanes one walks.
fn lanes() -> u32 {
    if is_heavy() { LANES } else { 1 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_may_be_killed_anywhere() {
    // Most of it is waiting, so several go side by side.
    let lanes = lanes();
    let walks = join_all((1..=lanes).map(|first| tokio::spawn(walk(first, LANES))));
    let (walks, three, four) = tokio::join!(walks, tokio::spawn(walk_aborts()), tokio::spawn(walk_pauses()));
    let mut table: Vec<Killed> = walks.into_iter().flat_map(Result::unwrap).collect();
    let (three, four) = (three.unwrap(), four.unwrap());
    table.sort_by_key(|killed| killed.at);
    print(&table.iter().chain(&three).chain(&four).collect::<Vec<_>>());
    // A journal entry and an act have a point before and one after.
    let least = 10 * lanes as usize;
    assert!(table.len() >= least, "{} points of a whole operation", table.len());
    assert!(three.len() >= 6, "{} points of an abort", three.len());
    assert!(four.len() >= 6, "{} points on the way into a pause", four.len());
}

/// The engine of an operation, when it has stopped itself; `None` once it is gone.
fn stopped(id: &str) -> Option<Pid> {
    let wanted = format!("operation\0engine\0{id}\0");
    let engines = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let state = stat.rsplit(") ").next()?.chars().next()?;
        let is_it = String::from_utf8_lossy(&line).contains(&wanted) && state == 'T';
        is_it.then(|| Pid::from_raw(pid)).flatten()
    });
    engines.into_iter().next()
}

/// Kills the screens, or the shell that they were opened from, while the engine stands at a point of its way; `None` when
/// there is no such point.
pub(super) async fn orphaned(
    desk: &Desk,
    at: u32,
    brokers: usize,
    (kind, line): (&'static str, &str),
    whom: &'static str,
) -> Option<Killed> {
    let before = desk.latest().await;
    let mut screen = match whom {
        "screens" => Screen::open_with(desk, "dev", &[("AZIMUTH_TEST_STOP_AT", at.to_string())]),
        _ => {
            let mut screen = Screen::shell(desk);
            let program = env!("CARGO_BIN_EXE_azimuth");
            screen.press(&format!("AZIMUTH_TEST_STOP_AT={at} {program} --context dev\n"));
            screen
        }
    };
    screen.until("the screens", |text| text.contains("azimuth  dev ")).await;
    screen.press("2").shows(&format!("{brokers} brokers")).await;
    screen.plans(line).await;
    let started = Instant::now();
    let (id, engine) = loop {
        if started.elapsed() >= PATIENCE {
            let all = desk.json("operation list").await;
            panic!("{whom} at {at}: neither stopped nor done:\n{}\n{all:#}", screen.text());
        }
        tokio::time::sleep(LOOK).await;
        let Some(id) = desk.latest().await.filter(|id| Some(id) != before.as_ref()) else {
            continue;
        };
        if let Some(engine) = stopped(&id) {
            break (id, engine);
        }
        if desk.operation(&id).await["state"] == "finished" {
            return None;
        }
    };
    let shown = desk.operation(&id).await;
    let steps = shown["steps"].as_array().unwrap().len();
    let found = format!(
        "{}, {} of {steps} done",
        shown["state"].as_str().unwrap(),
        shown["steps_done"]
    );
    kill_process(Pid::from_raw(screen.process_id() as i32).unwrap(), Signal::KILL).unwrap();
    // And the terminal goes with it.
    drop(screen);
    kill_process(engine, Signal::CONT).unwrap();
    // It may not listen yet.
    let ran = loop {
        let ran = desk.run(&format!("operation attach {id}")).await;
        if ran.status == 0 {
            break ran;
        }
        assert!(started.elapsed() < PATIENCE, "never attached to: {}", ran.stderr);
        tokio::time::sleep(LOOK).await;
    };
    let shown = desk.operation(&id).await;
    let taken_up = shown["journal"].to_string().matches("taken up by").count();
    assert_eq!(taken_up, 1, "the engine that it began with: {shown:#}");
    Some(Killed {
        kind,
        whom,
        at,
        found,
        way: "attach",
        end: Killed::end(&ran.stdout),
    })
}

/// From `first` on every `stride`-th point, the screens and the shell in turn.
async fn walk_terminals(first: u32, stride: u32) -> Vec<Killed> {
    let (cluster, _folder) = ours().await;
    let range = Range::of(&cluster.bootstrap()).await;
    let mut table = Vec::new();
    for (turn, at) in (first..).step_by(stride as usize).enumerate() {
        let from = turn % 2;
        // Every size is known, so that no gate of the disk is closed.
        range.plan(1 - from).await;
        let whom = if turn.is_multiple_of(2) {
            "screens"
        } else {
            "login shell"
        };
        let to = &range.there[1 - from];
        let file = range.desk.assignment("orders", to);
        let line = format!("reassign plan --from-json {} --max-rate 50MB", file.display());
        let killed = orphaned(&range.desk, at, 4, ("reassign", &line), whom).await;
        assert_eq!(range.desk.placement("orders").await, *to);
        range.is_clean().await;
        match killed {
            Some(killed) => table.push(killed),
            None => break,
        }
    }
    cluster.shutdown().await;
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn screens_and_login_shells_may_be_killed_at_every_step() {
    let lanes = lanes();
    let walks = join_all((1..=lanes).map(|first| tokio::spawn(walk_terminals(first, LANES)))).await;
    let mut table: Vec<Killed> = walks.into_iter().flat_map(Result::unwrap).collect();
    table.sort_by_key(|killed| killed.at);
    print(&table.iter().collect::<Vec<_>>());
    let least = 5 * lanes as usize;
    assert!(table.len() >= least, "{} points of a move", table.len());
}
