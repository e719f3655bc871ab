//! One connection to each broker, made when needed, remembered as dead for a while when it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use azimuth_broker::wire;
use azimuth_broker::wire::{Answer, Client, ClientConfig};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};
use kafka_protocol::protocol::{Request, VersionRange};
use tokio::time::Instant;

use super::answer::api_name;
use super::security::Security;
use super::target::{Deadlines, Target};
use crate::model::BrokerId;
use crate::model::cluster::Cluster;
use crate::source::Error;
use crate::source::backoff::Backoff;

/// The largest answer accepted: log dirs and configs of the largest clusters stay below it.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// How an alert of TLS begins (RFC 8446, 5.1), read as the upper half of a frame's length.
const TLS_ALERT: u64 = 0x1503;

/// The first pause before a broker that failed is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// A login that was refused is not tried again for so long: some brokers count them, and lock the user out.
const REFUSED_LOGIN_RETRY: Duration = Duration::from_secs(30);

/// How long one bootstrap address is waited for before the next is tried beside it.
const BOOTSTRAP_STAGGER: Duration = Duration::from_millis(100);

/// The connections to one cluster.
#[derive(Debug)]
pub(super) struct Pool {
    config: ClientConfig,
    security: Security,
    deadlines: Deadlines,
    seeds: Vec<Arc<Peer>>,
    brokers: Mutex<BTreeMap<BrokerId, Arc<Peer>>>,
    /// Controllers that are no brokers, by address.
    controllers: Mutex<BTreeMap<String, Arc<Peer>>>,
    /// By API key.
    asked: Mutex<BTreeMap<i16, Asked>>,
}

/// What was asked of all brokers with one API.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    requests: u64,
    /// How long the answer to a large question takes: the slowest, forgotten by a tenth with each answer.
    takes: Duration,
}

/// One address and the connection to it.
#[derive(Debug)]
pub(super) struct Peer {
    address: String,
    /// Set once it is known which broker listens there.
    name: OnceLock<String>,
    link: tokio::sync::Mutex<Link>,
    /// A connection stands.
    up: AtomicBool,
    /// It has answered more than the first exchange of a connection.
    served: AtomicBool,
    /// Another broker was faster by more than the hedge when both were asked; cleared by its next answer.
    suspect: AtomicBool,
    in_flight: Arc<()>,
    /// How many connections were made to it.
    connections: AtomicU64,
    /// The mark of what it said of itself last, and its release.
    pub(super) said: Mutex<Option<(u64, Option<String>)>>,
}

#[derive(Debug)]
struct Link {
    client: Option<Client>,
    /// Told to everybody who asks before the moment.
    failure: Option<(Error, Instant)>,
    backoff: Backoff,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub fn new(target: &Target) -> Self {
        let deadlines = target.deadlines;
        let config = ClientConfig {
            client_id: target.client_id.clone(),
            connect_timeout: deadlines.connect,
            max_frame_bytes: MAX_ANSWER_BYTES,
            lean: true,
            ..ClientConfig::default()
        };
        let seeds = target
            .bootstrap
            .iter()
            .map(|address| Arc::new(Peer::new(address.clone(), deadlines.retry)));
        Self {
            seeds: seeds.collect(),
            brokers: Mutex::default(),
            controllers: Mutex::default(),
            asked: Mutex::default(),
            security: target.security.clone(),
            config,
            deadlines,
        }
    }

