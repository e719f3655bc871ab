//! Plans for volumes of one broker on one instance.

use std::collections::BTreeMap;

use super::*;
use crate::model::backing::{Backing, BackingMethod};
use crate::model::broker::{Broker, Link};
use crate::model::cloud::Modification;
use crate::model::cluster::Cluster;
use crate::model::driver::Action;
use crate::model::identity::{Confidence, Method};
use crate::model::logdir::LogDir;
use crate::model::{Observed, Trouble};
use crate::plan::gate::{Class, Verdict};

fn now() -> Moment {
    Moment::from_second(1_800_000_000).unwrap()
}

fn gp3(id: &str, device: &str) -> Volume {
    Volume {
        id: id.to_owned(),
        volume_type: "gp3".to_owned(),
        size_gib: 100,
        iops: Some(3000),
        zone: "us-east-1a".to_owned(),
        state: "in-use".to_owned(),
        instance: Some("i-1".to_owned()),
        device: Some(device.to_owned()),
        ..Volume::default()
    }
}

/// Broker 1 on i-1, with its log directory on vol-1.
pub(in crate::plan) fn well() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let broker = Broker {
        id: 1,
        host: "b1".to_owned(),
        port: 9092,
        rack: Some("a".to_owned()),
        fenced: false,
    };
    let cluster = Cluster {
        id: "c".to_owned(),
        brokers: vec![broker],
        ..Cluster::default()
    };
    snapshot.cluster = Observed::fresh(cluster, now());
    let link = Link {
        rtt_ms: 1.0,
        release: None,
    };
    snapshot.links.insert(1, Observed::fresh(link, now()));
    let dir = LogDir {
        path: "/data".to_owned(),
        total_bytes: Some(98 << 30),
        usable_bytes: Some(50 << 30),
        error: None,
        replicas: [].into(),
        growth_bytes_per_second: None,
        top: Vec::new(),
        copies: Vec::new(),
    };
    snapshot.logdirs.insert(1, Observed::fresh(vec![dir], now()));
    let instance = Instance {
        id: "i-1".to_owned(),
        instance_type: "m7g.large".to_owned(),
        zone: "us-east-1a".to_owned(),
        root_device: Some("/dev/xvda".to_owned()),
        ..Instance::default()
    };
    let zone = "us-east-1a".to_owned();
    let instances = BTreeMap::from([("i-1".to_owned(), instance)]);
    snapshot
        .cloud
        .instances
        .insert(zone.clone(), Observed::fresh(instances, now()));
    let all = [gp3("vol-0", "/dev/xvda"), gp3("vol-1", "/dev/sdf")];
    let volumes = all.into_iter().map(|volume| (volume.id.clone(), volume)).collect();
    snapshot.cloud.volumes.insert(zone, Observed::fresh(volumes, now()));
    let identity = Identity::Identified {
        instance: "i-1".to_owned(),
        method: Method::Address,
        confidence: Confidence::High,
    };
    snapshot.cloud.identities.insert(1, identity);
    backed(&mut snapshot, &["vol-1"]);
    snapshot
}

fn backed(snapshot: &mut Snapshot, volumes: &[&str]) {
    let backing = Backing::Identified {
        volumes: volumes.iter().map(|id| (*id).to_owned()).collect(),
        method: BackingMethod::Tag,
        confidence: Confidence::High,
    };
    let dirs = BTreeMap::from([("/data".to_owned(), backing)]);
    snapshot.cloud.backings.insert(1, dirs);
}

fn tried(verb: Verb) -> Wish {
    Wish {
        trial: Some(Ok(())),
        way: Ok(Way {
            driver: DriverName::Command,
            templates: BTreeMap::from([(Action::Restart, vec!["ctl".to_owned()])]),
            deadline_seconds: 60,
            soak_seconds: 0,
            grow: Some(["grow", "{path}", "{instance}"].map(str::to_owned).to_vec()),
            upgrade: None,
        }),
        ..Wish::new(verb)
    }
}

fn modify(wanted: Wanted) -> Wish {
    tried(Verb::Modify {
        volume: "vol-1".to_owned(),
        wanted,
    })
}

fn size(gib: i64) -> Wanted {
    Wanted {
        size_gib: Some(gib),
        ..Wanted::default()
    }
}

