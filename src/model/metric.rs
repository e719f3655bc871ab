//! What a broker's process and its host tell of themselves when they are scraped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One broker's metrics. A value that its endpoints do not have is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerMetrics {
    /// Share of time, 0 to 1, in which no thread of the request handlers had work.
    pub request_handler_idle: Option<f64>,
    /// The same of the network threads.
    #[serde(default)]
    pub network_idle: Option<f64>,
    /// As the JVM calls itself, for example `17.0.9+9`.
    #[serde(default)]
    pub jvm_version: Option<String>,
    /// The most that the heap may take.
    #[serde(default)]
    pub heap_max_bytes: Option<f64>,
    #[serde(default)]
    pub open_files: Option<f64>,
    #[serde(default)]
    pub max_files: Option<f64>,
    /// Since the process started: seconds in garbage collections, and how many there were.
    #[serde(default)]
    pub gc_seconds: Option<f64>,
    #[serde(default)]
    pub gc_count: Option<f64>,
    /// Packets that EC2 queued or dropped because an allowance of the instance was used up, since the driver was loaded. ENA
    /// alone counts them (`ethtool -S`; the node exporter's ethtool collector).
    #[serde(default)]
    pub allowance_exceeded: Option<f64>,
    /// What clients produce and fetch, without replication, between the last two scrapes; `None` after the first.
    pub in_bytes_per_second: Option<f64>,
    pub out_bytes_per_second: Option<f64>,
    /// The 99th percentile of the time that this broker itself took.
    pub produce_local_p99_ms: Option<f64>,
    pub fetch_local_p99_ms: Option<f64>,
    /// Of the host, 0 to 1, between the last two scrapes.
    pub cpu_busy: Option<f64>,
    /// By device, between the last two scrapes.
    pub disks: BTreeMap<String, Disk>,
    /// What clients pushed to it (KIP-714), by the metric's name without `org_apache_kafka_`.
    #[serde(default)]
    pub clients: BTreeMap<String, Pushed>,
    /// What the next scrape is compared with.
    pub counters: Counters,
    /// Endpoints of this broker that did not answer beside those that did, one sentence each.
    pub missing: Vec<String>,
}

/// One metric of several clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Pushed {
    /// Series, of which a client may have several.
    pub clients: u32,
    pub sum: f64,
    pub most: f64,
}

impl Pushed {
    pub fn add(&mut self, value: f64) {
        *self = self.with(&Self {
            clients: 1,
            sum: value,
            most: value,
        });
    }

    /// Both together.
    pub fn with(self, other: &Self) -> Self {
        Self {
            clients: self.clients + other.clients,
            sum: self.sum + other.sum,
            most: self.most.max(other.most),
        }
    }

    /// Over all of them; `None` where nobody pushed it.
    pub fn mean(&self) -> Option<f64> {
        (self.clients > 0).then(|| self.sum / f64::from(self.clients))
    }
}

/// A device of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// The mean time of one write; `None` where there was none.
    pub write_ms: Option<f64>,
}

/// Totals since the process or the host started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    pub in_bytes: Option<f64>,
    pub out_bytes: Option<f64>,
    /// Of all processors together.
    pub cpu_seconds: f64,
    pub cpu_idle_seconds: f64,
    pub disks: BTreeMap<String, DiskCounters>,
}

/// Totals of one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskCounters {
    pub writes: f64,
    pub write_seconds: f64,
}

impl BrokerMetrics {
    /// Fills in what two scrapes tell, `seconds` apart. A counter that went back was started anew and tells nothing.
    #[must_use]
    pub fn since(mut self, before: &Counters, seconds: f64) -> Self {
        let now = &self.counters;
        if seconds <= 0.0 {
            return self;
        }
        let rate = |now: Option<f64>, before: Option<f64>| Some(grown(now?, before?)? / seconds);
        self.in_bytes_per_second = rate(now.in_bytes, before.in_bytes);
        self.out_bytes_per_second = rate(now.out_bytes, before.out_bytes);
        let passed = grown(now.cpu_seconds, before.cpu_seconds).filter(|passed| *passed > 0.0);
        let idle = grown(now.cpu_idle_seconds, before.cpu_idle_seconds);
        self.cpu_busy = passed
            .zip(idle)
            .map(|(passed, idle)| (1.0 - idle / passed).clamp(0.0, 1.0));
        self.disks = now
            .disks
            .iter()
            .filter_map(|(device, now)| Some((device.clone(), disk(now, before.disks.get(device)?))))
            .collect();
        self
    }
}

fn grown(now: f64, before: f64) -> Option<f64> {
    (now >= before).then_some(now - before)
}

fn disk(now: &DiskCounters, before: &DiskCounters) -> Disk {
    let writes = grown(now.writes, before.writes).filter(|writes| *writes > 0.0);
    let seconds = grown(now.write_seconds, before.write_seconds);
    Disk {
        write_ms: writes.zip(seconds).map(|(writes, seconds)| seconds * 1000.0 / writes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(in_bytes: f64, cpu: f64, idle: f64, writes: f64) -> BrokerMetrics {
        let disk = DiskCounters {
            writes,
            write_seconds: writes * 0.004,
        };
        BrokerMetrics {
            counters: Counters {
                in_bytes: Some(in_bytes),
                cpu_seconds: cpu,
                cpu_idle_seconds: idle,
                disks: [("nvme1n1".to_owned(), disk)].into(),
                ..Counters::default()
            },
            ..BrokerMetrics::default()
        }
    }

    #[test]
    fn two_scrapes_make_rates_and_a_restart_makes_none() {
        let before = scrape(1_000.0, 100.0, 80.0, 500.0).counters;
        let now = scrape(6_000.0, 140.0, 110.0, 1_000.0).since(&before, 10.0);
        assert_eq!(now.in_bytes_per_second, Some(500.0));
        assert_eq!(now.out_bytes_per_second, None);
        assert_eq!(now.cpu_busy, Some(0.25));
        let disk = now.disks["nvme1n1"];
        assert!((disk.write_ms.unwrap() - 4.0).abs() < 1e-9);
        let restarted = scrape(10.0, 140.0, 110.0, 3.0).since(&now.counters, 10.0);
        assert_eq!(restarted.in_bytes_per_second, None);
        assert_eq!(restarted.cpu_busy, None, "no time has passed");
    }
}
