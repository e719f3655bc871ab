//! Clients at work on the demo's brokers: four topics, their producers, and groups that keep up, fall behind and sleep.

use std::f64::consts::TAU;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::cloud::Usual;
use crate::model::BrokerId;
use crate::source::Error;
use crate::source::kafka::record::{Member, NewRecord, Producer};
use crate::source::kafka::{Kafka, NewTopic, Target};

/// A topic and how it is written.
struct Flow {
    topic: &'static str,
    partitions: i32,
    /// Records per second.
    rate: f64,
    /// Of one record's value.
    bytes: usize,
    /// Of one partition's log.
    retention_bytes: u32,
}

const FLOWS: &[Flow] = &[
    Flow {
        topic: "orders",
        partitions: 6,
        rate: 60.0,
        bytes: 900,
        retention_bytes: 24 << 20,
    },
    Flow {
        topic: "payments",
        partitions: 6,
        rate: 30.0,
        bytes: 500,
        retention_bytes: 16 << 20,
    },
    Flow {
        topic: "clicks",
        partitions: 12,
        rate: 400.0,
        bytes: 300,
        retention_bytes: 24 << 20,
    },
    Flow {
        topic: "audit",
        partitions: 3,
        rate: 8.0,
        bytes: 1200,
        retention_bytes: 16 << 20,
    },
];

/// Written and read back by the console, to know that clients can write.
pub(super) const PROBE_TOPIC: &str = "azimuth-probe";

/// Of the client that writes as fast as it can: this many records at once, each so large.
const RUNAWAY: (&str, &str) = ("audit-backfill", "audit");
const RUNAWAY_BURST: u64 = 200;
const RUNAWAY_BYTES: usize = 4000;

const COPIES: i16 = 3;
/// Producers write this often; what has gathered is written at once.
const TICK: Duration = Duration::from_millis(100);
/// After a failure: librdkafka retries by itself, this only keeps an unwilling cluster from being hammered.
const PAUSE: Duration = Duration::from_millis(500);

/// How a group reads.
#[derive(Clone, Copy)]
enum Pace {
    /// Whatever there is.
    KeepsUp,
    /// Records per second on the mean, in waves: falls behind and catches up.
    Waves { mean: f64, period: Duration },
    /// Reads whatever there is, then sleeps.
    Sleeps { every: Duration },
}

struct Readers {
    group: &'static str,
    topics: &'static [&'static str],
    members: usize,
    pace: Pace,
}

/// The group whose members can get stuck.
const STUCK_GROUP: &str = "billing";

const READERS: &[Readers] = &[
    Readers {
        group: "billing",
        topics: &["orders", "payments"],
        members: 3,
        pace: Pace::KeepsUp,
    },
    Readers {
        group: "analytics",
        topics: &["clicks"],
        members: 2,
        pace: Pace::Waves {
            mean: 215.0,
            period: Duration::from_secs(40),
        },
    },
    Readers {
        group: "fraud",
        topics: &["payments"],
        members: 1,
        pace: Pace::KeepsUp,
    },
    Readers {
        group: "archive",
        topics: &["audit", "orders"],
        members: 1,
        pace: Pace::Sleeps {
            every: Duration::from_secs(20),
        },
    },
];

/// What one broker's machine does with this workload, for the hour before the start.
pub(super) fn usual() -> Usual {
    let written: f64 = FLOWS.iter().map(|flow| flow.rate * flow.bytes as f64).sum();
    let written = written * f64::from(COPIES) / f64::from(super::BROKERS);
    Usual {
        cpu_percent: 12.0,
        in_bytes: written * 1.1,
        out_bytes: written * 1.6,
        read_bytes: 0.0,
        write_bytes: written,
    }
}

/// Whether the group that can get stuck is so.
pub(super) type Stuck = watch::Sender<bool>;

/// The topics that producers write to.
pub(super) fn topics() -> impl Iterator<Item = &'static str> {
    FLOWS.iter().map(|flow| flow.topic)
}

