//! Idempotent producers that write without a pause, and what is read of it in the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::task::JoinSet;

use super::home::Home;
use super::{DEADLINE, PARTITIONS, TOPIC};

const PRODUCERS: usize = 3;
/// Records of one producer on their way at any time.
const ON_THE_WAY: usize = 16;

/// A record is its producer's incarnation and a number.
pub type Id = (usize, u64);

/// Idempotent producers that write without a pause.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeMap<Id, (i32, i64)>>>,
    producers: JoinSet<()>,
}

impl Load {
    pub fn start(home: &Home) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
        let mut producers = JoinSet::new();
        for number in 0..PRODUCERS {
            let config = home
                .writer_in_haste()
                .set("acks", "all")
                .set("enable.idempotence", "true")
                .set("linger.ms", "2")
                .set("message.timeout.ms", "120000")
                .clone();
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            producers.spawn(async move {
                // One that lost its idempotence (a fatal error) is followed by another one.
                for incarnation in 0.. {
                    let producer: FutureProducer = config.create().expect("a producer");
                    let name = number + incarnation * PRODUCERS;
                    if write(&producer, name, &stop, &acknowledged).await {
                        return;
                    }
                    println!("producer {name} is followed by another");
                }
            });
        }
        Self {
            stop,
            acknowledged,
            producers,
        }
    }

    pub fn count(&self) -> usize {
        self.acknowledged.lock().expect("no producer panics").len()
    }

    pub async fn advance(&self, by: usize) {
        let target = self.count() + by;
        let until = Instant::now() + DEADLINE;
        while self.count() < target {
            assert!(Instant::now() < until, "{} of {target} acknowledged", self.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn finish(mut self) -> BTreeMap<Id, (i32, i64)> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.producers.join_next().await {
            ended.expect("no producer panics");
        }
        std::mem::take(&mut self.acknowledged.lock().expect("no producer panics"))
    }
}

/// Writes until it is told to stop (true), or a record is refused (false).
async fn write(
    producer: &FutureProducer,
    name: usize,
    stop: &AtomicBool,
    acknowledged: &Mutex<BTreeMap<Id, (i32, i64)>>,
) -> bool {
    let mut waiting = std::collections::VecDeque::new();
    let mut next = 0_u64;
    loop {
        while waiting.len() < ON_THE_WAY && !stop.load(Ordering::Relaxed) {
            let value = format!("{name} {next}");
            let record = FutureRecord::<(), _>::to(TOPIC)
                .partition((next % PARTITIONS as u64) as i32)
                .payload(&value);
            let Ok(sent) = producer.send_result(record) else {
                return false;
            };
            waiting.push_back((next, sent));
            next += 1;
        }
        let Some((number, sent)) = waiting.pop_front() else {
            return true;
        };
        match sent.await {
            Ok(Ok(at)) => {
                let mut all = acknowledged.lock().expect("no producer panics");
                all.insert((name, number), (at.partition, at.offset));
            }
            Ok(Err((error, _))) => {
                println!("producer {name}: record {number} was refused: {error}");
                return false;
            }
            Err(_) => return false,
        }
    }
}

/// Every record of a topic's partitions up to their ends, as payload (or key) with its place.
pub fn read_all(config: &rdkafka::ClientConfig, topic: &str, partitions: i32) -> Vec<(String, (i32, i64))> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "readers")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("an offset");
    }
    consumer.assign(&all).expect("assigns");
    let until = Instant::now() + DEADLINE;
    let (mut read, mut ended) = (Vec::new(), std::collections::BTreeSet::new());
    while ended.len() < partitions as usize {
        assert!(Instant::now() < until, "{} records and no end", read.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let id = message.key().or(message.payload()).expect("a key or a value");
                let id = String::from_utf8(id.to_vec()).expect("text");
                read.push((id, (message.partition(), message.offset())));
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) => println!("reading: {error}"),
            None => {}
        }
    }
    read
}
