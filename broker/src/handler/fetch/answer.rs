//! The Fetch response, written by hand so that records stay in the pieces they were read in.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::BY_ID;
use crate::handler::{Call, Reply};
use crate::id::{Epoch, NodeId};
use crate::image::Image;
use crate::replica::{Fetched, Name};
use crate::wire::ErrorCode;
use crate::wire::Malformed;

/// The first version with compact lengths and tagged fields.
const FLEXIBLE: i16 = 12;
/// The first version that tells who leads instead (KIP-951).
const HINTS: i16 = 16;
/// `diverging_epoch`: epoch, end offset, and no tagged fields of its own.
const DIVERGING_BYTES: u8 = 4 + 8 + 1;
/// `current_leader`: id, epoch, and no tagged fields of its own.
const LEADER_BYTES: u8 = 4 + 4 + 1;

/// A Fetch response being built.
pub(super) struct Answer {
    throttle: Duration,
    error: i16,
    session: i32,
    read_committed: bool,
    topics: Vec<Topic>,
    leaders: Vec<Leader>,
}

struct Topic {
    name: StrBytes,
    id: Uuid,
    partitions: Vec<Partition>,
}

struct Partition {
    index: i32,
    fetched: Fetched,
    leader: Option<(NodeId, Epoch)>,
}

/// Where a leader named in the answer is reached.
struct Leader {
    id: NodeId,
    host: String,
    port: u16,
    rack: Option<String>,
}

impl Answer {
    pub fn of(session: i32, read_committed: bool) -> Self {
        Self {
            throttle: Duration::ZERO,
            error: 0,
            session,
            read_committed,
            topics: Vec::new(),
            leaders: Vec::new(),
        }
    }

    /// The whole request is refused.
    pub fn refused(error: ErrorCode) -> Self {
        Self {
            error: error.code(),
            ..Self::of(0, false)
        }
    }

    /// Nothing, and when to ask again.
    pub fn throttled(session: i32, wait: Duration) -> Self {
        Self {
            throttle: wait,
            ..Self::of(session, false)
        }
    }

    pub fn add(&mut self, name: &Name, fetched: Fetched, image: &Image, call: &Call) {
        let leader = match fetched.error {
            Some(ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) if call.version >= HINTS => {
                self.hint(&fetched, image, call)
            }
            _ => None,
        };
        let partition = Partition {
            index: name.partition,
            fetched,
            leader,
        };
        let same = |topic: &&mut Topic| topic.id == name.topic_id && topic.name == name.topic;
        // Nearly always the one before.
        match self.topics.iter_mut().rev().find(same) {
            Some(topic) => topic.partitions.push(partition),
            None => self.topics.push(Topic {
                name: name.topic.clone(),
                id: name.topic_id,
                partitions: vec![partition],
            }),
        }
    }

    /// Who leads instead (KIP-951).
    fn hint(&mut self, fetched: &Fetched, image: &Image, call: &Call) -> Option<(NodeId, Epoch)> {
        let (leader, epoch) = image
            .partition(fetched.at)
            .map(|state| (state.leader, state.leader_epoch))
            .or(fetched.leader)?;
        if let Some(broker) = image.brokers.get(&leader)
            && let Some(endpoint) = broker.endpoint(&call.listener)
            && !self.leaders.iter().any(|known| known.id == leader)
        {
            self.leaders.push(Leader {
                id: leader,
                host: endpoint.host.clone(),
                port: endpoint.port,
                rack: broker.rack.clone(),
            });
        }
        Some((leader, epoch))
    }

    pub fn into_reply(self, call: &Call) -> Result<Reply, Malformed> {
        let flexible = call.version >= FLEXIBLE;
        let wait = self.throttle;
        Ok(Reply::pieces(call, flexible, self.write(call.version))?.throttled(wait))
    }

    fn write(self, version: i16) -> Vec<Bytes> {
        let mut out = Writer::new(version >= FLEXIBLE);
        let wait = i32::try_from(self.throttle.as_millis()).unwrap_or(i32::MAX);
        out.bytes.put_i32(wait);
        if version >= 7 {
            out.bytes.put_i16(self.error);
            out.bytes.put_i32(self.session);
        }
        out.length(self.topics.len());
        for topic in self.topics {
            if version >= BY_ID {
                out.bytes.put_slice(topic.id.as_bytes());
            } else {
                out.string(&topic.name);
            }
            out.length(topic.partitions.len());
            for partition in topic.partitions {
                out.partition(partition, version, self.read_committed);
            }
            out.no_tags();
        }
        if version >= HINTS && !self.leaders.is_empty() {
            out.endpoints(&self.leaders);
        } else {
            out.no_tags();
        }
        out.finish()
    }
}

