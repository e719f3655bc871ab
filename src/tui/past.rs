//! The screens on what is over: a capture of `--from`, or a recording with `azimuth replay`. It needs no cluster, no context,
//! no AWS and no settings, and offers no action that changes anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Options;
use super::app::past::{Past as Position, Travel};
use super::app::state::Origin;
use super::open::{Ended, Failure, asked};
use super::run::Console;
use super::runtime::Facts;
use crate::command::Line;
use crate::command::replay::Replay;
use crate::feed::Section;
use crate::feed::past::Past;
use crate::model::event::Event;
use crate::model::{Moment, Snapshot};
use crate::settings::Paths;
use crate::settings::appearance::{Appearance, Colours};
use crate::settings::target::Asked;

/// Keys that nobody has carried out yet.
const WAITING: usize = 64;
/// A gap in the recording is not sat out.
const LONGEST: Duration = Duration::from_secs(10);

/// Opens the screens on the capture, or on the moment, that `--from` names.
pub async fn open(line: &Line, from: &Path) -> Result<Ended, Failure> {
    let settings = |error: &dyn std::fmt::Display| Failure::Settings(error.to_string());
    let paths = Paths::of_user();
    let asked = asked(&line.global);
    let past = Past::of_argument(from, &asked, paths.as_ref(), Moment::now());
    let (past, step) = past.map_err(|error| settings(&error))?;
    let target = match past.is_capture() {
        true => vec!["--from".to_owned(), from.display().to_string()],
        false => words(&asked),
    };
    show(line, past, step, target, paths).await
}

/// Opens the screens on what was recorded of the cluster of `line`.
pub async fn replay(line: &Line, replay: &Replay) -> Result<Ended, Failure> {
    let settings = |error: &dyn std::fmt::Display| Failure::Settings(error.to_string());
    let paths = Paths::of_user();
    let (asked, now) = (asked(&line.global), Moment::now());
    let from = line.global.from.as_deref();
    let past = Past::between(from, replay.to.map(|to| to.moment(now)), &asked, paths.as_ref(), now);
    let past = past.map_err(|error| settings(&error))?;
    let first = replay.at.map_or(0, |at| past.step_at(at.moment(now)));
    show(line, past, first, words(&asked), paths).await
}

async fn show(
    line: &Line,
    past: Past,
    first: usize,
    target: Vec<String>,
    paths: Option<Paths>,
) -> Result<Ended, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let file = paths.as_ref().map(Paths::appearance);
    let mut appearance =
        Appearance::load(file.as_deref(), environment).map_err(|error| Failure::Settings(error.to_string()))?;
    if line.global.no_color {
        appearance.colours = Some(Colours::None);
    }
    let options = Options {
        appearance,
        paths,
        ..options(past, first, target).map_err(|error| Failure::Settings(error.to_string()))?
    };
    super::run(options).await.map_err(Failure::Screens)?;
    Ok(Ended::Left)
}

/// The screens on a step, without a terminal yet.
///
/// # Errors
/// When the step cannot be read.
pub fn console(past: Past, first: usize) -> color_eyre::Result<Console> {
    super::console(options(past, first, Vec::new())?)
}

fn options(mut past: Past, first: usize, target: Vec<String>) -> Result<Options, crate::feed::Error> {
    let snapshot = past.look(first)?;
    let context = match snapshot.context.as_str() {
        "" => "capture".to_owned(),
        name => name.to_owned(),
    };
    let (player, snapshots) = play(past, first, snapshot);
    let moments = snapshots.clone();
    Ok(Options {
        origin: Origin {
            context,
            read_only: true,
            target,
            ..Origin::default()
        },
        snapshots,
        facts: Arc::new(player),
        verbs: None,
        contexts: Vec::new(),
        appearance: Appearance::default(),
        paths: None,
        clock: Some(Box::new(move || moments.borrow().taken_at.unwrap_or_default())),
    })
}

/// The words that name the cluster whose recording is shown.
fn words(asked: &Asked) -> Vec<String> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let flags = [
        ("--bootstrap", asked.bootstrap.clone()),
        ("--context", asked.context.clone()),
        ("--context-file", path(&asked.context_file)),
    ];
    let given = flags
        .into_iter()
        .filter_map(|(flag, value)| Some([flag.to_owned(), value?]));
    given.flatten().collect()
}

