//! A cluster on an ordinary bad evening: six brokers in three zones, broker 4 dead for 40 s, broker 3's disk filling,
//! a group falling behind, a reassignment on its way.

use std::collections::BTreeMap;
use std::sync::Arc;

use azimuth::model::acl::{Acls, Operation, Pattern, Permission, ResourceKind, Rule};
use azimuth::model::broker::{Broker, Link};
use azimuth::model::cloud::{
    Cloud, Cost, Instance, InstanceMetrics, InstanceType, Metrics, Modification, Point, Volume, VolumeMetrics, Zone,
};
use azimuth::model::cluster::Cluster;
use azimuth::model::config::{Config, ConfigSource};
use azimuth::model::group::{Commit, Group, Member};
use azimuth::model::history::{History, Series};
use azimuth::model::identity::Rules;
use azimuth::model::logdir::{LogDir, Replica};
use azimuth::model::offset::{Offsets, Span};
use azimuth::model::quorum::{Quorum, Voter};
use azimuth::model::quota::{self, Entity, Quota, Whom};
use azimuth::model::reassignment::Reassignment;
use azimuth::model::topic::{Partition, Topic};
use azimuth::model::transaction::{Open, Transaction};
use azimuth::model::user::{Credential, User};
use azimuth::model::{BrokerId, Moment, Observed, Snapshot, Trouble};
use azimuth::tui::app::context::Context;

/// When the fixture is looked at.
pub fn now() -> Moment {
    "2026-11-22T21:04:29Z".parse().unwrap()
}

pub fn ago(seconds: i64) -> Moment {
    now() - jiff::SignedDuration::from_secs(seconds)
}

const ZONES: [(&str, &str); 3] = [
    ("eu-west-1a", "euw1-az1"),
    ("eu-west-1b", "euw1-az2"),
    ("eu-west-1c", "euw1-az3"),
];
const DEAD: BrokerId = 4;
const GIB: u64 = 1 << 30;

/// Name, partitions, replication factor, bytes of one replica of one partition, records per second of one partition.
const TOPICS: [(&str, i32, usize, u64, f64); 11] = [
    ("__consumer_offsets", 50, 3, 41_000_000, 12.0),
    ("audit", 6, 2, 3_900_000_000, 40.0),
    ("billing-events", 3, 3, 8_100_000_000, 95.0),
    ("clicks", 24, 3, 9_400_000_000, 1_910.0),
    ("inventory", 6, 3, 2_200_000_000, 31.0),
    ("legacy-import", 1, 1, 700_000_000, 0.0),
    ("orders", 12, 3, 6_300_000_000, 1_030.0),
    ("orders-dlq", 1, 3, 12_000_000, 0.0),
    ("payments", 6, 3, 4_800_000_000, 220.0),
    ("sessions", 12, 3, 1_900_000_000, 410.0),
    ("shipments", 6, 3, 2_700_000_000, 76.0),
];

fn zone(id: BrokerId) -> usize {
    ((id - 1) / 2) as usize
}

/// Everything of six brokers.
pub fn snapshot() -> Snapshot {
    let brokers: Vec<BrokerId> = (1..=6).collect();
    let topics = topics();
    let mut snapshot = Snapshot {
        context: "prod-eu".into(),
        taken_at: Some(now()),
        cluster: Observed::fresh(cluster(&brokers), ago(1)),
        offsets: offsets(&topics),
        logdirs: brokers
            .iter()
            .map(|id| (*id, observed(*id, logdirs(*id, &topics))))
            .collect(),
        links: brokers.iter().map(|id| (*id, observed(*id, link(*id)))).collect(),
        broker_configs: brokers.iter().map(|id| (*id, observed(*id, configs(*id)))).collect(),
        coordinators: brokers.iter().map(|id| (*id, observed(*id, ()))).collect(),
        topic_configs: Observed::fresh(topic_configs(&topics), ago(9)),
        reassignments: Observed::fresh(reassignments(), ago(3)),
        transactions: brokers
            .iter()
            .map(|id| (*id, observed(*id, transactions(*id))))
            .collect(),
        groups: Observed::fresh(groups(), ago(2)),
        acls: Observed::fresh(acls(), ago(20)),
        principal: Some("User:ops".into()),
        users: Observed::fresh(users(), ago(20)),
        quotas: Observed::fresh(quotas(), ago(20)),
        topics: Observed::fresh(topics, ago(2)),
        cloud: cloud(&brokers),
        history: Arc::new(history()),
        ..Snapshot::default()
    };
    snapshot.join_cloud(&Rules::default(), &BTreeMap::new());
    snapshot
}

