//! Rows of a small cluster in three racks, with one broker that does not answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::broker::BrokerState;
use super::partition::{Badge, Badges};
use super::*;
use crate::model::broker::{Broker, Link};
use crate::model::cluster::Cluster;
use crate::model::config::{Config, ConfigSource};
use crate::model::group::{Commit, Group};
use crate::model::logdir::{LogDir, Replica};
use crate::model::offset::{Offsets, Span};
use crate::model::topic::{Partition, Role, Topic};
use crate::model::{BrokerId, Trouble};

fn at(second: i64) -> Moment {
    Moment::from_second(1_700_000_000 + second).unwrap()
}

fn partition(partition: i32, leader: Option<BrokerId>, replicas: &[BrokerId], isr: &[BrokerId]) -> Partition {
    Partition {
        partition,
        leader,
        replicas: replicas.into(),
        isr: isr.into(),
        ..Partition::default()
    }
}

fn topic(name: &str, partitions: Vec<Partition>) -> Topic {
    Topic {
        name: name.into(),
        id: uuid::Uuid::nil(),
        internal: false,
        partitions,
    }
}

fn logdir(replicas: &[(&str, i32, u64)]) -> Vec<LogDir> {
    let replica = |(topic, partition, size_bytes): &(&str, i32, u64)| Replica {
        topic: (*topic).into(),
        partition: *partition,
        size_bytes: *size_bytes,
        lag_records: 0,
        future: false,
    };
    vec![LogDir {
        path: "/data".into(),
        total_bytes: Some(1000),
        usable_bytes: Some(400),
        error: None,
        replicas: replicas.iter().map(replica).collect(),
        growth_bytes_per_second: Some(2.0),
        top: Vec::new(),
        copies: Vec::new(),
    }]
}

/// Broker 3 died 40 s ago; it led nothing, and is missing from the ISR of `orders-0`.
fn snapshot() -> Snapshot {
    let broker = |id: BrokerId| Broker {
        id,
        host: format!("127.0.{id}.10"),
        port: 9092,
        rack: Some(format!("az{id}")),
        fenced: false,
    };
    let cluster = Cluster {
        id: "c".into(),
        controller: Some(1),
        brokers: (1..=3).map(broker).collect(),
        version: None,
    };
    let topics = vec![
        topic("audit", vec![partition(0, None, &[3], &[3])]),
        topic(
            "orders",
            vec![
                partition(0, Some(1), &[1, 2, 3], &[1, 2]),
                partition(1, Some(2), &[1, 2], &[1, 2]),
            ],
        ),
    ];
    let min_isr = |value: &str| Config {
        name: "min.insync.replicas".into(),
        value: Some(value.into()),
        source: ConfigSource::Topic,
        sensitive: false,
        read_only: false,
        documentation: None,
        synonyms: Vec::new(),
    };
    let spans = |spans: &[(i32, i64)]| {
        let span = |(p, end): &(i32, i64)| {
            (
                "orders",
                *p,
                Span {
                    start: 0,
                    end: *end,
                    rate: Some(10.0),
                },
            )
        };
        spans.iter().map(span).collect::<Offsets>()
    };
    let mut snapshot = Snapshot {
        cluster: Observed::fresh(cluster, at(0)),
        topics: Observed::fresh(topics, at(0)),
        topic_configs: Observed::fresh(BTreeMap::from([("orders".to_owned(), vec![min_isr("2")])]), at(0)),
        ..Snapshot::default()
    };
    for id in 1..=3 {
        snapshot.links.insert(
            id,
            Observed::fresh(
                Link {
                    rtt_ms: 0.4,
                    release: None,
                },
                at(0),
            ),
        );
        snapshot.logdirs.insert(
            id,
            Observed::fresh(logdir(&[("orders", 0, 100), ("orders", 1, 50)]), at(0)),
        );
    }
    snapshot.offsets.insert(1, Observed::fresh(spans(&[(0, 500)]), at(0)));
    snapshot.offsets.insert(2, Observed::fresh(spans(&[(1, 80)]), at(0)));
    let dirs = snapshot.logdirs.get_mut(&3).unwrap();
    dirs.fail(Trouble::TimedOut, "no answer in 2 s", at(0));
    snapshot
        .links
        .get_mut(&3)
        .unwrap()
        .fail(Trouble::Unreachable, "connection refused", at(0));
    snapshot
}

