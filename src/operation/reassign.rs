//! Moving replicas: asks the controller for a batch, watches it until every target is in sync, or takes it back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use crate::model::BrokerId;
use crate::model::logdir::LogDir;
use crate::model::reassignment::Reassignment;
use crate::model::topic::{Partition, Topic};
use crate::plan::Move;
use crate::plan::throttle::per_second;
use crate::source;
use crate::source::kafka::{self, Kafka};

use super::status::Progress;
use super::step::{Act, Seen, act_of, is_passing};

/// Asks for what is not yet so. Repeating it is harmless: a partition that is there, or on its way, is left alone. One
/// that somebody else moved or moves is left alone too, and told.
pub(super) async fn act(kafka: &Kafka, moves: &[Move]) -> Act {
    let flying = match kafka.reassignments().await {
        Ok(flying) => flying,
        Err(error) => return act_of(error),
    };
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return act_of(error),
    };
    let (mut wanted, mut foreign, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for m in moves {
        let Some(partition) = find(&topics, m) else { continue };
        match flying.iter().find(|r| r.topic == m.topic && r.partition == m.partition) {
            Some(r) if is_ours(r, m) => {}
            Some(r) => foreign.push(format!("{} is being moved to {:?} by somebody", m.name(), target(r))),
            None if partition.replicas == m.to => {}
            // A broker that has not heard yet that the move ended, or was cancelled, shows old and new together.
            None if partition.replicas != m.from && set(&partition.replicas) == &set(&m.from) | &set(&m.to) => {
                late.push(m.name());
            }
            None if partition.replicas != m.from => foreign.push(format!(
                "{} was on {:?} and is on {:?}",
                m.name(),
                m.from,
                partition.replicas
            )),
            None => wanted.push(kafka::Move {
                topic: m.topic.clone(),
                partition: m.partition,
                replicas: Some(m.to.clone()),
            }),
        }
    }
    if !foreign.is_empty() {
        return Act::Refused(format!(
            "somebody else changed what this step moves: {}",
            foreign.join("; ")
        ));
    }
    if !late.is_empty() {
        return Act::Later(format!("waiting for the brokers to agree where {} is", late.join(", ")));
    }
    if wanted.is_empty() {
        return Act::Asked;
    }
    match kafka.alter_partition_reassignments(&wanted).await {
        Err(error) => act_of(error),
        Ok(outcomes) => outcome(outcomes),
    }
}

/// What became of each move that was asked for.
fn outcome(outcomes: kafka::Outcomes<(String, i32)>) -> Act {
    let all = outcomes.len();
    let failed: Vec<_> = outcomes
        .into_iter()
        .filter_map(|(key, outcome)| Some((key, outcome.err()?)))
        .collect();
    let told = |((topic, partition), error): &((String, i32), source::Error)| format!("{topic}-{partition}: {error}");
    let reasons = failed.iter().map(told).collect::<Vec<_>>().join("; ");
    match failed.as_slice() {
        [] => Act::Asked,
        some if some.iter().all(|(_, error)| is_passing(error)) => Act::Later(reasons),
        some if some.len() == all => Act::Refused(reasons),
        some => Act::Refused(format!(
            "{reasons}; the other {} of this step are in flight, `azimuth reassign list` shows them and \
             `azimuth reassign cancel` takes them back",
            all - some.len()
        )),
    }
}

/// Where a reassignment leads: its replicas without those that go.
fn target(r: &Reassignment) -> Vec<BrokerId> {
    let stays = r.replicas.iter().filter(|id| !r.removing.contains(id));
    stays.copied().collect()
}

fn set(ids: &[BrokerId]) -> BTreeSet<BrokerId> {
    ids.iter().copied().collect()
}

/// Whether it is on its way to where this move wants it.
fn is_ours(r: &Reassignment, m: &Move) -> bool {
    r.topic == m.topic && r.partition == m.partition && set(&target(r)) == set(&m.to)
}

