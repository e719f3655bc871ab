//! GetMetricData: every series of every target in as few requests as it takes.
//!
//! Two traps: the per-attachment EBS metrics have two dimensions, and with the wrong ones CloudWatch answers nothing,
//! silently; and a sum asked for at a shorter period than the metric's own is the sum of the longer period, so that a
//! rate made of it is too high. EC2 keeps five-minute points unless detailed monitoring is on.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy};

use std::sync::atomic::Ordering;

use crate::model::Moment;
use crate::model::cloud::{InstanceMetrics, Metrics, Point, VolumeMetrics};
use crate::source::Error;

use super::super::options::MetricTarget;
use super::{Aws, every_page};

const WHAT: &str = "GetMetricData";

/// CloudWatch's limit for one request.
const QUERIES: usize = 500;

/// How far back a newest point may lie. Four of the longest periods.
const WINDOW_SECONDS: i64 = 1200;

/// A sum is whole only once its period is over and its last points had time to arrive.
const SETTLE_SECONDS: i64 = 60;

/// Where a point goes in the answer.
#[derive(Clone, Copy)]
enum Slot {
    Instance(fn(&mut InstanceMetrics) -> &mut Option<Point>),
    Volume(fn(&mut VolumeMetrics) -> &mut Option<Point>),
}

/// One series to ask for.
struct Series<'a> {
    namespace: &'static str,
    metric: &'static str,
    stat: &'static str,
    period: i32,
    dimensions: Vec<(&'static str, &'a str)>,
    owner: &'a str,
    slot: Slot,
}

pub(super) async fn metrics(aws: &Aws, targets: &[MetricTarget], now: Moment) -> Result<Metrics, Error> {
    let cloudwatch = &aws.clients().await?.cloudwatch;
    let series: Vec<Series<'_>> = targets.iter().flat_map(series_of).collect();
    let now = now.as_second();
    let start = DateTime::from_secs(now - now.rem_euclid(300) - WINDOW_SECONDS);
    let end = DateTime::from_secs(now - now.rem_euclid(60) + 60);
    let mut found = Metrics::default();
    for series in series.chunks(QUERIES) {
        aws.shared.metrics.fetch_add(series.len() as u64, Ordering::Relaxed);
        let queries: Vec<_> = series
            .iter()
            .enumerate()
            .map(|(at, series)| query(at, series))
            .collect();
        let pages = every_page(WHAT, GetMetricDataOutput::next_token, |token| {
            let call = cloudwatch
                .get_metric_data()
                .set_metric_data_queries(Some(queries.clone()))
                .start_time(start)
                .end_time(end)
                .scan_by(ScanBy::TimestampDescending)
                .set_next_token(token);
            aws.ask("CloudWatch", WHAT, call.send())
        });
        for page in pages.await? {
            for result in page.metric_data_results() {
                let at = result.id().and_then(|id| id.strip_prefix('q')?.parse::<usize>().ok());
                if let Some(series) = at.and_then(|at| series.get(at)) {
                    keep(&mut found, series, result, (now, aws.clock_factor().max(1)));
                }
            }
        }
    }
    Ok(found)
}

fn series_of(target: &MetricTarget) -> Vec<Series<'_>> {
    match target {
        MetricTarget::Instance {
            id,
            detailed_monitoring,
        } => instance_series(id, *detailed_monitoring),
        MetricTarget::Volume {
            id,
            instance,
            volume_type,
        } => {
            let mut series = volume_series(id, volume_type);
            series.extend(instance.iter().flat_map(|instance| attachment_series(id, instance)));
            series
        }
    }
}

