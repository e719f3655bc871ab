//! What a request's time costs its client, and how its answer says how long the client has to wait (KIP-124, KIP-219).
//!
//! Counted is the time that a worker thread spends in a request's handler: decoding, deciding, reading logs, encoding. Time
//! that the handler waits, for replicas, for new records or for the controller, is not.

use std::pin::pin;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiKey;

use super::{Call, Context, Reply};
use crate::quota::Kind;

/// Runs a handler, and says how long it kept a thread busy.
pub(super) async fn timed<F: Future>(handler: F) -> (F::Output, Duration) {
    let mut handler = pin!(handler);
    let mut spent = Duration::ZERO;
    let output = std::future::poll_fn(|cx| {
        let began = Instant::now();
        let polled = handler.as_mut().poll(cx);
        spent += began.elapsed();
        polled
    })
    .await;
    (output, spent)
}

/// Holds the time of a request against its client's quota. The longest wait counts of what several quotas ask for, and
/// the answer says it.
pub(super) fn settle(cx: &Context, call: &Call, key: ApiKey, spent: Duration, reply: Reply) -> Reply {
    if reply.is_exempt() {
        return reply;
    }
    let for_time = match cx.quotas.counts(Kind::Request) {
        true => cx.quotas.record_time(&call.principal.name, call.client(), spent),
        false => Duration::ZERO,
    };
    let place = place(key, call.version, &reply);
    let said = place.and_then(|at| reply.number(at)).unwrap_or(0);
    let said_for = Duration::from_millis(u64::try_from(said).unwrap_or(0));
    let wait = for_time.max(said_for).max(reply.throttle());
    let mut reply = reply.throttled(wait);
    if wait > said_for
        && let Some(at) = place
    {
        reply.set_number(at, i32::try_from(wait.as_millis()).unwrap_or(i32::MAX));
    }
    reply
}

/// Where in the frame `throttle_time_ms` is.
fn place(key: ApiKey, version: i16, reply: &Reply) -> Option<usize> {
    // Length, correlation id, and since response header v1 no tagged fields.
    let head = if key.response_header_version(version) >= 1 {
        9
    } else {
        8
    };
    reply
        .throttle_at()
        .or_else(|| in_body(key, version))
        .map(|at| head + at)
}

