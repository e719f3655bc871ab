//! Face 1: the command line. It asks the feed, shapes the answer and prints it; what can be decided or changed is elsewhere.
//!
//! stdout is the answer and nothing else; stderr is the talk. The exit status is [`Exit`].

mod acl;
mod broker;
mod capture;
mod change;
mod check;
mod config;
mod consent;
mod context;
mod cost;
mod dashboard;
pub mod demo;
mod direct;
mod dns;
mod exit;
mod facts;
mod feature;
mod follow;
mod group;
mod leader;
mod live;
mod logdir;
mod mirror;
mod missing;
mod operation;
mod out;
mod output;
mod partition;
mod quorum;
mod quota;
mod reassign;
mod record;
mod recorder;
mod replay;
mod restart;
mod runbook;
mod throttle;
mod topic;
mod triage;
mod user;
mod transaction;
mod volume;
mod wait;
mod whatif;

pub use exit::{Exit, Failure};

use std::io::{ErrorKind, IsTerminal, Write};

use futures::FutureExt;

use crate::command::{Command, Line, Output, check as checks, context as contexts};
use crate::model::Moment;
use output::Answer;

/// Runs one command to its end, or to an interrupt.
pub async fn run(line: &Line) -> Exit {
    // What follows an operation has a last word to say on an interrupt, so it is heard first.
    let outcome = tokio::select! {
        biased;
        outcome = answer(line).boxed_local() => outcome,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    };
    outcome.unwrap_or_else(|failure| told(line, failure))
}

/// What a failure leaves to say: the envelope of what was not seen, where the form has one, and the sentence.
fn told(line: &Line, failure: Failure) -> Exit {
    let form = matches!(line.global.output, Output::Json | Output::Yaml);
    if let (true, Some(answer), Some(command)) = (form, &failure.unseen, &line.command)
        && let Err(error) = print(line, command, answer)
    {
        error.tell();
    }
    failure.tell()
}

/// What clap has to say: help and version are answers, anything else is a usage error.
pub fn usage(error: &clap::Error) -> Exit {
    let told = error.print();
    match told {
        Ok(()) if error.use_stderr() => Exit::Usage,
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Done,
        Err(_) => Exit::Usage,
    }
}

/// `azimuth` alone, where there is no terminal for the screens.
pub fn no_terminal() -> Exit {
    let advice = match is_dumb() {
        true => "TERM=dumb cannot show the screens; name a command: azimuth --help",
        false => "the screens need a terminal on stdin and stdout; for a script, name a command: azimuth --help",
    };
    Failure::usage(advice).tell()
}

/// True where the screens can open.
pub fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !is_dumb()
}

/// A terminal that cannot move its cursor, as shells in editors have it.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

