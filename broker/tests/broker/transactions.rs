//! Transactions as librdkafka lives them: what is committed is read, what is aborted is not, a second producer of an id
//! fences the first, offsets count with the transaction, and killing brokers with SIGKILL tears nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::id::NodeId;
use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::{AddOffsetsToTxnRequest, DescribeTransactionsRequest, GroupId, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(90);
const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;

/// Three brokers and a topic.
struct Home {
    cluster: Cluster,
    _dir: TempDir,
}

impl Home {
    async fn start(processes: bool, more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = ClusterConfig::local(3, &["a", "b", "c"].map(str::to_owned), dir.path(), 0);
        config.processes = processes.then(|| PathBuf::from(env!("CARGO_BIN_EXE_azimuth-broker")));
        let overrides = [
            ("group.initial.rebalance.delay.ms", "0"),
            ("offsets.topic.num.partitions", "3"),
            ("transaction.state.log.num.partitions", "3"),
            ("broker.session.timeout.ms", "1000"),
            ("broker.heartbeat.interval.ms", "100"),
            ("replica.lag.time.max.ms", "2000"),
        ];
        let all = overrides.iter().chain(more);
        config.overrides = all
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let cluster = Cluster::start(config).await.expect("a cluster");
        let admin: AdminClient<DefaultClientContext> = client(&cluster, &[]).create().expect("an admin client");
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(3)).set("min.insync.replicas", "2");
        let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
        let created = admin.create_topics(&[topic], &options).await.expect("an answer");
        assert!(created[0].is_ok(), "{created:?}");
        Self { cluster, _dir: dir }
    }

    fn producer(&self, id: &str, settings: &[(&str, &str)]) -> BaseProducer {
        let own = [
            ("transactional.id", id),
            ("retry.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "500"),
            ("transaction.timeout.ms", "60000"),
        ];
        client(&self.cluster, &[&own, settings].concat())
            .create()
            .expect("a producer")
    }

    /// The values that are there, each partition read up to its end as seen by `isolation`.
    async fn values(&self, isolation: &str) -> BTreeSet<String> {
        let consumer: BaseConsumer = client(
            &self.cluster,
            &[
                ("group.id", "reader"),
                ("enable.auto.commit", "false"),
                ("enable.partition.eof", "true"),
                ("isolation.level", isolation),
            ],
        )
        .create()
        .expect("a consumer");
        blocking(move || {
            let mut all = TopicPartitionList::new();
            for partition in 0..PARTITIONS {
                all.add_partition_offset(TOPIC, partition, Offset::Beginning)
                    .expect("an offset");
            }
            consumer.assign(&all).expect("assigns");
            let (mut values, mut ended) = (BTreeSet::new(), BTreeSet::new());
            let until = Instant::now() + DEADLINE;
            while ended.len() < PARTITIONS as usize {
                assert!(Instant::now() < until, "the ends were not reached");
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => {
                        let value = String::from_utf8(message.payload().expect("a value").to_vec()).expect("text");
                        assert!(values.insert(value.clone()), "{value} is there twice");
                    }
                    Some(Err(KafkaError::PartitionEOF(partition))) => {
                        ended.insert(partition);
                    }
                    Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) => {}
                    Some(Err(error)) => eprintln!("reading: {error}"),
                    None => {}
                }
            }
            values
        })
        .await
    }
}

fn client(cluster: &Cluster, settings: &[(&str, &str)]) -> rdkafka::ClientConfig {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap());
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.expect("it ended")
}

