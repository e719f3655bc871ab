//! A look at every cluster of the context file at once, each judged by triage. Only looks: nothing is recorded or pinned.

use std::time::Duration;

use futures::future::join_all;

use crate::check::Triage;
use crate::check::brief::Brief;
use crate::feed::{Needs, Section, Sources, collect};
use crate::model::Moment;
use crate::model::row::Rows;
use crate::settings::context::Contexts;
use crate::settings::target::{self, Asked};
use crate::settings::{Error, Paths};

/// What a verdict rests on. AWS and probes are left out: a line is to be there in seconds, and to cost nothing.
const NEEDS: [Section; 9] = [
    Section::Cluster,
    Section::Links,
    Section::Topics,
    Section::Offsets,
    Section::Groups,
    Section::Logdirs,
    Section::BrokerConfigs,
    Section::TopicConfigs,
    Section::Quorum,
];

/// A context and what triage says of its cluster, or why it was not seen.
pub type Line = (String, Result<Brief, String>);

/// Asks the clusters of all contexts at once, each within `deadline`; in the order of their names.
///
/// # Errors
/// When the file cannot be read.
pub async fn look(asked: &Asked, paths: &Paths, deadline: Duration) -> Result<Vec<Line>, Error> {
    let contexts = Contexts::load(&asked.file(paths))?;
    let all = contexts.context.into_keys().map(|name| async move {
        let brief = one(&name, asked, paths, deadline).await;
        (name, brief)
    });
    Ok(join_all(all).await)
}

async fn one(name: &str, asked: &Asked, paths: &Paths, deadline: Duration) -> Result<Brief, String> {
    let alone = Asked {
        context: Some(name.to_owned()),
        context_file: asked.context_file.clone(),
        ..Asked::default()
    };
    let context = target::resolve(&alone, paths).map_err(|error| error.to_string())?;
    let sources = Sources::of(&context, None).map_err(|error| error.to_string())?;
    let snapshot = collect(&sources, &Needs::from(NEEDS), deadline).await;
    let judge = move || {
        let now = Moment::now();
        let rows = Rows::of(&snapshot, now);
        let triage = Triage::without_acts(&snapshot, &rows, now);
        Brief::of(&snapshot, &rows, &triage, now)
    };
    let judged = tokio::task::spawn_blocking(judge).await;
    judged.unwrap_or_else(|error| Err(format!("the rules broke off: {error}")))
}
