//! The controller in its user's language: brokers come and go, leaders move, plans are carried out.

mod election;

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::broker_registration_request::{Feature, Listener};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AlterPartitionReassignmentsRequest, AlterPartitionRequest, AlterPartitionResponse,
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerId, BrokerRegistrationRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteTopicsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    ListPartitionReassignmentsRequest, TopicName, UnregisterBrokerRequest,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::*;
use crate::image::feature::FEATURES;
use crate::image::{Partition, Resource};

/// A controller's state without a log, and a clock turned by hand.
struct Cluster {
    state: State,
    now: Instant,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn ids(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn wire_ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn test_config(extra: &[(&str, &str)]) -> Arc<Config> {
    let pairs: Vec<_> = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let file = "process.roles=controller\nnode.id=0\nlisteners=CONTROLLER://127.0.0.1:9093\n\
                controller.quorum.voters=0@127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n";
    Arc::new(Config::parse(file, &pairs).unwrap())
}

fn endpoint() -> Endpoint {
    Endpoint {
        listener: "CONTROLLER".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 9093,
    }
}

impl Cluster {
    fn new() -> Self {
        let mut image = Image::empty();
        image.apply(&Record::Cluster { id: "test".to_owned() }, 0, 1);
        Self {
            state: State::new(NodeId(0), endpoint(), test_config(&[]), image, Clock::manual(1_000)),
            now: Instant::now(),
        }
    }

    /// Brokers 1 to n, live; broker i in rack `(i - 1) % racks`.
    fn of(n: i32) -> Self {
        let mut cluster = Self::new();
        for id in 1..=n {
            cluster.start(id);
        }
        cluster
    }

    fn ask<R: Decide>(&mut self, request: R) -> R::Response {
        self.ask_in(request, 3)
    }

    fn ask_in<R: Decide>(&mut self, request: R, version: i16) -> R::Response {
        let ask = Ask { version, now: self.now };
        let decision = request.decide(&mut self.state, ask);
        let first = self.state.next_offset();
        self.state.apply(&decision.records, first, 1);
        decision.response
    }

    fn register(&mut self, id: i32, incarnation: u128, dir: u128) -> Result<i64, ErrorCode> {
        self.register_with(id, incarnation, &[dir])
    }

    fn register_with(&mut self, id: i32, incarnation: u128, dirs: &[u128]) -> Result<i64, ErrorCode> {
        let listener = Listener::default()
            .with_name(text("PLAINTEXT"))
            .with_host(text("127.0.0.1"))
            .with_port(9092);
        let request = BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(id))
            .with_cluster_id(text("test"))
            .with_incarnation_id(Uuid::from_u128(incarnation))
            .with_listeners(vec![listener])
            .with_rack(Some(text(&format!("r{}", (id - 1) % 3))))
            .with_log_dirs(dirs.iter().map(|dir| Uuid::from_u128(*dir)).collect());
        let response = self.ask(request);
        match ErrorCode::try_from_code(response.error_code) {
            None => Ok(response.broker_epoch),
            Some(code) => Err(code),
        }
    }

    /// Registers a new run of a broker and lets it catch up.
    fn start(&mut self, id: i32) {
        let incarnation = self.state.random.uuid().as_u128();
        self.register(id, incarnation, u128::from(id.unsigned_abs())).unwrap();
        assert!(!self.beat(id, false).is_fenced);
    }

    fn beat(&mut self, id: i32, want_shut_down: bool) -> BrokerHeartbeatResponse {
        let epoch = self.state.image.brokers[&NodeId(id)].epoch;
        let offset = self.state.image.offset;
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(id))
            .with_broker_epoch(epoch)
            .with_current_metadata_offset(offset)
            .with_want_shut_down(want_shut_down);
        self.ask(request)
    }

    /// The brokers fall silent for a whole session; all others go on.
    fn kill(&mut self, dead: &[i32]) {
        let all: Vec<i32> = self.state.image.brokers.keys().map(|id| id.0).collect();
        for _ in 0..2 {
            self.now += Duration::from_millis(4_600);
            for id in all.iter().filter(|id| !dead.contains(id)) {
                if self.state.image.is_live(NodeId(*id)) {
                    self.beat(*id, false);
                }
            }
        }
        self.ask(super::broker::Tick);
    }

