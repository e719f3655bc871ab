//! The controller quorum in one line.

use super::{Line, Name, unknown};
use crate::check::{Evidence, Facts, cause, text};
use crate::plan::gate::Verdict;

pub(super) fn line(facts: &Facts<'_>) -> Line {
    let section = &facts.snapshot.quorum;
    let found = cause::of_quorum(facts);
    let line =
        |verdict, text: String| Line::new(Name::Quorum, verdict, text, "DescribeQuorum").at(Evidence::list("quorum"));
    if let Some(first) = found.first() {
        return line(first.verdict, first.text.clone()).since(first.since);
    }
    match (section.is_fresh(), section.get()) {
        (true, Some(quorum)) => {
            let leader = quorum.leader.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let spare = quorum.voters.len().saturating_sub(1) / 2;
            let voters = match quorum.voters.len() {
                1 => "1 voter, no spare".to_owned(),
                all => format!("{}, level, {spare} may be lost", text::plural(all, "voter")),
            };
            line(
                Verdict::Pass,
                format!("leader {leader}, epoch {} · {voters}", quorum.leader_epoch),
            )
        }
        _ => line(Verdict::Unknown, "?".to_owned()).why(Some(unknown(section))),
    }
}
