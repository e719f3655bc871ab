//! The way to the controller: a call inside this process, or a connection to the controller's listener.
//!
//! A broker never waits for a dead controller longer than a request's deadline, and reconnects on the next request, but not at once
//! where that failed: a hundred nodes that knock again and again keep a controller that is slow to start from ever answering one.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::Request;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::controller::{Controller, Decide};
use crate::env::net::Net;
use crate::env::random::Random;
use crate::wire::{self, Client, ClientConfig, ErrorCode};

/// How this node reaches the controller.
#[derive(Clone)]
pub enum ControllerLink {
    Local(Controller),
    Remote(Arc<RemoteController>),
}

/// The controller did not answer; whether it acted is not known.
#[derive(Debug, thiserror::Error)]
#[error("the controller did not answer: {reason}")]
pub struct Unanswered {
    /// What the API should answer with.
    pub code: ErrorCode,
    pub reason: String,
}

impl ControllerLink {
    /// Has the controller decide a request, in the version that the client speaks.
    ///
    /// # Errors
    /// [`Unanswered`] when the controller is down, slow, or does not know the version.
    pub async fn ask<R>(
        &self,
        request: R,
        version: i16,
        deadline: Duration,
    ) -> Result<<R as Request>::Response, Unanswered>
    where
        R: Request + Decide<Response = <R as Request>::Response>,
    {
        match self {
            Self::Local(controller) => {
                let answer = tokio::time::timeout(deadline, controller.submit(request, version)).await;
                match answer {
                    Ok(Ok(response)) => Ok(response),
                    Ok(Err(error)) => Err(Unanswered {
                        code: ErrorCode::NotController,
                        reason: error.to_string(),
                    }),
                    Err(_) => Err(Unanswered {
                        code: ErrorCode::RequestTimedOut,
                        reason: format!("nothing was decided within {} ms", deadline.as_millis()),
                    }),
                }
            }
            Self::Remote(remote) => remote
                .call_at(request, version, deadline)
                .await
                .map_err(Unanswered::from),
        }
    }
}

impl From<wire::Error> for Unanswered {
    fn from(error: wire::Error) -> Self {
        let code = match error {
            wire::Error::TimedOut { .. } => ErrorCode::RequestTimedOut,
            wire::Error::Unsupported { .. } => ErrorCode::UnsupportedVersion,
            // Retriable for every client: the controller comes back.
            _ => ErrorCode::NotController,
        };
        Self {
            code,
            reason: error.to_string(),
        }
    }
}

/// A connection to the controller that is opened when it is needed.
pub struct RemoteController {
    addr: String,
    net: Net,
    config: ClientConfig,
    random: Random,
    state: Mutex<State>,
}

/// The connection, or when another is tried.
#[derive(Default)]
struct State {
    client: Option<Client>,
    /// Since it last succeeded.
    attempts: u32,
    again: Option<Instant>,
}

/// As Kafka's `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
const BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// The pause after so many attempts that failed: each as long again as the one before, and a fifth more or less, so that nodes
/// which lost the controller together do not come back together.
fn pause(attempts: u32, random: &Random) -> Duration {
    let whole = BACKOFF
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(BACKOFF_MAX);
    let share = 80 + u32::try_from(random.below(41)).unwrap_or(0);
    whole * share / 100
}

impl RemoteController {
    /// `addr`: the controller's listener, `host:port`.
    pub fn new(addr: String, net: Net, config: ClientConfig, random: Random) -> Self {
        Self {
            addr,
            net,
            config,
            random,
            state: Mutex::default(),
        }
    }

    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// The open connection, or a new one.
    ///
    /// # Errors
    /// What [`Client::connect`] fails with.
    pub async fn client(&self) -> Result<Client, wire::Error> {
        let mut state = self.state.lock().await;
        if let Some(client) = state.client.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        if let Some(again) = state.again {
            tokio::time::sleep_until(again).await;
        }
        // Counted as failed from here on: who asks may give up meanwhile.
        state.attempts = state.attempts.saturating_add(1);
        state.again = Some(Instant::now() + pause(state.attempts, &self.random));
        let connected = Client::connect_through(&self.net, &self.addr, &self.config).await;
        match &connected {
            Ok(client) => {
                *state = State {
                    client: Some(client.clone()),
                    ..State::default()
                }
            }
            Err(_) => state.again = Some(Instant::now() + pause(state.attempts, &self.random)),
        }
        connected
    }

    /// Sends a request at the highest version both have.
    ///
    /// # Errors
    /// Any [`wire::Error`].
    pub async fn call<R: Request>(&self, request: R, deadline: Duration) -> Result<R::Response, wire::Error> {
        self.within(deadline, async { self.client().await?.call(request, deadline).await })
            .await
    }

    /// Sends a request at exactly `version`.
    ///
    /// # Errors
    /// Any [`wire::Error`].
    pub async fn call_at<R: Request>(
        &self,
        request: R,
        version: i16,
        deadline: Duration,
    ) -> Result<R::Response, wire::Error> {
        self.within(deadline, async {
            self.client().await?.call_at(request, version, deadline).await
        })
        .await
    }

    /// Holds connecting and asking together to one deadline.
    async fn within<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T, wire::Error>>,
    ) -> Result<T, wire::Error> {
        tokio::time::timeout(deadline, call).await.unwrap_or_else(|_| {
            Err(wire::Error::TimedOut {
                addr: self.addr.clone(),
                what: "the controller".to_owned(),
                after: deadline,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::env::net::bind;

    #[test]
    fn pauses_double_up_to_a_second_and_differ_from_node_to_node() {
        let random = Random::seeded(7);
        for (attempts, whole) in [(1, 50), (2, 100), (3, 200), (5, 800), (6, 1000), (60, 1000)] {
            let pauses: Vec<Duration> = (0..100).map(|_| pause(attempts, &random)).collect();
            let within = |pause: &Duration| {
                (Duration::from_millis(whole * 8 / 10)..=Duration::from_millis(whole * 12 / 10)).contains(pause)
            };
            assert!(pauses.iter().all(within), "{attempts}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }

    #[tokio::test]
    async fn a_controller_that_answers_nobody_is_not_knocked_at_without_end() {
        let listener = bind("127.0.0.1:0").await.expect("binds");
        let addr = listener.local_addr().expect("bound").to_string();
        let knocks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&knocks);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                drop(stream);
            }
        });
        let remote = RemoteController::new(addr, Net::default(), ClientConfig::default(), Random::seeded(1));
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            assert!(remote.client().await.is_err());
        }
        let knocks = knocks.load(Ordering::Relaxed);
        // 50, 100, 200, 400, 800 ms and then a second apart, a fifth less each.
        assert!((1..=8).contains(&knocks), "{knocks} connections in 2 s");
    }
}
