//! `azimuth context …`

pub(super) mod diff;
mod missing;
mod test;

use std::path::Path;
use std::time::Duration;

use super::exit::{Failure, say};
use super::facts::{asked, paths};
use super::output::{Answer, Column, Data, Field, Rank};
use crate::check::brief::Brief;
use crate::check::triage::Status;
use crate::command::context::{Entry as New, Verb};
use crate::command::{Global, Line};
use crate::feed;
use crate::operation::fleet;
use crate::settings::context::{Aws, Contexts, Endpoints, Entry, Urls, address_list};
use crate::settings::pin::Pins;
use crate::settings::target::{self, Asked};
use crate::settings::{Class, Context, Secret, properties};

/// A context with what is remembered of it.
struct Row {
    name: String,
    entry: Entry,
    cluster_id: Option<String>,
    /// `None` where its properties cannot be honoured: `context test` says why.
    security: Option<String>,
}

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    match verb {
        Verb::List { verdict: false } => list(&line.global),
        Verb::List { verdict: true } => fleet(&line.global).await,
        Verb::Show { name } => show(&line.global, name.as_ref()),
        Verb::Test { name } => {
            let (context, _) = chosen(&line.global, name.as_ref())?;
            test::answer(&line.global, &context).await
        }
        Verb::Diff { a, b, only, mirror } => diff::answer(&line.global, [a, b], only, mirror.as_deref()).await,
        Verb::Add(new) => add(&line.global, new),
    }
}

fn list(global: &Global) -> Result<Answer, Failure> {
    let paths = paths()?;
    let file = asked(global).file(&paths);
    let contexts = Contexts::load(&file)?;
    if contexts.context.is_empty() {
        say(&format!(
            "azimuth: {} has no contexts; azimuth context add makes one",
            file.display()
        ));
    }
    let pins = Pins::load(&paths)?;
    let rows: Vec<Row> = contexts
        .context
        .into_iter()
        .map(|(name, entry)| row(name, entry, &file, &pins))
        .collect();
    Ok(Answer::list(COLUMNS, &rows, "context", |row| row.name.clone()))
}

/// Every cluster, asked at once.
async fn fleet(global: &Global) -> Result<Answer, Failure> {
    let (paths, asked) = (paths()?, asked(global));
    let lines = fleet::look(&asked, &paths, super::facts::patience(global).min(LOOK)).await?;
    let mut answer = Answer::list(VERDICTS, &lines, "context", |(name, _)| name.clone());
    let seen = || lines.iter().filter_map(|(_, brief)| brief.as_ref().ok());
    answer.is_no = seen().any(|brief| brief.status == Status::Fail);
    answer.complete = seen().count() == lines.len();
    Ok(answer)
}

/// A cluster that has not answered by then is not seen.
const LOOK: Duration = Duration::from_secs(10);

const VERDICTS: &[Column<fleet::Line>] = &[
    Column {
        key: "context",
        title: "CONTEXT",
        rank: Rank::Always,
        field: |(name, _)| Field::text(name.as_str()),
    },
    Column {
        key: "status",
        title: "STATUS",
        rank: Rank::Always,
        field: |(_, brief)| of(brief, |brief| Field::text(brief.status.to_string())),
    },
    Column {
        key: "brokers_up",
        title: "UP",
        rank: Rank::Always,
        field: |(_, brief)| of(brief, |brief| Field::number(brief.up as i64, brief.up)),
    },
    Column {
        key: "brokers",
        title: "BROKERS",
        rank: Rank::Always,
        field: |(_, brief)| of(brief, |brief| Field::number(brief.brokers as i64, brief.brokers)),
    },
    Column {
        key: "culprit",
        title: "CULPRIT",
        rank: Rank::Always,
        field: |(_, brief)| of(brief, |brief| Field::text(brief.culprit.as_str())),
    },
    Column {
        key: "headline",
        title: "VERDICT",
        rank: Rank::Always,
        field: |(_, brief)| of(brief, |brief| Field::text(brief.headline.as_str())),
    },
];

fn of(brief: &Result<Brief, String>, show: impl FnOnce(&Brief) -> Field) -> Field {
    match brief {
        Ok(brief) => show(brief),
        Err(why) => Field {
            reason: Some(why.clone()),
            ..Field::data(Data::Null, "?")
        },
    }
}

fn show(global: &Global, name: Option<&String>) -> Result<Answer, Failure> {
    let (context, asked) = chosen(global, name)?;
    let paths = paths()?;
    let mut contexts = Contexts::load(&asked.file(&paths))?;
    let entry = contexts.context.remove(&context.name).unwrap_or_else(|| Entry {
        bootstrap: context.bootstrap.clone(),
        class: context.class,
        changes: context.changes,
        reason: context.reason,
        ..Entry::default()
    });
    let mut row = row(context.name.clone(), entry, &asked.file(&paths), &Pins::load(&paths)?);
    row.security = Some(context.connection.security.to_string());
    let mut answer = Answer::list(COLUMNS, [&row], "context", |row| row.name.clone());
    answer.blocks[0].upright = true;
    Ok(answer)
}

fn row(name: String, entry: Entry, file: &Path, pins: &Pins) -> Row {
    let cluster_id = entry
        .cluster_id
        .clone()
        .or_else(|| pins.pinned(&entry.bootstrap).map(str::to_owned));
    let context = target::of_entry(name.clone(), entry.clone(), file.to_owned(), &Asked::default());
    Row {
        security: context.ok().map(|context| context.connection.security.to_string()),
        name,
        entry,
        cluster_id,
    }
}

