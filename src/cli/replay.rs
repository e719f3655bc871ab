//! `azimuth replay` without a terminal, or with `-o`: the timeline of what was recorded.

use std::io::Write;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::facts::{asked, paths};
use super::output;
use super::triage::Judged;
use crate::check::triage::{Name, Status, Triage};
use crate::command::replay::Replay;
use crate::command::{Line, Output};
use crate::feed::past::Past;
use crate::model::event::Event;
use crate::model::row::Rows;
use crate::model::{Moment, Snapshot, foreign};
use crate::operation::Folder;
use crate::settings::{Paths, state};

/// A recording, told.
#[derive(Serialize)]
struct Document {
    azimuth: u32,
    kind: &'static str,
    context: Option<String>,
    cluster_id: Option<String>,
    from: Moment,
    to: Moment,
    /// False where a part of it could not be read.
    complete: bool,
    problems: Vec<output::Problem>,
    items: Vec<Item>,
    /// What triage said at each step.
    steps: Vec<Step>,
}

/// Something that happened, or a verdict that was new.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Item {
    at: Moment,
    /// `triage`, `operation`, or a kind of change: `broker`, `isr`, `config`, `volume`, `finding`, …
    kind: String,
    text: String,
}

#[derive(Serialize)]
struct Step {
    taken_at: Moment,
    /// A finding began or was over since the step before.
    finding: bool,
    #[serde(flatten)]
    told: serde_json::Value,
}

pub async fn run(line: &Line, replay: &Replay) -> Result<Exit, Failure> {
    if matches!(line.global.output, Output::Csv | Output::Name) {
        return Err(Failure::usage(
            "replay has no rows for csv or name; -o json has what triage said at every step",
        ));
    }
    let (asked, now) = (asked(&line.global), Moment::now());
    let (from, until) = (line.global.from.clone(), replay.to.map(|to| to.moment(now)));
    let first = replay.at.map(|at| at.moment(now));
    // Reading and judging steps is work, and nothing else is to be done meanwhile.
    let told = tokio::task::spawn_blocking(move || {
        let paths = paths().ok();
        let past = Past::between(from.as_deref(), until, &asked, paths.as_ref(), now).map_err(Failure::partial)?;
        Ok::<Document, Failure>(tell(past, first, paths.as_ref()))
    });
    let document = told
        .await
        .map_err(|error| Failure::new(Exit::Bug, format!("the replay broke off: {error}")))??;
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Bug, format!("it cannot be written: {error}"));
    let text = match line.global.output {
        Output::Json => {
            let json = serde_json::to_string_pretty(&document).map_err(|error| failed(&error))?;
            format!("{}\n", foreign::json(&json))
        }
        Output::Yaml => output::yaml(&document).map_err(|error| failed(&error))?,
        Output::Md => markdown(&document),
        _ => plain(&document),
    };
    let mut out = super::out::stdout();
    super::printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(if document.complete { Exit::Done } else { Exit::Partial })
}

/// Judges every step, and puts in order what happened.
fn tell(mut past: Past, first: Option<Moment>, paths: Option<&Paths>) -> Document {
    let first = first.map_or(0, |at| past.step_at(at));
    let mut items: Vec<Item> = Vec::new();
    let (mut steps, mut problems) = (Vec::new(), Vec::new());
    let (mut said, mut last): (Option<String>, Option<std::sync::Arc<Snapshot>>) = (None, None);
    let all = past.steps().to_vec();
    for (at, step) in all.iter().enumerate().skip(first) {
        let snapshot = match past.look(at) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                problems.push(output::Problem {
                    subjects: vec![format!("step {}", at + 1)],
                    fields: Vec::new(),
                    reason: error.to_string(),
                });
                continue;
            }
        };
        let taken_at = snapshot.taken_at.unwrap_or(step.at);
        let judged = Triage::without_acts(&snapshot, &Rows::of(&snapshot, taken_at), taken_at);
        let gist = brief(&judged);
        if said.as_ref() != Some(&gist) {
            items.push(Item {
                at: taken_at,
                kind: "triage".to_owned(),
                text: gist.clone(),
            });
            said = Some(gist);
        }
        let told = serde_json::to_value(Judged::of(&judged)).unwrap_or_default();
        steps.push(Step {
            taken_at,
            finding: step.finding,
            told,
        });
        happened(&mut items, &snapshot, all[first].at);
        last = Some(snapshot);
    }
    let (from, to) = (all[first].at, all.last().map_or(all[first].at, |step| step.at));
    let cluster = last
        .as_ref()
        .and_then(|last| last.cluster.get().map(|cluster| cluster.id.clone()));
    if let (Some(id), Some(paths), false) = (&cluster, paths, past.is_capture()) {
        items.extend(operations(id, paths, from, to));
    }
    items.sort();
    items.dedup();
    Document {
        azimuth: 1,
        kind: "replay",
        context: last.map(|last| last.context.clone()).filter(|name| !name.is_empty()),
        cluster_id: cluster,
        from,
        to,
        complete: problems.is_empty(),
        problems,
        items,
        steps,
    }
}

