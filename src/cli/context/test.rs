//! `azimuth context test`: the way to a cluster and to AWS, step by step.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::super::exit::Failure;
use super::super::facts::{paths, patience, sources};
use super::super::output::{Answer, Column, Field, Rank, plain};
use crate::command::Global;
use crate::feed::trial::{self, Outcome, Trial};
use crate::feed::{self, Needs, Section, Sources};
use crate::model::cluster::Cluster;
use crate::model::row::Rows;
use crate::model::{Health, Moment, Snapshot};
use crate::operation::notify::{self, News};
use crate::settings::pin::Pins;
use crate::settings::{Context, Paths};

/// One line of the table.
struct Row {
    step: String,
    subject: String,
    outcome: Outcome,
    detail: String,
    took: Option<Duration>,
}

/// Tries everything; a step that fails makes the answer no.
pub async fn answer(global: &Global, context: &Context) -> Result<Answer, Failure> {
    let paths = paths()?;
    let mut pins = Pins::load(&paths)?;
    let sources = sources(context, &pins, &paths)?;
    // Resolve, connect, shake hands, log in, ask, ask each broker and ask for rights come after one another, then AWS.
    let each = patience(global) / 8;
    let (trials, cluster) = trial::kafka(&sources, context.changes, each.min(Duration::from_secs(5))).await;
    let mut rows: Vec<Row> = trials.into_iter().map(Row::from).collect();
    if let Some(cluster) = &cluster {
        rows.push(pin(context, &mut pins, cluster, &paths));
    }
    rows.extend(aws(context, &sources, cluster.is_some(), each).await);
    rows.extend(notify(context).await);
    let mut answer = Answer::list(COLUMNS, &rows, "step", |row| format!("{} {}", row.step, row.subject));
    answer.context = Some(context.name.clone());
    answer.cluster_id = cluster.map(|cluster| cluster.id);
    answer.taken_at = Some(Moment::now());
    answer.is_no = rows.iter().any(|row| row.outcome == Outcome::Fail);
    Ok(answer)
}

impl From<Trial> for Row {
    fn from(trial: Trial) -> Self {
        Self {
            step: trial.step.to_string(),
            subject: trial.subject,
            outcome: trial.outcome,
            detail: trial.detail,
            took: Some(trial.took),
        }
    }
}

/// Whoever is told of operations is told of this.
async fn notify(context: &Context) -> Option<Row> {
    let notify = context.notify.as_ref()?;
    let began = Instant::now();
    let sent = notify::send(notify, &News::test(&context.name, Moment::now())).await;
    Some(Row {
        step: "notify".to_owned(),
        subject: context.name.clone(),
        outcome: if sent.is_ok() { Outcome::Pass } else { Outcome::Fail },
        detail: match sent {
            Ok(()) => "the command took a test message".to_owned(),
            Err(error) => format!("[notify] command: {error}"),
        },
        took: Some(began.elapsed()),
    })
}

/// Is it the cluster that was here before?
fn pin(context: &Context, pins: &mut Pins, cluster: &Cluster, paths: &Paths) -> Row {
    let known = pins.expected(context).is_some();
    let (outcome, detail) = match pins.check(context, &cluster.id) {
        Err(mismatch) => (Outcome::Fail, mismatch.to_string()),
        Ok(news) => match news.then(|| pins.save()) {
            Some(Err(error)) => (
                Outcome::Unknown,
                format!("{} cannot be remembered: {error}", cluster.id),
            ),
            _ if known => (Outcome::Pass, format!("{}, as before", cluster.id)),
            Some(Ok(())) => (
                Outcome::Pass,
                format!("{}, pinned now in {}", cluster.id, paths.state.display()),
            ),
            None => (
                Outcome::Unknown,
                format!("{}; only a context's id is pinned", cluster.id),
            ),
        },
    };
    Row {
        step: "cluster_id".to_owned(),
        subject: context.name.clone(),
        outcome,
        detail,
        took: None,
    }
}

/// As whom AWS is asked: as far as the context says it.
fn identity(context: &Context) -> String {
    let Some(aws) = &context.aws else { return String::new() };
    let parts = [
        ("role", &aws.role_arn),
        ("profile", &aws.profile),
        ("endpoint", &aws.endpoint_url),
    ];
    let named = parts
        .iter()
        .filter_map(|(word, value)| Some(format!("{word} {}", value.as_ref()?)));
    let named: Vec<_> = named.collect();
    match named.is_empty() {
        true => " with the credentials that this machine has".to_owned(),
        false => format!(" with {}", named.join(", ")),
    }
}

