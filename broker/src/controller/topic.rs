//! Topics come and go: CreateTopics (19), DeleteTopics (20), CreatePartitions (37).

use std::collections::{BTreeSet, HashMap};

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::placement::Placer;
use super::{Ask, Decide, Decision, State, config, election, reassignment};
use crate::id::{NodeId, TopicId};
use crate::image::property::Inherited;
use crate::image::{Image, Partition, Record, Resource, Topic};

type Refusal = (ErrorCode, String);

/// As in Kafka: more in one request would be one giant batch of metadata.
const PARTITIONS_MAX: usize = 10_000;

impl Decide for CreateTopicsRequest {
    type Response = CreateTopicsResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<CreateTopicsResponse> {
        let twice = repeated(self.topics.iter().map(|topic| topic.name.to_string()));
        let mut placer = Placer::new(&state.image, &state.random);
        let mut records = Vec::new();
        let mut results = Vec::new();
        let mut room = PARTITIONS_MAX;
        // Names of this very request collide as those of the image do.
        let mut names: HashMap<String, String> = HashMap::new();
        for asked in self.topics {
            let name = asked.name.to_string();
            let outcome = match twice.contains(&name) {
                true => Err((
                    ErrorCode::InvalidRequest,
                    format!("The request names the topic {name} twice."),
                )),
                false => check_name(&state.image, &names, &name)
                    .and_then(|()| plan(state, &asked, &mut placer, &mut room))
                    .map(|plan| (TopicId(state.random.uuid()), plan)),
            };
            if let Ok((id, plan)) = &outcome {
                names.insert(collision_key(&name), name.clone());
                records.extend(plan.records(*id, &name));
            }
            let made = outcome.map(|(id, plan)| {
                let id = if self.validate_only { Uuid::nil() } else { id.0 };
                (id, plan)
            });
            results.push(created(state, &asked, made, ask.version));
        }
        Decision {
            records: if self.validate_only { Vec::new() } else { records },
            response: CreateTopicsResponse::default().with_topics(results),
        }
    }
}

/// A topic that can be created.
struct Plan {
    partitions: Vec<Partition>,
    configs: Vec<(String, Option<String>)>,
}

impl Plan {
    fn records(&self, id: TopicId, name: &str) -> Vec<Record> {
        let topic = Record::Topic {
            id,
            name: name.to_owned(),
        };
        let configs = self.configs.iter().map(|(key, value)| Record::Config {
            resource: Resource::Topic(name.to_owned()),
            key: key.clone(),
            value: value.clone(),
        });
        let partitions = (0..).zip(&self.partitions).map(|(partition, state)| Record::Partition {
            topic: id,
            partition,
            state: state.clone(),
        });
        std::iter::once(topic).chain(configs).chain(partitions).collect()
    }
}

fn plan(state: &State, asked: &CreatableTopic, placer: &mut Placer, room: &mut usize) -> Result<Plan, Refusal> {
    let configs: Vec<_> = asked
        .configs
        .iter()
        .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
        .collect();
    config::check_new_topic(&asked.name, &configs)?;
    let assignments = match asked.assignments.is_empty() {
        false => manual(&state.image, asked)?,
        true => automatic(state, asked, placer, *room)?,
    };
    *room = room.checked_sub(assignments.len()).ok_or_else(too_many)?;
    let eligible = state.eligible();
    let partitions = (0..)
        .zip(assignments)
        .map(|(index, replicas)| first_state(index, replicas, &eligible))
        .collect::<Result<_, _>>()?;
    Ok(Plan { partitions, configs })
}

fn too_many() -> Refusal {
    (
        ErrorCode::PolicyViolation,
        format!("One request creates at most {PARTITIONS_MAX} partitions; split it."),
    )
}

