//! Producing records.

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use super::{Live, close_aside, config, failure};
use crate::source::Error;
use crate::source::kafka::Target;
use crate::source::kafka::security::Callbacks;

/// A record to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    pub topic: &'a str,
    /// `None`: chosen by the key.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch; `None`: now.
    pub timestamp_ms: Option<i64>,
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// Where a record went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    pub partition: i32,
    pub offset: i64,
}

/// Writes records with `acks=all` unless the target's properties say otherwise. Must be used within a tokio runtime.
pub struct Producer {
    /// `None` only while it is being closed.
    inner: Option<FutureProducer<Callbacks>>,
    callbacks: Callbacks,
    live: Option<Live>,
    patience: Duration,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl Producer {
    /// `more` are librdkafka properties for this producer; the target's own win.
    pub fn new(target: &Target, more: &[(&str, &str)]) -> Result<Self, Error> {
        let patience = target.deadlines.change;
        let timeout = patience.as_millis().to_string();
        let mut ours = vec![
            ("message.timeout.ms", timeout.as_str()),
            ("queue.buffering.max.kbytes", "65536"),
            ("topic.metadata.refresh.interval.ms", "10000"),
        ];
        ours.extend(more);
        let live = Live::new();
        let callbacks = target.security.context();
        let inner: FutureProducer<Callbacks> = config(target, &ours)
            .create_with_context(callbacks.clone())
            .map_err(|error| failure("the producer", &error, patience))?;
        Ok(Self {
            inner: Some(inner),
            callbacks,
            live: Some(live),
            patience,
        })
    }

    /// Writes a record and waits until it is acknowledged.
    pub async fn send(&self, record: NewRecord<'_>) -> Result<Delivered, Error> {
        let Some(inner) = &self.inner else {
            return Err(Error::Local("the producer is closed".to_owned()));
        };
        let mut outgoing = FutureRecord::<[u8], [u8]>::to(record.topic);
        outgoing.partition = record.partition;
        outgoing.key = record.key;
        outgoing.payload = record.value;
        outgoing.timestamp = record.timestamp_ms;
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            let add = |headers: OwnedHeaders, (key, value): &(&str, &[u8])| {
                headers.insert(Header {
                    key,
                    value: Some(*value),
                })
            };
            outgoing.headers = Some(record.headers.iter().fold(headers, add));
        }
        let what = format!("producing to {}", record.topic);
        match inner.send(outgoing, self.patience).await {
            Ok(delivery) => Ok(Delivered {
                partition: delivery.partition,
                offset: delivery.offset,
            }),
            Err((error, _)) => Err(
                match (failure(&what, &error, self.patience), self.callbacks.trouble()) {
                    (Error::TimedOut { peer, .. }, Some(reason)) => Error::Unreachable { peer, reason },
                    (failure, _) => failure,
                },
            ),
        }
    }

    /// Waits until everything handed over is acknowledged or given up.
    pub async fn flush(&self, deadline: Duration) -> Result<(), Error> {
        let Some(inner) = self.inner.clone() else {
            return Ok(());
        };
        let flushing = tokio::task::spawn_blocking(move || inner.flush(deadline));
        let flushed = flushing
            .await
            .map_err(|error| Error::Local(format!("cannot flush: {error}")))?;
        flushed.map_err(|error| failure("flushing", &error, deadline))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            close_aside((inner, self.live.take()));
        }
    }
}
