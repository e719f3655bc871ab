//! `azimuth recorder`

use std::net::SocketAddr;

use clap::Args;

use super::words::Words;

/// Record a cluster without screens, and tell other monitors what is found
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_long_help = "\
It looks at everything for as long as it runs and records it as consoles do: for replay, and for the next console, which then
knows since when things are as they are. A line on stderr says whenever the verdict changes; -o json prints a document for each.
SIGTERM ends it.

--metrics serves the verdict, the findings, and each group's lag and the seconds until it loses records, for Prometheus.

--cloudwatch puts the same into CloudWatch, once a minute: custom metrics cost 0.30 USD a month each (us-east-1 list, the
first 10,000), and it says at the start how many there are. It needs cloudwatch:PutMetricData.

Examples:
  azimuth recorder --context prod-eu
  azimuth recorder --context prod-eu --metrics 127.0.0.1:9404
  azimuth recorder --context prod-eu --cloudwatch Azimuth
  azimuth recorder --context prod-eu --metrics 127.0.0.1:9404 --unit | sudo tee /etc/systemd/system/azimuth-recorder.service")]
pub struct Recorder {
    /// Print the systemd unit that does this, for this context, and do nothing
    #[arg(long)]
    pub unit: bool,
    /// Serve metrics to Prometheus here
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Put metrics into this namespace of CloudWatch
    #[arg(long, value_name = "NAMESPACE")]
    pub cloudwatch: Option<String>,
}

impl Recorder {
    pub(super) fn words(&self) -> Words {
        Words::new(&["recorder"])
            .flag("--unit", self.unit)
            .option("--metrics", self.metrics)
            .option("--cloudwatch", &self.cloudwatch)
    }
}