/// The context file of a person with two clusters, and a third whose properties cannot be used.
pub fn contexts() -> Vec<Context> {
    let context = |name: &str, class: &str, changes| Context {
        name: name.into(),
        class: class.into(),
        changes,
        bootstrap: format!("b-1.{name}.internal:9092"),
        cluster_id: None,
        security: Ok("PLAINTEXT".into()),
        aws: None,
        verdict: None,
    };
    vec![
        Context {
            cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg".into()),
            security: Ok("SASL_SSL SCRAM-SHA-512".into()),
            aws: Some("eu-west-1".into()),
            ..context("prod-eu", "prod", false)
        },
        context("staging-eu", "staging", true),
        Context {
            security: Err("client.properties, line 3: sasl.mechanism GSSAPI is not supported".into()),
            ..context("legacy", "prod", false)
        },
    ]
}

/// One line each: permission, principal, host, operations, resource.
fn acls() -> Acls {
    use Operation::{All, Create, Describe, IdempotentWrite, Read, Write};
    use Permission::{Allow, Deny};
    let rule = |permission, principal: &str, host: &str, operations: &[Operation]| Rule {
        permission,
        principal: principal.into(),
        host: host.into(),
        operations: operations.to_vec(),
        resource: ResourceKind::Topic,
        pattern: Pattern::Literal,
        name: "*".into(),
    };
    let on = |rule: Rule, resource, pattern, name: &str| Rule {
        resource,
        pattern,
        name: name.into(),
        ..rule
    };
    let (topic, group) = (ResourceKind::Topic, ResourceKind::Group);
    let mut rules = vec![
        rule(Allow, "User:*", "*", &[Describe]),
        on(
            rule(Allow, "User:billing", "*", &[Read, Describe]),
            topic,
            Pattern::Prefixed,
            "orders",
        ),
        on(
            rule(Allow, "User:billing", "*", &[Read]),
            group,
            Pattern::Literal,
            "billing",
        ),
        on(
            rule(Deny, "User:billing", "10.9.0.7", &[Write]),
            topic,
            Pattern::Literal,
            "orders-dlq",
        ),
        on(
            rule(Allow, "User:shop", "*", &[Write, Create]),
            topic,
            Pattern::Literal,
            "orders",
        ),
        on(
            rule(Allow, "User:CN=etl,OU=data,O=Example", "10.0.3.0", &[All]),
            topic,
            Pattern::Prefixed,
            "clicks",
        ),
        on(
            rule(Allow, "User:*", "*", &[IdempotentWrite, Create]),
            ResourceKind::Cluster,
            Pattern::Literal,
            "kafka-cluster",
        ),
    ];
    rules.sort();
    Acls {
        authorizer: true,
        rules,
    }
}

fn users() -> Vec<User> {
    let user = |name: &str, credentials: &[(&str, i32)]| User {
        name: name.into(),
        credentials: credentials
            .iter()
            .map(|(mechanism, iterations)| Credential {
                mechanism: (*mechanism).into(),
                iterations: *iterations,
            })
            .collect(),
    };
    vec![
        user("admin", &[("SCRAM-SHA-512", 8192)]),
        user("billing", &[("SCRAM-SHA-256", 4096), ("SCRAM-SHA-512", 4096)]),
    ]
}

