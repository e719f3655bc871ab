//! The driver that runs a program of the operator's own on this machine.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Driver, Exit, Run, State, process};
use crate::settings::Secret;

/// Variables that the program gets besides the engine's own.
pub(super) struct Command {
    environment: BTreeMap<String, Secret>,
}

impl Command {
    pub fn new(environment: BTreeMap<String, Secret>) -> Self {
        Self { environment }
    }

    /// The values now; files and commands that tell them are read when they are needed.
    async fn revealed(&self) -> Result<BTreeMap<String, String>, String> {
        let environment = self.environment.clone();
        let reveal = move || {
            let pairs = environment.iter();
            pairs
                .map(|(name, secret)| Ok((name.clone(), secret.reveal()?)))
                .collect()
        };
        let revealed = tokio::task::spawn_blocking(reveal).await;
        revealed.map_err(|error| error.to_string())?
    }
}

impl Driver for Command {
    fn begin<'a>(&'a self, words: &'a [String], run: &'a Run) -> BoxFuture<'a, Result<(), String>> {
        async move { process::begin(run, words, &self.revealed().await?) }.boxed()
    }

    fn look<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, State> {
        async move {
            // What cannot be looked up cannot have been said either, but for what was known when it began.
            let secrets = self.revealed().await.unwrap_or_default();
            process::look(run, secrets.values().map(String::as_str))
        }
        .boxed()
    }

    fn is_cut(&self, exit: &Exit) -> bool {
        exit.code.is_none()
    }
}
