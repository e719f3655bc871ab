//! A follower that does not keep up: one broker is missing from at least 70 % of the shrunk ISRs, though it answers.

use std::collections::BTreeMap;

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step};
use crate::model::BrokerId;
use crate::model::event::Symptom;
use crate::model::row::partition::Badge;
use crate::plan::gate::Verdict;

/// Of all misses; below nobody is named.
const SHARE: f64 = 0.7;
/// A replica that restarted or was slow for a moment is back before.
const LASTS_SECONDS: i64 = 3;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let down = facts.down();
    let mut misses: BTreeMap<BrokerId, usize> = BTreeMap::new();
    // Whoever leads alone is judged by another rule; those missing there are its victims.
    let shrunk: Vec<_> = facts
        .shrunk()
        .filter(|row| row.isr.len() != 1 || row.replicas.len() == 2)
        .collect();
    for row in &shrunk {
        for id in row
            .replicas
            .iter()
            .filter(|id| !row.isr.contains(id) && !row.adding().contains(id))
        {
            *misses.entry(*id).or_default() += 1;
        }
    }
    let all: usize = misses.values().sum();
    let named = misses
        .into_iter()
        .filter(|(id, count)| *count as f64 >= SHARE * all as f64 && !down.contains(id));
    named
        .filter(|(id, _)| lasts(facts, *id))
        .map(|(id, count)| cause(facts, id, count, shrunk.len()))
        .collect()
}

fn lasts(facts: &Facts<'_>, id: BrokerId) -> bool {
    let since = facts.snapshot.events.since(&Symptom::Missing(id));
    since.is_none_or(|since| !since.recorded || facts.now.duration_since(since.at).as_secs() >= LASTS_SECONDS)
}

fn cause(facts: &Facts<'_>, id: BrokerId, misses: usize, shrunk: usize) -> Cause {
    let at_min = facts.count(Badge::AtMinIsr);
    let mut text = format!(
        "broker {id} is missing from {misses} of {shrunk} shrunk ISRs · it answers and leads {}",
        facts.led_by(id)
    );
    if at_min > 0 {
        text.push_str(&format!(" · {at_min} partitions at min ISR"));
    }
    Cause {
        rule: "follower-behind",
        verdict: Verdict::Warn,
        culprit: Culprit::new(Kind::Broker, id),
        text,
        since: facts.snapshot.events.since(&Symptom::Missing(id)),
        source: "Metadata",
        evidence: Evidence::of("broker", id),
        next: vec![Step::new(
            format!("wait isr --broker {id}"),
            "it may be catching up; if the count does not fall, look at its disk and network",
            Vec::new(),
        )],
        dont: vec![
            Dont::new("restart another broker", "partitions at min ISR would refuse writes"),
            Dont::new("start reassignments", "they compete with its catch-up"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};
    use crate::plan::gate::Verdict;

    #[test]
    fn a_stalled_follower_is_named_by_what_it_misses() {
        let mut six = Six::healthy();
        six.behind(4);
        let causes = six.causes();
        assert_eq!(
            (causes[0].culprit.clone(), causes[0].verdict),
            (Culprit::new(Kind::Broker, 4), Verdict::Warn)
        );
        assert!(causes[0].text.contains("at min ISR"), "{}", causes[0].text);
    }

    #[test]
    fn misses_that_are_spread_name_nobody() {
        let mut six = Six::healthy();
        six.behind(4).behind(5);
        assert!(six.causes().is_empty(), "{:?}", six.causes());
    }
}
