//! DescribeQuorum (55): the one voter, and the brokers that read the metadata log as observers.

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use kafka_protocol::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Ask, Decide, Decision, State};

const TOPIC: &str = "__cluster_metadata";

impl Decide for DescribeQuorumRequest {
    type Response = DescribeQuorumResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<DescribeQuorumResponse> {
        let mut topics = Vec::new();
        for asked in self.topics {
            let known = asked.topic_name.as_str() == TOPIC;
            let mut partitions = Vec::new();
            for partition in asked.partitions {
                partitions.push(match known && partition.partition_index == 0 {
                    true => quorum(state, ask.version),
                    false => PartitionData::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(ErrorCode::UnknownTopicOrPartition.code()),
                });
            }
            topics.push(
                TopicData::default()
                    .with_topic_name(asked.topic_name)
                    .with_partitions(partitions),
            );
        }
        let mut response = DescribeQuorumResponse::default().with_topics(topics);
        if ask.version >= 2 {
            response.nodes = vec![voter(state)];
        }
        Decision::only(response)
    }
}

fn quorum(state: &State, version: i16) -> PartitionData {
    let end = state.image.offset + 1;
    let replica = |id: i32, end: i64, fetched_at: i64, caught_up_at: i64| {
        let replica = ReplicaState::default()
            .with_replica_id(BrokerId(id))
            .with_log_end_offset(end);
        match version >= 1 {
            true => replica
                .with_last_fetch_timestamp(fetched_at)
                .with_last_caught_up_timestamp(caught_up_at),
            false => replica,
        }
    };
    let now = state.clock.now_ms();
    let observers = state.observers.iter();
    PartitionData::default()
        .with_leader_id(BrokerId(state.node.0))
        .with_leader_epoch(state.image.epoch)
        .with_high_watermark(end)
        .with_current_voters(vec![replica(state.node.0, end, now, now)])
        .with_observers(
            observers
                .map(|(id, seen)| replica(id.0, seen.end, seen.fetched_at, seen.caught_up_at))
                .collect(),
        )
}

fn voter(state: &State) -> Node {
    let listener = Listener::default()
        .with_name(StrBytes::from_string(state.endpoint.listener.clone()))
        .with_host(StrBytes::from_string(state.endpoint.host.clone()))
        .with_port(state.endpoint.port);
    Node::default()
        .with_node_id(BrokerId(state.node.0))
        .with_listeners(vec![listener])
}
