//! What the protocol does not tell, from the endpoints that Prometheus scrapes: our broker's, the JMX exporter's by its
//! usual rules, the node exporter's. One scrape of each endpoint of a broker at a time, each broker failing alone.

mod http;
mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use crate::model::BrokerId;
use crate::model::broker::Broker;
use crate::model::metric::{BrokerMetrics, DiskCounters};
use crate::model::row::dashboard::CLIENTS;
use crate::settings::context::Endpoints;
use crate::source::Error;
use text::Sample;

/// One scrape, from connecting to the last byte. Exporters of large brokers take seconds.
const DEADLINE: Duration = Duration::from_secs(8);

/// Devices of one host; volumes beyond that are not told apart here.
const MAX_DEVICES: usize = 128;

/// Where brokers' metrics are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prometheus {
    endpoints: Endpoints,
}

impl Prometheus {
    pub fn new(endpoints: Endpoints) -> Self {
        Self { endpoints }
    }

    /// Where this broker is scraped; empty where the context names nothing for it.
    pub fn urls(&self, broker: &Broker) -> Vec<String> {
        let host = match broker.host.contains(':') {
            true => format!("[{}]", broker.host),
            false => broker.host.clone(),
        };
        let own = self.endpoints.brokers.get(&broker.id);
        let urls = own.unwrap_or(&self.endpoints.url).0.iter();
        urls.map(|url| url.replace("{host}", &host)).collect()
    }

    /// Everything that the endpoints of one broker tell. An endpoint that fails beside one that answers is told in the value.
    ///
    /// # Errors
    /// The first endpoint's failure, when none answers.
    pub async fn scrape(&self, broker: &Broker) -> Result<BrokerMetrics, Error> {
        let urls = self.urls(broker);
        if urls.is_empty() {
            return Err(Error::Local(format!(
                "the context names no endpoint of broker {}; add it to [context.….prometheus] brokers",
                broker.id
            )));
        }
        let answers = join_all(urls.iter().map(|url| body(broker.id, url))).await;
        let mut metrics = BrokerMetrics::default();
        let mut failures = Vec::new();
        let all = answers.len();
        for (url, answer) in urls.iter().zip(answers) {
            let taken = answer.and_then(|body| take(broker.id, url, &body, &mut metrics));
            failures.extend(taken.err());
        }
        if failures.len() == all
            && let Some(first) = failures.first()
        {
            return Err(first.clone());
        }
        metrics.missing = failures.iter().map(ToString::to_string).collect();
        Ok(metrics)
    }
}

async fn body(broker: BrokerId, url: &str) -> Result<String, Error> {
    let answer = timeout(DEADLINE, http::get(url)).await;
    answer.unwrap_or(Err(http::Failure::Late)).map_err(|failure| {
        let peer = format!("the metrics of broker {broker} ({url})");
        match failure {
            http::Failure::Unreachable(reason) => Error::Unreachable { peer, reason },
            http::Failure::Late => Error::TimedOut {
                peer,
                what: "a scrape".to_owned(),
                after: DEADLINE,
            },
            http::Failure::Refused(reason) => refused(peer, reason),
            http::Failure::Url(reason) => Error::Local(reason),
        }
    })
}

fn refused(peer: String, reason: String) -> Error {
    Error::Refused {
        peer,
        what: "a scrape".to_owned(),
        code: "http".to_owned(),
        reason,
    }
}

