//! Content for a cluster that consoles are tried on: many topics, a few of them with records, and groups with offsets.
//!
//! Everything is made as a client makes it, through requests. What is there already is left as it is, so a cluster that was
//! filled and is started again is not filled twice.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, FindCoordinatorRequest, GroupId, MetadataRequest, OffsetCommitRequest, ProduceRequest,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::{Cluster, Error};
use crate::id::NodeId;
use crate::node;
use crate::record::BatchBuilder;
use crate::wire::{Client, ClientConfig, ErrorCode};

/// In one CreateTopics request. The controller allows more, but decides nothing else meanwhile.
const PARTITIONS_PER_REQUEST: usize = 2_000;
const TOPICS_PER_REQUEST: usize = 1_000;
/// So many topics get records.
const TOPICS_WITH_RECORDS: usize = 20;
const RECORD_BYTES: usize = 1_024;
/// Each group has offsets of so many partitions, if there are as many.
const PARTITIONS_PER_GROUP: std::ops::RangeInclusive<usize> = 10..=50;
const KEYS_PER_REQUEST: usize = 500;
/// What fails for a reason that passes is tried again, for so long in all.
const DEADLINE: Duration = Duration::from_secs(120);
const CALL_DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
const KINDS: [&str; 8] = [
    "orders", "payments", "clicks", "stock", "users", "emails", "audit", "search",
];

/// What to fill a cluster with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    pub topics: usize,
    /// Of each topic.
    pub partitions: usize,
    pub groups: usize,
}

/// What was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filled {
    pub topics: usize,
    pub records: i64,
    pub groups: usize,
}

/// The ends of the partitions that got records, by topic and partition.
type Ends = HashMap<(usize, i32), i64>;

/// The offsets of one group.
struct Commit {
    group: String,
    offsets: BTreeMap<usize, Vec<(i32, i64)>>,
}

impl Cluster {
    /// Makes what `content` says and is not there yet.
    ///
    /// # Errors
    /// [`Error::Fill`] when a request is refused, [`Error::Wire`] when it is not answered.
    pub async fn fill(&self, content: &Content) -> Result<Filled, Error> {
        let first = self.ids().first().copied().unwrap_or(NodeId::NONE);
        let address = self.config.peer_address_of(first).ok_or(Error::Unknown(first))?;
        let config = self.config.parsed(first).ok_or(Error::Unknown(first))??;
        let mut config = node::peer_client(&config, "fill")?;
        config.connect_timeout = CALL_DEADLINE;
        let fill = Fill {
            content: *content,
            client: Client::connect(address, &config).await?,
            config,
            deadline: Instant::now() + DEADLINE,
        };
        let topics = fill.topics().await?;
        if topics == 0 {
            return Ok(Filled::default());
        }
        let ends = fill.records().await?;
        let groups = fill.groups(&ends).await?;
        Ok(Filled {
            topics,
            records: ends.values().sum(),
            groups,
        })
    }
}

struct Fill {
    content: Content,
    client: Client,
    /// For the connections to other brokers.
    config: ClientConfig,
    deadline: Instant,
}

impl Fill {
    /// Creates the topics; returns how many were not there.
    async fn topics(&self) -> Result<usize, Error> {
        let per_request = (PARTITIONS_PER_REQUEST / self.content.partitions.max(1)).clamp(1, TOPICS_PER_REQUEST);
        let indexes: Vec<usize> = (0..self.content.topics).collect();
        let partitions = i32::try_from(self.content.partitions).unwrap_or(i32::MAX);
        let mut made = 0;
        for some in indexes.chunks(per_request) {
            let topic = |index: &usize| {
                CreatableTopic::default()
                    .with_name(topic_name(*index))
                    .with_num_partitions(partitions)
                    .with_replication_factor(-1)
            };
            let request = CreateTopicsRequest::default()
                .with_topics(some.iter().map(topic).collect())
                .with_timeout_ms(60_000);
            // Later versions answer with all configs of each topic.
            let answer = self.client.call_capped(request, 4, CALL_DEADLINE).await?;
            for topic in &answer.topics {
                match ErrorCode::try_from_code(topic.error_code) {
                    None => made += 1,
                    Some(ErrorCode::TopicAlreadyExists) => {}
                    Some(error) => {
                        let why = topic
                            .error_message
                            .as_ref()
                            .map_or_else(String::new, |why| format!(": {why}"));
                        return Err(Error::Fill(format!(
                            "topic {} was not created, {error}{why}",
                            topic.name.0
                        )));
                    }
                }
            }
        }
        Ok(made)
    }

