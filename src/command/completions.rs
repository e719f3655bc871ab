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
        clap_complete::generate(self.shell, &mut visible(&Line::command()), "azimuth", &mut script);
        out.write_all(&script)
    }
}

/// The command without what is hidden: completions would offer it otherwise.
fn visible(command: &clap::Command) -> clap::Command {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    let shown: Vec<clap::Command> = shown.map(visible).collect();
    let plain = clap::Command::new(command.get_name().to_owned())
        .disable_help_subcommand(true)
        .args(command.get_arguments())
        .subcommands(shown);
    match command.get_about() {
        Some(about) => plain.about(about.clone()),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_not_completed() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            Completions { shell }.write(&mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("attach") && script.contains("override"), "{shell}");
            assert!(!script.contains("engine"), "{shell}");
        }
    }
}