fn quotas() -> Vec<Quota> {
    let whom = |name: &str| match name {
        "" => Whom::Default,
        name => Whom::Named(name.into()),
    };
    let quota = |user: Option<&str>, client_id: Option<&str>, ip: Option<&str>, limits: &[(&str, f64)]| Quota {
        entity: Entity {
            user: user.map(whom),
            client_id: client_id.map(whom),
            ip: ip.map(whom),
        },
        limits: limits.iter().map(|(name, value)| ((*name).into(), *value)).collect(),
    };
    vec![
        quota(None, None, Some(""), &[(quota::CONNECTION, 50.0)]),
        quota(
            None,
            Some("clicks-etl"),
            None,
            &[(quota::CONSUMER, 20e6), (quota::REQUEST, 200.0)],
        ),
        quota(
            Some("billing"),
            None,
            None,
            &[(quota::PRODUCER, 2e6), (quota::CONSUMER, 5e6)],
        ),
        quota(Some("billing"), Some("nightly"), None, &[(quota::CONSUMER, 40e6)]),
        quota(Some(""), None, None, &[(quota::PRODUCER, 10e6), (quota::MUTATION, 5.0)]),
    ]
}

/// The same with nothing wrong: broker 4 answers again and is in sync.
pub fn healthy() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.links.insert(DEAD, Observed::fresh(link(DEAD), now()));
    let dirs = snapshot.logdirs[&DEAD].get().unwrap().clone();
    snapshot.logdirs.insert(DEAD, Observed::fresh(dirs, now()));
    let mut topics = snapshot.topics().to_vec();
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.isr = partition.replicas.clone();
        partition.leader = partition.replicas.first().copied();
    }
    snapshot.topics = Observed::fresh(topics, now());
    snapshot.reassignments = Observed::fresh(Vec::new(), now());
    snapshot
}

/// Thirty brokers without AWS, one of them unreachable.
pub fn wide() -> Snapshot {
    let brokers: Vec<BrokerId> = (1..=30).collect();
    let mut snapshot = healthy();
    let mut cluster = cluster(&brokers);
    for broker in &mut cluster.brokers {
        broker.rack = Some(ZONES[(broker.id % 3) as usize].1.into());
    }
    snapshot.cluster = Observed::fresh(cluster, now());
    snapshot.links = brokers
        .iter()
        .map(|id| (*id, Observed::fresh(link(*id), now())))
        .collect();
    snapshot
        .links
        .get_mut(&17)
        .unwrap()
        .fail(Trouble::Unreachable, "connection refused", ago(65));
    snapshot.cloud = Cloud {
        zones: Observed::absent("the context names no AWS region"),
        ..Cloud::default()
    };
    snapshot
}

fn observed<T>(id: BrokerId, value: T) -> Observed<T> {
    let mut section = Observed::fresh(value, ago(if id == DEAD { 41 } else { 2 }));
    if id == DEAD {
        section.fail(Trouble::TimedOut, "10.0.2.11:9092 did not answer within 2 s", ago(39));
    }
    section
}

fn cluster(brokers: &[BrokerId]) -> Cluster {
    let broker = |id: &BrokerId| Broker {
        id: *id,
        host: format!("10.0.{}.{}", zone(*id) % 3 + 1, 10 + (*id - 1) % 2),
        port: 9092,
        rack: Some(ZONES[zone(*id) % 3].1.to_owned()),
        fenced: false,
    };
    Cluster {
        id: "lkc-3f9Qx2TsRfKQ".into(),
        controller: Some(2),
        brokers: brokers.iter().map(broker).collect(),
        version: Some("4.3".into()),
    }
}

fn link(id: BrokerId) -> Link {
    Link {
        rtt_ms: 0.3 + f64::from(id) * 0.1,
        release: Some("4.3".into()),
    }
}

