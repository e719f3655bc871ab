//! EndTxn (26): a producer commits or aborts its transaction. From version 5 on it is of a new epoch afterwards (KIP-890).

use std::ops::RangeInclusive;

use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

use super::add_partitions_to_txn::fenced_word;
use super::{Call, Context, Rights, init_producer_id};
use crate::auth::Object;
use crate::image::acl::Operation;
use crate::txn::{Ending, Producer};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The first version whose producers begin an epoch with every end.
const BUMPS: i16 = 5;
/// From this epoch on, the next producer id may be needed.
const NEARLY_USED_UP: i16 = i16::MAX - 1;

pub async fn handle(cx: &Context, call: &Call, rights: &Rights<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let response = EndTxnResponse::default();
    match end(cx, call, rights, &request).await {
        Ok((producer, epoch)) if call.version >= BUMPS => response
            .with_producer_id(ProducerId(producer))
            .with_producer_epoch(epoch),
        Ok(_) => response,
        Err(error) => response.with_error_code(fenced_word(error, call.version).code()),
    }
}

async fn end(cx: &Context, call: &Call, rights: &Rights<'_>, request: &EndTxnRequest) -> Result<Producer, ErrorCode> {
    let id = request.transactional_id.as_str();
    rights.demand(Operation::Write, Object::TransactionalId(id))?;
    let shard = cx.transactions.shard_of(id)?;
    let bumps = match call.version >= BUMPS {
        true if request.producer_epoch >= NEARLY_USED_UP => Some(init_producer_id::next(cx).await?),
        true => Some(-1),
        false => None,
    };
    let ending = Ending {
        by: (request.producer_id.0, request.producer_epoch),
        commit: request.committed,
        bumps,
    };
    shard.end(id, ending).await
}
