//! The planes in the header: does Kafka answer, does AWS answer, and for how long not.

use crate::model::row::broker::BrokerState;
use crate::model::{Health, Moment, Snapshot, Trouble};

use super::field::{Field, Tone};
use super::state::State;
use super::text;

/// One source of facts in the header.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    pub name: String,
    pub state: Field,
}

impl State {
    pub fn planes(&self) -> Vec<Plane> {
        vec![self.kafka(), aws(&self.snapshot, self.now)]
    }

    /// How the cluster that is open is doing, for a list of clusters.
    pub(super) fn health(&self) -> Field {
        self.kafka().state
    }

    fn kafka(&self) -> Plane {
        let cluster = &self.snapshot.cluster;
        let version = cluster.get().and_then(|cluster| cluster.version.clone());
        let name = version.map_or_else(|| "kafka".to_owned(), |version| format!("kafka {version}"));
        let all = self.rows.brokers.len();
        let count = |is: fn(&BrokerState) -> bool| self.rows.brokers.iter().filter(|broker| is(&broker.state)).count();
        let (up, unasked) = (
            count(|state| *state == BrokerState::Up),
            count(|state| *state == BrokerState::Unknown),
        );
        let state = match &cluster.health {
            Health::Fresh if up == all => Field::new(format!("● {up}/{all}")).tone(Tone::Ok),
            // Who has not answered yet is no fault.
            Health::Fresh if up + unasked == all => Field::new(format!("? {up}/{all}"))
                .tone(Tone::Unknown)
                .why(Some(format!("{} not answered yet", text::plural(unasked, "broker")))),
            Health::Fresh => Field::new(format!("✖ {up}/{all}")).tone(Tone::Error),
            health => failing(health, cluster.age_seconds(self.now)),
        };
        Plane { name, state }
    }
}

fn aws(snapshot: &Snapshot, now: Moment) -> Plane {
    let cloud = &snapshot.cloud;
    let mut parts: Vec<(&Health, Option<i64>)> = vec![(&cloud.zones.health, cloud.zones.age_seconds(now))];
    parts.extend(
        cloud
            .instances
            .values()
            .map(|section| (&section.health, section.age_seconds(now))),
    );
    parts.extend(
        cloud
            .volumes
            .values()
            .map(|section| (&section.health, section.age_seconds(now))),
    );
    parts.push((&cloud.metrics.health, cloud.metrics.age_seconds(now)));
    let failing_part = parts
        .iter()
        .find(|(health, _)| matches!(health, Health::Failing { .. }));
    let absent = parts.iter().find(|(health, _)| matches!(health, Health::Absent { .. }));
    let state = match (failing_part, absent) {
        (Some((health, age)), _) => failing(health, *age),
        (None, _) if parts.iter().any(|(health, _)| **health == Health::Fresh) => {
            Field::new(format!("● ${:.2}", cloud.cost.usd)).tone(Tone::Ok)
        }
        (None, Some((health, age))) => failing(health, *age),
        (None, None) => failing(&Health::Unasked, None),
    };
    Plane {
        name: "aws".to_owned(),
        state,
    }
}

/// The four words stay apart, for they lead to different steps.
fn failing(health: &Health, age: Option<i64>) -> Field {
    match health {
        Health::Fresh => Field::new("●").tone(Tone::Ok),
        Health::Unasked => Field::new("… asking").tone(Tone::Muted),
        Health::Absent { reason } => Field::new("– none").tone(Tone::Muted).why(Some(reason.clone())),
        Health::Failing { trouble, reason, .. } => {
            let word = match trouble {
                Trouble::Unreachable => "unreachable",
                Trouble::TimedOut => "timed out",
                Trouble::Denied => "denied",
                Trouble::Throttled => "throttled",
                Trouble::Expired => "credentials expired",
                Trouble::Unsupported => "unsupported",
                Trouble::Refused => "refused",
            };
            let age = age.map(|age| format!(" {}", text::age(age))).unwrap_or_default();
            let soft = matches!(trouble, Trouble::Throttled | Trouble::Denied);
            let (glyph, tone) = if soft {
                ("▲", Tone::Warn)
            } else {
                ("✖", Tone::Error)
            };
            Field::new(format!("{glyph} {word}{age}"))
                .tone(tone)
                .why(Some(reason.clone()))
        }
    }
}
