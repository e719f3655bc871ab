//! Produce: batches into local leaders, acknowledged as the client asked.
//!
//! Everything is appended before the first await, so requests polled in their order append in their order; only a
//! transaction's batch waits for its coordinator before, and `server` begins no other Produce meanwhile.
//! Version 0 is advertised because librdkafka before 2.11.1 stops compressing otherwise (KAFKA-18659); it is not served.

mod admission;

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::{Encodable, StrBytes};
use tokio::time::Instant;

use super::{Call, Context, Reply, Rights};
use crate::auth::Object;
use crate::id::{NodeId, TopicId, TopicPartition};
use crate::image::Image;
use crate::image::acl::Operation;
use crate::quota::Kind;
use crate::replica::{Acks, Appending, Produced, Refusal};
use crate::wire;
use crate::wire::ErrorCode;
use crate::wire::Malformed;

use admission::Admission;

pub const VERSIONS: RangeInclusive<i16> = 0..=13;

/// The first version that names topics by id (KIP-516).
const BY_ID: i16 = 13;

/// The first version with compact lengths and tagged fields.
const FLEXIBLE: i16 = 9;
/// The first version that carries batches of format v2 (KIP-896).
const OLDEST_SERVED: i16 = 3;
/// Where a batch says how long it is, and what stands before that counts (v2).
const BATCH_LENGTH: std::ops::Range<usize> = 8..12;

/// One partition of a request, appended or refused.
struct Begun {
    index: i32,
    at: Option<TopicPartition>,
    bytes: usize,
    appending: Result<Appending, Refusal>,
}

pub async fn handle(cx: &Context, call: &Call, rights: &Rights<'_>, body: Bytes) -> Result<Reply, Malformed> {
    if call.version < OLDEST_SERVED {
        return Err(Malformed::new(format!(
            "version {} has records older than format v2; use a client from Kafka 2.1 or later",
            call.version
        )));
    }
    let size = body.len();
    let request: ProduceRequest = wire::decode_message(body, call.version)?;
    let acks = match request.acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let wait = u64::try_from(request.timeout_ms).unwrap_or(0);
    let deadline = Instant::now() + Duration::from_millis(wait);
    let image = cx.image();
    let transactional_id = request.transactional_id.as_deref();
    let granted = transactional_id.map_or(Ok(()), |id| {
        rights.demand(Operation::Write, Object::TransactionalId(id))
    });
    let admitted = match transactional_id {
        Some(id) if granted.is_ok() => Admission::ask(cx, call, rights, &image, id, &request.topic_data).await,
        _ => Admission::none(),
    };
    let begun: Vec<(TopicProduceData, Vec<Begun>)> = request
        .topic_data
        .into_iter()
        .map(|mut topic| {
            let partitions = std::mem::take(&mut topic.partition_data);
            let topic_id = find(&image, call, rights, &topic);
            let to = granted.and(topic_id);
            let begun = begin(cx, to, partitions, acks, &admitted);
            (topic, begun)
        })
        .collect();
    if acks == Some(Acks::None) {
        let wait = cx
            .quotas
            .record(Kind::Produce, &call.principal.name, call.client(), size as f64);
        for begun in begun.iter().flat_map(|(_, begun)| begun) {
            note(
                cx,
                begun.at,
                begun.bytes,
                begun.appending.as_ref().ok().map(Appending::produced),
            );
        }
        return Ok(unanswered(begun)?.throttled(wait));
    }
    let mut response = ProduceResponse::default();
    for (topic, partitions) in begun {
        let mut answers = Vec::with_capacity(partitions.len());
        for partition in partitions {
            answers.push(finish(cx, call, partition, deadline, &mut response.node_endpoints).await);
        }
        response.responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_topic_id(topic.topic_id)
                .with_partition_responses(answers),
        );
    }
    let wait = cx
        .quotas
        .record(Kind::Produce, &call.principal.name, call.client(), size as f64);
    response.throttle_time_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let reply = Reply::message(&response, call)?.throttled(wait);
    Ok(match cx.quotas.counts(Kind::Request) {
        true => reply.says_throttle_at(throttle_at(response, call.version)?),
        false => reply,
    })
}

/// Where in the body `throttle_time_ms` is: before the tagged fields at its end, of which there may be one.
fn throttle_at(mut response: ProduceResponse, version: i16) -> Result<usize, Malformed> {
    response.node_endpoints.clear();
    let end = response
        .compute_size(version)
        .map_err(|error| Malformed::new(error.to_string()))?;
    let after = if version >= FLEXIBLE { 5 } else { 4 };
    Ok(end.saturating_sub(after))
}