    /// A topic with these replicas.
    fn create(&mut self, name: &str, assignments: &[&[i32]]) {
        let assignments = (0..).zip(assignments).map(|(index, replicas)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index)
                .with_broker_ids(wire_ids(replicas))
        });
        let topic = CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(assignments.collect());
        let response = self.ask(CreateTopicsRequest::default().with_topics(vec![topic]));
        assert_eq!(
            response.topics[0].error_code, 0,
            "{:?}",
            response.topics[0].error_message
        );
    }

    fn partition(&self, name: &str, index: usize) -> &Partition {
        &self.state.image.topic_named(name).unwrap().partitions[index]
    }

    /// The leader proposes an ISR, with the epochs it knows from the image.
    fn propose(&mut self, name: &str, index: usize, isr: &[i32]) -> AlterPartitionResponse {
        let partition_epoch = self.partition(name, index).partition_epoch;
        self.propose_at(name, index, isr, partition_epoch)
    }

    fn propose_at(&mut self, name: &str, index: usize, isr: &[i32], partition_epoch: i32) -> AlterPartitionResponse {
        let image = &self.state.image;
        let partition = self.partition(name, index);
        let leader = partition.leader;
        let member = |id: &i32| {
            let epoch = image.brokers[&NodeId(*id)].epoch;
            BrokerState::default()
                .with_broker_id(BrokerId(*id))
                .with_broker_epoch(epoch)
        };
        let data = PartitionData::default()
            .with_partition_index(i32::try_from(index).unwrap())
            .with_leader_epoch(partition.leader_epoch)
            .with_new_isr_with_epochs(isr.iter().map(member).collect())
            .with_partition_epoch(partition_epoch);
        let topic = TopicData::default()
            .with_topic_id(image.topic_named(name).unwrap().id.0)
            .with_partitions(vec![data]);
        let request = AlterPartitionRequest::default()
            .with_broker_id(BrokerId(leader.0))
            .with_broker_epoch(image.brokers[&leader].epoch)
            .with_topics(vec![topic]);
        self.ask(request)
    }

    fn reassign(&mut self, name: &str, target: Option<&[i32]>) -> i16 {
        let wish = ReassignablePartition::default().with_replicas(target.map(wire_ids));
        let asked = ReassignableTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![wish]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![asked]);
        self.ask_in(request, 0).responses[0].partitions[0].error_code
    }

    fn set(&mut self, kind: i8, name: &str, key: &str, operation: i8, value: &str) -> (i16, String) {
        let config = AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(operation)
            .with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(vec![config]);
        let response = self.ask(IncrementalAlterConfigsRequest::default().with_resources(vec![resource]));
        let answer = &response.responses[0];
        (
            answer.error_code,
            answer.error_message.as_ref().map_or(String::new(), ToString::to_string),
        )
    }
}

fn outcome(response: &AlterPartitionResponse) -> Option<ErrorCode> {
    ErrorCode::try_from_code(response.topics[0].partitions[0].error_code)
}

#[test]
fn brokers_register_fenced_and_serve_once_they_caught_up() {
    let mut cluster = Cluster::new();
    let epoch = cluster.register(1, 1, 1).unwrap();
    assert_eq!(epoch, cluster.state.image.brokers[&NodeId(1)].epoch);
    assert!(!cluster.state.image.is_live(NodeId(1)));
    let behind = BrokerHeartbeatRequest::default()
        .with_broker_id(BrokerId(1))
        .with_broker_epoch(epoch)
        .with_current_metadata_offset(epoch - 1);
    let response = cluster.ask(behind);
    assert!(response.is_fenced && !response.is_caught_up);
    assert!(!cluster.beat(1, false).is_fenced);
    assert!(cluster.state.image.is_live(NodeId(1)));
}

#[test]
fn a_second_process_with_a_live_brokers_id_is_refused() {
    let mut cluster = Cluster::of(1);
    assert_eq!(cluster.register(1, 77, 99), Err(ErrorCode::DuplicateBrokerRegistration));
    assert_eq!(
        cluster.register(0, 77, 99),
        Err(ErrorCode::DuplicateBrokerRegistration),
        "the controller's id"
    );
    let known = cluster.state.image.brokers[&NodeId(1)].clone();
    assert_eq!(
        cluster.register(1, known.incarnation.as_u128(), 1),
        Ok(known.epoch),
        "the same run asks again"
    );
    cluster.now += Duration::from_secs(10);
    assert!(cluster.register(1, 77, 99).is_ok(), "its session is over");
}

#[test]
fn a_restart_on_the_same_log_directories_need_not_wait_for_the_old_session() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    let old = cluster.state.image.brokers[&NodeId(1)].epoch;
    assert!(cluster.register(1, 77, 1).unwrap() > old);
    assert_eq!(
        cluster.partition("orders", 0).leader,
        NodeId(2),
        "the new run may have lost the tail"
    );
    assert_eq!(cluster.partition("orders", 0).isr, ids(&[2, 3]));
    let stale = BrokerHeartbeatRequest::default()
        .with_broker_id(BrokerId(1))
        .with_broker_epoch(old);
    assert_eq!(cluster.ask(stale).error_code, ErrorCode::StaleBrokerEpoch.code());
}

#[test]
fn when_a_broker_dies_its_leaders_move_and_isrs_shrink() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]);
    cluster.kill(&[1]);
    let state = |index: usize| {
        let partition = cluster.partition("orders", index);
        (
            partition.leader,
            partition.isr.clone(),
            partition.leader_epoch,
            partition.partition_epoch,
        )
    };
    assert_eq!(state(0), (NodeId(2), ids(&[2, 3]), 1, 1));
    assert_eq!(state(1), (NodeId(2), ids(&[2, 3]), 0, 1));
    assert_eq!(state(2), (NodeId(3), ids(&[3, 2]), 0, 1));
    assert!(!cluster.state.image.is_live(NodeId(1)));
}

#[test]
fn the_last_in_sync_replica_is_waited_for_and_leads_again() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2]]);
    cluster.kill(&[1]);
    cluster.kill(&[1, 2]);
    let offline = cluster.partition("orders", 0).clone();
    assert_eq!((offline.leader, offline.isr), (NodeId::NONE, ids(&[2])));
    cluster.start(1);
    assert_eq!(
        cluster.partition("orders", 0).leader,
        NodeId::NONE,
        "broker 1 was not in sync"
    );
    cluster.start(2);
    let back = cluster.partition("orders", 0);
    assert_eq!((back.leader, &back.isr), (NodeId(2), &ids(&[2])));
}

