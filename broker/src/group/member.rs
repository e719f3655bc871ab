//! One member of a classic group.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::{Joined, Reply, Synced};

#[derive(Debug)]
pub(super) struct Member {
    pub id: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i64,
    pub rebalance_timeout_ms: i64,
    /// Assignor names with their metadata, in the member's order of preference.
    pub protocols: Vec<(String, Bytes)>,
    pub assignment: Bytes,
    /// When the session ends unless the member is heard of, on the clock that never jumps.
    pub expires_ms: i64,
    pub joining: Option<Reply<Joined>>,
    pub syncing: Option<Reply<Synced>>,
}

impl Member {
    /// The same member, whose requests stay with this one.
    pub fn without_replies(&self) -> Self {
        Self {
            id: self.id.clone(),
            instance: self.instance.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            protocols: self.protocols.clone(),
            assignment: self.assignment.clone(),
            joining: None,
            syncing: None,
            ..*self
        }
    }

    /// A member whose request waits here is alive as long as its connection.
    pub fn is_waiting(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    pub fn heard(&mut self, now_ms: i64) {
        self.expires_ms = now_ms + self.session_timeout_ms;
    }

    pub fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    pub fn answer_join(&mut self, joined: Joined) {
        if let Some(reply) = self.joining.take() {
            let _gone = reply.send(joined);
        }
    }

    pub fn answer_join_error(&mut self, error: ResponseError) {
        let id = self.id.clone();
        self.answer_join(Joined::failed(error, id));
    }

    pub fn answer_sync(&mut self, synced: Synced) {
        if let Some(reply) = self.syncing.take() {
            let _gone = reply.send(synced);
        }
    }

    pub fn answer_sync_error(&mut self, error: ResponseError) {
        self.answer_sync(Synced::failed(error));
    }
}
