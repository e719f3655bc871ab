//! Numbers and lists in sentences.

use std::collections::BTreeSet;

use crate::model::{BrokerId, Trouble};

/// The two largest units of a span of seconds: `9 d`, `3 h 40 m`, `41 m`, `12 s`.
pub fn span(seconds: f64) -> String {
    match seconds.max(0.0) as i64 {
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} m", s / 60),
        s if s < 10 * 3600 && s % 3600 >= 60 => format!("{} h {} m", s / 3600, s % 3600 / 60),
        s if s < 48 * 3600 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// An age in steps so coarse that a line that says it stays still.
pub fn age(seconds: i64) -> String {
    const STEPS: [i64; 9] = [10, 30, 60, 120, 300, 600, 1200, 1800, 3600];
    match STEPS.iter().rev().find(|step| seconds >= **step) {
        None => "<10 s".to_owned(),
        Some(3600) => span(seconds as f64),
        Some(step) => span(*step as f64),
    }
}

/// `980`, `12.3 k`, `1.9 M`.
pub fn scaled(number: f64) -> String {
    const UNITS: [&str; 5] = ["", " k", " M", " G", " T"];
    let (mut value, mut unit) = (number.abs(), 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let sign = if number < 0.0 { "-" } else { "" };
    match unit {
        0 => format!("{sign}{value:.0}"),
        _ if value < 99.95 => format!("{sign}{value:.1}{}", UNITS[unit]),
        _ => format!("{sign}{value:.0}{}", UNITS[unit]),
    }
}

pub fn percent(percent: f64) -> String {
    match percent {
        p if p > 0.0 && p < 0.5 => "<1 %".to_owned(),
        p => format!("{p:.0} %"),
    }
}

/// `1 partition`, `2 partitions`.
pub fn plural(number: usize, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {one}{s}")
}

/// `1, 2, 5` of any ids.
pub fn ids(ids: &BTreeSet<BrokerId>) -> String {
    ids.iter().map(BrokerId::to_string).collect::<Vec<_>>().join(", ")
}

/// `broker 4`, `brokers 3, 4`.
pub fn brokers(set: &BTreeSet<BrokerId>) -> String {
    let s = if set.len() == 1 { "" } else { "s" };
    format!("broker{s} {}", ids(set))
}

/// The words for a failing source; they lead to different steps and are never mixed.
pub fn trouble(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable => "unreachable",
        Trouble::TimedOut => "timed out",
        Trouble::Denied => "denied",
        Trouble::Throttled => "throttled",
        Trouble::Expired => "credentials expired",
        Trouble::Unsupported => "unsupported",
        Trouble::Refused => "refused",
    }
}

/// The middle of some numbers; `None` without any.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        n if n % 2 == 1 => Some(numbers[middle]),
        _ => Some((numbers[middle - 1] + numbers[middle]) / 2.0),
    }
}