/// Broker `id` tells that it has the replica of partition 0 in `dir`.
fn assign(cluster: &mut Cluster, id: i32, name: &str, dir: u128) -> i16 {
    use kafka_protocol::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
    let topic = cluster.state.image.topic_named(name).unwrap().id;
    let request = kafka_protocol::messages::AssignReplicasToDirsRequest::default()
        .with_broker_id(BrokerId(id))
        .with_broker_epoch(cluster.state.image.brokers[&NodeId(id)].epoch)
        .with_directories(vec![
            DirectoryData::default().with_id(Uuid::from_u128(dir)).with_topics(vec![
                TopicData::default()
                    .with_topic_id(topic.0)
                    .with_partitions(vec![PartitionData::default().with_partition_index(0)]),
            ]),
        ]);
    let response = cluster.ask(request);
    assert_eq!(response.error_code, 0);
    response.directories[0].topics[0].partitions[0].error_code
}

/// A heartbeat that tells of directories that failed.
fn lose(cluster: &mut Cluster, id: i32, dirs: &[u128]) -> BrokerHeartbeatResponse {
    let request = BrokerHeartbeatRequest::default()
        .with_broker_id(BrokerId(id))
        .with_broker_epoch(cluster.state.image.brokers[&NodeId(id)].epoch)
        .with_current_metadata_offset(cluster.state.image.offset)
        .with_offline_log_dirs(dirs.iter().map(|dir| Uuid::from_u128(*dir)).collect());
    cluster.ask(request)
}

/// As [`Cluster::start`], with several directories.
fn start_with(cluster: &mut Cluster, id: i32, dirs: &[u128]) {
    let incarnation = cluster.state.random.uuid().as_u128();
    cluster.register_with(id, incarnation, dirs).unwrap();
    assert!(!cluster.beat(id, false).is_fenced);
}

#[test]
fn a_directory_that_fails_costs_its_own_partitions_their_leader_and_no_others() {
    let mut cluster = Cluster::new();
    start_with(&mut cluster, 1, &[11, 12]);
    cluster.start(2);
    cluster.create("on-11", &[&[1, 2]]);
    cluster.create("on-12", &[&[1, 2]]);
    assert_eq!(assign(&mut cluster, 1, "on-11", 11), 0);
    assert_eq!(assign(&mut cluster, 1, "on-12", 12), 0);
    assert!(!lose(&mut cluster, 1, &[11]).is_fenced);
    let moved = cluster.partition("on-11", 0).clone();
    assert_eq!((moved.leader, &moved.isr), (NodeId(2), &ids(&[2])));
    assert_eq!(cluster.partition("on-12", 0).leader, NodeId(1));
    assert_eq!(cluster.state.image.brokers[&NodeId(1)].log_dirs, [Uuid::from_u128(12)]);
    let offset = cluster.state.image.offset;
    lose(&mut cluster, 1, &[11]);
    assert_eq!(cluster.state.image.offset, offset, "the same news is none");
    // Its last replica in sync is lost with the directory: nobody leads, and the old one is waited for.
    assert_eq!(assign(&mut cluster, 1, "on-12", 12), 0);
    cluster.kill(&[2]);
    lose(&mut cluster, 1, &[11, 12]);
    assert!(cluster.state.image.brokers[&NodeId(1)].fenced, "nothing is left of it");
    assert!(lose(&mut cluster, 1, &[11, 12]).is_fenced, "and it stays fenced");
    assert_eq!(cluster.partition("on-12", 0).leader, NodeId::NONE);
    assert_eq!(cluster.partition("on-12", 0).isr, ids(&[1]));
    start_with(&mut cluster, 1, &[12]);
    assert_eq!(cluster.partition("on-12", 0).leader, NodeId(1));
}

#[test]
fn a_copy_made_anew_is_not_elected_over_those_that_hold_something() {
    let mut cluster = Cluster::new();
    start_with(&mut cluster, 1, &[11, 12]);
    cluster.start(2);
    cluster.create("both", &[&[1, 2]]);
    cluster.create("alone", &[&[1]]);
    for name in ["both", "alone"] {
        assert_eq!(assign(&mut cluster, 1, name, 11), 0);
    }
    cluster.kill(&[2]);
    lose(&mut cluster, 1, &[11]);
    cluster.start(2);
    for name in ["both", "alone"] {
        assert_eq!(cluster.partition(name, 0).leader, NodeId::NONE);
    }
    // The disk is replaced: the broker has new, empty replicas.
    start_with(&mut cluster, 1, &[12, 13]);
    assert_eq!(cluster.partition("both", 0).leader, NodeId::NONE);
    assert_eq!(assign(&mut cluster, 1, "both", 13), ErrorCode::KafkaStorageError.code());
    assert_eq!(cluster.partition("both", 0).leader, NodeId::NONE);
    assert_eq!(assign(&mut cluster, 1, "alone", 13), 0);
    assert_eq!(
        cluster.partition("alone", 0).leader,
        NodeId(1),
        "nobody else has anything"
    );
    // The old directory comes back.
    start_with(&mut cluster, 1, &[11, 12]);
    assert_eq!(cluster.partition("both", 0).leader, NodeId(1));
}

