//! `azimuth triage`: the ten lines once, or again whenever the verdict changes.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::facts::{Facts as Seen, gather, paths};
use super::live::Live;
use super::missing::problems;
use super::output::{self, Problem};
use crate::check::triage::{Line as Told, Name, Status};
use crate::check::{self, Act, Culprit, Dont, Evidence, Findings, Reach, Step};
use crate::command::triage::{FailOn, Triage};
use crate::command::value::Time;
use crate::command::{Line, Output};
use crate::feed::{Needs, Section};
use crate::model::event::Since;
use crate::model::history::Window;
use crate::model::row::Rows;
use crate::model::{Moment, Snapshot, foreign};
use crate::operation::shelf::Shelf;
use crate::operation::{Folder, Phase};
use crate::plan::gate::Verdict;
use crate::settings::state;

/// Everything that a rule looks at.
pub(super) const NEEDS: [Section; 14] = [
    Section::Cluster,
    Section::Links,
    Section::Topics,
    Section::Offsets,
    Section::Groups,
    Section::Logdirs,
    Section::BrokerConfigs,
    Section::TopicConfigs,
    Section::Quorum,
    Section::Reassignments,
    Section::Instances,
    Section::Volumes,
    Section::Metrics,
    Section::Probes,
];
/// What is asked too: how far behind groups are in time, and how long that is safe. Where it is missing, the line of who is
/// hurt says so.
pub(super) const BESIDE: [Section; 2] = [Section::Backlogs, Section::Retentions];

pub async fn run(line: &Line, asked: &Triage) -> Result<Exit, Failure> {
    if matches!(line.global.output, Output::Csv | Output::Name) {
        return Err(Failure::usage(
            "triage has no rows for csv or name; -o json has the same in full",
        ));
    }
    if asked.watch {
        return watch(line, asked).await;
    }
    let facts: Seen = gather(line, &asked_for()).await?;
    let needs: Needs = NEEDS.into();
    let judged = judge(
        &facts.snapshot,
        facts.now,
        asked.strict,
        changes(asked),
        &mut Shelf::default(),
    );
    let document = Document::of(&judged, &facts.snapshot, problems(&facts.snapshot, &needs), facts.now);
    print(line, &document, false)?;
    if line.global.output == Output::Nagios {
        return Ok(nagios_exit(&document));
    }
    Ok(exit(&judged, document.complete, asked.fail_on))
}

fn changes(asked: &Triage) -> Window {
    let seconds = |time: Time| i64::try_from(time.0.as_secs()).unwrap_or(i64::MAX);
    asked.window.map_or(Window::CHANGES, |time| Window::of(seconds(time)))
}

fn asked_for() -> Vec<Section> {
    NEEDS.into_iter().chain(BESIDE).collect()
}

/// Judges on until it is interrupted; then the last verdict is the exit status.
async fn watch(line: &Line, asked: &Triage) -> Result<Exit, Failure> {
    if line.global.from.is_some() {
        return Err(Failure::usage("a capture does not change; leave --watch or --from out"));
    }
    let mut live = Live::begin(
        line,
        NEEDS.into(),
        &BESIDE.into(),
        line.global.timeout.map(|time| time.0),
    )?;
    let mut said: Option<String> = None;
    let mut last = Exit::Partial;
    let mut findings = Findings::default();
    let mut shelf = Shelf::default();
    while let Some(snapshot) = live.next().await? {
        let now = Moment::now();
        let seen = Arc::clone(&snapshot);
        let (strict, changes) = (asked.strict, changes(asked));
        let judged = tokio::task::spawn_blocking(move || (judge(&seen, now, strict, changes, &mut shelf), shelf));
        let (judged, kept) = judged
            .await
            .map_err(|error| Failure::new(Exit::Bug, format!("the rules broke off: {error}")))?;
        shelf = kept;
        findings
            .news(&judged, now)
            .into_iter()
            .for_each(|event| live.feed.note(event));
        let document = Document::of(&judged, &snapshot, live.problems(&snapshot), now);
        last = exit(&judged, document.complete, asked.fail_on);
        let gist = judged.gist();
        if said.as_ref() != Some(&gist) {
            print(line, &document, true)?;
            said = Some(gist);
        }
    }
    Ok(last)
}

