//! `azimuth recorder`: looks and records without screens, and tells Prometheus and CloudWatch what it finds.

mod cloudwatch;
mod page;
mod serve;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::exit::{Exit, Failure, say};
use super::facts::{context_of, paths, sources};
use super::live::Live;
use super::triage::{self, BESIDE, Document, NEEDS, judge};
use crate::check::{Findings, Triage};
use crate::command::recorder::Recorder;
use crate::command::words::quote;
use crate::command::{Line, Output};
use crate::model::history::Window;
use crate::model::row::group::GroupRow;
use crate::model::{Moment, Snapshot};
use crate::operation::shelf::Shelf;
use crate::settings::pin::Pins;

/// How often CloudWatch is told: the resolution of its standard metrics.
const PUT: Duration = Duration::from_secs(60);

/// What was seen last.
#[derive(Clone)]
pub(super) struct Seen {
    snapshot: Arc<Snapshot>,
    triage: Arc<Triage>,
    groups: Arc<Vec<GroupRow>>,
    complete: bool,
    now: Moment,
}

pub async fn run(line: &Line, asked: &Recorder) -> Result<Exit, Failure> {
    if line.global.from.is_some() {
        return Err(Failure::usage("a capture does not change; leave --from out"));
    }
    if !matches!(line.global.output, Output::Table | Output::Json | Output::Yaml) {
        return Err(Failure::usage(
            "recorder prints verdicts: leave -o out, or take json or yaml",
        ));
    }
    if asked.unit {
        return unit(line, asked);
    }
    let paths = paths()?;
    let (context, _) = context_of(&line.global, &paths)?;
    if !context.record {
        let name = &context.name;
        return Err(Failure::usage(format!(
            "context {name} says record = false; take that out, and it is recorded"
        )));
    }
    let (told, seen) = watch::channel(None);
    let mut beside = tokio::task::JoinSet::new();
    if let Some(address) = asked.metrics {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| Failure::usage(format!("--metrics {address}: {error}")))?;
        let at = listener.local_addr().unwrap_or(address);
        say(&format!("azimuth: metrics at http://{at}/metrics"));
        beside.spawn(serve::serve(listener, seen.clone()));
    }
    if let Some(namespace) = &asked.cloudwatch {
        let sources = sources(&context, &Pins::load(&paths)?, &paths)?;
        let aws = sources
            .aws
            .map_err(|why| Failure::usage(format!("--cloudwatch needs the context's AWS plane: {why}")))?;
        beside.spawn(cloudwatch::put(aws, namespace.clone(), seen, PUT));
    }
    let patience = line.global.timeout.map(|time| time.0);
    let mut live = Live::begin(line, NEEDS.into(), &BESIDE.into(), patience)?;
    say(&format!("azimuth: recording {}", context.name));
    let ended = ended();
    tokio::pin!(ended);
    let mut findings = Findings::default();
    let mut shelf = Shelf::default();
    let (mut said, mut last) = (None::<String>, Exit::Done);
    loop {
        let snapshot = tokio::select! {
            next = live.next() => match next? {
                Some(snapshot) => snapshot,
                None => return Ok(last),
            },
            () = &mut ended => return Ok(Exit::Done),
        };
        let now = Moment::now();
        let looked = Arc::clone(&snapshot);
        let worked = tokio::task::spawn_blocking(move || {
            let groups = GroupRow::all_over(&looked, now, Default::default());
            let judged = judge(&looked, now, false, Window::CHANGES, &mut shelf);
            (judged, groups, shelf)
        });
        let (judged, groups, kept) = worked
            .await
            .map_err(|error| Failure::new(Exit::Bug, format!("the rules broke off: {error}")))?;
        shelf = kept;
        findings
            .news(&judged, now)
            .into_iter()
            .for_each(|event| live.feed.note(event));
        let problems = live.problems(&snapshot);
        let judged = Arc::new(judged);
        told.send_replace(Some(Seen {
            snapshot: Arc::clone(&snapshot),
            triage: Arc::clone(&judged),
            groups: Arc::new(groups),
            complete: problems.is_empty(),
            now,
        }));
        last = if snapshot.cluster.get().is_some() {
            Exit::Done
        } else {
            Exit::Partial
        };
        let gist = judged.gist();
        if said.as_ref() == Some(&gist) {
            continue;
        }
        said = Some(gist);
        let document = Document::of(&judged, &snapshot, problems, now);
        match line.global.output {
            Output::Table => say(&verdict(&judged, now)),
            _ => {
                triage::print(line, &document, true)?;
            }
        }
    }
}

/// The unit, for this program, this user and this context.
fn unit(line: &Line, asked: &Recorder) -> Result<Exit, Failure> {
    let ground = super::change::ground(&line.global)?;
    let program = std::env::current_exe().map_err(Failure::partial)?;
    let metrics = asked
        .metrics
        .map(|address| ["--metrics".to_owned(), address.to_string()]);
    let cloudwatch = asked.cloudwatch.clone().map(|name| ["--cloudwatch".to_owned(), name]);
    let words: Vec<String> = [program.display().to_string(), "recorder".to_owned()]
        .into_iter()
        .chain(metrics.into_iter().chain(cloudwatch).flatten())
        .chain(ground.target())
        .map(|word| quote(&word))
        .collect();
    let (name, user) = (&ground.context.name, crate::operation::Who::me().user);
    let text = format!(
        "# /etc/systemd/system/azimuth-recorder-{name}.service\n\
         [Unit]\n\
         Description=Azimuth: record {name}\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=exec\n\
         User={user}\n\
         ExecStart={}\n\
         Restart=always\n\
         RestartSec=10\n\
         NoNewPrivileges=yes\n\
         PrivateTmp=yes\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        words.join(" ")
    );
    super::printed(super::out::stdout().write_all(text.as_bytes()))
}

/// SIGTERM of a service manager, or ctrl-c.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => std::future::pending().await,
    }
}

fn verdict(triage: &Triage, now: Moment) -> String {
    let headline = triage.lines.first().map_or("", |line| line.text.as_str());
    format!("{} {} {headline}", now.strftime("%FT%H:%M:%SZ"), triage.status)
}
