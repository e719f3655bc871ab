//! Scripts that wait for a cluster, with the real binary: until replicas are in sync again, lag is gone, moves are over.

use std::process::Stdio;
use std::time::{Duration, Instant};

use azimuth_broker::id::NodeId;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::PATIENCE;
use super::kafka;
use super::operations::{Desk, Ran, ours};

async fn out_of_sync(desk: &Desk) {
    let started = Instant::now();
    loop {
        let list = desk.json("partition list --under-replicated").await;
        if list["items"].as_array().is_some_and(|items| !items.is_empty()) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "everything stays in sync");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn what_holds(desk: &Desk) {
    desk.run("topic create waits --partitions 6 --replication-factor 3 --yes")
        .await
        .ends(0);
    for line in [
        "isr waits",
        "isr --broker 1",
        "reassigned",
        "lag --all --below 1000000000",
    ] {
        let ran = desk.run(&format!("wait {line} --timeout 30s -o json")).await.ends(0);
        let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(told["items"][0]["held"], true, "{told}");
    }
    // Neither is there; somebody may create it.
    let ran = desk.run("wait lag nobody --timeout 3s").await.ends(1);
    ran.says("not yet: there is no group nobody").answers("no");
    let ran = desk.run("wait reassigned ordres --timeout 3s").await.ends(1);
    ran.answers("there is no topic ordres");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_on_apache_kafka_is_waited_for_no_longer() {
    let Some(cluster) = kafka::shared().await else { return };
    what_holds(&Desk::of(&cluster.bootstrap)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_waited_for_until_their_broker_is_back() {
    let (mut cluster, _folder) = ours().await;
    let desk = Desk::of(&cluster.bootstrap());
    what_holds(&desk).await;

    cluster.kill(NodeId(2)).await;
    out_of_sync(&desk).await;
    desk.run("wait isr --timeout 4s").await.ends(1).answers("out of sync");
    desk.run("wait isr --broker 1 --timeout 30s").await.ends(0);
    desk.run("wait healthy --timeout 10s").await.ends(1).says("not yet");

    let mut command = desk.command("anna", "wait isr waits --timeout 120s --hold 1s --context dev");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut waiting = command.spawn().unwrap();
    let mut talk = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let first = talk.next_line().await.unwrap().unwrap();
    assert!(first.contains("not yet: "), "{first}");
    cluster.restart(NodeId(2)).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE * 2, waiting.wait_with_output()).await;
    Ran::of(ended.expect("it never ends").unwrap())
        .ends(0)
        .answers("every replica is in sync");
    cluster.shutdown().await;

    // Nothing can be told of a cluster that is gone.
    desk.run("wait isr --timeout 8s").await.ends(3).says("cannot be told");
    desk.run("wait isr --timeout 10s --hold 10s")
        .await
        .ends(2)
        .says("leaves no time to wait");
}
