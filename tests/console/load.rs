//! Records for clusters that are changed meanwhile: bulk, and numbered ones of which none may be lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use azimuth::source::kafka::record::{NewRecord, Producer};
use azimuth::source::kafka::{Kafka, NewTopic, Target};
use futures::future::join_all;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::PATIENCE;
use super::operations::Desk;

/// So many records wait for their acknowledgement.
const IN_FLIGHT: usize = 200;

/// So many records of one size, in turn to every partition.
pub(super) async fn fill(bootstrap: &str, topic: &str, partitions: i32, records: usize, bytes: usize) {
    let producer = Producer::new(&Target::new(bootstrap), &[]).unwrap();
    let value = vec![b'x'; bytes];
    for first in (0..records).step_by(IN_FLIGHT) {
        let sent = (first..records.min(first + IN_FLIGHT)).map(|at| {
            producer.send(NewRecord {
                topic,
                partition: Some(at as i32 % partitions),
                value: Some(&value),
                ..NewRecord::default()
            })
        });
        for sent in join_all(sent).await {
            sent.unwrap();
        }
    }
}

/// A topic of one partition on these brokers, with records of which a follower fetches one at a time, so that a throttle
/// holds back all but the first of each measuring window of 11 s.
pub(super) async fn topic(kafka: &Kafka, bootstrap: &str, name: &str, replicas: &[i32], records: usize) {
    let topic = NewTopic {
        name: name.to_owned(),
        assignments: vec![replicas.to_vec()],
        ..NewTopic::default()
    };
    for (_, outcome) in kafka.create_topics(&[topic], false).await.unwrap() {
        outcome.unwrap();
    }
    let producer = Producer::new(&Target::new(bootstrap), &[]).unwrap();
    let value = vec![b'x'; 900_000];
    for _ in 0..records {
        let record = NewRecord {
            topic: name,
            partition: Some(0),
            value: Some(&value),
            ..NewRecord::default()
        };
        producer.send(record).await.unwrap();
        producer.flush(PATIENCE).await.unwrap();
    }
}

/// Between two numbered records.
const PACE: Duration = Duration::from_millis(10);

/// Writes numbered records with acks=all until it is told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    running: JoinHandle<(u64, Vec<String>)>,
}

impl Load {
    pub(super) fn on(bootstrap: &str, topic: &'static str, partitions: i32) -> Self {
        let producer = Producer::new(&Target::new(bootstrap), &[]).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            let (mut number, mut failed) = (0, Vec::new());
            let mut pace = tokio::time::interval(PACE);
            while !stopped.load(Ordering::Relaxed) {
                let text = number.to_string();
                let record = NewRecord {
                    topic,
                    partition: Some((number % partitions as u64) as i32),
                    key: Some(b"number"),
                    value: Some(text.as_bytes()),
                    ..NewRecord::default()
                };
                // librdkafka tries again what can be tried again; what it gives up is told here.
                if let Err(error) = producer.send(record).await {
                    failed.push(format!("{number}: {error}"));
                }
                number += 1;
                pace.tick().await;
            }
            (number, failed)
        });
        Self { stop, running }
    }

    /// How many were written and acknowledged, without one that was not.
    pub(super) async fn ends(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let (written, failed) = self.running.await.unwrap();
        assert!(failed.is_empty(), "not acknowledged: {failed:?}");
        written
    }
}

/// Ends the load: every record was acknowledged, and every one is there.
pub(super) async fn nothing_lost(desk: &Desk, topic: &str, load: Load) {
    let written = load.ends().await;
    assert!(written > 100, "clients wrote all the time: {written}");
    let read = desk
        .run(&format!("record read {topic} --key ^number$ -o json --timeout 600s"))
        .await
        .ends(0);
    let numbers: BTreeSet<u64> = read
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|record| record["value"].as_str().unwrap().parse().unwrap())
        .collect();
    let lost: Vec<u64> = (0..written).filter(|number| !numbers.contains(number)).collect();
    assert!(lost.is_empty(), "lost of {written}: {lost:?}");
}
