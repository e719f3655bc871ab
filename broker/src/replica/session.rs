//! Fetch sessions (KIP-227): a reader says once what it wants, then only what changes, and is told only what changes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::fetch::Fetched;
use crate::env::random;
use crate::id::{Epoch, Offset};

/// A session idle for so long makes room for another: `min.incremental.fetch.session.eviction.ms`.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// A partition as a request names it: by name before Fetch v13, by topic id since.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Name {
    pub topic: StrBytes,
    pub topic_id: Uuid,
    pub partition: i32,
}

/// What is wanted of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub name: Name,
    pub offset: Offset,
    pub max_bytes: usize,
    pub current_leader_epoch: Epoch,
    pub last_fetched_epoch: Epoch,
    pub log_start: Offset,
}

/// What a request says of its session.
#[derive(Debug, Clone, Default)]
pub struct SessionAsk {
    pub id: i32,
    /// -1 for no session, 0 for a new one.
    pub epoch: Epoch,
    /// The request names topics by id.
    pub by_id: bool,
    /// Followers' sessions may displace consumers'.
    pub follower: bool,
    pub wanted: Vec<Wanted>,
    pub forgotten: Vec<Name>,
}

/// A request with its session.
#[derive(Debug, Clone)]
pub struct Session {
    /// 0 for none.
    pub id: i32,
    /// All that is to be fetched.
    pub wanted: Vec<Wanted>,
    epoch: Epoch,
    incremental: bool,
}

/// The sessions of one node, at most so many.
#[derive(Debug)]
pub struct Sessions {
    max: usize,
    cached: Mutex<HashMap<i32, Cached>>,
}

#[derive(Debug)]
struct Cached {
    /// Of the next request.
    epoch: Epoch,
    by_id: bool,
    follower: bool,
    used_at: Instant,
    partitions: Vec<Told>,
}

/// A partition, and what its reader was told of it.
#[derive(Debug)]
struct Told {
    wanted: Wanted,
    high_watermark: Offset,
    log_start: Offset,
}

impl From<Wanted> for Told {
    fn from(wanted: Wanted) -> Self {
        Self {
            wanted,
            high_watermark: -1,
            log_start: -1,
        }
    }
}

