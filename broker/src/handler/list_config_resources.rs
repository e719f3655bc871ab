//! ListConfigResources (74): what has configs, by type (KIP-1142). Version 0 lists only client metrics.

use std::ops::RangeInclusive;

use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context};
use crate::image::{Image, Resource};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const ALL: &[i8] = &[TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub async fn handle(cx: &Context, call: &Call, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let mut types = match (call.version, request.resource_types.as_slice()) {
        (0, _) => vec![CLIENT_METRICS],
        (_, []) => ALL.to_vec(),
        (_, asked) => asked.to_vec(),
    };
    types.sort_unstable();
    types.dedup();
    if types.iter().any(|kind| !ALL.contains(kind)) {
        return ListConfigResourcesResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
    }
    let image = cx.image();
    let named = |kind: i8| {
        let resource = move |name: String| {
            ConfigResource::default()
                .with_resource_type(kind)
                .with_resource_name(StrBytes::from_string(name))
        };
        names(&image, kind).into_iter().map(resource)
    };
    ListConfigResourcesResponse::default().with_config_resources(types.into_iter().flat_map(named).collect())
}

fn names(image: &Image, kind: i8) -> Vec<String> {
    match kind {
        TOPIC => image.topic_ids.keys().cloned().collect(),
        BROKER | BROKER_LOGGER => image.brokers.keys().map(ToString::to_string).collect(),
        GROUP => {
            let name = |resource: &Resource| match resource {
                Resource::Group(name) => Some(name.clone()),
                _ => None,
            };
            image.configs.keys().filter_map(name).collect()
        }
        _ => {
            let name = |resource: &Resource| match resource {
                Resource::ClientMetrics(name) => Some(name.clone()),
                _ => None,
            };
            image.configs.keys().filter_map(name).collect()
        }
    }
}