fn automatic(
    state: &State,
    asked: &CreatableTopic,
    placer: &mut Placer,
    room: usize,
) -> Result<Vec<Vec<NodeId>>, Refusal> {
    let partitions = match asked.num_partitions {
        -1 => state.config.int("num.partitions"),
        count => count.into(),
    };
    let factor = match asked.replication_factor {
        -1 => state.config.int("default.replication.factor"),
        factor => factor.into(),
    };
    if partitions < 1 {
        let why = "Number of partitions was set to an invalid non-positive value.";
        return Err((ErrorCode::InvalidPartitions, why.to_owned()));
    }
    if factor < 1 {
        let why = "Replication factor was set to an invalid non-positive value.";
        return Err((ErrorCode::InvalidReplicationFactor, why.to_owned()));
    }
    let (partitions, factor) = (usize::try_from(partitions), usize::try_from(factor));
    let (Ok(partitions), Ok(factor)) = (partitions, factor) else {
        return Err(too_many());
    };
    if partitions > room {
        return Err(too_many());
    }
    placer
        .place(partitions, factor)
        .map_err(|why| (ErrorCode::InvalidReplicationFactor, why))
}

fn manual(image: &Image, asked: &CreatableTopic) -> Result<Vec<Vec<NodeId>>, Refusal> {
    if asked.num_partitions != -1 || asked.replication_factor != -1 {
        let why =
            "A manual partition assignment was specified, but numPartitions or replicationFactor was not set to -1.";
        return Err((ErrorCode::InvalidRequest, why.to_owned()));
    }
    let mut assignments: Vec<(i32, Vec<NodeId>)> = asked
        .assignments
        .iter()
        .map(|assignment| {
            let replicas = assignment.broker_ids.iter().map(|id| NodeId(id.0)).collect();
            (assignment.partition_index, replicas)
        })
        .collect();
    assignments.sort_unstable();
    if !assignments
        .iter()
        .map(|(index, _)| *index)
        .eq(0..assignments.len() as i32)
    {
        let why = "partitions should be a consecutive 0-based integer sequence, each named once.";
        return Err((ErrorCode::InvalidReplicaAssignment, why.to_owned()));
    }
    let assignments: Vec<_> = assignments.into_iter().map(|(_, replicas)| replicas).collect();
    check_assignments(image, &assignments, assignments[0].len())?;
    Ok(assignments)
}

fn check_assignments(image: &Image, assignments: &[Vec<NodeId>], factor: usize) -> Result<(), Refusal> {
    for replicas in assignments {
        reassignment::check_target(image, replicas)?;
        if replicas.len() != factor {
            let why = format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
                 with previous partitions, which have {factor} replica(s).",
                replicas.len()
            );
            return Err((ErrorCode::InvalidReplicaAssignment, why));
        }
    }
    Ok(())
}

/// A new partition: all its live replicas are in sync, because there is nothing to copy.
fn first_state(index: i32, replicas: Vec<NodeId>, eligible: &BTreeSet<NodeId>) -> Result<Partition, Refusal> {
    let isr: Vec<NodeId> = replicas.iter().copied().filter(|id| eligible.contains(id)).collect();
    let Some(leader) = isr.first().copied() else {
        let why = format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled shutdown."
        );
        return Err((ErrorCode::InvalidReplicaAssignment, why));
    };
    Ok(Partition {
        replicas,
        isr,
        adding: Vec::new(),
        removing: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        recovering: false,
        leader,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: Vec::new(),
    })
}

fn created(
    state: &State,
    asked: &CreatableTopic,
    outcome: Result<(Uuid, Plan), Refusal>,
    version: i16,
) -> CreatableTopicResult {
    let mut result = CreatableTopicResult::default().with_name(asked.name.clone());
    match outcome {
        Err((code, why)) => {
            result.error_code = code.code();
            result.error_message = Some(StrBytes::from_string(why));
            result.num_partitions = -1;
            result.replication_factor = -1;
        }
        Ok((id, plan)) => {
            result.topic_id = id;
            result.num_partitions = i32::try_from(plan.partitions.len()).unwrap_or(i32::MAX);
            let factor = plan.partitions.first().map_or(0, |partition| partition.replicas.len());
            result.replication_factor = i16::try_from(factor).unwrap_or(i16::MAX);
            if version >= 5 {
                result.configs = Some(effective(state, &asked.name, &plan.configs));
            }
        }
    }
    result
}