/// Replicas rotate over the zones; what broker 4 led has moved on, what only it held is offline.
fn topics() -> Vec<Topic> {
    let topic = |(at, (name, partitions, factor, _, _)): (usize, &(&str, i32, usize, u64, f64))| {
        let partition = |partition: i32| {
            let turn = at + partition as usize;
            let broker = |n: usize| (((turn + n) % 3) * 2 + (turn / 3 + n) % 2 + 1) as BrokerId;
            let mut replicas: Vec<BrokerId> = (0..*factor).map(broker).collect();
            if *name == "legacy-import" {
                replicas = vec![DEAD];
            }
            if *name == "inventory" && partition == 0 {
                replicas.push(1);
            }
            let isr: Vec<BrokerId> = replicas
                .iter()
                .copied()
                .filter(|id| *id != DEAD && !(partition == 0 && *name == "inventory" && *id == 1))
                .collect();
            let leader = isr.first().copied();
            Partition {
                partition,
                leader,
                leader_epoch: 7 + partition % 4,
                replicas: replicas.into(),
                isr: isr.into(),
                eligible: [].into(),
            }
        };
        Topic {
            name: (*name).to_owned(),
            id: uuid::Uuid::from_u128(0xa21 + at as u128),
            internal: name.starts_with("__"),
            partitions: (0..*partitions).map(partition).collect(),
        }
    };
    TOPICS.iter().enumerate().map(topic).collect()
}

fn facts_of(topic: &str) -> (u64, f64) {
    let row = TOPICS.iter().find(|row| row.0 == topic).unwrap();
    (row.3, row.4)
}

fn offsets(topics: &[Topic]) -> BTreeMap<BrokerId, Observed<Offsets>> {
    let mut by_leader: BTreeMap<BrokerId, Vec<(&str, i32, Span)>> = BTreeMap::new();
    for topic in topics {
        let (size, rate) = facts_of(&topic.name);
        for partition in &topic.partitions {
            let Some(leader) = partition.leader else { continue };
            let end = (size / 900) as i64 + i64::from(partition.partition) * 137;
            let span = Span {
                start: end / 3,
                end,
                rate: Some(rate),
            };
            let told = by_leader.entry(leader).or_default();
            told.push((&topic.name, partition.partition, span));
        }
    }
    let by_leader = by_leader.into_iter();
    by_leader
        .map(|(id, told)| (id, Observed::fresh(Offsets::from_iter(told), ago(1))))
        .collect()
}

fn logdirs(id: BrokerId, topics: &[Topic]) -> Vec<LogDir> {
    let used = [0.61, 0.37, 0.92, 0.58, 0.44, 0.76][(id - 1) as usize % 6];
    let total = 490 * GIB;
    let mut replicas = Vec::new();
    for topic in topics {
        let (size, _) = facts_of(&topic.name);
        for partition in topic
            .partitions
            .iter()
            .filter(|partition| partition.replicas.contains(&id))
        {
            let size_bytes = size + size / 50 * (partition.partition % 7) as u64;
            replicas.push(Replica {
                topic: topic.name.clone().into(),
                partition: partition.partition,
                size_bytes,
                lag_records: 0,
                future: false,
            });
        }
    }
    vec![LogDir {
        path: "/data".into(),
        total_bytes: Some(total),
        usable_bytes: Some((total as f64 * (1.0 - used)) as u64),
        error: None,
        replicas: replicas.into(),
        growth_bytes_per_second: Some(
            [260_000.0, 190_000.0, 17_000_000.0, 240_000.0, 0.0, 480_000.0][(id - 1) as usize % 6],
        ),
        top: Vec::new(),
        copies: Vec::new(),
    }]
}

fn config(name: &str, value: &str, source: ConfigSource) -> Config {
    Config {
        name: name.into(),
        value: Some(value.into()),
        source,
        sensitive: false,
        read_only: source == ConfigSource::StaticBroker,
        documentation: None,
        synonyms: Vec::new(),
    }
}

fn configs(id: BrokerId) -> Vec<Config> {
    let threads = if id == 5 { "3" } else { "8" };
    vec![
        config("broker.id", &id.to_string(), ConfigSource::StaticBroker),
        config("compression.type", "producer", ConfigSource::Default),
        config("log.dirs", "/data", ConfigSource::StaticBroker),
        config("log.retention.hours", "168", ConfigSource::Default),
        config("min.insync.replicas", "2", ConfigSource::DynamicDefaultBroker),
        config("num.io.threads", threads, ConfigSource::DynamicBroker),
        config("num.network.threads", "3", ConfigSource::Default),
        Config {
            sensitive: true,
            value: None,
            ..config("ssl.keystore.password", "", ConfigSource::StaticBroker)
        },
        config("unclean.leader.election.enable", "false", ConfigSource::Default),
    ]
}

