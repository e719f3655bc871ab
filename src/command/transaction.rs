//! `azimuth transaction …`

use clap::Subcommand;

use super::words::Words;

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
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let Self::List { hanging, topic } = self;
        Words::new(&["transaction", "list"])
            .flag("--hanging", *hanging)
            .option("--topic", topic)
    }
}
