//! `azimuth config …`

use clap::Subcommand;

use super::words::Words;
use crate::model::BrokerId;

/// What can be done with configs.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Every broker property: what most brokers have and who differs; or one broker's, or one topic's
    #[command(after_long_help = "\
Examples:
  azimuth config list --drift                    where brokers differ from each other
  azimuth config list --broker 4 --drift         where broker 4 differs from its peers
  azimuth config list --topic orders             what orders has instead of the brokers' defaults")]
    List {
        /// Only of this broker, against its peers
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..), conflicts_with = "topic")]
        broker: Option<BrokerId>,
        /// The configs of this topic, against the brokers' defaults
        #[arg(long, value_name = "TOPIC")]
        topic: Option<String>,
        /// Only where values differ
        #[arg(long)]
        drift: bool,
    },
    /// One property on each broker: value, source, where else it is set
    Show {
        /// The property's name, such as log.retention.ms
        #[arg(required = true, value_name = "PROPERTY")]
        name: String,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { broker, topic, drift } => Words::new(&["config", "list"])
                .option("--broker", broker)
                .option("--topic", topic)
                .flag("--drift", *drift),
            Self::Show { name } => Words::new(&["config", "show"]).name(name),
        }
    }
}
