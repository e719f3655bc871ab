//! Metadata (3): who serves which partition, and the topics that a client's asking creates.

use std::ops::RangeInclusive;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Call, Context, Rights, forward};
use crate::auth::Object;
use crate::coordinator::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::id::{NodeId, TopicId};
use crate::image::acl::Operation;
use crate::image::{Image, Partition, Topic};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=13;

pub async fn handle(cx: &Context, call: &Call, rights: &Rights<'_>, request: MetadataRequest) -> MetadataResponse {
    let wanted = wanted(&request, call.version);
    let may_create = call.version < 4 || request.allow_auto_topic_creation;
    let mut refused = Vec::new();
    if let Some(wanted) = &wanted
        && may_create
        && cx.config.boolean("auto.create.topics.enable")
    {
        let image = cx.image();
        let missing = wanted.iter().filter_map(|topic| match topic {
            Wanted::Name(name) if image.topic_named(name).is_none() => Some(name.clone()),
            _ => None,
        });
        refused = create_allowed(cx, rights, missing.collect()).await;
    }
    let image = cx.image();
    let topics = match wanted {
        None => image
            .topic_ids
            .values()
            .filter_map(|id| image.topic(*id))
            .filter(|topic| rights.shows(Operation::Describe, Object::Topic(&topic.name)))
            .map(|topic| found(&image, topic, call))
            .collect(),
        Some(wanted) => wanted
            .into_iter()
            .map(|topic| match denied(&image, rights, &topic, call) {
                Some(denied) => denied,
                None => answer(&image, topic, &refused, call),
            })
            .collect(),
    };
    let mut response = MetadataResponse::default()
        .with_brokers(brokers(&image, call))
        .with_cluster_id(Some(StrBytes::from_string(image.cluster_id.clone())))
        .with_controller_id(controller(&image))
        .with_topics(topics);
    if (8..=10).contains(&call.version) && request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = rights.cluster_operations();
    }
    if call.version >= 8 && request.include_topic_authorized_operations {
        for topic in response.topics.iter_mut().filter(|topic| topic.error_code == 0) {
            let name = topic.name.as_ref().map_or("", |name| name.as_str());
            topic.topic_authorized_operations = rights.operations(Object::Topic(name));
        }
    }
    response
}

enum Wanted {
    Name(String),
    Id(Uuid),
}

/// `None` is all topics: null, and in version 0 an empty list.
fn wanted(request: &MetadataRequest, version: i16) -> Option<Vec<Wanted>> {
    let topics = request.topics.as_ref()?;
    if version == 0 && topics.is_empty() {
        return None;
    }
    let wanted = topics.iter().map(|topic| match &topic.name {
        Some(name) => Wanted::Name(name.to_string()),
        None => Wanted::Id(topic.topic_id),
    });
    Some(wanted.collect())
}

/// The answer for a topic that the caller may not describe: whether it exists is not told, only that an id is known.
fn denied(image: &Image, rights: &Rights<'_>, wanted: &Wanted, call: &Call) -> Option<MetadataResponseTopic> {
    let (name, id) = match wanted {
        Wanted::Name(name) => (name.as_str(), None),
        Wanted::Id(id) => (image.topic(TopicId(*id))?.name.as_str(), Some(*id)),
    };
    let error = rights.demand(Operation::Describe, Object::Topic(name)).err()?;
    let topic = MetadataResponseTopic::default().with_error_code(error.code());
    Some(match id {
        None => topic.with_name(Some(TopicName(StrBytes::from_string(name.to_owned())))),
        // Before version 12 the name cannot be null.
        Some(id) => topic
            .with_topic_id(id)
            .with_name((call.version < 12).then(TopicName::default)),
    })
}

/// Creates those that the caller may describe and create.
async fn create_allowed(cx: &Context, rights: &Rights<'_>, missing: Vec<String>) -> Vec<(String, i16)> {
    let described = missing.into_iter();
    let described = described.filter(|name| rights.shows(Operation::Describe, Object::Topic(name)));
    let anywhere = rights.shows(Operation::Create, Object::Cluster);
    let (granted, denied): (Vec<_>, Vec<_>) =
        described.partition(|name| anywhere || rights.allow(Operation::Create, Object::Topic(name)));
    let mut refused = create(cx, granted).await;
    let code = ErrorCode::TopicAuthorizationFailed.code();
    refused.extend(denied.into_iter().map(|name| (name, code)));
    refused
}

