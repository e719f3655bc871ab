//! Logging in on a listener with SASL (KIP-43, KIP-152), and again while the connection lives (KIP-368).
//!
//! Until a client is logged in, nothing but ApiVersions, SaslHandshake and SaslAuthenticate is taken, in small requests,
//! for a bounded time, and from a bounded number of clients at once. Failures are logged with who the client says it
//! is and where it comes from, at most one line every ten seconds for each listener, and never with a secret.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::connection::End;
use super::entry::Failures;
use crate::auth::Principal;
use crate::auth::sasl::{Exchange, Failure, Offer, Step, Success};
use crate::handler::{self, Call, Context, Reply, Software, sasl_authenticate, sasl_handshake};
use crate::wire::sasl::Mechanism;
use crate::wire::{self, ErrorCode, Header};

/// From the first byte to the end of the login.
pub(super) const LOGIN_DEADLINE: Duration = Duration::from_secs(30);
/// Clients of one listener that are not logged in yet; more are turned away. At most half of `max.connections`.
const HALF_OPEN: usize = 1_024;
/// As in Kafka: who logs in again sooner than this is refused.
const LOGIN_INTERVAL: Duration = Duration::from_secs(1);
/// As much of a client's words as a log line holds.
const SHOWN_CHARS: usize = 64;

/// SASL on a listener.
pub struct Sasl {
    offer: Offer,
    half_open: Semaphore,
    failures: Mutex<Failures>,
}

/// One connection's login.
pub(super) struct Session {
    sasl: Arc<Sasl>,
    cx: Arc<Context>,
    client: SocketAddr,
    listener: Arc<str>,
    software: Software,
    stage: Stage,
    user: Option<User>,
    /// When a login was last begun after the first.
    begun: Option<Instant>,
}

enum Stage {
    /// A handshake may come.
    Idle,
    /// The mechanism's messages come: in SaslAuthenticate requests or, after the oldest handshake, bare.
    Exchange {
        mechanism: Mechanism,
        exchange: Exchange,
        bare: bool,
    },
    /// Whoever is logged in came back with another mechanism, which its next request is told.
    Changed(Mechanism),
}

/// Who is logged in.
struct User {
    principal: Arc<Principal>,
    mechanism: Mechanism,
    by_token: bool,
    /// When requests are not taken any more, unless it logs in again.
    ends: Option<Instant>,
}

/// What a client gets.
pub(super) enum Answer {
    Reply(Reply),
    /// Held back for a while; then the connection ends.
    Refusal(Option<Reply>),
}

impl Sasl {
    /// `connections`: how many the listener takes.
    pub fn new(offer: Offer, connections: usize) -> Self {
        Self {
            offer,
            half_open: Semaphore::new(HALF_OPEN.min(connections / 2).max(1)),
            failures: Mutex::default(),
        }
    }

    pub(super) fn receive_bytes(&self) -> usize {
        self.offer.receive_bytes
    }

    /// How long a refusal is held back.
    pub(super) fn failure_delay(&self) -> Duration {
        self.offer.failure_delay
    }

    /// A place among those that are not logged in.
    pub(super) fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.half_open.try_acquire().ok()
    }

    pub(super) fn report(&self, client: SocketAddr, listener: &str, what: &str) {
        match self.failures.lock().count(Instant::now()) {
            Some(0) => tracing::warn!("{client} on {listener} is not let in: {what}"),
            Some(silent) => tracing::warn!(
                "{client} on {listener} is not let in: {what}; neither were {silent} others since the last such line"
            ),
            None => tracing::debug!("{client} on {listener} is not let in: {what}"),
        }
    }
}

