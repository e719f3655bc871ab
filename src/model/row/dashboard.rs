//! The dashboard: each number of the article's lists over the last minutes, of the worst broker and of each, and which alarms
//! watch what.

use serde::Serialize;
use strum::IntoEnumIterator;

use super::Cell;
use super::broker::BrokerRow;
use crate::model::history::{Gauge, Series, gauge};
use crate::model::metric::Pushed;
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment};

/// What part of the article's lists a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Part {
    System,
    Producer,
    Consumer,
}

/// One number over time, of the broker where it is worst or of one broker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChartRow {
    pub part: Part,
    /// `cpu_percent`, `producer_batch_size_avg`, `lag_records`.
    pub metric: String,
    pub words: String,
    /// Of the article's list; empty for what it leaves out.
    pub seed_ref: String,
    /// The broker, the client or the group that it is of.
    pub subject: Option<String>,
    pub now: Cell<f64>,
    /// Beyond it something is to be done.
    pub limit: Option<f64>,
    /// Less is worse.
    pub room: bool,
    /// Oldest first.
    pub chart: Vec<f64>,
    /// From the first to the last of them.
    pub span_seconds: Option<f64>,
    pub source: String,
}

/// Whether something is watched by an alarm of CloudWatch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlarmRow {
    pub broker: BrokerId,
    /// An instance or a volume.
    pub thing: String,
    /// Names and states; unknown where alarms were not seen.
    pub alarms: Cell<Vec<String>>,
    /// One of them is in alarm.
    pub rings: bool,
    /// An alarm that acts is there.
    pub watched: Option<bool>,
}

/// What clients push (KIP-714) that the article lists for producers, and what it should have listed for consumers.
pub const CLIENTS: [(&str, &str, Part); 14] = [
    ("producer_batch_size_avg", "batch size, avg", Part::Producer),
    ("producer_compression_rate_avg", "compression rate, avg", Part::Producer),
    ("producer_waiting_threads", "waiting threads", Part::Producer),
    ("producer_buffer_available_bytes", "buffer available", Part::Producer),
    (
        "producer_record_queue_time_max",
        "record queue time, max",
        Part::Producer,
    ),
    ("producer_record_send_rate", "records sent /s", Part::Producer),
    (
        "producer_records_per_request_avg",
        "records per request",
        Part::Producer,
    ),
    (
        "consumer_fetch_manager_records_lag_max",
        "records lag, max",
        Part::Consumer,
    ),
    ("consumer_fetch_manager_fetch_rate", "fetches /s", Part::Consumer),
    (
        "consumer_fetch_manager_fetch_latency_avg",
        "fetch latency, avg",
        Part::Consumer,
    ),
    (
        "consumer_fetch_manager_records_consumed_rate",
        "records consumed /s",
        Part::Consumer,
    ),
    (
        "consumer_coordinator_commit_latency_avg",
        "commit latency, avg",
        Part::Consumer,
    ),
    (
        "consumer_coordinator_rebalance_rate_per_hour",
        "rebalances /h",
        Part::Consumer,
    ),
    ("consumer_poll_idle_ratio_avg", "poll idle ratio, avg", Part::Consumer),
];

/// What a series shows of its last `seconds`.
fn chart(gauge: Gauge, series: &Series, seconds: i64) -> Vec<f64> {
    let all: Vec<_> = series.samples().collect();
    let last = all.last().map(|last| last.at);
    let young = |at: Moment| last.is_some_and(|last| last.duration_since(at).as_secs() <= seconds);
    match gauge.is_total() {
        false => all
            .iter()
            .filter(|sample| young(sample.at))
            .map(|sample| sample.value)
            .collect(),
        true => all
            .windows(2)
            .filter(|pair| young(pair[0].at))
            .map(|pair| {
                let apart = pair[1].at.duration_since(pair[0].at).as_secs_f64().max(1e-9);
                // A process that began anew counts from zero.
                ((pair[1].value - pair[0].value) / apart).max(0.0)
            })
            .collect(),
    }
}

