//! The AWS source against moto, an AWS that nobody here wrote: the real SDK through the CBOR shim, on the account that
//! `tests/tools/moto_seed.py` fills. `tests/run` starts all three and sets `AZIMUTH_MOTO_URL`.

use std::collections::BTreeMap;

use azimuth::model::backing::{Backing, BackingMethod};
use azimuth::model::broker::Broker;
use azimuth::model::cloud::{Instance, Volume};
use azimuth::model::cluster::Cluster;
use azimuth::model::dns::RecordSet;
use azimuth::model::identity::{Confidence, Identity, Method, Rules};
use azimuth::model::logdir::LogDir;
use azimuth::model::volume::{Change, Shape};
use azimuth::model::{BrokerId, Moment, Observed, Snapshot};
use azimuth::source::aws::{Aws, MetricTarget, Options, Scope};

const GIB: u64 = 1 << 30;
/// Of the instance that is nobody's broker.
const STRANGER: &str = "127.0.1.200";

/// Where it is, or `None` and a word about it where there is none.
pub fn url() -> Option<String> {
    let url = std::env::var("AZIMUTH_MOTO_URL").ok();
    if url.is_none() {
        assert!(std::env::var_os("CI").is_none(), "AZIMUTH_MOTO_URL names no moto");
        eprintln!("not run on moto: AZIMUTH_MOTO_URL names none; tests/run sets it");
    }
    url
}

/// The source, or `None` where there is no moto.
fn moto() -> Option<Aws> {
    let url = url()?;
    let options = Options {
        endpoint_url: Some(url),
        region: Some("us-east-1".to_owned()),
        simulated: true,
        tags: BTreeMap::from([("kafka:cluster".to_owned(), "test".to_owned())]),
        ..Options::default()
    };
    Some(Aws::connect(options).unwrap())
}

fn address(broker: BrokerId) -> String {
    format!("127.0.{}.{}", (broker - 1) % 3 + 1, 10 + broker)
}

async fn discover(aws: &Aws) -> BTreeMap<String, Instance> {
    let addresses = (1..=6).map(address).collect();
    aws.instances(&Scope::Addresses(addresses)).await.unwrap()
}

/// Everything that EC2 says, zone by zone, under a cluster whose brokers advertise `host` and lie on `total_bytes`.
async fn joined(aws: &Aws, host: impl Fn(BrokerId) -> String, total_bytes: Option<u64>, rules: &Rules) -> Snapshot {
    let at = Moment::UNIX_EPOCH;
    let zones = aws.zones().await.unwrap();
    let mut snapshot = Snapshot::default();
    let mut found = discover(aws).await;
    let by_zone: Vec<String> = zones.keys().cloned().collect();
    for zone in by_zone {
        let ids: Vec<_> = found
            .values()
            .filter(|one| one.zone == zone)
            .map(|one| one.id.clone())
            .collect();
        if ids.is_empty() {
            continue;
        }
        let instances = aws.instances(&Scope::Ids(ids.clone())).await.unwrap();
        assert_eq!(
            instances.len(),
            ids.len(),
            "asked by ids, a zone answers for all of its own"
        );
        found.retain(|id, _| !ids.contains(id));
        snapshot
            .cloud
            .instances
            .insert(zone.clone(), Observed::fresh(instances, at));
        let volumes = aws.volumes(&ids).await.unwrap();
        snapshot.cloud.volumes.insert(zone, Observed::fresh(volumes, at));
    }
    snapshot.cloud.zones = Observed::fresh(zones, at);
    let brokers = (1..=6).map(|id| Broker {
        id,
        host: host(id),
        port: 9092,
        rack: None,
        fenced: false,
    });
    let cluster = Cluster {
        brokers: brokers.collect(),
        ..Cluster::default()
    };
    snapshot.cluster = Observed::fresh(cluster, at);
    for id in 1..=6 {
        let dir = LogDir {
            path: format!("/data/{id}"),
            total_bytes,
            usable_bytes: total_bytes,
            error: None,
            replicas: [].into(),
            growth_bytes_per_second: None,
            top: Vec::new(),
            copies: Vec::new(),
        };
        snapshot.logdirs.insert(id, Observed::fresh(vec![dir], at));
    }
    snapshot.join_cloud(rules, &BTreeMap::new());
    snapshot
}

