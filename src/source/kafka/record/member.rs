//! Reading as a member of a consumer group.

use std::time::Duration;

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Live, close_aside, config, failure, record};
use crate::model::record::Record;
use crate::source::Error;
use crate::source::kafka::Target;
use crate::source::kafka::security::Callbacks;

/// A member of a group. It commits what it has handed out every second, and leaves the group when dropped.
pub struct Member {
    /// `None` only while it is being closed.
    consumer: Option<StreamConsumer<Callbacks>>,
    live: Option<Live>,
    patience: Duration,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").finish_non_exhaustive()
    }
}

impl Member {
    /// Joins `group` for `topics`. `more` are librdkafka properties for this member; the target's own win.
    pub fn join(target: &Target, group: &str, topics: &[&str], more: &[(&str, &str)]) -> Result<Self, Error> {
        let patience = target.deadlines.call;
        let mut ours = vec![
            ("group.id", group),
            ("enable.auto.commit", "true"),
            ("auto.commit.interval.ms", "1000"),
            // Closing takes records out of the queue that nobody sees: only what was handed out may be stored.
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("queued.min.messages", "1000"),
            ("queued.max.messages.kbytes", "16384"),
        ];
        ours.extend(more);
        let what = format!("a member of group {group}");
        let live = Live::new();
        let consumer: StreamConsumer<Callbacks> = config(target, &ours)
            .create_with_context(target.security.context())
            .map_err(|error| failure(&what, &error, patience))?;
        consumer
            .subscribe(topics)
            .map_err(|error| failure(&what, &error, patience))?;
        Ok(Self {
            consumer: Some(consumer),
            live: Some(live),
            patience,
        })
    }

    /// The next record of the partitions that this member holds. May be cancelled without losing one.
    pub async fn next(&self) -> Result<Record, Error> {
        let Some(consumer) = &self.consumer else {
            return Err(Error::Local("the member has left its group".to_owned()));
        };
        let wrong = |error| failure("reading as a group", &error, self.patience);
        let message = consumer.recv().await.map_err(wrong)?;
        match consumer.store_offset_from_message(&message) {
            // The partition was taken away meanwhile: its next owner reads this record again.
            Ok(()) | Err(KafkaError::StoreOffset(RDKafkaErrorCode::State)) => Ok(record(&message)),
            Err(error) => Err(wrong(error)),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            close_aside((consumer, self.live.take()));
        }
    }
}
