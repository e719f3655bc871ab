//! What operators ask of groups.

use bytes::Bytes;

use super::{Group, Groups};

/// One group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub name: String,
    pub protocol_type: String,
    pub state: &'static str,
    /// Which protocol it speaks: `classic` or `consumer`.
    pub kind: &'static str,
}

/// One group in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub state: &'static str,
    pub protocol_type: String,
    /// The assignor; empty while the group is not stable, as in Kafka.
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

/// One member in full; metadata and assignment only while the group is stable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    pub id: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

impl Groups {
    /// In order of name.
    pub fn list(&self) -> Vec<Listing> {
        let listing = |group: &Group| match &group.consumer {
            Some(consumer) => Listing {
                name: group.name.clone(),
                protocol_type: "consumer".to_owned(),
                state: consumer.phase().name(),
                kind: "consumer",
            },
            None => Listing {
                name: group.name.clone(),
                protocol_type: group.protocol_type.clone().unwrap_or_default(),
                state: group.state.name(),
                kind: "classic",
            },
        };
        self.groups.values().map(listing).collect()
    }

    /// `None` when no classic group of that name is known; Kafka calls that `Dead`.
    pub fn describe(&self, name: &str) -> Option<Description> {
        let group = self.groups.get(name).filter(|group| group.consumer.is_none())?;
        let is_stable = group.state == super::State::Stable;
        let protocol = group.protocol.clone().filter(|_| is_stable).unwrap_or_default();
        let member = |member: &super::Member| MemberDescription {
            id: member.id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if is_stable {
                member.metadata(&protocol)
            } else {
                Bytes::new()
            },
            assignment: if is_stable {
                member.assignment.clone()
            } else {
                Bytes::new()
            },
        };
        Some(Description {
            state: group.state.name(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            members: group.members.values().map(member).collect(),
            protocol,
        })
    }
}
