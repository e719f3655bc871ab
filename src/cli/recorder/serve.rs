//! The page for Prometheus, over HTTP.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{Seen, page};

/// Scrapers of one host; more wait.
const CONNECTIONS: usize = 16;
/// A client that does not say what it wants is let go.
const HEAD: Duration = Duration::from_secs(10);

/// Accepts until it is aborted.
pub async fn serve(listener: TcpListener, seen: watch::Receiver<Option<Seen>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: some are free again soon.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let seen = seen.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(seen.clone(), request));
            // A connection that breaks concerns nobody else.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

async fn answer(
    seen: watch::Receiver<Option<Seen>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let told = seen.borrow().clone();
    let (status, text) = match (request.method(), request.uri().path(), told) {
        (&Method::GET, "/metrics", Some(seen)) => (StatusCode::OK, page::text(&seen)),
        (&Method::GET, "/metrics", None) => (StatusCode::SERVICE_UNAVAILABLE, "nothing was seen yet\n".to_owned()),
        (&Method::GET, ..) => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    Ok(response)
}
