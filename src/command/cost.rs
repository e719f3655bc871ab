//! `azimuth cost`

use clap::Args;

use super::value::Time;
use super::words::Words;

/// What the cluster costs a month: bytes between zones, volumes, instances, the console itself
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Bytes that cross zones, by pair of zones, topic and group, at $0.02 a GB; what consumers would save that read from a replica in
their own zone; volumes and instances that are larger or smaller than their work; what asking CloudWatch costs. Prices are list
prices of us-east-1.

A partition's bytes are its records a second times what they take on disk. Rates take two looks, 10 s apart unless stated; a
capture has its own. Where members of groups run is known by their addresses; producers are taken to be in all zones alike.

Examples:
  azimuth cost --context prod-eu
  azimuth cost --window 1m -o json
  azimuth cost --from incident.json.zst")]
pub struct Cost {
    /// How long rates are measured
    #[arg(long, value_name = "TIME")]
    pub window: Option<Time>,
}

impl Cost {
    pub(super) fn words(&self) -> Words {
        Words::new(&["cost"]).option("--window", self.window)
    }
}
