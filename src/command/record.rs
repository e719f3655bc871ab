//! `azimuth record …`

use clap::Subcommand;

use super::value::Offset;
use super::words::Words;

/// What can be done with records.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Follow a topic; nothing is committed, no group is joined
    #[command(after_long_help = "\
Runs until it has printed --count records, until --timeout, or until interrupted.

Examples:
  azimuth record tail orders
  azimuth record tail orders --offset=-10 --count 10
  azimuth record tail orders --partition 3 --offset start -o json")]
    Tail {
        #[arg(value_name = "TOPIC")]
        topic: String,
        /// Only these partitions; may be repeated
        #[arg(long, value_name = "P", value_parser = clap::value_parser!(i32).range(0..))]
        partition: Vec<i32>,
        /// start, end, an offset, or -N for the last N of each partition; end where it is not given
        #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
        offset: Option<Offset>,
        /// Stop after so many records
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let Self::Tail {
            topic,
            partition,
            offset,
            count,
        } = self;
        Words::new(&["record", "tail"])
            .name(topic)
            .option("--partition", partition)
            .option("--offset", offset)
            .option("--count", count)
    }
}