#[test]
fn a_replica_told_of_after_its_directory_failed_is_out_at_once() {
    let mut cluster = Cluster::new();
    start_with(&mut cluster, 1, &[11, 12]);
    cluster.start(2);
    cluster.create("orders", &[&[1, 2]]);
    lose(&mut cluster, 1, &[11]);
    assert_eq!(
        cluster.partition("orders", 0).leader,
        NodeId(1),
        "nobody knows that it was there"
    );
    assert_eq!(assign(&mut cluster, 1, "orders", 11), 0);
    assert_eq!(cluster.partition("orders", 0).leader, NodeId(2));
    assert_eq!(
        assign(&mut cluster, 2, "orders", 2),
        0,
        "of a broker with one directory it may be told too"
    );
}

#[test]
fn brokers_that_die_together_all_stay_candidates() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2]]);
    cluster.kill(&[1, 2]);
    assert_eq!(cluster.partition("orders", 0).isr, ids(&[1, 2]));
    cluster.start(2);
    let back = cluster.partition("orders", 0);
    assert_eq!(
        (back.leader, &back.isr),
        (NodeId(2), &ids(&[2])),
        "the dead one is not waited for"
    );
}

#[test]
fn a_paused_broker_that_beats_again_is_unfenced() {
    let mut cluster = Cluster::of(2);
    cluster.kill(&[1]);
    assert!(!cluster.beat(1, false).is_fenced);
    assert!(cluster.state.image.is_live(NodeId(1)));
}

#[test]
fn a_controlled_shutdown_moves_leaders_before_the_broker_may_stop() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    let first = cluster.beat(1, true);
    assert!(!first.should_shut_down && !first.is_fenced);
    assert_eq!(cluster.partition("orders", 0).leader, NodeId(2));
    assert_eq!(cluster.partition("orders", 0).isr, ids(&[2, 3]));
    assert!(
        !cluster.beat(1, true).should_shut_down,
        "the others have not heard of the new leader"
    );
    cluster.beat(2, false);
    cluster.beat(3, false);
    assert!(cluster.beat(1, true).should_shut_down);
    assert!(!cluster.state.image.is_live(NodeId(1)));
    assert!(
        cluster.register(1, 5, 500).is_ok(),
        "it said goodbye, so it may come back at once"
    );
}

#[test]
fn an_unregistered_broker_is_gone_from_leaders_and_isrs() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    let request = |id: i32| UnregisterBrokerRequest::default().with_broker_id(BrokerId(id));
    assert_eq!(cluster.ask(request(1)).error_code, 0);
    assert_eq!(cluster.partition("orders", 0).isr, ids(&[2, 3]));
    assert_eq!(
        cluster.ask(request(1)).error_code,
        ErrorCode::BrokerIdNotRegistered.code()
    );
}

#[test]
fn leaders_change_the_isr_only_with_the_newest_epochs() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    assert_eq!(outcome(&cluster.propose("orders", 0, &[1, 2])), None);
    assert_eq!(cluster.partition("orders", 0).isr, ids(&[1, 2]));
    let stale = cluster.propose_at("orders", 0, &[1, 2, 3], 0);
    assert_eq!(outcome(&stale), Some(ErrorCode::InvalidUpdateVersion));
    assert_eq!(
        outcome(&cluster.propose_at("orders", 0, &[1], 7)),
        Some(ErrorCode::NotController)
    );
    assert_eq!(
        outcome(&cluster.propose("orders", 0, &[2])),
        Some(ErrorCode::InvalidRequest),
        "without itself"
    );
    assert_eq!(
        outcome(&cluster.propose("orders", 0, &[1, 1])),
        Some(ErrorCode::InvalidRequest)
    );
    cluster.kill(&[3]);
    assert_eq!(
        outcome(&cluster.propose("orders", 0, &[1, 2, 3])),
        Some(ErrorCode::IneligibleReplica)
    );
    cluster.start(3);
    assert_eq!(outcome(&cluster.propose("orders", 0, &[1, 2, 3])), None);
}

#[test]
fn a_replica_is_taken_in_only_as_the_run_that_caught_up() {
    let mut cluster = Cluster::of(2);
    cluster.create("orders", &[&[1, 2]]);
    cluster.propose("orders", 0, &[1]);
    let mut request = AlterPartitionRequest::default()
        .with_broker_id(BrokerId(1))
        .with_broker_epoch(cluster.state.image.brokers[&NodeId(1)].epoch);
    let before = cluster.state.image.brokers[&NodeId(2)].epoch;
    cluster.now += Duration::from_secs(1);
    cluster.start(2);
    let partition = cluster.partition("orders", 0);
    let member = |id: i32, epoch: i64| {
        BrokerState::default()
            .with_broker_id(BrokerId(id))
            .with_broker_epoch(epoch)
    };
    let data = PartitionData::default()
        .with_leader_epoch(partition.leader_epoch)
        .with_partition_epoch(partition.partition_epoch)
        .with_new_isr_with_epochs(vec![member(1, request.broker_epoch), member(2, before)]);
    let id = cluster.state.image.topic_named("orders").unwrap().id.0;
    request.topics = vec![TopicData::default().with_topic_id(id).with_partitions(vec![data])];
    assert_eq!(outcome(&cluster.ask(request)), Some(ErrorCode::IneligibleReplica));
}

