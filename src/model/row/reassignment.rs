//! One reassignment in flight, whoever started it: what is left, how fast it goes, what slows it and why it is stuck.

use serde::Serialize;

use super::broker::{BrokerRow, BrokerState};
use super::throttle::{Side, holding, is_any_set};
use super::{Cell, Rows};
use crate::model::logdir::LogDir;
use crate::model::reassignment::Reassignment;
use crate::model::snapshot::Snapshot;
use crate::model::topic::Partition;
use crate::model::{BrokerId, Moment, Observed};

/// One partition on its way, ready to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReassignmentRow {
    pub topic: String,
    pub partition: i32,
    /// Where it was and is, without what is being added.
    pub from: Vec<BrokerId>,
    /// Where it shall be, in order of preference.
    pub to: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
    /// Of `adding`, those that are in sync already.
    pub arrived: u32,
    /// Of one replica, at the leader.
    pub size_bytes: Cell<u64>,
    /// Still to be copied, to all brokers that are being added.
    pub left_bytes: Cell<u64>,
    /// 0..=100 of what has to be copied.
    pub done_percent: Cell<f64>,
    /// Of all copies together, over the last minute.
    pub bytes_per_second: Cell<f64>,
    pub eta_seconds: Cell<f64>,
    /// What the estimate rests on.
    pub basis: String,
    /// The throttles that hold it back: `leader 1 10 MB/s`, with the numbers in bytes per second.
    pub throttles: Vec<Hold>,
    /// Why it does not get on, when it does not.
    pub stuck: Option<String>,
}

/// A throttle that holds a copy back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Hold {
    pub side: Side,
    pub broker: BrokerId,
    pub bytes_per_second: u64,
}

impl ReassignmentRow {
    /// By topic and partition. `brokers` are the rows of the same snapshot.
    pub fn all(snapshot: &Snapshot, brokers: &[BrokerRow], now: Moment) -> Vec<Self> {
        let moves = snapshot.reassignments.get().map_or(&[][..], Vec::as_slice);
        let throttled = !moves.is_empty() && is_any_set(snapshot);
        moves
            .iter()
            .map(|one| Self::of(snapshot, brokers, one, throttled, now))
            .collect()
    }

    fn of(snapshot: &Snapshot, brokers: &[BrokerRow], one: &Reassignment, throttled: bool, now: Moment) -> Self {
        let topic = snapshot.topic(&one.topic);
        let part = topic.and_then(|topic| topic.partitions.iter().find(|part| part.partition == one.partition));
        let isr = part.map_or(&[][..], |part| part.isr.as_slice());
        let missing: Vec<BrokerId> = one.adding.iter().copied().filter(|id| !isr.contains(id)).collect();
        let size_bytes = size_at_leader(snapshot, one, part, now);
        let left_bytes = left(snapshot, one, &missing, &size_bytes, now);
        let bytes_per_second = rate(snapshot, one, &missing, now);
        let written = written(snapshot, one, &size_bytes);
        let throttles: Vec<Hold> = match throttled {
            true => holds(snapshot, one, &missing),
            false => Vec::new(),
        };
        let (eta_seconds, basis) = eta(&left_bytes, &bytes_per_second, written, missing.len());
        let whole = |size: &u64| {
            let all = *size as f64 * one.adding.len() as f64;
            let left = left_bytes.value? as f64;
            (all > 0.0).then(|| ((all - left) * 100.0 / all).clamp(0.0, 100.0))
        };
        Self {
            topic: one.topic.clone(),
            partition: one.partition,
            from: one
                .replicas
                .iter()
                .copied()
                .filter(|id| !one.adding.contains(id))
                .collect(),
            to: one
                .replicas
                .iter()
                .copied()
                .filter(|id| !one.removing.contains(id))
                .collect(),
            adding: one.adding.clone(),
            removing: one.removing.clone(),
            arrived: (one.adding.len() - missing.len()) as u32,
            done_percent: size_bytes.map(whole),
            stuck: stuck(snapshot, brokers, one, part, &missing)
                .or_else(|| below_ingest(&throttles, written))
                .or_else(|| idle(&bytes_per_second, &left_bytes)),
            size_bytes,
            left_bytes,
            bytes_per_second,
            eta_seconds,
            basis,
            throttles,
        }
    }

