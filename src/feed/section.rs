//! The sections of a snapshot as things to ask for, and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use strum::IntoEnumIterator;

/// A part of the snapshot that is asked for on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Section {
    Cluster,
    Links,
    Topics,
    Offsets,
    Groups,
    /// When what groups have not read was written. Asked where groups are behind.
    Backlogs,
    /// How long the topics that groups read keep records.
    Retentions,
    Logdirs,
    BrokerConfigs,
    /// Scraped from each broker's metrics endpoints.
    BrokerMetrics,
    TopicConfigs,
    /// Of the topics' configs only what they must have in sync: all that a list of partitions says of them, for a tenth of what
    /// all of them take the broker. Asked by commands; who looks on asks for all.
    MinIsrs,
    /// Of each coordinator.
    Transactions,
    Quorum,
    Reassignments,
    Acls,
    Users,
    Quotas,
    /// Zones and instances with their types.
    Instances,
    Volumes,
    Metrics,
    /// What the AWS account has around the instances. Asked for only where somebody wants it: checks do.
    Account,
    /// Names of what clients are told to report (KIP-714). As `Account`.
    ClientMetrics,
    /// Writes that are tried, where the context names a topic for it.
    Probes,
}

impl Section {
    /// All but those that are a part of another one.
    pub fn whole() -> impl Iterator<Item = Self> {
        Self::iter().filter(|section| *section != Self::MinIsrs)
    }

    /// Told by each broker of itself.
    pub fn is_per_broker(&self) -> bool {
        matches!(
            self,
            Self::Links
                | Self::Offsets
                | Self::Groups
                | Self::Backlogs
                | Self::Logdirs
                | Self::BrokerConfigs
                | Self::BrokerMetrics
                | Self::Transactions
        )
    }

    /// As long as there are partitions or groups.
    pub fn is_bulk(&self) -> bool {
        matches!(
            self,
            Self::Topics
                | Self::Offsets
                | Self::Groups
                | Self::Backlogs
                | Self::Retentions
                | Self::Logdirs
                | Self::TopicConfigs
                | Self::Transactions
        )
    }

    /// Changes so rarely and matters so rarely that it is asked for only while somebody looks at it.
    pub fn is_on_demand(&self) -> bool {
        matches!(self, Self::Account | Self::ClientMetrics)
    }

    /// Told by AWS.
    pub fn is_cloud(&self) -> bool {
        matches!(self, Self::Instances | Self::Volumes | Self::Metrics | Self::Account)
    }
}

/// The sections that somebody wants.
pub type Needs = BTreeSet<Section>;

/// How often each section is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cadence {
    pub cluster: Duration,
    pub links: Duration,
    pub topics: Duration,
    /// While on screen; otherwise `offsets_unseen`.
    pub offsets: Duration,
    pub offsets_unseen: Duration,
    pub groups: Duration,
    /// While on screen; otherwise `backlogs_unseen`.
    pub backlogs: Duration,
    pub backlogs_unseen: Duration,
    pub logdirs: Duration,
    pub configs: Duration,
    /// While on screen; otherwise `transactions_unseen`.
    pub transactions: Duration,
    pub transactions_unseen: Duration,
    pub broker_metrics: Duration,
    pub quorum: Duration,
    pub reassignments: Duration,
    /// ACLs, users and quotas.
    pub security: Duration,
    /// While any is in flight.
    pub reassignments_active: Duration,
    pub instances: Duration,
    pub volumes: Duration,
    pub metrics: Duration,
    /// What is asked for on demand: the account's settings, client metrics.
    pub account: Duration,
    /// While on screen; otherwise `probes_unseen`.
    pub probes: Duration,
    pub probes_unseen: Duration,
    /// No section that fails is left alone for longer.
    pub max_backoff: Duration,
    /// A section that we may not see is asked for again after so long: rights change rarely, and refusals are logged.
    pub denied: Duration,
}

impl Default for Cadence {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            cluster: seconds(2),
            links: seconds(2),
            topics: seconds(5),
            offsets: seconds(2),
            offsets_unseen: seconds(5),
            groups: seconds(5),
            backlogs: seconds(15),
            backlogs_unseen: seconds(60),
            logdirs: seconds(15),
            configs: seconds(60),
            transactions: seconds(5),
            transactions_unseen: seconds(60),
            broker_metrics: seconds(15),
            quorum: seconds(5),
            reassignments: seconds(5),
            security: seconds(60),
            reassignments_active: seconds(1),
            instances: seconds(60),
            volumes: seconds(60),
            metrics: seconds(60),
            account: seconds(300),
            probes: seconds(5),
            probes_unseen: seconds(30),
            max_backoff: seconds(30),
            denied: seconds(300),
        }
    }
}
