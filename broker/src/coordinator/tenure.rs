//! What a coordinator decides while it leads one partition in one leader epoch: its state, what of it is still to be written,
//! and whether it is loaded and leads yet.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// What is decided about, in memory.
pub(super) trait State {
    /// A change that takes effect once it is in the log.
    type Write;

    /// Drops whoever waits for an answer; they learn so that this is not their coordinator any more.
    fn resign(&mut self);
}

/// A state, and the queue to the one task that writes its changes in the order in which they were decided.
pub(super) struct Tenure<S: State> {
    state: Mutex<S>,
    queue: Mutex<Vec<S::Write>>,
    wake: Notify,
    loaded: AtomicBool,
    closed: AtomicBool,
}

impl<S: State> Tenure<S> {
    pub(super) fn of(state: S) -> Self {
        Self {
            state: Mutex::new(state),
            queue: Mutex::default(),
            wake: Notify::new(),
            loaded: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, S> {
        self.state.lock()
    }

    /// The log has been read; questions are answered from now on.
    pub(super) fn begin(&self) {
        self.loaded.store(true, Ordering::Release);
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire) && !self.is_closed()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.state.lock().resign();
        self.queue.lock().clear();
        self.wake.notify_one();
    }

    /// Decides, and queues what is to be written for it. Wakes the task, because deadlines may have come nearer.
    pub(super) fn decide<T>(&self, act: impl FnOnce(&mut S) -> (T, Vec<S::Write>)) -> T {
        let mut state = self.state.lock();
        let (result, writes) = act(&mut state);
        if self.is_closed() {
            // Nobody writes any more: whoever asked meanwhile is told so by what is dropped, and would wait for ever by what is kept.
            state.resign();
            return result;
        }
        // Queued under the lock, or two decisions could be written in the other order.
        self.queue.lock().extend(writes);
        drop(state);
        self.wake.notify_one();
        result
    }

    /// What is queued, to take from it what is written next.
    pub(super) fn queue(&self) -> MutexGuard<'_, Vec<S::Write>> {
        self.queue.lock()
    }

    /// Until something was decided, or it ends.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// Whoever waits for something.
    #[derive(Default)]
    struct Waiting(Vec<oneshot::Sender<()>>);

    impl State for Waiting {
        type Write = u32;

        fn resign(&mut self) {
            self.0.clear();
        }
    }

    #[tokio::test]
    async fn who_asks_when_it_is_over_is_told_so() {
        let tenure = Tenure::of(Waiting::default());
        let ask = |number: u32| {
            let (reply, answer) = oneshot::channel();
            tenure.decide(|waiting| {
                waiting.0.push(reply);
                ((), vec![number])
            });
            answer
        };
        let mut before = ask(1);
        tenure.woken().await;
        assert_eq!(*tenure.queue(), [1]);
        assert!(
            before
                .try_recv()
                .is_err_and(|e| e == oneshot::error::TryRecvError::Empty)
        );
        tenure.close();
        before.await.unwrap_err();
        assert!(tenure.queue().is_empty());
        ask(2).await.unwrap_err();
        assert!(tenure.queue().is_empty(), "nobody would write it");
    }
}