pub(super) fn judge(
    snapshot: &Snapshot,
    now: Moment,
    strict: bool,
    changes: Window,
    shelf: &mut Shelf,
) -> check::Triage {
    with_facts(snapshot, now, strict, shelf, |facts| {
        check::Triage::of(&check::Facts { changes, ..*facts })
    })
}

/// Everything that a rule may look at, of one snapshot; `shelf` keeps the journals for the next. Linear in partitions, so for a thread that may block.
pub(super) fn with_facts<R>(
    snapshot: &Snapshot,
    now: Moment,
    strict: bool,
    shelf: &mut Shelf,
    judge: impl FnOnce(&check::Facts<'_>) -> R,
) -> R {
    let rows = Rows::of(snapshot, now);
    let acts = acts(snapshot, shelf);
    judge(&check::Facts {
        snapshot,
        rows: &rows,
        acts: &acts,
        strict,
        changes: Window::CHANGES,
        now,
    })
}

/// What Azimuth did and does with this cluster, as far as the journals on this host tell.
fn acts(snapshot: &Snapshot, shelf: &mut Shelf) -> Vec<Act> {
    let folder = snapshot
        .cluster
        .get()
        .and_then(|cluster| state::of(&cluster.id, &paths().ok()?).ok());
    let Some(folder) = folder else { return Vec::new() };
    shelf.look(&Folder::new(&folder.folder));
    let mut known: Vec<_> = shelf.read().values().map(|(status, _)| status).collect();
    known.sort_by_key(|status| std::cmp::Reverse(status.begun_at));
    known
        .into_iter()
        .map(|status| {
            let is_running = status.phase == Phase::Running;
            let how = match status.phase {
                Phase::Running => "began",
                phase => phase.words(),
            };
            Act {
                id: status.id.to_string(),
                title: status.plan.title.clone(),
                state: how.to_owned(),
                by: status.begun_by.to_string(),
                at: if is_running { status.begun_at } else { status.last_at },
                progresses: is_running && status.alive,
                reach: Reach::of(&status.plan),
            }
        })
        .collect()
}

/// 1 outranks 3: a "no" that was seen stands whatever was not seen. A cluster that was not seen at all is no "no".
fn exit(judged: &check::Triage, complete: bool, fail_on: FailOn) -> Exit {
    let no = match fail_on {
        FailOn::Warn => judged.status >= Status::Warn,
        FailOn::Fail => judged.status >= Status::Fail,
    };
    match (judged.seen, no, complete) {
        (false, ..) => Exit::Partial,
        (true, true, _) => Exit::No,
        (true, false, false) => Exit::Partial,
        (true, false, true) => Exit::Done,
    }
}

/// Nagios has numbers of its own: 1 warning, 2 critical (our usage), 3 unknown.
fn nagios_exit(document: &Document<'_>) -> Exit {
    match (document.told.status, document.complete) {
        (Status::Fail, _) => Exit::Usage,
        (Status::Warn, _) => Exit::No,
        (Status::Ok, false) => Exit::Partial,
        (Status::Ok, true) => Exit::Done,
    }
}

/// What scripts get.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    azimuth: u32,
    kind: &'static str,
    context: Option<&'a str>,
    cluster_id: Option<&'a str>,
    taken_at: Moment,
    /// The host that looked.
    vantage: Option<&'a str>,
    /// Its AZ id, where it is an EC2 instance.
    vantage_zone: Option<&'a str>,
    /// The AWS facts are those of a simulated cloud, whose clock is so much faster than AWS's.
    simulated: bool,
    clock_factor: u32,
    complete: bool,
    problems: Vec<Problem>,
    #[serde(flatten)]
    told: Judged<'a>,
}

