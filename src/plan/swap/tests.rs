//! Plans for broker 1 on i-1 with vol-1, which goes to i-2 or is exchanged.

use super::*;
use crate::model::Observed;
use crate::model::topic::{Partition, Topic};
use crate::plan::gate::{Class, Verdict};
use crate::plan::volume::tests;

fn now() -> Moment {
    Moment::from_second(1_800_000_000).unwrap()
}

fn well() -> Snapshot {
    let mut snapshot = tests::well();
    topic(&mut snapshot, &[1, 2, 3]);
    snapshot
}

fn topic(snapshot: &mut Snapshot, replicas: &[BrokerId]) {
    let partition = Partition {
        partition: 0,
        leader: Some(1),
        replicas: replicas.into(),
        isr: replicas.into(),
        ..Partition::default()
    };
    let topic = Topic {
        name: "orders".to_owned(),
        partitions: vec![partition],
        id: uuid::Uuid::nil(),
        internal: false,
    };
    snapshot.topics = Observed::fresh(vec![topic], now());
}

fn host(id: &str, zone: &str) -> Host {
    Host {
        instance: Instance {
            id: id.to_owned(),
            instance_type: "m7g.large".to_owned(),
            zone: zone.to_owned(),
            state: "running".to_owned(),
            private_dns: Some("b1-new".to_owned()),
            ..Instance::default()
        },
        volumes: Vec::new(),
        broker_tag: "kafka:broker-id".to_owned(),
    }
}

fn wish(what: What) -> Wish {
    let words = ["ctl", "{action}", "{host}", "{instance}"].map(str::to_owned).to_vec();
    Wish {
        way: Ok(Way {
            driver: DriverName::Command,
            templates: [Action::Stop, Action::Start]
                .map(|action| (action, words.clone()))
                .into(),
            deadline_seconds: 60,
            soak_seconds: 0,
            grow: None,
            upgrade: None,
        }),
        found: Ok(Box::new(host("i-2", "us-east-1a"))),
        trials: BTreeMap::from([("DetachVolume".to_owned(), Ok(()))]),
        ..Wish::new(1, what)
    }
}

fn moved() -> Wish {
    wish(What::Instance("i-2".to_owned()))
}

fn encrypted() -> Wish {
    wish(What::Encrypt {
        kms_key: Some("alias/kafka".to_owned()),
    })
}

fn planned(snapshot: &Snapshot, wish: &Wish) -> Plan {
    plan(snapshot, wish, "dev", now()).unwrap()
}

fn names(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(crate::plan::summary::step_name).collect()
}

fn gate(plan: &Plan, name: &str) -> (Class, Verdict) {
    let gate = plan.gates.iter().find(|gate| gate.name == name).unwrap();
    (gate.class, gate.verdict)
}

#[test]
fn a_broker_is_stopped_where_it_was_and_started_where_its_volumes_are() {
    let plan = planned(&well(), &moved());
    assert_eq!(
        names(&plan),
        [
            "stop broker 1",
            "detach vol-1 from i-1 (/dev/sdf)",
            "attach vol-1 to i-2 as /dev/sdf",
            "start broker 1",
            "verify that broker 1 runs on i-2",
        ]
    );
    let words: Vec<&[String]> = restart::turns(&plan).map(|turn| turn.words.as_slice()).collect();
    assert_eq!(words, [["ctl", "stop", "b1", "i-1"], ["ctl", "start", "b1-new", "i-2"]]);
    assert_eq!(plan.undo.to_string(), "full: azimuth broker replace 1 --instance i-1");
    for name in ["permission", "instance", "free", "zone", "device", "only-copy"] {
        assert_eq!(gate(&plan, name), (Class::Hard, Verdict::Pass), "{name}");
    }
    // A turn that starts elsewhere has not drifted.
    assert!(
        crate::plan::drift::since(&plan, &well(), now())
            .iter()
            .all(|drift| !drift.material)
    );
    // The tag goes with the broker, before it starts.
    let mut tagged = well();
    for seen in tagged.cloud.instances.values_mut() {
        let mut all = seen.get().unwrap().clone();
        for one in all.values_mut().filter(|one| one.id == "i-1") {
            one.tags.insert("kafka:broker-id".to_owned(), "1".to_owned());
        }
        *seen = Observed::fresh(all, now());
    }
    assert_eq!(
        names(&planned(&tagged, &moved()))[3],
        "give i-2 the tag kafka:broker-id=1 of i-1"
    );
    // Whoever is down is not stopped.
    let mut down = well();
    let mut cluster = down.cluster.get().unwrap().clone();
    cluster.brokers[0].fenced = true;
    down.cluster = Observed::fresh(cluster, now());
    assert_eq!(names(&planned(&down, &moved()))[0], "detach vol-1 from i-1 (/dev/sdf)");
}

