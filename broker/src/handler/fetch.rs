//! Fetch, for consumers and followers: sessions, waiting, and records on their way out without a copy.

mod answer;

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;

use super::{Call, Context, Reply, Rights};
use crate::auth::Object;
use crate::id::{NodeId, TopicId, TopicPartition};
use crate::image::Image;
use crate::image::acl::Operation;
use crate::quota::Kind;
use crate::replica::{Client, Fetch, FetchFrom, Fetched, Name, Reader, Session, SessionAsk, Wanted};
use crate::wire;
use crate::wire::ErrorCode;
use crate::wire::Malformed;

use answer::Answer;

pub const VERSIONS: RangeInclusive<i16> = 4..=18;

/// The first version that names topics by id (KIP-516).
const BY_ID: i16 = 13;
/// The first version of consumers that can read from followers (KIP-392).
const FROM_FOLLOWERS: i16 = 11;
/// The most one answer holds, whatever the reader allows: Kafka's `fetch.max.bytes`.
const MAX_BYTES: usize = 55 * 1024 * 1024;
/// About what an answer says of a partition beside its records.
const PARTITION_BYTES: usize = 64;
/// The longest wait, so that a connection's task always comes round.
const MAX_WAIT: Duration = Duration::from_secs(300);

pub async fn handle(cx: &Context, call: &Call, rights: &Rights<'_>, body: Bytes) -> Result<Reply, Malformed> {
    let request: FetchRequest = wire::decode_message(body, call.version)?;
    let rack = request.rack_id.clone();
    let reader = reader(&request, call, &rack);
    let mut fetch = Fetch {
        reader,
        stable: request.isolation_level == 1 && matches!(reader, Reader::Consumer(_)),
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT),
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_BYTES),
    };
    let read_committed = request.isolation_level == 1;
    let consumer = matches!(reader, Reader::Consumer(_));
    if consumer && let Some(most) = cx.quotas.fetch_allowance(&call.principal.name, call.client()) {
        // More would be throttled for sure.
        fetch.max_bytes = fetch.max_bytes.min(most);
        fetch.min_bytes = fetch.min_bytes.min(fetch.max_bytes);
    }
    let session = match cx.replicas.sessions().begin(session_ask(request, call, reader)) {
        Ok(session) => session,
        Err(error) => return Answer::refused(error).into_reply(call),
    };
    let image = cx.image();
    let (known, refused) = resolve(&image, &session, call, &Readable::by(reader, rights));
    if !refused.is_empty() {
        // What cannot be answered later is answered now.
        fetch.max_wait = Duration::ZERO;
    }
    let fetched = merge(
        cx.telemetry.fetches.watch(cx.replicas.fetch(fetch, &known)).await,
        refused,
    );
    if consumer && let Some(wait) = throttle(cx, call, &fetched) {
        return Answer::throttled(cx.replicas.sessions().hold_back(&session), wait).into_reply(call);
    }
    note(cx, consumer, &fetched);
    let tell = cx.replicas.sessions().finish(&session, &fetched);
    let mut answer = Answer::of(session.id, read_committed);
    for ((wanted, fetched), _) in session.wanted.iter().zip(fetched).zip(tell).filter(|(_, tell)| *tell) {
        let fetched = by_name(fetched, call);
        answer.add(&wanted.name, fetched, &cx.image(), call);
    }
    let reply = answer.into_reply(call)?;
    Ok(if consumer { reply } else { reply.exempt() })
}

/// Counts what a reader is given.
fn note(cx: &Context, consumer: bool, fetched: &[Fetched]) {
    if !cx.telemetry.is_on() {
        return;
    }
    if !consumer {
        cx.telemetry.replicated(fetched.iter().map(Fetched::size).sum());
        return;
    }
    let image = cx.image();
    for fetched in fetched {
        let topic = image.topic(fetched.at.topic).map(|topic| topic.name.as_str());
        cx.telemetry.fetched(topic, fetched.size(), fetched.error.is_some());
    }
}

