//! Performance tuning: batches, threads, buffers, the JVM.

use super::setting::{self, SCRAPE, at, ids, scraped, survey, value};
use super::storage::directories;
use super::survey::Survey;
use super::{Check, Holds, Lack, Outcome, Plane, Proof, Section, Severity, broker};
use crate::check::Facts;

pub const CHECKS: &[Check] = &[
    Check {
        id: "batching",
        row: "47",
        section: Section::Tuning,
        severity: Severity::Medium,
        title: "many small records are not a cluster's main work",
        said: "more threads, larger batches, more producers, more partitions",
        holds: Holds::Update,
        today: "batches first: linger.ms 5 to 25, batch.size 64 to 128 KB, lz4 or zstd; do not scale brokers for tiny batches",
        planes: &[Plane::Kafka, Plane::Metrics],
        judge: batching,
    },
    Check {
        id: "replica-fetchers",
        row: "48",
        section: Section::Tuning,
        severity: Severity::Medium,
        title: "followers of many replicas have more than one fetcher",
        said: "to improve latency with acks=-1, raise num.replica.fetches",
        holds: Holds::Update,
        today: "the property is num.replica.fetchers; it helps only where fetching is what limits, and costs processor and connections",
        planes: &[Plane::Kafka],
        judge: replica_fetchers,
    },
    Check {
        id: "socket-buffers",
        row: "49",
        section: Section::Tuning,
        severity: Severity::Low,
        title: "socket buffers are left to the system, or large",
        said: "for traffic between zones tune the buffers of sockets and of TCP",
        holds: Holds::Update,
        today: "-1 lets the system size them; the default of 100 KiB is less than one window between zones",
        planes: &[Plane::Kafka],
        judge: socket_buffers,
    },
    Check {
        id: "io-threads",
        row: "50",
        section: Section::Tuning,
        severity: Severity::Medium,
        title: "request handlers are more than the disks, and idle a third of the time",
        said: "num.io.threads is greater than the number of disks",
        holds: Holds::Keep,
        today: "the share of idle time decides: below 0.3 raise it, which is dynamic",
        planes: &[Plane::Kafka],
        judge: io_threads,
    },
    Check {
        id: "network-threads",
        row: "51",
        section: Section::Tuning,
        severity: Severity::Medium,
        title: "network threads are idle a third of the time",
        said: "num.network.threads is producers plus consumers plus the replication factor",
        holds: Holds::Invert,
        today: "that sum explodes with clients; look at the idle share, and raise io threads first",
        planes: &[Plane::Metrics],
        judge: network_threads,
    },
    Check {
        id: "jvm",
        row: "53",
        section: Section::Tuning,
        severity: Severity::Low,
        title: "brokers run on Java 17 or newer",
        said: "the Oracle JDK with its G1 collector",
        holds: Holds::Invert,
        today: "any OpenJDK build of 17 or 21; G1 is in kafka-run-class already; brokers of 4.0 need 17",
        planes: &[Plane::Metrics],
        judge: jvm,
    },
    Check {
        id: "heap",
        row: "54",
        section: Section::Tuning,
        severity: Severity::Medium,
        title: "the heap leaves memory to the page cache",
        said: "keep the heap below 4 GB",
        holds: Holds::Update,
        today: "4 to 8 GB; more than half of the memory, or than 16 GiB, takes from the page cache",
        planes: &[Plane::Metrics],
        judge: heap,
    },
];

/// Below this many bytes a record batching is what helps, where there are many.
const SMALL_BYTES: f64 = 1024.0;
const MANY_PER_SECOND: f64 = 1000.0;

fn batching(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(SCRAPE, "bytes a record", "1 KB and more, or few records");
    scraped(
        facts,
        &mut survey,
        "BytesInPerSec",
        |metrics| metrics.in_bytes_per_second,
        |survey, id, bytes, seen| {
            let led = facts.rows.partitions.iter().filter(|row| row.leader == Some(id));
            let records: Option<f64> = led.map(|row| row.rate().value).sum();
            match records {
                Some(records) => {
                    let mean = bytes / records.max(1.0);
                    let fits = mean >= SMALL_BYTES || records < MANY_PER_SECOND;
                    survey.add(fits, broker(id), format!("{mean:.0} B at {records:.0} records/s"), seen);
                }
                None => survey.lack(
                    Lack::Answer,
                    format!("records of {} were not seen twice yet", broker(id)),
                ),
            }
        },
    );
    survey
        .end("records are large, or few", "many small records")
        .fix("linger.ms=10, batch.size=131072, compression.type=zstd in the producers")
}

/// From so many replicas on one fetcher thread per peer is few.
const MANY_REPLICAS: u32 = 1000;

fn replica_fetchers(facts: &Facts<'_>) -> Outcome {
    survey(
        facts,
        "num.replica.fetchers",
        "2 or more from 1000 replicas on",
        |id, value| {
            let replicas = facts.broker(id).and_then(|row| row.replicas.value).unwrap_or_default();
            value
                .parse::<i64>()
                .is_ok_and(|fetchers| fetchers >= 2 || (fetchers == 1 && replicas < MANY_REPLICAS))
        },
    )
    .end(
        "fetchers suffice for the replicas",
        "one fetcher for a thousand replicas",
    )
    .fix("azimuth config set num.replica.fetchers=2 --all-brokers")
}

const SOCKETS: [&str; 3] = [
    "socket.send.buffer.bytes",
    "socket.receive.buffer.bytes",
    "replica.socket.receive.buffer.bytes",
];