#[test]
fn a_dead_broker_ages_its_own_cells_and_no_others() {
    let rows = Rows::of(&snapshot(), at(40));
    let states: Vec<BrokerState> = rows.brokers.iter().map(|row| row.state).collect();
    assert_eq!(states, [BrokerState::Up, BrokerState::Up, BrokerState::Unreachable]);
    assert_eq!(rows.brokers[2].used_percent.stale_seconds, Some(40));
    assert_eq!(
        rows.brokers[2].used_percent.value,
        Some(60.0),
        "the last answer is kept"
    );
    assert_eq!(rows.brokers[0].used_percent, Cell::known(60.0));
    assert_eq!(rows.brokers[2].isr_misses.value, Some(1));
    assert_eq!(
        rows.zones
            .iter()
            .map(|zone| (zone.brokers, zone.up))
            .collect::<Vec<_>>(),
        [(1, 1), (1, 1), (1, 0)]
    );
}

#[test]
fn badges_name_what_is_wrong_and_nothing_else() {
    let rows = Rows::of(&snapshot(), at(0));
    let badges: Vec<Vec<Badge>> = rows
        .partitions
        .iter()
        .map(|row| row.badges().iter().collect())
        .collect();
    assert_eq!(badges[0], [Badge::Offline, Badge::LowReplication]);
    assert_eq!(badges[1], [Badge::AtMinIsr, Badge::UnderReplicated]);
    assert_eq!(
        badges[2],
        [Badge::MinIsrIsRf, Badge::LowReplication, Badge::LeaderNotPreferred]
    );
    assert_eq!((rows.topics[1].under_replicated, rows.topics[1].at_min_isr), (1, 1));
}

#[test]
fn what_leaders_told_of_partitions_says_who_told_it_and_how_old_it_is() {
    let cells = |snapshot: &Snapshot| -> Vec<_> {
        let rows = Rows::of(snapshot, at(40));
        let cells = |row: partition::PartitionRow<'_>| (row.end(), row.rate(), row.size_bytes());
        rows.partitions.iter().map(cells).collect()
    };
    let mut snapshot = snapshot();
    let (led, offline) = (&cells(&snapshot)[1], &cells(&snapshot)[0]);
    assert_eq!(
        led,
        &(Cell::known(500), Cell::known(10.0), Cell::known(100)),
        "a leader that answers"
    );
    let why = "the partition is offline";
    assert_eq!(
        offline,
        &(Cell::unknown(why), Cell::unknown(why), Cell::unknown(why)),
        "nobody to tell"
    );
    let late = |snapshot: &mut Snapshot, id| {
        let told = snapshot.offsets.get_mut(&id).unwrap();
        told.fail(Trouble::TimedOut, "no answer", at(10));
        let dirs = snapshot.logdirs.get_mut(&id).unwrap();
        dirs.fail(Trouble::TimedOut, "no answer", at(10));
    };
    late(&mut snapshot, 1);
    let (end, _, size) = &cells(&snapshot)[1];
    assert_eq!((end.value, end.stale_seconds), (Some(500), Some(40)));
    assert_eq!((size.value, size.stale_seconds), (Some(100), Some(40)));
    assert_eq!(end.reason.as_deref(), Some("timed out: no answer"));
    // Broker 2 leads orders-0 from now on, and told nothing of it yet.
    let mut topics = snapshot.topics.get().unwrap().clone();
    topics[1].partitions[0].leader = Some(2);
    snapshot.topics = Observed::fresh(topics, at(20));
    let (end, ..) = &cells(&snapshot)[1];
    assert_eq!((end.value, end.stale_seconds), (Some(500), None));
    assert_eq!(end.reason.as_deref(), Some("told by the previous leader"));
    snapshot.offsets.remove(&1);
    snapshot.logdirs.remove(&2);
    let (end, _, size) = &cells(&snapshot)[1];
    assert_eq!(*end, Cell::unknown("broker 2 has not told its offsets"));
    assert_eq!(*size, Cell::unknown("broker 2 has not told its log dirs"));
    snapshot.logdirs.insert(2, Observed::fresh(logdir(&[]), at(20)));
    late(&mut snapshot, 2);
    assert_eq!(cells(&snapshot)[1].0, Cell::unknown("broker 2: timed out: no answer"));
    snapshot.logdirs.insert(2, Observed::fresh(logdir(&[]), at(20)));
    assert_eq!(cells(&snapshot)[1].2, Cell::unknown("not in the leader's log dirs"));
}