/// Of one gauge, each broker's line, in the order of their ids.
pub fn of_gauge(snapshot: &Snapshot, brokers: &[BrokerRow], gauge: Gauge, seconds: i64, now: Moment) -> Vec<ChartRow> {
    let line = |broker: &BrokerRow| {
        let series = snapshot.history.gauges.get(&broker.id).and_then(|all| all.get(&gauge));
        let points = series.map(|series| chart(gauge, series, seconds)).unwrap_or_default();
        let mut told = gauge::of(snapshot, broker.id, now).into_iter();
        let last = match gauge.is_total() {
            true => points.last().copied(),
            false => told.find(|(known, ..)| *known == gauge).map(|(.., value)| value),
        };
        ChartRow {
            part: match gauge {
                Gauge::ProducedBytesPerSecond | Gauge::ProduceP99Ms => Part::Producer,
                Gauge::FetchedBytesPerSecond | Gauge::FetchP99Ms => Part::Consumer,
                _ => Part::System,
            },
            metric: gauge.to_string(),
            words: gauge.words().to_owned(),
            seed_ref: gauge.row().to_owned(),
            subject: Some(format!("broker {}", broker.id)),
            now: match last {
                Some(value) => Cell::known(value),
                None => Cell::unknown(missing(snapshot, broker.id, gauge)),
            },
            limit: gauge.limit(),
            room: gauge.is_room(),
            chart: points,
            span_seconds: series.and_then(|series| series.span_seconds(seconds)),
            source: gauge.teller().to_string(),
        }
    };
    brokers.iter().map(line).collect()
}

fn missing(snapshot: &Snapshot, broker: BrokerId, gauge: Gauge) -> String {
    use crate::model::history::Teller;
    let told = match gauge.teller() {
        Teller::CloudWatch => snapshot.cloud.metrics.problem(),
        Teller::Prometheus => match snapshot.broker_metrics.get(&broker) {
            Some(told) => told.problem(),
            None => Some("the context names no Prometheus endpoints: azimuth context show".to_owned()),
        },
        Teller::Kafka => snapshot.logdirs.get(&broker).and_then(|told| told.problem()),
    };
    told.unwrap_or_else(|| format!("{} does not tell it of broker {broker}", gauge.teller()))
}

/// Every line: of each gauge the worst broker's, of clients what they push, of groups the lag.
pub fn all(snapshot: &Snapshot, brokers: &[BrokerRow], seconds: i64, now: Moment) -> Vec<ChartRow> {
    let mut rows: Vec<ChartRow> = Gauge::iter()
        .filter_map(|gauge| worst(of_gauge(snapshot, brokers, gauge, seconds, now)))
        .collect();
    rows.extend(
        CLIENTS
            .iter()
            .map(|(metric, words, part)| pushed(snapshot, metric, words, *part)),
    );
    rows.push(lag(snapshot, seconds));
    rows.sort_by_key(|row| row.part);
    rows
}

fn worst(rows: Vec<ChartRow>) -> Option<ChartRow> {
    let rank = |row: &ChartRow| {
        let value = row.now.value.map(|value| if row.room { -value } else { value });
        (value.is_some(), value.unwrap_or(0.0))
    };
    let mut worst = rows.into_iter().max_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    })?;
    if worst.now.value.is_none() {
        // Nobody is worst where nobody is known.
        worst.subject = None;
    }
    Some(worst)
}

fn pushed(snapshot: &Snapshot, metric: &str, words: &str, part: Part) -> ChartRow {
    let told = snapshot
        .broker_metrics
        .values()
        .filter_map(|told| told.get()?.clients.get(metric));
    let sum = told.fold(Pushed::default(), |sum, one| sum.with(one));
    ChartRow {
        part,
        metric: metric.to_owned(),
        words: words.to_owned(),
        seed_ref: if part == Part::Producer { "56" } else { "57" }.to_owned(),
        subject: (sum.clients > 0).then(|| format!("{} clients", sum.clients)),
        now: match sum.mean() {
            Some(mean) => Cell::known(mean),
            None => Cell::unknown(why_not_pushed(snapshot)),
        },
        limit: None,
        room: false,
        chart: Vec::new(),
        span_seconds: None,
        source: "clients (KIP-714)".to_owned(),
    }
}

fn why_not_pushed(snapshot: &Snapshot) -> String {
    match snapshot.client_metrics.get() {
        Some(names) if names.is_empty() => {
            "no client is told to push metrics: kafka-client-metrics.sh --alter --name all \
             --metrics org.apache.kafka.producer.,org.apache.kafka.consumer. --interval 30000"
                .to_owned()
        }
        Some(_) if snapshot.broker_metrics.is_empty() => {
            "clients are told to push, and the context names no Prometheus endpoints to read it from".to_owned()
        }
        Some(_) => {
            "clients are told to push, and no endpoint of a broker has it; on Apache Kafka that takes a telemetry \
             reporter that exports it"
                .to_owned()
        }
        None => snapshot
            .client_metrics
            .problem()
            .unwrap_or_else(|| "subscriptions of client metrics were not asked for".to_owned()),
    }
}

