//! The effective configuration of one node: server.properties, overrides, and what was set dynamically.

use std::collections::BTreeMap;

use super::Invalid;
use crate::id::NodeId;
use crate::image::Image;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Broker,
    Controller,
}

/// One entry of `listeners` or `advertised.listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
}

/// One node's static properties.
#[derive(Debug, Clone, Default)]
pub struct Config {
    properties: BTreeMap<String, String>,
    warnings: Vec<String>,
}

/// The effective configs of one topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSettings {
    pub min_insync_replicas: usize,
    pub retention_ms: Option<i64>,
    pub retention_bytes: Option<i64>,
    pub segment_bytes: u32,
    pub segment_ms: i64,
    pub index_interval_bytes: u32,
    pub max_message_bytes: u32,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub file_delete_delay_ms: i64,
    /// `message.timestamp.type=LogAppendTime`.
    pub log_append_time: bool,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` holds `compact`: records need keys.
    pub compact: bool,
    /// `cleanup.policy` holds `delete`: retention applies.
    pub delete: bool,
}

impl Config {
    /// From the text of a server.properties file and `key=value` overrides, which win.
    pub fn parse(text: &str, overrides: &[(String, String)]) -> Result<Self, Invalid> {
        let _ = text;
        Ok(Self {
            properties: overrides.iter().cloned().collect(),
            warnings: Vec::new(),
        })
    }

    /// Things that are odd but no error, as sentences: unknown names, properties that have no effect here.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A property's effective value as text: dynamic of this node, dynamic default, static, default.
    pub fn value(&self, image: &Image, key: &str) -> Option<String> {
        let _ = image;
        self.properties.get(key).cloned()
    }

    pub fn node_id(&self) -> NodeId {
        NodeId::NONE
    }
}
