//! Changing configs: IncrementalAlterConfigs (44, KIP-339) and the older AlterConfigs (33), which replaces all of them.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Replaced;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::change::Scene;
use super::feature::MIN_INSYNC_REPLICAS;
use super::{Ask, Decide, Decision, State, election};
use crate::id::NodeId;
use crate::image::property::{self, Kind};
use crate::image::{Image, Record, Resource, feature};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Refusal = (ErrorCode, String);

impl Decide for IncrementalAlterConfigsRequest {
    type Response = IncrementalAlterConfigsResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<IncrementalAlterConfigsResponse> {
        let mut records = Vec::new();
        let mut responses = Vec::new();
        let twice = repeated(
            self.resources
                .iter()
                .map(|asked| (asked.resource_type, asked.resource_name.clone())),
        );
        for asked in self.resources {
            let key = (asked.resource_type, asked.resource_name.clone());
            let outcome = match twice.contains(&key) {
                true => Err(named_twice(&asked.resource_name)),
                false => resource(state, asked.resource_type, &asked.resource_name)
                    .and_then(|resource| alter(state, &resource, &asked.configs)),
            };
            let mut response = Altered::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name);
            match outcome {
                Ok(changes) => records.extend(changes),
                Err((code, why)) => {
                    response.error_code = code.code();
                    response.error_message = Some(StrBytes::from_string(why));
                }
            }
            responses.push(response);
        }
        records.extend(consequences(state, &records));
        Decision {
            records: if self.validate_only { Vec::new() } else { records },
            response: IncrementalAlterConfigsResponse::default().with_responses(responses),
        }
    }
}

impl Decide for AlterConfigsRequest {
    type Response = AlterConfigsResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<AlterConfigsResponse> {
        let mut records = Vec::new();
        let mut responses = Vec::new();
        let twice = repeated(
            self.resources
                .iter()
                .map(|asked| (asked.resource_type, asked.resource_name.clone())),
        );
        for asked in self.resources {
            let key = (asked.resource_type, asked.resource_name.clone());
            let wanted = asked
                .configs
                .iter()
                .map(|config| (config.name.to_string(), config.value.clone()))
                .collect();
            let outcome = match twice.contains(&key) {
                true => Err(named_twice(&asked.resource_name)),
                false => resource(state, asked.resource_type, &asked.resource_name)
                    .and_then(|resource| replace(&state.image, &resource, wanted)),
            };
            let mut response = Replaced::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name);
            match outcome {
                Ok(changes) => records.extend(changes),
                Err((code, why)) => {
                    response.error_code = code.code();
                    response.error_message = Some(StrBytes::from_string(why));
                }
            }
            responses.push(response);
        }
        records.extend(consequences(state, &records));
        Decision {
            records: if self.validate_only { Vec::new() } else { records },
            response: AlterConfigsResponse::default().with_responses(responses),
        }
    }
}

/// What follows from changed configs at once: nobody is eligible by a `min.insync.replicas` that is not in force any more
/// (KIP-966), and partitions without a leader get one if unclean elections are allowed now.
fn consequences(state: &State, changes: &[Record]) -> Vec<Record> {
    let mut cleared = BTreeSet::new();
    let mut unclean = false;
    for change in changes {
        let Record::Config { resource, key, .. } = change else {
            continue;
        };
        unclean |= key == "unclean.leader.election.enable";
        if key == MIN_INSYNC_REPLICAS {
            cleared.insert(match resource {
                Resource::Topic(name) => Some(name.clone()),
                _ => None,
            });
        }
    }
    if cleared.contains(&None) {
        cleared.retain(Option::is_none);
    }
    let mut records: Vec<Record> = Vec::new();
    if feature::is_on(&state.image, feature::ELIGIBLE_LEADER_REPLICAS) {
        records.extend(cleared.into_iter().map(|topic| Record::ClearEligibleLeaders { topic }));
    }
    if unclean {
        let mut next = Image::clone(&state.image);
        for change in changes.iter().chain(&records) {
            let offset = next.offset + 1;
            next.apply(change, offset, state.image.epoch);
        }
        records.extend(election::after_return(&Scene::new(
            &next,
            &state.config,
            state.eligible(),
        )));
    }
    records
}

