//! A replication throttle that nobody needs: it is set while nothing is being reassigned, and slows every catch-up.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text};
use crate::model::config::Config;
use crate::model::event::Symptom;
use crate::model::{BrokerId, Health};
use crate::plan::gate::Verdict;

/// A tool may set its throttle just before its moves and lift it just after.
const LASTS_SECONDS: i64 = 5;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let snapshot = facts.snapshot;
    let idle = snapshot.reassignments.is_fresh() && snapshot.reassignments.get().is_some_and(Vec::is_empty);
    let (brokers, topics) = set(facts);
    if !idle || (brokers.is_empty() && topics.is_empty()) {
        return Vec::new();
    }
    let since = snapshot.events.since(&Symptom::Throttled);
    if since.is_some_and(|since| since.recorded && facts.now.duration_since(since.at).as_secs() < LASTS_SECONDS) {
        return Vec::new();
    }
    let who: BTreeSet<BrokerId> = brokers.keys().copied().collect();
    let mut clauses = Vec::new();
    if let Some(rate) = brokers.values().next() {
        clauses.push(format!(
            "a replication throttle is set on {} ({rate})",
            text::brokers(&who)
        ));
    }
    if !topics.is_empty() {
        clauses.push(format!(
            "throttled replicas are listed on {}",
            text::plural(topics.len(), "topic")
        ));
    }
    clauses.push("nothing is being reassigned".to_owned());
    let slowed = facts.shrunk().count();
    if slowed > 0 {
        clauses.push(format!("it may slow {slowed} partitions that catch up"));
    }
    vec![Cause {
        rule: "throttle-left",
        verdict: Verdict::Warn,
        culprit: match who.is_empty() {
            true => Culprit::none(),
            false => Culprit::new(Kind::Broker, text::ids(&who).replace(' ', "")),
        },
        text: clauses.join(" · "),
        since,
        source: "DescribeConfigs",
        evidence: who
            .first()
            .map_or(Evidence::list("topic"), |id| Evidence::of("broker", id)),
        next: vec![Step::new(
            "throttle clear --foreign",
            "both halves: the rates on brokers and the lists on topics",
            vec![facts.gate_no_reassignment()],
        )],
        dont: vec![
            Dont::new(
                "restart a broker before the throttle is cleared",
                "its catch-up would crawl",
            ),
            Dont::new(
                "raise the rate instead",
                "the lists stay and the next tool trips over them",
            ),
        ],
    }]
}

/// Brokers with a throttle's rate, in words, and topics with throttled replicas. A rate alone slows nothing, and neither do
/// lists without a rate; both are what tools leave behind.
fn set(facts: &Facts<'_>) -> (BTreeMap<BrokerId, String>, BTreeSet<String>) {
    let mut brokers = BTreeMap::new();
    for (id, configs) in &facts.snapshot.broker_configs {
        let rate = configs.get().into_iter().flatten().find_map(rate);
        if let Some(rate) = rate {
            brokers.insert(*id, rate);
        }
    }
    let fresh = matches!(
        facts.snapshot.topic_configs.health,
        Health::Fresh | Health::Failing { .. }
    );
    let configs = facts.snapshot.topic_configs.get().filter(|_| fresh);
    let throttled = |configs: &[Config]| {
        configs.iter().any(|config| {
            config.name.ends_with(".replication.throttled.replicas")
                && config.value.as_deref().is_some_and(|value| !value.is_empty())
        })
    };
    let topics = configs
        .into_iter()
        .flatten()
        .filter(|(_, configs)| throttled(configs))
        .map(|(topic, _)| topic.clone())
        .collect();
    (brokers, topics)
}

/// Kafka's default is the largest long: no throttle.
fn rate(config: &Config) -> Option<String> {
    let is_throttle =
        config.name == "leader.replication.throttled.rate" || config.name == "follower.replication.throttled.rate";
    let bytes: f64 = config.value.as_deref().filter(|_| is_throttle)?.parse().ok()?;
    (bytes < 1e15).then(|| format!("{}B/s", text::scaled(bytes)))
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};

    #[test]
    fn a_throttle_without_a_reassignment_is_left_over() {
        let mut six = Six::healthy();
        six.throttle(2, "1000000");
        let causes = six.causes();
        assert_eq!(
            (causes[0].rule, causes[0].culprit.clone()),
            ("throttle-left", Culprit::new(Kind::Broker, 2))
        );
        assert_eq!(causes[0].next[0].action, "throttle clear --foreign");
        assert_eq!(causes[0].next[0].blocked_by(), None);
        six.reassign("orders", 0, 2);
        assert!(six.causes().is_empty(), "somebody uses it");
    }

    #[test]
    fn kafkas_default_is_no_throttle() {
        let mut six = Six::healthy();
        six.throttle(2, "9223372036854775807");
        assert!(six.causes().is_empty());
    }
}
