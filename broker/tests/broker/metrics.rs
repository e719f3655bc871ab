//! A node's metrics as a scraper sees them: the text parses, and the numbers move with the traffic.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::id::NodeId;
use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";
const RECORDS: usize = 200;
const RECORD_BYTES: usize = 1_000;

/// Two brokers in this process, each with an endpoint, and so has the controller.
struct Home {
    cluster: Cluster,
    /// Of the brokers, then of the controller.
    endpoints: Vec<String>,
    _dir: TempDir,
}

/// One scrape: the value of every series, by its text.
type Scrape = BTreeMap<String, f64>;

impl Home {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = ClusterConfig::local(2, &[], dir.path(), 0);
        config.overrides = vec![("num.partitions".to_owned(), "1".to_owned())];
        let endpoints = config.serve_metrics(0).await.expect("free ports");
        let cluster = Cluster::start(config).await.expect("a cluster");
        Self {
            cluster,
            endpoints,
            _dir: dir,
        }
    }

    async fn scrape(&self, node: usize) -> Scrape {
        let mut stream = TcpStream::connect(&self.endpoints[node]).await.expect("connects");
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .expect("asks");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        parse(body)
    }
}

/// Reads the text as strictly as a scraper: types before samples, each metric once, every value a number.
fn parse(text: &str) -> Scrape {
    let (mut series, mut types) = (Scrape::new(), BTreeMap::new());
    let mut current = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(types.insert(name, kind), None, "{name} has two blocks");
            current = name;
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a series and a value");
        let metric = name.split('{').next().expect("a name");
        assert_eq!(metric, current, "{line} stands in another metric's block");
        assert!(metric.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
        assert!(name.ends_with('}') == name.contains('{'), "{line}");
        let value: f64 = value.parse().expect("a number");
        assert_eq!(series.insert(name.to_owned(), value), None, "{name} is there twice");
    }
    series
}

fn of(scrape: &Scrape, series: &str) -> f64 {
    *scrape
        .get(series)
        .unwrap_or_else(|| panic!("{series} is not among {:#?}", scrape.keys()))
}

async fn produce(home: &Home) {
    let producer: FutureProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", home.cluster.bootstrap())
        .set("acks", "all")
        .create()
        .expect("a producer");
    let payload = vec![b'x'; RECORD_BYTES];
    for _ in 0..RECORDS {
        let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload(&payload);
        producer.send(record, DEADLINE).await.expect("is delivered");
    }
}

