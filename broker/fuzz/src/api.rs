//! Every request of the protocol's library, decoded as the broker decodes the ones it serves.

use azimuth_broker::wire;
use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, Request, StrBytes};

macro_rules! requests {
    ($($request:ident)+) => {
        /// Decodes a body in the version that its header says.
        pub fn decode(key: i16, version: i16, body: Bytes) {
            $(if key == <$request as Request>::KEY && $request::VERSIONS_SERVED.contains(&version) {
                // Refused or not: it ends.
                let _ = wire::decode_message::<$request>(body, version);
                return;
            })+
        }

        /// Frames of every request in every version, without their length: the default of each.
        pub fn defaults() -> Vec<Vec<u8>> {
            let mut frames = Vec::new();
            $(for version in $request::VERSIONS_SERVED {
                frames.extend(frame(&$request::default(), version));
            })+
            frames
        }
    };
}

/// A request's versions as a range that can be counted through.
trait Versions: Request {
    const VERSIONS_SERVED: std::ops::RangeInclusive<i16> = <Self as kafka_protocol::protocol::Message>::VERSIONS.min
        ..=<Self as kafka_protocol::protocol::Message>::VERSIONS.max;
}

impl<R: Request> Versions for R {}

/// A request as a frame without its length; `None` when the version cannot say it.
pub fn frame<R: Request + Encodable>(request: &R, version: i16) -> Option<Vec<u8>> {
    let client = StrBytes::from_static_str("fuzz");
    let frame = wire::encode_request(request, version, 7, &client).ok()?;
    Some(frame[4..].to_vec())
}

requests! {
    ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
    FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest
    DescribeGroupsRequest ListGroupsRequest SaslHandshakeRequest ApiVersionsRequest CreateTopicsRequest
    DeleteTopicsRequest DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest
    AddPartitionsToTxnRequest AddOffsetsToTxnRequest EndTxnRequest WriteTxnMarkersRequest TxnOffsetCommitRequest
    DescribeAclsRequest CreateAclsRequest DeleteAclsRequest DescribeConfigsRequest AlterConfigsRequest
    AlterReplicaLogDirsRequest DescribeLogDirsRequest SaslAuthenticateRequest CreatePartitionsRequest
    CreateDelegationTokenRequest RenewDelegationTokenRequest ExpireDelegationTokenRequest
    DescribeDelegationTokenRequest DeleteGroupsRequest ElectLeadersRequest IncrementalAlterConfigsRequest
    AlterPartitionReassignmentsRequest ListPartitionReassignmentsRequest OffsetDeleteRequest
    DescribeClientQuotasRequest AlterClientQuotasRequest DescribeUserScramCredentialsRequest
    AlterUserScramCredentialsRequest DescribeQuorumRequest AlterPartitionRequest UpdateFeaturesRequest
    EnvelopeRequest FetchSnapshotRequest DescribeClusterRequest DescribeProducersRequest BrokerRegistrationRequest
    BrokerHeartbeatRequest UnregisterBrokerRequest DescribeTransactionsRequest ListTransactionsRequest
    AllocateProducerIdsRequest ConsumerGroupHeartbeatRequest ConsumerGroupDescribeRequest
    GetTelemetrySubscriptionsRequest PushTelemetryRequest ListConfigResourcesRequest
    DescribeTopicPartitionsRequest
}
