//! What MirrorMaker 2 leaves in clusters of how far it is: heartbeats, offset syncs and checkpoints (KIP-382).
//!
//! Their records are Kafka's own protocol types: a string is a length of two bytes and UTF-8, integers are big endian. The
//! values of heartbeats and checkpoints begin with a version of two bytes, which is 0.

use std::collections::BTreeMap;

use super::Moment;
use super::record::Record;

/// Where a remote topic has a name of its own, it is the source's alias, this, and the topic's name
/// (`DefaultReplicationPolicy`, `replication.policy.separator`).
const SEPARATOR: &str = ".";
const HEARTBEATS: &str = "heartbeats";
const CHECKPOINTS: &str = ".checkpoints.internal";
const SYNCS: &str = "mm2-offset-syncs.";
const SYNCS_END: &str = ".internal";

/// A topic of MirrorMaker 2, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Own {
    /// Where a cluster tells that it is there; its mirror copies it like any topic.
    Heartbeats,
    /// The copy of another cluster's heartbeats: how old its last record is, is how far the mirror is behind.
    RemoteHeartbeats { source: String },
    /// Where groups of the source would go on in this cluster.
    Checkpoints { source: String },
    /// Which offset of the source is which in the other cluster.
    Syncs { other: String },
}

/// A heartbeat: when the source told that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    pub source: String,
    pub target: String,
    pub at: Moment,
}

/// One record of the source and where it lies in the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// As the source names it.
    pub topic: String,
    pub partition: i32,
    pub upstream: i64,
    pub downstream: i64,
}

/// Where a group that read on in the mirror would begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub group: String,
    /// As the mirror names it.
    pub topic: String,
    pub partition: i32,
    /// What the group had committed at the source.
    pub upstream: i64,
    pub downstream: i64,
    /// When it was written.
    pub at: Option<Moment>,
}

/// What was read in one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// The newest heartbeat of each source that arrived here.
    pub heartbeats: BTreeMap<String, Moment>,
    /// By source; the newest of each group and partition.
    pub checkpoints: BTreeMap<String, Vec<Checkpoint>>,
    /// By the other cluster; the newest of each partition.
    pub syncs: BTreeMap<String, Vec<Sync>>,
    /// Topics that were not read, with why.
    pub unread: Vec<(String, String)>,
}

impl Left {
    /// Takes in all records of one topic, each partition's in the order of its log.
    pub fn read(&mut self, own: &Own, records: &[Record]) {
        match own {
            Own::Heartbeats => {}
            Own::RemoteHeartbeats { source } => {
                if let Some(at) = records.iter().filter_map(Heartbeat::of).map(|beat| beat.at).max() {
                    self.heartbeats.insert(source.clone(), at);
                }
            }
            Own::Checkpoints { source } => {
                let key = |one: &Checkpoint| (one.group.clone(), one.topic.clone(), one.partition);
                let all = records.iter().filter_map(Checkpoint::of).map(|one| (key(&one), one));
                let newest: BTreeMap<_, _> = all.collect();
                self.checkpoints.insert(source.clone(), newest.into_values().collect());
            }
            Own::Syncs { other } => {
                let all = records.iter().filter_map(Sync::of);
                let newest: BTreeMap<_, _> = all.map(|one| ((one.topic.clone(), one.partition), one)).collect();
                self.syncs.insert(other.clone(), newest.into_values().collect());
            }
        }
    }
}

impl Own {
    pub fn of(topic: &str) -> Option<Self> {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        if topic == HEARTBEATS {
            return Some(Self::Heartbeats);
        }
        if let Some(source) = topic
            .strip_suffix(HEARTBEATS)
            .and_then(|name| name.strip_suffix(SEPARATOR))
        {
            return named(source).map(|source| Self::RemoteHeartbeats { source });
        }
        if let Some(source) = topic.strip_suffix(CHECKPOINTS) {
            return named(source).map(|source| Self::Checkpoints { source });
        }
        let other = topic.strip_prefix(SYNCS)?.strip_suffix(SYNCS_END)?;
        named(other).map(|other| Self::Syncs { other })
    }
}