impl Sessions {
    pub fn new(max: usize) -> Self {
        Self {
            max,
            cached: Mutex::default(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cached.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins a request: finds, opens or closes its session.
    ///
    /// # Errors
    /// `FETCH_SESSION_ID_NOT_FOUND`, `INVALID_FETCH_SESSION_EPOCH` or `FETCH_SESSION_TOPIC_ID_ERROR`; the reader starts anew.
    pub fn begin(&self, ask: SessionAsk) -> Result<Session, ResponseError> {
        let mut cached = self.cached.lock();
        if ask.epoch <= 0 {
            cached.remove(&ask.id);
            let id = if ask.epoch == 0 {
                self.open(&mut cached, &ask).unwrap_or(0)
            } else {
                0
            };
            return Ok(Session {
                id,
                wanted: ask.wanted,
                epoch: 1,
                incremental: false,
            });
        }
        let session = cached.get_mut(&ask.id).ok_or(ResponseError::FetchSessionIdNotFound)?;
        if session.epoch != ask.epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.by_id != ask.by_id {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        session.epoch = ask.epoch.checked_add(1).unwrap_or(1);
        session.used_at = Instant::now();
        session.update(ask.wanted, ask.forgotten);
        Ok(Session {
            id: ask.id,
            wanted: session.partitions.iter().map(|told| told.wanted.clone()).collect(),
            epoch: session.epoch,
            incremental: true,
        })
    }

    fn open(&self, cached: &mut HashMap<i32, Cached>, ask: &SessionAsk) -> Option<i32> {
        if cached.len() >= self.max {
            let now = Instant::now();
            let oldest = cached
                .iter()
                .filter(|(_, session)| {
                    now.duration_since(session.used_at) > IDLE_MAX || (ask.follower && !session.follower)
                })
                .min_by_key(|(_, session)| session.used_at)
                .map(|(id, _)| *id)?;
            cached.remove(&oldest);
        }
        let id = loop {
            let (_, low) = random::uuid().as_u64_pair();
            let id = i32::try_from(low & 0x7fff_ffff).unwrap_or(0);
            if id != 0 && !cached.contains_key(&id) {
                break id;
            }
        };
        let session = Cached {
            epoch: 1,
            by_id: ask.by_id,
            follower: ask.follower,
            used_at: Instant::now(),
            partitions: ask.wanted.iter().cloned().map(Told::from).collect(),
        };
        cached.insert(id, session);
        Some(id)
    }

    /// Ends a request whose reader is told nothing because it is throttled, and says which session to answer with: an
    /// incremental one goes on, a new one is not opened, as the reader takes no session from an empty answer.
    pub fn hold_back(&self, session: &Session) -> i32 {
        if session.incremental {
            return session.id;
        }
        self.cached.lock().remove(&session.id);
        0
    }

    /// Ends a request: which of `fetched`, in the order of `session.wanted`, the reader must be told.
    pub fn finish(&self, session: &Session, fetched: &[Fetched]) -> Vec<bool> {
        let everything = vec![true; fetched.len()];
        let mut cached = self.cached.lock();
        let Some(cached) = cached.get_mut(&session.id) else {
            return everything;
        };
        if cached.epoch != session.epoch || cached.partitions.len() != fetched.len() {
            return everything;
        }
        let mut telling = Vec::with_capacity(fetched.len());
        for (told, fetched) in cached.partitions.iter_mut().zip(fetched) {
            let news = !fetched.records.is_empty()
                || fetched.error.is_some()
                || fetched.diverging.is_some()
                || fetched.preferred.is_some()
                || told.high_watermark != fetched.high_watermark
                || told.log_start != fetched.log_start;
            told.high_watermark = fetched.high_watermark;
            told.log_start = fetched.log_start;
            telling.push(news || !session.incremental);
        }
        // Those that gave records go to the end, so that a full answer starves nobody.
        let mut gave = fetched.iter().map(|fetched| !fetched.records.is_empty());
        let (last, first): (Vec<Told>, Vec<Told>) = std::mem::take(&mut cached.partitions)
            .into_iter()
            .partition(|_| gave.next().unwrap_or(false));
        cached.partitions = first;
        cached.partitions.extend(last);
        telling
    }
}

impl Cached {
    fn update(&mut self, wanted: Vec<Wanted>, forgotten: Vec<Name>) {
        if !forgotten.is_empty() {
            let forgotten: HashSet<Name> = forgotten.into_iter().collect();
            self.partitions.retain(|told| !forgotten.contains(&told.wanted.name));
        }
        if wanted.is_empty() {
            return;
        }
        let known: HashMap<Name, usize> = self
            .partitions
            .iter()
            .enumerate()
            .map(|(at, told)| (told.wanted.name.clone(), at))
            .collect();
        for wanted in wanted {
            match known.get(&wanted.name).and_then(|at| self.partitions.get_mut(*at)) {
                Some(told) => told.wanted = wanted,
                None => self.partitions.push(wanted.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::{TopicId, TopicPartition};

    fn wanted(partition: i32, offset: Offset) -> Wanted {
        Wanted {
            name: Name {
                topic: StrBytes::from_static_str("orders"),
                partition,
                ..Name::default()
            },
            offset,
            max_bytes: 1024,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            log_start: -1,
        }
    }

    fn fetched(partition: i32, high_watermark: Offset, records: &'static [u8]) -> Fetched {
        Fetched {
            at: TopicPartition {
                topic: TopicId::METADATA,
                partition,
            },
            error: None,
            high_watermark,
            last_stable: high_watermark,
            aborted: Vec::new(),
            log_start: 0,
            records: if records.is_empty() {
                Vec::new()
            } else {
                vec![Bytes::from_static(records)]
            },
            diverging: None,
            leader: None,
            preferred: None,
        }
    }

    fn open(sessions: &Sessions, partitions: &[i32]) -> Session {
        let ask = SessionAsk {
            wanted: partitions.iter().map(|partition| wanted(*partition, 0)).collect(),
            ..SessionAsk::default()
        };
        sessions.begin(ask).expect("a new session")
    }

    fn next(id: i32, epoch: Epoch) -> SessionAsk {
        SessionAsk {
            id,
            epoch,
            ..SessionAsk::default()
        }
    }

    #[test]
    fn the_first_answer_tells_everything_and_the_next_only_news() {
        let sessions = Sessions::new(10);
        let first = open(&sessions, &[0, 1]);
        assert_ne!(first.id, 0);
        assert_eq!(
            sessions.finish(&first, &[fetched(0, 5, b""), fetched(1, 5, b"")]),
            [true, true]
        );
        let second = sessions.begin(next(first.id, 1)).expect("known");
        assert_eq!(second.wanted.len(), 2);
        assert_eq!(
            sessions.finish(&second, &[fetched(0, 5, b""), fetched(1, 6, b"")]),
            [false, true]
        );
    }

    #[test]
    fn partitions_are_added_changed_forgotten_and_rotated() {
        let sessions = Sessions::new(10);
        let first = open(&sessions, &[0, 1]);
        sessions.finish(&first, &[fetched(0, 5, b"records"), fetched(1, 5, b"")]);
        let ask = SessionAsk {
            wanted: vec![wanted(0, 7), wanted(2, 1)],
            ..next(first.id, 1)
        };
        let second = sessions.begin(ask).expect("known");
        let order: Vec<(i32, Offset)> = second.wanted.iter().map(|w| (w.name.partition, w.offset)).collect();
        assert_eq!(order, [(1, 0), (0, 7), (2, 1)], "0 gave records, so it is asked last");
        let ask = SessionAsk {
            forgotten: vec![wanted(0, 0).name],
            ..next(first.id, 2)
        };
        assert_eq!(sessions.begin(ask).expect("known").wanted.len(), 2);
    }

    #[test]
    fn a_throttled_reader_keeps_its_session_but_opens_none() {
        let sessions = Sessions::new(10);
        let opened = open(&sessions, &[0]);
        assert_eq!(sessions.hold_back(&opened), 0);
        assert!(sessions.is_empty());
        let opened = open(&sessions, &[0]);
        let second = sessions.begin(next(opened.id, 1)).expect("known");
        assert_eq!(sessions.hold_back(&second), opened.id);
        sessions.begin(next(opened.id, 2)).expect("it goes on");
    }

    #[test]
    fn wrong_ids_and_epochs_are_refused() {
        let sessions = Sessions::new(10);
        let first = open(&sessions, &[0]);
        let wrong = sessions.begin(next(first.id, 2)).map(|session| session.id);
        assert_eq!(wrong, Err(ResponseError::InvalidFetchSessionEpoch));
        let unknown = sessions
            .begin(next(first.id.wrapping_add(1), 1))
            .map(|session| session.id);
        assert_eq!(unknown, Err(ResponseError::FetchSessionIdNotFound));
        let by_id = SessionAsk {
            by_id: true,
            ..next(first.id, 1)
        };
        let mixed = sessions.begin(by_id).map(|session| session.id);
        assert_eq!(mixed, Err(ResponseError::FetchSessionTopicIdError));
        sessions.begin(next(first.id, -1)).expect("closes it");
        assert!(sessions.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_cache_is_bounded_and_idle_sessions_make_room() {
        let sessions = Sessions::new(2);
        let first = open(&sessions, &[0]);
        tokio::time::advance(Duration::from_secs(1)).await;
        open(&sessions, &[0]);
        assert_eq!(open(&sessions, &[0]).id, 0, "full: served without a session");
        tokio::time::advance(IDLE_MAX + Duration::from_secs(1)).await;
        assert_ne!(open(&sessions, &[0]).id, 0);
        assert_eq!(sessions.len(), 2);
        assert!(sessions.begin(next(first.id, 1)).is_err(), "the oldest went");
    }
}
