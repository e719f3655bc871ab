//! Everything known of one cluster at one moment; each section has its own age.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::acl::Acls;
use super::backing::{self, Directory};
use super::backlog::{Backlogs, Retentions};
use super::broker::Link;
use super::cloud::Cloud;
use super::cluster::Cluster;
use super::config::{Config, Owner};
use super::event::Events;
use super::group::Group;
use super::history::History;
use super::identity::{self, Evidence, Rules};
use super::logdir::LogDir;
use super::metric::BrokerMetrics;
use super::offset::{Offsets, Span};
use super::pace::{Pace, Surge};
use super::probe::Probe;
use super::quorum::Quorum;
use super::quota::Quota;
use super::reassignment::Reassignment;
use super::topic::{Partition, Topic};
use super::transaction::Transaction;
use super::user::User;
use super::write::LastWrite;
use super::{BrokerId, Moment, Observed};

/// One cluster, as far as it is known. Sections that come from one broker are kept per broker, so that a
/// dead one ages only its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub context: String,
    /// When this snapshot was published; ages are counted from here in captures.
    pub taken_at: Option<Moment>,
    #[serde(default)]
    pub revision: Revision,
    pub cluster: Observed<Cluster>,
    /// Sorted by name.
    pub topics: Observed<Vec<Topic>>,
    pub quorum: Observed<Quorum>,
    pub reassignments: Observed<Vec<Reassignment>>,
    /// Sorted by name. A coordinator that does not answer is in `coordinators`, and its groups keep their last state.
    pub groups: Observed<Vec<Arc<Group>>>,
    /// By coordinator: whether it answered for its groups.
    pub coordinators: BTreeMap<BrokerId, Observed<()>>,
    pub links: BTreeMap<BrokerId, Observed<Link>>,
    pub offsets: BTreeMap<BrokerId, Observed<Offsets>>,
    /// By leader: what groups have not read of its partitions.
    #[serde(default)]
    pub backlogs: BTreeMap<BrokerId, Observed<Backlogs>>,
    /// Of the topics that groups read.
    #[serde(default)]
    pub retentions: Observed<Retentions>,
    pub logdirs: BTreeMap<BrokerId, Observed<Vec<LogDir>>>,
    pub broker_configs: BTreeMap<BrokerId, Observed<Vec<Config>>>,
    /// What each broker's process and host tell when they are scraped.
    #[serde(default)]
    pub broker_metrics: BTreeMap<BrokerId, Observed<BrokerMetrics>>,
    /// Of each topic, only what differs from the broker's defaults, plus `min.insync.replicas` always.
    pub topic_configs: Observed<BTreeMap<String, Vec<Config>>>,
    /// Every config of what a plan is about, inherited ones too; of all brokers together only what is set there. Asked for
    /// by plans, so in no capture.
    #[serde(skip)]
    pub owned_configs: BTreeMap<Owner, Observed<Vec<Config>>>,
    /// Who we are to the brokers, where that can be told. Of this process, so in no capture.
    #[serde(skip)]
    pub principal: Option<String>,
    #[serde(default)]
    pub acls: Observed<Acls>,
    #[serde(default)]
    pub users: Observed<Vec<User>>,
    #[serde(default)]
    pub quotas: Observed<Vec<Quota>>,
    /// By coordinator.
    #[serde(default)]
    pub transactions: BTreeMap<BrokerId, Observed<Vec<Transaction>>>,
    pub cloud: Cloud,
    /// Names of the subscriptions by which clients are told to report metrics of their own (KIP-714).
    #[serde(default)]
    pub client_metrics: Observed<Vec<String>>,
    /// The host that this was seen from; reaching a broker from there is all that a round trip proves.
    #[serde(default)]
    pub vantage: Option<String>,
    /// The AZ id of that host, where it is an EC2 instance.
    #[serde(default)]
    pub vantage_zone: Option<String>,
    /// Where write probes go; `None` where the context names no such topic, and then nothing proves that writes work.
    #[serde(default)]
    pub probe_topic: Option<String>,
    /// By leader: the last write that was tried.
    #[serde(default)]
    pub probes: BTreeMap<BrokerId, Observed<Probe>>,
    /// By leader: the newest record of what takes no writes, where nobody saw that begin.
    #[serde(default)]
    pub last_writes: BTreeMap<BrokerId, LastWrite>,
    /// By leader: its busiest partitions, at most [`Pace::BUSIEST`].
    #[serde(default)]
    pub paces: BTreeMap<BrokerId, Vec<Pace>>,
    /// By topic.
    #[serde(default)]
    pub surges: BTreeMap<String, Surge>,
    #[serde(default)]
    pub events: Arc<Events>,
    #[serde(default)]
    pub history: Arc<History>,
}

