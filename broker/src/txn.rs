//! Transactions as a state machine: who produces under an id, in which epoch, and which partitions take part (KIP-98,
//! KIP-360, KIP-890).
//!
//! One [`Transactions`] holds the ids of one `__transaction_state` partition. It waits for nothing and writes nothing: what
//! must be durable comes out as a [`Write`], whose outcome is told back with [`Transactions::written`]; who asked leaves
//! its [`Reply`] behind. What must stay true: one change of an id is written at a time, a producer of an older epoch
//! changes nothing, and once the end of a transaction was written it ends that way, whoever coordinates it then.

mod begin;
mod end;
pub mod record;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

pub use begin::Init;
pub use end::{Ending, Markers};
pub use show::Listing;

/// Where an answer goes; a connection that is gone just drops its end.
pub type Reply<T> = oneshot::Sender<Result<T, ResponseError>>;

/// A producer id and its epoch.
pub type Producer = (i64, i16);

/// A partition by its topic's name.
pub type Place = (String, i32);

/// Kafka's limits for transactions.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `transaction.max.timeout.ms`
    pub timeout_max_ms: i32,
    /// `transactional.id.expiration.ms`
    pub expiration_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout_max_ms: 900_000,
            expiration_ms: 7 * 24 * 3_600_000,
        }
    }
}

/// Kafka's states of a transactional id, with the bytes that they are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum State {
    Empty = 0,
    Ongoing = 1,
    PrepareCommit = 2,
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
    Dead = 6,
    PrepareEpochFence = 7,
}

impl State {
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// Kafka's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Nothing is open and nothing is to be finished.
    fn is_settled(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }
}

/// What is known of a transactional id, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub producer: i64,
    /// Before the producer's id changed; -1 for none.
    pub previous_producer: i64,
    /// What the id changes to when the transaction has ended, because its epochs are used up; -1 for none.
    pub next_producer: i64,
    /// -1 before the first producer.
    pub epoch: i16,
    /// The one before, of a producer that may ask again because it missed the answer; -1 for none. Not written.
    pub last_epoch: i16,
    pub timeout_ms: i32,
    pub state: State,
    pub partitions: BTreeMap<String, BTreeSet<i32>>,
    /// Milliseconds since the Unix epoch; -1 for none.
    pub started_ms: i64,
    pub updated_ms: i64,
    /// `transaction.version` of the client that changed it last.
    pub version: i16,
}

/// The epoch that is never given to a producer: it fences the one before.
const LAST_EPOCH: i16 = i16::MAX - 1;
const NONE: i64 = -1;
const NO_EPOCH: i16 = -1;

impl Transaction {
    fn new(producer: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer,
            previous_producer: NONE,
            next_producer: NONE,
            epoch: NO_EPOCH,
            last_epoch: NO_EPOCH,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeMap::new(),
            started_ms: -1,
            updated_ms: now_ms,
            version: 0,
        }
    }

    fn is_exhausted(&self) -> bool {
        self.epoch >= LAST_EPOCH
    }

    fn holds(&self, place: &Place) -> bool {
        self.partitions
            .get(&place.0)
            .is_some_and(|partitions| partitions.contains(&place.1))
    }
}

/// A state that must be committed before it is so.
#[derive(Debug)]
pub struct Write {
    pub id: String,
    /// `None` is a tombstone: the id is forgotten.
    pub to: Option<Transaction>,
    then: Then,
}

/// What a finished write means.
#[derive(Debug)]
enum Then {
    Initialised {
        reply: Reply<Producer>,
    },
    Told {
        reply: Reply<()>,
    },
    /// Markers are to be written. `fence`: in an epoch that no producer has.
    Prepared {
        reply: Option<Reply<Producer>>,
        answer: Result<Producer, ResponseError>,
        fence: bool,
    },
    Forgotten,
}

/// A transactional id in memory.
#[derive(Debug)]
struct Held {
    now: Transaction,
    /// A change is being written, or markers are about to be: everything else waits.
    busy: bool,
    /// A fencing epoch was taken and could not be written: it is taken again, not the one after.
    fence_failed: bool,
}

/// The transactional ids of one partition of `__transaction_state`.
#[derive(Debug, Default)]
pub struct Transactions {
    settings: Settings,
    held: BTreeMap<String, Held>,
}

impl Transactions {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            held: BTreeMap::new(),
        }
    }

    /// Tells the outcome of a write; the markers of a transaction whose end was written are then to be written.
    pub fn written(&mut self, write: Write, outcome: Result<(), ResponseError>) -> Option<Markers> {
        let Write { id, to, then } = write;
        let outcome = outcome.map_err(not_stored);
        if let Some(held) = self.held.get_mut(&id) {
            held.busy = false;
            match (&outcome, to) {
                (Ok(()), Some(to)) => held.now = to,
                (Ok(()), None) => {
                    self.held.remove(&id);
                }
                (Err(_), _) => {}
            }
        }
        match then {
            Then::Initialised { reply } => {
                let now = self.held.get(&id).map(|held| (held.now.producer, held.now.epoch));
                let answer = now.ok_or(ResponseError::NotCoordinator);
                let _gone = reply.send(outcome.and(answer));
                None
            }
            Then::Told { reply } => {
                let _gone = reply.send(outcome);
                None
            }
            Then::Prepared { reply, answer, fence } => {
                if let Some(held) = self.held.get_mut(&id) {
                    held.fence_failed = fence && outcome.is_err();
                }
                if let Some(reply) = reply {
                    let _gone = reply.send(outcome.and(answer));
                }
                outcome.ok().and_then(|()| self.markers(&id))
            }
            Then::Forgotten => None,
        }
    }

    /// Forgets everything because this node is no longer the coordinator; who waits learns it from its dropped reply.
    pub fn resign(&mut self) {
        self.held.clear();
    }

    /// Applies a record of the log while it is loaded.
    ///
    /// # Errors
    /// When it does not follow its schema.
    pub fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), record::Malformed> {
        let Some(id) = record::parse_key(key)? else {
            return Ok(());
        };
        match value {
            Some(value) => {
                let now = record::parse_value(value)?;
                let held = Held {
                    now,
                    busy: false,
                    fence_failed: false,
                };
                self.held.insert(id, held);
            }
            None => {
                self.held.remove(&id);
            }
        }
        Ok(())
    }

    /// The id if nothing of it is being changed.
    ///
    /// # Errors
    /// `CONCURRENT_TRANSACTIONS`, or `INVALID_PRODUCER_ID_MAPPING` for one that is not known.
    fn idle(&mut self, id: &str) -> Result<&mut Held, ResponseError> {
        let held = self.held.get_mut(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        match held.busy {
            true => Err(ResponseError::ConcurrentTransactions),
            false => Ok(held),
        }
    }
}

impl Held {
    fn new(now: Transaction) -> Self {
        Self {
            now,
            busy: false,
            fence_failed: false,
        }
    }

    /// Has `to` written.
    fn change(&mut self, id: &str, to: Transaction, then: Then) -> Write {
        self.busy = true;
        Write {
            id: id.to_owned(),
            to: Some(to),
            then,
        }
    }
}

/// What a client is told when the transaction log could not be written; it looks the coordinator up again or retries.
fn not_stored(error: ResponseError) -> ResponseError {
    match error {
        ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch | ResponseError::KafkaStorageError => {
            ResponseError::NotCoordinator
        }
        _ => ResponseError::CoordinatorNotAvailable,
    }
}
