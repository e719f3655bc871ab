//! Tokens for OAUTHBEARER, for both clients: read where a secret is, or asked for at an endpoint of OAuth 2.0 by the grant of
//! client credentials (RFC 6749, section 4.4; KIP-768).
//!
//! One request at a time, however many brokers are logged in to; a token serves all logins for three quarters of its life. No
//! error and no Debug output holds a token or a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use azimuth_broker::wire::sasl::{Token, TokenSource};
use azimuth_broker::wire::tls;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode, Uri};
use rdkafka::client::OAuthToken;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::settings::Secret;
use crate::settings::properties::{TokenEndpoint, Trust};
use crate::source::http::{Failure, exchange};

/// A token that does not say when it expires is looked up again after an hour.
const LIFETIME: Duration = Duration::from_secs(3600);
/// For one token, with everything that is tried for it: less than a question to a broker may take, so that the endpoint is named
/// and not the broker that was to be logged in to.
const DEADLINE: Duration = Duration::from_secs(4);
/// Before the second try; doubled with each.
const BACKOFF: Duration = Duration::from_millis(100);
/// What was refused is not asked for again sooner: many brokers may be logged in to at once.
const AGAIN: Duration = Duration::from_secs(3);
/// The largest answer.
const ANSWER_BYTES: usize = 1 << 20;
/// Of what an endpoint says.
const SAID: usize = 200;

/// Where tokens come from.
#[derive(Clone)]
pub(super) enum Tokens {
    Place(Secret),
    Endpoint(Arc<Endpoint>),
}

/// An endpoint, and what it gave last.
pub(super) struct Endpoint {
    settings: TokenEndpoint,
    uri: Uri,
    /// `None` for http.
    tls: Option<tls::Connector>,
    last: tokio::sync::Mutex<Last>,
    subject: Mutex<Option<String>>,
}

#[derive(Default)]
enum Last {
    #[default]
    Nothing,
    Given(Arc<Given>),
    Failed(String, Instant),
}

/// A token.
#[derive(Clone)]
pub(super) struct Given {
    token: String,
    /// For whom, as far as the token says.
    pub subject: Option<String>,
    expires: SystemTime,
    renew_at: Instant,
}

impl Given {
    fn of(token: String, lifetime: Option<Duration>) -> Self {
        let claims = claims(&token);
        let told = claims
            .expires_ms
            .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(ms).ok()?)));
        let now = SystemTime::now();
        let expires = told.unwrap_or_else(|| now + lifetime.unwrap_or(LIFETIME));
        let left = expires.duration_since(now).unwrap_or_default();
        Self {
            token,
            subject: claims.subject,
            expires,
            renew_at: Instant::now() + left.mul_f64(0.75),
        }
    }
}

impl Tokens {
    pub fn at(settings: &TokenEndpoint) -> Result<Self, String> {
        let url = &settings.url;
        let uri: Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
        if uri.host().is_none() {
            return Err(format!("{url} names no host"));
        }
        let tls = match uri.scheme_str() {
            Some("https") => Some(connector(settings.trust.as_ref())?),
            _ => None,
        };
        // What is not there now is told before anybody is asked.
        settings.client_id.reveal()?;
        settings.client_secret.reveal()?;
        Ok(Self::Endpoint(Arc::new(Endpoint {
            settings: settings.clone(),
            uri,
            tls,
            last: tokio::sync::Mutex::default(),
            subject: Mutex::default(),
        })))
    }

    /// A token that is good for a while.
    ///
    /// # Errors
    /// A sentence why there is none.
    pub async fn get(&self) -> Result<Arc<Given>, String> {
        match self {
            Self::Place(secret) => {
                let secret = secret.clone();
                let found = tokio::task::spawn_blocking(move || secret.reveal()).await;
                let token = found.map_err(|error| error.to_string())??;
                Ok(Arc::new(Given::of(token, None)))
            }
            Self::Endpoint(endpoint) => endpoint.get().await,
        }
    }

    /// Who the token that was given last is for; `None` before it.
    pub fn subject(&self) -> Option<String> {
        match self {
            Self::Place(_) => None,
            Self::Endpoint(endpoint) => endpoint.subject.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The same for librdkafka, which waits in its callback: on a thread of its own, so that it does not matter whose thread
    /// calls back.
    pub fn for_rdkafka(&self) -> Result<OAuthToken, String> {
        let this = self.clone();
        let asking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            let given = runtime.block_on(this.get());
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
            given
        });
        let given = asking.join().map_err(|_| "asking for a token failed".to_owned())??;
        let since = given.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(OAuthToken {
            token: given.token.clone(),
            principal_name: given.subject.clone().unwrap_or_else(|| "unknown".to_owned()),
            lifetime_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        })
    }
}

