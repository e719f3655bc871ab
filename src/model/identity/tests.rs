//! One broker, one way of telling its instance, one verdict.

use super::*;

fn broker(id: BrokerId, host: &str, rack: &str) -> Broker {
    Broker {
        id,
        host: host.to_owned(),
        port: 9092,
        rack: (!rack.is_empty()).then(|| rack.to_owned()),
        fenced: false,
    }
}

/// Without a zone id of its own, as older endpoints answer: the table of zones is asked.
fn instance(id: &str, address: &str, zone: &str) -> Instance {
    Instance {
        id: id.to_owned(),
        zone: zone.to_owned(),
        state: "running".to_owned(),
        private_addresses: vec![address.to_owned()],
        ..Instance::default()
    }
}

fn tagged(mut instance: Instance, id: &str) -> Instance {
    instance.tags.insert("kafka:broker-id".to_owned(), id.to_owned());
    instance
}

fn zones() -> BTreeMap<String, Zone> {
    [("us-east-1a", "use1-az4"), ("us-east-1b", "use1-az6")]
        .into_iter()
        .map(|(name, id)| {
            let zone = Zone {
                name: name.to_owned(),
                id: id.to_owned(),
                state: "available".to_owned(),
            };
            (name.to_owned(), zone)
        })
        .collect()
}

fn told(brokers: &[Broker], instances: &[Instance], rules: &Rules, resolved: &[(&str, &str)]) -> Vec<Identity> {
    let resolved = resolved
        .iter()
        .map(|(name, address)| ((*name).to_owned(), vec![address.parse().unwrap()]))
        .collect();
    let instances: Vec<_> = instances.iter().collect();
    let zones = zones();
    let evidence = Evidence {
        brokers,
        resolved: &resolved,
        instances: &instances,
        zones: Some(&zones),
        untold: None,
        rules,
    };
    identify(evidence).into_values().collect()
}

fn identified(instance: &str, method: Method, confidence: Confidence) -> Identity {
    Identity::Identified {
        instance: instance.to_owned(),
        method,
        confidence,
    }
}

#[test]
fn an_address_tells_the_instance() {
    let brokers = [
        broker(1, "127.0.1.11", "use1-az4"),
        broker(2, "127.0.2.12", "us-east-1b"),
    ];
    let instances = [
        instance("i-1", "127.0.1.11", "us-east-1a"),
        instance("i-2", "127.0.2.12", "us-east-1b"),
    ];
    let expected = [
        identified("i-1", Method::Address, Confidence::High),
        identified("i-2", Method::Address, Confidence::High),
    ];
    assert_eq!(told(&brokers, &instances, &Rules::default(), &[]), expected);
}

#[test]
fn names_tell_the_instance() {
    let brokers = [
        broker(1, "ip-10-0-1-10.ec2.internal", ""),
        broker(2, "i-0abc.eu-west-1.compute.internal", ""),
        broker(3, "kafka-3.prod.internal", ""),
        broker(4, "kafka-4.example.com", ""),
    ];
    let mut fourth = instance("i-4", "10.0.1.13", "us-east-1a");
    fourth.public_address = Some("54.1.2.3".to_owned());
    let instances = [
        instance("i-1", "10.0.1.10", "us-east-1a"),
        instance("i-0abc", "10.0.1.11", "us-east-1a"),
        instance("i-3", "10.0.1.12", "us-east-1a"),
        tagged(fourth, "4"),
    ];
    let resolved = [
        ("kafka-3.prod.internal", "10.0.1.12"),
        ("kafka-4.example.com", "54.1.2.3"),
    ];
    let expected = [
        identified("i-1", Method::AddressName, Confidence::High),
        identified("i-0abc", Method::InstanceName, Confidence::High),
        identified("i-3", Method::ResolvedName, Confidence::Medium),
        identified("i-4", Method::PublicAddress, Confidence::High),
    ];
    assert_eq!(told(&brokers, &instances, &Rules::default(), &resolved), expected);
}

#[test]
fn all_on_one_address_is_unknown_unless_tags_or_the_map_say() {
    let brokers = [
        broker(1, "127.0.0.1", ""),
        broker(2, "127.0.0.1", ""),
        broker(3, "127.0.0.1", ""),
    ];
    let instances = [
        instance("i-1", "127.0.0.1", "us-east-1a"),
        tagged(instance("i-2", "10.0.0.2", "us-east-1a"), "2"),
        instance("i-3", "10.0.0.3", "us-east-1a"),
    ];
    let mut rules = Rules::default();
    rules.map.insert(3, "i-3".to_owned());
    let verdicts = told(&brokers, &instances, &rules, &[]);
    assert!(
        verdicts[0]
            .problem()
            .unwrap()
            .contains("all 3 brokers are at 127.0.0.1")
    );
    assert!(matches!(verdicts[0], Identity::Unknown { .. }));
    assert_eq!(verdicts[1], identified("i-2", Method::Tag, Confidence::Medium));
    assert_eq!(verdicts[2], identified("i-3", Method::Map, Confidence::High));
}

