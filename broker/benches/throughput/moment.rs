//! What is one number of a cluster, and better the less it is: how soon it serves, what it holds when idle, how long a leader
//! that was killed is missed.

use std::fs;
use std::time::{Duration, Instant};

use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use rustix::process::{Signal, kill_process};

use super::client::RECORD_BYTES;
use super::{Failure, System, cpu, topic};

/// No record takes longer.
const DEADLINE: Duration = Duration::from_secs(120);
/// What works on behind a cluster's back is over by then.
const SETTLES: Duration = Duration::from_secs(5);
/// Before the leader is killed: so long are acknowledgements watched.
const WATCHED: Duration = Duration::from_secs(2);
/// From one record to the next while a leader is killed.
const BEAT: Duration = Duration::from_millis(5);

/// Which number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    FirstAck,
    FirstAckInOne,
    Resident,
    ResidentInOne,
    Failover,
    Median,
    Slowest,
    MedianAtOnce,
    SlowestAtOnce,
}

impl Moment {
    pub const ALL: [Self; 9] = [
        Self::FirstAck,
        Self::FirstAckInOne,
        Self::Resident,
        Self::ResidentInOne,
        Self::Failover,
        Self::Median,
        Self::Slowest,
        Self::MedianAtOnce,
        Self::SlowestAtOnce,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::FirstAck => "start to first acks=all, ms",
            Self::FirstAckInOne => "… in one process, ms",
            Self::Resident => "idle memory of all nodes, MB",
            Self::ResidentInOne => "… in one process, MB",
            Self::Failover => "leader killed to next ack, ms",
            Self::Median => "10,000 records/s, p50, ms",
            Self::Slowest => "10,000 records/s, p99, ms",
            Self::MedianAtOnce => "… without linger, p50, ms",
            Self::SlowestAtOnce => "… without linger, p99, ms",
        }
    }

    /// What of Kafka's it is held against: its nodes are never in one process.
    pub fn of_kafka(self) -> Self {
        match self {
            Self::FirstAckInOne => Self::FirstAck,
            Self::ResidentInOne => Self::Resident,
            other => other,
        }
    }
}

/// When records were acknowledged: since they were to be sent, and when.
#[derive(Default)]
struct Acks(std::sync::Mutex<Vec<(Duration, Instant)>>);

struct Context(std::sync::Arc<Acks>);

impl ClientContext for Context {
    // What a client says of brokers that are not there yet, or are killed, is part of the game.
    fn error(&self, _: rdkafka::error::KafkaError, _: &str) {}
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Instant>;

    fn delivery(&self, result: &DeliveryResult<'_>, due: Self::DeliveryOpaque) {
        if result.is_ok() {
            let now = Instant::now();
            let mut acks = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            acks.push((now.duration_since(*due), now));
        }
    }
}

/// A producer with acks=all, and what it was acknowledged.
struct Sender {
    producer: ThreadedProducer<Context>,
    acks: std::sync::Arc<Acks>,
    sent: usize,
}

impl Sender {
    fn to(bootstrap: &str, linger_ms: u32) -> Result<Self, Failure> {
        let acks = std::sync::Arc::new(Acks::default());
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("acks", "all")
            .set("linger.ms", linger_ms.to_string())
            // What is waited for is the cluster, not the client's pauses.
            .set("retry.backoff.ms", "10")
            .set("reconnect.backoff.ms", "10")
            .set("reconnect.backoff.max.ms", "100")
            .set("topic.metadata.refresh.fast.interval.ms", "10")
            .set("message.timeout.ms", DEADLINE.as_millis().to_string())
            .create_with_context(Context(std::sync::Arc::clone(&acks)))?;
        Ok(Self {
            producer,
            acks,
            sent: 0,
        })
    }

    /// To one partition, or to any.
    fn send(&mut self, topic: &str, partition: Option<i32>, due: Instant) -> Result<(), Failure> {
        const VALUE: [u8; RECORD_BYTES as usize] = [7; RECORD_BYTES as usize];
        let mut record = BaseRecord::<(), _, _>::with_opaque_to(topic, Box::new(due)).payload(&VALUE[..]);
        record.partition = partition;
        self.sent += 1;
        self.producer.send(record).map_err(|(error, _)| error.into())
    }

    fn last(&self) -> Option<(Duration, Instant)> {
        let acks = self.acks.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        acks.last().copied()
    }