impl TokenSource for Tokens {
    fn token(&self) -> BoxFuture<'_, Result<Token, String>> {
        async move {
            let given = self.get().await?;
            let extensions = match self {
                Self::Place(_) => BTreeMap::new(),
                Self::Endpoint(endpoint) => endpoint.settings.extensions.clone(),
            };
            Ok(Token {
                value: given.token.clone().into(),
                extensions,
            })
        }
        .boxed()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(secret) => write!(f, "a token of {secret:?}"),
            Self::Endpoint(endpoint) => write!(f, "tokens of {}", endpoint.settings.url),
        }
    }
}

/// Whether the same request may be answered later.
struct Refusal {
    reason: String,
    passes: bool,
}

impl Endpoint {
    async fn get(&self) -> Result<Arc<Given>, String> {
        let mut last = self.last.lock().await;
        match &*last {
            Last::Given(given) if Instant::now() < given.renew_at => return Ok(Arc::clone(given)),
            Last::Failed(reason, until) if Instant::now() < *until => return Err(reason.clone()),
            _ => {}
        }
        match self.ask().await {
            Ok(given) => {
                let given = Arc::new(given);
                *self.subject.lock().unwrap_or_else(PoisonError::into_inner) = given.subject.clone();
                *last = Last::Given(Arc::clone(&given));
                Ok(given)
            }
            Err(reason) => {
                let reason = format!("there is no token: the token endpoint {} {reason}", self.settings.url);
                *last = Last::Failed(reason.clone(), Instant::now() + AGAIN);
                Err(reason)
            }
        }
    }

    /// Asks until there is an answer that more asking does not change.
    async fn ask(&self) -> Result<Given, String> {
        let mut said = None;
        let asked = timeout(DEADLINE, async {
            let mut pause = BACKOFF;
            loop {
                match self.request().await {
                    Ok(given) => return Ok(given),
                    Err(Refusal { reason, passes: true }) => said = Some(reason),
                    Err(Refusal { reason, .. }) => return Err(reason),
                }
                sleep(pause).await;
                pause *= 2;
            }
        });
        match asked.await {
            Ok(asked) => asked,
            Err(_) => Err(said.unwrap_or_else(|| format!("gave no answer within {} s", DEADLINE.as_secs()))),
        }
    }

    async fn request(&self) -> Result<Given, Refusal> {
        let settings = self.settings.clone();
        // Anew each time: a file may have been replaced, and a command may take a while.
        let revealed = tokio::task::spawn_blocking(move || {
            let (id, secret) = (settings.client_id.reveal()?, settings.client_secret.reveal()?);
            Ok::<_, String>(match settings.encodes_header {
                true => format!("{}:{}", encoded(&id), encoded(&secret)),
                false => format!("{id}:{secret}"),
            })
        });
        let final_ = |reason: String| Refusal { reason, passes: false };
        let passing = |reason: String| Refusal { reason, passes: true };
        let credentials = revealed
            .await
            .map_err(|error| final_(error.to_string()))?
            .map_err(|why| final_(format!("was not asked: {why}")))?;
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.settings.scope {
            form += &format!("&scope={}", encoded(scope));
        }
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path)
            .header(HOST, self.uri.authority().map_or("", |authority| authority.as_str()))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(credentials)))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form)))
            .map_err(|error| final_(error.to_string()))?;
        let port = self.uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let address = format!("{}:{port}", self.uri.host().unwrap_or_default());
        let stream = TcpStream::connect(&address)
            .await
            .map_err(|error| passing(format!("cannot be reached: {error}")))?;
        let answer = match &self.tls {
            None => exchange(stream, request, ANSWER_BYTES).await,
            Some(connector) => {
                let stream = connector.connect(&address, stream).await;
                let stream =
                    stream.map_err(|error| final_(format!("has no secure connection: {}", tls::sentence(&error))))?;
                exchange(stream, request, ANSWER_BYTES).await
            }
        };
        let (status, body) = answer.map_err(|failure| match failure {
            Failure::Broken(reason) => passing(format!("broke the connection: {reason}")),
            Failure::Unusable(reason) => final_(format!("gives an answer that cannot be used: {reason}")),
        })?;
        match status {
            status if status.is_success() => given(&body).map_err(final_),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(passing(format!("answers {status}")))
            }
            status => Err(final_(format!("answers {status}{}", said(&body)))),
        }
    }
}