/// Whether every partition has exactly its targets, in order and in sync. A topic that was deleted meanwhile is skipped.
pub(super) async fn look(kafka: &Kafka, moves: &[Move], step: usize) -> Seen {
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let gone: Vec<String> = moves
        .iter()
        .filter(|m| find(&topics, m).is_none())
        .map(Move::name)
        .collect();
    let waiting: Vec<&Move> = moves
        .iter()
        .filter(|m| find(&topics, m).is_some_and(|p| !is_there(m, p)))
        .collect();
    if waiting.is_empty() {
        let skipped = if gone.is_empty() {
            String::new()
        } else {
            format!(", {} skipped (deleted meanwhile)", gone.join(", "))
        };
        let what = if moves.iter().all(Move::is_order) {
            "prefer others"
        } else {
            "moved"
        };
        return Seen::Done(format!("{} partitions {what}{skipped}", moves.len() - gone.len()));
    }
    match astray(kafka, &topics, &waiting).await {
        Ok(None) => {}
        Ok(Some(what)) => return Seen::Astray(what),
        Err(error) => return Seen::Unknown(error.to_string()),
    }
    let copied = copied(kafka, moves, &waiting).await;
    let names: Vec<String> = waiting.iter().take(3).map(|m| m.name()).collect();
    let more = if waiting.len() > names.len() {
        format!(" and {} more", waiting.len() - names.len())
    } else {
        String::new()
    };
    Seen::Waiting(Progress {
        step,
        done: (moves.len() - waiting.len()) as u32,
        total: moves.len() as u32,
        bytes_done: copied.as_ref().map(|copied| copied.values().sum()),
        arrived: copied.unwrap_or_default(),
        bytes_per_second: None,
        bytes_total: moves.iter().map(Move::copied_bytes).sum(),
        eta_seconds: None,
        paced: None,
        flying: waiting
            .iter()
            .map(|m| m.copied_bytes().unwrap_or(u64::MAX / 1024))
            .sum(),
        note: format!("waiting for {}{more} to be in sync", names.join(", ")),
    })
}

/// A partition that is neither there nor on its way: somebody cancelled its move, or moved it elsewhere.
async fn astray(kafka: &Kafka, topics: &[Topic], waiting: &[&Move]) -> Result<Option<String>, source::Error> {
    let flying = kafka.reassignments().await?;
    let lost = |m: &&&Move| {
        let arrived = find(topics, m).is_some_and(|p| p.replicas == m.to);
        !arrived && !flying.iter().any(|r| is_ours(r, m))
    };
    let lost: Vec<String> = waiting.iter().filter(lost).map(|m| m.name()).collect();
    Ok((!lost.is_empty()).then(|| format!("{} is no longer being moved; somebody cancelled it", lost.join(", "))))
}

/// What of `moves`, which lead from where each was seen to go to where it was, is still on that way.
fn unsent<'a>(flying: &'a [Reassignment], moves: &[Move]) -> (Vec<&'a Reassignment>, Vec<String>) {
    let of = |r: &Reassignment| moves.iter().find(|m| m.topic == r.topic && m.partition == r.partition);
    let named: Vec<(&Reassignment, &Move)> = flying.iter().filter_map(|r| Some((r, of(r)?))).collect();
    let (same, other): (Vec<_>, Vec<_>) = named.into_iter().partition(|(r, m)| set(&target(r)) == set(&m.from));
    let told = |(r, m): (&Reassignment, &Move)| format!("{} goes to {:?} by now", m.name(), target(r));
    (
        same.into_iter().map(|(r, _)| r).collect(),
        other.into_iter().map(told).collect(),
    )
}

