//! Access control lists (KIP-11, KIP-290): who may do what on which resource, indexed by the question that requests ask.
//!
//! An ACL names its resource by a literal name (`*` stands for every resource of the type) or by a prefix.
//! [`Acls::matching`] finds those of one resource without looking at the others; what they say is decided in `auth`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The literal name that stands for every resource of a type, and the host that stands for every host.
pub const WILDCARD: &str = "*";
/// The principal that stands for everybody.
pub const EVERYBODY: &str = "User:*";
/// The one valid name of the cluster.
pub const CLUSTER_NAME: &str = "kafka-cluster";

/// Declares an enum with the codes of the protocol and the names of Kafka's tools. `ANY` (1) and `UNKNOWN` (0) are not
/// among the values: an ACL has neither.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $code:literal $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name { $($variant = $code),+ }

        impl $name {
            pub fn from_code(code: i8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }

            pub fn code(self) -> i8 {
                self as i8
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),+ })
            }
        }
    };
}

coded! {
    /// What is done (Kafka's `AclOperation`).
    Operation {
        All = 2 "ALL",
        Read = 3 "READ",
        Write = 4 "WRITE",
        Create = 5 "CREATE",
        Delete = 6 "DELETE",
        Alter = 7 "ALTER",
        Describe = 8 "DESCRIBE",
        ClusterAction = 9 "CLUSTER_ACTION",
        DescribeConfigs = 10 "DESCRIBE_CONFIGS",
        AlterConfigs = 11 "ALTER_CONFIGS",
        IdempotentWrite = 12 "IDEMPOTENT_WRITE",
        CreateTokens = 13 "CREATE_TOKENS",
        DescribeTokens = 14 "DESCRIBE_TOKENS",
        TwoPhaseCommit = 15 "TWO_PHASE_COMMIT",
    }
}

coded! {
    /// What it is done to (Kafka's `ResourceType`).
    Kind {
        Topic = 2 "TOPIC",
        Group = 3 "GROUP",
        Cluster = 4 "CLUSTER",
        TransactionalId = 5 "TRANSACTIONAL_ID",
        DelegationToken = 6 "DELEGATION_TOKEN",
        User = 7 "USER",
    }
}

coded! {
    /// How an ACL's name is meant (Kafka's `PatternType`).
    Pattern {
        Literal = 3 "LITERAL",
        Prefixed = 4 "PREFIXED",
    }
}

coded! {
    /// What an ACL says (Kafka's `AclPermissionType`).
    Permission {
        Deny = 2 "DENY",
        Allow = 3 "ALLOW",
    }
}

/// One access control entry on one resource pattern: Kafka's `AclBinding`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Acl {
    pub kind: Kind,
    pub name: String,
    pub pattern: Pattern,
    /// `Type:name`; [`EVERYBODY`] is every principal of any type.
    pub principal: String,
    /// An IP address, or [`WILDCARD`].
    pub host: String,
    pub operation: Operation,
    pub permission: Permission,
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            name,
            pattern,
            principal,
            host,
            operation,
            permission,
        } = self;
        write!(
            f,
            "{permission} {operation} to {principal} from {host} on {kind} {pattern} {name}"
        )
    }
}

/// An ACL in the index.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: Uuid,
    pub acl: Arc<Acl>,
    host: Host,
}

/// The host of an ACL, read once.
#[derive(Debug, Clone)]
enum Host {
    Any,
    Address(IpAddr),
    /// A name: Kafka compares hosts with addresses, so it never matches.
    Name,
}

impl Entry {
    fn new(id: Uuid, acl: Acl) -> Self {
        let host = match acl.host.as_str() {
            WILDCARD => Host::Any,
            text => text
                .parse()
                .map_or(Host::Name, |address: IpAddr| Host::Address(address.to_canonical())),
        };
        Self {
            id,
            acl: Arc::new(acl),
            host,
        }
    }

    /// Whether it is about the principal `kind:name`, coming from `host`.
    pub fn is_about(&self, kind: &str, name: &str, host: IpAddr) -> bool {
        let named = self.acl.principal.strip_prefix(kind);
        let named = named.and_then(|rest| rest.strip_prefix(':')) == Some(name);
        let from = match &self.host {
            Host::Any => true,
            Host::Address(address) => *address == host.to_canonical(),
            Host::Name => false,
        };
        from && (named || self.acl.principal == EVERYBODY)
    }
}

/// ACLs by name.
type ByName = BTreeMap<Arc<str>, Vec<Entry>>;

/// The ACLs of one type of resource.
#[derive(Debug, Clone, Default)]
struct Patterns {
    literal: ByName,
    prefixed: ByName,
}

