//! A cluster of brokers that answer on real sockets from a few numbers: for tests that count requests, kill brokers or
//! have them hang. What real brokers answer is tested on real brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use azimuth_broker::wire::{FrameReader, Header, decode_header, decode_message, encode_response};
use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, CreateTopicsResponse, DescribeClusterRequest,
    DescribeClusterResponse, DescribeConfigsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    DescribeLogDirsResponse, DescribeQuorumResponse, GroupId, ListGroupsRequest, ListGroupsResponse,
    ListOffsetsRequest, ListOffsetsResponse, ListPartitionReassignmentsResponse, MetadataRequest, MetadataResponse,
    OffsetFetchRequest, OffsetFetchResponse,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Message, VersionRange};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::Target;
use super::answer::{text, topic_name};
use super::target::Deadlines;
use crate::model::BrokerId;

/// What the cluster holds. Every group has committed offset 10 in every partition of the first `committed` topics;
/// every log is 0..100 until records are appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub brokers: i32,
    pub topics: i32,
    pub partitions: i32,
    pub groups: i32,
    pub committed: i32,
    /// The newest OffsetFetch that it has.
    pub offset_fetch: i16,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            brokers: 3,
            topics: 4,
            partitions: 3,
            groups: 4,
            committed: 2,
            offset_fetch: 9,
        }
    }
}

#[derive(Debug)]
struct Shared {
    shape: Shape,
    addresses: BTreeMap<BrokerId, SocketAddr>,
    /// These take connections and requests, and say nothing, like a stopped process.
    hanging: Mutex<BTreeSet<BrokerId>>,
    /// By broker and API, as received.
    received: Mutex<BTreeMap<(BrokerId, i16), u64>>,
    /// Where every log ends.
    end: AtomicI64,
}

/// The running cluster; brokers are 1, 2, ...
#[derive(Debug)]
pub(crate) struct Fake {
    shared: Arc<Shared>,
    running: BTreeMap<BrokerId, AbortHandle>,
}

