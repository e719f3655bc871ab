//! The command line as a value: nouns, verbs and flags, parsed and printed.
//!
//! The command line, the palette, plans and runbooks share it, so that the command shown beside an action is the one that
//! runs: `parse(print(line)) == line` holds for every value (tested below on random ones).

pub mod acl;
pub mod broker;
pub mod capture;
pub mod check;
pub mod completions;
pub mod config;
pub mod context;
pub mod cost;
pub mod dashboard;
pub mod demo;
pub mod dns;
pub mod feature;
pub mod global;
pub mod group;
pub mod leader;
pub mod logdir;
pub mod man;
pub mod mirror;
pub mod operation;
pub mod partition;
pub mod quorum;
pub mod quota;
pub mod reassign;
pub mod record;
pub mod recorder;
pub mod replay;
pub mod restart;
pub mod runbook;
pub mod schedule;
pub mod throttle;
pub mod topic;
pub mod triage;
pub mod user;
pub mod transaction;
pub mod value;
pub mod volume;
pub mod wait;
pub mod whatif;
pub mod words;

#[cfg(test)]
mod arbitrary;

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use clap::{CommandFactory, Parser, Subcommand};

pub use global::{Global, Output};
use schedule::When;
use words::Words;

/// One line as typed: a command, if any, and the flags that every command takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Parser)]
#[command(
    name = "azimuth",
    version,
    about = "A terminal console for the people who run Apache Kafka on AWS",
    long_about = "A terminal console for the people who run Apache Kafka on AWS.\n\n\
                  Alone it opens the screens. With a noun and a verb it answers on stdout and says what it has to say on stderr.",
    after_long_help = "\
Examples:
  azimuth demo                                             everything at once, on an embedded cluster
  azimuth context add prod-eu --bootstrap b1:9092,b2:9092
  azimuth triage --context prod-eu                         what is wrong, and who is at fault
  azimuth broker list --context prod-eu
  azimuth partition list --offline -o json
  azimuth group lag billing --bootstrap b1:9092

Exit status:
  0  yes, done                    4  refused: gate, drift, lock, read-only
  1  the answer is no             5  an operation failed part-way; its journal says where
  2  usage or settings           70  a bug
  3  unreachable, denied, or     130  interrupted; an operation goes on detached
     only part of the answer",
    disable_help_subcommand = true,
    subcommand_help_heading = "Commands",
    max_term_width = 110
)]
pub struct Line {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do: a noun and its verb.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// What is wrong, who is at fault, what to do next
    Triage(triage::Triage),
    /// The practices of running Kafka on AWS: judge the cluster by them
    #[command(subcommand)]
    Check(check::Verb),
    /// What would be: a zone lost, a broker restarted, brokers added
    #[command(subcommand)]
    Whatif(whatif::Verb),
    /// What the article says to monitor, with charts and alarms
    Dashboard(dashboard::Dashboard),
    /// What it costs: between zones, by topic and group, volumes, instances
    Cost(cost::Cost),
    /// Brokers: state, placement, disk, limits, configs; stop, start
    #[command(subcommand)]
    Broker(broker::Verb),
    /// Topics: list, show, create, delete
    #[command(subcommand)]
    Topic(topic::Verb),
    /// Partitions: placement and what is wrong with it
    #[command(subcommand)]
    Partition(partition::Verb),
    /// Consumer groups: members and lag, reset, delete
    #[command(subcommand)]
    Group(group::Verb),
    /// EBS volumes behind the log directories
    #[command(subcommand)]
    Volume(volume::Verb),
    /// Log directories of the brokers
    #[command(subcommand)]
    Logdir(logdir::Verb),
    /// Configs of brokers against each other, of topics against the brokers
    #[command(subcommand)]
    Config(config::Verb),
    /// The controller quorum
    #[command(subcommand)]
    Quorum(quorum::Verb),
    /// Access rules: list them, and explain who may do what
    #[command(subcommand)]
    Acl(acl::Verb),
    /// Users: SCRAM credentials, rules and quotas that name them
    #[command(subcommand)]
    User(user::Verb),
    /// Features of the cluster: what an upgrade finalizes
    #[command(subcommand)]
    Feature(feature::Verb),
    /// Client quotas, and which of them wins
    #[command(subcommand)]
    Quota(quota::Verb),
    /// Replication throttles: what is set, what it slows, what was left behind
    #[command(subcommand)]
    Throttle(throttle::Verb),
    /// Transactions: which are open, and which hang
    #[command(subcommand)]
    Transaction(transaction::Verb),
    /// Records: follow a topic
    #[command(subcommand)]
    Record(record::Verb),
    /// Move replicas between brokers: plan, apply, list, cancel
    #[command(subcommand)]
    Reassign(reassign::Verb),
    /// Restart brokers one by one: plan, apply
    #[command(subcommand)]
    Restart(restart::Verb),
    /// Runbooks: carry steps out, watched and resumed
    #[command(subcommand)]
    Runbook(runbook::Verb),
    /// Who leads: move leaders off a broker or a zone, restore, elect
    #[command(subcommand)]
    Leader(leader::Verb),
    /// Operations that Azimuth started: list, attach, pause, resume, abort
    #[command(subcommand)]
    Operation(operation::Verb),
    /// The name that clients find the cluster by: weights between a blue and a green one
    #[command(subcommand)]
    Dns(dns::Verb),
    /// Until the cluster is healthy, lag is gone, replicas are in sync, moves are over
    #[command(subcommand)]
    Wait(wait::Verb),
    /// Everything known of a cluster, in a file
    #[command(subcommand)]
    Capture(capture::Verb),
    /// What was recorded, step by step
    Replay(replay::Replay),
    /// Record without screens, and tell other monitors what is found
    Recorder(recorder::Recorder),
    /// Mirrors by MirrorMaker 2: how far behind, where groups would go on
    #[command(subcommand)]
    Mirror(mirror::Verb),
    /// Clusters to work with
    #[command(subcommand)]
    Context(context::Verb),
    /// An embedded cluster and a simulated cloud, to try everything on
    Demo(demo::Demo),
    /// Print the completions for a shell
    Completions(completions::Completions),
    /// Write a manual page for every command
    Man(man::Man),
}

