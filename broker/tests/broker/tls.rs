//! TLS between everyone: librdkafka and our own client with mutual TLS, brokers and their controller among themselves,
//! certificates that are strange, expired, and replaced while they are used.

mod authority;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use authority::{Authority, Signed};
use azimuth_broker::cluster::{CONTROLLER, Cluster, ClusterConfig};
use azimuth_broker::id::NodeId;
use azimuth_broker::node::{Config, Node, Surroundings};
use azimuth_broker::wire::{Client, ClientConfig, Error, ErrorCode, Security, tls};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, MetadataRequest};
use kafka_protocol::protocol::StrBytes;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";
const RECORDS: usize = 200;

/// Three brokers whose every listener asks for a certificate, each with its own.
struct Home {
    cluster: Cluster,
    folder: TempDir,
    /// Of clients, and of the brokers' certificate for them.
    clients: Authority,
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
}

impl Home {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (clients, peers) = (
            Authority::new(folder.path(), "clients"),
            Authority::new(folder.path(), "peers"),
        );
        let mut config = ClusterConfig::local(3, &[], folder.path().join("data"), 0);
        config.overrides = pairs([
            ("listener.security.protocol.map", "CLIENTS:SSL,PEERS:SSL,CONTROLLER:SSL"),
            ("inter.broker.listener.name", "PEERS"),
            ("ssl.client.auth", "required"),
            ("ssl.truststore.location", &peers.trust),
            ("listener.name.clients.ssl.truststore.location", &clients.trust),
            ("offsets.topic.num.partitions", "4"),
        ]);
        for id in [NodeId(1), NodeId(2), NodeId(3), CONTROLLER] {
            let (inside, outside) = (peers.sign(&format!("peer-{id}")), clients.sign(&format!("broker-{id}")));
            config.own.insert(
                id,
                pairs([
                    ("ssl.keystore.location", &inside.store),
                    ("listener.name.clients.ssl.keystore.location", &outside.store),
                ]),
            );
        }
        let cluster = Cluster::start(config).await.expect("a cluster");
        Self {
            cluster,
            folder,
            clients,
        }
    }

    /// librdkafka's settings for a client that trusts `authority` and shows `own`.
    fn librdkafka(&self, authority: &Authority, own: Option<&Signed>) -> rdkafka::ClientConfig {
        let mut config = rdkafka::ClientConfig::new();
        config
            .set("bootstrap.servers", self.cluster.bootstrap())
            .set("security.protocol", "ssl")
            .set("ssl.ca.location", &authority.trust);
        if let Some(own) = own {
            config
                .set("ssl.certificate.location", &own.certificate_file)
                .set("ssl.key.location", &own.key_file);
        }
        config
    }

    fn read_all(&self, own: &Signed, count: usize) -> Vec<String> {
        let consumer: BaseConsumer = self
            .librdkafka(&self.clients, Some(own))
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(TOPIC, 0, Offset::Beginning)
            .expect("an offset");
        consumer.assign(&all).expect("assigns");
        let (until, mut found) = (Instant::now() + DEADLINE, Vec::new());
        while found.len() < count {
            assert!(Instant::now() < until, "{} of {count} records are there", found.len());
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message.expect("a record");
                found.push(String::from_utf8_lossy(message.payload().expect("a value")).into_owned());
            }
        }
        found
    }
}

async fn produce(producer: &FutureProducer, range: std::ops::Range<usize>) {
    for number in range {
        let value = number.to_string();
        let record = FutureRecord::<str, str>::to(TOPIC).payload(&value);
        producer.send(record, DEADLINE).await.expect("is acknowledged");
    }
}

/// What librdkafka says about its connections.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl ClientContext for Said {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.lock().expect("no panic").push(format!("{error}: {reason}"));
    }
}