#[test]
fn names_that_resolve_to_one_balancer_are_unknown() {
    let brokers = [broker(1, "b1.kafka", ""), broker(2, "b2.kafka", "")];
    let instances = [instance("i-1", "10.0.0.9", "us-east-1a")];
    let resolved = [("b1.kafka", "10.0.0.9"), ("b2.kafka", "10.0.0.9")];
    let verdicts = told(&brokers, &instances, &Rules::default(), &resolved);
    assert!(
        verdicts
            .iter()
            .all(|verdict| matches!(verdict, Identity::Unknown { .. }))
    );
}

#[test]
fn an_address_nobody_has_is_unknown_and_names_the_way_out() {
    let brokers = [broker(1, "10.9.9.9", "")];
    let verdicts = told(
        &brokers,
        &[instance("i-1", "10.0.0.1", "us-east-1a")],
        &Rules::default(),
        &[],
    );
    let reason = verdicts[0].problem().unwrap();
    assert!(
        reason.contains("no instance with the address of broker 1, 10.9.9.9"),
        "{reason}"
    );
    assert!(reason.contains("kafka:broker-id=1"), "{reason}");
}

#[test]
fn overlapping_addresses_are_ambiguous_until_a_tag_or_the_rack_decides() {
    let twins = [
        instance("i-1", "10.0.0.1", "us-east-1a"),
        instance("i-2", "10.0.0.1", "us-east-1a"),
    ];
    let verdicts = told(&[broker(1, "10.0.0.1", "")], &twins, &Rules::default(), &[]);
    let Identity::Ambiguous { candidates, .. } = &verdicts[0] else {
        panic!("{verdicts:?}")
    };
    assert_eq!(candidates, &["i-1", "i-2"]);

    let decided = [twins[0].clone(), tagged(twins[1].clone(), "1")];
    let verdicts = told(&[broker(1, "10.0.0.1", "")], &decided, &Rules::default(), &[]);
    assert_eq!(verdicts[0].instance(), Some("i-2"));

    let apart = [twins[0].clone(), instance("i-2", "10.0.0.1", "us-east-1b")];
    let verdicts = told(&[broker(1, "10.0.0.1", "use1-az6")], &apart, &Rules::default(), &[]);
    assert_eq!(verdicts[0].instance(), Some("i-2"));
}

#[test]
fn what_contradicts_the_address_is_a_mismatch() {
    let brokers = [
        broker(1, "10.0.0.1", "use1-az4"),
        broker(2, "10.0.0.2", ""),
        broker(3, "10.0.0.3", ""),
    ];
    let instances = [
        instance("i-1", "10.0.0.1", "us-east-1b"),
        tagged(instance("i-2", "10.0.0.2", "us-east-1a"), "7"),
        instance("i-3", "10.0.0.3", "us-east-1a"),
        tagged(instance("i-old", "10.0.0.4", "us-east-1a"), "3"),
    ];
    let verdicts = told(&brokers, &instances, &Rules::default(), &[]);
    let reasons: Vec<_> = verdicts.iter().map(|verdict| verdict.problem().unwrap()).collect();
    assert!(
        verdicts
            .iter()
            .all(|verdict| matches!(verdict, Identity::Mismatch { .. })),
        "{verdicts:?}"
    );
    assert!(reasons[0].contains("broker.rack use1-az4"), "{}", reasons[0]);
    assert!(reasons[1].contains("says broker 7"), "{}", reasons[1]);
    assert!(reasons[2].contains("is on i-old"), "{}", reasons[2]);

    let mut rules = Rules::default();
    rules.map.insert(2, "i-9".to_owned());
    let verdicts = told(&brokers, &instances, &rules, &[]);
    assert!(verdicts[1].problem().unwrap().contains("maps it to i-9"));
}

#[test]
fn a_rack_that_is_no_zone_contradicts_nothing() {
    let verdicts = told(
        &[broker(1, "10.0.0.1", "row-7")],
        &[instance("i-1", "10.0.0.1", "us-east-1a")],
        &Rules::default(),
        &[],
    );
    assert_eq!(verdicts[0].instance(), Some("i-1"));
}

#[test]
fn a_terminated_instance_is_nobody() {
    let mut gone = instance("i-1", "10.0.0.1", "us-east-1a");
    gone.state = "terminated".to_owned();
    let verdicts = told(&[broker(1, "10.0.0.1", "")], &[gone], &Rules::default(), &[]);
    assert!(matches!(verdicts[0], Identity::Unknown { .. }));
}
