//! A live snapshot of one cluster: every section polled at its own pace, each failing alone.

mod section;

pub use section::{Cadence, Needs, Section};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::model::Snapshot;
use crate::source::kafka::Kafka;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The context's name, as shown.
    pub context: String,
    pub kafka: Kafka,
}

/// The pollers of one cluster. They stop when it is dropped.
#[derive(Debug)]
pub struct Feed {
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Feed {
    /// Starts polling on the current tokio runtime.
    pub fn start(_sources: Sources, _cadence: Cadence) -> Self {
        let (_, snapshots) = watch::channel(Arc::default());
        Self { snapshots }
    }

    /// The latest snapshot, always; what lies between two looks is skipped, never queued.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Asks for a section now, whatever its cadence and back-off say.
    pub fn refresh(&self, _section: Section) {}

    /// No question is asked while paused.
    pub fn pause(&self, _paused: bool) {}

    /// The sections on screen: these are polled at their fast cadence.
    pub fn focus(&self, _sections: BTreeSet<Section>) {}
}

/// One look at the sections in `needs`, in parallel, within `deadline` in all. What did not arrive says why.
pub async fn collect(sources: &Sources, _needs: &Needs, _deadline: Duration) -> Snapshot {
    Snapshot {
        context: sources.context.clone(),
        ..Snapshot::default()
    }
}
