//! The HTTP side: one loopback listener for EC2, STS, CloudWatch and the script.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::fault::{Faults, Refusal, Script};
use super::query::Query;
use super::{Handle, State, dns, ec2, metric, ssm};

/// A full GetMetricData request is a tenth of this.
const MAX_BODY: usize = 1 << 20;

const MAX_CONNECTIONS: usize = 64;

const CLOUDWATCH: &str = "/service/GraniteServiceVersion20100801/operation/";

type Answer = Response<Full<Bytes>>;

/// Accepts until it is aborted; connections end with it.
pub(super) async fn serve(listener: TcpListener, handle: Handle) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: some are free again soon.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let handle = handle.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(handle.clone(), request));
            // A connection that breaks concerns nobody else.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

async fn answer(handle: Handle, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large\n"));
    };
    let body = body.to_bytes();
    let path = head.uri.path();
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    if let Some(operation) = target.and_then(|target| target.strip_prefix("AmazonSSM.")) {
        return Ok(systems_manager(&handle, operation, &body).await);
    }
    if let Some(operation) = dns::operation(head.method == Method::POST, path) {
        return Ok(route_53(&handle, operation, &head.uri, &body).await);
    }
    Ok(match (&head.method, path.strip_prefix(CLOUDWATCH)) {
        (&Method::POST, Some(operation)) => cloudwatch(&handle, operation, &body).await,
        (&Method::POST, None) if path == "/" => query(&handle, &body).await,
        (&Method::POST, None) if path == "/_script" => script(&handle, &body),
        (&Method::GET, None) if path == "/_script" => faults(&handle),
        (&Method::GET, None) if path == "/_asked" => told(serde_json::to_vec(&handle.asked())),
        _ => plain(
            StatusCode::NOT_FOUND,
            "this is the simulated cloud of azimuth demo: EC2, STS and SSM at /, CloudWatch by RPC v2, Route 53 by its paths, faults at /_script, changes at /_asked\n",
        ),
    })
}

async fn query(handle: &Handle, body: &[u8]) -> Answer {
    let query = Query::parse(body);
    let action = query.get("Action").unwrap_or_default().to_owned();
    let request = begin(handle, &action).await;
    handle.remember(&action, || query.json());
    let outcome = {
        let mut state = handle.state();
        let faults = handle.shared.faults.borrow();
        if let Some(outcome) = changed(handle, &mut state, &faults, &action, &query, &request) {
            return answered(outcome, &request);
        }
        let view = ec2::View {
            fleet: &state.fleet,
            faults: &faults,
            changes: &state.modifications,
            now: handle.now(),
            tempo: handle.shared.tempo,
            page: handle.shared.page,
            request: &request,
        };
        faults
            .refusal(&action)
            .map_or_else(|| ec2::answer(&view, &action, &query), Err)
    };
    answered(outcome, &request)
}

fn answered(outcome: Result<String, Refusal>, request: &str) -> Answer {
    match outcome {
        Ok(text) => respond(200, "text/xml;charset=UTF-8", request, text.into()),
        Err(refusal) => {
            let text = ec2::error(&refusal, request);
            respond(refusal.status, "text/xml;charset=UTF-8", request, text.into())
        }
    }
}

/// An operation that changes something; `None` of one that only tells.
fn changed(
    handle: &Handle,
    state: &mut State,
    faults: &Faults,
    action: &str,
    query: &Query,
    request: &str,
) -> Option<Result<String, Refusal>> {
    if let Some(refusal) = faults.refusal(action) {
        return Some(Err(refusal));
    }
    let mut ground = ec2::change::Ground {
        fleet: &mut state.fleet,
        changes: &mut state.modifications,
        history: &mut state.history,
        tokens: &mut state.tokens,
        faults,
        now: handle.now(),
        request,
    };
    let done = ec2::change::act(&mut ground, action, query)?;
    Some(
        match faults.lost.contains(action) && query.get("DryRun") != Some("true") {
            true => done.and(Err(Refusal::new(
                500,
                "InternalError",
                "it was done, and the answer was lost",
            ))),
            false => done,
        },
    )
}

