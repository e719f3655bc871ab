//! ElectLeaders (43): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::{Call, Context, forward};

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(cx: &Context, call: &Call, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let asked = request.topic_partitions.clone().unwrap_or_default();
    let deadline = forward::deadline(request.timeout_ms);
    match cx.controller.ask(request, call.version, deadline).await {
        Ok(response) => response,
        Err(unanswered) => {
            let partition = |index: i32| {
                PartitionResult::default()
                    .with_partition_id(index)
                    .with_error_code(unanswered.code.code())
                    .with_error_message(forward::why(&unanswered))
            };
            let results = asked.into_iter().map(|topic| {
                ReplicaElectionResult::default()
                    .with_topic(topic.topic)
                    .with_partition_result(topic.partitions.into_iter().map(partition).collect())
            });
            let response = ElectLeadersResponse::default().with_replica_election_results(results.collect());
            // Version 0 has no error of the whole request.
            match call.version >= 1 {
                true => response.with_error_code(unanswered.code.code()),
                false => response,
            }
        }
    }
}