    /// How both faces call it.
    pub fn name(&self) -> String {
        format!("{}:{}", self.topic, self.partition)
    }
}

fn dirs_of(snapshot: &Snapshot, broker: BrokerId) -> Option<&Observed<Vec<LogDir>>> {
    snapshot.logdirs.get(&broker)
}

fn size_here(dirs: &[LogDir], one: &Reassignment) -> Option<u64> {
    let mut replicas = dirs.iter().flat_map(|dir| dir.replicas.iter());
    let found =
        replicas.find(|replica| replica.topic == one.topic && replica.partition == one.partition && !replica.future);
    found.map(|replica| replica.size_bytes)
}

fn size_at_leader(snapshot: &Snapshot, one: &Reassignment, part: Option<&Partition>, now: Moment) -> Cell<u64> {
    let Some(leader) = part.and_then(|part| part.leader) else {
        return Cell::unknown("the partition has no leader");
    };
    match dirs_of(snapshot, leader) {
        Some(section) => Cell::from(section, now, "its leader names no log of it", |dirs| {
            size_here(dirs, one)
        }),
        None => Cell::unknown(format!("broker {leader} has not told its log dirs")),
    }
}

/// What the copies miss together; unknown as soon as one is.
fn left(snapshot: &Snapshot, one: &Reassignment, missing: &[BrokerId], size: &Cell<u64>, now: Moment) -> Cell<u64> {
    let Some(whole) = size.value else {
        return size.clone();
    };
    let mut sum = Cell::known(0);
    for broker in missing {
        let here = match dirs_of(snapshot, *broker) {
            // A broker that holds none of it yet has all of it before it.
            Some(section) => Cell::from(section, now, "", |dirs| Some(size_here(dirs, one).unwrap_or(0))),
            None => Cell::unknown(format!("broker {broker} has not told its log dirs")),
        };
        let Some(here) = here.value else { return here };
        sum.value = sum.value.map(|sum: u64| sum + whole.saturating_sub(here));
    }
    sum.stale_seconds = size.stale_seconds;
    sum
}

fn rate(snapshot: &Snapshot, one: &Reassignment, missing: &[BrokerId], now: Moment) -> Cell<f64> {
    let mut sum = Cell::known(0.0);
    for broker in missing {
        let Some(section) = dirs_of(snapshot, *broker) else {
            return Cell::unknown(format!("broker {broker} has not told its log dirs"));
        };
        let here = Cell::from(section, now, "its bytes were seen only once yet", |dirs| {
            let mut copies = dirs.iter().flat_map(|dir| &dir.copies);
            let own = copies.find(|copy| copy.topic == one.topic && copy.partition == one.partition && !copy.future);
            match own {
                Some(copy) => copy.bytes_per_second,
                // Nothing of it has come yet.
                None if size_here(dirs, one).is_none() => Some(0.0),
                None => None,
            }
        });
        let Some(rate) = here.value else { return here };
        sum.value = sum.value.map(|sum: f64| sum + rate);
    }
    sum
}

/// Bytes per second that clients write to the partition, from its records and their mean size.
fn written(snapshot: &Snapshot, one: &Reassignment, size: &Cell<u64>) -> Option<f64> {
    let span = snapshot.span(&one.topic, one.partition)?;
    let records = (span.end - span.start) as f64;
    (records > 0.0).then_some(size.value? as f64 / records * span.rate?)
}

fn eta(left: &Cell<u64>, rate: &Cell<f64>, written: Option<f64>, copies: usize) -> (Cell<f64>, String) {
    if copies == 0 {
        let done = "all that is added is in sync; the controller has still to finish it".to_owned();
        return (Cell::known(0.0), done);
    }
    let Some(left) = left.value else {
        return (Cell::unknown(left.reason.clone().unwrap_or_default()), String::new());
    };
    let Some(speed) = rate.value else {
        return (Cell::unknown(rate.reason.clone().unwrap_or_default()), String::new());
    };
    // While it copies, the leader goes on being written.
    let written = written.unwrap_or(0.0) * copies as f64;
    let gain = speed - written;
    let pace = |bytes: f64| format!("{:.1} MB/s", bytes / 1e6);
    match gain > 0.0 {
        true => (
            Cell::known(left as f64 / gain),
            format!(
                "at {} over the last minute, less {} written meanwhile",
                pace(speed),
                pace(written)
            ),
        ),
        false => (
            Cell::unknown(format!(
                "it copies {} and {} are written: it does not come nearer",
                pace(speed),
                pace(written)
            )),
            String::new(),
        ),
    }
}

