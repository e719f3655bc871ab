//! One pipelined connection to a Kafka listener.
//!
//! Any number of calls may be in flight; answers are matched by correlation id. Every call has a deadline, and a
//! call given up on does not disturb the others. A connection that failed stays failed: connect again.

mod keep;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Message, Request, StrBytes, VersionRange};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::sync::{RwLock, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::error::Error;
use super::frame::{FrameError, FrameReader, MAX_FRAME_BYTES};
use super::sasl::Sasl;
use super::stream::{ReadHalf, WriteHalf};
use super::{ErrorCode, codec, dial, tls, version};
use crate::env::net::Net;

/// Requests waiting for the socket; a caller past that waits, up to its deadline.
const QUEUED_REQUESTS: usize = 64;

/// After a failed write, how long what the other side said before is waited for.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How to connect.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Shown in the other side's logs and metrics.
    pub client_id: String,
    /// For the TCP connection, the TLS handshake, the login and the first exchange of versions together.
    pub connect_timeout: Duration,
    /// The largest answer accepted.
    pub max_frame_bytes: usize,
    /// See [`FrameReader::lean`].
    pub lean: bool,
    pub security: Security,
    /// How to log in, where the listener has SASL.
    pub sasl: Option<Sasl>,
}

/// What a connection is wrapped in.
#[derive(Debug, Clone, Default)]
pub enum Security {
    #[default]
    Plaintext,
    /// Shared by all connections that trust and show the same certificates.
    Tls(Arc<tls::Connector>),
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            client_id: "azimuth".to_owned(),
            connect_timeout: Duration::from_secs(5),
            max_frame_bytes: MAX_FRAME_BYTES,
            lean: false,
            security: Security::Plaintext,
            sasl: None,
        }
    }
}

/// A connection. Clones share it; it closes when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Client {
    connection: Arc<Connection>,
    versions: Arc<ApiVersionsResponse>,
}

/// An answer that nobody has taken apart yet: of a wide cluster that is most of the work, and most answers are as the last one.
#[derive(Debug)]
pub struct Answer<R> {
    /// Without its length.
    frame: Bytes,
    version: i16,
    connection: Arc<Connection>,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> Answer<R> {
    /// The same for two answers that say the same in the same words, whoever gave them.
    pub fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.version.hash(&mut hasher);
        // The correlation id is the request's.
        hasher.write(self.frame.get(4..).unwrap_or_default());
        hasher.finish()
    }

    /// Takes it apart.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(self) -> Result<R::Response, Error> {
        let Self {
            frame,
            version,
            connection,
            ..
        } = self;
        codec::decode_response::<R>(frame, version).map_err(|error| connection.malformed::<R>(&error))
    }
}

#[derive(Debug)]
struct Connection {
    addr: Arc<str>,
    client_id: StrBytes,
    next: AtomicI32,
    requests: mpsc::Sender<Bytes>,
    pending: Arc<Pending>,
    tasks: [JoinHandle<()>; 2],
    /// Read by each request while it is handed over; written while logging in again, when no other may be sent.
    gate: RwLock<()>,
    keeper: OnceLock<JoinHandle<()>>,
}

impl Client {
    /// Connects to `addr` (`host:port`) and asks which API versions it has.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Tls`], [`Error::Login`], [`Error::TimedOut`], or what the first exchange fails with.
    pub async fn connect(addr: impl AsRef<str>, config: &ClientConfig) -> Result<Self, Error> {
        Self::connect_through(&Net::default(), addr, config).await
    }

