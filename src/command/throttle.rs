//! `azimuth throttle …`

use clap::Subcommand;

use super::value::{Brokers, Size, gate};
use super::words::Words;
use crate::plan::intent::Intent;
use crate::plan::throttle::{Clear, Set};

/// What can be done with replication throttles.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Rates and lists as they are set: whose, which serve, which are stale, which do nothing, and what each slows
    List {
        /// Only those that serve nothing: stale ones, and halves without their other half
        #[arg(long)]
        stale: bool,
    },
    /// Throttle the reassignments in flight, whoever started them; what others have set stays
    #[command(after_long_help = "\
Examples:
  azimuth throttle set --rate 50MB --dry-run
  azimuth throttle set --rate 50MB --context dev --yes")]
    Set {
        /// Bytes a second on each broker that takes part, for example 50MB
        #[arg(long, value_name = "RATE")]
        rate: Size,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Take away what Azimuth has set and no running operation needs; with a flag also what others have set
    #[command(after_long_help = "\
Examples:
  azimuth throttle clear --dry-run
  azimuth throttle clear --broker 4 --context dev --yes
  azimuth throttle clear --foreign --context prod-eu --confirm prod-eu --reason 'left by a script'")]
    Clear {
        /// Everything, whoever set it
        #[arg(long, conflicts_with_all = ["broker", "topic"])]
        foreign: bool,
        /// The rates of these brokers, whoever set them
        #[arg(long, value_name = "ID,ID|A..B")]
        broker: Option<Brokers>,
        /// The lists of these topics, whoever wrote them
        #[arg(long, value_name = "TOPIC")]
        topic: Vec<String>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { stale } => Words::new(&["throttle", "list"]).flag("--stale", *stale),
            Self::Set { rate, overrides } => Words::new(&["throttle", "set"])
                .option("--rate", [rate])
                .list("--override", overrides),
            Self::Clear {
                foreign,
                broker,
                topic,
                overrides,
            } => Words::new(&["throttle", "clear"])
                .flag("--foreign", *foreign)
                .option("--broker", broker)
                .option("--topic", topic)
                .list("--override", overrides),
        }
    }

    /// What a verb that changes something wants; which throttles are ours is not known yet.
    pub fn intent(&self) -> Option<Intent> {
        match self {
            Self::List { .. } => None,
            Self::Set { rate, .. } => Some(Intent::SetThrottle(Set::InFlight {
                bytes_per_second: rate.0,
            })),
            Self::Clear {
                foreign, broker, topic, ..
            } => Some(Intent::ClearThrottle(Clear {
                claims: Vec::new(),
                foreign: *foreign,
                brokers: broker.as_ref().map(|brokers| brokers.0.clone()).unwrap_or_default(),
                topics: topic.clone(),
            })),
        }
    }

    /// The gates that it goes on against.
    pub fn overrides(&self) -> &[String] {
        match self {
            Self::List { .. } => &[],
            Self::Set { overrides, .. } | Self::Clear { overrides, .. } => overrides,
        }
    }
}