/// A client that is refused says why, within the deadline.
async fn refused(config: &rdkafka::ClientConfig, wanted: &str) {
    let said = Said::default();
    let (heard, config, wanted) = (said.clone(), config.clone(), wanted.to_owned());
    let asking = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer<SaidConsumer> = config.create_with_context(SaidConsumer(said)).expect("a client");
        let until = Instant::now() + DEADLINE;
        while !heard
            .0
            .lock()
            .expect("no panic")
            .iter()
            .any(|line| line.contains(&wanted))
        {
            assert!(Instant::now() < until, "{wanted} is not in {:?}", heard.0.lock());
            // Events are served by polling; nothing is consumed.
            consumer.poll(Duration::from_millis(50));
        }
    });
    asking.await.expect("is refused");
}

struct SaidConsumer(Said);

impl ClientContext for SaidConsumer {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for SaidConsumer {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_with_mutual_tls_outlives_a_broker_and_strangers_disturb_nobody() {
    let mut home = Home::start().await;
    let own = home.clients.sign("client");
    let config = home.librdkafka(&home.clients, Some(&own));
    let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin client");
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(3));
    let created = admin.create_topics(&[topic], &AdminOptions::new()).await;
    assert!(created.expect("an answer")[0].is_ok());
    let producer: FutureProducer = config.clone().set("acks", "all").create().expect("a producer");
    produce(&producer, 0..RECORDS / 2).await;

    let stranger = Authority::new(home.folder.path(), "strangers");
    let expired = home.clients.sign_until("expired", 2020);
    let unknown = stranger.sign("unknown");
    refused(&home.librdkafka(&stranger, Some(&own)), "certificate verify failed").await;
    // OpenSSL shows no certificate of an authority that the server does not name.
    refused(&home.librdkafka(&home.clients, Some(&unknown)), "certificate required").await;
    refused(&home.librdkafka(&home.clients, Some(&expired)), "certificate expired").await;
    refused(&home.librdkafka(&home.clients, None), "certificate required").await;