#[test]
fn a_reassignment_adds_first_and_ends_when_the_new_replica_is_in_sync() {
    let mut cluster = Cluster::of(4);
    cluster.create("orders", &[&[1, 2, 3]]);
    assert_eq!(cluster.reassign("orders", Some(&[4, 2, 3])), 0);
    let moving = cluster.partition("orders", 0).clone();
    assert_eq!(moving.replicas, ids(&[4, 2, 3, 1]));
    assert_eq!((moving.adding, moving.removing), (ids(&[4]), ids(&[1])));
    assert_eq!(moving.leader, NodeId(1), "it leads until the end");
    let list = cluster.ask(ListPartitionReassignmentsRequest::default());
    assert_eq!(list.topics[0].partitions[0].adding_replicas, wire_ids(&[4]));
    let done = cluster.propose("orders", 0, &[1, 2, 3, 4]);
    assert_eq!(outcome(&done), Some(ErrorCode::NewLeaderElected));
    let moved = cluster.partition("orders", 0);
    assert_eq!((&moved.replicas, &moved.isr), (&ids(&[4, 2, 3]), &ids(&[2, 3, 4])));
    assert!(!moved.is_reassigning());
    assert_eq!((moved.leader, moved.leader_epoch), (NodeId(4), 1));
    assert!(
        cluster
            .ask(ListPartitionReassignmentsRequest::default())
            .topics
            .is_empty()
    );
}

#[test]
fn a_reassignment_that_only_removes_ends_at_once() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    assert_eq!(cluster.reassign("orders", Some(&[3, 2])), 0);
    let moved = cluster.partition("orders", 0);
    assert_eq!((&moved.replicas, moved.leader), (&ids(&[3, 2]), NodeId(3)));
}

#[test]
fn a_cancelled_reassignment_is_as_before() {
    let mut cluster = Cluster::of(4);
    cluster.create("orders", &[&[1, 2, 3]]);
    assert_eq!(
        cluster.reassign("orders", None),
        ErrorCode::NoReassignmentInProgress.code()
    );
    cluster.reassign("orders", Some(&[1, 2, 4]));
    assert_eq!(cluster.reassign("orders", None), 0);
    let partition = cluster.partition("orders", 0);
    let replicas: BTreeSet<_> = partition.replicas.iter().copied().collect();
    assert_eq!(replicas, BTreeSet::from([NodeId(1), NodeId(2), NodeId(3)]));
    assert!(!partition.is_reassigning());
}

#[test]
fn the_only_complete_copy_is_not_removed_before_another_is_in_sync() {
    let mut cluster = Cluster::of(2);
    cluster.create("orders", &[&[1, 2]]);
    cluster.propose("orders", 0, &[1]);
    assert_eq!(cluster.reassign("orders", Some(&[2])), 0);
    assert_eq!(
        (
            cluster.partition("orders", 0).leader,
            cluster.partition("orders", 0).is_reassigning()
        ),
        (NodeId(1), true)
    );
    cluster.propose("orders", 0, &[1, 2]);
    assert_eq!(cluster.partition("orders", 0).replicas, ids(&[2]));
    assert_eq!(cluster.partition("orders", 0).leader, NodeId(2));
}

#[test]
fn bad_reassignments_are_refused() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2]]);
    let invalid = ErrorCode::InvalidReplicaAssignment.code();
    assert_eq!(cluster.reassign("orders", Some(&[])), invalid);
    assert_eq!(cluster.reassign("orders", Some(&[1, 1])), invalid);
    assert_eq!(cluster.reassign("orders", Some(&[1, 9])), invalid);
    assert_eq!(
        cluster.reassign("nowhere", Some(&[1])),
        ErrorCode::UnknownTopicOrPartition.code()
    );
    let wish = ReassignablePartition::default().with_replicas(Some(wire_ids(&[1, 2, 3])));
    let asked = ReassignableTopic::default()
        .with_name(topic("orders"))
        .with_partitions(vec![wish]);
    let request = AlterPartitionReassignmentsRequest::default()
        .with_allow_replication_factor_change(false)
        .with_topics(vec![asked]);
    let code = cluster.ask_in(request, 1).responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::InvalidReplicationFactor.code());
}

#[test]
fn leadership_goes_back_to_the_preferred_replica_when_asked() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    cluster.kill(&[1]);
    cluster.start(1);
    let elect = |cluster: &mut Cluster| {
        let partitions = kafka_protocol::messages::elect_leaders_request::TopicPartitions::default()
            .with_topic(topic("orders"))
            .with_partitions(vec![0]);
        let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![partitions]));
        cluster.ask_in(request, 2).replica_election_results[0].partition_result[0].error_code
    };
    assert_eq!(elect(&mut cluster), ErrorCode::PreferredLeaderNotAvailable.code());
    cluster.propose("orders", 0, &[2, 3, 1]);
    assert_eq!(elect(&mut cluster), 0);
    assert_eq!(cluster.partition("orders", 0).leader, NodeId(1));
    assert_eq!(elect(&mut cluster), ErrorCode::ElectionNotNeeded.code());
}

