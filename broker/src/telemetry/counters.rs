//! What is counted on the path: requests by API, traffic by topic, and how busy the node is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::Exposition;
use super::clients::Clients;
use super::histogram::Histogram;
use super::waiting::Waiting;

/// API keys are below.
const KEYS: usize = 128;
/// Versions of one API are below; none has as many.
const VERSIONS: usize = 24;
/// How long the time of handlers is added up before it is compared with the time that went by.
const IDLE_SPAN: Duration = Duration::from_secs(5);

/// The counters of one node.
#[derive(Debug)]
pub struct Telemetry {
    on: bool,
    /// Threads that run handlers.
    workers: usize,
    requests: Vec<OnceLock<Box<Requests>>>,
    consumer_fetches: OnceLock<Box<Requests>>,
    follower_fetches: OnceLock<Box<Requests>>,
    topics: RwLock<HashMap<Arc<str>, Arc<TopicCounters>>>,
    all: TopicCounters,
    replicated_out: AtomicU64,
    busy_ns: AtomicU64,
    idle: Mutex<Idle>,
    /// Produce requests that wait for their replicas.
    pub produces: Waiting,
    /// Fetch requests that wait for records.
    pub fetches: Waiting,
    /// What clients push.
    pub clients: Clients,
}

/// The traffic of one topic, or of all.
#[derive(Debug, Default)]
pub struct TopicCounters {
    bytes_in: AtomicU64,
    messages_in: AtomicU64,
    bytes_out: AtomicU64,
    bytes_rejected: AtomicU64,
    produces: AtomicU64,
    failed_produces: AtomicU64,
    fetches: AtomicU64,
    failed_fetches: AtomicU64,
}

/// The requests of one API.
#[derive(Debug, Default)]
struct Requests {
    by_version: [AtomicU64; VERSIONS],
    total: Histogram,
    local: Histogram,
    remote: Histogram,
    throttle: Histogram,
}

/// One request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub key: i16,
    pub version: i16,
    /// From another broker, of those APIs where that makes a difference.
    pub of_broker: bool,
    /// From the beginning of its handler to the answer.
    pub total: Duration,
    /// Of that, the time it kept a thread busy.
    pub busy: Duration,
    pub throttle: Duration,
}

#[derive(Debug)]
struct Idle {
    since: Instant,
    busy_ns: u64,
    /// Of the last whole span.
    share: f64,
}

impl Telemetry {
    /// Counts if `on`. `workers`: the threads that run handlers.
    pub fn new(on: bool, workers: usize) -> Self {
        Self {
            on,
            workers: workers.max(1),
            requests: if on {
                (0..KEYS).map(|_| OnceLock::new()).collect()
            } else {
                Vec::new()
            },
            consumer_fetches: OnceLock::new(),
            follower_fetches: OnceLock::new(),
            topics: RwLock::default(),
            all: TopicCounters::default(),
            replicated_out: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            idle: Mutex::new(Idle {
                since: Instant::now(),
                busy_ns: 0,
                share: 1.0,
            }),
            produces: Waiting::default(),
            fetches: Waiting::default(),
            clients: Clients::default(),
        }
    }

    pub fn is_on(&self) -> bool {
        self.on
    }

