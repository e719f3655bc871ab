//! The follower's side: one task per leader node fetches all partitions that this node follows there.
//!
//! Each round is one request; what it brings is written as it came. A change of what is followed interrupts a round
//! that waits for records, so that a new leader is fetched from at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, ReplicaState};
use kafka_protocol::messages::fetch_response::{FetchResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::link::{LeaderLink, LinkError};
use super::nearby::{LINGER, REJOIN_PAUSE};
use super::partition::{Partition, Piece};
use super::throttle::Meter;
use super::told::{self, Told};
use super::{Options, Refusal, ReplicaManager};
use crate::id::{Epoch, NodeId, Offset, TopicId, TopicPartition};

/// The first pause after a failure; it doubles up to `replica.fetch.backoff.ms`.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// How long a leader may keep an answer back: `replica.socket.timeout.ms`.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What is fetched from one leader.
pub(super) struct Fetcher {
    leader: NodeId,
    followed: Mutex<HashMap<TopicPartition, Followed>>,
    changed: Notify,
    /// The leader's last answer denied something.
    denied: AtomicBool,
    calls: AtomicU64,
}

struct Followed {
    partition: Arc<Partition>,
    epoch: Epoch,
    pause: Pause,
    /// At the last answer it had all that the leader had committed: its throttle does not hold then.
    caught_up: bool,
    /// Of the last call to fetch it, so that one during a round is not missed.
    call: u64,
}

/// Growing pauses between attempts.
#[derive(Debug, Clone, Copy, Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    fn fail(&mut self, max: Duration) {
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(10)).min(max);
        self.failures += 1;
        self.until = Some(Instant::now() + pause);
    }
}

/// An open link, and the permission to have it in a wide cluster.
struct Link {
    leader: Box<dyn LeaderLink>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// One partition of one round, in the order of the request.
struct Asked {
    partition: Arc<Partition>,
    epoch: Epoch,
    from: Offset,
    call: u64,
    /// Late, and throttled for it.
    throttled: bool,
}

impl Followed {
    /// As in Kafka, only what is out of sync is throttled.
    fn is_throttled(&self) -> bool {
        !self.caught_up && self.partition.throttled().follower
    }
}

/// One round: what to ask for now, and when more is due.
struct Round {
    asked: Vec<Asked>,
    /// What is asked and counts as throttled and late.
    throttled: usize,
    /// When the next partition that is left out is due.
    next: Option<Instant>,
    /// Nothing is followed at all.
    idle: bool,
}

/// What to do with a partition after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// There may be more.
    Good {
        caught_up: bool,
    },
    /// Nothing is missing.
    Complete,
    Failed,
}

impl Fetcher {
    pub fn new(leader: NodeId) -> Self {
        Self {
            leader,
            followed: Mutex::default(),
            changed: Notify::new(),
            denied: AtomicBool::new(false),
            calls: AtomicU64::new(0),
        }
    }

    pub fn leader(&self) -> NodeId {
        self.leader
    }

    pub fn is_idle(&self) -> bool {
        self.followed.lock().is_empty()
    }

