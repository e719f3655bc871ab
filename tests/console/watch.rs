//! `azimuth triage --watch` over time: a lost voter of Apache Kafka's quorum is named, and a healthy cluster stays ok.

use std::process::Stdio;
use std::time::Duration;

use azimuth::demo::Demo;
use azimuth::source::kafka::record::{Member, NewRecord, Producer};
use azimuth::source::kafka::{Kafka, NewTopic, Target};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use crate::PATIENCE;
use crate::kafka;
use crate::pty::Terminal;
use crate::scripts::Home;

/// How long a healthy cluster is watched, with `AZIMUTH_HEAVY`.
const LONG: Duration = Duration::from_secs(600);

/// A watch, as a runbook has one. It prints a line whenever the verdict changes.
pub struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    _home: tempfile::TempDir,
}

impl Watch {
    pub fn start(target: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_azimuth"))
            .args(["triage", "--watch", "-o", "json"])
            .args(target)
            .env_clear()
            .env("HOME", home.path())
            // A build without optimisation has deep frames; cargo's configuration says how large stacks are there.
            .envs(std::env::var_os("RUST_MIN_STACK").map(|bytes| ("RUST_MIN_STACK", bytes)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            _home: home,
        }
    }

    /// Of a demo's cluster.
    pub fn of(demo: &Demo) -> Self {
        Self::start(&["--context-file", &demo.context_file().display().to_string()])
    }

    /// The next verdict; `None` when there was none before the moment.
    async fn next(&mut self, until: Instant) -> Result<Option<Value>, String> {
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).map_err(|error| format!("{error}: {line}")),
            Ok(ended) => Err(format!("the watch ended ({ended:?})")),
            Err(_) => Ok(None),
        }
    }

    /// The first verdict that is as wanted, within `patience`; else all verdicts there were.
    pub async fn until(&mut self, patience: Duration, good: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let until = Instant::now() + patience;
        let mut seen = Vec::new();
        loop {
            match self.next(until).await {
                Ok(Some(verdict)) if good(&verdict) => return Ok(verdict),
                Ok(Some(verdict)) => seen.push(brief(&verdict)),
                Ok(None) => return Err(format!("not within {patience:?}, but\n{}", seen.join("\n"))),
                Err(problem) => return Err(format!("{problem} after\n{}", seen.join("\n"))),
            }
        }
    }

    /// The same, which it has to come to.
    async fn comes_to(&mut self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let seen = self.until(PATIENCE, good).await;
        seen.unwrap_or_else(|seen| panic!("never {what}: {seen}"))
    }

    pub async fn end(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// A verdict in a line, for whoever reads a failure.
pub fn brief(verdict: &Value) -> String {
    let texts = |key: &str, of: &str| -> Vec<String> {
        let all = verdict[key].as_array().into_iter().flatten();
        all.map(|item| item[of].to_string()).collect()
    };
    format!(
        "{} {} {} lines {:?} causes {:?} next {:?} don't {:?} problems {}",
        verdict["taken_at"],
        verdict["status"],
        verdict["culprit"],
        texts("lines", "text"),
        texts("causes", "text"),
        texts("next", "action"),
        texts("dont", "action"),
        verdict["problems"]
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_voter_of_apache_kafka_is_named_with_what_to_do_and_what_not() {
    let shape = kafka::Shape {
        apart: true,
        ..kafka::Shape::default()
    };
    let Some(mut cluster) = kafka::Cluster::start_with(shape).await else {
        return;
    };
    let bootstrap = cluster.bootstrap.clone();
    let leader = Kafka::new(cluster.target()).quorum().await.unwrap().leader.unwrap();
    let victim = kafka::VOTERS.into_iter().find(|id| *id != leader).unwrap();
    let mut watch = Watch::start(&["--bootstrap", &bootstrap]);
    watch
        .comes_to("well before it begins", |verdict| verdict["culprit"]["kind"] == "none")
        .await;
    cluster.kill(victim);
    let name = Value::from(victim.to_string());
    let verdict = watch
        .comes_to("names the voter", |verdict| verdict["culprit"]["name"] == name)
        .await;
    // The majority hangs on every voter that is left.
    assert_eq!(verdict["status"], "fail", "{verdict:#}");
    assert_eq!(verdict["culprit"]["kind"], "broker");
    assert_eq!(verdict["causes"][0]["rule"], "voter-lost", "{}", brief(&verdict));
    let text = verdict["causes"][0]["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("leader {leader}")) && text.contains("2 of 3 voters"),
        "{text}"
    );
    assert_eq!(verdict["next"][0]["action"], format!("start controller {victim}"));
    let dont: Vec<&str> = verdict["dont"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["action"].as_str())
        .collect();
    assert!(dont.contains(&"restart another controller"), "{dont:?}");

    let screens = tokio::task::spawn_blocking(move || quorum_is_shown(&bootstrap, victim));
    screens.await.unwrap();
    cluster.launch(victim);
    watch
        .comes_to("well again", |verdict| verdict["culprit"]["kind"] == "none")
        .await;
    drop(watch);
    super::restarts::controllers_roll(cluster).await;
}

/// The quorum's command and screen, with a voter that is silent.
fn quorum_is_shown(bootstrap: &str, victim: i32) {
    let ran = Home::new().run(&format!("quorum show -o json --bootstrap {bootstrap}"));
    let shown = ran.envelope("quorum.show")["items"][0].clone();
    assert_eq!(
        (&shown["voters"], &shown["following"]),
        (&Value::from(3), &Value::from(2))
    );
    let nodes = shown["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["id"] == victim).unwrap();
    assert_eq!(node["state"], "silent", "{shown:#}");

    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::run(home.path(), &["--bootstrap", bootstrap]);
    terminal.shows("1/1");
    terminal.press(":quorum\r");
    terminal.until("shows the silent voter", |screen| {
        let mut lines = screen.lines();
        lines.any(|line| line.contains(&victim.to_string()) && line.contains("silent"))
    });
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
}

/// Whether a healthy cluster is watched for as long as it takes to be sure; told where it is not.
fn is_heavy() -> bool {
    let heavy = std::env::var_os("AZIMUTH_HEAVY").is_some();
    if !heavy {
        eprintln!("not watched for ten minutes: AZIMUTH_HEAVY is not set; tests/run --heavy sets it");
    }
    heavy
}

/// From its first whole look on, every verdict is ok.
async fn stays_ok(mut watch: Watch) {
    watch.comes_to("ok", |verdict| verdict["status"] == "ok").await;
    let until = Instant::now() + LONG;
    while let Some(verdict) = watch.next(until).await.unwrap() {
        assert_eq!(verdict["status"], "ok", "{}", brief(&verdict));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_demo_stays_ok() {
    if !is_heavy() {
        return;
    }
    let demo = Demo::start(None, None).await.unwrap();
    stays_ok(Watch::of(&demo)).await;
    demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_apache_kafka_stays_ok() {
    if !is_heavy() {
        return;
    }
    let Some(cluster) = kafka::Cluster::start().await else {
        return;
    };
    let target = cluster.target();
    let kafka = Kafka::new(target.clone());
    let topic = |name: &str, partitions| NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replication_factor: Some(3),
        configs: [("min.insync.replicas".to_owned(), "2".to_owned())].into(),
        ..NewTopic::default()
    };
    let topics = [topic("orders", 6), topic("azimuth.probe", 3)];
    for (_, outcome) in kafka.create_topics(&topics, false).await.unwrap() {
        outcome.unwrap();
    }
    let traffic = tokio::spawn(traffic(target));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contexts.toml");
    let text = format!(
        "[context.test]\nbootstrap = \"{}\"\nprobe_topic = \"azimuth.probe\"\n",
        cluster.bootstrap
    );
    std::fs::write(&file, text).unwrap();
    stays_ok(Watch::start(&["--context-file", &file.display().to_string()])).await;
    traffic.abort();
}

/// Some records a second, and a group that reads them.
async fn traffic(target: Target) {
    let producer = Producer::new(&target, &[("linger.ms", "0")]).unwrap();
    let member = Member::join(&target, "readers", &["orders"], &[]).unwrap();
    let write = async {
        loop {
            let record = NewRecord {
                topic: "orders",
                value: Some(b"a record"),
                ..NewRecord::default()
            };
            producer.send(record).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let read = async {
        loop {
            member.next().await.unwrap();
        }
    };
    tokio::join!(write, read);
}
