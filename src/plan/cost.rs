//! What a cluster costs: bytes between zones and what they are charged, what reading from near replicas would save, what
//! volumes and instances cost and which of them are larger or smaller than their work.
//!
//! Between zones each GB costs $0.01 out and $0.01 in (EC2 pricing, "Data transfer within the same AWS region"), so $0.02 a GB
//! that crosses. A partition's bytes are its records a second times what its records take on disk, which is what goes over the
//! network too, as batches stay as they are compressed. Where clients are, Kafka does not tell: of consumers the address is
//! known, and so the zone where that is an instance's or a broker's; producers are taken to be in all zones alike.

pub mod sizing;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::row::Rows;
use crate::model::row::group::zones;
use crate::model::row::partition::PartitionRow;
use crate::model::{BrokerId, Snapshot};

/// USD a GB (10⁹ bytes) that crosses, both directions.
pub const USD_PER_GB: f64 = 0.02;
/// As AWS counts them.
pub const HOURS: f64 = 730.0;

/// Bytes a second from one zone to another, and within one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Flow {
    pub produced: f64,
    pub replicated: f64,
    pub consumed: f64,
}

impl Flow {
    pub fn bytes_per_second(self) -> f64 {
        self.produced + self.replicated + self.consumed
    }
}

/// What crosses because of a topic or a group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    pub name: String,
    /// All that is written to the topic, or read by the group.
    pub bytes_per_second: f64,
    pub crossing_bytes_per_second: f64,
    pub usd_per_month: f64,
    /// What follower fetching would save of it.
    pub saved_usd_per_month: f64,
    /// Why a part of it is taken and not seen, or is left out.
    pub basis: String,
}

/// What the whole cluster costs a month, as it works now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bill {
    /// In the order of their names.
    pub zones: Vec<String>,
    /// `flows[from][to]`, in the order of `zones`.
    pub flows: Vec<Vec<Flow>>,
    pub topics: Vec<Share>,
    pub groups: Vec<Share>,
    pub crossing_bytes_per_second: f64,
    pub usd_per_month: f64,
    pub saved_usd_per_month: f64,
    /// Whether brokers let consumers read from followers; `None` where their configs are not known.
    pub follower_fetching: Option<bool>,
    /// Partitions whose bytes a second are not known; nothing of them is in the numbers.
    pub unmeasured: usize,
    pub sizing: sizing::Sizing,
    /// What this look at CloudWatch cost.
    pub console_usd: f64,
    /// What a console that stays open costs a month, at one such look a minute.
    pub console_usd_per_month: f64,
    pub console_metrics: u64,
}

/// USD a month for so many bytes a second that cross.
pub fn usd_per_month(bytes_per_second: f64) -> f64 {
    bytes_per_second * HOURS * 3600.0 / 1e9 * USD_PER_GB
}

/// The bill of what is known.
///
/// # Errors
/// Why nothing can be said: no brokers or no zones are known.
pub fn bill(snapshot: &Snapshot, rows: &Rows) -> Result<Bill, String> {
    let zone_of: BTreeMap<BrokerId, usize> = {
        let named: BTreeMap<BrokerId, &str> = rows
            .brokers
            .iter()
            .map(|broker| (broker.id, broker.zone.as_str()))
            .collect();
        let at = |zone: &str| rows.zones.iter().position(|row| row.key == zone);
        named
            .into_iter()
            .filter_map(|(id, zone)| Some((id, at(zone)?)))
            .collect()
    };
    if zone_of.is_empty() {
        return Err(snapshot
            .cluster
            .problem()
            .unwrap_or_else(|| "no broker is known".to_owned()));
    }
    let mut count = Count::new(rows.zones.len(), zone_of);
    for partition in rows.partitions.iter() {
        count.partition(partition);
    }
    let groups = count.groups(snapshot, rows);
    let topics = count.topics();
    let crossing = count.crossing();
    // A sum of nothing is -0.
    let saved = groups.iter().map(|group| group.saved_usd_per_month).sum::<f64>() + 0.0;
    let cost = snapshot.cloud.cost;
    Ok(Bill {
        zones: rows.zones.iter().map(|zone| zone.key.clone()).collect(),
        topics,
        groups,
        crossing_bytes_per_second: crossing,
        usd_per_month: usd_per_month(crossing),
        saved_usd_per_month: saved,
        follower_fetching: follower_fetching(snapshot),
        unmeasured: count.unmeasured,
        flows: count.flows,
        sizing: sizing::of(snapshot, rows),
        console_usd: cost.usd,
        console_usd_per_month: monthly(snapshot),
        console_metrics: cost.metrics,
    })
}