/// Bytes so far, cut where records stand between them.
struct Writer {
    flexible: bool,
    bytes: BytesMut,
    pieces: Vec<Bytes>,
}

impl Writer {
    fn new(flexible: bool) -> Self {
        Self {
            flexible,
            bytes: BytesMut::with_capacity(256),
            pieces: Vec::new(),
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.pieces.push(self.bytes.freeze());
        self.pieces
    }

    fn partition(&mut self, partition: Partition, version: i16, read_committed: bool) {
        let fetched = partition.fetched;
        self.bytes.put_i32(partition.index);
        self.bytes.put_i16(fetched.error.map_or(0, |error| error.code()));
        self.bytes.put_i64(fetched.high_watermark);
        self.bytes.put_i64(fetched.last_stable);
        if version >= 5 {
            self.bytes.put_i64(fetched.log_start);
        }
        if read_committed {
            self.length(fetched.aborted.len());
            for (producer, first) in fetched.aborted {
                self.bytes.put_i64(producer);
                self.bytes.put_i64(first);
                self.no_tags();
            }
        } else {
            self.null();
        }
        if version >= 11 {
            self.bytes.put_i32(fetched.preferred.unwrap_or(NodeId::NONE).0);
        }
        self.records(fetched.records);
        if self.flexible {
            self.varint(usize::from(fetched.diverging.is_some()) + usize::from(partition.leader.is_some()));
            if let Some((epoch, end)) = fetched.diverging {
                self.bytes.put_slice(&[0, DIVERGING_BYTES]);
                self.bytes.put_i32(epoch);
                self.bytes.put_i64(end);
                self.bytes.put_u8(0);
            }
            if let Some((leader, epoch)) = partition.leader {
                self.bytes.put_slice(&[1, LEADER_BYTES]);
                self.bytes.put_i32(leader.0);
                self.bytes.put_i32(epoch);
                self.bytes.put_u8(0);
            }
        }
    }

    fn records(&mut self, records: Vec<Bytes>) {
        self.length(records.iter().map(Bytes::len).sum());
        if !records.is_empty() {
            self.pieces.push(self.bytes.split().freeze());
            self.pieces.extend(records);
        }
    }

    /// `node_endpoints`, the only tagged field of the response itself.
    fn endpoints(&mut self, leaders: &[Leader]) {
        let mut field = Self::new(true);
        field.length(leaders.len());
        for leader in leaders {
            field.bytes.put_i32(leader.id.0);
            field.string(&leader.host);
            field.bytes.put_i32(i32::from(leader.port));
            match &leader.rack {
                Some(rack) => field.string(rack),
                None => field.null(),
            }
            field.no_tags();
        }
        self.varint(1);
        self.varint(0);
        self.varint(field.bytes.len());
        self.bytes.put_slice(&field.bytes);
    }

    /// Of an array or of bytes.
    fn length(&mut self, length: usize) {
        if self.flexible {
            self.varint(length + 1);
        } else {
            // A frame's own length is an i32, so nothing within it is longer.
            self.bytes.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
        }
    }

    /// Of an array, or of a string in a flexible version.
    fn null(&mut self) {
        if self.flexible {
            self.bytes.put_u8(0);
        } else {
            self.bytes.put_i32(-1);
        }
    }

    fn string(&mut self, text: &str) {
        if self.flexible {
            self.varint(text.len() + 1);
        } else {
            self.bytes.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        }
        self.bytes.put_slice(text.as_bytes());
    }

    fn no_tags(&mut self) {
        if self.flexible {
            self.bytes.put_u8(0);
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.bytes.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::FetchResponse;

    use super::*;
    use crate::handler::fetch::VERSIONS;
    use crate::id::{TopicId, TopicPartition};

    fn name(topic: &'static str, partition: i32, version: i16) -> Name {
        Name {
            topic: StrBytes::from_static_str(if version >= BY_ID { "" } else { topic }),
            topic_id: if version >= BY_ID {
                Uuid::from_u128(topic.len() as u128)
            } else {
                Uuid::nil()
            },
            partition,
        }
    }

    fn fetched(records: &[u8]) -> Fetched {
        Fetched {
            at: TopicPartition {
                topic: TopicId(Uuid::nil()),
                partition: 0,
            },
            error: None,
            high_watermark: 40,
            last_stable: 33,
            aborted: vec![(9, 31)],
            log_start: 3,
            records: vec![Bytes::copy_from_slice(records)],
            diverging: None,
            leader: None,
            preferred: Some(NodeId(5)),
        }
    }

    /// An answer with one of everything, as the generated decoder reads it.
    fn read_back(version: i16) -> FetchResponse {
        let mut answer = Answer::of(77, version % 2 == 0);
        let long = vec![b'x'; 70_000];
        let places = [("orders", 0, &b"first"[..]), ("payments", 3, &long), ("orders", 1, b"")];
        for (topic, partition, records) in places {
            let partition = Partition {
                index: partition,
                fetched: Fetched {
                    diverging: records.is_empty().then_some((4, 17)),
                    error: records.is_empty().then_some(ErrorCode::NotLeaderOrFollower),
                    ..fetched(records)
                },
                leader: records.is_empty().then_some((NodeId(2), 9)),
            };
            let name = name(topic, partition.index, version);
            match answer
                .topics
                .iter_mut()
                .find(|known| (&known.name, known.id) == (&name.topic, name.topic_id))
            {
                Some(known) => known.partitions.push(partition),
                None => answer.topics.push(Topic {
                    name: name.topic,
                    id: name.topic_id,
                    partitions: vec![partition],
                }),
            }
        }
        answer.leaders.push(Leader {
            id: NodeId(2),
            host: "127.0.1.10".to_owned(),
            port: 9092,
            rack: None,
        });
        let body = answer.write(version).concat();
        crate::wire::decode_message(body.into(), version).expect("decodes")
    }

    #[test]
    fn every_version_reads_back_as_it_was_written() {
        for version in VERSIONS {
            let response = read_back(version);
            assert_eq!(response.session_id, if version >= 7 { 77 } else { 0 }, "v{version}");
            assert_eq!(response.responses.len(), 2, "v{version}");
            let [orders, payments] = &response.responses[..] else {
                panic!("two topics")
            };
            if version >= BY_ID {
                assert_eq!(payments.topic_id, Uuid::from_u128(8));
            } else {
                assert_eq!(orders.topic.as_str(), "orders");
            }
            let first = &orders.partitions[0];
            assert_eq!(first.records.as_deref(), Some(&b"first"[..]), "v{version}");
            assert_eq!((first.high_watermark, first.last_stable_offset), (40, 33));
            let aborted = first.aborted_transactions.as_ref();
            let aborted = aborted.map(|all| (all[0].producer_id.0, all[0].first_offset));
            assert_eq!(aborted, (version % 2 == 0).then_some((9, 31)), "v{version}");
            let preferred = if version >= 11 { 5 } else { -1 };
            assert_eq!(first.preferred_read_replica.0, preferred, "v{version}");
            assert_eq!(payments.partitions[0].records.as_ref().map(Bytes::len), Some(70_000));
            let refused = &orders.partitions[1];
            assert_eq!(refused.error_code, ErrorCode::NotLeaderOrFollower.code());
            if version >= FLEXIBLE {
                assert_eq!(
                    (refused.diverging_epoch.epoch, refused.diverging_epoch.end_offset),
                    (4, 17)
                );
                assert_eq!(
                    (refused.current_leader.leader_id.0, refused.current_leader.leader_epoch),
                    (2, 9)
                );
            }
            assert_eq!(response.node_endpoints.len(), usize::from(version >= 16), "v{version}");
        }
    }

    #[test]
    fn a_throttled_reader_gets_its_wait_and_nothing_else() {
        let body = Answer::throttled(5, Duration::from_millis(1_234)).write(16).concat();
        let response: FetchResponse = crate::wire::decode_message(body.into(), 16).expect("decodes");
        assert_eq!((response.throttle_time_ms, response.session_id), (1_234, 5));
        assert!(response.responses.is_empty());
    }

    #[test]
    fn records_are_not_copied() {
        let records = Bytes::from(vec![1; 1000]);
        let mut answer = Answer::of(0, false);
        answer.topics.push(Topic {
            name: StrBytes::new(),
            id: Uuid::nil(),
            partitions: vec![Partition {
                index: 0,
                fetched: Fetched {
                    records: vec![records.clone()],
                    ..fetched(b"")
                },
                leader: None,
            }],
        });
        let pieces = answer.write(16);
        assert!(pieces.iter().any(|piece| piece.as_ptr() == records.as_ptr()));
    }
}
