//! Brokers without sockets: real logs and managers, links that can be cut, and a controller that takes every valid change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_response as answer;
use kafka_protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, BrokerId, FetchRequest, FetchResponse};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::env::clock::Clock;
use crate::env::disk::Disk;
use crate::env::random::Random;
use crate::id::{NodeId, Offset, TopicId, TopicPartition};
use crate::image::property::Config;
use crate::image::{Broker, Endpoint, Image, Partition, Record, Resource};
use crate::log::Identity;
use crate::log::LogConfig;
use crate::log::LogManager;
use crate::record::BatchBuilder;
use crate::replica::{
    Acks, AlterPartition, Fetch, FetchFrom, LeaderLink, LeaderLinks, LinkError, Options, Position, Produced, Reader,
    Refusal, ReplicaManager, Surroundings,
};

pub const LAG: Duration = Duration::from_millis(400);
const DEADLINE: Duration = Duration::from_secs(10);
const TOPIC: TopicId = TopicId(uuid::Uuid::from_u128(7));

/// A few brokers, one topic with one partition.
pub struct Rig {
    shared: Arc<Shared>,
    dirs: BTreeMap<i32, TempDir>,
    min_isr: usize,
}

struct Shared {
    image: Mutex<Image>,
    managers: Mutex<BTreeMap<i32, Arc<ReplicaManager>>>,
    cut: Mutex<BTreeSet<i32>>,
}

impl Rig {
    pub async fn start(brokers: i32, min_isr: usize) -> Self {
        let mut image = Image::empty();
        change(&mut image, Record::Cluster { id: "rig".to_owned() });
        let topic = Record::Topic {
            id: TOPIC,
            name: "orders".to_owned(),
        };
        change(&mut image, topic);
        let state = Partition {
            replicas: (1..=brokers).map(NodeId).collect(),
            isr: Vec::new(),
            adding: Vec::new(),
            removing: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            recovering: false,
            leader: NodeId::NONE,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: Vec::new(),
        };
        change(&mut image, partition(state));
        let mut rig = Self {
            shared: Arc::new(Shared {
                image: Mutex::new(image),
                managers: Mutex::default(),
                cut: Mutex::default(),
            }),
            dirs: (1..=brokers)
                .map(|id| (id, tempfile::tempdir().expect("a folder")))
                .collect(),
            min_isr,
        };
        for id in 1..=brokers {
            rig.restart(id).await;
        }
        rig
    }

    /// Starts a broker, with another incarnation.
    pub async fn restart(&mut self, id: i32) {
        let incarnation = uuid::Uuid::new_v4();
        let identity = Identity {
            cluster_id: "rig".to_owned(),
            node_id: NodeId(id),
        };
        let dir = self.dirs[&id].path().to_owned();
        let logs = LogManager::open(
            &[dir],
            Disk::real(),
            &identity,
            LogConfig::default(),
            Clock::system(),
            &Random::system(),
        );
        let options = Options {
            lag_time_max: LAG,
            fetch_wait_max: Duration::from_millis(100),
            rack_aware: true,
            ..Options::new(NodeId(id), incarnation)
        };
        let properties = format!(
            "process.roles=broker\nnode.id={id}\ncontroller.quorum.voters=100@127.0.0.1:1\nmin.insync.replicas={}\n",
            self.min_isr
        );
        let config = Config::parse(&properties, &[]).expect("valid");
        let surroundings = Surroundings {
            logs: Arc::new(logs.expect("opens")),
            controller: Arc::new(Controller(Arc::clone(&self.shared), id)),
            leaders: Arc::new(Links(Arc::clone(&self.shared), id)),
            settings: Box::new({
                let config = config.clone();
                move |image, topic| config.topic(image, topic)
            }),
            property: Box::new(move |image, key| config.value(image, key)),
            nearby: None,
        };
        let manager = ReplicaManager::new(options, surroundings);
        tokio::spawn(Arc::clone(&manager).run());
        self.shared.managers.lock().insert(id, manager);
        let broker = Broker {
            id: NodeId(id),
            incarnation,
            epoch: 0,
            rack: Some(format!("rack-{id}")),
            listeners: vec![Endpoint {
                listener: "PLAINTEXT".to_owned(),
                host: "rig".to_owned(),
                port: u16::try_from(id).expect("small"),
            }],
            fenced: false,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
            features: BTreeMap::new(),
        };
        self.shared.change(Record::Broker(broker));
        self.publish();
    }

    pub async fn stop(&mut self, id: i32) {
        let manager = self.shared.managers.lock().remove(&id).expect("runs");
        manager.shutdown().await;
        manager.logs().close(0).expect("closes");
        // The tasks that held it have ended, so the folder's lock is free when this returns.
        let state = Record::BrokerState {
            id: NodeId(id),
            fenced: true,
            in_controlled_shutdown: false,
        };
        self.shared.change(state);
        let mut manager = Some(manager);
        eventually("the manager ends", || {
            manager = manager.take().and_then(|manager| Arc::try_unwrap(manager).err());
            manager.is_none()
        })
        .await;
    }

