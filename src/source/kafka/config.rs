//! Configs of brokers and topics, and changing them one by one (KIP-339), never as a whole.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest};

use kafka_protocol::protocol::{Message, StrBytes};

use super::answer::{check, text};
use super::change::{ConfigChange, Edit, Outcomes, Resource};
use super::pool::{Peer, Pool};
use crate::model::BrokerId;
use crate::model::backlog::{Retention, Retentions};
use crate::model::config::{Config, ConfigSource, Synonym};
use crate::model::name::Name;
use crate::source::Error;

/// Topics per request: an answer has some 3 kB per topic.
const TOPICS_PER_REQUEST: usize = 1000;

/// `ConfigResource.Type` of client metrics.
const CLIENT_METRICS: i8 = 16;

/// Shown of every topic, inherited or not: what "in sync enough" means.
const ALWAYS: &str = "min.insync.replicas";

/// Which configs of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Those that differ from the brokers' defaults, and what a topic must have in sync.
    All,
    /// `min.insync.replicas`.
    MinIsr,
}

/// Every config of a broker, sorted by name, with its documentation.
pub(super) async fn of_broker(pool: &Pool, peer: &Peer, id: BrokerId) -> Result<Vec<Config>, Error> {
    let resources = [Resource::Broker(Some(id))];
    let deadline = pool.deadlines().call;
    let response = pool
        .ask_at(peer, DescribeConfigsRequest::VERSIONS, deadline, |version| {
            describe(&resources, version >= 3).with_include_synonyms(version >= 1)
        })
        .await?;
    let mut configs = Vec::new();
    for result in response.results {
        configs.extend(read(peer.name(), result)?.1);
    }
    configs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(configs)
}

/// Every config of one resource that is no single broker, sorted by name; asked of whoever answers first.
pub(super) async fn of_resource(pool: &Pool, resource: &Resource) -> Result<Vec<Config>, Error> {
    let request = |version| describe(std::slice::from_ref(resource), false).with_include_synonyms(version >= 1);
    let (peer, response) = pool.ask_any(request).await?;
    let mut configs = Vec::new();
    for result in response.results {
        configs.extend(read(peer.name(), result)?.1);
    }
    configs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(configs)
}

/// The overrides of each topic, and what it must have in sync. A topic that vanished meanwhile is left out.
pub(super) async fn of_topics(pool: &Pool, topics: &[String], of: Of) -> Result<BTreeMap<String, Vec<Config>>, Error> {
    let mut configs = Vec::with_capacity(topics.len());
    for topics in topics.chunks(TOPICS_PER_REQUEST) {
        let resources: Vec<_> = topics.iter().cloned().map(Resource::Topic).collect();
        let request = || match of {
            Of::All => describe(&resources, false),
            Of::MinIsr => keys(describe(&resources, false), &[ALWAYS]),
        };
        let (peer, response) = pool.ask_any(|_| request()).await?;
        let mut refusal = None;
        let mut answered = false;
        for mut result in response.results {
            // Most of what is told of ten thousand topics they inherit.
            result
                .configs
                .retain(|entry| source(entry.config_source) == ConfigSource::Topic || entry.name.as_str() == ALWAYS);
            match read(peer.name(), result) {
                Ok((topic, mut all)) => {
                    all.sort_by(|one, other| one.name.cmp(&other.name));
                    // The list is made in the room of all that was told, which is not kept.
                    all.shrink_to_fit();
                    configs.push((topic, all));
                    answered = true;
                }
                Err(error) => refusal = Some(error),
            }
        }
        if let (false, Some(error)) = (answered, refusal) {
            return Err(error);
        }
    }
    // Built in one go, no node of the map is half empty.
    Ok(configs.into_iter().collect())
}

/// The names of `client-metrics` resources, the only kind that version 0 of the API knows.
pub(super) async fn client_metrics(pool: &Pool) -> Result<Vec<String>, Error> {
    let request = |version| {
        let kinds = if version == 0 { Vec::new() } else { vec![CLIENT_METRICS] };
        ListConfigResourcesRequest::default().with_resource_types(kinds)
    };
    let (peer, response) = pool.ask_any(request).await?;
    check(peer.name(), "ListConfigResources", response.error_code, None)?;
    let resources = response.config_resources.into_iter();
    let mut names: Vec<String> = resources.map(|resource| resource.resource_name.to_string()).collect();
    names.sort();
    Ok(names)
}

