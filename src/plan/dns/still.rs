//! Who is still on a cluster that clients were sent away from: connections that stand do not ask for names again.

use crate::model::row::Rows;
use crate::model::snapshot::Snapshot;
use crate::plan::gate::few;

/// As far as Kafka tells. It names no producer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Still {
    /// Groups with members, and the hosts of those.
    pub groups: Vec<StillGroup>,
    /// Topics that records come into, in records a second.
    pub topics: Vec<StillTopic>,
    /// What could not be seen.
    pub unknown: Vec<String>,
}

/// A group that still reads here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillGroup {
    pub group: String,
    pub members: usize,
    pub hosts: Vec<String>,
}

/// A topic that somebody still writes to.
#[derive(Debug, Clone, PartialEq)]
pub struct StillTopic {
    pub topic: String,
    pub records_per_second: f64,
}

/// Of two looks, so that rates are known, and their rows. Needs topics, groups and offsets. What the console itself does is left
/// out.
pub fn still(snapshot: &Snapshot, rows: &Rows) -> Still {
    let mut still = Still::default();
    match snapshot.groups.get() {
        None => still
            .unknown
            .push(format!("groups: {}", snapshot.groups.problem().unwrap_or_default())),
        // By a group of its own each console says that it is there.
        Some(groups) => {
            let others = groups.iter().filter(|group| !group.name.starts_with("azimuth."));
            for group in others.filter(|group| !group.members.is_empty()) {
                let mut hosts: Vec<String> = group.members.iter().map(|member| member.host.clone()).collect();
                hosts.sort();
                hosts.dedup();
                still.groups.push(StillGroup {
                    group: group.name.clone(),
                    members: group.members.len(),
                    hosts,
                });
            }
        }
    }
    if snapshot.topics.get().is_none() {
        let why = snapshot.topics.problem().unwrap_or_default();
        still.unknown.push(format!("topics: {why}"));
    }
    let is_ours = |name: &str| snapshot.probe_topic.as_deref() == Some(name);
    for topic in rows.topics.iter().filter(|row| !row.internal && !is_ours(&row.name)) {
        match topic.rate.value {
            Some(rate) if rate > 0.0 => still.topics.push(StillTopic {
                topic: topic.name.clone(),
                records_per_second: rate,
            }),
            Some(_) => {}
            None => {
                let why = topic.rate.reason.as_deref().unwrap_or("not seen twice");
                still
                    .unknown
                    .push(format!("whether {} is written to: {why}", topic.name));
            }
        }
    }
    still
}

impl Still {
    /// Nobody is seen, and everything was.
    pub fn is_nobody(&self) -> bool {
        self.is_quiet() && self.unknown.is_empty()
    }

    /// Nobody is seen.
    pub fn is_quiet(&self) -> bool {
        self.groups.is_empty() && self.topics.is_empty()
    }

    /// One sentence: who, or what could not be seen.
    pub fn words(&self) -> String {
        let group = |one: &StillGroup| match one.members {
            1 => format!("{} (1 member)", one.group),
            many => format!("{} ({many} members)", one.group),
        };
        let groups: Vec<String> = self.groups.iter().map(group).collect();
        let topics: Vec<String> = self.topics.iter().map(|one| one.topic.clone()).collect();
        let mut parts = Vec::new();
        if !groups.is_empty() {
            parts.push(format!("groups {}", few(&groups)));
        }
        if !topics.is_empty() {
            parts.push(format!("writes to {}", few(&topics)));
        }
        if !self.unknown.is_empty() {
            parts.push(format!("not known: {}", few(&self.unknown)));
        }
        match parts.is_empty() {
            true => "nobody reads or writes here any more, as far as Kafka tells".to_owned(),
            false => format!("still here: {}", parts.join("; ")),
        }
    }
}