#[test]
fn min_isr_is_weighed_against_rf() {
    let mut snapshot = snapshot();
    let configs = snapshot.topic_configs.get().unwrap().clone();
    let mut weak = configs;
    weak.get_mut("orders").unwrap()[0].value = Some("1".into());
    snapshot.topic_configs = Observed::fresh(weak, at(0));
    let rows = Rows::of(&snapshot, at(0));
    let badges: Vec<Badges> = rows.partitions.iter().map(|row| row.badges()).collect();
    assert!(badges[1].contains(Badge::MinIsrOne));
    assert!(!badges[1].contains(Badge::MinIsrIsRf));
    assert!(
        !badges[0].contains(Badge::MinIsrOne),
        "one replica has nothing to spare, and its min ISR was not told"
    );
}

#[test]
fn a_broker_and_a_zone_know_their_distance_from_a_fair_share() {
    let rows = Rows::of(&snapshot(), at(0));
    // orders-0 is led by 1, orders-1 (which prefers 1) by 2; 3 leads nothing, and audit-0 has no leader at all.
    let skews: Vec<_> = rows
        .brokers
        .iter()
        .map(|row| row.leader_skew_percent.value.unwrap().round())
        .collect();
    assert_eq!(skews, [50.0, 50.0, -100.0]);
    let elsewhere: Vec<_> = rows
        .brokers
        .iter()
        .map(|row| row.led_elsewhere.value.unwrap())
        .collect();
    assert_eq!(elsewhere, [1, 0, 1]);
    assert_eq!(rows.brokers[0].size_bytes.value, Some(150));
    assert_eq!(rows.zones[0].size_skew_percent.value, Some(0.0));
    assert_eq!(rows.zones[2].leader_skew_percent.value, Some(-100.0));
    assert_eq!(rows.topics[1].leaders_not_preferred, 1);
    assert_eq!(rows.topics[1].rack_violations, 0);
}

#[test]
fn replicas_in_one_rack_are_counted_by_topic_and_broker() {
    let mut snapshot = snapshot();
    let mut cluster = snapshot.cluster.get().unwrap().clone();
    cluster.brokers[1].rack = Some("az1".into());
    snapshot.cluster = Observed::fresh(cluster, at(0));
    let rows = Rows::of(&snapshot, at(0));
    // Two racks are left: orders-0 uses both, orders-1 on 1 and 2 one of them.
    assert_eq!(rows.topics[1].rack_violations, 1);
    let here: Vec<_> = rows
        .brokers
        .iter()
        .map(|row| row.rack_violations.value.unwrap())
        .collect();
    assert_eq!(here, [1, 1, 0]);
}