#[test]
fn a_broker_that_has_ended_is_fenced_at_once_unless_it_runs_again_or_was_heard_from() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    let epoch = cluster.state.image.brokers[&NodeId(1)].epoch;
    let gone = |epoch, since| Gone {
        id: NodeId(1),
        epoch,
        since,
    };
    // An earlier run of it has ended, or an earlier connection.
    cluster.ask(gone(epoch - 1, cluster.now));
    let since = cluster.now;
    cluster.now += Duration::from_millis(1);
    cluster.beat(1, false);
    cluster.ask(gone(epoch, since));
    assert_eq!(cluster.partition("orders", 0).leader, NodeId(1));
    cluster.ask(gone(epoch, cluster.now));
    assert!(!cluster.state.image.is_live(NodeId(1)));
    assert_eq!(cluster.partition("orders", 0).leader, NodeId(2));
    // If it lives after all, its next heartbeat takes it back.
    cluster.beat(1, false);
    assert!(cluster.state.image.is_live(NodeId(1)));
}

#[test]
fn leadership_goes_back_by_itself_in_time() {
    let mut cluster = Cluster::of(2);
    cluster.create("orders", &[&[1, 2]]);
    cluster.ask(super::broker::Tick);
    cluster.kill(&[1]);
    cluster.start(1);
    cluster.propose("orders", 0, &[2, 1]);
    cluster.now += Duration::from_secs(300);
    for id in [1, 2] {
        cluster.beat(id, false);
    }
    cluster.ask(super::broker::Tick);
    assert_eq!(cluster.partition("orders", 0).leader, NodeId(1));
}

fn creatable(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(factor)
}

#[test]
fn topics_are_created_spread_over_racks_with_their_configs() {
    let mut cluster = Cluster::of(6);
    let config = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("1000")));
    let request =
        CreateTopicsRequest::default().with_topics(vec![creatable("orders", 6, 3).with_configs(vec![config])]);
    let response = cluster.ask_in(request, 7);
    let result = &response.topics[0];
    assert_eq!(
        (result.error_code, result.num_partitions, result.replication_factor),
        (0, 6, 3)
    );
    let configs = result.configs.as_ref().unwrap();
    let shown = configs
        .iter()
        .find(|config| config.name.as_str() == "retention.ms")
        .unwrap();
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("1000"), 1));
    for index in 0..6 {
        let partition = cluster.partition("orders", index);
        let racks: BTreeSet<_> = partition.replicas.iter().map(|id| (id.0 - 1) % 3).collect();
        assert_eq!(racks.len(), 3);
        assert_eq!(partition.isr.len(), 3);
    }
    let key = Resource::Topic("orders".to_owned());
    assert_eq!(cluster.state.image.config(&key, "retention.ms"), Some("1000"));
}

#[test]
fn topics_that_cannot_be_are_refused_each_with_its_reason() {
    let mut cluster = Cluster::of(3);
    cluster.create("a.b", &[&[1]]);
    let bad = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("soon")));
    let topics = vec![
        creatable("a.b", 1, 1),
        creatable("a_b", 1, 1),
        creatable("no spaces", 1, 1),
        creatable("zero", 0, 1),
        creatable("wide", 1, 4),
        creatable("twice", 1, 1),
        creatable("twice", 1, 1),
        creatable("config", 1, 1).with_configs(vec![bad]),
        creatable("huge", 20_000, 1),
    ];
    let response = cluster.ask_in(CreateTopicsRequest::default().with_topics(topics), 7);
    let codes: Vec<_> = response
        .topics
        .iter()
        .map(|topic| ErrorCode::try_from_code(topic.error_code))
        .collect();
    let expected = [
        ErrorCode::TopicAlreadyExists,
        ErrorCode::InvalidTopicException,
        ErrorCode::InvalidTopicException,
        ErrorCode::InvalidPartitions,
        ErrorCode::InvalidReplicationFactor,
        ErrorCode::InvalidRequest,
        ErrorCode::InvalidRequest,
        ErrorCode::InvalidConfig,
        ErrorCode::PolicyViolation,
    ];
    assert_eq!(codes, expected.map(Some));
    assert_eq!(cluster.state.image.topics.len(), 1);
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut cluster = Cluster::of(3);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![creatable("orders", -1, -1)])
        .with_validate_only(true);
    let before = cluster.state.image.offset;
    let response = cluster.ask_in(request, 7);
    assert_eq!(
        (response.topics[0].error_code, response.topics[0].num_partitions),
        (0, 1)
    );
    assert_eq!(cluster.state.image.offset, before);
}

#[test]
fn partitions_are_added_but_never_taken_away() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2]]);
    let grow = |cluster: &mut Cluster, count: i32| {
        let topic = kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic::default()
            .with_name(topic("orders"))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        cluster.ask(request).results[0].error_code
    };
    assert_eq!(grow(&mut cluster, 4), 0);
    assert_eq!(cluster.state.image.topic_named("orders").unwrap().partitions.len(), 4);
    assert_eq!(cluster.partition("orders", 3).replicas.len(), 2);
    assert_eq!(grow(&mut cluster, 4), ErrorCode::InvalidPartitions.code());
    assert_eq!(grow(&mut cluster, 1), ErrorCode::InvalidPartitions.code());
}

#[test]
fn a_topic_deleted_by_name_or_id_is_gone_with_its_configs() {
    let mut cluster = Cluster::of(1);
    cluster.create("by-name", &[&[1]]);
    cluster.create("by-id", &[&[1]]);
    cluster.set(2, "by-name", "retention.ms", 0, "5");
    let id = cluster.state.image.topic_named("by-id").unwrap().id.0;
    let topics = vec![
        DeleteTopicState::default().with_name(Some(topic("by-name"))),
        DeleteTopicState::default().with_topic_id(id),
        DeleteTopicState::default().with_name(Some(topic("never"))),
    ];
    let response = cluster.ask_in(DeleteTopicsRequest::default().with_topics(topics), 6);
    let codes: Vec<_> = response.responses.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, 0, ErrorCode::UnknownTopicOrPartition.code()]);
    assert!(cluster.state.image.topics.is_empty() && cluster.state.image.configs.is_empty());
}