async fn cloudwatch(handle: &Handle, operation: &str, body: &[u8]) -> Answer {
    let request = begin(handle, operation).await;
    handle.remember(operation, || metric::told(body));
    let outcome = {
        let state = handle.state();
        let faults = handle.shared.faults.borrow();
        match (faults.refusal(operation), operation) {
            (Some(refusal), _) => Err(refusal),
            (None, "GetMetricData") => {
                let (tempo, page) = (handle.shared.tempo, handle.shared.page);
                metric::answer(&state, &faults, handle.now(), tempo, page, body)
            }
            (None, "DescribeAlarms") => Ok(metric::no_alarms()),
            (None, "PutMetricData") => Ok(metric::taken()),
            (None, other) => Err(Refusal::new(
                404,
                "UnknownOperationException",
                format!("{other} is not simulated"),
            )),
        }
    };
    let (status, bytes) = match outcome {
        Ok(bytes) => (200, bytes),
        // CloudWatch says 400 where EC2 says 503 or 403.
        Err(refusal) => (if refusal.status == 500 { 500 } else { 400 }, metric::error(&refusal)),
    };
    let mut answer = respond(status, "application/cbor", &request, bytes.into());
    answer.headers_mut().insert(
        "smithy-protocol",
        hyper::header::HeaderValue::from_static("rpc-v2-cbor"),
    );
    answer
}

async fn systems_manager(handle: &Handle, operation: &str, body: &[u8]) -> Answer {
    let request = begin(handle, operation).await;
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    handle.remember(operation, || body.clone());
    let outcome = {
        let mut state = handle.state();
        let state = &mut *state;
        let faults = handle.shared.faults.borrow();
        let view = ssm::View {
            fleet: &state.fleet,
            faults: &faults,
            now: handle.now(),
            tempo: handle.shared.tempo,
        };
        let done = match faults.refusal(operation) {
            Some(refusal) => Err(refusal),
            None => state.commands.answer(&view, operation, &body),
        };
        match faults.lost.contains(operation) {
            true => done.and(Err(Refusal::new(
                500,
                "InternalError",
                "it was done, and the answer was lost",
            ))),
            false => done,
        }
    };
    let (status, text) = match outcome {
        Ok(value) => (200, value),
        Err(refusal) => ssm::spoken(&refusal),
    };
    respond(status, "application/x-amz-json-1.1", &request, text.to_string().into())
}

async fn route_53(handle: &Handle, operation: &str, uri: &hyper::Uri, body: &[u8]) -> Answer {
    let request = begin(handle, operation).await;
    let body = String::from_utf8_lossy(body);
    handle.remember(operation, || serde_json::json!({ "path": uri.path(), "body": body }));
    let outcome = {
        let mut state = handle.state();
        let faults = handle.shared.faults.borrow();
        let query = Query::parse(uri.query().unwrap_or_default().as_bytes());
        let done = match faults.refusal(operation) {
            Some(refusal) => Err(refusal),
            None => state.names.answer(operation, uri.path(), &query, &body, handle.now()),
        };
        match faults.lost.contains(operation) {
            true => done.and(Err(Refusal::new(
                500,
                "InternalError",
                "it was done, and the answer was lost",
            ))),
            false => done,
        }
    };
    let (status, text) = match outcome {
        Ok(text) => (200, text),
        Err(refusal) => dns::spoken(&refusal, &request),
    };
    respond(status, "text/xml", &request, text.into())
}

/// Counts the call, waits as scripted, and names the request so that nobody takes it for AWS's.
async fn begin(handle: &Handle, operation: &str) -> String {
    let number = {
        let mut state = handle.state();
        *state.requests.entry(operation.to_owned()).or_default() += 1;
        state.requests.values().sum::<u64>()
    };
    let delay = handle.shared.faults.borrow().delay(operation);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    // The source reads the factor off here.
    match handle.shared.tempo.factor() {
        1 => format!("simulated-{number}"),
        factor => format!("simulated-x{factor}-{number}"),
    }
}

fn script(handle: &Handle, body: &[u8]) -> Answer {
    let played = serde_json::from_slice::<Script>(body)
        .map_err(|error| error.to_string())
        .and_then(|script| handle.script(&script));
    match played {
        Ok(()) => faults(handle),
        Err(reason) => plain(StatusCode::BAD_REQUEST, format!("{reason}\n")),
    }
}

fn faults(handle: &Handle) -> Answer {
    let faults = handle.shared.faults.borrow().clone();
    told(serde_json::to_vec(&faults))
}

fn told(text: Result<Vec<u8>, serde_json::Error>) -> Answer {
    match text {
        Ok(text) => respond(200, "application/json", "simulated-script", text.into()),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn respond(status: u16, kind: &'static str, request: &str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static(kind),
    );
    if let Ok(request) = hyper::header::HeaderValue::from_str(request) {
        headers.insert("x-amzn-requestid", request);
    }
    answer
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    respond(status.as_u16(), "text/plain;charset=UTF-8", "simulated-0", text.into())
}
