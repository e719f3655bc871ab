//! Topics changed on real clusters with the real binary: configs, more partitions, fewer records.

use std::time::{Duration, Instant};

use azimuth::source::kafka::Target;
use azimuth::source::kafka::record::{Member, NewRecord, Producer};
use serde_json::Value;

use super::PATIENCE;
use super::kafka;
use super::operations::{Desk, ours};

const LOOK: Duration = Duration::from_millis(100);
const RECORDS: i64 = 20;

async fn write(bootstrap: &str, topic: &str) {
    let producer = Producer::new(&Target::new(bootstrap), &[("linger.ms", "0")]).unwrap();
    for number in 0..RECORDS {
        let value = number.to_string();
        let record = NewRecord {
            topic,
            partition: Some(0),
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        producer.send(record).await.unwrap();
    }
}

async fn values(desk: &Desk, topic: &str) -> Vec<String> {
    let ran = desk.run(&format!("record read {topic} -o json")).await.ends(0);
    let value = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["value"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    ran.stdout.lines().map(value).collect()
}

async fn changed(bootstrap: &str) {
    let desk = Desk::of(bootstrap);
    desk.run("topic create logs --partitions 1 --replication-factor 3 --yes")
        .await
        .ends(0);
    write(bootstrap, "logs").await;

    let alter = desk
        .run("topic alter logs --config retention.ms=3600000 --yes")
        .await
        .ends(0);
    alter.answers("finished");
    let shown = desk.json("topic show logs").await;
    let configs = shown["items"][0]["configs"].as_array().unwrap().clone();
    let retention = configs.iter().find(|one| one["name"] == "retention.ms").unwrap();
    assert_eq!(retention["value"], "3600000");
    desk.run("topic alter logs --unset retention.ms --yes").await.ends(0);
    desk.run("topic alter logs --config retention.mss=1 --yes")
        .await
        .ends(4)
        .says("retention.ms");

    let reader = Member::join(&Target::new(bootstrap), "reads-logs", &["logs"], &[]).unwrap();
    for _ in 0..RECORDS / 2 {
        tokio::time::timeout(PATIENCE, reader.next()).await.unwrap().unwrap();
    }
    drop(reader);
    let started = Instant::now();
    loop {
        let lag = desk.json("group lag reads-logs").await;
        if lag["items"][0]["committed_offset"] == RECORDS / 2 {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "it never commits: {lag}");
        tokio::time::sleep(LOOK).await;
    }
    // What its reader has read may go; more only against the gate.
    let line = format!("topic truncate logs --before {}", RECORDS / 2);
    desk.run(&format!("{line} --dry-run"))
        .await
        .ends(0)
        .answers("PLAN delete 10 records of 1 partition")
        .answers("logs-0  0 → 10  (+10)");
    desk.run(&format!("{line} --yes")).await.ends(0).answers("finished");
    assert_eq!(values(&desk, "logs").await.first().map(String::as_str), Some("10"));
    desk.run("topic truncate logs --before latest --yes")
        .await
        .ends(4)
        .says("reads-logs has not read 10 of them");
    let all = "topic truncate logs --before=-2 --override readers --reason gone --yes";
    desk.run(all).await.ends(0).answers("finished");
    assert_eq!(values(&desk, "logs").await, ["18", "19"]);
    desk.run(&format!("{line} --yes"))
        .await
        .ends(1)
        .says("no record lies before it");

    desk.run("topic add-partitions logs --to 4 --dry-run")
        .await
        .ends(0)
        .answers("PLAN widen topic logs from 1 to 4 partitions")
        .answers("undo: none")
        .answers("⚠ keys");
    desk.run("topic add-partitions logs --to 4 --yes")
        .await
        .ends(0)
        .says("4 partitions");
    let placed = desk.placement("logs").await;
    assert!(
        placed.len() == 4 && placed.iter().all(|replicas| replicas.len() == 3),
        "{placed:?}"
    );
    desk.run("topic add-partitions logs --to 2 --yes")
        .await
        .ends(4)
        .says("none can be taken away");
    desk.run("topic create keyed --partitions 1 --replication-factor 3 --config cleanup.policy=compact --yes")
        .await
        .ends(0);
    desk.run("topic add-partitions keyed --to 2 --yes")
        .await
        .ends(4)
        .says("keyed is compacted");
    desk.run("topic delete logs keyed --yes").await.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_our_broker_is_altered_emptied_and_widened() {
    let (cluster, _folder) = ours().await;
    changed(&cluster.bootstrap()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_apache_kafka_is_altered_emptied_and_widened() {
    let Some(cluster) = kafka::shared().await else { return };
    changed(&cluster.bootstrap).await;
}
