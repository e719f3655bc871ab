//! Which quota is in force for a user and a client id: the most specific one, in the order of Kafka's quota callback.

use std::collections::HashMap;

use crate::image::quota::{QuotaEntity, QuotaName, Quotas};

/// The values of one key, by whom they are for.
#[derive(Debug, Default)]
pub(super) struct Levels {
    users: HashMap<String, User>,
    /// Users without an entry of their own.
    everybody: User,
    /// Whoever the user is.
    clients: Clients,
}

#[derive(Debug, Default)]
struct User {
    own: Option<f64>,
    clients: Clients,
}

#[derive(Debug, Default)]
struct Clients {
    any: Option<f64>,
    named: HashMap<String, f64>,
}

/// Whose use is added up and held against one bound.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Together {
    pub user: Option<Box<str>>,
    pub client_id: Option<Box<str>>,
}

impl Levels {
    /// The values of `key`.
    pub fn of(quotas: &Quotas, key: &str) -> Self {
        let mut levels = Self::default();
        for (entity, values) in quotas {
            if let Some(value) = values.get(key) {
                levels.add(entity, *value);
            }
        }
        levels
    }

    fn add(&mut self, entity: &QuotaEntity, value: f64) {
        let user = match &entity.user {
            None => {
                if let Some(client) = &entity.client_id {
                    self.clients.set(client, value);
                }
                return;
            }
            Some(QuotaName::Default) => &mut self.everybody,
            Some(QuotaName::Named(name)) => self.users.entry(name.clone()).or_default(),
        };
        match &entity.client_id {
            None => user.own = Some(value),
            Some(client) => user.clients.set(client, value),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.everybody.is_empty() && self.clients.is_empty()
    }

    /// The bound in force, and who shares it. `None` is no quota.
    ///
    /// In this order: user and client id; user, any client id; user; any user and client id; any user, any client id;
    /// any user; client id; any client id. A default gives everyone a quota of their own, not one for all of them.
    pub fn resolve(&self, user: &str, client_id: &str) -> Option<(f64, Together)> {
        let both = |bound| (bound, Together::of(Some(user), Some(client_id)));
        let whole_user = |bound| (bound, Together::of(Some(user), None));
        let of_user = |levels: &User| {
            let by_client = levels.clients.get(client_id).map(both);
            by_client.or_else(|| levels.own.map(whole_user))
        };
        self.users
            .get(user)
            .and_then(of_user)
            .or_else(|| of_user(&self.everybody))
            .or_else(|| {
                let bound = self.clients.get(client_id)?;
                Some((bound, Together::of(None, Some(client_id))))
            })
    }
}

impl User {
    fn is_empty(&self) -> bool {
        self.own.is_none() && self.clients.is_empty()
    }
}

impl Clients {
    fn set(&mut self, name: &QuotaName, value: f64) {
        match name {
            QuotaName::Default => self.any = Some(value),
            QuotaName::Named(name) => {
                self.named.insert(name.clone(), value);
            }
        }
    }

    fn get(&self, client_id: &str) -> Option<f64> {
        self.named.get(client_id).copied().or(self.any)
    }

    fn is_empty(&self) -> bool {
        self.any.is_none() && self.named.is_empty()
    }
}

impl Together {
    fn of(user: Option<&str>, client_id: Option<&str>) -> Self {
        Self {
            user: user.map(Into::into),
            client_id: client_id.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "producer_byte_rate";

    fn entity(user: Option<Option<&str>>, client_id: Option<Option<&str>>) -> QuotaEntity {
        QuotaEntity {
            user: user.map(QuotaName::new),
            client_id: client_id.map(QuotaName::new),
            ip: None,
        }
    }

    /// Kafka's eight levels, the strongest first, for user alice with client id app.
    fn ladder() -> [QuotaEntity; 8] {
        let (alice, app) = (Some(Some("alice")), Some(Some("app")));
        let default = Some(None);
        [
            entity(alice, app),
            entity(alice, default),
            entity(alice, None),
            entity(default, app),
            entity(default, default),
            entity(default, None),
            entity(None, app),
            entity(None, default),
        ]
    }

    #[test]
    fn each_of_the_eight_levels_gives_way_to_those_before_it() {
        let mut quotas = Quotas::new();
        for (level, entity) in ladder().into_iter().enumerate().rev() {
            let value = (level + 1) as f64;
            quotas.insert(entity, [(KEY.to_owned(), value)].into());
            let levels = Levels::of(&quotas, KEY);
            let (bound, together) = levels.resolve("alice", "app").unwrap();
            assert_eq!(bound, value);
            // Whoever is under a quota by user alone shares it among their client ids.
            let expected = match level {
                0 | 1 | 3 | 4 => Together::of(Some("alice"), Some("app")),
                2 | 5 => Together::of(Some("alice"), None),
                _ => Together::of(None, Some("app")),
            };
            assert_eq!(together, expected, "level {level}");
        }
    }

    #[test]
    fn others_and_other_keys_are_not_touched() {
        let mut quotas = Quotas::new();
        quotas.insert(
            entity(Some(Some("alice")), Some(Some("app"))),
            [(KEY.to_owned(), 1.0)].into(),
        );
        let levels = Levels::of(&quotas, KEY);
        assert!(levels.resolve("alice", "other").is_none());
        assert!(levels.resolve("bob", "app").is_none());
        assert!(Levels::of(&quotas, "consumer_byte_rate").is_empty());
        assert!(!levels.is_empty());
    }

    #[test]
    fn a_default_gives_each_user_a_quota_of_their_own() {
        let quotas = Quotas::from([(entity(Some(None), None), [(KEY.to_owned(), 9.0)].into())]);
        let levels = Levels::of(&quotas, KEY);
        let (_, alice) = levels.resolve("alice", "x").unwrap();
        let (_, bob) = levels.resolve("bob", "x").unwrap();
        assert_ne!(alice, bob);
    }
}
