//! The fullest disk, and the one that is full first.

use super::{Line, Name};
use crate::check::{Evidence, Facts, cause, text};
use crate::model::logdir::LogDir;
use crate::model::{BrokerId, Observed};
use crate::plan::gate::Verdict;

pub(super) fn line(facts: &Facts<'_>) -> Line {
    let sections = &facts.snapshot.logdirs;
    let dirs = || {
        sections
            .iter()
            .filter(|(_, section)| section.is_fresh())
            .flat_map(|(id, section)| section.get().into_iter().flatten().map(move |dir| (*id, dir)))
    };
    let rank = |dir: &LogDir| match cause::disk_verdict(dir) {
        Verdict::Fail => 2,
        Verdict::Warn => 1,
        Verdict::Pass | Verdict::Unknown => 0,
    };
    let worst = dirs().max_by(|one, other| {
        let used = |dir: &LogDir| dir.used_percent().unwrap_or(-1.0);
        (one.1.error.is_some(), rank(one.1))
            .cmp(&(other.1.error.is_some(), rank(other.1)))
            .then(used(one.1).total_cmp(&used(other.1)))
    });
    let silent: Vec<&BrokerId> = sections
        .iter()
        .filter(|(_, section)| !section.is_fresh())
        .map(|(id, _)| id)
        .collect();
    let Some((id, dir)) = worst else {
        let why = sections
            .values()
            .find_map(Observed::problem)
            .unwrap_or_else(|| "no broker was asked yet".to_owned());
        return Line::new(Name::Disk, Verdict::Unknown, "?", "DescribeLogDirs")
            .why(Some(why))
            .at(Evidence::list("broker"));
    };
    let mut text = match (&dir.error, dir.used_percent()) {
        (Some(error), _) => format!("broker {id} {} offline: {error}", dir.path),
        (None, Some(used)) => format!("worst broker {id} {} {}", dir.path, text::percent(used)),
        (None, None) => "sizes ? (told from Kafka 3.3 on)".to_owned(),
    };
    if let Some(seconds) = dir.full_in_seconds().filter(|seconds| *seconds < 365.0 * 86_400.0) {
        text.push_str(&format!(", full in {}", text::span(seconds)));
    }
    let first = dirs()
        .filter(|(other, _)| *other != id)
        .filter_map(|(other, dir)| Some((other, dir.full_in_seconds()?)));
    if let Some((other, seconds)) = first.min_by(|a, b| a.1.total_cmp(&b.1))
        && dir.full_in_seconds().is_none_or(|own| seconds < own)
        && seconds < 7.0 * 86_400.0
    {
        text.push_str(&format!(" · broker {other} full in {}", text::span(seconds)));
    }
    let why = silent.first().map(|first| match silent.len() {
        1 => format!("broker {first} did not tell"),
        many => format!("{many} of {} brokers did not tell, first {first}", sections.len()),
    });
    let unknown = dir.error.is_none() && dir.used_percent().is_none();
    let verdict = if unknown {
        Verdict::Unknown
    } else {
        cause::disk_verdict(dir)
    };
    Line::new(Name::Disk, verdict, text, "DescribeLogDirs")
        .why(why)
        .at(Evidence::of("broker", id))
}
