//! A group that has stopped, or whose records are deleted before it reads them. Who stands still, and since when, is told by the
//! lag rows; see [`GroupPace`] for how soon.
//!
//! [`GroupPace`]: crate::model::pace::GroupPace

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text};
use crate::model::event::Since;
use crate::model::history::Basis;
use crate::model::row::group::{self, GroupRow, Safe};
use crate::plan::gate::Verdict;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let mut causes: Vec<(i64, Cause)> = Vec::new();
    for row in facts.rows.groups.iter() {
        let Some(lag) = row.lag_records.value.filter(|lag| *lag > 0) else {
            continue;
        };
        // The groups of coordinators that do not answer are not judged.
        let coordinator = row.coordinator.and_then(|id| facts.snapshot.coordinators.get(&id));
        if !coordinator.is_some_and(|told| told.is_fresh()) {
            continue;
        }
        if let Some((how, since)) = how(facts, row) {
            causes.push((lag, stuck(row, lag, how, since)));
        } else if row.members > 0 && row.safe.value == Some(Safe::Losing) {
            causes.push((lag, losing(row, lag)));
        }
    }
    causes.sort_by_key(|(lag, _)| std::cmp::Reverse(*lag));
    causes.into_iter().map(|(_, cause)| cause).collect()
}

/// Why it stands still, in the word of its row, and since when; `None` while it moves.
fn how(facts: &Facts<'_>, row: &GroupRow) -> Option<(String, Option<Since>)> {
    let recorded = |at| Since { at, recorded: true };
    if let Some(since) = row.stopped_since {
        let members = text::plural(row.members as usize, "member");
        return Some((format!("{members} commit nothing"), Some(recorded(since))));
    }
    match row.cause.as_ref()? {
        // Groups that nobody uses are everywhere; only one that was seen to lose its members is news.
        group::Cause::NoMembers => {
            let since = row.since.filter(|since| since.basis == Basis::Recorded)?;
            Some(("no-members: its last member left".to_owned(), Some(recorded(since.at))))
        }
        stands @ group::Cause::OnePartition {
            topic,
            partition,
            offset,
        } => {
            let past = facts.snapshot.history.groups.get(&row.name);
            let standing = past.and_then(|past| past.standing.get(topic, *partition));
            let standing = standing.filter(|standing| standing.offset == *offset);
            Some((stands.to_string(), standing.map(|standing| recorded(standing.since))))
        }
        pinned @ group::Cause::LsoPinned { .. } => Some((pinned.to_string(), None)),
        group::Cause::Rebalancing { .. } | group::Cause::Slow { .. } => None,
    }
}

fn cause(rule: &'static str, row: &GroupRow, lag: i64, how: &str) -> Cause {
    let rate = row
        .rate_in
        .value
        .map(|rate| format!(" · {} records/s come in", text::scaled(rate)))
        .unwrap_or_default();
    Cause {
        rule,
        verdict: Verdict::Warn,
        culprit: Culprit::new(Kind::Group, &row.name),
        text: format!(
            "group {} is {} records behind · {how}{rate}",
            row.name,
            text::scaled(lag as f64)
        ),
        since: None,
        source: "OffsetFetch, ListOffsets",
        evidence: Evidence::of("group", &row.name),
        next: vec![
            Step::new(
                format!("group show {}", row.name),
                "its members, their hosts and what each is assigned",
                Vec::new(),
            ),
            Step::new(
                format!("group lag {}", row.name),
                "which partition stands, and where",
                Vec::new(),
            ),
        ],
        dont: vec![
            Dont::new(
                format!("reset the offsets of {}", row.name),
                "records would be skipped or read twice, and members must be stopped first",
            ),
            Dont::new("restart brokers", "they are not at fault"),
        ],
    }
}

fn stuck(row: &GroupRow, lag: i64, how: String, since: Option<Since>) -> Cause {
    let mut cause = cause("group-stuck", row, lag, &how);
    cause.since = since;
    if matches!(row.cause, Some(group::Cause::LsoPinned { .. })) {
        cause.next.insert(
            0,
            Step::new(
                "transaction list --hanging",
                "whose transaction is open, and since when",
                Vec::new(),
            ),
        );
    }
    cause
}

fn losing(row: &GroupRow, lag: i64) -> Cause {
    let lost = text::scaled(row.lost_records as f64);
    let mut cause = cause(
        "group-losing",
        row,
        lag,
        &format!("already losing: {lost} of them were deleted unread"),
    );
    if let Some(topic) = &row.losing {
        cause.next.push(Step::new(
            format!("let {topic} be kept longer"),
            "retention deletes its records before the group reads them",
            Vec::new(),
        ));
    }
    cause
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};

    #[test]
    fn a_group_that_commits_nothing_while_records_come_is_stuck() {
        let mut six = Six::healthy();
        six.group("billing", 2, 900, 20);
        assert_eq!(six.causes()[0].culprit, Culprit::new(Kind::Group, "billing"));
        six.group("billing", 2, 900, 9);
        assert!(six.causes().is_empty(), "it commits now and then");
        six.group("billing", 2, 0, 90);
        assert!(six.causes().is_empty(), "there is nothing to read");
    }

    #[test]
    fn a_group_nobody_uses_is_no_news() {
        let mut six = Six::healthy();
        six.group("old", 0, 900, 90);
        assert!(six.causes().is_empty());
    }

    #[test]
    fn a_group_whose_records_are_deleted_unread_is_named() {
        let mut six = Six::healthy();
        six.group("billing", 2, 900, 3).log_start("orders", 0, 400);
        let cause = &six.causes()[0];
        assert_eq!((cause.rule, cause.culprit.name.as_str()), ("group-losing", "billing"));
        assert!(cause.text.contains("300 of them were deleted unread"), "{}", cause.text);
    }
}
