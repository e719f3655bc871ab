//! More partitions for a topic: there is no way back, and keys go elsewhere from then on.

use crate::model::Moment;
use crate::model::snapshot::Snapshot;
use crate::plan::gate::{Class, Gate, Verdict};
use crate::plan::{Error, Kind, Plan, Step, Undo, known};

/// Plans that `name` has `count` partitions. Needs cluster, topics, and the topic's configs.
///
/// # Errors
/// When there is no such topic, or it has as many already.
pub fn add_partitions(snapshot: &Snapshot, name: &str, count: i32, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.topics, "the topics")?;
    let topic = snapshot.topic(name);
    let topic = topic.ok_or_else(|| Error::Impossible(format!("there is no topic {name}")))?;
    if topic.internal {
        return Err(Error::Impossible(format!(
            "{name} is Kafka's own topic; another number of partitions loses what is found by hash in it"
        )));
    }
    let from = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    if count == from {
        return Err(Error::Nothing(format!("topic {name} has {from} partitions")));
    }
    if count < from {
        return Err(Error::Impossible(format!(
            "topic {name} has {from} partitions, and none can be taken away; a new topic with {count} can be filled from it"
        )));
    }
    let step = Step::AddPartitions {
        topic: name.to_owned(),
        id: topic.id,
        from,
        to: count,
    };
    let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    let gates = vec![brokers(snapshot, factor), keys(snapshot, name, from, count)];
    let undo = Undo::None {
        why: "partitions cannot be taken away".to_owned(),
    };
    let title = format!("topic {name} from {from} to {count} partitions");
    Ok(Plan {
        title,
        steps: vec![step],
        gates,
        undo,
        ..Plan::draft(snapshot, Kind::TopicAddPartitions, context, now)?
    })
}

fn brokers(snapshot: &Snapshot, factor: usize) -> Gate {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let live = brokers.iter().filter(|broker| !broker.fenced).count();
    let verdict = if live >= factor { Verdict::Pass } else { Verdict::Fail };
    let text = format!("{live} brokers, {factor} replicas of each");
    Gate::new("brokers", Class::Hard, verdict, text)
}

/// The default partitioner takes a key's hash modulo the number of partitions.
fn keys(snapshot: &Snapshot, name: &str, from: i32, to: i32) -> Gate {
    let gate = |verdict, text: String| Gate::new("keys", Class::Soft, verdict, text);
    match super::cleanup(snapshot, name) {
        Err(why) => gate(
            Verdict::Unknown,
            format!("whether {name} is compacted is not known: {why}"),
        ),
        Ok(policy) if policy.contains("compact") => gate(
            Verdict::Fail,
            format!("{name} is compacted: a key's old record stays in its old partition for ever, beside the new one"),
        ),
        Ok(_) => gate(
            Verdict::Warn,
            format!(
                "a key's records go to another partition than before ({} of {to} are new): their order across the change \
                 is lost",
                to - from
            ),
        ),
    }
}
