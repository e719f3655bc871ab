//! CreateAcls (30) and DeleteAcls (31): each entry and each filter gets its own answer (KIP-140, KIP-290, KIP-801).

use std::collections::BTreeSet;

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Ask, Decide, Decision, State};
use crate::image::Record;
use crate::image::acl::{Acl, CLUSTER_NAME, Filter, Kind, Operation, Pattern, Permission};

/// As in Kafka: one request changes at most so many.
const CHANGES_MAX: usize = 10_000;

type Refusal = (ErrorCode, String);

impl Decide for CreateAclsRequest {
    type Response = CreateAclsResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<CreateAclsResponse> {
        let answer = |outcome: Result<(), Refusal>| {
            let (code, why) = told(outcome.err());
            AclCreationResult::default()
                .with_error_code(code)
                .with_error_message(why)
        };
        if let Err(refusal) = may_change(state) {
            let results = self.creations.iter().map(|_| answer(Err(refusal.clone())));
            return Decision::only(CreateAclsResponse::default().with_results(results.collect()));
        }
        let mut new: BTreeSet<Acl> = BTreeSet::new();
        let mut results = Vec::with_capacity(self.creations.len());
        for asked in &self.creations {
            let acl = read(asked);
            let room = new.len() < CHANGES_MAX;
            results.push(answer(match acl {
                Ok(acl) if state.image.acls.contains(&acl) || new.contains(&acl) => Ok(()),
                Ok(_) if !room => Err(too_many()),
                Ok(acl) => {
                    new.insert(acl);
                    Ok(())
                }
                Err(why) => Err((ErrorCode::InvalidRequest, why)),
            }));
        }
        let records = new.into_iter().map(|acl| Record::AccessControlEntry {
            id: state.random.uuid(),
            acl,
        });
        Decision {
            records: records.collect(),
            response: CreateAclsResponse::default().with_results(results),
        }
    }
}

impl Decide for DeleteAclsRequest {
    type Response = DeleteAclsResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<DeleteAclsResponse> {
        let allowed = may_change(state);
        let mut gone: BTreeSet<Uuid> = BTreeSet::new();
        let mut results = Vec::with_capacity(self.filters.len());
        for asked in &self.filters {
            let matching = allowed.clone().and_then(|()| matching(state, asked, &mut gone));
            results.push(match matching {
                Ok(acls) => DeleteAclsFilterResult::default().with_matching_acls(acls),
                refused => {
                    let (code, why) = told(refused.err());
                    DeleteAclsFilterResult::default()
                        .with_error_code(code)
                        .with_error_message(why)
                }
            });
        }
        let records = gone.into_iter().map(|id| Record::RemoveAccessControlEntry { id });
        Decision {
            records: records.collect(),
            response: DeleteAclsResponse::default().with_filter_results(results),
        }
    }
}

/// What a filter matches; its ids join `gone`. Filters of one request may match the same ACL, and each of them tells it.
fn matching(
    state: &State,
    asked: &DeleteAclsFilter,
    gone: &mut BTreeSet<Uuid>,
) -> Result<Vec<DeleteAclsMatchingAcl>, Refusal> {
    let invalid = |why| (ErrorCode::InvalidRequest, why);
    let mut filter = Filter::from_codes(
        asked.resource_type_filter,
        asked.pattern_type_filter,
        asked.operation,
        asked.permission_type,
    )
    .map_err(invalid)?;
    let text = |text: &Option<StrBytes>| text.as_ref().map(ToString::to_string);
    filter.name = text(&asked.resource_name_filter);
    filter.principal = text(&asked.principal_filter);
    filter.host = text(&asked.host_filter);
    let found: Vec<(Uuid, &Acl)> = state.image.acls.iter().filter(|(_, acl)| filter.holds(acl)).collect();
    let new = found.iter().filter(|(id, _)| !gone.contains(id)).count();
    if gone.len() + new > CHANGES_MAX {
        return Err(too_many());
    }
    gone.extend(found.iter().map(|(id, _)| id));
    Ok(found.into_iter().map(|(_, acl)| matched(acl)).collect())
}

fn matched(acl: &Acl) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl::default()
        .with_resource_type(acl.kind.code())
        .with_resource_name(StrBytes::from_string(acl.name.clone()))
        .with_pattern_type(acl.pattern.code())
        .with_principal(StrBytes::from_string(acl.principal.clone()))
        .with_host(StrBytes::from_string(acl.host.clone()))
        .with_operation(acl.operation.code())
        .with_permission_type(acl.permission.code())
}

fn may_change(state: &State) -> Result<(), Refusal> {
    match state.config.has_authorizer() {
        true => Ok(()),
        false => Err((
            ErrorCode::SecurityDisabled,
            "No Authorizer is configured; set authorizer.class.name on the controller and on every broker.".to_owned(),
        )),
    }
}

fn too_many() -> Refusal {
    (
        ErrorCode::PolicyViolation,
        format!("One request changes at most {CHANGES_MAX} ACLs; split it."),
    )
}

fn told(refusal: Option<Refusal>) -> (i16, Option<StrBytes>) {
    match refusal {
        Some((code, why)) => (code.code(), Some(StrBytes::from_string(why))),
        None => (0, None),
    }
}

/// An ACL as asked for, if it is one.
fn read(asked: &AclCreation) -> Result<Acl, String> {
    let invalid = |what: &str, code: i8| format!("Invalid {what} {code}.");
    let kind = Kind::from_code(asked.resource_type).ok_or_else(|| invalid("resourceType", asked.resource_type))?;
    let pattern = Pattern::from_code(asked.resource_pattern_type)
        .ok_or_else(|| invalid("patternType", asked.resource_pattern_type))?;
    let operation = Operation::from_code(asked.operation).ok_or_else(|| invalid("operation", asked.operation))?;
    let permission =
        Permission::from_code(asked.permission_type).ok_or_else(|| invalid("permissionType", asked.permission_type))?;
    let (name, principal) = (asked.resource_name.to_string(), asked.principal.to_string());
    if name.is_empty() {
        return Err("Resource name should not be empty.".to_owned());
    }
    if kind == Kind::Cluster && name != CLUSTER_NAME {
        return Err(format!(
            "The only valid name for the CLUSTER resource is {CLUSTER_NAME}."
        ));
    }
    if !principal.contains(':') {
        return Err(format!(
            "Could not parse principal from `{principal}` (no colon is present separating the principal type from the principal name)."
        ));
    }
    Ok(Acl {
        kind,
        name,
        pattern,
        principal,
        host: asked.host.to_string(),
        operation,
        permission,
    })
}

#[cfg(test)]
mod tests;
