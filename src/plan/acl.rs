//! Who may do what: the decision of Kafka's StandardAuthorizer (KIP-801), worked out from the rules it was given.
//!
//! Super users may do everything. For all others a rule that denies wins over any that allows; where rules speak of the
//! resource and none allows, the answer is no; where none speaks of it, `allow.everyone.if.no.acl.found` answers. What
//! the cluster does not tell of these two settings is unknown, and then so is what depends on it.

pub mod change;
pub mod effect;
pub mod index;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Snapshot;
use crate::model::acl::{self, Acls, Operation, Permission, ResourceKind, Rule};
use crate::model::config::Config;

/// May this principal do this?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub principal: String,
    pub operation: Operation,
    pub resource: ResourceKind,
    pub name: String,
    /// `None` is any address that no rule names.
    pub host: Option<String>,
}

/// What the brokers' own settings say; `None` where they do not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub super_users: Option<BTreeSet<String>>,
    pub allow_everyone: Option<bool>,
}

/// The answer and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling<'a> {
    /// The cluster has no authorizer.
    NoAuthorizer,
    SuperUser,
    Allowed(&'a Rule),
    Denied(&'a Rule),
    /// Rules speak of the resource, and none allows it.
    NoneAllows,
    /// No rule speaks of the resource: `allow.everyone.if.no.acl.found`, where it is known.
    NoneSpeaks(Option<bool>),
}

/// The answer with all that bears on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'a> {
    pub ruling: Ruling<'a>,
    /// Every rule that speaks of the resource and holds for the principal, whatever its host and operation.
    pub considered: Vec<&'a Rule>,
    /// Addresses that rules name and from which the answer is another one.
    pub differs_from: Vec<String>,
    /// The principal may be a super user: nobody told who is.
    pub super_unknown: bool,
}

const SUPER_USERS: &str = "super.users";
const ALLOW_EVERYONE: &str = "allow.everyone.if.no.acl.found";

impl Settings {
    /// From what the brokers told of their configs. A setting is known when every broker that answered tells the same;
    /// one that is set and hidden, or told differently, is unknown.
    pub fn of(snapshot: &Snapshot) -> Self {
        let brokers: Vec<&Vec<Config>> = snapshot.broker_configs.values().filter_map(|seen| seen.get()).collect();
        let told = |name: &str| {
            let mut values: BTreeSet<Option<Option<&str>>> = BTreeSet::new();
            for configs in &brokers {
                let config = configs.iter().find(|config| config.name == name);
                values.insert(config.map(|config| config.value.as_deref()));
            }
            match values.into_iter().collect::<Vec<_>>().as_slice() {
                // Not set at all: Kafka's default.
                [None] => Some(String::new()),
                [Some(Some(value))] => Some((*value).to_owned()),
                _ => None,
            }
        };
        Self {
            super_users: told(SUPER_USERS).map(|list| {
                let users = list.split(';').map(str::trim).filter(|user| !user.is_empty());
                users.map(str::to_owned).collect()
            }),
            allow_everyone: told(ALLOW_EVERYONE).map(|value| value.eq_ignore_ascii_case("true")),
        }
    }
}

impl Ruling<'_> {
    /// `None` is unknown.
    pub fn allows(&self) -> Option<bool> {
        match self {
            Self::NoAuthorizer | Self::SuperUser | Self::Allowed(_) => Some(true),
            Self::Denied(_) | Self::NoneAllows => Some(false),
            Self::NoneSpeaks(open) => *open,
        }
    }

    pub fn rule(&self) -> Option<&Rule> {
        match self {
            Self::Allowed(rule) | Self::Denied(rule) => Some(rule),
            _ => None,
        }
    }

    /// Why, in a few words.
    pub fn why(&self) -> String {
        match self {
            Self::NoAuthorizer => "the cluster has no authorizer: everybody may do everything".to_owned(),
            Self::SuperUser => "it is in super.users".to_owned(),
            Self::Allowed(rule) | Self::Denied(rule) => rule.to_string(),
            Self::NoneAllows => "rules speak of it and none allows this".to_owned(),
            Self::NoneSpeaks(Some(true)) => {
                "no rule speaks of it, and allow.everyone.if.no.acl.found is true".to_owned()
            }
            Self::NoneSpeaks(Some(false)) => {
                "no rule speaks of it, and allow.everyone.if.no.acl.found is false".to_owned()
            }
            Self::NoneSpeaks(None) => {
                "no rule speaks of it, and the brokers do not tell allow.everyone.if.no.acl.found".to_owned()
            }
        }
    }
}

