//! ListTransactions (66): the transactional ids that this broker coordinates (KIP-664, KIP-994, KIP-1152).

use std::ops::RangeInclusive;

use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use regex::Regex;

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::image::acl::Operation;
use crate::txn::{Listing, State};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(
    cx: &Context,
    _call: &Call,
    rights: &Rights<'_>,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let response = ListTransactionsResponse::default();
    let filter = match Filter::of(&request) {
        Ok(filter) => filter,
        Err(error) => return response.with_error_code(error.code()),
    };
    let shards = match cx.transactions.shards() {
        Ok(shards) => shards,
        Err(error) => return response.with_error_code(error.code()),
    };
    let unknown = request.state_filters.iter().filter(|name| State::named(name).is_none());
    let response = response.with_unknown_state_filters(unknown.cloned().collect());
    let all = shards.iter().flat_map(|shard| shard.list());
    let wanted = all.filter(|listing| filter.takes(listing));
    let shown = wanted.filter(|listing| rights.shows(Operation::Describe, Object::TransactionalId(&listing.id)));
    let states = shown.map(|listing| {
        TransactionState::default()
            .with_transactional_id(TransactionalId(StrBytes::from_string(listing.id)))
            .with_producer_id(ProducerId(listing.producer))
            .with_transaction_state(StrBytes::from_static_str(listing.state.name()))
    });
    response.with_transaction_states(states.collect())
}

/// Which are wanted; what is not named takes everything.
struct Filter<'a> {
    request: &'a ListTransactionsRequest,
    pattern: Option<Regex>,
}

impl<'a> Filter<'a> {
    fn of(request: &'a ListTransactionsRequest) -> Result<Self, ErrorCode> {
        let pattern = request
            .transactional_id_pattern
            .as_deref()
            .filter(|pattern| !pattern.is_empty());
        // The whole id has to match, as in Kafka.
        let pattern = pattern
            .map(|pattern| Regex::new(&format!("^(?:{pattern})$")))
            .transpose();
        Ok(Self {
            request,
            pattern: pattern.map_err(|_| ErrorCode::InvalidRegularExpression)?,
        })
    }

    fn takes(&self, listing: &Listing) -> bool {
        let request = self.request;
        let state = request.state_filters.is_empty()
            || request
                .state_filters
                .iter()
                .any(|name| name.as_str() == listing.state.name());
        let producer = request.producer_id_filters.is_empty()
            || request.producer_id_filters.iter().any(|id| id.0 == listing.producer);
        let long = request.duration_filter < 0
            || (listing.state == State::Ongoing && listing.open_ms > request.duration_filter);
        let named = self
            .pattern
            .as_ref()
            .is_none_or(|pattern| pattern.is_match(&listing.id));
        // An id that nobody has produced under is not listed.
        listing.state != State::Dead && state && producer && long && named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(request: &ListTransactionsRequest) -> Vec<i64> {
        let filter = Filter::of(request).unwrap();
        let listing = |(producer, state): (i64, State)| Listing {
            id: format!("app-{producer}"),
            producer,
            state,
            open_ms: 1_000 * producer,
        };
        let all = [
            (1, State::Ongoing),
            (2, State::CompleteCommit),
            (3, State::Ongoing),
            (30, State::Empty),
        ]
        .map(listing);
        all.iter()
            .filter(|listing| filter.takes(listing))
            .map(|listing| listing.producer)
            .collect()
    }

    #[test]
    fn each_filter_narrows_the_list() {
        let all = ListTransactionsRequest::default().with_duration_filter(-1);
        assert_eq!(taken(&all), [1, 2, 3, 30]);
        let states = vec![
            StrBytes::from_static_str("Ongoing"),
            StrBytes::from_static_str("Nonsense"),
        ];
        assert_eq!(taken(&all.clone().with_state_filters(states)), [1, 3]);
        assert_eq!(taken(&all.clone().with_producer_id_filters(vec![ProducerId(2)])), [2]);
        assert_eq!(taken(&all.clone().with_duration_filter(1_000)), [3]);
        let named = |pattern| {
            all.clone()
                .with_transactional_id_pattern(Some(StrBytes::from_static_str(pattern)))
        };
        assert_eq!(taken(&named("app-3")), [3], "not app-30");
        assert_eq!(taken(&named("app-3.*")), [3, 30]);
        assert_eq!(Filter::of(&named("(")).err(), Some(ErrorCode::InvalidRegularExpression));
    }
}
