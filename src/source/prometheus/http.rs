//! One HTTP GET of a page of metrics.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, Uri};
use tokio::net::TcpStream;

use crate::source::http::{self, exchange};

/// The largest answer: 64 MiB, some hundred thousand series.
const MAX_BYTES: usize = 64 << 20;

/// Why there is no answer.
pub enum Failure {
    Unreachable(String),
    /// It answered, with something else than metrics.
    Refused(String),
    Late,
    /// The address itself is wrong.
    Url(String),
}

impl From<http::Failure> for Failure {
    fn from(failure: http::Failure) -> Self {
        match failure {
            http::Failure::Broken(reason) => Self::Unreachable(reason),
            http::Failure::Unusable(reason) => Self::Refused(reason),
        }
    }
}

/// The body of a page. The caller sets the deadline.
pub async fn get(url: &str) -> Result<String, Failure> {
    let wrong = |reason: &str| Failure::Url(format!("{url}: {reason}; write http://HOST:PORT/metrics"));
    let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("only http is spoken here"));
    }
    let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
    let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(&address)
        .await
        .map_err(|error| Failure::Unreachable(error.to_string()))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority.as_str())
        .header(ACCEPT, "text/plain;version=0.0.4")
        .body(Full::<Bytes>::default())
        .map_err(|_| wrong("it is no URL"))?;
    let (status, body) = exchange(stream, request, MAX_BYTES).await?;
    match status.is_success() {
        true => Ok(body),
        false => Err(Failure::Refused(format!("it answers {status}"))),
    }
}
