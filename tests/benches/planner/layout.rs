//! Clusters that a seed makes: topics as Kafka places them, with sizes that differ a thousandfold.

use std::collections::BTreeMap;

use azimuth::model::broker::Broker;
use azimuth::model::cluster::Cluster;
use azimuth::model::logdir::{LogDir, Replica};
use azimuth::model::topic::{Partition, Topic};
use azimuth::model::{BrokerId, Moment, Observed, Snapshot};

use super::peers;

pub const RACKS: usize = 3;
pub const PARTITIONS: usize = 10;
pub const REPLICAS: usize = 3;

/// xorshift64*: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % limit as u64) as usize
    }
}

/// Broker `id` is in zone `id % 3`.
pub fn rack(id: BrokerId) -> usize {
    id as usize % RACKS
}

/// `brokers` of them, of which topics lie on the first `used`; 10 partitions with 3 replicas each.
pub fn cluster(brokers: usize, used: usize, topics: usize) -> Snapshot {
    let mut random = Random::new(brokers as u64 + 1);
    let now = Moment::UNIX_EPOCH;
    let ids: Vec<BrokerId> = (0..used as BrokerId).collect();
    let mut logs: BTreeMap<BrokerId, Vec<Replica>> = (0..brokers as BrokerId).map(|id| (id, vec![])).collect();
    let mut made = Vec::new();
    for at in 0..topics {
        let name = format!("topic-{at:05}");
        // 2 MB to 2 GB a partition, as many topics in each doubling.
        let typical = 2_000_000_u64 << random.below(10);
        let placed = peers::assign(&ids, PARTITIONS, REPLICAS, &mut random);
        let mut partitions = Vec::new();
        for (partition, replicas) in placed.into_iter().enumerate() {
            let size_bytes = typical + random.below(typical as usize) as u64;
            for id in &replicas {
                logs.entry(*id).or_default().push(Replica {
                    topic: name.clone().into(),
                    partition: partition as i32,
                    size_bytes,
                    lag_records: 0,
                    future: false,
                });
            }
            partitions.push(Partition {
                partition: partition as i32,
                leader: replicas.first().copied(),
                isr: replicas.as_slice().into(),
                replicas: replicas.into(),
                ..Partition::default()
            });
        }
        made.push(Topic {
            name,
            id: uuid::Uuid::from_u128(at as u128),
            internal: false,
            partitions,
        });
    }
    let broker = |id: BrokerId| Broker {
        id,
        host: "b".into(),
        port: 9092,
        rack: Some(format!("az{}", rack(id))),
        fenced: false,
    };
    let dir = |replicas: Vec<Replica>| LogDir {
        path: "/data".into(),
        total_bytes: Some(100_000_000_000_000),
        usable_bytes: Some(90_000_000_000_000),
        error: None,
        replicas: replicas.into_iter().collect(),
        growth_bytes_per_second: None,
        top: Vec::new(),
        copies: Vec::new(),
    };
    let cluster = Cluster {
        id: "bench".into(),
        brokers: (0..brokers as BrokerId).map(broker).collect(),
        ..Cluster::default()
    };
    let logdirs = logs.into_iter();
    Snapshot {
        cluster: Observed::fresh(cluster, now),
        topics: Observed::fresh(made, now),
        reassignments: Observed::fresh(vec![], now),
        logdirs: logdirs
            .map(|(id, replicas)| (id, Observed::fresh(vec![dir(replicas)], now)))
            .collect(),
        ..Snapshot::default()
    }
}