/// All ACLs of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Acls {
    by_id: BTreeMap<Uuid, Arc<Acl>>,
    by_kind: BTreeMap<Kind, Patterns>,
}

impl Acls {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Uuid, &Acl)> {
        self.by_id.iter().map(|(id, acl)| (*id, &**acl))
    }

    /// Adds an ACL, or replaces the one with this id.
    pub fn insert(&mut self, id: Uuid, acl: Acl) {
        self.remove(id);
        let entry = Entry::new(id, acl);
        self.by_id.insert(id, Arc::clone(&entry.acl));
        let patterns = self.by_kind.entry(entry.acl.kind).or_default();
        let names = patterns.of_mut(entry.acl.pattern);
        match names.get_mut(entry.acl.name.as_str()) {
            Some(entries) => entries.push(entry),
            None => {
                names.insert(entry.acl.name.as_str().into(), vec![entry]);
            }
        }
    }

    pub fn remove(&mut self, id: Uuid) {
        let Some(acl) = self.by_id.remove(&id) else { return };
        let Some(patterns) = self.by_kind.get_mut(&acl.kind) else {
            return;
        };
        let names = patterns.of_mut(acl.pattern);
        if let Some(entries) = names.get_mut(acl.name.as_str()) {
            entries.retain(|entry| entry.id != id);
            if entries.is_empty() {
                names.remove(acl.name.as_str());
            }
        }
    }

    pub fn contains(&self, acl: &Acl) -> bool {
        let patterns = self.by_kind.get(&acl.kind);
        let entries = patterns.and_then(|patterns| patterns.of(acl.pattern).get(acl.name.as_str()));
        entries.is_some_and(|entries| entries.iter().any(|entry| *entry.acl == *acl))
    }

    /// The ACLs whose pattern matches this resource: its name, a prefix of its name, or `*`. In no order.
    pub fn matching<'a, 'n>(&'a self, kind: Kind, name: &'n str) -> impl Iterator<Item = &'a Entry> + use<'a, 'n> {
        let patterns = self.by_kind.get(&kind).into_iter();
        patterns.flat_map(move |patterns| {
            let literal = patterns.literal.get(name);
            let wildcard = patterns.literal.get(WILDCARD).filter(|_| name != WILDCARD);
            let entries = literal.into_iter().chain(wildcard);
            entries.chain(prefixes(&patterns.prefixed, name)).flatten()
        })
    }

    /// All ACLs on resources of one type.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        let patterns = self.by_kind.get(&kind).into_iter();
        patterns.flat_map(|patterns| patterns.literal.values().chain(patterns.prefixed.values()).flatten())
    }
}

impl Patterns {
    fn of(&self, pattern: Pattern) -> &ByName {
        match pattern {
            Pattern::Literal => &self.literal,
            Pattern::Prefixed => &self.prefixed,
        }
    }

    fn of_mut(&mut self, pattern: Pattern) -> &mut ByName {
        match pattern {
            Pattern::Literal => &mut self.literal,
            Pattern::Prefixed => &mut self.prefixed,
        }
    }
}

/// The entries of `names` that are prefixes of `name`, longest first.
///
/// The greatest key up to `name` either is a prefix, or shares only its beginning with `name`: then no longer prefix
/// is in the map, since it would lie between the two, and the search goes on at that beginning.
fn prefixes<'a, 'n>(names: &'a ByName, name: &'n str) -> impl Iterator<Item = &'a Vec<Entry>> + use<'a, 'n> {
    let mut up_to = Bound::Included(name);
    std::iter::from_fn(move || {
        loop {
            let (key, entries) = names.range::<str, _>((Bound::Unbounded, up_to)).next_back()?;
            if name.starts_with(&**key) {
                up_to = Bound::Excluded(&name[..key.len()]);
                return Some(entries);
            }
            let shared = name.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
            up_to = Bound::Included(&name[..name.floor_char_boundary(shared)]);
        }
    })
}

/// Which ACLs are meant (Kafka's `AclBindingFilter`); `None` is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub kind: Option<Kind>,
    pub name: Option<String>,
    pub pattern: PatternFilter,
    pub principal: Option<String>,
    pub host: Option<String>,
    pub operation: Option<Operation>,
    pub permission: Option<Permission>,
}

/// How a filter's name is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternFilter {
    /// Patterns of any type with exactly this name.
    Any,
    /// Patterns that match the resource of this name.
    Match,
    Only(Pattern),
}

