//! CloudWatch's GetMetricData over Smithy RPC v2 CBOR: series from the meter, at AWS's periods and delays.
//!
//! EBS points exist for each minute, EC2 points for each minute with detailed monitoring and for five otherwise. A
//! point can be seen a minute after its end. With dimensions that no metric is kept under the answer is empty, and so
//! it is for everything in a disrupted zone, from the disruption on.

use std::collections::BTreeMap;
use std::ops::Range;

use ciborium::Value;

use super::State;
use super::credit;
use super::fault::{Faults, Refusal};
use super::fleet::{Disk, Machine, limits};
use super::meter::{Meter, VolumeMinute};
use super::time::Tempo;

/// Seconds from the end of a point's period until it can be seen.
const DELAY: i64 = 60;

/// CloudWatch's limit for one request.
const QUERIES: usize = 500;

/// A series longer than this is refused rather than computed: a day of minutes.
const MINUTES: i64 = 1440;

const MIB: f64 = 1_048_576.0;

/// One query of a request.
struct Ask {
    id: String,
    metric: String,
    namespace: String,
    dimensions: BTreeMap<String, String>,
    period: i64,
    stat: String,
}

/// Answers one request; `page` results at most.
pub(super) fn answer(
    state: &State,
    faults: &Faults,
    now: i64,
    tempo: Tempo,
    page: usize,
    body: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let request: Value = ciborium::from_reader(body)
        .map_err(|error| Refusal::new(400, "SerializationException", format!("the body is not CBOR: {error}")))?;
    let missing = |name: &str| Refusal::new(400, "MissingParameter", format!("The parameter {name} is required."));
    let queries = member(&request, "MetricDataQueries").and_then(Value::as_array);
    let queries = queries.ok_or_else(|| missing("MetricDataQueries"))?;
    if queries.len() > QUERIES {
        let message = format!("The collection MetricDataQueries must not have a size greater than {QUERIES}.");
        return Err(Refusal::new(400, "ValidationError", message));
    }
    let start = member(&request, "StartTime")
        .and_then(seconds)
        .ok_or_else(|| missing("StartTime"))?;
    let end = member(&request, "EndTime")
        .and_then(seconds)
        .ok_or_else(|| missing("EndTime"))?;
    let (start, end) = (tempo.inside(start), tempo.inside(end));
    let range = start.max(now - MINUTES * 60)..end.min(now + 3600);
    let first = member(&request, "NextToken").and_then(Value::as_text);
    let first: usize = first.and_then(|token| token.parse().ok()).unwrap_or_default();
    let mut results = Vec::new();
    for query in queries.iter().skip(first).take(page) {
        let ask = ask(query).ok_or_else(|| missing("MetricStat"))?;
        let points = series(state, faults, now, &ask, range.clone());
        let points = points.into_iter().map(|(at, value)| (tempo.outside(at), value));
        results.push(result(&ask, points.collect()));
    }
    let mut fields = vec![
        ("MetricDataResults", Value::Array(results)),
        ("Messages", Value::Array(Vec::new())),
    ];
    let next = first.saturating_add(page);
    if next < queries.len() {
        fields.push(("NextToken", Value::Text(next.to_string())));
    }
    Ok(encode(map(fields)))
}

/// Nobody set any: a check is to say so.
pub(super) fn no_alarms() -> Vec<u8> {
    encode(map(vec![
        ("CompositeAlarms", Value::Array(Vec::new())),
        ("MetricAlarms", Value::Array(Vec::new())),
    ]))
}

/// Values were put; they are kept only as what was asked.
pub(super) fn taken() -> Vec<u8> {
    encode(map(Vec::new()))
}

/// What a request says, as JSON.
pub(super) fn told(body: &[u8]) -> serde_json::Value {
    let value: Option<Value> = ciborium::from_reader(body).ok();
    value
        .and_then(|value| serde_json::to_value(value).ok())
        .unwrap_or_default()
}