/// Answers the question from the rules and settings at hand.
pub fn explain<'a>(acls: &'a Acls, settings: &Settings, question: &Question) -> Explanation<'a> {
    let about: Vec<&Rule> = acls
        .rules
        .iter()
        .filter(|rule| rule.is_about(question.resource, &question.name))
        .collect();
    let considered: Vec<&Rule> = about
        .iter()
        .copied()
        .filter(|rule| rule.holds_for(&question.principal))
        .collect();
    let from = |host: Option<&str>| decide(acls, &about, &considered, settings, question, host);
    let ruling = from(question.host.as_deref());
    let differs_from = match question.host {
        Some(_) => Vec::new(),
        None => {
            let named: BTreeMap<&str, ()> = considered.iter().map(|rule| (rule.host.as_str(), ())).collect();
            let others = named.into_keys().filter(|host| *host != acl::ANY);
            others
                .filter(|host| from(Some(host)).allows() != ruling.allows())
                .map(str::to_owned)
                .collect()
        }
    };
    let super_unknown = acls.authorizer && settings.super_users.is_none() && ruling.allows() != Some(true);
    Explanation {
        ruling,
        considered,
        differs_from,
        super_unknown,
    }
}

fn decide<'a>(
    acls: &Acls,
    about: &[&'a Rule],
    considered: &[&'a Rule],
    settings: &Settings,
    question: &Question,
    host: Option<&str>,
) -> Ruling<'a> {
    if !acls.authorizer {
        return Ruling::NoAuthorizer;
    }
    let users = settings.super_users.as_ref();
    if users.is_some_and(|users| users.contains(&question.principal)) {
        return Ruling::SuperUser;
    }
    // Without an address only what holds from everywhere decides.
    let from = |rule: &Rule| host.map_or(rule.host == acl::ANY, |host| rule.holds_from(host));
    let deciding = || {
        let rules = considered.iter().copied();
        rules.filter(|rule| rule.covers(question.operation) && from(rule))
    };
    if let Some(rule) = deciding().find(|rule| rule.permission == Permission::Deny) {
        return Ruling::Denied(rule);
    }
    match deciding().next() {
        Some(rule) => Ruling::Allowed(rule),
        None if about.is_empty() => Ruling::NoneSpeaks(settings.allow_everyone),
        None => Ruling::NoneAllows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::acl::Pattern;
    use crate::model::config::ConfigSource;
    use crate::model::{Moment, Observed};

    fn rule(text: (Permission, &str, &str, Operation), pattern: Pattern, name: &str) -> Rule {
        let (permission, principal, host, operation) = text;
        Rule {
            resource: ResourceKind::Topic,
            pattern,
            name: name.to_owned(),
            principal: principal.to_owned(),
            host: host.to_owned(),
            permission,
            operations: vec![operation],
        }
    }

    fn acls() -> Acls {
        use Operation::{Describe, Read, Write};
        use Permission::{Allow, Deny};
        Acls {
            authorizer: true,
            rules: vec![
                rule((Allow, "User:billing", "*", Read), Pattern::Prefixed, "orders-"),
                rule((Deny, "User:billing", "10.0.0.9", Read), Pattern::Literal, "orders-eu"),
                rule((Allow, "User:*", "*", Describe), Pattern::Literal, "*"),
                rule((Deny, "User:audit", "*", Write), Pattern::Literal, "orders-eu"),
                rule((Allow, "User:audit", "*", Write), Pattern::Prefixed, "orders-"),
                rule((Allow, "User:etl", "10.0.0.7", Write), Pattern::Literal, "raw"),
            ],
        }
    }

    fn closed() -> Settings {
        Settings {
            super_users: Some(["User:root".to_owned()].into()),
            allow_everyone: Some(false),
        }
    }

    fn ask(principal: &str, operation: Operation, name: &str, host: Option<&str>) -> Question {
        Question {
            principal: principal.to_owned(),
            operation,
            resource: ResourceKind::Topic,
            name: name.to_owned(),
            host: host.map(str::to_owned),
        }
    }

    #[test]
    fn deny_wins_and_a_prefix_is_enough_to_allow() {
        use Operation::{Read, Write};
        let acls = acls();
        let answer = |question| explain(&acls, &closed(), &question);
        let billing = answer(ask("User:billing", Read, "orders-us", None));
        assert_eq!(billing.ruling.allows(), Some(true));
        assert_eq!(
            billing.ruling.why(),
            "allow User:billing from * to Read on topic prefix orders-"
        );
        let audit = answer(ask("User:audit", Write, "orders-eu", None));
        assert_eq!(audit.ruling.why(), "deny User:audit from * to Write on topic orders-eu");
        assert_eq!(
            answer(ask("User:root", Write, "orders-eu", None)).ruling,
            Ruling::SuperUser
        );
    }

    #[test]
    fn reading_implies_describing_and_nothing_implies_writing() {
        use Operation::{Describe, Write};
        let acls = acls();
        let answer = |question| explain(&acls, &closed(), &question).ruling.allows();
        assert_eq!(answer(ask("User:nobody", Describe, "x", None)), Some(true));
        assert_eq!(answer(ask("User:billing", Write, "orders-us", None)), Some(false));
    }

    #[test]
    fn an_address_that_rules_name_may_have_another_answer() {
        use Operation::{Read, Write};
        let acls = acls();
        let answer = |question| explain(&acls, &closed(), &question);
        let anywhere = answer(ask("User:billing", Read, "orders-eu", None));
        assert_eq!(anywhere.ruling.allows(), Some(true));
        assert_eq!(anywhere.differs_from, ["10.0.0.9"]);
        let there = answer(ask("User:billing", Read, "orders-eu", Some("10.0.0.9")));
        assert_eq!(there.ruling.allows(), Some(false));
        let etl = answer(ask("User:etl", Write, "raw", None));
        assert_eq!(
            (etl.ruling.allows(), etl.differs_from),
            (Some(false), vec!["10.0.0.7".to_owned()])
        );
    }

    #[test]
    fn what_the_brokers_do_not_tell_stays_unknown() {
        let acls = Acls {
            authorizer: true,
            rules: Vec::new(),
        };
        let question = ask("User:a", Operation::Read, "x", None);
        let unknown = explain(&acls, &Settings::default(), &question);
        assert_eq!(unknown.ruling.allows(), None);
        assert!(unknown.super_unknown);
        let open = Settings {
            allow_everyone: Some(true),
            ..closed()
        };
        assert_eq!(explain(&acls, &open, &question).ruling.allows(), Some(true));
        let none = Acls::default();
        assert_eq!(
            explain(&none, &Settings::default(), &question).ruling,
            Ruling::NoAuthorizer
        );
    }

    #[test]
    fn settings_are_known_when_all_brokers_tell_the_same() {
        let config = |name: &str, value: Option<&str>| Config {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            source: ConfigSource::StaticBroker,
            sensitive: value.is_none(),
            read_only: true,
            documentation: None,
            synonyms: Vec::new(),
        };
        let seen = |configs: [Vec<Config>; 2]| {
            let mut snapshot = Snapshot::default();
            for (id, configs) in (1..).zip(configs) {
                let configs = Observed::fresh(configs, Moment::UNIX_EPOCH);
                snapshot.broker_configs.insert(id, configs);
            }
            Settings::of(&snapshot)
        };
        let same = vec![config(SUPER_USERS, Some("User:a; User:CN=b,O=c"))];
        let known = seen([same.clone(), same.clone()]);
        assert_eq!(
            known.super_users,
            Some(["User:a".to_owned(), "User:CN=b,O=c".to_owned()].into())
        );
        assert_eq!(known.allow_everyone, Some(false), "not set is Kafka's default");
        assert_eq!(seen([same, vec![config(SUPER_USERS, None)]]).super_users, None);
        assert_eq!(Settings::of(&Snapshot::default()), Settings::default());
    }
}
