//! The cluster under siege: processes, SASL_SSL and ACLs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::id::NodeId;
use azimuth_broker::wire::sasl::Sasl;
use azimuth_broker::wire::{Client, ClientConfig, Security, tls};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreateAclsRequest, CreateTopicsRequest,
    IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tempfile::TempDir;

use super::{DEADLINE, MOVED, MOVED_BYTES, PARTITIONS, PAYMENTS, TOPIC, members, moved_records};

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"node\" \
    password=\"node-secret\" user_node=\"node-secret\";";

// Codes of the protocol.
pub const KIND_TOPIC: i8 = 2;
pub const KIND_BROKER: i8 = 4;
const KIND_GROUP: i8 = 3;
const KIND_TRANSACTIONAL_ID: i8 = 5;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const ALLOW: i8 = 3;
const READ: i8 = 3;
const WRITE: i8 = 4;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// The partitions of a topic as one broker tells them.
async fn topic(client: &Client, name: &str) -> Option<Vec<MetadataResponsePartition>> {
    let wanted = MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
    let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
    let response = client.call(request, Duration::from_secs(5)).await.ok()?;
    let topic = response.topics.into_iter().next()?;
    (topic.error_code == 0).then_some(topic.partitions)
}

pub struct Home {
    pub cluster: Cluster,
    certificate: String,
    /// Of the brokers' own user, who may do everything.
    admin: ClientConfig,
    dir: TempDir,
}

impl Home {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let mut config = ClusterConfig::local(3, &["a", "b", "c"].map(str::to_owned), dir.path(), 0);
        config.processes = Some(env!("CARGO_BIN_EXE_azimuth-broker").into());
        config.allow_faults = true;
        config.users = vec!["SCRAM-SHA-512=[name=alice,password=alice-scram]".to_owned()];
        config.overrides = [
            // Failures are noticed in test time, not in production time.
            ("broker.session.timeout.ms", "1500"),
            ("broker.heartbeat.interval.ms", "200"),
            ("replica.lag.time.max.ms", "2000"),
            // One broker may lose what it has not synced.
            ("min.insync.replicas", "2"),
            ("offsets.topic.num.partitions", "3"),
            ("transaction.state.log.num.partitions", "3"),
            ("transaction.state.log.replication.factor", "3"),
            ("transaction.state.log.min.isr", "2"),
            ("group.initial.rebalance.delay.ms", "200"),
            ("group.consumer.session.timeout.ms", "6000"),
            ("group.consumer.heartbeat.interval.ms", "500"),
            (
                "listener.security.protocol.map",
                "CLIENTS:SASL_SSL,INTERNAL:SASL_SSL,CONTROLLER:SASL_SSL",
            ),
            ("inter.broker.listener.name", "INTERNAL"),
            ("sasl.mechanism.inter.broker.protocol", "PLAIN"),
            ("sasl.mechanism.controller.protocol", "PLAIN"),
            ("listener.name.clients.sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512"),
            ("listener.name.clients.plain.sasl.jaas.config", PLAIN),
            ("listener.name.internal.sasl.enabled.mechanisms", "PLAIN"),
            ("listener.name.internal.plain.sasl.jaas.config", PLAIN),
            ("listener.name.controller.sasl.enabled.mechanisms", "PLAIN"),
            ("listener.name.controller.plain.sasl.jaas.config", PLAIN),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.certificate.chain", &certificate),
            ("ssl.keystore.key", &key),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.certificates", &certificate),
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ),
            ("super.users", "User:node"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        let trust = certificate.clone();
        let settings = tls::Settings::from_properties(|key| match key {
            "ssl.truststore.type" => Some("PEM".to_owned()),
            "ssl.truststore.certificates" => Some(trust.clone()),
            _ => None,
        });
        let connector = tls::Connector::new(&settings.expect("valid")).expect("a certificate");
        let admin = ClientConfig {
            security: Security::Tls(Arc::new(connector)),
            sasl: Some(Sasl::plain("node", "node-secret")),
            ..ClientConfig::default()
        };
        let cluster = Cluster::start(config).await.expect("a cluster");
        let home = Self {
            cluster,
            certificate,
            admin,
            dir,
        };
        for topic in [TOPIC, PAYMENTS] {
            home.create(
                topic,
                (0..PARTITIONS).map(|at| (0..3).map(|next| (at + next) % 3 + 1).collect()),
            )
            .await;
        }
        home.create(MOVED, [vec![1, 2]].into_iter()).await;
        home.allow().await;
        for topic in [TOPIC, PAYMENTS] {
            home.in_sync(topic, 3).await;
        }
        home
    }

