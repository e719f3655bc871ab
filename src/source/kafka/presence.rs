//! Being a member of a classic consumer group for the sake of being seen, and reading who else is one.
//!
//! Nothing is assigned to anybody: what a member says of itself travels as the metadata of its protocol, which whoever may
//! describe the group can read. A member that does not beat is gone after its session's time.

use std::time::Duration;

use azimuth_broker::wire::ErrorCode;
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DescribeGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Message, StrBytes};

use super::answer::{check, text};
use super::pool::{Peer, Pool};
use super::{Kafka, Target};
use crate::source::Error;

/// Of the group's protocol; neither is Kafka's.
pub(super) const PROTOCOL: &str = "azimuth";
/// Without a beat for so long a member is gone. Above Kafka's default `group.min.session.timeout.ms` of 6 s.
const SESSION: Duration = Duration::from_secs(15);
/// How long others may take to join again when somebody comes or goes.
const REBALANCE: Duration = Duration::from_secs(10);
/// Beyond what the group itself may take to answer a join.
const MARGIN: Duration = Duration::from_secs(5);
/// How often a member should beat.
pub const BEAT: Duration = Duration::from_secs(3);

/// Somebody who is in the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub member: String,
    /// The address that it joined from, as the broker saw it.
    pub address: String,
    /// Its client id, which is told at any time.
    pub client: String,
    /// What it says of itself; empty while the group changes.
    pub metadata: Vec<u8>,
}

/// Our own membership. It ends by [`Member::leave`], or when nobody beats.
#[derive(Debug)]
pub struct Member {
    kafka: Kafka,
    group: String,
    metadata: Bytes,
    id: String,
    generation: i32,
}

impl Kafka {
    /// Who is in a group. DescribeGroups, to its coordinator.
    ///
    /// # Errors
    /// When the coordinator cannot be asked or does not tell.
    pub async fn present(&self, group: &str) -> Result<Vec<Present>, Error> {
        let coordinator = self.coordinator(group).await?;
        let peer = self.peer(coordinator).await?;
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        let mut present = Vec::new();
        for described in self.pool.ask(&peer, request).await?.groups {
            // Since DescribeGroups 6 (KIP-1043) a group that was never joined is an error, and nobody is in it.
            if described.error_code == ErrorCode::GroupIdNotFound.code() {
                continue;
            }
            check(peer.name(), &format!("group {group}"), described.error_code, None)?;
            present.extend(described.members.into_iter().map(|member| Present {
                member: member.member_id.to_string(),
                address: member.client_host.trim_start_matches('/').to_owned(),
                client: member.client_id.to_string(),
                metadata: member.member_metadata.to_vec(),
            }));
        }
        Ok(present)
    }

    /// Joins a group under this client id, over connections of its own: brokers answer the requests of one in turn, and a join waits for others.
    ///
    /// # Errors
    /// When the coordinator cannot be asked or refuses.
    pub async fn join(&self, client: &str, group: &str, metadata: Vec<u8>) -> Result<Member, Error> {
        let target = Target {
            client_id: client.to_owned(),
            ..self.target().clone()
        };
        let mut member = Member {
            kafka: Kafka::new(target),
            group: group.to_owned(),
            metadata: metadata.into(),
            id: String::new(),
            generation: -1,
        };
        member.rejoin().await?;
        Ok(member)
    }
}

