//! Plans for one weighted name.

use super::*;
use crate::model::Observed;
use crate::model::cluster::Cluster;
use crate::plan::gate::Verdict;

fn now() -> Moment {
    Moment::from_second(1_800_000_000).unwrap()
}

fn set(name: &str, weight: i64) -> RecordSet {
    RecordSet {
        name: "k.internal".to_owned(),
        kind: "CNAME".to_owned(),
        set: Some(name.to_owned()),
        weight: Some(weight),
        ttl_seconds: Some(60),
        values: vec![format!("{name}.internal")],
        alias: None,
        health_check: None,
    }
}

fn wish(sets: &[RecordSet], want: Want) -> Wish {
    let zone = Zone {
        id: "Z1".to_owned(),
        name: "internal".to_owned(),
        private: true,
    };
    Wish {
        found: Ok(Records {
            zone,
            sets: sets.to_vec(),
        }),
        ..Wish::new("k.internal", None, want)
    }
}

fn weighing(weights: &[(&str, i64)], targets: &[(&str, &str)]) -> Want {
    Want::Weights {
        weights: weights
            .iter()
            .map(|(set, weight)| ((*set).to_owned(), *weight))
            .collect(),
        targets: targets
            .iter()
            .map(|(set, host)| ((*set).to_owned(), (*host).to_owned()))
            .collect(),
    }
}

fn made(wish: &Wish) -> Result<Plan, Error> {
    let cluster = Cluster {
        id: "c1".into(),
        controller: Some(1),
        brokers: Vec::new(),
        version: None,
    };
    let snapshot = Snapshot {
        cluster: Observed::fresh(cluster, now()),
        ..Snapshot::default()
    };
    plan(&snapshot, wish, "blue", now())
}

fn switch(plan: &Plan) -> &Switch {
    match &plan.steps[0] {
        Step::Dns(Act::Switch(switch)) => switch,
        other => panic!("{other:?}"),
    }
}

fn verdict(plan: &Plan, gate: &str) -> Verdict {
    plan.gates.iter().find(|one| one.name == gate).unwrap().verdict
}

fn green() -> Green {
    Green {
        context: "green".to_owned(),
        probe: Ok("writes go through 3 brokers".to_owned()),
        differences: Ok(Vec::new()),
        mark: Ok(mark(&[("orders", 10)])),
    }
}

fn mark(ends: &[(&str, i64)]) -> Mark {
    Mark {
        context: "green".to_owned(),
        cluster_id: "c2".to_owned(),
        end_offsets: ends.iter().map(|(topic, end)| ((*topic).to_owned(), *end)).collect(),
    }
}

#[test]
fn sets_that_are_not_named_keep_their_weights_and_new_ones_are_made() {
    let sets = [set("blue", 100)];
    let plan = made(&wish(&sets, weighing(&[("green", 10)], &[("green", "b1.green.")]))).unwrap();
    let switch = switch(&plan);
    assert_eq!(switch.to[0], set("blue", 100));
    assert_eq!(
        (switch.to[1].values[0].as_str(), switch.to[1].weight),
        ("b1.green", Some(10))
    );
    assert!(matches!(&plan.steps[1], Step::Dns(Act::Settle { seconds: 60, .. })));
    // And back nothing is deleted.
    let steps: Vec<&Step> = plan.steps.iter().collect();
    let Want::Back(back) = undoing("7f", &steps).unwrap().want else {
        panic!("no way back")
    };
    let now = switch.to.clone();
    let back = made(&wish(&now, Want::Back(back))).unwrap();
    let weights: Vec<_> = self::switch(&back).to.iter().map(|set| set.weight).collect();
    assert_eq!(weights, [Some(100), Some(0)]);
}