fn backing(snapshot: &Snapshot, broker: BrokerId) -> &Backing {
    &snapshot.cloud.backings[&broker][&format!("/data/{broker}")]
}

fn method(backing: &Backing) -> Option<(BackingMethod, Confidence)> {
    match backing {
        Backing::Identified { method, confidence, .. } => Some((*method, *confidence)),
        _ => None,
    }
}

#[tokio::test]
async fn credentials_tell_whose_they_are() {
    let Some(aws) = moto() else { return };
    let caller = aws.caller().await.unwrap();
    assert_eq!(caller.account, "123456789012", "moto's own");
    assert!(caller.arn.starts_with("arn:aws:sts::123456789012:"), "{caller:?}");
}

#[tokio::test]
async fn brokers_join_by_address_and_log_dirs_by_tag_or_size() {
    let Some(aws) = moto() else { return };
    let snapshot = joined(&aws, address, Some(98 * GIB), &Rules::default()).await;
    for broker in 1..=6 {
        let identity = &snapshot.cloud.identities[&broker];
        assert!(
            matches!(
                identity,
                Identity::Identified {
                    method: Method::Address,
                    confidence: Confidence::High,
                    ..
                }
            ),
            "broker {broker}: {identity:?}"
        );
        let instance = snapshot.cloud.instance_of(broker).unwrap();
        assert_eq!(instance.tags["Name"], format!("kafka-{broker}"));
        assert_eq!(instance.instance_type, "m7g.xlarge");
    }
    for broker in 1..=3 {
        assert_eq!(
            method(backing(&snapshot, broker)),
            Some((BackingMethod::Tag, Confidence::High))
        );
    }
    for broker in 4..=5 {
        assert_eq!(
            method(backing(&snapshot, broker)),
            Some((BackingMethod::Size, Confidence::High))
        );
    }
    let Backing::Ambiguous { candidates, .. } = backing(&snapshot, 6) else {
        panic!("{:?}", backing(&snapshot, 6))
    };
    assert_eq!(candidates.len(), 2);
    assert!(!aws.simulated(), "moto is not the demo");
}

#[tokio::test]
async fn before_kafka_tells_sizes_the_only_volume_is_taken_with_less_confidence() {
    let Some(aws) = moto() else { return };
    let snapshot = joined(&aws, address, None, &Rules::default()).await;
    assert_eq!(
        method(backing(&snapshot, 1)),
        Some((BackingMethod::Tag, Confidence::High))
    );
    let only = Some((BackingMethod::OnlyVolume, Confidence::Medium));
    assert_eq!(method(backing(&snapshot, 4)), only);
    assert!(matches!(backing(&snapshot, 6), Backing::Unknown { .. }));
}

#[tokio::test]
async fn brokers_on_one_address_join_by_tag_and_are_unknown_without_one() {
    let Some(aws) = moto() else { return };
    let one = |_| "127.0.0.1".to_owned();
    let snapshot = joined(&aws, one, None, &Rules::default()).await;
    let by_tag = snapshot.cloud.identities.values().all(|identity| {
        matches!(
            identity,
            Identity::Identified {
                method: Method::Tag,
                confidence: Confidence::Medium,
                ..
            }
        )
    });
    assert!(by_tag, "{:?}", snapshot.cloud.identities);

    let untagged = Rules {
        broker_tag: "nobody:uses-this".to_owned(),
        ..Rules::default()
    };
    let snapshot = joined(&aws, one, None, &untagged).await;
    for identity in snapshot.cloud.identities.values() {
        assert!(matches!(identity, Identity::Unknown { .. }), "{identity:?}");
        assert!(identity.problem().unwrap().contains("all 6 brokers are at 127.0.0.1"));
    }
}

#[tokio::test]
async fn discovery_leaves_strangers_alone_and_an_address_of_nobody_falls_back_to_the_tag() {
    let Some(aws) = moto() else { return };
    assert_eq!(discover(&aws).await.len(), 6);
    let all = aws.instances(&Scope::Addresses(Vec::new())).await.unwrap();
    assert_eq!(all.len(), 6, "the seventh instance lacks the cluster's tag");
    let tagged = aws
        .instances(&Scope::Addresses(vec!["10.1.2.3".to_owned()]))
        .await
        .unwrap();
    assert_eq!(tagged.len(), 6);
    let ids = vec![all.keys().next().unwrap().clone(), "i-00000000000000bad".to_owned()];
    assert_eq!(
        aws.instances(&Scope::Ids(ids)).await.unwrap().len(),
        1,
        "a forgotten id is left out"
    );
}

