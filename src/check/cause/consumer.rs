//! A group that has stopped: it has members and records to read, and commits nothing, or one of its partitions does not move.

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text};
use crate::model::event::Since;
use crate::model::pace::GroupPace;
use crate::model::row::group::GroupRow;
use crate::plan::gate::Verdict;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let groups = facts.rows.groups.iter();
    let stuck = groups.filter_map(|row| {
        let pace = facts.snapshot.group_paces.get(&row.name)?;
        let lag = row.lag_records.value.filter(|lag| *lag > 0)?;
        // The groups of coordinators that do not answer are not judged.
        let seen = row
            .coordinator
            .and_then(|id| facts.snapshot.coordinators.get(&id))
            .filter(|told| told.is_fresh())?;
        let how = how(row, pace, seen.seen_at?)?;
        Some((lag, cause(row, lag, how, pace.moved_at)))
    });
    let mut causes: Vec<(i64, Cause)> = stuck.collect();
    causes.sort_by_key(|(lag, _)| std::cmp::Reverse(*lag));
    causes.into_iter().map(|(_, cause)| cause).collect()
}

/// Why it stands still, in a word; `None` while it moves.
fn how(row: &GroupRow, pace: &GroupPace, seen_at: crate::model::Moment) -> Option<String> {
    if row.members == 0 {
        // Groups that nobody uses are everywhere; only one that lost its members before our eyes is news.
        return pace.had_members.then(|| "no-members: its last member left".to_owned());
    }
    if pace.has_stopped(seen_at) {
        return Some(format!(
            "{} commit nothing",
            text::plural(row.members as usize, "member")
        ));
    }
    let part = pace.stopped_part(seen_at)?;
    Some(format!(
        "one-partition: {}-{} stays at offset {}",
        part.topic, part.partition, part.offset
    ))
}

fn cause(row: &GroupRow, lag: i64, how: String, moved_at: crate::model::Moment) -> Cause {
    let rate = row
        .rate_in
        .value
        .map(|rate| format!(" · {} records/s come in", text::scaled(rate)))
        .unwrap_or_default();
    Cause {
        rule: "group-stuck",
        verdict: Verdict::Warn,
        culprit: Culprit::new(Kind::Group, &row.name),
        text: format!(
            "group {} is {} records behind · {how}{rate}",
            row.name,
            text::scaled(lag as f64)
        ),
        since: Some(Since {
            at: moved_at,
            recorded: true,
        }),
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

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};

    #[test]
    fn a_group_that_commits_nothing_while_records_come_is_stuck() {
        let mut six = Six::healthy();
        six.group("billing", 2, 900, 90);
        assert_eq!(six.causes()[0].culprit, Culprit::new(Kind::Group, "billing"));
        six.group("billing", 2, 900, 10);
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
}
