//! `azimuth transaction …`

use clap::Subcommand;

use super::value::{PartitionName, gate};
use super::words::Words;
use crate::plan::intent::Intent;
use crate::plan::transaction::Abort;

/// What can be done with transactions.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Transactional ids with their state, age and partitions, hanging ones first
    #[command(after_long_help = "\
Examples:
  azimuth transaction list                       every transactional id that a coordinator knows
  azimuth transaction list --hanging             open longer than their timeout
  azimuth transaction list --hanging --topic orders   and those in orders that no coordinator knows")]
    List {
        /// Only transactions that hang: open longer than their timeout, or unknown to every coordinator
        #[arg(long)]
        hanging: bool,
        /// Also ask the leaders of this topic for open transactions that no coordinator knows (DescribeProducers)
        #[arg(long, value_name = "TOPIC", requires = "hanging")]
        topic: Option<String>,
    },
    /// End the transaction of one producer in one partition that no coordinator ends
    #[command(after_long_help = "\
Examples:
  azimuth transaction list --hanging --topic orders     tells partition and producer
  azimuth transaction abort orders:3 --producer 4711 --dry-run")]
    Abort {
        #[arg(value_name = "TOPIC:P")]
        partition: PartitionName,
        /// The producer's id
        #[arg(long, value_name = "ID")]
        producer: i64,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { hanging, topic } => Words::new(&["transaction", "list"])
                .flag("--hanging", *hanging)
                .option("--topic", topic),
            Self::Abort {
                partition,
                producer,
                overrides,
            } => Words::new(&["transaction", "abort"])
                .name(partition)
                .option("--producer", Some(*producer))
                .list("--override", overrides),
        }
    }

    /// What it wants changed, and the gates that it overrides; `None` for a read.
    pub fn change(&self) -> Option<(Intent, &[String])> {
        match self {
            Self::List { .. } => None,
            Self::Abort {
                partition,
                producer,
                overrides,
            } => {
                let wish = Abort::new(partition.topic.clone(), partition.partition, *producer);
                Some((Intent::AbortTransaction(wish), overrides))
            }
        }
    }
}