    pub fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// How to connect now: certificates and passwords may have been replaced since the last time.
    pub fn config(&self) -> ClientConfig {
        let now = self.security.now();
        ClientConfig {
            security: now.wire.clone(),
            sasl: now.login.clone(),
            ..self.config.clone()
        }
    }

    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Takes over the brokers' addresses. A broker that is not listed any more keeps its last one: it may only be down.
    pub fn learn(&self, cluster: &Cluster) {
        let mut brokers = locked(&self.brokers);
        for broker in &cluster.brokers {
            let address = match broker.host.contains(':') {
                true => format!("[{}]:{}", broker.host, broker.port),
                false => format!("{}:{}", broker.host, broker.port),
            };
            if brokers.get(&broker.id).is_none_or(|peer| peer.address != address) {
                let name = format!("broker {} ({address})", broker.id);
                let seed = self.seeds.iter().find(|seed| seed.address == address);
                // The connection to a bootstrap address goes on as the broker's; its name is given once.
                let known = seed.filter(|seed| *seed.name.get_or_init(|| name.clone()) == name);
                let fresh = || Arc::new(Peer::named(address.clone(), name.clone(), self.deadlines.retry));
                brokers.insert(broker.id, known.cloned().unwrap_or_else(fresh));
            }
        }
    }

    pub fn broker(&self, id: BrokerId) -> Option<Arc<Peer>> {
        locked(&self.brokers).get(&id).cloned()
    }

    /// A controller that no broker lists.
    pub fn controller(&self, address: &str) -> Arc<Peer> {
        let mut controllers = locked(&self.controllers);
        let fresh = || Arc::new(Peer::new(address.to_owned(), self.deadlines.retry));
        Arc::clone(controllers.entry(address.to_owned()).or_insert_with(fresh))
    }

    /// The broker that is likeliest to answer.
    pub fn likeliest(&self) -> Option<(BrokerId, Arc<Peer>)> {
        let brokers = locked(&self.brokers);
        let (id, peer) = brokers.iter().min_by_key(|(_, peer)| peer.rank())?;
        Some((*id, Arc::clone(peer)))
    }

    pub fn requests(&self) -> BTreeMap<String, u64> {
        let asked = locked(&self.asked);
        let counts = asked.iter().map(|(key, asked)| (api_name(*key), asked.requests));
        counts.collect()
    }

    /// How long a broker may wait for the controller before it answers us, a little less than we wait for it.
    pub fn patience_ms(&self) -> i32 {
        let patience = self.deadlines.call.mul_f64(0.8);
        i32::try_from(patience.as_millis()).unwrap_or(i32::MAX)
    }

    /// Asks exactly this peer, within the call's deadline, connecting first where needed.
    pub async fn ask<R: Request>(&self, peer: &Peer, request: R) -> Result<R::Response, Error> {
        self.ask_at(peer, R::VERSIONS, self.deadlines.call, |_| request).await
    }