/// An error as RPC v2 CBOR carries it.
pub(super) fn error(refusal: &Refusal) -> Vec<u8> {
    // CloudWatch has words of its own for what EC2 calls otherwise.
    let code = match refusal.code.as_str() {
        "RequestLimitExceeded" => "ThrottlingException",
        "UnauthorizedOperation" => "AccessDeniedException",
        "RequestExpired" => "ExpiredTokenException",
        "InternalError" => "InternalServiceFault",
        other => other,
    };
    encode(map(vec![
        ("__type", Value::Text(format!("com.amazonaws.cloudwatch#{code}"))),
        ("message", Value::Text(refusal.message.clone())),
    ]))
}

fn ask(query: &Value) -> Option<Ask> {
    let stat = member(query, "MetricStat")?;
    let metric = member(stat, "Metric")?;
    let text = |value: &Value, name: &str| member(value, name)?.as_text().map(ToOwned::to_owned);
    let dimensions = member(metric, "Dimensions").and_then(Value::as_array);
    let dimensions = dimensions.into_iter().flatten();
    let period = member(stat, "Period")?
        .as_integer()
        .and_then(|period| i64::try_from(period).ok())?;
    Some(Ask {
        id: text(query, "Id")?,
        metric: text(metric, "MetricName")?,
        namespace: text(metric, "Namespace")?,
        dimensions: dimensions
            .filter_map(|dimension| Some((text(dimension, "Name")?, text(dimension, "Value")?)))
            .collect(),
        period: period.max(60),
        stat: text(stat, "Stat")?,
    })
}

/// What a series is about.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Instance(&'a Machine),
    /// By volume alone.
    Volume(&'a Machine, &'a Disk),
    /// By instance and volume.
    Attachment(&'a Machine, &'a Disk),
}

impl<'a> Subject<'a> {
    /// `None` for dimensions that nothing is kept under.
    fn of(state: &'a State, ask: &Ask) -> Option<Self> {
        let id = |name: &str| ask.dimensions.get(name).map(String::as_str);
        match (
            ask.namespace.as_str(),
            id("InstanceId"),
            id("VolumeId"),
            ask.dimensions.len(),
        ) {
            ("AWS/EC2", Some(instance), None, 1) => Some(Self::Instance(state.fleet.machine(instance)?)),
            ("AWS/EBS", None, Some(volume), 1) => {
                let (machine, disk) = state.fleet.disk(volume)?;
                Some(Self::Volume(machine, disk))
            }
            ("AWS/EBS", Some(instance), Some(volume), 2) => {
                let (machine, disk) = state.fleet.disk(volume)?;
                (machine.id == instance).then_some(Self::Attachment(machine, disk))
            }
            _ => None,
        }
    }

    fn machine(self) -> &'a Machine {
        match self {
            Self::Instance(machine) | Self::Volume(machine, _) | Self::Attachment(machine, _) => machine,
        }
    }

    /// Seconds from point to point, as CloudWatch keeps them.
    fn native_period(self, metric: &str) -> i64 {
        match self {
            Self::Instance(machine) => {
                let is_check = metric.starts_with("StatusCheck") || metric.ends_with("ExceededCheck");
                if machine.detailed_monitoring || is_check {
                    60
                } else {
                    300
                }
            }
            Self::Volume(..) | Self::Attachment(..) => 60,
        }
    }

    fn minute(self, meter: &Meter, faults: &Faults, metric: &str, minute: i64) -> Option<Minute> {
        match self {
            Self::Instance(machine) => of_instance(meter, faults, machine, metric, minute),
            Self::Volume(_, disk) => of_volume(meter, faults, disk, metric, minute),
            Self::Attachment(_, disk) => of_attachment(meter, faults, disk, metric, minute),
        }
    }
}

