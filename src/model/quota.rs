//! Client quotas: who is held to which rate. From DescribeClientQuotas (KIP-546, KIP-599, KIP-612).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The limits of one entity. Each broker holds its clients to them on its own, the mutation rate the controller does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quota {
    pub entity: Entity,
    /// By Kafka's name of the limit, for example `producer_byte_rate`.
    pub limits: BTreeMap<String, f64>,
}

/// Who is meant: a user, a client id, both, or an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    pub user: Option<Whom>,
    pub client_id: Option<Whom>,
    pub ip: Option<Whom>,
}

/// One of them, or whoever has none of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    Named(String),
    Default,
}

/// A connection, as quotas see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Client<'a> {
    pub user: Option<&'a str>,
    pub client_id: Option<&'a str>,
    pub ip: Option<&'a str>,
}

/// Bytes per second that clients may produce, on each broker.
pub const PRODUCER: &str = "producer_byte_rate";
/// Bytes per second that clients may fetch, on each broker.
pub const CONSUMER: &str = "consumer_byte_rate";
/// Percent of one request handler or network thread, on each broker.
pub const REQUEST: &str = "request_percentage";
/// Partitions created and deleted per second, on the controller.
pub const MUTATION: &str = "controller_mutation_rate";
/// Connections made per second, on each broker; only of addresses.
pub const CONNECTION: &str = "connection_creation_rate";

/// All of them.
pub const LIMITS: [&str; 5] = [PRODUCER, CONSUMER, REQUEST, MUTATION, CONNECTION];

impl Entity {
    /// Where it stands when several are about one client: 1 wins over all others. Addresses have an order of their own.
    /// The order is Kafka's ("Quotas", section "Client Quotas", and `ClientQuotaManager.DefaultQuotaCallback`).
    pub fn precedence(&self) -> u8 {
        use Whom::{Default as Rest, Named};
        match (&self.user, &self.client_id, &self.ip) {
            (Some(Named(_)), Some(Named(_)), _) => 1,
            (Some(Named(_)), Some(Rest), _) => 2,
            (Some(Named(_)), None, _) => 3,
            (Some(Rest), Some(Named(_)), _) => 4,
            (Some(Rest), Some(Rest), _) => 5,
            (Some(Rest), None, _) => 6,
            (None, Some(Named(_)), _) => 7,
            (None, Some(Rest), _) => 8,
            (None, None, Some(Named(_))) => 1,
            (None, None, _) => 2,
        }
    }

    /// Whether it is about this client; a part that is not given is one that no quota names.
    pub fn is_about(&self, client: Client<'_>) -> bool {
        self.fits(client, false)
    }

    /// Whether it is about some client that is like this; a part that is not given may be anything.
    pub fn may_be_about(&self, client: Client<'_>) -> bool {
        self.fits(client, true)
    }

    fn fits(&self, client: Client<'_>, ungiven: bool) -> bool {
        let fits = |whom: &Option<Whom>, name: Option<&str>| match (whom, name) {
            (None | Some(Whom::Default), _) => true,
            (Some(Whom::Named(whom)), Some(name)) => whom == name,
            (Some(Whom::Named(_)), None) => ungiven,
        };
        fits(&self.user, client.user) && fits(&self.client_id, client.client_id) && fits(&self.ip, client.ip)
    }

    /// `user billing, client-id etl`, `default user`, `ip 10.0.1.7`.
    pub fn words(&self) -> String {
        let parts = [("user", &self.user), ("client-id", &self.client_id), ("ip", &self.ip)];
        let part = |(what, whom): (&str, &Option<Whom>)| match whom {
            None => None,
            Some(Whom::Named(name)) => Some(format!("{what} {name}")),
            Some(Whom::Default) => Some(format!("default {what}")),
        };
        parts.into_iter().filter_map(part).collect::<Vec<_>>().join(", ")
    }

    /// Whom it does not hold for, for a sentence: who is more closely named wins.
    pub fn yields_to(&self) -> &'static str {
        match (self.ip.is_some(), self.precedence()) {
            (_, 1) => "nothing: it wins",
            (true, _) => "the address's own",
            (false, 2) => "this user's with the client's own id",
            (false, 3) => "this user's with a client id",
            (false, 4) => "the user's own",
            (false, 5) => "the user's own, or the default user's with the client's own id",
            (false, 6) => "the user's own, or the default user's with a client id",
            (false, 7) => "any of a user",
            (false, _) => "any of a user, or the client id's own",
        }
    }
}

/// Of the quotas that are about a client, which one holds for each limit.
pub fn winners<'a>(quotas: &'a [Quota], client: Client<'_>) -> BTreeMap<&'a str, &'a Quota> {
    let mut winners: BTreeMap<&str, &Quota> = BTreeMap::new();
    for quota in quotas.iter().filter(|quota| quota.entity.is_about(client)) {
        for limit in quota.limits.keys() {
            let won = winners.entry(limit).or_insert(quota);
            if quota.entity.precedence() < won.entity.precedence() {
                *won = quota;
            }
        }
    }
    winners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(user: Option<&str>, client_id: Option<&str>, limits: &[(&str, f64)]) -> Quota {
        let whom = |name: &str| match name {
            "" => Whom::Default,
            name => Whom::Named(name.to_owned()),
        };
        Quota {
            entity: Entity {
                user: user.map(whom),
                client_id: client_id.map(whom),
                ip: None,
            },
            limits: limits
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
        }
    }

    #[test]
    fn who_is_more_closely_named_wins_each_limit_by_itself() {
        let quotas = [
            quota(Some("billing"), None, &[(PRODUCER, 1.0), (CONSUMER, 1.0)]),
            quota(Some("billing"), Some(""), &[(PRODUCER, 2.0)]),
            quota(Some("billing"), Some("etl"), &[(PRODUCER, 3.0)]),
            quota(None, Some("etl"), &[(REQUEST, 50.0), (CONSUMER, 9.0)]),
            quota(Some(""), None, &[(PRODUCER, 8.0)]),
        ];
        let client = |user, client_id| Client {
            user: Some(user),
            client_id: Some(client_id),
            ip: None,
        };
        let value = |client, limit: &str| winners(&quotas, client).get(limit).map(|quota| quota.limits[limit]);
        assert_eq!(value(client("billing", "etl"), PRODUCER), Some(3.0));
        assert_eq!(value(client("billing", "other"), PRODUCER), Some(2.0));
        assert_eq!(value(client("billing", "etl"), CONSUMER), Some(1.0));
        assert_eq!(value(client("billing", "etl"), REQUEST), Some(50.0));
        assert_eq!(value(client("audit", "x"), PRODUCER), Some(8.0));
        assert_eq!(value(client("audit", "x"), CONSUMER), None);
    }

    #[test]
    fn the_order_is_kafkas() {
        let order = [
            (Some("a"), Some("b")),
            (Some("a"), Some("")),
            (Some("a"), None),
            (Some(""), Some("b")),
            (Some(""), Some("")),
            (Some(""), None),
            (None, Some("b")),
            (None, Some("")),
        ];
        for (at, (user, client_id)) in order.into_iter().enumerate() {
            assert_eq!(usize::from(quota(user, client_id, &[]).entity.precedence()), at + 1);
        }
        assert_eq!(
            quota(Some("a"), Some(""), &[]).entity.words(),
            "user a, default client-id"
        );
    }
}
