//! The controller quorum: who leads, who follows how closely, and whether a majority does.

use serde::Serialize;

use super::Cell;
use crate::model::quorum::{Quorum, Voter};
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment, Observed};

/// A voter fetches at least every 500 ms; one that has not for this long is silent. Source: Kafka's
/// `controller.quorum.fetch.timeout.ms`, 2 s, after which it would ask for an election, twice.
const SILENT_MS: i64 = 4_000;

/// The quorum, ready to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuorumRow {
    pub leader: Option<BrokerId>,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub voters: u32,
    /// Voters that follow, the leader among them.
    pub following: u32,
    /// So many of the voters must follow.
    pub majority: u32,
    /// Leader, voters, observers; by id in each.
    pub nodes: Vec<QuorumNode>,
    /// Age of the answer, when nobody answers again.
    pub stale_seconds: Option<i64>,
    /// Why nobody does.
    pub problem: Option<String>,
}

/// One node of the quorum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuorumNode {
    pub id: BrokerId,
    pub role: QuorumRole,
    pub state: QuorumState,
    pub log_end_offset: Cell<i64>,
    /// Records behind the leader's log end.
    pub lag_records: Cell<i64>,
    /// Since it last fetched, on the leader's clock. Seconds.
    pub fetched_seconds: Cell<f64>,
    /// How old what it has is: since it last had all that the leader had. Seconds.
    pub behind_seconds: Cell<f64>,
    /// The id of its metadata log directory, where the quorum tells (KIP-853).
    pub directory: Option<String>,
    /// Also a registered broker.
    pub is_broker: bool,
}

/// What a node is to the quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum QuorumRole {
    Leader,
    Voter,
    Observer,
}

/// How a node follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum QuorumState {
    Leads,
    Follows,
    /// It has not fetched for seconds.
    Silent,
    /// The leader has not seen it fetch at all.
    Unknown,
}

impl QuorumRow {
    /// `None` until the quorum has answered once.
    pub fn of(snapshot: &Snapshot, now: Moment) -> Option<Self> {
        let section = &snapshot.quorum;
        let quorum = section.get()?;
        let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
        let is_broker = |id: BrokerId| brokers.iter().any(|broker| broker.id == id);
        let all = quorum.voters.iter().map(|node| (node, QuorumRole::Voter));
        let all = all.chain(quorum.observers.iter().map(|node| (node, QuorumRole::Observer)));
        let mut nodes: Vec<QuorumNode> = all
            .map(|(node, role)| QuorumNode {
                is_broker: is_broker(node.id),
                ..node_of(section, quorum, node, role, now)
            })
            .collect();
        nodes.sort_by_key(|node| (node.role, node.id));
        let voters = quorum.voters.len() as u32;
        let follows = |node: &&QuorumNode| {
            node.role != QuorumRole::Observer && matches!(node.state, QuorumState::Leads | QuorumState::Follows)
        };
        Some(Self {
            leader: quorum.leader,
            leader_epoch: quorum.leader_epoch,
            high_watermark: quorum.high_watermark,
            voters,
            following: nodes.iter().filter(follows).count() as u32,
            majority: voters / 2 + 1,
            nodes,
            stale_seconds: (!section.is_fresh()).then(|| section.age_seconds(now)).flatten(),
            problem: section.problem(),
        })
    }

    /// How many more voters may be lost.
    pub fn spare(&self) -> u32 {
        self.following.saturating_sub(self.majority)
    }
}

fn node_of(section: &Observed<Quorum>, quorum: &Quorum, node: &Voter, role: QuorumRole, now: Moment) -> QuorumNode {
    let all = || quorum.voters.iter().chain(&quorum.observers);
    let leader = all().find(|node| Some(node.id) == quorum.leader);
    let end = leader.map(|leader| leader.log_end_offset);
    // The leader's clock, as of this answer: it has caught up with itself.
    let clock = leader.and_then(|leader| leader.last_caught_up_ms.or(leader.last_fetch_ms));
    let since = |at: Option<i64>| Some((clock? - at?).max(0));
    let leads = Some(node.id) == quorum.leader;
    let state = match since(node.last_fetch_ms) {
        _ if leads => QuorumState::Leads,
        None => QuorumState::Unknown,
        Some(ms) if ms > SILENT_MS => QuorumState::Silent,
        Some(_) => QuorumState::Follows,
    };
    let cell = |value: Option<f64>, missing: &str| Cell::from(section, now, missing, |_| value);
    let seconds = |ms: Option<i64>| ms.map(|ms| ms as f64 / 1000.0);
    let end_here = (node.log_end_offset >= 0).then_some(node.log_end_offset);
    let unseen = "the leader has not seen it fetch";
    QuorumNode {
        id: node.id,
        role: if leads { QuorumRole::Leader } else { role },
        state,
        log_end_offset: Cell::from(section, now, unseen, |_| end_here),
        lag_records: Cell::from(section, now, unseen, |_| Some((end? - end_here?).max(0))),
        fetched_seconds: cell(seconds(since(node.last_fetch_ms)), unseen),
        behind_seconds: cell(seconds(since(node.last_caught_up_ms)), unseen),
        directory: node.directory.clone(),
        is_broker: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Trouble;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn voter(id: BrokerId, end: i64, fetched: Option<i64>, caught_up: Option<i64>) -> Voter {
        Voter {
            id,
            log_end_offset: end,
            last_fetch_ms: fetched,
            last_caught_up_ms: caught_up,
            directory: None,
        }
    }

    fn snapshot() -> Snapshot {
        let quorum = Quorum {
            leader: Some(1),
            leader_epoch: 17,
            high_watermark: 99,
            voters: vec![
                voter(3, 40, Some(20_000), Some(19_000)),
                voter(1, 100, Some(60_000), Some(60_000)),
                voter(2, 90, Some(59_800), Some(58_000)),
            ],
            observers: vec![voter(4, -1, None, None)],
            ..Quorum::default()
        };
        Snapshot {
            quorum: Observed::fresh(quorum, at(0)),
            ..Snapshot::default()
        }
    }

    #[test]
    fn followers_are_measured_on_the_leaders_clock_and_a_silent_voter_is_not_counted() {
        let row = QuorumRow::of(&snapshot(), at(1)).unwrap();
        let seen: Vec<_> = row
            .nodes
            .iter()
            .map(|node| {
                (
                    node.id,
                    node.role,
                    node.state,
                    node.lag_records.value,
                    node.behind_seconds.value,
                )
            })
            .collect();
        use QuorumRole::{Leader, Observer, Voter};
        use QuorumState::{Follows, Leads, Silent, Unknown};
        assert_eq!(
            seen,
            [
                (1, Leader, Leads, Some(0), Some(0.0)),
                (2, Voter, Follows, Some(10), Some(2.0)),
                (3, Voter, Silent, Some(60), Some(41.0)),
                (4, Observer, Unknown, None, None),
            ]
        );
        assert_eq!((row.following, row.voters, row.majority, row.spare()), (2, 3, 2, 0));
    }

    #[test]
    fn a_quorum_that_answers_no_more_keeps_its_last_word_with_its_age() {
        let mut snapshot = snapshot();
        snapshot.quorum.fail(Trouble::TimedOut, "no answer", at(5));
        let row = QuorumRow::of(&snapshot, at(31)).unwrap();
        assert_eq!(row.stale_seconds, Some(31));
        assert_eq!(row.nodes[0].lag_records.stale_seconds, Some(31));
        assert!(QuorumRow::of(&Snapshot::default(), at(0)).is_none());
    }
}
