//! What a read starts from: a look at the cluster, or a capture; and what every answer ends with.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::exit::Failure;
use super::missing;
use super::output::{Answer, Problem};
use crate::command::value::Time;
use crate::command::{Global, Line};
use crate::feed::past::Past;
use crate::feed::{self, Needs, Section, Sources};
use crate::model::history::Window;
use crate::model::row::Rows;
use crate::model::row::group::GroupRow;
use crate::model::{Moment, Snapshot, nearest};
use crate::settings::pin::Pins;
use crate::settings::target::{self, Asked};
use crate::settings::{Context, Paths, state};

/// Reads end within this unless `--timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is left of the time for printing, once nothing more is waited for.
const MARGIN: Duration = Duration::from_millis(250);

/// What was seen.
pub struct Facts {
    pub snapshot: Snapshot,
    /// The moment that ages are counted to: now, or when the capture was taken.
    pub now: Moment,
    /// What rates are over.
    window: Window,
    problems: Vec<Problem>,
}

/// Asks for some sections, or takes them from the capture of `--from`. What did not answer in time is in the problems; only
/// settings, a wrong cluster and an unreadable capture are failures.
pub async fn gather(line: &Line, needs: &[Section]) -> Result<Facts, Failure> {
    gather_over(line, needs, None).await
}

/// The same; where a window is given that was not recorded there is a second look at the end of it, for rates.
pub async fn gather_over(line: &Line, needs: &[Section], window: Option<Duration>) -> Result<Facts, Failure> {
    let needs: Needs = needs.iter().copied().collect();
    let began = Instant::now();
    let snapshot = match &line.global.from {
        Some(path) => past(&line.global, path)?,
        // Boxed: the question to a whole cluster is a large future, and every command holds one.
        None => look(&line.global, &needs, window).boxed().await?,
    };
    let now = match (&line.global.from, snapshot.taken_at) {
        (Some(_), Some(taken_at)) => taken_at,
        _ => Moment::now(),
    };
    // Two looks are farther apart than was asked for: by what the second took.
    let over = |window: Duration| Window::of(window.max(began.elapsed()).as_secs_f64().ceil() as i64);
    Ok(Facts {
        problems: missing::problems(&snapshot, &needs),
        window: window.map_or_else(Window::default, over),
        snapshot,
        now,
    })
}

/// From the capture, or the moment of the recording, that `--from` names.
fn past(global: &Global, from: &Path) -> Result<Snapshot, Failure> {
    let (asked, paths) = (asked(global), Paths::of_user());
    let past = Past::of_argument(from, &asked, paths.as_ref(), Moment::now());
    let (mut past, step) = past.map_err(Failure::usage)?;
    let snapshot = past.look(step).map_err(Failure::partial)?;
    Ok(Arc::unwrap_or_clone(snapshot))
}

/// Says what rates are over, where two looks were asked for.
pub fn tell_window(window: Option<Time>) {
    if let Some(window) = window {
        super::exit::say(&format!(
            "azimuth: rates: seen twice, {} s apart",
            window.0.as_secs_f64()
        ));
    }
}

async fn look(global: &Global, needs: &Needs, window: Option<Duration>) -> Result<Snapshot, Failure> {
    let paths = paths()?;
    let (context, _) = context_of(global, &paths)?;
    let mut pins = Pins::load(&paths)?;
    let sources = sources(&context, &pins, &paths)?;
    let patience = patience(global);
    let deadline = patience.saturating_sub(MARGIN).max(patience / 2);
    let snapshot = match window {
        Some(apart) => feed::collect_rates(&sources, needs, deadline + apart, apart).await,
        None => feed::collect(&sources, needs, deadline).await,
    };
    hold_to_pin(&context, &mut pins, &snapshot)?;
    Ok(snapshot)
}

/// A look at the cluster of the context of this name, or of the line's own, with whom was asked.
pub async fn look_at(global: &Global, name: Option<&str>, needs: &Needs) -> Result<(Snapshot, Sources), Failure> {
    let (context, mut pins, sources) = way_to(global, name)?;
    let snapshot = feed::collect(&sources, needs, patience(global)).await;
    hold_to_pin(&context, &mut pins, &snapshot)?;
    Ok((snapshot, sources))
}

/// The context of this name, or the line's own: what it is, what is pinned, and whom to ask.
pub fn way_to(global: &Global, name: Option<&str>) -> Result<(Context, Pins, Sources), Failure> {
    let paths = paths()?;
    let context = target::resolve(&asked_for(global, name), &paths)?;
    let pins = Pins::load(&paths)?;
    let sources = sources(&context, &pins, &paths)?;
    Ok((context, pins, sources))
}

