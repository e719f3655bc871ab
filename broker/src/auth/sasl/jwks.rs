//! The public keys that sign tokens (RFC 7517), from a file or over HTTP, read again from time to time.
//!
//! Logins never wait for them: while there are none, tokens are refused, and the reason is in the log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::RwLock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use super::bearer;
use crate::env::net::Net;
use crate::wire::tls;

/// For one fetch with everything in it.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two fetches that succeed.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// The largest key set that is taken.
const BODY_BYTES: usize = 1024 * 1024;

/// Where keys come from, and how often.
pub struct Source {
    pub location: Location,
    /// `sasl.oauthbearer.jwks.endpoint.refresh.ms`
    pub refresh: Duration,
    /// `sasl.oauthbearer.jwks.endpoint.retry.backoff.ms`, doubled with every failure
    pub backoff: Duration,
    /// up to `sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms`
    pub backoff_max: Duration,
}

pub enum Location {
    File(std::path::PathBuf),
    /// http.
    Plain(Uri),
    /// https, and what its server is trusted by.
    Tls(Uri, tls::Connector),
}

/// The keys, as of the last time that they could be read.
pub struct Jwks {
    source: Source,
    keys: RwLock<Option<JwkSet>>,
    /// Somebody came with a key that is not here.
    missed: Notify,
}

impl Location {
    /// `ssl`: the `ssl.*` properties for https.
    ///
    /// # Errors
    /// A sentence that names what is possible.
    pub fn parse(url: &str, ssl: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Self::File(path.into()));
        }
        let uri = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
        match (uri.as_ref().and_then(Uri::scheme_str), &uri) {
            (Some("http"), Some(uri)) => Ok(Self::Plain(uri.clone())),
            (Some("https"), Some(uri)) => {
                let settings = tls::Settings::from_properties(ssl).map_err(|error| error.to_string())?;
                let connector = tls::Connector::new(&settings).map_err(|error| error.to_string())?;
                Ok(Self::Tls(uri.clone(), connector))
            }
            _ => Err(format!("{url} is no URL that begins with file:, http: or https:")),
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Plain(uri) | Self::Tls(uri, _) => write!(f, "{uri}"),
        }
    }
}

impl Jwks {
    pub fn new(source: Source) -> Self {
        Self {
            source,
            keys: RwLock::new(None),
            missed: Notify::new(),
        }
    }

    /// The key that a token was signed with. One that is not known is looked for again, for the next login.
    ///
    /// # Errors
    /// A sentence why there is none.
    pub fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<DecodingKey, String> {
        let found = {
            let keys = self.keys.read();
            let Some(set) = &*keys else {
                return Err(format!("no keys could be read from {} yet", self.source.location));
            };
            find(&set.keys, id, algorithm)
        };
        found.ok_or_else(|| {
            self.missed.notify_one();
            match id {
                Some(id) => format!("the key {id} of its token is not in {}", self.source.location),
                None => format!(
                    "its token names no key, and {} has not exactly one for it",
                    self.source.location
                ),
            }
        })
    }

    /// Reads the keys again and again, until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut failures = 0;
        let mut said = String::new();
        loop {
            let pause = match self.read().await {
                Ok(keys) => {
                    tracing::debug!("{} has {} keys", self.source.location, keys.keys.len());
                    *self.keys.write() = Some(keys);
                    failures = 0;
                    said.clear();
                    self.source.refresh.max(SHORTEST_PAUSE)
                }
                Err(reason) => {
                    if reason != said {
                        tracing::error!("no keys for tokens from {}: {reason}", self.source.location);
                        said = reason;
                    }
                    let doubled = self.source.backoff.saturating_mul(1 << failures.min(16));
                    failures += 1;
                    doubled.min(self.source.backoff_max)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // However many unknown keys come, the source is not asked more often than after failures.
                () = async {
                    tokio::time::sleep(self.source.backoff_max).await;
                    self.missed.notified().await;
                } => {}
            }
        }
    }

    async fn read(&self) -> Result<JwkSet, String> {
        let read = async {
            match &self.source.location {
                Location::File(path) => read_file(path).await,
                Location::Plain(uri) => get(uri, None).await,
                Location::Tls(uri, connector) => get(uri, Some(connector)).await,
            }
        };
        let bytes = tokio::time::timeout(DEADLINE, read)
            .await
            .map_err(|_| format!("no answer within {} s", DEADLINE.as_secs()))??;
        serde_json::from_slice(&bytes).map_err(|error| format!("it is no JSON web key set: {error}"))
    }
}

async fn read_file(path: &std::path::Path) -> Result<Bytes, String> {
    let size = tokio::fs::metadata(path)
        .await
        .map_err(|error| error.to_string())?
        .len();
    if size > BODY_BYTES as u64 {
        return Err(format!("it has {size} bytes, more than {BODY_BYTES}"));
    }
    let bytes = tokio::fs::read(path).await.map_err(|error| error.to_string())?;
    Ok(bytes.into())
}

