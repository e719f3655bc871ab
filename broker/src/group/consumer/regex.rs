//! Subscriptions by regular expression, resolved by the coordinator, and what a group knows of its topics.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::{Change, Consumer, Refusal, Scene, Turn};
use crate::id::Offset;

/// The topics that a regular expression stood for when it was last looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    pub topics: BTreeSet<String>,
    /// The metadata offset of that look.
    pub version: Offset,
    /// And its time, on the wall clock.
    pub at_ms: i64,
    /// The topics' version then; 0 after a load, so that it is looked at again. Not in the log.
    pub topics_version: u64,
}

/// Compiles what a member subscribes to; a topic matches as a whole, as with Kafka's RE2/J.
///
/// # Errors
/// `INVALID_REGULAR_EXPRESSION` with the reason.
pub fn compile(pattern: &str) -> Result<regex::Regex, Refusal> {
    let whole = format!("^(?:{pattern})$");
    let built = regex::RegexBuilder::new(&whole).size_limit(1 << 20).build();
    built.map_err(|error| {
        let why = format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}.");
        (ResponseError::InvalidRegularExpression, Some(why))
    })
}

impl Consumer {
    /// Looks again at what a regular expression stands for if topics came or went since, or it is long ago. Only topics that
    /// are `visible` to who asks count.
    ///
    /// # Errors
    /// As [`compile`].
    pub(super) fn resolve(
        &mut self,
        group: &str,
        turn: &mut Turn,
        pattern: &str,
        visible: &dyn Fn(&str) -> bool,
        scene: &Scene<'_>,
    ) -> Result<(), Refusal> {
        let now_ms = scene.now.wall_ms;
        let known = self.regexes.get(pattern);
        let fresh = known.is_some_and(|known| {
            known.topics_version == scene.topics_version
                && now_ms.saturating_sub(known.at_ms) < scene.settings.consumer.regex_refresh_ms
        });
        if fresh {
            return Ok(());
        }
        let regex = compile(pattern)?;
        let names = scene.image.topic_ids.keys();
        let topics = names
            .filter(|name| regex.is_match(name) && visible(name))
            .cloned()
            .collect();
        let resolved = Resolved {
            topics,
            version: scene.image.offset,
            at_ms: now_ms,
            topics_version: scene.topics_version,
        };
        match self.regexes.get_mut(pattern) {
            // The log need not know that nothing changed.
            Some(known) if known.topics == resolved.topics => {
                known.at_ms = resolved.at_ms;
                known.topics_version = resolved.topics_version;
            }
            _ => self.change(group, turn, Change::Regex(pattern.to_owned(), Some(resolved))),
        }
        Ok(())
    }

    /// One number for the subscribed topics that exist, with their partitions; 0 for none (FNV-1a).
    pub(super) fn topics_hash(&self, scene: &Scene<'_>) -> i64 {
        let mut hash: u64 = 0xCBF2_9CE4_8422_2325;
        let mut any = false;
        for name in self.subscribed() {
            let Some(topic) = scene.image.topic_named(name) else {
                continue;
            };
            any = true;
            let partitions = (topic.partitions.len() as u64).to_be_bytes();
            for byte in topic.id.0.as_bytes().iter().chain(&partitions) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
            }
        }
        match any {
            true => hash.cast_signed(),
            false => 0,
        }
    }
}
