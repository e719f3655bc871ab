//! A node in this process, and how it is ended.
//!
//! Where faults are allowed each node has threads of its own, as in a process of its own, and each of its tasks has one:
//! what needs a stalled volume hangs and nothing else. A freeze stops the threads that bring time and network to them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::env::origin;
use crate::node::{self, Config, Effects, Faults, Node, Surroundings};

/// What brings events to a node's tasks.
const THREADS: usize = 2;
/// Tasks that a node may have: connections above all.
pub const TASKS_MAX: usize = 4096;
/// After which a node that does not end is left to the process's end.
const END_DEADLINE: Duration = Duration::from_secs(10);
/// A stop is orderly that long, then it is a kill.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Hosted {
    node: Option<Node>,
    faults: Faults,
    own: Option<Own>,
}

/// A node's own threads.
struct Own {
    runtime: Option<Runtime>,
    ice: Arc<Ice>,
}

impl Hosted {
    /// Starts a node on the caller's threads, where what can go wrong is what its surroundings have; nothing there may block.
    pub async fn start(
        config: Config,
        (around, faults): (Surroundings, Faults),
        effects: &Effects,
    ) -> Result<Self, node::Error> {
        faults.set(effects);
        Ok(Self {
            node: Some(Node::start(config, around).await?),
            faults,
            own: None,
        })
    }

    /// Starts a node on threads of its own, where everything can go wrong.
    pub async fn start_apart(config: Config, around: Surroundings, effects: &Effects) -> Result<Self, node::Error> {
        let (around, faults) = around.at_fault();
        faults.set(effects);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(TASKS_MAX)
            .thread_name(format!("node-{}", config.node_id()))
            .enable_all()
            .build()?;
        let starting = runtime.spawn(origin::threaded(Node::start(config, around)));
        // From here on dropping this ends the threads.
        let mut hosted = Self {
            node: None,
            faults,
            own: Some(Own {
                runtime: Some(runtime),
                ice: Arc::default(),
            }),
        };
        let started = tokio::time::timeout(STOP_DEADLINE, starting).await;
        hosted.node = Some(match started {
            Ok(Ok(node)) => node?,
            Ok(Err(panic)) => return Err(node::Error::Failed(format!("starting failed, which is a bug: {panic}"))),
            Err(_) => {
                return Err(node::Error::Failed(format!(
                    "it did not start within {} s; heal its faults first",
                    STOP_DEADLINE.as_secs()
                )));
            }
        });
        Ok(hosted)
    }

    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// From now on exactly this is wrong.
    pub fn set(&self, effects: &Effects) {
        self.faults.set(effects);
    }

    /// Nothing reaches the node any more, neither time nor network. Returns when that is so; `false` if it has no threads of
    /// its own.
    pub async fn freeze(&self) -> bool {
        let runtime = self.own.as_ref().and_then(|own| Some((own, own.runtime.as_ref()?)));
        let Some((own, runtime)) = runtime else { return false };
        own.ice.freeze(runtime).await;
        true
    }

    pub fn thaw(&self) {
        if let Some(own) = &self.own {
            own.ice.thaw();
        }
    }

    /// Ends it as `kill -9` does. Returns when nothing of it runs.
    pub async fn kill(mut self) {
        let Some(node) = self.node.take() else { return };
        match self.own.take() {
            None => node.kill().await,
            Some(own) => {
                // Its tasks are aborted before its threads move again.
                drop(node);
                self.faults.abandon();
                own.end().await;
            }
        }
    }

    /// Ends it in an orderly way while the whole cluster stops. Only for a node on the caller's threads.
    pub async fn stop_with_all(mut self) {
        if let Some(node) = self.node.take() {
            node.shutdown_with_all().await;
        }
    }

    /// Ends it in an orderly way, or by force when that takes too long.
    pub async fn stop(mut self) {
        let Some(node) = self.node.take() else { return };
        let Some(own) = self.own.take() else {
            return node.shutdown().await;
        };
        own.ice.thaw();
        if let Some(runtime) = &own.runtime {
            let stopping = runtime.spawn(node.shutdown());
            if tokio::time::timeout(STOP_DEADLINE, stopping).await.is_err() {
                tracing::warn!("a node does not stop and is ended by force");
            }
        }
        self.faults.abandon();
        own.end().await;
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        drop(self.node.take());
        if self.own.is_some() {
            self.faults.abandon();
        }
    }
}

impl Own {
    /// Ends the threads and waits for their end.
    async fn end(mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let ice = Arc::clone(&self.ice);
        let ended = tokio::task::spawn_blocking(move || {
            ice.thaw();
            runtime.shutdown_timeout(END_DEADLINE);
        });
        if let Err(panic) = ended.await {
            tracing::error!("a node's threads did not end: {panic}");
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.ice.thaw();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Holds a runtime's threads where they are, so that nothing wakes its tasks.
#[derive(Default)]
struct Ice {
    frozen: Mutex<bool>,
    changed: Condvar,
}

impl Ice {
    async fn freeze(self: &Arc<Self>, runtime: &Runtime) {
        *self.frozen.lock() = true;
        let held = Arc::new(watch::Sender::new(0));
        for _ in 0..THREADS {
            let (ice, held) = (Arc::clone(self), Arc::clone(&held));
            // Each takes one thread out of service.
            runtime.spawn(async move {
                held.send_modify(|held| *held += 1);
                ice.hold();
            });
        }
        let mut held = held.subscribe();
        let all = held.wait_for(|held| *held >= THREADS);
        let _ = tokio::time::timeout(END_DEADLINE, all).await;
    }

    fn hold(&self) {
        let mut frozen = self.frozen.lock();
        while *frozen {
            self.changed.wait(&mut frozen);
        }
    }

    fn thaw(&self) {
        *self.frozen.lock() = false;
        self.changed.notify_all();
    }
}