fn find(keys: &[Jwk], id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let mut fitting = keys.iter().filter(|key| match (id, &key.common.key_id) {
        (Some(id), known) => known.as_deref() == Some(id),
        (None, _) => true,
    });
    let fits = |key: &Jwk| {
        let named = key.common.key_algorithm.map(|named| named.to_string());
        let key = DecodingKey::from_jwk(key).ok()?;
        let is_named = named.is_none_or(|named| named == format!("{algorithm:?}"));
        (is_named && bearer::is_of(algorithm, key.family())).then_some(key)
    };
    if id.is_some() {
        return fitting.find_map(fits);
    }
    let mut fitting = fitting.filter_map(fits);
    // Without an id it has to be the only one.
    fitting.next().filter(|_| fitting.next().is_none())
}

async fn get(uri: &Uri, connector: Option<&tls::Connector>) -> Result<Bytes, String> {
    let port = uri.port_u16().unwrap_or(if connector.is_some() { 443 } else { 80 });
    let addr = format!("{}:{port}", uri.host().unwrap_or_default());
    let link = Net::default()
        .connect(&addr)
        .await
        .map_err(|error| format!("{addr} cannot be reached: {error}"))?;
    match connector {
        None => ask(link.stream, uri).await,
        Some(connector) => {
            let stream = connector.connect(&addr, link.stream).await;
            let stream = stream.map_err(|error| format!("there is no TLS connection: {}", tls::sentence(&error)))?;
            ask(stream, uri).await
        }
    }
}

/// One request on a connection of its own.
async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, uri: &Uri) -> Result<Bytes, String> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if !response.status().is_success() {
            return Err(format!("it answers {}", response.status()));
        }
        let body = Limited::new(response.into_body(), BODY_BYTES);
        let whole = body.collect().await.map_err(|error| error.to_string())?;
        Ok(whole.to_bytes())
    };
    let driven = async {
        // What ends the connection is told by the exchange too.
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = exchange => answer,
        answer = driven => answer,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const KEYS: &str = r#"{"keys":[{"kty":"RSA","kid":"one","alg":"RS256","n":"AQAB","e":"AQAB"},
        {"kty":"RSA","kid":"two","n":"AQAB","e":"AQAB"},{"kty":"oct","kid":"shared","k":"AQAB"},
        {"kty":"unknown","kid":"new"}]}"#;

    fn source(location: Location) -> Source {
        Source {
            location,
            refresh: Duration::from_secs(3600),
            backoff: Duration::from_millis(1),
            backoff_max: Duration::from_millis(10),
        }
    }

    fn has(jwks: &Jwks, id: Option<&str>, algorithm: Algorithm) -> bool {
        jwks.key(id, algorithm).is_ok()
    }

    async fn until(what: impl Fn() -> bool) {
        let looking = async {
            while !what() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looking)
            .await
            .expect("in time");
    }

    #[tokio::test]
    async fn a_file_that_appears_and_changes_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let location = Location::parse(&format!("file://{}", path.display()), |_| None).unwrap();
        let jwks = Arc::new(Jwks::new(source(location)));
        let task = tokio::spawn(Arc::clone(&jwks).run());
        let why = jwks.key(Some("one"), Algorithm::RS256).err().unwrap();
        assert!(why.contains("keys.json"), "{why}");
        std::fs::write(&path, KEYS).unwrap();
        until(|| has(&jwks, Some("one"), Algorithm::RS256)).await;
        assert!(has(&jwks, Some("two"), Algorithm::PS512));
        assert!(
            !has(&jwks, Some("one"), Algorithm::RS512),
            "it is for another algorithm"
        );
        assert!(!has(&jwks, Some("one"), Algorithm::ES256), "it is of another kind");
        assert!(!has(&jwks, Some("shared"), Algorithm::HS256), "a secret proves nothing");
        assert!(!has(&jwks, None, Algorithm::RS256), "there are two that fit");
        assert!(has(&jwks, None, Algorithm::RS512), "there is one that fits");
        std::fs::write(&path, KEYS.replace("two", "three")).unwrap();
        until(|| has(&jwks, Some("three"), Algorithm::RS256)).await;
        task.abort();
    }

    #[tokio::test]
    async fn keys_come_over_http_and_a_bad_answer_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in ["404 Not Found", "200 OK"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 1024];
                let length = stream.read(&mut request).await.unwrap();
                assert!(request[..length].starts_with(b"GET /keys?v=1 HTTP/1.1\r\n"));
                let head = format!("HTTP/1.1 {answer}\r\ncontent-length: {}\r\n\r\n", KEYS.len());
                stream.write_all(format!("{head}{KEYS}").as_bytes()).await.unwrap();
            }
        });
        let location = Location::parse(&format!("http://{addr}/keys?v=1"), |_| None).unwrap();
        let jwks = Jwks::new(source(location));
        assert!(jwks.read().await.unwrap_err().contains("404"));
        assert_eq!(jwks.read().await.unwrap().keys.len(), 4);
        assert!(jwks.read().await.unwrap_err().contains("cannot be reached"));
        assert!(Location::parse("ftp://x", |_| None).is_err());
    }
}