/// Adds what one endpoint told.
fn take(broker: BrokerId, url: &str, body: &str, metrics: &mut BrokerMetrics) -> Result<(), Error> {
    let mut known = 0_usize;
    // Every exporter tells of its own process too; only the broker's is meant.
    let of_broker = body.contains("kafka_server_");
    let of_other = |name: &str| !of_broker && (name.starts_with("process_") || name.starts_with("jvm_"));
    let wanted = |name: &str| is_known(name) && !of_other(name);
    let read = text::read(body, wanted, |sample| {
        known += usize::from(note(metrics, &sample).is_some());
    });
    let peer = || format!("the metrics of broker {broker} ({url})");
    read.map_err(|reason| refused(peer(), format!("it is not Prometheus' text format: {reason}")))?;
    match known {
        0 => Err(refused(
            peer(),
            "it has none of the metrics that are known here; the JMX exporter's example rules for Kafka make them"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

fn is_known(name: &str) -> bool {
    const FAMILIES: [&str; 9] = [
        "org_apache_kafka_producer_",
        "org_apache_kafka_consumer_",
        "kafka_server_",
        "kafka_network_",
        "node_cpu_",
        "node_disk_",
        "node_ethtool_",
        "jvm_",
        "process_",
    ];
    FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Takes in one sample; `None` where it is not one of those that count. Names as `kafka-2_0_0.yml` of the JMX exporter's
/// examples makes them, which are also our broker's, and the node exporter's.
fn note(metrics: &mut BrokerMetrics, sample: &Sample<'_>) -> Option<()> {
    let value = Some(sample.value).filter(|value| value.is_finite() && *value >= 0.0)?;
    // Per topic there are thousands; only the sum counts here.
    let whole = || sample.label("topic").is_none().then_some(());
    match sample.name {
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent"
        | "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent" => {
            metrics.request_handler_idle = Some(value.min(1.0));
        }
        "kafka_server_brokertopicmetrics_bytesin_total" => {
            whole()?;
            metrics.counters.in_bytes = Some(value);
        }
        "kafka_server_brokertopicmetrics_bytesout_total" => {
            whole()?;
            metrics.counters.out_bytes = Some(value);
        }
        "kafka_network_requestmetrics_localtimems" => {
            let at_99 = sample.label("quantile")?.parse() == Ok(0.99);
            match sample.label("request").filter(|_| at_99)? {
                "Produce" => metrics.produce_local_p99_ms = Some(value),
                "FetchConsumer" => metrics.fetch_local_p99_ms = Some(value),
                _ => return None,
            }
        }
        "node_cpu_seconds_total" => {
            metrics.counters.cpu_seconds += value;
            if matches!(sample.label("mode")?, "idle" | "iowait") {
                metrics.counters.cpu_idle_seconds += value;
            }
        }
        "kafka_network_socketserver_networkprocessoravgidle_percent"
        | "kafka_network_socketserver_networkprocessoravgidlepercent" => {
            metrics.network_idle = Some(value.min(1.0));
        }
        // As our broker tells them, and exporters that turn dots into underscores.
        name if name.starts_with("org_apache_kafka_") => {
            let name = name.trim_start_matches("org_apache_kafka_");
            let known = CLIENTS.iter().find(|(metric, ..)| *metric == name)?;
            metrics.clients.entry(known.0.to_owned()).or_default().add(value);
        }
        name if !name.starts_with("node_disk_") => return process(metrics, sample, value),
        name => {
            return device(
                &mut metrics.counters.disks,
                name.strip_prefix("node_disk_")?,
                sample,
                value,
            );
        }
    }
    Some(())
}

/// What the JVM and the host's network driver tell. Names of both generations of the Java client library.
fn process(metrics: &mut BrokerMetrics, sample: &Sample<'_>, value: f64) -> Option<()> {
    let heap = || (sample.label("area")? == "heap").then_some(());
    let add = |total: &mut Option<f64>| *total = Some(total.unwrap_or_default() + value);
    match sample.name {
        "jvm_info" | "jvm_runtime_info" => metrics.jvm_version = Some(sample.label("version")?.to_owned()),
        "jvm_memory_max_bytes" | "jvm_memory_bytes_max" => {
            heap()?;
            metrics.heap_max_bytes = Some(value);
        }
        "jvm_gc_collection_seconds_sum" => add(&mut metrics.gc_seconds),
        "jvm_gc_collection_seconds_count" => add(&mut metrics.gc_count),
        "process_open_fds" => metrics.open_files = Some(value),
        "process_max_fds" => metrics.max_files = Some(value),
        name => {
            let counter = name.strip_prefix("node_ethtool_")?;
            let counter = counter.strip_suffix("_total").unwrap_or(counter);
            counter.strip_suffix("_allowance_exceeded")?;
            add(&mut metrics.allowance_exceeded);
        }
    }
    Some(())
}

fn device(disks: &mut BTreeMap<String, DiskCounters>, name: &str, sample: &Sample<'_>, value: f64) -> Option<()> {
    let field: fn(&mut DiskCounters) -> &mut f64 = match name {
        "writes_completed_total" => |disk| &mut disk.writes,
        "write_time_seconds_total" => |disk| &mut disk.write_seconds,
        _ => return None,
    };
    let device = sample.label("device")?;
    if disks.len() >= MAX_DEVICES && !disks.contains_key(device) {
        return None;
    }
    *field(disks.entry(device.to_owned()).or_default()) = value;
    Some(())
}

#[cfg(test)]
mod tests;
