//! One exchange over HTTP/1.1 on a connection of its own, with a bound on the answer.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why there is no answer.
pub enum Failure {
    /// The connection broke.
    Broken(String),
    /// What came is no answer that can be used.
    Unusable(String),
}

/// Sends a request and takes its whole answer, of `most` bytes at most. The caller sets the deadline.
///
/// # Errors
/// The connection broke, the answer is too long, or it is not UTF-8.
pub async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<(StatusCode, String), Failure> {
    let broken = |error: hyper::Error| Failure::Broken(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), most).collect().await;
        let bytes = body.map_err(|error| Failure::Unusable(error.to_string()))?.to_bytes();
        let text = String::from_utf8(bytes.into()).map_err(|_| Failure::Unusable("it is not UTF-8".to_owned()))?;
        Ok((status, text))
    };
    tokio::select! {
        answer = exchange => answer,
        // Ends with the exchange, or before it when the other side hangs up.
        Err(error) = connection => Err(broken(error)),
    }
}