/// The topic, if it is there and the caller may write it.
fn find(image: &Image, call: &Call, rights: &Rights<'_>, asked: &TopicProduceData) -> Result<TopicId, ErrorCode> {
    if call.version >= BY_ID {
        let topic = image.topic(TopicId(asked.topic_id)).ok_or(ErrorCode::UnknownTopicId)?;
        rights.demand(Operation::Write, Object::Topic(&topic.name))?;
        return Ok(topic.id);
    }
    rights.demand(Operation::Write, Object::Topic(&asked.name))?;
    let topic = image.topic_named(&asked.name);
    topic.map(|topic| topic.id).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Whether a request in a connection's order may have to wait for a coordinator before it appends, by the first bytes of its
/// body: it names a transactional id.
pub fn is_transactional(version: i16, body: &[u8]) -> bool {
    match version {
        FLEXIBLE.. => body.first().is_some_and(|length| *length != 0),
        _ => body
            .first_chunk::<2>()
            .is_some_and(|length| i16::from_be_bytes(*length) >= 0),
    }
}

fn begin(
    cx: &Context,
    to: Result<TopicId, ErrorCode>,
    partitions: Vec<PartitionProduceData>,
    acks: Option<Acks>,
    admitted: &Admission,
) -> Vec<Begun> {
    let begin_one = |data: PartitionProduceData| {
        let at = to.map(|topic| TopicPartition {
            topic,
            partition: data.index,
        });
        let bytes = data.records.as_ref().map_or(0, Bytes::len);
        let appending = match (at, acks) {
            (_, None) => Err(ErrorCode::InvalidRequiredAcks.into()),
            (Err(code), _) => Err(code.into()),
            (Ok(at), Some(acks)) => one_batch(data.records).and_then(|records| {
                let verify = admitted.of(cx, at)?;
                cx.replicas.begin_append(at, records, acks, verify)
            }),
        };
        Begun {
            index: data.index,
            at: at.ok(),
            bytes,
            appending,
        }
    };
    partitions.into_iter().map(begin_one).collect()
}

/// Clients send exactly one batch per partition; the sequence numbers of idempotent producers rely on it.
fn one_batch(records: Option<Bytes>) -> Result<Bytes, Refusal> {
    let records = records.unwrap_or_default();
    let length: Option<[u8; 4]> = records.get(BATCH_LENGTH).and_then(|length| length.try_into().ok());
    let whole = length
        .map(i32::from_be_bytes)
        .and_then(|length| usize::try_from(length).ok())
        .is_some_and(|length| length.checked_add(BATCH_LENGTH.end) == Some(records.len()));
    if whole {
        return Ok(records);
    }
    Err(Refusal {
        code: ErrorCode::InvalidRecord,
        message: Some("a produce request carries exactly one whole record batch for each partition".to_owned()),
        records: Vec::new(),
    })
}

/// acks=0 leaves no place for an error but the connection, whose end makes the client ask for metadata.
fn unanswered(begun: Vec<(TopicProduceData, Vec<Begun>)>) -> Result<Reply, Malformed> {
    for (_, partitions) in begun {
        for partition in partitions {
            if let Err(refusal) = partition.appending {
                return Err(Malformed::new(format!(
                    "with acks=0 partition {} cannot be told of its error: {refusal}",
                    partition.index
                )));
            }
        }
    }
    Ok(Reply::none())
}

async fn finish(
    cx: &Context,
    call: &Call,
    begun: Begun,
    deadline: Instant,
    endpoints: &mut Vec<NodeEndpoint>,
) -> PartitionProduceResponse {
    let produced = match begun.appending {
        Ok(appending) => cx.telemetry.produces.watch(appending.acknowledged(deadline)).await,
        Err(refusal) => Err(refusal),
    };
    note(cx, begun.at, begun.bytes, produced.as_ref().ok());
    let answer = PartitionProduceResponse::default().with_index(begun.index);
    match produced {
        Ok(Produced {
            base_offset,
            log_append_time,
            log_start,
            ..
        }) => answer
            .with_base_offset(base_offset)
            .with_log_append_time_ms(log_append_time)
            .with_log_start_offset(log_start),
        Err(refusal) => {
            let code = match refusal.code {
                // Who names topics does not know of ids, and takes this for an error that no retry helps.
                ErrorCode::UnknownTopicId if call.version < BY_ID => ErrorCode::UnknownTopicOrPartition,
                code => code,
            };
            let mut answer = answer
                .with_error_code(code.code())
                .with_base_offset(-1)
                .with_log_start_offset(-1);
            if call.version >= 8 {
                let blamed = |index| BatchIndexAndErrorMessage::default().with_batch_index(index);
                answer.record_errors = refusal.records.iter().copied().map(blamed).collect();
                answer.error_message = refusal.message.map(StrBytes::from_string);
            }
            if call.version >= 10 && refusal.code == ErrorCode::NotLeaderOrFollower {
                answer.current_leader = hint(cx, call, begun.at, endpoints);
            }
            answer
        }
    }
}

/// Counts what became of one partition's records.
fn note(cx: &Context, at: Option<TopicPartition>, bytes: usize, produced: Option<&Produced>) {
    if !cx.telemetry.is_on() {
        return;
    }
    let image = cx.image();
    // Made-up names are counted without them.
    let topic = at.and_then(|at| image.topic(at.topic)).map(|topic| topic.name.as_str());
    let messages = produced.map(|produced| u64::try_from(produced.last_offset - produced.base_offset + 1).unwrap_or(0));
    cx.telemetry.produced(topic, bytes, messages);
}

/// Who leads instead, with its address (KIP-951).
fn hint(cx: &Context, call: &Call, at: Option<TopicPartition>, endpoints: &mut Vec<NodeEndpoint>) -> LeaderIdAndEpoch {
    let image = cx.image();
    let Some(state) = at.and_then(|at| image.partition(at)) else {
        return LeaderIdAndEpoch::default();
    };
    let leader = BrokerId(state.leader.0);
    let known = endpoints.iter().any(|endpoint| endpoint.node_id == leader);
    if !known && let Some(endpoint) = endpoint_of(&image, state.leader, call) {
        endpoints.push(endpoint);
    }
    LeaderIdAndEpoch::default()
        .with_leader_id(leader)
        .with_leader_epoch(state.leader_epoch)
}

fn endpoint_of(image: &Image, id: NodeId, call: &Call) -> Option<NodeEndpoint> {
    let broker = image.brokers.get(&id)?;
    let endpoint = broker.endpoint(&call.listener)?;
    Some(
        NodeEndpoint::default()
            .with_node_id(BrokerId(id.0))
            .with_host(StrBytes::from_string(endpoint.host.clone()))
            .with_port(i32::from(endpoint.port))
            .with_rack(broker.rack.clone().map(StrBytes::from_string)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_throttle_time_is_found_in_every_version() {
        for version in OLDEST_SERVED..=*VERSIONS.end() {
            let mut response = ProduceResponse::default().with_throttle_time_ms(0x0102_0304);
            let answers = (0..3).map(|index| PartitionProduceResponse::default().with_index(index));
            let topic = TopicProduceResponse::default().with_partition_responses(answers.collect());
            response.responses.push(topic);
            if version >= 10 {
                let endpoint = NodeEndpoint::default().with_host(StrBytes::from_static_str("127.0.0.1"));
                response.node_endpoints.push(endpoint);
            }
            let mut body = bytes::BytesMut::new();
            response.encode(&mut body, version).expect("encodes");
            let at = throttle_at(response, version).expect("is found");
            assert_eq!(body[at..at + 4], [1, 2, 3, 4], "v{version}");
        }
    }

    #[test]
    fn a_transactional_request_is_told_by_its_first_bytes() {
        for version in OLDEST_SERVED..=*VERSIONS.end() {
            for id in [None, Some("tx")] {
                let request = ProduceRequest::default().with_transactional_id(
                    id.map(|id| kafka_protocol::messages::TransactionalId(StrBytes::from_static_str(id))),
                );
                let mut body = bytes::BytesMut::new();
                request.encode(&mut body, version).expect("encodes");
                assert_eq!(is_transactional(version, &body), id.is_some(), "v{version}");
            }
        }
    }

    #[test]
    fn exactly_one_whole_batch_is_taken() {
        let mut batch = vec![0; 61];
        batch[BATCH_LENGTH].copy_from_slice(&49_i32.to_be_bytes());
        assert!(one_batch(Some(batch.clone().into())).is_ok());
        for wrong in [Vec::new(), batch[..60].to_vec(), [batch.clone(), batch].concat()] {
            let refusal = one_batch(Some(wrong.into())).expect_err("refused");
            assert_eq!(refusal.code, ErrorCode::InvalidRecord);
        }
        assert!(one_batch(None).is_err());
    }

    #[test]
    fn who_may_not_write_a_topic_does_not_learn_whether_it_exists() {
        use super::super::rights::testing::{Caller, topic_id};
        use crate::image::acl::Kind;
        let caller = Caller::new(12, &["mine", "other"], &[(Operation::Write, Kind::Topic, "mine")]);
        let ask = |version: i16, topic: TopicProduceData| {
            let call = Call {
                version,
                ..caller.call.clone()
            };
            find(&caller.image, &call, &caller.rights(), &topic)
        };
        let named = |name| TopicProduceData::default().with_name(StrBytes::from_static_str(name).into());
        let denied = Err(ErrorCode::TopicAuthorizationFailed);
        assert_eq!(ask(12, named("mine")), Ok(topic_id(1)));
        assert_eq!(ask(12, named("other")), denied);
        assert_eq!(ask(12, named("none")), denied);
        let by_id = |id| TopicProduceData::default().with_topic_id(topic_id(id).0);
        assert_eq!(ask(13, by_id(1)), Ok(topic_id(1)));
        assert_eq!(ask(13, by_id(2)), denied);
        assert_eq!(ask(13, by_id(9)), Err(ErrorCode::UnknownTopicId));
    }
}
