//! Two operators on one cluster: each sees the other, and their plans say so.

use std::time::Instant;

use serde_json::json;

use super::PATIENCE;
use super::kafka;
use super::load::fill;
use super::operations::{Desk, LOOK, Screen, ours};

async fn seen(bootstrap: &str) {
    let desk = Desk::of(bootstrap);
    desk.run("topic create orders --partitions 2 --replication-factor 2 --yes")
        .await
        .ends(0);
    // Where there has never been a group nobody joins one.
    fill(bootstrap, "orders", 2, 4, 100).await;
    let started = Instant::now();
    while desk
        .run("group reset billing --topic orders --to earliest --override exists --reason test --yes")
        .await
        .status
        != 0
    {
        assert!(started.elapsed() < PATIENCE, "the group is never made");
        tokio::time::sleep(LOOK).await;
    }
    let mut anna = Screen::open(&desk, "dev");
    let mut carl = Screen::open_with(&desk, "dev", &[("USER", "carl".to_owned())]);
    anna.press("3").shows("with carl@").await;
    carl.press("6").shows("with anna@").await;
    carl.shows("has the screens open: ").await.shows("· present").await;

    // From the screens, and from the command line.
    carl.press(":config set retention.ms=3600000 --topic orders\r");
    carl.shows("PLAN ").await.shows("also here: anna@").await;
    // What is pressed in its first 400 ms is not heard.
    let started = Instant::now();
    while carl.text().contains("PLAN ") {
        assert!(started.elapsed() < PATIENCE, "it stays:\n{}", carl.text());
        carl.press("\x1b");
        tokio::time::sleep(LOOK).await;
    }
    let dry = desk
        .run("config set retention.ms=7200000 --topic orders --dry-run")
        .await;
    dry.ends(0).answers("also here: ");
    let listed = desk.run("operation list").await.ends(0);
    listed.says("also here: anna@").says("also here: carl@");

    // A console that only looks sees them, and is seen by nobody.
    let mut viewer = Screen::open_with(&desk, "viewer", &[("USER", "dora".to_owned())]);
    viewer.press("2").shows("with anna@").await.shows(" +1 ").await;
    viewer.quit().await;
    carl.quit().await;
    anna.until("alone", |text| !text.contains("with carl@")).await;
    assert!(!anna.text().contains("dora@"), "{}", anna.text());
    anna.quit().await;
    let left = desk.run("operation list").await.ends(0);
    assert!(!left.stderr.contains("also here"), "{}", left.stderr);
    // It is no group that reads anything.
    let groups = desk.json("group list").await;
    let names: Vec<_> = groups["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["group"])
        .collect();
    assert_eq!(names, [&json!("billing")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_operators_see_each_other_on_our_broker() {
    let (cluster, _folder) = ours().await;
    seen(&cluster.bootstrap()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_operators_see_each_other_on_apache_kafka() {
    let Some(cluster) = kafka::Cluster::start().await else {
        return;
    };
    seen(&cluster.bootstrap).await;
}