    /// Like [`Client::connect`], through a network that may be at fault.
    pub async fn connect_through(net: &Net, addr: impl AsRef<str>, config: &ClientConfig) -> Result<Self, Error> {
        let addr = addr.as_ref();
        let started = tokio::time::timeout(config.connect_timeout, async {
            let (connection, login) = Connection::open(net, addr, config).await?;
            let connection = Arc::new(connection);
            if let (Some(sasl), Some(when)) = (&config.sasl, login) {
                // Set here only.
                let _ = connection
                    .keeper
                    .set(keep::keep_logged_in(&connection, sasl.clone(), when));
            }
            let versions = Arc::new(connection.negotiate(config.connect_timeout).await?);
            Ok(Self { connection, versions })
        });
        started.await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                addr: addr.to_owned(),
                what: "while connecting".to_owned(),
                after: config.connect_timeout,
            })
        })
    }

    /// Where it is connected to, as given.
    pub fn addr(&self) -> &str {
        &self.connection.addr
    }

    /// What the other side advertised, with its finalized features.
    pub fn api_versions(&self) -> &ApiVersionsResponse {
        &self.versions
    }

    /// The highest version of `key` that both sides have.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none.
    pub fn version_of(&self, key: ApiKey, ours: VersionRange) -> Result<i16, Error> {
        version::common_version(&self.versions, key as i16, ours).ok_or_else(|| Error::Unsupported {
            addr: self.addr().to_owned(),
            api: api_name(key as i16),
            theirs: version::advertised(&self.versions, key as i16)
                .map_or_else(|| "none".to_owned(), |range| format!("{} to {}", range.min, range.max)),
            ours: format!("{} to {}", ours.min, ours.max),
        })
    }

    /// Sends a request at the highest common version and waits for its answer.
    ///
    /// # Errors
    /// Any [`Error`]; after [`Error::TimedOut`] the request may or may not have been carried out.
    pub async fn call<R: Request>(&self, request: R, deadline: Duration) -> Result<R::Response, Error> {
        self.call_capped(request, i16::MAX, deadline).await
    }

    /// Like [`Client::call`], at no higher version than `max_version`.
    pub async fn call_capped<R: Request>(
        &self,
        request: R,
        max_version: i16,
        deadline: Duration,
    ) -> Result<R::Response, Error> {
        let ours = VersionRange {
            min: R::VERSIONS.min,
            max: R::VERSIONS.max.min(max_version),
        };
        let key = ApiKey::try_from(R::KEY).map_err(|()| Error::Unwritable {
            addr: self.addr().to_owned(),
            what: "request".to_owned(),
            reason: format!("{} is no API key", R::KEY),
        })?;
        let version = self.version_of(key, ours)?;
        self.call_at(request, version, deadline).await
    }

    /// Like [`Client::call`], at exactly `version`, whatever the other side advertises.
    pub async fn call_at<R: Request>(
        &self,
        request: R,
        version: i16,
        deadline: Duration,
    ) -> Result<R::Response, Error> {
        self.ask_at(request, version, deadline).await?.decode()
    }

    /// Like [`Client::call_at`], with the answer as it came.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn ask_at<R: Request>(&self, request: R, version: i16, deadline: Duration) -> Result<Answer<R>, Error> {
        let frame = self.connection.exchange(&request, version, deadline).await?;
        Ok(Answer {
            frame,
            version,
            connection: Arc::clone(&self.connection),
            request: PhantomData,
        })
    }

    /// Whether the connection has ended, so that every call fails.
    pub fn is_closed(&self) -> bool {
        self.connection.pending.is_closed()
    }
}

impl Connection {
    /// The connection, and when to log in again on it.
    async fn open(net: &Net, addr: &str, config: &ClientConfig) -> Result<(Self, Option<Instant>), Error> {
        let dial::Opened { stream, fault, login } = dial::open(net, addr, config).await?;
        let (input, output) = stream.into_split();
        let addr: Arc<str> = addr.into();
        let pending = Arc::new(Pending::default());
        let (requests, queue) = mpsc::channel(QUEUED_REQUESTS);
        let frames = match config.lean {
            true => FrameReader::lean(config.max_frame_bytes),
            false => FrameReader::new(config.max_frame_bytes),
        };
        let reader = {
            let (pending, addr) = (Arc::clone(&pending), Arc::clone(&addr));
            tokio::spawn(async move {
                let end = tokio::select! {
                    end = read(input, frames, &pending) => end,
                    () = fault => End::Closed,
                };
                pending.close(&addr, end);
            })
        };
        let writer = tokio::spawn(write(output, queue, Arc::clone(&pending), Arc::clone(&addr)));
        let connection = Self {
            addr,
            client_id: StrBytes::from_string(config.client_id.clone()),
            next: AtomicI32::new(0),
            requests,
            pending,
            tasks: [reader, writer],
            gate: RwLock::new(()),
            keeper: OnceLock::new(),
        };
        Ok((connection, login))
    }

    /// Sends one request and returns the frame that answers it, without its length.
    async fn exchange<R: Request>(&self, request: &R, version: i16, deadline: Duration) -> Result<Bytes, Error> {
        self.send(request, version, deadline, true).await
    }

