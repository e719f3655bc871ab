//! The authorizer in its user's language, with the corner cases of Kafka's own tests.

use uuid::Uuid;

use super::*;
use Operation::{All, Alter, AlterConfigs, Delete, Describe, DescribeConfigs, IdempotentWrite, Read, Write};

/// An authorizer and the ACLs it decides by.
struct House {
    authorizer: Authorizer,
    acls: Acls,
}

const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

fn acl(text: &str) -> Acl {
    let words: Vec<&str> = text.split(' ').collect();
    let [permission, principal, host, operation, kind, name] = words[..] else {
        panic!("{text}: permission principal host operation kind name");
    };
    let by_name = |codes: std::ops::RangeInclusive<i8>, name: &str| {
        codes.clone().find_map(|code| {
            let operation = Operation::from_code(code)?;
            (operation.to_string() == name).then_some(operation)
        })
    };
    let prefix = name.strip_suffix('…');
    Acl {
        kind: (2..=7)
            .filter_map(Kind::from_code)
            .find(|k| k.to_string() == kind)
            .unwrap(),
        name: prefix.unwrap_or(name).to_owned(),
        pattern: if prefix.is_some() {
            Pattern::Prefixed
        } else {
            Pattern::Literal
        },
        principal: principal.to_owned(),
        host: host.to_owned(),
        operation: by_name(2..=15, operation).unwrap(),
        permission: if permission == "allow" {
            Permission::Allow
        } else {
            Permission::Deny
        },
    }
}

fn house(acls: &[&str]) -> House {
    let mut house = House {
        authorizer: Authorizer {
            super_users: HashSet::from([Principal::user("admin")]),
            ..Authorizer::default()
        },
        acls: Acls::default(),
    };
    for (id, text) in (1..).zip(acls) {
        house.acls.insert(Uuid::from_u128(id), acl(text));
    }
    house
}

impl House {
    fn open(mut self) -> Self {
        self.authorizer.open = true;
        self
    }

    fn may(&self, user: &str, operation: Operation, object: Object<'_>) -> bool {
        self.may_from(HOST, user, operation, object)
    }

    fn may_from(&self, host: IpAddr, user: &str, operation: Operation, object: Object<'_>) -> bool {
        let principal = Principal::user(user);
        let who = Who {
            principal: &principal,
            host,
        };
        self.authorizer.decide(&self.acls, who, operation, object).allows()
    }

    fn may_on_any(&self, user: &str, operation: Operation, kind: Kind) -> bool {
        let principal = Principal::user(user);
        let who = Who {
            principal: &principal,
            host: HOST,
        };
        self.authorizer.decide_for_any(&self.acls, who, operation, kind)
    }
}

const ORDERS: Object<'static> = Object::Topic("orders");

#[test]
fn without_acls_only_super_users_may_unless_everyone_may() {
    let house = house(&[]);
    assert!(house.may("admin", Write, ORDERS));
    assert!(!house.may("alice", Write, ORDERS));
    let house = house.open();
    assert!(house.may("alice", Write, ORDERS));
    assert!(house.may("alice", Alter, Object::Cluster));
}

#[test]
fn a_resource_that_any_acl_names_is_closed_to_all_others() {
    let house = house(&["allow User:alice * READ TOPIC orders"]).open();
    assert!(house.may("alice", Read, ORDERS));
    assert!(!house.may("bob", Read, ORDERS), "somebody else's ACL is enough");
    assert!(!house.may("alice", Write, ORDERS));
    assert!(house.may("bob", Read, Object::Topic("payments")), "no ACL names it");
    assert!(
        house.may("bob", Read, Object::Group("orders")),
        "nor a group of that name"
    );
}

#[test]
fn a_prefix_or_the_wildcard_closes_too() {
    let open = house(&["allow User:alice * READ TOPIC ord…"]).open();
    assert!(!open.may("bob", Read, ORDERS));
    assert!(open.may("bob", Read, Object::Topic("or")), "shorter than the prefix");
    let open = house(&["allow User:alice * READ TOPIC *"]).open();
    assert!(!open.may("bob", Read, ORDERS));
}

