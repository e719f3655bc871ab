//! The way to the controller: a call inside this process, or a connection to the controller's listener.
//!
//! A broker never waits for a dead controller longer than a request's deadline, and reconnects on the next request.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::Request;
use tokio::sync::Mutex;

use crate::controller::{Controller, Decide};
use crate::env::net::Net;
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
    client: Mutex<Option<Client>>,
}

impl RemoteController {
    /// `addr`: the controller's listener, `host:port`.
    pub fn new(addr: String, net: Net, config: ClientConfig) -> Self {
        Self {
            addr,
            net,
            config,
            client: Mutex::new(None),
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
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let client = Client::connect_through(&self.net, &self.addr, &self.config).await?;
        *slot = Some(client.clone());
        Ok(client)
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