/// With eligible leader replicas the controller has to know the `min.insync.replicas` that each broker goes by.
fn check_min_isr(image: &Image, resource: &Resource, key: &str, value: Option<&str>) -> Result<(), Refusal> {
    if key != MIN_INSYNC_REPLICAS || !feature::is_on(image, feature::ELIGIBLE_LEADER_REPLICAS) {
        return Ok(());
    }
    let refuse = |why: &str| Err((ErrorCode::InvalidConfig, why.to_owned()));
    match resource {
        Resource::Broker(id) if !id.is_empty() && value.is_some() => {
            refuse("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
        }
        Resource::Broker(id) if id.is_empty() && value.is_none() => {
            refuse("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
        }
        _ => Ok(()),
    }
}

/// What a group sets for itself lies within the brokers' limits.
fn check_group(state: &State, resource: &Resource, key: &str, value: Option<&str>) -> Result<(), Refusal> {
    let (Resource::Group(_), Some(value)) = (resource, value) else {
        return Ok(());
    };
    let limit = |which: &str| {
        let name = key.replacen("consumer.", &format!("group.consumer.{which}."), 1);
        let limit = state.config.int(&name);
        (name, limit)
    };
    let wanted: i64 = value.trim().parse().unwrap_or(0);
    let ((min_name, min), (max_name, max)) = (limit("min"), limit("max"));
    let bound = if wanted < min {
        format!("greater than or equal to {min_name} ({min})")
    } else if wanted > max {
        format!("less than or equal to {max_name} ({max})")
    } else {
        return Ok(());
    };
    Err((ErrorCode::InvalidConfig, format!("{key} must be {bound}.")))
}

fn repeated(keys: impl Iterator<Item = (i8, StrBytes)>) -> BTreeSet<(i8, StrBytes)> {
    let mut seen = BTreeSet::new();
    keys.filter(|key| !seen.insert(key.clone()))
        .collect::<Vec<_>>()
        .into_iter()
        .collect()
}

fn named_twice(name: &str) -> Refusal {
    (
        ErrorCode::InvalidRequest,
        format!("The request names the resource {name} twice."),
    )
}

/// The resource, if it is there and of a kind that has configs here.
fn resource(state: &State, kind: i8, name: &str) -> Result<Resource, Refusal> {
    let image = &state.image;
    match kind {
        TOPIC if image.topic_named(name).is_some() => Ok(Resource::Topic(name.to_owned())),
        TOPIC => Err((
            ErrorCode::UnknownTopicOrPartition,
            format!("The topic {name} does not exist."),
        )),
        BROKER if name.is_empty() => Ok(Resource::Broker(String::new())),
        BROKER => match name.parse().map(NodeId) {
            Ok(id) if image.brokers.contains_key(&id) || id == state.node => Ok(Resource::Broker(id.to_string())),
            Ok(id) => Err((ErrorCode::BrokerIdNotRegistered, format!("No node with id {id} found."))),
            Err(_) => Err((
                ErrorCode::InvalidRequest,
                format!("A broker is named by its id, or by nothing for all brokers; {name} is neither."),
            )),
        },
        CLIENT_METRICS | GROUP if name.is_empty() => {
            let what = if kind == GROUP { "Group" } else { "Subscription" };
            Err((ErrorCode::InvalidRequest, format!("{what} name can't be empty.")))
        }
        CLIENT_METRICS => Ok(Resource::ClientMetrics(name.to_owned())),
        GROUP => Ok(Resource::Group(name.to_owned())),
        _ => Err((
            ErrorCode::InvalidRequest,
            format!(
                "Resources of type {kind} have no configs here; only topics (2), brokers (4), client metrics (16) and groups (32) \
                 have, and the loggers (8) of the broker that is asked."
            ),
        )),
    }
}

fn check(resource: &Resource, key: &str, value: &str) -> Result<(), Refusal> {
    let checked = match resource {
        // Certificates are each broker's own.
        Resource::Broker(id) if id.is_empty() && property::listener_property(key).is_some() => {
            let why = format!("Cannot update these configs at default cluster level: {key}; name a broker.");
            return Err((ErrorCode::InvalidRequest, why));
        }
        Resource::Topic(_) => property::check_topic(key, value),
        Resource::Broker(_) => property::check_broker(key, value),
        Resource::Group(_) => property::check_resource(property::group_properties(), "group config", key, value),
        Resource::ClientMetrics(_) => {
            let table = property::client_metrics_properties();
            property::check_resource(table, "client metrics configuration", key, value)
        }
    };
    let code = match resource {
        Resource::Topic(_) | Resource::Group(_) | Resource::ClientMetrics(_) => ErrorCode::InvalidConfig,
        // As Kafka, which keeps the code for compatibility (KAFKA-13609).
        Resource::Broker(_) => ErrorCode::InvalidRequest,
    };
    checked.map_err(|invalid| (code, invalid.to_string()))
}

/// The configs a new topic is given.
pub(super) fn check_new_topic(name: &str, configs: &[(String, Option<String>)]) -> Result<(), Refusal> {
    let resource = Resource::Topic(name.to_owned());
    for (key, value) in configs {
        let value = value.as_deref().ok_or_else(|| without_value(key))?;
        check(&resource, key, value)?;
    }
    Ok(())
}

fn without_value(key: &str) -> Refusal {
    (
        ErrorCode::InvalidConfig,
        format!("Null value not supported for topic configs: {key}"),
    )
}

fn change(image: &Image, resource: &Resource, key: String, value: Option<String>) -> Option<Record> {
    (image.config(resource, &key) != value.as_deref()).then(|| Record::Config {
        resource: resource.clone(),
        key,
        value,
    })
}

fn alter(state: &State, resource: &Resource, configs: &[AlterableConfig]) -> Result<Vec<Record>, Refusal> {
    let mut seen = BTreeSet::new();
    let mut records = Vec::new();
    for config in configs {
        let key = config.name.to_string();
        if !seen.insert(key.clone()) {
            return Err((
                ErrorCode::InvalidRequest,
                format!("The request names the config {key} twice."),
            ));
        }
        let value = match (config.config_operation, config.value.as_deref()) {
            (DELETE, _) => None,
            (SET, Some(value)) => Some(value.to_owned()),
            (APPEND | SUBTRACT, Some(value)) => Some(edited(state, resource, &key, config.config_operation, value)?),
            (SET | APPEND | SUBTRACT, None) => {
                return Err((
                    ErrorCode::InvalidRequest,
                    format!("{key} has no value; to remove it use the delete operation."),
                ));
            }
            (other, _) => {
                return Err((
                    ErrorCode::InvalidRequest,
                    format!("There is no config operation {other}, asked for {key}."),
                ));
            }
        };
        if let Some(value) = &value {
            check(resource, &key, value)?;
        }
        check_min_isr(&state.image, resource, &key, value.as_deref())?;
        check_group(state, resource, &key, value.as_deref())?;
        records.extend(change(&state.image, resource, key, value));
    }
    Ok(records)
}

/// A list with items added or taken away.
fn edited(state: &State, resource: &Resource, key: &str, operation: i8, value: &str) -> Result<String, Refusal> {
    let property = match resource {
        Resource::Topic(_) => property::topic_property(key),
        Resource::Broker(_) => property::broker_property(key),
        Resource::Group(_) => property::group_properties()
            .iter()
            .find(|property| property.name == key),
        Resource::ClientMetrics(_) => {
            let mut table = property::client_metrics_properties().iter();
            table.find(|property| property.name == key)
        }
    };
    if property.is_some_and(|property| property.kind != Kind::List) {
        let why = format!("{key} is not a list; items cannot be appended to it or subtracted from it.");
        return Err((ErrorCode::InvalidConfig, why));
    }
    let current = match resource {
        Resource::Topic(name) => state.config.topic_value(&state.image, name, key),
        Resource::Broker(_) | Resource::Group(_) | Resource::ClientMetrics(_) => {
            let set = state.image.config(resource, key).map(str::to_owned);
            set.or_else(|| property.and_then(|property| property.default).map(str::to_owned))
        }
    };
    let split = |list: &str| -> Vec<String> {
        list.split(',')
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    };
    let given = split(value);
    let mut list = split(&current.unwrap_or_default());
    if operation == APPEND {
        for item in given {
            if !list.contains(&item) {
                list.push(item);
            }
        }
    } else {
        list.retain(|item| !given.contains(item));
    }
    Ok(list.join(","))
}

/// Sets what is wanted and removes all else.
fn replace(
    image: &Image,
    resource: &Resource,
    wanted: BTreeMap<String, Option<StrBytes>>,
) -> Result<Vec<Record>, Refusal> {
    let mut records = Vec::new();
    if let Some(current) = image.configs.get(resource) {
        for key in current.keys().filter(|key| !wanted.contains_key(*key)) {
            check_min_isr(image, resource, key, None)?;
            records.extend(change(image, resource, key.clone(), None));
        }
    }
    for (key, value) in wanted {
        let value = value.ok_or_else(|| without_value(&key))?.to_string();
        check(resource, &key, &value)?;
        check_min_isr(image, resource, &key, Some(&value))?;
        records.extend(change(image, resource, key, Some(value)));
    }
    Ok(records)
}
