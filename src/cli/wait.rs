//! `azimuth wait …`: looks on until something is true, for as long as it is given.

mod mirrored;

use std::time::Duration;

use tokio::time::Instant;

use super::exit::{Exit, Failure, say};
use super::live::Live;
use super::output::{Answer, Column, Field, Rank, duration};
use super::triage;
use crate::check::triage::Status;
use crate::check::{Condition, State};
use crate::command::Line;
use crate::command::triage::FailOn;
use crate::command::wait::Verb;
use crate::feed::{Needs, Section};
use crate::model::Moment;
use crate::operation::shelf::Shelf;

/// Waiting ends within this unless `--timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);
/// The same state in other numbers is told this often.
const TELL: Duration = Duration::from_secs(10);

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    if line.global.from.is_some() {
        return Err(Failure::usage(
            "a capture does not change, so nothing in it can be waited for; leave --from out",
        ));
    }
    let patience = line.global.timeout.map_or(PATIENCE, |time| time.0);
    let hold = verb.how().hold.map_or(Duration::ZERO, |time| time.0);
    if hold >= patience {
        return Err(Failure::usage(format!(
            "--hold {} leaves no time to wait: --timeout is {}",
            duration(hold.as_secs_f64()),
            duration(patience.as_secs_f64())
        )));
    }
    if let Verb::Mirrored(wish) = verb {
        return mirrored::run(line, wish, patience, hold).await;
    }
    let (condition, strict) = condition(verb);
    let (needs, beside) = needs(verb);
    let mut live = Live::begin(line, needs, &beside, Some(patience))?;
    let mut talk = Talk::default();
    let mut shelf = Shelf::default();
    let mut last = State::Unknown("nothing was seen yet".to_owned());
    let mut since: Option<Instant> = None;
    let mut seen: Option<(String, Moment)> = None;
    let held = loop {
        let Some(snapshot) = live.next().await? else {
            break false;
        };
        let now = Moment::now();
        seen = snapshot.cluster.get().map(|cluster| (cluster.id.clone(), now));
        let problem = live.problems(&snapshot).into_iter().next();
        let (asked, judged) = (condition.clone(), snapshot.clone());
        let judge = move || {
            let state = triage::with_facts(&judged, now, strict, &mut shelf, |facts| asked.judge(facts));
            (state, shelf)
        };
        let state = tokio::task::spawn_blocking(judge).await;
        (last, shelf) = state.map_err(|error| Failure::new(Exit::Bug, format!("the rules broke off: {error}")))?;
        // Health is that of everything: what was not seen may be ill.
        if let (Condition::Healthy { .. }, State::Holds(_), Some(problem)) = (&condition, &last, problem) {
            last = State::Unknown(format!("{}: {}", problem.subjects.join(", "), problem.reason));
        }
        talk.tell(&last, live.elapsed());
        since = match last {
            State::Holds(_) => since.or_else(|| Some(Instant::now())),
            _ => None,
        };
        if since.is_some_and(|since| since.elapsed() >= hold) {
            break true;
        }
    };
    let end = End {
        held,
        state: match &last {
            State::Holds(text) if !held => format!("it has not held for {} yet: {text}", duration(hold.as_secs_f64())),
            state => state.text().to_owned(),
        },
        waited_seconds: live.elapsed().as_secs_f64(),
    };
    let unknown = matches!(last, State::Unknown(_));
    print(line, &end, unknown, seen)
}

/// What is asked, and whether what our operations explain counts.
fn condition(verb: &Verb) -> (Condition, bool) {
    match verb {
        Verb::Healthy { fail_on, strict, .. } => {
            let at_worst = match fail_on {
                FailOn::Warn => Status::Ok,
                FailOn::Fail => Status::Warn,
            };
            (Condition::Healthy { at_worst }, *strict)
        }
        Verb::Lag { names, below, .. } => {
            let (groups, below) = (names.clone(), *below);
            (Condition::Lag { groups, below }, false)
        }
        Verb::Isr { topics, broker, .. } => {
            let (topics, broker) = (topics.clone(), *broker);
            (Condition::Isr { topics, broker }, false)
        }
        Verb::Reassigned { topics, .. } => (Condition::Reassigned { topics: topics.clone() }, false),
        // A mirror is two clusters, and waited for by itself.
        Verb::Quiet { .. } | Verb::Mirrored(_) => (Condition::Quiet, false),
    }
}

fn needs(verb: &Verb) -> (Needs, Needs) {
    let of = |sections: &[Section]| sections.iter().copied().collect();
    match verb {
        Verb::Healthy { .. } => (of(&triage::NEEDS), of(&triage::BESIDE)),
        Verb::Lag { .. } | Verb::Quiet { .. } | Verb::Mirrored(_) => {
            let needs = [Section::Cluster, Section::Topics, Section::Groups, Section::Offsets];
            (of(&needs), Needs::new())
        }
        Verb::Isr { .. } | Verb::Reassigned { .. } => {
            let needs = [Section::Cluster, Section::Topics, Section::Reassignments];
            (of(&needs), Needs::new())
        }
    }
}

/// What is said meanwhile.
#[derive(Default)]
struct Talk {
    last: Option<(Instant, State)>,
}

impl Talk {
    fn tell(&mut self, state: &State, waited: Duration) {
        let news = match &self.last {
            None => true,
            Some((_, last)) if std::mem::discriminant(last) != std::mem::discriminant(state) => true,
            Some((at, last)) => last != state && at.elapsed() >= TELL,
        };
        if news {
            let word = match state {
                State::Holds(_) => "yes",
                State::No(_) => "not yet",
                State::Unknown(_) => "cannot be told",
            };
            say(&format!("{} {word}: {}", duration(waited.as_secs_f64()), state.text()));
            self.last = Some((Instant::now(), state.clone()));
        }
    }
}

/// How the waiting ended.
struct End {
    held: bool,
    state: String,
    waited_seconds: f64,
}

/// 1: it never came true. 3: at the end it could not be told.
fn print(line: &Line, end: &End, unknown: bool, seen: Option<(String, Moment)>) -> Result<Exit, Failure> {
    let Some(command) = &line.command else {
        return Err(Failure::usage("no command"));
    };
    let (cluster_id, taken_at) = seen.unzip();
    let answer = Answer {
        context: line.global.context.clone(),
        cluster_id,
        taken_at,
        complete: end.held || !unknown,
        is_no: !end.held && !unknown,
        ..Answer::list(COLUMNS, [end], "wait", |end| {
            if end.held { "yes" } else { "no" }.to_owned()
        })
    };
    super::print(line, command, &answer)
}

const COLUMNS: &[Column<End>] = &[
    Column {
        key: "held",
        title: "HELD",
        rank: Rank::Always,
        field: |end| Field::data(end.held, if end.held { "yes" } else { "no" }),
    },
    Column {
        key: "waited_seconds",
        title: "WAITED",
        rank: Rank::Always,
        field: |end| Field::number(end.waited_seconds, duration(end.waited_seconds)),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |end| Field::text(&end.state),
    },
];
