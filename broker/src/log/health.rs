//! Whether a log directory can still be trusted; shared by all of its logs.

use std::sync::OnceLock;

/// Sound until the first failure, and failed from then on: only a restart, which reads the disk, helps.
#[derive(Debug, Default)]
pub(super) struct Health {
    failure: OnceLock<String>,
}

impl Health {
    /// Notes the first failure.
    pub(super) fn fail(&self, why: String) {
        tracing::error!("{why}");
        // A later failure is a consequence of the first.
        let _ = self.failure.set(why);
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}