/// Creates the topics; one that is there already is fine.
pub(super) async fn create_topics(kafka: &Kafka) -> Result<(), Error> {
    let topic = |flow: &Flow| NewTopic {
        name: flow.topic.to_owned(),
        partitions: Some(flow.partitions),
        replication_factor: Some(COPIES),
        configs: [
            ("min.insync.replicas", "2".to_owned()),
            ("retention.bytes", flow.retention_bytes.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
        ..NewTopic::default()
    };
    // One partition is led by each broker.
    let next = |broker: BrokerId, by: BrokerId| (broker - 1 + by) % super::BROKERS + 1;
    let probe = NewTopic {
        name: PROBE_TOPIC.to_owned(),
        assignments: (1..=super::BROKERS)
            .map(|broker| vec![broker, next(broker, 1), next(broker, 2)])
            .collect(),
        configs: [("min.insync.replicas", "2"), ("retention.ms", "600000")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..NewTopic::default()
    };
    let topics: Vec<NewTopic> = FLOWS.iter().map(topic).chain([probe]).collect();
    kafka
        .create_topics(&topics, false)
        .await?
        .into_iter()
        .try_for_each(|(_, outcome)| outcome)
}

/// Starts every producer and member.
pub(super) fn start(target: &Target, stuck: &Stuck, tasks: &mut JoinSet<()>) -> Result<(), Error> {
    for flow in FLOWS {
        let producer = Producer::new(
            &named(target, &format!("{}-service", flow.topic)),
            &[("linger.ms", "20")],
        )?;
        tasks.spawn(produce(producer, flow));
    }
    for readers in READERS {
        for member in 1..=readers.members {
            let client = named(target, &format!("{}-{member}", readers.group));
            let reader = Member::join(
                &client,
                readers.group,
                readers.topics,
                // One that is stuck stays a member for as long as anybody looks.
                &[("session.timeout.ms", "6000"), ("max.poll.interval.ms", "86400000")],
            )?;
            let stuck = (readers.group == STUCK_GROUP).then(|| stuck.subscribe());
            tasks.spawn(consume(reader, readers.pace, stuck));
        }
    }
    Ok(())
}

/// Whether every group has committed something, so that its lag is a number.
pub(super) async fn is_settled(kafka: &Kafka) -> Result<bool, Error> {
    let mut committed = std::collections::BTreeSet::new();
    for broker in kafka.cluster().await?.brokers {
        let groups = kafka.groups(broker.id).await?;
        committed.extend(
            groups
                .into_iter()
                .filter(|group| !group.commits.is_empty())
                .map(|group| group.name),
        );
    }
    Ok(READERS.iter().all(|readers| committed.contains(readers.group)))
}

fn named(target: &Target, client_id: &str) -> Target {
    let mut target = target.clone();
    client_id.clone_into(&mut target.client_id);
    target
}

async fn produce(producer: Producer, flow: &'static Flow) {
    let mut ticks = tokio::time::interval(TICK);
    // After a stall, as when a laptop sleeps, the missed records are not made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut number, mut owed) = (0_u64, 0.0);
    loop {
        ticks.tick().await;
        owed += flow.rate * TICK.as_secs_f64();
        let count = owed as u64;
        owed -= count as f64;
        let records: Vec<(String, String)> = (number..number + count).map(|number| record(flow, number)).collect();
        number += count;
        let sends = records.iter().map(|(key, value)| {
            producer.send(NewRecord {
                topic: flow.topic,
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            })
        });
        let outcomes = futures::future::join_all(sends).await;
        if outcomes.iter().any(Result::is_err) {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Writes as fast as the brokers take it, for ever.
pub(super) async fn runaway(kafka: Kafka) {
    let (client, topic) = RUNAWAY;
    let value = "x".repeat(RUNAWAY_BYTES);
    let Ok(producer) = Producer::new(&named(kafka.target(), client), &[("linger.ms", "20")]) else {
        return;
    };
    for number in 0.. {
        let keys: Vec<String> = (0..RUNAWAY_BURST).map(|at| format!("{number}-{at}")).collect();
        let sends = keys.iter().map(|key| {
            producer.send(NewRecord {
                topic,
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            })
        });
        let outcomes = futures::future::join_all(sends).await;
        if outcomes.iter().any(Result::is_err) {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A record that looks like one of a shop.
fn record(flow: &Flow, number: u64) -> (String, String) {
    // A cheap scramble, so that keys spread over partitions and values do not compress to nothing.
    let scrambled = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let key = format!("customer-{}", scrambled % 5000);
    let mut value = format!(
        r#"{{"{}":{number},"customer":{},"amount":{}.{:02},"currency":"EUR","note":""#,
        flow.topic,
        scrambled % 5000,
        scrambled % 900,
        scrambled % 100
    );
    while value.len() + 2 < flow.bytes {
        value.push_str(&format!("{:016x}", scrambled.rotate_left(value.len() as u32)));
    }
    value.push_str("\"}");
    (key, value)
}

async fn consume(member: Member, pace: Pace, mut stuck: Option<watch::Receiver<bool>>) {
    let started = Instant::now();
    let mut slept = started;
    loop {
        if let Some(stuck) = &mut stuck {
            // Whoever could get it stuck is gone: then it goes on.
            let _ = stuck.wait_for(|stuck| !*stuck).await;
        }
        match member.next().await {
            Ok(_) => rest(pace, started, &mut slept).await,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn rest(pace: Pace, started: Instant, slept: &mut Instant) {
    match pace {
        Pace::KeepsUp => {}
        Pace::Waves { mean, period } => {
            let phase = started.elapsed().as_secs_f64() / period.as_secs_f64();
            let rate = mean * (1.0 + 0.8 * (TAU * phase).sin());
            // Owed from the last record on, so that timers' grain does not slow it down.
            *slept = (*slept + Duration::from_secs_f64(1.0 / rate)).max(Instant::now() - period);
            tokio::time::sleep_until(*slept).await;
        }
        Pace::Sleeps { every } => {
            if slept.elapsed() > every / 4 {
                tokio::time::sleep(every).await;
                *slept = Instant::now();
            }
        }
    }
}