/// A line that cannot be understood; one sentence, with the nearest that can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Line {
    /// Parses arguments, the program's name first. The error prints itself as clap does, help and version included.
    pub fn of_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(arguments)
    }

    /// The line to show and copy: without what gives consent, which everybody must type themselves.
    pub fn without_consent(&self) -> Self {
        let mut line = self.clone();
        line.global.yes = false;
        line.global.confirm = None;
        line
    }

    fn words(&self) -> Words {
        let mut words = self.command.as_ref().map_or_else(Words::default, Command::words);
        self.global.add(&mut words);
        words
    }
}

impl Command {
    fn words(&self) -> Words {
        match self {
            Self::Broker(verb) => verb.words(),
            Self::Topic(verb) => verb.words(),
            Self::Partition(verb) => verb.words(),
            Self::Group(verb) => verb.words(),
            Self::Volume(verb) => verb.words(),
            Self::Logdir(verb) => verb.words(),
            Self::Config(verb) => verb.words(),
            Self::Quorum(verb) => verb.words(),
            Self::Acl(verb) => verb.words(),
            Self::User(verb) => verb.words(),
            Self::Quota(verb) => verb.words(),
            Self::Feature(verb) => verb.words(),
            Self::Transaction(verb) => verb.words(),
            Self::Throttle(verb) => verb.words(),
            Self::Record(verb) => verb.words(),
            Self::Reassign(verb) => verb.words(),
            Self::Restart(verb) => verb.words(),
            Self::Runbook(verb) => verb.words(),
            Self::Leader(verb) => verb.words(),
            Self::Operation(verb) => verb.words(),
            Self::Dns(verb) => verb.words(),
            Self::Wait(verb) => verb.words(),
            Self::Capture(verb) => verb.words(),
            Self::Cost(cost) => cost.words(),
            Self::Dashboard(dashboard) => dashboard.words(),
            Self::Replay(replay) => replay.words(),
            Self::Recorder(recorder) => recorder.words(),
            Self::Mirror(verb) => verb.words(),
            Self::Context(verb) => verb.words(),
            Self::Check(verb) => verb.words(),
            Self::Whatif(verb) => verb.words(),
            Self::Triage(triage) => triage.words(),
            Self::Demo(demo) => demo.words(),
            Self::Completions(completions) => completions.words(),
            Self::Man(man) => man.words(),
        }
    }