/// Counts the publications that changed something; ages alone move on without it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// A value or a health.
    pub values: u64,
    /// Numbers that never rest: round trips, free space, offsets.
    pub drifts: u64,
}

impl Snapshot {
    /// Where this was seen from: `bastion euw1-az1`.
    pub fn seen_from(&self) -> Option<String> {
        let told = [&self.vantage, &self.vantage_zone].into_iter().flatten();
        let words: Vec<&str> = told.map(String::as_str).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The topics, or none.
    pub fn topics(&self) -> &[Topic] {
        self.topics.get().map_or(&[], Vec::as_slice)
    }

    pub fn topic(&self, name: &str) -> Option<&Topic> {
        let topics = self.topics();
        topics
            .binary_search_by(|topic| topic.name.as_str().cmp(name))
            .ok()
            .map(|at| &topics[at])
    }

    /// As its coordinator told it last.
    pub fn group(&self, name: &str) -> Option<&Group> {
        let groups = self.groups.get()?;
        let at = groups.binary_search_by(|group| group.name.as_str().cmp(name)).ok()?;
        Some(&groups[at])
    }

    /// Every partition with the name of its topic.
    pub fn partitions(&self) -> impl Iterator<Item = (&str, &Partition)> {
        self.topics().iter().flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(move |partition| (topic.name.as_str(), partition))
        })
    }

    /// `min.insync.replicas` of a topic, as it was told.
    pub fn min_isr(&self, topic: &str) -> Option<u32> {
        let configs = self.topic_configs.get()?.get(topic)?;
        let config = configs.iter().find(|config| config.name == "min.insync.replicas")?;
        config.value.as_deref()?.parse().ok()
    }

    /// The log's ends, from whichever leader told last; `None` when no leader told.
    pub fn span(&self, topic: &str, partition: i32) -> Option<Span> {
        let told = self.offsets.values().filter_map(|offsets| {
            let span = offsets.get()?.get(topic, partition)?;
            Some((offsets.seen_at, *span))
        });
        told.max_by_key(|(at, _)| *at).map(|(_, span)| span)
    }

    /// Joins brokers to instances and log directories to volumes, from what the snapshot holds, however old.
    /// `resolved` are the addresses of advertised host names, seen from here.
    pub fn join_cloud(&mut self, rules: &Rules, resolved: &BTreeMap<String, Vec<IpAddr>>) {
        let (identities, backings) = {
            let instances: Vec<_> = self.cloud.all_instances().collect();
            let brokers = self.cluster.get().map_or(&[][..], |cluster| cluster.brokers.as_slice());
            let untold = self.cloud.instances.values().filter(|section| section.get().is_none());
            let untold = untold.filter_map(Observed::problem).next();
            let evidence = Evidence {
                brokers,
                resolved,
                instances: &instances,
                zones: self.cloud.zones.get(),
                untold: untold.as_deref(),
                rules,
            };
            let identities = identity::identify(evidence);
            let backings = identities
                .iter()
                .filter_map(|(broker, identity)| {
                    let instance = self.cloud.instance(identity.instance()?)?;
                    let attached: Vec<_> = self.cloud.volumes_of(&instance.id).collect();
                    let directories: Vec<_> = self
                        .logdirs
                        .get(broker)?
                        .get()?
                        .iter()
                        .map(|directory| Directory {
                            path: &directory.path,
                            total_bytes: directory.total_bytes,
                        })
                        .collect();
                    let limits = self.cloud.types.get(&instance.instance_type);
                    Some((*broker, backing::back(&directories, instance, &attached, limits, rules)))
                })
                .collect();
            (identities, backings)
        };
        self.cloud.identities = identities;
        self.cloud.backings = backings;
    }
}