#[test]
fn a_replica_that_is_being_added_is_no_fault() {
    let mut snapshot = snapshot();
    let moving = crate::model::reassignment::Reassignment {
        topic: "orders".into(),
        partition: 0,
        replicas: vec![1, 2, 3],
        adding: vec![3],
        removing: vec![],
    };
    snapshot.reassignments = Observed::fresh(vec![moving], at(0));
    let rows = Rows::of(&snapshot, at(0));
    let row = rows.partitions.of_topic("orders").next().unwrap();
    assert!(!row.badges().contains(Badge::UnderReplicated));
    assert_eq!((row.adding(), row.role(3)), (&[3][..], Some(Role::Adding)));
    let cells = topic::cells(&snapshot, &rows.partitions, &[&[1, 2], &[3]]);
    assert_eq!((cells[2].replicas, cells[3].adding), (4, 1));
    assert_eq!(rows.brokers[2].isr_misses.value, Some(0));
}

#[test]
fn without_any_aws_plane_nothing_of_it_is_a_number() {
    let mut snapshot = snapshot();
    snapshot.cloud.zones = Observed::absent("no AWS region in this context");
    let row = &Rows::of(&snapshot, at(0)).brokers[0];
    assert_eq!(row.cpu_percent.value, None);
    assert_eq!(row.instance.reason.as_deref(), Some("no AWS region in this context"));
    assert_eq!(row.throughput_percent.value, None);
}

#[test]
fn lag_is_unknown_as_soon_as_one_leader_is_silent() {
    let commit = |partition, offset| Commit {
        topic: "orders".into(),
        partition,
        offset,
        metadata: Box::default(),
    };
    let group = Group {
        name: "billing".into(),
        state: "Stable".into(),
        kind: "classic".into(),
        protocol: "range".into(),
        coordinator: None,
        members: vec![],
        commits: vec![commit(0, 450), commit(1, 90)],
    };
    let mut snapshot = snapshot();
    snapshot.groups = Observed::fresh(vec![group.into()], at(0));
    let row = &Rows::of(&snapshot, at(0)).groups[0];
    assert_eq!(
        row.lag_records.value,
        Some(50),
        "a commit ahead of the end we saw is no lag"
    );
    assert_eq!(row.worst, Some(("orders".into(), 0, 50)));
    snapshot.offsets.remove(&2);
    let row = &Rows::of(&snapshot, at(0)).groups[0];
    assert_eq!(row.lag_records.value, None);
    assert!(
        row.lag_records.reason.as_deref().unwrap().contains("orders-1"),
        "{:?}",
        row.lag_records.reason
    );
}

mod machines {
    //! The same cluster on three instances with a volume each.

    use super::*;
    use crate::model::cloud::{Instance, InstanceMetrics, InstanceType, Metrics, Point, Volume, VolumeMetrics};
    use crate::model::identity::Rules;
    use crate::model::limit::LimitKind;

    const GIB: u64 = 1 << 30;

    fn point(value: f64) -> Option<Point> {
        Some(Point::new(at(-60), value))
    }