/// Kafka's defaults, 100 KiB for sockets and 64 KiB for replication.
const SMALL_BUFFER: i64 = 102_400;

fn socket_buffers(facts: &Facts<'_>) -> Outcome {
    if facts.zones().len() == 1 && !facts.zones().contains_key("?") {
        return Outcome::not_applicable("all brokers are in one zone");
    }
    let mut all = Survey::new(setting::CONFIGS, "socket buffers", "-1, or more than 100 KiB");
    for name in SOCKETS {
        for id in ids(facts) {
            match value(facts, id, name) {
                Ok((value, seen)) => {
                    let fits = value
                        .parse::<i64>()
                        .is_ok_and(|bytes| bytes == -1 || bytes > SMALL_BUFFER);
                    all.add(fits, broker(id), format!("{name}={value}"), seen);
                }
                Err(why) => all.lacking(why),
            }
        }
    }
    all.end(
        "buffers are left to the system, or large",
        "Kafka's small default between zones",
    )
    .fix("socket.send.buffer.bytes=-1 (and the two others) in server.properties; then azimuth restart plan --all")
}

/// AWS's alarm for both kinds of threads.
const IDLE: f64 = 0.3;

fn io_threads(facts: &Facts<'_>) -> Outcome {
    let mut all = Survey::new(
        setting::CONFIGS,
        "num.io.threads",
        "more than log directories, idle 0.3 or more",
    );
    for id in ids(facts) {
        let told = value(facts, id, "num.io.threads");
        let (threads, seen) = match told {
            Ok(told) => told,
            Err(why) => {
                all.lacking(why);
                continue;
            }
        };
        let idle = facts
            .broker(id)
            .and_then(|row| row.request_idle_percent.value)
            .map(|percent| percent / 100.0);
        match (threads.parse::<usize>(), directories(facts, id)) {
            (Ok(threads), Some(dirs)) => {
                let fits = threads > dirs && idle.is_none_or(|idle| idle >= IDLE);
                let idle = idle.map(|idle| format!(", idle {idle:.2}")).unwrap_or_default();
                all.add(
                    fits,
                    broker(id),
                    format!("{threads} for {dirs} directories{idle}"),
                    seen,
                );
            }
            (Err(_), _) => all.add(false, broker(id), threads, seen),
            (Ok(_), None) => all.lack(Lack::Answer, format!("log directories of {} are not known", broker(id))),
        }
    }
    all.end("handlers suffice", "too few request handlers")
        .fix("azimuth config set num.io.threads=16 --all-brokers")
}

fn network_threads(facts: &Facts<'_>) -> Outcome {
    let mut all = Survey::new(SCRAPE, "NetworkProcessorAvgIdlePercent", "0.3 or more");
    scraped(
        facts,
        &mut all,
        "NetworkProcessorAvgIdlePercent",
        |metrics| metrics.network_idle,
        |survey, id, idle, seen| survey.add(idle >= IDLE, broker(id), format!("{idle:.2}"), seen),
    );
    all.end("network threads have time", "network threads are busy")
        .fix("azimuth config set num.network.threads=6 --all-brokers")
}

/// `17` of `17.0.9+9`, `8` of `1.8.0_392`.
fn java(version: &str) -> Option<u32> {
    let mut parts = version.split(['.', '+', '-', '_']);
    match parts.next()?.parse().ok()? {
        1 => parts.next()?.parse().ok(),
        major => Some(major),
    }
}

fn jvm(facts: &Facts<'_>) -> Outcome {
    let mut all = Survey::new(SCRAPE, "jvm_info", "17 or newer");
    scraped(
        facts,
        &mut all,
        "jvm_info",
        |metrics| metrics.jvm_version.as_deref(),
        |survey, id, version, seen| match java(version) {
            Some(major) => survey.add(major >= 17, broker(id), version, seen),
            None => survey.lack(Lack::Metric, format!("{} calls its JVM {version:?}", broker(id))),
        },
    );
    all.end("Java 17 or newer everywhere", "an old Java")
}

const GIB: f64 = (1_u64 << 30) as f64;

fn heap(facts: &Facts<'_>) -> Outcome {
    let mut all = Survey::new(SCRAPE, "heap", "at most 16 GiB and half of the memory");
    scraped(
        facts,
        &mut all,
        "jvm_memory_max_bytes",
        |metrics| metrics.heap_max_bytes,
        |survey, id, bytes, seen| {
            let instance = facts.snapshot.cloud.instance_of(id);
            let limits = instance.and_then(|instance| facts.snapshot.cloud.types.get(&instance.instance_type));
            let memory = limits
                .and_then(|limits| limits.memory_mib)
                .map(|mib| mib as f64 * 1_048_576.0);
            let fits = bytes <= 16.0 * GIB && memory.is_none_or(|memory| bytes <= memory / 2.0);
            let of = memory
                .map(|memory| format!(" of {:.0} GiB", memory / GIB))
                .unwrap_or_default();
            survey.add(fits, broker(id), format!("{:.1} GiB{of}", bytes / GIB), seen);
        },
    );
    all.end(
        "heaps leave memory to the page cache",
        "a heap takes from the page cache",
    )
}

/// A proof about the whole cluster.
pub(super) fn whole(facts: &Facts<'_>, source: &'static str, field: &str, value: String, expected: &str) -> Proof {
    Proof {
        source,
        subject: "cluster".to_owned(),
        field: field.to_owned(),
        value,
        expected: expected.to_owned(),
        seen_at: at(&facts.snapshot.cluster),
    }
}