/// Points by the start of their period, newest first.
fn series(state: &State, faults: &Faults, now: i64, ask: &Ask, range: Range<i64>) -> Vec<(i64, f64)> {
    let Some(subject) = Subject::of(state, ask) else {
        return Vec::new();
    };
    let silent = silent_since(faults, ask, subject.machine());
    let native = subject.native_period(&ask.metric);
    let mut buckets: BTreeMap<i64, Vec<Minute>> = BTreeMap::new();
    for minute in range.start.div_euclid(60)..range.end.div_euclid(60) {
        // A point belongs to its native period, and is published when that is over.
        let native_start = (minute * 60).div_euclid(native) * native;
        let published = native_start + native + DELAY <= now && silent.is_none_or(|since| minute * 60 < since);
        if published && let Some(point) = subject.minute(&state.meter, faults, &ask.metric, minute) {
            let at = native_start.div_euclid(ask.period) * ask.period;
            buckets.entry(at).or_default().push(point);
        }
    }
    buckets
        .into_iter()
        .rev()
        .map(|(at, points)| (at, aggregate(&points, &ask.stat)))
        .collect()
}

/// Since when CloudWatch has nothing of this series.
fn silent_since(faults: &Faults, ask: &Ask, machine: &Machine) -> Option<i64> {
    let names = ask.dimensions.values().chain([&ask.metric]);
    let gaps = names.filter_map(|name| faults.gaps.get(name));
    gaps.chain(faults.outages.get(&machine.zone)).min().copied()
}

/// What one minute adds to a statistic.
#[derive(Clone, Copy)]
struct Minute {
    sum: f64,
    samples: f64,
}

fn once(value: f64) -> Option<Minute> {
    Some(Minute {
        sum: value,
        samples: 1.0,
    })
}

fn aggregate(points: &[Minute], stat: &str) -> f64 {
    let sum: f64 = points.iter().map(|point| point.sum).sum();
    let samples: f64 = points.iter().map(|point| point.samples).sum();
    let means = points.iter().map(|point| point.sum / point.samples.max(1.0));
    match stat {
        "Sum" => sum,
        "SampleCount" => samples,
        "Maximum" => means.fold(f64::MIN, f64::max),
        "Minimum" => means.fold(f64::MAX, f64::min),
        _ => sum / samples.max(1.0),
    }
}

fn of_instance(meter: &Meter, faults: &Faults, machine: &Machine, metric: &str, minute: i64) -> Option<Minute> {
    if machine.state != "running" {
        return None;
    }
    let seen = meter.instance(&machine.id, minute);
    let volumes = || machine.disks.iter().filter_map(|disk| meter.volume(&disk.id, minute));
    match metric {
        "CPUUtilization" => seen.filter(|seen| seen.cpu_samples > 0.0).map(|seen| Minute {
            sum: seen.cpu_sum,
            samples: seen.cpu_samples,
        }),
        "NetworkIn" => once(seen?.bytes_in),
        "NetworkOut" => once(seen?.bytes_out),
        "StatusCheckFailed_AttachedEBS" => {
            let stalled = machine
                .disks
                .iter()
                .any(|disk| is_stalled(meter, faults, &disk.id, minute));
            once(f64::from(u8::from(stalled)))
        }
        "StatusCheckFailed_System" | "StatusCheckFailed_Instance" => once(0.0),
        "InstanceEBSThroughputExceededCheck" => {
            let bytes: f64 = volumes().map(|volume| volume.read_bytes + volume.write_bytes).sum();
            exceeds(bytes / 60.0, limits(&machine.instance_type)?.ebs_baseline * 1e6)
        }
        "InstanceEBSIOPSExceededCheck" => {
            let ops: f64 = volumes().map(|volume| volume.read_ops + volume.write_ops).sum();
            exceeds(ops / 60.0, limits(&machine.instance_type)?.ebs_baseline_iops as f64)
        }
        "EBSByteBalance%" => once(credit::of_bytes(meter, machine, minute)?),
        "EBSIOBalance%" => once(credit::of_operations(meter, machine, minute)?),
        _ => None,
    }
}

/// The metrics kept by volume alone.
fn of_volume(meter: &Meter, faults: &Faults, disk: &Disk, metric: &str, minute: i64) -> Option<Minute> {
    let seen = meter.volume(&disk.id, minute);
    match metric {
        "VolumeReadBytes" => once(seen?.read_bytes),
        "VolumeWriteBytes" => once(seen?.write_bytes),
        "VolumeReadOps" => once(seen?.read_ops),
        "VolumeWriteOps" => once(seen?.write_ops),
        "BurstBalance" => once(credit::of_volume(meter, disk, minute)?),
        "VolumeQueueLength" if is_stalled(meter, faults, &disk.id, minute) => once(32.0),
        "VolumeQueueLength" => {
            let seen = seen.unwrap_or_default();
            once((seen.read_ops + seen.write_ops) / 60.0 * latency_ms(disk, seen) / 1000.0)
        }
        _ => None,
    }
}