#[test]
fn deny_wins_wherever_it_stands() {
    for deny in [
        "deny User:alice * WRITE TOPIC orders",
        "deny User:alice * ALL TOPIC orders",
        "deny User:* * WRITE TOPIC orders",
        "deny User:alice 10.0.0.7 WRITE TOPIC orders",
        "deny User:alice * WRITE TOPIC ord…",
        "deny User:alice * WRITE TOPIC *",
    ] {
        let house = house(&[
            "allow User:alice * ALL TOPIC orders",
            "allow User:alice * ALL TOPIC o…",
            "allow User:* * ALL TOPIC *",
            deny,
        ]);
        assert!(!house.may("alice", Write, ORDERS), "{deny}");
        assert!(house.may("admin", Write, ORDERS), "super users are above {deny}");
    }
    let house = house(&[
        "allow User:alice * ALL TOPIC orders",
        "deny User:alice * READ TOPIC orders",
    ]);
    assert!(
        house.may("alice", Write, ORDERS),
        "what is denied is only what the ACL says"
    );
}

#[test]
fn hosts_count() {
    let house = house(&[
        "allow User:alice 10.0.0.7 READ TOPIC orders",
        "deny User:bob 10.0.0.8 READ TOPIC *",
        "allow User:bob * READ TOPIC *",
    ]);
    assert!(house.may("alice", Read, ORDERS));
    let other = IpAddr::from([10, 0, 0, 8]);
    assert!(!house.may_from(other, "alice", Read, ORDERS));
    assert!(house.may("bob", Read, ORDERS));
    assert!(!house.may_from(other, "bob", Read, ORDERS));
}

#[test]
fn allowing_reading_writing_deleting_or_altering_allows_describing() {
    for (operation, describes) in [
        ("READ", true),
        ("WRITE", true),
        ("DELETE", true),
        ("ALTER", true),
        ("ALL", true),
        ("CREATE", false),
        ("ALTER_CONFIGS", false),
        ("DESCRIBE_CONFIGS", false),
    ] {
        let house = house(&[&format!("allow User:alice * {operation} TOPIC orders")]);
        assert_eq!(house.may("alice", Describe, ORDERS), describes, "{operation}");
    }
    let house = house(&["allow User:alice * ALTER_CONFIGS TOPIC orders"]);
    assert!(house.may("alice", DescribeConfigs, ORDERS) && house.may("alice", AlterConfigs, ORDERS));
    let house = self::house(&["allow User:alice * DESCRIBE_CONFIGS TOPIC orders"]);
    assert!(!house.may("alice", AlterConfigs, ORDERS), "not the other way");
}

#[test]
fn denying_implies_nothing() {
    let house = house(&[
        "deny User:alice * READ TOPIC orders",
        "allow User:alice * DESCRIBE TOPIC orders",
    ]);
    assert!(house.may("alice", Describe, ORDERS));
    assert!(!house.may("alice", Read, ORDERS));
    let house = self::house(&[
        "deny User:alice * DESCRIBE TOPIC orders",
        "allow User:alice * READ TOPIC orders",
    ]);
    assert!(house.may("alice", Read, ORDERS) && !house.may("alice", Describe, ORDERS));
}

#[test]
fn everybody_and_types_of_principals() {
    let house = house(&["allow User:* * READ TOPIC orders"]);
    assert!(house.may("ANONYMOUS", Read, ORDERS));
    let service = Principal {
        kind: "Service".to_owned(),
        name: "admin".to_owned(),
    };
    let who = Who {
        principal: &service,
        host: HOST,
    };
    assert!(house.authorizer.decide(&house.acls, who, Read, ORDERS).allows());
    assert!(
        !house.authorizer.decide(&house.acls, who, Write, ORDERS).allows(),
        "Service:admin is not User:admin"
    );
}