#[test]
fn what_takes_long_is_done_while_the_broker_runs_and_ids_come_from_earlier_steps() {
    let plan = planned(&well(), &encrypted());
    assert_eq!(
        names(&plan),
        [
            "snapshot vol-1 of i-1",
            "create a volume from SNAPSHOT_OF_STEP_1 in us-east-1a, gp3 100 GiB 3000 IOPS 125 MiB/s, encrypted",
            "stop broker 1",
            "detach vol-1 from i-1 (/dev/sdf)",
            "attach VOLUME_OF_STEP_2 to i-1 as /dev/sdf",
            "start broker 1",
            "verify that broker 1 runs on i-1",
        ]
    );
    let text: Vec<String> = crate::plan::summary::lines(&plan)
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert!(
        text.join("\n").contains("--encrypted --kms-key-id alias/kafka"),
        "{text:#?}"
    );
    assert!(
        plan.undo.to_string().starts_with("partial: vol-1 stays"),
        "{}",
        plan.undo
    );
    // Nobody else has what is written meanwhile.
    let mut alone = well();
    topic(&mut alone, &[1]);
    assert_eq!(
        gate(&planned(&alone, &encrypted()), "only-copy"),
        (Class::Hard, Verdict::Fail)
    );
    assert_eq!(gate(&planned(&alone, &moved()), "only-copy").1, Verdict::Pass);
    let mut done = well();
    let mut volumes = done.cloud.volumes["us-east-1a"].get().unwrap().clone();
    volumes.get_mut("vol-1").unwrap().encrypted = true;
    done.cloud
        .volumes
        .insert("us-east-1a".to_owned(), Observed::fresh(volumes, now()));
    let why = super::plan(&done, &encrypted(), "dev", now()).unwrap_err().to_string();
    assert!(why.contains("encrypted already"), "{why}");
}

#[test]
fn an_instance_that_will_not_do_closes_gates_that_nobody_opens() {
    let with = |found: Host| {
        planned(
            &well(),
            &Wish {
                found: Ok(Box::new(found)),
                ..moved()
            },
        )
    };
    assert_eq!(
        gate(&with(host("i-2", "us-east-1b")), "zone"),
        (Class::Hard, Verdict::Fail)
    );
    let mut stopped = host("i-2", "us-east-1a");
    stopped.instance.state = "stopped".to_owned();
    assert_eq!(gate(&with(stopped), "instance"), (Class::Hard, Verdict::Fail));
    let mut full = host("i-2", "us-east-1a");
    full.volumes.push(Volume {
        id: "vol-9".to_owned(),
        device: Some("/dev/sdf".to_owned()),
        ..Volume::default()
    });
    assert_eq!(gate(&with(full), "device"), (Class::Hard, Verdict::Fail));
    let denied = Wish {
        trials: BTreeMap::from([("AttachVolume".to_owned(), Err("the policy lacks it".to_owned()))]),
        ..moved()
    };
    assert_eq!(
        gate(&planned(&well(), &denied), "permission"),
        (Class::Hard, Verdict::Fail)
    );
    let same = wish(What::Instance("i-1".to_owned()));
    let why = plan(&well(), &same, "dev", now()).unwrap_err().to_string();
    assert!(why.contains("runs on i-1 already"), "{why}");
    let unknown = Wish {
        found: Err("there is no instance i-2".to_owned()),
        ..moved()
    };
    let why = plan(&well(), &unknown, "dev", now()).unwrap_err().to_string();
    assert!(why.contains("there is no instance i-2"), "{why}");
}