    /// When what it begins may go on, of verbs that say so themselves. A plan that is kept in a file says it when it is applied.
    pub fn when(&self) -> Option<&When> {
        match self {
            Self::Leader(verb) => Some(&verb.begin().when),
            Self::Operation(operation::Verb::Undo { begin, .. }) => Some(&begin.when),
            _ => None,
        }
    }

    /// The same, to be set.
    pub fn when_mut(&mut self) -> Option<&mut When> {
        match self {
            Self::Leader(verb) => Some(&mut verb.begin_mut().when),
            Self::Operation(operation::Verb::Undo { begin, .. }) => Some(&mut begin.when),
            _ => None,
        }
    }

    /// Whether it is worked out into a plan, for a person to read before anything changes.
    pub fn is_planned(&self) -> bool {
        match self {
            Self::Leader(_) => true,
            Self::Topic(verb) => !matches!(verb, topic::Verb::List { .. } | topic::Verb::Show { .. }),
            Self::Group(group::Verb::Reset { .. } | group::Verb::Delete { .. }) => true,
            Self::Config(verb) => verb.change().is_some(),
            Self::Throttle(verb) => verb.intent().is_some(),
            Self::User(verb) => verb.change().is_some(),
            Self::Quota(verb) => verb.change().is_some(),
            Self::Feature(verb) => verb.change().is_some(),
            Self::Acl(verb) => matches!(verb, acl::Verb::Apply { .. }),
            Self::Transaction(verb) => verb.change().is_some(),
            Self::Reassign(verb) => matches!(verb, reassign::Verb::Plan(_) | reassign::Verb::Cancel { .. }),
            Self::Restart(verb) => matches!(verb, restart::Verb::Plan(_)),
            Self::Broker(verb) => verb.change().is_some(),
            Self::Volume(verb) => verb.change().is_some(),
            Self::Dns(verb) => verb.is_change(),
            _ => false,
        }
    }

    /// The envelope's `kind`: noun and verb with a dot between, for example `broker.list`.
    pub fn kind(&self) -> String {
        self.words().path().join(".")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words();
        formatter.write_str("azimuth")?;
        if !words.is_empty() {
            write!(formatter, " {words}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(formatter)
    }
}

/// With or without `azimuth` in front.
impl FromStr for Line {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let words = words::split(text).map_err(Error)?;
        let skip = usize::from(words.first().is_some_and(|word| word == "azimuth"));
        let arguments = std::iter::once("azimuth".to_owned()).chain(words.into_iter().skip(skip));
        Self::try_parse_from(arguments).map_err(|error| Error(sentence(&error)))
    }
}

impl FromStr for Command {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let line: Line = text.parse()?;
        line.command
            .ok_or_else(|| Error("no command; for example: broker list".to_owned()))
    }
}

/// Nouns with their verbs, for the palette's list: `("broker", ["list", ..])`. A noun without verbs is a command itself.
pub fn nouns() -> Vec<(String, Vec<String>)> {
    let visible = |command: &clap::Command| {
        let subcommands = command.get_subcommands().filter(|one| !one.is_hide_set());
        subcommands.map(|one| one.get_name().to_owned()).collect::<Vec<_>>()
    };
    let root = Line::command();
    let commands = root.get_subcommands().filter(|one| !one.is_hide_set());
    commands
        .map(|command| (command.get_name().to_owned(), visible(command)))
        .collect()
}

/// Every noun with a verb, `topic create`, and what it does.
pub fn verbs() -> Vec<(String, String)> {
    let root = Line::command();
    let nouns = root.get_subcommands().filter(|one| !one.is_hide_set());
    let verbs = nouns.flat_map(|noun| {
        let verbs = noun.get_subcommands().filter(|one| !one.is_hide_set());
        verbs.map(move |verb| {
            let help = verb.get_about().map(ToString::to_string).unwrap_or_default();
            (format!("{} {}", noun.get_name(), verb.get_name()), help)
        })
    });
    verbs.collect()
}