async fn answer(line: &Line) -> Result<Exit, Failure> {
    let Some(command) = &line.command else {
        return Err(Failure::usage("no command; azimuth --help lists them"));
    };
    let monitors = matches!(line.global.output, Output::Prom | Output::Nagios);
    if line.global.output == Output::Md && !matches!(command, Command::Replay(_)) {
        return Err(Failure::usage("-o md is for replay; -o json has every answer"));
    }
    if monitors && !matches!(command, Command::Check(checks::Verb::Run(_)) | Command::Triage(_)) {
        let form = line.global.output;
        return Err(Failure::usage(format!(
            "-o {form} is for check run and triage; -o json has every answer"
        )));
    }
    let is_diff = matches!(command, Command::Context(contexts::Verb::Diff { .. }));
    if line.global.output == Output::Plan && !is_diff {
        return Err(Failure::usage(
            "-o plan is for context diff; a plan of a change is shown by --dry-run, -o json prints it whole",
        ));
    }
    let answer = match command {
        Command::Check(verb) => return check::run(line, verb).boxed().await,
        Command::Whatif(verb) => whatif::answer(line, verb).boxed().await?,
        Command::Dashboard(asked) => dashboard::answer(line, asked).boxed().await?,
        Command::Cost(asked) => cost::answer(line, asked).boxed().await?,
        Command::Broker(verb) => match verb.change() {
            Some((intent, overrides)) => {
                let begun = change::begin(line, intent, overrides, verb.detach());
                return begun.boxed().await;
            }
            None => broker::answer(line, verb).await?,
        },
        Command::Topic(verb) => match verb.intent(Moment::now()) {
            Some(intent) => return change::carry_out(line, intent, verb.overrides()).boxed().await,
            None => topic::answer(line, verb).await?,
        },
        Command::Partition(verb) => partition::answer(line, verb).await?,
        Command::Group(verb) => match verb.intent(Moment::now()) {
            Some(intent) => return change::carry_out(line, intent, verb.overrides()).boxed().await,
            None => group::answer(line, verb).await?,
        },
        Command::Volume(verb) => match verb.change() {
            Some((intent, how)) => return change::begin(line, intent, &how.overrides, how.detach).boxed().await,
            None => volume::answer(line, verb).await?,
        },
        Command::Logdir(verb) => match verb {
            crate::command::logdir::Verb::Relieve {
                name,
                apply: Some(number),
            } => {
                return logdir::apply(line, name, *number).boxed_local().await;
            }
            _ => logdir::answer(line, verb).await?,
        },
        Command::Config(verb) => match verb.change() {
            Some((intent, overrides)) => return config::change(line, verb, intent, overrides).boxed().await,
            None => config::answer(line, verb).await?,
        },
        Command::Throttle(verb) => match verb.intent() {
            Some(intent) => {
                let begun = change::begin(line, intent, verb.overrides(), verb.detach());
                return begun.boxed().await;
            }
            None => throttle::answer(line, verb).await?,
        },
        Command::Transaction(verb) => match verb.change() {
            Some((intent, overrides)) => return change::carry_out(line, intent, overrides).boxed().await,
            None => transaction::answer(line, verb).boxed_local().await?,
        },
        Command::Quorum(verb) => quorum::answer(line, verb).await?,
        Command::Acl(verb) => match verb.is_change() {
            true => return acl::change(line, verb).boxed().await,
            false => acl::answer(line, verb).await?,
        },
        Command::User(verb) => match verb.change() {
            Some((intent, overrides)) => return user::change(line, verb, intent, overrides).boxed().await,
            None => user::answer(line, verb).await?,
        },
        Command::Quota(verb) => match verb.change() {
            Some((intent, overrides)) => return change::carry_out(line, intent, overrides).boxed().await,
            None => quota::answer(line, verb).await?,
        },
        Command::Feature(verb) => match verb.change() {
            Some((intent, overrides)) => return change::carry_out(line, intent, overrides).boxed().await,
            None => feature::answer(line).await?,
        },
        Command::Reassign(verb) => return reassign::run(line, verb).boxed().await,
        Command::Restart(verb) => return restart::run(line, verb).boxed().await,
        Command::Runbook(verb) => return runbook::run(line, verb).boxed_local().await,
        Command::Leader(verb) => return leader::run(line, verb).boxed().await,
        Command::Operation(verb) => return operation::run(line, verb).boxed().await,
        Command::Capture(verb) => capture::answer(line, verb).await?,
        Command::Context(contexts::Verb::Diff { a, b, only, mirror }) if line.global.output == Output::Plan => {
            if mirror.is_some() {
                return Err(Failure::usage(
                    "MirrorMaker makes what a mirror lacks, no runbook does: leave --mirror or -o plan out",
                ));
            }
            let (text, exit) = context::diff::plan(&line.global, [a, b], only).boxed().await?;
            let mut out = out::stdout();
            printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
            return Ok(exit);
        }
        Command::Replay(asked) => return replay::run(line, asked).boxed().await,
        Command::Recorder(asked) => return recorder::run(line, asked).boxed().await,
        Command::Mirror(verb) => mirror::answer(line, verb).boxed().await?,
        Command::Context(verb) => context::answer(line, verb).await?,
        Command::Dns(verb) => return dns::run(line, verb).boxed().await,
        Command::Wait(verb) => return wait::run(line, verb).boxed().await,
        Command::Triage(asked) => return triage::run(line, asked).boxed().await,
        Command::Record(verb) => return record::run(line, verb).await,
        Command::Completions(completions) => {
            let mut out = out::stdout();
            return printed(completions.write(&mut out).and_then(|()| out.flush()));
        }
        Command::Man(man) => {
            let count = man
                .write()
                .map_err(|error| Failure::usage(format!("--dir {}: {error}", man.dir.display())))?;
            exit::say(&format!("azimuth: {count} pages in {}", man.dir.display()));
            return Ok(Exit::Done);
        }
        Command::Demo(asked) => return demo::run(line, asked).boxed_local().await,
    };
    print(line, command, &answer)
}

/// Prints an answer as asked, and says what it is worth.
fn print(line: &Line, command: &Command, answer: &Answer) -> Result<Exit, Failure> {
    let mut out = out::stdout();
    printed(output::print(&mut out, line, &command.kind(), answer).and_then(|()| out.flush()))?;
    Ok(answer.exit())
}

/// A reader that has seen enough is no error.
fn printed(result: std::io::Result<()>) -> Result<Exit, Failure> {
    match result {
        Ok(()) => Ok(Exit::Done),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => Err(Failure::new(Exit::Partial, format!("cannot write the answer: {error}"))),
    }
}

/// A regular expression of a flag.
fn pattern(flag: &str, text: Option<&str>) -> Result<Option<regex::Regex>, Failure> {
    let pattern = text.map(regex::Regex::new).transpose();
    pattern.map_err(|error| Failure::usage(format!("{flag}: {error}")))
}
