//! Watching an operation from a command: progress on stderr, its end as the answer. Leaving does not stop it.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::exit::{Exit, Failure, say};
use super::operation as shapes;
use super::output::{self, duration};
use crate::command::{Line, Output};
use crate::operation::client::{self, Client};
use crate::operation::{Error, Folder, Id, Phase, Status, StepState};
use crate::plan::summary;

/// Without a terminal, progress is told this often.
const TELL: Duration = Duration::from_secs(10);
/// Columns of the bar.
const BAR: usize = 20;

/// Follows an engine that is being started; one that was done before anybody could look is no error.
pub async fn started(
    line: &Line,
    folder: &Folder,
    id: &Id,
    engine: BoxFuture<'_, Result<Client, Error>>,
    detach: bool,
) -> Result<Exit, Failure> {
    let engine = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => return Ok(left(id)),
        engine = engine => engine,
    };
    match engine {
        Ok(client) if detach => {
            drop(client);
            say(&running(id));
            report(line, &folder.status(id)?)?;
            Ok(Exit::Done)
        }
        Ok(client) => follow(line, folder, id, client, Stay::UntilHeldUp).await,
        Err(Error::Over { .. }) => report(line, &folder.status(id)?),
        Err(error) => Err(error.into()),
    }
}

/// How long somebody follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// Whatever holds it up.
    ToTheEnd,
    /// Until a gate closes (who began it is told at once, with exit 4, and it goes on by itself when the gate opens) or it has
    /// paused as its schedule wanted it to.
    UntilHeldUp,
}

/// Follows an engine to the operation's end.
pub async fn follow(line: &Line, folder: &Folder, id: &Id, mut client: Client, stay: Stay) -> Result<Exit, Failure> {
    let mut talk = Talk::new();
    loop {
        let next = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {
                talk.clear();
                return Ok(left(id));
            }
            next = client.next() => next,
        };
        match next {
            Ok(Some(status)) => {
                talk.show(&status);
                if status.phase.is_over() {
                    break;
                }
                if stay == Stay::UntilHeldUp && status.phase == Phase::Paused && status.note.is_some() {
                    // Its schedule has paused it, as was asked for.
                    talk.clear();
                    return report(line, &status);
                }
                if stay == Stay::UntilHeldUp && status.gated().is_some() {
                    talk.clear();
                    return held_up(line, &status);
                }
            }
            // The journal knows whether that was the end.
            Ok(None) | Err(_) => break,
        }
    }
    talk.clear();
    report(line, &settled(folder, id).await?)
}

/// The status once the engine that stopped talking is gone: a process that was killed holds its journal for a moment more.
pub async fn settled(folder: &Folder, id: &Id) -> Result<Status, Failure> {
    const PATIENCE: Duration = Duration::from_secs(3);
    let look = || async {
        let status = folder.status(id)?;
        Ok::<_, Failure>((status.phase.is_over() || status.is_orphaned()).then_some(status))
    };
    let stuck = || {
        let log = folder.log(id).display().to_string();
        Failure::partial(format!(
            "operation {id} has an engine that does not answer; its log is {log}"
        ))
    };
    client::until(PATIENCE, look).await?.ok_or_else(stuck)
}

/// The operation as the answer, and what its state means to a script.
pub fn report(line: &Line, status: &Status) -> Result<Exit, Failure> {
    if let Some(way_out) = status.way_out() {
        say(&format!("azimuth: operation {} is half done: {way_out}", status.id));
    }
    match line.global.output {
        Output::Table | Output::Wide => {
            let mut out = super::out::stdout();
            super::printed(writeln!(out, "{}", sentence(status)).and_then(|()| out.flush()))?;
        }
        Output::Json
        | Output::Yaml
        | Output::Csv
        | Output::Name
        | Output::Prom
        | Output::Nagios
        | Output::Md
        | Output::Plan => {
            let answer = shapes::answer_of(std::slice::from_ref(status));
            let kind = line.command.as_ref().map_or_else(String::new, |command| command.kind());
            let mut out = super::out::stdout();
            super::printed(output::print(&mut out, line, &kind, &answer).and_then(|()| out.flush()))?;
        }
    }
    Ok(meaning(status))
}

