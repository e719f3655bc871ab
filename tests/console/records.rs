//! Records written by the real binary: one, a stream of lines, and numbered ones through every leader.

use std::process::Stdio;
use std::time::{Duration, Instant};

use azimuth_broker::id::NodeId;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::PATIENCE;
use super::kafka;
use super::operations::{Desk, Ran, ours};

const LOOK: Duration = Duration::from_millis(100);

async fn piped(desk: &Desk, line: &str, text: &str) -> Ran {
    let mut command = desk.command("anna", &format!("{line} --context dev"));
    let streams = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = streams.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    Ran::of(output.unwrap().unwrap())
}

/// As `record read` prints them, a line for each.
async fn records(desk: &Desk, topic: &str) -> Vec<Value> {
    let ran = desk.run(&format!("record read {topic} -o json")).await.ends(0);
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn led(desk: &Desk, topic: &str) {
    let started = Instant::now();
    loop {
        let shown = desk.json(&format!("topic show {topic}")).await;
        let mut partitions = shown["items"][0]["partitions"].as_array().unwrap().iter();
        if partitions.all(|one| !one["leader"].is_null()) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{topic} is never led");
        tokio::time::sleep(LOOK).await;
    }
}

async fn written_and_checked(bootstrap: &str) {
    let desk = Desk::of(bootstrap);
    desk.run("topic create notes --partitions 3 --replication-factor 3 --yes")
        .await
        .ends(0);
    led(&desk, "notes").await;

    let line = "record send notes --key customer-7 --header trace=4711 --value paid";
    desk.run_as("anna", &format!("{line} --yes --context viewer"))
        .await
        .ends(4);
    desk.run(line).await.ends(4).says("--yes");
    desk.run(&format!("{line} --dry-run"))
        .await
        .ends(0)
        .says("would write a record to notes");
    assert!(records(&desk, "notes").await.is_empty());
    let ran = desk.run(&format!("{line} --yes")).await.ends(0);
    let place: Vec<&str> = ran.stdout.trim().split(':').collect();
    assert_eq!((place[0], place[2]), ("notes", "0"), "{}", ran.stdout);
    let read = records(&desk, "notes").await;
    assert_eq!(
        (&read[0]["key"], &read[0]["value"]),
        (&"customer-7".into(), &"paid".into())
    );
    assert_eq!(read[0]["headers"][0]["value"], "4711");

    let lines = piped(&desk, "record send notes --partition 1 --yes", "one\ntwo\n\nthree")
        .await
        .ends(0);
    lines.says("4 records were acknowledged");
    let read = records(&desk, "notes").await;
    let values: Vec<&str> = read
        .iter()
        .filter(|record| record["partition"] == 1 && record["key"].is_null())
        .map(|record| record["value"].as_str().unwrap())
        .collect();
    assert_eq!(values, ["one", "two", "", "three"]);
    desk.run("record send note --value x --yes")
        .await
        .ends(1)
        .says("did you mean notes?");
    desk.run("record send notes --partition 9 --value x --yes")
        .await
        .ends(1)
        .says("topic notes has 3 partitions, no 9");

    let checked = desk.run("record check notes --records 5 --yes -o json").await.ends(0);
    let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(checked["kind"], "record.check");
    let rows = checked["items"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!((&row["acknowledged"], &row["read"]), (&5.into(), &5.into()), "{row}");
        assert!(
            row["max_ms"].as_f64().unwrap() >= row["p50_ms"].as_f64().unwrap(),
            "{row}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_written_to_apache_kafka_and_checked() {
    let Some(cluster) = kafka::shared().await else { return };
    written_and_checked(&cluster.bootstrap).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_written_to_our_broker_and_one_that_is_gone_fails_the_check() {
    let (mut cluster, _folder) = ours().await;
    written_and_checked(&cluster.bootstrap()).await;
    let desk = Desk::of(&cluster.bootstrap());
    desk.run("topic create lone --partitions 4 --replication-factor 1 --yes")
        .await
        .ends(0);
    led(&desk, "lone").await;
    cluster.kill(NodeId(2)).await;
    let started = Instant::now();
    let rows = loop {
        let ran = desk.run("record check lone --records 3 --yes -o json").await;
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        let rows = answer["items"].as_array().unwrap().clone();
        // Until the controller has noticed, its leader is still the one that is gone.
        if ran.status == 1 && rows.iter().any(|row| row["problem"] == "it has no leader") {
            break rows;
        }
        assert!(started.elapsed() < PATIENCE, "{}", ran.stderr);
    };
    // However many of the four it led, the others are well.
    let well = |row: &Value| row["read"] == 3 && row["problem"] == "";
    assert!(rows.iter().all(|row| well(row) != row["leader"].is_null()), "{rows:?}");
    cluster.shutdown().await;
}
