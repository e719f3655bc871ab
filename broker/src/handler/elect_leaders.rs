//! ElectLeaders (43): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use kafka_protocol::protocol::StrBytes;

use super::refuse::{self, Refuse};
use super::{Call, Context, forward};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(cx: &Context, call: &Call, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let asked = request.topic_partitions.clone().unwrap_or_default();
    let deadline = forward::deadline(request.timeout_ms);
    match cx.controller.ask(request, call.version, deadline).await {
        Ok(response) => response,
        Err(unanswered) => refused(&asked, call.version, unanswered.code, forward::why(&unanswered)),
    }
}

fn refused(asked: &[TopicPartitions], version: i16, code: ErrorCode, why: Option<StrBytes>) -> ElectLeadersResponse {
    let partition = |index: &i32| {
        PartitionResult::default()
            .with_partition_id(*index)
            .with_error_code(code.code())
            .with_error_message(why.clone())
    };
    let results = asked.iter().map(|topic| {
        ReplicaElectionResult::default()
            .with_topic(topic.topic.clone())
            .with_partition_result(topic.partitions.iter().map(partition).collect())
    });
    let response = ElectLeadersResponse::default().with_replica_election_results(results.collect());
    // Version 0 has no error of the whole request.
    match version >= 1 {
        true => response.with_error_code(code.code()),
        false => response,
    }
}

impl Refuse for ElectLeadersRequest {
    fn refuse(&self, version: i16, code: ErrorCode) -> ElectLeadersResponse {
        let asked = self.topic_partitions.as_deref().unwrap_or_default();
        refused(asked, version, code, refuse::why(code))
    }
}
