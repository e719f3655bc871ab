//! From a request's bytes to its answer: one thin file per API, and the one list of what is served.
//!
//! A handler declares its versions, decides nothing that the controller or a replica decides, and answers in the
//! version it was asked in. A request that does not follow its schema, or an API that is not in the list, costs the connection.

pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod api_versions;
mod context;
pub mod create_partitions;
pub mod create_topics;
mod decided;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod elect_leaders;
pub mod fetch;
pub mod find_coordinator;
mod forward;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
mod link;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod metadata_log;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
mod operations;
pub mod produce;
mod reply;
pub mod sync_group;
pub mod unregister_broker;

use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest, AlterPartitionRequest, ApiKey,
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteTopicsRequest, DescribeQuorumRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    ListPartitionReassignmentsRequest, UnregisterBrokerRequest,
};

use crate::wire::{Header, Malformed};

pub use context::{Call, Context, Face};
pub use link::{ControllerLink, RemoteController, Unanswered};
pub use reply::Reply;

/// Why a request has no answer and its connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("it asks for API {key} version {version}, which is not served here")]
    Unsupported { key: i16, version: i16 },
    #[error("its {api} request cannot be read: {reason}")]
    Malformed { api: String, reason: Malformed },
    #[error("its {api} request was not decided: {reason}")]
    Undecided { api: String, reason: String },
    #[error("the answer to its {api} request cannot be written: {reason}")]
    Unwritable { api: String, reason: Malformed },
}

/// One API that a listener serves.
pub struct Api {
    pub key: ApiKey,
    pub versions: RangeInclusive<i16>,
}

/// Declares what one kind of listener serves: the list for ApiVersions and the dispatch are the same table.
///
/// `raw` handlers take the body's bytes and return a [`Reply`], because they carry records. `decided` ones have nothing
/// to add to what the controller decides.
macro_rules! serves {
    ($list:ident, $dispatch:ident: $($key:ident => $($module:ident)+),+ $(,)?) => {
        fn $list() -> Vec<Api> {
            vec![$(Api { key: ApiKey::$key, versions: serves!(@versions $($module)+) }),+]
        }

        async fn $dispatch(cx: &Context, call: &Call, key: ApiKey, body: Bytes) -> Result<Reply, Refused> {
            match key {
                $(ApiKey::$key if serves!(@versions $($module)+).contains(&call.version) => {
                    // Boxed, or every connection's future would be as large as the largest handler's.
                    Box::pin(async move { serves!(@handle cx, call, key, body, $($module)+) }).await
                })+
                _ => Err(Refused::Unsupported { key: key as i16, version: call.version }),
            }
        }
    };
    (@versions raw $module:ident) => { $module::VERSIONS };
    (@versions decided $request:ident) => { decided::versions::<$request>() };
    (@versions $module:ident) => { $module::VERSIONS };
    (@handle $cx:ident, $call:ident, $key:ident, $body:ident, raw $module:ident) => {
        $module::handle($cx, $call, $body)
            .await
            .map_err(|reason| Refused::Malformed { api: format!("{:?}", $key), reason })
    };
    (@handle $cx:ident, $call:ident, $key:ident, $body:ident, decided $request:ident) => {
        decided::handle::<$request>($cx, $call, $key, $body).await
    };
    (@handle $cx:ident, $call:ident, $key:ident, $body:ident, $module:ident) => {{
        let request = crate::wire::decode_message($body, $call.version)
            .map_err(|reason| Refused::Malformed { api: format!("{:?}", $key), reason })?;
        let response = $module::handle($cx, $call, request).await;
        Reply::message(&response, $call)
            .map_err(|reason| Refused::Unwritable { api: format!("{:?}", $key), reason })
    }};
}

// What clients and other brokers reach.
serves! { broker_apis, broker_dispatch:
    ApiVersions => api_versions,
    Produce => raw produce,
    Fetch => raw fetch,
    ListOffsets => list_offsets,
    OffsetForLeaderEpoch => offset_for_leader_epoch,
    DeleteRecords => delete_records,
    DescribeLogDirs => describe_log_dirs,
    Metadata => metadata,
    InitProducerId => init_producer_id,
    CreateTopics => create_topics,
    DeleteTopics => delete_topics,
    CreatePartitions => create_partitions,
    DescribeConfigs => describe_configs,
    AlterConfigs => alter_configs,
    IncrementalAlterConfigs => incremental_alter_configs,
    ElectLeaders => elect_leaders,
    AlterPartitionReassignments => alter_partition_reassignments,
    ListPartitionReassignments => list_partition_reassignments,
    DescribeQuorum => describe_quorum,
    DescribeCluster => describe_cluster,
    UnregisterBroker => unregister_broker,
    DescribeTopicPartitions => describe_topic_partitions,
    FindCoordinator => find_coordinator,
    JoinGroup => join_group,
    SyncGroup => sync_group,
    Heartbeat => heartbeat,
    LeaveGroup => leave_group,
    OffsetCommit => offset_commit,
    OffsetFetch => offset_fetch,
    OffsetDelete => offset_delete,
    DescribeGroups => describe_groups,
    ListGroups => list_groups,
    DeleteGroups => delete_groups,
}

// What brokers reach on the controller's listener.
serves! { controller_apis, controller_dispatch:
    Fetch => metadata_log,
    ApiVersions => api_versions,
    CreateTopics => decided CreateTopicsRequest,
    DeleteTopics => decided DeleteTopicsRequest,
    CreatePartitions => decided CreatePartitionsRequest,
    AlterConfigs => decided AlterConfigsRequest,
    IncrementalAlterConfigs => decided IncrementalAlterConfigsRequest,
    ElectLeaders => decided ElectLeadersRequest,
    AlterPartitionReassignments => decided AlterPartitionReassignmentsRequest,
    ListPartitionReassignments => decided ListPartitionReassignmentsRequest,
    DescribeQuorum => decided DescribeQuorumRequest,
    AlterPartition => decided AlterPartitionRequest,
    BrokerRegistration => decided BrokerRegistrationRequest,
    BrokerHeartbeat => decided BrokerHeartbeatRequest,
    UnregisterBroker => decided UnregisterBrokerRequest,
    AllocateProducerIds => decided AllocateProducerIdsRequest,
    DescribeConfigs => describe_configs,
    DescribeCluster => describe_cluster,
}

/// The APIs of one kind of listener.
pub fn apis(face: Face) -> Vec<Api> {
    match face {
        Face::Broker => broker_apis(),
        Face::Controller => controller_apis(),
    }
}

/// Answers one request.
///
/// # Errors
/// [`Refused`]: the connection cannot go on.
pub async fn answer(cx: &Context, call: &Call, header: &Header, body: Bytes) -> Result<Reply, Refused> {
    let unsupported = Refused::Unsupported {
        key: header.key,
        version: header.version,
    };
    let key = ApiKey::try_from(header.key).map_err(|()| unsupported)?;
    if key == ApiKey::ApiVersions && !api_versions::VERSIONS.contains(&call.version) {
        return api_versions::refuse(cx, call);
    }
    match cx.face {
        Face::Broker => broker_dispatch(cx, call, key, body).await,
        Face::Controller => controller_dispatch(cx, call, key, body).await,
    }
}