    /// Like [`Pool::ask`], at a version within `ours`, with the request that `build` makes for it: the codec refuses
    /// a field that a version does not have.
    pub async fn ask_at<R: Request>(
        &self,
        peer: &Peer,
        ours: VersionRange,
        deadline: Duration,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, Error> {
        let answer = self.answer_at(peer, ours, deadline, build).await?;
        answer.decode().map_err(|error| peer.error(error, &api_name(R::KEY)))
    }

    /// Like [`Pool::ask`], with the mark of the answer; `None` where it is the one that was marked so before, which is not taken apart.
    pub async fn ask_unless<R: Request>(
        &self,
        peer: &Peer,
        known: Option<u64>,
        build: impl FnOnce(i16) -> R,
    ) -> Result<Option<(u64, R::Response)>, Error> {
        let answer = self.answer_at(peer, R::VERSIONS, self.deadlines.call, build).await?;
        let mark = answer.mark();
        if Some(mark) == known {
            return Ok(None);
        }
        let response = answer.decode().map_err(|error| peer.error(error, &api_name(R::KEY)))?;
        Ok(Some((mark, response)))
    }

    /// Like [`Pool::ask_at`], with the answer as it came.
    async fn answer_at<R: Request>(
        &self,
        peer: &Peer,
        ours: VersionRange,
        deadline: Duration,
        build: impl FnOnce(i16) -> R,
    ) -> Result<Answer<R>, Error> {
        let started = Instant::now();
        let what = api_name(R::KEY);
        let client = self.connected(peer, deadline, &what).await?;
        let version = common::<R>(&client, ours).map_err(|error| peer.error(error, &what))?;
        let _busy = Arc::clone(&peer.in_flight);
        self.count(R::KEY);
        let began = Instant::now();
        let left = deadline.saturating_sub(started.elapsed());
        match client.ask_at(build(version), version, left).await {
            Ok(answer) => {
                self.answered(R::KEY, began.elapsed());
                peer.suspect.store(false, Ordering::Relaxed);
                peer.served.store(true, Ordering::Relaxed);
                Ok(answer)
            }
            Err(error) => {
                if client.is_closed() || matches!(error, wire::Error::TimedOut { .. }) {
                    // A broker answers the requests of a connection in turn: one that hangs holds up all after it.
                    peer.disconnect().await;
                }
                let stranger = !peer.served.load(Ordering::Relaxed) && matches!(error, wire::Error::Closed { .. });
                let told = peer.error(within(error, deadline), &what);
                Err(match stranger && self.security.now().login.is_none() {
                    true => advise(
                        told,
                        "; a listener with SASL does so to whoever does not log in: see security.protocol",
                    ),
                    false => told,
                })
            }
        }
    }

    /// The version in which this peer would be asked.
    pub async fn version_of<R: Request>(&self, peer: &Peer) -> Result<i16, Error> {
        let what = api_name(R::KEY);
        let client = self.connected(peer, self.deadlines.call, &what).await?;
        common::<R>(&client, R::VERSIONS).map_err(|error| peer.error(error, &what))
    }

    /// Has a connection to this peer, so that the next request does not wait for one.
    pub async fn warm(&self, peer: &Peer) -> Result<(), Error> {
        self.connected(peer, self.deadlines.call, "ApiVersions").await?;
        Ok(())
    }

    /// What the peer advertised when the connection to it was made.
    pub async fn versions(&self, peer: &Peer) -> Result<ApiVersionsResponse, Error> {
        let client = self.connected(peer, self.deadlines.call, "ApiVersions").await?;
        Ok(client.api_versions().clone())
    }

    /// The connection to this peer, made within `deadline` if there is none.
    async fn connected(&self, peer: &Peer, deadline: Duration, what: &str) -> Result<Client, Error> {
        let connecting = tokio::time::timeout(deadline, peer.client(self));
        connecting.await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                peer: peer.name().to_owned(),
                what: what.to_owned(),
                after: deadline,
            })
        })
    }

    /// Asks whoever answers first: the likeliest broker, and another beside it whenever the hedge has passed.
    /// Only for questions, never for changes.
    pub async fn ask_any<R>(&self, build: impl Fn(i16) -> R + Sync) -> Result<(Arc<Peer>, R::Response), Error>
    where
        R: Request<Response: Send> + Send + Sync,
    {
        let (peers, stagger) = self.candidates(R::KEY);
        let build = &build;
        // Boxed: rustc cannot prove the bare closure's future `Send` for every lifetime.
        let attempt =
            |peer: Arc<Peer>| async move { self.ask_at(&peer, R::VERSIONS, self.deadlines.call, build).await }.boxed();
        hedged(peers, stagger, attempt).await
    }

    /// The same; `None` where the answer is the one that was marked so before.
    pub async fn ask_any_unless<R>(
        &self,
        known: Option<u64>,
        build: impl Fn(i16) -> R + Sync,
    ) -> Result<(Arc<Peer>, Option<(u64, R::Response)>), Error>
    where
        R: Request<Response: Send> + Send + Sync,
    {
        let (peers, stagger) = self.candidates(R::KEY);
        let build = &build;
        let attempt = |peer: Arc<Peer>| async move { self.ask_unless(&peer, known, build).await }.boxed();
        hedged(peers, stagger, attempt).await
    }

    /// Sends a change to one broker. The next is tried only while it is certain that nobody got it.
    pub async fn tell<R: Request>(&self, build: impl FnOnce(i16) -> R) -> Result<(Arc<Peer>, R::Response), Error> {
        let deadline = self.deadlines.change;
        let (peers, stagger) = self.candidates(R::KEY);
        let attempt = |peer: Arc<Peer>| async move { self.connected(&peer, deadline, &api_name(R::KEY)).await }.boxed();
        let (peer, _) = hedged(peers, stagger, attempt).await?;
        let response = self.ask_at(&peer, R::VERSIONS, deadline, build).await?;
        Ok((peer, response))
    }

    /// Everybody who may know, the likeliest first, and how long to wait for the first of them: a broker that needs a second for all
    /// of a wide cluster's partitions is not slow, and a second one would be kept as busy.
    fn candidates(&self, key: i16) -> (Vec<Arc<Peer>>, Duration) {
        let mut peers: Vec<_> = locked(&self.brokers).values().cloned().collect();
        let known: BTreeSet<_> = peers.iter().map(|peer| peer.address.clone()).collect();
        peers.sort_by_key(|peer| peer.rank());
        let seeds = self.seeds.iter().filter(|seed| !known.contains(&seed.address));
        peers.extend(seeds.cloned());
        let stagger = match known.is_empty() {
            true => BOOTSTRAP_STAGGER,
            false => {
                let takes = locked(&self.asked)
                    .get(&key)
                    .map_or(Duration::ZERO, |asked| asked.takes);
                self.deadlines.hedge.max(takes * 2)
            }
        };
        (peers, stagger)
    }

    /// Why there is no connection, and what to change where the two sides do not speak the same.
    pub fn refusal(&self, peer: &Peer, error: wire::Error) -> Error {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        let advice = match (&error, self.security.has_tls()) {
            (wire::Error::TooLarge { bytes, .. }, false) if bytes >> 16 == TLS_ALERT => {
                return Error::Insecure {
                    peer: peer.name().to_owned(),
                    reason: "it speaks TLS and we do not; set security.protocol to SSL, or to SASL_SSL to log in"
                        .to_owned(),
                };
            }
            (wire::Error::Closed { .. }, false) => {
                "; a listener with TLS does so to whoever does not speak it: see security.protocol"
            }
            (wire::Error::Unreachable { source, .. }, true)
                if matches!(source.kind(), UnexpectedEof | ConnectionReset | BrokenPipe) =>
            {
                return Error::Insecure {
                    peer: peer.name().to_owned(),
                    reason: "it ended the connection in the TLS handshake, as a listener without TLS does; there \
                             security.protocol is PLAINTEXT or SASL_PLAINTEXT"
                        .to_owned(),
                };
            }
            (wire::Error::Tls { reason, .. }, true) if reason.contains("does not speak TLS") => {
                "; for a listener without TLS security.protocol is PLAINTEXT or SASL_PLAINTEXT"
            }
            _ => "",
        };
        let now = self.security.now();
        advise(peer.refusal(error, now.user().as_deref()), advice)
    }

    fn count(&self, key: i16) {
        locked(&self.asked).entry(key).or_default().requests += 1;
    }

    fn answered(&self, key: i16, took: Duration) {
        let mut asked = locked(&self.asked);
        let takes = &mut asked.entry(key).or_default().takes;
        *takes = took.max(takes.mul_f64(0.9));
    }
}

