//! `azimuth throttle …`

use clap::Subcommand;

use std::fmt;
use std::str::FromStr;

use super::value::{Brokers, Size, gate};
use super::words::Words;
use crate::plan::intent::Intent;
use crate::plan::leader::From;
use crate::plan::throttle::{CatchUp, Clear, Set};

/// Bytes a second, or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUpRate(pub Option<u64>);

impl FromStr for CatchUpRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(None)),
            text => {
                let size: Size = text.strip_suffix("/s").unwrap_or(text).parse()?;
                Ok(Self(Some(size.0)))
            }
        }
    }
}

impl fmt::Display for CatchUpRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("auto"),
            Some(bytes) => Size(bytes).fmt(f),
        }
    }
}

/// What can be done with replication throttles.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Rates and lists as they are set: whose, which serve, which are stale, which do nothing, and what each slows
    #[command(after_long_help = "\
Examples:
  azimuth throttle list
  azimuth throttle list --stale")]
    List {
        /// Only those that serve nothing: stale ones, and halves without their other half
        #[arg(long)]
        stale: bool,
    },
    /// Throttle the reassignments in flight, whoever started them, or what brokers copy that come back; what others have set
    /// stays
    #[command(after_long_help = "\
Examples:
  azimuth throttle set --rate 50MB --dry-run
  azimuth throttle set --rate 50MB --context dev --yes
  azimuth throttle set --catch-up --broker 4 --dry-run
  azimuth throttle set --catch-up --az euw1-az2 --rate 80MB --detach --context dev --yes")]
    Set {
        /// Bytes a second on each broker that takes part, for example 50MB; with --catch-up, auto is 70 % of what the limits leave
        #[arg(long, value_name = "RATE|auto", required_unless_present = "catch_up")]
        rate: Option<CatchUpRate>,
        /// Before brokers start that were away: until each is in sync again, on those that it copies from
        #[arg(long, requires = "back")]
        catch_up: bool,
        /// These brokers come back
        #[arg(long, value_name = "ID,ID|A..B", requires = "catch_up", group = "back")]
        broker: Option<Brokers>,
        /// All brokers of this zone come back: its id, its name, or the brokers' rack
        #[arg(long, value_name = "AZ", requires = "catch_up", group = "back")]
        az: Option<String>,
        /// Do not wait for the end
        #[arg(long)]
        detach: bool,
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
            Self::Set {
                rate,
                catch_up,
                broker,
                az,
                detach,
                overrides,
            } => Words::new(&["throttle", "set"])
                .option("--rate", rate)
                .flag("--catch-up", *catch_up)
                .option("--broker", broker)
                .option("--az", az)
                .flag("--detach", *detach)
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
            Self::Set {
                rate,
                catch_up: true,
                broker,
                az,
                ..
            } => {
                let ids = || From::Brokers(broker.as_ref().map(|brokers| brokers.0.clone()).unwrap_or_default());
                Some(Intent::SetThrottle(Set::CatchUp(CatchUp {
                    from: az.clone().map_or_else(ids, From::Zone),
                    bytes_per_second: rate.and_then(|rate| rate.0),
                })))
            }
            // Nothing is solved for what others have begun.
            Self::Set { rate, .. } => {
                let bytes_per_second = rate.and_then(|rate| rate.0)?;
                Some(Intent::SetThrottle(Set::InFlight { bytes_per_second }))
            }
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

    /// Whether it is left to itself once it runs.
    pub fn detach(&self) -> bool {
        matches!(self, Self::Set { detach: true, .. })
    }

    /// The gates that it goes on against.
    pub fn overrides(&self) -> &[String] {
        match self {
            Self::List { .. } => &[],
            Self::Set { overrides, .. } | Self::Clear { overrides, .. } => overrides,
        }
    }
}