    /// As after a crash that came before the checkpoint.
    pub fn forget_watermark(&self, id: i32) {
        let file = self.dirs[&id].path().join("replication-offset-checkpoint");
        std::fs::remove_file(file).expect("there is a checkpoint");
    }

    /// Cuts a broker off from its leaders.
    pub fn cut(&self, id: i32, cut: bool) {
        let mut all = self.shared.cut.lock();
        if cut {
            all.insert(id);
        } else {
            all.remove(&id);
        }
    }

    /// A new leader, in a new epoch, and everybody knows.
    pub fn elect(&self, leader: i32, isr: &[i32]) {
        self.elect_unseen(leader, isr, &[]);
        self.publish();
    }

    /// A new leader, which only `seen_by` hear of.
    pub fn elect_unseen(&self, leader: i32, isr: &[i32], seen_by: &[i32]) {
        let replicas = self.state().replicas.iter().map(|id| id.0).collect::<Vec<_>>();
        self.change_placement(&replicas, leader, isr);
        let image = Arc::new(self.shared.image.lock().clone());
        for id in seen_by {
            self.manager(*id).apply(&image);
        }
    }

    pub fn place(&self, replicas: &[i32], leader: i32, isr: &[i32]) {
        self.change_placement(replicas, leader, isr);
        self.publish();
    }

    fn change_placement(&self, replicas: &[i32], leader: i32, isr: &[i32]) {
        let nodes = |ids: &[i32]| ids.iter().copied().map(NodeId).collect();
        let before = self.state();
        self.shared.change(partition(Partition {
            replicas: nodes(replicas),
            isr: nodes(isr),
            leader: NodeId(leader),
            leader_epoch: before.leader_epoch + 1,
            partition_epoch: before.partition_epoch + 1,
            ..before
        }));
    }

    /// Sets a topic's config, or with `None` one of all brokers.
    pub fn set(&self, topic: Option<&str>, key: &str, value: &str) {
        let resource = match topic {
            Some(topic) => Resource::Topic(topic.to_owned()),
            None => Resource::Broker(String::new()),
        };
        self.shared.change(Record::Config {
            resource,
            key: key.to_owned(),
            value: Some(value.to_owned()),
        });
        self.publish();
    }

    pub fn delete_topic(&self) {
        self.shared.change(Record::DeleteTopic { id: TOPIC });
        self.publish();
    }

    /// Brings the image to every broker that runs.
    pub fn publish(&self) {
        self.shared.publish();
    }

    pub fn at(&self) -> TopicPartition {
        TopicPartition {
            topic: TOPIC,
            partition: 0,
        }
    }

    pub fn manager(&self, id: i32) -> Arc<ReplicaManager> {
        Arc::clone(&self.shared.managers.lock()[&id])
    }

    pub async fn produce(&self, id: i32, value: &str, acks: Acks) -> Result<Produced, Refusal> {
        self.produce_within(id, value, acks, DEADLINE).await
    }

    pub async fn produce_within(
        &self,
        id: i32,
        value: &str,
        acks: Acks,
        timeout: Duration,
    ) -> Result<Produced, Refusal> {
        self.manager(id).append(self.at(), batch(value, 1), acks, timeout).await
    }

    pub fn position(&self, id: i32) -> Position {
        self.manager(id).position(self.at()).expect("hosts the partition")
    }

    pub fn end(&self, id: i32) -> Offset {
        self.position(id).log_end
    }

    /// The values in a broker's log, committed or not.
    pub fn records(&self, id: i32) -> Vec<String> {
        let Some(log) = self.manager(id).logs().get(self.at()) else {
            return Vec::new();
        };
        let read = log.read(log.start(), usize::MAX / 2, Offset::MAX, true).expect("reads");
        let mut values = Vec::new();
        for batch in crate::record::batches(read.records) {
            for record in batch.expect("whole").records(1 << 20).expect("readable") {
                let value = record.expect("a record").value.expect("a value");
                values.push(String::from_utf8(value.to_vec()).expect("text"));
            }
        }
        values
    }

    pub fn isr(&self) -> Vec<i32> {
        self.state().isr.iter().map(|id| id.0).collect()
    }

    fn state(&self) -> Partition {
        let image = self.shared.image.lock();
        image.partition(self.at()).expect("there").as_ref().clone()
    }
}

impl Shared {
    fn change(&self, record: Record) {
        change(&mut self.image.lock(), record);
    }

    fn publish(&self) {
        let image = Arc::new(self.image.lock().clone());
        let managers: Vec<_> = self.managers.lock().values().cloned().collect();
        for manager in managers {
            manager.apply(&image);
        }
    }
}

fn change(image: &mut Image, record: Record) {
    let offset = image.offset + 1;
    image.apply(&record, offset, 1);
}

fn partition(state: Partition) -> Record {
    Record::Partition {
        topic: TOPIC,
        partition: 0,
        state,
    }
}

