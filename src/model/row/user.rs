//! One user: how it logs in, what rules name it, which quotas are its own.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Cell;
use crate::model::acl::{self, Permission};
use crate::model::quota::Whom;
use crate::model::snapshot::Snapshot;
use crate::model::user::Credential;
use crate::model::{Moment, Observed};

/// A user that the cluster knows of: it has credentials, or a rule or a quota names it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct UserRow {
    /// `billing`; a principal that is no user in full, such as `Group:ops`; `*` is everybody.
    pub name: String,
    /// `User:billing`.
    pub principal: String,
    /// Its SCRAM credentials; empty when it logs in otherwise, or not at all.
    pub credentials: Cell<Vec<Credential>>,
    /// Rules that name it.
    pub rules: Cell<i64>,
    /// Those among them that deny.
    pub denials: Cell<i64>,
    /// Quotas that name it.
    pub quotas: Cell<i64>,
}

impl UserRow {
    /// In order of name.
    pub fn all(snapshot: &Snapshot, now: Moment) -> Vec<Self> {
        let mut found: BTreeMap<String, Counts> = BTreeMap::new();
        for user in snapshot.users.get().into_iter().flatten() {
            let counts = found.entry(format!("User:{}", user.name)).or_default();
            counts.credentials.clone_from(&user.credentials);
        }
        for rule in snapshot.acls.get().into_iter().flat_map(|acls| &acls.rules) {
            let counts = found.entry(rule.principal.clone()).or_default();
            counts.rules += 1;
            counts.denials += i64::from(rule.permission == Permission::Deny);
        }
        for quota in snapshot.quotas.get().into_iter().flatten() {
            if let Some(Whom::Named(name)) = &quota.entity.user {
                found.entry(format!("User:{name}")).or_default().quotas += 1;
            }
        }
        let row = |(principal, counts): (String, Counts)| Self {
            name: acl::user_of(&principal).unwrap_or(&principal).to_owned(),
            credentials: known(&snapshot.users, now, counts.credentials),
            rules: known(&snapshot.acls, now, counts.rules),
            denials: known(&snapshot.acls, now, counts.denials),
            quotas: known(&snapshot.quotas, now, counts.quotas),
            principal,
        };
        let mut rows: Vec<Self> = found.into_iter().map(row).collect();
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        rows
    }
}

#[derive(Default)]
struct Counts {
    credentials: Vec<Credential>,
    rules: i64,
    denials: i64,
    quotas: i64,
}

fn known<S, T>(section: &Observed<S>, now: Moment, value: T) -> Cell<T> {
    Cell::from(section, now, "", |_| Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Trouble;
    use crate::model::acl::{Acls, Operation, Pattern, ResourceKind, Rule};
    use crate::model::quota::{Entity, Quota};
    use crate::model::user::User;

    #[test]
    fn a_user_is_known_by_its_password_a_rule_or_a_quota() {
        let at = Moment::UNIX_EPOCH;
        let rule = |principal: &str, permission| Rule {
            resource: ResourceKind::Topic,
            pattern: Pattern::Literal,
            name: "orders".to_owned(),
            principal: principal.to_owned(),
            host: "*".to_owned(),
            permission,
            operations: vec![Operation::Read],
        };
        let user = |name: &str| User {
            name: name.to_owned(),
            credentials: vec![Credential {
                mechanism: "SCRAM-SHA-512".to_owned(),
                iterations: 4096,
            }],
        };
        let quota = Quota {
            entity: Entity {
                user: Some(Whom::Named("etl".to_owned())),
                ..Entity::default()
            },
            ..Quota::default()
        };
        let mut snapshot = Snapshot {
            users: Observed::fresh(vec![user("billing")], at),
            acls: Observed::fresh(
                Acls {
                    authorizer: true,
                    rules: vec![
                        rule("User:billing", Permission::Allow),
                        rule("User:ghost", Permission::Deny),
                    ],
                },
                at,
            ),
            quotas: Observed::fresh(vec![quota], at),
            ..Snapshot::default()
        };
        let rows = UserRow::all(&snapshot, at);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.name.as_str(), row.rules.value, row.denials.value, row.quotas.value))
            .collect();
        assert_eq!(
            seen,
            [
                ("billing", Some(1), Some(0), Some(0)),
                ("etl", Some(0), Some(0), Some(1)),
                ("ghost", Some(1), Some(1), Some(0)),
            ]
        );
        assert_eq!(rows[2].credentials.value, Some(Vec::new()));
        snapshot.users = Observed::default();
        snapshot.users.fail(Trouble::Denied, "no right", at);
        let row = &UserRow::all(&snapshot, at)[0];
        assert_eq!(row.credentials.value, None, "not told is not none");
        assert_eq!(row.credentials.reason.as_deref(), Some("denied: no right"));
    }
}
