//! `azimuth runbook …`

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;

use super::words::Words;

/// What can be done with runbooks.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// The runbooks there are: shipped ones, and those in the user's folder; or the runs on this cluster
    #[command(after_long_help = "\
Examples:
  azimuth runbook list
  azimuth runbook list --runs --context dev")]
    List {
        /// The runs on this cluster, the latest first
        #[arg(long)]
        runs: bool,
    },
    /// A runbook with its parameters and steps; or a run with its log
    #[command(after_long_help = "\
Examples:
  azimuth runbook show az-failure
  azimuth runbook show az-failure --source > ~/.config/azimuth/runbooks/our-az-failure.yaml
  azimuth runbook show --run 3fa2b1 --context dev")]
    Show {
        /// A runbook's name, or a file: what has a / or ends in .yaml
        #[arg(value_name = "NAME|FILE", required_unless_present = "run")]
        name: Option<String>,
        /// A run
        #[arg(long, value_name = "ID", conflicts_with_all = ["name", "source"])]
        run: Option<String>,
        /// The file itself
        #[arg(long)]
        source: bool,
    },
    /// Whether a file makes sense, with line and column of what does not; prints its steps
    #[command(after_long_help = "\
Examples:
  azimuth runbook check ours.yaml
  azimuth runbook check ours.yaml -o json")]
    Check {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Carry a runbook out, step by step; `runbook resume` goes on with one that stopped or was lost
    #[command(after_long_help = "\
Examples:
  azimuth runbook run az-failure --set zone=euw1-az2 --dry-run
  azimuth runbook run az-failure --set zone=euw1-az2 --context prod-eu --confirm prod-eu
  azimuth runbook run ours.yaml --set broker=4 --answer go-on=yes --context dev --yes")]
    Run {
        /// A runbook's name, or a file: what has a / or ends in .yaml
        #[arg(value_name = "NAME|FILE")]
        name: String,
        /// A parameter; may be repeated
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<Pair>,
        #[command(flatten)]
        with: With,
    },
    /// Go on with a run that stopped, or whose terminal was lost
    #[command(after_long_help = "\
Examples:
  azimuth runbook resume 3fa2b1 --context dev --yes
  azimuth runbook resume 3fa2b1 --answer back=yes --context prod-eu --confirm prod-eu
  azimuth runbook resume 3fa2b1 --again plan --yes                 work the plan out again
  azimuth runbook resume 3fa2b1 --done copy --yes                  it was done, somebody has looked")]
    Resume {
        /// The run
        id: String,
        /// Go back to this step; not behind a change that was made
        #[arg(long, value_name = "STEP", conflicts_with = "done")]
        again: Option<String>,
        /// This step, of which it is not known, was done
        #[arg(long, value_name = "STEP")]
        done: Option<String>,
        #[command(flatten)]
        with: With,
    },
}

/// What is said beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct With {
    /// The answer to the question of a step; may be repeated
    #[arg(long = "answer", value_name = "STEP=VALUE")]
    pub answers: Vec<Pair>,
    /// Do not ask for steps in this other context either: its name; may be repeated
    #[arg(long, value_name = "NAME")]
    pub also_confirm: Vec<String>,
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub name: String,
    pub value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("write NAME=VALUE".to_owned()),
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl With {
    fn words(&self, words: Words) -> Words {
        words
            .option("--answer", &self.answers)
            .option("--also-confirm", &self.also_confirm)
    }
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { runs } => Words::new(&["runbook", "list"]).flag("--runs", *runs),
            Self::Show { name, run, source } => Words::new(&["runbook", "show"])
                .names(name)
                .option("--run", run)
                .flag("--source", *source),
            Self::Check { file } => Words::new(&["runbook", "check"]).name(file.display()),
            Self::Run { name, set, with } => {
                with.words(Words::new(&["runbook", "run"]).name(name).option("--set", set))
            }
            Self::Resume { id, again, done, with } => with.words(
                Words::new(&["runbook", "resume"])
                    .name(id)
                    .option("--again", again)
                    .option("--done", done),
            ),
        }
    }
}
