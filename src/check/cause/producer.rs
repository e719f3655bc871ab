//! Producers that write a topic far faster than they did: Kafka does not tell who they are, so the topic is named.

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text};
use crate::model::event::Since;
use crate::model::row::partition::PartitionRow;
use crate::plan::gate::Verdict;

/// Times the usual rate.
const TIMES: f64 = 4.0;
/// Records per second; below, nobody is hurt.
const FLOOR: f64 = 200.0;
/// Of everything that is written.
const SHARE: f64 = 0.4;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let topics = facts.snapshot.surges.iter();
    let all: f64 = facts.rows.topics.iter().filter_map(|row| row.rate.value).sum();
    let mut causes: Vec<(f64, Cause)> = topics
        .filter(|(_, surge)| surge.rate >= FLOOR && surge.rate >= TIMES * surge.usual && surge.rate >= SHARE * all)
        .map(|(topic, surge)| {
            let since = Since {
                at: surge.since,
                recorded: true,
            };
            (surge.rate, cause(facts, topic, surge.rate, surge.usual, since))
        })
        .collect();
    causes.sort_by(|one, other| other.0.total_cmp(&one.0));
    causes.into_iter().map(|(_, cause)| cause).collect()
}

fn cause(facts: &Facts<'_>, topic: &str, rate: f64, usual: f64, since: Since) -> Cause {
    let mut clauses = vec![format!(
        "{topic} takes {} records/s, {:.0} times the usual {}",
        text::scaled(rate),
        rate / usual.max(0.1),
        text::scaled(usual)
    )];
    let hottest = facts.rows.partitions.of_topic(topic);
    let rate = |row: &PartitionRow<'_>| row.rate().value.unwrap_or(0.0);
    if let Some(row) = hottest.max_by(|a, b| rate(a).total_cmp(&rate(b))) {
        let led = row
            .leader
            .map_or_else(String::new, |id| format!(", led by broker {id}"));
        clauses.push(format!("most to partition {}{led}", row.partition));
    }
    clauses.push("which client: ? not visible to Kafka's metadata".to_owned());
    Cause {
        rule: "producer-surge",
        verdict: Verdict::Warn,
        culprit: Culprit::new(Kind::Client, topic),
        text: clauses.join(" · "),
        since: Some(since),
        source: "ListOffsets",
        evidence: Evidence::of("topic", topic),
        next: vec![
            Step::new(
                "quota set",
                format!("producer_byte_rate for the client or user that writes {topic}; undo: full"),
                Vec::new(),
            ),
            Step::new("logdir list", "when the disks that take it are full", Vec::new()),
        ],
        dont: vec![
            Dont::new("add brokers or reassign now", "the copies compete with the writes"),
            Dont::new(format!("delete {topic}"), "its readers lose what they have not read"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};

    #[test]
    fn a_topic_that_is_written_many_times_faster_is_named() {
        let mut six = Six::healthy();
        six.surge("orders", 5_000.0, 60.0);
        let causes = six.causes();
        assert_eq!(causes[0].culprit, Culprit::new(Kind::Client, "orders"));
        six.surge("orders", 150.0, 10.0);
        assert!(six.causes().is_empty(), "too little to hurt anybody");
        six.surge("orders", 5_000.0, 2_000.0);
        assert!(six.causes().is_empty(), "an ordinary peak");
    }
}