#[test]
fn configs_are_set_edited_and_refused_with_key_value_and_range() {
    let mut cluster = Cluster::of(1);
    cluster.create("orders", &[&[1]]);
    assert_eq!(cluster.set(2, "orders", "cleanup.policy", 2, "compact").0, 0);
    let resource = Resource::Topic("orders".to_owned());
    assert_eq!(
        cluster.state.image.config(&resource, "cleanup.policy"),
        Some("delete,compact")
    );
    assert_eq!(cluster.set(2, "orders", "cleanup.policy", 3, "delete").0, 0);
    assert_eq!(cluster.state.image.config(&resource, "cleanup.policy"), Some("compact"));
    cluster.set(2, "orders", "cleanup.policy", 1, "");
    assert_eq!(cluster.state.image.config(&resource, "cleanup.policy"), None);

    let (code, why) = cluster.set(2, "orders", "min.insync.replicas", 0, "0");
    assert_eq!(code, ErrorCode::InvalidConfig.code());
    assert_eq!(
        why,
        "Invalid value 0 for configuration min.insync.replicas: must be a whole number between 1 and 2147483647."
    );
    assert_eq!(
        cluster.set(2, "orders", "retention.ms", 2, "1").0,
        ErrorCode::InvalidConfig.code()
    );
    assert_eq!(
        cluster.set(2, "never", "retention.ms", 0, "1").0,
        ErrorCode::UnknownTopicOrPartition.code()
    );
    assert_eq!(
        cluster.set(4, "one", "log.retention.ms", 0, "1").0,
        ErrorCode::InvalidRequest.code()
    );
    assert_eq!(
        cluster.set(4, "77", "log.retention.ms", 0, "1").0,
        ErrorCode::BrokerIdNotRegistered.code()
    );
    assert_eq!(cluster.set(4, "", "log.retention.ms", 0, "1").0, 0);
    // It acts on nothing where GSSAPI is not enabled, in Apache Kafka too, which takes it all the same.
    let relogin = "sasl.kerberos.min.time.before.relogin";
    assert_eq!(cluster.set(4, "1", relogin, 0, "58000").0, 0);
    assert_eq!(
        cluster.set(4, "1", "node.id", 0, "2").0,
        ErrorCode::InvalidRequest.code()
    );
    assert_eq!(
        cluster.set(16, "", "interval.ms", 0, "2").0,
        ErrorCode::InvalidRequest.code()
    );
}

#[test]
fn producer_ids_are_given_out_once() {
    let mut cluster = Cluster::of(1);
    let epoch = cluster.state.image.brokers[&NodeId(1)].epoch;
    let request = AllocateProducerIdsRequest::default()
        .with_broker_id(BrokerId(1))
        .with_broker_epoch(epoch);
    let first = cluster.ask(request.clone());
    let second = cluster.ask(request.clone());
    assert_eq!((first.producer_id_start.0, first.producer_id_len), (0, 1_000));
    assert_eq!(second.producer_id_start.0, 1_000);
    let stale = cluster.ask(request.with_broker_epoch(epoch - 1));
    assert_eq!(stale.error_code, ErrorCode::StaleBrokerEpoch.code());
}

/// A controller on a real log in `dir`.
fn open(dir: &std::path::Path) -> Result<Controller, Error> {
    let disk = crate::env::disk::Disk::real();
    let log = Log::open(&disk, dir.join(METADATA_DIR), log_config(), Clock::system(), 0, false)?;
    Controller::open(Setup {
        users: Vec::new(),
        node: NodeId(0),
        cluster_id: "test".to_owned(),
        endpoint: endpoint(),
        config: test_config(&[]),
        log: Arc::new(log),
        clock: Clock::system(),
    })
}

fn registration(id: i32, incarnation: u128) -> BrokerRegistrationRequest {
    let known = |feature: &crate::image::feature::Feature| {
        Feature::default()
            .with_name(text(feature.name))
            .with_min_supported_version(feature.min)
            .with_max_supported_version(feature.max)
    };
    BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(id))
        .with_cluster_id(text("test"))
        .with_incarnation_id(Uuid::from_u128(incarnation))
        .with_listeners(vec![
            Listener::default().with_name(text("PLAINTEXT")).with_host(text("h")),
        ])
        .with_features(FEATURES.iter().map(known).collect())
}

async fn join(controller: &Controller, id: i32) {
    let epoch = controller.submit(registration(id, 1), 4).await.unwrap().broker_epoch;
    let beat = BrokerHeartbeatRequest::default()
        .with_broker_id(BrokerId(id))
        .with_broker_epoch(epoch)
        .with_current_metadata_offset(epoch);
    assert!(!controller.submit(beat, 1).await.unwrap().is_fenced);
}

