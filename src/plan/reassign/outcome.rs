//! What came out of planning beside the moves: the least that the goal takes, how even it gets, and what was left out.

use serde::{Deserialize, Serialize};

use super::few;
use super::layout::{Hold, Layout};
use crate::plan::summary::{plural, size};

/// How near a plan comes to the least that its goal takes, and what it does to the balance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aim {
    /// No plan for this goal can move less.
    pub least: Least,
    pub skew_now: Skew,
    pub skew_after: Skew,
    /// What was left out and why, in sentences.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A lower bound, in what the goal counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Least {
    /// Bytes that are copied; `None` when a size is not known.
    Bytes(Option<u64>),
    Replicas(u64),
    /// Preferred leaders that change.
    Leaders(u64),
}

/// By how much the broker that has most has more than the mean, in percent; 0 is even.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skew {
    /// `None` when a size is not known.
    pub bytes_percent: Option<f64>,
    pub replicas_percent: f64,
    pub leaders_percent: f64,
}

/// How planning for a goal went; where the partitions shall be is in the layout.
#[derive(Debug)]
pub(super) struct Outcome {
    pub least: Least,
    pub now: Skew,
    /// Replicas that could not go to the heir of their broker.
    pub elsewhere: usize,
    moving: Vec<String>,
    offline: Vec<String>,
    unasked: usize,
    /// Sentences of the goal itself.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Takes the balance as it is before anything is moved.
    pub fn new(layout: &Layout<'_>) -> Self {
        Self {
            least: Least::Bytes(Some(0)),
            now: Skew::of(layout, &layout.open()),
            elsewhere: 0,
            moving: Vec::new(),
            offline: Vec::new(),
            unasked: 0,
            notes: Vec::new(),
        }
    }

    /// A replica that the goal would move is not moved.
    pub fn left(&mut self, layout: &Layout<'_>, part: usize, hold: Hold) {
        match hold {
            Hold::Unasked => self.unasked += 1,
            Hold::Moving => self.moving.push(layout.name(part)),
            Hold::Offline => self.offline.push(layout.name(part)),
        }
    }

    pub fn sentences(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if self.elsewhere > 0 {
            notes.push(format!(
                "{} go to other brokers: the one that takes over holds the partition already, or has no room",
                plural(self.elsewhere, "replica")
            ));
        }
        if !self.moving.is_empty() {
            notes.push(format!(
                "{} left where it is, being reassigned already: {}",
                plural(self.moving.len(), "replica"),
                few(&self.moving)
            ));
        }
        if !self.offline.is_empty() {
            notes.push(format!(
                "{} left where it is, because nobody leads it and so nobody can copy it: {}",
                plural(self.offline.len(), "replica"),
                few(&self.offline)
            ));
        }
        if self.unasked > 0 {
            notes.push(format!(
                "{} of topics that --topic or --exclude leave out stay",
                plural(self.unasked, "replica")
            ));
        }
        notes
    }
}

impl Skew {
    /// Over these brokers.
    pub(super) fn of(layout: &Layout<'_>, among: &[bool]) -> Self {
        let nodes = || {
            layout
                .nodes
                .iter()
                .zip(among)
                .filter(|(_, among)| **among)
                .map(|(node, _)| node)
        };
        let over = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            let most = values.into_iter().fold(0.0, f64::max);
            if mean > 0.0 { (most / mean - 1.0) * 100.0 } else { 0.0 }
        };
        let known = layout.parts.iter().all(|part| part.size.is_some());
        Self {
            bytes_percent: known.then(|| over(nodes().map(|node| node.bytes as f64).collect())),
            replicas_percent: over(nodes().map(|node| f64::from(node.replicas)).collect()),
            leaders_percent: over(nodes().map(|node| f64::from(node.leaders)).collect()),
        }
    }
}

impl std::fmt::Display for Least {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&size(*bytes)),
            Self::Replicas(count) => f.write_str(&plural(*count as usize, "replica")),
            Self::Leaders(count) => f.write_str(&plural(*count as usize, "preferred leader")),
        }
    }
}
