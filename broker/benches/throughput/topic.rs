//! The topics of the bench, by our own client of the protocol.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Failure;

pub const PARTITIONS: i32 = 6;
const DEADLINE: Duration = Duration::from_secs(60);

static NAMES: AtomicU32 = AtomicU32::new(0);

/// A new topic, once every replica of it is in sync.
pub async fn create(bootstrap: &str, replicas: i16) -> Result<String, Failure> {
    let name = begin(bootstrap, replicas).await?;
    let client = connect(bootstrap).await?;
    let until = Instant::now() + DEADLINE;
    while !in_sync(&client, &name, replicas).await? {
        if Instant::now() > until {
            return Err(format!("topic {name} is not in sync within {DEADLINE:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(name)
}

/// Has a topic made, as soon as there are enough brokers.
pub async fn begin(bootstrap: &str, replicas: i16) -> Result<String, Failure> {
    const INVALID_REPLICATION_FACTOR: i16 = 38;
    let name = format!("bench-{}", NAMES.fetch_add(1, Ordering::Relaxed));
    let topic = CreatableTopic::default()
        .with_name(topic_name(&name))
        .with_num_partitions(PARTITIONS)
        .with_replication_factor(replicas);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(60_000);
    let client = connect(bootstrap).await?;
    let until = Instant::now() + DEADLINE;
    loop {
        let answer = client.call(request.clone(), DEADLINE).await?;
        let Some(refused) = answer.topics.iter().find(|topic| topic.error_code != 0) else {
            return Ok(name);
        };
        if refused.error_code != INVALID_REPLICATION_FACTOR || Instant::now() > until {
            let (code, why) = (refused.error_code, &refused.error_message);
            return Err(format!("topic {name}: error {code}: {why:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Who leads a partition.
pub async fn leader(bootstrap: &str, name: &str, partition: i32) -> Result<i32, Failure> {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let answer = connect(bootstrap).await?.call(request, DEADLINE).await?;
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let found = partitions.find(|one| one.partition_index == partition && one.leader_id.0 >= 0);
    found
        .map(|one| one.leader_id.0)
        .ok_or_else(|| format!("nobody leads {name}-{partition}").into())
}

async fn in_sync(client: &Client, name: &str, replicas: i16) -> Result<bool, Failure> {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let answer = client.call(request, DEADLINE).await?;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let ready = partitions.filter(|one| one.leader_id.0 >= 0 && one.isr_nodes.len() == replicas as usize);
    Ok(ready.count() == PARTITIONS as usize)
}

pub async fn delete(bootstrap: &str, name: &str) -> Result<(), Failure> {
    let topic = DeleteTopicState::default().with_name(Some(topic_name(name)));
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(60_000);
    let answer = connect(bootstrap).await?.call(request, DEADLINE).await?;
    match answer.responses.first().map_or(0, |topic| topic.error_code) {
        0 => Ok(()),
        code => Err(format!("topic {name} cannot be deleted: error {code}").into()),
    }
}

/// How many brokers the first one that answers knows of.
pub async fn brokers(bootstrap: &str) -> Result<usize, Failure> {
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    Ok(connect(bootstrap)
        .await?
        .call(request, Duration::from_secs(5))
        .await?
        .brokers
        .len())
}

async fn connect(bootstrap: &str) -> Result<Client, Failure> {
    let mut last = "there is no address".into();
    for address in bootstrap.split(',') {
        match Client::connect(address, &ClientConfig::default()).await {
            Ok(client) => return Ok(client),
            Err(error) => last = Failure::from(error),
        }
    }
    Err(last)
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
