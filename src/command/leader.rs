//! `azimuth leader …`

use clap::{Args, Subcommand};

use super::schedule::Begin;
use super::value::{Brokers, gate, topics};
use super::words::Words;
use crate::model::BrokerId;
use crate::plan::leader::{From, Wish};

/// What can be done about who leads.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Brokers lead nothing any more, and are preferred for nothing; no data moves, `leader restore` takes it back
    #[command(after_long_help = "\
Examples:
  azimuth leader move --from-broker 4 --dry-run
  azimuth leader move --from-az euw1-az2 --context dev --yes
  azimuth leader move --from-broker 4 --to-broker 5 --topic 'orders|clicks'
  azimuth leader move --from-broker 4 --window 22:00-06:00Z --detach --context dev --yes")]
    Move(Move),
    /// The order that an earlier `leader move` found, and its leaders again
    #[command(after_long_help = "\
Examples:
  azimuth leader restore --dry-run
  azimuth leader restore 7f3c21 --context dev --yes")]
    Restore {
        /// The operation that moved them; the latest `leader move` without it
        #[arg(value_name = "OPERATION")]
        id: Option<String>,
        #[command(flatten)]
        begin: Begin,
    },
    /// The preferred replica leads again, of all partitions or of those that are named
    #[command(after_long_help = "\
Examples:
  azimuth leader elect
  azimuth leader elect orders clicks:3
  azimuth leader elect orders:3 --unclean --override unclean --reason 'broker 2 will not come back'")]
    Elect {
        /// TOPIC, or TOPIC:PARTITION
        #[arg(value_name = "TOPIC[:P]", required_if_eq("unclean", "true"))]
        names: Vec<String>,
        /// Any live replica, of partitions that have no leader: records may be lost
        #[arg(long)]
        unclean: bool,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
        #[command(flatten)]
        begin: Begin,
    },
}

/// Whom leaders leave, and which.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Move {
    /// These brokers
    #[arg(
        long,
        value_name = "ID,ID|A..B",
        required_unless_present = "from_az",
        conflicts_with = "from_az"
    )]
    pub from_broker: Option<Brokers>,
    /// All brokers of this zone: its id, its name, or the brokers' rack
    #[arg(long, value_name = "AZ")]
    pub from_az: Option<String>,
    /// Only this broker takes over
    #[arg(long, value_name = "ID")]
    pub to_broker: Option<BrokerId>,
    /// Only topics whose whole name this regular expression matches
    #[arg(long, value_name = "RE", value_parser = topics)]
    pub topic: Option<String>,
    /// No topic whose whole name this regular expression matches
    #[arg(long, value_name = "RE", value_parser = topics)]
    pub exclude: Option<String>,
    /// Go on against these gates; needs --reason
    #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
    pub overrides: Vec<String>,
    #[command(flatten)]
    pub begin: Begin,
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Move(wanted) => wanted.begin.words(
                Words::new(&["leader", "move"])
                    .option("--from-broker", &wanted.from_broker)
                    .option("--from-az", &wanted.from_az)
                    .option("--to-broker", wanted.to_broker)
                    .option("--topic", &wanted.topic)
                    .option("--exclude", &wanted.exclude)
                    .list("--override", &wanted.overrides),
            ),
            Self::Restore { id, begin } => begin.words(Words::new(&["leader", "restore"]).names(id)),
            Self::Elect {
                names,
                unclean,
                overrides,
                begin,
            } => begin.words(
                Words::new(&["leader", "elect"])
                    .names(names)
                    .flag("--unclean", *unclean)
                    .list("--override", overrides),
            ),
        }
    }

    /// `leader move --from-broker …`.
    pub fn off(ids: Vec<BrokerId>) -> Self {
        Self::Move(Move {
            from_broker: Some(Brokers(ids)),
            from_az: None,
            to_broker: None,
            topic: None,
            exclude: None,
            overrides: Vec::new(),
            begin: Begin::default(),
        })
    }

    pub fn overrides(&self) -> &[String] {
        match self {
            Self::Move(Move { overrides, .. }) | Self::Elect { overrides, .. } => overrides,
            Self::Restore { .. } => &[],
        }
    }

    /// Whether somebody waits for its end, and when it may go on.
    pub fn begin(&self) -> &Begin {
        match self {
            Self::Move(Move { begin, .. }) | Self::Restore { begin, .. } | Self::Elect { begin, .. } => begin,
        }
    }

    pub(super) fn begin_mut(&mut self) -> &mut Begin {
        match self {
            Self::Move(Move { begin, .. }) | Self::Restore { begin, .. } | Self::Elect { begin, .. } => begin,
        }
    }

    /// What is wanted; `None` of what only a journal knows.
    pub fn wish(&self) -> Option<Wish> {
        match self {
            Self::Restore { .. } => None,
            Self::Elect {
                names, unclean: true, ..
            } => Some(Wish::Unclean(names.clone())),
            Self::Elect { names, .. } => Some(Wish::Prefer(names.clone())),
            Self::Move(wanted) => {
                let brokers = || {
                    let ids = wanted.from_broker.as_ref().map(|brokers| brokers.0.clone());
                    From::Brokers(ids.unwrap_or_default())
                };
                Some(Wish::Leave {
                    from: wanted.from_az.clone().map_or_else(brokers, From::Zone),
                    to: wanted.to_broker,
                    topics: wanted.topic.clone(),
                    exclude: wanted.exclude.clone(),
                })
            }
        }
    }
}
