//! From a request's bytes to its answer: one thin file per API, and the one list of what is served.
//!
//! A handler declares its versions, decides nothing that the controller or a replica decides, and answers in the
//! version it was asked in. A request that does not follow its schema, or an API that is not in the list, costs the connection.

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_user_scram_credentials;
pub mod api_versions;
mod broker_logger;
mod certificate;
mod client_metrics;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
mod context;
pub mod create_acls;
pub mod create_delegation_token;
pub mod create_partitions;
pub mod create_topics;
mod decided;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_delegation_token;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod expire_delegation_token;
pub mod fetch;
pub mod find_coordinator;
mod forward;
#[cfg(test)]
mod guide;
pub mod get_telemetry_subscriptions;
pub mod heart;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
mod link;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod metadata_log;
mod mutation;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod push_telemetry;
mod refuse;
pub mod renew_delegation_token;
mod reply;
mod rights;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;
mod throttle;
mod tokens;
pub mod txn_offset_commit;
pub mod unregister_broker;
pub mod update_features;
pub mod write_txn_markers;

use std::ops::RangeInclusive;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AlterClientQuotasRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest,
    AlterPartitionRequest, AlterUserScramCredentialsRequest, ApiKey, AssignReplicasToDirsRequest,
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateAclsRequest, CreateDelegationTokenRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteAclsRequest, DeleteTopicsRequest, DescribeQuorumRequest,
    ElectLeadersRequest, ExpireDelegationTokenRequest, IncrementalAlterConfigsRequest,
    ListPartitionReassignmentsRequest, RenewDelegationTokenRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
};

use crate::auth::Object;
use crate::image::acl::Operation;
use crate::telemetry::Answered;
use crate::wire::{ErrorCode, Header, Malformed};

pub use context::{Call, Context, Face, Software};
pub use link::{ControllerLink, RemoteController, Unanswered};
pub use reply::Reply;
use rights::Rights;

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
/// Every line says in brackets how its requests are authorized: `open` to everybody; `cluster` and operations, any of which
/// on the cluster is enough; or by the handler `itself`, resource by resource, which is given the caller's [`Rights`].
/// `raw` handlers take the body's bytes and return a [`Reply`], because they carry records. `decided` ones have nothing
/// to add to what the controller decides.
macro_rules! serves {
    ($list:ident, $dispatch:ident: $($key:ident [$($rule:ident)+] => $($module:ident)+),+ $(,)?) => {
        fn $list() -> Vec<Api> {
            vec![$(Api { key: ApiKey::$key, versions: serves!(@versions $($module)+) }),+]
        }

        async fn $dispatch(cx: &Context, call: &Call, key: ApiKey, body: Bytes) -> Result<Reply, Refused> {
            match key {
                $(ApiKey::$key if serves!(@versions $($module)+).contains(&call.version) => {
                    // Boxed, or every connection's future would be as large as the largest handler's.
                    Box::pin(async move { serves!(@handle [$($rule)+] cx, call, key, body, $($module)+) }).await
                })+
                _ => Err(Refused::Unsupported { key: key as i16, version: call.version }),
            }
        }
    };
    (@versions raw $module:ident) => { $module::VERSIONS };
    (@versions decided $request:ident) => { decided::versions::<$request>() };
    (@versions $module:ident) => { $module::VERSIONS };
    (@handle [itself] $cx:ident, $call:ident, $key:ident, $body:ident, raw $module:ident) => {
        $module::handle($cx, $call, &Rights::of($cx, $call, $key), $body)
            .await
            .map_err(|reason| Refused::Malformed { api: format!("{:?}", $key), reason })
    };
    (@handle [cluster $($operation:ident)+] $cx:ident, $call:ident, $key:ident, $body:ident, decided $request:ident) => {
        decided::handle::<$request>($cx, $call, $key, $body, &[$(Operation::$operation),+]).await
    };
    (@handle [open] $cx:ident, $call:ident, $key:ident, $body:ident, $module:ident) => {
        serves!(@answer $call, $key, $body, request => $module::handle($cx, $call, request).await)
    };
    (@handle [itself] $cx:ident, $call:ident, $key:ident, $body:ident, $module:ident) => {
        serves!(@answer $call, $key, $body, request =>
            $module::handle($cx, $call, &Rights::of($cx, $call, $key), request).await)
    };
    (@handle [cluster $($operation:ident)+] $cx:ident, $call:ident, $key:ident, $body:ident, $module:ident) => {
        serves!(@answer $call, $key, $body, request => {
            let operations = [$(Operation::$operation),+];
            match Rights::of($cx, $call, $key).allow_one_of(&operations, Object::Cluster) {
                true => $module::handle($cx, $call, request).await,
                false => refuse::Refuse::refuse(&request, $call.version, ErrorCode::ClusterAuthorizationFailed),
            }
        })
    };
    (@answer $call:ident, $key:ident, $body:ident, $request:ident => $response:expr) => {{
        let $request = crate::wire::decode_message($body, $call.version)
            .map_err(|reason| Refused::Malformed { api: format!("{:?}", $key), reason })?;
        let response = $response;
        Reply::message(&response, $call)
            .map_err(|reason| Refused::Unwritable { api: format!("{:?}", $key), reason })
    }};
}

