//! The background tasks of a node: none outlives it.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::env::origin;

/// Tasks that end with this value, and work for the node of whoever spawned them.
#[derive(Default)]
pub struct Tasks {
    handles: Vec<JoinHandle<()>>,
}

impl Tasks {
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.handles.push(origin::spawn(task));
    }

    /// Waits until all have ended by themselves, at most `grace`; then ends the rest.
    pub async fn finish(mut self, grace: Duration) {
        let all = futures::future::join_all(self.handles.iter_mut());
        // Those that are left are ended below.
        let _ = tokio::time::timeout(grace, all).await;
        self.end().await;
    }

    /// Ends all and waits until they are gone.
    pub async fn end(mut self) {
        for handle in &self.handles {
            handle.abort();
        }
        for handle in &mut self.handles {
            if !handle.is_finished() {
                // It was aborted, which is what was asked for.
                let _ = handle.await;
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for handle in &self.handles {
            handle.abort();
        }
    }
}
