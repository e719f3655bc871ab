//! Where? Zone by zone: brokers up, what is missing there, and whether EC2 answers for it, in four words that are kept apart.

use super::{Line, Name, unknown};
use crate::check::{Evidence, Facts, text};
use crate::model::Health;
use crate::model::row::broker::{BrokerState, ZoneRow};
use crate::plan::gate::Verdict;

pub(super) fn line(facts: &Facts<'_>) -> Line {
    if facts.rows.zones.is_empty() {
        return Line::new(Name::Where, Verdict::Unknown, "?", "DescribeCluster")
            .why(Some(unknown(&facts.snapshot.cluster)));
    }
    let mut verdict = Verdict::Pass;
    let mut clauses = Vec::new();
    for zone in &facts.rows.zones {
        let here = || facts.rows.brokers.iter().filter(|row| row.zone == zone.key);
        let silent: Vec<String> = here()
            .filter(|row| row.state != BrokerState::Up)
            .map(|row| format!("{} {}", row.id, row.state))
            .collect();
        if here().any(|row| matches!(row.state, BrokerState::Unreachable | BrokerState::Fenced)) {
            verdict = Verdict::Fail;
        }
        let mark = match zone.up {
            up if up == zone.brokers => "●",
            0 => "✖",
            _ => "▲",
        };
        let names = if silent.is_empty() {
            String::new()
        } else {
            format!(" {}", silent.join(", "))
        };
        clauses.push(format!("{} {}/{} {mark}{names}", zone.key, zone.up, zone.brokers));
    }
    let (ec2, failing) = ec2(facts);
    if failing && verdict == Verdict::Pass {
        verdict = Verdict::Warn;
    }
    let cloud = &facts.snapshot.cloud;
    let tempo = match (cloud.simulated, cloud.clock_factor) {
        (true, factor @ 2..) => format!(" (simulated, its clock ×{factor})"),
        _ => String::new(),
    };
    Line::new(
        Name::Where,
        verdict,
        format!("{} · {ec2}{tempo}", clauses.join(" · ")),
        "ApiVersions, DescribeInstances",
    )
    .at(Evidence::list("broker"))
}

/// What EC2 said zone by zone, and whether it fails for one zone while it answers for another.
fn ec2(facts: &Facts<'_>) -> (String, bool) {
    let cloud = &facts.snapshot.cloud;
    if let Health::Absent { reason } = &cloud.zones.health {
        return (format!("EC2 – ({reason})"), false);
    }
    if cloud.instances.is_empty() {
        return (format!("EC2 ? ({})", unknown(&cloud.zones)), false);
    }
    let word = |name: &str| {
        let section = &cloud.instances[name];
        match &section.health {
            Health::Failing { trouble, since, .. } => {
                format!(
                    "{} since {}",
                    text::trouble(*trouble).to_uppercase(),
                    since.strftime("%H:%M")
                )
            }
            Health::Fresh => section
                .age_seconds(facts.now)
                .filter(|age| *age > 150)
                .map_or_else(|| "ok".to_owned(), |age| format!("{} old", text::age(age))),
            _ => "not asked yet".to_owned(),
        }
    };
    let label = |name: &str| {
        let zone: Option<&ZoneRow> = facts
            .rows
            .zones
            .iter()
            .find(|zone| zone.zone_name.as_deref() == Some(name));
        zone.map_or_else(|| name.to_owned(), |zone| zone.key.clone())
    };
    let told: Vec<(String, String)> = cloud.instances.keys().map(|name| (label(name), word(name))).collect();
    let failing = facts.rows.zones.iter().any(|zone| facts.ec2_fails_only_here(&zone.key));
    let first = &told[0].1;
    let text = match told.iter().all(|(_, word)| word == first) {
        true => format!("EC2 {first}"),
        false => format!(
            "EC2 {}",
            told.iter()
                .map(|(zone, word)| format!("{zone} {word}").trim().to_owned())
                .collect::<Vec<_>>()
                .join(" · ")
        ),
    };
    (text, failing)
}
