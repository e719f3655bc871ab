//! The authorizer's rules, all of them in one request to one broker. DescribeAcls.

use std::collections::BTreeMap;

use azimuth_broker::wire::ErrorCode;
use kafka_protocol::messages::DescribeAclsRequest;
use kafka_protocol::messages::describe_acls_response::DescribeAclsResource;

use super::answer::check;
use super::pool::Pool;
use crate::model::acl::{Acls, Operation, Pattern, Permission, ResourceKind, Rule};
use crate::source::Error;

/// `ANY` of Kafka's enums that filters use.
const ANY: i8 = 1;

/// Every rule; that there is no authorizer is an answer too.
pub(super) async fn acls(pool: &Pool) -> Result<Acls, Error> {
    let (peer, response) = pool
        .ask_any(|_| {
            DescribeAclsRequest::default()
                .with_resource_type_filter(ANY)
                .with_resource_name_filter(None)
                .with_pattern_type_filter(ANY)
                .with_principal_filter(None)
                .with_host_filter(None)
                .with_operation(ANY)
                .with_permission_type(ANY)
        })
        .await?;
    if response.error_code == ErrorCode::SecurityDisabled.code() {
        return Ok(Acls::default());
    }
    check(
        peer.name(),
        "DescribeAcls",
        response.error_code,
        response.error_message.as_ref(),
    )?;
    let rules = rules(response.resources).map_err(|what| Error::Refused {
        peer: peer.name().to_owned(),
        what: "DescribeAcls".to_owned(),
        code: "protocol".to_owned(),
        reason: format!("its answer has a {what} that this version of azimuth does not know"),
    })?;
    Ok(Acls {
        authorizer: true,
        rules,
    })
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