/// The configs of a topic that is not in the image yet.
fn effective(state: &State, name: &str, given: &[(String, Option<String>)]) -> Vec<CreatableTopicConfigs> {
    const FROM_TOPIC: i8 = 1;
    let text = |value: &String| StrBytes::from_string(value.clone());
    let entries = Inherited::new(&state.config, &state.image).topic_entries(name, |_| true);
    entries
        .into_iter()
        .map(|entry| {
            let set = given.iter().find(|(key, _)| key == entry.property.name);
            let (value, source) = match set {
                Some((_, value)) => (value.as_ref().map(text), FROM_TOPIC),
                None => (entry.value.as_ref().map(text), entry.source as i8),
            };
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_static_str(entry.property.name))
                .with_value(value)
                .with_config_source(source)
        })
        .collect()
}

/// Kafka's rules for names, and the collision of `a.b` with `a_b` in metric names.
fn check_name(image: &Image, new: &HashMap<String, String>, name: &str) -> Result<(), Refusal> {
    let refuse = |why: String| Err((ErrorCode::InvalidTopicException, why));
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name == "." || name == ".." {
        return refuse(format!("Topic name is invalid: '{name}' is empty, '.' or '..'."));
    }
    if name.len() > 249 {
        return refuse("Topic name is invalid: the length is longer than the max allowed length 249.".to_owned());
    }
    if !name.chars().all(legal) {
        return refuse(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'."
        ));
    }
    if name == "__cluster_metadata" {
        return refuse(format!("The topic name {name} is reserved for the metadata log."));
    }
    if image.topic_ids.contains_key(name) {
        return Err((ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    let key = collision_key(name);
    let existing = new.get(&key).or_else(|| match name.contains(['.', '_']) {
        true => image.topic_ids.keys().find(|other| collide(other, name)),
        false => None,
    });
    match existing {
        Some(other) => refuse(format!("Topic '{name}' collides with existing topic: {other}")),
        None => Ok(()),
    }
}

/// Whether the names differ in nothing but dots and underscores.
fn collide(a: &str, b: &str) -> bool {
    let same = |(a, b): (u8, u8)| a == b || (matches!(a, b'.' | b'_') && matches!(b, b'.' | b'_'));
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(same)
}

fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}

fn repeated(names: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            twice.insert(name);
        }
    }
    twice
}

impl Decide for DeleteTopicsRequest {
    type Response = DeleteTopicsResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<DeleteTopicsResponse> {
        let asked: Vec<(Option<String>, Uuid)> = match ask.version >= 6 {
            true => self
                .topics
                .into_iter()
                .map(|topic| (topic.name.map(|name| name.to_string()), topic.topic_id))
                .collect(),
            false => self
                .topic_names
                .into_iter()
                .map(|name| (Some(name.to_string()), Uuid::nil()))
                .collect(),
        };
        let mut gone: BTreeSet<TopicId> = BTreeSet::new();
        let mut results = Vec::new();
        for (name, id) in asked {
            let outcome = deletable(state, name.as_deref(), id).and_then(|topic| match gone.insert(topic.0) {
                true => Ok(topic),
                false => Err((
                    ErrorCode::InvalidRequest,
                    "The request names this topic twice.".to_owned(),
                )),
            });
            results.push(deleted(name, id, outcome, ask.version));
        }
        Decision {
            records: gone.into_iter().map(|id| Record::DeleteTopic { id }).collect(),
            response: DeleteTopicsResponse::default().with_responses(results),
        }
    }
}

fn deletable(state: &State, name: Option<&str>, id: Uuid) -> Result<(TopicId, String), Refusal> {
    if !state.config.boolean("delete.topic.enable") {
        let why = "Topics cannot be deleted: delete.topic.enable is false.";
        return Err((ErrorCode::TopicDeletionDisabled, why.to_owned()));
    }
    let found = match name {
        Some(_) if !id.is_nil() => {
            let why = "The request names a topic by name and by id; use one.";
            return Err((ErrorCode::InvalidRequest, why.to_owned()));
        }
        Some(name) => state.image.topic_named(name).ok_or_else(|| {
            (
                ErrorCode::UnknownTopicOrPartition,
                format!("The topic {name} does not exist."),
            )
        }),
        None => state
            .image
            .topic(TopicId(id))
            .ok_or_else(|| (ErrorCode::UnknownTopicId, format!("There is no topic with id {id}."))),
    };
    found.map(|topic| (topic.id, topic.name.clone()))
}