    /// Like [`Connection::exchange`], for the one that holds the gate closed.
    async fn exchange_now<R: Request>(&self, request: &R, version: i16, deadline: Duration) -> Result<Bytes, Error> {
        self.send(request, version, deadline, false).await
    }

    async fn send<R: Request>(
        &self,
        request: &R,
        version: i16,
        deadline: Duration,
        gated: bool,
    ) -> Result<Bytes, Error> {
        let correlation = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = codec::encode_request(request, version, correlation, &self.client_id).map_err(|error| {
            Error::Unwritable {
                addr: self.addr.to_string(),
                what: api_name(R::KEY),
                reason: error.to_string(),
            }
        })?;
        let (answer, waiter) = oneshot::channel();
        // Dropped on every way out, also when the caller gives up on this future.
        let _ticket = self.pending.insert(correlation, answer).ok_or_else(|| self.closed())?;
        let exchange = tokio::time::timeout(deadline, async {
            let open = match gated {
                true => Some(self.gate.read().await),
                false => None,
            };
            self.requests.send(frame).await.map_err(|_| self.closed())?;
            drop(open);
            waiter.await.unwrap_or_else(|_| Err(self.closed()))
        });
        exchange.await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                addr: self.addr.to_string(),
                what: api_name(R::KEY),
                after: deadline,
            })
        })
    }

    /// Asks for the other side's versions, and falls back as KIP-511 says: a server that does not know our version of
    /// ApiVersions answers in version 0 with `UNSUPPORTED_VERSION` and the range it has.
    async fn negotiate(&self, deadline: Duration) -> Result<ApiVersionsResponse, Error> {
        let mut version = ApiVersionsRequest::VERSIONS.max;
        loop {
            let request = ApiVersionsRequest::default()
                .with_client_software_name(StrBytes::from_static_str("azimuth"))
                .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
            let frame = self.exchange(&request, version, deadline).await?;
            // The response header is the correlation id alone in every version.
            let refused = frame.get(4..6) == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
            let shape = if refused { 0 } else { version };
            let response = codec::decode_response::<ApiVersionsRequest>(frame, shape)
                .map_err(|error| self.malformed::<ApiVersionsRequest>(&error))?;
            if !refused {
                return Ok(response);
            }
            let highest = version::common_version(&response, ApiKey::ApiVersions as i16, ApiVersionsRequest::VERSIONS);
            version = match highest {
                Some(highest) if highest < version => highest,
                _ if version > 0 => 0,
                _ => return Err(self.malformed::<ApiVersionsRequest>(&"it refuses version 0")),
            };
        }
    }

    fn malformed<R: Request>(&self, reason: &impl ToString) -> Error {
        Error::Malformed {
            addr: self.addr.to_string(),
            what: api_name(R::KEY),
            reason: reason.to_string(),
        }
    }

    /// Fails every call, now and later.
    fn end(&self) {
        self.pending.close(&self.addr, End::Closed);
    }

    fn closed(&self) -> Error {
        self.pending.reason(&self.addr)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in self.tasks.iter().chain(self.keeper.get()) {
            task.abort();
        }
    }
}

/// The calls that wait for an answer; `None` once the connection has ended.
#[derive(Debug)]
struct Pending {
    calls: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open(HashMap<i32, oneshot::Sender<Result<Bytes, Error>>>),
    Ended(End),
}

/// How a connection ended.
#[derive(Debug)]
enum End {
    Closed,
    /// With TLS 1.3 a server refuses our certificate after the handshake.
    Tls(String),
    TooLarge {
        bytes: u64,
        limit: usize,
    },
}

impl End {
    fn error(&self, addr: &str) -> Error {
        let addr = addr.to_owned();
        match self {
            Self::Closed => Error::Closed { addr },
            Self::Tls(reason) => Error::Tls {
                addr,
                reason: reason.clone(),
            },
            Self::TooLarge { bytes, limit } => Error::TooLarge {
                addr,
                bytes: *bytes,
                limit: *limit,
            },
        }
    }

    fn broken(error: &std::io::Error) -> Self {
        match tls::is_tls(error) {
            true => Self::Tls(tls::sentence(error)),
            false => Self::Closed,
        }
    }
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            calls: Mutex::new(State::Open(HashMap::new())),
        }
    }
}

/// Forgets a call when it is over, answered or not.
struct Ticket<'a> {
    pending: &'a Pending,
    correlation: i32,
}

