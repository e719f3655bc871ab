//! ACLs are added and removed as Kafka's tools ask for it.

use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::env::clock::Clock;
use crate::id::NodeId;
use crate::image::property::Config;
use crate::image::{Endpoint, Image};

const AUTHORIZER: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n";

fn controller(extra: &str) -> State {
    let file = format!(
        "process.roles=controller\nnode.id=0\nlisteners=CONTROLLER://127.0.0.1:9093\n\
         controller.quorum.voters=0@127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n{extra}"
    );
    let endpoint = Endpoint {
        listener: "CONTROLLER".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 9093,
    };
    let config = Arc::new(Config::parse(&file, &[]).unwrap());
    State::new(NodeId(0), endpoint, config, Image::empty(), Clock::manual(0))
}

fn ask<R: Decide>(state: &mut State, request: R) -> (R::Response, usize) {
    let ask = Ask {
        version: 3,
        now: Instant::now(),
    };
    let decision = request.decide(state, ask);
    let first = state.next_offset();
    state.apply(&decision.records, first, 1);
    (decision.response, decision.records.len())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn creation(name: &str, principal: &str) -> AclCreation {
    AclCreation::default()
        .with_resource_type(Kind::Topic.code())
        .with_resource_name(text(name))
        .with_resource_pattern_type(Pattern::Literal.code())
        .with_principal(text(principal))
        .with_host(text("*"))
        .with_operation(Operation::Read.code())
        .with_permission_type(Permission::Allow.code())
}

fn create(state: &mut State, creations: Vec<AclCreation>) -> (Vec<(i16, String)>, usize) {
    let (response, records) = ask(state, CreateAclsRequest::default().with_creations(creations));
    let told = |result: &AclCreationResult| {
        let why = result.error_message.as_ref().map(ToString::to_string);
        (result.error_code, why.unwrap_or_default())
    };
    (response.results.iter().map(told).collect(), records)
}

/// Any ACL on resources of this name.
fn named(name: Option<&str>) -> DeleteAclsFilter {
    DeleteAclsFilter::default()
        .with_resource_type_filter(1)
        .with_resource_name_filter(name.map(text))
        .with_pattern_type_filter(1)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1)
}

#[test]
fn what_is_there_already_is_no_error_and_no_record() {
    let mut state = controller(AUTHORIZER);
    let twice = vec![
        creation("a", "User:x"),
        creation("a", "User:x"),
        creation("b", "User:x"),
    ];
    let (results, records) = create(&mut state, twice);
    assert!(results.iter().all(|(code, _)| *code == 0));
    assert_eq!((records, state.image.acls.len()), (2, 2));
    assert_eq!(create(&mut state, vec![creation("a", "User:x")]).1, 0);
}

#[test]
fn each_bad_entry_gets_its_own_sentence_and_the_good_ones_are_taken() {
    let mut state = controller(AUTHORIZER);
    let creations = vec![
        creation("a", "User:x"),
        creation("a", "User:x").with_resource_type(1),
        creation("a", "User:x").with_resource_pattern_type(2),
        creation("a", "User:x").with_operation(1),
        creation("a", "User:x").with_permission_type(0),
        creation("", "User:x"),
        creation("other", "User:x").with_resource_type(Kind::Cluster.code()),
        creation("a", "x"),
        creation(CLUSTER_NAME, "User:x").with_resource_type(Kind::Cluster.code()),
    ];
    let (results, records) = create(&mut state, creations);
    let codes: Vec<bool> = results.iter().map(|(code, _)| *code == 0).collect();
    assert_eq!(codes, [true, false, false, false, false, false, false, false, true]);
    assert!(
        results
            .iter()
            .all(|(code, _)| [0, ErrorCode::InvalidRequest.code()].contains(code))
    );
    assert_eq!(results[1].1, "Invalid resourceType 1.");
    assert_eq!(
        results[6].1,
        "The only valid name for the CLUSTER resource is kafka-cluster."
    );
    assert!(
        results[7].1.starts_with("Could not parse principal from `x`"),
        "{}",
        results[7].1
    );
    assert_eq!(records, 2);
}

#[test]
fn filters_remove_what_they_hold_and_tell_it() {
    let mut state = controller(AUTHORIZER);
    let all = ["a", "b", "c"].map(|name| creation(name, "User:x")).to_vec();
    create(&mut state, all);
    let wrong = named(None).with_operation(0);
    let request = DeleteAclsRequest::default().with_filters(vec![
        named(Some("a")),
        named(Some("z")),
        wrong,
        named(None).with_principal_filter(Some(text("User:x"))),
    ]);
    let (response, records) = ask(&mut state, request);
    let told: Vec<(i16, usize)> = response
        .filter_results
        .iter()
        .map(|result| (result.error_code, result.matching_acls.len()))
        .collect();
    assert_eq!(told, [(0, 1), (0, 0), (ErrorCode::InvalidRequest.code(), 0), (0, 3)]);
    assert_eq!((records, state.image.acls.len()), (3, 0), "each ACL goes once");
}

#[test]
fn one_request_changes_a_bounded_number() {
    let mut state = controller(AUTHORIZER);
    let many = |from: usize, to: usize| (from..to).map(|at| creation(&at.to_string(), "User:x")).collect();
    let (results, records) = create(&mut state, many(0, CHANGES_MAX + 1));
    assert_eq!(records, CHANGES_MAX);
    assert_eq!(results[CHANGES_MAX].0, ErrorCode::PolicyViolation.code());
    create(&mut state, many(CHANGES_MAX, CHANGES_MAX + 1));
    let (response, records) = ask(&mut state, DeleteAclsRequest::default().with_filters(vec![named(None)]));
    assert_eq!(response.filter_results[0].error_code, ErrorCode::PolicyViolation.code());
    assert_eq!(records, 0);
}

#[test]
fn without_an_authorizer_there_are_no_acls() {
    let mut state = controller("");
    let (results, _) = create(&mut state, vec![creation("a", "User:x")]);
    assert_eq!(results[0].0, ErrorCode::SecurityDisabled.code());
    let (response, _) = ask(&mut state, DeleteAclsRequest::default().with_filters(vec![named(None)]));
    assert_eq!(
        response.filter_results[0].error_code,
        ErrorCode::SecurityDisabled.code()
    );
}
