//! Whether a log directory can still be trusted; shared by all of its logs.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

/// Counts what changes about a node's directories: one failed, or a log moved to another.
pub(super) type News = Arc<watch::Sender<u64>>;

/// Sound until the first failure, and failed from then on: only a restart, which reads the disk, helps.
#[derive(Debug, Default)]
pub(super) struct Health {
    failure: OnceLock<String>,
    news: News,
}

impl Health {
    /// One that tells its failure to those who watch.
    pub(super) fn telling(news: &News) -> Self {
        Self {
            failure: OnceLock::new(),
            news: Arc::clone(news),
        }
    }

    /// Notes the first failure; later ones are its consequences.
    pub(super) fn fail(&self, why: String) {
        if self.failure.set(why.clone()).is_ok() {
            tracing::error!("a log directory goes offline: {why}");
            self.news.send_modify(|count| *count += 1);
        }
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}