/// How long a consumer has to wait that reads more than its quota; it gets nothing, so nothing counts (KIP-219).
fn throttle(cx: &Context, call: &Call, fetched: &[Fetched]) -> Option<Duration> {
    if !cx.quotas.counts(Kind::Fetch) {
        return None;
    }
    let size = fetched.iter().map(Fetched::size).sum::<usize>() + fetched.len() * PARTITION_BYTES;
    let (user, client_id) = (call.principal.name.as_str(), call.client());
    let wait = cx.quotas.record(Kind::Fetch, user, client_id, size as f64);
    if wait.is_zero() {
        return None;
    }
    cx.quotas.record(Kind::Fetch, user, client_id, -(size as f64));
    Some(wait)
}

fn reader<'a>(request: &FetchRequest, call: &'a Call, rack: &'a str) -> Reader<'a> {
    let (id, broker_epoch) = if call.version >= 15 {
        (request.replica_state.replica_id.0, request.replica_state.replica_epoch)
    } else {
        (request.replica_id.0, -1)
    };
    if id < 0 {
        let listener = &call.listener;
        Reader::Consumer((call.version >= FROM_FOLLOWERS).then_some(Client { rack, listener }))
    } else {
        Reader::Follower {
            id: NodeId(id),
            broker_epoch,
        }
    }
}

fn session_ask(request: FetchRequest, call: &Call, reader: Reader<'_>) -> SessionAsk {
    let by_id = call.version >= BY_ID;
    let mut wanted = Vec::new();
    for topic in request.topics {
        for partition in topic.partitions {
            wanted.push(Wanted {
                name: Name {
                    topic: topic.topic.0.clone(),
                    topic_id: topic.topic_id,
                    partition: partition.partition,
                },
                offset: partition.fetch_offset,
                max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
                log_start: partition.log_start_offset,
            });
        }
    }
    let forgotten = request.forgotten_topics_data.into_iter().flat_map(|topic| {
        let name = move |partition| Name {
            topic: topic.topic.0.clone(),
            topic_id: topic.topic_id,
            partition,
        };
        topic.partitions.into_iter().map(name)
    });
    SessionAsk {
        id: request.session_id,
        // Before sessions there was none (v7).
        epoch: if call.version >= 7 { request.session_epoch } else { -1 },
        by_id,
        follower: matches!(reader, Reader::Follower { .. }),
        forgotten: forgotten.collect(),
        wanted,
    }
}

/// What a reader may read: a follower everything or nothing, a consumer topic by topic.
enum Readable<'a> {
    All,
    None,
    Topics(&'a Rights<'a>),
}

impl<'a> Readable<'a> {
    fn by(reader: Reader<'_>, rights: &'a Rights<'a>) -> Self {
        match reader {
            Reader::Consumer(_) => Self::Topics(rights),
            Reader::Follower { .. } if rights.allow(Operation::ClusterAction, Object::Cluster) => Self::All,
            Reader::Follower { .. } => Self::None,
        }
    }

    fn holds(&self, topic: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Topics(rights) => rights.allow(Operation::Read, Object::Topic(topic)),
        }
    }
}

/// What the image knows, and at which places what it does not.
fn resolve(
    image: &Image,
    session: &Session,
    call: &Call,
    readable: &Readable<'_>,
) -> (Vec<FetchFrom>, Vec<(usize, Fetched)>) {
    let by_id = call.version >= BY_ID;
    let mut known = Vec::with_capacity(session.wanted.len());
    let mut refused = Vec::new();
    let mut last = None;
    for (place, wanted) in session.wanted.iter().enumerate() {
        let topic = if by_id {
            image.topic(TopicId(wanted.name.topic_id))
        } else {
            image.topic_named(&wanted.name.topic)
        };
        let at = TopicPartition {
            topic: topic.map_or(TopicId(wanted.name.topic_id), |topic| topic.id),
            partition: wanted.name.partition,
        };
        let name = topic.map_or(wanted.name.topic.as_str(), |topic| topic.name.as_str());
        // The partitions of a topic lie together: it is asked for once.
        let allowed = match last {
            Some((asked, allowed)) if asked == name => allowed,
            _ => (topic.is_none() && by_id) || readable.holds(name),
        };
        last = Some((name, allowed));
        if !allowed {
            refused.push((place, Fetched::refused(at, ErrorCode::TopicAuthorizationFailed)));
        } else if topic.is_some() {
            known.push(FetchFrom {
                at,
                offset: wanted.offset,
                max_bytes: wanted.max_bytes,
                current_leader_epoch: wanted.current_leader_epoch,
                last_fetched_epoch: wanted.last_fetched_epoch,
                log_start: wanted.log_start,
            });
        } else {
            refused.push((place, Fetched::refused(at, ErrorCode::UnknownTopicId)));
        }
    }
    (known, refused)
}