    /// A connection to the first broker that answers.
    async fn client(&self) -> Option<Client> {
        for addr in self.cluster.addresses() {
            if let Ok(client) = Client::connect(&addr, &self.admin).await {
                return Some(client);
            }
        }
        None
    }

    async fn any(&self) -> Client {
        self.client().await.expect("a broker answers")
    }

    async fn create(&self, topic: &str, placement: impl Iterator<Item = Vec<i32>>) {
        let assigned = |(index, brokers): (usize, Vec<i32>)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index as i32)
                .with_broker_ids(brokers.into_iter().map(BrokerId).collect())
        };
        let min_isr = CreatableTopicConfig::default()
            .with_name(text("min.insync.replicas"))
            .with_value(Some(text("2")));
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(topic)))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(placement.enumerate().map(assigned).collect())
            .with_configs(vec![min_isr]);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.any().await.call(request, DEADLINE).await.expect("an answer");
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
    }

    /// Alice may write and read these topics, and nothing else.
    async fn allow(&self) {
        let acl = |kind, name: &str, pattern, operation| {
            AclCreation::default()
                .with_resource_type(kind)
                .with_resource_name(text(name))
                .with_resource_pattern_type(pattern)
                .with_principal(text("User:alice"))
                .with_host(text("*"))
                .with_operation(operation)
                .with_permission_type(ALLOW)
        };
        let topics = [TOPIC, PAYMENTS, MOVED].into_iter();
        let mut acls: Vec<_> = topics
            .flat_map(|topic| [WRITE, READ].map(|operation| acl(KIND_TOPIC, topic, LITERAL, operation)))
            .collect();
        acls.push(acl(KIND_GROUP, "readers", LITERAL, READ));
        acls.extend(members::GROUPS.map(|(group, _)| acl(KIND_GROUP, group, LITERAL, READ)));
        acls.push(acl(KIND_TRANSACTIONAL_ID, "transfer-", PREFIXED, WRITE));
        let request = CreateAclsRequest::default().with_creations(acls);
        let response = self.any().await.call(request, DEADLINE).await.expect("an answer");
        for result in response.results {
            assert_eq!(result.error_code, 0, "{:?}", result.error_message);
        }
    }

    /// librdkafka as Alice.
    pub fn alice(&self) -> rdkafka::ClientConfig {
        let mut config = rdkafka::ClientConfig::new();
        config
            .set("bootstrap.servers", self.cluster.bootstrap())
            .set("security.protocol", "sasl_ssl")
            .set("ssl.ca.pem", &self.certificate)
            .set("sasl.mechanism", "SCRAM-SHA-512")
            .set("sasl.username", "alice")
            .set("sasl.password", "alice-scram");
        config
    }

    /// The same, soon back at whoever answers.
    pub fn alice_in_haste(&self) -> rdkafka::ClientConfig {
        let mut config = self.alice();
        config
            // A frozen broker that is asked for metadata holds a client up for so long.
            .set("socket.timeout.ms", "5000")
            .set("reconnect.backoff.max.ms", "500")
            .set("topic.metadata.refresh.interval.ms", "2000");
        config
    }

    /// The same for one that writes.
    pub fn writer_in_haste(&self) -> rdkafka::ClientConfig {
        let mut config = self.alice_in_haste();
        config
            .set("request.timeout.ms", "3000")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "500");
        config
    }

    pub async fn partitions(&self, name: &str) -> Option<Vec<MetadataResponsePartition>> {
        topic(&self.client().await?, name).await
    }

    async fn until(&self, what: &str, topic: &str, good: impl Fn(&MetadataResponsePartition) -> bool) {
        let until = Instant::now() + DEADLINE;
        loop {
            let seen = self.partitions(topic).await;
            if seen
                .as_ref()
                .is_some_and(|all| !all.is_empty() && all.iter().all(&good))
            {
                return;
            }
            assert!(Instant::now() < until, "{what}: not within {DEADLINE:?}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn in_sync(&self, topic: &str, replicas: usize) {
        self.until("all replicas are in sync", topic, |partition| {
            partition.isr_nodes.len() == replicas
        })
        .await;
    }

    /// Until the others have taken over from `victim`.
    pub async fn without(&self, victim: NodeId) {
        let until = Instant::now() + DEADLINE;
        let others = |seen: &Vec<MetadataResponsePartition>| {
            let led = |partition: &MetadataResponsePartition| ![-1, victim.0].contains(&partition.leader_id.0);
            !seen.is_empty() && seen.iter().all(led)
        };
        let addresses = self.cluster.addresses();
        let witness = &addresses[victim.0 as usize % addresses.len()];
        loop {
            let seen = match Client::connect(witness, &self.admin).await {
                Ok(client) => topic(&client, TOPIC).await,
                Err(_) => None,
            };
            if seen.as_ref().is_some_and(others) {
                return;
            }
            assert!(Instant::now() < until, "nobody takes over from {victim}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn set(&self, kind: i8, resource: &str, configs: &[(&str, &str)]) {
        let config = |(key, value): &(&str, &str)| {
            AlterableConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource))
            .with_configs(configs.iter().map(config).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response = self.any().await.call(request, DEADLINE).await.expect("an answer");
        let answer = &response.responses[0];
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    }

    pub async fn throttle(&self, rate: &str) {
        for broker in ["1", "2", "3"] {
            let rates = [
                ("leader.replication.throttled.rate", rate),
                ("follower.replication.throttled.rate", rate),
            ];
            self.set(KIND_BROKER, broker, &rates).await;
        }
    }

    /// Moves the one partition of `MOVED`, or with `None` cancels that.
    pub async fn reassign(&self, target: Option<&[i32]>) {
        let target = target.map(|target| target.iter().copied().map(BrokerId).collect());
        let topic = ReassignableTopic::default()
            .with_name(TopicName(text(MOVED)))
            .with_partitions(vec![ReassignablePartition::default().with_replicas(target)]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.any().await.call(request, DEADLINE).await.expect("an answer");
        let answer = &response.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    }

    /// Whether a reassignment is in flight; `None` while nobody knows.
    pub async fn is_moving(&self) -> Option<bool> {
        let request = ListPartitionReassignmentsRequest::default()
            .with_topics(None)
            .with_timeout_ms(5_000);
        let response = self.client().await?.call(request, DEADLINE).await.ok()?;
        (response.error_code == 0).then_some(!response.topics.is_empty())
    }

    pub async fn still(&self) {
        let until = Instant::now() + DEADLINE;
        while self.is_moving().await != Some(false) {
            assert!(Instant::now() < until, "the reassignment does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn is_on(&self, brokers: [i32; 2]) {
        self.until("the replicas are where they should be", MOVED, |partition| {
            let mut ids: Vec<i32> = partition.replica_nodes.iter().map(|id| id.0).collect();
            ids.sort_unstable();
            ids == brokers && partition.isr_nodes.len() == 2
        })
        .await;
    }

    pub async fn fill_moved(&self) {
        let producer: FutureProducer = self
            .alice()
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .create()
            .expect("a producer");
        let value = "x".repeat(MOVED_BYTES);
        let sends = (0..moved_records()).map(|id| {
            let record = FutureRecord::to(MOVED).partition(0).payload(&value);
            let key = id.to_string();
            let producer = producer.clone();
            async move { producer.send(record.key(&key), DEADLINE).await }
        });
        for sent in futures::future::join_all(sends).await {
            sent.expect("acknowledged");
        }
    }

    /// The log directory of a broker.
    pub fn data(&self, broker: NodeId) -> PathBuf {
        self.dir.path().join(format!("broker-{broker}/data"))
    }

    /// Ends the cluster in an orderly way; its folders stay as long as what is returned.
    pub async fn end(self) -> TempDir {
        self.cluster.shutdown().await;
        self.dir
    }
}
