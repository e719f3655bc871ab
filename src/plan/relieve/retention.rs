//! Fewer records: a shorter retention of the topics that take most.

use super::{InTime, Kind, Remedy, Scene, span};
use crate::model::logdir::{Replica, TopicUse};
use crate::model::offset::Span;
use crate::model::row::Cell;

/// So many topics are looked at.
const TOPICS: usize = 3;

/// `log.retention.check.interval.ms`, `file.delete.delay.ms` and `segment.bytes` where no broker tells. Source: Kafka.
const CHECK_MS: f64 = 300_000.0;
const DELETE_DELAY_MS: f64 = 60_000.0;
const SEGMENT_BYTES: u64 = 1 << 30;

pub(super) fn remedies(scene: &Scene<'_>) -> Vec<Remedy> {
    let top = scene.dir.top.iter().filter(|topic| topic.size_bytes > 0).take(TOPICS);
    let found: Vec<Remedy> = top.filter_map(|topic| remedy(scene, topic)).collect();
    // What frees nothing is worth a line only when there is nothing better.
    let useful = |remedy: &Remedy| remedy.frees_bytes.value != Some(0);
    match found.iter().any(useful) {
        true => found.into_iter().filter(useful).collect(),
        false => found.into_iter().take(1).collect(),
    }
}

fn remedy(scene: &Scene<'_>, used: &TopicUse) -> Option<Remedy> {
    let topic = &used.topic;
    if scene.snapshot.topic_configs.get().is_none() {
        let why = scene.snapshot.topic_configs.problem().unwrap_or_default();
        return Some(unknown(topic, format!("its configs are not known: {why}")));
    }
    let policy = scene
        .effective(topic, "cleanup.policy")
        .unwrap_or_else(|| "delete".to_owned());
    if !policy.contains("delete") {
        return None;
    }
    let Some(retention) = scene
        .effective(topic, "retention.ms")
        .and_then(|value| value.parse::<f64>().ok())
    else {
        return Some(unknown(topic, "its retention.ms is not known".to_owned()));
    };
    let retention = (retention >= 0.0).then_some(retention / 1000.0);
    let spans = spans(scene, topic);
    let covers = covers(&spans);
    let held = match (retention, covers) {
        (Some(retention), Some(covers)) => retention.min(covers),
        (Some(retention), None) => retention,
        (None, Some(covers)) => covers,
        (None, None) => {
            return Some(unknown(
                topic,
                "it keeps records for ever, and how old they are is not known".to_owned(),
            ));
        }
    };
    let to = rounded(held / 2.0);
    let share = 1.0 - to / held.max(1.0);
    let replicas = replicas(scene, topic);
    let segment = scene
        .effective(topic, "segment.bytes")
        .and_then(|value| value.parse().ok());
    let segment: u64 = segment.unwrap_or(SEGMENT_BYTES);
    let frees: u64 = replicas
        .iter()
        .map(|replica| frees(replica.size_bytes, share, segment))
        .sum();
    let from = retention.map_or_else(|| "unlimited".to_owned(), span);
    let mut evidence = vec![basis(retention, covers)];
    evidence.push(match frees {
        0 => format!(
            "no segment is surely closed: each holds up to {} and the open one stays",
            super::size(Some(segment))
        ),
        _ => "the open segment of each partition stays; every broker with the topic frees its part".to_owned(),
    });
    let losers = losers(scene, topic, &spans, share);
    if !losers.is_empty() {
        evidence.push(format!("would lose records unread: {}", losers.join(", ")));
    }
    Some(Remedy {
        kind: Kind::Retention,
        what: format!("{topic} retention {from}→{}", span(to)),
        frees_bytes: Cell::known(frees),
        helps_in_seconds: Cell::known(delay(scene, topic)),
        in_time: InTime::Unknown,
        usd_per_month: Cell::known(0.0),
        undo: match losers.as_slice() {
            [] => "none (records deleted)".to_owned(),
            losers => format!("none (records deleted; {} not past them)", losers.join(", ")),
        },
        blocked: None,
        how: vec![format!(
            "kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config retention.ms={}",
            (to * 1000.0) as i64
        )],
        evidence,
    })
}

