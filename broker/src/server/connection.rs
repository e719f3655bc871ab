//! One client's connection: frames in, answers out in the order of the requests.
//!
//! Requests are worked on one at a time, except that Produce requests that follow each other overlap while they wait
//! for their replicas: each has appended before the next is looked at. Those of transactions, which may have to ask a
//! coordinator before they append, do not. One more request may be read ahead; the
//! rest waits in the socket.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use kafka_protocol::messages::ApiKey;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::entry::Admitted;
use super::login::{Answer, LOGIN_DEADLINE, Sasl, Session};
use super::{Limits, Phase, reached};
use crate::auth::Principal;
use crate::handler::heart::{self, Heart};
use crate::handler::{self, Call, Context, Refused, Reply, Software};
use crate::wire::{self, FrameReader, Header, ReadHalf, WriteHalf};

/// Produce requests of one connection that may wait for their replicas together. Clients send 5 by default.
const OVERLAPPING_PRODUCES: usize = 8;

/// A client that takes nothing for so long while an answer waits is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// A TLS connection that ends says so, if that can be sent within this time.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    client: SocketAddr,
    listener: Arc<str>,
    cx: Arc<Context>,
    frame_bytes: usize,
    idle: Duration,
    sasl: Option<Arc<Sasl>>,
    software: Software,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("it closed the connection")]
    Client,
    #[error("it was idle")]
    Idle,
    #[error("the node stops")]
    Stopped,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("its frame cannot be taken: {0}")]
    Frame(String),
    #[error("it ended in the middle of a frame")]
    Torn,
    /// Told in the log already.
    #[error("it is not let in")]
    Refusal,
    #[error("it does not log in within {} s", LOGIN_DEADLINE.as_secs())]
    Slow,
    #[error("there are too many clients that are not logged in yet")]
    Crowd,
    #[error("its login has ended")]
    Expired,
    #[error("it does not take its answers")]
    Stuck,
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
}

impl Connection {
    pub fn new(
        client: SocketAddr,
        listener: &Arc<str>,
        cx: &Arc<Context>,
        limits: &Limits,
        sasl: Option<&Arc<Sasl>>,
    ) -> Self {
        Self {
            client,
            listener: Arc::clone(listener),
            cx: Arc::clone(cx),
            frame_bytes: limits.frame_bytes,
            idle: limits.idle,
            sasl: sasl.cloned(),
            software: Software::default(),
        }
    }

    pub async fn run(self, admitted: Admitted, phase: watch::Receiver<Phase>) {
        let (client, listener) = (self.client, Arc::clone(&self.listener));
        match self.serve(admitted, phase).await {
            end @ (End::Client | End::Idle | End::Stopped | End::Refusal | End::Expired | End::Broken(_)) => {
                tracing::debug!("{client} on {listener} is disconnected: {end}");
            }
            end => tracing::warn!("{client} on {listener} is disconnected: {end}"),
        }
    }

    async fn serve(self, admitted: Admitted, mut phase: watch::Receiver<Phase>) -> End {
        let (input, mut output) = admitted.stream.into_split();
        let mut frames = Frames {
            input,
            reader: FrameReader::new(self.frame_bytes),
        };
        let idle = self.idle;
        let cx = Arc::clone(&self.cx);
        let mut beats = None;
        let served = async {
            let (session, principal) = match self.log_in(&mut frames, &mut output, &mut phase).await? {
                Some((session, principal)) => (Some(session), principal),
                None => (None, Arc::new(admitted.principal)),
            };
            let mut work = Work {
                cx: self.cx,
                client: self.client,
                principal,
                listener: self.listener,
                software: self.software,
                session,
                refused: false,
                running: FuturesOrdered::new(),
                only_produces: true,
                ahead: None,
                muted: None,
                heart: None,
            };
            let end = exchange(&mut work, &mut frames, &mut output, idle, &mut phase).await;
            beats = work.heart;
            end
        };
        let end = served.await.unwrap_or_else(|end| end);
        if let (Some(heart), End::Client | End::Torn | End::Broken(_)) = (beats, &end) {
            heart::lost(&cx, heart).await;
        }
        if matches!(output, WriteHalf::Tls(_)) && !matches!(end, End::Stuck | End::Broken(_)) {
            // A client that is gone does not miss it.
            let _ = tokio::time::timeout(FAREWELL, output.shutdown()).await;
        }
        end
    }

