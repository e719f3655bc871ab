//! Write probes: one record to a partition, acknowledged by all in sync, and read back.
//!
//! One producer and one reader serve all partitions, so that a broker that is stuck delays only its own probe, and so that a
//! probe costs one record and not a client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{NewRecord, Overflow, Producer, Start, TailRequest, Until, tail};
use crate::model::probe::Probe;
use crate::model::record::filter::Filter;
use crate::source::Error;
use crate::source::kafka::Target;

/// A write that takes longer has failed as far as a person at a console is concerned.
const PATIENCE: Duration = Duration::from_secs(4);

/// Tries writes on one topic.
#[derive(Debug)]
pub struct Prober {
    target: Target,
    topic: String,
    clients: OnceCell<Result<Clients, Error>>,
}

#[derive(Debug)]
struct Clients {
    producer: Producer,
    seen: Arc<Seen>,
    reader: AbortHandle,
}

/// The highest offset read of each partition.
#[derive(Debug, Default)]
struct Seen {
    offsets: Mutex<BTreeMap<i32, i64>>,
    news: Notify,
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Prober {
    /// Connects to nobody yet.
    pub fn new(target: &Target, topic: &str) -> Self {
        Self {
            target: target.clone(),
            topic: topic.to_owned(),
            clients: OnceCell::new(),
        }
    }

    /// The topic that is written to.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Writes one record to `partition` and reads it back, within four seconds for each. `partitions` are all that the topic
    /// has; they are followed from the first probe on.
    pub async fn probe(&self, partition: i32, partitions: &[i32]) -> Result<Probe, Error> {
        let clients = self.clients.get_or_init(|| async { self.connect(partitions) }).await;
        let clients = clients.as_ref().map_err(Error::clone)?;
        let value = format!("azimuth probe {}", jiff::Timestamp::now());
        let record = NewRecord {
            topic: &self.topic,
            partition: Some(partition),
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        let began = Instant::now();
        let late = |what: &str| Error::TimedOut {
            peer: format!("{}-{partition}", self.topic),
            what: what.to_owned(),
            after: PATIENCE,
        };
        let sent = tokio::time::timeout(PATIENCE, clients.producer.send(record)).await;
        let delivered = sent.map_err(|_| late("a write with acks=all"))??;
        let acknowledged = Instant::now();
        let read = tokio::time::timeout(PATIENCE, clients.seen.reaches(partition, delivered.offset)).await;
        read.map_err(|_| late("reading back what was written"))?;
        Ok(Probe {
            partition,
            append_ms: (acknowledged - began).as_secs_f64() * 1000.0,
            read_ms: acknowledged.elapsed().as_secs_f64() * 1000.0,
        })
    }

    fn connect(&self, partitions: &[i32]) -> Result<Clients, Error> {
        let timeout = PATIENCE.as_millis().to_string();
        let ours = [
            ("message.timeout.ms", timeout.as_str()),
            ("linger.ms", "0"),
            ("acks", "all"),
            // A message that was given up is not sent again behind our back.
            ("enable.idempotence", "false"),
        ];
        let producer = Producer::new(&self.target, &ours)?;
        // A few before the end, for the end may be looked up after the first record was written.
        let request = TailRequest {
            topic: self.topic.clone(),
            partitions: partitions.to_vec(),
            start: Start::Last(8),
            until: Until::Followed,
            filter: Filter::default(),
            limit: None,
            read_committed: false,
            capacity: 256,
            overflow: Overflow::Drop,
        };
        let mut records = tail(&self.target, request)?;
        let seen = Arc::new(Seen::default());
        let heard = Arc::clone(&seen);
        let reader = tokio::spawn(async move {
            while let Some(record) = records.next().await {
                // What goes wrong while reading shows as a record that does not come.
                if let Ok(record) = record {
                    heard.note(record.partition, record.offset);
                }
            }
        });
        Ok(Clients {
            producer,
            seen,
            reader: reader.abort_handle(),
        })
    }
}

impl Seen {
    fn note(&self, partition: i32, offset: i64) {
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = offsets.entry(partition).or_insert(offset);
        *known = offset.max(*known);
        drop(offsets);
        self.news.notify_waiters();
    }

    fn has(&self, partition: i32, offset: i64) -> bool {
        let offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        offsets.get(&partition).is_some_and(|seen| *seen >= offset)
    }

    async fn reaches(&self, partition: i32, offset: i64) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            // Enlisted before it looks, so that no news falls between.
            news.as_mut().enable();
            if self.has(partition, offset) {
                return;
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_record_that_was_read_before_or_after_the_wait_is_found() {
        let seen = Arc::new(Seen::default());
        seen.note(3, 7);
        seen.reaches(3, 7).await;
        let later = Arc::clone(&seen);
        let waiting = tokio::spawn(async move { later.reaches(3, 9).await });
        tokio::task::yield_now().await;
        seen.note(4, 9);
        seen.note(3, 8);
        assert!(!waiting.is_finished());
        seen.note(3, 9);
        tokio::time::timeout(Duration::from_secs(1), waiting)
            .await
            .unwrap()
            .unwrap();
    }
}