/// Puts what was refused back into its places.
fn merge(mut fetched: Vec<Fetched>, refused: Vec<(usize, Fetched)>) -> Vec<Fetched> {
    for (place, refused) in refused {
        fetched.insert(place.min(fetched.len()), refused);
    }
    fetched
}

/// Readers that name topics do not know of ids.
fn by_name(mut fetched: Fetched, call: &Call) -> Fetched {
    if call.version < BY_ID && fetched.error == Some(ErrorCode::UnknownTopicId) {
        fetched.error = Some(ErrorCode::UnknownTopicOrPartition);
    }
    fetched
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};

    use super::super::rights::testing::{Caller, topic_id};
    use super::*;
    use crate::image::acl::Kind;
    use crate::replica::Sessions;

    const FOLLOWER: Reader<'_> = Reader::Follower {
        id: NodeId(2),
        broker_epoch: 1,
    };

    /// How many partitions are fetched, and which of topics 1, 2 and 9 are refused with what.
    fn resolved(reader: Reader<'_>, allowed: &[(Operation, Kind, &str)]) -> (usize, Vec<(usize, ErrorCode)>) {
        let caller = Caller::new(17, &["mine", "other"], allowed);
        let partitions = [0, 1]
            .map(|index| FetchPartition::default().with_partition(index))
            .to_vec();
        let topics = [1, 2, 9].map(|id| {
            FetchTopic::default()
                .with_topic_id(topic_id(id).0)
                .with_partitions(partitions.clone())
        });
        let request = FetchRequest::default()
            .with_session_epoch(-1)
            .with_topics(topics.to_vec());
        let session = Sessions::new(1)
            .begin(session_ask(request, &caller.call, reader))
            .unwrap();
        let rights = caller.rights();
        let (known, refused) = resolve(&caller.image, &session, &caller.call, &Readable::by(reader, &rights));
        let refused = refused
            .into_iter()
            .map(|(place, fetched)| (place, fetched.error.unwrap()));
        (known.len(), refused.collect())
    }

    #[test]
    fn a_consumer_reads_the_topics_it_may_and_is_refused_the_others() {
        let (denied, unknown) = (ErrorCode::TopicAuthorizationFailed, ErrorCode::UnknownTopicId);
        let (known, refused) = resolved(Reader::Consumer(None), &[(Operation::Read, Kind::Topic, "mine")]);
        assert_eq!(known, 2);
        assert_eq!(refused, [(2, denied), (3, denied), (4, unknown), (5, unknown)]);
    }

    #[test]
    fn a_follower_needs_the_cluster_and_no_topic() {
        let (denied, unknown) = (ErrorCode::TopicAuthorizationFailed, ErrorCode::UnknownTopicId);
        let (known, refused) = resolved(FOLLOWER, &[(Operation::ClusterAction, Kind::Cluster, "kafka-cluster")]);
        assert_eq!((known, refused), (4, vec![(4, unknown), (5, unknown)]));
        let (known, refused) = resolved(FOLLOWER, &[(Operation::Read, Kind::Topic, "mine")]);
        assert_eq!(known, 0);
        assert_eq!(refused[..4], [(0, denied), (1, denied), (2, denied), (3, denied)]);
    }
}