fn holds(snapshot: &Snapshot, one: &Reassignment, missing: &[BrokerId]) -> Vec<Hold> {
    let each = missing
        .iter()
        .flat_map(|replica| holding(snapshot, &one.topic, one.partition, *replica));
    let mut holds: Vec<Hold> = each
        .map(|(side, broker, bytes_per_second)| Hold {
            side,
            broker,
            bytes_per_second,
        })
        .collect();
    holds.sort_unstable();
    holds.dedup();
    holds
}

fn stuck(
    snapshot: &Snapshot,
    brokers: &[BrokerRow],
    one: &Reassignment,
    part: Option<&Partition>,
    missing: &[BrokerId],
) -> Option<String> {
    let state = |id: BrokerId| brokers.iter().find(|row| row.id == id).map(|row| row.state);
    if let Some(part) = part
        && part.leader.is_none()
    {
        return Some("the partition has no leader to copy from".to_owned());
    }
    let dead = |id: &&BrokerId| matches!(state(**id), None | Some(BrokerState::Unreachable | BrokerState::Fenced));
    if let Some(id) = one.adding.iter().find(dead) {
        return Some(format!("broker {id}, which is added, does not answer"));
    }
    for id in missing {
        let dirs = dirs_of(snapshot, *id).and_then(Observed::get);
        let bad = dirs
            .into_iter()
            .flatten()
            .find(|dir| dir.error.is_some() || dir.usable_bytes == Some(0));
        if let Some(dir) = bad {
            let why = dir.error.clone().unwrap_or_else(|| "full".to_owned());
            return Some(format!("log dir {} of broker {id} is {why}", dir.path));
        }
    }
    // Source: KAFKA-15665, KAFKA-19975: it ends only once every replica that stays is in sync too.
    let stays = one
        .replicas
        .iter()
        .filter(|id| !one.adding.contains(id) && !one.removing.contains(id));
    let isr = part.map(|part| part.isr.as_slice())?;
    let out: Vec<String> = stays.filter(|id| !isr.contains(id)).map(BrokerId::to_string).collect();
    (!out.is_empty()).then(|| {
        let ids = out.join(", ");
        format!("the replica on broker {ids} stays and is out of sync; it ends only when all are in sync")
    })
}

fn speed(bytes_per_second: f64) -> String {
    match bytes_per_second {
        slow if slow < 1e5 => format!("{:.1} kB/s", slow / 1e3),
        fast => format!("{:.1} MB/s", fast / 1e6),
    }
}

fn below_ingest(throttles: &[Hold], written: Option<f64>) -> Option<String> {
    let tightest = throttles.iter().min_by_key(|hold| hold.bytes_per_second)?;
    let written = written?;
    let rate = tightest.bytes_per_second as f64;
    (rate <= written).then(|| {
        format!(
            "the {} throttle of broker {}, {}, is below what is written, {}: it never ends",
            tightest.side,
            tightest.broker,
            speed(rate),
            speed(written)
        )
    })
}

fn idle(rate: &Cell<f64>, left: &Cell<u64>) -> Option<String> {
    let still = rate.value == Some(0.0) && left.value.is_some_and(|left| left > 0);
    still.then(|| "no byte came in the last minute".to_owned())
}

