//! What is wrong with a partition, in words that everybody uses for it.

use serde::{Deserialize, Serialize, Serializer};

/// A fault or a weakness of a partition, worst first.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Badge {
    /// No leader: nobody writes or reads.
    Offline,
    /// Fewer in sync than `min.insync.replicas`: acks=all is refused.
    UnderMinIsr,
    /// One more loss refuses acks=all; not raised where RF equals min ISR and all are in sync.
    AtMinIsr,
    UnderReplicated,
    /// Fewer racks than replicas and racks would allow.
    RackViolation,
    /// `min.insync.replicas` is not below RF: one loss stops writes.
    MinIsrIsRf,
    /// RF below 3.
    LowReplication,
    /// `min.insync.replicas` is 1: what a leader alone has acknowledged is lost with it.
    MinIsrOne,
    LeaderNotPreferred,
    Reassigning,
}

/// The badges of one thing; a bit each, because a wide cluster has hundreds of thousands of such sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Badges(u16);

impl Badges {
    pub fn insert(&mut self, badge: Badge) {
        self.0 |= 1 << badge as u16;
    }

    pub fn contains(self, badge: Badge) -> bool {
        self.0 & (1 << badge as u16) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn is_disjoint(self, other: Self) -> bool {
        self.0 & other.0 == 0
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Worst first.
    pub fn iter(self) -> impl Iterator<Item = Badge> {
        let all = <Badge as strum::VariantArray>::VARIANTS.iter().copied();
        all.filter(move |badge| self.contains(*badge))
    }

    /// The worst.
    pub fn first(self) -> Option<Badge> {
        self.iter().next()
    }
}

impl FromIterator<Badge> for Badges {
    fn from_iter<I: IntoIterator<Item = Badge>>(badges: I) -> Self {
        let mut set = Self::default();
        badges.into_iter().for_each(|badge| set.insert(badge));
        set
    }
}

/// As a list of words.
impl Serialize for Badges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_the_worst_first_and_is_words_in_json() {
        let badges: Badges = [Badge::Reassigning, Badge::Offline, Badge::Reassigning]
            .into_iter()
            .collect();
        assert_eq!(badges.first(), Some(Badge::Offline));
        assert!(badges.contains(Badge::Reassigning) && !badges.contains(Badge::UnderMinIsr));
        assert_eq!(serde_json::to_string(&badges).unwrap(), r#"["offline","reassigning"]"#);
        assert!(Badges::default().is_empty() && Badges::default().is_disjoint(badges));
    }
}
