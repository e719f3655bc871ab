//! GET /metrics over HTTP/1.1, for a scraper or two: few connections, each for a bounded time, nothing else is answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Exposition;
use crate::env::net::{self, Listener, Socket};

/// Scrapers that are served at the same time; the next one waits.
const CONNECTIONS_MAX: usize = 16;
/// A scraper that asks every 15 seconds connects again after four times.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(60);
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Writes all metrics of a node. It may take locks, so it runs where blocking is allowed.
type Collect = Arc<dyn Fn(&mut Exposition) + Send + Sync>;

/// A port that is taken, not served yet.
#[derive(Debug)]
pub struct Endpoint {
    socket: Listener,
    addr: SocketAddr,
}

/// Listens on `host:port`; port 0 takes a free one.
///
/// # Errors
/// When the address is in use or not this host's.
pub async fn bind(address: &str) -> std::io::Result<Endpoint> {
    let socket = net::bind(address).await?;
    let addr = socket.local_addr()?;
    Ok(Endpoint { socket, addr })
}

impl Endpoint {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers until it is dropped, which ends every connection.
    pub async fn serve(self, collect: Collect) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let collect = Arc::clone(&collect);
                    connections.spawn(async move {
                        converse(stream, collect).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!("the metrics endpoint {} cannot accept: {error}", self.addr);
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }
}

async fn converse(stream: Socket, collect: Collect) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let collect = Arc::clone(&collect);
        async move { Ok::<_, Infallible>(answer(request.method(), request.uri().path(), collect).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_DEADLINE, connection).await {
        tracing::debug!("a scraper's connection broke: {error}");
    }
}

async fn answer(method: &Method, path: &str, collect: Collect) -> Response<Full<Bytes>> {
    if path != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "There is only /metrics.\n".to_owned());
    }
    if method != Method::GET && method != Method::HEAD {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "Metrics are only read.\n".to_owned());
        refused
            .headers_mut()
            .insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let collected = tokio::task::spawn_blocking(move || {
        let mut exposition = Exposition::default();
        collect(&mut exposition);
        exposition.render()
    });
    match collected.await {
        Ok(text) => plain(StatusCode::OK, text),
        Err(error) => {
            tracing::error!("collecting metrics failed, which is a bug: {error}");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Collecting failed; the log says why.\n".to_owned(),
            )
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(addr: SocketAddr, head: &str) -> String {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!("{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_metrics_are_answered_and_only_read() {
        let endpoint = bind("127.0.0.1:0").await.unwrap();
        let addr = endpoint.addr();
        let collect: Collect = Arc::new(|out| out.gauge("up", "Up.", &[], 1.0));
        let serving = tokio::spawn(endpoint.serve(collect));
        let metrics = ask(addr, "GET /metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
        assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
        assert!(
            metrics.ends_with("\r\n\r\n# HELP up Up.\n# TYPE up gauge\nup 1\n"),
            "{metrics}"
        );
        assert!(ask(addr, "GET /").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(addr, "POST /metrics").await.starts_with("HTTP/1.1 405 "));
        assert!(ask(addr, "\u{1}\u{2}").await.starts_with("HTTP/1.1 400 "));
        for _ in 0..CONNECTIONS_MAX * 2 {
            assert!(ask(addr, "GET /metrics").await.starts_with("HTTP/1.1 200 "));
        }
        serving.abort();
    }
}
