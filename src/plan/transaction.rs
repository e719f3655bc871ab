//! Ending a transaction that nobody ends: the last way out for readers of committed records that stand still (KIP-664).

use super::gate::{Class, Gate, Verdict};
use super::{Error, Kind, Plan, Step, Undo};
use crate::model::Moment;
use crate::model::row::transaction::orphans;
use crate::model::snapshot::Snapshot;
use crate::model::transaction::Producer;

/// As long as a producer may keep a transaction open: `transaction.max.timeout.ms`, 15 minutes by default.
const MAX_TIMEOUT_SECONDS: f64 = 900.0;

/// Which transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    pub topic: String,
    pub partition: i32,
    pub producer_id: i64,
    /// What the leader remembers of the partition's producers; it is asked when the plan is worked out.
    pub found: Result<Vec<Producer>, String>,
}

impl Abort {
    pub fn new(topic: String, partition: i32, producer_id: i64) -> Self {
        Self {
            topic,
            partition,
            producer_id,
            found: Err("its leader was not asked".to_owned()),
        }
    }

    fn name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

/// Plans it. Needs cluster, topics and transactions.
///
/// # Errors
/// When the leader does not tell its producers, or this one has no transaction open there.
pub fn abort(snapshot: &Snapshot, wish: &Abort, context: &str, now: Moment) -> Result<Plan, Error> {
    let (name, id) = (wish.name(), wish.producer_id);
    let known = snapshot
        .topic(&wish.topic)
        .and_then(|topic| topic.partition(wish.partition));
    if snapshot.topics.get().is_some() && known.is_none() {
        return Err(Error::Impossible(format!("there is no partition {name}")));
    }
    let producers = wish.found.as_ref().map_err(|why| Error::Blind {
        what: "the producers of the partition",
        why: why.clone(),
    })?;
    let own = producers
        .iter()
        .find(|one| one.producer_id == id && one.open_from_offset.is_some());
    let Some(producer) = own else {
        return Err(Error::Nothing(format!(
            "producer {id} has no open transaction in {name}"
        )));
    };
    Ok(Plan {
        title: format!("transaction of producer {id} in {name}"),
        steps: vec![Step::AbortTransaction {
            producer: producer.clone(),
        }],
        gates: vec![orphan(snapshot, producer, now), idle(producer, now)],
        undo: Undo::None {
            why: "readers of committed records never see what it wrote".to_owned(),
        },
        ..Plan::draft(snapshot, Kind::TransactionAbort, context, now)?
    })
}

/// A coordinator that knows the transaction ends it by itself; a marker written past it tears the transaction apart.
fn orphan(snapshot: &Snapshot, producer: &Producer, now: Moment) -> Gate {
    let gate = |verdict, text: String| Gate::new("orphan", Class::Soft, verdict, text);
    match orphans(snapshot, std::slice::from_ref(producer), now) {
        Err(why) => gate(Verdict::Unknown, why),
        Ok(orphans) if orphans.is_empty() => {
            let all = snapshot
                .transactions
                .values()
                .filter_map(|section| section.get())
                .flatten();
            let mut own = all.filter(|one| one.producer_id == producer.producer_id);
            let who = own
                .next()
                .map_or("a coordinator".to_owned(), |one| format!("{} ({})", one.id, one.state));
            gate(
                Verdict::Fail,
                format!("{who} is known to its coordinator, which ends it at its timeout"),
            )
        }
        Ok(_) => gate(Verdict::Pass, "no coordinator knows of it".to_owned()),
    }
}

fn idle(producer: &Producer, now: Moment) -> Gate {
    let gate = |verdict, text: String| Gate::new("idle", Class::Soft, verdict, text);
    let Some(last) = producer.last_timestamp_ms else {
        return gate(Verdict::Unknown, "when it wrote last is not known".to_owned());
    };
    let seconds = (now.as_millisecond() - last).max(0) as f64 / 1000.0;
    match seconds >= MAX_TIMEOUT_SECONDS {
        true => gate(Verdict::Pass, format!("it wrote last {seconds:.0} s ago")),
        false => gate(
            Verdict::Fail,
            format!("it wrote {seconds:.0} s ago; a transaction may take {MAX_TIMEOUT_SECONDS:.0} s"),
        ),
    }
}
