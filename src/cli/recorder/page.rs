//! What was seen as numbers with names: one list for Prometheus' page and for CloudWatch.

use super::Seen;
use crate::model::Moment;
use crate::model::row::group::Safe;

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    /// With the unit in it, as Prometheus has it.
    pub name: &'static str,
    pub help: &'static str,
    /// Name and value, beside the context.
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

/// Every number of what was seen; what is not known is left out.
pub fn numbers(seen: &Seen) -> Vec<Number> {
    let alone = |name, help, value| Number {
        name,
        help,
        labels: Vec::new(),
        value,
    };
    let mut all = vec![
        alone(
            "azimuth_triage_status",
            "0 ok, 1 warn, 2 fail.",
            f64::from(seen.triage.status as u8),
        ),
        alone(
            "azimuth_triage_complete",
            "1 where everything was seen.",
            f64::from(u8::from(seen.complete)),
        ),
        alone(
            "azimuth_triage_seen_seconds",
            "When this was seen, since the epoch.",
            seen.snapshot.taken_at.unwrap_or(seen.now).as_second() as f64,
        ),
    ];
    for cause in &seen.triage.causes {
        all.push(Number {
            name: "azimuth_finding",
            help: "1 for each thing that triage finds wrong.",
            labels: vec![
                ("rule", cause.rule.to_owned()),
                ("culprit", cause.who()),
                ("verdict", cause.verdict.to_string()),
            ],
            value: 1.0,
        });
    }
    for group in seen.groups.iter() {
        let mut add = |name, help, value| {
            all.push(Number {
                name,
                help,
                labels: vec![("group", group.name.clone())],
                value,
            });
        };
        if let Some(lag) = group.lag_records.value {
            add(
                "azimuth_group_lag_records",
                "Records that the group has not read.",
                lag as f64,
            );
        }
        if let Some(behind) = &group.behind.value {
            add(
                "azimuth_group_behind_seconds",
                "Since the oldest record was written that the group has not read.",
                behind.seconds,
            );
        }
        if let Some(left) = group.safe.value.and_then(|safe| left(safe, seen.now)) {
            add(
                "azimuth_group_safe_seconds",
                "Until records may be deleted that the group has not read; 0 where they are already.",
                left,
            );
        }
    }
    // One family after the other, as the format wants it.
    all.sort_by(|a, b| (a.name, &a.labels).cmp(&(b.name, &b.labels)));
    all
}

/// Seconds until records are lost; `None` where nothing ends them.
fn left(safe: Safe, now: Moment) -> Option<f64> {
    match safe {
        Safe::Losing => Some(0.0),
        Safe::Until(at) => Some(at.duration_since(now).as_secs_f64().max(0.0)),
        Safe::Forever | Safe::Compacted | Safe::Read => None,
    }
}

/// In Prometheus' text format, version 0.0.4.
pub fn text(seen: &Seen) -> String {
    let quoted = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("\"{text}\"")
    };
    let cluster = seen.snapshot.cluster.get().map_or("", |cluster| cluster.id.as_str());
    let of = format!(
        "context={},cluster_id={}",
        quoted(&seen.snapshot.context),
        quoted(cluster)
    );
    let mut page = String::new();
    let mut family = "";
    for number in numbers(seen) {
        if number.name != family {
            family = number.name;
            page.push_str(&format!("# HELP {family} {}\n# TYPE {family} gauge\n", number.help));
        }
        page.push_str(&format!("{family}{{{of}"));
        for (name, value) in &number.labels {
            page.push_str(&format!(",{name}={}", quoted(value)));
        }
        page.push_str(&format!("}} {}\n", number.value));
    }
    page
}
