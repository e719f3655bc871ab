//! The real AWS SDK against the simulated cloud: every question, every failure word.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::model::broker::Broker;
use crate::model::cloud::{Instance, Volume};
use crate::model::cluster::Cluster;
use crate::model::identity::Rules;
use crate::model::logdir::LogDir;
use crate::model::{Moment, Observed, Snapshot, Trouble};
use crate::source::Error;
use crate::source::aws::{Aws, MetricTarget, Options, Scope};

const NOW: i64 = 1_800_000_000;

const USUAL: Usual = Usual {
    cpu_percent: 20.0,
    in_bytes: 10e6,
    out_bytes: 20e6,
    read_bytes: 1e6,
    write_bytes: 30e6,
};

/// A simulated cloud whose clock stands until it is moved, and the source that asks it.
struct Rig {
    simulation: Simulation,
    clock: Arc<AtomicI64>,
    aws: Aws,
}

impl Rig {
    async fn start() -> Self {
        Self::start_paged(ec2::PAGE).await
    }

    async fn start_paged(page: usize) -> Self {
        let mut fleet = Fleet::of_brokers(6, 100, |broker| format!("/data/{broker}"), NOW);
        for machine in &mut fleet.machines {
            machine.usual = Some(USUAL);
        }
        let clock = Arc::new(AtomicI64::new(NOW));
        let shown = Arc::clone(&clock);
        let simulation = Simulation::start_with(fleet, Arc::new(move || shown.load(Ordering::Relaxed)), page);
        let simulation = simulation.await.unwrap();
        let aws = source(&simulation);
        Self { simulation, clock, aws }
    }

    fn script(&self, json: &str) {
        self.simulation
            .handle()
            .script(&serde_json::from_str(json).unwrap())
            .unwrap();
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> Moment {
        Moment::from_second(self.clock.load(Ordering::Relaxed)).unwrap()
    }

    async fn discover(&self) -> BTreeMap<String, Instance> {
        let addresses = (1..=6).map(|broker| format!("127.0.{}.{}", (broker - 1) % 3 + 1, 10 + broker));
        self.aws
            .instances(&Scope::Addresses(addresses.collect()))
            .await
            .unwrap()
    }

    async fn volumes(&self) -> BTreeMap<String, Volume> {
        let ids: Vec<_> = self.discover().await.into_keys().collect();
        self.aws.volumes(&ids).await.unwrap()
    }

    async fn data_volume(&self) -> Volume {
        let mut volumes = self.volumes().await.into_values();
        volumes
            .find(|volume| volume.tags.get("kafka:log-dir").is_some_and(|dir| dir == "/data/1"))
            .unwrap()
    }
}

fn source(simulation: &Simulation) -> Aws {
    let options = Options {
        endpoint_url: Some(simulation.endpoint_url()),
        region: Some("us-east-1".to_owned()),
        simulated: true,
        ..Options::default()
    };
    Aws::connect(options).unwrap()
}

fn target(volume: &Volume) -> MetricTarget {
    MetricTarget::Volume {
        id: volume.id.clone(),
        instance: volume.instance.clone(),
        volume_type: volume.volume_type.clone(),
    }
}

fn ids_in<'a>(instances: &'a BTreeMap<String, Instance>, zone: &'a str) -> Vec<String> {
    let inside = instances.values().filter(|instance| instance.zone == zone);
    inside.map(|instance| instance.id.clone()).collect()
}