/// RFC 6749, section 5.1. Java takes an ID token where there is no access token.
fn given(body: &str) -> Result<Given, String> {
    let answer: serde_json::Value =
        serde_json::from_str(body).map_err(|_| "gives an answer that is no JSON".to_owned())?;
    let token = ["access_token", "id_token"]
        .into_iter()
        .find_map(|name| answer[name].as_str())
        .filter(|token| !token.is_empty())
        .ok_or("gives an answer without an access_token")?;
    let lifetime = answer["expires_in"].as_u64().map(Duration::from_secs);
    Ok(Given::of(token.to_owned(), lifetime))
}

/// Section 5.2: what is wrong, in the endpoint's words.
fn said(body: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let words = ["error", "error_description"]
        .into_iter()
        .filter_map(|name| answer[name].as_str());
    let words: String = words.map(|word| format!(", {word}")).collect();
    words.chars().filter(|letter| !letter.is_control()).take(SAID).collect()
}

/// `application/x-www-form-urlencoded`
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

fn connector(trust: Option<&Trust>) -> Result<tls::Connector, String> {
    let mut java = BTreeMap::new();
    match trust {
        None => {}
        Some(Trust::File { path, password }) => {
            java.insert("ssl.truststore.location", path.display().to_string());
            if let Some(password) = password {
                java.insert("ssl.truststore.password", password.reveal()?);
            }
        }
        Some(Trust::Pem(pem)) => {
            java.insert("ssl.truststore.certificates", pem.reveal()?);
        }
    }
    let settings = tls::Settings::from_properties(|key| java.get(key).cloned()).map_err(|error| error.to_string())?;
    tls::Connector::new(&settings).map_err(|error| error.to_string())
}

/// What a token says of itself, unchecked: checking it is the brokers' part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    pub subject: Option<String>,
    expires_ms: Option<i64>,
}