    /// Writes records into the first topics.
    async fn records(&self) -> Result<Ends, Error> {
        let topics = self.content.topics.min(TOPICS_WITH_RECORDS);
        let mut missing: Vec<(usize, i32)> = (0..topics)
            .flat_map(|topic| {
                (0..)
                    .take(self.content.partitions)
                    .map(move |partition| (topic, partition))
            })
            .collect();
        let mut ends = Ends::new();
        loop {
            let by_leader = self.leaders(&missing).await?;
            let written = by_leader
                .iter()
                .map(|(address, led)| produce(address, &self.config, led));
            for written in futures::future::join_all(written).await {
                ends.extend(written?);
            }
            missing.retain(|at| !ends.contains_key(at));
            if missing.is_empty() {
                return Ok(ends);
            }
            self.pause("records are not acknowledged").await?;
        }
    }

    /// The partitions by the address of their leader, as far as the broker knows them yet.
    async fn leaders(&self, wanted: &[(usize, i32)]) -> Result<BTreeMap<String, Vec<(usize, i32)>>, Error> {
        let mut names: Vec<usize> = wanted.iter().map(|(topic, _)| *topic).collect();
        names.dedup();
        let by_name: HashMap<TopicName, usize> = names.iter().map(|topic| (topic_name(*topic), *topic)).collect();
        let asked = by_name
            .keys()
            .map(|name| MetadataRequestTopic::default().with_name(Some(name.clone())));
        let request = MetadataRequest::default().with_topics(Some(asked.collect()));
        let answer = self.client.call(request, CALL_DEADLINE).await?;
        let addresses: HashMap<i32, String> = answer
            .brokers
            .iter()
            .map(|broker| (broker.node_id.0, format!("{}:{}", broker.host, broker.port)))
            .collect();
        let mut by_leader: BTreeMap<String, Vec<(usize, i32)>> = BTreeMap::new();
        for topic in &answer.topics {
            let Some(index) = topic.name.as_ref().and_then(|name| by_name.get(name)) else {
                continue;
            };
            for partition in &topic.partitions {
                let at = (*index, partition.partition_index);
                if let Some(address) = addresses.get(&partition.leader_id.0)
                    && wanted.contains(&at)
                {
                    by_leader.entry(address.clone()).or_default().push(at);
                }
            }
        }
        Ok(by_leader)
    }

    /// Commits the groups' offsets; returns how many groups there are.
    async fn groups(&self, ends: &Ends) -> Result<usize, Error> {
        let mut missing: Vec<Commit> = (0..self.content.groups).map(|group| self.commit(group, ends)).collect();
        let count = missing.len();
        while !missing.is_empty() {
            let mut coordinators = self.coordinators(&missing).await?;
            let mut by_coordinator: BTreeMap<String, Vec<Commit>> = BTreeMap::new();
            let mut again = Vec::new();
            for commit in missing {
                match coordinators.remove(&commit.group) {
                    Some(address) => by_coordinator.entry(address).or_default().push(commit),
                    None => again.push(commit),
                }
            }
            let committed = by_coordinator
                .into_iter()
                .map(|(address, commits)| commit_all(address, &self.config, commits));
            for refused in futures::future::join_all(committed).await {
                again.extend(refused?);
            }
            missing = again;
            if !missing.is_empty() {
                self.pause("offsets are not committed").await?;
            }
        }
        Ok(count)
    }

    /// What a group has read: all of some topics, and most of others.
    fn commit(&self, group: usize, ends: &Ends) -> Commit {
        let Content { topics, partitions, .. } = self.content;
        let (least, most) = (*PARTITIONS_PER_GROUP.start(), *PARTITIONS_PER_GROUP.end());
        let count = (least + group * 7 % (most - least + 1)).min(topics * partitions);
        // Two of three groups read topics that have records.
        let first = if group.is_multiple_of(3) {
            group * 10
        } else {
            group % TOPICS_WITH_RECORDS
        };
        let mut offsets: BTreeMap<usize, Vec<(i32, i64)>> = BTreeMap::new();
        for step in 0..count {
            let topic = (first + step / partitions.max(1)) % topics.max(1);
            let partition = i32::try_from(step % partitions.max(1)).unwrap_or(0);
            let end = ends.get(&(topic, partition)).copied().unwrap_or(0);
            let lag = match i64::try_from(group * 13 + step * 5) {
                Ok(spread) if !group.is_multiple_of(4) => spread % (end + 1),
                _ => 0,
            };
            offsets.entry(topic).or_default().push((partition, end - lag));
        }
        Commit {
            group: format!("{}-reader-{group:04}", KINDS[group % KINDS.len()]),
            offsets,
        }
    }