impl Member {
    /// Says that it is still there; joins again where the group has changed meanwhile.
    ///
    /// # Errors
    /// When nobody can be told; the next beat tries again.
    pub async fn beat(&mut self) -> Result<(), Error> {
        let (peer, pool) = self.coordinator().await?;
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id));
        let answer = pool.ask(&peer, request).await?;
        match self.check(&peer, "Heartbeat", answer.error_code) {
            Ok(()) => Ok(()),
            Err(error) if is_stale(&error) => self.rejoin().await,
            Err(error) => Err(error),
        }
    }

    /// Says something else of itself from here on, which everybody else in the group joins again for.
    ///
    /// # Errors
    /// When nobody can be told; the next beat tries again.
    pub async fn say(&mut self, metadata: Vec<u8>) -> Result<(), Error> {
        self.metadata = metadata.into();
        // So that a beat joins again where this does not come through.
        self.generation = -1;
        self.rejoin().await
    }

    /// Leaves, so that nobody waits for its session to end.
    pub async fn leave(self) {
        let Ok((peer, pool)) = self.coordinator().await else {
            return;
        };
        let deadline = pool.deadlines().call;
        let build = |version| {
            let request = LeaveGroupRequest::default().with_group_id(GroupId(text(&self.group)));
            match version {
                3.. => request.with_members(vec![MemberIdentity::default().with_member_id(text(&self.id))]),
                _ => request.with_member_id(text(&self.id)),
            }
        };
        // Its session ends by itself where this does not arrive.
        let _ = pool.ask_at(&peer, LeaveGroupRequest::VERSIONS, deadline, build).await;
    }

    async fn coordinator(&self) -> Result<(std::sync::Arc<Peer>, &Pool), Error> {
        let coordinator = self.kafka.coordinator(&self.group).await?;
        Ok((self.kafka.peer(coordinator).await?, &self.kafka.pool))
    }

    fn check(&self, peer: &Peer, what: &str, code: i16) -> Result<(), Error> {
        check(peer.name(), &format!("{what} of group {}", self.group), code, None)
    }

    async fn rejoin(&mut self) -> Result<(), Error> {
        /// A name is given first, a group may change while we join it.
        const TRIES: u32 = 5;
        let mut last = None;
        for _ in 0..TRIES {
            match self.try_join().await {
                Ok(()) => return Ok(()),
                Err(error) if is_stale(&error) => {
                    if error.is(&["UNKNOWN_MEMBER_ID"]) {
                        self.id.clear();
                    }
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Local(format!("group {} cannot be joined", self.group))))
    }

    async fn try_join(&mut self) -> Result<(), Error> {
        let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let group = || GroupId(text(&self.group));
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(PROTOCOL))
            .with_metadata(self.metadata.clone());
        let request = |id: &str| {
            JoinGroupRequest::default()
                .with_group_id(group())
                .with_session_timeout_ms(millis(SESSION))
                .with_rebalance_timeout_ms(millis(REBALANCE))
                .with_member_id(text(id))
                .with_protocol_type(StrBytes::from_static_str(PROTOCOL))
                .with_protocols(vec![protocol.clone()])
        };
        let (peer, pool) = self.coordinator().await?;
        let versions = JoinGroupRequest::VERSIONS;
        let deadline = REBALANCE + MARGIN;
        let id = self.id.clone();
        let mut joined = pool.ask_at(&peer, versions, deadline, |_| request(&id)).await?;
        if !joined.member_id.is_empty() && joined.error_code != 0 && id.is_empty() {
            // KIP-394: the first answer only gives a name.
            let id = joined.member_id.to_string();
            joined = pool.ask_at(&peer, versions, deadline, |_| request(&id)).await?;
        }
        self.check(&peer, "JoinGroup", joined.error_code)?;
        let (id, generation) = (joined.member_id.to_string(), joined.generation_id);
        // Whoever leads the group hands out nothing to everybody.
        let assignments = joined.members.iter().map(|member| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id.clone())
                .with_assignment(Bytes::new())
        });
        let assignments = assignments.collect();
        let sync = |version| {
            let request = SyncGroupRequest::default()
                .with_group_id(group())
                .with_generation_id(generation)
                .with_member_id(text(&id))
                .with_assignments(assignments);
            // Both must be named from version 5 on, and cannot be before.
            match version {
                5.. => request
                    .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL)))
                    .with_protocol_name(Some(StrBytes::from_static_str(PROTOCOL))),
                _ => request,
            }
        };
        let synced = pool.ask_at(&peer, SyncGroupRequest::VERSIONS, deadline, sync).await?;
        (self.id, self.generation) = (id, generation);
        self.check(&peer, "SyncGroup", synced.error_code)
    }
}

/// The group has changed, or its coordinator has: joining again settles it.
fn is_stale(error: &Error) -> bool {
    error.is(&[
        "REBALANCE_IN_PROGRESS",
        "ILLEGAL_GENERATION",
        "UNKNOWN_MEMBER_ID",
        "MEMBER_ID_REQUIRED",
        "NOT_COORDINATOR",
    ])
}