/// Has the controller create topics with the defaults, and waits until this broker knows them. Returns what was refused,
/// with the error's code.
pub(super) async fn create(cx: &Context, names: Vec<String>) -> Vec<(String, i16)> {
    if names.is_empty() {
        return Vec::new();
    }
    let request = CreateTopicsRequest::default()
        .with_topics(names.iter().map(|name| with_defaults(cx, name)).collect())
        .with_timeout_ms(i32::try_from(cx.config.int("request.timeout.ms")).unwrap_or(i32::MAX));
    let topics = match cx.controller.ask(request, 7, forward::patience(cx)).await {
        Ok(response) => response.topics,
        Err(unanswered) => {
            tracing::warn!("topics {names:?} were not created: {unanswered}");
            return Vec::new();
        }
    };
    let exists = ErrorCode::TopicAlreadyExists.code();
    let (made, refused): (Vec<_>, Vec<_>) = topics
        .into_iter()
        .map(|topic| (topic.name.to_string(), topic.error_code, topic.error_message))
        .partition(|(_, code, _)| *code == 0 || *code == exists);
    for (name, _, why) in &refused {
        let why = why.as_ref().map_or("", |why| why.as_str());
        tracing::warn!("the topic {name} was not created: {why}");
    }
    forward::settle(cx, |image| {
        made.iter().all(|(name, ..)| image.topic_ids.contains_key(name))
    })
    .await;
    refused.into_iter().map(|(name, code, _)| (name, code)).collect()
}

fn with_defaults(cx: &Context, name: &str) -> CreatableTopic {
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_num_partitions(-1)
        .with_replication_factor(-1);
    let config = |key: &'static str, value: String| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(key))
            .with_value(Some(StrBytes::from_string(value)))
    };
    let set = |key: &str| cx.config.int(key);
    let (prefix, mut configs) = match name {
        OFFSETS_TOPIC => ("offsets.topic", Vec::new()),
        TRANSACTIONS_TOPIC => {
            let min_isr = set("transaction.state.log.min.isr").to_string();
            let configs = vec![
                config("compression.type", "uncompressed".to_owned()),
                config("min.insync.replicas", min_isr),
                config("unclean.leader.election.enable", "false".to_owned()),
            ];
            ("transaction.state.log", configs)
        }
        _ => return topic,
    };
    configs.push(config("cleanup.policy", "compact".to_owned()));
    configs.push(config(
        "segment.bytes",
        set(&format!("{prefix}.segment.bytes")).to_string(),
    ));
    topic
        .with_num_partitions(i32::try_from(set(&format!("{prefix}.num.partitions"))).unwrap_or(50))
        .with_replication_factor(i16::try_from(set(&format!("{prefix}.replication.factor"))).unwrap_or(3))
        .with_configs(configs)
}

/// Whom clients send what only a controller decides: any broker passes it on, all of them name the same.
pub(super) fn controller(image: &Image) -> BrokerId {
    let mut live = image.brokers.values().filter(|broker| !broker.fenced);
    BrokerId(live.next().map_or(NodeId::NONE.0, |broker| broker.id.0))
}

fn brokers(image: &Image, call: &Call) -> Vec<MetadataResponseBroker> {
    let live = image.brokers.values().filter(|broker| !broker.fenced);
    live.filter_map(|broker| {
        let endpoint = broker.endpoint(&call.listener)?;
        Some(
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(broker.id.0))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port.into())
                .with_rack(broker.rack.clone().map(StrBytes::from_string)),
        )
    })
    .collect()
}

