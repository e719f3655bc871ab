//! AddOffsetsToTxn (25): a group's offsets become part of a producer's transaction.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::add_partitions_to_txn::fenced_word;
use super::{Call, Context, Rights, metadata};
use crate::auth::Object;
use crate::coordinator::OFFSETS_TOPIC;
use crate::group::record::partition_of;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=4;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let code = match add(cx, rights, &request).await {
        Ok(()) => 0,
        Err(error) => fenced_word(error, call.version).code(),
    };
    AddOffsetsToTxnResponse::default().with_error_code(code)
}

async fn add(cx: &Context, rights: &Rights<'_>, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    let id = request.transactional_id.as_str();
    rights.demand(Operation::Write, Object::TransactionalId(id))?;
    rights.demand(Operation::Read, Object::Group(&request.group_id))?;
    if cx.image().topic_named(OFFSETS_TOPIC).is_none() {
        // Nobody has looked for a group's coordinator yet: producers that are told to wait would wait for ever.
        metadata::create(cx, vec![OFFSETS_TOPIC.to_owned()]).await;
    }
    let image = cx.image();
    let topic = image.topic_named(OFFSETS_TOPIC);
    let topic = topic.ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let place = (OFFSETS_TOPIC.to_owned(), partition_of(&request.group_id, partitions));
    let by = (request.producer_id.0, request.producer_epoch);
    cx.transactions.shard_of(id)?.add(id, by, vec![place], 0).await
}
