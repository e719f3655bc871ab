//! How close the brokers are to what their volumes and instances sustain.
//!
//! From 80 % of a limit it warns (Amazon MSK's best practices); CPU from 60 %, so that a broker can take another's load.
//! Burst and credit balances warn under 50 %, and an exceeded check warns by itself.

use super::{Line, Name};
use crate::check::{Evidence, Facts, text};
use crate::model::BrokerId;
use crate::model::row::Cell;
use crate::model::row::broker::BrokerRow;
use crate::plan::gate::Verdict;

const LIMIT: f64 = 80.0;
const CPU: f64 = 60.0;
const BALANCE: f64 = 50.0;

/// A name, where a row has it, and from what percentage on it warns.
type Measure = (&'static str, fn(&BrokerRow) -> &Cell<f64>, f64);

pub(super) fn line(facts: &Facts<'_>) -> Line {
    let measures: [Measure; 4] = [
        ("EBS throughput", |row| &row.throughput_percent, LIMIT),
        ("IOPS", |row| &row.iops_percent, LIMIT),
        ("net", |row| &row.network_percent, LIMIT),
        ("CPU", |row| &row.cpu_percent, CPU),
    ];
    let mut strained = false;
    let mut clauses = Vec::new();
    let mut evidence = None;
    for (name, take, limit) in measures {
        let known = facts
            .rows
            .brokers
            .iter()
            .filter_map(|row| Some((row.id, take(row).value?)));
        if let Some((id, percent)) = known.max_by(|one, other| one.1.total_cmp(&other.1)) {
            if percent >= limit {
                strained = true;
                evidence = Some(id);
            }
            clauses.push(format!("{name} ≤ {} (broker {id})", text::percent(percent)));
        }
    }
    let alarms = alarms(facts);
    strained |= !alarms.is_empty();
    clauses.extend(alarms);
    let rtt = facts
        .rows
        .brokers
        .iter()
        .filter_map(|row| Some((row.id, row.rtt_ms.value?)));
    if let Some((id, ms)) = rtt.max_by(|one, other| one.1.total_cmp(&other.1)) {
        clauses.push(format!("rtt ≤ {ms:.1} ms (broker {id})"));
    }
    let untold = facts
        .rows
        .brokers
        .iter()
        .find(|row| row.throughput_percent.value.is_none());
    let why = untold.and_then(|row| Some((row.id, row.throughput_percent.reason.clone()?)));
    let measured = clauses.iter().any(|clause| !clause.starts_with("rtt"));
    let verdict = match (strained, measured) {
        (true, _) => Verdict::Warn,
        (false, true) => Verdict::Pass,
        (false, false) => Verdict::Unknown,
    };
    if !measured {
        clauses.insert(
            0,
            format!(
                "EBS, net, CPU ? ({})",
                why.as_ref().map_or("nobody told", |(_, why)| why)
            ),
        );
    }
    let why = why.map(|(id, why)| if measured { format!("broker {id}: {why}") } else { why });
    let at: Option<BrokerId> = evidence;
    Line::new(
        Name::Limits,
        verdict,
        clauses.join(" · "),
        "CloudWatch, DescribeInstanceTypes, ApiVersions",
    )
    .why(why)
    .at(at.map_or(Evidence::list("broker"), |id| Evidence::of("broker", id)))
}

/// What AWS says is exhausted.
fn alarms(facts: &Facts<'_>) -> Vec<String> {
    let mut alarms = Vec::new();
    let metrics = facts.snapshot.cloud.metrics.get();
    for row in &facts.rows.brokers {
        let instance = row.instance.value.as_ref().and_then(|id| metrics?.instances.get(id));
        let Some(instance) = instance else { continue };
        let value = |point: Option<crate::model::cloud::Point>| point.map(|point| point.value);
        if value(instance.ebs_throughput_exceeded) >= Some(1.0) || value(instance.ebs_iops_exceeded) >= Some(1.0) {
            alarms.push(format!("broker {} exceeds its instance's EBS limit", row.id));
        }
        if let Some(left) = value(instance.ebs_byte_balance_percent).filter(|left| *left < BALANCE) {
            alarms.push(format!("broker {} EBS burst {} left", row.id, text::percent(left)));
        }
    }
    let low = facts
        .rows
        .volumes
        .iter()
        .filter_map(|row| Some((row, row.burst_percent.value.filter(|left| *left < BALANCE)?)));
    alarms.extend(low.map(|(row, left)| format!("volume {} burst {} left", row.id, text::percent(left))));
    alarms.truncate(3);
    alarms
}