/// Cancels what is in flight as it was seen, whoever started it. What has ended meanwhile is left as it is, and what goes
/// elsewhere by now was never meant.
pub(super) async fn send_back(kafka: &Kafka, moves: &[Move]) -> Act {
    let flying = match kafka.reassignments().await {
        Ok(flying) => flying,
        Err(error) => return act_of(error),
    };
    let (left, other) = unsent(&flying, moves);
    if !other.is_empty() {
        return Act::Refused(format!("somebody else changed it: {}", other.join("; ")));
    }
    if left.is_empty() {
        return Act::Asked;
    }
    let cancels: Vec<kafka::Move> = left
        .iter()
        .map(|r| kafka::Move {
            topic: r.topic.clone(),
            partition: r.partition,
            replicas: None,
        })
        .collect();
    match kafka.alter_partition_reassignments(&cancels).await {
        Err(error) => act_of(error),
        Ok(outcomes) => {
            // One that has ended since the look is an error, and is in flight no more.
            let still = kafka.reassignments().await.unwrap_or(flying);
            let (left, _) = unsent(&still, moves);
            let is_left = |topic: &str, partition| left.iter().any(|r| r.topic == topic && r.partition == partition);
            let failed: Vec<(String, source::Error)> = outcomes
                .into_iter()
                .filter(|((topic, partition), _)| is_left(topic, *partition))
                .filter_map(|((topic, partition), outcome)| Some((format!("{topic}-{partition}"), outcome.err()?)))
                .collect();
            let told: Vec<String> = failed.iter().map(|(name, error)| format!("{name}: {error}")).collect();
            match failed.iter().all(|(_, error)| is_passing(error)) {
                _ if failed.is_empty() => Act::Asked,
                true => Act::Later(told.join("; ")),
                false => Act::Refused(told.join("; ")),
            }
        }
    }
}

/// Whether nothing of it is in flight any more, on the way that was seen.
pub(super) async fn is_back(kafka: &Kafka, moves: &[Move], step: usize) -> Seen {
    let flying = match kafka.reassignments().await {
        Ok(flying) => flying,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let (left, _) = unsent(&flying, moves);
    if let Some(first) = left.first() {
        return Seen::Waiting(Progress {
            step,
            done: (moves.len() - left.len()) as u32,
            total: moves.len() as u32,
            note: format!("{}-{} is still in flight", first.topic, first.partition),
            ..Progress::default()
        });
    }
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let is = |m: &&Move, wanted: &[BrokerId]| find(&topics, m).is_some_and(|p| set(&p.replicas) == set(wanted));
    let back = moves.iter().filter(|m| is(m, &m.to)).count();
    let arrived: Vec<String> = moves.iter().filter(|m| is(m, &m.from)).map(Move::name).collect();
    let lost = |m: &&Move| !is(m, &m.to) && !is(m, &m.from);
    if let Some(lost) = moves.iter().find(lost) {
        // Brokers learn of the end one after the other; when it stays so, somebody has moved it meanwhile.
        return Seen::Astray(format!(
            "{} is neither where it was nor where it was going",
            lost.name()
        ));
    }
    let arrived = match arrived.is_empty() {
        true => String::new(),
        false => format!(", {} had arrived before", arrived.join(", ")),
    };
    Seen::Done(format!("{back} of {} partitions are back{arrived}", moves.len()))
}

/// Takes back what is in flight of this step, and only what is ours.
pub(super) async fn cancel(kafka: &Kafka, moves: &[Move]) -> Act {
    let flying = match kafka.reassignments().await {
        Ok(flying) => flying,
        Err(error) => return Act::Later(error.to_string()),
    };
    let cancels: Vec<kafka::Move> = flying
        .iter()
        .filter(|r| moves.iter().any(|m| is_ours(r, m)))
        .map(|r| kafka::Move {
            topic: r.topic.clone(),
            partition: r.partition,
            replicas: None,
        })
        .collect();
    if cancels.is_empty() {
        return in_order_again(kafka, moves).await;
    }
    match kafka.alter_partition_reassignments(&cancels).await {
        // Those that ended by themselves meanwhile are told as errors; the next look finds nothing in flight.
        Ok(_) => Act::Later(format!("taking back {} partitions", cancels.len())),
        Err(error) => Act::Later(error.to_string()),
    }
}

/// Cancelling leaves the replicas that stay first: `[1, 2, 3]` on its way to `[4, 2, 3]` comes back as `[2, 3, 1]`, so
/// that another broker is preferred than before. Source: Kafka's PartitionReassignmentRevert.
async fn in_order_again(kafka: &Kafka, moves: &[Move]) -> Act {
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return Act::Later(error.to_string()),
    };
    let (mut turned, mut late) = (Vec::new(), Vec::new());
    for m in moves {
        let Some(partition) = find(&topics, m).filter(|p| p.replicas != m.from && p.replicas != m.to) else {
            continue;
        };
        let now = set(&partition.replicas);
        if now == set(&m.from) {
            turned.push(kafka::Move {
                topic: m.topic.clone(),
                partition: m.partition,
                replicas: Some(m.from.clone()),
            });
        } else if now == &set(&m.from) | &set(&m.to) {
            late.push(m.name());
        }
    }
    if !late.is_empty() {
        return Act::Later(format!("waiting for the brokers to agree where {} is", late.join(", ")));
    }
    if turned.is_empty() {
        return Act::Asked;
    }
    match kafka.alter_partition_reassignments(&turned).await {
        Ok(_) => Act::Later(format!("restoring the order of {} partitions", turned.len())),
        Err(error) => Act::Later(error.to_string()),
    }
}

