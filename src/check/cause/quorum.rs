//! The controller quorum: nobody leads it, a majority is lost, or a voter has fallen behind.
//!
//! A voter that is more than 1,000 records or 5 s behind the leader is taken for lost (KRaft's default fetch timeout is 2 s), and
//! so is one that has not fetched at all since the leader was elected: it died before, or with the election.

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text};
use crate::model::event::{EventKind, Since};
use crate::model::quorum::{Quorum, Voter};
use crate::model::{BrokerId, Health, Observed, Trouble};
use crate::plan::gate::Verdict;

const RECORDS: i64 = 1_000;
const BEHIND_MS: i64 = 5_000;
/// An election takes a second or two; a controller that is silent for longer is lost.
const ELECTION_SECONDS: i64 = 4;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let section = &facts.snapshot.quorum;
    match (&section.health, section.get()) {
        (Health::Failing { trouble, reason, since }, known) => silent(facts, *trouble, reason, *since, known),
        (Health::Fresh, Some(quorum)) => voters(facts, quorum),
        _ => Vec::new(),
    }
}

/// Nobody answers for the quorum while brokers answer for themselves.
fn silent(
    facts: &Facts<'_>,
    trouble: Trouble,
    reason: &str,
    since: crate::model::Moment,
    known: Option<&Quorum>,
) -> Vec<Cause> {
    let about_us = matches!(
        trouble,
        Trouble::Denied | Trouble::Unsupported | Trouble::Expired | Trouble::Throttled
    );
    let answers = facts.snapshot.links.values().any(Observed::is_fresh);
    let watched = facts.snapshot.events.watched_since.is_some_and(|at| at < since);
    let lasts = facts.now.duration_since(since).as_secs() >= ELECTION_SECONDS;
    if about_us || !answers || (watched && !lasts) {
        return Vec::new();
    }
    let leader = known.and_then(|quorum| quorum.leader);
    let culprit = leader.map_or_else(Culprit::none, |id| Culprit::new(Kind::Broker, id));
    let last = leader
        .map(|id| format!(" · the last leader was {id}"))
        .unwrap_or_default();
    let start = match leader {
        Some(id) => format!("start controller {id}"),
        None => "start the controllers".to_owned(),
    };
    vec![Cause {
        rule: "controller-lost",
        verdict: Verdict::Fail,
        culprit,
        text: format!(
            "no controller answers: {reason}{last} · produce and fetch go on, elections and metadata changes wait"
        ),
        since: Some(Since {
            at: since,
            recorded: known.is_some(),
        }),
        source: "DescribeQuorum",
        evidence: Evidence::list("quorum"),
        next: vec![Step::new(
            start,
            "brokers keep serving meanwhile; no leader can move without it",
            Vec::new(),
        )],
        dont: vec![
            Dont::new(
                "restart brokers",
                "they cannot register, and their partitions get no leader",
            ),
            Dont::new("format a controller's directory", "the metadata log is the cluster"),
            Dont::new(
                "start reassignments or change configs",
                "nothing is decided without a controller",
            ),
        ],
    }]
}

/// Voters that do not keep up, on the leader's clock.
fn lost(facts: &Facts<'_>, quorum: &Quorum) -> Vec<BrokerId> {
    let leader = quorum.voters.iter().find(|voter| Some(voter.id) == quorum.leader);
    let Some(leader) = leader else { return Vec::new() };
    // The leader's own entry carries its clock; the freshest fetch is the next best.
    let now = quorum
        .voters
        .iter()
        .filter_map(|voter| voter.last_caught_up_ms.max(voter.last_fetch_ms))
        .max();
    // A new leader knows nothing of a voter until that one fetches, which takes one that lives less than a second.
    let elected = facts
        .snapshot
        .events
        .iter()
        .rev()
        .find(|event| event.kind == EventKind::Controller);
    let settled = elected.is_none_or(|event| facts.now.duration_since(event.at).as_secs() > ELECTION_SECONDS);
    let is_lost = |voter: &&Voter| {
        let unseen = settled && voter.log_end_offset < 0 && voter.last_fetch_ms.is_none();
        let behind = voter.log_end_offset >= 0 && leader.log_end_offset - voter.log_end_offset > RECORDS;
        let late = now
            .zip(voter.last_caught_up_ms)
            .is_some_and(|(now, at)| now - at > BEHIND_MS);
        voter.id != leader.id && (behind || late || unseen)
    };
    quorum.voters.iter().filter(is_lost).map(|voter| voter.id).collect()
}