// What clients and other brokers reach.
serves! { broker_apis, broker_dispatch:
    ApiVersions [open] => api_versions,
    Produce [itself] => raw produce,
    Fetch [itself] => raw fetch,
    ListOffsets [itself] => list_offsets,
    OffsetForLeaderEpoch [itself] => offset_for_leader_epoch,
    DescribeProducers [itself] => describe_producers,
    DeleteRecords [itself] => delete_records,
    DescribeLogDirs [cluster Describe] => describe_log_dirs,
    AlterReplicaLogDirs [cluster Alter] => alter_replica_log_dirs,
    Metadata [itself] => metadata,
    InitProducerId [itself] => init_producer_id,
    AddPartitionsToTxn [itself] => add_partitions_to_txn,
    AddOffsetsToTxn [itself] => add_offsets_to_txn,
    EndTxn [itself] => end_txn,
    WriteTxnMarkers [cluster Alter ClusterAction] => write_txn_markers,
    TxnOffsetCommit [itself] => txn_offset_commit,
    DescribeTransactions [itself] => describe_transactions,
    ListTransactions [itself] => list_transactions,
    CreateTopics [itself] => create_topics,
    DeleteTopics [itself] => delete_topics,
    CreatePartitions [itself] => create_partitions,
    DescribeConfigs [itself] => describe_configs,
    AlterConfigs [itself] => alter_configs,
    IncrementalAlterConfigs [itself] => incremental_alter_configs,
    ListConfigResources [cluster DescribeConfigs] => list_config_resources,
    ElectLeaders [cluster Alter] => elect_leaders,
    AlterPartitionReassignments [cluster Alter] => alter_partition_reassignments,
    ListPartitionReassignments [cluster Describe] => list_partition_reassignments,
    DescribeQuorum [cluster Describe] => describe_quorum,
    DescribeCluster [itself] => describe_cluster,
    UnregisterBroker [cluster Alter] => unregister_broker,
    UpdateFeatures [cluster Alter] => update_features,
    DescribeTopicPartitions [itself] => describe_topic_partitions,
    FindCoordinator [itself] => find_coordinator,
    JoinGroup [itself] => join_group,
    SyncGroup [itself] => sync_group,
    Heartbeat [itself] => heartbeat,
    LeaveGroup [itself] => leave_group,
    OffsetCommit [itself] => offset_commit,
    OffsetFetch [itself] => offset_fetch,
    OffsetDelete [itself] => offset_delete,
    DescribeGroups [itself] => describe_groups,
    ListGroups [itself] => list_groups,
    DeleteGroups [itself] => delete_groups,
    ConsumerGroupHeartbeat [itself] => consumer_group_heartbeat,
    ConsumerGroupDescribe [itself] => consumer_group_describe,
    DescribeAcls [cluster Describe] => describe_acls,
    CreateAcls [cluster Alter] => create_acls,
    DeleteAcls [cluster Alter] => delete_acls,
    DescribeClientQuotas [cluster DescribeConfigs] => describe_client_quotas,
    AlterClientQuotas [cluster AlterConfigs] => alter_client_quotas,
    GetTelemetrySubscriptions [open] => get_telemetry_subscriptions,
    PushTelemetry [open] => push_telemetry,
    SaslHandshake [open] => sasl_handshake,
    SaslAuthenticate [open] => sasl_authenticate,
    DescribeUserScramCredentials [cluster Describe] => describe_user_scram_credentials,
    AlterUserScramCredentials [cluster Alter] => alter_user_scram_credentials,
    CreateDelegationToken [itself] => create_delegation_token,
    RenewDelegationToken [open] => renew_delegation_token,
    ExpireDelegationToken [open] => expire_delegation_token,
    DescribeDelegationToken [itself] => describe_delegation_token,
}

