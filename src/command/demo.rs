//! `azimuth demo`

use std::path::PathBuf;

use clap::Args;

use super::words::Words;
use crate::model::BrokerId;
use crate::model::driver::Action;

/// Start an embedded cluster of six brokers in three zones with a simulated cloud, and open the screens on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Without a terminal it prints one pass of its views as text and ends.

Examples:
  azimuth demo
  azimuth demo --headless --context-file demo.toml &
  azimuth broker list --context-file demo.toml")]
pub struct Demo {
    /// Start with this incident
    #[arg(long, value_name = "NAME")]
    pub drill: Option<String>,
    /// Let the simulated cloud's clock run faster: AWS's periods and delays (measurements each minute, seen one to two minutes
    /// later) divided by N. Screens and triage show it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub clock_factor: Option<u32>,
    /// Serve until SIGTERM and print where: `ready HOST:PORT,…`, `aws URL`, `context FILE`
    #[arg(long)]
    pub headless: bool,
    /// Has a running demo stop and start one of its brokers: what its context's driver runs
    #[arg(long, value_name = "SOCKET", hide = true, requires_all = ["action", "broker"], conflicts_with_all = ["drill", "clock_factor", "headless"])]
    pub control: Option<PathBuf>,
    #[arg(long, hide = true, requires = "control", value_parser = action)]
    pub action: Option<Action>,
    #[arg(long, hide = true, requires = "control", value_parser = clap::value_parser!(BrokerId).range(0..))]
    pub broker: Option<BrokerId>,
}

fn action(text: &str) -> Result<Action, String> {
    text.parse().map_err(|_| "write restart, stop or start".to_owned())
}

impl Demo {
    pub(super) fn words(&self) -> Words {
        let words = Words::new(&["demo"])
            .option("--drill", &self.drill)
            .option("--clock-factor", self.clock_factor)
            .option("--control", self.control.as_ref().map(|path| path.display()))
            .option("--action", self.action)
            .option("--broker", self.broker);
        words.flag("--headless", self.headless)
    }
}
