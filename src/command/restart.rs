//! `azimuth restart …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::schedule::When;
use super::value::{Brokers, Time, driver, gate};
use super::words::Words;
use crate::model::BrokerId;
use crate::model::driver::{Action, DriverName};
use crate::plan::restart::{Whom, Wish};

/// What can be done about restarts.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Work out in which order brokers restart, and what stands in the way; nothing is changed
    #[command(after_long_help = "\
Examples:
  azimuth restart plan --all --out roll.json
  azimuth restart plan --az euw1-az2 --drain-leaders --soak 5m --out roll.json
  azimuth restart plan --all --parallel 3 --out roll.json
  azimuth restart plan --all --upgrade-to 4.3.1 --driver ssm --out roll.json
  azimuth restart plan --controllers --out controllers.json
  azimuth restart plan --broker 4,5 --driver ssh -o json")]
    Plan(Roll),
    /// Carry out a plan; it goes on when the terminal is lost
    #[command(after_long_help = "\
Examples:
  azimuth restart apply roll.json --dry-run
  azimuth restart apply roll.json --context dev --yes
  azimuth restart apply roll.json --window 22:00-06:00Z --pause-after az --confirm prod-eu
  azimuth restart apply roll.json --override blast-radius --reason 'RF 1 topics may pause'")]
    Apply {
        /// A plan that `restart plan --out` saved; - reads it from stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Do not wait for the end
        #[arg(long)]
        detach: bool,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
        #[command(flatten)]
        when: When,
    },
}

/// Which brokers restart, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Roll {
    /// These brokers
    #[arg(
        long,
        value_name = "ID,ID|A..B",
        required_unless_present_any = ["az", "all", "controllers"],
        conflicts_with_all = ["az", "all", "controllers"]
    )]
    pub broker: Option<Brokers>,
    /// All brokers of this zone: its id, its name, or the brokers' rack
    #[arg(long, value_name = "AZ", conflicts_with_all = ["all", "controllers"])]
    pub az: Option<String>,
    /// All brokers, zone by zone, the active controller last
    #[arg(long, conflicts_with = "controllers")]
    pub all: bool,
    /// The controllers that are no brokers, one voter at a time, the active one last
    #[arg(long)]
    pub controllers: bool,
    /// How their hosts are reached; the context's only driver without it
    #[arg(long, value_name = "command|ssh|ssm", value_parser = driver)]
    pub driver: Option<DriverName>,
    /// At most so many brokers of a zone at the same time, where no partition has replicas on two of them; what is against it goes one by one
    #[arg(long, value_name = "N", conflicts_with = "controllers", value_parser = clap::value_parser!(u32).range(2..))]
    pub parallel: Option<u32>,
    /// Leaders leave a broker before it stops, and come back after it has started
    #[arg(long)]
    pub drain_leaders: bool,
    /// Watch each broker for so long after it is back, before the next; as the context says without it
    #[arg(long, value_name = "TIME")]
    pub soak: Option<Time>,
    /// Each broker comes back with this release: the driver's `upgrade` stops it, puts the version in place and starts it, as one act
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub upgrade_to: Option<String>,
    /// Save the plan to this file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// A release of Kafka: `4.3`, `4.3.1`, `4.3.1-ours`.
fn version(text: &str) -> Result<String, String> {
    let mut parts = text.splitn(3, '.');
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    match is_number(parts.next()) && is_number(parts.next()) && plain {
        true => Ok(text.to_owned()),
        false => Err("write a release, for example 4.3.1".to_owned()),
    }
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Plan(roll) => Words::new(&["restart", "plan"])
                .option("--broker", &roll.broker)
                .option("--az", &roll.az)
                .flag("--all", roll.all)
                .flag("--controllers", roll.controllers)
                .option("--driver", roll.driver)
                .option("--parallel", roll.parallel)
                .flag("--drain-leaders", roll.drain_leaders)
                .option("--soak", roll.soak)
                .option("--upgrade-to", &roll.upgrade_to)
                .option("--out", roll.out.as_ref().map(|path| path.display())),
            Self::Apply {
                file,
                detach,
                overrides,
                when,
            } => when.words(
                Words::new(&["restart", "apply"])
                    .name(file.display())
                    .flag("--detach", *detach)
                    .list("--override", overrides),
            ),
        }
    }
}

impl Roll {
    /// These brokers, as the context says.
    pub fn of(ids: Vec<BrokerId>) -> Self {
        Self {
            broker: Some(Brokers(ids)),
            ..Self::default()
        }
    }

    pub fn wish(&self) -> Wish {
        let whom = match (&self.broker, &self.az) {
            (Some(brokers), _) => Whom::Brokers(brokers.0.clone()),
            (None, Some(zone)) => Whom::Zone(zone.clone()),
            (None, None) if self.controllers => Whom::Controllers,
            (None, None) => Whom::All,
        };
        Wish {
            driver: self.driver,
            drain: self.drain_leaders,
            soak_seconds: self.soak.map(|time| time.0.as_secs()),
            upgrade_to: self.upgrade_to.clone(),
            parallel: self.parallel,
            ..Wish::new(Action::Restart, whom)
        }
    }
}
