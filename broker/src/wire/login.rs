//! Logging in on a connection (KIP-43, KIP-152): the same few requests on a new stream, and later on one that is in use.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::{Request, StrBytes};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::client::ClientConfig;
use super::error::Error;
use super::frame::{FrameError, FrameReader};
use super::sasl::{Exchange, Sasl};
use super::stream::Stream;
use super::{ErrorCode, codec};
use crate::env::random;

/// Of both requests: every broker since 2.2 has it, and the session's lifetime is in it (KIP-368).
const VERSION: i16 = 1;
/// The largest answer before the end of a login.
const ANSWER_BYTES: usize = 512 * 1024;
/// A server refuses whoever logs in again sooner.
const INTERVAL: Duration = Duration::from_millis(1_100);

/// Something that requests are answered on, one after the other.
pub(super) trait Ask {
    fn addr(&self) -> &str;

    fn ask<R: Request + Send + Sync>(
        &mut self,
        request: R,
        version: i16,
    ) -> impl Future<Output = Result<R::Response, Error>> + Send;
}

/// Logs in; returns when to do so again, if the login does not hold for ever. The caller sets the deadline.
///
/// # Errors
/// [`Error::Login`], or what a request fails with.
pub(super) async fn log_in(channel: &mut (impl Ask + Send), sasl: &Sasl) -> Result<Option<Instant>, Error> {
    handshake(channel, sasl).await?;
    let mut exchange = sasl.begin().await.map_err(|why| failed(channel, sasl, why))?;
    let mut message = exchange.first();
    loop {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
        let answer = channel.ask(request, VERSION).await?;
        if answer.error_code != 0 {
            let said = answer.error_message.as_deref().unwrap_or_default();
            return Err(failed(channel, sasl, reason(answer.error_code, said)));
        }
        let next;
        (exchange, next) = stepped(exchange, answer.auth_bytes).await;
        match next.map_err(|why| failed(channel, sasl, why))? {
            Some(more) => message = more,
            None => {
                let lifetime = u64::try_from(answer.session_lifetime_ms).ok().filter(|ms| *ms > 0);
                return Ok(lifetime.map(|ms| Instant::now() + early(Duration::from_millis(ms))));
            }
        }
    }
}

/// Logs in on a stream on which nothing else happens meanwhile, as `config` says; nothing where it says nothing.
///
/// # Errors
/// As [`log_in`].
pub async fn log_in_on(stream: &mut Stream, addr: &str, config: &ClientConfig) -> Result<Option<Instant>, Error> {
    let Some(sasl) = &config.sasl else {
        return Ok(None);
    };
    let mut channel = OnStream {
        stream,
        frames: FrameReader::new(ANSWER_BYTES.min(config.max_frame_bytes)),
        addr,
        client_id: StrBytes::from_string(config.client_id.clone()),
        correlation: 0,
    };
    log_in(&mut channel, sasl).await
}

async fn handshake(channel: &mut (impl Ask + Send), sasl: &Sasl) -> Result<(), Error> {
    let name = StrBytes::from_static_str(sasl.mechanism().name());
    let answer = channel
        .ask(SaslHandshakeRequest::default().with_mechanism(name), VERSION)
        .await?;
    if answer.error_code == 0 {
        return Ok(());
    }
    let offered: Vec<_> = answer.mechanisms.iter().map(|name| name.as_str()).collect();
    let said = match offered.as_slice() {
        [] => String::new(),
        names => format!("it offers {}", names.join(", ")),
    };
    Err(failed(channel, sasl, reason(answer.error_code, &said)))
}

/// Between 85 and 95 % of a login's time, as Kafka's clients do it.
fn early(lifetime: Duration) -> Duration {
    let spread = u32::from(random::uuid().as_bytes()[0]) % 11;
    (lifetime * (85 + spread) / 100).max(INTERVAL)
}

/// The next message. SCRAM computes for milliseconds, on a thread that may be blocked.
async fn stepped(mut exchange: Exchange, challenge: Bytes) -> (Exchange, Result<Option<Vec<u8>>, String>) {
    let stepped = tokio::task::spawn_blocking(move || {
        let next = exchange.answer(&challenge);
        (exchange, next)
    });
    match stepped.await {
        Ok(stepped) => stepped,
        Err(error) => (
            Exchange::Plain(Vec::new()),
            Err(format!("computing the answer failed: {error}")),
        ),
    }
}

fn failed(channel: &impl Ask, sasl: &Sasl, reason: impl Into<String>) -> Error {
    Error::Login {
        addr: channel.addr().to_owned(),
        mechanism: sasl.mechanism().name(),
        reason: reason.into(),
    }
}

fn reason(code: i16, said: &str) -> String {
    let code = ErrorCode::try_from_code(code).map_or_else(|| code.to_string(), |code| format!("{code:?}"));
    match said {
        "" => code,
        said => format!("{code}, {said}"),
    }
}

struct OnStream<'a> {
    stream: &'a mut Stream,
    frames: FrameReader,
    addr: &'a str,
    client_id: StrBytes,
    correlation: i32,
}

impl Ask for OnStream<'_> {
    fn addr(&self) -> &str {
        self.addr
    }

    async fn ask<R: Request + Send + Sync>(&mut self, request: R, version: i16) -> Result<R::Response, Error> {
        let addr = || self.addr.to_owned();
        self.correlation += 1;
        let frame = codec::encode_request(&request, version, self.correlation, &self.client_id).map_err(|error| {
            Error::Unwritable {
                addr: addr(),
                what: "login".to_owned(),
                reason: error.to_string(),
            }
        })?;
        let malformed = |reason: String| Error::Malformed {
            addr: addr(),
            what: "answer to a login".to_owned(),
            reason,
        };
        let exchanged = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await?;
            self.frames.next(self.stream).await
        };
        let answer = match exchanged.await {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(FrameError::Io(_)) => return Err(Error::Closed { addr: addr() }),
            Err(FrameError::TooLarge { bytes, limit }) => {
                return Err(Error::TooLarge {
                    addr: addr(),
                    bytes,
                    limit,
                });
            }
        };
        if answer.first_chunk::<4>() != Some(&self.correlation.to_be_bytes()) {
            return Err(malformed("it is the answer to another request".to_owned()));
        }
        codec::decode_response::<R>(answer, version).map_err(|error| malformed(error.to_string()))
    }
}