#[tokio::test]
async fn types_and_modifications_are_read_as_aws_means_them() {
    let Some(aws) = moto() else { return };
    let limits = aws
        .types(&["m7g.xlarge".to_owned()])
        .await
        .unwrap()
        .remove("m7g.xlarge")
        .unwrap();
    assert_eq!((limits.vcpus, limits.memory_mib), (Some(4), Some(16 * 1024)));
    let baseline = limits.ebs_baseline_mb_per_second.unwrap();
    assert!((156.0..157.0).contains(&baseline), "{baseline} MB/s");
    assert!(limits.ebs_maximum_mb_per_second > limits.ebs_baseline_mb_per_second);
    assert!(
        limits.network_baseline_gbit_per_second.unwrap() < 2.0,
        "the baseline, not `up to 12.5`"
    );

    let volumes = volumes(&aws).await;
    let ids: Vec<_> = volumes.keys().cloned().collect();
    let changes = aws.modifications(&ids).await.unwrap();
    assert_eq!(changes.len(), 1, "only one volume was ever modified");
    let change = changes.values().next().unwrap();
    assert_eq!(
        (change.state.as_str(), change.change.as_str()),
        ("completed", "125→250 MiB/s")
    );
}

async fn volumes(aws: &Aws) -> BTreeMap<String, Volume> {
    let ids: Vec<_> = discover(aws).await.into_keys().collect();
    aws.volumes(&ids).await.unwrap()
}

#[tokio::test]
async fn metrics_come_as_rates_and_what_is_missing_stays_missing() {
    let Some(aws) = moto() else { return };
    let instances = discover(&aws).await;
    let volumes = volumes(&aws).await;
    let named = |number: &str| {
        let mut all = instances.values();
        all.find(|one| one.tags["kafka:broker-id"] == number).unwrap()
    };
    let volume_of = |instance: &Instance| {
        let mut all = volumes.values();
        all.find(|one| one.instance.as_deref() == Some(&instance.id) && one.tags.contains_key("kafka:log-dir"))
            .unwrap()
    };
    let (first, second) = (named("1"), named("2"));
    let targets: Vec<_> = [first, second]
        .into_iter()
        .flat_map(|instance| {
            let volume = volume_of(instance);
            [
                MetricTarget::Instance {
                    id: instance.id.clone(),
                    detailed_monitoring: instance.detailed_monitoring,
                },
                MetricTarget::Volume {
                    id: volume.id.clone(),
                    instance: volume.instance.clone(),
                    volume_type: volume.volume_type.clone(),
                },
            ]
        })
        .collect();
    let asked = aws.cost().requests;
    let metrics = aws.metrics(&targets, seeded_at(&aws, &volumes).await).await.unwrap();
    assert_eq!(
        aws.cost().requests,
        asked + 2,
        "one for the modification, one for all the metrics"
    );
    let near = |point: Option<azimuth::model::cloud::Point>, value: f64| {
        let got = point.map(|point| point.value);
        assert!(
            got.is_some_and(|got| (got - value).abs() < value * 1e-6),
            "{got:?} is not {value}"
        );
    };
    let of_instance = &metrics.instances[&first.id];
    near(of_instance.cpu_percent, 31.5);
    near(of_instance.network_in_bytes_per_second, 1e6);
    let of_volume = &metrics.volumes[&volume_of(first).id];
    near(of_volume.write_bytes_per_second, 10e6);
    near(of_volume.write_ops_per_second, 100.0);
    near(of_volume.write_latency_ms, 0.7);
    assert_eq!(of_volume.stalled_io.unwrap().value, 0.0);
    assert!(of_volume.read_bytes_per_second.is_none(), "nobody put it");
    assert!(
        !metrics.instances.contains_key(&second.id),
        "broker 2 has no metrics, and none are made up"
    );
}

/// The minute of the seed's last points: it modifies a volume right after it has put them. Tests may run much later.
async fn seeded_at(aws: &Aws, volumes: &BTreeMap<String, Volume>) -> Moment {
    let ids: Vec<_> = volumes.keys().cloned().collect();
    let change = aws.modifications(&ids).await.unwrap().into_values().next().unwrap();
    change.started_at.unwrap()
}

