//! The hands of a runbook: every command as the command line carries it out, with the run's cluster and consent.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use crate::cli::change::ground;
use crate::cli::exit::{Exit, Failure, say};
use crate::cli::{answer, facts, follow, out};
use crate::command::value::Time;
use crate::command::words::quote;
use crate::command::{Command, Global, Line, Output, context};
use crate::operation::{Folder, Phase, Status};
use crate::runbook::book::{Changes, Parameter};
use crate::runbook::run::{Hands, Order, Outcome, exit};
use crate::runbook::value::{Kind, text};

/// A script ends within this unless its step says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);
/// Of what a script says, so much is kept.
const KEPT: usize = 1 << 20;

/// Bytes of stack of a step.
const STACK: usize = 16 << 20;

/// This process.
pub struct Console {
    global: Global,
    answers: BTreeMap<String, String>,
    also_confirm: Vec<String>,
}

/// The exit status that a number stands for.
pub fn exit_of(number: u8) -> Exit {
    let all = [
        Exit::Done,
        Exit::No,
        Exit::Usage,
        Exit::Partial,
        Exit::Refused,
        Exit::PartWay,
        Exit::Bug,
        Exit::Interrupted,
    ];
    all.into_iter().find(|exit| *exit as u8 == number).unwrap_or(Exit::Bug)
}

impl Console {
    pub fn new(global: Global, answers: BTreeMap<String, String>, also_confirm: Vec<String>) -> Self {
        Self {
            global,
            answers,
            also_confirm,
        }
    }

    /// Whether a question would get an answer.
    pub fn could_answer(&self, step: &str, asked: &Parameter) -> bool {
        self.answers.contains_key(step) || asked.default.is_some() || has_person()
    }

    /// The line of an order, with the run's cluster and consent.
    ///
    /// # Errors
    /// When the words are none of this program's; values may make them so.
    pub fn line(&self, order: &Order) -> Result<Line, String> {
        let words: Vec<String> = order.words.iter().map(|word| quote(word)).collect();
        let parsed: Line = words
            .join(" ")
            .parse()
            .map_err(|error: crate::command::Error| error.to_string())?;
        let mut global = Global {
            output: Output::Json,
            timeout: order.timeout,
            reason: Some(order.reason.clone()),
            ..self.global.clone()
        };
        if let Some(context) = &order.context {
            global.context = Some(context.clone());
            global.bootstrap = None;
            // What was said of one context is not said of another.
            if self.global.context.as_ref() != Some(context) {
                global.confirm = self.also_confirm.iter().find(|name| *name == context).cloned();
            }
        }
        // It names both of its contexts itself.
        if matches!(&parsed.command, Some(Command::Context(context::Verb::Diff { .. }))) {
            (global.context, global.bootstrap) = (None, None);
        }
        Ok(Line {
            command: parsed.command,
            global,
        })
    }

    async fn run(&self, order: &Order) -> Outcome {
        let line = match self.line(order) {
            Ok(line) => line,
            Err(said) => {
                return Outcome {
                    exit: exit::USAGE,
                    said,
                    ..Outcome::default()
                };
            }
        };
        let outcome = self.answered(&line).await;
        if order.changes != Changes::ByOperation || self.global.dry_run {
            return outcome;
        }
        match begun(&line, order).await {
            Some(status) => with(outcome, &status, is_detached(order)),
            None => outcome,
        }
    }

    async fn answered(&self, line: &Line) -> Outcome {
        let (told, bytes) = tokio::select! {
            biased;
            told = apart(line.clone()) => told,
            _ = tokio::signal::ctrl_c() => (Ok(Exit::Interrupted), Vec::new()),
        };
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match told {
            Ok(exit) => Outcome {
                exit: exit as u8,
                said: gist(&answer, exit),
                answer,
                ..Outcome::default()
            },
            Err(failure) => Outcome {
                exit: failure.exit as u8,
                said: failure.message.lines().next().unwrap_or_default().to_owned(),
                answer: unseen(&failure),
                ..Outcome::default()
            },
        }
    }
}

