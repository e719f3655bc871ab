//! Who may do what, as clients see it: Kafka's standard authorizer on every node, and users that log in with SASL.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::node::{Config, Node, Surroundings};
use azimuth_broker::wire::sasl::Sasl;
use azimuth_broker::wire::{Client, ClientConfig, ErrorCode};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AlterPartitionRequest, BrokerHeartbeatRequest, BrokerRegistrationRequest,
    CreateAclsRequest, CreateTopicsRequest, DescribeAclsRequest, DescribeClusterRequest, DescribeQuorumRequest,
    FetchRequest, MetadataRequest, MetadataResponse, TopicName, UnregisterBrokerRequest,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);
const AUTHORIZER: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";

// Codes of the protocol.
const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const DENY: i8 = 2;
const ALLOW: i8 = 3;
const ALL: i8 = 2;
const READ: i8 = 3;
const WRITE: i8 = 4;
const DESCRIBE: i8 = 8;

/// A cluster and the folder it lives in.
struct Home {
    cluster: Cluster,
    _dir: TempDir,
}

impl Home {
    async fn start(overrides: &[(&str, &str)]) -> Self {
        Self::with(2, overrides).await
    }

    async fn with(nodes: u16, overrides: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = ClusterConfig::local(nodes, &[], dir.path(), 0);
        let common = [
            ("authorizer.class.name", AUTHORIZER),
            ("group.initial.rebalance.delay.ms", "0"),
            ("offsets.topic.num.partitions", "1"),
        ];
        let all = common.iter().chain(overrides);
        config.overrides = all
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let cluster = Cluster::start(config).await.expect("a cluster");
        Self { cluster, _dir: dir }
    }

    /// Everybody is `User:ANONYMOUS`, who may do what no ACL is about.
    async fn open() -> Self {
        let open = ("allow.everyone.if.no.acl.found", "true");
        Self::start(&[open, ("super.users", "User:admin")]).await
    }