/// How long records and offsets are kept, with the brokers' defaults. A topic that vanished meanwhile is left out.
pub(super) async fn retentions(pool: &Pool, topics: &[String]) -> Result<Retentions, Error> {
    let (topics, minutes) = tokio::join!(retentions_of(pool, topics), offsets_minutes(pool));
    let topics = topics?;
    let offsets_minutes = match minutes {
        Ok(minutes) => minutes,
        Err(error) if topics.is_empty() => return Err(error),
        // Who may not see a broker's configs still learns what topics keep.
        Err(_) => None,
    };
    Ok(Retentions {
        topics,
        offsets_minutes,
    })
}

async fn retentions_of(pool: &Pool, topics: &[String]) -> Result<BTreeMap<String, Retention>, Error> {
    let mut retentions = BTreeMap::new();
    let mut refusal = None;
    for topics in topics.chunks(TOPICS_PER_REQUEST) {
        let resources: Vec<_> = topics.iter().cloned().map(Resource::Topic).collect();
        let request = || {
            keys(
                describe(&resources, false),
                &["cleanup.policy", "retention.bytes", "retention.ms"],
            )
        };
        let (peer, response) = pool.ask_any(|_| request()).await?;
        for result in response.results {
            match read(peer.name(), result) {
                Ok((topic, configs)) => retentions.extend(retention(&configs).map(|kept| (topic, kept))),
                Err(error) => refusal = Some(error),
            }
        }
    }
    match refusal {
        Some(error) if retentions.is_empty() => Err(error),
        _ => Ok(retentions),
    }
}

/// `offsets.retention.minutes` of some broker; they are meant to agree.
async fn offsets_minutes(pool: &Pool) -> Result<Option<i64>, Error> {
    let Some((broker, peer)) = pool.likeliest() else {
        return Ok(None);
    };
    let resources = [Resource::Broker(Some(broker))];
    let request = keys(describe(&resources, false), &["offsets.retention.minutes"]);
    let response = pool.ask(&peer, request).await?;
    let told = response.results.into_iter().map(|result| read(peer.name(), result));
    let configs = told.collect::<Result<Vec<_>, _>>()?;
    let mut configs = configs.into_iter().flat_map(|(_, configs)| configs);
    let value = configs.find_map(|config| config.value);
    Ok(value.and_then(|value| value.parse().ok()))
}

fn keys(mut request: DescribeConfigsRequest, keys: &[&str]) -> DescribeConfigsRequest {
    for resource in &mut request.resources {
        resource.configuration_keys = Some(keys.iter().map(|key| text(key)).collect());
    }
    request
}

/// `None` where the broker does not say it all.
fn retention(configs: &[Config]) -> Option<Retention> {
    let value = |name: &str| configs.iter().find(|config| config.name == name)?.value.as_deref();
    let limit = |name: &str| value(name)?.parse::<i64>().ok();
    let policy = value("cleanup.policy")?;
    let has = |word: &str| policy.split(',').any(|one| one.trim() == word);
    Some(Retention {
        time_ms: Some(limit("retention.ms")?).filter(|limit| *limit >= 0),
        bytes: Some(limit("retention.bytes")?).filter(|limit| *limit >= 0),
        compacts: has("compact"),
        deletes: has("delete"),
    })
}

fn describe(resources: &[Resource], documentation: bool) -> DescribeConfigsRequest {
    let resources = resources.iter().map(|resource| {
        DescribeConfigsResource::default()
            .with_resource_type(resource.kind())
            .with_resource_name(text(&resource.name()))
            .with_configuration_keys(None)
    });
    DescribeConfigsRequest::default()
        .with_resources(resources.collect())
        .with_include_documentation(documentation)
}

fn read(peer: &str, result: DescribeConfigsResult) -> Result<(String, Vec<Config>), Error> {
    let what = format!("the configs of {}", result.resource_name.as_str());
    check(peer, &what, result.error_code, result.error_message.as_ref())?;
    let configs = result.configs.into_iter().map(config);
    Ok((result.resource_name.to_string(), configs.collect()))
}

