//! `azimuth demo`

use clap::Args;

use super::words::Words;

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
    /// Serve until SIGTERM and print where: `ready HOST:PORT,…`, `aws URL`, `context FILE`
    #[arg(long)]
    pub headless: bool,
}

impl Demo {
    pub(super) fn words(&self) -> Words {
        let words = Words::new(&["demo"]).option("--drill", &self.drill);
        words.flag("--headless", self.headless)
    }
}