/// The code of `ANY` in filters.
const ANY: i8 = 1;
/// The code of `PatternType.MATCH`.
const MATCH: i8 = 2;

impl Filter {
    /// From the codes of a request: resource type, pattern type, operation and permission.
    ///
    /// # Errors
    /// A sentence that names the code that means nothing.
    pub fn from_codes(kind: i8, pattern: i8, operation: i8, permission: i8) -> Result<Self, String> {
        Ok(Self {
            kind: any_or(kind, "resource type", Kind::from_code)?,
            name: None,
            pattern: match pattern {
                ANY => PatternFilter::Any,
                MATCH => PatternFilter::Match,
                code => {
                    let only = Pattern::from_code(code).ok_or_else(|| unknown("pattern type", code))?;
                    PatternFilter::Only(only)
                }
            },
            principal: None,
            host: None,
            operation: any_or(operation, "operation", Operation::from_code)?,
            permission: any_or(permission, "permission type", Permission::from_code)?,
        })
    }

    pub fn holds(&self, acl: &Acl) -> bool {
        fn same<T: PartialEq + ?Sized>(wanted: Option<&T>, value: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == value)
        }
        same(self.kind.as_ref(), &acl.kind)
            && self.holds_pattern(acl)
            && same(self.principal.as_deref(), &acl.principal)
            && same(self.host.as_deref(), &acl.host)
            && same(self.operation.as_ref(), &acl.operation)
            && same(self.permission.as_ref(), &acl.permission)
    }

    fn holds_pattern(&self, acl: &Acl) -> bool {
        if let PatternFilter::Only(pattern) = self.pattern
            && pattern != acl.pattern
        {
            return false;
        }
        let Some(name) = &self.name else { return true };
        match (self.pattern, acl.pattern) {
            (PatternFilter::Match, Pattern::Literal) => *name == acl.name || acl.name == WILDCARD,
            (PatternFilter::Match, Pattern::Prefixed) => name.starts_with(&acl.name),
            _ => *name == acl.name,
        }
    }
}

fn any_or<T>(code: i8, what: &str, value: impl Fn(i8) -> Option<T>) -> Result<Option<T>, String> {
    match code {
        ANY => Ok(None),
        code => value(code).map(Some).ok_or_else(|| unknown(what, code)),
    }
}

