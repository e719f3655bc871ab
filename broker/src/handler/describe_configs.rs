//! DescribeConfigs (32): every key of topics, of this broker, of groups and of client metrics subscriptions, with its sources, type and documentation (KIP-226, KIP-569).

use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::broker_logger::{self, BROKER_LOGGER};
use super::rights::config_object;
use super::{Call, Context, Rights, refuse};
use crate::image::acl::Operation;
use crate::image::property::{Config, Entry, Inherited};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=4;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let image = cx.image();
    let (synonyms, docs) = (
        request.include_synonyms,
        request.include_documentation && call.version >= 3,
    );
    let mut inherited = Inherited::new(&cx.config, &image);
    let results = request.resources.into_iter().map(|asked| {
        let mut result = DescribeConfigsResult::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name.clone());
        let object = config_object(asked.resource_type, &asked.resource_name);
        if let Some(Err(code)) = object.map(|object| rights.demand(Operation::DescribeConfigs, object)) {
            return result
                .with_error_code(code.code())
                .with_error_message(refuse::why(code));
        }
        if asked.resource_type == BROKER_LOGGER {
            let keys = asked.configuration_keys.as_deref();
            match broker_logger::describe(cx, &asked.resource_name, keys, call.version) {
                Ok(configs) => result.configs = configs,
                Err((code, why)) => {
                    result.error_code = code.code();
                    result.error_message = Some(StrBytes::from_string(why));
                }
            }
            return result;
        }
        let keys = asked.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
        let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name));
        match entries(cx, &mut inherited, &asked, wanted) {
            Ok(entries) => {
                let shown = entries.into_iter().filter(|entry| wanted(&entry.name));
                result.configs = shown
                    .map(|entry| described(entry, synonyms, docs, call.version))
                    .collect();
            }
            Err((code, why)) => {
                result.error_code = code.code();
                result.error_message = Some(StrBytes::from_string(why));
            }
        }
        result
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// At least the `wanted` ones.
fn entries(
    cx: &Context,
    inherited: &mut Inherited<'_>,
    asked: &DescribeConfigsResource,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Entry>, (ErrorCode, String)> {
    let name = asked.resource_name.as_str();
    let image = inherited.image();
    match asked.resource_type {
        TOPIC if image.topic_named(name).is_some() => Ok(inherited.topic_entries(name, wanted)),
        TOPIC => Err((
            ErrorCode::UnknownTopicOrPartition,
            format!("The topic {name} does not exist."),
        )),
        BROKER if name.is_empty() => Ok(cx.config.broker_entries(image, None)),
        BROKER if name == cx.node.to_string() => Ok(cx.config.broker_entries(image, Some(cx.node))),
        // Another node's server.properties is not known here.
        BROKER => Err((
            ErrorCode::InvalidRequest,
            format!(
                "Unexpected broker id, expected {} or empty string, but received {name}.",
                cx.node
            ),
        )),
        CLIENT_METRICS | GROUP if name.is_empty() => Err((
            ErrorCode::InvalidRequest,
            "A group or a client metrics subscription is named by its name; the request names none.".to_owned(),
        )),
        GROUP => Ok(cx.config.group_entries(image, name)),
        CLIENT_METRICS => Ok(Config::client_metrics_entries(image, name)),
        kind => Err((
            ErrorCode::InvalidRequest,
            format!(
                "Resources of type {kind} have no configs here; only topics (2), brokers (4), broker loggers (8), client \
                 metrics (16) and groups (32) have."
            ),
        )),
    }
}

fn described(entry: Entry, synonyms: bool, docs: bool, version: i16) -> DescribeConfigsResourceResult {
    let text = |value: Option<String>| value.map(StrBytes::from_string);
    let sensitive = entry.property.is_sensitive();
    let mut result = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(entry.name.into_owned()))
        .with_value(text(entry.value))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(sensitive);
    if version >= 3 {
        result.config_type = entry.property.kind as i8;
    }
    if docs {
        result.documentation = Some(StrBytes::from_static_str(entry.property.doc));
    }
    if synonyms {
        let synonyms = entry.synonyms.into_iter().map(|(name, value, source)| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_string(name.into_owned()))
                .with_value(text(value.filter(|_| !sensitive)))
                .with_source(source as i8)
        });
        result.synonyms = synonyms.collect();
    }
    result
}