    pub fn follow(&self, partition: &Arc<Partition>, epoch: Epoch) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut followed = self.followed.lock();
        if let Some(known) = followed.get_mut(&partition.at)
            && known.epoch == epoch
        {
            known.call = call;
            return;
        }
        let entry = Followed {
            partition: Arc::clone(partition),
            epoch,
            pause: Pause::default(),
            caught_up: false,
            call,
        };
        followed.insert(partition.at, entry);
        self.changed.notify_one();
    }

    pub fn unfollow(&self, at: TopicPartition) {
        if self.followed.lock().remove(&at).is_some() {
            self.changed.notify_one();
        }
    }

    /// Fetches until the task is aborted, which is safe between any two awaits, or until a wide cluster has nothing more to
    /// fetch here.
    pub async fn run(self: Arc<Self>, manager: Arc<ReplicaManager>) {
        let nearby = manager.site.nearby.clone();
        let mut link: Option<Link> = None;
        let mut told = Told::default();
        let mut pause = Pause::default();
        let mut round = 0_usize;
        loop {
            let due = self.due(round, &manager.receiving);
            round = round.wrapping_add(1);
            if due.asked.is_empty() {
                if let Some(nearby) = &nearby
                    && due.idle
                {
                    let linger = if nearby.is_crowded() { Duration::ZERO } else { LINGER };
                    if self.stays_idle(Instant::now() + linger).await {
                        drop(link.take());
                        if manager.dismiss(&self) {
                            return;
                        }
                    }
                    continue;
                }
                // Where others wait for a link, none is kept over a pause.
                if due.idle || nearby.as_ref().is_some_and(|nearby| nearby.is_crowded()) {
                    link = None;
                }
                self.wait(due.next).await;
                continue;
            }
            let open = match link.take() {
                Some(open) => Ok(open),
                None => {
                    told.forget();
                    self.open(&manager).await
                }
            };
            let mut open = match open {
                Ok(open) => open,
                Err(error) => {
                    self.complain(&mut pause, &error, manager.options());
                    self.wait(pause.until).await;
                    continue;
                }
            };
            let request = request(&manager, &due, &mut told);
            let answer = tokio::select! {
                answer = open.leader.fetch(request, ANSWER_TIMEOUT) => answer,
                // The link is dropped with its answer; the next round asks for the same again.
                () = self.changed.notified(), if nearby.is_none() => continue,
            };
            match answer {
                Ok(answer) if !told.answered(&answer) => link = Some(open),
                Ok(answer) => {
                    pause = Pause::default();
                    manager.counters.replicated(size(&answer));
                    self.take(&answer, &due.asked, &manager);
                    // Where others wait for a link, this one goes to the end of their queue.
                    link = Some(open).filter(|_| nearby.as_ref().is_none_or(|nearby| !nearby.is_crowded()));
                }
                Err(error) => {
                    self.complain(&mut pause, &error, manager.options());
                    self.wait(pause.until).await;
                }
            }
        }
    }

    fn complain(&self, pause: &mut Pause, error: &LinkError, options: &Options) {
        if pause.failures == 0 {
            tracing::warn!(leader = %self.leader, "fetching from the leader failed, trying again: {error}");
        }
        pause.fail(options.fetch_backoff);
    }

    async fn open(&self, manager: &ReplicaManager) -> Result<Link, LinkError> {
        let permit = match &manager.site.nearby {
            Some(nearby) => nearby.link().await,
            None => None,
        };
        let endpoint = manager
            .image()
            .brokers
            .get(&self.leader)
            .and_then(|broker| broker.endpoint(&manager.options().listener).cloned());
        match endpoint {
            Some(endpoint) => Ok(Link {
                leader: manager.leaders.open(&endpoint).await?,
                _permit: permit,
            }),
            None => Err(LinkError(format!(
                "broker {} has no listener {}",
                self.leader,
                manager.options().listener
            ))),
        }
    }

    /// Waits until there is something to fetch, at most until `deadline`; true if there is not.
    async fn stays_idle(&self, deadline: Instant) -> bool {
        while self.is_idle() {
            if tokio::time::timeout_at(deadline, self.changed.notified())
                .await
                .is_err()
            {
                return self.is_idle();
            }
        }
        false
    }

    /// Until `next` or a change.
    async fn wait(&self, next: Option<Instant>) {
        match next {
            Some(next) => {
                // Which of the two happened does not matter.
                let _ = tokio::time::timeout_at(next, self.changed.notified()).await;
            }
            None => self.changed.notified().await,
        }
    }

    /// What to ask for now, starting elsewhere each round so that a full answer starves nobody. Replicas that wait for
    /// their pause or for the throttle are left out.
    fn due(&self, round: usize, meter: &Meter) -> Round {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut later = |until: Instant| next = Some(next.map_or(until, |next| next.min(until)));
        let full = meter.allowance() == Some(0);
        let mut throttled = 0;
        let followed = self.followed.lock();
        let idle = followed.is_empty();
        let mut asked = Vec::with_capacity(followed.len());
        for followed in followed.values() {
            let late = followed.is_throttled();
            match followed.pause.until {
                Some(until) if until > now => later(until),
                _ if late && full => later(meter.free_at()),
                _ => {
                    throttled += usize::from(late);
                    asked.push(Asked {
                        partition: Arc::clone(&followed.partition),
                        epoch: followed.epoch,
                        from: followed.partition.log.end(),
                        throttled: late,
                        call: followed.call,
                    });
                }
            }
        }
        drop(followed);
        asked.sort_unstable_by_key(|asked| asked.partition.at);
        if !asked.is_empty() {
            let by = round % asked.len();
            asked.rotate_left(by);
        }
        Round {
            asked,
            throttled,
            next,
            idle,
        }
    }

    fn take(&self, answer: &FetchResponse, asked: &[Asked], manager: &ReplicaManager) {
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            tracing::debug!(leader = %self.leader, "the leader refused a fetch: {error}");
            for asked in asked {
                self.settle(asked, Outcome::Failed, manager);
            }
            return;
        }
        self.tell_denied(answer);
        // An answer that is full may be empty for partitions that have more.
        let something = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let something = something
            .filter_map(|data| data.records.as_ref())
            .any(|records| !records.is_empty());
        let asked: HashMap<TopicPartition, &Asked> = asked.iter().map(|asked| (asked.partition.at, asked)).collect();
        for topic in &answer.responses {
            for data in &topic.partitions {
                let at = TopicPartition {
                    topic: TopicId(topic.topic_id),
                    partition: data.partition_index,
                };
                if let Some(asked) = asked.get(&at) {
                    if asked.partition.throttled().follower {
                        manager.receiving.record(data.records.as_ref().map_or(0, Bytes::len));
                    }
                    let outcome = match take_one(asked, data) {
                        Outcome::Complete if something => Outcome::Good { caught_up: true },
                        outcome => outcome,
                    };
                    self.settle(asked, outcome, manager);
                }
            }
        }
    }

    /// Says once that this node may not follow, however often it tries.
    fn tell_denied(&self, answer: &FetchResponse) {
        let code = ResponseError::TopicAuthorizationFailed.code();
        let mut answers = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let denied = answers.any(|data| data.error_code == code);
        if denied && !self.denied.swap(true, Ordering::Relaxed) {
            tracing::warn!(leader = %self.leader, "the leader does not let this node replicate, trying again: the principal that the node connects as has to be in super.users of every broker, or needs an ACL for ClusterAction on the cluster");
        }
        if !denied {
            self.denied.store(false, Ordering::Relaxed);
        }
    }

    fn settle(&self, asked: &Asked, outcome: Outcome, manager: &ReplicaManager) {
        let mut all = self.followed.lock();
        let Some(followed) = all.get_mut(&asked.partition.at) else {
            return;
        };
        if followed.epoch != asked.epoch {
            return;
        }
        match outcome {
            Outcome::Failed => followed.pause.fail(manager.options().fetch_backoff),
            Outcome::Complete if manager.site.nearby.is_some() && followed.call == asked.call => {
                if asked.partition.is_in_sync() {
                    // The leader rings when there is more.
                    all.remove(&asked.partition.at);
                } else {
                    followed.caught_up = true;
                    followed.pause = Pause {
                        failures: 0,
                        until: Some(Instant::now() + REJOIN_PAUSE),
                    };
                }
            }
            Outcome::Complete => {
                followed.pause = Pause::default();
                followed.caught_up = true;
            }
            Outcome::Good { caught_up } => {
                followed.pause = Pause::default();
                followed.caught_up = caught_up;
            }
        }
    }
}

