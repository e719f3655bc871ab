//! Access rules as the cluster's authorizer holds them, and as people read them. From DescribeAcls (KIP-140, KIP-290).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the authorizer was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acls {
    /// False where the cluster has no authorizer (SECURITY_DISABLED): everybody may do everything.
    pub authorizer: bool,
    /// Sorted: by resource, then principal.
    pub rules: Vec<Rule>,
}

/// What one principal, from one host, may or may not do with one resource or those that share a prefix: the ACLs that
/// differ only in their operation, as one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    pub resource: ResourceKind,
    pub pattern: Pattern,
    /// The resource's name, or the prefix of several; `*` in a literal pattern is all of them.
    pub name: String,
    /// `User:billing`; `User:*` is everybody.
    pub principal: String,
    /// An address, or `*`.
    pub host: String,
    pub permission: Permission,
    /// Sorted, at least one.
    pub operations: Vec<Operation>,
}

/// Every type of Kafka's `ResourceType` that an ACL can name, by its number on the wire.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::FromRepr,
    strum::EnumIter,
    strum::Display,
    strum::EnumString,
)]
#[repr(i8)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ResourceKind {
    Topic = 2,
    Group = 3,
    Cluster = 4,
    TransactionalId = 5,
    DelegationToken = 6,
    User = 7,
}

/// Kafka's `PatternType`, as far as an ACL can have it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::FromRepr, strum::Display,
)]
#[repr(i8)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Pattern {
    Literal = 3,
    Prefixed = 4,
}

/// Kafka's `AclPermissionType`. Deny wins.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::FromRepr, strum::Display,
)]
#[repr(i8)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Permission {
    Deny = 2,
    Allow = 3,
}

/// Kafka's `AclOperation`, in its spelling.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::FromRepr,
    strum::EnumIter,
    strum::Display,
    strum::EnumString,
)]
#[repr(i8)]
#[strum(ascii_case_insensitive)]
pub enum Operation {
    All = 2,
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
    CreateTokens = 13,
    DescribeTokens = 14,
    TwoPhaseCommit = 15,
}

/// The principal that stands for everybody.
pub const EVERYBODY: &str = "User:*";

/// Any host, or any literal name.
pub const ANY: &str = "*";

/// The only resource of its kind.
pub const CLUSTER: &str = "kafka-cluster";

impl ResourceKind {
    /// What can be done with one, in the order of Kafka's documentation ("Operations and Resources").
    pub fn operations(self) -> &'static [Operation] {
        use Operation::{
            Alter, AlterConfigs, ClusterAction, Create, CreateTokens, Delete, Describe, DescribeConfigs,
            DescribeTokens, IdempotentWrite, Read, TwoPhaseCommit, Write,
        };
        match self {
            Self::Topic => &[
                Read,
                Write,
                Create,
                Delete,
                Alter,
                Describe,
                DescribeConfigs,
                AlterConfigs,
            ],
            Self::Group => &[Read, Delete, Describe, DescribeConfigs, AlterConfigs],
            Self::Cluster => &[
                Create,
                ClusterAction,
                DescribeConfigs,
                AlterConfigs,
                IdempotentWrite,
                Alter,
                Describe,
            ],
            Self::TransactionalId => &[Write, Describe, TwoPhaseCommit],
            Self::DelegationToken => &[Describe],
            Self::User => &[CreateTokens, DescribeTokens],
        }
    }

    /// For a sentence: `transactional id`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Group => "group",
            Self::Cluster => "cluster",
            Self::TransactionalId => "transactional id",
            Self::DelegationToken => "delegation token",
            Self::User => "user",
        }
    }
}

impl Rule {
    /// Whether it speaks of this resource.
    pub fn is_about(&self, kind: ResourceKind, name: &str) -> bool {
        self.resource == kind
            && match self.pattern {
                Pattern::Literal => self.name == name || self.name == ANY,
                Pattern::Prefixed => name.starts_with(&self.name),
            }
    }

    /// Whether it holds for this principal: it names it, or everybody.
    pub fn holds_for(&self, principal: &str) -> bool {
        self.principal == principal || self.principal == EVERYBODY
    }

    /// Whether it holds for requests from this address.
    pub fn holds_from(&self, host: &str) -> bool {
        self.host == host || self.host == ANY
    }

