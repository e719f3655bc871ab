//! How many requests wait for something: what Kafka calls the size of a purgatory.

use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};

/// Requests that wait now.
#[derive(Debug, Default)]
pub struct Waiting {
    now: AtomicI64,
}

/// Counts one as long as it is held.
struct Counted<'a>(&'a Waiting);

impl Waiting {
    /// Counts a request from the first time that it cannot go on at once until it is done or given up.
    pub async fn watch<F: Future>(&self, request: F) -> F::Output {
        let mut request = pin!(request);
        let mut counted = None;
        std::future::poll_fn(|cx| {
            let polled = request.as_mut().poll(cx);
            if polled.is_pending() && counted.is_none() {
                self.now.fetch_add(1, Ordering::Relaxed);
                counted = Some(Counted(self));
            }
            polled
        })
        .await
    }

    pub fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn only_requests_that_wait_are_counted_and_only_while_they_do() {
        let waiting = Waiting::default();
        assert_eq!((waiting.watch(async { 5 }).await, waiting.now()), (5, 0));
        let mut first = Box::pin(waiting.watch(std::future::pending::<()>()));
        assert_eq!((first.as_mut().now_or_never(), waiting.now()), (None, 1));
        assert_eq!((first.as_mut().now_or_never(), waiting.now()), (None, 1));
        drop(first);
        assert_eq!(waiting.now(), 0);
    }
}