fn consume(bootstrap: &str) {
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "readers")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(TOPIC, 0, Offset::Beginning)
        .expect("an offset");
    consumer.assign(&all).expect("assigns");
    let (mut left, until) = (RECORDS, Instant::now() + DEADLINE);
    while left > 0 {
        assert!(Instant::now() < until, "{left} records are missing");
        if let Some(record) = consumer.poll(Duration::from_millis(100)) {
            record.expect("a record");
            left -= 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_move_with_the_traffic_and_with_what_fails() {
    let mut home = Home::start().await;
    let before = home.scrape(0).await;
    assert_eq!(of(&before, "kafka_server_brokertopicmetrics_bytesin_total"), 0.0);
    assert!(
        !before.keys().any(|series| series.contains("kafka_log_log_size")),
        "there are no records"
    );

    produce(&home).await;
    let bootstrap = home.cluster.bootstrap();
    tokio::task::spawn_blocking(move || consume(&bootstrap))
        .await
        .expect("reads");
    let (first, second) = (home.scrape(0).await, home.scrape(1).await);
    let by_topic = format!("kafka_server_brokertopicmetrics_messagesin_total{{topic=\"{TOPIC}\"}}");
    let (leader, follower) = match first.contains_key(&by_topic) {
        true => (&first, &second),
        false => (&second, &first),
    };
    assert_eq!(of(leader, &by_topic), RECORDS as f64);
    let sent = (RECORDS * RECORD_BYTES) as f64;
    for series in ["bytesin", "bytesout"] {
        let series = format!("kafka_server_brokertopicmetrics_{series}_total{{topic=\"{TOPIC}\"}}");
        assert!(of(leader, &series) > sent, "{series}");
    }
    assert!(of(leader, "kafka_server_brokertopicmetrics_replicationbytesout_total") > sent);
    assert!(of(follower, "kafka_server_brokertopicmetrics_replicationbytesin_total") > sent);
    let size = format!("kafka_log_log_size{{topic=\"{TOPIC}\",partition=\"0\"}}");
    assert!(of(leader, &size) > sent && of(leader, &size) == of(follower, &size));
    let produces = "kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"}";
    assert!(of(leader, produces) >= 1.0);
    let slowest = "kafka_network_requestmetrics_totaltimems{request=\"Produce\",quantile=\"0.99\"}";
    assert!(of(leader, slowest) > 0.0);
    assert_eq!(of(leader, "kafka_server_replicamanager_underreplicatedpartitions"), 0.0);
    let idle = of(
        leader,
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent",
    );
    assert!((0.0..=1.0).contains(&idle), "{idle}");

    let (lost, watched) = match std::ptr::eq(leader, &first) {
        true => (NodeId(2), 0),
        false => (NodeId(1), 1),
    };
    home.cluster.kill(lost).await;
    let until = Instant::now() + DEADLINE;
    loop {
        let scrape = home.scrape(watched).await;
        if of(&scrape, "kafka_server_replicamanager_underreplicatedpartitions") >= 1.0 {
            break;
        }
        assert!(Instant::now() < until, "nobody says that a replica is missing");
    }
    let controller = home.scrape(2).await;
    assert_eq!(
        of(&controller, "kafka_controller_kafkacontroller_activecontrollercount"),
        1.0
    );
    assert_eq!(
        of(&controller, "kafka_controller_kafkacontroller_fencedbrokercount"),
        1.0
    );
    assert_eq!(
        of(
            &controller,
            "kafka_controller_controllerstats_uncleanleaderelections_total"
        ),
        0.0
    );
}

/// A subscription to the metrics of clients, whose resource type is 16 (KIP-714).
async fn subscribe_to_clients(home: &Home, configs: &[(&'static str, &'static str)]) -> i16 {
    let text = StrBytes::from_static_str;
    let set = |(name, value): &(&'static str, &'static str)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(16)
        .with_resource_name(text("all"))
        .with_configs(configs.iter().map(set).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let addr = home.cluster.addresses().remove(0);
    let client = Client::connect(&addr, &ClientConfig::default())
        .await
        .expect("connects");
    let response = client.call(request, DEADLINE).await.expect("an answer");
    response.responses[0].error_code
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_push_the_metrics_that_are_subscribed_to() {
    let home = Home::start().await;
    let refused = subscribe_to_clients(&home, &[("match", "client_shoe_size=42")]).await;
    assert_eq!(refused, 40, "INVALID_CONFIG");
    let configs = [
        ("interval.ms", "100"),
        ("metrics", "org.apache.kafka.producer."),
        ("match", "client_software_name=.*rdkafka.*,client_id=payments"),
    ];
    assert_eq!(subscribe_to_clients(&home, &configs).await, 0);
    let producer: FutureProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", home.cluster.bootstrap())
        .set("client.id", "payments")
        .create()
        .expect("a producer");
    let until = Instant::now() + DEADLINE;
    let pushed = |scrape: &Scrape| {
        let mut series = scrape.keys();
        series.any(|name| name.starts_with("org_apache_kafka_producer_") && name.contains("client_id=\"payments\""))
    };
    loop {
        let record = FutureRecord::<(), _>::to(TOPIC).payload("x");
        producer.send(record, DEADLINE).await.expect("is delivered");
        if pushed(&home.scrape(0).await) || pushed(&home.scrape(1).await) {
            break;
        }
        assert!(Instant::now() < until, "nothing was pushed");
    }
}
