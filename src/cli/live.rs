//! Looking on from a command: a feed of its own, whose snapshots are judged again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::exit::Failure;
use super::facts::{context_of, hold_to_pin, paths, sources};
use super::missing::problems;
use super::output::Problem;
use crate::command::Line;
use crate::feed::{Cadence, Feed, Needs};
use crate::model::Snapshot;
use crate::settings::Context;
use crate::settings::pin::Pins;

/// Nothing is judged before everything was asked once, or this has passed.
const FIRST: Duration = Duration::from_secs(6);
/// Rows of a wide cluster take a while: no more often than this.
const PACE: Duration = Duration::from_millis(500);

/// A look that goes on.
pub struct Live {
    pub feed: Feed,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    context: Context,
    pins: Pins,
    needs: Needs,
    began: Instant,
    until: Option<Instant>,
    due: Instant,
    begun: bool,
}

impl Live {
    /// Begins to look at `needs`, without which an answer is in part, and at what is good to know `beside` them.
    pub fn begin(line: &Line, needs: Needs, beside: &Needs, patience: Option<Duration>) -> Result<Self, Failure> {
        let paths = paths()?;
        let (context, _) = context_of(&line.global, &paths)?;
        let pins = Pins::load(&paths)?;
        let feed = Feed::start(sources(&context, &pins, &paths)?, Cadence::default());
        feed.focus(needs.union(beside).copied().collect());
        let began = Instant::now();
        Ok(Self {
            snapshots: feed.snapshots(),
            feed,
            context,
            pins,
            needs,
            began,
            until: patience.map(|patience| began + patience),
            due: began,
            begun: false,
        })
    }

    /// The next snapshot; `None` when the time is over.
    pub async fn next(&mut self) -> Result<Option<Arc<Snapshot>>, Failure> {
        loop {
            let over = self.until.unwrap_or(self.began);
            tokio::select! {
                () = tokio::time::sleep_until(over), if self.until.is_some() => return Ok(None),
                changed = self.snapshots.changed() => if changed.is_err() { return Ok(None) },
                // Of a cluster that is not there nothing new comes; that is an answer too.
                () = tokio::time::sleep_until(self.began + FIRST), if !self.begun => {}
            }
            tokio::time::sleep_until(self.due).await;
            self.due = Instant::now() + PACE;
            let snapshot = self.snapshots.borrow_and_update().clone();
            hold_to_pin(&self.context, &mut self.pins, &snapshot)?;
            self.begun |= self.began.elapsed() >= FIRST || self.is_whole(&snapshot);
            if self.begun {
                return Ok(Some(snapshot));
            }
        }
    }

    /// What was not seen.
    pub fn problems(&self, snapshot: &Snapshot) -> Vec<Problem> {
        problems(snapshot, &self.needs)
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether everything was asked once.
    fn is_whole(&self, snapshot: &Snapshot) -> bool {
        let unasked = |problem: &Problem| {
            problem.reason.contains("not asked yet") || problem.reason.contains("no broker was asked")
        };
        snapshot.cluster.get().is_some() && !self.problems(snapshot).iter().any(unasked)
    }
}