fn deleted(
    name: Option<String>,
    id: Uuid,
    outcome: Result<(TopicId, String), Refusal>,
    version: i16,
) -> DeletableTopicResult {
    let mut result = DeletableTopicResult::default().with_topic_id(id);
    result.name = name.map(|name| TopicName(StrBytes::from_string(name)));
    match outcome {
        Ok((id, name)) => {
            result.topic_id = id.0;
            result.name = Some(TopicName(StrBytes::from_string(name)));
        }
        Err((code, why)) => {
            result.error_code = code.code();
            if version >= 5 {
                result.error_message = Some(StrBytes::from_string(why));
            }
        }
    }
    result
}

impl Decide for CreatePartitionsRequest {
    type Response = CreatePartitionsResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<CreatePartitionsResponse> {
        let twice = repeated(self.topics.iter().map(|topic| topic.name.to_string()));
        let mut placer = Placer::new(&state.image, &state.random);
        let mut records = Vec::new();
        let mut results = Vec::new();
        for asked in self.topics {
            let name = asked.name.to_string();
            let outcome = match (twice.contains(&name), state.image.topic_named(&name)) {
                (true, _) => Err((
                    ErrorCode::InvalidRequest,
                    format!("The request names the topic {name} twice."),
                )),
                (_, None) => Err((
                    ErrorCode::UnknownTopicOrPartition,
                    format!("The topic {name} does not exist."),
                )),
                (_, Some(topic)) => more(state, topic, &asked, &mut placer),
            };
            let mut result = CreatePartitionsTopicResult::default().with_name(asked.name);
            match outcome {
                Ok(added) => records.extend(added),
                Err((code, why)) => {
                    result.error_code = code.code();
                    result.error_message = Some(StrBytes::from_string(why));
                }
            }
            results.push(result);
        }
        Decision {
            records: if self.validate_only { Vec::new() } else { records },
            response: CreatePartitionsResponse::default().with_results(results),
        }
    }
}

fn more(
    state: &State,
    topic: &Topic,
    asked: &CreatePartitionsTopic,
    placer: &mut Placer,
) -> Result<Vec<Record>, Refusal> {
    let current = topic.partitions.len();
    let wanted = usize::try_from(asked.count).unwrap_or(0);
    if wanted == current {
        return Err((
            ErrorCode::InvalidPartitions,
            format!("Topic already has {current} partition(s)."),
        ));
    }
    if wanted < current {
        let why = format!(
            "The topic {} currently has {current} partition(s); {} would not be an increase.",
            topic.name, asked.count
        );
        return Err((ErrorCode::InvalidPartitions, why));
    }
    let additional = wanted - current;
    if additional > PARTITIONS_MAX {
        return Err(too_many());
    }
    let factor = topic.partitions.first().map_or(1, |partition| partition.target().len());
    let assignments = match &asked.assignments {
        None => placer
            .place(additional, factor)
            .map_err(|why| (ErrorCode::InvalidReplicationFactor, why))?,
        Some(assignments) if assignments.len() != additional => {
            let why = format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err((ErrorCode::InvalidReplicaAssignment, why));
        }
        Some(assignments) => {
            let ids =
                |replicas: &Vec<kafka_protocol::messages::BrokerId>| replicas.iter().map(|id| NodeId(id.0)).collect();
            let assignments: Vec<Vec<NodeId>> = assignments.iter().map(|given| ids(&given.broker_ids)).collect();
            check_assignments(&state.image, &assignments, factor)?;
            assignments
        }
    };
    let eligible = state.eligible();
    (current..)
        .zip(assignments)
        .map(|(index, replicas)| {
            let number = i32::try_from(index).unwrap_or(i32::MAX);
            Ok(election::record(
                topic,
                index,
                first_state(number, replicas, &eligible)?,
            ))
        })
        .collect()
}