/// What triage says, for whoever reads JSON.
#[derive(Serialize)]
pub(super) struct Judged<'a> {
    status: Status,
    culprit: &'a Culprit,
    lines: Vec<Item<'a>>,
    causes: Vec<Found<'a>>,
    next: Vec<Next<'a>>,
    dont: &'a [Dont],
}

#[derive(Serialize)]
struct Item<'a> {
    name: Name,
    verdict: Verdict,
    text: &'a str,
    why: Option<&'a str>,
    since: Option<Moment>,
    since_basis: Option<&'static str>,
    source: &'a str,
    evidence: Option<&'a Evidence>,
}

#[derive(Serialize)]
struct Found<'a> {
    rule: &'static str,
    verdict: Verdict,
    culprit: &'a Culprit,
    text: &'a str,
    since: Option<Moment>,
    /// The operation of ours that explains it; then it does not count.
    explained_by: Option<&'a str>,
}

#[derive(Serialize)]
struct Next<'a> {
    #[serde(flatten)]
    step: &'a Step,
    blocked_by: Option<&'a str>,
}

impl<'a> Document<'a> {
    pub(super) fn of(judged: &'a check::Triage, snapshot: &'a Snapshot, problems: Vec<Problem>, now: Moment) -> Self {
        Self {
            azimuth: 1,
            kind: "triage",
            context: Some(snapshot.context.as_str()).filter(|name| !name.is_empty()),
            cluster_id: snapshot.cluster.get().map(|cluster| cluster.id.as_str()),
            taken_at: snapshot.taken_at.unwrap_or(now),
            vantage: snapshot.vantage.as_deref(),
            vantage_zone: snapshot.vantage_zone.as_deref(),
            simulated: snapshot.cloud.simulated,
            clock_factor: snapshot.cloud.clock_factor.max(1),
            complete: problems.is_empty(),
            problems,
            told: Judged::of(judged),
        }
    }
}

impl<'a> Judged<'a> {
    pub(super) fn of(judged: &'a check::Triage) -> Self {
        let item = |line: &'a Told| Item {
            name: line.name,
            verdict: line.verdict,
            text: &line.text,
            why: line.why.as_deref(),
            since: line.since.map(|since| since.at),
            since_basis: line.since.map(basis),
            source: &line.source,
            evidence: line.evidence.as_ref(),
        };
        Self {
            status: judged.status,
            culprit: &judged.culprit,
            lines: judged.lines.iter().map(item).collect(),
            causes: judged
                .causes
                .iter()
                .map(|cause| (cause, None))
                .chain(judged.explained.iter().map(|one| (&one.cause, Some(one.by.as_str()))))
                .map(|(cause, explained_by)| Found {
                    rule: cause.rule,
                    verdict: cause.verdict,
                    culprit: &cause.culprit,
                    text: &cause.text,
                    since: cause.since.map(|since| since.at),
                    explained_by,
                })
                .collect(),
            next: judged
                .next
                .iter()
                .map(|step| Next {
                    blocked_by: step.blocked_by().map(|gate| gate.name.as_str()),
                    step,
                })
                .collect(),
            dont: &judged.dont,
        }
    }
}

fn basis(since: Since) -> &'static str {
    if since.recorded { "recorded" } else { "seen" }
}