fn planned(snapshot: &Snapshot, wish: &Wish) -> Plan {
    plan(snapshot, wish, "dev", now()).unwrap()
}

fn gate(plan: &Plan, name: &str) -> (Class, Verdict) {
    let gate = plan.gates.iter().find(|gate| gate.name == name).unwrap();
    (gate.class, gate.verdict)
}

#[test]
fn a_larger_volume_is_followed_by_a_larger_file_system_and_nothing_takes_it_back() {
    let plan = planned(&well(), &modify(size(200)));
    assert_eq!(plan.steps.len(), 2);
    let (extend, run) = runs(&plan).next().unwrap();
    assert_eq!((extend.broker, extend.path.as_str()), (1, "/data"));
    assert_eq!(run.words, ["grow", "/data", "i-1"]);
    assert!(extend.least_bytes > 98 << 30, "{extend:?}");
    // Less than the tolerance is told apart from nothing.
    let little = planned(&well(), &modify(size(105)));
    let (extend, _) = runs(&little).next().unwrap();
    assert!((102 << 30..103 << 30).contains(&extend.least_bytes), "{extend:?}");
    assert!(plan.wants_name(), "a volume cannot shrink");
    let faster = Wanted {
        throughput_mib_per_second: Some(250),
        ..Wanted::default()
    };
    let plan = planned(&well(), &modify(faster));
    assert!(plan.steps.len() == 1 && !plan.wants_name(), "that can be taken back");
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn without_a_driver_the_lines_are_told_and_waited_for() {
    let wish = Wish {
        way: Err("none".to_owned()),
        ..modify(size(200))
    };
    let plan = planned(&well(), &wish);
    assert_eq!(runs(&plan).count(), 0);
    let told: Vec<String> = plan
        .steps
        .iter()
        .flat_map(|step| match step {
            Step::Volume(act) => lines(act),
            _ => Vec::new(),
        })
        .collect();
    let told = told.join("\n");
    assert!(told.contains("growpart") && told.contains("xfs_growfs /data"), "{told}");
    let asked = Wish {
        driver: Some(DriverName::Ssh),
        ..wish
    };
    assert!(
        super::plan(&well(), &asked, "dev", now()).is_err(),
        "whoever asks for a driver gets it or a reason"
    );
}

#[test]
fn where_nothing_seems_left_to_extend_a_driver_may_look_and_a_person_need_not() {
    let extend = tried(Verb::Extend {
        volume: "vol-1".to_owned(),
    });
    assert_eq!(planned(&well(), &extend).steps.len(), 1, "98 of 100 GiB");
    let by_hand = Wish {
        way: Err("none".to_owned()),
        ..extend
    };
    let refused = super::plan(&well(), &by_hand, "dev", now()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "nothing to do: /data of broker 1 has all of vol-1 already"
    );
}

#[test]
fn a_volume_of_an_array_is_not_extended_by_itself() {
    let mut snapshot = well();
    backed(&mut snapshot, &["vol-1", "vol-2"]);
    let plan = planned(&snapshot, &modify(size(200)));
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(gate(&plan, "file-system").1, Verdict::Warn);
}

#[test]
fn what_ec2_would_refuse_closes_a_gate() {
    let mut snapshot = well();
    let denied = Wish {
        trial: Some(Err("the policy lacks ec2:ModifyVolume".to_owned())),
        ..modify(size(200))
    };
    assert_eq!(
        gate(&planned(&snapshot, &denied), "permission"),
        (Class::Hard, Verdict::Fail)
    );
    let unasked = Wish {
        trial: None,
        ..modify(size(200))
    };
    assert_eq!(gate(&planned(&snapshot, &unasked), "permission").1, Verdict::Unknown);
    let mut told = |state: &str, hours: i64| {
        let zone = snapshot.cloud.volumes.get("us-east-1a").unwrap();
        let mut volumes = zone.get().unwrap().clone();
        volumes.get_mut("vol-1").unwrap().modification = Some(Modification {
            state: state.to_owned(),
            progress_percent: Some(4),
            started_at: Some(now() - jiff::SignedDuration::from_hours(hours)),
            ended_at: None,
            change: "gp3 125→250 MiB/s".to_owned(),
        });
        let zone = "us-east-1a".to_owned();
        snapshot.cloud.volumes.insert(zone, Observed::fresh(volumes, now()));
        gate(&planned(&snapshot, &modify(size(200))), "modifications")
    };
    assert_eq!(told("optimizing", 1), (Class::Hard, Verdict::Fail));
    assert_eq!(told("completed", 1), (Class::Soft, Verdict::Warn));
    assert_eq!(told("completed", 30), (Class::Soft, Verdict::Pass));
}

#[test]
fn a_broker_that_runs_keeps_its_volume() {
    let detach = tried(Verb::Detach {
        volume: "vol-1".to_owned(),
    });
    let mut snapshot = well();
    let plan = planned(&snapshot, &detach);
    assert_eq!(gate(&plan, "stopped"), (Class::Hard, Verdict::Fail));
    snapshot
        .links
        .get_mut(&1)
        .unwrap()
        .fail(Trouble::Unreachable, "refused", now());
    let unseen = gate(&planned(&snapshot, &detach), "stopped").1;
    assert_eq!(unseen, Verdict::Fail, "who only does not answer us may well be writing");
    let mut cluster = snapshot.cluster.get().unwrap().clone();
    cluster.brokers[0].fenced = true;
    snapshot.cluster = Observed::fresh(cluster, now());
    assert_eq!(gate(&planned(&snapshot, &detach), "stopped").1, Verdict::Pass);
}

#[test]
fn a_volume_of_an_instance_that_may_be_a_brokers_is_not_detached() {
    let detach = tried(Verb::Detach {
        volume: "vol-1".to_owned(),
    });
    let mut snapshot = well();
    snapshot.cloud.backings.clear();
    let told = |identity: Identity| {
        let mut snapshot = snapshot.clone();
        snapshot.cloud.identities.insert(1, identity);
        gate(&planned(&snapshot, &detach), "stopped")
    };
    let reason = || "the rack is another zone".to_owned();
    let mismatch = Identity::Mismatch {
        instance: "i-1".to_owned(),
        reason: reason(),
    };
    assert_eq!(told(mismatch), (Class::Hard, Verdict::Fail));
    assert_eq!(
        told(Identity::Unknown { reason: reason() }),
        (Class::Hard, Verdict::Unknown)
    );
    let elsewhere = Identity::Identified {
        instance: "i-2".to_owned(),
        method: Method::Address,
        confidence: Confidence::High,
    };
    assert_eq!(told(elsewhere).1, Verdict::Pass);
}

#[test]
fn a_volume_is_attached_in_its_own_zone_to_a_free_device_and_to_whom_it_is_for() {
    let snapshot = well();
    let loose = |zone: &str, tag: &str| Volume {
        zone: zone.to_owned(),
        state: "available".to_owned(),
        instance: None,
        device: None,
        tags: BTreeMap::from([("kafka:log-dir".to_owned(), tag.to_owned())]),
        ..gp3("vol-9", "")
    };
    let planned = |found: Volume, device: Option<&str>| {
        let wish = Wish {
            found: Found {
                volume: Some(Box::new(found)),
                ..Found::default()
            },
            ..tried(Verb::Attach {
                volume: "vol-9".to_owned(),
                broker: 1,
                device: device.map(ToOwned::to_owned),
            })
        };
        planned(&snapshot, &wish)
    };
    let plan = planned(loose("us-east-1a", "/data"), None);
    assert!(plan.title.ends_with("as /dev/sdg"), "{}", plan.title);
    assert_eq!(
        plan.closed_gates().count(),
        1,
        "only credentials were not asked: {:#?}",
        plan.gates
    );
    assert_eq!(
        gate(&planned(loose("us-east-1b", "/data"), None), "zone"),
        (Class::Hard, Verdict::Fail)
    );
    let taken = planned(loose("us-east-1a", "/data"), Some("/dev/sdf"));
    assert_eq!(gate(&taken, "device"), (Class::Hard, Verdict::Fail));
    let other = planned(loose("us-east-1a", "/data/other"), None);
    assert_eq!(gate(&other, "log-dir"), (Class::Soft, Verdict::Fail));
}
