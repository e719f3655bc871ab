//! `azimuth partition …`

use clap::{Args, Subcommand};

use super::words::Words;
use crate::model::BrokerId;

/// What can be done with partitions.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Partitions; of several faults asked for, one is enough
    #[command(after_long_help = "\
Finding rows is no failure: the exit status is 0 with or without them.

Examples:
  azimuth partition list --offline --under-min-isr       what clients cannot write
  azimuth partition list --broker 4 --under-replicated -o name
  azimuth partition list --topic '^orders'")]
    List(Filter),
}

/// Which partitions: those of the topics and the broker, with at least one of the faults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Filter {
    /// Without a leader
    #[arg(long, help_heading = "Faults")]
    pub offline: bool,
    /// With fewer replicas in sync than min.insync.replicas
    #[arg(long, help_heading = "Faults")]
    pub under_min_isr: bool,
    /// With just as many; the next loss stops writes
    #[arg(long, help_heading = "Faults")]
    pub at_min_isr: bool,
    /// With a replica that is not in sync
    #[arg(long, help_heading = "Faults")]
    pub under_replicated: bool,
    /// With two replicas in one rack where racks would allow better
    #[arg(long, help_heading = "Faults")]
    pub rack_violation: bool,
    /// Led by another than the preferred replica
    #[arg(long, help_heading = "Faults")]
    pub leader_not_preferred: bool,
    /// Only of topics that match this regular expression
    #[arg(long, value_name = "RE")]
    pub topic: Option<String>,
    /// Only with a replica on this broker
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..))]
    pub broker: Option<BrokerId>,
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let Self::List(filter) = self;
        Words::new(&["partition", "list"])
            .flag("--offline", filter.offline)
            .flag("--under-min-isr", filter.under_min_isr)
            .flag("--at-min-isr", filter.at_min_isr)
            .flag("--under-replicated", filter.under_replicated)
            .flag("--rack-violation", filter.rack_violation)
            .flag("--leader-not-preferred", filter.leader_not_preferred)
            .option("--topic", &filter.topic)
            .option("--broker", filter.broker)
    }
}
