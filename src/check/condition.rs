//! What scripts wait for, as questions to one look at the cluster: yes, no and why, or not to be told.

use std::collections::BTreeSet;

use super::text;
use super::triage::{Name, Status, Triage};
use super::{Facts, Verdict};
use crate::model::BrokerId;
use crate::model::row::group::GroupRow;
use crate::model::row::partition::PartitionRow;
use crate::plan::dns::still;

/// So many names are told of each kind.
const NAMED: usize = 3;

/// Something that may come true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Triage is no worse than this.
    Healthy { at_worst: Status },
    /// None of these groups, or of all where none is named, is behind by more records.
    Lag { groups: Vec<String>, below: u64 },
    /// Every replica is in sync; of these topics, and of this broker, where they are named.
    Isr {
        topics: Vec<String>,
        broker: Option<BrokerId>,
    },
    /// No reassignment is in flight; of these topics, where they are named.
    Reassigned { topics: Vec<String> },
    /// No group has a member, and nothing is written.
    Quiet,
}

/// The answer of one look, with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Holds(String),
    No(String),
    /// Why it cannot be told.
    Unknown(String),
}

impl State {
    pub fn text(&self) -> &str {
        match self {
            Self::Holds(text) | Self::No(text) | Self::Unknown(text) => text,
        }
    }
}

impl Condition {
    pub fn judge(&self, facts: &Facts<'_>) -> State {
        if facts.snapshot.cluster.get().is_none() {
            return State::Unknown(unseen("the cluster", facts.snapshot.cluster.problem()));
        }
        match self {
            Self::Healthy { at_worst } => healthy(facts, *at_worst),
            Self::Lag { groups, below } => lag(facts, groups, *below),
            Self::Isr { topics, broker } => isr(facts, topics, *broker),
            Self::Reassigned { topics } => reassigned(facts, topics),
            Self::Quiet => quiet(facts),
        }
    }
}

fn unseen(what: &str, why: Option<String>) -> String {
    match why {
        Some(why) => format!("{what}: {why}"),
        None => format!("{what} was not seen"),
    }
}

fn healthy(facts: &Facts<'_>, at_worst: Status) -> State {
    let judged = Triage::of(facts);
    let headline = judged.line(Name::Headline);
    let told = headline.map_or("", |line| line.text.as_str()).to_owned();
    if judged.status > at_worst {
        // The headline tells of clients; what is wrong may be another line.
        let bad = |verdict| judged.lines.iter().find(|line| line.verdict == verdict);
        let line = bad(Verdict::Fail).or_else(|| bad(Verdict::Warn));
        let text = line.map_or(told, |line| format!("{} {}: {}", line.name, line.verdict, line.text));
        return State::No(text);
    }
    State::Holds(told)
}

fn lag(facts: &Facts<'_>, names: &[String], below: u64) -> State {
    if facts.snapshot.groups.get().is_none() {
        return State::Unknown(unseen("groups", facts.snapshot.groups.problem()));
    }
    let row = |name: &String| facts.rows.groups.iter().find(|row| row.name == *name);
    if let Some(missing) = names.iter().find(|name| row(name).is_none()) {
        return State::No(format!("there is no group {missing}"));
    }
    let asked: Vec<&GroupRow> = match names.is_empty() {
        true => facts.rows.groups.iter().filter(|row| row.partitions > 0).collect(),
        false => names.iter().filter_map(row).collect(),
    };
    let is_behind = |row: &&&GroupRow| row.lag_records.value.is_some_and(|lag| lag.unsigned_abs() > below);
    let mut behind: Vec<&GroupRow> = asked.iter().filter(is_behind).copied().collect();
    behind.sort_by_key(|row| std::cmp::Reverse(row.lag_records.value));
    if let Some(worst) = behind.first() {
        let lag = worst.lag_records.value.unwrap_or_default();
        let more = match behind.len() {
            1 => String::new(),
            many => format!(", {} more", many - 1),
        };
        return State::No(format!(
            "{} is {} behind{more}",
            worst.name,
            text::plural(lag as usize, "record")
        ));
    }
    let untold = asked
        .iter()
        .find(|row| row.lag_records.value.is_none() || row.lag_records.is_stale());
    if let Some(row) = untold {
        return State::Unknown(unseen(
            &format!("the lag of {}", row.name),
            row.lag_records.reason.clone(),
        ));
    }
    let groups = text::plural(asked.len(), "group");
    State::Holds(format!(
        "{groups} at most {} behind",
        text::plural(below as usize, "record")
    ))
}

fn isr(facts: &Facts<'_>, topics: &[String], broker: Option<BrokerId>) -> State {
    if !facts.snapshot.topics.is_fresh() {
        return State::Unknown(unseen("topics", facts.snapshot.topics.problem()));
    }
    if let Some(missing) = missing(facts, topics) {
        return State::No(missing);
    }
    let lacks = |row: &PartitionRow<'_>| {
        let mut missing = row
            .replicas
            .iter()
            .filter(|id| !row.isr.contains(id) && !row.adding().contains(id));
        match broker {
            Some(broker) => missing.any(|id| *id == broker),
            None => missing.next().is_some() || row.leader.is_none(),
        }
    };
    let asked = facts.rows.partitions.iter().filter(|row| is_asked(topics, row.topic()));
    let lacking: Vec<PartitionRow<'_>> = asked.filter(lacks).collect();
    match lacking.is_empty() {
        true => State::Holds("every replica is in sync".to_owned()),
        false => State::No(format!(
            "{} out of sync: {}",
            text::plural(lacking.len(), "partition"),
            some(lacking.iter().map(|row| format!("{}-{}", row.topic(), row.partition)))
        )),
    }
}