#[tokio::test]
async fn everything_is_read_over_pages_and_joins_to_brokers() {
    let rig = Rig::start_paged(2).await;
    let zones = rig.aws.zones().await.unwrap();
    let instances = rig.discover().await;
    assert_eq!((zones.len(), instances.len()), (3, 6));
    assert!(rig.aws.simulated(), "the source knows whom it talks to");
    assert_eq!(rig.aws.region().await.unwrap().as_deref(), Some("us-east-1"));

    let ids: Vec<_> = instances.keys().cloned().collect();
    let statuses = rig.aws.statuses(&ids).await.unwrap();
    assert!(
        statuses
            .values()
            .all(|status| status.ebs_check.as_deref() == Some("ok"))
    );
    let volumes = rig.volumes().await;
    assert_eq!(volumes.len(), 12);

    let names = vec!["m7g.large".to_owned(), "r7g.xlarge".to_owned()];
    let types = rig.aws.types(&names).await.unwrap();
    let limits = &types["r7g.xlarge"];
    assert_eq!(limits.ebs_baseline_mb_per_second, Some(156.25));
    assert_eq!(limits.network_baseline_gbit_per_second, Some(1.876));

    let mut snapshot = snapshot();
    let at = rig.now();
    snapshot.cloud.zones = Observed::fresh(zones, at);
    for zone in ["us-east-1a", "us-east-1b", "us-east-1c"] {
        let of_zone = |id: &str| instances.get(id).is_some_and(|instance| instance.zone == zone);
        let inside = instances.clone().into_iter().filter(|(id, _)| of_zone(id)).collect();
        snapshot
            .cloud
            .instances
            .insert(zone.to_owned(), Observed::fresh(inside, at));
        let inside = volumes
            .clone()
            .into_iter()
            .filter(|(_, volume)| volume.zone == zone)
            .collect();
        snapshot
            .cloud
            .volumes
            .insert(zone.to_owned(), Observed::fresh(inside, at));
    }
    snapshot.cloud.types = types;
    snapshot.join_cloud(&Rules::default(), &BTreeMap::new());
    for broker in 1..=6 {
        let instance = snapshot.cloud.instance_of(broker).unwrap();
        assert_eq!(instance.tags["Name"], format!("kafka-{broker}"));
        let backing = &snapshot.cloud.backings[&broker][&format!("/data/{broker}")];
        assert_eq!(backing.volumes().len(), 1, "{backing:?}");
    }
}

/// Six brokers at the fleet's addresses, racks by zone id.
fn snapshot() -> Snapshot {
    let racks = ["use1-az1", "use1-az2", "use1-az4"];
    let brokers = (1..=6).map(|id| Broker {
        id,
        host: format!("127.0.{}.{}", Fleet::zone_index(id) + 1, 10 + id),
        port: 9092,
        rack: Some(racks[Fleet::zone_index(id)].to_owned()),
        fenced: false,
    });
    let cluster = Cluster {
        brokers: brokers.collect(),
        ..Cluster::default()
    };
    let mut snapshot = Snapshot {
        cluster: Observed::fresh(cluster, Moment::UNIX_EPOCH),
        ..Snapshot::default()
    };
    for id in 1..=6 {
        let dir = LogDir {
            path: format!("/data/{id}"),
            total_bytes: Some(98 << 30),
            usable_bytes: Some(50 << 30),
            error: None,
            replicas: [].into(),
            growth_bytes_per_second: None,
            top: Vec::new(),
            copies: Vec::new(),
        };
        snapshot
            .logdirs
            .insert(id, Observed::fresh(vec![dir], Moment::UNIX_EPOCH));
    }
    snapshot
}

#[tokio::test]
async fn metrics_are_rates_in_one_request_and_cost_money() {
    let rig = Rig::start().await;
    let instance = rig.discover().await.into_values().next().unwrap();
    let volume = rig.data_volume().await;
    let before = rig.aws.cost();
    let targets = [
        MetricTarget::Instance {
            id: instance.id.clone(),
            detailed_monitoring: instance.detailed_monitoring,
        },
        target(&volume),
    ];
    let metrics = rig.aws.metrics(&targets, rig.now()).await.unwrap();
    let cost = rig.aws.cost();
    assert_eq!(
        (cost.requests - before.requests, cost.metrics - before.metrics),
        (1, 19)
    );
    assert!(cost.usd > before.usd);

    let close = |point: Option<crate::model::cloud::Point>, value: f64| {
        let got = point.unwrap().value;
        assert!((got / value - 1.0).abs() < 0.06, "{got} is not near {value}");
    };
    let (of_instance, of_volume) = (&metrics.instances[&instance.id], &metrics.volumes[&volume.id]);
    close(of_instance.cpu_percent, 20.0);
    close(of_instance.network_in_bytes_per_second, 10e6);
    close(of_volume.write_bytes_per_second, 30e6);
    close(of_volume.read_bytes_per_second, 1e6);
    assert_eq!(of_volume.stalled_io.unwrap().value, 0.0);
    assert!(of_volume.write_latency_ms.unwrap().value > 0.5);
    assert!(of_volume.burst_balance_percent.is_none(), "gp3 has no burst balance");
    assert!(of_instance.cpu_credit_balance.is_none(), "absent is not 0");
}

