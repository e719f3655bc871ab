//! InitProducerId (22): an id for an idempotent producer, from the block the controller gave this broker; or with a
//! transactional id, the id and epoch by which its coordinator knows the only producer of it.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{
    AllocateProducerIdsRequest, BrokerId, InitProducerIdRequest, InitProducerIdResponse, ProducerId,
};
use tokio::sync::Mutex;

use super::{Call, Context, Rights, forward};
use crate::auth::Object;
use crate::image::acl::{Kind, Operation};
use crate::txn::{Init, Producer};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The ids this broker may still hand out.
#[derive(Debug, Default)]
pub struct ProducerIds {
    block: Mutex<std::ops::Range<i64>>,
}

pub async fn handle(
    cx: &Context,
    _call: &Call,
    rights: &Rights<'_>,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    match answer(cx, rights, &request).await {
        Ok((id, epoch)) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch),
        Err(code) => InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

async fn answer(cx: &Context, rights: &Rights<'_>, request: &InitProducerIdRequest) -> Result<Producer, ErrorCode> {
    let transactional_id = request.transactional_id.as_ref().map(|id| id.as_str());
    may_produce(rights, transactional_id)?;
    let expected = match (request.producer_id.0, request.producer_epoch) {
        (-1, -1) => None,
        (id, epoch) if id >= 0 && epoch >= 0 => Some((id, epoch)),
        _ => return Err(ErrorCode::InvalidRequest),
    };
    let Some(transactional_id) = transactional_id else {
        // An idempotent producer that asks again gets a new id: its old sequence numbers end with the old one.
        return Ok((next(cx).await?, 0));
    };
    if transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let shard = cx.transactions.shard_of(transactional_id)?;
    // One that is not needed is lost, like those of a broker that stops.
    let init = Init {
        timeout_ms: request.transaction_timeout_ms,
        expected,
        fresh_producer: next(cx).await?,
    };
    shard.init(transactional_id, init).await
}

/// Who may write any topic may be idempotent there (KIP-679).
fn may_produce(rights: &Rights<'_>, transactional_id: Option<&str>) -> Result<(), ErrorCode> {
    if let Some(id) = transactional_id {
        return rights.demand(Operation::Write, Object::TransactionalId(id));
    }
    match rights.shows_any(Operation::Write, Kind::Topic) {
        true => Ok(()),
        false => rights.demand(Operation::IdempotentWrite, Object::Cluster),
    }
}

pub(super) async fn next(cx: &Context) -> Result<i64, ErrorCode> {
    // Held while a block is fetched, so that a rush of producers fetches one block, not one each.
    let mut block = cx.producer_ids.block.lock().await;
    if block.is_empty() {
        let epoch = cx.image().brokers.get(&cx.node).map_or(-1, |broker| broker.epoch);
        let request = AllocateProducerIdsRequest::default()
            .with_broker_id(BrokerId(cx.node.0))
            .with_broker_epoch(epoch);
        // Clients retry these two; what the controller says to this broker means nothing to them.
        let answer = cx.controller.ask(request, 0, forward::patience(cx)).await;
        let answer = answer.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
        if answer.error_code != 0 {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        let start = answer.producer_id_start.0;
        *block = start..start + i64::from(answer.producer_id_len);
    }
    block.next().ok_or(ErrorCode::CoordinatorLoadInProgress)
}

#[cfg(test)]
mod tests {
    use super::super::rights::testing::Caller;
    use super::*;

    #[test]
    fn who_writes_any_topic_or_is_allowed_on_the_cluster_may_be_idempotent() {
        let may = |allowed: &[(Operation, Kind, &str)], transactional_id: Option<&str>| {
            may_produce(&Caller::new(5, &[], allowed).rights(), transactional_id)
        };
        assert_eq!(may(&[], None), Err(ErrorCode::ClusterAuthorizationFailed));
        assert_eq!(may(&[(Operation::Write, Kind::Topic, "t")], None), Ok(()));
        let cluster = (Operation::IdempotentWrite, Kind::Cluster, "kafka-cluster");
        assert_eq!(may(&[cluster], None), Ok(()));
        assert_eq!(
            may(&[(Operation::Write, Kind::Topic, "t")], Some("tx")),
            Err(ErrorCode::TransactionalIdAuthorizationFailed)
        );
        assert_eq!(
            may(&[(Operation::Write, Kind::TransactionalId, "tx")], Some("tx")),
            Ok(())
        );
    }
}