/// clap's first line, without its `error: `.
fn sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let tip = text.lines().find_map(|line| line.trim_start().strip_prefix("tip: "));
    let first = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    match tip {
        Some(tip) => format!("{first}; {tip}"),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::arbitrary::Random;
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Line::command().debug_assert();
    }

    /// Every example of every leaf command is a line that parses.
    #[test]
    fn every_command_has_examples_and_they_parse() {
        fn leaves(command: &clap::Command, path: &str, told: &mut Vec<(String, String)>) {
            let below: Vec<_> = command.get_subcommands().filter(|one| !one.is_hide_set()).collect();
            if below.is_empty() {
                let help = command
                    .get_after_long_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                told.push((path.to_owned(), help));
            }
            for one in below {
                leaves(one, &format!("{path} {}", one.get_name()), told);
            }
        }
        let mut told = Vec::new();
        leaves(&Line::command(), "azimuth", &mut told);
        assert!(told.len() > 60, "{}", told.len());
        for (path, help) in told {
            let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
            let own: Vec<&str> = examples.lines().filter(|line| line.contains(&path)).collect();
            assert!(!own.is_empty(), "{path} has no example");
            for line in own {
                // Before a pipe or a redirection, without the remark behind, and what another program is given.
                let line = line.trim();
                let line = &line[line.find("azimuth ").unwrap_or(0)..];
                let line = line.split(" | ").next().unwrap_or_default();
                let line = line.split(" > ").next().unwrap_or_default();
                let line = line.split(" && ").next().unwrap_or_default().trim_end_matches(" &");
                let line = line.split("   ").next().unwrap_or_default().trim();
                line.parse::<Line>().unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    #[test]
    fn every_printed_line_parses_to_itself() {
        for seed in 1..=4000 {
            let line = Random::new(seed).line();
            let printed = line.to_string();
            let parsed: Line = printed
                .parse()
                .unwrap_or_else(|error| panic!("seed {seed}: {printed}\n{error}"));
            assert_eq!(parsed, line, "seed {seed}: {printed}");
        }
    }

    #[test]
    fn the_random_lines_reach_every_command() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 1..=4000 {
            kinds.extend(Random::new(seed).line().command.map(|command| command.kind()));
        }
        for (noun, verbs) in nouns() {
            if verbs.is_empty() {
                assert!(kinds.contains(&noun), "{noun}");
            }
            for verb in verbs {
                assert!(kinds.contains(&format!("{noun}.{verb}")), "{noun} {verb}");
            }
        }
    }

    #[test]
    fn a_line_reads_as_one_would_type_it() {
        let cases = [
            "azimuth",
            "azimuth broker list --context prod-eu",
            "azimuth partition list --offline --under-min-isr -o json",
            "azimuth topic create orders --partitions 6 --replication-factor 3 --config retention.ms=60000",
            "azimuth reassign plan --move orders:3=1,4,5 --out plan.json",
            "azimuth reassign apply plan.json --override disk,isr --reason why",
            "azimuth record tail orders --offset=-10 --timeout 90s",
            "azimuth topic show --context a -- -strange",
        ];
        for case in cases {
            let line: Line = case.parse().unwrap();
            assert_eq!(line.to_string(), case);
        }
    }

    #[test]
    fn consent_is_never_copied() {
        let line: Line = "topic delete orders --context prod-eu --confirm prod-eu --yes --reason why"
            .parse()
            .unwrap();
        let copied = line.without_consent().to_string();
        assert_eq!(copied, "azimuth topic delete orders --context prod-eu --reason why");
    }

    #[test]
    fn a_typo_is_answered_with_the_nearest() {
        let error = "brokr list".parse::<Command>().unwrap_err().to_string();
        assert!(error.contains("brokr") && error.contains("broker"), "{error}");
        assert!("".parse::<Command>().is_err());
        assert!(
            "topic show 'a"
                .parse::<Command>()
                .unwrap_err()
                .to_string()
                .contains("quote")
        );
    }
}