impl Pending {
    fn insert(&self, correlation: i32, answer: oneshot::Sender<Result<Bytes, Error>>) -> Option<Ticket<'_>> {
        match &mut *self.calls.lock() {
            State::Open(calls) => calls.insert(correlation, answer),
            State::Ended(_) => return None,
        };
        Some(Ticket {
            pending: self,
            correlation,
        })
    }

    fn take(&self, correlation: i32) -> Option<oneshot::Sender<Result<Bytes, Error>>> {
        match &mut *self.calls.lock() {
            State::Open(calls) => calls.remove(&correlation),
            State::Ended(_) => None,
        }
    }

    /// Fails every call with how the connection ended. The first end stands.
    fn close(&self, addr: &str, end: End) {
        let mut state = self.calls.lock();
        if let State::Open(calls) = &mut *state {
            for (_, call) in calls.drain() {
                // A caller that is gone has given up already.
                let _ = call.send(Err(end.error(addr)));
            }
            *state = State::Ended(end);
        }
    }

    fn is_closed(&self) -> bool {
        matches!(*self.calls.lock(), State::Ended(_))
    }

    fn reason(&self, addr: &str) -> Error {
        match &*self.calls.lock() {
            State::Ended(end) => end.error(addr),
            State::Open(_) => End::Closed.error(addr),
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.pending.take(self.correlation);
    }
}

async fn read(mut input: ReadHalf, mut frames: FrameReader, pending: &Pending) -> End {
    loop {
        match frames.next(&mut input).await {
            Ok(Some(frame)) => {
                let Some(correlation) = frame.first_chunk::<4>() else {
                    return End::Closed;
                };
                // No one waits for the answer to a call that timed out.
                if let Some(call) = pending.take(i32::from_be_bytes(*correlation)) {
                    let _ = call.send(Ok(frame));
                }
            }
            Ok(None) => return End::Closed,
            Err(FrameError::Io(error)) => return End::broken(&error),
            Err(FrameError::TooLarge { bytes, limit }) => return End::TooLarge { bytes, limit },
        }
    }
}

async fn write(mut output: WriteHalf, mut queue: mpsc::Receiver<Bytes>, pending: Arc<Pending>, addr: Arc<str>) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = send(&mut output, &frame).await {
            // Why the other side ended it may be in what it sent last, which the reader is about to see.
            tokio::time::sleep(LAST_WORDS).await;
            pending.close(&addr, End::broken(&error));
            return;
        }
    }
}

async fn send(output: &mut WriteHalf, frame: &[u8]) -> std::io::Result<()> {
    output.write_all(frame).await?;
    output.flush().await
}