// What brokers reach on the controller's listener. They have authorized what they pass on, and act as themselves: whoever
// may do that may also ask the controller directly for what takes a right on the cluster.
serves! { controller_apis, controller_dispatch:
    Fetch [cluster ClusterAction] => metadata_log,
    ApiVersions [open] => api_versions,
    CreateTopics [cluster ClusterAction] => decided CreateTopicsRequest,
    DeleteTopics [cluster ClusterAction] => decided DeleteTopicsRequest,
    CreatePartitions [cluster ClusterAction] => decided CreatePartitionsRequest,
    AlterConfigs [cluster ClusterAction] => decided AlterConfigsRequest,
    IncrementalAlterConfigs [cluster ClusterAction] => decided IncrementalAlterConfigsRequest,
    ElectLeaders [cluster Alter ClusterAction] => decided ElectLeadersRequest,
    AlterPartitionReassignments [cluster Alter ClusterAction] => decided AlterPartitionReassignmentsRequest,
    ListPartitionReassignments [cluster Describe ClusterAction] => decided ListPartitionReassignmentsRequest,
    DescribeQuorum [cluster Describe ClusterAction] => decided DescribeQuorumRequest,
    AlterPartition [cluster ClusterAction] => decided AlterPartitionRequest,
    BrokerRegistration [cluster ClusterAction] => decided BrokerRegistrationRequest,
    BrokerHeartbeat [cluster ClusterAction] => decided BrokerHeartbeatRequest,
    UnregisterBroker [cluster Alter ClusterAction] => decided UnregisterBrokerRequest,
    UpdateFeatures [cluster Alter ClusterAction] => decided UpdateFeaturesRequest,
    AllocateProducerIds [cluster ClusterAction] => decided AllocateProducerIdsRequest,
    AssignReplicasToDirs [cluster ClusterAction] => decided AssignReplicasToDirsRequest,
    CreateAcls [cluster Alter ClusterAction] => decided CreateAclsRequest,
    DeleteAcls [cluster Alter ClusterAction] => decided DeleteAclsRequest,
    DescribeAcls [cluster Describe ClusterAction] => describe_acls,
    AlterClientQuotas [cluster AlterConfigs ClusterAction] => decided AlterClientQuotasRequest,
    DescribeConfigs [itself] => describe_configs,
    DescribeCluster [itself] => describe_cluster,
    SaslHandshake [open] => sasl_handshake,
    SaslAuthenticate [open] => sasl_authenticate,
    AlterUserScramCredentials [cluster Alter ClusterAction] => decided AlterUserScramCredentialsRequest,
    CreateDelegationToken [cluster ClusterAction] => decided CreateDelegationTokenRequest,
    RenewDelegationToken [cluster ClusterAction] => decided RenewDelegationTokenRequest,
    ExpireDelegationToken [cluster ClusterAction] => decided ExpireDelegationTokenRequest,
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
    let (quotas, telemetry) = (cx.quotas.any(), cx.telemetry.is_on());
    if !quotas && !telemetry {
        return dispatch(cx, call, key, body).await;
    }
    let began = Instant::now();
    let (reply, busy) = throttle::timed(dispatch(cx, call, key, body)).await;
    let mut reply = reply?;
    if quotas {
        reply = throttle::settle(cx, call, key, busy, reply);
    }
    cx.telemetry.answered(Answered {
        key: header.key,
        version: call.version,
        of_broker: reply.is_exempt(),
        total: began.elapsed(),
        busy,
        throttle: reply.throttle(),
    });
    Ok(reply)
}

async fn dispatch(cx: &Context, call: &Call, key: ApiKey, body: Bytes) -> Result<Reply, Refused> {
    match cx.face {
        Face::Broker => broker_dispatch(cx, call, key, body).await,
        Face::Controller => controller_dispatch(cx, call, key, body).await,
    }
}