/// Whether a topic is MirrorMaker's own, and no copy of anybody's (`ReplicationPolicy.isMM2InternalTopic`, and heartbeats).
pub fn is_own(topic: &str) -> bool {
    Own::of(topic).is_some() || (topic.starts_with("mm2-") && topic.ends_with(SYNCS_END))
}

/// What a topic of `source` is called in its mirror by the default policy; with `IdentityReplicationPolicy` it keeps its name.
pub fn remote(source: &str, topic: &str) -> String {
    format!("{source}{SEPARATOR}{topic}")
}

/// The topic of the source that a topic of the mirror is a copy of: by its name where that begins with the alias, else itself.
pub fn original<'a>(source: &str, topic: &'a str) -> &'a str {
    topic
        .strip_prefix(source)
        .and_then(|rest| rest.strip_prefix(SEPARATOR))
        .unwrap_or(topic)
}

impl Heartbeat {
    /// `None` where the record is no heartbeat.
    pub fn of(record: &Record) -> Option<Self> {
        let mut key = Reader(record.key.as_deref()?);
        let mut value = Reader(record.value.as_deref()?);
        let (source, target) = (key.text()?, key.text()?);
        value.version()?;
        let at = Moment::from_millisecond(value.long()?).ok()?;
        Some(Self { source, target, at })
    }
}

impl Sync {
    /// `None` where the record is no offset sync.
    pub fn of(record: &Record) -> Option<Self> {
        let mut key = Reader(record.key.as_deref()?);
        let mut value = Reader(record.value.as_deref()?);
        Some(Self {
            topic: key.text()?,
            partition: key.int()?,
            upstream: value.long()?,
            downstream: value.long()?,
        })
    }

    /// How far the mirror has copied: the source's offset of the next record that it has not, where the mirror's log ends at
    /// `end`. MirrorMaker tells a new sync whenever an offset of the source is left out, so what follows the newest one is
    /// in a row. `None` where the mirror's log ends before the sync: it was deleted and made anew.
    pub fn position(&self, end: i64) -> Option<i64> {
        let copied = end.checked_sub(self.downstream).filter(|copied| *copied >= 0)?;
        self.upstream.checked_add(copied)
    }
}

impl Checkpoint {
    /// `None` where the record is no checkpoint.
    pub fn of(record: &Record) -> Option<Self> {
        let mut key = Reader(record.key.as_deref()?);
        let mut value = Reader(record.value.as_deref()?);
        let (group, topic, partition) = (key.text()?, key.text()?, key.int()?);
        value.version()?;
        Some(Self {
            group,
            topic,
            partition,
            upstream: value.long()?,
            downstream: value.long()?,
            at: record.timestamp_ms.and_then(|at| Moment::from_millisecond(at).ok()),
        })
    }
}