/// The context named here, or the one that the line's target names.
fn chosen(global: &Global, name: Option<&String>) -> Result<(Context, Asked), Failure> {
    let mut asked = asked(global);
    if let Some(name) = name {
        if asked.context.as_ref().is_some_and(|other| other != name) {
            return Err(Failure::usage(format!(
                "two contexts are named: {name}, and another with --context"
            )));
        }
        asked.context = Some(name.clone());
    }
    let context = target::resolve(&asked, &paths()?)?;
    Ok((context, asked))
}

fn add(global: &Global, new: &New) -> Result<Answer, Failure> {
    let paths = paths()?;
    let file = asked(global).file(&paths);
    let Some(list) = &global.bootstrap else {
        return Err(Failure::usage("context add needs --bootstrap HOST:PORT[,HOST:PORT…]"));
    };
    let bootstrap = address_list(list).map_err(|message| Failure::usage(format!("--bootstrap: {message}")))?;
    if new.name.is_empty()
        || new
            .name
            .contains(|letter: char| letter.is_control() || letter.is_whitespace())
    {
        return Err(Failure::usage("a context's name is one word"));
    }
    let mut given = Vec::new();
    for text in &global.property {
        let mut property = properties::argument(text)?;
        if property.key.ends_with(".location")
            && let Some(path) = property.value.written()
        {
            let path =
                std::path::absolute(path).map_err(|error| Failure::usage(format!("-X {}: {error}", property.key)))?;
            property.value = Secret::text(path.display().to_string());
        }
        given.push(property);
    }
    let aws = Aws {
        profile: new.profile.clone(),
        region: new.region.clone(),
        endpoint_url: new.endpoint_url.clone(),
        role_arn: new.role_arn.clone(),
        ..Aws::default()
    };
    let class = new.class.as_deref().and_then(|class| class.parse().ok());
    let entry = Entry {
        bootstrap,
        class: class.unwrap_or(Class::Prod),
        changes: new.changes,
        reason: new.wants_reason,
        command_config: absolute(global.command_config.as_deref())?,
        probe_topic: new.probe_topic.clone(),
        record: true,
        properties: given
            .into_iter()
            .map(|property| (property.key, property.value))
            .collect(),
        aws: (aws != Aws::default()).then_some(aws),
        prometheus: (!new.prometheus.is_empty()).then(|| Endpoints {
            url: Urls(new.prometheus.clone()),
            ..Endpoints::default()
        }),
        driver: None,
        cluster_id: None,
        notify: None,
    };
    // What cannot be read later is refused now: a property, a store, a secret.
    let context = target::of_entry(new.name.clone(), entry.clone(), file.clone(), &Asked::default())?;
    for note in &context.connection.notes {
        say(&format!("azimuth: {note}"));
    }
    feed::target(&context).map_err(Failure::usage)?;
    let row = row(new.name.clone(), entry.clone(), &file, &Pins::load(&paths)?);
    if global.dry_run {
        say(&format!("azimuth: would add this to {}", file.display()));
    } else {
        Contexts::append(&file, &new.name, entry)?;
        say(&format!(
            "azimuth: added to {}; azimuth context test {} tries it",
            file.display(),
            new.name
        ));
    }
    let mut answer = Answer::list(COLUMNS, [&row], "context", |row| row.name.clone());
    answer.blocks[0].upright = true;
    Ok(answer)
}

/// The file must be found from anywhere later.
fn absolute(path: Option<&Path>) -> Result<Option<std::path::PathBuf>, Failure> {
    let absolute = path.map(std::path::absolute).transpose();
    absolute.map_err(|error| Failure::usage(format!("--command-config: {error}")))
}

const COLUMNS: &[Column<Row>] = &[
    Column {
        key: "name",
        title: "CONTEXT",
        rank: Rank::Always,
        field: |row| Field::text(&row.name),
    },
    Column {
        key: "class",
        title: "CLASS",
        rank: Rank::Always,
        field: |row| Field::text(row.entry.class.to_string()),
    },
    Column {
        key: "changes",
        title: "CHANGES",
        rank: Rank::Always,
        field: |row| {
            Field::data(
                row.entry.changes,
                if row.entry.changes { "allowed" } else { "read-only" },
            )
        },
    },
    Column {
        key: "bootstrap",
        title: "BOOTSTRAP",
        rank: Rank::Usual,
        field: |row| Field::list(&row.entry.bootstrap),
    },
    Column {
        key: "security",
        title: "SECURITY",
        rank: Rank::Usual,
        field: |row| Field::maybe(row.security.as_ref()),
    },
    Column {
        key: "cluster_id",
        title: "CLUSTER",
        rank: Rank::Usual,
        field: |row| Field::maybe(row.cluster_id.as_ref()),
    },
    Column {
        key: "aws_region",
        title: "REGION",
        rank: Rank::Usual,
        field: |row| Field::maybe(row.entry.aws.as_ref().and_then(|aws| aws.region.as_ref())),
    },
    Column {
        key: "aws_profile",
        title: "PROFILE",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.entry.aws.as_ref().and_then(|aws| aws.profile.as_ref())),
    },
    Column {
        key: "aws_endpoint_url",
        title: "AWS ENDPOINT",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.entry.aws.as_ref().and_then(|aws| aws.endpoint_url.as_ref())),
    },
    Column {
        key: "command_config",
        title: "COMMAND CONFIG",
        rank: Rank::Wide,
        field: |row| {
            let path = row.entry.command_config.as_ref().map(|path| path.display().to_string());
            Field::data(Data::from(path.clone()), path.unwrap_or_else(|| "-".to_owned()))
        },
    },
    Column {
        key: "probe_topic",
        title: "PROBE TOPIC",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.entry.probe_topic.as_ref()),
    },
];