    /// Waits until the client is logged in, and says as whom; nothing on a listener without SASL.
    async fn log_in(
        &self,
        frames: &mut Frames,
        output: &mut WriteHalf,
        phase: &mut watch::Receiver<Phase>,
    ) -> Result<Option<(Session, Arc<Principal>)>, End> {
        let Some(sasl) = &self.sasl else {
            return Ok(None);
        };
        let entered = async {
            let _place = sasl.enter().ok_or(End::Crowd)?;
            let mut session = Session::new(
                Arc::clone(sasl),
                Arc::clone(&self.cx),
                self.client,
                Arc::clone(&self.listener),
                Arc::clone(&self.software),
            );
            frames.reader.set_limit(sasl.receive_bytes());
            tokio::select! {
                entered = tokio::time::timeout(LOGIN_DEADLINE, first_requests(&mut session, frames, output)) => {
                    entered.map_err(|_| End::Slow)??;
                }
                () = reached(phase, |phase| phase != Phase::Serve) => return Err(End::Stopped),
            }
            frames.reader.set_limit(self.frame_bytes);
            let principal = session.principal().cloned().ok_or(End::Refusal)?;
            Ok((session, principal))
        };
        match entered.await {
            Ok(entered) => Ok(Some(entered)),
            Err(end @ (End::Client | End::Stopped | End::Refusal | End::Broken(_))) => Err(end),
            Err(end) => {
                sasl.report(self.client, &self.listener, &end.to_string());
                Err(End::Refusal)
            }
        }
    }
}

/// Answers what comes before the end of a login.
async fn first_requests(session: &mut Session, frames: &mut Frames, output: &mut WriteHalf) -> Result<(), End> {
    while session.principal().is_none() {
        let frame = frames.next().await?.ok_or(End::Client)?;
        let mut replies = Outgoing::default();
        match session.first(frame).await? {
            Answer::Reply(reply) => {
                replies.push(reply);
                send(output, &mut replies).await?;
            }
            Answer::Refusal(reply) => {
                tokio::time::sleep(session.sasl().failure_delay()).await;
                if let Some(reply) = reply {
                    replies.push(reply);
                    send(output, &mut replies).await?;
                }
                return Err(End::Refusal);
            }
        }
    }
    Ok(())
}

async fn exchange(
    work: &mut Work,
    frames: &mut Frames,
    output: &mut WriteHalf,
    idle: Duration,
    phase: &mut watch::Receiver<Phase>,
) -> Result<End, End> {
    loop {
        let busy = !work.running.is_empty();
        tokio::select! {
            // In this order: a produce appends before the next request is read.
            biased;
            Some(reply) = work.running.next(), if busy => {
                let mut replies = Outgoing::default();
                let mut wait = replies.push(reply?);
                while let Some(Some(reply)) = work.running.next().now_or_never() {
                    wait = wait.max(replies.push(reply?));
                }
                tokio::time::timeout(WRITE_TIMEOUT, send(output, &mut replies))
                    .await
                    .map_err(|_| End::Stuck)??;
                work.mute(wait);
                if work.refused && work.running.is_empty() {
                    return Err(End::Refusal);
                }
                work.start_ahead()?;
            }
            () = reached(phase, |phase| phase != Phase::Serve), if !busy => return Ok(End::Stopped),
            () = muted(work.muted), if work.muted.is_some() => {
                work.muted = None;
                work.start_ahead()?;
            }
            frame = frames.next(), if work.ahead.is_none() && work.muted.is_none() && !work.refused => {
                let Some(frame) = frame? else { return Ok(End::Client) };
                work.take(frame)?;
            }
            () = tokio::time::sleep(idle), if !busy => return Ok(End::Idle),
        }
    }
}

/// Until the client may go on.
async fn muted(until: Option<Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
}

async fn send(output: &mut WriteHalf, replies: &mut Outgoing) -> std::io::Result<()> {
    output.write_all_buf(replies).await?;
    output.flush().await
}

struct Frames {
    input: ReadHalf,
    reader: FrameReader,
}

impl Frames {
    async fn next(&mut self) -> Result<Option<Bytes>, End> {
        self.reader.next(&mut self.input).await.map_err(|error| match error {
            wire::FrameError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => End::Torn,
            wire::FrameError::Io(error) => End::Broken(error),
            error @ wire::FrameError::TooLarge { .. } => End::Frame(error.to_string()),
        })
    }
}

