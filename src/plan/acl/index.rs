//! Rules by what they speak of, so that who may do what is answered without looking at all of them.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::Settings;
use crate::model::acl::{self, Acls, Operation, Pattern, Permission, ResourceKind, Rule};

/// The decisions of [`super::explain`] for many questions over the same rules.
pub struct Index<'a> {
    authorizer: bool,
    settings: &'a Settings,
    own: HashMap<(&'a str, Key<'a>), Vec<&'a Rule>>,
    spoken: HashSet<Key<'a>>,
    /// How long prefixes are, by kind.
    lengths: HashMap<ResourceKind, BTreeSet<usize>>,
    looked: Cell<u64>,
}

type Key<'a> = (ResourceKind, Pattern, &'a str);

impl<'a> Index<'a> {
    pub fn new(acls: &'a Acls, settings: &'a Settings) -> Self {
        let mut index = Self {
            authorizer: acls.authorizer,
            settings,
            own: HashMap::new(),
            spoken: HashSet::new(),
            lengths: HashMap::new(),
            looked: Cell::new(0),
        };
        for rule in &acls.rules {
            let key = (rule.resource, rule.pattern, rule.name.as_str());
            index.own.entry((&rule.principal, key)).or_default().push(rule);
            index.spoken.insert(key);
            if rule.pattern == Pattern::Prefixed {
                index.lengths.entry(rule.resource).or_default().insert(rule.name.len());
            }
        }
        index
    }

    /// Whether it may; `None` is not known. Without a host only what holds from everywhere decides.
    pub fn allows(
        &self,
        principal: &str,
        operation: Operation,
        kind: ResourceKind,
        name: &str,
        host: Option<&str>,
    ) -> Option<bool> {
        if !self.authorizer {
            return Some(true);
        }
        if self
            .settings
            .super_users
            .as_ref()
            .is_some_and(|users| users.contains(principal))
        {
            return Some(true);
        }
        let from = |rule: &Rule| host.map_or(rule.host == acl::ANY, |host| rule.holds_from(host));
        let (mut allowed, mut spoken) = (false, false);
        let principals: &[&str] = match principal {
            acl::EVERYBODY => &[acl::EVERYBODY],
            _ => &[principal, acl::EVERYBODY],
        };
        for key in self.keys(kind, name) {
            self.looked.set(self.looked.get() + 1);
            if !self.spoken.contains(&key) {
                continue;
            }
            spoken = true;
            for who in principals {
                for rule in self.own.get(&(*who, key)).into_iter().flatten() {
                    self.looked.set(self.looked.get() + 1);
                    if !rule.covers(operation) || !from(rule) {
                        continue;
                    }
                    match rule.permission {
                        Permission::Deny => return Some(false),
                        Permission::Allow => allowed = true,
                    }
                }
            }
        }
        match (allowed, spoken) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => self.settings.allow_everyone,
        }
    }

    /// Under which keys rules lie that are about this resource.
    fn keys<'b>(&'b self, kind: ResourceKind, name: &'b str) -> impl Iterator<Item = Key<'b>> {
        let lengths = self.lengths.get(&kind).into_iter().flatten();
        let prefixes = lengths.take_while(|length| **length <= name.len());
        let prefixes = prefixes.filter_map(move |length| Some((kind, Pattern::Prefixed, name.get(..*length)?)));
        let any = (name != acl::ANY).then_some((kind, Pattern::Literal, acl::ANY));
        [(kind, Pattern::Literal, name)].into_iter().chain(any).chain(prefixes)
    }

    /// How many rules and places were looked at so far.
    pub fn looked(&self) -> u64 {
        self.looked.get()
    }
}
