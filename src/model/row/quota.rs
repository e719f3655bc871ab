//! One quota, its limits apart.

use serde::Serialize;

use crate::model::quota::{self, Client, Entity, Quota, Whom};
use crate::model::snapshot::Snapshot;

/// The limits of one entity; `None` is no limit of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct QuotaRow {
    pub entity: Entity,
    /// On each broker.
    pub producer_bytes_per_second: Option<f64>,
    /// On each broker.
    pub consumer_bytes_per_second: Option<f64>,
    /// Of one thread, on each broker.
    pub request_percent: Option<f64>,
    /// On the controller.
    pub mutations_per_second: Option<f64>,
    /// On each broker; of addresses.
    pub connections_per_second: Option<f64>,
    /// Limits by names that are none of these.
    pub others: Vec<(String, f64)>,
}

impl QuotaRow {
    /// In order of entity.
    pub fn all(snapshot: &Snapshot) -> Vec<Self> {
        snapshot.quotas.get().into_iter().flatten().map(Self::of).collect()
    }

    fn of(quota: &Quota) -> Self {
        let limit = |name: &str| quota.limits.get(name).copied();
        let others = quota
            .limits
            .iter()
            .filter(|(name, _)| !quota::LIMITS.contains(&name.as_str()));
        Self {
            entity: quota.entity.clone(),
            producer_bytes_per_second: limit(quota::PRODUCER),
            consumer_bytes_per_second: limit(quota::CONSUMER),
            request_percent: limit(quota::REQUEST),
            mutations_per_second: limit(quota::MUTATION),
            connections_per_second: limit(quota::CONNECTION),
            others: others.map(|(name, value)| (name.clone(), *value)).collect(),
        }
    }

    /// Whether it names this user.
    pub fn names(&self, user: &str) -> bool {
        matches!(&self.entity.user, Some(Whom::Named(name)) if name == user)
    }
}

/// The limits that this entity decides for a client, by Kafka's names; those that it loses to a closer one are not in it.
pub fn decided_by(quotas: &[Quota], entity: &Entity, client: Client<'_>) -> Vec<String> {
    let winners = quota::winners(quotas, client).into_iter();
    let own = winners.filter(|(_, winner)| winner.entity == *entity);
    own.map(|(limit, _)| limit.to_owned()).collect()
}