/// The requests of one connection that have no answer yet.
struct Work {
    cx: Arc<Context>,
    client: SocketAddr,
    principal: Arc<Principal>,
    listener: Arc<str>,
    software: Software,
    session: Option<Session>,
    /// A login was refused: nothing is taken any more, and the connection ends with the answer.
    refused: bool,
    running: FuturesOrdered<BoxFuture<'static, Result<Reply, Refused>>>,
    only_produces: bool,
    /// Read, and waiting for those that run.
    ahead: Option<(Header, Bytes)>,
    /// Nothing is read or begun before then, because the client took more than its quota (KIP-219).
    muted: Option<Instant>,
    /// The broker whose heartbeats come this way.
    heart: Option<Heart>,
}

impl Work {
    fn take(&mut self, mut frame: Bytes) -> Result<(), End> {
        let header = wire::decode_header(&mut frame).map_err(|error| End::Frame(error.to_string()))?;
        self.ahead = Some((header, frame));
        self.start_ahead()
    }

    /// The longest of several waits counts.
    fn mute(&mut self, wait: Duration) {
        if !wait.is_zero() {
            self.muted = self.muted.max(Some(Instant::now() + wait));
        }
    }

    /// Starts the request that was read ahead, if it may run now.
    fn start_ahead(&mut self) -> Result<(), End> {
        let Some((header, body)) = &self.ahead else {
            return Ok(());
        };
        if self.muted.is_some() {
            return Ok(());
        }
        let is_produce =
            header.key == ApiKey::Produce as i16 && !handler::produce::is_transactional(header.version, body);
        let overlaps = is_produce && self.only_produces && self.running.len() < OVERLAPPING_PRODUCES;
        if !(self.running.is_empty() || overlaps) {
            return Ok(());
        }
        let Some((header, body)) = self.ahead.take() else {
            return Ok(());
        };
        self.only_produces = is_produce;
        self.heart = self.heart.or_else(|| heart::of(&self.cx, &header, &body));
        if self.logs_in(&header, &body)? {
            return Ok(());
        }
        let cx = Arc::clone(&self.cx);
        let call = Call {
            version: header.version,
            correlation: header.correlation,
            client_id: header.client_id.clone(),
            client_addr: self.client,
            principal: Arc::clone(&self.principal),
            listener: Arc::clone(&self.listener),
            by_token: self.session.as_ref().is_some_and(Session::is_by_token),
            software: Arc::clone(&self.software),
        };
        let answer = async move { handler::answer(&cx, &call, &header, body).await };
        self.running.push_back(answer.boxed());
        Ok(())
    }
}

impl Work {
    /// Takes a request of a login, and lets none through that comes after the end of one.
    fn logs_in(&mut self, header: &Header, body: &Bytes) -> Result<bool, End> {
        let Some(session) = &mut self.session else {
            return Ok(false);
        };
        let answer = match session.again(header, body)? {
            None => return Ok(false),
            Some(Answer::Reply(reply)) => std::future::ready(Ok(reply)).boxed(),
            Some(Answer::Refusal(reply)) => {
                self.refused = true;
                let delay = session.sasl().failure_delay();
                async move {
                    tokio::time::sleep(delay).await;
                    Ok(reply.unwrap_or_default())
                }
                .boxed()
            }
        };
        self.running.push_back(answer);
        Ok(true)
    }
}

/// Answers on their way out, in pieces that are written together without copying.
#[derive(Default)]
struct Outgoing {
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Outgoing {
    /// Returns how long the client has to wait after it.
    fn push(&mut self, reply: Reply) -> Duration {
        let wait = reply.throttle();
        for piece in reply.into_chunks() {
            if !piece.is_empty() {
                self.left += piece.len();
                self.pieces.push_back(piece);
            }
        }
        wait
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| &piece[..])
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, piece) in into.iter_mut().zip(&self.pieces) {
            *slot = std::io::IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        self.left -= count;
        while count > 0 {
            let Some(front) = self.pieces.front_mut() else {
                return;
            };
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_written_across_their_borders() {
        let pieces = ["abc", "d", "efg"].map(|piece| Bytes::from_static(piece.as_bytes()));
        let mut outgoing = Outgoing {
            pieces: pieces.into(),
            left: 7,
        };
        let mut slices = [std::io::IoSlice::new(&[]); 2];
        assert_eq!(outgoing.chunks_vectored(&mut slices), 2);
        outgoing.advance(5);
        assert_eq!((outgoing.chunk(), outgoing.remaining()), (&b"fg"[..], 2));
        outgoing.advance(2);
        assert!(!outgoing.has_remaining());
    }
}