/// AWS/EC2 by InstanceId. Status checks come every minute, free of the monitoring level.
fn instance_series(id: &str, detailed: bool) -> Vec<Series<'_>> {
    let basic = if detailed { 60 } else { 300 };
    let series = |metric, stat, period, slot: fn(&mut InstanceMetrics) -> &mut Option<Point>| Series {
        namespace: "AWS/EC2",
        metric,
        stat,
        period,
        dimensions: vec![("InstanceId", id)],
        owner: id,
        slot: Slot::Instance(slot),
    };
    vec![
        series("CPUUtilization", "Average", basic, |m| &mut m.cpu_percent),
        series("CPUCreditBalance", "Average", 300, |m| &mut m.cpu_credit_balance),
        series("NetworkIn", "Sum", basic, |m| &mut m.network_in_bytes_per_second),
        series("NetworkOut", "Sum", basic, |m| &mut m.network_out_bytes_per_second),
        series("StatusCheckFailed_AttachedEBS", "Maximum", 60, |m| {
            &mut m.status_check_failed_ebs
        }),
        series("InstanceEBSIOPSExceededCheck", "Maximum", 60, |m| {
            &mut m.ebs_iops_exceeded
        }),
        series("InstanceEBSThroughputExceededCheck", "Maximum", 60, |m| {
            &mut m.ebs_throughput_exceeded
        }),
        series("EBSByteBalance%", "Minimum", 300, |m| &mut m.ebs_byte_balance_percent),
        series("EBSIOBalance%", "Minimum", 300, |m| &mut m.ebs_io_balance_percent),
    ]
}

/// AWS/EBS by VolumeId.
fn volume_series<'a>(id: &'a str, volume_type: &str) -> Vec<Series<'a>> {
    let series = |metric, stat, period, slot: fn(&mut VolumeMetrics) -> &mut Option<Point>| Series {
        namespace: "AWS/EBS",
        metric,
        stat,
        period,
        dimensions: vec![("VolumeId", id)],
        owner: id,
        slot: Slot::Volume(slot),
    };
    let mut all = vec![
        series("VolumeReadBytes", "Sum", 300, |m| &mut m.read_bytes_per_second),
        series("VolumeWriteBytes", "Sum", 300, |m| &mut m.write_bytes_per_second),
        series("VolumeReadOps", "Sum", 300, |m| &mut m.read_ops_per_second),
        series("VolumeWriteOps", "Sum", 300, |m| &mut m.write_ops_per_second),
        series("VolumeQueueLength", "Average", 60, |m| &mut m.queue_length),
    ];
    if matches!(volume_type, "gp2" | "st1" | "sc1") {
        all.push(series("BurstBalance", "Minimum", 300, |m| &mut m.burst_balance_percent));
    }
    all
}

/// AWS/EBS by InstanceId and VolumeId: per attachment, on Nitro instances.
fn attachment_series<'a>(id: &'a str, instance: &'a str) -> Vec<Series<'a>> {
    let series = |metric, stat, slot: fn(&mut VolumeMetrics) -> &mut Option<Point>| Series {
        namespace: "AWS/EBS",
        metric,
        stat,
        period: 60,
        dimensions: vec![("InstanceId", instance), ("VolumeId", id)],
        owner: id,
        slot: Slot::Volume(slot),
    };
    vec![
        series("VolumeStalledIOCheck", "Maximum", |m| &mut m.stalled_io),
        series("VolumeIOPSExceededCheck", "Maximum", |m| &mut m.iops_exceeded),
        series("VolumeThroughputExceededCheck", "Maximum", |m| {
            &mut m.throughput_exceeded
        }),
        series("VolumeAvgReadLatency", "Average", |m| &mut m.read_latency_ms),
        series("VolumeAvgWriteLatency", "Average", |m| &mut m.write_latency_ms),
    ]
}

fn query(at: usize, series: &Series<'_>) -> MetricDataQuery {
    let dimensions = series
        .dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
    let metric = Metric::builder()
        .namespace(series.namespace)
        .metric_name(series.metric)
        .set_dimensions(Some(dimensions.collect()))
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(series.period)
        .stat(series.stat)
        .build();
    MetricDataQuery::builder()
        .id(format!("q{at}"))
        .metric_stat(stat)
        .build()
}

fn keep(found: &mut Metrics, series: &Series<'_>, result: &MetricDataResult, (now, clock_factor): (i64, u32)) {
    let points = result
        .timestamps()
        .iter()
        .zip(result.values())
        .map(|(at, value)| (at.secs(), *value));
    let Some(point) = newest(points, series, now, clock_factor) else {
        return;
    };
    let slot = match series.slot {
        Slot::Instance(slot) => slot(entry(&mut found.instances, series.owner)),
        Slot::Volume(slot) => slot(entry(&mut found.volumes, series.owner)),
    };
    // A series that goes over pages is told newest first.
    if slot.is_none_or(|known| known.at < point.at) {
        *slot = Some(point);
    }
}

fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, id: &str) -> &'a mut T {
    map.entry(id.to_owned()).or_default()
}

/// The newest point; of sums the newest whole one, as a rate per second. A simulated cloud's periods may be shorter by a factor.
fn newest(points: impl Iterator<Item = (i64, f64)>, series: &Series<'_>, now: i64, clock_factor: u32) -> Option<Point> {
    let period = i64::from(series.period);
    let is_sum = series.stat == "Sum";
    let factor = i64::from(clock_factor);
    let settled = |(at, _): &(i64, f64)| !is_sum || at + (period + SETTLE_SECONDS) / factor <= now;
    let value = |value: f64| if is_sum { value / period as f64 } else { value };
    let points: Vec<(i64, f64)> = points.filter(settled).map(|(at, of)| (at, value(of))).collect();
    let (at, value) = points.iter().copied().max_by_key(|(at, _)| *at)?;
    // The points whose periods lie in the time that ends with the newest one's.
    let mean = |seconds: i64| {
        let within = points
            .iter()
            .filter(|(other, _)| at - other <= (seconds - period).max(0) / factor);
        let (sum, count) = within.fold((0.0, 0), |(sum, count), (_, value)| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    Some(Point {
        at: Moment::from_second(at).ok()?,
        value,
        over_5m: mean(300),
        over_10m: mean(600),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_counts_once_its_period_is_over_and_becomes_a_rate() {
        let series = &volume_series("vol-1", "gp3")[0];
        let points = [(900, 30_000.0), (600, 60_000.0), (300, 1.0)];
        let at = |now| newest(points.into_iter(), series, now, 1).map(|point| (point.at.as_second(), point.value));
        assert_eq!(at(1260), Some((900, 100.0)));
        assert_eq!(
            at(1259),
            Some((600, 200.0)),
            "the last minutes of 900 may not have arrived"
        );
        assert_eq!(at(100), None);
    }

    #[test]
    fn means_are_of_the_periods_that_lie_in_their_time() {
        let minutes = &attachment_series("vol-1", "i-1")[4];
        let points = (0..20).map(|minute| (minute * 60, minute as f64));
        let point = newest(points, minutes, 19 * 60 + 1, 1).unwrap();
        assert_eq!(
            (point.value, point.over_5m, point.over_10m),
            (19.0, Some(17.0), Some(14.5))
        );
        let five = &volume_series("vol-1", "gp3")[0];
        let points = [(900, 30_000.0), (600, 60_000.0), (300, 90_000.0)];
        let point = newest(points.into_iter(), five, 1260, 1).unwrap();
        assert_eq!(
            (point.value, point.over_5m, point.over_10m),
            (100.0, Some(100.0), Some(150.0))
        );
    }

    #[test]
    fn a_state_counts_at_once() {
        let series = &attachment_series("vol-1", "i-1")[0];
        let point = newest([(60, 1.0), (0, 0.0)].into_iter(), series, 61, 1).unwrap();
        assert_eq!((point.at.as_second(), point.value), (60, 1.0));
    }

    #[test]
    fn dimensions_and_periods_are_the_ones_the_metric_is_kept_under() {
        for series in attachment_series("vol-1", "i-1") {
            assert_eq!(
                series.dimensions,
                [("InstanceId", "i-1"), ("VolumeId", "vol-1")],
                "{}",
                series.metric
            );
        }
        assert!(
            volume_series("vol-1", "gp3")
                .iter()
                .all(|series| series.dimensions.len() == 1)
        );
        assert!(
            !volume_series("vol-1", "gp3")
                .iter()
                .any(|series| series.metric == "BurstBalance")
        );
        assert!(
            volume_series("vol-1", "st1")
                .iter()
                .any(|series| series.metric == "BurstBalance")
        );
        let network = |detailed| instance_series("i-1", detailed)[2].period;
        assert_eq!((network(false), network(true)), (300, 60));
    }
}