/// Moves through the past as it is told.
struct Player {
    travels: mpsc::Sender<Travel>,
    position: watch::Receiver<Position>,
}

impl Facts for Player {
    fn refresh(&self, _: Section) {}

    fn focus(&self, _: BTreeSet<Section>) {}

    fn note(&self, _: Event) {}

    fn travel(&self, travel: Travel) {
        // Who presses faster than steps are read is heard as far as that.
        let _ = self.travels.try_send(travel);
    }

    fn past(&self) -> Option<watch::Receiver<Position>> {
        Some(self.position.clone())
    }
}

/// Shows a step, and the others as the player is told.
fn play(past: Past, first: usize, snapshot: Arc<Snapshot>) -> (Player, watch::Receiver<Arc<Snapshot>>) {
    let steps = past.steps();
    let start = Position {
        is_capture: past.is_capture(),
        at: steps[first].at,
        step: first,
        steps: steps.len(),
        ..Position::default()
    };
    let (publish, snapshots) = watch::channel(snapshot);
    let (told, position) = watch::channel(start);
    let (travels, wishes) = mpsc::channel(WAITING);
    tokio::spawn(drive(past, wishes, publish, told));
    (Player { travels, position }, snapshots)
}

async fn drive(
    past: Past,
    mut wishes: mpsc::Receiver<Travel>,
    publish: watch::Sender<Arc<Snapshot>>,
    told: watch::Sender<Position>,
) {
    let mut past = Some(past);
    let mut due = Instant::now();
    loop {
        let mut here = told.borrow().clone();
        here.problem = None;
        let travel = tokio::select! {
            travel = wishes.recv() => match travel {
                Some(travel) => travel,
                None => return,
            },
            () = tokio::time::sleep_until(due), if here.speed.is_some() => Travel::Later,
        };
        let Some(open) = past.as_ref() else { return };
        if travel == Travel::Speed {
            here.speed = here.next_speed();
            due = Instant::now() + pause(open, &here);
            told.send_replace(here);
            continue;
        }
        let Some(step) = target(open, here.step, travel) else {
            here.speed = None;
            here.problem = Some(nothing(travel).to_owned());
            told.send_replace(here);
            continue;
        };
        let Some(mut reading) = past.take() else { return };
        let read = tokio::task::spawn_blocking(move || {
            let snapshot = reading.look(step);
            (reading, snapshot)
        });
        let Ok((open, snapshot)) = read.await else { return };
        match snapshot {
            Ok(snapshot) => {
                (here.step, here.at) = (step, open.steps()[step].at);
                publish.send_replace(snapshot);
            }
            Err(error) => {
                here.speed = None;
                here.problem = Some(error.to_string());
            }
        }
        due = Instant::now() + pause(&open, &here);
        past = Some(open);
        told.send_replace(here);
    }
}

/// The step that a way leads to.
fn target(past: &Past, here: usize, travel: Travel) -> Option<usize> {
    let steps = past.steps();
    match travel {
        Travel::Later => Some(here + 1).filter(|step| *step < steps.len()),
        Travel::Earlier => here.checked_sub(1),
        Travel::LaterFinding => (here + 1..steps.len()).find(|step| steps[*step].finding),
        Travel::EarlierFinding => (0..here).rev().find(|step| steps[*step].finding),
        Travel::Speed => Some(here),
    }
}

fn nothing(travel: Travel) -> &'static str {
    match travel {
        Travel::Later => "this is the last step",
        Travel::Earlier => "this is the first step",
        Travel::LaterFinding => "nothing was found or over after this step",
        Travel::EarlierFinding => "nothing was found or over before this step",
        Travel::Speed => "",
    }
}

/// How long a step is shown at a speed: as long as it lasted, so many times faster.
fn pause(past: &Past, here: &Position) -> Duration {
    let (Some(speed), Some(next)) = (here.speed, past.steps().get(here.step + 1)) else {
        return Duration::ZERO;
    };
    let lasted = next.at.duration_since(here.at).unsigned_abs();
    (lasted / speed).min(LONGEST)
}