#[tokio::test]
async fn work_shows_up_after_aws_has_had_its_time() {
    let rig = Rig::start().await;
    let volume = rig.data_volume().await;
    rig.simulation.handle().add_io(
        &volume.id,
        Io {
            write_bytes: 300_000_000_000,
            ..Io::default()
        },
    );
    let written = async || {
        let metrics = rig.aws.metrics(&[target(&volume)], rig.now()).await.unwrap();
        metrics.volumes[&volume.id].write_bytes_per_second.unwrap().value
    };
    rig.pass(200);
    assert!(written().await < 100e6, "its five minutes are not over");
    rig.pass(160);
    assert!(written().await >= 1e9, "five minutes and the delay have passed");
}

#[tokio::test]
async fn a_gap_is_absent_and_not_zero() {
    let rig = Rig::start().await;
    let volume = rig.data_volume().await;
    rig.script(r#"{"gap":"VolumeQueueLength"}"#);
    rig.pass(1800);
    let metrics = rig.aws.metrics(&[target(&volume)], rig.now()).await.unwrap();
    let of_volume = &metrics.volumes[&volume.id];
    assert!(of_volume.queue_length.is_none());
    assert!(of_volume.stalled_io.is_some(), "the other series go on");
}

#[tokio::test]
async fn a_stalled_volume_is_seen_by_its_own_check_and_by_the_instances() {
    let rig = Rig::start().await;
    let volume = rig.data_volume().await;
    let mut faults = rig.simulation.handle().faults();
    rig.script(&format!(r#"{{"stall":"{}"}}"#, volume.id));
    assert!(faults.has_changed().unwrap());
    assert!(faults.borrow_and_update().stalled.contains_key(&volume.id));
    rig.pass(240);
    let metrics = rig.aws.metrics(&[target(&volume)], rig.now()).await.unwrap();
    let of_volume = &metrics.volumes[&volume.id];
    assert_eq!(of_volume.stalled_io.unwrap().value, 1.0);
    assert!(of_volume.queue_length.unwrap().value > 10.0);
    let instance = volume.instance.clone().unwrap();
    let status = &rig.aws.statuses(std::slice::from_ref(&instance)).await.unwrap()[&instance];
    assert_eq!(status.ebs_check.as_deref(), Some("impaired"));

    rig.script(r#"{"recover":true}"#);
    rig.pass(240);
    let metrics = rig.aws.metrics(&[target(&volume)], rig.now()).await.unwrap();
    assert_eq!(metrics.volumes[&volume.id].stalled_io.unwrap().value, 0.0);
}

#[tokio::test]
async fn a_zones_outage_fails_what_touches_it_and_nothing_else() {
    let rig = Rig::start().await;
    let instances = rig.discover().await;
    let (sick, well) = (ids_in(&instances, "us-east-1b"), ids_in(&instances, "us-east-1a"));
    rig.script(r#"{"outage":"use1-az2"}"#);
    assert_eq!(rig.aws.instances(&Scope::Ids(well.clone())).await.unwrap().len(), 2);
    assert_eq!(rig.aws.volumes(&well).await.unwrap().len(), 4);
    let both: Vec<_> = well.iter().chain(&sick).cloned().collect();
    for scope in [Scope::Ids(sick.clone()), Scope::Ids(both), Scope::Addresses(Vec::new())] {
        let error = rig.aws.instances(&scope).await.unwrap_err();
        assert_eq!(error.trouble(), Trouble::Refused, "{error}");
    }
    assert!(
        rig.aws.zones().await.is_ok(),
        "the table of zones says nothing of an outage"
    );
    rig.script(r#"{"recover":true}"#);
    assert_eq!(rig.aws.instances(&Scope::Ids(sick)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn every_failure_has_its_word() {
    let rig = Rig::start().await;
    let words = [
        (r#"{"throttle":"DescribeVolumes"}"#, Trouble::Throttled),
        (r#"{"recover":true,"deny":"DescribeVolumes"}"#, Trouble::Denied),
        (r#"{"recover":true,"expire":true}"#, Trouble::Expired),
        (r#"{"recover":true,"fail":"*"}"#, Trouble::Refused),
    ];
    let ids: Vec<_> = rig.discover().await.into_keys().collect();
    let targets = [MetricTarget::Instance {
        id: ids[0].clone(),
        detailed_monitoring: true,
    }];
    for (script, word) in words {
        rig.script(script);
        let error = rig.aws.volumes(&ids).await.unwrap_err();
        assert_eq!(error.trouble(), word, "{error}");
        let sentence = error.to_string();
        assert!(
            sentence.contains("EC2 us-east-1") && !sentence.contains('\n'),
            "{sentence}"
        );
    }
    rig.script(r#"{"recover":true,"throttle":"GetMetricData"}"#);
    let error = rig.aws.metrics(&targets, rig.now()).await.unwrap_err();
    assert_eq!(error.trouble(), Trouble::Throttled, "{error}");
    assert!(rig.aws.volumes(&ids).await.is_ok(), "only what is throttled fails");
    rig.script(r#"{"recover":true,"deny":"GetMetricData"}"#);
    let error = rig.aws.metrics(&targets, rig.now()).await.unwrap_err();
    assert!(error.to_string().contains("cloudwatch:GetMetricData"), "{error}");
}

#[tokio::test]
async fn a_slow_endpoint_times_out_and_a_dead_one_is_unreachable() {
    let rig = Rig::start().await;
    rig.script(r#"{"slow":{"operation":"DescribeAvailabilityZones","milliseconds":60000}}"#);
    let asked = std::time::Instant::now();
    let error = rig.aws.zones().await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(asked.elapsed().as_secs() < 12, "the deadline holds");
    rig.simulation.shutdown();
    let error = rig.aws.zones().await.unwrap_err();
    assert_eq!(error.trouble(), Trouble::Unreachable, "{error}");
}

#[tokio::test]
async fn ids_that_ec2_has_forgotten_are_left_out() {
    let rig = Rig::start().await;
    let mut ids: Vec<_> = rig.discover().await.into_keys().collect();
    ids.extend(["i-0dead".to_owned(), "i-0gone".to_owned()]);
    assert_eq!(rig.aws.instances(&Scope::Ids(ids.clone())).await.unwrap().len(), 6);
    assert_eq!(rig.aws.statuses(&ids).await.unwrap().len(), 6);
    assert!(
        rig.aws
            .instances(&Scope::Ids(vec!["i-0dead".to_owned()]))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_modification_optimizes_for_minutes() {
    let rig = Rig::start().await;
    let volume = rig.data_volume().await;
    let ids = [volume.id.clone()];
    assert!(rig.aws.modifications(&ids).await.unwrap().is_empty());
    rig.script(&format!(
        r#"{{"modify":{{"volume":"{}","throughput_mib_per_second":250}}}}"#,
        volume.id
    ));
    rig.pass(305);
    let change = rig.aws.modifications(&ids).await.unwrap().remove(&volume.id).unwrap();
    assert_eq!(
        (change.state.as_str(), change.progress_percent),
        ("optimizing", Some(50))
    );
    assert_eq!(change.change, "gp3 125→250 MiB/s");
    rig.pass(600);
    let change = rig.aws.modifications(&ids).await.unwrap().remove(&volume.id).unwrap();
    assert_eq!(change.state, "completed");
}

#[tokio::test]
async fn scheduled_events_show_until_they_are_completed() {
    let rig = Rig::start().await;
    let id = rig.discover().await.into_keys().next().unwrap();
    for (description, shown) in [
        ("The instance is running on degraded hardware", 1),
        ("[Completed] Done", 0),
    ] {
        let event = EventScript {
            instance: id.clone(),
            code: "instance-retirement".to_owned(),
            description: description.to_owned(),
            not_before: NOW + 3600,
        };
        let script = Script {
            event: Some(event),
            ..Script::default()
        };
        rig.simulation.handle().script(&script).unwrap();
        let told = rig.aws.statuses(std::slice::from_ref(&id)).await.unwrap();
        let events = &told[&id].events;
        assert_eq!(events.len(), shown, "{description}");
        assert!(
            events
                .iter()
                .all(|event| event.not_before.unwrap().as_second() == NOW + 3600)
        );
    }
}

/// Posts a script as `curl` would; answers the status line and the rest.
async fn post(simulation: &Simulation, body: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(simulation.address).await.unwrap();
    let request = format!(
        "POST /_script HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_script_is_played_over_http_and_refuses_what_it_does_not_know() {
    let rig = Rig::start().await;
    let answer = post(&rig.simulation, r#"{"throttle":"DescribeInstances"}"#).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("DescribeInstances"),
        "{answer}"
    );
    let error = rig.aws.instances(&Scope::Addresses(Vec::new())).await.unwrap_err();
    assert_eq!(error.trouble(), Trouble::Throttled);
    for bad in [
        r#"{"trottle":"x"}"#,
        r#"{"outage":"nowhere"}"#,
        r#"{"stall":"vol-none"}"#,
        "not json",
    ] {
        let answer = post(&rig.simulation, bad).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{bad}: {answer}");
    }
}

#[tokio::test]
async fn the_last_snapshot_of_a_volume_is_found_and_old_ones_are_not_looked_for() {
    let rig = Rig::start_paged(2).await;
    let volumes: Vec<String> = rig.volumes().await.into_keys().collect();
    let found = rig.aws.snapshots(&volumes, rig.now()).await.unwrap();
    assert_eq!(found.len(), 6, "the root volumes have none");
    assert!(found.values().all(|at| at.as_second() == NOW - 5 * 3600));
    rig.pass(40 * 86_400);
    assert!(rig.aws.snapshots(&volumes, rig.now()).await.unwrap().is_empty());
    rig.script(r#"{"deny":"DescribeSnapshots"}"#);
    let denied = rig.aws.snapshots(&volumes, rig.now()).await.unwrap_err();
    assert_eq!(denied.trouble(), Trouble::Denied);
}

#[tokio::test]
async fn an_instance_that_does_more_than_its_baseline_loses_credit() {
    let rig = Rig::start().await;
    let volume = rig.data_volume().await;
    let instance = volume.instance.clone().unwrap();
    let target = MetricTarget::Instance {
        id: instance.clone(),
        detailed_monitoring: true,
    };
    let before = rig.aws.metrics(std::slice::from_ref(&target), rig.now()).await.unwrap();
    assert_eq!(
        before.instances[&instance].ebs_byte_balance_percent.unwrap().value,
        100.0
    );
    // m7g.large has 78.75 MB/s for good and 1,250 for half an hour: two minutes at 1 GB/s are 5 % of it.
    for _ in 0..2 {
        let io = Io {
            write_bytes: 60_000_000_000,
            write_ops: 60_000,
            ..Io::default()
        };
        rig.simulation.handle().add_io(&volume.id, io);
        rig.pass(60);
    }
    rig.pass(420);
    let after = rig.aws.metrics(&[target], rig.now()).await.unwrap();
    let left = after.instances[&instance].ebs_byte_balance_percent.unwrap().value;
    assert!(left < 96.0 && left > 90.0, "{left}");
}

#[tokio::test]
async fn a_faster_clock_shows_measurements_sooner_and_changes_no_rate() {
    let clock = Arc::new(AtomicI64::new(NOW));
    let shown = Arc::clone(&clock);
    let fleet = Fleet::of_brokers(6, 100, |broker| format!("/data/{broker}"), NOW);
    let clock_of_all: Clock = Arc::new(move || shown.load(Ordering::Relaxed));
    let simulation = Simulation::begin(fleet, clock_of_all, ec2::PAGE, 10).await.unwrap();
    let aws = source(&simulation);
    let rig = Rig { simulation, clock, aws };
    let volume = rig.data_volume().await;
    assert_eq!((rig.aws.simulated(), rig.aws.clock_factor()), (true, 10));
    // 1 MB/s. At AWS's own pace the first five minutes would be told after six.
    for _ in 0..90 {
        let io = Io {
            write_bytes: 1_000_000,
            write_ops: 10,
            ..Io::default()
        };
        rig.simulation.handle().add_io(&volume.id, io);
        rig.pass(1);
    }
    let metrics = rig.aws.metrics(&[target(&volume)], rig.now()).await.unwrap();
    let point = metrics.volumes[&volume.id].write_bytes_per_second.unwrap();
    assert_eq!(point.value, 1e6);
    let age = rig.now().duration_since(point.at).as_secs();
    assert!((30..=66).contains(&age), "{age} s old");
}