/// Bytes that are left.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn version(&mut self) -> Option<()> {
        (i16::from_be_bytes(self.take()?) == 0).then_some(())
    }

    fn int(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(i16::from_be_bytes(self.take()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &[&[u8]], value: &[&[u8]]) -> Record {
        Record {
            topic: "t".to_owned(),
            partition: 0,
            offset: 0,
            timestamp_ms: Some(1_700_000_000_000),
            timestamp_type: None,
            key: Some(key.concat()),
            value: Some(value.concat()),
            headers: Vec::new(),
        }
    }

    #[test]
    fn a_topic_of_the_mirrors_is_known_by_its_name() {
        let source = "primary".to_owned();
        assert_eq!(Own::of("heartbeats"), Some(Own::Heartbeats));
        let remote = Own::RemoteHeartbeats { source: source.clone() };
        assert_eq!(Own::of("primary.heartbeats"), Some(remote));
        let checkpoints = Own::Checkpoints { source };
        assert_eq!(Own::of("primary.checkpoints.internal"), Some(checkpoints));
        let syncs = Own::Syncs { other: "b".to_owned() };
        assert_eq!(Own::of("mm2-offset-syncs.b.internal"), Some(syncs));
        for other in [
            "orders",
            "my-heartbeats",
            ".heartbeats",
            "mm2-offset-syncs..internal",
            "mm2-offsets.b.internal",
        ] {
            assert_eq!(Own::of(other), None, "{other}");
        }
    }

    #[test]
    fn records_are_read_as_mirror_maker_writes_them() {
        let beat = record(
            &[b"\0\x01a", b"\0\x02bb"],
            &[b"\0\0", &1_700_000_000_123_i64.to_be_bytes()],
        );
        let told = Heartbeat::of(&beat).unwrap();
        assert_eq!((told.source.as_str(), told.target.as_str()), ("a", "bb"));
        assert_eq!(told.at.as_millisecond(), 1_700_000_000_123);
        let sync = record(
            &[b"\0\x06orders", &3_i32.to_be_bytes()],
            &[&100_i64.to_be_bytes(), &40_i64.to_be_bytes()],
        );
        let sync = Sync::of(&sync).unwrap();
        assert_eq!((sync.topic.as_str(), sync.partition), ("orders", 3));
        assert_eq!((sync.upstream, sync.downstream), (100, 40));
        let checkpoint = record(
            &[b"\0\x07billing", b"\0\x08a.orders", &3_i32.to_be_bytes()],
            &[b"\0\0", &90_i64.to_be_bytes(), &30_i64.to_be_bytes(), b"\0\0"],
        );
        let checkpoint = Checkpoint::of(&checkpoint).unwrap();
        assert_eq!(
            (checkpoint.group.as_str(), checkpoint.topic.as_str()),
            ("billing", "a.orders")
        );
        assert_eq!(
            (checkpoint.partition, checkpoint.upstream, checkpoint.downstream),
            (3, 90, 30)
        );
        assert!(checkpoint.at.is_some());
    }

    #[test]
    fn what_is_cut_off_or_of_another_version_is_nothing() {
        let newer = record(&[b"\0\x01a", b"\0\x01b"], &[b"\0\x01", &[0; 8]]);
        assert_eq!(Heartbeat::of(&newer), None);
        for key in [&b""[..], b"\0", b"\0\x09a", b"\xff\xffa", b"\0\x01\xff\0\0\0\0"] {
            let torn = record(&[key], &[&[0; 16]]);
            assert_eq!(Sync::of(&torn), None, "{key:?}");
        }
        let mut gone = record(&[b"\0\x01a", &[0; 4]], &[]);
        gone.value = None;
        assert_eq!(Sync::of(&gone), None, "a tombstone");
    }

    #[test]
    fn the_newest_of_each_key_is_kept() {
        let sync = |offset: i64| {
            record(
                &[b"\0\x06orders", &0_i32.to_be_bytes()],
                &[&offset.to_be_bytes(), &offset.to_be_bytes()],
            )
        };
        let mut left = Left::default();
        let own = Own::Syncs { other: "b".to_owned() };
        left.read(&own, &[sync(1), sync(7), record(&[b"?"], &[])]);
        assert_eq!(left.syncs["b"].len(), 1);
        assert_eq!(left.syncs["b"][0].upstream, 7);
    }

    #[test]
    fn copied_is_what_follows_the_newest_sync() {
        let sync = Sync {
            topic: "orders".to_owned(),
            partition: 0,
            upstream: 100,
            downstream: 40,
        };
        // 41 is the end once the record of the sync itself is there.
        assert_eq!(sync.position(41), Some(101));
        assert_eq!(sync.position(50), Some(110));
        assert_eq!(sync.position(40), Some(100), "not acknowledged yet");
        assert_eq!(sync.position(7), None, "made anew");
    }

    #[test]
    fn a_copy_is_found_by_its_name() {
        assert_eq!(remote("a", "orders"), "a.orders");
        assert_eq!(original("a", "a.orders"), "orders");
        assert_eq!(original("a", "orders"), "orders");
        assert_eq!(original("a", "ab.orders"), "ab.orders");
    }
}
