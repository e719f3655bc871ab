//! Where a group reads on, changed on real clusters with the real binary.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use azimuth::source::kafka::Target;
use azimuth::source::kafka::record::{Member, NewRecord, Producer};

use super::PATIENCE;
use super::kafka;
use super::operations::{Desk, ours};

const LOOK: Duration = Duration::from_millis(100);
/// Of each partition; the second half is younger.
const RECORDS: i64 = 20;
const OLD: &str = "2026-01-01T00:00:00Z";
const YOUNG: &str = "2026-02-01T00:00:00Z";

/// Offsets by partition.
async fn committed(desk: &Desk, group: &str) -> BTreeMap<i64, Option<i64>> {
    let lag = desk.json(&format!("group lag {group}")).await;
    let items = lag["items"].as_array().unwrap().iter();
    items
        .map(|one| (one["partition"].as_i64().unwrap(), one["committed_offset"].as_i64()))
        .collect()
}

async fn until(desk: &Desk, group: &str, what: &str, wanted: impl Fn(&BTreeMap<i64, Option<i64>>) -> bool) {
    let started = Instant::now();
    loop {
        let offsets = committed(desk, group).await;
        if wanted(&offsets) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "never {what}: {offsets:?}");
        tokio::time::sleep(LOOK).await;
    }
}

async fn write(bootstrap: &str) {
    let producer = Producer::new(&Target::new(bootstrap), &[("linger.ms", "0")]).unwrap();
    for partition in [0, 1] {
        for number in 0..RECORDS {
            let time: azimuth::model::Moment = if number < RECORDS / 2 { OLD } else { YOUNG }.parse().unwrap();
            let record = NewRecord {
                topic: "bills",
                partition: Some(partition),
                value: Some(b"paid"),
                timestamp_ms: Some(time.as_millisecond() + number),
                ..NewRecord::default()
            };
            producer.send(record).await.unwrap();
        }
    }
    producer.flush(PATIENCE).await.unwrap();
}

async fn reset_and_forgotten(bootstrap: &str) {
    let desk = Desk::of(bootstrap);
    // Its records are older than a week.
    desk.run("topic create bills --partitions 2 --replication-factor 3 --config retention.ms=-1 --yes")
        .await
        .ends(0);
    write(bootstrap).await;
    let member = Member::join(&Target::new(bootstrap), "resets", &["bills"], &[]).unwrap();
    for _ in 0..2 * RECORDS {
        tokio::time::timeout(PATIENCE, member.next()).await.unwrap().unwrap();
    }
    let all = |at: i64| {
        move |offsets: &BTreeMap<i64, Option<i64>>| offsets.len() == 2 && offsets.values().all(|one| *one == Some(at))
    };
    until(&desk, "resets", "all read", all(RECORDS)).await;
    let refused = desk.run("group reset resets --to earliest --yes").await.ends(4);
    refused.says("gate members is closed").says("stop them first");
    desk.run("group delete resets --yes")
        .await
        .ends(4)
        .says("it cannot be overridden");
    drop(member);
    let started = Instant::now();
    let dry = loop {
        let ran = desk.run("group reset resets --to earliest --dry-run").await;
        if ran.status == 0 {
            break ran;
        }
        assert!(started.elapsed() < PATIENCE, "the member never leaves: {}", ran.stderr);
        tokio::time::sleep(LOOK).await;
    };
    dry.answers("PLAN reset group resets in 2 partitions")
        .answers("bills-0  20 → 0  (-20)")
        .answers("bills-1  20 → 0  (-20)")
        .answers("40 records are read again");
    assert!(
        all(RECORDS)(&committed(&desk, "resets").await),
        "a dry run commits nothing"
    );

    let done = desk.run("group reset resets --to earliest --yes").await.ends(0);
    done.answers("finished").says("2 offsets committed");
    assert!(all(0)(&committed(&desk, "resets").await));
    // From the first record that is as young as that.
    desk.run(&format!("group reset resets --to {YOUNG} --yes"))
        .await
        .ends(0);
    assert!(all(RECORDS / 2)(&committed(&desk, "resets").await));
    desk.run("group reset resets --topic bills:1 --shift-by=-4 --yes")
        .await
        .ends(0);
    let offsets = committed(&desk, "resets").await;
    assert_eq!((offsets[&0], offsets[&1]), (Some(RECORDS / 2), Some(RECORDS / 2 - 4)));
    desk.run("group reset resets --topic bills:1 --to 6 --yes")
        .await
        .ends(1)
        .says("stands there already");
    desk.run("group reset reset --topic bills --to 6 --yes")
        .await
        .ends(4)
        .says("there is no group reset yet");
    desk.run("group reset resets").await.ends(2).says("--to");

    desk.run("group delete resets --yes").await.ends(0).answers("finished");
    assert_eq!(desk.run("group show resets").await.status, 1);
    desk.run("group delete resets --yes")
        .await
        .ends(4)
        .says("there is no group resets");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_our_broker_is_reset_and_forgotten() {
    let (cluster, _folder) = ours().await;
    reset_and_forgotten(&cluster.bootstrap()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_apache_kafka_is_reset_and_forgotten() {
    let Some(cluster) = kafka::shared().await else { return };
    reset_and_forgotten(&cluster.bootstrap).await;
}