fn unknown(what: &str, code: i8) -> String {
    format!("The filter has an unknown {what}, {code}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(name: &str, pattern: Pattern) -> Acl {
        Acl {
            kind: Kind::Topic,
            name: name.to_owned(),
            pattern,
            principal: "User:alice".to_owned(),
            host: WILDCARD.to_owned(),
            operation: Operation::Read,
            permission: Permission::Allow,
        }
    }

    fn acls(patterns: &[(&str, Pattern)]) -> Acls {
        let mut acls = Acls::default();
        for (id, (name, pattern)) in (1..).zip(patterns) {
            acls.insert(Uuid::from_u128(id), acl(name, *pattern));
        }
        acls
    }

    fn found(acls: &Acls, name: &str) -> Vec<String> {
        let mut found: Vec<String> = acls
            .matching(Kind::Topic, name)
            .map(|entry| {
                format!(
                    "{}{}",
                    entry.acl.name,
                    if entry.acl.pattern == Pattern::Prefixed {
                        "…"
                    } else {
                        ""
                    }
                )
            })
            .collect();
        found.sort();
        found
    }

    use Pattern::{Literal, Prefixed};

    #[test]
    fn a_name_is_matched_literally_by_prefix_and_by_the_wildcard() {
        let acls = acls(&[
            ("gar", Prefixed),
            ("foobar", Prefixed),
            ("foob", Literal),
            ("foo", Prefixed),
            ("fb", Prefixed),
            ("fa", Prefixed),
            ("f", Prefixed),
            ("eeee", Literal),
            ("*", Literal),
            ("foobar", Literal),
        ]);
        assert_eq!(found(&acls, "foobar"), ["*", "foobar", "foobar…", "foo…", "f…"]);
        assert_eq!(found(&acls, "foob"), ["*", "foob", "foo…", "f…"]);
        assert_eq!(found(&acls, "eeee"), ["*", "eeee"]);
        assert_eq!(found(&acls, "zzz"), ["*"]);
        assert_eq!(acls.matching(Kind::Group, "foobar").count(), 0, "types are apart");
    }

    #[test]
    fn a_prefix_of_star_is_no_wildcard() {
        let acls = acls(&[("*", Prefixed)]);
        assert!(found(&acls, "orders").is_empty());
        assert_eq!(found(&acls, "*orders"), ["*…"]);
    }

    #[test]
    fn prefixes_end_between_characters() {
        let acls = acls(&[("ä", Prefixed), ("äö", Prefixed), ("äu", Prefixed), ("å", Prefixed)]);
        assert_eq!(found(&acls, "äüx"), ["ä…"]);
        assert_eq!(found(&acls, "äöx"), ["äö…", "ä…"]);
    }

    proptest::proptest! {
        #[test]
        fn the_index_finds_what_looking_at_all_finds(names in proptest::collection::vec("[ab]{1,4}", 0..12), name in "[ab]{1,5}") {
            let patterns: Vec<_> = names.iter().enumerate()
                .map(|(at, name)| (name.as_str(), if at % 3 == 0 { Literal } else { Prefixed }))
                .collect();
            let acls = acls(&patterns);
            let filter = Filter {
                name: Some(name.clone()),
                pattern: PatternFilter::Match,
                ..Filter::from_codes(2, MATCH, ANY, ANY).unwrap()
            };
            let expected = acls.iter().filter(|(_, acl)| filter.holds(acl)).count();
            proptest::prop_assert_eq!(acls.matching(Kind::Topic, &name).count(), expected);
        }
    }

    #[test]
    fn what_is_removed_is_found_no_more() {
        let mut acls = acls(&[("a", Literal), ("a", Prefixed)]);
        assert!(acls.contains(&acl("a", Literal)));
        acls.remove(Uuid::from_u128(1));
        acls.remove(Uuid::from_u128(9));
        assert!(!acls.contains(&acl("a", Literal)));
        assert_eq!((acls.len(), found(&acls, "a")), (1, vec!["a…".to_owned()]));
        acls.remove(Uuid::from_u128(2));
        assert!(acls.is_empty() && found(&acls, "a").is_empty());
    }

    #[test]
    fn an_address_is_one_however_it_is_written() {
        let from = |host: &str, client: &str| {
            let acl = Acl {
                host: host.to_owned(),
                ..acl("t", Literal)
            };
            Entry::new(Uuid::nil(), acl).is_about("User", "alice", client.parse().unwrap())
        };
        assert!(from("*", "10.0.0.1"));
        assert!(from("10.0.0.1", "::ffff:10.0.0.1"));
        assert!(from("0:0:0:0:0:0:0:1", "::1"), "as Java writes it");
        assert!(!from("10.0.0.1", "10.0.0.2"));
        assert!(!from("localhost", "127.0.0.1"), "names are not resolved");
    }

    #[test]
    fn a_principal_is_compared_whole_and_everybody_is_everybody() {
        let about = |principal: &str, kind: &str, name: &str| {
            let acl = Acl {
                principal: principal.to_owned(),
                ..acl("t", Literal)
            };
            Entry::new(Uuid::nil(), acl).is_about(kind, name, IpAddr::from([127, 0, 0, 1]))
        };
        assert!(about("User:CN=a,O=b", "User", "CN=a,O=b"));
        assert!(about("User:a:b", "User", "a:b"));
        assert!(about("User:*", "Service", "x"), "whatever its type");
        assert!(!about("Service:*", "Service", "x"), "only User:* stands for all");
        assert!(!about("User:alic", "User", "alice"));
        assert!(!about("User:alice", "Service", "alice"));
    }

    #[test]
    fn filters_mean_what_kafkas_mean() {
        let holds = |name: Option<&str>, pattern: PatternFilter, acl_name: &str, acl_pattern: Pattern| {
            let filter = Filter {
                name: name.map(str::to_owned),
                pattern,
                ..Filter::from_codes(ANY, ANY, ANY, ANY).unwrap()
            };
            filter.holds(&acl(acl_name, acl_pattern))
        };
        assert!(holds(None, PatternFilter::Any, "x", Prefixed));
        assert!(holds(Some("foo"), PatternFilter::Any, "foo", Prefixed));
        assert!(!holds(Some("foobar"), PatternFilter::Any, "foo", Prefixed));
        assert!(holds(Some("foobar"), PatternFilter::Match, "foo", Prefixed));
        assert!(holds(Some("foobar"), PatternFilter::Match, "*", Literal));
        assert!(!holds(Some("foobar"), PatternFilter::Match, "foo", Literal));
        assert!(!holds(Some("foobar"), PatternFilter::Only(Literal), "*", Literal));
        assert!(!holds(None, PatternFilter::Only(Literal), "foo", Prefixed));
        let error = Filter::from_codes(2, 3, 0, 1).unwrap_err();
        assert_eq!(error, "The filter has an unknown operation, 0.");
    }
}