/// The flags about the target; of a context that is named beside the line's own, the file of contexts alone is meant.
pub fn asked_for(global: &Global, name: Option<&str>) -> Asked {
    let mut asked = asked(global);
    if let Some(name) = name {
        (asked.context, asked.bootstrap) = (Some(name.to_owned()), None);
    }
    asked
}

/// Where facts of a context come from.
pub fn sources(context: &Context, pins: &Pins, paths: &Paths) -> Result<Sources, Failure> {
    let folder = pins.expected(context).and_then(|id| state::of(id, paths).ok());
    let sources = Sources::of(context, folder.map(|state| state.folder)).map_err(Failure::usage)?;
    Ok(sources.recorded(context, paths))
}

/// Another cluster than the pinned one is refused, whatever it was asked.
pub fn hold_to_pin(context: &Context, pins: &mut Pins, snapshot: &Snapshot) -> Result<(), Failure> {
    let Some(cluster) = snapshot.cluster.get() else {
        return Ok(());
    };
    let news = pins.check(context, &cluster.id).map_err(Failure::refused)?;
    if news && let Err(error) = pins.save() {
        super::exit::say(&format!("azimuth: the cluster's id cannot be remembered: {error}"));
    }
    Ok(())
}

pub fn patience(global: &Global) -> Duration {
    global.timeout.map_or(PATIENCE, |time| time.0)
}

pub fn paths() -> Result<Paths, Failure> {
    Paths::of_user().ok_or_else(|| Failure::usage(crate::settings::Error::NoHome))
}

/// The context that the line is about, with what its properties gave occasion to say told on stderr.
pub fn context_of(global: &Global, paths: &Paths) -> Result<(Context, Asked), Failure> {
    let asked = asked(global);
    let context = target::resolve(&asked, paths)?;
    for note in &context.connection.notes {
        super::exit::say(&format!("azimuth: {note}"));
    }
    Ok((context, asked))
}

/// The flags about the target, with the environment's.
pub fn asked(global: &Global) -> Asked {
    Asked {
        context: global.context.clone(),
        environment: std::env::var("AZIMUTH_CONTEXT").ok(),
        context_file: global.context_file.clone(),
        bootstrap: global.bootstrap.clone(),
        command_config: global.command_config.clone(),
        properties: global.property.clone(),
        allow_changes: global.allow_changes,
    }
}

impl Facts {
    /// Rates are over the window that was asked for.
    pub fn rows(&self) -> Rows {
        Rows::over(&self.snapshot, self.now, self.window)
    }

    /// The same, with rates over another time, as far as it was recorded.
    pub fn over(self, window: Option<Time>) -> Self {
        let seconds = |time: Time| i64::try_from(time.0.as_secs()).unwrap_or(i64::MAX);
        let window = window.map_or(self.window, |time| Window::of(seconds(time)));
        Self { window, ..self }
    }

    /// Only the groups: a wide cluster's partitions need no rows for them.
    pub fn groups(&self) -> Vec<GroupRow> {
        GroupRow::all_over(&self.snapshot, self.now, self.window)
    }

    /// Forgets problems that are not about what the command shows.
    pub fn only(mut self, about: impl Fn(&str) -> bool) -> Self {
        for problem in &mut self.problems {
            problem.subjects.retain(|subject| about(subject));
        }
        self.problems.retain(|problem| !problem.subjects.is_empty());
        self
    }

    /// The answer with the envelope filled in. A reason already told for a whole section is not told again for its cells.
    pub fn seal(&self, mut answer: Answer) -> Answer {
        answer.complete &= self.problems.is_empty();
        answer.context = Some(self.snapshot.context.clone()).filter(|name| !name.is_empty());
        answer.cluster_id = self.snapshot.cluster.get().map(|cluster| cluster.id.clone());
        answer.taken_at = Some(self.snapshot.taken_at.unwrap_or(self.now));
        let mut problems = self.problems.clone();
        problems.append(&mut answer.problems);
        answer.problems = problems;
        answer
    }

    /// "No such thing" is a no, unless it may merely not have been seen: then it is a part of the answer that is missing.
    pub fn unknown(&self, noun: &str, name: &str, known: &[&str]) -> Failure {
        if let Some(first) = self.problems.first() {
            let why = format!("{noun} {name} was not seen, and not everything was: {}", first.reason);
            let itself = Problem {
                subjects: vec![format!("{noun} {name}")],
                fields: Vec::new(),
                reason: why.clone(),
            };
            let nothing = Answer {
                problems: vec![itself],
                ..Answer::default()
            };
            return Failure::partial(why).unseen(self.seal(nothing));
        }
        let near = nearest(name, known.iter().copied());
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => format!("azimuth {noun} list shows what there is"),
        };
        Failure::new(super::Exit::No, format!("there is no {noun} {name}; {hint}"))
    }
}
