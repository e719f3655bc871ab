//! Who is hurt: topics that refuse writes, groups that are behind or rebalance.

use std::collections::BTreeSet;

use super::{Line, Name, unknown};
use crate::check::{Cause, Evidence, Facts, Kind, text};
use crate::model::row::group::GroupRow;
use crate::model::row::partition::Badge;
use crate::plan::gate::Verdict;

/// Groups told in the line.
const TOLD: usize = 3;
/// Records; a group that is less behind is told only when nobody else is.
const FEW: i64 = 1_000;

pub(super) fn line(facts: &Facts<'_>, causes: &[Cause]) -> Line {
    let refused: BTreeSet<&str> = facts
        .rows
        .partitions
        .iter()
        .filter(|row| row.badges.contains(&Badge::Offline) || row.badges.contains(&Badge::UnderMinIsr))
        .map(|row| row.topic.as_str())
        .collect();
    let mut clauses = Vec::new();
    if !refused.is_empty() {
        let first: Vec<&str> = refused.iter().take(TOLD).copied().collect();
        let more = refused.len().saturating_sub(TOLD);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        clauses.push(format!("producers of {}{more}", first.join(", ")));
    }
    let stuck = causes.iter().find(|cause| cause.culprit.kind == Kind::Group);
    if facts.snapshot.groups.get().is_none() {
        clauses.push("groups ?".to_owned());
        let verdict = if refused.is_empty() {
            Verdict::Unknown
        } else {
            Verdict::Fail
        };
        return Line::new(Name::Hurt, verdict, clauses.join(" · "), "OffsetFetch")
            .why(Some(unknown(&facts.snapshot.groups)))
            .at(Evidence::list("group"));
    }
    let mut behind: Vec<(&GroupRow, i64)> = facts
        .rows
        .groups
        .iter()
        .filter_map(|row| Some((row, row.lag_records.value.filter(|lag| *lag > 0)?)))
        .collect();
    behind.sort_by_key(|(_, lag)| std::cmp::Reverse(*lag));
    let far = behind.iter().filter(|(row, lag)| *lag >= FEW && row.members > 0);
    clauses.extend(far.take(TOLD).map(|(row, lag)| group(facts, row, *lag)));
    let rebalancing = facts.rows.groups.iter().filter(|row| is_rebalancing(row)).count();
    if rebalancing > 0 {
        clauses.push(format!("{} rebalancing", text::plural(rebalancing, "group")));
    }
    if clauses.is_empty() {
        clauses.push(match behind.first() {
            Some((row, lag)) => format!("nobody · furthest behind {} {}", row.name, text::scaled(*lag as f64)),
            None => "nobody".to_owned(),
        });
    }
    let unseen = facts
        .rows
        .groups
        .iter()
        .filter(|row| row.lag_records.value.is_none() && row.members > 0)
        .count();
    let why = (unseen > 0).then(|| format!("the lag of {} is not known", text::plural(unseen, "group")));
    if let Some(why) = &why {
        clauses.push(why.clone());
    }
    let verdict = match (refused.is_empty(), stuck) {
        (false, _) => Verdict::Fail,
        (true, Some(cause)) => cause.verdict,
        (true, None) => Verdict::Pass,
    };
    let evidence = match behind.first() {
        Some((row, _)) => Evidence::of("group", &row.name),
        None => Evidence::list("group"),
    };
    Line::new(Name::Hurt, verdict, clauses.join(" · "), "OffsetFetch, ListOffsets")
        .why(why)
        .at(stuck.map_or(evidence, |cause| cause.evidence.clone()))
}

/// `billing lag 1.9 M ▲ 3.1 k/s`.
fn group(facts: &Facts<'_>, row: &GroupRow, lag: i64) -> String {
    let slope = facts
        .snapshot
        .history
        .group_lag
        .get(&row.name)
        .and_then(|series| series.slope_per_second(60));
    let trend = match slope {
        Some(slope) if slope >= 1.0 => format!(" ▲ {}/s", text::scaled(slope)),
        Some(slope) if slope <= -1.0 => format!(" ▼ {}/s", text::scaled(-slope)),
        _ => String::new(),
    };
    format!("{} lag {}{trend}", row.name, text::scaled(lag as f64))
}

fn is_rebalancing(row: &GroupRow) -> bool {
    ["PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling"].contains(&row.state.as_str())
}