    /// The addresses of the groups' coordinators, as far as there are any yet.
    async fn coordinators(&self, commits: &[Commit]) -> Result<HashMap<String, String>, Error> {
        let mut found = HashMap::new();
        for some in commits.chunks(KEYS_PER_REQUEST) {
            let keys = some.iter().map(|commit| StrBytes::from_string(commit.group.clone()));
            let request = FindCoordinatorRequest::default().with_coordinator_keys(keys.collect());
            let answer = self.client.call(request, CALL_DEADLINE).await?;
            for coordinator in answer.coordinators {
                if coordinator.error_code == 0 {
                    let address = format!("{}:{}", coordinator.host, coordinator.port);
                    found.insert(coordinator.key.to_string(), address);
                }
            }
        }
        Ok(found)
    }

    async fn pause(&self, what: &str) -> Result<(), Error> {
        if Instant::now() >= self.deadline {
            return Err(Error::Fill(format!("{what} within {} s", DEADLINE.as_secs())));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

fn topic_name(index: usize) -> TopicName {
    let kind = KINDS[index % KINDS.len()];
    TopicName(StrBytes::from_string(format!("{kind}-{index:05}")))
}

/// Writes some records to each partition, and returns the ends of those that were acknowledged.
async fn produce(
    address: &str,
    config: &ClientConfig,
    led: &[(usize, i32)],
) -> Result<Vec<((usize, i32), i64)>, Error> {
    let client = Client::connect(address, config).await?;
    let mut topics: BTreeMap<usize, Vec<PartitionProduceData>> = BTreeMap::new();
    for (topic, partition) in led {
        let data = PartitionProduceData::default()
            .with_index(*partition)
            .with_records(Some(batch(*topic, *partition)?));
        topics.entry(*topic).or_default().push(data);
    }
    let by_name: HashMap<TopicName, usize> = topics.keys().map(|topic| (topic_name(*topic), *topic)).collect();
    let data = |(topic, partitions): (usize, Vec<PartitionProduceData>)| {
        TopicProduceData::default()
            .with_name(topic_name(topic))
            .with_partition_data(partitions)
    };
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(topics.into_iter().map(data).collect());
    // Later versions name topics by id.
    let answer = client.call_capped(request, 12, CALL_DEADLINE).await?;
    let mut ends = Vec::new();
    for topic in &answer.responses {
        let Some(index) = by_name.get(&topic.name) else {
            continue;
        };
        for partition in topic
            .partition_responses
            .iter()
            .filter(|partition| partition.error_code == 0)
        {
            let end = partition.base_offset + count(*index, partition.index);
            ends.push(((*index, partition.index), end));
        }
    }
    Ok(ends)
}

/// How many records a partition gets: not all the same.
fn count(topic: usize, partition: i32) -> i64 {
    let topic = i64::try_from(topic).unwrap_or(0);
    10 + (topic * 7 + i64::from(partition) * 3) % 40
}

fn batch(topic: usize, partition: i32) -> Result<bytes::Bytes, Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let mut batch = BatchBuilder::new();
    for number in 0..count(topic, partition) {
        let key = format!("{topic}-{partition}-{number}");
        let value = key
            .as_bytes()
            .iter()
            .copied()
            .cycle()
            .take(RECORD_BYTES)
            .collect::<Vec<u8>>();
        batch.add(now_ms, Some(key.as_bytes()), Some(&value));
    }
    batch.build().map_err(|error| Error::Fill(error.to_string()))
}

/// Commits over one connection; returns what was refused for now.
async fn commit_all(address: String, config: &ClientConfig, commits: Vec<Commit>) -> Result<Vec<Commit>, Error> {
    let client = Client::connect(&address, config).await?;
    let answers = commits.iter().map(|commit| client.call(request(commit), CALL_DEADLINE));
    let answers = futures::future::join_all(answers).await;
    let mut refused = Vec::new();
    for (commit, answer) in commits.into_iter().zip(answers) {
        let answer = answer?;
        let errors = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if errors.into_iter().any(|partition| partition.error_code != 0) {
            refused.push(commit);
        }
    }
    Ok(refused)
}

fn request(commit: &Commit) -> OffsetCommitRequest {
    let topic = |(topic, offsets): (&usize, &Vec<(i32, i64)>)| {
        let partition = |(partition, offset): &(i32, i64)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(StrBytes::default()))
        };
        OffsetCommitRequestTopic::default()
            .with_name(topic_name(*topic))
            .with_partitions(offsets.iter().map(partition).collect())
    };
    OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(commit.group.clone())))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(commit.offsets.iter().map(topic).collect())
}