fn voters(facts: &Facts<'_>, quorum: &Quorum) -> Vec<Cause> {
    let lost = lost(facts, quorum);
    let all = quorum.voters.len();
    let majority = all / 2 + 1;
    let alive = all - lost.len();
    if quorum.leader.is_some() && lost.is_empty() {
        return Vec::new();
    }
    let names = text::ids(&lost.iter().copied().collect());
    let verdict = if quorum.leader.is_none() || alive <= majority {
        Verdict::Fail
    } else {
        Verdict::Warn
    };
    let culprit = match lost.is_empty() {
        true => Culprit::none(),
        false => Culprit::new(Kind::Broker, names.replace(' ', "")),
    };
    let spare = match alive.saturating_sub(majority) {
        0 => "the next loss stops elections and metadata changes".to_owned(),
        more => format!("{more} more may be lost"),
    };
    vec![Cause {
        rule: "voter-lost",
        verdict,
        text: match quorum.leader {
            None => "the quorum has no leader · elections and metadata changes wait".to_owned(),
            Some(leader) => {
                format!("controller {names} does not follow leader {leader} · {alive} of {all} voters left · {spare}")
            }
        },
        culprit,
        since: None,
        source: "DescribeQuorum",
        evidence: Evidence::list("quorum"),
        next: vec![Step::new(
            format!("start controller {names}"),
            "it catches up by itself",
            Vec::new(),
        )],
        dont: vec![
            Dont::new("restart another controller", "the majority would be lost"),
            Dont::new(
                "format a controller's directory",
                "a voter that forgot its log may elect wrongly",
            ),
        ],
    }]
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};
    use crate::model::Trouble;
    use crate::plan::gate::Verdict;

    #[test]
    fn a_silent_controller_is_lost_after_an_election_would_be_over() {
        let mut six = Six::healthy();
        six.quorum_fails(Trouble::TimedOut, 2);
        assert!(six.causes().is_empty(), "an election may be on");
        six.quorum_fails(Trouble::TimedOut, 8);
        assert_eq!(
            (six.causes()[0].rule, six.causes()[0].culprit.clone()),
            ("controller-lost", Culprit::new(Kind::Broker, 101))
        );
        let triage = six.triage();
        let headline = &triage.lines[0].text;
        assert!(headline.starts_with("CONTROLLER LOST  controller 101"), "{headline}");
        six.quorum_fails(Trouble::Denied, 60);
        assert!(six.causes().is_empty(), "what we may not see is no fault of it");
    }

    #[test]
    fn a_voter_that_fell_behind_is_named() {
        let mut six = Six::healthy();
        six.voter_behind(103);
        let causes = six.causes();
        assert_eq!(causes[0].culprit, Culprit::new(Kind::Broker, 103));
        assert_eq!(causes[0].verdict, Verdict::Fail, "one more and the majority is gone");
        assert!(causes[0].text.contains("2 of 3 voters"), "{}", causes[0].text);
        assert_eq!(causes[0].who(), "controller 103");
    }

    #[test]
    fn a_voter_that_a_new_leader_never_saw_is_lost_once_it_would_have_come() {
        let mut six = Six::healthy();
        six.voter_unseen(103);
        assert_eq!(six.causes()[0].culprit, Culprit::new(Kind::Broker, 103));
        six.elected(1);
        assert!(six.causes().is_empty(), "the others have not fetched yet either");
    }
}
