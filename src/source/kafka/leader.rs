//! Elections of leaders. ElectLeaders (KIP-460).

use std::collections::BTreeMap;

use azimuth_broker::wire::ErrorCode;
use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;

use super::answer::{check, topic_name};
use super::change::{Election, Outcomes};
use super::pool::Pool;
use crate::source::Error;

/// Elects a leader for each partition. One that needs no election has the outcome it asked for.
pub(super) async fn elect(
    pool: &Pool,
    election: Election,
    partitions: &[(String, i32)],
) -> Result<Outcomes<(String, i32)>, Error> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        TopicPartitions::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions)
    });
    let request = ElectLeadersRequest::default()
        .with_election_type(match election {
            Election::Preferred => 0,
            Election::Unclean => 1,
        })
        .with_topic_partitions(Some(topics.collect()))
        .with_timeout_ms(pool.patience_ms());
    let (peer, response) = pool.tell(|_| request).await?;
    check(peer.name(), "ElectLeaders", response.error_code, None)?;
    let mut outcomes = Outcomes::new();
    for topic in response.replica_election_results {
        for partition in topic.partition_result {
            let key = (topic.topic.to_string(), partition.partition_id);
            let what = format!("electing a leader for {}-{}", key.0, key.1);
            let needless = partition.error_code == ErrorCode::ElectionNotNeeded.code();
            let code = if needless { 0 } else { partition.error_code };
            outcomes.push((key, check(peer.name(), &what, code, partition.error_message.as_ref())));
        }
    }
    Ok(outcomes)
}
