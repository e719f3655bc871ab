//! What the sender of one request may do: the authorizer's answer, by the ACLs of one image.
//!
//! Without an authorizer everything is allowed, at the price of one comparison.

use std::sync::Arc;

use kafka_protocol::messages::ApiKey;

use super::{Call, Context};
use crate::auth::{Authorizer, Object, Who, acl};
use crate::image::Image;
use crate::image::acl::{Kind, Operation};
use crate::wire::ErrorCode;

pub struct Rights<'a> {
    guard: Option<(&'a Authorizer, Arc<Image>)>,
    who: Who<'a>,
    api: ApiKey,
}

impl<'a> Rights<'a> {
    pub fn of(cx: &'a Context, call: &'a Call, api: ApiKey) -> Self {
        Self {
            guard: cx.authorizer.as_ref().map(|authorizer| (authorizer, cx.image())),
            who: Who {
                principal: &call.principal,
                host: call.client_addr.ip(),
            },
            api,
        }
    }

    /// What the request asks for: a denial is logged.
    pub fn allow(&self, operation: Operation, object: Object<'_>) -> bool {
        self.demand(operation, object).is_ok()
    }

    /// As [`Rights::allow`], with the error that the client is told.
    pub fn demand(&self, operation: Operation, object: Object<'_>) -> Result<(), ErrorCode> {
        let Some((authorizer, image)) = &self.guard else {
            return Ok(());
        };
        let ruling = authorizer.decide(&image.acls, self.who, operation, object);
        if ruling.allows() {
            let Who { principal, host } = self.who;
            let (kind, name, api) = (object.kind(), object.name(), self.api);
            tracing::debug!("{principal} from {host} is allowed {operation} on {kind} {name} for {api:?}: {ruling}");
            return Ok(());
        }
        let api = format!("{:?}", self.api);
        authorizer.report(self.who, operation, object, &api, &ruling);
        Err(object.refusal())
    }

    /// Any of these operations is enough.
    pub fn allow_one_of(&self, operations: &[Operation], object: Object<'_>) -> bool {
        let Some((last, others)) = operations.split_last() else {
            return false;
        };
        others.iter().any(|operation| self.shows(*operation, object)) || self.allow(*last, object)
    }

    /// What only filters an answer, or where another right is enough: a denial is not logged.
    pub fn shows(&self, operation: Operation, object: Object<'_>) -> bool {
        let Some((authorizer, image)) = &self.guard else {
            return true;
        };
        authorizer.decide(&image.acls, self.who, operation, object).allows()
    }

    /// Whether it is allowed on at least one resource of the type; a denial is not logged.
    pub fn shows_any(&self, operation: Operation, kind: Kind) -> bool {
        let Some((authorizer, image)) = &self.guard else {
            return true;
        };
        authorizer.decide_for_any(&image.acls, self.who, operation, kind)
    }

    /// The bits of KIP-430 for answers with authorized operations.
    pub fn operations(&self, object: Object<'_>) -> i32 {
        match &self.guard {
            Some((authorizer, image)) => authorizer.operations(&image.acls, self.who, object),
            None => acl::every_operation(object),
        }
    }

    /// Those of the cluster, which are told only to who may describe it.
    pub fn cluster_operations(&self) -> i32 {
        match self.allow(Operation::Describe, Object::Cluster) {
            true => self.operations(Object::Cluster),
            false => 0,
        }
    }

    /// Of a call that nothing guards.
    #[cfg(test)]
    pub fn unguarded(call: &'a Call) -> Self {
        Self {
            guard: None,
            who: Who {
                principal: &call.principal,
                host: call.client_addr.ip(),
            },
            api: ApiKey::Metadata,
        }
    }

    /// Of a call that an authorizer guards.
    #[cfg(test)]
    pub fn guarded(authorizer: &'a Authorizer, image: &Arc<Image>, call: &'a Call) -> Self {
        Self {
            guard: Some((authorizer, Arc::clone(image))),
            ..Self::unguarded(call)
        }
    }
}

/// What has to be allowed to see or change the configs of a resource; `None` for a type that has none.
pub fn config_object(resource_type: i8, name: &str) -> Option<Object<'_>> {
    const TOPIC: i8 = 2;
    const BROKER: i8 = 4;
    const BROKER_LOGGER: i8 = 8;
    const CLIENT_METRICS: i8 = 16;
    const GROUP: i8 = 32;
    match resource_type {
        TOPIC => Some(Object::Topic(name)),
        GROUP => Some(Object::Group(name)),
        BROKER | BROKER_LOGGER | CLIENT_METRICS => Some(Object::Cluster),
        _ => None,
    }
}
