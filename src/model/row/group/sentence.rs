//! A group's story for the people whose records these are: who, how many, how old, until when, and on what assumption.

use super::part::leader_bytes;
use super::{GroupPartition, GroupRow, Safe};
use crate::model::Moment;
use crate::model::snapshot::Snapshot;

/// One sentence or two, with every time in UTC.
pub fn sentence(snapshot: &Snapshot, group: &GroupRow, now: Moment) -> String {
    let at = now.strftime("%Y-%m-%d %H:%M UTC");
    let Some(lag) = group.lag_records.value else {
        let why = group.lag_records.reason.as_deref().unwrap_or("nobody told");
        return format!(
            "At {at} it is not known how many records consumer group {} has not read: {why}.",
            group.name
        );
    };
    if lag == 0 {
        return format!("At {at} consumer group {} has read every record.", group.name);
    }
    let bytes =
        unread_bytes(snapshot, group, now).map_or_else(String::new, |bytes| format!(" (about {})", size(bytes)));
    let behind = group.behind.value.map_or_else(String::new, |behind| {
        format!(", the oldest of them written {} ago", span(behind.seconds))
    });
    let unread = format!(
        "At {at} consumer group {} has not read {} records{bytes}{behind}.",
        group.name,
        thousands(lag)
    );
    let kept = match group.safe.value {
        Some(Safe::Losing) => format!(
            " {} records were already deleted unread, and more will follow.",
            thousands(group.lost_records)
        ),
        Some(Safe::Until(until)) => format!(
            " They are kept until {} at the earliest, assuming that retention and the rate of writing stay as they are.",
            until.strftime("%Y-%m-%d %H:%M UTC")
        ),
        Some(Safe::Forever) => " No limit of time or size deletes them.".to_owned(),
        Some(Safe::Compacted) => " The topic is compacted: the last record of each key is kept.".to_owned(),
        Some(Safe::Read) => String::new(),
        None => " How long they are kept is not known.".to_owned(),
    };
    unread + &kept
}

/// As many bytes as the records of these partitions have on average; `None` where a size was not told.
fn unread_bytes(snapshot: &Snapshot, group: &GroupRow, now: Moment) -> Option<f64> {
    let of = |part: GroupPartition| -> Option<f64> {
        let bytes = leader_bytes(snapshot, &part.topic, part.partition)?;
        let records = (part.end.value? - part.start.value?).max(1);
        Some(bytes as f64 / records as f64 * part.lag_records.value? as f64)
    };
    let parts = group.parts(snapshot, now).into_iter();
    parts.filter(|part| part.lag_records.value > Some(0)).map(of).sum()
}

fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1e6 => format!("{:.0} kB", (bytes / 1e3).max(1.0)),
        bytes if bytes < 1e9 => format!("{:.0} MB", bytes / 1e6),
        bytes => format!("{:.1} GB", bytes / 1e9),
    }
}

fn span(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as i64;
    match minutes {
        ..1 => "less than a minute".to_owned(),
        1 => "a minute".to_owned(),
        2..120 => format!("{minutes} minutes"),
        120..2880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}
