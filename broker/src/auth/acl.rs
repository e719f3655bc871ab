//! The rules of Kafka's StandardAuthorizer (KIP-801): who may do what, given the ACLs.
//!
//! Super users may do everything. For all others an ACL that denies wins over any that allows; where ACLs name the
//! resource and none allows, the answer is no; where none names it, `allow.everyone.if.no.acl.found` answers.
//! Deciding is pure; [`Authorizer::report`] says in the log what was denied.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Instant;

use super::Principal;
use super::denial::{Denials, Report};
use crate::image::acl::{Acl, Acls, CLUSTER_NAME, Entry, Kind, Operation, Pattern, Permission, WILDCARD};
use crate::image::property::Config;
use crate::wire::ErrorCode;

/// A node's authorizer: `authorizer.class.name`, `super.users`, `allow.everyone.if.no.acl.found`.
#[derive(Debug, Default)]
pub struct Authorizer {
    super_users: HashSet<Principal>,
    /// Whether what no ACL names is open to everybody.
    open: bool,
    denials: Denials,
}

/// Who asks, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    pub principal: &'a Principal,
    pub host: IpAddr,
}

/// A resource, by its type and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object<'a> {
    Topic(&'a str),
    Group(&'a str),
    Cluster,
    TransactionalId(&'a str),
    /// A delegation token, by its id.
    DelegationToken(&'a str),
    /// A principal whose tokens are made or read (KIP-373).
    User(&'a str),
}

/// The answer, and which rule gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling<'a> {
    SuperUser,
    Allowed(&'a Acl),
    Denied(&'a Acl),
    /// ACLs name the resource, and none of them allows it.
    NoneAllows,
    /// No ACL names the resource.
    NoneNames {
        open: bool,
    },
}

impl Object<'_> {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Topic(_) => Kind::Topic,
            Self::Group(_) => Kind::Group,
            Self::Cluster => Kind::Cluster,
            Self::TransactionalId(_) => Kind::TransactionalId,
            Self::DelegationToken(_) => Kind::DelegationToken,
            Self::User(_) => Kind::User,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Cluster => CLUSTER_NAME,
            Self::Topic(name)
            | Self::Group(name)
            | Self::TransactionalId(name)
            | Self::DelegationToken(name)
            | Self::User(name) => name,
        }
    }

    /// The error that says that something on it was denied.
    pub fn refusal(&self) -> ErrorCode {
        match self {
            Self::Topic(_) => ErrorCode::TopicAuthorizationFailed,
            Self::Group(_) => ErrorCode::GroupAuthorizationFailed,
            Self::Cluster => ErrorCode::ClusterAuthorizationFailed,
            Self::TransactionalId(_) => ErrorCode::TransactionalIdAuthorizationFailed,
            Self::DelegationToken(_) | Self::User(_) => ErrorCode::DelegationTokenAuthorizationFailed,
        }
    }

    /// The operations there are on it, as Kafka's tools show them.
    fn operations(&self) -> &'static [Operation] {
        use Operation::{
            Alter, AlterConfigs, ClusterAction, Create, CreateTokens, Delete, Describe, DescribeConfigs,
            DescribeTokens, IdempotentWrite, Read, TwoPhaseCommit, Write,
        };
        match self {
            Self::Topic(_) => &[
                Read,
                Write,
                Create,
                Describe,
                Delete,
                Alter,
                DescribeConfigs,
                AlterConfigs,
            ],
            Self::Group(_) => &[Read, Describe, Delete, DescribeConfigs, AlterConfigs],
            Self::Cluster => &[
                Create,
                ClusterAction,
                DescribeConfigs,
                AlterConfigs,
                IdempotentWrite,
                Alter,
                Describe,
            ],
            Self::TransactionalId(_) => &[Describe, Write, TwoPhaseCommit],
            Self::DelegationToken(_) => &[Describe],
            Self::User(_) => &[CreateTokens, DescribeTokens],
        }
    }
}

impl Ruling<'_> {
    pub fn allows(&self) -> bool {
        match self {
            Self::SuperUser | Self::Allowed(_) => true,
            Self::Denied(_) | Self::NoneAllows => false,
            Self::NoneNames { open } => *open,
        }
    }
}

impl std::fmt::Display for Ruling<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SuperUser => f.write_str("it is in super.users"),
            Self::Allowed(acl) | Self::Denied(acl) => write!(f, "the ACL says {acl}"),
            Self::NoneAllows => f.write_str("ACLs name it and none allows it"),
            Self::NoneNames { .. } => f.write_str("no ACL names it"),
        }
    }
}

impl Authorizer {
    /// The authorizer that a node's properties ask for; `None` lets every client do everything.
    pub fn of(config: &Config) -> Option<Self> {
        let users = config.super_users().into_iter();
        config.has_authorizer().then(|| Self {
            super_users: users.map(|(kind, name)| Principal { kind, name }).collect(),
            open: config.boolean("allow.everyone.if.no.acl.found"),
            denials: Denials::default(),
        })
    }