/// The instance that is nobody's broker: what is done to it disturbs no other test.
async fn stranger() -> Option<(Aws, Instance)> {
    let url = std::env::var("AZIMUTH_MOTO_URL").ok()?;
    let options = Options {
        endpoint_url: Some(url),
        region: Some("us-east-1".to_owned()),
        simulated: true,
        ..Options::default()
    };
    let aws = Aws::connect(options).unwrap();
    let all = aws
        .instances(&Scope::Addresses(vec![STRANGER.to_owned()]))
        .await
        .unwrap();
    let found = all
        .into_values()
        .find(|one| one.private_addresses.contains(&STRANGER.to_owned()));
    Some((aws, found.unwrap()))
}

#[tokio::test]
async fn a_volume_is_tried_modified_and_found_as_ec2_has_it() {
    if moto().is_none() {
        return;
    }
    let (aws, instance) = stranger().await.unwrap();
    let own = aws.volumes(std::slice::from_ref(&instance.id)).await.unwrap();
    let first = own.into_values().next().unwrap();
    let token = format!("test-{}", uuid::Uuid::new_v4());

    // DryRun says that it would be done, and does nothing.
    let from = Shape::of(&first);
    let larger = Change::Modify {
        volume: first.id.clone(),
        to: Shape {
            size_gib: from.size_gib + 1,
            ..from.clone()
        },
        from: from.clone(),
    };
    assert_eq!(aws.change(&larger, &token, true).await.unwrap(), Vec::<String>::new());
    assert_eq!(Shape::of(&aws.volume(&first.id).await.unwrap().unwrap()), from);
    aws.change(&larger, &token, false).await.unwrap();
    let now = aws.volume(&first.id).await.unwrap().unwrap();
    assert_eq!(now.size_gib, from.size_gib + 1);
    let ids = [first.id.clone()];
    assert_eq!(aws.modifications(&ids).await.unwrap()[&first.id].state, "completed");

    assert_eq!(aws.volume("vol-00000000000000bad").await.unwrap(), None);
}

/// moto answers INSYNC at once, to whatever change it is asked about, and takes any weight; what Route 53 refuses and delays is the
/// simulated one's part (`dns.rs`).
#[tokio::test]
async fn weighted_record_sets_are_made_changed_and_found_again_as_route_53_has_them() {
    let Some(aws) = moto() else { return };
    let record = format!("kafka-{}.test.internal", uuid::Uuid::new_v4());
    let found = aws.records(&record, None).await.unwrap();
    assert_eq!((found.zone.name.as_str(), found.zone.private), ("test.internal", true));
    assert_eq!(found.sets, Vec::<RecordSet>::new(), "nothing of the zone's other names");
    let set = |name: &str, weight: i64| RecordSet {
        name: record.clone(),
        kind: "CNAME".to_owned(),
        set: Some(name.to_owned()),
        weight: Some(weight),
        ttl_seconds: Some(30),
        values: vec![format!("{name}-b1.kafka.internal")],
        alias: None,
        health_check: None,
    };
    let has = async |sets: &[RecordSet], zone: Option<&str>| {
        let found = aws.records(&record, zone).await.unwrap();
        assert_eq!(found.sets, sets);
    };
    let zone = found.zone.id.as_str();
    for weights in [[100, 0], [10, 90]] {
        let sets = [set("blue", weights[0]), set("green", weights[1])];
        let change = aws.upsert(zone, &sets, "azimuth test").await.unwrap();
        assert_eq!(aws.dns_change(&change).await.unwrap(), Some(true));
        has(&sets, None).await;
        has(&sets, Some(zone)).await;
    }
    // A set more, the others as they are.
    let more = set("red", 0);
    aws.upsert(zone, std::slice::from_ref(&more), "azimuth test")
        .await
        .unwrap();
    has(&[set("blue", 10), set("green", 90), more], None).await;

    let why = aws.records("kafka.twice.test", None).await.unwrap_err().to_string();
    assert!(
        why.contains("2 hosted zones are named twice.test") && why.contains("(public)"),
        "{why}"
    );
    let why = aws.records("kafka.nowhere.org", None).await.unwrap_err().to_string();
    assert!(why.contains("no hosted zone of this account holds"), "{why}");
    let why = aws.records(&record, Some("Z0NOWHERE")).await.unwrap_err().to_string();
    assert!(why.contains("NoSuchHostedZone"), "{why}");
}