    async fn client(&self) -> Client {
        let addr = self.cluster.addresses().remove(0);
        Client::connect(&addr, &ClientConfig::default())
            .await
            .expect("connects")
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// `permission principal host operation resource pattern name`.
fn acl(permission: i8, principal: &str, host: &str, operation: i8, kind: i8, pattern: i8, name: &str) -> AclCreation {
    AclCreation::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_resource_pattern_type(pattern)
        .with_principal(text(principal))
        .with_host(text(host))
        .with_operation(operation)
        .with_permission_type(permission)
}

async fn add(client: &Client, acls: Vec<AclCreation>) {
    let request = CreateAclsRequest::default().with_creations(acls);
    let response = client.call(request, DEADLINE).await.expect("an answer");
    for result in response.results {
        assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    }
}

async fn create(client: &Client, topics: &[&str]) {
    let topic = |name: &&str| {
        CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(1)
            .with_replication_factor(2)
    };
    let request = CreateTopicsRequest::default()
        .with_topics(topics.iter().map(topic).collect())
        .with_timeout_ms(30_000);
    let response = client.call(request, DEADLINE).await.expect("an answer");
    for topic in response.topics {
        assert_eq!(topic.error_code, 0, "{:?}", topic.error_message);
    }
}

async fn metadata(client: &Client, topics: Option<&[&str]>) -> MetadataResponse {
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
    let topics = topics.map(|names| names.iter().map(topic).collect());
    let request = MetadataRequest::default()
        .with_topics(topics)
        .with_allow_auto_topic_creation(false)
        .with_include_topic_authorized_operations(true);
    client.call(request, DEADLINE).await.expect("an answer")
}

/// The topics of an answer but the internal ones, with their error codes.
fn told(response: &MetadataResponse) -> BTreeSet<(String, i16)> {
    let topics = response.topics.iter();
    topics
        .map(|topic| {
            let name = topic.name.as_ref().map(|name| name.to_string());
            (name.unwrap_or_default(), topic.error_code)
        })
        .filter(|(name, _)| !name.starts_with("__"))
        .collect()
}

async fn produce(client: &rdkafka::ClientConfig, topic: &str) -> Result<(), RDKafkaErrorCode> {
    let producer: FutureProducer = client
        .clone()
        .set("acks", "all")
        .set("message.timeout.ms", "30000")
        .create()
        .expect("a producer");
    let record = FutureRecord::<(), _>::to(topic).partition(0).payload("x");
    match producer.send(record, DEADLINE).await {
        Ok(_) => Ok(()),
        Err((error, _)) => Err(error.rdkafka_error_code().expect("a code")),
    }
}

/// Reads one record of a topic as a member of no group.
async fn consume(client: &rdkafka::ClientConfig, topic: &str) -> Result<(), RDKafkaErrorCode> {
    let consumer: BaseConsumer = client
        .clone()
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(topic, 0, Offset::Beginning)
        .expect("an offset");
    consumer.assign(&all).expect("assigns");
    let reading = tokio::task::spawn_blocking(move || first(&consumer));
    reading.await.expect("reads")
}

/// The first record, or the first error that says more than that it is tried again.
fn first(consumer: &BaseConsumer) -> Result<(), RDKafkaErrorCode> {
    let until = Instant::now() + DEADLINE;
    while Instant::now() < until {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                assert_eq!(message.payload(), Some(&b"x"[..]));
                return Ok(());
            }
            Some(Err(KafkaError::MessageConsumption(
                code @ (RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed),
            ))) => return Err(code),
            _ => {}
        }
    }
    panic!("neither a record nor an answer within {DEADLINE:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_acl_is_about_is_closed_and_all_else_is_open() {
    let home = Home::open().await;
    let client = home.client().await;
    create(&client, &["open", "secret", "secret-too", "hidden", "read-only"]).await;
    let anonymous = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", home.cluster.bootstrap())
        .clone();
    for topic in ["open", "secret", "read-only"] {
        assert_eq!(produce(&anonymous, topic).await, Ok(()), "{topic}");
    }
    let denied = RDKafkaErrorCode::TopicAuthorizationFailed;
    let (me, all) = ("User:ANONYMOUS", "*");
    add(
        &client,
        vec![
            acl(DENY, "User:*", all, READ, TOPIC, PREFIXED, "secret"),
            acl(ALLOW, me, all, ALL, TOPIC, PREFIXED, "secret"),
            acl(ALLOW, "User:somebody", all, ALL, TOPIC, LITERAL, "hidden"),
            acl(ALLOW, me, "127.0.0.1", READ, TOPIC, LITERAL, "read-only"),
            acl(ALLOW, me, "10.9.8.7", WRITE, TOPIC, LITERAL, "read-only"),
        ],
    )
    .await;

    assert_eq!(consume(&anonymous, "open").await, Ok(()));
    assert_eq!(consume(&anonymous, "secret").await, Err(denied));
    assert_eq!(consume(&anonymous, "read-only").await, Ok(()));
    assert_eq!(
        produce(&anonymous, "read-only").await,
        Err(denied),
        "from another host only"
    );

    let all = told(&metadata(&client, None).await);
    let expected = ["open", "read-only", "secret", "secret-too"].map(|name| (name.to_owned(), 0));
    assert_eq!(all, BTreeSet::from(expected), "what may not be described is left out");
    let named = metadata(&client, Some(&["hidden", "not-there", "read-only"])).await;
    let expected = [
        ("hidden", ErrorCode::TopicAuthorizationFailed.code()),
        ("not-there", ErrorCode::UnknownTopicOrPartition.code()),
        ("read-only", 0),
    ];
    let expected = expected.map(|(name, code)| (name.to_owned(), code));
    assert_eq!(told(&named), BTreeSet::from(expected), "what is named is refused");
    let read_only = named.topics.iter().find(|topic| topic.error_code == 0).expect("one");
    assert_eq!(read_only.topic_authorized_operations, 1 << READ | 1 << DESCRIBE);
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_authorizer_acls_are_refused() {
    let home = Home::start(&[("authorizer.class.name", "")]).await;
    let client = home.client().await;
    let acls = vec![acl(ALLOW, "User:a", "*", READ, TOPIC, LITERAL, "t")];
    let made = client
        .call(CreateAclsRequest::default().with_creations(acls), DEADLINE)
        .await
        .expect("an answer");
    assert_eq!(made.results[0].error_code, ErrorCode::SecurityDisabled.code());
    let any = DescribeAclsRequest::default()
        .with_resource_type_filter(1)
        .with_resource_name_filter(None)
        .with_pattern_type_filter(1)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1);
    let shown = client.call(any, DEADLINE).await.expect("an answer");
    assert_eq!(shown.error_code, ErrorCode::SecurityDisabled.code());
    home.cluster.shutdown().await;
}

/// A cluster whose clients and brokers log in. The brokers are `node`, who may do everything; so may `admin`.
async fn guarded(nodes: u16) -> Home {
    let users = "user_node=\"node-secret\" user_admin=\"admin-secret\" user_alice=\"alice-secret\" \
        user_bob=\"bob-secret\" user_eve=\"eve-secret\"";
    let jaas = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"node\" \
         password=\"node-secret\" {users};"
    );
    let protocols = "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT";
    Home::with(
        nodes,
        &[
            ("super.users", "User:node;User:admin"),
            ("listener.security.protocol.map", protocols),
            ("inter.broker.listener.name", "CLIENTS"),
            ("sasl.mechanism.inter.broker.protocol", "PLAIN"),
            ("sasl.mechanism.controller.protocol", "PLAIN"),
            ("listener.name.clients.sasl.enabled.mechanisms", "PLAIN"),
            ("listener.name.clients.plain.sasl.jaas.config", &jaas),
            ("listener.name.controller.sasl.enabled.mechanisms", "PLAIN"),
            ("listener.name.controller.plain.sasl.jaas.config", &jaas),
        ],
    )
    .await
}

