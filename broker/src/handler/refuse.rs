//! The answer that refuses a whole request, in each API's own form.

use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AlterPartitionReassignmentsRequest, AlterPartitionRequest, AssignReplicasToDirsRequest,
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateDelegationTokenRequest, DescribeAclsRequest,
    DescribeUserScramCredentialsRequest, ExpireDelegationTokenRequest, FetchRequest, ListConfigResourcesRequest,
    ListPartitionReassignmentsRequest, RenewDelegationTokenRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};

use crate::wire::ErrorCode;

/// A request that can be refused as a whole, before it is looked at.
pub trait Refuse: Request {
    fn refuse(&self, version: i16, code: ErrorCode) -> Self::Response;
}

/// What a client that may not do it is told.
pub fn why(code: ErrorCode) -> Option<StrBytes> {
    Some(StrBytes::from_string(code.to_string()))
}

macro_rules! with_code {
    ($($request:ty),+ $(,)?) => {$(
        impl Refuse for $request {
            fn refuse(&self, _version: i16, code: ErrorCode) -> Self::Response {
                Self::Response::default().with_error_code(code.code())
            }
        }
    )+};
}

macro_rules! with_code_and_message {
    ($($request:ty),+ $(,)?) => {$(
        impl Refuse for $request {
            fn refuse(&self, _version: i16, code: ErrorCode) -> Self::Response {
                Self::Response::default().with_error_code(code.code()).with_error_message(why(code))
            }
        }
    )+};
}

with_code!(
    CreateDelegationTokenRequest,
    ExpireDelegationTokenRequest,
    RenewDelegationTokenRequest,
    AllocateProducerIdsRequest,
    AlterPartitionRequest,
    AssignReplicasToDirsRequest,
    BrokerHeartbeatRequest,
    BrokerRegistrationRequest,
    FetchRequest,
    ListConfigResourcesRequest,
);

with_code_and_message!(
    AlterPartitionReassignmentsRequest,
    DescribeAclsRequest,
    DescribeUserScramCredentialsRequest,
    ListPartitionReassignmentsRequest,
    UnregisterBrokerRequest,
    UpdateFeaturesRequest,
);