/// Lag is what the article's consumer list leaves out: it is the producers' list a second time.
fn lag(snapshot: &Snapshot, seconds: i64) -> ChartRow {
    let series = snapshot.history.group_lag.iter();
    let last = |series: &Series| series.latest().map_or(0.0, |last| last.value);
    let most = series.max_by(|a, b| last(a.1).total_cmp(&last(b.1)));
    ChartRow {
        part: Part::Consumer,
        metric: "lag_records".to_owned(),
        words: "lag".to_owned(),
        seed_ref: "57".to_owned(),
        subject: most.map(|(name, _)| name.clone()),
        now: match most.and_then(|(_, series)| series.latest()) {
            Some(last) => Cell::known(last.value),
            None => Cell::unknown("no group has committed anything since it is recorded"),
        },
        limit: None,
        room: false,
        chart: most
            .map(|(_, series)| series.within(seconds).collect())
            .unwrap_or_default(),
        span_seconds: most.and_then(|(_, series)| series.span_seconds(seconds)),
        source: "Kafka".to_owned(),
    }
}

/// Alarms on the instance and the volumes of each broker.
pub fn alarms(snapshot: &Snapshot, brokers: &[BrokerRow]) -> Vec<AlarmRow> {
    let section = &snapshot.cloud.account.alarms;
    let mut rows = Vec::new();
    for broker in brokers {
        for thing in broker.instance.value.iter().chain(&broker.volumes) {
            let own = section.get().map(|all| {
                all.iter()
                    .filter(|alarm| alarm.dimensions.values().any(|value| value == thing))
                    .collect::<Vec<_>>()
            });
            rows.push(AlarmRow {
                broker: broker.id,
                thing: thing.clone(),
                rings: own.iter().flatten().any(|alarm| alarm.state == "ALARM"),
                watched: own.as_ref().map(|own| own.iter().any(|alarm| alarm.actions_enabled)),
                alarms: match own {
                    Some(own) => Cell::known(
                        own.iter()
                            .map(|alarm| format!("{} {}", alarm.name, alarm.state))
                            .collect(),
                    ),
                    None => Cell::unknown(
                        section
                            .problem()
                            .unwrap_or_else(|| "alarms were not asked for".to_owned()),
                    ),
                },
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::check::fixture::{Six, now};
    use crate::model::history::History;
    use crate::model::row::Rows;

    #[test]
    fn the_worst_broker_is_shown_and_each_has_its_chart() {
        let mut six = Six::healthy();
        let mut history = History::clone(&six.snapshot.history);
        let series = |from: f64| {
            let mut series = Series::default();
            for step in 0..10 {
                series.push(
                    now() - jiff::SignedDuration::from_secs(90 - step * 10),
                    from + step as f64,
                );
            }
            series
        };
        let of = |broker: i32| {
            (
                broker,
                BTreeMap::from([(Gauge::DiskUsedPercent, series(broker as f64))]),
            )
        };
        history.gauges = Arc::new(BTreeMap::from([of(1), of(4)]));
        six.snapshot.history = Arc::new(history);
        let rows = Rows::of(&six.snapshot, now());
        let lines = of_gauge(&six.snapshot, &rows.brokers, Gauge::DiskUsedPercent, 60, now());
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[3].chart, [7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0]);
        assert_eq!(lines[3].span_seconds, Some(60.0));
        let all = all(&six.snapshot, &rows.brokers, 600, now());
        let disk = all.iter().find(|row| row.metric == "disk_used_percent").unwrap();
        let most = lines.iter().filter_map(|line| line.now.value).fold(0.0, f64::max);
        assert_eq!(disk.now.value, Some(most));
    }

    #[test]
    fn what_nobody_tells_says_how_to_have_it_told() {
        let six = Six::healthy();
        let rows = Rows::of(&six.snapshot, now());
        for row in all(&six.snapshot, &rows.brokers, 600, now()) {
            assert_eq!(row.now.value.is_none(), row.now.reason.is_some(), "{row:?}");
        }
    }

    #[test]
    fn a_total_is_charted_as_what_it_gains() {
        let mut series = Series::default();
        for (second, value) in [(0, 10.0), (10, 11.0), (20, 11.0), (30, 0.5)] {
            series.push(Moment::from_second(1_800_000_000 + second).unwrap(), value);
        }
        assert_eq!(chart(Gauge::GcSeconds, &series, 600), [0.1, 0.0, 0.0]);
    }
}