impl Home {
    /// Our own client, as this user.
    async fn login(&self, user: &str) -> Client {
        let config = ClientConfig {
            sasl: Some(Sasl::plain(user, format!("{user}-secret"))),
            ..ClientConfig::default()
        };
        let addr = self.cluster.addresses().remove(0);
        Client::connect(&addr, &config).await.expect("logs in")
    }

    /// librdkafka, as this user.
    fn rdkafka(&self, user: &str) -> rdkafka::ClientConfig {
        rdkafka::ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap())
            .set("security.protocol", "sasl_plaintext")
            .set("sasl.mechanism", "PLAIN")
            .set("sasl.username", user)
            .set("sasl.password", format!("{user}-secret"))
            .clone()
    }
}

/// Reads one record of a topic as a member of a group.
async fn join(client: &rdkafka::ClientConfig, group: &str, topic: &str) -> Result<(), RDKafkaErrorCode> {
    let consumer: BaseConsumer = client
        .clone()
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[topic]).expect("subscribes");
    let reading = tokio::task::spawn_blocking(move || first(&consumer));
    reading.await.expect("reads")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_user_may_what_the_acls_say() {
    let home = guarded(2).await;
    let admin = home.login("admin").await;
    create(&admin, &["orders-1", "orders-2", "audit"]).await;
    for topic in ["orders-1", "orders-2", "audit"] {
        assert_eq!(
            produce(&home.rdkafka("admin"), topic).await,
            Ok(()),
            "a super user, {topic}"
        );
    }
    add(
        &admin,
        vec![
            acl(ALLOW, "User:alice", "*", WRITE, TOPIC, PREFIXED, "orders-"),
            acl(ALLOW, "User:bob", "127.0.0.1", READ, TOPIC, PREFIXED, "orders-"),
            acl(DENY, "User:bob", "*", READ, TOPIC, LITERAL, "orders-2"),
            acl(ALLOW, "User:bob", "*", READ, GROUP, LITERAL, "readers"),
            acl(ALLOW, "User:eve", "10.9.8.7", ALL, TOPIC, LITERAL, "*"),
            acl(ALLOW, "User:*", "*", DESCRIBE, TOPIC, LITERAL, "*"),
            // Of consumers that are in no group, which ask for its coordinator all the same.
            acl(ALLOW, "User:*", "*", READ, GROUP, LITERAL, "unused"),
        ],
    )
    .await;
    let (no_topic, no_group) = (
        RDKafkaErrorCode::TopicAuthorizationFailed,
        RDKafkaErrorCode::GroupAuthorizationFailed,
    );

    let alice = home.rdkafka("alice");
    assert_eq!(produce(&alice, "orders-1").await, Ok(()));
    let idempotent = alice.clone().set("enable.idempotence", "true").clone();
    assert_eq!(produce(&idempotent, "orders-2").await, Ok(()), "who may write a topic");
    assert_eq!(produce(&alice, "audit").await, Err(no_topic));
    assert_eq!(
        consume(&alice, "orders-1").await,
        Err(no_topic),
        "writing is not reading"
    );

    let bob = home.rdkafka("bob");
    assert_eq!(join(&bob, "readers", "orders-1").await, Ok(()));
    assert_eq!(join(&bob, "others", "orders-1").await, Err(no_group));
    assert_eq!(
        consume(&bob, "orders-2").await,
        Err(no_topic),
        "denying wins over the prefix"
    );
    assert_eq!(produce(&bob, "orders-1").await, Err(no_topic));

    let eve = home.rdkafka("eve");
    assert_eq!(consume(&eve, "orders-1").await, Err(no_topic), "from another host only");

    let refused =
        CreateAclsRequest::default().with_creations(vec![acl(ALLOW, "User:eve", "*", ALL, TOPIC, LITERAL, "*")]);
    let refused = home
        .login("eve")
        .await
        .call(refused, DEADLINE)
        .await
        .expect("an answer");
    assert_eq!(
        refused.results[0].error_code,
        ErrorCode::ClusterAuthorizationFailed.code(),
        "nobody gives rights to himself"
    );
    home.cluster.shutdown().await;
}

