//! `azimuth` alone: from the target's flags and our files to open screens, and on to another context when asked.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::app;
use super::app::first::{First, Item, Pick};
use super::app::state::Origin;
use super::past;
use super::runtime::{Facts, Verbs};
use super::verbs::Live;
use super::{Options, Outcome};
use crate::command::{Global, Line};
use crate::feed::{Cadence, Feed, Section, Sources};
use crate::model::event::Event;
use crate::model::{Moment, Observed, Snapshot, Trouble};
use crate::operation::Ground;
use crate::settings::appearance::{Appearance, Colours};
use crate::settings::context::{Contexts, Entry};
use crate::settings::pin::Pins;
use crate::settings::target::{self, Asked};
use crate::settings::{Context, Error, Paths, discover, properties, state};

/// Why the screens did not open, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A flag or a file is wrong: exit 2.
    #[error("{0}")]
    Settings(String),
    #[error("{0:#}")]
    Screens(color_eyre::Report),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Left,
    /// No cluster was known, and the person chose the demo.
    Demo,
}

/// Opens the screens on the cluster of `line`, until the person leaves. Where no cluster is known at all, what was found
/// on this machine is shown to choose from.
pub async fn open(line: &Line) -> Result<Ended, Failure> {
    if let Some(from) = &line.global.from {
        return past::open(line, from).await;
    }
    let settings = |error: &dyn std::fmt::Display| Failure::Settings(error.to_string());
    let paths = Paths::of_user().ok_or_else(|| settings(&Error::NoHome))?;
    let environment = |name: &str| std::env::var(name).ok();
    let mut appearance = Appearance::load(Some(&paths.appearance()), environment).map_err(|error| settings(&error))?;
    if line.global.no_color {
        appearance.colours = Some(Colours::None);
    }
    let mut asked = asked(&line.global);
    if knows_nothing(&asked, &paths) {
        match first_time(&appearance, &paths).await? {
            None => return Ok(Ended::Left),
            Some(Pick::Demo) => return Ok(Ended::Demo),
            Some(Pick::Cluster {
                bootstrap,
                command_config,
            }) => {
                asked.bootstrap = Some(bootstrap);
                asked.command_config = asked.command_config.or(command_config.map(PathBuf::from));
            }
        }
    }
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
            contexts: fleet(contexts, &asked, &paths),
            appearance: appearance.clone(),
            paths: Some(paths.clone()),
            clock: None,
        };
        match super::run(options).await.map_err(Failure::Screens)? {
            Outcome::Quit => return Ok(Ended::Left),
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

/// No context is written down, and none is named. A file that cannot be read says so by itself.
fn knows_nothing(asked: &Asked, paths: &Paths) -> bool {
    let named = [&asked.context, &asked.environment, &asked.bootstrap];
    let named = named
        .into_iter()
        .any(|name| name.as_ref().is_some_and(|name| !name.is_empty()));
    let files = asked.context_file.is_some() || asked.command_config.is_some();
    !named && !files && Contexts::load(&paths.contexts()).is_ok_and(|all| all.context.is_empty())
}

/// What was found on this machine, until something of it is chosen.
async fn first_time(appearance: &Appearance, paths: &Paths) -> Result<Option<Pick>, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let here = std::env::current_dir().unwrap_or_default();
    let found = discover::look(environment, home.as_deref(), &here);
    let item = |find: discover::Find| Item {
        label: find.bootstrap.clone(),
        hint: find.place,
        pick: Pick::Cluster {
            bootstrap: find.bootstrap,
            command_config: find.command_config.map(|path| path.display().to_string()),
        },
    };
    let clusters = found.clusters.into_iter().map(item).collect();
    let first = First::new(clusters, found.profiles);
    super::choose(first, appearance.clone(), Some(paths.clone()))
        .await
        .map_err(Failure::Screens)
}

/// The contexts of the file, as the screens show them. What a file says wrongly is shown beside its context.
fn fleet(contexts: Contexts, asked: &Asked, paths: &Paths) -> Vec<app::context::Context> {
    let pins = Pins::load(paths);
    let context = |(name, entry): (String, Entry)| {
        let alone = Asked {
            context: Some(name.clone()),
            context_file: asked.context_file.clone(),
            ..Asked::default()
        };
        let pinned = || pins.as_ref().ok()?.pinned(&entry.bootstrap).map(str::to_owned);
        let aws = entry
            .aws
            .as_ref()
            .and_then(|aws| aws.region.clone().or(aws.profile.clone()));
        app::context::Context {
            class: entry.class.to_string(),
            changes: entry.changes,
            bootstrap: entry.bootstrap.join(","),
            cluster_id: entry.cluster_id.clone().or_else(pinned),
            security: target::resolve(&alone, paths)
                .map(|context| context.connection.security.to_string())
                .map_err(|error| error.to_string()),
            aws,
            name,
            verdict: None,
        }
    };
    contexts.context.into_iter().map(context).collect()
}

/// The feed, for as long as the screens are open.
struct Shared(Arc<Feed>);

impl Facts for Shared {
    fn note(&self, event: Event) {
        self.0.note(event);
    }

    fn refresh(&self, section: Section) {
        self.0.refresh(section);
    }

    fn focus(&self, sections: BTreeSet<Section>) {
        self.0.focus(sections);
    }
}

pub(super) fn asked(global: &Global) -> Asked {
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
    let list = asked.bootstrap.clone().unwrap_or_else(|| context.bootstrap.join(","));
    let flags = match context.file.is_none() {
        true => vec![
            ("--bootstrap", Some(list)),
            ("--command-config", path(&asked.command_config)),
        ],
        false => vec![
            ("--context", Some(context.name.clone())),
            ("--context-file", path(&asked.context_file)),
        ],
    };
    let mut target: Vec<String> = Vec::new();
    for (flag, value) in flags {
        target.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    for text in &asked.properties {
        target.extend(["-X".to_owned(), properties::public(text)]);
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
