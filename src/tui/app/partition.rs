//! What partitions look like in every table that shows them.

use unicode_width::UnicodeWidthStr;

pub use crate::model::row::partition::{Badge, Badges, PartitionRow};
use crate::model::topic::Role;

use super::field::{Field, Tone};
use super::table::Column;

/// Every badge worth a look counts; the first is the worst.
pub fn badness(badges: Badges) -> u64 {
    let weigh = |badge: Badge| match badge {
        Badge::Offline => 100_000,
        Badge::UnderMinIsr => 10_000,
        Badge::AtMinIsr => 1_000,
        Badge::UnderReplicated => 100,
        Badge::RackViolation => 20,
        Badge::MinIsrIsRf | Badge::LowReplication => 10,
        Badge::MinIsrOne | Badge::LeaderNotPreferred | Badge::Reassigning => 0,
    };
    badges.iter().map(weigh).sum()
}

/// The badges as short words, worst first: `▲ at min ISR · leader`.
pub fn badges(badges: Badges) -> Field {
    worded(badges, |_| String::new())
}

/// Of replication trouble only the worst is said, with how many: `✖ 2 under min ISR · rack`.
pub fn worded(badges: Badges, count: impl Fn(Badge) -> String) -> Field {
    const REPLICATION: [Badge; 4] = [
        Badge::Offline,
        Badge::UnderMinIsr,
        Badge::AtMinIsr,
        Badge::UnderReplicated,
    ];
    let worst = REPLICATION.into_iter().find(|badge| badges.contains(*badge));
    let told = badges
        .iter()
        .filter(|badge| !REPLICATION.contains(badge) || Some(*badge) == worst);
    let word = |badge: Badge| match badge {
        Badge::Offline => "offline",
        Badge::UnderMinIsr => "under min ISR",
        Badge::AtMinIsr => "at min ISR",
        Badge::UnderReplicated => "URP",
        Badge::RackViolation => "rack",
        Badge::MinIsrIsRf => "min ISR=RF",
        Badge::LowReplication => "RF<3",
        Badge::MinIsrOne => "min ISR 1",
        Badge::LeaderNotPreferred => "leader",
        Badge::Reassigning => "moving",
    };
    let words: Vec<String> = told.map(|badge| format!("{}{}", count(badge), word(badge))).collect();
    let (glyph, tone) = match badges.first() {
        None => return Field::default(),
        Some(Badge::Offline | Badge::UnderMinIsr) => ("✖ ", Tone::Error),
        Some(Badge::AtMinIsr | Badge::UnderReplicated | Badge::RackViolation) => ("▲ ", Tone::Warn),
        Some(Badge::MinIsrIsRf | Badge::LowReplication) => ("▲ ", Tone::Plain),
        Some(Badge::MinIsrOne | Badge::LeaderNotPreferred | Badge::Reassigning) => ("", Tone::Muted),
    };
    Field::new(format!("{glyph}{}", words.join(" · "))).tone(tone)
}

/// The column of such words: it shrinks as far as the worst of each row still stands whole, and no further.
pub fn faults<'a>(fields: impl Iterator<Item = &'a Field>) -> Column {
    const MOST: u16 = 28;
    let worst = fields.map(|field| match field.text.split_once(" · ") {
        // An ellipsis stands for the others.
        Some((first, _)) => first.width() + 1,
        None => field.text.width(),
    });
    let least = worst.max().unwrap_or(0).min(usize::from(MOST)) as u16;
    Column::new("faults", "faults", 1).width(least.clamp(6, MOST), MOST)
}

/// `2/3`: in sync of all.
pub fn isr(part: &PartitionRow<'_>) -> Field {
    let (in_sync, all) = (part.isr.len(), part.replicas.len());
    let tone = if in_sync < all { Tone::Warn } else { Tone::Plain };
    Field::new(format!("{in_sync}/{all}")).number(in_sync as f64).tone(tone)
}

/// A matrix cell.
pub fn role_as_glyph(role: Role) -> Field {
    match role {
        Role::Leader => Field::new("L").tone(Tone::Title),
        Role::InSync => Field::new("●").tone(Tone::Ok),
        Role::OutOfSync => Field::new("○").tone(Tone::Error),
        Role::Adding => Field::new("+").tone(Tone::Accent),
        Role::Removing => Field::new("-").tone(Tone::Warn),
    }
}

pub fn role_in_words(role: Role) -> Field {
    let word = match role {
        Role::Leader => "leader",
        Role::InSync => "in sync",
        Role::OutOfSync => "out of sync",
        Role::Adding => "adding",
        Role::Removing => "removing",
    };
    let glyph = role_as_glyph(role);
    Field::new(format!("{} {word}", glyph.text)).tone(glyph.tone)
}

/// `+6%`: how far from a fair share.
pub fn skew(percent: f64) -> String {
    match percent.abs() < 0.5 {
        true => "0%".to_owned(),
        false => format!("{percent:+.0}%"),
    }
}

/// Who holds it, in the order of preference.
pub fn notes(part: &PartitionRow<'_>) -> Vec<String> {
    let ids = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
    let mut notes = vec![format!("replicas {} · in sync {}", ids(&part.replicas), ids(&part.isr))];
    if !part.adding().is_empty() || !part.removing().is_empty() {
        notes.push(format!(
            "adding {} · removing {}",
            ids(part.adding()),
            ids(part.removing())
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_fault_of_each_row_stands_whole() {
        let least = |texts: &[&str]| {
            let fields: Vec<Field> = texts.iter().map(|text| Field::new(*text)).collect();
            faults(fields.iter()).min
        };
        assert_eq!(least(&["", ""]), 6, "as wide as its title");
        assert_eq!(least(&["▲ 12 at min ISR", "▲ 1 URP"]), 15);
        assert_eq!(
            least(&["▲ 12 at min ISR · 4 leader"]),
            16,
            "with an ellipsis for the rest"
        );
        assert_eq!(least(&["✖ 100000000 under min ISR of a topic"]), 28);
    }
}