fn unknown(topic: &str, why: String) -> Remedy {
    Remedy {
        kind: Kind::Retention,
        what: format!("{topic} retention"),
        frees_bytes: Cell::unknown(why.clone()),
        helps_in_seconds: Cell::unknown(why.clone()),
        in_time: InTime::Unknown,
        usd_per_month: Cell::known(0.0),
        undo: "none (records deleted)".to_owned(),
        blocked: None,
        how: Vec::new(),
        evidence: vec![why],
    }
}

fn replicas<'a>(scene: &'a Scene<'_>, topic: &str) -> Vec<&'a Replica> {
    let dirs = scene
        .snapshot
        .logdirs
        .get(&scene.dir.broker)
        .and_then(|section| section.get());
    let dir = dirs.into_iter().flatten().find(|dir| dir.path == scene.dir.path);
    dir.into_iter()
        .flat_map(|dir| dir.replicas.iter())
        .filter(|replica| replica.topic == topic && !replica.future)
        .collect()
}

/// Where each partition of the topic that has a replica here begins and ends.
fn spans(scene: &Scene<'_>, topic: &str) -> Vec<(i32, Span)> {
    let here = replicas(scene, topic);
    here.iter()
        .filter_map(|replica| Some((replica.partition, scene.snapshot.span(topic, replica.partition)?)))
        .collect()
}

/// Seconds of writing that the logs hold at their present rate; `None` while that is not known or nothing is written.
fn covers(spans: &[(i32, Span)]) -> Option<f64> {
    let rates: Option<Vec<f64>> = spans.iter().map(|(_, span)| span.rate).collect();
    let rate: f64 = rates?.iter().sum();
    let records: i64 = spans.iter().map(|(_, span)| (span.end - span.start).max(0)).sum();
    (rate > 0.0 && records > 0).then(|| records as f64 / rate)
}

fn basis(retention: Option<f64>, covers: Option<f64>) -> String {
    match (retention, covers) {
        (Some(retention), Some(covers)) if covers < retention => {
            format!(
                "at its present rate the log holds {}, less than its retention",
                span(covers)
            )
        }
        (_, Some(_)) => "records taken as spread evenly over what the log holds at its present rate".to_owned(),
        (_, None) => "how old its records are is not known: taken as spread evenly over the retention".to_owned(),
    }
}

/// Of one replica; the last segment, of unknown fill, is not counted.
fn frees(size: u64, share: f64, segment: u64) -> u64 {
    ((size as f64 * share) as u64).min(size.saturating_sub(segment))
}

/// The next look at retention, and the delay until files go. Seconds.
fn delay(scene: &Scene<'_>, topic: &str) -> f64 {
    let interval = super::broker_value(scene.snapshot, "log.retention.check.interval.ms", 1, scene.now).value;
    let interval = interval.and_then(|ms| ms.parse().ok()).unwrap_or(CHECK_MS);
    let delete = scene
        .effective(topic, "file.delete.delay.ms")
        .and_then(|ms| ms.parse().ok());
    (interval + delete.unwrap_or(DELETE_DELAY_MS)) / 1000.0
}

/// Groups that have not read what would go.
fn losers(scene: &Scene<'_>, topic: &str, spans: &[(i32, Span)], share: f64) -> Vec<String> {
    let goes_before = |partition: i32| {
        let (_, span) = spans.iter().find(|(known, _)| *known == partition)?;
        Some(span.start + ((span.end - span.start) as f64 * share) as i64)
    };
    let groups = scene.snapshot.groups.get().into_iter().flatten();
    let behind = groups.filter(|group| {
        let commits = group.commits.iter().filter(|commit| commit.topic == topic);
        commits
            .filter_map(|commit| Some((commit.offset, goes_before(commit.partition)?)))
            .any(|(offset, first)| offset < first)
    });
    behind.map(|group| format!("group {}", group.name)).collect()
}

/// Whole days, hours, minutes.
fn rounded(seconds: f64) -> f64 {
    let unit = match seconds {
        s if s >= 2.0 * 86_400.0 => 86_400.0,
        s if s >= 2.0 * 3600.0 => 3600.0,
        s if s >= 120.0 => 60.0,
        _ => 1.0,
    };
    (seconds / unit).floor().max(1.0) * unit
}
