//! What the sender of one request may do: the authorizer's answer, by the ACLs of one image.
//!
//! Without an authorizer everything is allowed, at the price of one comparison.

use std::sync::Arc;

use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

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

/// A resource with configs, by the code of its type and its name.
pub type Named = (i8, StrBytes);

/// Takes out the resources whose configs the caller may not alter, and names each with its error. A type that has no
/// configs stays: the controller refuses it.
pub fn take_denied<R>(
    rights: &Rights<'_>,
    resources: &mut Vec<R>,
    named: impl Fn(&R) -> Named,
) -> Vec<(Named, ErrorCode)> {
    let mut denied = Vec::new();
    resources.retain(|resource| {
        let (kind, name) = named(resource);
        let object = config_object(kind, &name);
        let granted = object.map_or(Ok(()), |object| rights.demand(Operation::AlterConfigs, object));
        if let Err(code) = granted {
            denied.push(((kind, name), code));
        }
        granted.is_ok()
    });
    denied
}

#[cfg(test)]
pub mod testing {
    //! A caller whom ACLs guard, for the tests of handlers that ask for rights.

    use super::*;
    use crate::auth::Principal;
    use crate::id::TopicId;
    use crate::image::Record;
    use crate::image::acl::{Acl, Pattern, Permission, WILDCARD};
    use crate::image::property::Config;

    pub struct Caller {
        pub call: Call,
        pub image: Arc<Image>,
        authorizer: Authorizer,
    }

    impl Caller {
        /// `User:alice` among `topics`, whose ids are 1, 2, 3 and so on; all she may do is `allowed`.
        pub fn new(version: i16, topics: &[&str], allowed: &[(Operation, Kind, &str)]) -> Self {
            let file = "process.roles=broker\nnode.id=1\nlisteners=PLAINTEXT://127.0.0.1:9092\n\
                controller.quorum.voters=0@127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n\
                authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n";
            let config = Config::parse(file, &[]).unwrap();
            let topics = (1..).zip(topics).map(|(id, name)| Record::Topic {
                id: topic_id(id),
                name: (*name).to_owned(),
            });
            let acls = (1..)
                .zip(allowed)
                .map(|(id, (operation, kind, name))| Record::AccessControlEntry {
                    id: uuid::Uuid::from_u128(id),
                    acl: Acl {
                        kind: *kind,
                        name: (*name).to_owned(),
                        pattern: Pattern::Literal,
                        principal: "User:alice".to_owned(),
                        host: WILDCARD.to_owned(),
                        operation: *operation,
                        permission: Permission::Allow,
                    },
                });
            let mut image = Image::empty();
            for (offset, record) in (0..).zip(topics.chain(acls)) {
                image.apply(&record, offset, 1);
            }
            Self {
                call: Call {
                    version,
                    correlation: 0,
                    client_id: None,
                    client_addr: ([127, 0, 0, 1], 1).into(),
                    principal: Arc::new(Principal::user("alice")),
                    listener: "PLAINTEXT".into(),
                    by_token: false,
                    software: crate::handler::Software::default(),
                },
                image: Arc::new(image),
                authorizer: Authorizer::of(&config).unwrap(),
            }
        }

        pub fn rights(&self) -> Rights<'_> {
            Rights {
                guard: Some((&self.authorizer, Arc::clone(&self.image))),
                ..Rights::unguarded(&self.call)
            }
        }
    }

    pub fn topic_id(id: u128) -> TopicId {
        TopicId(uuid::Uuid::from_u128(id))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Caller;
    use super::*;

    #[test]
    fn any_right_of_a_list_is_enough() {
        let broker = Caller::new(0, &[], &[(Operation::ClusterAction, Kind::Cluster, "kafka-cluster")]);
        let operations = [Operation::Alter, Operation::ClusterAction];
        assert!(broker.rights().allow_one_of(&operations, Object::Cluster));
        assert!(!broker.rights().allow_one_of(&[Operation::Alter], Object::Cluster));
        let nobody = Caller::new(0, &[], &[]);
        assert!(!nobody.rights().allow_one_of(&operations, Object::Cluster));
        assert!(Rights::unguarded(&nobody.call).allow_one_of(&operations, Object::Cluster));
    }

    #[test]
    fn operations_on_the_cluster_are_told_to_who_may_describe_it() {
        let describes = Caller::new(0, &[], &[(Operation::Describe, Kind::Cluster, "kafka-cluster")]);
        assert_eq!(describes.rights().cluster_operations(), 1 << Operation::Describe.code());
        let alters = Caller::new(0, &[], &[(Operation::AlterConfigs, Kind::Cluster, "kafka-cluster")]);
        assert_eq!(alters.rights().cluster_operations(), 0);
    }
}