impl Fake {
    pub async fn start(shape: Shape) -> Self {
        let mut listeners = BTreeMap::new();
        for id in 1..=shape.brokers {
            listeners.insert(id, TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addresses = listeners
            .iter()
            .map(|(id, listener)| (*id, listener.local_addr().unwrap()));
        let shared = Arc::new(Shared {
            shape,
            addresses: addresses.collect(),
            hanging: Mutex::default(),
            received: Mutex::default(),
            end: AtomicI64::new(100),
        });
        let mut fake = Self {
            shared,
            running: BTreeMap::new(),
        };
        for (id, listener) in listeners {
            fake.serve(id, listener);
        }
        fake
    }

    fn serve(&mut self, id: BrokerId, listener: TcpListener) {
        let task = tokio::spawn(listen(Arc::clone(&self.shared), id, listener));
        self.running.insert(id, task.abort_handle());
    }

    /// A target with all brokers as bootstrap and short deadlines.
    pub fn target(&self) -> Target {
        let mut target = Target::new("");
        target.bootstrap = self.shared.addresses.values().map(ToString::to_string).collect();
        target.deadlines = Deadlines {
            connect: std::time::Duration::from_millis(300),
            call: std::time::Duration::from_millis(600),
            change: std::time::Duration::from_millis(600),
            hedge: std::time::Duration::from_millis(50),
            retry: std::time::Duration::from_millis(200),
        };
        target
    }

    /// Closes its listener and every connection.
    pub fn kill(&mut self, id: BrokerId) {
        if let Some(task) = self.running.remove(&id) {
            task.abort();
        }
    }

    /// Listens at the same address again.
    pub async fn revive(&mut self, id: BrokerId) {
        let listener = TcpListener::bind(self.shared.addresses[&id]).await.unwrap();
        self.serve(id, listener);
    }

    /// Makes every log longer.
    pub fn append(&self, records: i64) {
        self.shared.end.fetch_add(records, Ordering::Relaxed);
    }

    pub fn hang(&self, id: BrokerId) {
        self.shared.hanging.lock().unwrap().insert(id);
    }

    /// How often any broker got this request.
    pub fn received(&self, api: ApiKey) -> u64 {
        let received = self.shared.received.lock().unwrap();
        let counts = received.iter().filter(|((_, key), _)| *key == api as i16);
        counts.map(|(_, count)| count).sum()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        for task in self.running.values() {
            task.abort();
        }
    }
}

async fn listen(shared: Arc<Shared>, id: BrokerId, listener: TcpListener) {
    // Dropped with this task: a killed broker's connections go with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(Arc::clone(&shared), id, stream));
    }
}

async fn converse(shared: Arc<Shared>, id: BrokerId, mut stream: TcpStream) {
    let mut frames = FrameReader::new(1 << 20);
    while let Ok(Some(mut frame)) = frames.next(&mut stream).await {
        let header = decode_header(&mut frame).unwrap();
        *shared.received.lock().unwrap().entry((id, header.key)).or_default() += 1;
        if shared.hanging.lock().unwrap().contains(&id) {
            std::future::pending::<()>().await;
        }
        let answer = shared.answer(id, &header, frame);
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn encoded(message: &(impl Encodable + HeaderVersion), header: &Header) -> Bytes {
    encode_response(message, header.version, header.correlation).unwrap()
}

impl Shared {
    fn answer(&self, id: BrokerId, header: &Header, body: Bytes) -> Bytes {
        let version = header.version;
        match ApiKey::try_from(header.key).unwrap() {
            ApiKey::ApiVersions => encoded(&self.versions(), header),
            ApiKey::DescribeCluster => encoded(&self.cluster(), header),
            ApiKey::Metadata => encoded(&self.metadata(), header),
            ApiKey::ListGroups => encoded(&self.groups_of(id, version), header),
            ApiKey::DescribeGroups => encoded(&described(decode_message(body, version).unwrap()), header),
            ApiKey::OffsetFetch => encoded(&self.commits(decode_message(body, version).unwrap()), header),
            ApiKey::ListOffsets => encoded(&self.ends(decode_message(body, version).unwrap()), header),
            ApiKey::ListPartitionReassignments => encoded(&ListPartitionReassignmentsResponse::default(), header),
            ApiKey::DescribeLogDirs => encoded(&DescribeLogDirsResponse::default(), header),
            ApiKey::DescribeConfigs => encoded(&DescribeConfigsResponse::default(), header),
            ApiKey::DescribeQuorum => encoded(&DescribeQuorumResponse::default(), header),
            ApiKey::CreateTopics => encoded(&CreateTopicsResponse::default(), header),
            other => panic!("{other:?} was not advertised"),
        }
    }

    fn ends(&self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let end = self.end.load(Ordering::Relaxed);
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|partition| {
                let latest = partition.timestamp == -1;
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(partition.partition_index)
                    .with_offset(if latest { end } else { 0 })
            });
            ListOffsetsTopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }

    fn versions(&self) -> ApiVersionsResponse {
        let range = |min, max| VersionRange { min, max };
        let apis = [
            (ApiKey::ApiVersions, ApiVersionsRequest::VERSIONS),
            (ApiKey::DescribeCluster, DescribeClusterRequest::VERSIONS),
            (ApiKey::Metadata, MetadataRequest::VERSIONS),
            (ApiKey::ListGroups, ListGroupsRequest::VERSIONS),
            (ApiKey::DescribeGroups, DescribeGroupsRequest::VERSIONS),
            (ApiKey::OffsetFetch, range(1, self.shape.offset_fetch)),
            (ApiKey::ListOffsets, ListOffsetsRequest::VERSIONS),
            (ApiKey::ListPartitionReassignments, range(0, 0)),
            (ApiKey::DescribeLogDirs, range(1, 4)),
            (ApiKey::DescribeConfigs, range(1, 4)),
            (ApiKey::DescribeQuorum, range(0, 2)),
            (ApiKey::CreateTopics, range(2, 7)),
        ];
        let apis = apis.into_iter().map(|(key, versions)| {
            ApiVersion::default()
                .with_api_key(key as i16)
                .with_min_version(versions.min)
                .with_max_version(versions.max)
        });
        ApiVersionsResponse::default().with_api_keys(apis.collect())
    }

    fn cluster(&self) -> DescribeClusterResponse {
        let brokers = self.addresses.iter().map(|(id, address)| {
            DescribeClusterBroker::default()
                .with_broker_id((*id).into())
                .with_host(text(&address.ip().to_string()))
                .with_port(i32::from(address.port()))
        });
        DescribeClusterResponse::default()
            .with_cluster_id(text("fake"))
            .with_controller_id(1.into())
            .with_brokers(brokers.collect())
    }

    fn metadata(&self) -> MetadataResponse {
        let shape = self.shape;
        let topics = (0..shape.topics).map(|topic| {
            let partitions = (0..shape.partitions).map(|partition| {
                let leader = (topic + partition) % shape.brokers + 1;
                MetadataResponsePartition::default()
                    .with_partition_index(partition)
                    .with_leader_id(leader.into())
                    .with_replica_nodes(vec![leader.into()])
                    .with_isr_nodes(vec![leader.into()])
            });
            MetadataResponseTopic::default()
                .with_name(Some(topic_name(&format!("topic-{topic:05}"))))
                .with_partitions(partitions.collect())
        });
        MetadataResponse::default()
            .with_cluster_id(Some(text("fake")))
            .with_topics(topics.collect())
    }

    fn groups_of(&self, id: BrokerId, version: i16) -> ListGroupsResponse {
        let mine = (0..self.shape.groups).filter(|group| group % self.shape.brokers + 1 == id);
        let groups = mine.map(|group| {
            let listed = ListedGroup::default()
                .with_group_id(GroupId(text(&format!("group-{group:05}"))))
                .with_protocol_type(text("consumer"));
            match version {
                ..4 => listed,
                4 => listed.with_group_state(text("Empty")),
                _ => listed.with_group_state(text("Empty")).with_group_type(text("classic")),
            }
        });
        ListGroupsResponse::default().with_groups(groups.collect())
    }

    fn commits(&self, request: OffsetFetchRequest) -> OffsetFetchResponse {
        let topics = || (0..self.shape.committed).map(|topic| topic_name(&format!("topic-{topic:05}")));
        if request.groups.is_empty() {
            let topics = topics().map(|name| {
                let partitions = (0..self.shape.partitions).map(|partition| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(partition)
                        .with_committed_offset(10)
                });
                OffsetFetchResponseTopic::default()
                    .with_name(name)
                    .with_partitions(partitions.collect())
            });
            return OffsetFetchResponse::default().with_topics(topics.collect());
        }
        let groups = request.groups.into_iter().map(|group| {
            let topics = topics().map(|name| {
                let partitions = (0..self.shape.partitions).map(|partition| {
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(partition)
                        .with_committed_offset(10)
                });
                OffsetFetchResponseTopics::default()
                    .with_name(name)
                    .with_partitions(partitions.collect())
            });
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id)
                .with_topics(topics.collect())
        });
        OffsetFetchResponse::default().with_groups(groups.collect())
    }
}

fn described(request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|group| {
        DescribedGroup::default()
            .with_group_id(group)
            .with_group_state(text("Empty"))
            .with_protocol_type(text("consumer"))
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}
