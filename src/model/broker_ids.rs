//! A short list of brokers, such as the replicas of a partition: a wide cluster has hundreds of thousands of them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::BrokerId;

/// Brokers in an order that means something. Three, as most partitions have, take no room beside the list itself.
#[derive(Clone)]
pub struct BrokerIds(Repr);

#[derive(Clone)]
enum Repr {
    Few {
        count: u8,
        ids: [BrokerId; BrokerIds::FEW],
    },
    /// Thin, so that a list is no larger for those that are long.
    Many(Arc<Vec<BrokerId>>),
}

impl BrokerIds {
    const FEW: usize = 3;

    pub fn as_slice(&self) -> &[BrokerId] {
        match &self.0 {
            Repr::Few { count, ids } => &ids[..usize::from(*count)],
            Repr::Many(ids) => ids,
        }
    }
}

#[cfg(test)]
impl BrokerIds {
    pub fn retain(&mut self, keep: impl Fn(&BrokerId) -> bool) {
        *self = self.iter().copied().filter(keep).collect();
    }

    pub fn truncate(&mut self, count: usize) {
        *self = self.iter().copied().take(count).collect();
    }
}

impl Default for BrokerIds {
    fn default() -> Self {
        Self::from(&[][..])
    }
}

impl From<&[BrokerId]> for BrokerIds {
    fn from(list: &[BrokerId]) -> Self {
        let mut ids = [0; Self::FEW];
        match (ids.get_mut(..list.len()), u8::try_from(list.len())) {
            (Some(room), Ok(count)) => {
                room.copy_from_slice(list);
                Self(Repr::Few { count, ids })
            }
            _ => Self(Repr::Many(Arc::new(list.to_vec()))),
        }
    }
}

impl From<Vec<BrokerId>> for BrokerIds {
    fn from(list: Vec<BrokerId>) -> Self {
        Self::from(list.as_slice())
    }
}

impl<const COUNT: usize> From<[BrokerId; COUNT]> for BrokerIds {
    fn from(list: [BrokerId; COUNT]) -> Self {
        Self::from(list.as_slice())
    }
}

impl FromIterator<BrokerId> for BrokerIds {
    fn from_iter<I: IntoIterator<Item = BrokerId>>(ids: I) -> Self {
        ids.into_iter().collect::<Vec<_>>().into()
    }
}

impl Serialize for BrokerIds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BrokerIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

impl Deref for BrokerIds {
    type Target = [BrokerId];

    fn deref(&self) -> &[BrokerId] {
        self.as_slice()
    }
}

impl<'a> IntoIterator for &'a BrokerIds {
    type Item = &'a BrokerId;
    type IntoIter = std::slice::Iter<'a, BrokerId>;

    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter()
    }
}

impl PartialEq for BrokerIds {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for BrokerIds {}

impl PartialEq<Vec<BrokerId>> for BrokerIds {
    fn eq(&self, other: &Vec<BrokerId>) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<const COUNT: usize> PartialEq<[BrokerId; COUNT]> for BrokerIds {
    fn eq(&self, other: &[BrokerId; COUNT]) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl fmt::Debug for BrokerIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_any_length_is_what_it_was_made_of() {
        for length in 0..9 {
            let ids: Vec<BrokerId> = (1..=length).rev().collect();
            let list = BrokerIds::from(ids.as_slice());
            assert_eq!(list.as_slice(), ids);
            assert_eq!((list.len(), &list), (ids.len(), &list.clone()));
            assert_eq!(format!("{list:?}"), format!("{ids:?}"));
        }
        assert_ne!(BrokerIds::from(&[1, 2][..]), BrokerIds::from(&[2, 1][..]));
        assert_ne!(BrokerIds::from(&[1, 2, 3][..]), BrokerIds::from(&[1, 2, 3, 4][..]));
    }

    #[test]
    fn three_replicas_take_two_words() {
        assert_eq!(size_of::<BrokerIds>(), 16);
    }
}
