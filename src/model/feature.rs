//! Features of a cluster: levels that brokers can speak, and the level that is finalized for all of them (KIP-584, KIP-1022).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BrokerId;

/// The feature that stands for the release of the cluster.
pub const METADATA_VERSION: &str = "metadata.version";

/// What one broker tells: levels that it speaks, and what it knows to be finalized.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Least and highest level by feature.
    pub speaks: BTreeMap<String, (i16, i16)>,
    pub finalized: BTreeMap<String, i16>,
    /// The release of the broker's software.
    pub release: Option<String>,
}

/// What all of them tell, or why one does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    pub brokers: BTreeMap<BrokerId, Result<Told, String>>,
}

/// One feature of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    pub name: String,
    /// 0 is off.
    pub finalized: i16,
    /// What every broker that answers speaks; `None` where two have nothing in common.
    pub common: Option<(i16, i16)>,
    /// Of the broker that speaks the least: why no more can be finalized.
    pub least: Option<(BrokerId, i16)>,
}

impl Features {
    /// Every feature that a broker speaks or that is finalized, by name.
    pub fn all(&self) -> Vec<Feature> {
        let told = || self.brokers.values().filter_map(|told| told.as_ref().ok());
        let mut names: Vec<&String> = told()
            .flat_map(|told| told.speaks.keys().chain(told.finalized.keys()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| self.one(name)).collect()
    }

    fn one(&self, name: &str) -> Feature {
        let told = || {
            self.brokers
                .iter()
                .filter_map(|(id, told)| Some((*id, told.as_ref().ok()?)))
        };
        // A feature that a broker does not name it can only have off.
        let ranges: Vec<(BrokerId, (i16, i16))> = told()
            .map(|(id, told)| (id, told.speaks.get(name).copied().unwrap_or((0, 0))))
            .collect();
        let low = ranges.iter().map(|(_, (min, _))| *min).max();
        let high = ranges.iter().map(|(_, (_, max))| *max).min();
        Feature {
            name: name.to_owned(),
            // Brokers learn of it one after the other; the newest is what was finalized.
            finalized: told()
                .filter_map(|(_, told)| told.finalized.get(name))
                .copied()
                .max()
                .unwrap_or(0),
            common: low.zip(high).filter(|(low, high)| low <= high),
            least: ranges
                .iter()
                .min_by_key(|(_, (_, max))| *max)
                .map(|(id, (_, max))| (*id, *max)),
        }
    }

    pub fn named(&self, name: &str) -> Option<Feature> {
        self.all().into_iter().find(|feature| feature.name == name)
    }

    /// Brokers that did not tell, and why.
    pub fn silent(&self) -> impl Iterator<Item = (BrokerId, &str)> {
        self.brokers
            .iter()
            .filter_map(|(id, told)| Some((*id, told.as_ref().err()?.as_str())))
    }
}

impl Feature {
    /// The highest level that could be finalized now.
    pub fn highest(&self) -> Option<i16> {
        self.common.map(|(_, high)| high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(speaks: (i16, i16), finalized: i16) -> Result<Told, String> {
        Ok(Told {
            speaks: BTreeMap::from([("f".to_owned(), speaks)]),
            finalized: BTreeMap::from([("f".to_owned(), finalized)]),
            release: None,
        })
    }

    #[test]
    fn what_all_speak_is_what_can_be_finalized() {
        let brokers = [(1, told((1, 3), 1)), (2, told((2, 5), 2)), (3, Err("down".to_owned()))];
        let features = Features {
            brokers: brokers.into_iter().collect(),
        };
        let feature = features.named("f").unwrap();
        assert_eq!(
            (feature.finalized, feature.common, feature.least),
            (2, Some((2, 3)), Some((1, 3)))
        );
        assert_eq!(features.silent().collect::<Vec<_>>(), [(3, "down")]);
        let apart = Features {
            brokers: [(1, told((1, 1), 1)), (2, told((2, 5), 1))].into_iter().collect(),
        };
        assert_eq!(apart.named("f").unwrap().highest(), None);
        // A broker that does not know it can only have it off.
        let odd = Features {
            brokers: [(1, told((0, 4), 1)), (2, Ok(Told::default()))].into_iter().collect(),
        };
        assert_eq!(odd.named("f").unwrap().highest(), Some(0));
    }
}