fn find<'a>(topics: &'a [Topic], m: &Move) -> Option<&'a Partition> {
    let at = topics
        .binary_search_by(|topic| topic.name.as_str().cmp(&m.topic))
        .ok()?;
    topics[at].partition(m.partition)
}

fn is_there(m: &Move, partition: &Partition) -> bool {
    // A new order is there at once, whoever of the old replicas is in sync.
    partition.replicas == m.to && m.adding().all(|id| partition.isr.contains(&id))
}

/// Bytes that have arrived at new replicas, by broker; brokers that do not answer count as nothing. `None` when a size is
/// not known.
async fn copied(kafka: &Kafka, moves: &[Move], waiting: &[&Move]) -> Option<BTreeMap<BrokerId, u64>> {
    let mut bytes: BTreeMap<BrokerId, u64> = BTreeMap::new();
    let there = moves
        .iter()
        .filter(|m| !waiting.iter().any(|w| w.topic == m.topic && w.partition == m.partition));
    for m in there {
        for id in m.adding() {
            *bytes.entry(id).or_default() += m.size_bytes?;
        }
    }
    let mut brokers: Vec<i32> = waiting.iter().flat_map(|m| m.adding()).collect();
    brokers.sort_unstable();
    brokers.dedup();
    // All at once: one that does not answer must not hold up the others.
    let told = join_all(brokers.iter().map(|id| kafka.logdirs(*id))).await;
    for (id, dirs) in brokers.into_iter().zip(told) {
        let dirs = dirs.unwrap_or_default();
        *bytes.entry(id).or_default() += waiting
            .iter()
            .filter(|m| m.adding().any(|a| a == id))
            .map(|m| size_of(&dirs, m))
            .sum::<u64>();
    }
    Some(bytes)
}

/// How fast brokers take what is copied to them, from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    first: Option<(Instant, BTreeMap<BrokerId, u64>)>,
    fastest: Option<(BrokerId, u64)>,
}

impl Gauge {
    /// Before so long a time a mean says little.
    const LEAST: Duration = Duration::from_secs(3);
    /// Kafka measures over eleven samples of a second and lets a fetch of up to 10 MB begin before it looks.
    const SLACK_BYTES: f64 = 20e6;

    /// The most that one broker takes, in the mean since the first look.
    pub fn look(&mut self, arrived: &BTreeMap<BrokerId, u64>, now: Instant) -> Option<u64> {
        let (began, first) = self.first.get_or_insert_with(|| (now, arrived.clone()));
        let seconds = now.duration_since(*began).as_secs_f64();
        if seconds < Self::LEAST.as_secs_f64() {
            return None;
        }
        let rates = arrived.iter().map(|(id, bytes)| {
            let since = bytes.saturating_sub(first.get(id).copied().unwrap_or(0));
            (*id, (since as f64 / seconds) as u64)
        });
        self.fastest = rates.max_by_key(|(_, rate)| *rate);
        self.fastest.map(|(_, rate)| rate)
    }

