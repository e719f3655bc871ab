//! The numbers of brokers and clients whose charts are kept: those that the article of 2018 says to monitor, and who tells them.

use serde::{Deserialize, Serialize};

use crate::model::cloud::{InstanceMetrics, Point, VolumeMetrics};
use crate::model::metric::BrokerMetrics;
use crate::model::{BrokerId, Moment, Snapshot};

/// One number of a broker.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Gauge {
    CpuPercent,
    NetworkInBytesPerSecond,
    NetworkOutBytesPerSecond,
    OpenFilesPercent,
    DiskUsedPercent,
    DiskBytesPerSecond,
    DiskOpsPerSecond,
    DiskQueue,
    GcSeconds,
    RequestIdlePercent,
    NetworkIdlePercent,
    ProducedBytesPerSecond,
    ProduceP99Ms,
    FetchedBytesPerSecond,
    FetchP99Ms,
}

/// Who tells a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
pub enum Teller {
    CloudWatch,
    Prometheus,
    Kafka,
}

impl Gauge {
    /// As people say it.
    pub fn words(self) -> &'static str {
        match self {
            Self::CpuPercent => "CPU",
            Self::NetworkInBytesPerSecond => "network in",
            Self::NetworkOutBytesPerSecond => "network out",
            Self::OpenFilesPercent => "open files",
            Self::DiskUsedPercent => "disk space",
            Self::DiskBytesPerSecond => "disk bytes",
            Self::DiskOpsPerSecond => "disk operations",
            Self::DiskQueue => "disk queue",
            Self::GcSeconds => "garbage collection",
            Self::RequestIdlePercent => "request handlers idle",
            Self::NetworkIdlePercent => "network threads idle",
            Self::ProducedBytesPerSecond => "produced",
            Self::ProduceP99Ms => "produce p99",
            Self::FetchedBytesPerSecond => "fetched",
            Self::FetchP99Ms => "fetch p99",
        }
    }

    pub fn teller(self) -> Teller {
        match self {
            Self::CpuPercent
            | Self::NetworkInBytesPerSecond
            | Self::NetworkOutBytesPerSecond
            | Self::DiskBytesPerSecond
            | Self::DiskOpsPerSecond
            | Self::DiskQueue => Teller::CloudWatch,
            Self::DiskUsedPercent => Teller::Kafka,
            _ => Teller::Prometheus,
        }
    }

    /// Which row of the article's list it is; empty for what it leaves out.
    pub fn row(self) -> &'static str {
        match self {
            Self::CpuPercent => "55a",
            Self::NetworkInBytesPerSecond | Self::NetworkOutBytesPerSecond => "55b",
            Self::OpenFilesPercent => "55c",
            Self::DiskUsedPercent => "55d",
            Self::DiskBytesPerSecond | Self::DiskOpsPerSecond | Self::DiskQueue => "55e",
            Self::GcSeconds => "55f",
            _ => "",
        }
    }

    /// A total that only grows: its chart is what it gains a second.
    pub fn is_total(self) -> bool {
        self == Self::GcSeconds
    }

    /// Less is worse.
    pub fn is_room(self) -> bool {
        matches!(self, Self::RequestIdlePercent | Self::NetworkIdlePercent)
    }

    /// Beyond it something is to be done: AWS's alarms for CPU (60 %) and disk (85 %), Kafka's for idle threads (30 %).
    pub fn limit(self) -> Option<f64> {
        match self {
            Self::CpuPercent => Some(60.0),
            Self::OpenFilesPercent => Some(80.0),
            Self::DiskUsedPercent => Some(85.0),
            Self::RequestIdlePercent | Self::NetworkIdlePercent => Some(30.0),
            _ => None,
        }
    }
}

/// What is known of a broker now, each with the moment that it is of.
pub fn of(snapshot: &Snapshot, broker: BrokerId, now: Moment) -> Vec<(Gauge, Moment, f64)> {
    let mut found = Vec::new();
    let metrics = snapshot
        .cloud
        .metrics
        .get()
        .filter(|_| snapshot.cloud.metrics.is_fresh());
    let instance = snapshot.cloud.instance_of(broker);
    if let (Some(metrics), Some(instance)) = (metrics, instance) {
        if let Some(told) = metrics.instances.get(&instance.id) {
            found.extend(of_instance(told));
        }
        let volumes: Vec<&VolumeMetrics> = snapshot
            .cloud
            .volumes_of(&instance.id)
            .filter_map(|volume| metrics.volumes.get(&volume.id))
            .collect();
        found.extend(of_volumes(&volumes));
    }
    if let Some(told) = snapshot.broker_metrics.get(&broker).filter(|told| told.is_fresh())
        && let (Some(metrics), Some(at)) = (told.get(), told.seen_at)
    {
        found.extend(of_scrape(metrics).into_iter().map(|(gauge, value)| (gauge, at, value)));
    }
    if let Some(dirs) = snapshot
        .logdirs
        .get(&broker)
        .filter(|told| told.is_fresh())
        .and_then(|told| told.get())
    {
        let percent = |dir: &crate::model::logdir::LogDir| {
            let total = dir.total_bytes.filter(|total| *total > 0)?;
            Some(dir.used_bytes()? as f64 * 100.0 / total as f64)
        };
        let fullest = dirs.iter().filter_map(percent).max_by(f64::total_cmp);
        found.extend(fullest.map(|percent| (Gauge::DiskUsedPercent, now, percent)));
    }
    found
}

