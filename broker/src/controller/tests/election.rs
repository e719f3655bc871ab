//! Who may lead when brokers die, badly or well: eligible leader replicas, unclean elections, recovery, features.

use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::*;
use crate::image::feature::ELIGIBLE_LEADER_REPLICAS;

impl Cluster {
    /// Brokers 1 to n, and eligible leader replicas on.
    fn with_elr(n: i32) -> Self {
        let mut cluster = Self::of(n);
        let record = Record::Feature {
            name: ELIGIBLE_LEADER_REPLICAS.to_owned(),
            level: 1,
        };
        let first = cluster.state.next_offset();
        cluster.state.apply(&[record], first, 1);
        cluster
    }

    /// The broker comes back and says that its last run ended as `previous` (its epoch), or not in order (-1).
    fn come_back(&mut self, id: i32, previous: i64) {
        let incarnation = self.state.random.uuid();
        let mut request = self.registration(id, incarnation);
        request.previous_broker_epoch = previous;
        assert_eq!(self.ask(request).error_code, 0);
    }

    fn registration(&self, id: i32, incarnation: Uuid) -> BrokerRegistrationRequest {
        super::registration(id, incarnation.as_u128())
            .with_log_dirs(vec![Uuid::from_u128(u128::from(id.unsigned_abs()))])
    }

    fn epoch(&self, id: i32) -> i64 {
        self.state.image.brokers[&NodeId(id)].epoch
    }

    fn elect(&mut self, kind: i8) -> Option<ErrorCode> {
        let partitions = TopicPartitions::default()
            .with_topic(topic("orders"))
            .with_partitions(vec![0]);
        let request = ElectLeadersRequest::default()
            .with_election_type(kind)
            .with_topic_partitions(Some(vec![partitions]));
        let code = self.ask_in(request, 2).replica_election_results[0].partition_result[0].error_code;
        ErrorCode::try_from_code(code)
    }

    /// Leader, ISR, ELR and last known leader of the one partition.
    fn seen(&self) -> (i32, Vec<i32>, Vec<i32>, Vec<i32>) {
        let numbers = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect();
        let partition = self.partition("orders", 0);
        (
            partition.leader.0,
            numbers(&partition.isr),
            numbers(&partition.elr),
            numbers(&partition.last_known_elr),
        )
    }

    fn update(&mut self, name: &str, level: i16, kind: i8, version: i16) -> UpdateFeaturesResponse {
        let update = FeatureUpdateKey::default()
            .with_feature(text(name))
            .with_max_version_level(level)
            .with_upgrade_type(kind);
        self.ask_in(
            UpdateFeaturesRequest::default().with_feature_updates(vec![update]),
            version,
        )
    }
}