fn reassigned(facts: &Facts<'_>, topics: &[String]) -> State {
    let moves = &facts.snapshot.reassignments;
    let Some(all) = moves.get().filter(|_| moves.is_fresh()) else {
        return State::Unknown(unseen("reassignments", moves.problem()));
    };
    if let Some(missing) = missing(facts, topics) {
        return State::No(missing);
    }
    let asked: Vec<_> = all.iter().filter(|one| is_asked(topics, &one.topic)).collect();
    match asked.is_empty() {
        true => State::Holds("no reassignment is in flight".to_owned()),
        false => State::No(format!(
            "{} in flight: {}",
            text::plural(asked.len(), "reassignment"),
            some(asked.iter().map(|one| format!("{}-{}", one.topic, one.partition)))
        )),
    }
}

fn quiet(facts: &Facts<'_>) -> State {
    let seen = [
        (
            "topics",
            facts.snapshot.topics.is_fresh(),
            facts.snapshot.topics.problem(),
        ),
        (
            "groups",
            facts.snapshot.groups.is_fresh(),
            facts.snapshot.groups.problem(),
        ),
    ];
    if let Some((what, _, why)) = seen.iter().find(|(_, fresh, _)| !fresh) {
        return State::Unknown(unseen(what, why.clone()));
    }
    let still = still(facts.snapshot, facts.rows);
    match (still.is_nobody(), still.is_quiet()) {
        (true, _) => State::Holds(still.words()),
        (false, true) => State::Unknown(still.words()),
        _ => State::No(still.words()),
    }
}

fn is_asked(topics: &[String], topic: &str) -> bool {
    topics.is_empty() || topics.iter().any(|name| name == topic)
}

/// A script may wait for a topic that somebody else creates, so this is no error.
fn missing(facts: &Facts<'_>, topics: &[String]) -> Option<String> {
    let known: BTreeSet<&str> = facts
        .snapshot
        .topics()
        .iter()
        .map(|topic| topic.name.as_str())
        .collect();
    let missing = topics.iter().find(|name| !known.contains(name.as_str()))?;
    Some(format!("there is no topic {missing}"))
}

fn some(names: impl ExactSizeIterator<Item = String>) -> String {
    let many = names.len();
    let told: Vec<String> = names.take(NAMED).collect();
    match many > NAMED {
        true => format!("{}, {} more", told.join(", "), many - NAMED),
        false => told.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{Six, now};
    use crate::model::reassignment::Reassignment;
    use crate::model::{Observed, Trouble};

    fn judge(six: &Six, condition: &Condition) -> State {
        six.with(&[], |facts| condition.judge(facts))
    }

    const HEALTHY: Condition = Condition::Healthy { at_worst: Status::Warn };

    fn all_in_sync() -> Condition {
        Condition::Isr {
            topics: Vec::new(),
            broker: None,
        }
    }

    #[test]
    fn a_replica_that_is_missing_keeps_it_from_being_in_sync() {
        let mut six = Six::healthy();
        assert!(matches!(judge(&six, &all_in_sync()), State::Holds(_)));
        six.isr("orders", 0, &[1, 3]);
        let State::No(why) = judge(&six, &all_in_sync()) else {
            panic!("it is out of sync")
        };
        assert_eq!(why, "1 partition out of sync: orders-0");
        let of = |broker, topics: &[&str]| Condition::Isr {
            topics: topics.iter().map(|name| (*name).to_owned()).collect(),
            broker,
        };
        assert!(matches!(judge(&six, &of(Some(6), &[])), State::No(_)));
        assert!(matches!(judge(&six, &of(Some(1), &[])), State::Holds(_)));
        assert_eq!(judge(&six, &of(None, &["ordres"])).text(), "there is no topic ordres");
    }

    #[test]
    fn what_fails_to_be_seen_is_neither_yes_nor_no() {
        let mut six = Six::healthy();
        six.snapshot.topics.fail(Trouble::TimedOut, "no answer", now());
        six.snapshot.reassignments.fail(Trouble::Denied, "no right", now());
        let reassigned = Condition::Reassigned { topics: Vec::new() };
        for condition in [all_in_sync(), reassigned] {
            assert!(matches!(judge(&six, &condition), State::Unknown(_)), "{condition:?}");
        }
        six.snapshot.cluster = Observed::default();
        assert!(matches!(judge(&six, &HEALTHY), State::Unknown(_)));
    }

    #[test]
    fn moves_are_over_when_none_of_the_topics_moves() {
        let mut six = Six::healthy();
        let moving = Reassignment {
            topic: "orders".to_owned(),
            partition: 1,
            replicas: vec![1, 2, 3, 4],
            adding: vec![4],
            removing: vec![1],
        };
        six.snapshot.reassignments = Observed::fresh(vec![moving], now());
        let of = |topics: &[&str]| Condition::Reassigned {
            topics: topics.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(judge(&six, &of(&[])).text(), "1 reassignment in flight: orders-1");
        assert!(matches!(judge(&six, &of(&["orders"])), State::No(_)));
        six.snapshot.reassignments = Observed::fresh(Vec::new(), now());
        assert!(matches!(judge(&six, &of(&["orders"])), State::Holds(_)));
    }

    #[test]
    fn a_healthy_cluster_is_one_whose_triage_is_no_worse() {
        let mut six = Six::healthy();
        assert!(matches!(judge(&six, &HEALTHY), State::Holds(_)));
        six.kill(4);
        let State::No(why) = judge(&six, &Condition::Healthy { at_worst: Status::Ok }) else {
            panic!("a broker is down")
        };
        assert!(!why.is_empty());
    }
}