impl Rows {
    /// What is in flight of one partition.
    pub fn reassignment(&self, name: &str) -> Option<&ReassignmentRow> {
        self.reassignments.iter().find(|row| row.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::broker::{Broker, Link};
    use crate::model::cluster::Cluster;
    use crate::model::logdir::{Copying, Replica};
    use crate::model::topic::Topic;
    use crate::model::{Snapshot, Trouble};

    const MB: u64 = 1_000_000;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn dir(size_bytes: u64, copy: Option<f64>) -> LogDir {
        let replica = Replica {
            topic: "orders".into(),
            partition: 0,
            size_bytes,
            lag_records: 0,
            future: false,
        };
        let copying = Copying {
            topic: "orders".to_owned(),
            partition: 0,
            size_bytes,
            future: false,
            bytes_per_second: copy,
        };
        LogDir {
            path: "/data".to_owned(),
            total_bytes: Some(1000 * MB),
            usable_bytes: Some(500 * MB),
            error: None,
            replicas: [replica].into(),
            growth_bytes_per_second: None,
            top: Vec::new(),
            copies: vec![copying],
        }
    }

    /// orders-0 goes from 1, 2 to 1, 3; 3 has 100 of 400 MB.
    fn snapshot(copy: Option<f64>) -> Snapshot {
        let broker = |id| Broker {
            id,
            host: "h".to_owned(),
            port: 9092,
            rack: None,
            fenced: false,
        };
        let link = || Link {
            rtt_ms: 0.4,
            release: None,
        };
        let part = Partition {
            partition: 0,
            leader: Some(1),
            leader_epoch: 1,
            replicas: [1, 3, 2].into(),
            isr: [1, 2].into(),
            eligible: [].into(),
        };
        let orders = Topic {
            name: "orders".to_owned(),
            id: uuid::Uuid::nil(),
            internal: false,
            partitions: vec![part],
        };
        let moving = Reassignment {
            topic: "orders".to_owned(),
            partition: 0,
            replicas: vec![1, 3, 2],
            adding: vec![3],
            removing: vec![2],
        };
        Snapshot {
            cluster: Observed::fresh(
                Cluster {
                    brokers: [1, 2, 3].map(broker).into(),
                    ..Cluster::default()
                },
                at(0),
            ),
            links: [1, 2, 3].map(|id| (id, Observed::fresh(link(), at(0)))).into(),
            topics: Observed::fresh(vec![orders], at(0)),
            reassignments: Observed::fresh(vec![moving], at(0)),
            logdirs: BTreeMap::from([
                (1, Observed::fresh(vec![dir(400 * MB, None)], at(0))),
                (3, Observed::fresh(vec![dir(100 * MB, copy)], at(0))),
            ]),
            ..Snapshot::default()
        }
    }

    fn row(snapshot: &Snapshot) -> ReassignmentRow {
        Rows::of(snapshot, at(1)).reassignments.remove(0)
    }

    #[test]
    fn what_is_left_and_when_it_ends_come_from_the_log_dirs() {
        let row = row(&snapshot(Some(10e6)));
        assert_eq!((row.from.as_slice(), row.to.as_slice()), (&[1, 2][..], &[1, 3][..]));
        assert_eq!(row.left_bytes.value, Some(300 * MB));
        assert_eq!(row.done_percent.value, Some(25.0));
        assert_eq!(row.eta_seconds.value, Some(30.0));
        assert!(row.basis.contains("10.0 MB/s"), "{}", row.basis);
        assert_eq!(row.stuck, None);
    }

    #[test]
    fn seen_once_there_is_no_rate_and_no_eta() {
        let row = row(&snapshot(None));
        assert_eq!(row.eta_seconds.value, None);
        assert!(row.eta_seconds.reason.unwrap().contains("only once"));
        assert_eq!(row.stuck, None, "unknown is not stuck");
    }

    #[test]
    fn it_says_why_it_is_stuck() {
        assert_eq!(
            row(&snapshot(Some(0.0))).stuck.as_deref(),
            Some("no byte came in the last minute")
        );
        let mut dead = snapshot(Some(1e6));
        dead.links
            .get_mut(&3)
            .unwrap()
            .fail(Trouble::TimedOut, "no answer", at(0));
        assert_eq!(
            row(&dead).stuck.as_deref(),
            Some("broker 3, which is added, does not answer")
        );
        let mut full = snapshot(Some(1e6));
        let mut dirs = vec![dir(100 * MB, Some(1e6))];
        dirs[0].error = Some("KAFKA_STORAGE_ERROR".to_owned());
        full.logdirs.insert(3, Observed::fresh(dirs, at(0)));
        assert!(row(&full).stuck.unwrap().contains("KAFKA_STORAGE_ERROR"));
    }

    #[test]
    fn a_silent_target_leaves_the_bytes_unknown_and_never_zero() {
        let mut snapshot = snapshot(Some(1e6));
        snapshot.logdirs.remove(&3);
        let row = row(&snapshot);
        assert_eq!(row.left_bytes.value, None);
        assert_eq!(row.bytes_per_second.value, None);
    }
}