#[test]
fn below_the_minimum_who_leaves_stays_eligible_and_leads_when_nobody_else_can() {
    let mut cluster = Cluster::with_elr(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    cluster.set(2, "orders", "min.insync.replicas", 0, "2");
    cluster.kill(&[3]);
    assert_eq!(cluster.seen(), (1, vec![1, 2], vec![], vec![]), "two are enough");
    cluster.kill(&[2, 3]);
    assert_eq!(
        cluster.seen(),
        (1, vec![1], vec![2], vec![]),
        "2 has all that was committed"
    );
    let epoch = cluster.epoch(1);
    cluster.kill(&[1, 2, 3]);
    assert_eq!(cluster.seen(), (-1, vec![], vec![2, 1], vec![1]));
    cluster.come_back(3, cluster.epoch(3));
    cluster.beat(3, false);
    assert_eq!(cluster.seen().0, -1, "3 left before the others went on");
    cluster.come_back(1, epoch);
    cluster.beat(1, false);
    assert_eq!(
        cluster.seen(),
        (1, vec![1], vec![2], vec![]),
        "it ended in order and leads"
    );
    assert!(!cluster.partition("orders", 0).recovering);
    cluster.beat(3, false);
    cluster.propose_as_is("orders", &[1, 3]);
    assert_eq!(
        cluster.seen(),
        (1, vec![1, 3], vec![], vec![]),
        "enough are in sync again"
    );
}

#[test]
fn who_ended_badly_is_not_eligible_and_only_the_last_leader_may_recover() {
    let mut cluster = Cluster::with_elr(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    cluster.set(2, "orders", "min.insync.replicas", 0, "2");
    cluster.kill(&[3]);
    cluster.kill(&[2, 3]);
    cluster.kill(&[1, 2, 3]);
    cluster.come_back(2, -1);
    cluster.beat(2, false);
    assert_eq!(
        cluster.seen(),
        (-1, vec![], vec![1], vec![1]),
        "2 may have lost what it had"
    );
    cluster.come_back(1, -1);
    assert_eq!(cluster.seen(), (-1, vec![], vec![], vec![1]), "so may 1");
    cluster.beat(1, false);
    assert_eq!(cluster.seen(), (1, vec![1], vec![], vec![]), "and yet nobody has more");
    assert!(cluster.partition("orders", 0).recovering);
    cluster.propose_as_is("orders", &[1, 2]);
    assert!(
        !cluster.partition("orders", 0).recovering,
        "its first change says that it has recovered"
    );
}

#[test]
fn a_crash_of_one_of_many_only_shrinks_the_isr() {
    let mut cluster = Cluster::with_elr(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    cluster.come_back(1, -1);
    assert_eq!(cluster.seen(), (2, vec![2, 3], vec![], vec![]));
}

#[test]
fn the_minimum_is_never_more_than_the_replicas() {
    let mut cluster = Cluster::with_elr(2);
    cluster.create("orders", &[&[1, 2]]);
    cluster.set(2, "orders", "min.insync.replicas", 0, "5");
    cluster.kill(&[2]);
    assert_eq!(cluster.seen(), (1, vec![1], vec![2], vec![]));
    cluster.start_with_elr(2);
    cluster.propose_as_is("orders", &[1, 2]);
    assert_eq!(cluster.seen(), (1, vec![1, 2], vec![], vec![]));
}

#[test]
fn another_minimum_ends_what_was_eligible_by_the_old_one() {
    let mut cluster = Cluster::with_elr(3);
    cluster.create("orders", &[&[1, 2]]);
    cluster.create("other", &[&[1, 2]]);
    for name in ["orders", "other"] {
        cluster.set(2, name, "min.insync.replicas", 0, "2");
    }
    cluster.kill(&[2]);
    assert_eq!(cluster.seen().2, [2]);
    cluster.set(2, "orders", "min.insync.replicas", 0, "1");
    assert_eq!(cluster.seen().2, [0_i32; 0]);
    assert_eq!(cluster.partition("other", 0).elr, ids(&[2]), "that topic has its own");
    cluster.set(4, "", "min.insync.replicas", 0, "3");
    assert!(cluster.partition("other", 0).elr.is_empty());
    let (code, why) = cluster.set(4, "1", "min.insync.replicas", 0, "2");
    assert_eq!(code, ErrorCode::InvalidConfig.code());
    assert!(why.starts_with("Broker-level min.insync.replicas"), "{why}");
    assert_eq!(
        cluster.set(4, "", "min.insync.replicas", 1, "").0,
        ErrorCode::InvalidConfig.code()
    );
}

#[test]
fn an_unclean_election_is_made_when_it_is_asked_for_or_allowed() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    cluster.kill(&[2, 3]);
    cluster.kill(&[1, 2, 3]);
    cluster.start(3);
    assert_eq!(cluster.seen(), (-1, vec![1], vec![], vec![]), "3 is not in sync");
    assert_eq!(cluster.elect(0), Some(ErrorCode::PreferredLeaderNotAvailable));
    assert_eq!(cluster.elect(1), None);
    assert_eq!(cluster.seen(), (3, vec![3], vec![], vec![]));
    assert!(cluster.partition("orders", 0).recovering);
    assert_eq!(cluster.elect(1), Some(ErrorCode::ElectionNotNeeded));

    cluster.kill(&[3]);
    cluster.start(2);
    assert_eq!(cluster.seen().0, -1);
    assert_eq!(
        cluster.set(2, "orders", "unclean.leader.election.enable", 0, "true").0,
        0
    );
    assert_eq!(
        cluster.seen(),
        (2, vec![2], vec![], vec![]),
        "it is allowed from now on"
    );
    cluster.kill(&[2]);
    cluster.start(1);
    assert_eq!(cluster.seen(), (1, vec![1], vec![], vec![]), "as soon as one is there");
}

#[test]
fn nobody_to_elect_is_said_so() {
    let mut cluster = Cluster::of(2);
    cluster.create("orders", &[&[1]]);
    cluster.kill(&[1]);
    assert_eq!(cluster.elect(1), Some(ErrorCode::EligibleLeadersNotAvailable));
    let request = ElectLeadersRequest::default().with_election_type(7);
    assert_eq!(cluster.ask_in(request, 2).error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn a_leader_that_recovers_is_alone_and_does_not_begin_again() {
    let mut cluster = Cluster::of(2);
    cluster.create("orders", &[&[1, 2]]);
    let recovering = |cluster: &mut Cluster, isr: &[i32]| {
        let partition = cluster.partition("orders", 0).clone();
        let id = cluster.state.image.topic_named("orders").unwrap().id.0;
        let members = isr.iter().map(|id| {
            BrokerState::default()
                .with_broker_id(BrokerId(*id))
                .with_broker_epoch(-1)
        });
        let data = PartitionData::default()
            .with_leader_epoch(partition.leader_epoch)
            .with_partition_epoch(partition.partition_epoch)
            .with_leader_recovery_state(1)
            .with_new_isr_with_epochs(members.collect());
        let request = AlterPartitionRequest::default()
            .with_broker_id(BrokerId(partition.leader.0))
            .with_broker_epoch(cluster.epoch(partition.leader.0))
            .with_topics(vec![TopicData::default().with_topic_id(id).with_partitions(vec![data])]);
        outcome(&cluster.ask(request))
    };
    let invalid = Some(ErrorCode::InvalidRequest);
    assert_eq!(recovering(&mut cluster, &[1]), invalid, "it has recovered");
    cluster.kill(&[2]);
    cluster.kill(&[1, 2]);
    cluster.start(2);
    cluster.elect(1);
    cluster.start(1);
    assert_eq!(
        recovering(&mut cluster, &[2, 1]),
        invalid,
        "it is alone until it has recovered"
    );
    assert_eq!(recovering(&mut cluster, &[2]), None);
}

#[test]
fn the_leader_of_a_partition_that_loses_a_replica_gets_a_new_epoch() {
    let mut cluster = Cluster::of(3);
    cluster.create("orders", &[&[1, 2, 3]]);
    cluster.reassign("orders", Some(&[1, 2]));
    let partition = cluster.partition("orders", 0);
    assert_eq!((partition.leader, partition.leader_epoch), (NodeId(1), 1));
}

#[test]
fn a_reassignment_over_another_drops_what_that_was_adding() {
    let mut cluster = Cluster::of(5);
    cluster.create("orders", &[&[1, 2]]);
    cluster.reassign("orders", Some(&[3, 2]));
    assert_eq!(cluster.reassign("orders", Some(&[4, 2])), 0);
    let partition = cluster.partition("orders", 0);
    assert_eq!(partition.replicas, ids(&[4, 2, 1, 3]));
    assert_eq!((&partition.adding, &partition.removing), (&ids(&[4]), &ids(&[1, 3])));
    cluster.propose("orders", 0, &[1, 2, 4]);
    assert_eq!(cluster.partition("orders", 0).replicas, ids(&[4, 2]));

    // Back to where it was before it is done: nothing is waited for.
    cluster.reassign("orders", Some(&[5, 2]));
    assert_eq!(cluster.reassign("orders", Some(&[4, 2])), 0);
    let partition = cluster.partition("orders", 0);
    assert_eq!(
        (&partition.replicas, partition.is_reassigning()),
        (&ids(&[4, 2]), false)
    );
}

#[test]
fn the_way_back_is_refused_if_it_would_lose_records() {
    let mut cluster = Cluster::of(4);
    cluster.create("orders", &[&[1, 2]]);
    cluster.reassign("orders", Some(&[3, 4]));
    cluster.propose("orders", 0, &[1, 3]);
    cluster.kill(&[1]);
    assert_eq!(cluster.partition("orders", 0).isr, ids(&[3]));
    assert_eq!(
        cluster.reassign("orders", None),
        ErrorCode::InvalidReplicaAssignment.code()
    );
    cluster.set(2, "orders", "unclean.leader.election.enable", 0, "true");
    assert_eq!(cluster.reassign("orders", None), 0);
    let partition = cluster.partition("orders", 0);
    assert_eq!(
        (&partition.replicas, partition.leader, partition.recovering),
        (&ids(&[1, 2]), NodeId(2), true)
    );
}

#[test]
fn the_factor_that_may_not_change_is_the_one_that_is_headed_for() {
    let mut cluster = Cluster::of(4);
    cluster.create("orders", &[&[1, 2]]);
    cluster.reassign("orders", Some(&[1, 2, 3]));
    let ask = |cluster: &mut Cluster, target: &[i32]| {
        let wish = ReassignablePartition::default().with_replicas(Some(wire_ids(target)));
        let asked = ReassignableTopic::default()
            .with_name(topic("orders"))
            .with_partitions(vec![wish]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_allow_replication_factor_change(false)
            .with_topics(vec![asked]);
        cluster.ask_in(request, 1).responses[0].partitions[0].error_code
    };
    assert_eq!(ask(&mut cluster, &[1, 2]), ErrorCode::InvalidReplicationFactor.code());
    assert_eq!(ask(&mut cluster, &[1, 2, 4]), 0);
}

#[test]
fn few_leaders_out_of_place_are_left_there() {
    let mut cluster = Cluster::of(2);
    let all: Vec<&[i32]> = vec![&[1, 2]; 20];
    cluster.create("orders", &all);
    cluster.ask(super::super::broker::Tick);
    cluster.kill(&[1]);
    cluster.start(1);
    for index in 0..20 {
        cluster.propose("orders", index, &[2, 1]);
    }
    let led = |cluster: &Cluster| {
        let partitions = &cluster.state.image.topic_named("orders").unwrap().partitions;
        partitions
            .iter()
            .filter(|partition| partition.leader == NodeId(1))
            .count()
    };
    for index in 0..18 {
        cluster.elect_one(index);
    }
    assert_eq!(led(&cluster), 18);
    cluster.check_balance();
    assert_eq!(led(&cluster), 18, "a tenth out of place is allowed");
    cluster.kill(&[1]);
    cluster.start(1);
    for index in 0..20 {
        cluster.propose("orders", index, &[2, 1]);
    }
    cluster.check_balance();
    assert_eq!(led(&cluster), 20);
}

impl Cluster {
    fn elect_one(&mut self, index: i32) {
        let partitions = TopicPartitions::default()
            .with_topic(topic("orders"))
            .with_partitions(vec![index]);
        self.ask_in(
            ElectLeadersRequest::default().with_topic_partitions(Some(vec![partitions])),
            2,
        );
    }

    fn check_balance(&mut self) {
        self.now += Duration::from_secs(300);
        for id in [1, 2] {
            self.beat(id, false);
        }
        self.ask(super::super::broker::Tick);
    }

    fn start_with_elr(&mut self, id: i32) {
        self.come_back(id, -1);
        assert!(!self.beat(id, false).is_fenced);
    }

    fn propose_as_is(&mut self, name: &str, isr: &[i32]) {
        assert_eq!(outcome(&self.propose(name, 0, isr)), None);
    }
}

#[test]
fn features_are_updated_whole_or_not_at_all() {
    let mut cluster = Cluster::with_elr(1);
    let level = |cluster: &Cluster| cluster.state.image.features.get(ELIGIBLE_LEADER_REPLICAS).copied();
    let refused = cluster.update(ELIGIBLE_LEADER_REPLICAS, 0, 1, 1);
    let invalid = ErrorCode::InvalidUpdateVersion.code();
    assert_eq!((refused.error_code, refused.results[0].error_code), (invalid, invalid));
    assert!(
        refused
            .error_message
            .unwrap()
            .contains("setting the upgrade type to either safe or unsafe downgrade")
    );
    assert_eq!(level(&cluster), Some(1));
    let dry = UpdateFeaturesRequest::default()
        .with_validate_only(true)
        .with_feature_updates(vec![
            FeatureUpdateKey::default()
                .with_feature(text(ELIGIBLE_LEADER_REPLICAS))
                .with_max_version_level(0)
                .with_upgrade_type(2),
        ]);
    assert_eq!(cluster.ask_in(dry, 1).error_code, 0);
    assert_eq!(level(&cluster), Some(1), "only validated");
    let response = cluster.update(ELIGIBLE_LEADER_REPLICAS, 0, 2, 2);
    assert_eq!(
        (response.error_code, response.results.len()),
        (0, 0),
        "version 2 has one result for all"
    );
    assert_eq!(level(&cluster), None);
    let unknown = cluster.update(ELIGIBLE_LEADER_REPLICAS, 2, 1, 2);
    assert_eq!(unknown.error_code, invalid);
    assert!(
        unknown
            .error_message
            .unwrap()
            .ends_with("Local controller 0 only supports versions 0-1")
    );
    let behind = cluster.update(ELIGIBLE_LEADER_REPLICAS, 1, 1, 2);
    assert!(
        behind
            .error_message
            .unwrap()
            .ends_with("Broker 1 does not support this feature."),
        "it registered without"
    );
    cluster.come_back(1, -1);
    assert_eq!(cluster.update(ELIGIBLE_LEADER_REPLICAS, 1, 1, 2).error_code, 0);
    let all = Resource::Broker(String::new());
    assert_eq!(
        cluster.state.image.config(&all, "min.insync.replicas"),
        Some("1"),
        "written down, as in Kafka"
    );
    for (name, level, kind) in [
        ("metadata.version", 7, 2),
        ("share.version", 1, 1),
        (ELIGIBLE_LEADER_REPLICAS, 0, 9),
    ] {
        assert_eq!(cluster.update(name, level, kind, 2).error_code, invalid, "{name}");
    }
}

#[test]
fn a_broker_that_does_not_know_a_finalized_level_is_refused() {
    let mut cluster = Cluster::with_elr(0);
    let request = super::registration(1, 1).with_features(Vec::new());
    assert_eq!(cluster.ask(request).error_code, ErrorCode::UnsupportedVersion.code());
    let request = cluster.registration(1, Uuid::from_u128(1));
    assert_eq!(cluster.ask(request).error_code, 0);
}