/// A controller alone, whose every client is `User:ANONYMOUS` without rights.
async fn closed_controller(dir: &TempDir) -> Node {
    let text = format!(
        "node.id=9\nprocess.roles=controller\nlisteners=CONTROLLER://127.0.0.1:0\n\
         controller.quorum.voters=9@127.0.0.1:1\ncontroller.listener.names=CONTROLLER\nlog.dirs={}\n\
         authorizer.class.name={AUTHORIZER}\n",
        dir.path().display()
    );
    let config = Config::parse(&text, &[]).expect("good properties");
    Node::start(config, Surroundings::default()).await.expect("starts")
}

#[tokio::test]
async fn nobody_acts_for_the_cluster_without_the_right() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = closed_controller(&dir).await;
    let client = Client::connect(&node.addresses()[0], &ClientConfig::default())
        .await
        .expect("versions are told to everybody");
    let denied = ErrorCode::ClusterAuthorizationFailed.code();
    macro_rules! refused {
        ($request:expr, |$response:ident| $code:expr) => {
            let $response = client.call($request, DEADLINE).await.expect("an answer");
            assert_eq!($code, denied, "{}", stringify!($request));
        };
    }
    refused!(FetchRequest::default(), |response| response.error_code);
    refused!(BrokerRegistrationRequest::default(), |response| response.error_code);
    refused!(BrokerHeartbeatRequest::default(), |response| response.error_code);
    refused!(AlterPartitionRequest::default(), |response| response.error_code);
    refused!(AllocateProducerIdsRequest::default(), |response| response.error_code);
    refused!(UnregisterBrokerRequest::default(), |response| response.error_code);
    refused!(DescribeQuorumRequest::default(), |response| response.error_code);
    refused!(DescribeClusterRequest::default().with_endpoint_type(2), |response| {
        response.error_code
    });
    let topic = CreatableTopic::default().with_name(TopicName(text("t")));
    refused!(CreateTopicsRequest::default().with_topics(vec![topic]), |response| {
        response.topics[0].error_code
    });
    let acls = vec![acl(ALLOW, "User:a", "*", READ, TOPIC, LITERAL, "t")];
    refused!(CreateAclsRequest::default().with_creations(acls), |response| response
        .results[0]
        .error_code);
    node.shutdown().await;
}

/// The folder of Kafka's jars, which `tests/run` provides; without it the test says so, and fails under CI=true.
fn jars() -> Option<PathBuf> {
    let jars = std::env::var_os("AZIMUTH_KAFKA_JARS").map(PathBuf::from);
    if jars.is_none() {
        eprintln!("not run: Kafka's AclCommand (AZIMUTH_KAFKA_JARS is not set; tests/run sets it)");
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "CI must provide Kafka's jars"
        );
    }
    jars
}

/// Runs `kafka-acls.sh` and returns what it prints.
fn kafka_acls(jars: &std::path::Path, bootstrap: &str, arguments: &str) -> String {
    let run = Command::new("java")
        .arg("-cp")
        .arg(jars.join("*"))
        .arg("org.apache.kafka.tools.AclCommand")
        .args(["--bootstrap-server", bootstrap])
        .args(arguments.split(' '))
        .output()
        .expect("java runs");
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "{arguments}: {out}{err}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafkas_own_tool_adds_lists_and_removes() {
    let Some(jars) = jars() else { return };
    let home = Home::open().await;
    let bootstrap = home.cluster.bootstrap();
    let tool = move |arguments: &str| kafka_acls(&jars, &bootstrap, arguments);
    let story = tokio::task::spawn_blocking(move || {
        tool("--add --allow-principal User:alice --producer --topic orders");
        tool("--add --allow-principal User:bob --consumer --topic ord --group g- --resource-pattern-type prefixed");
        tool("--add --deny-principal User:eve --deny-host 10.0.0.1 --operation All --topic *");
        let listed = tool("--list --topic orders --resource-pattern-type match");
        let alices = "(principal=User:alice, host=*, operation=WRITE, permissionType=ALLOW)";
        let bobs = "(principal=User:bob, host=*, operation=READ, permissionType=ALLOW)";
        let eves = "(principal=User:eve, host=10.0.0.1, operation=ALL, permissionType=DENY)";
        for expected in [alices, bobs, eves] {
            assert!(listed.contains(expected), "{expected} is not in {listed}");
        }
        let of_bob = tool("--list --principal User:bob");
        assert!(of_bob.contains(bobs) && !of_bob.contains(alices), "{of_bob}");
        assert!(
            of_bob.contains("resourceType=GROUP, name=g-, patternType=PREFIXED"),
            "{of_bob}"
        );
        tool("--remove --allow-principal User:alice --producer --topic orders --force");
        tool("--remove --topic * --force");
        let left = tool("--list");
        assert!(
            left.contains(bobs) && !left.contains("alice") && !left.contains("eve"),
            "{left}"
        );
    });
    story.await.expect("the tool does what it says");
    home.cluster.shutdown().await;
}