/// Carries a command out on a stack of its own: within a run it nests twice as deep as by itself, and unoptimised code takes
/// most of a thread's for one.
async fn apart(line: Line) -> (Result<Exit, Failure>, Vec<u8>) {
    let runtime = tokio::runtime::Handle::current();
    let (tell, told) = tokio::sync::oneshot::channel();
    let work = move || {
        let ended = runtime.block_on(out::keep(answer(&line).boxed_local()));
        // Nobody waits any more: the run was interrupted, and this process ends.
        let _ = tell.send(ended);
    };
    let lost = |why: String| (Err(Failure::new(Exit::Bug, why)), Vec::new());
    match std::thread::Builder::new().stack_size(STACK).spawn(work) {
        Err(error) => lost(format!("a step cannot be begun: {error}")),
        Ok(_) => told.await.unwrap_or_else(|_| lost("the step broke off".to_owned())),
    }
}

/// The envelope of a failure, as far as later steps may ask for it.
fn unseen(failure: &Failure) -> Value {
    let cluster = failure.unseen.as_ref().and_then(|answer| answer.cluster_id.clone());
    serde_json::json!({ "cluster_id": cluster })
}

/// What an answer comes to, in one line.
fn gist(answer: &Value, exit: Exit) -> String {
    if exit == Exit::Interrupted {
        return "interrupted".to_owned();
    }
    let of = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    let lines = answer.get("lines").and_then(Value::as_array);
    if let Some(headline) = lines.and_then(|lines| of(lines.first()?, "text")) {
        return headline;
    }
    if let Some(title) = of(answer, "title") {
        return title;
    }
    let items = answer.get("items").and_then(Value::as_array);
    let first = items.and_then(|items| items.first());
    if let Some(state) = first
        .filter(|_| items.is_some_and(|items| items.len() == 1))
        .and_then(|one| of(one, "state"))
        && first.is_some_and(|one| one.get("operation").is_some() || one.get("held").is_some())
    {
        return state;
    }
    let part = if exit == Exit::Partial { ", in part" } else { "" };
    match items {
        Some(items) if items.len() == 1 => format!("1 item{part}"),
        Some(items) => format!("{} items{part}", items.len()),
        None if exit == Exit::No => "no".to_owned(),
        None => "done".to_owned(),
    }
}

fn is_detached(order: &Order) -> bool {
    order.words.iter().any(|word| word == "--detach")
}

/// The operations of the cluster that a line is about; `None` where that cannot be told.
async fn operations(line: &Line) -> Option<Folder> {
    let ground = ground(&line.global).ok()?;
    let cluster = ground.cluster_id(facts::patience(&line.global)).boxed().await.ok()?;
    ground.folder(&cluster).ok()
}

async fn begun(line: &Line, order: &Order) -> Option<Status> {
    operations(line).await?.begun_for(&order.reason).ok().flatten()
}

/// An operation that is not over was not carried out, whatever the command that began it says.
fn with(outcome: Outcome, status: &Status, detached: bool) -> Outcome {
    let exit = match status.phase {
        Phase::Finished => exit::DONE,
        Phase::Running if detached && !status.is_orphaned() => exit::DONE,
        Phase::Running | Phase::Paused if outcome.exit == exit::DONE => exit::REFUSED,
        _ => outcome.exit,
    };
    let said = match exit {
        exit::DONE => format!("operation {} {}", status.id, status.summary()),
        _ if outcome.exit == exit::DONE => format!("operation {} is {}, not finished", status.id, status.summary()),
        _ => match status.gated() {
            Some(wait) => format!("operation {} waits: {wait}", status.id),
            None => format!("operation {} {}", status.id, status.summary()),
        },
    };
    Outcome {
        exit,
        said,
        operation: Some(status.id.to_string()),
        ..outcome
    }
}

fn has_person() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

impl Hands for Console {
    fn carry_out<'a>(&'a self, order: &'a Order) -> LocalBoxFuture<'a, Outcome> {
        self.run(order).boxed_local()
    }

    fn take_up<'a>(&'a self, order: &'a Order) -> LocalBoxFuture<'a, Option<Outcome>> {
        async move {
            let line = self.line(order).ok()?;
            let status = begun(&line, order).await?;
            let id = status.id.to_string();
            let ended = || Outcome {
                exit: follow::meaning(&status) as u8,
                ..Outcome::default()
            };
            if status.phase.is_over() || (is_detached(order) && !status.is_orphaned()) {
                return Some(with(ended(), &status, is_detached(order)));
            }
            let verb = match status.is_orphaned() || status.phase == Phase::Paused {
                true => "resume",
                false => "attach",
            };
            say(&format!(
                "● operation {id} is {}: azimuth operation {verb} {id}",
                status.word()
            ));
            let command = format!("operation {verb} {id}").parse::<Line>().ok()?.command;
            let outcome = self
                .answered(&Line {
                    command,
                    ..line.clone()
                })
                .await;
            let status = begun(&line, order).await?;
            Some(with(outcome, &status, is_detached(order)))
        }
        .boxed_local()
    }

