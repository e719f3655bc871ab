//! `azimuth man`

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};

use super::Line;
use super::words::Words;

/// Write a manual page for every command.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  azimuth man --dir /usr/local/share/man/man1
  azimuth man --dir man && man -l man/azimuth-leader-move.1")]
pub struct Man {
    /// Here: azimuth.1, azimuth-broker.1, azimuth-broker-list.1, …
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

impl Man {
    pub(super) fn words(&self) -> Words {
        Words::new(&["man"]).option("--dir", [self.dir.display()])
    }

    /// Writes them, and tells how many.
    ///
    /// # Errors
    /// When the folder cannot be made, or a page cannot be written.
    pub fn write(&self) -> std::io::Result<usize> {
        std::fs::create_dir_all(&self.dir)?;
        let mut root = Line::command();
        root.build();
        write(&root, "azimuth", &self.dir)
    }
}

fn write(command: &clap::Command, name: &str, dir: &Path) -> std::io::Result<usize> {
    let page = clap_mangen::Man::new(command.clone().name(name.to_owned()));
    let mut text = Vec::new();
    page.render(&mut text)?;
    std::fs::write(dir.join(format!("{name}.1")), text)?;
    let below = command.get_subcommands().filter(|one| !one.is_hide_set());
    below
        .map(|one| write(one, &format!("{name}-{}", one.get_name()), dir))
        .sum::<std::io::Result<usize>>()
        .map(|count| count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("man1");
        let count = Man { dir: dir.clone() }.write().unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), count);
        for (noun, verbs) in crate::command::nouns() {
            for verb in verbs {
                let path = dir.join(format!("azimuth-{noun}-{verb}.1"));
                let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert!(text.contains("Examples:"), "{}", path.display());
            }
        }
        let page = std::fs::read_to_string(dir.join("azimuth-leader-move.1")).unwrap();
        assert!(page.contains("from\\-az"), "{page}");
    }
}