    /// Whether `who` may do it, and why.
    pub fn decide<'a>(&self, acls: &'a Acls, who: Who<'_>, operation: Operation, object: Object<'_>) -> Ruling<'a> {
        if self.super_users.contains(who.principal) {
            return Ruling::SuperUser;
        }
        let mut named = false;
        let mut allowed = None;
        let (kind, name) = (object.kind(), object.name());
        for entry in acls.matching(kind, name) {
            named = true;
            if !(is_about(entry, who) && covers(&entry.acl, operation)) {
                continue;
            }
            match entry.acl.permission {
                Permission::Deny => return Ruling::Denied(&entry.acl),
                Permission::Allow => allowed = Some(&entry.acl),
            }
        }
        match allowed {
            Some(acl) => Ruling::Allowed(acl),
            None if named => Ruling::NoneAllows,
            None => Ruling::NoneNames { open: self.open },
        }
    }

    /// Whether `who` may do it on at least one resource of the type (KIP-679). As in Kafka, operations that imply another
    /// do not count here.
    pub fn decide_for_any(&self, acls: &Acls, who: Who<'_>, operation: Operation, kind: Kind) -> bool {
        // A name that is nobody's: right for super users, wildcards and where there are no ACLs.
        let any = match kind {
            Kind::Topic => Object::Topic("hardcode"),
            Kind::Group => Object::Group("hardcode"),
            Kind::Cluster => Object::Cluster,
            Kind::TransactionalId => Object::TransactionalId("hardcode"),
            Kind::DelegationToken => Object::DelegationToken("hardcode"),
            Kind::User => Object::User("hardcode"),
        };
        if self.decide(acls, who, operation, any).allows() {
            return true;
        }
        let mut denied: HashSet<(Pattern, &str)> = HashSet::new();
        let mut allowed: Vec<&Acl> = Vec::new();
        let relevant = acls.of_kind(kind).filter(|entry| is_about(entry, who));
        for acl in relevant.map(|entry| &*entry.acl) {
            if acl.operation != operation && acl.operation != Operation::All {
                continue;
            }
            match acl.permission {
                Permission::Allow => allowed.push(acl),
                Permission::Deny => {
                    denied.insert((acl.pattern, acl.name.as_str()));
                }
            }
        }
        if denied.contains(&(Pattern::Literal, WILDCARD)) {
            return false;
        }
        allowed.iter().any(|acl| {
            let wildcard = acl.pattern == Pattern::Literal && acl.name == WILDCARD;
            wildcard || !is_dominated(acl, &denied)
        })
    }

    /// The operations that `who` may do on it, as the bits of KIP-430.
    pub fn operations(&self, acls: &Acls, who: Who<'_>, object: Object<'_>) -> i32 {
        let allowed = |operation: &&Operation| self.decide(acls, who, **operation, object).allows();
        bits(object.operations().iter().filter(allowed))
    }

    /// Says in the log that something was denied: at once for the first request of a principal on a resource, then now
    /// and then with a count. `api` is what it asked for.
    pub fn report(&self, who: Who<'_>, operation: Operation, object: Object<'_>, api: &str, ruling: &Ruling<'_>) {
        let Who { principal, host } = who;
        let (kind, name) = (object.kind(), object.name());
        match self.denials.note(principal, kind, name, Instant::now()) {
            Report::Silent => {}
            Report::First => {
                tracing::info!("{principal} from {host} is denied {operation} on {kind} {name} for {api}: {ruling}");
            }
            Report::Again { since } => tracing::info!(
                "{principal} from {host} is denied {operation} on {kind} {name} for {api}: {ruling}; denied there {since} more times since it was last said"
            ),
            Report::Full { unsaid } => tracing::info!(
                "{unsaid} more denials of other principals or resources are not listed, the last is {principal} from {host}, {operation} on {kind} {name}"
            ),
        }
    }
}

/// The bits of every operation there is on it: what a client may do where there is no authorizer.
pub fn every_operation(object: Object<'_>) -> i32 {
    bits(object.operations().iter())
}

fn bits<'a>(operations: impl Iterator<Item = &'a Operation>) -> i32 {
    operations.fold(0, |bits, operation| bits | 1 << operation.code())
}

fn is_about(entry: &Entry, who: Who<'_>) -> bool {
    entry.is_about(&who.principal.kind, &who.principal.name, who.host)
}

/// Whether an ACL is about the operation. What allows reading, writing, deleting or altering also allows describing, and
/// what allows altering configs allows describing them; what denies denies only itself.
fn covers(acl: &Acl, operation: Operation) -> bool {
    use Operation::{All, Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
    let implied = match operation {
        Describe => matches!(acl.operation, Read | Write | Delete | Alter),
        DescribeConfigs => acl.operation == AlterConfigs,
        _ => false,
    };
    acl.operation == operation || acl.operation == All || (implied && acl.permission == Permission::Allow)
}

/// Whether what is allowed is denied as a whole, by the same literal or by a prefix of it.
fn is_dominated(acl: &Acl, denied: &HashSet<(Pattern, &str)>) -> bool {
    let name = acl.name.as_str();
    if acl.pattern == Pattern::Literal && denied.contains(&(Pattern::Literal, name)) {
        return true;
    }
    let ends = name.char_indices().map(|(at, char)| at + char.len_utf8());
    ends.into_iter()
        .any(|end| denied.contains(&(Pattern::Prefixed, &name[..end])))
}

#[cfg(test)]
mod tests;