/// An API's name for messages: `Metadata`, not `MetadataRequest` and not 3.
fn api_name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| format!("API {key}"), |api| format!("{api:?}"))
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::api_versions_response::ApiVersion;
    use kafka_protocol::messages::{ListGroupsRequest, MetadataRequest, MetadataResponse};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    /// A server that answers one connection's ApiVersions at `highest` and gives every other request to `answer`.
    async fn serve(highest: i16, mut answer: impl FnMut(codec::Header) -> Vec<Bytes> + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let addr = listener.local_addr().expect("bound").to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            let mut frames = FrameReader::new(1 << 20);
            while let Ok(Some(mut frame)) = frames.next(&mut stream).await {
                let header = codec::decode_header(&mut frame).expect("a header");
                let answers = match ApiKey::try_from(header.key) {
                    Ok(ApiKey::ApiVersions) => vec![versions(&header, highest)],
                    _ => answer(header),
                };
                if answers.is_empty() {
                    return;
                }
                for answer in answers {
                    send(&mut stream, &answer).await;
                }
            }
        });
        addr
    }

    async fn send(stream: &mut TcpStream, bytes: &[u8]) {
        // The client may be gone already, which its own assertions tell.
        let _ = stream.write_all(bytes).await;
    }

    fn versions(header: &codec::Header, highest: i16) -> Bytes {
        let range = |key: ApiKey, max| ApiVersion::default().with_api_key(key as i16).with_max_version(max);
        let mut response = ApiVersionsResponse::default()
            .with_api_keys(vec![range(ApiKey::ApiVersions, highest), range(ApiKey::Metadata, 12)]);
        if header.version <= highest {
            return codec::encode_response(&response, header.version, header.correlation).expect("encodes");
        }
        response.error_code = ErrorCode::UnsupportedVersion.code();
        codec::encode_response(&response, 0, header.correlation).expect("encodes")
    }

    fn metadata(header: &codec::Header) -> Bytes {
        let response = MetadataResponse::default().with_throttle_time_ms(header.correlation);
        codec::encode_response(&response, header.version, header.correlation).expect("encodes")
    }

    #[tokio::test]
    async fn versions_are_negotiated_down_to_what_an_old_server_has() {
        for highest in [0, 3, 4] {
            let addr = serve(highest, |header| vec![metadata(&header)]).await;
            let client = Client::connect(&addr, &ClientConfig::default())
                .await
                .expect("connects");
            let version = client.version_of(ApiKey::Metadata, MetadataRequest::VERSIONS);
            assert_eq!(version.expect("supported"), 12);
            client
                .call(MetadataRequest::default(), DEADLINE)
                .await
                .expect("answers");
            let error = client
                .call(ListGroupsRequest::default(), DEADLINE)
                .await
                .expect_err("not there");
            assert!(
                matches!(&error, Error::Unsupported { api, .. } if api == "ListGroups"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn answers_find_their_calls_in_any_order() {
        let mut held = Vec::new();
        let addr = serve(4, move |header| {
            held.push(metadata(&header));
            if held.len() < 8 {
                return vec![Bytes::new()];
            }
            held.drain(..).rev().collect()
        })
        .await;
        let client = Client::connect(&addr, &ClientConfig::default())
            .await
            .expect("connects");
        let calls = (0..8).map(|_| client.call(MetadataRequest::default(), DEADLINE));
        let answers = futures::future::join_all(calls).await;
        let mut ids: Vec<i32> = answers
            .into_iter()
            .map(|answer| answer.expect("answered").throttle_time_ms)
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 8, "each call has its own answer: {ids:?}");
        assert!(ids.is_sorted(), "in the order of the calls: {ids:?}");
    }

    #[tokio::test]
    async fn a_call_that_times_out_leaves_the_connection_usable() {
        let mut asked = 0;
        let addr = serve(4, move |header| {
            asked += 1;
            if asked == 1 {
                vec![Bytes::new()]
            } else {
                vec![metadata(&header)]
            }
        })
        .await;
        let client = Client::connect(&addr, &ClientConfig::default())
            .await
            .expect("connects");
        let short = Duration::from_millis(20);
        let error = client
            .call(MetadataRequest::default(), short)
            .await
            .expect_err("no answer");
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        client
            .call(MetadataRequest::default(), DEADLINE)
            .await
            .expect("answers");
    }

    #[tokio::test]
    async fn a_closed_connection_fails_every_call_at_once() {
        let addr = serve(4, |_| Vec::new()).await;
        let client = Client::connect(&addr, &ClientConfig::default())
            .await
            .expect("connects");
        let error = client
            .call(MetadataRequest::default(), DEADLINE)
            .await
            .expect_err("closed");
        assert!(matches!(error, Error::Closed { .. }), "{error}");
        assert!(client.is_closed());
        let error = client
            .call(MetadataRequest::default(), DEADLINE)
            .await
            .expect_err("still");
        assert!(matches!(error, Error::Closed { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_answer_larger_than_the_limit_or_malformed_is_said_so() {
        let addr = serve(4, |_| vec![Bytes::from_static(b"\x7f\xff\xff\xff")]).await;
        let client = Client::connect(&addr, &ClientConfig::default())
            .await
            .expect("connects");
        let error = client
            .call(MetadataRequest::default(), DEADLINE)
            .await
            .expect_err("too large");
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");

        let addr = serve(4, |header| {
            let mut frame = BytesMut::new();
            frame.put_i32(14);
            frame.put_i32(header.correlation);
            frame.put_slice(b"\0\0\0\0\0\xff\xff\xff\xff\x07");
            vec![frame.freeze()]
        })
        .await;
        let client = Client::connect(&addr, &ClientConfig::default())
            .await
            .expect("connects");
        let error = client
            .call(MetadataRequest::default(), DEADLINE)
            .await
            .expect_err("malformed");
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }

    #[tokio::test]
    async fn nobody_listening_is_unreachable() {
        let addr = {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
            listener.local_addr().expect("bound").to_string()
        };
        let error = Client::connect(&addr, &ClientConfig::default())
            .await
            .expect_err("no one there");
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&addr), "{error}");
    }
}
