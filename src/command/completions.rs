//! `azimuth completions`

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Line;
use super::words::Words;

/// Print the completions for a shell.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  azimuth completions bash > /etc/bash_completion.d/azimuth
  azimuth completions zsh > ~/.zfunc/_azimuth")]
pub struct Completions {
    pub shell: Shell,
}

impl Completions {
    pub(super) fn words(&self) -> Words {
        Words::new(&["completions"]).name(self.shell)
    }

    /// The script, to be sourced by the shell.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Line::command(), "azimuth", &mut script);
        out.write_all(&script)
    }
}
