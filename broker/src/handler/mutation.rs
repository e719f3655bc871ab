//! Creating and deleting partitions under `controller_mutation_rate` (KIP-599).
//!
//! Newer clients are refused with THROTTLING_QUOTA_EXCEEDED what is above the quota, and told when to try again; older
//! ones get what they ask for and wait afterwards. Each broker counts what it passes on to the controller.

use std::collections::HashMap;

use kafka_protocol::protocol::StrBytes;

use super::{Call, Context};
use crate::quota::Mutations;
use crate::wire::ErrorCode;

/// The partitions that one request wants to create or delete.
pub(super) struct Permits<'a> {
    /// `None` while there are no such quotas.
    mutations: Option<Mutations<'a>>,
    taken: HashMap<String, usize>,
}

/// The code of what was refused, and the sentence that Kafka has for it.
pub(super) const EXCEEDED: ErrorCode = ErrorCode::ThrottlingQuotaExceeded;
pub(super) fn why() -> Option<StrBytes> {
    Some(StrBytes::from_static_str("The throttling quota has been exceeded."))
}

impl<'a> Permits<'a> {
    /// Requests from version `strict_since` on are refused what is above the quota.
    pub fn of(cx: &'a Context, call: &'a Call, strict_since: i16) -> Self {
        let strict = call.version >= strict_since;
        Self {
            mutations: cx.quotas.mutations(&call.principal.name, call.client(), strict),
            taken: HashMap::new(),
        }
    }

    /// Whether there is anything to count.
    pub fn count(&self) -> bool {
        self.mutations.is_some()
    }

    /// Counts the partitions of one topic; false when they are refused.
    pub fn take(&mut self, topic: &str, partitions: usize) -> bool {
        let Some(mutations) = &mut self.mutations else {
            return true;
        };
        let granted = partitions == 0 || mutations.take(partitions);
        if granted {
            self.taken.insert(topic.to_owned(), partitions);
        }
        granted
    }

    /// Gives back what was counted for a topic that was left as it is.
    pub fn give_back(&self, topic: &str) {
        if let (Some(mutations), Some(taken)) = (&self.mutations, self.taken.get(topic)) {
            mutations.give_back(*taken);
        }
    }

    /// For `throttle_time_ms`, which also mutes the connection.
    pub fn throttle_time_ms(&self) -> i32 {
        let wait = self.mutations.as_ref().map(Mutations::wait).unwrap_or_default();
        i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
    }
}