/// The bytes of the records in an answer.
fn size(answer: &FetchResponse) -> usize {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.filter_map(|data| Some(data.records.as_ref()?.len())).sum()
}

/// Writes one partition's answer, or truncates as it says.
fn take_one(asked: &Asked, data: &PartitionData) -> Outcome {
    let partition = &asked.partition;
    let diverging = &data.diverging_epoch;
    let done = match ResponseError::try_from_code(data.error_code) {
        None if diverging.end_offset >= 0 => partition.truncate(asked.epoch, (diverging.epoch, diverging.end_offset)),
        None => partition.replicate(
            asked.epoch,
            asked.from,
            Piece {
                records: data.records.clone().unwrap_or_default(),
                high_watermark: data.high_watermark,
                log_start: data.log_start_offset,
            },
        ),
        Some(ResponseError::OffsetOutOfRange) => partition.restart(asked.epoch, data.log_start_offset),
        Some(error) => Err(error.into()),
    };
    let nothing = data.error_code == 0 && diverging.end_offset < 0 && data.records.as_ref().is_none_or(Bytes::is_empty);
    let caught_up = diverging.end_offset < 0 && partition.log.end() >= data.high_watermark;
    match done {
        Ok(true) if nothing && caught_up => Outcome::Complete,
        Ok(_) => Outcome::Good { caught_up },
        Err(refusal) => {
            report(partition, &refusal);
            Outcome::Failed
        }
    }
}