/// Nothing is known of a token that is no JWT (RFC 7519).
pub(super) fn claims(token: &str) -> Claims {
    let payload = token.split('.').nth(1);
    let payload = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok());
    let Some(serde_json::Value::Object(claims)) = payload.and_then(|json| serde_json::from_slice(&json).ok()) else {
        return Claims::default();
    };
    Claims {
        subject: claims
            .get("sub")
            .and_then(|subject| subject.as_str())
            .map(str::to_owned),
        expires_ms: claims
            .get("exp")
            .and_then(serde_json::Value::as_f64)
            .map(|seconds| (seconds * 1000.0) as i64),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Longer than a busy machine needs, shorter than the deadline.
    const SOON: Duration = Duration::from_secs(8);

    fn jwt(subject: &str, seconds: u64) -> String {
        let end = SystemTime::now() + Duration::from_secs(seconds);
        let end = end.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{subject}","exp":{end}}}"#));
        format!("e30.{payload}.sig")
    }

    /// A token endpoint that gives these answers one after the other, the last again and again; and what it was asked.
    async fn serve(answers: Vec<(u16, String)>) -> (String, Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/realms/kafka/token", listener.local_addr().unwrap());
        let (count, asked) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (counted, kept) = (Arc::clone(&count), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                let mut bytes = [0; 4096];
                while !String::from_utf8_lossy(&request).contains("grant_type=") {
                    let read = stream.read(&mut bytes).await.unwrap();
                    request.extend_from_slice(&bytes[..read]);
                }
                kept.lock().unwrap().push(String::from_utf8(request).unwrap());
                let at = counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
                let (status, body) = &answers[at];
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (url, count, asked)
    }

    fn settings(url: &str) -> TokenEndpoint {
        TokenEndpoint {
            url: url.to_owned(),
            client_id: Secret::text("azimuth"),
            client_secret: Secret::text("open sesame"),
            scope: Some("kafka read".to_owned()),
            extensions: BTreeMap::new(),
            trust: None,
            encodes_header: false,
        }
    }

    fn answer(token: &str) -> String {
        format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":300}}"#)
    }

    #[test]
    fn a_token_tells_its_subject_and_its_end() {
        let payload = URL_SAFE_NO_PAD.encode(br#"{"sub":"alice","exp":1800000000}"#);
        let wanted = Claims {
            subject: Some("alice".to_owned()),
            expires_ms: Some(1_800_000_000_000),
        };
        assert_eq!(claims(&format!("e30.{payload}.sig")), wanted);
        assert_eq!(claims("opaque"), Claims::default());
    }

    #[tokio::test]
    async fn one_token_serves_all_logins_of_both_clients() {
        let (url, count, asked) = serve(vec![(200, answer(&jwt("ops", 300)))]).await;
        let tokens = Tokens::at(&settings(&url)).unwrap();
        let logins = futures::future::join_all((0..20).map(|_| tokens.get())).await;
        assert!(logins.iter().all(Result::is_ok));
        let again = tokens.clone();
        let given = tokio::task::spawn_blocking(move || again.for_rdkafka())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(given.principal_name, "ops");
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64 + 300_000;
        assert!((end - given.lifetime_ms).abs() < 60_000, "{}", given.lifetime_ms);
        assert_eq!(
            (count.load(Ordering::SeqCst), tokens.subject().as_deref()),
            (1, Some("ops"))
        );
        let asked = asked.lock().unwrap()[0].clone();
        assert!(asked.starts_with("POST /realms/kafka/token HTTP/1.1"), "{asked}");
        let basic = STANDARD.encode("azimuth:open sesame");
        assert!(
            asked
                .to_lowercase()
                .contains(&format!("authorization: basic {basic}").to_lowercase()),
            "{asked}"
        );
        assert!(
            asked.ends_with("grant_type=client_credentials&scope=kafka+read"),
            "{asked}"
        );
        assert!(!format!("{tokens:?}").contains("sesame"));
    }

    #[tokio::test]
    async fn a_token_near_its_end_is_replaced_by_the_next_login() {
        let (url, count, _) = serve(vec![(200, answer(&jwt("ops", 0))), (200, answer(&jwt("ops", 300)))]).await;
        let tokens = Tokens::at(&settings(&url)).unwrap();
        for _ in 0..3 {
            tokens.get().await.unwrap();
        }
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_passes_is_tried_again_and_a_refusal_is_not() {
        let (url, count, _) = serve(vec![
            (503, String::new()),
            (429, String::new()),
            (200, answer("opaque")),
        ])
        .await;
        timeout(SOON, Tokens::at(&settings(&url)).unwrap().get())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 3);

        let no = r#"{"error":"invalid_client","error_description":"no such client"}"#;
        let (url, count, _) = serve(vec![(401, no.to_owned())]).await;
        let tokens = Tokens::at(&settings(&url)).unwrap();
        for _ in 0..5 {
            let why = timeout(SOON, tokens.get()).await.unwrap().err().unwrap();
            assert!(
                why.contains(&url) && why.contains("401") && why.contains("invalid_client, no such"),
                "{why}"
            );
            assert!(!why.contains("sesame"), "{why}");
        }
        assert_eq!(count.load(Ordering::SeqCst), 1, "many logins at once ask once");
    }

    #[tokio::test]
    async fn what_is_no_answer_says_so() {
        for (status, body, wanted) in [
            (200, "<html>".to_owned(), "no JSON"),
            (200, r#"{"token":"x"}"#.to_owned(), "without an access_token"),
            (404, String::new(), "404"),
        ] {
            let (url, ..) = serve(vec![(status, body)]).await;
            let why = Tokens::at(&settings(&url)).unwrap().get().await.err().unwrap();
            assert!(why.contains(wanted), "{why}");
        }
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let began = Instant::now();
        let why = Tokens::at(&settings(&format!("http://{closed}/")))
            .unwrap()
            .get()
            .await
            .err()
            .unwrap();
        assert!(
            why.contains("cannot be reached") && began.elapsed() < 2 * DEADLINE,
            "{why}"
        );
    }

    #[test]
    fn what_is_not_there_is_told_before_anybody_is_asked() {
        let missing = TokenEndpoint {
            client_secret: Secret::File("/no/such".into()),
            ..settings("http://127.0.0.1:1/")
        };
        assert!(Tokens::at(&missing).unwrap_err().contains("/no/such"));
        let untrusted = TokenEndpoint {
            trust: Some(Trust::File {
                path: "/no/such.pem".into(),
                password: None,
            }),
            ..settings("https://127.0.0.1:1/")
        };
        assert!(Tokens::at(&untrusted).unwrap_err().contains("/no/such.pem"));
    }

    #[test]
    fn a_form_is_encoded_as_forms_are() {
        assert_eq!(
            encoded("api://kafka/.default a&b=ä"),
            "api%3A%2F%2Fkafka%2F.default+a%26b%3D%C3%A4"
        );
    }
}