fn topic_configs(topics: &[Topic]) -> BTreeMap<String, Vec<Config>> {
    let of = |topic: &Topic| {
        let min = if topic.partitions.iter().all(|partition| partition.replicas.len() == 1) {
            "1"
        } else {
            "2"
        };
        let mut configs = vec![config("min.insync.replicas", min, ConfigSource::DynamicDefaultBroker)];
        if topic.name == "orders" {
            configs.insert(0, config("cleanup.policy", "delete", ConfigSource::Topic));
            configs.push(config("retention.ms", "604800000", ConfigSource::Topic));
        }
        (topic.name.clone(), configs)
    };
    topics.iter().map(of).collect()
}

/// On broker 1 one that hangs, one that is young, one that is over; broker 4 told its own before it died.
fn transactions(id: BrokerId) -> Vec<Transaction> {
    let open = |seconds: i64, timeout_ms: i32, topic: &str| Open {
        producer_epoch: 12,
        timeout_ms,
        started_ms: Some(ago(seconds).as_millisecond()),
        topics: BTreeMap::from([(topic.to_owned(), vec![0, 3, 7])]),
    };
    let one = |name: &str, state: &str, open: Option<Open>| Transaction {
        id: name.to_owned(),
        state: state.to_owned(),
        producer_id: 4_000 + i64::from(id),
        open,
    };
    match id {
        1 => vec![
            one("billing-sink-0", "Ongoing", Some(open(4, 60_000, "billing-events"))),
            one("ledger-writer", "Ongoing", Some(open(2_820, 900_000, "orders"))),
            one("payments-eos-1", "CompleteCommit", None),
        ],
        DEAD => vec![one("clicks-etl", "Ongoing", Some(open(50, 60_000, "sessions")))],
        _ => Vec::new(),
    }
}

/// Three dedicated controllers, the third silent for 41 s, and the six brokers as observers.
fn quorum() -> Quorum {
    let clock = ago(3).as_millisecond();
    let node = |id: BrokerId, behind: i64, fetched_ms: i64| Voter {
        id,
        log_end_offset: 88_214 - behind,
        last_fetch_ms: Some(clock - fetched_ms),
        last_caught_up_ms: Some(clock - if behind == 0 { 0 } else { fetched_ms + 200 }),
        directory: (id > 100).then(|| format!("MvDxzVmcRsaTz33bUuR{id}")),
    };
    Quorum {
        leader: Some(102),
        leader_epoch: 17,
        high_watermark: 88_210,
        voters: vec![node(101, 2, 180), node(102, 0, 0), node(103, 640, 41_000)],
        observers: (1..=6)
            .map(|id| node(id, i64::from(id == DEAD) * 590, if id == DEAD { 39_000 } else { 240 }))
            .collect(),
        ..Quorum::default()
    }
}

/// The same with a quorum of which one voter is silent.
pub fn lost_voter() -> Snapshot {
    Snapshot {
        quorum: Observed::fresh(quorum(), ago(3)),
        ..snapshot()
    }
}

/// The same with throttles that somebody left behind: both halves on orders, which slow broker 4's return, and a rate
/// without a list on broker 6.
pub fn throttled() -> Snapshot {
    let mut snapshot = snapshot();
    let rate = |name: &str, value: &str| config(name, value, ConfigSource::DynamicBroker);
    for (id, name) in [
        (1, "leader.replication.throttled.rate"),
        (4, "follower.replication.throttled.rate"),
        (6, "replica.alter.log.dirs.io.max.bytes.per.second"),
    ] {
        let section = snapshot.broker_configs.get_mut(&id).unwrap();
        let mut configs = section.get().unwrap().clone();
        configs.push(rate(name, "2000000"));
        section.value = Some(Arc::new(configs));
    }
    let mut topics = snapshot.topic_configs.get().unwrap().clone();
    let list = |name: &str, value: &str| config(name, value, ConfigSource::Topic);
    topics
        .get_mut("orders")
        .unwrap()
        .extend([list("follower.replication.throttled.replicas", "*")]);
    topics
        .get_mut("payments")
        .unwrap()
        .extend([list("leader.replication.throttled.replicas", "0:2,1:3")]);
    snapshot.topic_configs = Observed::fresh(topics, ago(9));
    snapshot
}