/// It waits for a gate, and goes on without us.
fn held_up(line: &Line, status: &Status) -> Result<Exit, Failure> {
    report(line, status)?;
    let (id, gate) = (
        &status.id,
        status.gated().map(|wait| wait.for_.clone()).unwrap_or_default(),
    );
    say(&format!(
        "azimuth: it goes on by itself when the gate opens: azimuth operation attach {id} · \
         to go on against it: azimuth operation resume {id} --override {} --reason TEXT",
        gate.replace(", ", ",")
    ));
    Ok(Exit::Refused)
}

/// What an operation's state means to a script.
pub fn meaning(status: &Status) -> Exit {
    match status.phase {
        _ if status.is_orphaned() => Exit::PartWay,
        Phase::Running | Phase::Paused | Phase::Finished => Exit::Done,
        Phase::Failed if status.is_untouched() => Exit::Refused,
        Phase::Failed | Phase::Aborted => Exit::PartWay,
    }
}

/// Says which operations of this cluster nobody carries out any more.
pub fn tell_of_orphans(folder: &Folder) {
    let all = folder.all().unwrap_or_default();
    for status in all.iter().filter_map(|(_, status)| status.as_ref().ok()) {
        if let Some(way_out) = status.way_out() {
            say(&format!(
                "azimuth: operation {} ({}) is half done: {way_out}",
                status.id, status.plan.title
            ));
        }
    }
}

fn sentence(status: &Status) -> String {
    let took = status.last_at.duration_since(status.begun_at).as_secs_f64();
    format!(
        "operation {} {} · {} · {}",
        status.id,
        status.summary(),
        status.plan.title,
        duration(took)
    )
}

fn running(id: &Id) -> String {
    format!("still running: azimuth operation attach {id} · to stop it: azimuth operation abort {id}")
}

fn left(id: &Id) -> Exit {
    say(&running(id));
    Exit::Interrupted
}

/// Progress on stderr: one line that is drawn again on a terminal, a line now and then elsewhere.
struct Talk {
    terminal: bool,
    told: usize,
    phase: Option<String>,
    last: Option<(Instant, String)>,
    drawn: bool,
}

impl Talk {
    fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            told: 0,
            phase: None,
            last: None,
            drawn: false,
        }
    }

    fn show(&mut self, status: &Status) {
        let word = status.word();
        if self.phase.as_ref() != Some(&word) {
            self.clear();
            let how = match word.as_str() {
                "paused" => format!("paused; azimuth operation resume {} goes on", status.id),
                "waiting" => {
                    let wait = status.waits.as_ref().map(ToString::to_string).unwrap_or_default();
                    format!("waiting: {wait}")
                }
                word => word.to_owned(),
            };
            say(&format!("operation {}: {how}", status.id));
            self.phase = Some(word);
        }
        let all = status.steps.len();
        while let Some(StepState::Done { outcome, .. }) = status.steps.get(self.told) {
            self.clear();
            let name = status
                .plan
                .steps
                .get(self.told)
                .map(summary::step_name)
                .unwrap_or_default();
            self.told += 1;
            say(&format!("✓ step {} of {all}: {name}: {outcome}", self.told));
        }
        let Some(progress) = status.progress.as_ref().filter(|_| !status.phase.is_over()) else {
            return;
        };
        let percent = status.percent();
        let eta = progress
            .eta_seconds
            .map(|seconds| format!(" · ~{} at the mean rate so far", duration(seconds as f64)))
            .unwrap_or_default();
        let paced = progress
            .paced
            .as_ref()
            .map(|paced| format!(" · {paced}"))
            .unwrap_or_default();
        let text = format!("step {} of {all} · {}{paced}{eta}", progress.step + 1, progress.note);
        if self.terminal {
            let filled = (percent / 100.0 * BAR as f64) as usize;
            let bar = "█".repeat(filled) + &"░".repeat(BAR - filled.min(BAR));
            let line: String = format!("{bar} {percent:3.0}% {text}").chars().take(width()).collect();
            let _ = write!(std::io::stderr(), "\r{line}\x1b[K").and_then(|()| std::io::stderr().flush());
            self.drawn = true;
            return;
        }
        let due = self
            .last
            .as_ref()
            .is_none_or(|(at, last)| *last != text && at.elapsed() >= TELL);
        if due {
            say(&format!("{percent:3.0}% {text}"));
            self.last = Some((Instant::now(), text));
        }
    }

    /// Takes the drawn line away, so that the next begins at the left.
    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K").and_then(|()| std::io::stderr().flush());
        }
    }
}

fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.map_or(79, |size| usize::from(size.ws_col).max(20) - 1)
}
