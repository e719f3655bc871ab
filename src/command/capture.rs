//! `azimuth capture …`

use std::path::PathBuf;

use clap::Subcommand;

use super::words::Words;

/// What can be done with captures.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Ask the cluster everything and save the answers; `--from FILE` then answers every read from it
    #[command(after_long_help = "\
What it holds opens anywhere: azimuth --from FILE shows it in the screens, without a cluster, AWS or settings. Secrets are left
out: sensitive configs, what looks like a password, a key or a token in tags, client ids, configs and messages, and the metadata
of commits.

Examples:
  azimuth capture save incident.json.zst --context prod-eu       packed, for its name ends in .zst
  azimuth broker list --from incident.json.zst
  azimuth --from incident.json.zst                               the screens on it")]
    Save {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// What a capture holds: each section with its age
    #[command(after_long_help = "\
Examples:
  azimuth capture show tuesday.json.zst")]
    Show {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Save { file } => Words::new(&["capture", "save"]).name(file.display()),
            Self::Show { file } => Words::new(&["capture", "show"]).name(file.display()),
        }
    }
}
