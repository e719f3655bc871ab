//! Ending a transaction in one partition, and looking whether it is over.

use std::collections::BTreeMap;

use super::status::Progress;
use super::step::{Act, Seen, act_of};
use crate::model::BrokerId;
use crate::model::transaction::Producer;
use crate::source::Error;
use crate::source::kafka::Kafka;

/// Writes the marker while the transaction is still the one that was planned for.
pub(super) async fn abort(kafka: &Kafka, producer: &Producer) -> Act {
    let (leader, now) = match open(kafka, producer).await {
        Ok(found) => found,
        Err(error) => return act_of(error),
    };
    let Some(leader) = leader else {
        return Act::Later(format!("{}-{} has no leader", producer.topic, producer.partition));
    };
    match now {
        None => Act::Asked,
        Some(now) if now.open_from_offset != producer.open_from_offset => {
            Act::Refused("the producer has ended that transaction and begun another".to_owned())
        }
        Some(now) => match kafka.abort_transaction(leader, &now).await {
            Ok(()) => Act::Asked,
            Err(error) => act_of(error),
        },
    }
}

pub(super) async fn is_over(kafka: &Kafka, producer: &Producer, step: usize) -> Seen {
    match open(kafka, producer).await {
        Err(error) => Seen::Unknown(error.to_string()),
        Ok((Some(_), None)) => Seen::Done(format!(
            "no transaction of producer {} is open there",
            producer.producer_id
        )),
        Ok((Some(_), Some(now))) if now.open_from_offset != producer.open_from_offset => {
            Seen::Done("it is over; the producer has begun another".to_owned())
        }
        Ok(_) => Seen::Waiting(Progress {
            step,
            total: 1,
            note: "it is still open".to_owned(),
            ..Progress::default()
        }),
    }
}

/// The partition's leader, and the producer while it has a transaction open there.
async fn open(kafka: &Kafka, producer: &Producer) -> Result<(Option<BrokerId>, Option<Producer>), Error> {
    let topics = kafka.topics().await?;
    let topic = topics.iter().find(|topic| topic.name == producer.topic);
    let partition = topic.and_then(|topic| topic.partition(producer.partition));
    let Some(leader) = partition.and_then(|partition| partition.leader) else {
        return Ok((None, None));
    };
    let asked = BTreeMap::from([(producer.topic.clone(), vec![producer.partition])]);
    let producers = kafka.producers(leader, &asked).await?;
    let own = |one: &Producer| one.producer_id == producer.producer_id && one.open_from_offset.is_some();
    Ok((Some(leader), producers.into_iter().find(own)))
}
