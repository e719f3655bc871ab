//! Every check passes on a cluster that has everything right, is breached by what it is about, and says unknown where that
//! cannot be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::check::fixture::{Six, ago, now};
use crate::model::acl::{Acls, Operation, Pattern, Permission, ResourceKind, Rule};
use crate::model::broker::Link;
use crate::model::cloud::{Account, Alarm, InstanceMetrics, InstanceType, Point, SecurityGroup, Subnet, Volume};
use crate::model::config::{Config, ConfigSource, Synonym};
use crate::model::event::{Event, EventKind};
use crate::model::logdir::{LogDir, Replica};
use crate::model::metric::BrokerMetrics;
use crate::model::offset::{Offsets, Span};
use crate::model::quorum::Voter;
use crate::model::reassignment::Reassignment;
use crate::model::topic::Topic;
use crate::model::{Observed, Trouble};

fn config(name: &str, value: &str) -> Config {
    Config {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source: ConfigSource::StaticBroker,
        sensitive: false,
        read_only: false,
        documentation: None,
        synonyms: Vec::new(),
    }
}

/// As a well-kept broker tells them.
const CONFIGS: [(&str, &str); 28] = [
    ("allow.everyone.if.no.acl.found", "false"),
    (
        "authorizer.class.name",
        "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    ),
    ("auto.leader.rebalance.enable", "true"),
    ("controller.listener.names", "CONTROLLER"),
    ("default.replication.factor", "3"),
    ("group.initial.rebalance.delay.ms", "3000"),
    ("inter.broker.listener.name", "REPLICATION"),
    (
        "listener.security.protocol.map",
        "CONTROLLER:SASL_SSL,CLIENT:SASL_SSL,REPLICATION:SSL",
    ),
    ("listeners", "CLIENT://:9092,REPLICATION://:9093"),
    ("log.dirs", "/data"),
    ("min.insync.replicas", "2"),
    ("num.io.threads", "8"),
    ("num.network.threads", "3"),
    ("num.recovery.threads.per.data.dir", "2"),
    ("num.replica.fetchers", "2"),
    ("offsets.topic.replication.factor", "3"),
    ("replica.lag.time.max.ms", "30000"),
    (
        "replica.selector.class",
        "org.apache.kafka.common.replica.RackAwareReplicaSelector",
    ),
    ("replica.socket.receive.buffer.bytes", "-1"),
    ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
    ("security.inter.broker.protocol", "SSL"),
    ("socket.receive.buffer.bytes", "-1"),
    ("socket.send.buffer.bytes", "-1"),
    ("ssl.client.auth", "required"),
    ("transaction.state.log.replication.factor", "3"),
    ("unclean.leader.election.enable", "false"),
    ("zookeeper.connect", ""),
    ("log.message.format.version", "3.0-IV1"),
];

fn topic(name: &str, internal: bool) -> Topic {
    let six = Six::healthy();
    Topic {
        name: name.to_owned(),
        internal,
        partitions: six.snapshot.topics()[0].partitions.iter().take(1).cloned().collect(),
        id: uuid::Uuid::from_u128(9),
    }
}

/// Six brokers with everything right, a mirror among it.
fn well() -> Six {
    let mut six = Six::healthy();
    let mut configs: Vec<Config> = CONFIGS.iter().map(|(name, value)| config(name, value)).collect();
    configs.sort_by(|one, other| one.name.cmp(&other.name));
    let snapshot = &mut six.snapshot;
    for id in 1..=6 {
        snapshot
            .broker_configs
            .insert(id, Observed::fresh(configs.clone(), ago(1)));
        let metrics = BrokerMetrics {
            request_handler_idle: Some(0.8),
            network_idle: Some(0.8),
            in_bytes_per_second: Some(1e6),
            out_bytes_per_second: Some(1e6),
            jvm_version: Some("17.0.9+9".into()),
            heap_max_bytes: Some(4e9),
            open_files: Some(1000.0),
            max_files: Some(100_000.0),
            gc_seconds: Some(2.0),
            gc_count: Some(100.0),
            allowance_exceeded: Some(0.0),
            ..BrokerMetrics::default()
        };
        snapshot.broker_metrics.insert(id, Observed::fresh(metrics, ago(1)));
        let link = Link {
            rtt_ms: 0.4,
            release: Some("4.3".into()),
        };
        snapshot.links.insert(id, Observed::fresh(link, ago(1)));
    }
    mirror(snapshot);
    let voter = |id| Voter {
        id,
        log_end_offset: 5_000,
        last_fetch_ms: Some(1_000_000),
        last_caught_up_ms: Some(1_000_000),
        directory: None,
    };
    let mut quorum = snapshot.quorum.get().unwrap().clone();
    quorum.voters = vec![voter(101), voter(102), voter(103)];
    snapshot.quorum = Observed::fresh(quorum, ago(1));
    let rule = Rule {
        resource: ResourceKind::Topic,
        pattern: Pattern::Literal,
        name: "orders".into(),
        principal: "User:billing".into(),
        host: "*".into(),
        permission: Permission::Allow,
        operations: vec![Operation::Read],
    };
    snapshot.acls = Observed::fresh(
        Acls {
            authorizer: true,
            rules: vec![rule],
        },
        ago(1),
    );
    snapshot.client_metrics = Observed::fresh(vec!["all".to_owned()], ago(1));
    racks(&mut six, |id| format!("use1-az{}", (id + 1) / 2));
    six.cloud();
    around(&mut six);
    six.group("billing", 3, 10, 1);
    members(&mut six, |n| format!("10.0.{}.99", n + 1));
    six
}

/// What the account has, and what CloudWatch measures.
fn around(six: &mut Six) {
    for id in 1..=6 {
        six.instance(id, |instance| {
            instance.metadata_tokens = Some("required".into());
            instance.security_groups = vec!["sg-1".into()];
            instance.vpc = Some("vpc-1".into());
            instance.launched_at = Some(ago(86_400));
            instance.zone_id = instance
                .zone_id
                .take()
                .map(|zone| zone.replace("use1-", "").replace("az", "use1-az"));
        });
    }
    let cloud = &mut six.snapshot.cloud;
    let limits = InstanceType {
        name: "m7g.xlarge".into(),
        vcpus: Some(4),
        memory_mib: Some(16 * 1024),
        ebs_baseline_mb_per_second: Some(156.0),
        ebs_maximum_mb_per_second: Some(1250.0),
        ebs_baseline_iops: Some(6000),
        network_baseline_gbit_per_second: Some(1.876),
        current_generation: Some(true),
        ebs_optimized: Some("default".into()),
        ..InstanceType::default()
    };
    cloud.types.insert("m7g.xlarge".into(), limits);
    let point = |value| Some(Point::new(ago(60), value));
    let mut metrics = cloud.metrics.get().unwrap().clone();
    for id in 1..=6 {
        let measured = InstanceMetrics {
            cpu_percent: point(20.0),
            network_in_bytes_per_second: point(1e7),
            network_out_bytes_per_second: point(1e7),
            ..InstanceMetrics::default()
        };
        metrics.instances.insert(format!("i-{id}"), measured);
        let volume = metrics.volumes.get_mut(&format!("vol-{id}")).unwrap();
        volume.read_bytes_per_second = point(1e6);
        volume.write_bytes_per_second = point(1e6);
        volume.read_ops_per_second = point(10.0);
        volume.write_ops_per_second = point(10.0);
    }
    cloud.metrics = Observed::fresh(metrics, ago(1));
    let snapshots = (1..=6).map(|id| (format!("vol-{id}"), ago(5 * 3600))).collect();
    cloud.snapshots = Observed::fresh(snapshots, ago(1));
    volumes(six, |volume| {
        volume.encrypted = true;
        volume.delete_on_termination = Some(false);
        volume.size_gib = 500;
    });
    let subnet = |zone: i32| Subnet {
        id: format!("subnet-{zone}"),
        cidr: format!("10.0.{zone}.0/24"),
        zone: format!("name-az{zone}"),
        zone_id: Some(format!("use1-az{zone}")),
    };
    let alarm = |id: String| Alarm {
        name: format!("watch-{id}"),
        metric: "StatusCheckFailed".into(),
        dimensions: [("Id".to_owned(), id)].into(),
        state: "OK".into(),
        actions_enabled: true,
    };
    let group = SecurityGroup {
        id: "sg-1".into(),
        name: "kafka".into(),
        open_to_world: vec![(443, 443)],
    };
    six.snapshot.cloud.account = Account {
        security_groups: Observed::fresh([("sg-1".to_owned(), group)].into(), ago(1)),
        subnets: Observed::fresh(
            (1..=3).map(|zone| (format!("subnet-{zone}"), subnet(zone))).collect(),
            ago(1),
        ),
        alarms: Observed::fresh(
            (1..=6)
                .flat_map(|id| [alarm(format!("i-{id}")), alarm(format!("vol-{id}"))])
                .collect(),
            ago(1),
        ),
        encryption_by_default: Observed::fresh(true, ago(1)),
    };
    rack_zones(six);
}

/// The join's zones follow the racks of this fixture.
fn rack_zones(six: &mut Six) {
    six.instance(1, |_| {});
}

fn mirror(snapshot: &mut crate::model::Snapshot) {
    let mut topics = snapshot.topics.get().unwrap().clone();
    for name in [
        "east.checkpoints.internal",
        "heartbeats",
        "mm2-offset-syncs.west.internal",
    ] {
        topics.push(topic(name, false));
    }
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    let mut configs = snapshot.topic_configs.get().unwrap().clone();
    let least = configs["orders"].clone();
    for topic in &topics {
        configs.insert(topic.name.clone(), least.clone());
    }
    snapshot.topics = Observed::fresh(topics, ago(1));
    snapshot.topic_configs = Observed::fresh(configs, ago(1));
    let mut offsets: Offsets = snapshot.offsets[&1].get().unwrap().clone();
    let beat = Span {
        start: 0,
        end: 10,
        rate: Some(1.0),
    };
    for name in [
        "east.checkpoints.internal",
        "heartbeats",
        "mm2-offset-syncs.west.internal",
    ] {
        offsets.insert(name, 0, beat);
    }
    snapshot.offsets.insert(1, Observed::fresh(offsets, now()));
}

fn racks(six: &mut Six, rack: impl Fn(BrokerId) -> String) {
    let mut cluster = six.snapshot.cluster.get().unwrap().clone();
    for broker in &mut cluster.brokers {
        broker.rack = Some(rack(broker.id));
    }
    six.snapshot.cluster = Observed::fresh(cluster, ago(1));
}

fn members(six: &mut Six, host: impl Fn(usize) -> String) {
    let mut groups = six.snapshot.groups.get().unwrap().clone();
    for (n, member) in Arc::make_mut(&mut groups[0]).members.iter_mut().enumerate() {
        member.host = host(n);
    }
    six.snapshot.groups = Observed::fresh(groups, ago(1));
}

fn volumes(six: &mut Six, change: impl Fn(&mut Volume)) {
    for section in six.snapshot.cloud.volumes.values_mut() {
        let mut all = section.get().unwrap().clone();
        all.values_mut().for_each(&change);
        *section = Observed::fresh(all, ago(1));
    }
    six.instance(1, |_| {});
}

fn set(six: &mut Six, name: &str, value: &str) {
    for section in six.snapshot.broker_configs.values_mut() {
        let mut configs = section.get().unwrap().clone();
        configs
            .iter_mut()
            .filter(|config| config.name == name)
            .for_each(|config| config.value = Some(value.to_owned()));
        *section = Observed::fresh(configs, ago(1));
    }
}

fn metric(six: &mut Six, change: impl Fn(&mut BrokerMetrics)) {
    for section in six.snapshot.broker_metrics.values_mut() {
        let mut metrics = section.get().unwrap().clone();
        change(&mut metrics);
        *section = Observed::fresh(metrics, ago(1));
    }
}

fn limits(six: &mut Six, change: impl Fn(&mut InstanceType)) {
    six.snapshot.cloud.types.values_mut().for_each(change);
}

fn measured(six: &mut Six, change: impl Fn(&mut crate::model::cloud::Metrics)) {
    let mut metrics = six.snapshot.cloud.metrics.get().unwrap().clone();
    change(&mut metrics);
    six.snapshot.cloud.metrics = Observed::fresh(metrics, ago(1));
}

fn topics(six: &mut Six, change: impl Fn(&mut Vec<Topic>)) {
    let mut all = six.snapshot.topics.get().unwrap().clone();
    change(&mut all);
    six.snapshot.topics = Observed::fresh(all, ago(1));
}

fn dirs(six: &mut Six, change: impl Fn(&mut Vec<LogDir>)) {
    for section in six.snapshot.logdirs.values_mut() {
        let mut all = section.get().unwrap().clone();
        change(&mut all);
        *section = Observed::fresh(all, ago(1));
    }
}

/// The article's machines: stores of their own, no EBS.
fn on_store(six: &mut Six) {
    limits(six, |limits| {
        limits.instance_storage_gb = Some(1875);
        limits.store_encryption = Some("required".into());
    });
    for section in six.snapshot.cloud.volumes.values_mut() {
        *section = Observed::fresh(BTreeMap::new(), ago(1));
    }
    six.instance(1, |_| {});
}

// What is not seen.

fn no_topics(six: &mut Six) {
    six.snapshot.topics = Observed::default();
}

fn no_topic_configs(six: &mut Six) {
    six.snapshot.topic_configs = Observed::default();
}

fn no_configs(six: &mut Six) {
    for section in six.snapshot.broker_configs.values_mut() {
        *section = Observed::default();
        section.fail(
            Trouble::Denied,
            "not allowed: the principal lacks DescribeConfigs on Cluster",
            ago(9),
        );
    }
}

fn no_quorum(six: &mut Six) {
    six.snapshot.quorum = Observed::default();
}

fn no_cloud(six: &mut Six) {
    let denied = |section: &mut Observed<()>| section.fail(Trouble::Denied, "the policy lacks it", ago(9));
    let cloud = &mut six.snapshot.cloud;
    *cloud = crate::model::cloud::Cloud::default();
    for operation in [
        "DescribeInstances",
        "DescribeVolumes",
        "DescribeInstanceTypes",
        "DescribeSnapshots",
    ] {
        denied(cloud.calls.entry(operation.to_owned()).or_default());
    }
}

fn no_account(six: &mut Six) {
    six.snapshot.cloud.account = Account::default();
}

fn no_metrics(six: &mut Six) {
    six.snapshot.broker_metrics.clear();
}

fn no_logdirs(six: &mut Six) {
    six.snapshot
        .logdirs
        .values_mut()
        .for_each(|section| *section = Observed::default());
}

fn just_opened(six: &mut Six) {
    Arc::make_mut(&mut six.snapshot.events).watched_since = Some(ago(5));
}

type Change = fn(&mut Six);

/// What breaches each check, and what hides it.
const CASES: &[(&str, Change, Change)] = &[
    ("workload", many, no_topics),
    (
        "several-zones",
        |six| {
            no_cloud(six);
            racks(six, |_| "use1-az1".into());
        },
        |six| {
            no_cloud(six);
            let mut cluster = six.snapshot.cluster.get().unwrap().clone();
            cluster.brokers.iter_mut().for_each(|broker| broker.rack = None);
            six.snapshot.cluster = Observed::fresh(cluster, ago(1));
        },
    ),
    (
        "load-balancer",
        |six| {
            let mut cluster = six.snapshot.cluster.get().unwrap().clone();
            cluster
                .brokers
                .iter_mut()
                .for_each(|broker| broker.host = "kafka-1.elb.amazonaws.com".into());
            six.snapshot.cluster = Observed::fresh(cluster, ago(1));
        },
        no_cloud,
    ),
    (
        "zone-loss-partitions",
        |six| {
            six.partitions(|partition| partition.isr.truncate(1));
        },
        no_topics,
    ),
    (
        "config-drift",
        |six| {
            let mut configs = six.snapshot.broker_configs[&4].get().unwrap().clone();
            configs
                .iter_mut()
                .filter(|config| config.name == "num.io.threads")
                .for_each(|config| config.value = Some("16".into()));
            six.snapshot.broker_configs.insert(4, Observed::fresh(configs, ago(1)));
        },
        no_configs,
    ),
    (
        "shadowed-config",
        |six| {
            let mut configs = six.snapshot.broker_configs[&4].get().unwrap().clone();
            for config in configs.iter_mut().filter(|config| config.name == "num.io.threads") {
                config.source = ConfigSource::DynamicBroker;
                let file = Synonym {
                    name: config.name.clone(),
                    value: Some("4".into()),
                    source: ConfigSource::StaticBroker,
                };
                config.synonyms = vec![file];
            }
            six.snapshot.broker_configs.insert(4, Observed::fresh(configs, ago(1)));
        },
        no_configs,
    ),
    (
        "zones-even",
        |six| racks(six, |id| format!("use1-az{}", if id < 5 { 1 } else { id - 3 })),
        |six| {
            six.snapshot.cluster = Observed::default();
        },
    ),
    (
        "mirror",
        |six| topics(six, |all| all.retain(|topic| topic.name != "heartbeats")),
        no_topics,
    ),
    ("client-zones", |six| members(six, |_| "10.0.1.9".into()), no_account),
    (
        "quorum",
        |six| {
            let mut quorum = six.snapshot.quorum.get().unwrap().clone();
            quorum.voters.pop();
            six.snapshot.quorum = Observed::fresh(quorum, ago(1));
        },
        no_quorum,
    ),
    (
        "failover-offsets",
        |six| topics(six, |all| all.retain(|topic| !topic.name.contains("checkpoints"))),
        no_topics,
    ),
    (
        "zone-loss-ready",
        |six| {
            six.partitions(|partition| {
                partition.replicas.truncate(2);
                partition.isr.truncate(2);
            });
        },
        no_topics,
    ),
    (
        "broker-latency",
        |six| {
            six.snapshot.links.insert(
                4,
                Observed::fresh(
                    Link {
                        rtt_ms: 30.0,
                        release: None,
                    },
                    ago(1),
                ),
            );
        },
        |six| six.snapshot.links.clear(),
    ),
    (
        "rack-spread",
        |six| racks(six, |id| format!("use1-az{}", id % 3 + 1)),
        no_topics,
    ),
    (
        "controller-churn",
        |six| {
            for n in 0..5 {
                six.elected(10 + n);
            }
        },
        just_opened,
    ),
    (
        "mirror-moves",
        |six| {
            let mut offsets = six.snapshot.offsets[&1].get().unwrap().clone();
            let still = Span {
                start: 0,
                end: 10,
                rate: Some(0.0),
            };
            offsets.insert("heartbeats", 0, still);
            six.snapshot.offsets.insert(1, Observed::fresh(offsets, now()));
        },
        |six| six.snapshot.offsets.clear(),
    ),
    ("instance-store", on_store, no_cloud),
    (
        "volume-type",
        |six| volumes(six, |volume| volume.volume_type = "st1".into()),
        no_cloud,
    ),
    (
        "catch-up-throttle",
        |six| {
            dirs(six, |all| {
                all[0].replicas = (0..12)
                    .map(|n| Replica {
                        topic: "orders".into(),
                        partition: n,
                        size_bytes: 10_000_000_000,
                        lag_records: 5,
                        future: false,
                    })
                    .collect()
            });
            six.partitions(|partition| partition.isr.retain(|id| *id != 4));
            six.partitions(|partition| partition.leader = partition.isr.first().copied());
        },
        |six| {
            six.partitions(|partition| partition.isr.retain(|id| *id != 4));
            no_logdirs(six);
        },
    ),
    ("store-small-cluster", on_store, no_cloud),
    (
        "old-types",
        |six| {
            six.instance(3, |instance| instance.instance_type = "i3.2xlarge".into());
        },
        no_cloud,
    ),
    (
        "delete-on-termination",
        |six| volumes(six, |volume| volume.delete_on_termination = Some(true)),
        |six| volumes(six, |volume| volume.delete_on_termination = None),
    ),
    ("volume-tag", |six| volumes(six, |volume| volume.tags.clear()), no_cloud),
    (
        "restack",
        |six| {
            six.instance(3, |instance| instance.launched_at = Some(ago(400 * 86_400)));
        },
        no_cloud,
    ),
    (
        "replication-factor",
        |six| {
            six.partitions(|partition| {
                partition.replicas.truncate(2);
                partition.isr.truncate(2);
            });
        },
        no_topics,
    ),
    (
        "min-isr",
        |six| {
            let mut all = six.snapshot.topic_configs.get().unwrap().clone();
            all.get_mut("orders").unwrap()[0].value = Some("1".into());
            six.snapshot.topic_configs = Observed::fresh(all, ago(1));
        },
        no_topic_configs,
    ),
    (
        "replication-defaults",
        |six| set(six, "default.replication.factor", "1"),
        no_configs,
    ),
    (
        "unclean-election",
        |six| set(six, "unclean.leader.election.enable", "true"),
        no_configs,
    ),
    (
        "bottleneck",
        |six| {
            measured(six, |all| {
                all.instances
                    .values_mut()
                    .for_each(|one| one.network_out_bytes_per_second = Some(Point::new(ago(60), 2.2e8)))
            })
        },
        no_cloud,
    ),
    (
        "ebs-optimized",
        |six| limits(six, |limits| limits.ebs_optimized = Some("unsupported".into())),
        no_cloud,
    ),
    (
        "benchmark",
        |six| {
            volumes(six, |volume| volume.throughput_mib_per_second = Some(500));
            measured(six, |all| {
                all.volumes
                    .values_mut()
                    .for_each(|one| one.write_bytes_per_second = Some(Point::new(ago(60), 1.5e8)))
            })
        },
        no_cloud,
    ),
    (
        "previous-generation",
        |six| limits(six, |limits| limits.current_generation = Some(false)),
        |six| limits(six, |limits| limits.current_generation = None),
    ),
    (
        "newer-type",
        |six| {
            six.instance(3, |instance| instance.instance_type = "m5.xlarge".into());
        },
        no_cloud,
    ),
    (
        "network-headroom",
        |six| {
            measured(six, |all| {
                all.instances
                    .values_mut()
                    .for_each(|one| one.network_in_bytes_per_second = Some(Point::new(ago(60), 2.2e8)))
            })
        },
        no_cloud,
    ),
    (
        "network-baseline",
        |six| limits(six, |limits| limits.network_baseline_gbit_per_second = Some(0.5)),
        no_cloud,
    ),
    (
        "listener-separate",
        |six| set(six, "listeners", "REPLICATION://:9093"),
        no_configs,
    ),
    (
        "broker-public",
        |six| {
            six.instance(3, |instance| instance.public_address = Some("3.4.5.6".into()));
        },
        no_cloud,
    ),
    (
        "world-open",
        |six| {
            let mut groups = six.snapshot.cloud.account.security_groups.get().unwrap().clone();
            groups
                .values_mut()
                .for_each(|group| group.open_to_world = vec![(9000, 9100)]);
            six.snapshot.cloud.account.security_groups = Observed::fresh(groups, ago(1));
        },
        no_account,
    ),
    (
        "one-region",
        |six| {
            no_cloud(six);
            racks(six, |id| format!("us{}1-az1", if id > 4 { "w" } else { "e" }));
        },
        |six| {
            no_cloud(six);
            racks(six, |id| format!("rack-{id}"));
        },
    ),
    (
        "follower-fetching",
        |six| set(six, "replica.selector.class", ""),
        no_configs,
    ),
    (
        "client-versions",
        |six| {
            version(six, "3.6");
            set(six, "log.message.format.version", "2.4-IV1");
        },
        |six| version(six, "3.6"),
    ),
    (
        "roll-gates",
        |six| {
            six.partitions(|partition| {
                partition.replicas.truncate(2);
                partition.isr.truncate(2);
            });
        },
        no_topics,
    ),
    (
        "versions",
        |six| version(six, "4.1"),
        |six| {
            let mut cluster = six.snapshot.cluster.get().unwrap().clone();
            cluster.version = None;
            six.snapshot.cluster = Observed::fresh(cluster, ago(1));
        },
    ),
    (
        "batching",
        |six| {
            metric(six, |metrics| metrics.in_bytes_per_second = Some(1e5));
            for section in six.snapshot.offsets.values_mut() {
                let mut offsets = section.get().unwrap().clone();
                offsets.iter_mut().for_each(|log| log.span.rate = Some(5000.0));
                *section = Observed::fresh(offsets, now());
            }
        },
        no_metrics,
    ),
    (
        "replica-fetchers",
        |six| {
            set(six, "num.replica.fetchers", "0");
        },
        no_configs,
    ),
    (
        "socket-buffers",
        |six| set(six, "socket.send.buffer.bytes", "102400"),
        no_configs,
    ),
    ("io-threads", |six| set(six, "num.io.threads", "1"), no_configs),
    (
        "network-threads",
        |six| metric(six, |metrics| metrics.network_idle = Some(0.1)),
        no_metrics,
    ),
    (
        "jvm",
        |six| metric(six, |metrics| metrics.jvm_version = Some("1.8.0_392".into())),
        no_metrics,
    ),
    (
        "heap",
        |six| metric(six, |metrics| metrics.heap_max_bytes = Some(2e10)),
        no_metrics,
    ),
    (
        "cpu",
        |six| {
            measured(six, |all| {
                all.instances
                    .values_mut()
                    .for_each(|one| one.cpu_percent = Some(Point::new(ago(60), 90.0)))
            })
        },
        no_cloud,
    ),
    (
        "network-allowance",
        |six| metric(six, |metrics| metrics.allowance_exceeded = Some(7.0)),
        no_metrics,
    ),
    (
        "file-handles",
        |six| metric(six, |metrics| metrics.max_files = Some(1024.0)),
        no_metrics,
    ),
    (
        "disk-space",
        |six| {
            six.disk(4, 90);
        },
        no_logdirs,
    ),
    (
        "disk-io",
        |six| {
            six.stall(4);
        },
        no_cloud,
    ),
    (
        "gc",
        |six| metric(six, |metrics| metrics.gc_seconds = Some(2000.0)),
        no_metrics,
    ),
    (
        "controller-lag",
        |six| {
            six.voter_unseen(102);
        },
        no_quorum,
    ),
    (
        "client-metrics",
        |six| six.snapshot.client_metrics = Observed::fresh(Vec::new(), ago(1)),
        |six| {
            six.snapshot
                .client_metrics
                .fail(Trouble::Unsupported, "before Kafka 3.7", ago(1));
            six.snapshot.client_metrics.value = None;
        },
    ),
    (
        "consumer-lag",
        |six| {
            six.group("billing", 0, 500, 900);
        },
        |six| six.snapshot.groups = Observed::default(),
    ),
    (
        "alarms",
        |six| six.snapshot.cloud.account.alarms = Observed::fresh(Vec::new(), ago(1)),
        no_account,
    ),
    (
        "volume-encryption",
        |six| volumes(six, |volume| volume.encrypted = false),
        no_cloud,
    ),
    (
        "encryption-default",
        |six| six.snapshot.cloud.account.encryption_by_default = Observed::fresh(false, ago(1)),
        no_account,
    ),
    (
        "store-encryption",
        |six| {
            on_store(six);
            limits(six, |limits| limits.store_encryption = Some("unsupported".into()));
        },
        no_cloud,
    ),
    (
        "tls",
        |six| {
            set(
                six,
                "listener.security.protocol.map",
                "CLIENT:PLAINTEXT,REPLICATION:SSL",
            )
        },
        no_configs,
    ),
    (
        "certificate",
        |six| {
            six.unreachable(4, Trouble::Unreachable, "TLS: the certificate has expired");
        },
        |six| {
            six.unreachable(4, Trouble::TimedOut, "no answer");
        },
    ),
    ("authentication", |six| set(six, "ssl.client.auth", "none"), no_configs),
    (
        "authorizer",
        |six| set(six, "authorizer.class.name", ""),
        |six| {
            no_configs(six);
            six.snapshot.acls = Observed::default();
        },
    ),
    (
        "wildcard-rules",
        |six| {
            let mut acls = six.snapshot.acls.get().unwrap().clone();
            acls.rules[0].principal = "User:*".into();
            acls.rules[0].operations = vec![Operation::All];
            six.snapshot.acls = Observed::fresh(acls, ago(1));
        },
        |six| six.snapshot.acls = Observed::default(),
    ),
    (
        "controller-listener",
        |six| set(six, "listener.security.protocol.map", "CONTROLLER:PLAINTEXT"),
        no_configs,
    ),
    (
        "imdsv2",
        |six| {
            six.instance(3, |instance| instance.metadata_tokens = Some("optional".into()));
        },
        |six| {
            six.instance(3, |instance| instance.metadata_tokens = None);
        },
    ),
    (
        "mirror-backup",
        |six| {
            on_store(six);
            topics(six, |all| all.retain(|topic| !topic.name.starts_with("mm2")));
        },
        no_cloud,
    ),
    (
        "snapshots",
        |six| six.snapshot.cloud.snapshots = Observed::fresh(BTreeMap::new(), ago(1)),
        no_cloud,
    ),
    (
        "snapshot-store",
        |six| six.snapshot.cloud.snapshots = Observed::fresh(BTreeMap::new(), ago(1)),
        no_cloud,
    ),
    (
        "offline-partitions",
        |six| {
            six.partitions(|partition| partition.leader = None);
        },
        no_topics,
    ),
    (
        "under-min-isr",
        |six| {
            six.partitions(|partition| partition.isr.truncate(1));
        },
        no_topic_configs,
    ),
    (
        "under-replicated",
        |six| {
            six.partitions(|partition| partition.isr.truncate(2));
        },
        no_topics,
    ),
    (
        "isr-churn",
        |six| {
            Arc::make_mut(&mut six.snapshot.events).push(Event::new(
                ago(60),
                EventKind::Isr,
                "broker 4",
                "left the ISR of {} partitions",
                99,
            ))
        },
        just_opened,
    ),
    (
        "replica-lag",
        |six| {
            dirs(six, |all| {
                all[0].replicas = [Replica {
                    topic: "orders".into(),
                    partition: 1,
                    size_bytes: 1,
                    lag_records: 1_000_000,
                    future: false,
                }]
                .into()
            })
        },
        no_logdirs,
    ),
    (
        "offline-logdirs",
        |six| dirs(six, |all| all[0].error = Some("KAFKA_STORAGE_ERROR".into())),
        no_logdirs,
    ),
    (
        "elr",
        |six| {
            let mut configs = six.snapshot.broker_configs[&4].get().unwrap().clone();
            configs
                .iter_mut()
                .filter(|config| config.name == "min.insync.replicas")
                .for_each(|config| config.source = ConfigSource::DynamicBroker);
            six.snapshot.broker_configs.insert(4, Observed::fresh(configs, ago(1)));
        },
        no_configs,
    ),
    (
        "leftover-throttle",
        |six| {
            six.throttle(4, "1000000");
        },
        no_configs,
    ),
    (
        "stuck-reassignment",
        |six| {
            let moving = Reassignment {
                topic: "orders".into(),
                partition: 0,
                replicas: vec![1, 3, 5, 9],
                adding: vec![9],
                removing: vec![5],
            };
            six.snapshot.reassignments = Observed::fresh(vec![moving], ago(1));
        },
        |six| six.snapshot.reassignments = Observed::default(),
    ),
    (
        "leader-imbalance",
        |six| {
            many(six);
            six.partitions(|partition| {
                partition.replicas = [1, 3, 5].into();
                partition.isr = [1, 3, 5].into();
                partition.leader = Some(1);
            });
        },
        no_topics,
    ),
    (
        "auto-leader-rebalance",
        |six| set(six, "auto.leader.rebalance.enable", "false"),
        no_configs,
    ),
    (
        "scheduled-event",
        |six| {
            six.instance(3, |instance| {
                instance.events = vec![crate::model::cloud::Event {
                    code: "instance-retirement".into(),
                    description: String::new(),
                    not_before: Some(ago(-86_400)),
                    deadline: None,
                }]
            });
        },
        no_cloud,
    ),
    (
        "colocated-controller",
        |six| {
            let mut quorum = six.snapshot.quorum.get().unwrap().clone();
            quorum.voters[0].id = 1;
            six.snapshot.quorum = Observed::fresh(quorum, ago(1));
        },
        no_quorum,
    ),
    (
        "advertised-host",
        |six| {
            let mut link = Observed::default();
            link.fail(Trouble::Unreachable, "cannot resolve kafka-4.internal", ago(9));
            six.snapshot.links.insert(4, link);
        },
        |six| {
            six.unreachable(4, Trouble::TimedOut, "no answer");
        },
    ),
    (
        "identity-mismatch",
        |six| {
            six.instance(4, |instance| {
                instance.tags.insert("kafka:broker-id".into(), "3".into());
            });
        },
        no_cloud,
    ),
    (
        "mixed-types",
        |six| {
            six.instance(3, |instance| instance.instance_type = "m7g.large".into());
        },
        no_cloud,
    ),
    (
        "root-log-dir",
        |six| {
            volumes(six, |volume| volume.device = Some("/dev/xvda".into()));
            for (_, backing) in six.snapshot.cloud.backings.iter_mut() {
                for (_, one) in backing.iter_mut() {
                    *one = crate::model::backing::Backing::Identified {
                        volumes: vec!["vol-1".into()],
                        method: crate::model::backing::BackingMethod::Tag,
                        confidence: crate::model::identity::Confidence::High,
                    };
                }
            }
        },
        no_cloud,
    ),
    (
        "logdir-imbalance",
        |six| {
            dirs(six, |all| {
                let mut other = all[0].clone();
                other.path = "/data2".into();
                other.usable_bytes = Some(1);
                all.push(other);
            })
        },
        no_logdirs,
    ),
    (
        "filesystem-grown",
        |six| volumes(six, |volume| volume.size_gib = 5000),
        no_cloud,
    ),
    (
        "recovery-threads",
        |six| {
            many(six);
            set(six, "num.recovery.threads.per.data.dir", "1");
        },
        no_configs,
    ),
    (
        "rebalance-delay",
        |six| set(six, "group.initial.rebalance.delay.ms", "0"),
        no_configs,
    ),
];

fn version(six: &mut Six, version: &str) {
    let mut cluster = six.snapshot.cluster.get().unwrap().clone();
    cluster.version = Some(version.into());
    six.snapshot.cluster = Observed::fresh(cluster, ago(1));
}

/// 2,400 partitions, as the fixture spreads them.
fn many(six: &mut Six) {
    let some = six
        .snapshot
        .topics()
        .iter()
        .find(|topic| topic.name == "orders")
        .unwrap()
        .partitions
        .clone();
    topics(six, |all| {
        let partitions = (0..2400).map(|n| crate::model::topic::Partition {
            partition: n,
            ..some[(n % 12) as usize].clone()
        });
        all.iter_mut()
            .filter(|topic| topic.name == "orders")
            .for_each(|topic| topic.partitions = partitions.clone().collect());
    });
}

fn run(six: &Six, id: &str) -> Finding {
    six.with(&[], |facts| find(id).unwrap().run(facts))
}

/// Checks whose healthy answer is that they are not about a cluster like the fixture.
const NOT_ABOUT_IT: [&str; 3] = ["leader-imbalance", "logdir-imbalance", "store-encryption"];

#[test]
fn every_check_passes_where_all_is_right() {
    let six = well();
    let mut wrong = Vec::new();
    for check in all().filter(|check| !check.planes.is_empty() && check.missing_plane().is_none()) {
        let finding = run(&six, check.id);
        let expected = match NOT_ABOUT_IT.contains(&check.id) {
            true => Status::NotApplicable,
            false => Status::Pass,
        };
        // Nobody tells in which zone the controllers of this fixture are.
        let excused = check.id == "zone-loss-ready";
        if finding.status != expected && !excused {
            wrong.push(format!("{} {}: {}", check.id, finding.status, finding.why));
        }
        if finding.status == Status::Pass {
            assert!(finding.fix.is_none() && finding.lack.is_none(), "{}", check.id);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_loss_of_a_zone_is_ready_for_only_with_every_leg() {
    let mut six = well();
    assert_eq!(
        run(&six, "zone-loss-ready").status,
        Status::Unknown,
        "where the voters are is not told"
    );
    // One voter in each zone.
    let mut quorum = six.snapshot.quorum.get().unwrap().clone();
    quorum
        .voters
        .iter_mut()
        .zip([1, 3, 5])
        .for_each(|(voter, id)| voter.id = id);
    six.snapshot.quorum = Observed::fresh(quorum, ago(1));
    let finding = run(&six, "zone-loss-ready");
    assert_eq!(finding.status, Status::Pass, "{}", finding.why);
    six.snapshot.cloud.metrics = Observed::default();
    assert_eq!(
        run(&six, "zone-loss-ready").status,
        Status::Unknown,
        "headroom is not known"
    );
}

#[test]
fn every_check_is_breached_by_what_it_is_about_and_unknown_where_that_is_hidden() {
    let mut wrong = Vec::new();
    for (id, breach, hide) in CASES {
        let mut six = well();
        breach(&mut six);
        let finding = run(&six, id);
        if !matches!(finding.status, Status::Fail | Status::Warn) {
            wrong.push(format!(
                "{id} should be breached and is {}: {}",
                finding.status, finding.why
            ));
        } else if finding.evidence.is_empty() && *id != "failover-offsets" {
            wrong.push(format!("{id} is breached without evidence"));
        }
        let mut six = well();
        hide(&mut six);
        let finding = run(&six, id);
        if finding.status != Status::Unknown || finding.why.is_empty() || finding.lack.is_none() {
            wrong.push(format!(
                "{id} should be unknown and is {}: {}",
                finding.status, finding.why
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_check_has_its_cases() {
    let cased: BTreeSet<&str> = CASES.iter().map(|(id, ..)| *id).collect();
    assert_eq!(cased.len(), CASES.len(), "each once");
    for check in all() {
        let judged = !check.planes.is_empty() && check.missing_plane().is_none();
        assert_eq!(cased.contains(check.id), judged, "{}", check.id);
    }
}

#[test]
fn what_has_no_client_is_unknown_for_that_and_advice_is_no_verdict() {
    let six = well();
    for check in all() {
        match (check.planes.is_empty(), check.missing_plane()) {
            (true, _) => assert_eq!(run(&six, check.id).status, Status::Advice, "{}", check.id),
            (false, Some(plane)) => {
                let finding = run(&six, check.id);
                assert_eq!(
                    (finding.status, finding.lack),
                    (Status::Unknown, Some(Lack::Plane)),
                    "{}",
                    check.id
                );
                assert!(finding.why.contains(plane.words()), "{}", finding.why);
            }
            (false, None) => {}
        }
    }
}

/// Every number of the article's list of claims that can be judged at all.
#[test]
fn every_row_of_the_article_is_there() {
    let rows: BTreeSet<String> = all()
        .flat_map(|check| check.row.split(','))
        .map(str::to_owned)
        .collect();
    let mut expected: Vec<String> = (1..=68).map(|row| row.to_string()).filter(|row| row != "55").collect();
    expected.extend(["55a", "55b", "55c", "55d", "55e", "55f", "55g", "+"].map(str::to_owned));
    for row in &expected {
        assert!(rows.contains(row), "row {row} has no check");
    }
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
}

#[test]
fn ids_are_unique_and_texts_are_one_line() {
    let ids: BTreeSet<&str> = all().map(|check| check.id).collect();
    assert_eq!(ids.len(), all().count());
    for check in all() {
        assert!(!check.title.is_empty() && !check.today.is_empty(), "{}", check.id);
        assert!(check.holds == Holds::New || !check.said.is_empty(), "{}", check.id);
        let fine = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        assert!(check.id.chars().all(fine), "{}", check.id);
    }
}

#[test]
fn a_missing_right_is_named() {
    let mut six = well();
    no_cloud(&mut six);
    let finding = run(&six, "volume-type");
    assert_eq!(finding.lack, Some(Lack::Permission));
    assert!(finding.why.contains("the policy lacks"), "{}", finding.why);
    let mut six = well();
    no_configs(&mut six);
    let finding = run(&six, "unclean-election");
    assert_eq!(finding.lack, Some(Lack::Permission));
    assert!(finding.why.contains("DescribeConfigs"), "{}", finding.why);
}

#[test]
fn severity_weighs_and_scores_count() {
    let mut six = well();
    six.partitions(|partition| {
        partition.replicas.truncate(1);
        partition.isr.truncate(1);
    });
    let finding = run(&six, "replication-factor");
    assert_eq!(
        (finding.status, finding.severity),
        (Status::Fail, Severity::Critical),
        "RF 1"
    );
    let findings = six.with(&[], |facts| judge(facts, all()));
    let scores = scores(&findings);
    assert_eq!(scores.len(), 10, "one a section");
    let counted: u32 = scores
        .iter()
        .map(|one| one.pass + one.warn + one.fail + one.unknown + one.no_plane + one.not_applicable + one.advice)
        .sum();
    assert_eq!(counted as usize, all().count());
}
