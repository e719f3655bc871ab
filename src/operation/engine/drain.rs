//! Leaders leave a broker before it stops, and come back after it has started: the order of preference is changed, and
//! put back, whoever dies in between. No data moves.

use tokio::time::Instant;

use super::{Engine, Pace, Stop, Wish};
use crate::model::BrokerId;
use crate::model::topic::Partition;
use crate::operation::journal::Event;
use crate::operation::step::{Act, Seen};
use crate::operation::{Error, leader, reassign};
use crate::plan::restart::Turn;
use crate::plan::{Lead, Move};

use super::roll::ELECTION;

/// This many partitions are asked of the controller at once. Source: KRaft's MAX_RECORDS_PER_USER_OP is 10,000, and each
/// takes a record.
const BATCH: usize = 1000;

/// How a change of order ended.
pub(super) enum Order {
    There,
    /// It cannot be had.
    Refused(String),
    Stopped(Stop),
}

impl Engine {
    /// What the broker leads is led by the next in line that is in sync. What is about to change is in the journal first.
    pub(super) async fn drain(&mut self, at: usize, turn: &Turn, known: Option<Vec<Move>>) -> Result<Order, Error> {
        let moves = match known {
            Some(moves) => moves,
            None => {
                let moves = loop {
                    let kafka = self.kafka.clone();
                    match self.hear(async move { kafka.topics().await }).await? {
                        Err(stop) => return Ok(Order::Stopped(stop)),
                        Ok(Ok(topics)) => {
                            let all = topics.iter();
                            let all =
                                all.flat_map(|topic| topic.partitions.iter().map(|one| (topic.name.as_str(), one)));
                            break all.filter_map(|(topic, one)| away(topic, one, turn.broker())).collect();
                        }
                        Ok(Err(error)) => self.wait_for(format!("before its leaders leave: {error}")),
                    }
                    if let Wish::Stop(stop) = self.pass(super::LOOK).await? {
                        return Ok(Order::Stopped(stop));
                    }
                };
                self.note(Event::Drained {
                    step: at,
                    moves: Vec::clone(&moves),
                })?;
                moves
            }
        };
        self.reorder(at, turn, &moves, "its leaders leave").await
    }

    /// The order as it was, and its leaders.
    pub(super) async fn undrain(&mut self, at: usize, turn: &Turn, moves: &[Move]) -> Result<Order, Error> {
        let back: Vec<Move> = moves.iter().map(back).collect();
        let order = self.reorder(at, turn, &back, "its leaders come back").await?;
        if matches!(order, Order::There) {
            self.note(Event::Undrained { step: at })?;
        }
        Ok(order)
    }

    async fn reorder(&mut self, at: usize, turn: &Turn, moves: &[Move], note: &str) -> Result<Order, Error> {
        for batch in moves.chunks(BATCH) {
            let leads: Vec<Lead> = batch.iter().map(lead).collect();
            let since = Instant::now();
            let mut pace = Pace::new();
            // First the order, then who leads; either is asked for until it is so.
            let mut ordered = false;
            loop {
                let (kafka, moved, leads) = (self.kafka.clone(), batch.to_vec(), leads.clone());
                let work = async move {
                    if !ordered {
                        let act = reassign::act(&kafka, &moved).await;
                        return (act, reassign::look(&kafka, &moved, at).await);
                    }
                    (
                        leader::act(&kafka, &leads).await,
                        leader::look(&kafka, &leads, at).await,
                    )
                };
                let (act, seen) = match self.hear(work).await? {
                    Ok(both) => both,
                    Err(stop) => return Ok(Order::Stopped(stop)),
                };
                match (act, seen) {
                    (Act::Refused(why), _) if !ordered => return Ok(Order::Refused(why)),
                    (_, Seen::Done(_)) if ordered => break,
                    (_, Seen::Done(_)) => ordered = true,
                    // Whom others cannot take over from is stopped with what it leads, and Kafka elects then.
                    _ if ordered && since.elapsed() >= ELECTION => break,
                    (Act::Later(why), _) => self.tell(at, turn, None, format!("{note}: {why}")),
                    _ => self.tell(at, turn, None, note.to_owned()),
                }
                if let Wish::Stop(stop) = self.pass(pace.next()).await? {
                    return Ok(Order::Stopped(stop));
                }
            }
        }
        Ok(Order::There)
    }
}

/// The order in which another replica that is in sync is preferred; `None` where nothing need or can change.
fn away(topic: &str, one: &Partition, id: BrokerId) -> Option<Move> {
    let leads = one.leader == Some(id) || one.replicas.first() == Some(&id);
    let heir = one
        .replicas
        .iter()
        .find(|other| **other != id && one.isr.contains(other));
    let heir = *heir.filter(|_| leads)?;
    let others = one.replicas.iter().copied().filter(|other| ![heir, id].contains(other));
    let mut to: Vec<BrokerId> = std::iter::once(heir).chain(others).collect();
    to.push(id);
    Some(Move {
        topic: topic.to_owned(),
        partition: one.partition,
        from: one.replicas.to_vec(),
        to,
        size_bytes: None,
    })
}

fn back(one: &Move) -> Move {
    Move {
        from: one.to.clone(),
        to: one.from.clone(),
        ..one.clone()
    }
}

fn lead(one: &Move) -> Lead {
    Lead {
        topic: one.topic.clone(),
        partition: one.partition,
        from: None,
        to: one.to.first().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_in_line_that_is_in_sync_takes_over_and_it_can_be_put_back() {
        let one = Partition {
            leader: Some(1),
            replicas: [1, 2, 3].into(),
            isr: [3, 1].into(),
            ..Partition::default()
        };
        let moved = away("orders", &one, 1).unwrap();
        assert_eq!(
            (moved.from.as_slice(), moved.to.as_slice()),
            (&[1, 2, 3][..], &[3, 2, 1][..])
        );
        assert_eq!((back(&moved).to, lead(&back(&moved)).to), (vec![1, 2, 3], Some(1)));
        assert_eq!(away("orders", &one, 2), None, "it leads nothing there");
        let alone = Partition { isr: [1].into(), ..one };
        assert_eq!(away("orders", &alone, 1), None, "nobody can take over");
    }
}