    home.cluster.kill(NodeId(2)).await;
    produce(&producer, RECORDS / 2..RECORDS * 3 / 4).await;
    home.cluster.restart(NodeId(2)).await.expect("starts again");
    home.cluster.serving(NodeId(2)).await.expect("serves again");
    produce(&producer, RECORDS * 3 / 4..RECORDS).await;
    let read = tokio::task::block_in_place(|| home.read_all(&own, RECORDS));
    assert_eq!(read, (0..RECORDS).map(|number| number.to_string()).collect::<Vec<_>>());
    home.cluster.shutdown().await;
}

fn wire_client(properties: &[(&str, &str)]) -> ClientConfig {
    let get = |key: &str| {
        let found = properties.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| (*value).to_owned())
    };
    let settings = tls::Settings::from_properties(get).expect("valid");
    ClientConfig {
        security: Security::Tls(Arc::new(tls::Connector::new(&settings).expect("good stores"))),
        ..ClientConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_client_is_told_what_is_wrong_and_a_broker_takes_a_new_store_by_its_config() {
    let home = Home::start().await;
    let addr = home.cluster.addresses().swap_remove(0);
    let (own, expired) = (home.clients.sign("client"), home.clients.sign_until("expired", 2020));
    let trust = ("ssl.truststore.location", home.clients.trust.as_str());
    let good = wire_client(&[trust, ("ssl.keystore.location", &own.store)]);
    let client = Client::connect(&addr, &good).await.expect("connects");
    let asked = client.call(MetadataRequest::default(), DEADLINE).await;
    let brokers = asked.expect("answers").brokers;
    assert_eq!(brokers.len(), 3);
    let of_clients = home.cluster.addresses();
    for broker in &brokers {
        let shown = format!("{}:{}", broker.host.as_str(), broker.port);
        assert!(of_clients.contains(&shown), "{shown} is no listener of clients");
    }

    for (config, wanted) in [
        (wire_client(&[trust]), "asks for a client certificate"),
        (
            wire_client(&[trust, ("ssl.keystore.location", &expired.store)]),
            "our certificate has expired",
        ),
    ] {
        let error = Client::connect(&addr, &config).await.expect_err("refused");
        assert!(matches!(error, Error::Tls { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let error = Client::connect(&addr, &ClientConfig::default())
        .await
        .expect_err("plain");
    assert!(error.to_string().contains("without TLS"), "{error}");

    // The broker's certificate for clients comes from another authority, by IncrementalAlterConfigs.
    let others = Authority::new(home.folder.path(), "others");
    let next = others.sign("next");
    let set = async |store: &str| {
        let config = AlterableConfig::default()
            .with_name(StrBytes::from_static_str("listener.name.clients.ssl.keystore.location"))
            .with_value(Some(StrBytes::from_string(store.to_owned())));
        let resource = AlterConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(StrBytes::from_static_str("1"))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = client.call(request, DEADLINE).await.expect("answers");
        let result = answer.responses[0].clone();
        (result.error_code, result.error_message.unwrap_or_default().to_string())
    };
    let (code, why) = set("/no/store.pem").await;
    assert_eq!(code, ErrorCode::InvalidConfig.code());
    assert!(why.contains("CLIENTS") && why.contains("/no/store.pem"), "{why}");
    assert_eq!(set(&next.store).await, (0, String::new()));
    let trusting = wire_client(&[
        ("ssl.truststore.location", &others.trust),
        ("ssl.keystore.location", &own.store),
    ]);
    until_connected(&addr, &trusting).await;
    Client::connect(&addr, &good).await.expect_err("shows the new one");
    // What is open stays.
    client
        .call(MetadataRequest::default(), DEADLINE)
        .await
        .expect("answers");
    home.cluster.shutdown().await;
}

async fn until_connected(addr: &str, config: &ClientConfig) {
    let until = Instant::now() + DEADLINE;
    while let Err(error) = Client::connect(addr, config).await {
        assert!(Instant::now() < until, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_pkcs12_store_is_read_and_read_again_when_it_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (
        Authority::new(folder.path(), "first"),
        Authority::new(folder.path(), "second"),
    );
    let store = folder.path().join("broker.p12");
    std::fs::write(&store, first.sign("old").pkcs12("swordfish")).expect("writes");
    let text = format!(
        "node.id=9\nprocess.roles=controller\nlisteners=CONTROLLER://127.0.0.1:0\n\
         listener.security.protocol.map=CONTROLLER:SSL\ncontroller.quorum.voters=9@127.0.0.1:1\n\
         controller.listener.names=CONTROLLER\nlog.dirs={}\n\
         listener.name.controller.ssl.keystore.location={}\nlistener.name.controller.ssl.keystore.password=swordfish\n",
        folder.path().join("data").display(),
        store.display()
    );
    let config = Config::parse(&text, &[]).expect("good properties");
    let node = Node::start(config, Surroundings::default()).await.expect("starts");
    let addr = node.addresses()[0].clone();
    let trusting = |authority: &Authority| wire_client(&[("ssl.truststore.location", &authority.trust)]);
    let client = Client::connect(&addr, &trusting(&first)).await.expect("connects");

    // Written beside and renamed, as tools for certificates do.
    let next = folder.path().join("next.p12");
    std::fs::write(&next, second.sign("new").pkcs12("swordfish")).expect("writes");
    std::fs::rename(&next, &store).expect("replaces");
    until_connected(&addr, &trusting(&second)).await;
    assert!(Client::connect(&addr, &trusting(&first)).await.is_err());
    assert!(!client.is_closed(), "an open connection keeps its certificate");

    let jks = Config::parse(
        &text,
        &pairs([("listener.name.controller.ssl.keystore.location", &bad_store(&folder))]),
    );
    node.shutdown().await;
    let refused = Node::start(jks.expect("good properties"), Surroundings::default()).await;
    let error = refused.err().expect("is refused").to_string();
    assert!(
        error.contains("listener CONTROLLER") && error.contains("keytool -importkeystore"),
        "{error}"
    );
}

fn bad_store(folder: &TempDir) -> String {
    let path = folder.path().join("store.jks");
    std::fs::write(&path, b"\xfe\xed\xfe\xed\0\0\0\x02").expect("writes");
    path.to_string_lossy().into_owned()
}
