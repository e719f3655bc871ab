//! How far a mirror is behind what it copies: the newest record of each partition on either side. MirrorMaker 2 keeps partitions and
//! timestamps, and no offsets.

use std::collections::BTreeMap;

/// The timestamp of the newest record of a partition, in ms; `None` of one without any.
pub type Newest = BTreeMap<(String, i32), Option<i64>>;

/// How a mirror stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirror {
    /// Partitions that are copied.
    pub partitions: usize,
    /// Of the partition that is the farthest behind, in ms; 0 where none is.
    pub behind_ms: i64,
    /// That partition, by its name at the source.
    pub worst: Option<String>,
    /// What has no counterpart, or nothing in it though the source has.
    pub missing: Vec<String>,
}

/// Compares them. `prefix` is what the mirror puts in front of names: `primary.` by MirrorMaker's default policy, nothing by its
/// identity policy.
pub fn compared(source: &Newest, mirror: &Newest, prefix: &str) -> Mirror {
    let mut told = Mirror::default();
    for ((topic, partition), newest) in source {
        told.partitions += 1;
        let Some(newest) = newest else { continue };
        let copy = mirror.get(&(format!("{prefix}{topic}"), *partition));
        match copy {
            None => told
                .missing
                .push(format!("{topic}-{partition} (no {prefix}{topic}-{partition})")),
            Some(None) => told.missing.push(format!("{topic}-{partition} (nothing copied)")),
            Some(Some(copied)) => {
                let behind = (newest - copied).max(0);
                if behind > told.behind_ms {
                    told.behind_ms = behind;
                    told.worst = Some(format!("{topic}-{partition}"));
                }
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(all: &[(&str, i32, Option<i64>)]) -> Newest {
        all.iter()
            .map(|(topic, partition, at)| (((*topic).to_owned(), *partition), *at))
            .collect()
    }

    #[test]
    fn the_farthest_behind_counts_and_what_is_not_there_is_named() {
        let source = newest(&[
            ("a", 0, Some(5000)),
            ("a", 1, Some(5000)),
            ("b", 0, None),
            ("c", 0, Some(1)),
        ]);
        let mirror = newest(&[("p.a", 0, Some(4000)), ("p.a", 1, None)]);
        let told = compared(&source, &mirror, "p.");
        assert_eq!((told.partitions, told.behind_ms), (4, 1000));
        assert_eq!(told.worst.as_deref(), Some("a-0"));
        assert_eq!(told.missing, ["a-1 (nothing copied)", "c-0 (no p.c-0)"]);
        // A mirror that got more since the source was asked is not behind.
        let ahead = compared(&newest(&[("a", 0, Some(1))]), &newest(&[("a", 0, Some(2))]), "");
        assert_eq!((ahead.behind_ms, ahead.missing.len()), (0, 0));
    }
}