fn reassignments() -> Vec<Reassignment> {
    vec![Reassignment {
        topic: "inventory".into(),
        partition: 0,
        replicas: vec![4, 5, 2, 1],
        adding: vec![1],
        removing: Vec::new(),
    }]
}

fn group(
    name: &str,
    state: &str,
    topic: &str,
    partitions: i32,
    members: usize,
    behind: &dyn Fn(i32) -> i64,
) -> Arc<Group> {
    let (size, _) = facts_of(topic);
    let end = |partition: i32| (size / 900) as i64 + i64::from(partition) * 137;
    let member = |n: usize| Member {
        id: format!("{name}-{n}-8f2c41d0-{n:04}"),
        instance: None,
        client: format!("{name}-{n}"),
        host: format!("10.0.{}.{}", 20 + n % 3, 100 + n),
        assignment: (0..partitions)
            .filter(|partition| *partition as usize % members.max(1) == n)
            .map(|partition| (topic.into(), partition))
            .collect(),
    };
    let commit = |partition: i32| Commit {
        topic: topic.into(),
        partition,
        offset: end(partition) - behind(partition),
        metadata: Box::default(),
    };
    Arc::new(Group {
        name: name.into(),
        state: state.into(),
        kind: "classic".into(),
        protocol: if members > 0 {
            "cooperative-sticky".into()
        } else {
            String::new()
        },
        coordinator: Some((name.len() % 3) as BrokerId + 1),
        members: (0..members).map(member).collect(),
        commits: (0..partitions).map(commit).collect(),
    })
}

fn groups() -> Vec<Arc<Group>> {
    vec![
        group("analytics", "Stable", "clicks", 24, 6, &|partition| {
            i64::from(partition % 5) * 3
        }),
        group("audit-sink", "Empty", "audit", 6, 0, &|_| 2_070),
        group("billing", "Stable", "orders", 12, 4, &|partition| {
            if partition == 7 { 1_480_000 } else { 38_200 }
        }),
        group("fraud", "PreparingRebalance", "payments", 6, 3, &|_| 410),
        group("search-indexer", "Stable", "inventory", 6, 2, &|_| 8_800),
        group("shipping", "Stable", "shipments", 6, 3, &|_| 0),
    ]
}

fn history() -> History {
    let series = |from: f64, per_second: f64| {
        let mut series = Series::default();
        for second in (0..=60).rev().step_by(5) {
            series.push(ago(second), from - per_second * second as f64);
        }
        series
    };
    let lags = [
        ("analytics", series(138.0, 0.1)),
        ("audit-sink", series(12_420.0, 4.0)),
        ("billing", series(1_900_200.0, 3_100.0)),
        ("fraud", series(2_460.0, 22.0)),
        ("search-indexer", series(52_800.0, -640.0)),
        ("shipping", series(0.0, 0.0)),
    ];
    History {
        group_lag: std::sync::Arc::new(lags.map(|(name, lag)| (name.to_owned(), lag)).into()),
        ..History::default()
    }
}

fn instance_id(id: BrokerId) -> String {
    format!("i-0c9b{id}d21e7f0a4{id}")
}

fn volume_id(id: BrokerId) -> String {
    format!("vol-07a{id}f44b2c9e{id}")
}

