//! Where changes happen: a context with its sources, its rule, and the folder of its cluster's operations.

use std::time::Duration;

use super::driver::Garage;
use super::folder::Folder;
use super::launch::Route;
use super::{Error, Secrets};
use crate::feed::{self, Needs, Section, Sources};
use crate::model::Snapshot;
use crate::settings::context::Contexts;
use crate::settings::pin::Pins;
use crate::settings::properties;
use crate::settings::rule::{self, Rule};
use crate::settings::target::{self, Asked};
use crate::settings::{Context, Paths, state};

/// One context to work on.
#[derive(Debug, Clone)]
pub struct Ground {
    pub context: Context,
    pub asked: Asked,
    pub paths: Paths,
    pub sources: Sources,
}

impl Ground {
    /// Nothing is connected yet.
    pub fn of(asked: Asked, paths: Paths) -> Result<Self, Error> {
        let context = target::resolve(&asked, &paths)?;
        let pins = Pins::load(&paths)?;
        let state = pins.expected(&context).and_then(|id| state::of(id, &paths).ok());
        let sources = Sources::of(&context, state.map(|state| state.folder))?.recorded(&context, &paths);
        Ok(Self {
            context,
            asked,
            paths,
            sources,
        })
    }

    /// What reaches its brokers' processes.
    pub fn garage(&self) -> Garage {
        Garage::of(&self.context, self.sources.aws.clone().ok())
    }

    /// How an engine is led to the same cluster.
    pub fn route(&self) -> Route {
        Route {
            flags: self.flags(),
            properties: self.asked.properties.clone(),
            secrets: Secrets::default(),
            unattended: false,
        }
    }

    /// The flags that name the same cluster, as they may be shown: a secret given with `-X` is left out.
    pub fn target(&self) -> Vec<String> {
        let properties = self.asked.properties.iter();
        let properties = properties.flat_map(|text| ["-X".to_owned(), properties::public(text)]);
        self.flags().into_iter().chain(properties).collect()
    }

    fn flags(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
        let path = |path: &std::path::PathBuf| {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            whole.display().to_string()
        };
        if self.context.file.is_none() {
            add("--bootstrap", self.context.bootstrap.join(","));
        } else {
            add("--context", self.context.name.clone());
        }
        if let Some(file) = &self.asked.context_file {
            add("--context-file", path(file));
        }
        if let Some(file) = &self.asked.command_config {
            add("--command-config", path(file));
        }
        words
    }

    /// What may be done to this cluster.
    pub fn rule(&self, cluster_id: &str) -> Result<Rule, Error> {
        let contexts = Contexts::load(&self.asked.file(&self.paths))?;
        Ok(rule::of(
            &self.context,
            cluster_id,
            &contexts,
            &Pins::load(&self.paths)?,
        ))
    }

    /// The id of the cluster that was seen; another than the pinned one is refused, one seen first is pinned.
    pub fn hold(&self, snapshot: &Snapshot) -> Result<String, Error> {
        let Some(cluster) = snapshot.cluster.get() else {
            return Err(Error::Unseen(snapshot.cluster.problem().unwrap_or_default()));
        };
        let mut pins = Pins::load(&self.paths)?;
        if pins.check(&self.context, &cluster.id)? {
            pins.save()?;
        }
        Ok(cluster.id.clone())
    }

    /// The cluster's id as it is remembered, so that operations can be looked at while no broker answers; asked for where
    /// it is not.
    pub async fn cluster_id(&self, deadline: Duration) -> Result<String, Error> {
        let pins = Pins::load(&self.paths)?;
        if let Some(id) = pins.expected(&self.context) {
            return Ok(id.to_owned());
        }
        let snapshot = feed::collect(&self.sources, &Needs::from([Section::Cluster]), deadline).await;
        self.hold(&snapshot)
    }

    /// Where the operations of a cluster lie, if nobody else on this host sees them: the badge `private journal`, and how to
    /// share them.
    pub fn private(&self, cluster_id: &str) -> Option<String> {
        let state = state::of(cluster_id, &self.paths).ok().filter(|state| state.private)?;
        Some(format!(
            "private journal: only you see what lies in {}; {}/{cluster_id}, made for a group, shares it with the operators of this host",
            state.folder.display(),
            state::SHARED
        ))
    }

    /// The runs of runbooks on a cluster.
    pub fn runs(&self, cluster_id: &str) -> Result<Folder, Error> {
        Ok(Folder::runs(&state::of(cluster_id, &self.paths)?.folder))
    }

    /// The operations of a cluster.
    pub fn folder(&self, cluster_id: &str) -> Result<Folder, Error> {
        Ok(Folder::new(&state::of(cluster_id, &self.paths)?.folder))
    }
}
