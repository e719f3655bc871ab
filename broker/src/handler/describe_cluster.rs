//! DescribeCluster (60): the brokers, or on the controller's listener the controller (KIP-700, KIP-919, KIP-1073).

use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Face, Rights, metadata, refuse};
use crate::auth::Object;
use crate::image::Image;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    // As in Kafka: a broker tells everybody, the controller whoever may alter the cluster.
    if cx.face == Face::Controller && !rights.allow(Operation::Alter, Object::Cluster) {
        let code = ErrorCode::ClusterAuthorizationFailed;
        return DescribeClusterResponse::default()
            .with_error_code(code.code())
            .with_error_message(refuse::why(code));
    }
    let image = cx.image();
    let wanted = request.endpoint_type;
    let served = match cx.face {
        Face::Broker => BROKERS,
        Face::Controller => CONTROLLERS,
    };
    let mut response = DescribeClusterResponse::default();
    if call.version >= 1 {
        response.endpoint_type = wanted;
    }
    if wanted != served {
        let (code, why) = match wanted {
            BROKERS | CONTROLLERS => (
                ErrorCode::MismatchedEndpointType,
                "Brokers are described by a broker, the controller by its own listener.",
            ),
            _ => (
                ErrorCode::UnsupportedEndpointType,
                "The endpoint type is 1 for brokers or 2 for controllers.",
            ),
        };
        return response
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_static_str(why)));
    }
    response.cluster_id = StrBytes::from_string(image.cluster_id.clone());
    (response.controller_id, response.brokers) = match cx.face {
        Face::Broker => (
            metadata::controller(&image),
            brokers(&image, call, request.include_fenced_brokers),
        ),
        Face::Controller => (BrokerId(cx.node.0), vec![this_controller(cx, call)]),
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = rights.cluster_operations();
    }
    response
}

fn brokers(image: &Image, call: &Call, fenced_too: bool) -> Vec<DescribeClusterBroker> {
    let shown = image.brokers.values().filter(|broker| fenced_too || !broker.fenced);
    shown
        .filter_map(|broker| {
            let endpoint = broker.endpoint(&call.listener)?;
            let mut described = DescribeClusterBroker::default()
                .with_broker_id(BrokerId(broker.id.0))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port.into())
                .with_rack(broker.rack.clone().map(StrBytes::from_string));
            if call.version >= 2 {
                described.is_fenced = broker.fenced;
            }
            Some(described)
        })
        .collect()
}

fn this_controller(cx: &Context, call: &Call) -> DescribeClusterBroker {
    let named = |listener: &&crate::image::property::Listener| *listener.name == *call.listener;
    let listener = cx.config.advertised_listeners().iter().find(named);
    let (host, port) = listener.map_or((String::new(), 0), |listener| (listener.host.clone(), listener.port));
    DescribeClusterBroker::default()
        .with_broker_id(BrokerId(cx.node.0))
        .with_host(StrBytes::from_string(host))
        .with_port(port.into())
}
