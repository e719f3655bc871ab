//! The broker properties of Apache Kafka 4.1 that are honoured here or that clients look for, sorted by name.

use super::Kind::{Boolean, Class, Double, Int, List, Long, Password, Short, String};
use super::Property;
use super::Range::{Any, IpLimits, OneOf, Or, Real, SomeOf, Whole};

const MAX: i64 = i64::MAX;

pub(super) const TABLE: &[Property] = &[
    Property::new(
        "advertised.listeners",
        String,
        None,
        Any,
        "Where clients reach the broker, if that is not where it listens.",
    ),
    Property::new(
        "allow.everyone.if.no.acl.found",
        Boolean,
        Some("false"),
        Any,
        "Whether a resource that no ACL names is open to everybody.",
    ),
    Property::new(
        "authorizer.class.name",
        String,
        Some(""),
        Any,
        "The class that decides who may do what; without one every client may do everything.",
    ),
    Property::new(
        "auto.create.topics.enable",
        Boolean,
        Some("true"),
        Any,
        "Whether a client's metadata request creates a topic that is not there.",
    ),
    Property::new(
        "auto.leader.rebalance.enable",
        Boolean,
        Some("true"),
        Any,
        "Whether leadership goes back to preferred replicas by itself.",
    ),
    Property::new(
        "azimuth.metrics.listener",
        String,
        None,
        Any,
        "Where metrics are read over HTTP, as host:port; port 0 takes a free one. Not of Apache Kafka.",
    ),
    Property::new(
        "background.threads",
        Int,
        Some("10"),
        Whole(1, MAX),
        "Threads for background work.",
    )
    .dynamic()
    .fixed("tasks share one runtime."),
    Property::new(
        "broker.heartbeat.interval.ms",
        Int,
        Some("2000"),
        Whole(1, MAX),
        "How often a broker tells the controller that it lives, in ms.",
    ),
    Property::new(
        "broker.id",
        Int,
        Some("-1"),
        Whole(-1, MAX),
        "The older name of node.id.",
    ),
    Property::new(
        "broker.rack",
        String,
        None,
        Any,
        "The broker's rack, or availability zone id; replicas are spread over racks.",
    ),
    Property::new(
        "broker.session.timeout.ms",
        Int,
        Some("9000"),
        Whole(1, MAX),
        "After how long without a heartbeat a broker is fenced, in ms.",
    ),
    Property::new(
        "compression.gzip.level",
        Int,
        Some("-1"),
        Or(-1, 1, 9),
        "Default of the topic's compression.gzip.level.",
    )
    .dynamic(),
    Property::new(
        "compression.lz4.level",
        Int,
        Some("9"),
        Whole(1, 17),
        "Default of the topic's compression.lz4.level.",
    )
    .dynamic()
    .fixed("the lz4 encoder here has one level."),
    Property::new(
        "compression.type",
        String,
        Some("producer"),
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "Default of the topic's compression.type.",
    )
    .dynamic(),
    Property::new(
        "compression.zstd.level",
        Int,
        Some("3"),
        Whole(-131_072, 22),
        "Default of the topic's compression.zstd.level.",
    )
    .dynamic(),
    Property::new(
        "connection.failed.authentication.delay.ms",
        Int,
        Some("100"),
        Whole(0, MAX),
        "How long the answer to a login that failed is held back, in ms.",
    ),
    Property::new(
        "connections.max.idle.ms",
        Long,
        Some("600000"),
        Whole(-1, MAX),
        "After how long an idle connection is closed, in ms.",
    ),
    Property::new(
        "connections.max.reauth.ms",
        Long,
        Some("0"),
        Any,
        "After how long a client has to log in again, in ms; 0 is never, unless its token ends.",
    ),
    Property::new(
        "controlled.shutdown.enable",
        Boolean,
        Some("true"),
        Any,
        "Whether leadership moves away before a broker stops.",
    ),
    Property::new(
        "controller.listener.names",
        String,
        None,
        Any,
        "The names of the controller's listeners.",
    ),
    Property::new(
        "controller.quorum.bootstrap.servers",
        List,
        Some(""),
        Any,
        "Where the controller is found, as host:port.",
    ),
    Property::new(
        "controller.quorum.voters",
        List,
        Some(""),
        Any,
        "The controller, as id@host:port. One only: more need a consensus, which Apache Kafka has.",
    ),
    Property::new(
        "controller.quota.window.num",
        Int,
        Some("11"),
        Whole(1, MAX),
        "Samples kept for the quota of controller mutations.",
    ),
    Property::new(
        "controller.quota.window.size.seconds",
        Int,
        Some("1"),
        Whole(1, MAX),
        "The length of a sample of the quota of controller mutations, in seconds.",
    ),
    Property::new(
        "controller.socket.timeout.ms",
        Int,
        Some("30000"),
        Whole(1, MAX),
        "How long a request to the controller may take, in ms.",
    ),
    Property::new(
        "default.replication.factor",
        Int,
        Some("1"),
        Whole(1, MAX),
        "The replication factor of topics that do not say.",
    ),
    Property::new(
        "delete.topic.enable",
        Boolean,
        Some("true"),
        Any,
        "Whether topics can be deleted.",
    ),
    Property::new(
        "fetch.max.bytes",
        Int,
        Some("57671680"),
        Whole(1024, MAX),
        "The most bytes one fetch answers, whatever the client asks for.",
    ),
    Property::new(
        "follower.replication.throttled.rate",
        Long,
        Some("9223372036854775807"),
        Whole(0, MAX),
        "The rate of throttled replicas at the follower, in bytes per second.",
    )
    .dynamic(),
    Property::new(
        "group.consumer.heartbeat.interval.ms",
        Int,
        Some("5000"),
        Whole(1, MAX),
        "The heartbeat interval of KIP-848 groups, in ms.",
    )
    .fixed("the consumer group protocol of KIP-848 is not there."),
    Property::new(
        "group.consumer.session.timeout.ms",
        Int,
        Some("45000"),
        Whole(1, MAX),
        "The session timeout of KIP-848 groups, in ms.",
    )
    .fixed("the consumer group protocol of KIP-848 is not there."),
    Property::new(
        "group.coordinator.rebalance.protocols",
        List,
        Some("classic"),
        SomeOf(&["classic", "consumer", "share", "streams"]),
        "The group protocols that are served.",
    )
    .fixed("only the classic group protocol is there."),
    Property::new(
        "group.initial.rebalance.delay.ms",
        Int,
        Some("3000"),
        Whole(0, MAX),
        "How long an empty group waits for more members before its first rebalance, in ms.",
    ),
    Property::new(
        "group.max.session.timeout.ms",
        Int,
        Some("1800000"),
        Whole(0, MAX),
        "The longest session timeout a member may ask for, in ms.",
    ),
    Property::new(
        "group.max.size",
        Int,
        Some("2147483647"),
        Whole(1, MAX),
        "The most members a group may have.",
    ),
    Property::new(
        "group.min.session.timeout.ms",
        Int,
        Some("6000"),
        Whole(0, MAX),
        "The shortest session timeout a member may ask for, in ms.",
    ),
    Property::new(
        "inter.broker.listener.name",
        String,
        None,
        Any,
        "The listener brokers use among themselves; the first one if not set.",
    ),
    Property::new(
        "leader.imbalance.check.interval.seconds",
        Long,
        Some("300"),
        Whole(1, MAX),
        "How often leadership is compared with the preferred replicas, in seconds.",
    ),
    Property::new(
        "leader.imbalance.per.broker.percentage",
        Int,
        Some("10"),
        Whole(0, MAX),
        "Up to which share of partitions a broker may not lead though it is preferred, in percent.",
    ),
    Property::new(
        "leader.replication.throttled.rate",
        Long,
        Some("9223372036854775807"),
        Whole(0, MAX),
        "The rate of throttled replicas at the leader, in bytes per second.",
    )
    .dynamic(),
    Property::new(
        "listener.security.protocol.map",
        String,
        Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any,
        "The security protocol of each listener name.",
    ),
    Property::new(
        "listeners",
        List,
        Some("PLAINTEXT://:9092"),
        Any,
        "Where the node listens, as NAME://host:port.",
    ),
    Property::new(
        "log.cleaner.backoff.ms",
        Long,
        Some("15000"),
        Whole(0, MAX),
        "How often compacted logs are looked at, in ms.",
    ),
    Property::new(
        "log.cleaner.delete.retention.ms",
        Long,
        Some("86400000"),
        Whole(0, MAX),
        "Default of the topic's delete.retention.ms.",
    )
    .dynamic(),
    Property::new(
        "log.cleaner.enable",
        Boolean,
        Some("true"),
        Any,
        "Whether compacted topics are compacted.",
    ),
    Property::new(
        "log.cleaner.max.compaction.lag.ms",
        Long,
        Some("9223372036854775807"),
        Whole(1, MAX),
        "Default of the topic's max.compaction.lag.ms.",
    )
    .dynamic(),
    Property::new(
        "log.cleaner.min.cleanable.ratio",
        Double,
        Some("0.5"),
        Real(0.0, 1.0),
        "Default of the topic's min.cleanable.dirty.ratio.",
    )
    .dynamic(),
    Property::new(
        "log.cleaner.min.compaction.lag.ms",
        Long,
        Some("0"),
        Whole(0, MAX),
        "Default of the topic's min.compaction.lag.ms.",
    )
    .dynamic(),
    Property::new(
        "log.cleanup.policy",
        List,
        Some("delete"),
        SomeOf(&["compact", "delete"]),
        "Default of the topic's cleanup.policy.",
    )
    .dynamic(),
    Property::new(
        "log.dir",
        String,
        Some("/tmp/kafka-logs"),
        Any,
        "Where partitions are kept, if log.dirs is not set.",
    ),
    Property::new("log.dirs", List, None, Any, "The folders partitions are kept in."),
    Property::new(
        "log.flush.interval.messages",
        Long,
        Some("9223372036854775807"),
        Whole(1, MAX),
        "Default of the topic's flush.messages.",
    )
    .dynamic(),
    Property::new(
        "log.flush.interval.ms",
        Long,
        None,
        Whole(0, MAX),
        "Default of the topic's flush.ms.",
    )
    .dynamic(),
    Property::new(
        "log.flush.offset.checkpoint.interval.ms",
        Int,
        Some("60000"),
        Whole(0, MAX),
        "How often recovery points are written, in ms.",
    ),
    Property::new(
        "log.flush.scheduler.interval.ms",
        Long,
        Some("9223372036854775807"),
        Whole(0, MAX),
        "How often logs are looked through for those to sync, in ms.",
    ),
    Property::new(
        "log.flush.start.offset.checkpoint.interval.ms",
        Int,
        Some("60000"),
        Whole(0, MAX),
        "How often log starts are written, in ms.",
    ),
    Property::new(
        "log.index.interval.bytes",
        Int,
        Some("4096"),
        Whole(0, MAX),
        "Default of the topic's index.interval.bytes.",
    )
    .dynamic(),
    Property::new(
        "log.index.size.max.bytes",
        Int,
        Some("10485760"),
        Whole(4, MAX),
        "Default of the topic's segment.index.bytes.",
    )
    .dynamic(),
    Property::new(
        "log.local.retention.bytes",
        Long,
        Some("-2"),
        Whole(-2, MAX),
        "Default of the topic's local.retention.bytes.",
    )
    .dynamic()
    .fixed("there is no tiered storage."),
    Property::new(
        "log.local.retention.ms",
        Long,
        Some("-2"),
        Whole(-2, MAX),
        "Default of the topic's local.retention.ms.",
    )
    .dynamic()
    .fixed("there is no tiered storage."),
    Property::new(
        "log.message.timestamp.after.max.ms",
        Long,
        Some("3600000"),
        Whole(0, MAX),
        "Default of the topic's message.timestamp.after.max.ms.",
    )
    .dynamic(),
    Property::new(
        "log.message.timestamp.before.max.ms",
        Long,
        Some("9223372036854775807"),
        Whole(0, MAX),
        "Default of the topic's message.timestamp.before.max.ms.",
    )
    .dynamic(),
    Property::new(
        "log.message.timestamp.type",
        String,
        Some("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]),
        "Default of the topic's message.timestamp.type.",
    )
    .dynamic(),
    Property::new(
        "log.preallocate",
        Boolean,
        Some("false"),
        Any,
        "Default of the topic's preallocate.",
    )
    .dynamic(),
    Property::new(
        "log.retention.bytes",
        Long,
        Some("-1"),
        Whole(i64::MIN, MAX),
        "Default of the topic's retention.bytes.",
    )
    .dynamic(),
    Property::new(
        "log.retention.check.interval.ms",
        Long,
        Some("300000"),
        Whole(1, MAX),
        "How often old segments are looked for, in ms.",
    ),
    Property::new(
        "log.retention.hours",
        Int,
        Some("168"),
        Whole(i64::MIN, MAX),
        "Default of the topic's retention.ms, in hours.",
    ),
    Property::new(
        "log.retention.minutes",
        Int,
        None,
        Whole(i64::MIN, MAX),
        "Default of the topic's retention.ms, in minutes; before log.retention.hours.",
    ),
    Property::new(
        "log.retention.ms",
        Long,
        None,
        Whole(-1, MAX),
        "Default of the topic's retention.ms; before log.retention.minutes.",
    )
    .dynamic(),
    Property::new(
        "log.roll.hours",
        Int,
        Some("168"),
        Whole(1, MAX),
        "Default of the topic's segment.ms, in hours.",
    ),
    Property::new(
        "log.roll.jitter.hours",
        Int,
        Some("0"),
        Whole(0, MAX),
        "Default of the topic's segment.jitter.ms, in hours.",
    ),
    Property::new(
        "log.roll.jitter.ms",
        Long,
        None,
        Whole(0, MAX),
        "Default of the topic's segment.jitter.ms.",
    )
    .dynamic(),
    Property::new(
        "log.roll.ms",
        Long,
        None,
        Whole(1, MAX),
        "Default of the topic's segment.ms; before log.roll.hours.",
    )
    .dynamic(),
    Property::new(
        "log.segment.bytes",
        Int,
        Some("1073741824"),
        Whole(1_048_576, MAX),
        "Default of the topic's segment.bytes.",
    )
    .dynamic(),
    Property::new(
        "log.segment.delete.delay.ms",
        Long,
        Some("60000"),
        Whole(0, MAX),
        "Default of the topic's file.delete.delay.ms.",
    )
    .dynamic(),
    Property::new(
        "max.connection.creation.rate",
        Int,
        Some("2147483647"),
        Whole(0, MAX),
        "The most connections a node takes for each second.",
    )
    .dynamic(),
    Property::new(
        "max.connections",
        Int,
        Some("2147483647"),
        Whole(0, MAX),
        "The most connections a node takes.",
    )
    .dynamic(),
    Property::new(
        "max.connections.per.ip",
        Int,
        Some("2147483647"),
        Whole(0, MAX),
        "The most connections a node takes from one address.",
    )
    .dynamic(),
    Property::new(
        "max.connections.per.ip.overrides",
        String,
        Some(""),
        IpLimits,
        "max.connections.per.ip of single addresses, as address:limit.",
    )
    .dynamic(),
    Property::new(
        "message.max.bytes",
        Int,
        Some("1048588"),
        Whole(0, MAX),
        "Default of the topic's max.message.bytes.",
    )
    .dynamic(),
    Property::new(
        "metadata.log.dir",
        String,
        None,
        Any,
        "Where the controller keeps the metadata log; the first of log.dirs if not set.",
    ),
    Property::new(
        "min.insync.replicas",
        Int,
        Some("1"),
        Whole(1, MAX),
        "Default of the topic's min.insync.replicas.",
    )
    .dynamic(),
    Property::new(
        "node.id",
        Int,
        None,
        Whole(0, MAX),
        "The node's id; every node has its own.",
    ),
    Property::new(
        "num.io.threads",
        Int,
        Some("8"),
        Whole(1, MAX),
        "Threads that process requests.",
    )
    .dynamic()
    .fixed("tasks share one runtime."),
    Property::new(
        "num.network.threads",
        Int,
        Some("3"),
        Whole(1, MAX),
        "Threads that serve connections.",
    )
    .dynamic()
    .fixed("tasks share one runtime."),
    Property::new(
        "num.partitions",
        Int,
        Some("1"),
        Whole(1, MAX),
        "The partitions of topics that do not say.",
    ),
    Property::new(
        "num.recovery.threads.per.data.dir",
        Int,
        Some("2"),
        Whole(1, MAX),
        "Threads that recover logs at start.",
    )
    .dynamic()
    .fixed("logs are recovered one after the other."),
    Property::new(
        "num.replica.fetchers",
        Int,
        Some("1"),
        Whole(1, MAX),
        "Fetchers per leader.",
    )
    .dynamic()
    .fixed("one link to each leader is enough."),
    Property::new(
        "offset.metadata.max.bytes",
        Int,
        Some("4096"),
        Whole(0, MAX),
        "The longest metadata of a committed offset, in bytes.",
    ),
    Property::new(
        "offsets.commit.timeout.ms",
        Int,
        Some("5000"),
        Whole(1, MAX),
        "How long a commit waits for the replicas of the offsets topic, in ms.",
    ),
    Property::new(
        "offsets.retention.check.interval.ms",
        Long,
        Some("600000"),
        Whole(1, MAX),
        "How often expired offsets are looked for, in ms.",
    ),
    Property::new(
        "offsets.retention.minutes",
        Int,
        Some("10080"),
        Whole(1, MAX),
        "How long the offsets of an empty group are kept, in minutes.",
    ),
    Property::new(
        "offsets.topic.compression.codec",
        Int,
        Some("0"),
        Whole(0, 4),
        "The codec of the offsets topic.",
    )
    .fixed("the offsets topic is not compressed."),
    Property::new(
        "offsets.topic.num.partitions",
        Int,
        Some("50"),
        Whole(1, MAX),
        "The partitions of the offsets topic.",
    ),
    Property::new(
        "offsets.topic.replication.factor",
        Short,
        Some("3"),
        Whole(1, MAX),
        "The replication factor of the offsets topic.",
    ),
    Property::new(
        "offsets.topic.segment.bytes",
        Int,
        Some("104857600"),
        Whole(1, MAX),
        "The segment size of the offsets topic, in bytes.",
    ),
    Property::new(
        "process.roles",
        List,
        Some(""),
        SomeOf(&["broker", "controller"]),
        "What the node is: broker, or controller.",
    ),
    Property::new(
        "producer.id.expiration.ms",
        Int,
        Some("86400000"),
        Whole(1, MAX),
        "After how long an idle producer's sequence numbers are forgotten, in ms.",
    )
    .dynamic(),
    Property::new(
        "queued.max.requests",
        Int,
        Some("500"),
        Whole(1, MAX),
        "The most requests that wait.",
    )
    .fixed("each connection has one request in work."),
    Property::new(
        "quota.window.num",
        Int,
        Some("11"),
        Whole(1, MAX),
        "Samples kept for client quotas.",
    ),
    Property::new(
        "quota.window.size.seconds",
        Int,
        Some("1"),
        Whole(1, MAX),
        "The length of a quota sample, in seconds.",
    ),
    Property::new(
        "remote.log.storage.system.enable",
        Boolean,
        Some("false"),
        Any,
        "Whether tiered storage is there.",
    )
    .fixed("there is no tiered storage."),
    Property::new(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        Long,
        Some("9223372036854775807"),
        Whole(0, MAX),
        "How fast replicas move between log directories, all together, in bytes per second.",
    )
    .dynamic(),
    Property::new(
        "replica.fetch.backoff.ms",
        Int,
        Some("1000"),
        Whole(0, MAX),
        "How long a follower waits after a failed fetch, in ms.",
    ),
    Property::new(
        "replica.fetch.max.bytes",
        Int,
        Some("1048576"),
        Whole(0, MAX),
        "The most bytes of one partition in a follower's fetch.",
    ),
    Property::new(
        "replica.fetch.min.bytes",
        Int,
        Some("1"),
        Whole(0, MAX),
        "The fewest bytes a follower's fetch waits for.",
    ),
    Property::new(
        "replica.fetch.response.max.bytes",
        Int,
        Some("10485760"),
        Whole(0, MAX),
        "The most bytes of a follower's fetch.",
    ),
    Property::new(
        "replica.fetch.wait.max.ms",
        Int,
        Some("500"),
        Whole(0, MAX),
        "How long a follower's fetch waits for bytes, in ms.",
    ),
    Property::new(
        "replica.high.watermark.checkpoint.interval.ms",
        Long,
        Some("5000"),
        Whole(0, MAX),
        "How often high watermarks are written, in ms.",
    ),
    Property::new(
        "replica.lag.time.max.ms",
        Long,
        Some("30000"),
        Whole(0, MAX),
        "After how long without catching up a follower leaves the ISR, in ms.",
    ),
    Property::new(
        "replica.selector.class",
        String,
        None,
        OneOf(&[super::LEADER_SELECTOR, super::RACK_AWARE_SELECTOR]),
        "Which replica a consumer is sent to; RackAwareReplicaSelector prefers its own rack (KIP-392).",
    ),
    Property::new(
        "replica.socket.receive.buffer.bytes",
        Int,
        Some("65536"),
        Whole(-1, MAX),
        "The receive buffer of a follower's link, in bytes.",
    )
    .fixed("the kernel sizes socket buffers."),
    Property::new(
        "replica.socket.timeout.ms",
        Int,
        Some("30000"),
        Whole(1, MAX),
        "How long a follower's request may take, in ms.",
    ),
    Property::new(
        "replication.quota.window.num",
        Int,
        Some("11"),
        Whole(1, MAX),
        "Over how many samples the rate of throttled replication is measured.",
    ),
    Property::new(
        "replication.quota.window.size.seconds",
        Int,
        Some("1"),
        Whole(1, MAX),
        "How long one sample of the rate of throttled replication is, in seconds.",
    ),
    Property::new(
        "request.timeout.ms",
        Int,
        Some("30000"),
        Whole(1, MAX),
        "How long a request between nodes may take, in ms.",
    ),
    Property::new(
        "sasl.enabled.mechanisms",
        List,
        Some("GSSAPI"),
        Any,
        "The SASL mechanisms a listener offers: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER.",
    ),
    Property::new(
        "sasl.jaas.config",
        Password,
        None,
        Any,
        "The login module of a SASL mechanism, as listener.name.NAME.MECHANISM.sasl.jaas.config.",
    ),
    Property::new(
        "sasl.mechanism.controller.protocol",
        String,
        Some("GSSAPI"),
        Any,
        "The SASL mechanism brokers log in at the controller with.",
    ),
    Property::new(
        "sasl.mechanism.inter.broker.protocol",
        String,
        Some("GSSAPI"),
        Any,
        "The SASL mechanism brokers log in at each other with.",
    ),
    Property::new(
        "sasl.oauthbearer.clock.skew.seconds",
        Int,
        Some("30"),
        Whole(0, MAX),
        "By how much a token's times may be off, in seconds.",
    ),
    Property::new(
        "sasl.oauthbearer.expected.audience",
        List,
        None,
        Any,
        "The audiences a token may be for; any if not set.",
    ),
    Property::new(
        "sasl.oauthbearer.expected.issuer",
        String,
        None,
        Any,
        "Who has to have issued a token; anybody if not set.",
    ),
    Property::new(
        "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        Long,
        Some("3600000"),
        Whole(0, MAX),
        "How often the keys of tokens are read again, in ms.",
    ),
    Property::new(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        Long,
        Some("10000"),
        Whole(0, MAX),
        "The longest pause before the keys of tokens are tried again, in ms.",
    ),
    Property::new(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
        Long,
        Some("100"),
        Whole(0, MAX),
        "The first pause before the keys of tokens are tried again, in ms.",
    ),
    Property::new(
        "sasl.oauthbearer.jwks.endpoint.url",
        String,
        None,
        Any,
        "Where the public keys of tokens are, as a file:, http: or https: URL of a JSON web key set.",
    ),
    Property::new(
        "sasl.oauthbearer.scope.claim.name",
        String,
        Some("scope"),
        Any,
        "The claim of a token that holds its scope.",
    ),
    Property::new(
        "sasl.oauthbearer.sub.claim.name",
        String,
        Some("sub"),
        Any,
        "The claim of a token that holds the user's name.",
    ),
    Property::new(
        "sasl.oauthbearer.token.endpoint.url",
        String,
        None,
        Any,
        "Where a node's own token is, as a file: URL.",
    ),
    Property::new(
        "sasl.server.callback.handler.class",
        Class,
        None,
        Any,
        "What checks tokens, as listener.name.NAME.oauthbearer.sasl.server.callback.handler.class.",
    ),
    Property::new(
        "sasl.server.max.receive.size",
        Int,
        Some("524288"),
        Whole(1, MAX),
        "The longest request before a client is logged in, in bytes.",
    ),
    Property::new(
        "security.inter.broker.protocol",
        String,
        Some("PLAINTEXT"),
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        "The protocol brokers use among themselves, if inter.broker.listener.name is not set.",
    ),
    Property::new(
        "socket.listen.backlog.size",
        Int,
        Some("50"),
        Whole(1, MAX),
        "The longest queue of connections not yet accepted.",
    ),
    Property::new(
        "socket.receive.buffer.bytes",
        Int,
        Some("102400"),
        Whole(-1, MAX),
        "The receive buffer of a connection, in bytes.",
    )
    .fixed("the kernel sizes socket buffers."),
    Property::new(
        "socket.request.max.bytes",
        Int,
        Some("104857600"),
        Whole(1, MAX),
        "The longest request, in bytes; a longer one closes its connection.",
    ),
    Property::new(
        "socket.send.buffer.bytes",
        Int,
        Some("102400"),
        Whole(-1, MAX),
        "The send buffer of a connection, in bytes.",
    )
    .fixed("the kernel sizes socket buffers."),
    Property::new(
        "ssl.allow.dn.changes",
        Boolean,
        Some("false"),
        Any,
        "Whether a key store set while the broker runs may have another subject.",
    )
    .fixed("a new certificate is taken whatever its subject."),
    Property::new(
        "ssl.allow.san.changes",
        Boolean,
        Some("false"),
        Any,
        "Whether a key store set while the broker runs may have other host names.",
    )
    .fixed("a new certificate is taken whatever its host names."),
    Property::new(
        "ssl.cipher.suites",
        List,
        Some(""),
        Any,
        "The cipher suites of TLS connections; all good ones if empty.",
    ),
    Property::new(
        "ssl.client.auth",
        String,
        Some("none"),
        OneOf(&["required", "requested", "none"]),
        "Whether clients show a certificate.",
    ),
    Property::new(
        "ssl.enabled.protocols",
        List,
        Some("TLSv1.2,TLSv1.3"),
        SomeOf(&["TLSv1.2", "TLSv1.3"]),
        "The TLS versions that are spoken.",
    ),
    Property::new(
        "ssl.endpoint.identification.algorithm",
        String,
        Some("https"),
        OneOf(&["https", ""]),
        "How the host name in a server's certificate is checked; empty does not check it.",
    ),
    Property::new(
        "ssl.engine.factory.class",
        Class,
        None,
        Any,
        "The class that makes TLS engines.",
    )
    .fixed("classes are not loaded here."),
    Property::new(
        "ssl.key.password",
        Password,
        None,
        Any,
        "The password of the private key.",
    )
    .dynamic(),
    Property::new(
        "ssl.keymanager.algorithm",
        String,
        Some("PKIX"),
        Any,
        "The algorithm of Java's key manager.",
    )
    .fixed("there is one way to keep keys."),
    Property::new(
        "ssl.keystore.certificate.chain",
        Password,
        None,
        Any,
        "The certificate chain in PEM, if it is in no file.",
    )
    .dynamic(),
    Property::new(
        "ssl.keystore.key",
        Password,
        None,
        Any,
        "The private key in PEM, if it is in no file.",
    )
    .dynamic(),
    Property::new(
        "ssl.keystore.location",
        String,
        None,
        Any,
        "The file with the private key and its certificate chain, PEM or PKCS12.",
    )
    .dynamic(),
    Property::new(
        "ssl.keystore.password",
        Password,
        None,
        Any,
        "The password of the key store.",
    )
    .dynamic(),
    Property::new(
        "ssl.keystore.type",
        String,
        Some("JKS"),
        Any,
        "The type of the key store; its content decides.",
    )
    .dynamic(),
    Property::new(
        "ssl.principal.mapping.rules",
        String,
        Some("DEFAULT"),
        Any,
        "How a certificate's subject becomes a user name (KIP-371).",
    ),
    Property::new("ssl.protocol", String, Some("TLSv1.3"), Any, "The newest TLS version.")
        .fixed("ssl.enabled.protocols says which versions are spoken."),
    Property::new(
        "ssl.provider",
        String,
        None,
        Any,
        "The name of Java's security provider.",
    )
    .fixed("there is one provider."),
    Property::new(
        "ssl.secure.random.implementation",
        String,
        None,
        Any,
        "Java's source of random numbers.",
    )
    .fixed("the system's is used."),
    Property::new(
        "ssl.trustmanager.algorithm",
        String,
        Some("PKIX"),
        Any,
        "The algorithm of Java's trust manager.",
    )
    .fixed("certificates are checked in one way."),
    Property::new(
        "ssl.truststore.certificates",
        Password,
        None,
        Any,
        "The certificates that are trusted, in PEM, if they are in no file.",
    )
    .dynamic(),
    Property::new(
        "ssl.truststore.location",
        String,
        None,
        Any,
        "The file with the certificates that are trusted, PEM or PKCS12.",
    )
    .dynamic(),
    Property::new(
        "ssl.truststore.password",
        Password,
        None,
        Any,
        "The password of the trust store.",
    )
    .dynamic(),
    Property::new(
        "ssl.truststore.type",
        String,
        Some("JKS"),
        Any,
        "The type of the trust store; its content decides.",
    )
    .dynamic(),
    Property::new(
        "super.users",
        String,
        Some(""),
        Any,
        "The principals that may do everything, separated by semicolons.",
    ),
    Property::new(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        Int,
        Some("10000"),
        Whole(1, MAX),
        "How often transactions are looked for that have been open too long, in ms.",
    ),
    Property::new(
        "transaction.max.timeout.ms",
        Int,
        Some("900000"),
        Whole(1, MAX),
        "The longest timeout that a producer may ask for its transactions, in ms.",
    ),
    Property::new(
        "transaction.partition.verification.enable",
        Boolean,
        Some("true"),
        Any,
        "Whether a coordinator is asked before a transaction begins in a partition (KIP-890).",
    ),
    Property::new(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        Int,
        Some("3600000"),
        Whole(1, MAX),
        "How often transactional ids are looked for that nobody uses any more, in ms.",
    ),
    Property::new(
        "transaction.state.log.min.isr",
        Int,
        Some("2"),
        Whole(1, MAX),
        "min.insync.replicas of the transaction topic.",
    ),
    Property::new(
        "transaction.state.log.num.partitions",
        Int,
        Some("50"),
        Whole(1, MAX),
        "The partitions of the transaction topic.",
    ),
    Property::new(
        "transaction.state.log.replication.factor",
        Short,
        Some("3"),
        Whole(1, MAX),
        "The replication factor of the transaction topic.",
    ),
    Property::new(
        "transaction.state.log.segment.bytes",
        Int,
        Some("104857600"),
        Whole(1, MAX),
        "The segment size of the transaction topic, in bytes.",
    ),
    Property::new(
        "transactional.id.expiration.ms",
        Int,
        Some("604800000"),
        Whole(1, MAX),
        "After how long without a transaction a transactional id is forgotten, in ms.",
    ),
    Property::new(
        "unclean.leader.election.enable",
        Boolean,
        Some("false"),
        Any,
        "Default of the topic's unclean.leader.election.enable.",
    )
    .dynamic(),
];
