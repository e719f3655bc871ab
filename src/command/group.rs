//! `azimuth group …`

use clap::Subcommand;

use super::value::Time;
use super::words::Words;

/// What can be done with consumer groups.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All groups
    List {
        /// Only groups in this state, for example Stable or Empty
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Rates over so long a time; where it was not recorded, two looks so far apart
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// Groups with their members and what each is assigned
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
}

impl Verb {
    /// How far apart the two looks are, where there are to be two.
    pub fn window(&self) -> Option<std::time::Duration> {
        let (Self::List { window, .. } | Self::Show { window, .. } | Self::Lag { window, .. }) = self;
        window.map(|window| window.0)
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
        }
    }
}
