//! Commits that stand although there is more to read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Moment;
use crate::model::name::Name;

/// A committed offset that has not moved although there were records to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub offset: i64,
    pub since: Moment,
    /// Where the log ended then; what lies beyond it came since.
    #[serde(default)]
    pub end: i64,
}

/// Those of one group: a flat list, as most groups stand in few partitions. In files it is a map of topics, each a map of
/// partitions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standings {
    /// Sorted by topic and partition.
    all: Vec<(Name, i32, Standing)>,
}

impl Standings {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn get(&self, topic: &str, partition: i32) -> Option<Standing> {
        let of = |(name, own, _): &(Name, i32, Standing)| name.as_str().cmp(topic).then(own.cmp(&partition));
        let place = self.all.binary_search_by(of).ok()?;
        Some(self.all[place].2)
    }
}

/// Each partition once.
impl FromIterator<(Name, i32, Standing)> for Standings {
    fn from_iter<I: IntoIterator<Item = (Name, i32, Standing)>>(all: I) -> Self {
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by(|(one, at, _), (other, place, _)| (one, at).cmp(&(other, place)));
        all.shrink_to_fit();
        Self { all }
    }
}

/// Those of one topic as a map.
struct Partitions<'a>(&'a [(Name, i32, Standing)]);

impl Serialize for Partitions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(_, partition, standing)| (partition, standing)))
    }
}

impl Serialize for Standings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let by_topic: Vec<_> = self.all.chunk_by(|(one, ..), (other, ..)| one == other).collect();
        let named = by_topic
            .into_iter()
            .filter_map(|own| Some((&own.first()?.0, Partitions(own))));
        serializer.collect_map(named.collect::<Vec<_>>())
    }
}

impl<'de> Deserialize<'de> for Standings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let topics = BTreeMap::<Name, BTreeMap<i32, Standing>>::deserialize(deserializer)?;
        let all = topics.into_iter().flat_map(|(topic, standing)| {
            let of_topic = standing.into_iter();
            of_topic.map(move |(partition, standing)| (topic.clone(), partition, standing))
        });
        Ok(all.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_again_and_kept_as_a_map_of_maps() {
        let standing = |offset| Standing {
            offset,
            since: Moment::from_second(1_800_000_000).unwrap(),
            end: offset + 5,
        };
        let told = [("stock", 2, 7), ("orders", 10, 3), ("orders", 0, 1)];
        let all: Standings = told
            .into_iter()
            .map(|(topic, partition, offset)| (Name::from(topic), partition, standing(offset)))
            .collect();
        for (topic, partition, offset) in told {
            assert_eq!(all.get(topic, partition), Some(standing(offset)));
        }
        assert_eq!((all.get("orders", 2), all.get("billing", 0)), (None, None));
        let text = serde_json::to_value(&all).unwrap();
        assert_eq!(text["orders"]["10"]["end"], 8);
        assert_eq!(serde_json::from_value::<Standings>(text).unwrap(), all);
    }
}
