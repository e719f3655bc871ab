//! The fleet: the clusters of the context file, and which of them is open. Only that one is asked.

use crate::check::brief::Brief;
use crate::check::triage::Status;

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};

/// A cluster of the context file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub name: String,
    /// `prod`, `staging`, `dev`.
    pub class: String,
    /// False is read-only.
    pub changes: bool,
    pub bootstrap: String,
    /// Set by hand in the file, or pinned at the first connect.
    pub cluster_id: Option<String>,
    /// For example `SASL_SSL SCRAM-SHA-512`; or why its properties cannot be used.
    pub security: Result<String, String>,
    /// The AWS region or profile, where it names one.
    pub aws: Option<String>,
    /// What triage said of it when it was asked last, or why it was not seen; `None` before.
    pub verdict: Option<Result<Brief, String>>,
}

/// All of them; `enter` opens one, and asking again asks each of them. `own` is the verdict on the one that is open.
pub fn list(contexts: &[Context], open: &str, health: &Field, own: Option<&Brief>) -> Table {
    let columns = vec![
        Column::new("context", "context", 0).width(11, 32),
        Column::new("class", "class", 0).width(7, 8),
        Column::new("changes", "changes", 0).width(9, 9),
        Column::new("health", "health", 0).width(9, 24),
        Column::new("verdict", "verdict", 0).width(24, 60),
        Column::new("cluster_id", "cluster id", 2).width(10, 24),
        Column::new("security", "security", 1).width(9, 30),
        Column::new("bootstrap", "bootstrap", 3).width(10, 60),
        Column::new("aws", "aws", 3).width(3, 24),
    ];
    Table {
        columns,
        rows: contexts.iter().map(|context| row(context, open, health, own)).collect(),
        noun: "context",
        empty: "there is no context: azimuth context add NAME --bootstrap HOST:PORT makes one".to_owned(),
        ..Table::default()
    }
}

fn row(context: &Context, open: &str, health: &Field, own: Option<&Brief>) -> Row {
    let is_open = context.name == open;
    let class = match context.class.as_str() {
        "prod" => Field::new("prod").tone(Tone::Error),
        "staging" => Field::new("staging").tone(Tone::Warn),
        other => Field::new(other),
    };
    let maybe = |text: &Option<String>| text.clone().map_or_else(Field::none, Field::new);
    let mut notes = vec![match is_open {
        true => "this one is open; enter goes to its brokers".to_owned(),
        false => "nothing is asked of it until it is opened, or all are asked for a verdict; enter leaves this cluster for it"
            .to_owned(),
    }];
    let verdict = match (is_open, own, &context.verdict) {
        (true, Some(own), _) => Some(Ok(own)),
        (_, _, Some(Ok(brief))) => Some(Ok(brief)),
        (_, _, Some(Err(why))) => Some(Err(why)),
        _ => None,
    };
    if let Some(Ok(brief)) = verdict
        && !is_open
    {
        notes.push(format!("seen {}", brief.at.strftime("%H:%M:%SZ")));
    }
    if let Err(why) = &context.security {
        notes.push(format!("✖ it cannot be opened: {why}"));
    }
    Row {
        key: context.name.clone(),
        fields: vec![
            Field::new(context.name.clone()).tone(if is_open { Tone::Title } else { Tone::Plain }),
            class,
            match context.changes {
                true => Field::new("allowed").tone(Tone::Warn),
                false => Field::muted("read-only"),
            },
            match is_open {
                true => health.clone(),
                false => asked(context.verdict.as_ref()),
            },
            told(verdict),
            match &context.cluster_id {
                Some(id) => Field::new(id.clone()),
                None => Field::muted("not pinned"),
            },
            match &context.security {
                Ok(security) => Field::new(security.clone()),
                Err(why) => Field::new("✖ unusable").tone(Tone::Error).why(Some(why.clone())),
            },
            Field::new(context.bootstrap.clone()),
            maybe(&context.aws),
        ],
        // What cannot be opened may be anything.
        badness: 3 * u64::from(context.security.is_err())
            + match verdict {
                Some(Ok(brief)) => brief.status as u64,
                Some(Err(_)) => 1,
                None => 0,
            },
        notes,
        opens: Some(Place::list(Noun::Broker)),
        ..Row::default()
    }
}

/// How many of its brokers answer.
fn asked(verdict: Option<&Result<Brief, String>>) -> Field {
    match verdict {
        Some(Ok(brief)) if brief.up == brief.brokers => {
            Field::new(format!("● {}/{}", brief.up, brief.brokers)).tone(Tone::Ok)
        }
        Some(Ok(brief)) => Field::new(format!("✖ {}/{}", brief.up, brief.brokers)).tone(Tone::Error),
        Some(Err(why)) => Field::unknown(why.clone()),
        None => Field::muted("not asked"),
    }
}

fn told(verdict: Option<Result<&Brief, &String>>) -> Field {
    match verdict {
        Some(Ok(brief)) => {
            let (mark, tone) = match brief.status {
                Status::Ok => ("●", Tone::Ok),
                Status::Warn => ("▲", Tone::Warn),
                Status::Fail => ("✖", Tone::Error),
            };
            let who = match brief.culprit.as_str() {
                "nobody" => String::new(),
                who => format!(": {who}"),
            };
            Field::new(format!("{mark} {}{who}", brief.headline)).tone(tone)
        }
        Some(Err(why)) => Field::unknown(why.clone()),
        None => Field::muted("ctrl-r asks all"),
    }
}
