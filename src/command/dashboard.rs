//! `azimuth dashboard`

use clap::Args;

use super::value::Time;
use super::words::Words;

/// The numbers that the article says to monitor, with their charts, and which alarms watch what
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_long_help = "\
System, producer and consumer metrics over the last minutes, of the broker where each is worst: from CloudWatch, from the
brokers' Prometheus endpoints, from what clients push (KIP-714) where a broker exports it, and from the recording. Then each
broker's instance and volumes with the alarms of CloudWatch that watch them, or none.

Charts come from what a console or azimuth recorder has recorded; without it there is only what is told now.

Examples:
  azimuth dashboard --context prod-eu
  azimuth dashboard cpu_percent --window 10m
  azimuth dashboard -o json | jq '.alarms[] | select(.watched == false)'")]
pub struct Dashboard {
    /// Of one metric, each broker
    #[arg(value_name = "METRIC")]
    pub metric: Option<String>,
    /// What charts are over; 10m unless stated
    #[arg(long, value_name = "TIME")]
    pub window: Option<Time>,
}

impl Dashboard {
    pub(super) fn words(&self) -> Words {
        Words::new(&["dashboard"])
            .names(&self.metric)
            .option("--window", self.window)
    }
}