impl Peer {
    fn named(address: String, name: String, retry: Duration) -> Self {
        Self {
            name: OnceLock::from(name),
            ..Self::new(address, retry)
        }
    }

    pub fn new(address: String, retry: Duration) -> Self {
        let link = Link {
            client: None,
            failure: None,
            backoff: Backoff::new(FIRST_RETRY, retry),
        };
        Self {
            address,
            name: OnceLock::new(),
            link: tokio::sync::Mutex::new(link),
            up: AtomicBool::new(false),
            served: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            in_flight: Arc::new(()),
            connections: AtomicU64::new(0),
            said: Mutex::default(),
        }
    }

    /// `broker 4 (10.0.1.4:9092)`, or the address alone while the id is not known.
    pub fn name(&self) -> &str {
        self.name.get().unwrap_or(&self.address)
    }

    /// True while another request to it has no answer yet.
    pub fn is_busy(&self) -> bool {
        Arc::strong_count(&self.in_flight) > 1
    }

    /// How many connections were made to it so far: one that was lost is made anew with the next question.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// The lower, the likelier to answer at once.
    fn rank(&self) -> u8 {
        match (self.up.load(Ordering::Relaxed), self.suspect.load(Ordering::Relaxed)) {
            (true, false) => 0,
            (false, false) => 1,
            (_, true) => 2,
        }
    }