    /// What was seen against what was set, for the journal.
    pub fn words(&self, throttle: Option<u64>, now: Instant) -> Option<String> {
        let ((broker, rate), throttle) = (self.fastest?, throttle?);
        let (began, _) = self.first.as_ref()?;
        let seconds = now.duration_since(*began).as_secs_f64();
        let most = throttle as f64 * 1.25 + Self::SLACK_BYTES / seconds.max(1.0);
        let seen = format!("at most {} on a broker ({broker})", per_second(rate));
        Some(match rate as f64 > most {
            false => format!("{seen}, throttle {}", per_second(throttle)),
            true => format!(
                "{seen} although the throttle is {}: it does not hold",
                per_second(throttle)
            ),
        })
    }
}

fn size_of(dirs: &[LogDir], m: &Move) -> u64 {
    let replicas = dirs.iter().flat_map(|dir| dir.replicas.iter());
    replicas
        .filter(|r| r.topic == m.topic && r.partition == m.partition)
        .map(|r| r.size_bytes.min(m.size_bytes.unwrap_or(u64::MAX)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_move(to: &[BrokerId]) -> Move {
        Move {
            topic: "orders".into(),
            partition: 0,
            from: vec![1, 2, 3],
            to: to.to_vec(),
            size_bytes: None,
        }
    }

    fn flying(replicas: &[BrokerId], adding: &[BrokerId], removing: &[BrokerId]) -> Reassignment {
        Reassignment {
            topic: "orders".into(),
            partition: 0,
            replicas: replicas.to_vec(),
            adding: adding.to_vec(),
            removing: removing.to_vec(),
        }
    }

    #[test]
    fn only_a_reassignment_to_our_target_is_ours() {
        let ours = flying(&[4, 2, 3, 1], &[4], &[1]);
        assert!(is_ours(&ours, &a_move(&[4, 2, 3])));
        assert!(!is_ours(&ours, &a_move(&[5, 2, 3])), "a stranger's goes elsewhere");
        assert!(
            !is_ours(&flying(&[4, 2, 3, 1], &[4], &[]), &a_move(&[4, 2, 3])),
            "or keeps more"
        );
    }

    #[test]
    fn the_rate_of_the_busiest_broker_is_held_against_the_throttle() {
        let mut gauge = Gauge::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        // What was there before the first look was not copied since.
        let arrived = |four, five| BTreeMap::from([(4, four), (5, five)]);
        assert_eq!(gauge.look(&arrived(500_000_000, 0), began), None);
        assert_eq!(gauge.look(&arrived(510_000_000, 0), at(1)), None, "too early to tell");
        assert_eq!(
            gauge.look(&arrived(600_000_000, 1_000_000_000), at(100)),
            Some(10_000_000)
        );
        let told = |throttle| gauge.words(Some(throttle), at(100)).unwrap();
        assert_eq!(told(9_000_000), "at most 10 MB/s on a broker (5), throttle 9.0 MB/s");
        assert!(told(5_000_000).ends_with("it does not hold"), "{}", told(5_000_000));
        assert_eq!(gauge.words(None, at(100)), None);
    }

    #[test]
    fn one_refusal_among_many_says_what_is_in_flight() {
        let refused = |code: &str| source::Error::Refused {
            peer: "b:1".into(),
            what: "the move".into(),
            code: code.into(),
            reason: "no".into(),
        };
        let of = |codes: &[Option<&str>]| {
            let outcomes = codes.iter().enumerate().map(|(at, code)| {
                let outcome = code.map_or(Ok(()), |code| Err(refused(code)));
                (("orders".to_owned(), at as i32), outcome)
            });
            outcome(outcomes.collect())
        };
        assert!(matches!(of(&[None, None]), Act::Asked));
        assert!(matches!(of(&[None, Some("REQUEST_TIMED_OUT")]), Act::Later(_)));
        let Act::Refused(told) = of(&[None, None, Some("INVALID_REPLICA_ASSIGNMENT")]) else {
            panic!("it is refused");
        };
        assert!(
            told.contains("orders-2") && told.contains("the other 2 of this step are in flight"),
            "{told}"
        );
        let Act::Refused(told) = of(&[Some("INVALID_REPLICA_ASSIGNMENT")]) else {
            panic!("it is refused");
        };
        assert!(!told.contains("in flight"), "{told}");
    }
}
