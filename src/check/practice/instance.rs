//! Instance types: which limit binds, and what AWS makes today.

use super::setting::{SCRAPE, cell, machines, types};
use super::storage::{ebs_optimized, family};
use super::survey::Survey;
use super::{Check, Holds, Lack, Outcome, Plane, Section, Severity, broker};
use crate::check::Facts;
use crate::model::limit::LimitKind;

pub const CHECKS: &[Check] = &[
    Check {
        id: "bottleneck",
        row: "31",
        section: Section::Instance,
        severity: Severity::High,
        title: "no limit is used beyond 80 %, nor beyond 100 % with a zone lost",
        said: "the type of storage drives the choice of instance",
        holds: Holds::Update,
        today: "the tightest of volume, instance EBS baseline and network baseline drives it; with one of three zones lost the rest does half as much again",
        planes: &[Plane::Aws],
        judge: bottleneck,
    },
    Check {
        id: "ebs-optimized",
        row: "32",
        section: Section::Instance,
        severity: Severity::Medium,
        title: "every instance has EBS throughput of its own",
        said: "r3.xlarge for brokers, r3.large for ZooKeeper, st1",
        holds: Holds::Invert,
        today: "r3.large is not EBS-optimised at all, r3.xlarge has 62.5 MB/s; r7g, m7g and newer with gp3",
        planes: &[Plane::Aws],
        judge: ebs_optimized,
    },
    Check {
        id: "benchmark",
        row: "33",
        section: Section::Instance,
        severity: Severity::Medium,
        title: "no instance's EBS baseline binds, as it did in the article's benchmark",
        said: "12 r3.xlarge with st1: 346.9 MB/s in all",
        holds: Holds::Keep,
        today: "28.9 MB/s a broker, twice that with RF 2: 92 % of r3.xlarge's 62.5 MB/s, so the instance bound it and not st1",
        planes: &[Plane::Aws],
        judge: benchmark,
    },
    Check {
        id: "previous-generation",
        row: "34",
        section: Section::Instance,
        severity: Severity::Low,
        title: "no instance is of a previous generation",
        said: "r4 is superior to r3",
        holds: Holds::Invert,
        today: "r4 is a previous generation; Nitro and Graviton give more for less",
        planes: &[Plane::Aws],
        judge: previous_generation,
    },
    Check {
        id: "newer-type",
        row: "35",
        section: Section::Instance,
        severity: Severity::Low,
        title: "no type is two generations behind the newest",
        said: "always check the latest instance types",
        holds: Holds::Keep,
        today: "general purpose, memory and compute are at generation 8, storage at 8, dense disks at 3",
        planes: &[Plane::Aws],
        judge: newer_type,
    },
];

/// AWS's own alarm, and what one of three zones lost makes of it.
const BUSY_PERCENT: f64 = 80.0;

fn bottleneck(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(
        "CloudWatch, DescribeVolumes, DescribeInstanceTypes",
        "binding limit",
        "below 80 %, below 100 % with a zone lost",
    );
    for row in &facts.rows.brokers {
        let subject = broker(row.id);
        let Some(load) = &row.binding.value else {
            let why = row.binding.reason.clone().unwrap_or_default();
            let lack = if why.starts_with("denied") {
                Lack::Permission
            } else {
                Lack::Answer
            };
            survey.lack(lack, format!("{subject}: {why}"));
            continue;
        };
        let lost = row.zone_down_percent.value;
        let fits = load.percent() < BUSY_PERCENT && lost.is_none_or(|lost| lost < 100.0);
        let lost = lost.map_or_else(|| "?".to_owned(), |lost| format!("{lost:.0} %"));
        survey.add(
            fits,
            subject,
            format!("{} {:.0} %, {lost} with a zone lost", load.name, load.percent()),
            None,
        );
    }
    survey
        .end("every limit leaves room for a lost zone", "too near its limit")
        .fix("azimuth volume list -o wide")
}

fn benchmark(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(SCRAPE, "instance EBS use", "below 90 % of its baseline");
    for row in &facts.rows.brokers {
        let measured = row
            .bytes_in_per_second
            .value
            .map(|bytes| format!(", {:.1} MB/s in (the article's: 28.9)", bytes / 1e6));
        match &row.binding.value {
            Some(load) => {
                let binds = load.kind == LimitKind::InstanceEbs && load.percent() >= 90.0;
                let value = format!("{} {:.0} %{}", load.name, load.percent(), measured.unwrap_or_default());
                survey.add(!binds, broker(row.id), value, None);
            }
            None => {
                let why = row.binding.reason.clone().unwrap_or_default();
                survey.lack(Lack::Answer, format!("{}: {why}", broker(row.id)));
            }
        }
    }
    survey.end(
        "no instance's EBS baseline binds",
        "bound by its instance's EBS baseline",
    )
}

fn previous_generation(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeInstanceTypes", "CurrentGeneration", "true");
    types(facts, &mut survey, |survey, row, limits| {
        match limits.current_generation {
            Some(current) => survey.add(current, broker(row.id), format!("{} {current}", limits.name), None),
            None => survey.lack(
                Lack::Metric,
                format!("EC2 does not tell the generation of {}", limits.name),
            ),
        }
    });
    survey
        .end("every type is of a current generation", "a previous generation")
        .fix("azimuth broker list -o wide")
}

/// The newest generation of each class in November 2026, by the first letters of its types.
const NEWEST: [(&str, u32); 9] = [
    ("m", 8),
    ("r", 8),
    ("c", 8),
    ("i", 8),
    ("im", 4),
    ("is", 4),
    ("d", 3),
    ("t", 4),
    ("x", 8),
];

/// `7` of `m7g.xlarge`, with its class.
fn generation(instance_type: &str) -> Option<(&str, u32)> {
    let name = family(instance_type);
    let digit = name.find(|letter: char| letter.is_ascii_digit())?;
    let digits: String = name[digit..].chars().take_while(char::is_ascii_digit).collect();
    Some((&name[..digit], digits.parse().ok()?))
}

fn newer_type(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeInstances", "generation", "at most one behind the newest");
    machines(facts, &mut survey, |survey, row, instance| {
        let name = &instance.instance_type;
        let known = generation(name).and_then(|(class, own)| {
            let (_, newest) = NEWEST.iter().find(|(known, _)| *known == class)?;
            Some((own, *newest))
        });
        match known {
            Some((own, newest)) => survey.add(
                own + 1 >= newest,
                broker(row.id),
                format!("{name}, the newest is {newest}"),
                None,
            ),
            None => survey.lack(Lack::Metric, format!("the generations of {name} are not known here")),
        }
    });
    survey.end("no type is far behind", "two generations or more behind")
}

/// A share of a limit, as rows tell it.
pub(super) fn below(
    facts: &Facts<'_>,
    source: &'static str,
    field: &str,
    most: f64,
    take: impl Fn(&crate::model::row::broker::BrokerRow) -> &crate::model::row::Cell<f64>,
) -> Survey {
    let mut survey = Survey::new(source, field, format!("below {most:.0} %"));
    for row in &facts.rows.brokers {
        cell(&mut survey, &broker(row.id), take(row), |survey, percent| {
            survey.add(percent < most, broker(row.id), format!("{percent:.0} %"), None);
        });
    }
    survey
}
