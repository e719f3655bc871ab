//! An availability zone: all its brokers are down, or most bad replicas are there while EC2 fails for it alone.
//!
//! A throttled EC2 call is no evidence on a zone: account-wide `RequestLimitExceeded` looks the same everywhere.

use std::collections::BTreeSet;

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text};
use crate::model::BrokerId;
use crate::model::event::Symptom;
use crate::plan::gate::Verdict;

/// Of all bad replicas; from here on the zone rather than one broker of it.
const MOST: f64 = 0.5;
/// Of all bad replicas; from here on one broker explains them without its zone.
const ONE_BROKER: f64 = 0.7;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let zones = facts.zones();
    if zones.len() < 2 || zones.contains_key("?") {
        return Vec::new();
    }
    let down = facts.down();
    let bad: Vec<BrokerId> = facts
        .shrunk()
        .flat_map(|row| row.placed().missing().filter(move |id| !row.adding().contains(id)))
        .collect();
    let guilty = zones.iter().filter(|(zone, brokers)| {
        let here: BTreeSet<BrokerId> = brokers.intersection(&down).copied().collect();
        let ec2 = facts.ec2_fails_only_here(zone);
        let misses = bad.iter().filter(|id| brokers.contains(id)).count();
        let share = misses as f64 / bad.len().max(1) as f64;
        let most_of_one = brokers
            .iter()
            .map(|id| bad.iter().filter(|bad| *bad == id).count())
            .max()
            .unwrap_or(0);
        let one = most_of_one as f64 / bad.len().max(1) as f64 >= ONE_BROKER;
        let all_down = here.len() == brokers.len() && (here.len() >= 2 || ec2);
        let most_missing = !bad.is_empty() && share > MOST && (ec2 || (!one && brokers.len() >= 2 && zones.len() >= 3));
        all_down || most_missing || (ec2 && !here.is_empty())
    });
    let guilty: Vec<(&str, &BTreeSet<BrokerId>)> = guilty.map(|(zone, brokers)| (*zone, brokers)).collect();
    // Brokers down in every zone are no zone's fault.
    if guilty.len() == zones.len() {
        return Vec::new();
    }
    guilty
        .into_iter()
        .map(|(zone, brokers)| cause(facts, zone, brokers, &down, &bad))
        .collect()
}

fn cause(
    facts: &Facts<'_>,
    zone: &str,
    brokers: &BTreeSet<BrokerId>,
    down: &BTreeSet<BrokerId>,
    bad: &[BrokerId],
) -> Cause {
    let here = brokers.intersection(down).count();
    let misses = bad.iter().filter(|id| brokers.contains(id)).count();
    let leads: usize = brokers.iter().map(|id| facts.led_by(*id)).sum();
    let mut clauses = vec![format!(
        "{zone}: {here} of {} down",
        text::plural(brokers.len(), "broker")
    )];
    if !bad.is_empty() {
        clauses.push(format!("{misses} of {} missing replicas are there", bad.len()));
    }
    if facts.ec2_fails_only_here(zone) {
        clauses.push("EC2 fails for this zone and answers for others".to_owned());
    }
    if leads > 0 {
        clauses.push(format!("{leads} leaders still there"));
    }
    let since = brokers
        .iter()
        .filter_map(|id| facts.snapshot.events.since(&Symptom::Missing(*id)))
        .min_by_key(|since| since.at);
    let mut next = Vec::new();
    if leads > 0 {
        next.push(Step::new(
            format!("leader move --from-az {zone}"),
            format!("{leads} leaders, no data moved"),
            vec![facts.gate_leaders_can_move(brokers)],
        ));
    }
    next.push(Step::new(
        format!("throttle set --catch-up --az {zone}"),
        "before its brokers come back: their catch-up saturates the others",
        Vec::new(),
    ));
    Cause {
        rule: "zone-down",
        verdict: Verdict::Fail,
        culprit: Culprit::new(Kind::Az, zone),
        text: clauses.join(" · "),
        since,
        source: "Metadata, ApiVersions, EC2",
        evidence: Evidence::list("broker"),
        next,
        dont: vec![
            Dont::new(
                format!("start all brokers of {zone} at once unthrottled"),
                "their catch-up is the second outage",
            ),
            Dont::new("lower min.insync.replicas", "a write would rest on one copy"),
            Dont::new("restart or reassign in the other zones", "they hold the last copies"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};
    use crate::model::Trouble;

    #[test]
    fn all_brokers_of_a_zone_down_is_the_zone() {
        let mut six = Six::healthy();
        six.kill(3).kill(4);
        let causes = six.causes();
        assert_eq!(causes[0].culprit, Culprit::new(Kind::Az, "az2"));
        assert!(causes[0].text.contains("2 of 2 brokers down"), "{}", causes[0].text);
    }

    #[test]
    fn one_of_two_brokers_is_not_the_zone() {
        let mut six = Six::healthy();
        six.kill(4);
        assert_eq!(six.causes()[0].culprit, Culprit::new(Kind::Broker, 4));
    }

    #[test]
    fn ec2_failing_for_one_zone_turns_the_vote_and_throttling_does_not() {
        let mut six = Six::healthy();
        six.kill(4).cloud();
        six.ec2("az2", Trouble::Throttled);
        assert_eq!(
            six.causes()[0].culprit,
            Culprit::new(Kind::Broker, 4),
            "throttled is no evidence"
        );
        six.ec2("az2", Trouble::TimedOut);
        assert_eq!(six.causes()[0].culprit, Culprit::new(Kind::Az, "az2"));
        for zone in ["az1", "az3"] {
            six.ec2(zone, Trouble::TimedOut);
        }
        assert_eq!(
            six.causes()[0].culprit,
            Culprit::new(Kind::Broker, 4),
            "EC2 fails everywhere"
        );
    }
}