/// The headline with who is at fault: numbers that waver are no news.
fn brief(triage: &Triage) -> String {
    let mark = match triage.status {
        Status::Ok => "●",
        Status::Warn => "▲",
        Status::Fail => "✖",
    };
    let headline = triage.line(Name::Headline).map_or("", |line| line.text.as_str());
    let headline = headline.split(" · ").next().unwrap_or_default();
    let causes: Vec<String> = triage
        .causes
        .iter()
        .map(|cause| format!("{} ({})", cause.who(), cause.rule))
        .collect();
    match causes.is_empty() {
        true => format!("{mark} {headline}"),
        false => format!("{mark} {headline}: {}", causes.join(", ")),
    }
}

/// What changed, as far as it is not told yet. A change that several steps sum up is told with its last count.
fn happened(items: &mut Vec<Item>, snapshot: &Snapshot, from: Moment) {
    for event in snapshot.events.iter().filter(|event| event.at >= from) {
        let item = Item {
            at: event.at,
            kind: event.kind.to_string(),
            text: event.sentence(),
        };
        let alike = |known: &&mut Item| known.at == item.at && known.kind == item.kind && starts_alike(known, event);
        match items.iter_mut().find(alike) {
            Some(known) => known.text = item.text,
            None => items.push(item),
        }
    }
}

/// The same change, however often it was counted.
fn starts_alike(item: &Item, event: &Event) -> bool {
    let before = event.text.split("{}").next().unwrap_or_default();
    item.text.starts_with(format!("{} {before}", event.subject).trim())
}

/// What Azimuth did meanwhile, with why, from the journals of this host.
fn operations(cluster: &str, paths: &Paths, from: Moment, to: Moment) -> Vec<Item> {
    let Ok(folder) = state::of(cluster, paths) else {
        return Vec::new();
    };
    let all = Folder::new(&folder.folder).all().unwrap_or_default();
    let told = all
        .into_iter()
        .filter_map(|(_, status)| status.ok())
        .flat_map(|status| {
            let name = format!("operation {}: {}", status.id, status.plan.title);
            let ends = [
                (status.begun_at, format!("{name} began, by {}", status.begun_by)),
                (status.last_at, format!("{name} {}", status.phase.words())),
            ];
            ends.map(|(at, text)| Item {
                at,
                kind: "operation".to_owned(),
                text,
            })
        });
    told.filter(|item| (from..=to).contains(&item.at)).collect()
}

fn plain(document: &Document) -> String {
    let mut text = format!("{}\n", foreign::plain(&title(document)));
    for item in &document.items {
        let at = item.at.strftime("%H:%M:%SZ");
        text.push_str(&format!("{at}  {:<12} {}\n", item.kind, foreign::plain(&item.text)));
    }
    text
}

fn title(document: &Document) -> String {
    format!(
        "{} · {} to {} · {} steps",
        document.context.as_deref().unwrap_or("capture"),
        document.from.strftime("%F %H:%M:%SZ"),
        document.to.strftime("%F %H:%M:%SZ"),
        document.steps.len(),
    )
}

/// For the report of an incident. Names are foreign text, so nothing in it is markup.
fn markdown(document: &Document) -> String {
    let word = |text: &str| {
        let plain = foreign::plain(text).to_string();
        plain.chars().fold(String::new(), |mut text, letter| {
            if "\\`*_{}[]<>|#".contains(letter) {
                text.push('\\');
            }
            text.push(letter);
            text
        })
    };
    let mut text = format!(
        "# Timeline of {}\n\n",
        word(document.context.as_deref().unwrap_or("a capture"))
    );
    text.push_str(&format!(
        "From {} to {} (UTC), {} steps recorded",
        document.from.strftime("%F %H:%M:%S"),
        document.to.strftime("%F %H:%M:%S"),
        document.steps.len()
    ));
    if let Some(id) = &document.cluster_id {
        text.push_str(&format!(", cluster {}", word(id)));
    }
    text.push_str(".\n\n");
    for problem in &document.problems {
        text.push_str(&format!(
            "- {} is missing: {}\n",
            problem.subjects.join(", "),
            word(&problem.reason)
        ));
    }
    text.push_str("| time | what | |\n|---|---|---|\n");
    for item in &document.items {
        let at = item.at.strftime("%H:%M:%S");
        text.push_str(&format!("| {at} | {} | {} |\n", item.kind, word(&item.text)));
    }
    text
}