/// The newer metrics, kept by instance and volume.
fn of_attachment(meter: &Meter, faults: &Faults, disk: &Disk, metric: &str, minute: i64) -> Option<Minute> {
    let stalled = is_stalled(meter, faults, &disk.id, minute);
    let seen = meter.volume(&disk.id, minute).unwrap_or_default();
    match metric {
        "VolumeStalledIOCheck" => once(f64::from(u8::from(stalled))),
        "VolumeIOPSExceededCheck" => exceeds((seen.read_ops + seen.write_ops) / 60.0, disk.iops as f64),
        "VolumeThroughputExceededCheck" => exceeds(busy(disk, seen), 1.0),
        // Where no operation was completed none has a latency.
        "VolumeAvgReadLatency" if !stalled && seen.read_ops > 0.0 => {
            once(latency_ms(disk, seen) + lag_ms(faults, &disk.id, minute))
        }
        "VolumeAvgWriteLatency" if !stalled && seen.write_ops > 0.0 => {
            once(latency_ms(disk, seen) + lag_ms(faults, &disk.id, minute))
        }
        _ => None,
    }
}

/// The part of its throughput that a volume used.
fn busy(disk: &Disk, seen: VolumeMinute) -> f64 {
    (seen.read_bytes + seen.write_bytes) / 60.0 / (disk.throughput_mib_per_second as f64 * MIB)
}

/// gp3 answers in well under a millisecond until it nears its limit.
fn latency_ms(disk: &Disk, seen: VolumeMinute) -> f64 {
    0.6 / (1.0 - busy(disk, seen).min(0.98))
}

/// What a fault adds to each operation, from the first whole minute on.
fn lag_ms(faults: &Faults, volume: &str, minute: i64) -> f64 {
    let lag = faults.lagging.get(volume).filter(|(since, _)| *since <= minute * 60);
    lag.map_or(0.0, |(_, milliseconds)| *milliseconds as f64)
}

/// Whether a volume was stalled for the whole of a minute.
fn is_stalled(meter: &Meter, faults: &Faults, volume: &str, minute: i64) -> bool {
    let now = faults.stalled.get(volume).is_some_and(|since| *since <= minute * 60);
    now || meter.was_stalled(volume, minute)
}

fn exceeds(used: f64, limit: f64) -> Option<Minute> {
    once(f64::from(u8::from(used >= limit)))
}

fn result(ask: &Ask, points: Vec<(i64, f64)>) -> Value {
    let times = points
        .iter()
        .map(|(at, _)| Value::Tag(1, Box::new(Value::Float(*at as f64))));
    map(vec![
        ("Id", Value::Text(ask.id.clone())),
        ("Label", Value::Text(ask.metric.clone())),
        ("StatusCode", Value::Text("Complete".to_owned())),
        ("Timestamps", Value::Array(times.collect())),
        (
            "Values",
            Value::Array(points.iter().map(|(_, value)| Value::Float(*value)).collect()),
        ),
    ])
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let entries = value.as_map()?;
    entries
        .iter()
        .find(|(key, _)| key.as_text() == Some(name))
        .map(|(_, value)| value)
}

/// A Smithy timestamp: tag 1 around seconds, whole or not.
fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::Tag(1, inner) => seconds(inner),
        Value::Float(at) => Some(*at as i64),
        Value::Integer(at) => i64::try_from(*at).ok(),
        _ => None,
    }
}

fn map(fields: Vec<(&str, Value)>) -> Value {
    Value::Map(
        fields
            .into_iter()
            .map(|(name, value)| (Value::Text(name.to_owned()), value))
            .collect(),
    )
}

fn encode(value: Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail; a half answer would be refused by the other side.
    let _ = ciborium::into_writer(&value, &mut bytes);
    bytes
}
