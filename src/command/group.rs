//! `azimuth group …`

use clap::Subcommand;

use super::value::{Offset, Time, gate};
use super::words::Words;
use crate::model::Moment;
use crate::plan::group::{Reset, To};
use crate::plan::intent::Intent;

/// What can be done with consumer groups.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All groups
    #[command(after_long_help = "\
Examples:
  azimuth group list
  azimuth group list --state Empty
  azimuth group list --window 5s                   with rates that take two looks")]
    List {
        /// Only groups in this state, for example Stable or Empty
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Rates over so long a time; where it was not recorded, two looks so far apart
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// Groups with their members and what each is assigned
    #[command(after_long_help = "\
Examples:
  azimuth group show billing
  azimuth group show billing audit -o json")]
    Show {
        #[arg(required = true, value_name = "GROUP")]
        names: Vec<String>,
        /// Rates over so long a time; where it was not recorded, two looks so far apart
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// Lag of every partition that a group has committed
    #[command(after_long_help = "\
Examples:
  azimuth group lag billing
  azimuth group lag --all -o csv")]
    Lag {
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "GROUP")]
        names: Vec<String>,
        /// Every group
        #[arg(long)]
        all: bool,
        /// Rates over so long a time; where it was not recorded, two looks so far apart
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// Let a group without members read on from elsewhere; `operation undo` takes it back
    #[command(
        group(clap::ArgGroup::new("target").required(true).args(["to", "shift_by"])),
        after_long_help = "\
Examples:
  azimuth group reset billing --to earliest --dry-run
  azimuth group reset billing --topic orders:3 --to 1200
  azimuth group reset billing --to 2026-11-22T21:00Z
  azimuth group reset billing --shift-by=-1000"
    )]
    Reset {
        #[arg(value_name = "GROUP")]
        name: String,
        /// TOPIC, or TOPIC:PARTITION; every partition with a commit without it; may be repeated
        #[arg(long = "topic", value_name = "TOPIC[:P]")]
        topics: Vec<String>,
        /// earliest, latest, an offset, -N for the last N, a time, or a time ago such as 15m
        #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
        to: Option<Offset>,
        /// So many records on, or back where it is negative
        #[arg(long, value_name = "N", allow_hyphen_values = true)]
        shift_by: Option<i64>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Forget groups without members, and what they have committed
    #[command(after_long_help = "\
Examples:
  azimuth group delete billing-old --dry-run")]
    Delete {
        #[arg(required = true, value_name = "GROUP")]
        names: Vec<String>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

impl Verb {
    /// What it wants changed; `None` for a read.
    pub fn intent(&self, now: Moment) -> Option<Intent> {
        match self {
            Self::List { .. } | Self::Show { .. } | Self::Lag { .. } => None,
            Self::Delete { names, .. } => Some(Intent::DeleteGroups(names.clone())),
            Self::Reset {
                name,
                topics,
                to,
                shift_by,
                ..
            } => {
                let to = match to {
                    Some(offset) => offset.target(now),
                    None => To::Shift(shift_by.unwrap_or(0)),
                };
                Some(Intent::ResetGroup(Reset {
                    group: name.clone(),
                    names: topics.clone(),
                    to,
                }))
            }
        }
    }

    /// `group reset NAME --to earliest`, for a person to edit.
    pub fn to_earliest(name: String) -> Self {
        Self::Reset {
            name,
            topics: Vec::new(),
            to: Some(Offset::Start),
            shift_by: None,
            overrides: Vec::new(),
        }
    }

    pub fn overrides(&self) -> &[String] {
        match self {
            Self::Reset { overrides, .. } | Self::Delete { overrides, .. } => overrides,
            Self::List { .. } | Self::Show { .. } | Self::Lag { .. } => &[],
        }
    }

    /// How far apart the two looks are, where there are to be two.
    pub fn window(&self) -> Option<std::time::Duration> {
        match self {
            Self::List { window, .. } | Self::Show { window, .. } | Self::Lag { window, .. } => {
                window.map(|window| window.0)
            }
            Self::Reset { .. } | Self::Delete { .. } => None,
        }
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { state, window } => Words::new(&["group", "list"])
                .option("--state", state)
                .option("--window", *window),
            Self::Show { names, window } => Words::new(&["group", "show"]).names(names).option("--window", *window),
            Self::Lag { names, all, window } => Words::new(&["group", "lag"])
                .names(names)
                .flag("--all", *all)
                .option("--window", *window),
            Self::Reset {
                name,
                topics,
                to,
                shift_by,
                overrides,
            } => Words::new(&["group", "reset"])
                .name(name)
                .option("--topic", topics)
                .option("--to", to.as_ref())
                .option("--shift-by", *shift_by)
                .list("--override", overrides),
            Self::Delete { names, overrides } => Words::new(&["group", "delete"])
                .names(names)
                .list("--override", overrides),
        }
    }
}
