//! Staying logged in: again and again, each time before the login ends (KIP-368).
//!
//! All other requests are held back meanwhile, as servers expect.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::Request;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Connection, codec};
use crate::env::origin;
use crate::wire::error::Error;
use crate::wire::login::{Ask, log_in};
use crate::wire::sasl::Sasl;

/// For each request: those before it are answered first.
const DEADLINE: Duration = Duration::from_secs(60);

/// Logs in again at `when`, and so on. The connection ends when that fails.
pub(super) fn keep_logged_in(connection: &Arc<Connection>, sasl: Sasl, when: Instant) -> JoinHandle<()> {
    let connection = Arc::downgrade(connection);
    origin::spawn(async move {
        let mut next = Some(when);
        while let Some(when) = next {
            tokio::time::sleep_until(when).await;
            let Some(connection) = connection.upgrade() else {
                return;
            };
            let _closed = connection.gate.write().await;
            match log_in(&mut &*connection, &sasl).await {
                Ok(again) => next = again,
                Err(error) => {
                    tracing::warn!("a connection is given up: {error}");
                    connection.end();
                    return;
                }
            }
        }
    })
}

impl Ask for &Connection {
    fn addr(&self) -> &str {
        &self.addr
    }

    async fn ask<R: Request + Send + Sync>(&mut self, request: R, version: i16) -> Result<R::Response, Error> {
        let frame = self.exchange_now(&request, version, DEADLINE).await?;
        codec::decode_response::<R>(frame, version).map_err(|error| self.malformed::<R>(&error))
    }
}