    /// All acknowledgements, once there is one for each record.
    fn end(self) -> Result<Vec<(Duration, Instant)>, Failure> {
        self.producer.flush(DEADLINE)?;
        let mut acks = self.acks.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match acks.len() == self.sent {
            true => Ok(std::mem::take(&mut *acks)),
            false => Err(format!("{} of {} records are acknowledged", acks.len(), self.sent).into()),
        }
    }
}

/// From the start of its processes until a record is acknowledged by three replicas.
pub async fn first_ack(system: &impl System) -> Result<f64, Failure> {
    let topic = topic::begin(system.bootstrap(), 3).await?;
    let mut sender = Sender::to(system.bootstrap(), 0)?;
    sender.send(&topic, None, system.spawned())?;
    let acks = sender.end()?;
    topic::delete(system.bootstrap(), &topic).await?;
    Ok(acks[0].0.as_secs_f64() * 1e3)
}

/// What all its processes hold in memory when nobody asks them anything, in 10⁶ bytes.
pub async fn resident(system: &impl System) -> Result<f64, Failure> {
    tokio::time::sleep(SETTLES).await;
    let mut kilobytes = 0;
    for process in system.processes() {
        let text = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes += number.ok_or_else(|| format!("/proc/{process}/status tells no VmRSS"))?;
    }
    Ok(kilobytes as f64 * 1.024e-3)
}

/// Kills the leader of a partition that is written to, and tells how long nothing was acknowledged. The cluster is one node
/// short afterwards.
pub async fn failover(system: &impl System) -> Result<f64, Failure> {
    let topic = topic::create(system.bootstrap(), 3).await?;
    let leader = topic::leader(system.bootstrap(), &topic, 0).await?;
    let pid = cpu::pid(system.process_of(leader)?)?;
    let mut sender = Sender::to(system.bootstrap(), 0)?;
    let begun = Instant::now();
    let mut killed = None::<Instant>;
    loop {
        let now = Instant::now();
        sender.send(&topic, Some(0), now)?;
        match killed {
            None if begun.elapsed() > WATCHED => {
                kill_process(pid, Signal::KILL)?;
                killed = Some(Instant::now());
            }
            // What was sent after it died was acknowledged by another.
            Some(at) if sender.last().is_some_and(|(since, seen)| seen - since > at) => break,
            Some(at) if at.elapsed() > DEADLINE => return Err("nobody leads after the kill".into()),
            _ => {}
        }
        tokio::time::sleep(BEAT).await;
    }
    let killed = killed.ok_or("nobody was killed")?;
    let acks = sender.end()?;
    let next = acks
        .iter()
        .map(|(_, seen)| *seen)
        .filter(|seen| *seen > killed + BEAT)
        .min();
    let next = next.ok_or("nothing was acknowledged after the kill")?;
    Ok(next.duration_since(killed).as_secs_f64() * 1e3)
}

/// So many records a second whatever becomes of them, for so long, by a client that waits `linger_ms` for more of a batch; the median and the 99th percentile of the milliseconds
/// from when a record was due until it was acknowledged.
pub async fn open_loop(
    system: &impl System,
    rate: u32,
    lasts: Duration,
    linger_ms: u32,
) -> Result<(f64, f64), Failure> {
    let topic = topic::create(system.bootstrap(), 3).await?;
    let mut sender = Sender::to(system.bootstrap(), linger_ms)?;
    // Connections and batches are made on the way.
    let warm = Duration::from_secs(2);
    let begun = Instant::now();
    let count = (f64::from(rate) * (warm + lasts).as_secs_f64()) as u32;
    for number in 0..count {
        let due = begun + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
        // Never before it is due: what is late is late, what is early would look faster than it is.
        let ahead = due.saturating_duration_since(Instant::now());
        if !ahead.is_zero() {
            std::thread::sleep(ahead);
        }
        sender.send(&topic, None, due)?;
    }
    let counts = begun + warm;
    let acks = sender.end()?;
    topic::delete(system.bootstrap(), &topic).await?;
    let mut times: Vec<Duration> = acks
        .into_iter()
        .filter(|(since, seen)| *seen - *since >= counts)
        .map(|(since, _)| since)
        .collect();
    times.sort_unstable();
    let at = |part: f64| {
        let index = ((times.len() as f64 * part) as usize).min(times.len() - 1);
        times[index].as_secs_f64() * 1e3
    };
    Ok((at(0.5), at(0.99)))
}