impl std::fmt::Debug for Sasl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.offer.names().collect();
        f.debug_struct("Sasl")
            .field("mechanisms", &names)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub fn new(sasl: Arc<Sasl>, cx: Arc<Context>, client: SocketAddr, listener: Arc<str>, software: Software) -> Self {
        Self {
            sasl,
            cx,
            client,
            listener,
            software,
            stage: Stage::Idle,
            user: None,
            begun: None,
        }
    }

    pub fn sasl(&self) -> &Arc<Sasl> {
        &self.sasl
    }

    /// Who is logged in.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.user.as_ref().map(|user| &user.principal)
    }

    /// Whether a delegation token let it in.
    pub fn is_by_token(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.by_token)
    }

    /// Takes a frame of a client that is not logged in.
    pub async fn first(&mut self, mut frame: Bytes) -> Result<Answer, End> {
        if let Stage::Exchange { bare: true, .. } = self.stage {
            return Ok(self.bare(&frame));
        }
        let header = wire::decode_header(&mut frame).map_err(|error| End::Frame(error.to_string()))?;
        match (ApiKey::try_from(header.key), &self.stage) {
            (Ok(ApiKey::ApiVersions), Stage::Idle) => {
                let call = self.call(&header);
                Ok(Answer::Reply(handler::answer(&self.cx, &call, &header, frame).await?))
            }
            (Ok(ApiKey::SaslHandshake), Stage::Idle) => self.handshake(&header, frame),
            (Ok(ApiKey::SaslAuthenticate), Stage::Exchange { .. }) => self.authenticate(&header, frame),
            _ => Err(unexpected(&header)),
        }
    }

    /// Takes a request of a client that is logged in; `None` if it is one for the handlers.
    pub fn again(&mut self, header: &Header, body: &Bytes) -> Result<Option<Answer>, End> {
        let now = Instant::now();
        let ends = self.user.as_ref().and_then(|user| user.ends);
        let rested = self
            .begun
            .is_none_or(|begun| now.duration_since(begun) >= LOGIN_INTERVAL);
        match (ApiKey::try_from(header.key), &self.stage) {
            // Version 0 goes on with bare messages, which a connection with requests cannot tell from those.
            (Ok(ApiKey::SaslHandshake), Stage::Idle) if ends.is_some() && rested && header.version > 0 => {
                self.begun = Some(now);
                self.handshake(header, body.clone()).map(Some)
            }
            (Ok(ApiKey::SaslAuthenticate), Stage::Exchange { .. } | Stage::Changed(_)) => {
                self.authenticate(header, body.clone()).map(Some)
            }
            (_, Stage::Exchange { .. } | Stage::Changed(_)) => Err(unexpected(header)),
            _ if ends.is_some_and(|ends| ends <= now) => Err(End::Expired),
            _ => Ok(None),
        }
    }

    fn handshake(&mut self, header: &Header, body: Bytes) -> Result<Answer, End> {
        let request: SaslHandshakeRequest = self.read(header, body, &sasl_handshake::VERSIONS)?;
        let names = self.sasl.offer.names().map(StrBytes::from_static_str).collect();
        let mut response = SaslHandshakeResponse::default().with_mechanisms(names);
        let mechanism = self.sasl.offer.mechanism(&request.mechanism);
        let begun = mechanism.and_then(|mechanism| Some((mechanism, self.sasl.offer.begin(mechanism)?)));
        let Some((mechanism, exchange)) = begun else {
            response.error_code = ErrorCode::UnsupportedSaslMechanism.code();
            self.report(&format!("it asks for the mechanism {}", shown(&request.mechanism)));
            return Ok(Answer::Refusal(Some(written(&response, header)?)));
        };
        self.stage = match &self.user {
            Some(user) if user.mechanism != mechanism => Stage::Changed(mechanism),
            _ => Stage::Exchange {
                mechanism,
                exchange,
                bare: header.version == 0,
            },
        };
        Ok(Answer::Reply(written(&response, header)?))
    }

    fn authenticate(&mut self, header: &Header, body: Bytes) -> Result<Answer, End> {
        let request: SaslAuthenticateRequest = self.read(header, body, &sasl_authenticate::VERSIONS)?;
        let response = SaslAuthenticateResponse::default();
        match self.step(&request.auth_bytes) {
            Ok(Taken::More(challenge)) => {
                let response = response.with_auth_bytes(challenge.into());
                Ok(Answer::Reply(written(&response, header)?))
            }
            Ok(Taken::Done(token, lifetime)) => {
                let mut response = response.with_auth_bytes(token.into());
                if header.version > 0 {
                    let lifetime = lifetime.unwrap_or_default().as_millis();
                    response.session_lifetime_ms = i64::try_from(lifetime).unwrap_or(i64::MAX);
                }
                Ok(Answer::Reply(written(&response, header)?))
            }
            Err(said) => {
                let response = response
                    .with_error_code(ErrorCode::SaslAuthenticationFailed.code())
                    .with_error_message(Some(StrBytes::from_string(said)));
                Ok(Answer::Refusal(Some(written(&response, header)?)))
            }
        }
    }

    /// A message without a request around it, and its answer likewise; a failure has no form there.
    fn bare(&mut self, message: &[u8]) -> Answer {
        match self.step(message) {
            Ok(Taken::More(bytes) | Taken::Done(bytes, _)) => {
                let mut frame = BytesMut::with_capacity(4 + bytes.len());
                frame.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                frame.put_slice(&bytes);
                Answer::Reply(Reply::from(frame.freeze()))
            }
            Err(_) => Answer::Refusal(None),
        }
    }

    /// Brings the login further; the error is what the client is told.
    fn step(&mut self, message: &[u8]) -> Result<Taken, String> {
        let stage = std::mem::replace(&mut self.stage, Stage::Idle);
        let (mechanism, mut exchange, bare) = match stage {
            Stage::Exchange {
                mechanism,
                exchange,
                bare,
            } => (mechanism, exchange, bare),
            Stage::Changed(mechanism) => return Err(self.changed_mechanism(mechanism)),
            Stage::Idle => return Err("there was no SaslHandshake".to_owned()),
        };
        let now_ms = self.cx.clock.now_ms();
        match exchange.step(message, &self.cx.image(), now_ms) {
            Step::Challenge(bytes) => {
                self.stage = Stage::Exchange {
                    mechanism,
                    exchange,
                    bare,
                };
                Ok(Taken::More(bytes))
            }
            Step::Success(success) => self.admit(mechanism, success, now_ms),
            Step::Failure(failure) => Err(self.fail(mechanism, failure)),
        }
    }

    fn admit(&mut self, mechanism: Mechanism, success: Success, now_ms: i64) -> Result<Taken, String> {
        if let Some(user) = &self.user
            && *user.principal != success.principal
        {
            let (old, new) = (&user.principal, &success.principal);
            let said = format!(
                "Cannot change principals during re-authentication from {}.{}: {}.{}",
                old.kind, old.name, new.kind, new.name
            );
            self.report(&format!("{} logs in again as {}", old, shown(&new.name)));
            return Err(said);
        }
        let credential = success
            .expires_ms
            .map(|end| Duration::from_millis(u64::try_from(end - now_ms).unwrap_or(0)));
        let lifetime = credential.into_iter().chain(self.sasl.offer.session(mechanism)).min();
        tracing::debug!("{} on {} is {}", self.client, self.listener, success.principal);
        let principal = match self.user.take() {
            Some(user) => user.principal,
            None => Arc::new(success.principal),
        };
        self.user = Some(User {
            principal,
            mechanism,
            by_token: success.by_token,
            ends: lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime)),
        });
        Ok(Taken::Done(success.token, lifetime))
    }

    fn fail(&self, mechanism: Mechanism, failure: Failure) -> String {
        let user = failure
            .user
            .as_deref()
            .map_or_else(String::new, |user| format!(" as {}", shown(user)));
        self.report(&format!("its login{user} with {mechanism} failed: {}", failure.why));
        failure.said.unwrap_or_else(|| {
            let what = match self.user {
                Some(_) => "re-authentication",
                None => "authentication",
            };
            format!("Authentication failed during {what} due to invalid credentials with SASL mechanism {mechanism}")
        })
    }

    fn changed_mechanism(&self, mechanism: Mechanism) -> String {
        let known = self.user.as_ref().map_or("", |user| user.mechanism.name());
        self.report(&format!("it logs in again with {mechanism} instead of {known}"));
        format!(
            "SASL mechanism '{mechanism}' requested by client is not supported for re-authentication of mechanism '{known}'"
        )
    }

    fn report(&self, what: &str) {
        self.sasl.report(self.client, &self.listener, what);
    }

    fn read<M: Decodable>(
        &self,
        header: &Header,
        body: Bytes,
        versions: &std::ops::RangeInclusive<i16>,
    ) -> Result<M, End> {
        if !versions.contains(&header.version) {
            return Err(unexpected(header));
        }
        wire::decode_message(body, header.version).map_err(|error| End::Frame(error.to_string()))
    }

    fn call(&self, header: &Header) -> Call {
        Call {
            version: header.version,
            correlation: header.correlation,
            client_id: header.client_id.clone(),
            client_addr: self.client,
            principal: Arc::new(Principal::anonymous()),
            listener: Arc::clone(&self.listener),
            by_token: false,
            software: Arc::clone(&self.software),
        }
    }
}

/// What a message led to.
enum Taken {
    More(Vec<u8>),
    /// The last bytes, and for how long the login holds.
    Done(Vec<u8>, Option<Duration>),
}

fn written<M: Encodable + HeaderVersion>(response: &M, header: &Header) -> Result<Reply, End> {
    wire::encode_response(response, header.version, header.correlation)
        .map(Reply::from)
        .map_err(|error| End::Frame(error.to_string()))
}

fn unexpected(header: &Header) -> End {
    let api = ApiKey::try_from(header.key).map_or_else(|()| header.key.to_string(), |api| format!("{api:?}"));
    End::Frame(format!(
        "{api} version {} is no request that can come before the end of the login",
        header.version
    ))
}

/// A client's own words, made harmless for a log.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_CHARS).collect();
    format!("{short:?}")
}
