//! The command line on a real cluster: three of our brokers in this process, the console's own binary beside it.

use std::time::{Duration, Instant};

use azimuth::model::Moment;
use azimuth::source::kafka::record::{NewRecord, Producer};
use azimuth::source::kafka::{Kafka, NewTopic, Target};
use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::id::NodeId;
use jiff::SignedDuration;

use crate::scripts::{Home, Ran};

/// For whatever a busy machine has to come to.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three brokers in three racks, on free ports of 127.0.0.1.
pub async fn start(folder: &std::path::Path) -> Cluster {
    let racks = ["a", "b", "c"].map(str::to_owned);
    Cluster::start(ClusterConfig::local(3, &racks, folder, 0))
        .await
        .unwrap()
}

/// The cluster lives on this runtime, so the binary is waited for on another thread.
async fn run(home: &std::sync::Arc<Home>, line: String) -> Ran {
    let home = home.clone();
    tokio::task::spawn_blocking(move || home.run(&line)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_answer_and_a_dead_broker_costs_only_its_own_cells() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = start(folder.path()).await;
    let home = std::sync::Arc::new(Home::new());
    let bootstrap = cluster.bootstrap();
    for line in [
        "broker list",
        "topic list --internal",
        "partition list",
        "group list",
        "quorum show",
        "logdir list",
        "context test",
    ] {
        let ran = run(&home, format!("{line} --bootstrap {bootstrap}")).await;
        assert_eq!(ran.status, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
    }
    let ran = run(&home, format!("broker list --bootstrap {bootstrap} -o json")).await;
    let envelope = ran.envelope("broker.list");
    assert_eq!(envelope["items"].as_array().unwrap().len(), 3);
    assert_eq!(envelope["items"][0]["rack"], "a");
    let zones = envelope["zones"].as_array().unwrap();
    let up: Vec<_> = zones
        .iter()
        .map(|zone| (&zone["zone"], &zone["up"], &zone["brokers"]))
        .collect();
    assert_eq!(up.len(), 3, "{zones:?}");
    assert!(up.iter().all(|(_, up, brokers)| *up == 1 && *brokers == 1), "{up:?}");
    let leaders = zones.iter().map(|zone| zone["leaders"].as_i64().unwrap()).sum::<i64>();
    let led = envelope["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["leaders"].as_i64().unwrap());
    assert_eq!(leaders, led.sum::<i64>());

    let written = strict(&bootstrap).await;
    cluster.kill(NodeId(2)).await;
    let started = Instant::now();
    let ran = run(
        &home,
        format!("broker list --bootstrap {bootstrap} --timeout 5s -o json"),
    )
    .await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    let envelope = ran.envelope("broker.list");
    let of = |id: i64| {
        envelope["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["id"] == id)
            .unwrap()
            .clone()
    };
    assert_ne!(of(2)["state"], "up");
    assert_eq!(of(1)["state"], "up");
    assert!(of(1)["disk_used_percent"].is_number());

    // Who comes later than the trouble is told when the last record was written.
    let wanted = format!("last write {} (strict-0)", written.strftime("%H:%M:%S"));
    let until = Instant::now() + PATIENCE;
    loop {
        let ran = run(&home, format!("triage -o json --bootstrap {bootstrap}")).await;
        let triage = ran.envelope("triage");
        let headline = triage["lines"][0]["text"].as_str().unwrap().to_owned();
        if headline.contains("WRITES REFUSED") && headline.contains(&wanted) {
            break;
        }
        assert!(Instant::now() < until, "wanted {wanted}: {headline}");
    }
    cluster.shutdown().await;
}

/// A topic that takes writes only while all three are in sync, with a record of a while ago.
async fn strict(bootstrap: &str) -> Moment {
    let target = Target::new(bootstrap);
    let topic = NewTopic {
        name: "strict".to_owned(),
        // Led by one that lives on: a follower that takes over may never have heard that the record is committed, and while its
        // min ISR is missed its high watermark stands still (KIP-966).
        assignments: vec![vec![1, 2, 3]],
        configs: [("min.insync.replicas".to_owned(), "3".to_owned())].into(),
        ..NewTopic::default()
    };
    let kafka = Kafka::new(target.clone());
    for (_, outcome) in kafka.create_topics(&[topic], false).await.unwrap() {
        outcome.unwrap();
    }
    let written = Moment::now() - SignedDuration::from_mins(7);
    let producer = Producer::new(&target, &[]).unwrap();
    let record = NewRecord {
        topic: "strict",
        value: Some(b"the last"),
        timestamp_ms: Some(written.as_millisecond()),
        ..NewRecord::default()
    };
    producer.send(record).await.unwrap();
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_at_the_same_address_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = start(folder.path()).await;
    let home = std::sync::Arc::new(Home::new());
    let ran = run(&home, format!("context add here --bootstrap {}", cluster.bootstrap())).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(run(&home, "broker list".to_owned()).await.status, 0);
    let file = home.contexts();
    let text = std::fs::read_to_string(&file).unwrap();
    // The same as if another cluster had taken the address: what answers is not what is expected.
    std::fs::write(&file, format!("{text}cluster_id = \"another\"\n")).unwrap();
    let ran = run(&home, "broker list".to_owned()).await;
    assert_eq!(ran.status, 4, "{}", ran.stderr);
    assert!(
        ran.stdout.is_empty() && ran.stderr.contains("it was another: refused"),
        "{}",
        ran.stderr
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_are_scraped_and_one_that_is_not_there_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    // Taken and given back: the first is the broker's in a moment, nobody listens at the second.
    let free = || {
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let (one, two) = (free(), free());
    let racks = ["a", "b", "c"].map(str::to_owned);
    let mut config = ClusterConfig::local(3, &racks, folder.path().join("data"), 0);
    let listener = ("azimuth.metrics.listener".to_owned(), one.to_string());
    config.own.insert(NodeId(1), vec![listener]);
    let cluster = Cluster::start(config).await.unwrap();
    let contexts = folder.path().join("contexts.toml");
    let text = format!(
        "[context.c]\nbootstrap = \"{}\"\n[context.c.prometheus.brokers]\n1 = \"http://{one}/metrics\"\n2 = \"http://{two}/metrics\"\n",
        cluster.bootstrap()
    );
    std::fs::write(&contexts, text).unwrap();
    let home = std::sync::Arc::new(Home::new());
    let ran = run(
        &home,
        format!("broker list -o json --context-file {}", contexts.display()),
    )
    .await;
    assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
    let envelope = ran.envelope("broker.list");
    let idle = |at: usize| envelope["items"][at]["request_idle_percent"].clone();
    let share = idle(0).as_f64().unwrap_or_else(|| panic!("{}", ran.stdout));
    assert!((0.0..=100.0).contains(&share), "{share}");
    assert!(idle(1).is_null() && idle(2).is_null());
    let problems = envelope["problems"].to_string();
    assert!(
        problems.contains("broker 2 metrics") && problems.contains(&two.to_string()),
        "{problems}"
    );
    assert!(
        problems.contains("broker 3 metrics") && problems.contains("names no endpoint of broker 3"),
        "{problems}"
    );
    cluster.shutdown().await;
}