fn report(partition: &Partition, refusal: &Refusal) {
    let (topic, number) = (&partition.topic, partition.at.partition);
    match refusal.code {
        // The ordinary course of an election: one side has read the metadata before the other.
        ResponseError::NotLeaderOrFollower
        | ResponseError::FencedLeaderEpoch
        | ResponseError::UnknownLeaderEpoch
        | ResponseError::UnknownTopicId
        | ResponseError::UnknownTopicOrPartition
        // Said once for the leader.
        | ResponseError::TopicAuthorizationFailed => {
            tracing::debug!(%topic, partition = number, "not replicated yet: {refusal}");
        }
        _ => tracing::warn!(%topic, partition = number, "not replicated, trying again: {refusal}"),
    }
}

/// The next fetch. Between nodes that ring each other it asks for what is missing and is answered at once; others keep a
/// session with the leader, which keeps its answer back while there is nothing to tell.
fn request(manager: &ReplicaManager, due: &Round, told: &mut Told) -> FetchRequest {
    let options = manager.options();
    let slow = manager.receiving.allowance().and_then(|left| {
        let share = left.checked_div(due.throttled)?;
        i32::try_from(share.max(1)).ok()
    });
    let one = |asked: &Asked| {
        let partition = FetchPartition::default()
            .with_partition(asked.partition.at.partition)
            .with_current_leader_epoch(asked.epoch)
            .with_fetch_offset(asked.from)
            .with_last_fetched_epoch(asked.partition.log.latest_epoch().unwrap_or(-1))
            .with_log_start_offset(asked.partition.log.start())
            .with_partition_max_bytes(match slow {
                Some(slow) if asked.throttled => slow.min(options.fetch_max_bytes),
                _ => options.fetch_max_bytes,
            });
        (asked.partition.at, partition)
    };
    let wanted = due.asked.iter().map(one).collect();
    let state = ReplicaState::default()
        .with_replica_id(BrokerId(options.node.0))
        .with_replica_epoch(manager.broker_epoch(options.node).unwrap_or(-1));
    let rings = manager.site.nearby.is_some();
    let wait = if rings { Duration::ZERO } else { options.fetch_wait_max };
    let request = FetchRequest::default()
        .with_replica_state(state)
        .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(options.fetch_min_bytes)
        .with_max_bytes(options.fetch_response_max_bytes);
    match rings {
        true => told::all(request, wanted),
        false => told.tell(request, wanted),
    }
}