#[tokio::test]
async fn a_restart_replays_to_the_same_image_in_a_new_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let controller = open(dir.path()).unwrap();
    for id in 1..=3 {
        join(&controller, id).await;
    }
    let topics = (0..20).map(|n| creatable(&format!("t{n}"), 3, 3)).collect();
    controller
        .submit(CreateTopicsRequest::default().with_topics(topics), 7)
        .await
        .unwrap();
    let before = Arc::clone(&controller.image().borrow());
    let epoch = controller.epoch();
    drop(controller);

    let controller = open(dir.path()).unwrap();
    let after = Arc::clone(&controller.image().borrow());
    assert_eq!(controller.epoch(), epoch + 1);
    assert_eq!(
        after.offset,
        before.offset + 1,
        "only the record of the new epoch is new"
    );
    assert_eq!(
        (&after.brokers, &after.topics, &after.configs),
        (&before.brokers, &before.topics, &before.configs)
    );
    assert_eq!(
        (&after.features, &after.cluster_id),
        (&before.features, &before.cluster_id)
    );
    let duplicate = controller.submit(registration(1, 2), 4).await.unwrap();
    let code = ErrorCode::DuplicateBrokerRegistration.code();
    assert_eq!(
        duplicate.error_code, code,
        "brokers keep a whole session after a restart"
    );
}

#[tokio::test]
async fn another_clusters_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let disk = crate::env::disk::Disk::real();
    let log = Log::open(
        &disk,
        dir.path().join(METADATA_DIR),
        log_config(),
        Clock::system(),
        0,
        false,
    )
    .unwrap();
    let other = Controller::open(Setup {
        users: Vec::new(),
        node: NodeId(0),
        cluster_id: "other".to_owned(),
        endpoint: endpoint(),
        config: test_config(&[]),
        log: Arc::new(log),
        clock: Clock::system(),
    });
    let error = other.err().unwrap().to_string();
    assert!(
        error.starts_with("the metadata log belongs to cluster test, not to other"),
        "{error}"
    );
}

#[tokio::test]
async fn a_reader_of_the_metadata_log_ends_with_the_same_image() {
    let dir = tempfile::tempdir().unwrap();
    let controller = open(dir.path()).unwrap();
    join(&controller, 1).await;
    let mut image = Image::empty();
    let waits = Duration::from_secs(10);
    while image.offset < controller.image().borrow().offset {
        let read = controller
            .fetch_metadata(NodeId(1), image.offset + 1, 64, waits)
            .await
            .unwrap();
        image.replay(read.records).unwrap();
    }
    assert_eq!(image.brokers, controller.image().borrow().brokers);

    // One that waits is woken by the next record, and seen as an observer.
    let (reader, from) = (controller.clone(), image.offset + 1);
    let waiting = tokio::spawn(async move { reader.fetch_metadata(NodeId(1), from, 1 << 20, waits).await });
    controller
        .submit(
            CreateTopicsRequest::default().with_topics(vec![creatable("orders", 1, 1)]),
            7,
        )
        .await
        .unwrap();
    let read = waiting.await.unwrap().unwrap();
    image.replay(read.records).unwrap();
    assert!(image.topic_named("orders").is_some());

    let past = controller.fetch_metadata(NodeId(1), from + 1_000, 1, waits).await;
    assert!(matches!(past, Err(Error::OutOfRange { .. })));

    let asked = kafka_protocol::messages::describe_quorum_request::TopicData::default()
        .with_topic_name(topic("__cluster_metadata"))
        .with_partitions(vec![Default::default()]);
    let request = kafka_protocol::messages::DescribeQuorumRequest::default().with_topics(vec![asked]);
    let quorum = controller.submit(request, 2).await.unwrap();
    let partition = &quorum.topics[0].partitions[0];
    assert_eq!((partition.leader_id.0, partition.current_voters.len()), (0, 1));
    assert_eq!(partition.observers[0].replica_id.0, 1);
    assert_eq!(partition.high_watermark, image.offset + 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_fenced_by_the_running_controller() {
    let dir = tempfile::tempdir().unwrap();
    let controller = open(dir.path()).unwrap();
    join(&controller, 1).await;
    let mut image = controller.image();
    let began = Instant::now();
    let running = controller.clone();
    let run = tokio::spawn(async move { running.run().await });
    image.wait_for(|image| !image.is_live(NodeId(1))).await.unwrap();
    let took = began.elapsed();
    assert!((9_000..10_500).contains(&took.as_millis()), "{took:?}");
    run.abort();
}

#[tokio::test]
async fn when_the_disk_fails_nothing_is_decided_any_more() {
    use crate::env::disk::{Disk, Fault};
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real().faulty();
    let log = Log::open(
        &disk,
        dir.path().join(METADATA_DIR),
        log_config(),
        Clock::system(),
        0,
        false,
    )
    .unwrap();
    let controller = Controller::open(Setup {
        users: Vec::new(),
        node: NodeId(0),
        cluster_id: "test".to_owned(),
        endpoint: endpoint(),
        config: test_config(&[]),
        log: Arc::new(log),
        clock: Clock::system(),
    })
    .unwrap();
    let before = controller.image().borrow().offset;
    disk.inject(Fault::Sync, METADATA_DIR);
    let failed = controller.submit(registration(1, 1), 4).await;
    assert!(matches!(failed, Err(Error::Failed(_))));
    assert_eq!(
        controller.image().borrow().offset,
        before,
        "what is not durable is not published"
    );
    disk.heal();
    assert!(matches!(
        controller.submit(registration(1, 1), 4).await,
        Err(Error::Failed(_))
    ));
}