/// Each minute asks for every series once: CloudWatch's own metrics have a point a minute.
fn monthly(snapshot: &Snapshot) -> f64 {
    let Some(metrics) = snapshot.cloud.metrics.get() else {
        return 0.0;
    };
    // As many series as the source asks for; see `source::aws`: 9 of an instance, 10 of a volume and its attachment.
    let series = metrics.instances.len() * 9 + metrics.volumes.len() * 10;
    series as f64 * 0.01 / 1000.0 * 60.0 * HOURS
}

/// `replica.selector.class`, of all brokers.
fn follower_fetching(snapshot: &Snapshot) -> Option<bool> {
    let mut told = snapshot.broker_configs.values().filter_map(|configs| {
        let all = configs.get()?;
        let own = all.iter().find(|config| config.name == "replica.selector.class")?;
        Some(own.value.as_deref().is_some_and(|class| class.contains("RackAware")))
    });
    let first = told.next()?;
    Some(first && told.all(|one| one))
}

struct Count<'a> {
    flows: Vec<Vec<Flow>>,
    zone_of: BTreeMap<BrokerId, usize>,
    /// Bytes a second and where the leader and the replicas are, by topic and partition.
    partitions: BTreeMap<&'a str, BTreeMap<i32, Placed>>,
    topics: BTreeMap<&'a str, (f64, f64)>,
    unmeasured: usize,
}

struct Placed {
    bytes: f64,
    leader: usize,
    replicas: Vec<usize>,
}

/// Bytes a second that are written to a partition; `None` where its records or its size are not known.
fn written(row: PartitionRow<'_>) -> Option<f64> {
    let rate = row.rate().value?;
    if rate <= 0.0 {
        return Some(0.0);
    }
    let records = row.end().value? - row.start().value?;
    let size = row.size_bytes().value?;
    (records > 0 && size > 0).then(|| rate * size as f64 / records as f64)
}

impl<'a> Count<'a> {
    fn new(zones: usize, zone_of: BTreeMap<BrokerId, usize>) -> Self {
        Self {
            flows: vec![vec![Flow::default(); zones]; zones],
            zone_of,
            partitions: BTreeMap::new(),
            topics: BTreeMap::new(),
            unmeasured: 0,
        }
    }

    fn partition(&mut self, row: PartitionRow<'a>) {
        let leader = row.leader.and_then(|id| self.zone_of.get(&id)).copied();
        let (Some(bytes), Some(leader)) = (written(row), leader) else {
            self.unmeasured += 1;
            return;
        };
        let replicas: Vec<usize> = row
            .replicas
            .iter()
            .filter_map(|id| self.zone_of.get(id).copied())
            .collect();
        let zones = self.flows.len() as f64;
        let mut crossing = 0.0;
        for (from, flows) in self.flows.iter_mut().enumerate() {
            flows[leader].produced += bytes / zones;
            if from != leader {
                crossing += bytes / zones;
            }
        }
        for (id, to) in row.replicas.iter().zip(&replicas) {
            if Some(*id) != row.leader {
                self.flows[leader][*to].replicated += bytes;
                if *to != leader {
                    crossing += bytes;
                }
            }
        }
        let topic = self.topics.entry(row.topic()).or_default();
        topic.0 += bytes;
        topic.1 += crossing;
        let placed = Placed {
            bytes,
            leader,
            replicas,
        };
        self.partitions
            .entry(row.topic())
            .or_default()
            .insert(row.partition, placed);
    }