    pub fn answered(&self, answered: Answered) {
        if !self.on {
            return;
        }
        let ns = u64::try_from(answered.busy.as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(ns, Ordering::Relaxed);
        let slot = usize::try_from(answered.key)
            .ok()
            .and_then(|key| self.requests.get(key));
        let of_fetch = match (answered.key == ApiKey::Fetch as i16, answered.of_broker) {
            (false, _) => None,
            (true, false) => Some(&self.consumer_fetches),
            (true, true) => Some(&self.follower_fetches),
        };
        for requests in slot.into_iter().chain(of_fetch) {
            requests.get_or_init(Box::default).add(answered);
        }
    }

    /// The counters of a topic that has traffic.
    fn topic(&self, name: &str) -> Arc<TopicCounters> {
        if let Some(topic) = self.topics.read().get(name) {
            return Arc::clone(topic);
        }
        Arc::clone(self.topics.write().entry(name.into()).or_default())
    }

    /// Records of a client for a topic that is there, or for none: so many messages appended, or all refused.
    pub fn produced(&self, topic: Option<&str>, bytes: usize, messages: Option<u64>) {
        if !self.on {
            return;
        }
        let own = topic.map(|topic| self.topic(topic));
        for counters in own.as_deref().into_iter().chain([&self.all]) {
            add(&counters.produces, 1);
            match messages {
                Some(messages) => {
                    add(&counters.bytes_in, bytes as u64);
                    add(&counters.messages_in, messages);
                }
                None => {
                    add(&counters.failed_produces, 1);
                    add(&counters.bytes_rejected, bytes as u64);
                }
            }
        }
    }

    /// Records of one partition in the answer to a consumer.
    pub fn fetched(&self, topic: Option<&str>, bytes: usize, failed: bool) {
        if !self.on {
            return;
        }
        // Partitions that are polled without traffic get no series.
        if bytes == 0 && !failed {
            add(&self.all.fetches, 1);
            return;
        }
        let own = topic.map(|topic| self.topic(topic));
        for counters in own.as_deref().into_iter().chain([&self.all]) {
            add(&counters.fetches, 1);
            add(&counters.bytes_out, bytes as u64);
            add(&counters.failed_fetches, u64::from(failed));
        }
    }

    /// Records in the answer to a follower.
    pub fn replicated(&self, bytes: usize) {
        if self.on {
            add(&self.replicated_out, bytes as u64);
        }
    }

    /// Writes what was counted, without the topics that are gone.
    pub fn write(&self, out: &mut Exposition, exists: impl Fn(&str) -> bool) {
        self.topics.write().retain(|topic, _| exists(topic));
        self.all.write(out, &[]);
        for (topic, counters) in self.topics.read().iter() {
            counters.write(out, &[("topic", topic)]);
        }
        out.counter(
            "kafka_server_brokertopicmetrics_replicationbytesout_total",
            "Bytes of records sent to followers.",
            &[],
            read(&self.replicated_out),
        );
        for (key, requests) in self.requests.iter().enumerate() {
            let api = i16::try_from(key).ok().and_then(|key| ApiKey::try_from(key).ok());
            if let (Some(api), Some(requests)) = (api, requests.get()) {
                requests.write(out, &format!("{api:?}"));
            }
        }
        for (name, requests) in [
            ("FetchConsumer", &self.consumer_fetches),
            ("FetchFollower", &self.follower_fetches),
        ] {
            if let Some(requests) = requests.get() {
                requests.write(out, name);
            }
        }
        self.write_waiting(out);
        self.write_idle(out);
    }

    fn write_waiting(&self, out: &mut Exposition) {
        for (name, waiting) in [("Produce", &self.produces), ("Fetch", &self.fetches)] {
            out.gauge(
                "kafka_server_delayedoperationpurgatory_purgatorysize",
                "Requests that wait, for replicas or for records.",
                &[("delayedOperation", name)],
                waiting.now() as f64,
            );
        }
    }

    fn write_idle(&self, out: &mut Exposition) {
        let share = self.idle_share();
        const HELP: &str =
            "The share of time in which no request's handler ran, of the last seconds before the scrape, 0 to 1.";
        let prefix = "kafka_server_kafkarequesthandlerpool_requesthandleravgidle";
        // The name that the exporter's rules make, and the one that says what Kafka calls it.
        out.gauge(&format!("{prefix}_percent"), HELP, &[], share);
        out.gauge(&format!("{prefix}percent"), HELP, &[], share);
    }

    /// Compared over spans of some seconds, so that two who ask take nothing from each other.
    fn idle_share(&self) -> f64 {
        let busy_ns = self.busy_ns.load(Ordering::Relaxed);
        let mut idle = self.idle.lock();
        let elapsed = idle.since.elapsed();
        if elapsed >= IDLE_SPAN {
            let busy = busy_ns.saturating_sub(idle.busy_ns) as f64;
            let could = elapsed.as_nanos() as f64 * self.workers as f64;
            *idle = Idle {
                since: Instant::now(),
                busy_ns,
                share: (1.0 - busy / could).clamp(0.0, 1.0),
            };
        }
        idle.share
    }
}

impl Requests {
    fn add(&self, answered: Answered) {
        let version = usize::try_from(answered.version).unwrap_or(0).min(VERSIONS - 1);
        add(&self.by_version[version], 1);
        self.total.record(answered.total);
        self.local.record(answered.busy);
        self.remote.record(answered.total.saturating_sub(answered.busy));
        self.throttle.record(answered.throttle);
    }

