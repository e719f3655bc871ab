//! `azimuth broker …`

use clap::{Args, Subcommand};

use super::value::{Time, driver, gate};
use super::words::Words;
use crate::model::BrokerId;
use crate::model::driver::{Action, DriverName};
use crate::plan::intent::Intent;
use crate::plan::restart::{Whom, Wish};
use crate::plan::swap;

/// What can be done with brokers.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All brokers, by zone
    #[command(after_long_help = "\
Examples:
  azimuth broker list
  azimuth broker list --window 5s                with rates that take two looks
  azimuth broker list -o json | jq '.items[] | select(.state != \"up\") | .id'")]
    List {
        /// Look twice, so far apart, for rates where one look tells none
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// One broker: state, placement, log directories, instance, limits
    #[command(after_long_help = "\
Examples:
  azimuth broker show 4
  azimuth broker show 4 --window 5s                with rates that take two looks
  azimuth broker show 4 -o json")]
    Show {
        /// The broker's id
        #[arg(value_parser = clap::value_parser!(BrokerId).range(0..))]
        id: BrokerId,
        /// Look twice, so far apart, for rates where one look tells none
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// A broker's configs, with where each comes from
    #[command(after_long_help = "\
Examples:
  azimuth broker config 4                        what is set, statically or dynamically
  azimuth broker config 4 --all                  defaults too
  azimuth broker config 4 --key '^log\\.retention'")]
    Config {
        /// The broker's id
        #[arg(value_parser = clap::value_parser!(BrokerId).range(0..))]
        id: BrokerId,
        /// Defaults too
        #[arg(long)]
        all: bool,
        /// Only keys that match this regular expression
        #[arg(long, value_name = "RE")]
        key: Option<String>,
    },
    /// Stop a broker on its host, when the others can do without it
    #[command(after_long_help = "\
Examples:
  azimuth broker stop 4 --dry-run
  azimuth broker stop 4 --context dev --yes
  azimuth broker stop 4 --override blast-radius --reason 'volume vol-07 is replaced'")]
    Stop(Drive),
    /// Start a broker on its host, and wait until it is in sync and leads again
    #[command(after_long_help = "\
Examples:
  azimuth broker start 4 --context dev --yes")]
    Start(Drive),
    /// Move a broker to another instance with its volumes: stopped, detached, attached, started, verified
    #[command(after_long_help = "\
The instance runs already, in the zone of the volumes, set up for this broker but not started; its name or address must lead there.

Examples:
  azimuth broker replace 4 --instance i-0c3fd1a2b4c5d6e7f --dry-run
  azimuth broker replace 4 --instance i-0c3fd1a2b4c5d6e7f --confirm prod-eu")]
    Replace {
        #[command(flatten)]
        drive: Drive,
        /// Where it shall run
        #[arg(long, value_name = "INSTANCE", value_parser = instance)]
        instance: String,
        /// Do not wait for the end
        #[arg(long)]
        detach: bool,
    },
}

/// One broker, and how its host is reached.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Drive {
    /// The broker's id
    #[arg(value_parser = clap::value_parser!(BrokerId).range(0..))]
    pub id: BrokerId,
    /// How its host is reached; the context's only driver without it
    #[arg(long, value_name = "command|ssh|ssm", value_parser = driver)]
    pub driver: Option<DriverName>,
    /// Go on against these gates; needs --reason
    #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
    pub overrides: Vec<String>,
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { window } => Words::new(&["broker", "list"]).option("--window", *window),
            Self::Show { id, window } => Words::new(&["broker", "show"]).name(id).option("--window", *window),
            Self::Config { id, all, key } => {
                let words = Words::new(&["broker", "config"]).name(id);
                words.flag("--all", *all).option("--key", key)
            }
            Self::Stop(drive) => drive.words("stop"),
            Self::Start(drive) => drive.words("start"),
            Self::Replace {
                drive,
                instance,
                detach,
            } => drive
                .words("replace")
                .option("--instance", Some(instance))
                .flag("--detach", *detach),
        }
    }

    /// Whether it is begun and left to itself.
    pub fn detach(&self) -> bool {
        matches!(self, Self::Replace { detach: true, .. })
    }

    /// What it changes, and against which gates; `None` of what only reads.
    pub fn change(&self) -> Option<(Intent, &[String])> {
        let (action, drive) = match self {
            Self::Stop(drive) => (Action::Stop, drive),
            Self::Start(drive) => (Action::Start, drive),
            Self::Replace { drive, instance, .. } => {
                let wish = swap::Wish {
                    driver: drive.driver,
                    ..swap::Wish::new(drive.id, swap::What::Instance(instance.clone()))
                };
                return Some((Intent::Swap(wish), &drive.overrides));
            }
            Self::List { .. } | Self::Show { .. } | Self::Config { .. } => return None,
        };
        let wish = Wish {
            driver: drive.driver,
            ..Wish::new(action, Whom::Brokers(vec![drive.id]))
        };
        Some((Intent::Restart(wish), &drive.overrides))
    }
}

/// An instance's id, as EC2 writes it.
fn instance(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("i-").unwrap_or_default();
    match !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(text.to_owned()),
        false => Err("write an instance's id, for example i-0c3fd1a2b4c5d6e7f".to_owned()),
    }
}

impl Drive {
    fn words(&self, verb: &str) -> Words {
        Words::new(&["broker", verb])
            .name(self.id)
            .option("--driver", self.driver)
            .list("--override", &self.overrides)
    }
}
