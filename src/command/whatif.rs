//! `azimuth whatif …`

use clap::Subcommand;

use super::words::Words;
use crate::model::BrokerId;

/// What can be asked of a future that is not wanted, or is.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Every zone lost and every broker restarted, a line for each
    #[command(after_long_help = "\
Examples:
  azimuth whatif list
  azimuth whatif list -o json")]
    List,
    /// An availability zone is lost: what stops, where leaders land, limits and disks after
    #[command(after_long_help = "\
Exit status 1 when clients would be stopped: a partition without a leader or under its min ISR, or no majority of controllers.

Examples:
  azimuth whatif az-loss euw1-az2
  azimuth whatif az-loss eu-west-1b -o json
  azimuth whatif az-loss euw1-az2 --from incident.json.zst")]
    AzLoss {
        #[arg(value_name = "ZONE")]
        zone: String,
    },
    /// A broker restarts: the partitions that block it, and the rule that each breaks
    #[command(after_long_help = "\
Exit status 1 when clients would be stopped.

Examples:
  azimuth whatif restart 4")]
    Restart {
        #[arg(value_name = "BROKER", value_parser = clap::value_parser!(BrokerId).range(0..))]
        broker: BrokerId,
    },
    /// More brokers like the present ones: what each holds, and what is copied for it
    #[command(after_long_help = "\
Examples:
  azimuth whatif add-broker
  azimuth whatif add-broker 3")]
    AddBroker {
        /// So many
        #[arg(value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List => Words::new(&["whatif", "list"]),
            Self::AzLoss { zone } => Words::new(&["whatif", "az-loss"]).name(zone),
            Self::Restart { broker } => Words::new(&["whatif", "restart"]).name(broker),
            Self::AddBroker { count } => Words::new(&["whatif", "add-broker"]).name(count),
        }
    }
}