fn answer(image: &Image, wanted: Wanted, refused: &[(String, i16)], call: &Call) -> MetadataResponseTopic {
    match wanted {
        Wanted::Name(name) => match image.topic_named(&name) {
            Some(topic) => found(image, topic, call),
            None => {
                let code = match refused.iter().find(|(other, _)| *other == name) {
                    Some((_, code)) => *code,
                    None if is_legal(&name) => ErrorCode::UnknownTopicOrPartition.code(),
                    None => ErrorCode::InvalidTopicException.code(),
                };
                MetadataResponseTopic::default()
                    .with_name(Some(TopicName(StrBytes::from_string(name))))
                    .with_error_code(code)
            }
        },
        Wanted::Id(id) => match image.topic(TopicId(id)) {
            Some(topic) => found(image, topic, call),
            None => MetadataResponseTopic::default()
                // Before version 12 the name cannot be null.
                .with_name((call.version < 12).then(TopicName::default))
                .with_topic_id(id)
                .with_error_code(ErrorCode::UnknownTopicId.code()),
        },
    }
}

pub(super) fn is_legal(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 249 && name != "." && name != ".." && name.chars().all(legal)
}

pub(super) fn is_internal(name: &str) -> bool {
    matches!(name, OFFSETS_TOPIC | TRANSACTIONS_TOPIC)
}

fn found(image: &Image, topic: &Topic, call: &Call) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions);
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id.0)
        .with_is_internal(is_internal(&topic.name))
        .with_partitions(
            partitions
                .map(|(index, state)| partition(image, index, state, call))
                .collect(),
        )
}

fn partition(image: &Image, index: i32, state: &Partition, call: &Call) -> MetadataResponsePartition {
    MetadataResponsePartition::default()
        .with_error_code(leader_error(image, state, call).map_or(0, |code| code.code()))
        .with_partition_index(index)
        .with_leader_id(BrokerId(state.leader.0))
        .with_leader_epoch(state.leader_epoch)
        .with_replica_nodes(wire_ids(&state.replicas))
        .with_isr_nodes(wire_ids(&state.isr))
        .with_offline_replicas(offline(image, state))
}

/// Why the leader cannot be reached through this listener, if it cannot.
pub(super) fn leader_error(image: &Image, state: &Partition, call: &Call) -> Option<ErrorCode> {
    if state.leader == NodeId::NONE {
        return Some(ErrorCode::LeaderNotAvailable);
    }
    let broker = image.brokers.get(&state.leader);
    match broker.is_some_and(|broker| broker.endpoint(&call.listener).is_some()) {
        true => None,
        false => Some(ErrorCode::ListenerNotFound),
    }
}

pub(super) fn offline(image: &Image, state: &Partition) -> Vec<BrokerId> {
    let is_dead = |id: &&NodeId| !image.is_live(**id) || !image.has_directory(state, **id);
    let dead = state.replicas.iter().filter(is_dead);
    dead.map(|id| BrokerId(id.0)).collect()
}

pub(super) fn wire_ids(ids: &[NodeId]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(id.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::rights::testing::{Caller, topic_id};
    use super::*;
    use crate::image::acl::Kind;

    #[test]
    fn a_topic_that_may_not_be_described_is_refused_without_its_name_or_its_id() {
        let caller = Caller::new(12, &["mine", "other"], &[(Operation::Read, Kind::Topic, "mine")]);
        let ask = |wanted: Wanted, version: i16| {
            let call = Call {
                version,
                ..caller.call.clone()
            };
            let topic = denied(&caller.image, &caller.rights(), &wanted, &call)?;
            assert_eq!(topic.error_code, ErrorCode::TopicAuthorizationFailed.code());
            Some((topic.name.map(|name| name.to_string()), topic.topic_id))
        };
        assert_eq!(ask(Wanted::Name("mine".to_owned()), 12), None);
        let named = Some((Some("other".to_owned()), Uuid::nil()));
        assert_eq!(ask(Wanted::Name("other".to_owned()), 12), named, "no id");
        let named = Some((Some("none".to_owned()), Uuid::nil()));
        assert_eq!(ask(Wanted::Name("none".to_owned()), 12), named, "nor whether it exists");
        assert_eq!(ask(Wanted::Id(topic_id(1).0), 12), None);
        assert_eq!(ask(Wanted::Id(topic_id(2).0), 12), Some((None, topic_id(2).0)));
        assert_eq!(
            ask(Wanted::Id(topic_id(2).0), 11),
            Some((Some(String::new()), topic_id(2).0))
        );
        assert_eq!(
            ask(Wanted::Id(topic_id(9).0), 12),
            None,
            "nobody's id is unknown, not refused"
        );
    }
}
