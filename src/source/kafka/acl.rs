//! The authorizer's rules, all of them in one request to one broker, and changing them. DescribeAcls, CreateAcls, DeleteAcls.

use std::collections::BTreeMap;

use azimuth_broker::wire::ErrorCode;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_acls_response::DescribeAclsResource;
use kafka_protocol::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeAclsResponse};

use super::answer::{check, text};
use super::pool::{Peer, Pool};
use crate::model::acl::{Acls, Operation, Pattern, Permission, ResourceKind, Rule};
use crate::source::Error;

/// `ANY` of Kafka's enums that filters use.
const ANY: i8 = 1;

/// As many ACLs as go into one request: a controller writes at most 10,000 records for one.
const ACLS_PER_REQUEST: usize = 1000;

fn every() -> DescribeAclsRequest {
    DescribeAclsRequest::default()
        .with_resource_type_filter(ANY)
        .with_resource_name_filter(None)
        .with_pattern_type_filter(ANY)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(ANY)
        .with_permission_type(ANY)
}

/// Every rule; that there is no authorizer is an answer too.
pub(super) async fn acls(pool: &Pool) -> Result<Acls, Error> {
    let (peer, response) = pool.ask_any(|_| every()).await?;
    told(peer.name(), response)
}

/// Every rule that this broker knows.
pub(super) async fn of_broker(pool: &Pool, peer: &Peer) -> Result<Acls, Error> {
    let response = pool.ask(peer, every()).await?;
    told(peer.name(), response)
}

fn told(peer: &str, response: DescribeAclsResponse) -> Result<Acls, Error> {
    if response.error_code == ErrorCode::SecurityDisabled.code() {
        return Ok(Acls::default());
    }
    check(
        peer,
        "DescribeAcls",
        response.error_code,
        response.error_message.as_ref(),
    )?;
    let rules = rules(response.resources).map_err(|what| Error::Refused {
        peer: peer.to_owned(),
        what: "DescribeAcls".to_owned(),
        code: "protocol".to_owned(),
        reason: format!("its answer has a {what} that this version of azimuth does not know"),
    })?;
    Ok(Acls {
        authorizer: true,
        rules,
    })
}

/// Each rule's ACLs, one for each of its operations.
fn atoms(rules: &[Rule]) -> Vec<(&Rule, Operation)> {
    let atoms = rules
        .iter()
        .flat_map(|rule| rule.operations.iter().map(move |operation| (rule, *operation)));
    atoms.collect()
}

/// CreateAcls; one that is there already is no error.
pub(super) async fn create(pool: &Pool, rules: &[Rule]) -> Result<(), Error> {
    for atoms in atoms(rules).chunks(ACLS_PER_REQUEST) {
        let creations = atoms.iter().map(|(rule, operation)| {
            AclCreation::default()
                .with_resource_type(rule.resource as i8)
                .with_resource_name(text(&rule.name))
                .with_resource_pattern_type(rule.pattern as i8)
                .with_principal(text(&rule.principal))
                .with_host(text(&rule.host))
                .with_operation(*operation as i8)
                .with_permission_type(rule.permission as i8)
        });
        let request = CreateAclsRequest::default().with_creations(creations.collect());
        let (peer, response) = pool.tell(|_| request).await?;
        for ((rule, _), result) in atoms.iter().zip(response.results) {
            let what = format!("adding {rule}");
            check(peer.name(), &what, result.error_code, result.error_message.as_ref())?;
        }
    }
    Ok(())
}

/// DeleteAcls, each named in full; one that is gone already is no error.
pub(super) async fn delete(pool: &Pool, rules: &[Rule]) -> Result<(), Error> {
    for atoms in atoms(rules).chunks(ACLS_PER_REQUEST) {
        let filters = atoms.iter().map(|(rule, operation)| {
            DeleteAclsFilter::default()
                .with_resource_type_filter(rule.resource as i8)
                .with_resource_name_filter(Some(text(&rule.name)))
                .with_pattern_type_filter(rule.pattern as i8)
                .with_principal_filter(Some(text(&rule.principal)))
                .with_host_filter(Some(text(&rule.host)))
                .with_operation(*operation as i8)
                .with_permission_type(rule.permission as i8)
        });
        let request = DeleteAclsRequest::default().with_filters(filters.collect());
        let (peer, response) = pool.tell(|_| request).await?;
        for ((rule, _), result) in atoms.iter().zip(response.filter_results) {
            let what = format!("removing {rule}");
            check(peer.name(), &what, result.error_code, result.error_message.as_ref())?;
        }
    }
    Ok(())
}

/// ACLs that differ only in their operation become one rule. A number that means nothing to us fails all of it: rules
/// that are silently left out would make every answer wrong.
fn rules(resources: Vec<DescribeAclsResource>) -> Result<Vec<Rule>, String> {
    let mut operations: BTreeMap<Rule, Vec<Operation>> = BTreeMap::new();
    for found in resources {
        let unknown = |what: &str, code: i8| format!("{what} {code}");
        let resource = ResourceKind::from_repr(found.resource_type)
            .ok_or_else(|| unknown("resource type", found.resource_type))?;
        let pattern =
            Pattern::from_repr(found.pattern_type).ok_or_else(|| unknown("pattern type", found.pattern_type))?;
        for acl in found.acls {
            let rule = Rule {
                resource,
                pattern,
                name: found.resource_name.to_string(),
                principal: acl.principal.to_string(),
                host: acl.host.to_string(),
                permission: Permission::from_repr(acl.permission_type)
                    .ok_or_else(|| unknown("permission", acl.permission_type))?,
                operations: Vec::new(),
            };
            let operation = Operation::from_repr(acl.operation).ok_or_else(|| unknown("operation", acl.operation))?;
            operations.entry(rule).or_default().push(operation);
        }
    }
    let rules = operations.into_iter().map(|(rule, mut operations)| {
        operations.sort_unstable();
        operations.dedup();
        Rule { operations, ..rule }
    });
    Ok(rules.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_acls_response::AclDescription;

    use super::super::answer::text;
    use super::*;

    fn acl(principal: &str, operation: i8, permission: i8) -> AclDescription {
        AclDescription::default()
            .with_principal(text(principal))
            .with_host(text("*"))
            .with_operation(operation)
            .with_permission_type(permission)
    }

    fn resource(acls: Vec<AclDescription>) -> DescribeAclsResource {
        DescribeAclsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("orders-"))
            .with_pattern_type(4)
            .with_acls(acls)
    }

    #[test]
    fn acls_that_differ_only_in_their_operation_are_one_rule() {
        let found = resource(vec![
            acl("User:billing", 8, 3),
            acl("User:billing", 3, 3),
            acl("User:audit", 4, 2),
        ]);
        let lines: Vec<String> = rules(vec![found]).unwrap().iter().map(Rule::to_string).collect();
        assert_eq!(
            lines,
            [
                "deny User:audit from * to Write on topic prefix orders-",
                "allow User:billing from * to Read,Describe on topic prefix orders-",
            ]
        );
    }

    #[test]
    fn an_operation_of_the_future_is_not_left_out_silently() {
        assert_eq!(
            rules(vec![resource(vec![acl("User:a", 99, 3)])]),
            Err("operation 99".to_owned())
        );
    }
}