/// One record into each partition.
fn send(producer: &BaseProducer, tag: &str) -> Result<(), KafkaError> {
    for partition in 0..PARTITIONS {
        let value = format!("{tag}/{partition}");
        let record = BaseRecord::to(TOPIC).partition(partition).key("k").payload(&value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(())
}

fn tagged(tags: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let of = |tag: String| (0..PARTITIONS).map(move |partition| format!("{tag}/{partition}"));
    tags.into_iter().flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_what_is_committed_and_only_that() {
    let home = Home::start(false, &[]).await;
    let producer = home.producer("app", &[]);
    blocking(move || {
        producer.init_transactions(DEADLINE).expect("begins");
        for round in 0..12 {
            producer.begin_transaction().expect("begins");
            send(&producer, &format!("t{round}")).expect("is sent");
            match round % 3 {
                0 => {
                    producer.flush(DEADLINE).expect("is written");
                    producer.abort_transaction(DEADLINE).expect("aborts");
                }
                _ => producer.commit_transaction(DEADLINE).expect("commits"),
            }
        }
        // Open: written and never ended.
        producer.begin_transaction().expect("begins");
        send(&producer, "open").expect("is sent");
        producer.flush(DEADLINE).expect("is written");
    })
    .await;
    let committed = tagged((0..12).filter(|round| round % 3 != 0).map(|round| format!("t{round}")));
    assert_eq!(home.values("read_committed").await, committed);
    let everything = tagged((0..12).map(|round| format!("t{round}")).chain(["open".to_owned()]));
    assert_eq!(home.values("read_uncommitted").await, everything);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_producer_fences_the_first_and_aborts_what_it_left() {
    let home = Home::start(false, &[]).await;
    let (first, second) = (home.producer("app", &[]), home.producer("app", &[]));
    let fenced = blocking(move || {
        first.init_transactions(DEADLINE).expect("begins");
        first.begin_transaction().expect("begins");
        send(&first, "first").expect("is sent");
        first.flush(DEADLINE).expect("is written");
        second.init_transactions(DEADLINE).expect("takes over");
        let fenced = first.commit_transaction(DEADLINE).expect_err("it is fenced");
        second.begin_transaction().expect("begins");
        send(&second, "second").expect("is sent");
        second.commit_transaction(DEADLINE).expect("commits");
        fenced
    })
    .await;
    assert_eq!(fenced.rdkafka_error_code(), Some(RDKafkaErrorCode::Fenced), "{fenced}");
    assert_eq!(home.values("read_committed").await, tagged(["second".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_count_with_their_transaction() {
    let home = Home::start(false, &[]).await;
    let producer = home.producer("app", &[]);
    let consumer: BaseConsumer = client(
        &home.cluster,
        &[
            ("group.id", "billing"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
        ],
    )
    .create()
    .expect("a consumer");
    let committed = blocking(move || {
        producer.init_transactions(DEADLINE).expect("begins");
        producer.begin_transaction().expect("begins");
        send(&producer, "in").expect("is sent");
        producer.commit_transaction(DEADLINE).expect("commits");
        consumer.subscribe(&[TOPIC]).expect("subscribes");
        let until = Instant::now() + DEADLINE;
        let mut read = 0;
        while read < PARTITIONS {
            assert!(Instant::now() < until, "read {read} records");
            read += i32::from(matches!(consumer.poll(Duration::from_millis(100)), Some(Ok(_))));
        }
        let group = consumer.group_metadata().expect("a member");
        let place = || {
            let mut places = TopicPartitionList::new();
            places.add_partition(TOPIC, 0);
            places
        };
        let mut seen = Vec::new();
        for (offset, commit) in [(1, true), (7, false), (2, true)] {
            producer.begin_transaction().expect("begins");
            let mut offsets = place();
            offsets
                .set_partition_offset(TOPIC, 0, Offset::Offset(offset))
                .expect("an offset");
            producer
                .send_offsets_to_transaction(&offsets, &group, DEADLINE)
                .expect("takes offsets");
            match commit {
                true => producer.commit_transaction(DEADLINE).expect("commits"),
                false => producer.abort_transaction(DEADLINE).expect("aborts"),
            }
            // librdkafka asks for stable offsets, and again while a transaction may change them.
            let found = consumer.committed_offsets(place(), DEADLINE).expect("offsets");
            seen.push(found.find_partition(TOPIC, 0).expect("it was asked for").offset());
        }
        seen
    })
    .await;
    assert_eq!(committed, [Offset::Offset(1), Offset::Offset(1), Offset::Offset(2)]);
}

/// librdkafka has to be a member of a group first; other clients need only its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_of_a_group_that_never_was_join_a_transaction() {
    let home = Home::start(false, &[]).await;
    let producer = home.producer("app", &[]);
    blocking(move || producer.init_transactions(DEADLINE).expect("begins")).await;
    let id = || TransactionalId(StrBytes::from_static_str("app"));
    let describe = DescribeTransactionsRequest::default().with_transactional_ids(vec![id()]);
    let mut answered = false;
    for addr in home.cluster.addresses() {
        let client = Client::connect(&addr, &ClientConfig::default())
            .await
            .expect("connects");
        let told = client.call(describe.clone(), DEADLINE).await.expect("an answer");
        let state = &told.transaction_states[0];
        if state.error_code != 0 {
            continue;
        }
        let add = AddOffsetsToTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(state.producer_id)
            .with_producer_epoch(state.producer_epoch)
            .with_group_id(GroupId(StrBytes::from_static_str("nobody")));
        let added = client.call(add, DEADLINE).await.expect("an answer");
        assert_eq!(added.error_code, 0);
        answered = true;
    }
    assert!(answered, "one of them coordinates the id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_nobody_ends_is_aborted_after_its_timeout() {
    let interval = ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "100");
    let home = Home::start(false, &[interval]).await;
    let silent = home.producer(
        "silent",
        &[("message.timeout.ms", "1000"), ("transaction.timeout.ms", "1000")],
    );
    let other = home.producer("other", &[]);
    let silent = blocking(move || {
        silent.init_transactions(DEADLINE).expect("begins");
        silent.begin_transaction().expect("begins");
        send(&silent, "lost").expect("is sent");
        silent.flush(DEADLINE).expect("is written");
        other.init_transactions(DEADLINE).expect("begins");
        other.begin_transaction().expect("begins");
        send(&other, "kept").expect("is sent");
        other.commit_transaction(DEADLINE).expect("commits");
        // Kept until the end: a producer that is dropped aborts what it has open.
        silent
    })
    .await;
    let until = Instant::now() + DEADLINE;
    while home.values("read_committed").await != tagged(["kept".to_owned()]) {
        assert!(Instant::now() < until, "the open transaction still holds readers up");
    }
    let late = blocking(move || silent.commit_transaction(DEADLINE)).await;
    assert!(late.is_err(), "it was aborted, so it cannot be committed");
}

/// Three rounds in an ordinary run, twenty in a heavy one.
fn rounds() -> usize {
    match std::env::var_os("AZIMUTH_HEAVY") {
        Some(_) => 20,
        None => 3,
    }
}

/// Whether a transaction certainly was committed, certainly was not, or nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Committed,
    Aborted,
    Unknown,
}

/// Runs transactions one after the other until `stop`; a producer that fails for good is replaced, as an application does.
fn transact(make: impl Fn() -> BaseProducer, stop: &AtomicBool, done: &AtomicUsize) -> BTreeMap<String, Fate> {
    let mut fates = BTreeMap::new();
    let mut producer = make();
    producer.init_transactions(DEADLINE).expect("begins");
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        done.store(fates.len(), Ordering::Release);
        let tag = format!("t{number}");
        number += 1;
        let outcome = (|| {
            producer.begin_transaction()?;
            send(&producer, &tag)?;
            producer.commit_transaction(DEADLINE)
        })();
        let error = match outcome {
            Ok(()) => {
                fates.insert(tag, Fate::Committed);
                continue;
            }
            Err(error) => error,
        };
        let abortable = match &error {
            KafkaError::Transaction(error) => error.txn_requires_abort(),
            _ => false,
        };
        if abortable && producer.abort_transaction(DEADLINE).is_ok() {
            fates.insert(tag, Fate::Aborted);
        } else {
            eprintln!("{tag} ended with {error}; another producer goes on");
            fates.insert(tag, Fate::Unknown);
            producer = make();
            producer.init_transactions(DEADLINE).expect("takes over");
        }
    }
    fates
}

/// Waits until so many transactions more have ended, one way or the other.
async fn more(done: &AtomicUsize, count: usize) {
    let wanted = done.load(Ordering::Acquire) + count;
    let until = Instant::now() + DEADLINE;
    while done.load(Ordering::Acquire) < wanted {
        assert!(Instant::now() < until, "transactions do not go on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_brokers_tears_no_transaction_and_loses_none() {
    let mut home = Home::start(true, &[]).await;
    let bootstrap = home.cluster.bootstrap();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&done));
    let work = tokio::task::spawn_blocking(move || {
        let make = || {
            let mut config = rdkafka::ClientConfig::new();
            config.set("bootstrap.servers", &bootstrap);
            for (key, value) in [
                ("transactional.id", "app"),
                ("retry.backoff.ms", "50"),
                ("reconnect.backoff.max.ms", "500"),
                ("transaction.timeout.ms", "60000"),
            ] {
                config.set(key, value);
            }
            config.create().expect("a producer")
        };
        transact(make, &stopped, &counted)
    });
    // Each broker leads some partition and one of them coordinates.
    for round in 0..rounds() {
        let victim = NodeId(i32::try_from(round % 3).expect("small") + 1);
        more(&done, 3).await;
        home.cluster.kill(victim).await;
        // The other two go on without it.
        more(&done, 3).await;
        home.cluster.restart(victim).await.expect("comes back");
    }
    more(&done, 3).await;
    stop.store(true, Ordering::Release);
    let fates = work.await.expect("it ended");
    let values = home.values("read_committed").await;
    let mut counts: BTreeMap<Fate, usize> = BTreeMap::new();
    for (tag, fate) in &fates {
        let seen = tagged([tag.clone()]).intersection(&values).count();
        let whole = PARTITIONS as usize;
        match fate {
            Fate::Committed => assert_eq!(seen, whole, "{tag} was committed"),
            Fate::Aborted => assert_eq!(seen, 0, "{tag} was aborted"),
            Fate::Unknown => assert!(seen == 0 || seen == whole, "{tag} is torn: {seen} of {whole}"),
        }
        *counts.entry(*fate).or_default() += 1;
    }
    eprintln!("{counts:?}");
    assert!(counts.contains_key(&Fate::Committed), "{counts:?}");
    assert!(
        values
            .iter()
            .all(|value| fates.contains_key(value.split('/').next().unwrap()))
    );
}
