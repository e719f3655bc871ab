//! A real MirrorMaker 2 between Apache Kafka and our broker, in both directions: what the console says of it while it runs.

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;
use super::kafka;
use super::load::fill;
use super::operations::{Desk, LOOK, Ran, ours};

/// Ended by its id, whatever becomes of the test.
struct MirrorMaker {
    process: Child,
    folder: tempfile::TempDir,
}

impl MirrorMaker {
    fn between(kafka: &kafka::Cluster, ours: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("azimuth-mirror-").tempdir().unwrap();
        let path = folder.path().join("mm2.properties");
        let apache = kafka.target().bootstrap.join(",");
        std::fs::write(
            &path,
            format!("apache.bootstrap.servers={apache}\nours.bootstrap.servers={ours}\n{PROPERTIES}"),
        )
        .unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = kafka
            .java()
            .arg("org.apache.kafka.connect.mirror.MirrorMaker")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, folder }
    }

    /// The end of its log.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for MirrorMaker {
    fn drop(&mut self) {
        // It may have ended already; what matters is that it is reaped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// MirrorMaker's defaults but for what makes a test wait, and for topics of one replica.
const PROPERTIES: &str = "\
clusters=apache,ours
apache->ours.enabled=true
apache->ours.topics=mirrored
ours->apache.enabled=true
ours->apache.topics=clicks
replication.factor=1
checkpoints.topic.replication.factor=1
heartbeats.topic.replication.factor=1
offset-syncs.topic.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
config.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
tasks.max=1
emit.heartbeats.interval.seconds=1
emit.checkpoints.interval.seconds=1
refresh.topics.interval.seconds=1
refresh.groups.interval.seconds=1
sync.group.offsets.enabled=true
sync.group.offsets.interval.seconds=1
offset.flush.interval.ms=1000
";

/// One home with a context for each cluster.
fn desk(kafka: &kafka::Cluster, ours: &str) -> Desk {
    let desk = Desk::of(ours);
    let context = |name: &str, bootstrap: &str| {
        format!("[context.{name}]\nbootstrap = \"{bootstrap}\"\nclass = \"dev\"\nchanges = true\nrecord = false\n")
    };
    let apache = kafka.target().bootstrap.join(",");
    let text = [context("blue", &apache), context("green", ours)].concat();
    std::fs::write(desk.path(".config/azimuth/contexts.toml"), text).unwrap();
    desk
}

async fn run(desk: &Desk, line: &str) -> Ran {
    desk.run_as("anna", line).await
}

async fn list(desk: &Desk, line: &str) -> Value {
    let ran = run(desk, &format!("mirror list {line} -o json")).await;
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{line}: {error}\n{}{}", ran.stdout, ran.stderr))
}

fn named<'a>(told: &'a Value, list: &str, key: &str, name: &str) -> Option<&'a Value> {
    told[list].as_array()?.iter().find(|item| item[key] == name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mirror_between_apache_kafka_and_our_broker_is_told_until_it_is_level() {
    let Some(kafka) = kafka::shared().await else { return };
    let (cluster, _folder) = ours().await;
    let ours = cluster.bootstrap();
    let desk = desk(&kafka, &ours);
    let apache = kafka.target().bootstrap.join(",");
    for (context, topic) in [("blue", "mirrored"), ("blue", "private"), ("green", "clicks")] {
        let line = format!("topic create {topic} --partitions 2 --replication-factor 1 --yes --context {context}");
        run(&desk, &line).await.ends(0);
    }
    fill(&apache, "mirrored", 2, 100, 100).await;
    fill(&ours, "clicks", 2, 50, 100).await;
    // A group that stands in the middle of what is there.
    let started = Instant::now();
    let line =
        "group reset billing --topic mirrored --to earliest --override exists --reason test --yes --context blue";
    while run(&desk, line).await.status != 0 {
        assert!(started.elapsed() < PATIENCE, "the group is never made");
        tokio::time::sleep(LOOK).await;
    }
    run(&desk, "mirror list --context green")
        .await
        .ends(0)
        .says("nothing is mirrored into this cluster");

    let mirror = MirrorMaker::between(&kafka, &ours);
    let level = |told: &Value, topic: &str| {
        let topic = named(told, "topics", "topic", topic)?;
        Some((topic["behind_records"].as_i64()?, topic["mirror"].as_str()?.to_owned()))
    };
    let started = Instant::now();
    loop {
        let told = list(&desk, "--context green --source blue").await;
        let group = named(&told, "groups", "group", "billing");
        let committed = group.is_some_and(|group| group["committed_partitions"] == 2);
        let beats = told["items"][0]["behind_seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds < 30.0);
        if level(&told, "mirrored") == Some((0, "apache.mirrored".to_owned())) && committed && beats {
            assert_eq!(told["items"][0]["source"], "apache");
            assert_eq!(group.unwrap()["behind_records"], 0);
            assert_eq!(named(&told, "topics", "topic", "private"), None, "{told:#}");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "never level: {told:#}\n{}", mirror.log());
        tokio::time::sleep(LOOK).await;
    }
    loop {
        let told = list(&desk, "--context blue --source green").await;
        if level(&told, "clicks") == Some((0, "ours.clicks".to_owned())) {
            break;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "never level the other way: {told:#}\n{}",
            mirror.log()
        );
        tokio::time::sleep(LOOK).await;
    }
    let checks = "check run mirror failover-offsets --context green";
    run(&desk, checks).await.ends(0);
    drop(mirror);
    cluster.shutdown().await;
}
