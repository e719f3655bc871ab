//! `azimuth` alone: from the target's flags and our files to open screens, and on to another context when asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use super::app::state::Origin;
use super::runtime::{Facts, Verbs};
use super::verbs::Live;
use super::{Options, Outcome};
use crate::command::{Global, Line};
use crate::feed::{Cadence, Feed, Section, Sources};
use crate::model::{Moment, Observed, Snapshot, Trouble};
use crate::operation::Ground;
use crate::settings::appearance::{Appearance, Colours};
use crate::settings::context::Contexts;
use crate::settings::pin::Pins;
use crate::settings::target::{self, Asked};
use crate::settings::{Context, Error, Paths, state};

/// Why the screens did not open, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A flag or a file is wrong: exit 2.
    #[error("{0}")]
    Settings(String),
    #[error("{0:#}")]
    Screens(color_eyre::Report),
}

/// Opens the screens on the cluster of `line`, until the person leaves.
pub async fn open(line: &Line) -> Result<(), Failure> {
    let settings = |error: &dyn std::fmt::Display| Failure::Settings(error.to_string());
    let paths = Paths::of_user().ok_or_else(|| settings(&Error::NoHome))?;
    let environment = |name: &str| std::env::var(name).ok();
    let mut appearance = Appearance::load(Some(&paths.appearance()), environment).map_err(|error| settings(&error))?;
    if line.global.no_color {
        appearance.colours = Some(Colours::None);
    }
    let mut asked = asked(&line.global);
    loop {
        let context = target::resolve(&asked, &paths).map_err(|error| settings(&error))?;
        let contexts = Contexts::load(&asked.file(&paths)).unwrap_or_default();
        let pins = Pins::load(&paths).map_err(|error| settings(&error))?;
        let folder = pins.expected(&context).and_then(|id| state::of(id, &paths).ok());
        let sources = Sources::of(&context, folder.map(|state| state.folder)).map_err(|error| settings(&error))?;
        let sources = sources.recorded(&context, &paths);
        let feed = Arc::new(Feed::start(sources.clone(), Cadence::default()));
        let origin = origin(&context, &asked);
        let snapshots = held_to_pin(&feed, context, pins);
        let ground = Ground::of(asked.clone(), paths.clone()).map_err(|error| settings(&error))?;
        let verbs: Arc<dyn Verbs> = Arc::new(Live::new(ground, sources, snapshots.clone()));
        let options = Options {
            origin,
            snapshots,
            facts: Arc::new(Shared(feed)),
            verbs: Some(verbs),
            contexts: contexts.context.into_keys().collect(),
            appearance: appearance.clone(),
            paths: Some(paths.clone()),
        };
        match super::run(options).await.map_err(Failure::Screens)? {
            Outcome::Quit => return Ok(()),
            Outcome::SwitchContext(name) => {
                asked = Asked {
                    context: Some(name),
                    bootstrap: None,
                    ..asked
                };
            }
        }
    }
}

/// The feed, for as long as the screens are open.
struct Shared(Arc<Feed>);

impl Facts for Shared {
    fn refresh(&self, section: Section) {
        self.0.refresh(section);
    }

    fn focus(&self, sections: BTreeSet<Section>) {
        self.0.focus(sections);
    }
}

fn asked(global: &Global) -> Asked {
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

fn origin(context: &Context, asked: &Asked) -> Origin {
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let flags = match &asked.bootstrap {
        Some(list) => vec![
            ("--bootstrap", Some(list.clone())),
            ("--command-config", path(&asked.command_config)),
        ],
        None => vec![
            ("--context", Some(context.name.clone())),
            ("--context-file", path(&asked.context_file)),
        ],
    };
    let mut target: Vec<String> = Vec::new();
    for (flag, value) in flags {
        target.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    Origin {
        context: context.name.clone(),
        class: context.class.to_string(),
        read_only: !context.changes,
        bootstrap: context.bootstrap.join(","),
        target,
    }
}

/// The feed's snapshots, as long as they are of the cluster that this context was first connected to. Another cluster
/// behind the same addresses is shown as refused, and nothing of it is.
fn held_to_pin(feed: &Feed, context: Context, mut pins: Pins) -> watch::Receiver<Arc<Snapshot>> {
    let mut told = feed.snapshots();
    let (publish, snapshots) = watch::channel(Arc::default());
    tokio::spawn(async move {
        let mut checked: Option<String> = None;
        told.mark_changed();
        while told.changed().await.is_ok() {
            let mut snapshot = told.borrow_and_update().clone();
            let id = snapshot.cluster.get().map(|cluster| cluster.id.clone());
            if let Some(id) = id.filter(|id| checked.as_ref() != Some(id)) {
                match pins.check(&context, &id) {
                    Ok(news) => {
                        checked = Some(id);
                        if news && let Err(error) = pins.save() {
                            tracing::warn!("the cluster's id cannot be remembered: {error}");
                        }
                    }
                    Err(mismatch) => snapshot = Arc::new(refused(&snapshot.context, &mismatch.to_string())),
                }
            }
            if publish.send(snapshot).is_err() {
                return;
            }
        }
    });
    snapshots
}

fn refused(context: &str, why: &str) -> Snapshot {
    let mut cluster = Observed::default();
    cluster.fail(Trouble::Refused, why, Moment::now());
    Snapshot {
        context: context.to_owned(),
        cluster,
        ..Snapshot::default()
    }
}