fn config(entry: DescribeConfigsResourceResult) -> Config {
    let sensitive = entry.is_sensitive;
    // Kafka leaves a sensitive value out; should anybody send one, it ends here.
    let shown = |value: Option<StrBytes>| value.filter(|_| !sensitive).map(|value| value.to_string());
    let synonym = |synonym: DescribeConfigsSynonym| Synonym {
        name: synonym.name.to_string(),
        value: shown(synonym.value),
        source: source(synonym.source),
    };
    let synonyms: Vec<Synonym> = entry.synonyms.into_iter().map(synonym).collect();
    Config {
        name: entry.name.to_string(),
        value: shown(entry.value),
        source: source(entry.config_source),
        sensitive,
        read_only: entry.read_only,
        documentation: entry.documentation.map(|words| Name::from(words.as_str())),
        synonyms: if synonyms.len() > 1 { synonyms } else { Vec::new() },
    }
}

/// `DescribeConfigsResponse.ConfigSource` of Kafka.
fn source(number: i8) -> ConfigSource {
    match number {
        1 => ConfigSource::Topic,
        2 => ConfigSource::DynamicBroker,
        3 => ConfigSource::DynamicDefaultBroker,
        4 => ConfigSource::StaticBroker,
        5 => ConfigSource::Default,
        8 => ConfigSource::Group,
        _ => ConfigSource::Unknown,
    }
}

/// IncrementalAlterConfigs. The outcome is per resource: its changes happen together or not at all. `own`: they are that
/// broker's, which alone can try them out, and takes them from nobody else.
pub(super) async fn change(
    pool: &Pool,
    own: Option<&Peer>,
    changes: &[ConfigChange],
    validate_only: bool,
) -> Result<Outcomes<Resource>, Error> {
    let mut by_resource: BTreeMap<&Resource, Vec<AlterableConfig>> = BTreeMap::new();
    for change in changes {
        by_resource.entry(&change.resource).or_default().push(alterable(change));
    }
    let resources: Vec<Resource> = by_resource.keys().map(|resource| (*resource).clone()).collect();
    let wire = by_resource.into_iter().map(|(resource, configs)| {
        AlterConfigsResource::default()
            .with_resource_type(resource.kind())
            .with_resource_name(text(&resource.name()))
            .with_configs(configs)
    });
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(wire.collect())
        .with_validate_only(validate_only);
    let (peer, response) = match own {
        None => {
            let (peer, response) = pool.tell(|_| request).await?;
            (peer.name().to_owned(), response)
        }
        Some(peer) => {
            let (versions, deadline) = (IncrementalAlterConfigsRequest::VERSIONS, pool.deadlines().change);
            let response = pool.ask_at(peer, versions, deadline, |_| request).await?;
            (peer.name().to_owned(), response)
        }
    };
    let outcomes = resources.into_iter().map(|resource| {
        let name = resource.name();
        let what = format!("changing the configs of {resource}");
        let answer = response
            .responses
            .iter()
            .find(|answer| answer.resource_type == resource.kind() && answer.resource_name.as_str() == name);
        let outcome = match answer {
            Some(answer) => check(&peer, &what, answer.error_code, answer.error_message.as_ref()),
            None => Err(unanswered(&peer, &what)),
        };
        (resource, outcome)
    });
    Ok(outcomes.collect())
}

fn alterable(change: &ConfigChange) -> AlterableConfig {
    // `AlterConfigOp.OpType` of Kafka.
    let (operation, value) = match &change.edit {
        Edit::Set(value) => (0, Some(value)),
        Edit::Unset => (1, None),
        Edit::Append(value) => (2, Some(value)),
        Edit::Subtract(value) => (3, Some(value)),
    };
    AlterableConfig::default()
        .with_name(text(&change.name))
        .with_config_operation(operation)
        .with_value(value.map(|value| text(value)))
}

fn unanswered(peer: &str, what: &str) -> Error {
    Error::Refused {
        peer: peer.to_owned(),
        what: what.to_owned(),
        code: "protocol".to_owned(),
        reason: "the answer does not mention it".to_owned(),
    }
}