#[test]
fn what_route_53_would_not_take_or_nobody_means_is_refused() {
    let two = [set("blue", 100), set("green", 0)];
    let why = |sets: &[RecordSet], want| made(&wish(sets, want)).unwrap_err().to_string();
    assert!(why(&two, weighing(&[("gren", 1)], &[])).contains("has no set gren, but blue, green"));
    assert!(why(&two, weighing(&[("green", 256)], &[])).contains("0 to 255"));
    assert!(why(&two, weighing(&[("blue", 100)], &[])).contains("already"));
    assert!(why(&two, weighing(&[("blue", 1)], &[("new", "h")])).contains("has no weight"));
    assert!(why(&[], weighing(&[("blue", 1)], &[])).contains("there is no record k.internal"));
    let simple = RecordSet {
        set: None,
        weight: None,
        ..set("x", 0)
    };
    assert!(why(&[simple], weighing(&[("blue", 1)], &[])).contains("a simple record"));
    let strange = wish(
        &[set("blue", 50), set("green", 50)],
        Want::Back(Box::new(Back {
            operation: "7f".to_owned(),
            from: vec![set("blue", 10), set("green", 90)],
            to: two.to_vec(),
            mark: None,
        })),
    );
    assert!(
        made(&strange)
            .unwrap_err()
            .to_string()
            .contains("somebody has changed it since")
    );
}

#[test]
fn a_long_ttl_a_strange_green_and_zeros_close_gates() {
    let two = [set("blue", 100), set("green", 0)];
    let well = Wish {
        green: Some(green()),
        ..wish(&two, weighing(&[("blue", 0), ("green", 100)], &[]))
    };
    let plan = made(&well).unwrap();
    for gate in ["saved", "weights", "ttl", "green-probe", "same"] {
        assert_eq!(verdict(&plan, gate), Verdict::Pass, "{gate}");
    }
    let blind = made(&wish(&two, weighing(&[("green", 1)], &[]))).unwrap();
    assert_eq!(verdict(&blind, "same"), Verdict::Unknown);
    assert_eq!(verdict(&blind, "green-probe"), Verdict::Unknown);
    let zeros = made(&wish(&two, weighing(&[("blue", 0)], &[]))).unwrap();
    assert_eq!(verdict(&zeros, "weights"), Verdict::Fail);
    let slow: Vec<RecordSet> = two
        .iter()
        .map(|set| RecordSet {
            ttl_seconds: Some(3600),
            ..set.clone()
        })
        .collect();
    let slow = made(&wish(&slow, weighing(&[("blue", 1)], &[]))).unwrap();
    assert_eq!(verdict(&slow, "ttl"), Verdict::Fail);
    let other = Green {
        probe: Err("broker 2: TIMED_OUT".to_owned()),
        differences: Ok(vec!["topics orders".to_owned()]),
        ..green()
    };
    let plan = made(&Wish {
        green: Some(other),
        ..wish(&two, weighing(&[("green", 1)], &[]))
    });
    let plan = plan.unwrap();
    assert_eq!(verdict(&plan, "green-probe"), Verdict::Fail);
    assert_eq!(verdict(&plan, "same"), Verdict::Fail);
}

#[test]
fn the_way_back_tells_what_it_leaves_behind() {
    let (from, to) = ([set("blue", 10), set("green", 90)], [set("blue", 100), set("green", 0)]);
    let back = |before: Mark, now: Result<Mark, String>| {
        let want = Want::Back(Box::new(Back {
            operation: "7f".to_owned(),
            from: from.to_vec(),
            to: to.to_vec(),
            mark: Some(before),
        }));
        let wish = Wish {
            green: Some(Green { mark: now, ..green() }),
            ..wish(&from, want)
        };
        made(&wish).unwrap().undo.to_string()
    };
    let before = || mark(&[("orders", 10), ("gone", 5)]);
    let text = back(before(), Ok(mark(&[("orders", 13), ("new", 4)])));
    assert!(
        text.contains("7 records written to green since the switch stay there"),
        "{text}"
    );
    assert!(back(before(), Err("down".to_owned())).contains("is not known"));
    let other = Mark {
        cluster_id: "c3".to_owned(),
        ..mark(&[])
    };
    assert!(back(before(), Ok(other)).contains("is not known"), "another cluster");
}
