//! One HTTP GET, with a bound on the answer.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

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

/// The body of a page. The caller sets the deadline.
pub async fn get(url: &str) -> Result<String, Failure> {
    let wrong = |reason: &str| Failure::Url(format!("{url}: {reason}; write http://HOST:PORT/metrics"));
    let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("only http is spoken here"));
    }
    let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
    let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    let unreachable = |error: &dyn std::fmt::Display| Failure::Unreachable(error.to_string());
    let stream = TcpStream::connect(&address)
        .await
        .map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority.as_str())
        .header(ACCEPT, "text/plain;version=0.0.4")
        .body(Empty::<Bytes>::new())
        .map_err(|_| wrong("it is no URL"))?;
    let exchange = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::Refused(format!("it answers {status}")));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
        let bytes = body.map_err(|error| Failure::Refused(error.to_string()))?.to_bytes();
        String::from_utf8(bytes.into()).map_err(|_| Failure::Refused("it is not UTF-8".to_owned()))
    };
    tokio::select! {
        answer = exchange => answer,
        // Ends with the exchange, or before it when the other side hangs up.
        Err(error) = connection => Err(unreachable(&error)),
    }
}
