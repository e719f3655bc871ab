//! The property names of Kafka's Java clients and of librdkafka, and what each does to a connection here.

use crate::model::nearest;

/// What a property does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// About TLS or SASL: one value, written where it is.
    Security,
    /// The same, which may also come from a file, the environment or a command.
    Secret,
    /// Cannot be honoured; the way round.
    Refused(&'static str),
    /// Known, but not about how to connect.
    Ignored(&'static str),
    /// Kept under this name of librdkafka's.
    Text(&'static str),
    /// The same, a number.
    Number(&'static str),
    /// No known name; the nearest that is known.
    Unknown(Option<&'static str>),
}

/// What the property called `key` does.
pub fn effect(key: &str) -> Effect {
    if let Some((_, effect)) = NAMES.iter().find(|(name, _)| *name == key) {
        return *effect;
    }
    if key.starts_with("config.providers") {
        return Effect::Refused(
            "config providers cannot be run here; write the values themselves, in a file that only you may read",
        );
    }
    Effect::Unknown(nearest(key, NAMES.iter().map(|(name, _)| *name)))
}

const CONSUMER: Effect = Effect::Ignored("it is a consumer's");
const PRODUCER: Effect = Effect::Ignored("it is a producer's");
const ADMIN: Effect = Effect::Ignored("--timeout bounds the whole command");

const JAVAS: Effect = Effect::Ignored("rustls and OpenSSL choose for themselves");
const KERBEROS: Effect = Effect::Ignored("it is about Kerberos");
const REFRESH: Effect = Effect::Ignored("a token is looked up at every login");
const FETCHING: Effect =
    Effect::Ignored("an answer with a token is waited for 4 s, and asked for again where that may help");
const MAKES: Effect = Effect::Refused(
    "tokens are not made here, only asked for; name who gives them with sasl.oauthbearer.token.endpoint.url, or one in the \
     context: \"sasl.oauthbearer.token\" = { file = \"…\" }",
);

const NAMES: &[(&str, Effect)] = &[
    ("security.protocol", Effect::Security),
    ("sasl.mechanism", Effect::Security),
    ("sasl.mechanisms", Effect::Security),
    ("sasl.username", Effect::Secret),
    ("sasl.password", Effect::Secret),
    ("sasl.jaas.config", Effect::Secret),
    ("sasl.client.callback.handler.class", Effect::Security),
    ("sasl.login.callback.handler.class", Effect::Security),
    // Ours: neither Java nor librdkafka has a property for a token itself.
    ("sasl.oauthbearer.token", Effect::Secret),
    ("sasl.oauthbearer.token.endpoint.url", Effect::Security),
    ("sasl.oauthbearer.method", Effect::Security),
    ("sasl.oauthbearer.client.id", Effect::Secret),
    ("sasl.oauthbearer.client.secret", Effect::Secret),
    ("sasl.oauthbearer.client.credentials.client.id", Effect::Secret),
    ("sasl.oauthbearer.client.credentials.client.secret", Effect::Secret),
    ("sasl.oauthbearer.scope", Effect::Security),
    ("sasl.oauthbearer.extensions", Effect::Security),
    ("sasl.oauthbearer.header.urlencode", Effect::Security),
    ("sasl.oauthbearer.grant.type", Effect::Security),
    ("https.ca.location", Effect::Security),
    ("https.ca.pem", Effect::Secret),
    ("sasl.oauthbearer.config", MAKES),
    ("enable.sasl.oauthbearer.unsecure.jwt", MAKES),
    (
        "sasl.login.class",
        Effect::Refused("a Java class cannot be run here; leave it out, or use mutual TLS"),
    ),
    ("sasl.login.connect.timeout.ms", FETCHING),
    ("sasl.login.read.timeout.ms", FETCHING),
    ("sasl.login.retry.backoff.ms", FETCHING),
    ("sasl.login.retry.backoff.max.ms", FETCHING),
    ("sasl.login.refresh.window.factor", REFRESH),
    ("sasl.login.refresh.window.jitter", REFRESH),
    ("sasl.login.refresh.min.period.seconds", REFRESH),
    ("sasl.login.refresh.buffer.seconds", REFRESH),
    ("sasl.kerberos.service.name", KERBEROS),
    ("sasl.kerberos.principal", KERBEROS),
    ("sasl.kerberos.keytab", KERBEROS),
    ("sasl.kerberos.kinit.cmd", KERBEROS),
    ("sasl.kerberos.min.time.before.relogin", KERBEROS),
    ("sasl.kerberos.ticket.renew.jitter", KERBEROS),
    ("sasl.kerberos.ticket.renew.window.factor", KERBEROS),
    ("ssl.truststore.location", Effect::Security),
    ("ssl.truststore.password", Effect::Secret),
    ("ssl.truststore.certificates", Effect::Secret),
    // A store's content tells its type.
    ("ssl.truststore.type", Effect::Security),
    ("ssl.keystore.type", Effect::Security),
    ("ssl.keystore.location", Effect::Security),
    ("ssl.keystore.password", Effect::Secret),
    ("ssl.keystore.key", Effect::Secret),
    ("ssl.keystore.certificate.chain", Effect::Secret),
    ("ssl.key.password", Effect::Secret),
    ("ssl.ca.location", Effect::Security),
    ("ssl.ca.pem", Effect::Secret),
    ("ssl.certificate.location", Effect::Security),
    ("ssl.certificate.pem", Effect::Secret),
    ("ssl.key.location", Effect::Security),
    ("ssl.key.pem", Effect::Secret),
    ("ssl.endpoint.identification.algorithm", Effect::Security),
    ("ssl.enabled.protocols", Effect::Security),
    ("ssl.cipher.suites", Effect::Security),
    ("enable.ssl.certificate.verification", Effect::Security),
    (
        "ssl.engine.factory.class",
        Effect::Refused(
            "a Java class cannot be run here; name the stores with ssl.truststore.location and ssl.keystore.location",
        ),
    ),
    (
        "ssl.crl.location",
        Effect::Refused("revocation lists are not read; take revoked certificates' authority out of the trust store"),
    ),
    ("ssl.protocol", JAVAS),
    ("ssl.provider", JAVAS),
    ("ssl.providers", JAVAS),
    ("ssl.keymanager.algorithm", JAVAS),
    ("ssl.trustmanager.algorithm", JAVAS),
    ("ssl.secure.random.implementation", JAVAS),
    ("ssl.curves.list", JAVAS),
    ("ssl.sigalgs.list", JAVAS),
    (
        "bootstrap.servers",
        Effect::Ignored("the bootstrap list comes from the context or --bootstrap"),
    ),
    (
        "metadata.broker.list",
        Effect::Ignored("the bootstrap list comes from the context or --bootstrap"),
    ),
    ("client.id", Effect::Text("client.id")),
    ("client.rack", Effect::Text("client.rack")),
    ("client.dns.lookup", Effect::Text("client.dns.lookup")),
    ("broker.address.family", Effect::Text("broker.address.family")),
    ("broker.address.ttl", Effect::Number("broker.address.ttl")),
    ("debug", Effect::Text("debug")),
    ("log_level", Effect::Number("log_level")),
    ("request.timeout.ms", Effect::Number("socket.timeout.ms")),
    ("socket.timeout.ms", Effect::Number("socket.timeout.ms")),
    (
        "socket.connection.setup.timeout.ms",
        Effect::Number("socket.connection.setup.timeout.ms"),
    ),
    ("send.buffer.bytes", Effect::Number("socket.send.buffer.bytes")),
    ("socket.send.buffer.bytes", Effect::Number("socket.send.buffer.bytes")),
    ("receive.buffer.bytes", Effect::Number("socket.receive.buffer.bytes")),
    (
        "socket.receive.buffer.bytes",
        Effect::Number("socket.receive.buffer.bytes"),
    ),
    ("socket.keepalive.enable", Effect::Text("socket.keepalive.enable")),
    ("socket.nagle.disable", Effect::Text("socket.nagle.disable")),
    ("connections.max.idle.ms", Effect::Number("connections.max.idle.ms")),
    ("reconnect.backoff.ms", Effect::Number("reconnect.backoff.ms")),
    ("reconnect.backoff.max.ms", Effect::Number("reconnect.backoff.max.ms")),
    ("retry.backoff.ms", Effect::Number("retry.backoff.ms")),
    ("retry.backoff.max.ms", Effect::Number("retry.backoff.max.ms")),
    (
        "metadata.max.age.ms",
        Effect::Number("topic.metadata.refresh.interval.ms"),
    ),
    (
        "topic.metadata.refresh.interval.ms",
        Effect::Number("topic.metadata.refresh.interval.ms"),
    ),
    ("message.max.bytes", Effect::Number("message.max.bytes")),
    ("receive.message.max.bytes", Effect::Number("receive.message.max.bytes")),
    ("fetch.max.bytes", Effect::Number("fetch.max.bytes")),
    ("fetch.min.bytes", Effect::Number("fetch.min.bytes")),
    ("fetch.max.wait.ms", Effect::Number("fetch.wait.max.ms")),
    ("fetch.wait.max.ms", Effect::Number("fetch.wait.max.ms")),
    ("max.partition.fetch.bytes", Effect::Number("max.partition.fetch.bytes")),
    ("isolation.level", Effect::Text("isolation.level")),
    ("check.crcs", Effect::Text("check.crcs")),
    ("default.api.timeout.ms", ADMIN),
    ("retries", ADMIN),
    (
        "socket.connection.setup.timeout.max.ms",
        Effect::Ignored("librdkafka has one set-up timeout: socket.connection.setup.timeout.ms"),
    ),
    ("bootstrap.controllers", Effect::Ignored("the console talks to brokers")),
    ("enable.metrics.push", Effect::Ignored("the console pushes no metrics")),
    ("metric.reporters", Effect::Ignored("it names a Java class")),
    ("metrics.num.samples", Effect::Ignored("it is about Java's own metrics")),
    (
        "metrics.sample.window.ms",
        Effect::Ignored("it is about Java's own metrics"),
    ),
    (
        "metrics.recording.level",
        Effect::Ignored("it is about Java's own metrics"),
    ),
    (
        "auto.include.jmx.reporter",
        Effect::Ignored("it is about Java's own metrics"),
    ),
    ("interceptor.classes", Effect::Ignored("it names a Java class")),
    ("security.providers", Effect::Ignored("it names a Java class")),
    (
        "metadata.recovery.strategy",
        Effect::Ignored("every question may start at the bootstrap list"),
    ),
    (
        "metadata.recovery.rebootstrap.trigger.ms",
        Effect::Ignored("every question may start at the bootstrap list"),
    ),
    (
        "allow.auto.create.topics",
        Effect::Ignored("the console never creates a topic by asking"),
    ),
    ("group.id", CONSUMER),
    ("group.instance.id", CONSUMER),
    ("group.protocol", CONSUMER),
    ("group.remote.assignor", CONSUMER),
    ("auto.offset.reset", CONSUMER),
    ("auto.commit.interval.ms", CONSUMER),
    ("enable.auto.commit", CONSUMER),
    ("enable.auto.offset.store", CONSUMER),
    ("enable.partition.eof", CONSUMER),
    ("exclude.internal.topics", CONSUMER),
    ("heartbeat.interval.ms", CONSUMER),
    ("session.timeout.ms", CONSUMER),
    ("max.poll.interval.ms", CONSUMER),
    ("max.poll.records", CONSUMER),
    ("partition.assignment.strategy", CONSUMER),
    ("key.deserializer", CONSUMER),
    ("value.deserializer", CONSUMER),
    ("acks", PRODUCER),
    ("request.required.acks", PRODUCER),
    ("batch.size", PRODUCER),
    ("batch.num.messages", PRODUCER),
    ("buffer.memory", PRODUCER),
    ("compression.type", PRODUCER),
    ("compression.codec", PRODUCER),
    ("compression.level", PRODUCER),
    ("delivery.timeout.ms", PRODUCER),
    ("message.timeout.ms", PRODUCER),
    ("enable.idempotence", PRODUCER),
    ("linger.ms", PRODUCER),
    ("queue.buffering.max.ms", PRODUCER),
    ("queue.buffering.max.messages", PRODUCER),
    ("queue.buffering.max.kbytes", PRODUCER),
    ("max.block.ms", PRODUCER),
    ("max.request.size", PRODUCER),
    ("max.in.flight.requests.per.connection", PRODUCER),
    ("partitioner", PRODUCER),
    ("partitioner.class", PRODUCER),
    ("transaction.timeout.ms", PRODUCER),
    ("transactional.id", PRODUCER),
    ("key.serializer", PRODUCER),
    ("value.serializer", PRODUCER),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let mut names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
