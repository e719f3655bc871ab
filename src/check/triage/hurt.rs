//! Who is hurt: topics that refuse writes, groups that are behind or rebalance, in the words of their lag rows. Whose records
//! are deleted first is told first, then who is furthest behind in time.

use std::collections::BTreeSet;

use super::headline::refusing;
use super::{Line, Name, unknown};
use crate::check::{Cause, Evidence, Facts, Kind, text};
use crate::model::Moment;
use crate::model::history::Basis;
use crate::model::row::group::{self, BehindBasis, Drain, GroupRow, Safe};
use crate::model::row::partition::Badge;
use crate::plan::gate::Verdict;

/// Groups told in the line.
const TOLD: usize = 3;
/// Records and seconds; a group that is less behind than both is told only when nobody else is.
const FEW: i64 = 1_000;
const SOON_SECONDS: f64 = 60.0;

pub(super) fn line(facts: &Facts<'_>, causes: &[Cause]) -> Line {
    let refused: BTreeSet<&str> = facts
        .rows
        .partitions
        .iter()
        .filter(|row| row.badges().contains(Badge::Offline) || row.badges().contains(Badge::UnderMinIsr))
        .map(|row| row.topic())
        .collect();
    let refusal = match refused.is_empty() {
        true => None,
        false if facts.count(Badge::Offline) > 0 => Some(Verdict::Fail),
        false => Some(refusing(facts)),
    };
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
        let verdict = refusal.unwrap_or(Verdict::Unknown);
        return Line::new(Name::Hurt, verdict, clauses.join(" · "), "OffsetFetch")
            .why(Some(unknown(&facts.snapshot.groups)))
            .at(Evidence::list("group"));
    }
    let mut behind: Vec<&GroupRow> = facts.rows.groups.iter().filter(|row| lag(row) > 0).collect();
    behind.sort_by(|one, other| worst_first(one, other));
    let far = behind.iter().filter(|row| is_hurt(row));
    clauses.extend(far.take(TOLD).map(|row| group(row, facts.now)));
    let rebalancing = facts.rows.groups.iter().filter(|row| is_rebalancing(row)).count();
    if rebalancing > 0 {
        clauses.push(format!("{} rebalancing", text::plural(rebalancing, "group")));
    }
    if clauses.is_empty() {
        clauses.push(match behind.iter().max_by_key(|row| lag(row)) {
            Some(row) => format!(
                "nobody · furthest behind {} {}",
                row.name,
                text::scaled(lag(row) as f64)
            ),
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
    let verdict = match (refusal, stuck) {
        (Some(refusal), _) => refusal,
        (None, Some(cause)) => cause.verdict,
        (None, None) => Verdict::Pass,
    };
    let evidence = match behind.first() {
        Some(row) => Evidence::of("group", &row.name),
        None => Evidence::list("group"),
    };
    Line::new(Name::Hurt, verdict, clauses.join(" · "), "OffsetFetch, ListOffsets")
        .why(why)
        .at(stuck.map_or(evidence, |cause| cause.evidence.clone()))
}

fn lag(row: &GroupRow) -> i64 {
    row.lag_records.value.unwrap_or(0)
}

/// Somebody waits for its records: it has members, or was seen to lose them; and it is not just about to read them.
fn is_hurt(row: &GroupRow) -> bool {
    let left =
        row.cause == Some(group::Cause::NoMembers) && row.since.is_some_and(|since| since.basis == Basis::Recorded);
    let late = row.behind.value.is_some_and(|behind| behind.seconds >= SOON_SECONDS);
    let stuck = row.stopped_since.is_some() || row.cause.is_some();
    (row.members > 0 || left) && (lag(row) >= FEW || late || stuck || row.safe.value == Some(Safe::Losing))
}

/// By *safe until*, then by time behind, then by records.
fn worst_first(one: &GroupRow, other: &GroupRow) -> std::cmp::Ordering {
    let safe = |row: &GroupRow| match row.safe.value {
        Some(safe @ (Safe::Losing | Safe::Until(_))) => (0, Some(safe)),
        None => (1, None),
        Some(_) => (2, None),
    };
    let behind = |row: &GroupRow| row.behind.value.map_or(0.0, |behind| behind.seconds);
    safe(one)
        .cmp(&safe(other))
        .then_with(|| behind(other).total_cmp(&behind(one)))
        .then_with(|| lag(other).cmp(&lag(one)))
}

/// `billing lag 1.9 M ▲ 3.1 k/s, 14 m behind, never drains, safe until 00:44Z (3 h 40 m), slow (6 partitions not moving)`.
fn group(row: &GroupRow, now: Moment) -> String {
    let trend = match row.lag_change.value {
        Some(slope) if slope >= 1.0 => format!(" ▲ {}/s", text::scaled(slope)),
        Some(slope) if slope <= -1.0 => format!(" ▼ {}/s", text::scaled(-slope)),
        _ => String::new(),
    };
    let mut words = vec![format!("{} lag {}{trend}", row.name, text::scaled(lag(row) as f64))];
    words.push(match row.behind.value {
        Some(behind) => {
            let about = match behind.basis {
                BehindBasis::Sampled | BehindBasis::Timestamps => "",
                BehindBasis::AtLeast => ">",
                BehindBasis::Rate => "~",
            };
            format!("{about}{} behind", text::span(behind.seconds))
        }
        None => "? behind".to_owned(),
    });
    words.push(match row.drains.value {
        Some(Drain::InSeconds(seconds)) => format!("drains in {}", text::span(seconds)),
        Some(Drain::Never) => "never drains".to_owned(),
        Some(Drain::Steady | Drain::Done) => "steady".to_owned(),
        None => "drains in ?".to_owned(),
    });
    words.push(match row.safe.value {
        Some(Safe::Losing) => format!(
            "already losing ({} deleted unread)",
            text::scaled(row.lost_records as f64)
        ),
        Some(Safe::Until(until)) => {
            let left = until.duration_since(now).as_secs_f64();
            format!("safe until {} ({})", clock(until, now), text::span(left))
        }
        Some(Safe::Forever) => "kept forever".to_owned(),
        Some(Safe::Compacted) => "compacted".to_owned(),
        Some(Safe::Read) | None => "safe until ?".to_owned(),
    });
    if let Some(cause) = &row.cause {
        words.push(cause.to_string());
    }
    words.join(", ")
}

/// `00:44Z`, with its day where it is not within the next.
fn clock(at: Moment, now: Moment) -> String {
    let format = match at.duration_since(now).as_hours() {
        ..24 => "%H:%MZ",
        _ => "%d %b %H:%MZ",
    };
    at.strftime(format).to_string()
}

fn is_rebalancing(row: &GroupRow) -> bool {
    ["PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling"].contains(&row.state.as_str())
}