#[test]
fn the_rule_that_decided_is_told() {
    let house = house(&["deny User:alice * ALL TOPIC orders"]);
    let principal = Principal::user("alice");
    let who = Who {
        principal: &principal,
        host: HOST,
    };
    let why = |object| house.authorizer.decide(&house.acls, who, Read, object).to_string();
    assert_eq!(
        why(ORDERS),
        "the ACL says DENY ALL to User:alice from * on TOPIC LITERAL orders"
    );
    assert_eq!(why(Object::Topic("x")), "no ACL names it");
}

#[test]
fn one_writable_topic_is_enough_for_an_idempotent_producer() {
    let any = |acls: &[&str]| house(acls).may_on_any("alice", Write, Kind::Topic);
    assert!(!any(&[]));
    assert!(house(&[]).may_on_any("admin", Write, Kind::Topic));
    assert!(house(&[]).open().may_on_any("alice", Write, Kind::Topic));
    assert!(any(&["allow User:alice * WRITE TOPIC orders"]));
    assert!(any(&["allow User:alice * ALL TOPIC ord…"]));
    assert!(any(&["allow User:* 10.0.0.7 WRITE TOPIC *"]));
    assert!(!any(&["allow User:alice * READ TOPIC orders"]));
    assert!(!any(&["allow User:bob * WRITE TOPIC orders"]));
    assert!(!any(&["allow User:alice 10.0.0.8 WRITE TOPIC orders"]));
    assert!(!any(&["allow User:alice * WRITE GROUP orders"]));
}

#[test]
fn what_dominates_an_allowed_pattern_takes_it_away() {
    let any = |acls: &[&str]| house(acls).may_on_any("alice", Write, Kind::Topic);
    let allow = "allow User:alice * WRITE TOPIC orders";
    assert!(!any(&[allow, "deny User:alice * WRITE TOPIC orders"]));
    assert!(!any(&[allow, "deny User:alice * ALL TOPIC *"]));
    assert!(!any(&[allow, "deny User:alice * WRITE TOPIC ord…"]));
    assert!(any(&[allow, "deny User:alice * WRITE TOPIC ordersX…"]));
    assert!(any(&[allow, "deny User:alice * READ TOPIC orders"]));
    assert!(any(&[allow, "deny User:bob * ALL TOPIC *"]));
    let prefix = "allow User:alice * WRITE TOPIC ord…";
    assert!(
        any(&[prefix, "deny User:alice * WRITE TOPIC orders"]),
        "others with that prefix are left"
    );
    assert!(any(&[prefix, "deny User:alice * WRITE TOPIC ord"]));
    assert!(!any(&[prefix, "deny User:alice * WRITE TOPIC ord…"]));
    assert!(!any(&[prefix, "deny User:alice * WRITE TOPIC o…"]));
    // As in Kafka: an allowing wildcard is only beaten by a denying one.
    assert!(any(&[
        "allow User:alice * WRITE TOPIC *",
        "deny User:alice * WRITE TOPIC hard…"
    ]));
}

#[test]
fn operations_are_told_as_bits() {
    let of = |acls: &[&str], object| {
        let house = house(acls);
        let principal = Principal::user("alice");
        let who = Who {
            principal: &principal,
            host: HOST,
        };
        house.authorizer.operations(&house.acls, who, object)
    };
    let bit = |operation: Operation| 1 << operation.code();
    assert_eq!(of(&[], ORDERS), 0);
    assert_eq!(
        of(&["allow User:alice * READ TOPIC orders"], ORDERS),
        bit(Read) | bit(Describe)
    );
    assert_eq!(
        of(
            &[
                "allow User:alice * ALL TOPIC orders",
                "deny User:alice * DELETE TOPIC *"
            ],
            ORDERS
        ),
        every_operation(ORDERS) & !bit(Delete)
    );
    assert_eq!(
        of(&["allow User:alice * ALL CLUSTER kafka-cluster"], Object::Cluster),
        every_operation(Object::Cluster)
    );
    assert_eq!(every_operation(ORDERS) & bit(IdempotentWrite), 0);
    assert_eq!(every_operation(ORDERS) & bit(All), 0, "ALL is not listed");
}