    /// Whether it decides about the operation. What allows reading, writing, deleting or altering also allows describing,
    /// and what allows altering configs allows describing them; what denies, denies only itself (KIP-11, StandardAuthorizer).
    pub fn covers(&self, operation: Operation) -> bool {
        use Operation::{All, Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
        self.operations.iter().any(|own| {
            let implied = match operation {
                Describe => matches!(own, Read | Write | Delete | Alter),
                DescribeConfigs => *own == AlterConfigs,
                _ => false,
            };
            *own == operation || *own == All || (implied && self.permission == Permission::Allow)
        })
    }

    /// `Read,Describe`.
    pub fn operation_list(&self) -> String {
        let names: Vec<String> = self.operations.iter().map(Operation::to_string).collect();
        names.join(",")
    }

    /// `topic prefix orders-`, `group billing`, `cluster`.
    pub fn target(&self) -> String {
        target(self.resource, self.pattern, &self.name)
    }
}

/// `allow User:billing from * to Read,Describe on topic prefix orders-`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} from {} to {} on {}",
            self.permission,
            quoted(&self.principal),
            quoted(&self.host),
            self.operation_list(),
            self.target()
        )
    }
}

/// What a rule is on, as a rule's line ends: `topic prefix orders-`.
pub fn target(kind: ResourceKind, pattern: Pattern, name: &str) -> String {
    match pattern {
        Pattern::Literal if kind == ResourceKind::Cluster && name == CLUSTER => kind.to_string(),
        Pattern::Literal => format!("{kind} {}", quoted(name)),
        Pattern::Prefixed => format!("{kind} prefix {}", quoted(name)),
    }
}

/// A principal as it is written in an ACL: `billing` is a user.
pub fn principal(text: &str) -> String {
    if text.contains(':') {
        text.to_owned()
    } else {
        format!("User:{text}")
    }
}

/// Its user's name, as SCRAM credentials and quotas have it; `None` for a principal that is no user.
pub fn user_of(principal: &str) -> Option<&str> {
    principal.strip_prefix("User:")
}

/// Names with spaces, commas or quotes are double-quoted, so that a line can be read back; so are those that would be taken
/// for a comment or a word of the line.
pub fn quoted(name: &str) -> String {
    let plain = !name.is_empty()
        && !name.starts_with('#')
        && name != "prefix"
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || ",\"\\".contains(c));
    if plain {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(permission: Permission, operations: &[Operation], pattern: Pattern, name: &str) -> Rule {
        Rule {
            resource: ResourceKind::Topic,
            pattern,
            name: name.to_owned(),
            principal: "User:billing".to_owned(),
            host: ANY.to_owned(),
            permission,
            operations: operations.to_vec(),
        }
    }

    #[test]
    fn a_rule_reads_as_a_sentence() {
        use Operation::{Describe, Read};
        let one = rule(Permission::Allow, &[Read, Describe], Pattern::Prefixed, "orders-");
        assert_eq!(
            one.to_string(),
            "allow User:billing from * to Read,Describe on topic prefix orders-"
        );
        let cluster = Rule {
            resource: ResourceKind::Cluster,
            pattern: Pattern::Literal,
            name: CLUSTER.to_owned(),
            principal: "User:CN=a b,O=\"x\"".to_owned(),
            ..one
        };
        assert_eq!(
            cluster.to_string(),
            r#"allow "User:CN=a b,O=\"x\"" from * to Read,Describe on cluster"#
        );
    }

    #[test]
    fn patterns_match_as_kafka_matches_them() {
        let prefix = rule(Permission::Allow, &[Operation::Read], Pattern::Prefixed, "orders-");
        assert!(prefix.is_about(ResourceKind::Topic, "orders-eu") && !prefix.is_about(ResourceKind::Topic, "orders"));
        let all = rule(Permission::Allow, &[Operation::Read], Pattern::Literal, ANY);
        assert!(all.is_about(ResourceKind::Topic, "orders") && !all.is_about(ResourceKind::Group, "orders"));
        let star = rule(Permission::Allow, &[Operation::Read], Pattern::Prefixed, ANY);
        assert!(
            !star.is_about(ResourceKind::Topic, "orders"),
            "a prefixed * is only a star"
        );
    }

    #[test]
    fn allowing_implies_describing_and_denying_does_not() {
        use Operation::{All, AlterConfigs, Describe, DescribeConfigs, Read, Write};
        let allow = |operation| rule(Permission::Allow, &[operation], Pattern::Literal, "orders");
        let deny = |operation| rule(Permission::Deny, &[operation], Pattern::Literal, "orders");
        assert!(allow(Read).covers(Describe) && !deny(Read).covers(Describe));
        assert!(allow(AlterConfigs).covers(DescribeConfigs) && !deny(AlterConfigs).covers(DescribeConfigs));
        assert!(allow(All).covers(Write) && deny(All).covers(Describe) && !allow(Describe).covers(Read));
    }

    #[test]
    fn numbers_are_kafkas() {
        assert_eq!(Operation::from_repr(15), Some(Operation::TwoPhaseCommit));
        assert_eq!(Operation::from_repr(1), None, "ANY is for filters");
        assert_eq!(ResourceKind::from_repr(5), Some(ResourceKind::TransactionalId));
        assert_eq!("describeconfigs".parse(), Ok(Operation::DescribeConfigs));
    }
}
