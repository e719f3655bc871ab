//! What each verb of the console asks of the authorizer: the least that a principal must be allowed, from the authorization
//! table of Kafka's documentation (security, "Operations and resources on protocols").

use super::acl::{Operation, ResourceKind};

/// One right that a verb needs.
pub type Right = (ResourceKind, Operation);

/// A verb and all that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Noun and verb: `topic delete`; a noun alone for all of its verbs.
    pub verb: &'static str,
    pub rights: &'static [Right],
    /// Whether it changes the cluster.
    pub changes: bool,
}

use Operation::{Alter, AlterConfigs, Create, Delete, Describe, DescribeConfigs, Read, Write};
use ResourceKind::{Cluster, Group, Topic, TransactionalId};

const fn reads(verb: &'static str, rights: &'static [Right]) -> Need {
    Need {
        verb,
        rights,
        changes: false,
    }
}

const fn changes(verb: &'static str, rights: &'static [Right]) -> Need {
    Need {
        verb,
        rights,
        changes: true,
    }
}

/// Every verb that asks a cluster, reads first. Where a right is missing, a read shows what it may and names the rest.
pub const NEEDS: &[Need] = &[
    reads(
        "broker list",
        &[(Topic, Describe), (Cluster, Describe), (Cluster, DescribeConfigs)],
    ),
    reads(
        "broker show",
        &[(Topic, Describe), (Cluster, Describe), (Cluster, DescribeConfigs)],
    ),
    reads("broker config", &[(Cluster, DescribeConfigs)]),
    reads(
        "topic list",
        &[(Topic, Describe), (Topic, DescribeConfigs), (Cluster, Describe)],
    ),
    reads(
        "topic show",
        &[(Topic, Describe), (Topic, DescribeConfigs), (Cluster, Describe)],
    ),
    reads(
        "partition list",
        &[(Topic, Describe), (Topic, DescribeConfigs), (Cluster, Describe)],
    ),
    reads(
        "group list",
        &[(Group, Describe), (Topic, Describe), (Topic, DescribeConfigs)],
    ),
    reads("group show", &[(Group, Describe), (Topic, Describe)]),
    reads("group lag", &[(Group, Describe), (Topic, Describe)]),
    reads("volume list", &[(Cluster, Describe)]),
    reads("volume show", &[(Cluster, Describe)]),
    reads("logdir list", &[(Cluster, Describe)]),
    reads("logdir show", &[(Cluster, Describe)]),
    reads(
        "logdir relieve",
        &[
            (Cluster, Describe),
            (Topic, Describe),
            (Topic, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    reads(
        "config list",
        &[(Cluster, DescribeConfigs), (Topic, DescribeConfigs), (Topic, Describe)],
    ),
    reads(
        "config show",
        &[(Cluster, DescribeConfigs), (Topic, DescribeConfigs), (Topic, Describe)],
    ),
    reads("quorum show", &[(Cluster, Describe)]),
    reads("acl list", &[(Cluster, Describe)]),
    reads("acl explain", &[(Cluster, Describe), (Cluster, DescribeConfigs)]),
    reads("acl diff", &[(Cluster, Describe)]),
    reads("user list", &[(Cluster, Describe), (Cluster, DescribeConfigs)]),
    reads(
        "context diff",
        &[
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Topic, Describe),
            (Topic, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    reads(
        "mirror list",
        &[(Topic, Describe), (Topic, Read), (Group, Describe), (Cluster, Describe)],
    ),
    reads("quota list", &[(Cluster, DescribeConfigs)]),
    reads(
        "throttle list",
        &[(Cluster, DescribeConfigs), (Topic, DescribeConfigs), (Topic, Describe)],
    ),
    reads("transaction list", &[(TransactionalId, Describe), (Topic, Read)]),
    reads("record read", &[(Topic, Read)]),
    reads("record tail", &[(Topic, Read)]),
    reads(
        "restart plan",
        &[(Cluster, Describe), (Topic, Describe), (Topic, DescribeConfigs)],
    ),
    reads("reassign plan", &[(Cluster, Describe), (Topic, Describe)]),
    reads("reassign list", &[(Cluster, Describe)]),
    reads(
        "check run",
        &[
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Topic, Describe),
            (Topic, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    reads(
        "whatif list",
        &[(Topic, Describe), (Topic, DescribeConfigs), (Cluster, Describe)],
    ),
    reads(
        "whatif az-loss",
        &[(Topic, Describe), (Topic, DescribeConfigs), (Cluster, Describe)],
    ),
    reads(
        "whatif restart",
        &[(Topic, Describe), (Topic, DescribeConfigs), (Cluster, Describe)],
    ),
    reads(
        "whatif add-broker",
        &[(Topic, Describe), (Topic, DescribeConfigs), (Cluster, Describe)],
    ),
    reads(
        "triage",
        &[
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Topic, Describe),
            (Topic, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    reads(
        "dashboard",
        &[
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Group, Describe),
            (Topic, Describe),
        ],
    ),
    reads(
        "cost",
        &[
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Topic, Describe),
            (Group, Describe),
        ],
    ),
    reads(
        "recorder",
        &[
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Topic, Describe),
            (Topic, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    reads(
        "wait healthy",
        &[
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Topic, Describe),
            (Topic, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    reads("wait lag", &[(Group, Describe), (Topic, Describe)]),
    reads("wait isr", &[(Topic, Describe)]),
    reads("wait reassigned", &[(Cluster, Describe), (Topic, Describe)]),
    reads("wait quiet", &[(Group, Describe), (Topic, Describe)]),
    reads("wait mirrored", &[(Cluster, Describe), (Topic, Describe)]),
    reads("dns show", &[(Group, Describe), (Topic, Describe)]),
    reads(
        "capture save",
        &[
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Topic, Describe),
            (Topic, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    changes("topic create", &[(Cluster, Create)]),
    changes("topic delete", &[(Topic, Delete), (Topic, Describe), (Group, Describe)]),
    changes(
        "topic alter",
        &[(Topic, AlterConfigs), (Topic, DescribeConfigs), (Topic, Describe)],
    ),
    changes("topic add-partitions", &[(Topic, Alter), (Topic, Describe)]),
    changes(
        "topic truncate",
        &[(Topic, Delete), (Topic, Describe), (Group, Describe)],
    ),
    changes(
        "throttle set",
        &[
            (Cluster, AlterConfigs),
            (Cluster, DescribeConfigs),
            (Topic, AlterConfigs),
            (Topic, DescribeConfigs),
            (Topic, Describe),
        ],
    ),
    changes(
        "throttle clear",
        &[
            (Cluster, AlterConfigs),
            (Cluster, DescribeConfigs),
            (Topic, AlterConfigs),
            (Topic, DescribeConfigs),
            (Topic, Describe),
        ],
    ),
    changes(
        "leader move",
        &[(Cluster, Alter), (Cluster, Describe), (Topic, Describe)],
    ),
    changes(
        "leader restore",
        &[(Cluster, Alter), (Cluster, Describe), (Topic, Describe)],
    ),
    changes("leader elect", &[(Cluster, Alter), (Topic, Describe)]),
    changes(
        "restart apply",
        &[
            (Cluster, Alter),
            (Cluster, Describe),
            (Topic, Describe),
            (Topic, DescribeConfigs),
        ],
    ),
    changes(
        "broker stop",
        &[(Cluster, Describe), (Topic, Describe), (Topic, DescribeConfigs)],
    ),
    changes(
        "broker start",
        &[
            (Cluster, Alter),
            (Cluster, Describe),
            (Topic, Describe),
            (Topic, DescribeConfigs),
        ],
    ),
    changes(
        "broker replace",
        &[
            (Cluster, Alter),
            (Cluster, Describe),
            (Topic, Describe),
            (Topic, DescribeConfigs),
        ],
    ),
    changes(
        "volume encrypt",
        &[
            (Cluster, Alter),
            (Cluster, Describe),
            (Topic, Describe),
            (Topic, DescribeConfigs),
        ],
    ),
    changes("volume modify", &[(Cluster, Describe), (Topic, Describe)]),
    changes("volume extend", &[(Cluster, Describe), (Topic, Describe)]),
    changes("volume snapshot", &[(Cluster, Describe), (Topic, Describe)]),
    changes("volume create", &[(Cluster, Describe), (Topic, Describe)]),
    changes("volume attach", &[(Cluster, Describe), (Topic, Describe)]),
    changes("volume detach", &[(Cluster, Describe), (Topic, Describe)]),
    changes(
        "dns switch",
        &[
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Topic, Describe),
            (Topic, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    changes(
        "dns rollback",
        &[(Cluster, Describe), (Topic, Describe), (Group, Describe)],
    ),
    changes(
        "reassign apply",
        &[
            (Cluster, Alter),
            (Cluster, Describe),
            (Cluster, AlterConfigs),
            (Cluster, DescribeConfigs),
            (Topic, Describe),
            (Topic, AlterConfigs),
            (Topic, DescribeConfigs),
        ],
    ),
    changes(
        "reassign cancel",
        &[(Cluster, Alter), (Cluster, Describe), (Topic, Describe)],
    ),
    changes("group reset", &[(Group, Read), (Group, Describe), (Topic, Read)]),
    changes("group delete", &[(Group, Delete), (Group, Describe)]),
    changes(
        "config set",
        &[
            (Topic, AlterConfigs),
            (Topic, DescribeConfigs),
            (Group, AlterConfigs),
            (Group, DescribeConfigs),
            (Cluster, AlterConfigs),
            (Cluster, DescribeConfigs),
        ],
    ),
    changes(
        "config unset",
        &[
            (Topic, AlterConfigs),
            (Topic, DescribeConfigs),
            (Group, AlterConfigs),
            (Group, DescribeConfigs),
            (Cluster, AlterConfigs),
            (Cluster, DescribeConfigs),
        ],
    ),
    changes(
        "acl apply",
        &[
            (Cluster, Alter),
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    changes(
        "acl edit",
        &[
            (Cluster, Alter),
            (Cluster, Describe),
            (Cluster, DescribeConfigs),
            (Group, Describe),
        ],
    ),
    changes(
        "user set",
        &[(Cluster, Alter), (Cluster, Describe), (Cluster, DescribeConfigs)],
    ),
    changes(
        "user delete",
        &[(Cluster, Alter), (Cluster, Describe), (Cluster, DescribeConfigs)],
    ),
    changes("feature finalize", &[(Cluster, Alter)]),
    changes("quota set", &[(Cluster, AlterConfigs), (Cluster, DescribeConfigs)]),
    changes("quota unset", &[(Cluster, AlterConfigs), (Cluster, DescribeConfigs)]),
    changes(
        "transaction abort",
        &[
            (Cluster, Alter),
            (Topic, Read),
            (Topic, Describe),
            (TransactionalId, Describe),
        ],
    ),
    changes("record send", &[(Topic, Write), (Topic, Describe)]),
    changes("record check", &[(Topic, Write), (Topic, Read), (Topic, Describe)]),
];

/// Verbs that ask a cluster for nothing, or for no more than its name.
pub const NONE: &[&str] = &[
    "capture show",
    "replay",
    "check list",
    "check explain",
    "context list",
    "context show",
    "context test",
    "context add",
    "operation list",
    "operation show",
    "operation attach",
    "operation pause",
    "operation resume",
    "operation abort",
    "operation undo",
    "operation unit",
    "feature list",
    "runbook list",
    "runbook show",
    "runbook check",
    "runbook run",
    "runbook resume",
    "demo",
    "completions",
    "man",
];

impl Need {
    /// `Alter, Describe on Cluster · Describe on Topic`, resources in order of their first mention.
    pub fn words(&self) -> String {
        let mut kinds: Vec<(ResourceKind, Vec<String>)> = Vec::new();
        for (kind, operation) in self.rights {
            match kinds.iter_mut().find(|(known, _)| known == kind) {
                Some((_, operations)) => operations.push(operation.to_string()),
                None => kinds.push((*kind, vec![operation.to_string()])),
            }
        }
        let part = |(kind, operations): &(ResourceKind, Vec<String>)| {
            let article = if *kind == Cluster {
                "the cluster".to_owned()
            } else {
                format!("{}s", kind.words())
            };
            format!("{} on {article}", operations.join(", "))
        };
        kinds.iter().map(part).collect::<Vec<_>>().join(" · ")
    }
}

/// The verbs that need this right; with `changes` those too that change the cluster.
pub fn verbs(kind: ResourceKind, operation: Operation, changes: bool) -> Vec<&'static str> {
    let needs = NEEDS.iter().filter(|need| changes || !need.changes);
    let wanting = needs.filter(|need| need.rights.contains(&(kind, operation)));
    wanting.map(|need| need.verb).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_leads_to_the_verbs_that_lack_it() {
        assert_eq!(verbs(Topic, Delete, true), ["topic delete", "topic truncate"]);
        assert!(verbs(Topic, Delete, false).is_empty());
        assert!(verbs(Cluster, Alter, true).contains(&"acl apply"));
        let need = NEEDS.iter().find(|need| need.verb == "acl apply").unwrap();
        assert_eq!(
            need.words(),
            "Alter, Describe, DescribeConfigs on the cluster · Describe on groups"
        );
    }

    #[test]
    fn every_right_is_one_that_kafka_has() {
        for need in NEEDS {
            for (kind, operation) in need.rights {
                assert!(
                    kind.operations().contains(operation),
                    "{}: {operation} on {kind}",
                    need.verb
                );
            }
        }
    }
}