    fn shell<'a>(
        &'a self,
        script: &'a str,
        env: &'a BTreeMap<String, String>,
        timeout: Option<Time>,
    ) -> LocalBoxFuture<'a, Outcome> {
        shell(script, env, timeout.map_or(PATIENCE, |time| time.0)).boxed_local()
    }

    fn ask(&self, step: &str, question: &str, asked: &Parameter) -> Result<Value, String> {
        if let Some(answer) = self.answers.get(step) {
            return asked.read(answer).map_err(|what| format!("--answer {step}: {what}"));
        }
        if has_person() {
            return typed(question, asked, &mut std::io::stdin().lock(), &mut std::io::stderr());
        }
        let missing = || format!("it asks: {question} Answer with --answer {step}=…");
        asked.default.clone().ok_or_else(missing)
    }

    fn say(&self, what: &str) {
        say(what);
    }
}

/// Asks until the answer can be one.
fn typed(question: &str, asked: &Parameter, answers: &mut dyn BufRead, talk: &mut dyn Write) -> Result<Value, String> {
    let default = asked.default.as_ref().map(text);
    let hint = match (&default, asked.kind, asked.choices.is_empty()) {
        (_, _, false) => format!(" ({})", asked.choices.join(", ")),
        (Some(default), Kind::Boolean, _) if default == "true" => " [Y/n]".to_owned(),
        (_, Kind::Boolean, _) => " [y/n]".to_owned(),
        (Some(default), ..) => format!(" [{default}]"),
        _ => String::new(),
    };
    loop {
        let said = write!(talk, "{}{hint} ", crate::model::foreign::plain(question)).and_then(|()| talk.flush());
        let mut line = String::new();
        let read = said.and_then(|()| answers.read_line(&mut line));
        match read {
            Ok(0) => return Err("nobody answers".to_owned()),
            Err(error) => return Err(format!("cannot ask: {error}")),
            Ok(_) => {}
        }
        let answer = line.trim();
        if let (true, Some(default)) = (answer.is_empty(), &asked.default) {
            return Ok(default.clone());
        }
        match asked.read(answer) {
            Ok(value) => return Ok(value),
            // Nobody listening is no error: the question comes again.
            Err(what) => drop(writeln!(talk, "{what}")),
        }
    }
}

/// What a script needs of ours: nothing but where programs and files are.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "AWS_PROFILE"];

async fn shell(script: &str, env: &BTreeMap<String, String>, patience: Duration) -> Outcome {
    let failed = |said: String| Outcome {
        exit: exit::PARTIAL,
        said,
        ..Outcome::default()
    };
    let inherited = INHERITED
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let mut command = tokio::process::Command::new("/bin/sh");
    command
        .args(["-e", "-u", "-c", script])
        .env_clear()
        .envs(inherited)
        .envs(env);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("/bin/sh: {error}")),
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(patience, child.wait_with_output()) => ended,
        _ = tokio::signal::ctrl_c() => return Outcome {
            exit: exit::INTERRUPTED,
            said: "interrupted".to_owned(),
            ..Outcome::default()
        },
    };
    let output = match ended {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return failed(format!("the script: {error}")),
        Err(_) => return failed(format!("the script did not end within {}", Time(patience))),
    };
    let kept = &output.stdout[..output.stdout.len().min(KEPT)];
    let text = String::from_utf8_lossy(kept).trim().to_owned();
    let last = text.lines().last().unwrap_or_default().to_owned();
    Outcome {
        exit: match output.status.code() {
            Some(0) => exit::DONE,
            _ => exit::NO,
        },
        answer: serde_json::from_str(&text).unwrap_or_default(),
        said: match output.status.code() {
            Some(0) if last.is_empty() => "done".to_owned(),
            Some(0) => last,
            Some(code) => format!("exit {code} {last}").trim_end().to_owned(),
            None => "it was killed".to_owned(),
        },
        text: Some(text),
        operation: None,
    }
}