fn cloud(brokers: &[BrokerId]) -> Cloud {
    let zones = ZONES.map(|(name, id)| {
        (
            name.to_owned(),
            Zone {
                name: name.into(),
                id: id.into(),
                state: "available".into(),
            },
        )
    });
    let mut cloud = Cloud {
        region: Some("eu-west-1".into()),
        simulated: true,
        zones: Observed::fresh(zones.into(), ago(40)),
        metrics: Observed::fresh(metrics(brokers), ago(25)),
        cost: Cost {
            requests: 212,
            metrics: 1_104,
            usd: 0.011,
        },
        ..Cloud::default()
    };
    cloud.types.insert(
        "m7g.xlarge".into(),
        InstanceType {
            name: "m7g.xlarge".into(),
            vcpus: Some(4),
            memory_mib: Some(16_384),
            ebs_baseline_mb_per_second: Some(156.25),
            ebs_maximum_mb_per_second: Some(1_250.0),
            ebs_baseline_iops: Some(6_000),
            network_baseline_gbit_per_second: Some(1.876),
            ..InstanceType::default()
        },
    );
    for (at, (name, _)) in ZONES.iter().enumerate() {
        let here = || brokers.iter().copied().filter(|id| zone(*id) == at);
        let instances = here().map(|id| (instance_id(id), instance(id))).collect();
        let volumes = here().map(|id| (volume_id(id), volume(id))).collect();
        cloud
            .instances
            .insert((*name).to_owned(), Observed::fresh(instances, ago(20)));
        cloud
            .volumes
            .insert((*name).to_owned(), Observed::fresh(volumes, ago(20)));
    }
    cloud
}

fn instance(id: BrokerId) -> Instance {
    let (zone_name, zone_id) = ZONES[zone(id)];
    Instance {
        id: instance_id(id),
        instance_type: "m7g.xlarge".into(),
        zone: zone_name.into(),
        zone_id: Some(zone_id.into()),
        state: "running".into(),
        private_addresses: vec![format!("10.0.{}.{}", zone(id) + 1, 10 + (id - 1) % 2)],
        launched_at: Some(ago(86_400 * (11 + i64::from(id)))),
        system_check: Some("ok".into()),
        instance_check: Some("ok".into()),
        ebs_check: Some("ok".into()),
        root_device: Some("/dev/xvda".into()),
        tags: [("Name".to_owned(), format!("kafka-{id}"))].into(),
        ..Instance::default()
    }
}

fn volume(id: BrokerId) -> Volume {
    let modification = (id == 3).then(|| Modification {
        state: "optimizing".into(),
        progress_percent: Some(4),
        started_at: Some(ago(390)),
        ended_at: None,
        change: "gp3 125→250 MiB/s".into(),
    });
    Volume {
        id: volume_id(id),
        volume_type: "gp3".into(),
        size_gib: 500,
        iops: Some(3_000),
        throughput_mib_per_second: Some(if id == 3 { 250 } else { 125 }),
        zone: ZONES[zone(id)].0.into(),
        state: "in-use".into(),
        encrypted: id != 6,
        instance: Some(instance_id(id)),
        device: Some("/dev/sdf".into()),
        tags: [("azimuth:logdir".to_owned(), "/data".to_owned())].into(),
        modification,
        ..Volume::default()
    }
}

fn metrics(brokers: &[BrokerId]) -> Metrics {
    let point = |value: f64| Some(Point::new(ago(120), value));
    let mut metrics = Metrics::default();
    for id in brokers.iter().copied() {
        let n = f64::from(id);
        metrics.instances.insert(
            instance_id(id),
            InstanceMetrics {
                cpu_percent: point(18.0 + n * 4.0),
                network_in_bytes_per_second: point(9.0e6 + n * 2.0e6),
                network_out_bytes_per_second: point(21.0e6 + n * 5.0e6),
                ..InstanceMetrics::default()
            },
        );
        if id == DEAD {
            continue;
        }
        metrics.volumes.insert(
            volume_id(id),
            VolumeMetrics {
                read_bytes_per_second: point(2.0e6),
                write_bytes_per_second: point(if id == 3 { 139.0e6 } else { 20.0e6 + n * 9.0e6 }),
                read_ops_per_second: point(30.0),
                write_ops_per_second: point(250.0 + n * 60.0),
                queue_length: point(if id == 3 { 14.2 } else { 0.6 }),
                stalled_io: point(0.0),
                read_latency_ms: point(0.7),
                write_latency_ms: point(if id == 3 { 21.0 } else { 1.1 }),
                ..VolumeMetrics::default()
            },
        );
    }
    metrics
}