/// Whose credentials are they, and are the brokers' instances found with them? The latter where the brokers are known.
async fn aws(context: &Context, sources: &Sources, known: bool, patience: Duration) -> Vec<Row> {
    let row = |step: &str, subject: &str, (outcome, detail): (Outcome, String), took| Row {
        step: step.to_owned(),
        subject: subject.to_owned(),
        outcome,
        detail,
        took,
    };
    let Ok(plane) = &sources.aws else {
        let reason = sources.aws.as_ref().err().cloned().unwrap_or_default();
        return vec![row("aws", "AWS", (Outcome::Unknown, reason), None)];
    };
    let began = Instant::now();
    let caller = timeout(patience, plane.caller()).await;
    let took = began.elapsed();
    let account = match &caller {
        Ok(Ok(caller)) => format!("account {} ", caller.account),
        _ => String::new(),
    };
    let who = match caller {
        Ok(Ok(caller)) => (
            Outcome::Pass,
            format!("{}, account {}{}", caller.arn, caller.account, identity(context)),
        ),
        // Behind an endpoint of EC2's own nobody may answer for STS, and everything else works.
        Ok(Err(error)) => (Outcome::Unknown, format!("{error}{}", identity(context))),
        Err(_) => (
            Outcome::Unknown,
            format!("no answer within {} ms{}", patience.as_millis(), identity(context)),
        ),
    };
    if !known {
        let region = context.aws.as_ref().and_then(|aws| aws.region.as_deref());
        return vec![row("aws_identity", region.unwrap_or("AWS"), who, Some(took))];
    }
    let needs: Needs = [
        Section::Cluster,
        Section::Logdirs,
        Section::Instances,
        Section::Volumes,
        Section::Metrics,
    ]
    .into();
    let snapshot = feed::collect(sources, &needs, patience).await;
    let region = snapshot.cloud.region.as_deref().unwrap_or("unknown region");
    let mut rows = vec![
        row("aws_identity", region, who, Some(took)),
        row("aws", region, found(&snapshot, &format!("{account}{region}")), None),
    ];
    let began = Instant::now();
    let rights = trial::permissions(sources, &snapshot, context.changes, patience).await;
    let took = began.elapsed();
    rows.extend(
        rights
            .into_iter()
            .map(|found| row("aws_rights", region, found, Some(took))),
    );
    rows
}

/// How many of the brokers' instances are there.
fn found(snapshot: &Snapshot, place: &str) -> (Outcome, String) {
    let zones = &snapshot.cloud.zones;
    match &zones.health {
        Health::Absent { reason } => (Outcome::Unknown, reason.clone()),
        Health::Fresh => {
            let brokers = Rows::of(snapshot, Moment::now()).brokers;
            let found = brokers.iter().filter(|row| row.instance.value.is_some()).count();
            let told = format!("{found} of {} broker addresses found in {place}", brokers.len());
            match found {
                0 => (
                    Outcome::Fail,
                    format!("{told}: another account or region? set role_arn or region in the context"),
                ),
                some if some < brokers.len() => (Outcome::Unknown, told),
                _ => (Outcome::Pass, told),
            }
        }
        Health::Unasked | Health::Failing { .. } => (Outcome::Fail, zones.problem().unwrap_or_default()),
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column {
        key: "step",
        title: "STEP",
        rank: Rank::Always,
        field: |row| Field::text(&row.step),
    },
    Column {
        key: "subject",
        title: "OF",
        rank: Rank::Always,
        field: |row| Field::text(&row.subject),
    },
    Column {
        key: "status",
        title: "STATUS",
        rank: Rank::Always,
        field: |row| Field::text(row.outcome.to_string()),
    },
    Column {
        key: "took_ms",
        title: "TOOK",
        rank: Rank::Usual,
        field: |row| match row.took.map(|took| took.as_secs_f64() * 1000.0) {
            Some(millis) => Field::number(millis, format!("{} ms", plain(millis))),
            None => Field::number(super::super::output::Data::Null, ""),
        },
    },
    Column {
        key: "detail",
        title: "DETAIL",
        rank: Rank::Always,
        field: |row| Field::text(&row.detail),
    },
];
