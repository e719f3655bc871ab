//! What goes wrong in a round, by the seed.

use std::path::Path;

use azimuth_broker::cluster::{Fault, Peer, Selection};
use azimuth_broker::env::disk::DirFault;
use azimuth_broker::env::net::Effect;
use azimuth_broker::env::random::Random;
use azimuth_broker::id::NodeId;
use azimuth_broker::record::batches;

use super::MOVED;
use super::home::Home;

/// What a directory that fills up has left, at most.
const LEFT_BYTES: u64 = 20_000;
const PAGE: u64 = 4096;

/// A kind of trouble, of a node that leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// kill -9.
    Kill,
    /// kill -9, and what was not synced is torn as by a power cut.
    Tear,
    /// SIGSTOP.
    Freeze,
    /// No connection to any other node.
    Cut,
    /// Nothing arrives from or at one other broker, and connections stay open.
    HalfOpen,
    /// The same with all other nodes.
    Silence,
    Slow,
    /// Its log directory fills up, which ends it.
    Fill,
    SkewClock,
}

const ALL: [Wrong; 9] = [
    Wrong::Kill,
    Wrong::Freeze,
    Wrong::Cut,
    Wrong::Tear,
    Wrong::Fill,
    Wrong::HalfOpen,
    Wrong::Slow,
    Wrong::Silence,
    Wrong::SkewClock,
];

/// Draws one after another, each kind once before one comes again.
pub struct Deck {
    left: Vec<Wrong>,
    pub random: Random,
}

impl Deck {
    pub fn new(seed: u64) -> Self {
        Self {
            left: Vec::new(),
            random: Random::seeded(seed),
        }
    }

    pub fn draw(&mut self) -> Wrong {
        if self.left.is_empty() {
            self.left = ALL.to_vec();
        }
        let at = self.random.below(self.left.len() as u64) as usize;
        self.left.swap_remove(at)
    }
}

impl Wrong {
    /// Whether clients can tell whom to ask meanwhile.
    ///
    /// One that is cut off from all others, but not from its clients, believes that it leads, as with Apache Kafka. librdkafka
    /// asks the broker for metadata that it used last, which may be that one again and again.
    pub fn is_seen(self) -> bool {
        !matches!(self, Self::Cut | Self::Silence)
    }

    pub async fn begin(self, home: &mut Home, victim: NodeId, random: &Random) {
        let link = |peer: Option<i32>, effect| {
            let peer = peer.map(|id| Peer::Node(NodeId(id)));
            Fault::Link { peer, effect }
        };
        let fault = match self {
            Self::Kill | Self::Tear => Fault::Kill,
            Self::Freeze => Fault::Freeze,
            Self::Cut => link(None, Effect::Cut),
            Self::HalfOpen => link(Some(victim.0 % 3 + 1), Effect::Silence),
            Self::Silence => link(None, Effect::Silence),
            Self::Slow => link(None, Effect::Delay(20 + random.below(200))),
            Self::Fill => Fault::Dir {
                dir: None,
                fault: DirFault::Full(random.below(LEFT_BYTES)),
            },
            Self::SkewClock => Fault::SkewClock(random.below(20_000) as i64 - 10_000),
        };
        home.cluster.inject(victim, fault).await.expect("injected");
        if self == Self::Tear {
            tear(&home.data(victim), random);
        }
    }

    pub async fn end(self, home: &mut Home, victim: NodeId) {
        if self == Self::Fill {
            // Whether it has ended by itself, is about to, or found room enough.
            home.cluster.kill(victim).await;
        }
        home.cluster.mend(Selection::All).await.expect("mended");
        if self == Self::Fill {
            home.cluster.restart(victim).await.expect("starts again");
        }
    }
}

/// Does to the newest segment of each partition what a power cut may: what follows the recovery point may be cut off at any
/// byte, and a page of it may be missing. The partition that is moved has too few replicas for that.
fn tear(data: &Path, random: &Random) {
    let points = std::fs::read_to_string(data.join("recovery-point-offset-checkpoint")).unwrap_or_default();
    let point = |name: &str| {
        let (topic, partition) = name.rsplit_once('-')?;
        let line = points.lines().find(|line| {
            let mut words = line.split(' ');
            words.next() == Some(topic) && words.next() == Some(partition)
        });
        line?.rsplit(' ').next()?.parse::<i64>().ok()
    };
    let mut folders: Vec<_> = std::fs::read_dir(data)
        .expect("a log directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut segments: Vec<_> = std::fs::read_dir(&folder)
            .expect("a partition")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
            .collect();
        segments.sort();
        let Some(newest) = segments.last().filter(|_| !name.starts_with(MOVED)) else {
            continue;
        };
        let content = std::fs::read(newest).expect("a segment");
        let synced = point(name).unwrap_or(0);
        let kept = batches(content.clone().into()).map_while(Result::ok);
        let kept = kept.take_while(|batch| batch.header.next_offset() <= synced);
        let floor = kept.map(|batch| batch.header.size() as u64).sum::<u64>();
        let end = floor + random.below(content.len() as u64 - floor + 1);
        let mut left = content;
        left.truncate(end as usize);
        if random.below(2) == 0 {
            let page = random.below(end / PAGE + 1) * PAGE;
            let range = page.max(floor)..(page + PAGE).min(end);
            if range.start < range.end {
                left[range.start as usize..range.end as usize].fill(0);
            }
        }
        std::fs::write(newest, left).expect("a segment");
    }
}
