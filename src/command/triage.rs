//! `azimuth triage`

use clap::{Args, ValueEnum};

use super::value::Time;
use super::words::Words;

/// What is wrong, who is at fault, what to do next and what not to do: ten lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Exit status 1 when something fails (with --fail-on warn, also when something warns), 3 when what was seen is well and not
everything was seen.

What an operation of ours moves may be out of sync while it progresses: such findings are told with its id and do not count.

With --watch it looks on and prints again whenever the verdict changes; as JSON one document a line.

Examples:
  azimuth triage --context prod-eu
  azimuth triage --fail-on warn -o json
  azimuth triage --window 2h                       what changed in the last two hours
  azimuth triage --watch -o json | jq -c '{status, culprit}'")]
pub struct Triage {
    /// Look on, and print again whenever the verdict changes
    #[arg(long)]
    pub watch: bool,
    /// Count findings too that an operation of ours explains
    #[arg(long)]
    pub strict: bool,
    /// What counts as a no
    #[arg(long, value_enum, value_name = "STATUS", default_value_t)]
    pub fail_on: FailOn,
    /// Tell what changed in so long a time; an hour without it, two at most
    #[arg(long, value_name = "TIME")]
    pub window: Option<Time>,
}

/// From which verdict on the answer is no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum FailOn {
    /// Warnings too
    Warn,
    /// Only failures
    #[default]
    Fail,
}

impl Triage {
    pub(super) fn words(&self) -> Words {
        let stricter = (self.fail_on != FailOn::default()).then_some(self.fail_on);
        Words::new(&["triage"])
            .flag("--watch", self.watch)
            .flag("--strict", self.strict)
            .option("--fail-on", stricter)
            .option("--window", self.window)
    }
}