/// Where in the body `throttle_time_ms` is, for answers that have it at a fixed place. ApiVersions has it after a list and
/// Produce at its end: Produce says itself where, clients of ApiVersions are not told.
fn in_body(key: ApiKey, version: i16) -> Option<usize> {
    let (since, at) = match key {
        ApiKey::OffsetDelete => (0, 2),
        ApiKey::Fetch
        | ApiKey::FindCoordinator
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::DeleteTopics => (1, 0),
        ApiKey::ListOffsets | ApiKey::CreateTopics | ApiKey::JoinGroup | ApiKey::OffsetForLeaderEpoch => (2, 0),
        ApiKey::Metadata | ApiKey::OffsetCommit | ApiKey::OffsetFetch => (3, 0),
        ApiKey::DeleteRecords
        | ApiKey::InitProducerId
        | ApiKey::DescribeConfigs
        | ApiKey::AlterConfigs
        | ApiKey::IncrementalAlterConfigs
        | ApiKey::DescribeLogDirs
        | ApiKey::AlterReplicaLogDirs
        | ApiKey::CreatePartitions
        | ApiKey::DeleteGroups
        | ApiKey::ConsumerGroupHeartbeat
        | ApiKey::ConsumerGroupDescribe
        | ApiKey::GetTelemetrySubscriptions
        | ApiKey::PushTelemetry
        | ApiKey::ElectLeaders
        | ApiKey::AlterPartitionReassignments
        | ApiKey::ListPartitionReassignments
        | ApiKey::DescribeClientQuotas
        | ApiKey::AlterClientQuotas
        | ApiKey::DescribeUserScramCredentials
        | ApiKey::AlterUserScramCredentials
        | ApiKey::DescribeAcls
        | ApiKey::CreateAcls
        | ApiKey::DeleteAcls
        | ApiKey::DescribeCluster
        | ApiKey::UnregisterBroker
        | ApiKey::DescribeTopicPartitions
        | ApiKey::UpdateFeatures => (0, 0),
        _ => return None,
    };
    (version >= since).then_some(at)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::Arc;

    use kafka_protocol::messages::*;
    use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message};

    use super::*;
    use crate::auth::Principal;
    use crate::handler::{Face, apis};

    fn call(version: i16) -> Call {
        Call {
            version,
            correlation: 7,
            client_id: None,
            client_addr: ([127, 0, 0, 1], 1).into(),
            principal: Arc::new(Principal::anonymous()),
            listener: "PLAINTEXT".into(),
            by_token: false,
            software: crate::handler::Software::default(),
        }
    }

    /// Writes a throttle time into an empty answer of every version and has the generated decoder say where it went.
    fn check<M>(key: ApiKey) -> usize
    where
        M: Message + Encodable + Decodable + HeaderVersion + Default + Debug,
    {
        let api = apis(Face::Broker).into_iter().find(|api| api.key == key);
        let mut found = 0;
        for version in api.expect("it is served").versions {
            let mut reply = Reply::message(&M::default(), &call(version)).expect("encodes");
            let Some(at) = place(key, version, &reply) else {
                continue;
            };
            reply.set_number(at, 12_345);
            assert_eq!(reply.number(at), Some(12_345));
            let frame = reply.into_chunks().concat();
            let head = if M::header_version(version) >= 1 { 9 } else { 8 };
            let answer: M = crate::wire::decode_message(frame[head..].to_vec().into(), version).expect("decodes");
            let shown = format!("{answer:?}");
            assert!(shown.contains("throttle_time_ms: 12345"), "{key:?} v{version}: {shown}");
            found += 1;
        }
        found
    }

    #[test]
    fn the_throttle_time_goes_where_the_answer_has_it() {
        macro_rules! check_all {
            ($($key:ident $response:ident),+ $(,)?) => {
                $(assert!(check::<$response>(ApiKey::$key) > 0, "{:?} says nothing", ApiKey::$key);)+
            };
        }
        check_all!(
            OffsetDelete OffsetDeleteResponse,
            Fetch FetchResponse,
            FindCoordinator FindCoordinatorResponse,
            Heartbeat HeartbeatResponse,
            LeaveGroup LeaveGroupResponse,
            SyncGroup SyncGroupResponse,
            DescribeGroups DescribeGroupsResponse,
            ListGroups ListGroupsResponse,
            DeleteTopics DeleteTopicsResponse,
            ListOffsets ListOffsetsResponse,
            CreateTopics CreateTopicsResponse,
            JoinGroup JoinGroupResponse,
            OffsetForLeaderEpoch OffsetForLeaderEpochResponse,
            Metadata MetadataResponse,
            OffsetCommit OffsetCommitResponse,
            OffsetFetch OffsetFetchResponse,
            DeleteRecords DeleteRecordsResponse,
            InitProducerId InitProducerIdResponse,
            DescribeConfigs DescribeConfigsResponse,
            AlterConfigs AlterConfigsResponse,
            IncrementalAlterConfigs IncrementalAlterConfigsResponse,
            DescribeLogDirs DescribeLogDirsResponse,
            CreatePartitions CreatePartitionsResponse,
            DeleteGroups DeleteGroupsResponse,
            ConsumerGroupHeartbeat ConsumerGroupHeartbeatResponse,
            ConsumerGroupDescribe ConsumerGroupDescribeResponse,
            GetTelemetrySubscriptions GetTelemetrySubscriptionsResponse,
            PushTelemetry PushTelemetryResponse,
            ElectLeaders ElectLeadersResponse,
            AlterPartitionReassignments AlterPartitionReassignmentsResponse,
            ListPartitionReassignments ListPartitionReassignmentsResponse,
            DescribeClientQuotas DescribeClientQuotasResponse,
            AlterClientQuotas AlterClientQuotasResponse,
            DescribeCluster DescribeClusterResponse,
            UnregisterBroker UnregisterBrokerResponse,
            DescribeTopicPartitions DescribeTopicPartitionsResponse,
        );
    }

    #[tokio::test]
    async fn only_the_time_that_a_handler_runs_is_counted() {
        let ((), waited) = timed(tokio::time::sleep(Duration::from_millis(50))).await;
        assert!(waited < Duration::from_millis(40), "{waited:?}");
        let ((), worked) = timed(async { std::thread::sleep(Duration::from_millis(30)) }).await;
        assert!(worked >= Duration::from_millis(30), "{worked:?}");
    }
}
