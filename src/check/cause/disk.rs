//! Log directories that are full, filling, or taken offline by their broker.
//!
//! Thresholds: 80 % of the file system warns, 85 % fails, and from 60 % on a day to full warns and six hours fail (Amazon
//! MSK's best practices alarm at 85 % and plan from 60 %). A disk that would be full within half an hour fails from 20 % on.

use crate::check::facts::gate_no_modification;
use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text};
use crate::model::BrokerId;
use crate::model::logdir::LogDir;
use crate::plan::gate::Verdict;

/// At most so many are told each; the worst first.
const TOLD: usize = 3;
/// A broker's process ends when its last directory is full: so full when it was last seen, it explains a dead broker.
const BRIM: f64 = 97.0;

/// Directories that are offline or full: they explain what else is wrong with their broker.
pub(super) fn full(facts: &Facts<'_>) -> Vec<Cause> {
    found(facts, |dir| {
        dir.error.is_some() || dir.used_percent().is_some_and(|used| used >= BRIM)
    })
}

/// Directories that will be full.
pub(super) fn filling(facts: &Facts<'_>) -> Vec<Cause> {
    found(facts, |dir| {
        dir.error.is_none() && dir.used_percent().is_none_or(|used| used < BRIM)
    })
}

fn found(facts: &Facts<'_>, about: impl Fn(&LogDir) -> bool) -> Vec<Cause> {
    let down = facts.down();
    let mut found: Vec<(f64, Cause)> = Vec::new();
    for (id, dirs) in &facts.snapshot.logdirs {
        for dir in dirs.get().into_iter().flatten().filter(|dir| about(dir)) {
            let verdict = verdict(dir);
            let explains =
                dirs.is_fresh() || (down.contains(id) && dir.used_percent().is_some_and(|used| used >= BRIM));
            if verdict != Verdict::Pass && explains {
                found.push((dir.used_percent().unwrap_or(100.0), cause(facts, *id, dir, verdict)));
            }
        }
    }
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    found.into_iter().take(TOLD).map(|(_, cause)| cause).collect()
}

/// How one directory stands.
pub fn verdict(dir: &LogDir) -> Verdict {
    let used = dir.used_percent().unwrap_or(0.0);
    let full_in = dir.full_in_seconds().unwrap_or(f64::MAX);
    match dir.error {
        Some(_) => Verdict::Fail,
        None if used >= 85.0 || (used >= 60.0 && full_in < 6.0 * 3600.0) => Verdict::Fail,
        None if used >= 20.0 && full_in < 1800.0 => Verdict::Fail,
        None if used >= 80.0 || (used >= 60.0 && full_in < 86_400.0) => Verdict::Warn,
        None => Verdict::Pass,
    }
}

fn cause(facts: &Facts<'_>, id: BrokerId, dir: &LogDir, verdict: Verdict) -> Cause {
    let volume = facts
        .rows
        .volumes
        .iter()
        .find(|row| row.broker == Some(id) && row.logdir.as_deref() == Some(dir.path.as_str()));
    let mut clauses = vec![format!("broker {id} {}", dir.path)];
    if let Some(used) = dir.used_percent() {
        clauses[0] = format!("{} {}", clauses[0], text::percent(used));
    }
    if let Some(error) = &dir.error {
        clauses.push(format!("offline: {error}"));
    }
    if let Some(seconds) = dir.full_in_seconds() {
        clauses.push(format!("full in {}", text::span(seconds)));
    }
    if let Some(top) = largest(dir) {
        clauses.push(top);
    }
    let size = match volume {
        Some(volume) => {
            let grown = (volume.size_gib * 3 / 2).max(volume.size_gib + 1);
            Some(Step::new(
                format!("volume modify {} --size {grown}", volume.id),
                "usable in minutes after growfs; no undo",
                vec![gate_no_modification(volume)],
            ))
        }
        None => None,
    };
    let relieve = Step::new(
        format!("logdir relieve {id}"),
        "what fills it, and each remedy with its price",
        Vec::new(),
    );
    Cause {
        rule: if dir.error.is_some() {
            "logdir-offline"
        } else {
            "disk-full"
        },
        verdict,
        culprit: match volume {
            Some(volume) => Culprit::new(Kind::Volume, &volume.id),
            None => Culprit::new(Kind::Broker, id),
        },
        text: clauses.join(" · "),
        since: None,
        source: "DescribeLogDirs",
        evidence: match volume {
            Some(volume) => Evidence::of("volume", &volume.id),
            None => Evidence::of("broker", id),
        },
        next: std::iter::once(relieve).chain(size).collect(),
        dont: vec![
            Dont::new("rm segment files", "the broker loses track of its log"),
            Dont::new(format!("restart broker {id}"), "recovery needs room on the same disk"),
            Dont::new(format!("reassign onto broker {id}"), "it fills faster"),
        ],
    }
}

/// `clicks 61 % of it`.
fn largest(dir: &LogDir) -> Option<String> {
    let total: u64 = dir.replicas.iter().map(|replica| replica.size_bytes).sum();
    let topics = dir.largest();
    let most = topics.first()?;
    (total > 0).then(|| {
        format!(
            "{} is {} of it",
            most.topic,
            text::percent(most.size_bytes as f64 * 100.0 / total as f64)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::Six;

    fn dir(used: u64, growth: Option<f64>) -> LogDir {
        LogDir {
            path: "/data".into(),
            total_bytes: Some(1_000_000_000),
            usable_bytes: Some(1_000_000_000 - used * 10_000_000),
            error: None,
            replicas: [].into(),
            top: Vec::new(),
            copies: Vec::new(),
            growth_bytes_per_second: growth,
        }
    }

    #[test]
    fn how_full_and_how_fast_both_count() {
        assert_eq!(verdict(&dir(61, None)), Verdict::Pass);
        assert_eq!(verdict(&dir(81, None)), Verdict::Warn);
        assert_eq!(verdict(&dir(86, None)), Verdict::Fail);
        assert_eq!(verdict(&dir(65, Some(10_000.0))), Verdict::Warn, "full in ten hours");
        assert_eq!(
            verdict(&dir(10, Some(1_000_000.0))),
            Verdict::Pass,
            "a new disk takes its first segments"
        );
        assert_eq!(
            verdict(&dir(30, Some(1_000_000.0))),
            Verdict::Fail,
            "full in twelve minutes"
        );
    }

    #[test]
    fn a_full_disk_names_its_volume_and_what_not_to_do() {
        let mut six = Six::healthy();
        six.cloud().disk(5, 92);
        let causes = six.causes();
        assert_eq!(causes[0].culprit, Culprit::new(Kind::Volume, "vol-5"));
        assert_eq!(causes[0].next[0].action, "logdir relieve 5");
        assert!(causes[0].dont.iter().any(|dont| dont.action == "rm segment files"));
    }

    #[test]
    fn without_a_volume_the_broker_is_named() {
        let mut six = Six::healthy();
        six.disk(5, 92);
        assert_eq!(six.causes()[0].culprit, Culprit::new(Kind::Broker, 5));
    }

    #[test]
    fn a_broker_that_died_of_its_full_disk_is_explained_by_it() {
        let mut six = Six::healthy();
        six.disk(5, 99).kill(5);
        assert_eq!(six.causes()[0].rule, "disk-full");
        let mut six = Six::healthy();
        six.disk(5, 90).kill(5);
        assert_eq!(six.causes()[0].rule, "broker-down");
    }
}