    async fn client(&self, pool: &Pool) -> Result<Client, Error> {
        let mut link = self.link.lock().await;
        if let Some(client) = link.client.take_if(|client| !client.is_closed()) {
            link.client = Some(client.clone());
            return Ok(client);
        }
        self.up.store(false, Ordering::Relaxed);
        if let Some((error, until)) = &link.failure
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let refused = matches!(&link.failure, Some((Error::Denied { .. } | Error::Insecure { .. }, _)));
        pool.security.renew(refused).await;
        let ready = pool.security.ready().await;
        let connected = match ready {
            Ok(()) => {
                pool.count(ApiKey::ApiVersions as i16);
                let connected = Client::connect(&self.address, &pool.config()).await;
                connected.map_err(|error| pool.refusal(self, error))
            }
            Err(error) => Err(error),
        };
        match connected {
            Ok(client) => {
                link.backoff.succeed();
                link.failure = None;
                link.client = Some(client.clone());
                self.connections.fetch_add(1, Ordering::Relaxed);
                self.up.store(true, Ordering::Relaxed);
                Ok(client)
            }
            Err(error) => {
                let pause = match &error {
                    Error::Denied { .. } => link.backoff.fail().max(REFUSED_LOGIN_RETRY),
                    _ => link.backoff.fail(),
                };
                let until = Instant::now() + pause;
                link.failure = Some((error.clone(), until));
                self.suspect.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    async fn disconnect(&self) {
        self.link.lock().await.client = None;
        self.up.store(false, Ordering::Relaxed);
    }

    /// Why there is no connection, or no login on it.
    fn refusal(&self, error: wire::Error, user: Option<&str>) -> Error {
        let wire::Error::Login { mechanism, reason, .. } = error else {
            return self.error(error, "ApiVersions");
        };
        let peer = self.name().to_owned();
        let what = match user {
            Some(user) => format!("the login of {user} with {mechanism}"),
            None => format!("the login with {mechanism}"),
        };
        if reason.starts_with("UnsupportedSaslMechanism") {
            return Error::Refused {
                peer,
                what,
                code: "UNSUPPORTED_SASL_MECHANISM".to_owned(),
                reason: format!(
                    "{}; set sasl.mechanism to one of those",
                    reason.trim_start_matches("UnsupportedSaslMechanism, ")
                ),
            };
        }
        if reason.starts_with("IllegalSaslState") {
            return Error::Refused {
                peer,
                what,
                code: "ILLEGAL_SASL_STATE".to_owned(),
                reason: "this listener has no logins; there security.protocol is PLAINTEXT or SSL".to_owned(),
            };
        }
        let reason = reason.trim_start_matches("SaslAuthenticationFailed, ").to_owned();
        Error::Denied { peer, what, reason }
    }

    fn error(&self, error: wire::Error, what: &str) -> Error {
        let peer = self.name().to_owned();
        match error {
            wire::Error::Unreachable { source, .. } => Error::Unreachable {
                peer,
                reason: source.to_string(),
            },
            wire::Error::Closed { .. } => Error::Unreachable {
                peer,
                reason: format!("it closed the connection during {what}"),
            },
            wire::Error::Tls { reason, .. } => Error::Insecure { peer, reason },
            wire::Error::TimedOut { after, .. } => Error::TimedOut {
                peer,
                what: what.to_owned(),
                after,
            },
            wire::Error::Unsupported { .. } => Error::Unsupported {
                peer,
                what: what.to_owned(),
            },
            other => Error::Refused {
                peer,
                what: what.to_owned(),
                code: "protocol".to_owned(),
                reason: other.to_string(),
            },
        }
    }
}

/// Tries the peers in order, the next one whenever one fails or the wait is over; the first answer wins. Each wait is twice the
/// one before: where all are slow, asking more of them makes them slower.
async fn hedged<'a, T>(
    peers: Vec<Arc<Peer>>,
    mut stagger: Duration,
    attempt: impl Fn(Arc<Peer>) -> BoxFuture<'a, Result<T, Error>>,
) -> Result<(Arc<Peer>, T), Error> {
    let mut waiting = peers.into_iter();
    let mut running = FuturesUnordered::new();
    let mut asked: Vec<Arc<Peer>> = Vec::new();
    let mut failures = Vec::new();
    loop {
        if let Some(peer) = waiting.next() {
            asked.push(Arc::clone(&peer));
            let answer = attempt(Arc::clone(&peer));
            running.push(async move { (peer, answer.await) });
        }
        tokio::select! {
            next = running.next() => match next {
                None => return Err(nobody(&failures)),
                Some((peer, Ok(answer))) => {
                    asked.retain(|other| !Arc::ptr_eq(other, &peer));
                    for slow in asked {
                        slow.suspect.store(true, Ordering::Relaxed);
                    }
                    return Ok((peer, answer));
                }
                Some((peer, Err(error))) => {
                    asked.retain(|other| !Arc::ptr_eq(other, &peer));
                    if !error.is_about_peer() {
                        return Err(error);
                    }
                    failures.push(error);
                }
            },
            () = tokio::time::sleep(stagger), if waiting.len() > 0 => stagger *= 2,
        }
    }
}

/// A reason, with what to do about it.
fn advise(error: Error, advice: &str) -> Error {
    match error {
        Error::Unreachable { peer, reason } => Error::Unreachable {
            peer,
            reason: format!("{reason}{advice}"),
        },
        Error::Insecure { peer, reason } => Error::Insecure {
            peer,
            reason: format!("{reason}{advice}"),
        },
        other => other,
    }
}

/// Names the deadline that was set, not what connecting had left of it: the same failure reads the same each time.
fn within(error: wire::Error, deadline: Duration) -> wire::Error {
    match error {
        wire::Error::TimedOut { addr, what, .. } => wire::Error::TimedOut {
            addr,
            what,
            after: deadline,
        },
        other => other,
    }
}

/// The highest version that both sides have within `ours`.
fn common<R: Request>(client: &Client, ours: VersionRange) -> Result<i16, wire::Error> {
    match ApiKey::try_from(R::KEY) {
        Ok(key) => client.version_of(key, ours),
        Err(()) => Ok(ours.max),
    }
}

/// What to say when no candidate answered.
fn nobody(failures: &[Error]) -> Error {
    let unsupported = failures.iter().find(|error| matches!(error, Error::Unsupported { .. }));
    match (unsupported, failures) {
        (Some(error), _) => error.clone(),
        (None, []) => Error::Local("no bootstrap address is given; name one with --bootstrap HOST:PORT".to_owned()),
        (None, [only]) => only.clone(),
        (None, [first, rest @ ..]) => Error::Unreachable {
            peer: "any broker".to_owned(),
            reason: format!("{first}, and {} more failed likewise", rest.len()),
        },
    }
}