    /// Volumes of 100 GiB; broker 1 leads one partition, 2 another, 3 none.
    fn with_cloud(write_mb: [f64; 3]) -> Snapshot {
        let mut snapshot = snapshot();
        for dirs in snapshot.logdirs.values_mut() {
            let mut own = dirs.get().unwrap().clone();
            own[0].total_bytes = Some(98 * GIB);
            own[0].usable_bytes = Some(50 * GIB);
            dirs.value = Some(own.into());
        }
        let limits = InstanceType {
            name: "m7g.xlarge".into(),
            ebs_baseline_mb_per_second: Some(156.25),
            ebs_baseline_iops: Some(6000),
            network_baseline_gbit_per_second: Some(1.876),
            ..InstanceType::default()
        };
        snapshot.cloud.types.insert(limits.name.clone(), limits);
        let (mut instances, mut volumes, mut metrics) = (BTreeMap::new(), BTreeMap::new(), Metrics::default());
        for (id, written) in (1..=3).zip(write_mb) {
            let instance = Instance {
                id: format!("i-{id}"),
                instance_type: "m7g.xlarge".into(),
                private_addresses: vec![format!("127.0.{id}.10")],
                ..Instance::default()
            };
            let volume = Volume {
                id: format!("vol-{id}"),
                volume_type: "gp3".into(),
                size_gib: 100,
                state: "in-use".into(),
                instance: Some(instance.id.clone()),
                ..Volume::default()
            };
            let of_instance = InstanceMetrics {
                network_in_bytes_per_second: point(10e6),
                network_out_bytes_per_second: point(20e6),
                ..InstanceMetrics::default()
            };
            let of_volume = VolumeMetrics {
                read_bytes_per_second: point(0.0),
                write_bytes_per_second: point(written * 1e6),
                read_ops_per_second: point(1.0),
                write_ops_per_second: point(300.0),
                write_latency_ms: point(if id == 2 { 21.0 } else { 1.0 }),
                ..VolumeMetrics::default()
            };
            metrics.instances.insert(instance.id.clone(), of_instance);
            metrics.volumes.insert(volume.id.clone(), of_volume);
            instances.insert(instance.id.clone(), instance);
            volumes.insert(volume.id.clone(), volume);
        }
        snapshot.cloud.zones = Observed::fresh(BTreeMap::new(), at(0));
        snapshot
            .cloud
            .instances
            .insert("a".into(), Observed::fresh(instances, at(0)));
        snapshot
            .cloud
            .volumes
            .insert("a".into(), Observed::fresh(volumes, at(0)));
        snapshot.cloud.metrics = Observed::fresh(metrics, at(0));
        snapshot.cloud.snapshots = Observed::fresh(BTreeMap::from([("vol-1".to_owned(), at(-7200))]), at(0));
        snapshot.join_cloud(&Rules::default(), &BTreeMap::new());
        snapshot
    }

    #[test]
    fn the_volume_binds_and_losing_a_zone_doubles_what_the_other_leader_does() {
        let rows = Rows::of(&with_cloud([65.536, 13.0, 0.0]), at(0));
        let first = &rows.volumes[0];
        let load = first.binding.value.as_ref().unwrap();
        assert_eq!((load.kind, load.name.as_str()), (LimitKind::Volume, "gp3 125 MiB/s"));
        assert!((load.percent() - 50.0).abs() < 1e-6);
        assert_eq!(
            (first.zone_down_percent.value, first.zone_down.as_deref()),
            (Some(100.0), Some("az2"))
        );
        assert_eq!(
            first.raise.value.as_deref(),
            Some("gp3 125→250 MiB/s +$5.00/month us-east-1 list; beyond 156 MB/s the instance binds")
        );
        assert_eq!(rows.brokers[0].binding, first.binding);
        assert_eq!(rows.brokers[0].zone_down_percent, first.zone_down_percent);
    }

    #[test]
    fn the_instance_binds_where_its_volume_has_more_to_give() {
        let mut snapshot = with_cloud([100.0, 0.0, 0.0]);
        let mut volumes = snapshot.cloud.volumes["a"].get().unwrap().clone();
        volumes.get_mut("vol-1").unwrap().throughput_mib_per_second = Some(500);
        snapshot
            .cloud
            .volumes
            .insert("a".into(), Observed::fresh(volumes, at(0)));
        let rows = Rows::of(&snapshot, at(0));
        let load = rows.volumes[0].binding.value.clone().unwrap();
        assert_eq!((load.kind, load.percent().round()), (LimitKind::InstanceEbs, 64.0));
        assert!(
            rows.volumes[0]
                .raise
                .value
                .as_deref()
                .unwrap()
                .contains("no volume lifts it")
        );
        // The idle ones are bound by what they send.
        assert_eq!(
            rows.volumes[1].binding.value.as_ref().unwrap().kind,
            LimitKind::VolumeIops
        );
    }