fn of_instance(told: &InstanceMetrics) -> Vec<(Gauge, Moment, f64)> {
    let points = [
        (Gauge::CpuPercent, told.cpu_percent),
        (Gauge::NetworkInBytesPerSecond, told.network_in_bytes_per_second),
        (Gauge::NetworkOutBytesPerSecond, told.network_out_bytes_per_second),
    ];
    let known = points.into_iter();
    known
        .filter_map(|(gauge, point)| point.map(|point| (gauge, point.at, point.value)))
        .collect()
}

/// All volumes together; the queue of the longest.
fn of_volumes(told: &[&VolumeMetrics]) -> Vec<(Gauge, Moment, f64)> {
    let sum = |gauge: Gauge, takes: [fn(&VolumeMetrics) -> Option<Point>; 2]| {
        let points = told.iter().flat_map(|volume| takes.map(|take| take(volume))).flatten();
        let points: Vec<Point> = points.collect();
        let at = points.iter().map(|point| point.at).max()?;
        Some((gauge, at, points.iter().map(|point| point.value).sum()))
    };
    let queue = told.iter().filter_map(|volume| volume.queue_length);
    let queue = queue.max_by(|a, b| a.value.total_cmp(&b.value));
    [
        sum(
            Gauge::DiskBytesPerSecond,
            [
                |volume| volume.read_bytes_per_second,
                |volume| volume.write_bytes_per_second,
            ],
        ),
        sum(
            Gauge::DiskOpsPerSecond,
            [
                |volume| volume.read_ops_per_second,
                |volume| volume.write_ops_per_second,
            ],
        ),
        queue.map(|point| (Gauge::DiskQueue, point.at, point.value)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_scrape(told: &BrokerMetrics) -> Vec<(Gauge, f64)> {
    let files = told.open_files.zip(told.max_files.filter(|most| *most > 0.0));
    let points = [
        (Gauge::OpenFilesPercent, files.map(|(open, most)| open * 100.0 / most)),
        (Gauge::GcSeconds, told.gc_seconds),
        (
            Gauge::RequestIdlePercent,
            told.request_handler_idle.map(|idle| idle * 100.0),
        ),
        (Gauge::NetworkIdlePercent, told.network_idle.map(|idle| idle * 100.0)),
        (Gauge::ProducedBytesPerSecond, told.in_bytes_per_second),
        (Gauge::ProduceP99Ms, told.produce_local_p99_ms),
        (Gauge::FetchedBytesPerSecond, told.out_bytes_per_second),
        (Gauge::FetchP99Ms, told.fetch_local_p99_ms),
    ];
    points
        .into_iter()
        .filter_map(|(gauge, value)| Some((gauge, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn scrapes_and_points_become_gauges_with_their_own_moments() {
        let at = Moment::from_second(1_800_000_000).unwrap();
        let point = |value| Some(Point::new(at, value));
        let told = InstanceMetrics {
            cpu_percent: point(12.0),
            ..InstanceMetrics::default()
        };
        assert_eq!(of_instance(&told), [(Gauge::CpuPercent, at, 12.0)]);
        let volume = VolumeMetrics {
            read_bytes_per_second: point(1.0),
            write_bytes_per_second: point(2.0),
            queue_length: point(3.0),
            ..VolumeMetrics::default()
        };
        assert_eq!(
            of_volumes(&[&volume, &volume]),
            [(Gauge::DiskBytesPerSecond, at, 6.0), (Gauge::DiskQueue, at, 3.0)]
        );
        let scrape = BrokerMetrics {
            open_files: Some(50.0),
            max_files: Some(200.0),
            request_handler_idle: Some(0.75),
            ..BrokerMetrics::default()
        };
        assert_eq!(
            of_scrape(&scrape),
            [(Gauge::OpenFilesPercent, 25.0), (Gauge::RequestIdlePercent, 75.0)]
        );
    }

    #[test]
    fn every_gauge_has_a_name_that_reads_back() {
        for gauge in Gauge::iter() {
            assert_eq!(gauge.to_string().parse(), Ok(gauge));
        }
    }
}
