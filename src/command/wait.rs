//! `azimuth wait …`

use clap::{Args, Subcommand};

use super::triage::FailOn;
use super::value::Time;
use super::words::Words;
use crate::model::BrokerId;

/// What can be waited for.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Until triage finds nothing that fails
    #[command(after_long_help = "\
Examples:
  azimuth wait healthy --timeout 15m
  azimuth wait healthy --fail-on warn --hold 1m")]
    Healthy {
        /// What must not be found
        #[arg(long, value_enum, value_name = "STATUS", default_value_t)]
        fail_on: FailOn,
        /// Count findings too that an operation of ours explains
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        how: How,
    },
    /// Until groups are no more than so many records behind
    #[command(after_long_help = "\
Examples:
  azimuth wait lag billing
  azimuth wait lag billing audit --below 1000 --timeout 2h
  azimuth wait lag --all --below 10000")]
    Lag {
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "GROUP")]
        names: Vec<String>,
        /// Every group that has committed something
        #[arg(long)]
        all: bool,
        /// So many records in all partitions of a group together are fine
        #[arg(long, value_name = "RECORDS", default_value_t = 0)]
        below: u64,
        #[command(flatten)]
        how: How,
    },
    /// Until every replica is in sync, of all topics or of those named
    #[command(after_long_help = "\
Examples:
  azimuth wait isr
  azimuth wait isr --broker 4 --hold 30s
  azimuth wait isr orders payments --timeout 1h")]
    Isr {
        #[arg(value_name = "TOPIC")]
        topics: Vec<String>,
        /// Only replicas of this broker
        #[arg(long, value_name = "ID")]
        broker: Option<BrokerId>,
        #[command(flatten)]
        how: How,
    },
    /// Until no reassignment is in flight, of all topics or of those named, whoever started it
    #[command(after_long_help = "\
Examples:
  azimuth wait reassigned --timeout 8h
  azimuth wait reassigned orders")]
    Reassigned {
        #[arg(value_name = "TOPIC")]
        topics: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Until this cluster has the newest records of the one that it mirrors, by their timestamps
    #[command(after_long_help = "\
MirrorMaker 2 keeps partitions and timestamps. Its default policy puts the source's alias in front of names: --prefix primary.

Examples:
  azimuth wait mirrored --source primary --prefix primary. --context standby
  azimuth wait mirrored orders payments --source primary --below 5s --timeout 30m")]
    Mirrored(Mirrored),
    /// Until no group has a member here and nothing is written: the cluster may go
    #[command(after_long_help = "\
Kafka names no producer, so a writer shows by the records it writes; let it hold for longer than the slowest one rests.

Examples:
  azimuth wait quiet --hold 10m --timeout 2h
  azimuth wait quiet --context blue --hold 10m --timeout 24h")]
    Quiet {
        #[command(flatten)]
        how: How,
    },
}

/// What is mirrored, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Mirrored {
    /// By their names at the source; all of them without any
    #[arg(value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// The context of the cluster that is copied
    #[arg(long, value_name = "CONTEXT")]
    pub source: String,
    /// What the mirror puts in front of names
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prefix: String,
    /// So far behind is fine
    #[arg(long, value_name = "TIME")]
    pub below: Option<Time>,
    #[command(flatten)]
    pub how: How,
}

/// How it is waited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct How {
    /// It must hold for so long without a break
    #[arg(long, value_name = "TIME")]
    pub hold: Option<Time>,
}

impl Verb {
    pub fn how(&self) -> &How {
        match self {
            Self::Healthy { how, .. }
            | Self::Lag { how, .. }
            | Self::Isr { how, .. }
            | Self::Reassigned { how, .. }
            | Self::Quiet { how } => how,
            Self::Mirrored(mirrored) => &mirrored.how,
        }
    }

    pub(super) fn words(&self) -> Words {
        let words = match self {
            Self::Healthy { fail_on, strict, .. } => Words::new(&["wait", "healthy"])
                .option("--fail-on", (*fail_on != FailOn::default()).then_some(*fail_on))
                .flag("--strict", *strict),
            Self::Lag { names, all, below, .. } => Words::new(&["wait", "lag"])
                .names(names)
                .flag("--all", *all)
                .option("--below", (*below > 0).then_some(*below)),
            Self::Isr { topics, broker, .. } => Words::new(&["wait", "isr"]).names(topics).option("--broker", *broker),
            Self::Reassigned { topics, .. } => Words::new(&["wait", "reassigned"]).names(topics),
            Self::Quiet { .. } => Words::new(&["wait", "quiet"]),
            Self::Mirrored(mirrored) => Words::new(&["wait", "mirrored"])
                .names(&mirrored.topics)
                .option("--source", Some(&mirrored.source))
                .option("--prefix", (!mirrored.prefix.is_empty()).then_some(&mirrored.prefix))
                .option("--below", mirrored.below),
        };
        words.option("--hold", self.how().hold)
    }
}
