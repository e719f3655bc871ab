//! `azimuth feature …`

use clap::Subcommand;

use super::value::gate;
use super::words::Words;
use crate::plan::feature::Wish;
use crate::plan::intent::Intent;

/// What can be done with features of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Features: the level that is finalized, the levels that every broker speaks, and who speaks the least
    #[command(
        alias = "show",
        after_long_help = "\
Examples:
  azimuth feature list
  azimuth feature list -o json | jq '.brokers'                   what each broker speaks"
    )]
    List,
    /// Finalize a level for the whole cluster: the last step of an upgrade, when no broker of the old version shall come back
    #[command(after_long_help = "\
Examples:
  azimuth feature finalize metadata.version --dry-run
  azimuth feature finalize metadata.version --context prod-eu --confirm prod-eu
  azimuth feature finalize transaction.version --level 2 --context dev --yes")]
    Finalize {
        /// As `feature list` names it
        #[arg(value_name = "FEATURE")]
        name: String,
        /// The highest that every broker speaks without it; a lower one where Kafka loses nothing by it; 0 is off
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(0..))]
        level: Option<i16>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List => Words::new(&["feature", "list"]),
            Self::Finalize { name, level, overrides } => Words::new(&["feature", "finalize"])
                .name(name)
                .option("--level", *level)
                .list("--override", overrides),
        }
    }

    /// What it changes, and against which gates; `None` of what only reads.
    pub fn change(&self) -> Option<(Intent, &[String])> {
        match self {
            Self::List => None,
            Self::Finalize { name, level, overrides } => Some((Intent::Feature(Wish::new(name, *level)), overrides)),
        }
    }
}