    /// What each group reads, taken to be what is written: a group that keeps up reads so much.
    fn groups(&mut self, snapshot: &Snapshot, rows: &Rows) -> Vec<Share> {
        let mut shares = Vec::new();
        let zones = zones(snapshot);
        for group in snapshot.groups.get().into_iter().flatten() {
            let members = &group.members;
            let (mut bytes, mut crossing, mut saved) = (0.0, 0.0, 0.0);
            let mut nowhere = 0;
            for member in members {
                let zone = zones.get(member.host.as_str());
                let at = zone.and_then(|zone| rows.zones.iter().position(|row| row.key == *zone));
                nowhere += usize::from(at.is_none());
                for (topic, partition) in &member.assignment {
                    let Some(read) = self.partitions.get(topic.as_str()).and_then(|all| all.get(partition)) else {
                        continue;
                    };
                    bytes += read.bytes;
                    // Who is nowhere in particular is in all zones alike.
                    let all = self.flows.len();
                    let (places, part) = match at {
                        Some(at) => (at..at + 1, read.bytes),
                        None => (0..all, read.bytes / all as f64),
                    };
                    for to in places {
                        self.flows[read.leader][to].consumed += part;
                        if to != read.leader {
                            crossing += part;
                            if read.replicas.contains(&to) {
                                saved += part;
                            }
                        }
                    }
                }
            }
            shares.push(Share {
                name: group.name.clone(),
                bytes_per_second: bytes,
                crossing_bytes_per_second: crossing,
                usd_per_month: usd_per_month(crossing),
                saved_usd_per_month: usd_per_month(saved),
                basis: match (members.len(), nowhere) {
                    (0, _) => "it has no members".to_owned(),
                    (_, 0) => "its members' zones are known".to_owned(),
                    (all, nowhere) => format!("the zones of {nowhere} of {all} members are not known: taken even"),
                },
            });
        }
        shares.sort_by(|a, b| b.usd_per_month.total_cmp(&a.usd_per_month));
        shares
    }

    fn topics(&self) -> Vec<Share> {
        let share = |(name, (bytes, crossing)): (&&str, &(f64, f64))| Share {
            name: (*name).to_owned(),
            bytes_per_second: *bytes,
            crossing_bytes_per_second: *crossing,
            usd_per_month: usd_per_month(*crossing),
            saved_usd_per_month: 0.0,
            basis: "producers taken even over the zones; what groups read is with the groups".to_owned(),
        };
        let mut shares: Vec<Share> = self.topics.iter().map(share).collect();
        shares.sort_by(|a, b| b.usd_per_month.total_cmp(&a.usd_per_month));
        shares
    }

    fn crossing(&self) -> f64 {
        let rows = self.flows.iter().enumerate();
        let cells = rows.flat_map(|(from, row)| row.iter().enumerate().map(move |(to, flow)| (from, to, flow)));
        cells
            .filter(|(from, to, _)| from != to)
            .map(|(.., flow)| flow.bytes_per_second())
            .sum::<f64>()
            + 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::check::fixture::{Six, now};
    use crate::model::offset::Span;

    /// Every partition gets 1,000 records of 100 bytes a second.
    fn bill_of(six: &Six) -> Bill {
        let mut rows = Rows::of(&six.snapshot, now());
        let span = Span {
            start: 0,
            end: 1_000_000,
            rate: Some(1000.0),
        };
        Arc::make_mut(&mut rows.partitions).tell(span, 100_000_000);
        bill(&six.snapshot, &rows).unwrap()
    }

    #[test]
    fn a_gb_a_second_for_a_month_is_what_aws_charges() {
        // 1 MB/s is 2,628 GB a month.
        assert!((usd_per_month(1e6) - 52.56).abs() < 1e-9);
    }

    #[test]
    fn what_is_written_crosses_to_two_other_zones_and_two_thirds_of_it_before() {
        let bill = bill_of(&Six::healthy());
        let topic = &bill.topics[0];
        let partitions = bill.topics.iter().map(|topic| topic.bytes_per_second).sum::<f64>() / 1e5;
        assert!(
            partitions >= 1.0 && partitions.fract() == 0.0,
            "{partitions} of 0.1 MB/s each"
        );
        let times = topic.crossing_bytes_per_second / topic.bytes_per_second;
        assert!((times - (2.0 + 2.0 / 3.0)).abs() < 1e-6, "{times} of {topic:?}");
        let inside: f64 = (0..3).map(|zone| bill.flows[zone][zone].replicated).sum();
        assert_eq!(inside, 0.0, "no two replicas share a zone");
        let all: f64 = bill.topics.iter().map(|topic| topic.crossing_bytes_per_second).sum();
        let read: f64 = bill.groups.iter().map(|group| group.crossing_bytes_per_second).sum();
        assert!((bill.crossing_bytes_per_second - all - read).abs() < 1.0);
    }

    #[test]
    fn without_brokers_there_is_no_bill() {
        let nothing = Snapshot::default();
        assert!(bill(&nothing, &Rows::of(&nothing, now())).is_err());
    }
}