/// A watch prints one JSON document a line, so that a reader knows where one ends.
pub(super) fn print(line: &Line, document: &Document<'_>, watching: bool) -> Result<Exit, Failure> {
    let mut out = super::out::stdout();
    let failed =
        |error: &dyn std::fmt::Display| Failure::new(Exit::Bug, format!("the answer cannot be written: {error}"));
    let text = match line.global.output {
        Output::Json => {
            let json = match watching {
                true => serde_json::to_string(document),
                false => serde_json::to_string_pretty(document),
            };
            format!("{}\n", foreign::json(&json.map_err(|error| failed(&error))?))
        }
        Output::Yaml if watching => format!("---\n{}", output::yaml(document).map_err(|error| failed(&error))?),
        Output::Yaml => output::yaml(document).map_err(|error| failed(&error))?,
        Output::Prom => prometheus(document),
        Output::Nagios => nagios(document),
        Output::Table | Output::Wide | Output::Csv | Output::Name | Output::Md | Output::Plan => {
            plain(document, watching)
        }
    };
    super::printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A page for the textfile collector.
pub(super) fn prometheus(document: &Document<'_>) -> String {
    let quoted = |text: Option<&str>| format!("{:?}", text.unwrap_or_default());
    let of = format!(
        "context={},cluster_id={}",
        quoted(document.context),
        quoted(document.cluster_id)
    );
    let status = document.told.status as u8;
    let complete = u8::from(document.complete);
    let seen = document.taken_at.as_second();
    format!(
        "# HELP azimuth_triage_status 0 ok, 1 warn, 2 fail.\n# TYPE azimuth_triage_status gauge\n\
         azimuth_triage_status{{{of}}} {status}\n\
         # HELP azimuth_triage_complete 1 where everything was seen.\n# TYPE azimuth_triage_complete gauge\n\
         azimuth_triage_complete{{{of}}} {complete}\n\
         # HELP azimuth_triage_seen_seconds When this was seen, since the epoch.\n\
         # TYPE azimuth_triage_seen_seconds gauge\nazimuth_triage_seen_seconds{{{of}}} {seen}\n"
    )
}

/// One line: the headline, with numbers behind the bar.
fn nagios(document: &Document<'_>) -> String {
    let word = match (document.told.status, document.complete) {
        (Status::Fail, _) => "CRITICAL",
        (Status::Warn, _) => "WARNING",
        (Status::Ok, false) => "UNKNOWN",
        (Status::Ok, true) => "OK",
    };
    let headline = document.told.lines.first().map_or("", |line| line.text);
    let headline = foreign::plain(headline).replace('|', "/");
    let causes = document.told.causes.len();
    format!(
        "AZIMUTH {word} - {}: {headline} | causes={causes}\n",
        document.context.unwrap_or_default()
    )
}

/// The ten lines for people; long ones go on under themselves where stdout is a terminal.
fn plain(document: &Document<'_>, watching: bool) -> String {
    const LABEL: usize = 10;
    let width = super::output::width().filter(|width| *width >= 40);
    let mut text = String::new();
    if watching && !std::io::stdout().is_terminal() {
        text.push_str(&format!("--- {}\n", document.taken_at.strftime("%H:%M:%SZ")));
    } else if watching {
        text.push_str(&format!("\n{}\n", document.taken_at.strftime("%H:%M:%SZ")));
    }
    for item in &document.told.lines {
        let mark = match item.verdict {
            Verdict::Pass => "●",
            Verdict::Warn => "▲",
            Verdict::Fail => "✖",
            Verdict::Unknown => "?",
        };
        let label = match item.name {
            Name::Headline => String::new(),
            Name::Dont => "DON'T".to_owned(),
            name => name.to_string().to_uppercase(),
        };
        let since = match (item.since, item.since_basis) {
            (Some(at), Some(basis)) => format!(" · since {} ({basis})", at.strftime("%H:%M:%S")),
            _ => String::new(),
        };
        let why = item
            .why
            .filter(|why| !item.text.contains(*why))
            .map(|why| format!(" · {why}"))
            .unwrap_or_default();
        let body = format!("{}{since}{why}", item.text);
        let body = foreign::plain(&body);
        let mut lines = wrapped(&body, width.map_or(usize::MAX, |width| width - LABEL - 1)).into_iter();
        let first = lines.next().unwrap_or_default();
        text.push_str(format!("{mark} {label:<8}{first}").trim_end());
        text.push('\n');
        for rest in lines {
            text.push_str(&format!("{:LABEL$}{rest}\n", ""));
        }
    }
    text
}

/// Broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    use unicode_width::UnicodeWidthStr;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.width());
        if line > 0 && line + 1 + word.width() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
