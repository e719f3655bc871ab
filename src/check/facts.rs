//! What rules look at: a snapshot, its rows, what Azimuth did lately, the moment; and the questions that many of them ask.

use std::collections::{BTreeMap, BTreeSet};

use super::Act;
use crate::model::history::Window;
use crate::model::row::Rows;
use crate::model::row::broker::{BrokerRow, BrokerState};
use crate::model::row::partition::{Badge, PartitionRow};
use crate::model::row::volume::VolumeRow;
use crate::model::{BrokerId, Health, Moment, Snapshot, Trouble};
use crate::plan::gate::{Class, Gate, Verdict};

/// Everything that a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub snapshot: &'a Snapshot,
    /// The rows of `snapshot`.
    pub rows: &'a Rows,
    /// What Azimuth's operations did and do, as their journals tell.
    pub acts: &'a [Act],
    /// What an operation explains counts like everything else.
    pub strict: bool,
    /// The time of which CHANGED tells.
    pub changes: Window,
    pub now: Moment,
}

impl<'a> Facts<'a> {
    pub fn broker(&self, id: BrokerId) -> Option<&'a BrokerRow> {
        self.rows.brokers.iter().find(|row| row.id == id)
    }

    /// Brokers that do not answer, that the controller has fenced, or that hold replicas and are registered no more.
    pub fn down(&self) -> BTreeSet<BrokerId> {
        let mut down: BTreeSet<BrokerId> = self
            .rows
            .brokers
            .iter()
            .filter(|row| matches!(row.state, BrokerState::Unreachable | BrokerState::Fenced))
            .map(|row| row.id)
            .collect();
        down.extend(&self.rows.unregistered);
        down
    }

    /// Partitions with a replica that should be in sync and is not.
    pub fn shrunk(&self) -> impl Iterator<Item = PartitionRow<'a>> {
        self.rows
            .partitions
            .iter()
            .filter(|row| row.badges().contains(Badge::UnderReplicated))
    }

    pub fn count(&self, badge: Badge) -> usize {
        self.rows
            .partitions
            .iter()
            .filter(|row| row.badges().contains(badge))
            .count()
    }

    /// The key of a broker's zone; `?` where nobody told.
    pub fn zone_of(&self, id: BrokerId) -> &'a str {
        self.broker(id).map_or("?", |row| row.zone.as_str())
    }

    /// Brokers by the key of their zone.
    pub fn zones(&self) -> BTreeMap<&'a str, BTreeSet<BrokerId>> {
        let mut zones: BTreeMap<&str, BTreeSet<BrokerId>> = BTreeMap::new();
        for row in &self.rows.brokers {
            zones.entry(&row.zone).or_default().insert(row.id);
        }
        zones
    }

    pub fn led_by(&self, id: BrokerId) -> usize {
        self.rows.partitions.iter().filter(|row| row.leader == Some(id)).count()
    }

    /// Whether EC2 fails for this zone while it answers for another. A throttled, denied or expired call is about the
    /// account, not about a zone.
    pub fn ec2_fails_only_here(&self, zone: &str) -> bool {
        let name = self
            .rows
            .zones
            .iter()
            .find(|row| row.key == zone)
            .and_then(|row| row.zone_name.as_deref());
        let instances = &self.snapshot.cloud.instances;
        let Some(section) = name.and_then(|name| instances.get(name)) else {
            return false;
        };
        let here = matches!(
            section.health,
            Health::Failing {
                trouble: Trouble::TimedOut | Trouble::Unreachable | Trouble::Refused,
                ..
            }
        );
        here && instances.values().any(|section| section.is_fresh())
    }

    /// May every leader on these brokers move to another replica that is in sync and answers?
    pub fn gate_leaders_can_move(&self, from: &BTreeSet<BrokerId>) -> Gate {
        let rows = self.rows.partitions.iter();
        let led: Vec<PartitionRow<'_>> = rows
            .filter(|row| row.leader.is_some_and(|id| from.contains(&id)))
            .collect();
        gate_led_can_move(&led, from, &self.down())
    }

    /// Has another broker that answers all that was committed of each partition on this one, in sync or eligible (KIP-966)?
    pub fn gate_last_copy(&self, id: BrokerId) -> Gate {
        if self.snapshot.topics.get().is_none() {
            return Gate::new(
                "last-safe-copy",
                Class::Hard,
                Verdict::Unknown,
                "the topics are not known",
            );
        }
        let down = self.down();
        let only = |row: &PartitionRow<'_>| {
            row.safe().any(|safe| safe == id) && !row.safe().any(|other| other != id && !down.contains(&other))
        };
        let last: Vec<String> = self
            .rows
            .partitions
            .iter()
            .filter(only)
            .map(|row| format!("{}-{}", row.topic(), row.partition))
            .collect();
        Gate::none_of(
            "last-safe-copy",
            Class::Hard,
            &last,
            "last safe copy of nothing",
            "partitions have their last safe copy there",
        )
    }

    /// Is nothing being reassigned?
    pub fn gate_no_reassignment(&self) -> Gate {
        match self.snapshot.reassignments.get() {
            None => {
                let why = self.snapshot.reassignments.problem().unwrap_or_default();
                Gate::new(
                    "reassignment",
                    Class::Soft,
                    Verdict::Unknown,
                    format!("reassignments are not known: {why}"),
                )
            }
            Some(all) => {
                let moving: Vec<String> = all
                    .iter()
                    .map(|one| format!("{}-{}", one.topic, one.partition))
                    .collect();
                Gate::none_of(
                    "reassignment",
                    Class::Soft,
                    &moving,
                    "nothing is being reassigned",
                    "partitions are being reassigned",
                )
            }
        }
    }
}

/// The same where it is known what they lead and who is down.
pub(super) fn gate_led_can_move(
    led: &[PartitionRow<'_>],
    from: &BTreeSet<BrokerId>,
    down: &BTreeSet<BrokerId>,
) -> Gate {
    let stuck: Vec<String> = led
        .iter()
        .filter(|row| !row.isr.iter().any(|id| !from.contains(id) && !down.contains(id)))
        .map(|row| format!("{}-{}", row.topic(), row.partition))
        .collect();
    match (led.len(), stuck.len()) {
        (0, _) => Gate::new("leaders", Class::Hard, Verdict::Fail, "it leads nothing"),
        (all, stuck) if stuck == all => Gate::none_of(
            "isr",
            Class::Hard,
            &led_names(led),
            "",
            "leaders have no other replica in sync",
        ),
        (all, 0) => Gate::new(
            "isr",
            Class::Hard,
            Verdict::Pass,
            format!("all {all} have another replica in sync"),
        ),
        (all, few) => Gate::new(
            "isr",
            Class::Hard,
            Verdict::Warn,
            format!(
                "{few} of {all} stay: no other replica in sync ({})",
                crate::plan::gate::few(&stuck)
            ),
        ),
    }
}

/// Is the volume free to be modified? EC2 takes no second modification while one runs.
pub fn gate_no_modification(volume: &VolumeRow) -> Gate {
    let running = volume
        .modification
        .as_deref()
        .filter(|text| !text.contains("completed"));
    let (verdict, evidence) = match running {
        Some(running) => (Verdict::Fail, format!("still in one: {running}")),
        None => (Verdict::Pass, "no modification is in progress".to_owned()),
    };
    Gate::new("modification", Class::Hard, verdict, evidence)
}

fn led_names(rows: &[PartitionRow<'_>]) -> Vec<String> {
    rows.iter()
        .map(|row| format!("{}-{}", row.topic(), row.partition))
        .collect()
}
