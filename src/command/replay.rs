//! `azimuth replay`

use clap::Args;

use super::words::Words;
use crate::model::when::When;

/// Look again at what was recorded, step by step
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_long_help = "\
On a terminal it opens the screens on what consoles and azimuth recorder have recorded of the cluster: > and < go a step on and
back, n and p to where a finding began or was over, v plays it. Nothing is asked of the cluster, and nothing can be changed.

Elsewhere, or with -o, it prints the timeline: what happened, and what triage said whenever that changed. -o md writes it as
Markdown, -o json has what triage said at every step.

--from is where it begins, a time in UTC; or a capture, or a recording that was copied from another machine: a folder of
segments, or one of them. Any other read takes such a time too: it then answers from the recording as of that moment.

Examples:
  azimuth replay --context prod-eu
  azimuth replay --at 03:12
  azimuth replay --from 02:50 --to 04:10 -o md > incident.md
  azimuth replay --from history/00001795374000000.reel
  azimuth broker list --from 03:12:30")]
pub struct Replay {
    /// Open at this time, in UTC
    #[arg(long, value_name = "TIME")]
    pub at: Option<When>,
    /// End at this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<When>,
}

impl Replay {
    pub(super) fn words(&self) -> Words {
        Words::new(&["replay"]).option("--at", self.at).option("--to", self.to)
    }
}
