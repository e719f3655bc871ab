//! The flags that every command takes: which cluster, which output, and the consent to a change.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::value::Time;
use super::words::Words;
use crate::model::when::When;

/// Flags of every command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Global {
    /// The cluster, by its name in the context file; else AZIMUTH_CONTEXT, else the only context
    #[arg(long, global = true, value_name = "NAME", help_heading = "Target")]
    pub context: Option<String>,

    /// Read the contexts from this file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Target")]
    pub context_file: Option<PathBuf>,

    /// The cluster, by addresses of its brokers; read-only unless a context of this cluster allows changes
    #[arg(long, global = true, value_name = "HOST:PORT,…", help_heading = "Target")]
    pub bootstrap: Option<String>,

    /// Client properties, in the file format of Kafka's own tools
    #[arg(long, global = true, value_name = "FILE", help_heading = "Target")]
    pub command_config: Option<PathBuf>,

    /// A client property, in librdkafka's or Java's name; may be repeated
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE", help_heading = "Target")]
    pub property: Vec<String>,

    /// Answer from a capture instead of a cluster, or from what was recorded of it at a time in UTC
    #[arg(long, global = true, value_name = "CAPTURE|TIME", value_parser = PathBufValueParser::new().try_map(from), help_heading = "Target")]
    pub from: Option<PathBuf>,

    /// How to print the answer
    #[arg(
        short = 'o',
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_default_value = true,
        help_heading = "Output"
    )]
    pub output: Output,

    /// The whole command answers within this time, with what is known by then; 30s for reads
    #[arg(long, global = true, value_name = "TIME", help_heading = "Output")]
    pub timeout: Option<Time>,

    /// No colours
    #[arg(long, global = true, help_heading = "Output")]
    pub no_color: bool,

    /// Show what a change would do, and do nothing
    #[arg(long, global = true, help_heading = "Changes")]
    pub dry_run: bool,

    /// Do not ask; not accepted on prod
    #[arg(long, global = true, help_heading = "Changes")]
    pub yes: bool,

    /// Do not ask: NAME must be the context's name
    #[arg(long, global = true, value_name = "NAME", help_heading = "Changes")]
    pub confirm: Option<String>,

    /// Why; kept in the journal
    #[arg(long, global = true, value_name = "TEXT", help_heading = "Changes")]
    pub reason: Option<String>,

    /// Allow changes to a cluster that is in no context; it counts as dev
    #[arg(long, global = true, help_heading = "Changes")]
    pub allow_changes: bool,
}

/// Forms of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Output {
    /// Columns that fit the terminal
    #[default]
    Table,
    /// All columns
    Wide,
    /// The envelope that scripts lean on
    Json,
    /// The same as YAML
    Yaml,
    /// One row for each item, with a header
    Csv,
    /// Names only, one to a line
    Name,
    /// Of check run and triage: a page for Prometheus' textfile collector
    Prom,
    /// Of check run and triage: a line and an exit status as Nagios reads them
    Nagios,
    /// Of context diff: a runbook that makes what B lacks of A
    Plan,
    /// Of replay: the timeline as Markdown
    Md,
}

/// What looks like a time is meant as one, and is no file of such a name unless a folder says so.
fn from(path: PathBuf) -> Result<PathBuf, String> {
    let text = path.to_string_lossy();
    let is_clock = text.starts_with(|letter: char| letter.is_ascii_digit())
        && text.contains(':')
        && text
            .chars()
            .all(|letter| letter.is_ascii_digit() || "-:.+ TZ".contains(letter));
    match text.parse::<When>() {
        Err(why) if is_clock => Err(format!("{why}; a file of this name is ./{text}")),
        _ => Ok(path),
    }
}

impl Global {
    pub(super) fn add(&self, words: &mut Words) {
        let paths = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        *words = std::mem::take(words)
            .option("--context", &self.context)
            .option("--context-file", paths(&self.context_file))
            .option("--bootstrap", &self.bootstrap)
            .option("--command-config", paths(&self.command_config))
            .option("-X", &self.property)
            .option("--from", paths(&self.from))
            .option("-o", (self.output != Output::Table).then_some(self.output))
            .option("--timeout", self.timeout)
            .flag("--no-color", self.no_color)
            .flag("--dry-run", self.dry_run)
            .flag("--yes", self.yes)
            .option("--confirm", &self.confirm)
            .option("--reason", &self.reason)
            .flag("--allow-changes", self.allow_changes);
    }
}