    #[test]
    fn without_a_measurement_no_limit_is_said_to_bind() {
        let mut snapshot = with_cloud([10.0, 10.0, 10.0]);
        let mut metrics = snapshot.cloud.metrics.get().unwrap().clone();
        metrics.volumes.get_mut("vol-1").unwrap().write_ops_per_second = None;
        snapshot.cloud.metrics = Observed::fresh(metrics, at(0));
        let rows = Rows::of(&snapshot, at(0));
        assert_eq!(rows.volumes[0].binding.value, None);
        assert_eq!(
            rows.volumes[0].binding.reason.as_deref(),
            Some("CloudWatch has no data")
        );
        assert_eq!(rows.volumes[0].zone_down_percent.value, None);
        assert!(rows.volumes[1].binding.value.is_some(), "the others are not touched");
    }

    #[test]
    fn a_slow_volume_stands_out_of_its_peers() {
        let rows = Rows::of(&with_cloud([1.0; 3]), at(0));
        let times: Vec<_> = rows
            .volumes
            .iter()
            .map(|row| row.latency_vs_peers.value.unwrap())
            .collect();
        assert_eq!(times[1], 21.0);
        assert!(times[0] < 1.0);
    }

    #[test]
    fn snapshots_and_the_file_systems_share_are_told() {
        let mut snapshot = with_cloud([1.0; 3]);
        let rows = Rows::of(&snapshot, at(0));
        assert_eq!(rows.volumes[0].snapshot_age_seconds.value, Some(7200));
        assert_eq!(
            rows.volumes[1].snapshot_age_seconds.reason.as_deref(),
            Some("no snapshot in 31 days")
        );
        assert_eq!(rows.volumes[0].filesystem_percent.value, Some(98.0));
        snapshot.cloud.snapshots.fail(Trouble::Denied, "not authorised", at(0));
        let rows = Rows::of(&snapshot, at(30));
        assert!(
            rows.volumes[1]
                .snapshot_age_seconds
                .reason
                .as_deref()
                .unwrap()
                .contains("not authorised")
        );
    }

    #[test]
    fn what_moves_in_flight_still_bring_is_counted_against_the_free_bytes() {
        let mut snapshot = with_cloud([1.0; 3]);
        let growing = Rows::of(&snapshot, at(0)).volumes[2].full_in_seconds.value.unwrap();
        assert_eq!(growing, 25.0 * GIB as f64);
        // orders-0 is being added to broker 3, which has 100 bytes of it; the leader has 20 GiB.
        let mut leader = snapshot.logdirs[&1].get().unwrap().clone();
        Arc::make_mut(&mut leader[0].replicas)[0].size_bytes = 20 * GIB + 100;
        snapshot.logdirs.insert(1, Observed::fresh(leader, at(0)));
        let moving = crate::model::reassignment::Reassignment {
            topic: "orders".into(),
            partition: 0,
            replicas: vec![1, 2, 3],
            adding: vec![3],
            removing: vec![],
        };
        snapshot.reassignments = Observed::fresh(vec![moving], at(0));
        let rows = Rows::of(&snapshot, at(0));
        assert_eq!(rows.volumes[2].incoming_bytes, 20 * GIB);
        assert_eq!(rows.volumes[2].full_in_seconds.value, Some(15.0 * GIB as f64));
        assert_eq!(rows.brokers[2].full_in_seconds.value, Some(15.0 * GIB as f64));
        assert_eq!(rows.volumes[0].incoming_bytes, 0, "the leader brings nothing to itself");
        // What does not fit is full now, whatever the growth.
        let mut leader = snapshot.logdirs[&1].get().unwrap().clone();
        Arc::make_mut(&mut leader[0].replicas)[0].size_bytes = 60 * GIB;
        snapshot.logdirs.insert(1, Observed::fresh(leader, at(0)));
        assert_eq!(Rows::of(&snapshot, at(0)).volumes[2].full_in_seconds.value, Some(0.0));
    }
}