    fn write(&self, out: &mut Exposition, request: &str) {
        for (version, count) in self.by_version.iter().enumerate() {
            if count.load(Ordering::Relaxed) > 0 {
                out.counter(
                    "kafka_network_requestmetrics_requests_total",
                    "Requests answered.",
                    &[("request", request), ("version", &version.to_string())],
                    read(count),
                );
            }
        }
        for (name, help, histogram) in [
            (
                "totaltimems",
                "Time from a request's handler to its answer, in ms.",
                &self.total,
            ),
            (
                "localtimems",
                "Of that, the time a thread was busy with it, in ms.",
                &self.local,
            ),
            ("remotetimems", "Of that, the time it waited, in ms.", &self.remote),
            (
                "throttletimems",
                "How long clients were told to wait, in ms.",
                &self.throttle,
            ),
        ] {
            let summary = histogram.read();
            let name = format!("kafka_network_requestmetrics_{name}");
            for (quantile, ms) in summary.quantiles {
                out.gauge(&name, help, &[("request", request), ("quantile", quantile)], ms);
            }
            let labels = [("request", request)];
            out.counter(&format!("{name}_count"), help, &labels, summary.count as f64);
            out.counter(&format!("{name}_sum"), help, &labels, summary.sum_ms);
        }
    }
}

impl TopicCounters {
    fn write(&self, out: &mut Exposition, labels: &[(&str, &str)]) {
        for (name, help, count) in [
            ("bytesin", "Bytes of records appended for clients.", &self.bytes_in),
            ("messagesin", "Records appended for clients.", &self.messages_in),
            ("bytesout", "Bytes of records sent to consumers.", &self.bytes_out),
            (
                "bytesrejected",
                "Bytes of records that were refused.",
                &self.bytes_rejected,
            ),
            (
                "totalproducerequests",
                "Partitions in Produce requests.",
                &self.produces,
            ),
            ("failedproducerequests", "Of those, refused.", &self.failed_produces),
            (
                "totalfetchrequests",
                "Partitions in answers to consumers.",
                &self.fetches,
            ),
            ("failedfetchrequests", "Of those, with an error.", &self.failed_fetches),
        ] {
            let name = format!("kafka_server_brokertopicmetrics_{name}_total");
            out.counter(&name, help, labels, read(count));
        }
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    if amount > 0 {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

fn read(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(of_broker: bool) -> Answered {
        Answered {
            key: ApiKey::Fetch as i16,
            version: 16,
            of_broker,
            total: Duration::from_millis(40),
            busy: Duration::from_millis(10),
            throttle: Duration::ZERO,
        }
    }

    fn text(telemetry: &Telemetry) -> String {
        let mut out = Exposition::default();
        telemetry.write(&mut out, |topic| topic != "gone");
        out.render()
    }

    #[tokio::test(start_paused = true)]
    async fn traffic_is_told_for_each_topic_and_for_all() {
        let telemetry = Telemetry::new(true, 2);
        telemetry.produced(Some("orders"), 100, Some(7));
        telemetry.produced(Some("gone"), 50, None);
        telemetry.fetched(Some("orders"), 30, false);
        telemetry.fetched(Some("idle"), 0, false);
        telemetry.produced(None, 9, None);
        let text = text(&telemetry);
        for line in [
            "kafka_server_brokertopicmetrics_bytesin_total 100\n",
            "kafka_server_brokertopicmetrics_bytesin_total{topic=\"orders\"} 100\n",
            "kafka_server_brokertopicmetrics_messagesin_total{topic=\"orders\"} 7\n",
            "kafka_server_brokertopicmetrics_bytesrejected_total 59\n",
            "kafka_server_brokertopicmetrics_bytesout_total{topic=\"orders\"} 30\n",
            "kafka_server_brokertopicmetrics_totalfetchrequests_total 2\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!text.contains("\"gone\"") && !text.contains("\"idle\""), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_told_by_api_version_and_quantile() {
        let telemetry = Telemetry::new(true, 2);
        telemetry.answered(fetch(false));
        telemetry.answered(fetch(true));
        let text = text(&telemetry);
        for line in [
            "kafka_network_requestmetrics_requests_total{request=\"Fetch\",version=\"16\"} 2\n",
            "kafka_network_requestmetrics_requests_total{request=\"FetchFollower\",version=\"16\"} 1\n",
            "kafka_network_requestmetrics_totaltimems_count{request=\"FetchConsumer\"} 1\n",
            "kafka_network_requestmetrics_remotetimems{request=\"Fetch\",quantile=\"0.99\"} 3",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idleness_is_what_is_left_of_the_threads() {
        let telemetry = Telemetry::new(true, 2);
        assert_eq!(telemetry.idle_share(), 1.0);
        telemetry.answered(Answered {
            busy: Duration::from_secs(5),
            ..fetch(false)
        });
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(telemetry.idle_share(), 0.75);
        assert_eq!(
            telemetry.idle_share(),
            0.75,
            "whoever asks again at once is told the same"
        );
    }

    #[test]
    fn a_node_without_an_endpoint_counts_nothing() {
        let telemetry = Telemetry::new(false, 2);
        telemetry.produced(Some("orders"), 100, Some(7));
        assert!(telemetry.topics.read().is_empty());
        assert!(telemetry.requests.is_empty());
    }
}
