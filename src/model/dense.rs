//! Maps of all topics without room that they do not need.

use std::collections::BTreeMap;

/// Builds the map anew in one go: keys that came one by one in their order leave every node half empty.
pub fn dense<K: Ord, V>(map: &mut BTreeMap<K, V>) {
    *map = std::mem::take(map).into_iter().collect();
}