/// One record as a producer sends it.
pub fn batch(value: &str, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.add(timestamp, None, Some(value.as_bytes()));
    builder.build().expect("small")
}

/// Looks again and again until it is so.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

struct Controller(Arc<Shared>, i32);

impl AlterPartition for Controller {
    fn alter_partition(
        &self,
        request: AlterPartitionRequest,
    ) -> BoxFuture<'_, Result<AlterPartitionResponse, LinkError>> {
        Box::pin(async move {
            let asked = &request.topics[0].partitions[0];
            let data = {
                let mut image = self.0.image.lock();
                let at = TopicPartition {
                    topic: TOPIC,
                    partition: 0,
                };
                let Some(state) = image.partition(at).map(|state| state.as_ref().clone()) else {
                    return Err(LinkError("there is no such topic".to_owned()));
                };
                let error = if asked.leader_epoch != state.leader_epoch || state.leader != NodeId(self.1) {
                    Some(ResponseError::FencedLeaderEpoch)
                } else if asked.partition_epoch != state.partition_epoch {
                    Some(ResponseError::InvalidUpdateVersion)
                } else {
                    None
                };
                let mut data = answer::PartitionData::default();
                if let Some(error) = error {
                    data.error_code = error.code();
                } else {
                    let isr: Vec<NodeId> = asked
                        .new_isr_with_epochs
                        .iter()
                        .map(|state| NodeId(state.broker_id.0))
                        .collect();
                    data.isr = isr.iter().map(|id| BrokerId(id.0)).collect();
                    data.partition_epoch = state.partition_epoch + 1;
                    let state = Partition {
                        isr,
                        partition_epoch: state.partition_epoch + 1,
                        ..state
                    };
                    change(&mut image, partition(state));
                }
                data
            };
            let topic = answer::TopicData::default()
                .with_topic_id(TOPIC.0)
                .with_partitions(vec![data]);
            Ok(AlterPartitionResponse::default().with_topics(vec![topic]))
        })
    }
}

struct Links(Arc<Shared>, i32);

impl LeaderLinks for Links {
    fn open(&self, leader: &Endpoint) -> BoxFuture<'static, Result<Box<dyn LeaderLink>, LinkError>> {
        let link = Link {
            shared: Arc::clone(&self.0),
            from: self.1,
            to: i32::from(leader.port),
        };
        Box::pin(async move {
            link.leader()?;
            Ok(Box::new(link) as Box<dyn LeaderLink>)
        })
    }
}

struct Link {
    shared: Arc<Shared>,
    from: i32,
    to: i32,
}

impl Link {
    fn leader(&self) -> Result<Arc<ReplicaManager>, LinkError> {
        let cut = self.shared.cut.lock();
        let leader = self.shared.managers.lock().get(&self.to).cloned();
        leader
            .filter(|_| !cut.contains(&self.from) && !cut.contains(&self.to))
            .ok_or_else(|| LinkError(format!("{} does not reach {}", self.from, self.to)))
    }
}

impl LeaderLink for Link {
    fn fetch(&mut self, request: FetchRequest, _deadline: Duration) -> BoxFuture<'_, Result<FetchResponse, LinkError>> {
        Box::pin(async move {
            let fetch = Fetch {
                reader: Reader::Follower {
                    id: NodeId(request.replica_state.replica_id.0),
                    broker_epoch: request.replica_state.replica_epoch,
                },
                stable: false,
                max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).expect("positive")),
                min_bytes: usize::try_from(request.min_bytes).expect("positive"),
                max_bytes: usize::try_from(request.max_bytes).expect("positive"),
            };
            let mut response = FetchResponse::default();
            for topic in request.topics {
                let from: Vec<FetchFrom> = topic
                    .partitions
                    .iter()
                    .map(|partition| FetchFrom {
                        at: TopicPartition {
                            topic: TopicId(topic.topic_id),
                            partition: partition.partition,
                        },
                        offset: partition.fetch_offset,
                        max_bytes: usize::try_from(partition.partition_max_bytes).expect("positive"),
                        current_leader_epoch: partition.current_leader_epoch,
                        last_fetched_epoch: partition.last_fetched_epoch,
                        log_start: partition.log_start_offset,
                    })
                    .collect();
                let fetched = self.leader()?.fetch(fetch, &from).await;
                let data = fetched.into_iter().map(|fetched| {
                    let data = PartitionData::default()
                        .with_partition_index(fetched.at.partition)
                        .with_error_code(fetched.error.map_or(0, |error| error.code()))
                        .with_high_watermark(fetched.high_watermark)
                        .with_log_start_offset(fetched.log_start)
                        .with_records(Some(fetched.records.concat().into()));
                    match fetched.diverging {
                        Some((epoch, end)) => {
                            data.with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch).with_end_offset(end))
                        }
                        None => data,
                    }
                });
                response.responses.push(
                    FetchableTopicResponse::default()
                        .with_topic_id(topic.topic_id)
                        .with_partitions(data.collect()),
                );
            }
            // An answer on its way when the link is cut is lost.
            self.leader()?;
            Ok(response)
        })
    }
}
