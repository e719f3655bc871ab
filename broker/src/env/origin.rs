//! Whose work a task does, so that each log line of a process with several nodes can name its node; and whether it has
//! a thread of its own.
//!
//! A task belongs to the node of the task that spawned it with these functions. It costs a few nanoseconds each time a
//! task is polled. A node that is to live with a stalled volume has its tasks [`threaded`]: what waits for that volume,
//! or for a lock that is held meanwhile, then blocks nobody else.

use std::future::Future;
use std::sync::OnceLock;

use futures::future::Either;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::world::World;

#[derive(Debug, Clone, Copy, Default)]
struct Origin {
    node: Option<i32>,
    threaded: bool,
}

tokio::task_local! {
    static ORIGIN: Origin;
}

/// Of a process that is one node.
static WHOLE_PROCESS: OnceLock<i32> = OnceLock::new();

fn origin() -> Origin {
    ORIGIN.try_with(|origin| *origin).unwrap_or_default()
}

/// The node that the running task works for.
pub fn node() -> Option<i32> {
    origin().node.or_else(|| WHOLE_PROCESS.get().copied())
}

/// From now on all work of this process that names no other node is this one's. The first caller wins.
pub fn is_whole_process(node: i32) {
    // A second node does not change whose process it is.
    let _ = WHOLE_PROCESS.set(node);
}

/// `work` for `node`.
pub fn of<F: Future>(node: i32, work: F) -> impl Future<Output = F::Output> {
    let node = Some(node);
    ORIGIN.scope(Origin { node, ..origin() }, work)
}

/// `work`, whose tasks have a thread each.
pub fn threaded<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let threaded = true;
    ORIGIN.scope(Origin { threaded, ..origin() }, work)
}

/// `work` for the node of the caller, wherever it is polled.
pub fn inherited<F>(work: F) -> impl Future<Output = F::Output> + Send
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let origin = origin();
    if origin.threaded {
        Either::Left(on_a_thread(origin, work))
    } else {
        Either::Right(ORIGIN.scope(origin, work))
    }
}

/// As [`tokio::spawn`], for the node of the caller.
pub fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(inherited(work))
}

/// As [`tokio::task::spawn_blocking`], for the node of the caller. In a [`World`] it is a task like others.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let origin = origin();
    if World::here().is_some() {
        return tokio::spawn(async move { ORIGIN.sync_scope(origin, work) });
    }
    tokio::task::spawn_blocking(move || ORIGIN.sync_scope(origin, work))
}

/// Runs `work` on a thread that it may block. Dropping the future drops `work`, once it does not block.
async fn on_a_thread<F>(origin: Origin, work: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let runtime = Handle::current();
    let (wanted, dropped) = oneshot::channel::<()>();
    let done = tokio::task::spawn_blocking(move || {
        let work = async {
            tokio::select! {
                // First, because a runtime that ends drops its tasks and then wakes every timer, which must not be polled again.
                biased;
                _ = dropped => None,
                output = work => Some(output),
            }
        };
        ORIGIN.sync_scope(origin, || runtime.block_on(work))
    });
    let output = done.await;
    drop(wanted);
    match output {
        Ok(Some(output)) => output,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime ends, and this with it.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_node_spawns_is_its_own() {
        let seen = of(7, async {
            let task = spawn(async { (node(), spawn_blocking(node).await.expect("runs")) });
            (node(), task.await.expect("runs"))
        });
        assert_eq!(seen.await, (Some(7), (Some(7), Some(7))));
        let other = of(8, async { spawn(async { node() }).await.expect("runs") });
        assert_eq!(other.await, Some(8));
    }

    #[tokio::test]
    async fn a_threaded_task_blocks_nobody_and_ends_when_it_is_aborted() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (gone, is_gone) = oneshot::channel::<()>();
        threaded(async {
            // This runtime has one thread only.
            let blocked = spawn(async move { wait.recv().is_ok() });
            assert_eq!(
                of(3, async { spawn(async { node() }).await.expect("runs") }).await,
                Some(3)
            );
            go.send(()).expect("it waits");
            assert!(blocked.await.expect("runs"));
            let endless = spawn(async move {
                let _gone = gone;
                std::future::pending::<()>().await
            });
            tokio::task::yield_now().await;
            endless.abort();
            assert!(is_gone.await.is_err(), "it is dropped");
            let panics = spawn(async { panic!("on purpose") });
            assert!(panics.await.expect_err("panics").is_panic());
        })
        .await;
    }
}
