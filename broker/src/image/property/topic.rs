//! The topic properties of Apache Kafka 4.1, sorted by name.

use super::Kind::{Boolean, Double, Int, List, Long, String};
use super::Range::{Any, OneOf, Or, Real, Replicas, SomeOf, Whole};
use super::{Property, Synonym};

const MAX: i64 = i64::MAX;
const FOREVER: &str = "9223372036854775807";
const ONE_LEVEL: &str = "the lz4 encoder here has one level.";
const NO_TIERED_STORAGE: &str = "there is no tiered storage.";

const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

const fn times(name: &'static str, factor: i64) -> Synonym {
    Synonym { name, factor }
}

const HOUR: i64 = 3_600_000;

pub(super) const TABLE: &[Property] = &[
    Property::new(
        "cleanup.policy",
        List,
        Some("delete"),
        SomeOf(&["compact", "delete"]),
        "What happens to old segments: delete them by time and size, or keep the latest record of each key.",
    )
    .of_topic(&[same("log.cleanup.policy")]),
    Property::new(
        "compression.gzip.level",
        Int,
        Some("-1"),
        Or(-1, 1, 9),
        "The gzip level if compression.type is gzip.",
    )
    .of_topic(&[same("compression.gzip.level")]),
    Property::new(
        "compression.lz4.level",
        Int,
        Some("9"),
        Whole(1, 17),
        "The lz4 level if compression.type is lz4.",
    )
    .of_topic(&[same("compression.lz4.level")])
    .fixed(ONE_LEVEL),
    Property::new(
        "compression.type",
        String,
        Some("producer"),
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "The codec of stored batches; producer keeps what the producer chose.",
    )
    .of_topic(&[same("compression.type")]),
    Property::new(
        "compression.zstd.level",
        Int,
        Some("3"),
        Whole(-131_072, 22),
        "The zstd level if compression.type is zstd.",
    )
    .of_topic(&[same("compression.zstd.level")]),
    Property::new(
        "delete.retention.ms",
        Long,
        Some("86400000"),
        Whole(0, MAX),
        "How long tombstones of a compacted topic are kept at least, in ms.",
    )
    .of_topic(&[same("log.cleaner.delete.retention.ms")]),
    Property::new(
        "file.delete.delay.ms",
        Long,
        Some("60000"),
        Whole(0, MAX),
        "How long a deleted segment's file stays on disk, in ms.",
    )
    .of_topic(&[same("log.segment.delete.delay.ms")]),
    Property::new(
        "flush.messages",
        Long,
        Some(FOREVER),
        Whole(1, MAX),
        "After how many records the log is synced to disk. Replication, not fsync, is what makes records durable.",
    )
    .of_topic(&[same("log.flush.interval.messages")]),
    Property::new(
        "flush.ms",
        Long,
        Some(FOREVER),
        Whole(0, MAX),
        "After how many ms the log is synced to disk.",
    )
    .of_topic(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    Property::new(
        "follower.replication.throttled.replicas",
        List,
        Some(""),
        Replicas,
        "The replicas whose replication is throttled at the follower, as partition:broker pairs or *.",
    )
    .of_topic(&[]),
    Property::new(
        "index.interval.bytes",
        Int,
        Some("4096"),
        Whole(0, MAX),
        "After how many bytes of records the offset index gets an entry.",
    )
    .of_topic(&[same("log.index.interval.bytes")]),
    Property::new(
        "leader.replication.throttled.replicas",
        List,
        Some(""),
        Replicas,
        "The replicas whose replication is throttled at the leader, as partition:broker pairs or *.",
    )
    .of_topic(&[]),
    Property::new(
        "local.retention.bytes",
        Long,
        Some("-2"),
        Whole(-2, MAX),
        "Bytes kept locally of a topic in tiered storage; -2 is retention.bytes.",
    )
    .of_topic(&[same("log.local.retention.bytes")])
    .fixed(NO_TIERED_STORAGE),
    Property::new(
        "local.retention.ms",
        Long,
        Some("-2"),
        Whole(-2, MAX),
        "How long segments of a topic in tiered storage are kept locally, in ms; -2 is retention.ms.",
    )
    .of_topic(&[same("log.local.retention.ms")])
    .fixed(NO_TIERED_STORAGE),
    Property::new(
        "max.compaction.lag.ms",
        Long,
        Some(FOREVER),
        Whole(1, MAX),
        "How long a record may stay uncompacted, in ms.",
    )
    .of_topic(&[same("log.cleaner.max.compaction.lag.ms")]),
    Property::new(
        "max.message.bytes",
        Int,
        Some("1048588"),
        Whole(0, MAX),
        "The largest batch a producer may send, in bytes, after compression.",
    )
    .of_topic(&[same("message.max.bytes")]),
    Property::new(
        "message.timestamp.after.max.ms",
        Long,
        Some("3600000"),
        Whole(0, MAX),
        "How far a record's timestamp may lie after the broker's clock, in ms.",
    )
    .of_topic(&[same("log.message.timestamp.after.max.ms")]),
    Property::new(
        "message.timestamp.before.max.ms",
        Long,
        Some(FOREVER),
        Whole(0, MAX),
        "How far a record's timestamp may lie before the broker's clock, in ms.",
    )
    .of_topic(&[same("log.message.timestamp.before.max.ms")]),
    Property::new(
        "message.timestamp.type",
        String,
        Some("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]),
        "Whether a record's timestamp is the producer's or the broker's.",
    )
    .of_topic(&[same("log.message.timestamp.type")]),
    Property::new(
        "min.cleanable.dirty.ratio",
        Double,
        Some("0.5"),
        Real(0.0, 1.0),
        "How much of a compacted log must be uncompacted before it is compacted.",
    )
    .of_topic(&[same("log.cleaner.min.cleanable.ratio")]),
    Property::new(
        "min.compaction.lag.ms",
        Long,
        Some("0"),
        Whole(0, MAX),
        "How long a record stays uncompacted at least, in ms.",
    )
    .of_topic(&[same("log.cleaner.min.compaction.lag.ms")]),
    Property::new(
        "min.insync.replicas",
        Int,
        Some("1"),
        Whole(1, MAX),
        "How many replicas must be in sync for a write with acks=all to be taken.",
    )
    .of_topic(&[same("min.insync.replicas")]),
    Property::new(
        "preallocate",
        Boolean,
        Some("false"),
        Any,
        "Whether a segment's file is allocated when it is created.",
    )
    .of_topic(&[same("log.preallocate")]),
    Property::new(
        "remote.log.copy.disable",
        Boolean,
        Some("false"),
        Any,
        "Stops copying segments to tiered storage.",
    )
    .of_topic(&[])
    .fixed(NO_TIERED_STORAGE),
    Property::new(
        "remote.log.delete.on.disable",
        Boolean,
        Some("false"),
        Any,
        "Whether disabling tiered storage deletes what it holds.",
    )
    .of_topic(&[])
    .fixed(NO_TIERED_STORAGE),
    Property::new(
        "remote.storage.enable",
        Boolean,
        Some("false"),
        Any,
        "Whether the topic uses tiered storage.",
    )
    .of_topic(&[])
    .fixed(NO_TIERED_STORAGE),
    Property::new(
        "retention.bytes",
        Long,
        Some("-1"),
        Whole(i64::MIN, MAX),
        "How large a partition may grow before old segments are deleted, in bytes; -1 is no limit.",
    )
    .of_topic(&[same("log.retention.bytes")]),
    Property::new(
        "retention.ms",
        Long,
        Some("604800000"),
        Whole(-1, MAX),
        "How long a record is kept before old segments are deleted, in ms; -1 is for ever.",
    )
    .of_topic(&[
        same("log.retention.ms"),
        times("log.retention.minutes", 60_000),
        times("log.retention.hours", HOUR),
    ]),
    Property::new(
        "segment.bytes",
        Int,
        Some("1073741824"),
        Whole(1_048_576, MAX),
        "How large a segment may grow before the next one begins, in bytes.",
    )
    .of_topic(&[same("log.segment.bytes")]),
    Property::new(
        "segment.index.bytes",
        Int,
        Some("10485760"),
        Whole(4, MAX),
        "How large an offset index may grow, in bytes.",
    )
    .of_topic(&[same("log.index.size.max.bytes")]),
    Property::new(
        "segment.jitter.ms",
        Long,
        Some("0"),
        Whole(0, MAX),
        "By how much segment.ms is shortened at random, in ms.",
    )
    .of_topic(&[same("log.roll.jitter.ms"), times("log.roll.jitter.hours", HOUR)]),
    Property::new(
        "segment.ms",
        Long,
        Some("604800000"),
        Whole(1, MAX),
        "After how long the next segment begins even if the current one is not full, in ms.",
    )
    .of_topic(&[same("log.roll.ms"), times("log.roll.hours", HOUR)]),
    Property::new(
        "unclean.leader.election.enable",
        Boolean,
        Some("false"),
        Any,
        "Whether a replica that is not in sync may lead when nothing else is left, losing records.",
    )
    .of_topic(&[same("unclean.leader.election.enable")]),
];
