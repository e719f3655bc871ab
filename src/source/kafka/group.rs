//! The groups that one broker coordinates, their members and commits, in at most four requests per thousand groups.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::{Buf, Bytes};
use futures::{StreamExt, TryStreamExt, stream};
use kafka_protocol::messages::consumer_group_describe_response as modern;
use kafka_protocol::messages::describe_groups_response as classic;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest,
    FindCoordinatorRequest, GroupId, ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest,
};
use kafka_protocol::protocol::{Decodable, Message, StrBytes, VersionRange};

use super::answer::{check, topic_name};
use super::change::Outcomes;
use super::pool::{Peer, Pool};
use crate::model::BrokerId;
use crate::model::group::{Commit, Group, Member};
use crate::model::name::Name;
use crate::source::Error;

/// Groups per request, to bound the answer.
const GROUPS_PER_REQUEST: usize = 1000;

/// Before OffsetFetch v8 (Kafka 3.0) each group is a request; so many are in flight at once.
const LONE_FETCHES: usize = 32;

/// The first version of OffsetFetch that takes several groups, KIP-709.
const BATCHED_FETCH: i16 = 8;

/// Asks one coordinator for all its groups, sorted by name.
pub(super) async fn groups(pool: &Pool, peer: &Peer, coordinator: BrokerId) -> Result<Vec<Group>, Error> {
    let response = pool.ask(peer, ListGroupsRequest::default()).await?;
    check(peer.name(), "ListGroups", response.error_code, None)?;
    let mut groups: BTreeMap<String, Group> = response
        .groups
        .into_iter()
        // Where operators say that they are there; nobody reads topics as a member of it.
        .filter(|listed| listed.protocol_type.as_str() != super::presence::PROTOCOL)
        .map(|listed| {
            let group = listed_group(listed, coordinator);
            (group.name.clone(), group)
        })
        .collect();
    describe(pool, peer, &mut groups).await?;
    let with_commits = groups.values().filter(|group| group.kind != "share");
    let names: Vec<_> = with_commits.map(|group| group.name.clone()).collect();
    for names in names.chunks(GROUPS_PER_REQUEST) {
        for (name, commits) in commits(pool, peer, names).await? {
            if let Some(group) = groups.get_mut(&name) {
                group.commits = commits;
            }
        }
    }
    Ok(groups.into_values().collect())
}

fn listed_group(listed: ListedGroup, coordinator: BrokerId) -> Group {
    // Before ListGroups v5 (Kafka 3.8) the kind is not told: there were only classic ones.
    let kind = match listed.group_type.as_str() {
        "" => "classic".to_owned(),
        kind => kind.to_lowercase(),
    };
    Group {
        name: listed.group_id.to_string(),
        state: listed.group_state.to_string(),
        kind,
        protocol: listed.protocol_type.to_string(),
        coordinator: Some(coordinator),
        members: Vec::new(),
        commits: Vec::new(),
    }
}

/// Fills in members. A group that changed its kind or coordinator since it was listed keeps what the list said.
async fn describe(pool: &Pool, peer: &Peer, groups: &mut BTreeMap<String, Group>) -> Result<(), Error> {
    let of_kind = |kind: &str| -> Vec<GroupId> {
        let named = groups.values().filter(|group| group.kind == kind);
        named.map(|group| GroupId(super::answer::text(&group.name))).collect()
    };
    let (classic, consumer) = (of_kind("classic"), of_kind("consumer"));
    for names in classic.chunks(GROUPS_PER_REQUEST) {
        let request = DescribeGroupsRequest::default().with_groups(names.to_vec());
        for described in pool.ask(peer, request).await?.groups {
            if described.error_code == 0
                && let Some(group) = groups.get_mut(described.group_id.as_str())
            {
                fill_classic(group, described);
            }
        }
    }
    for names in consumer.chunks(GROUPS_PER_REQUEST) {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(names.to_vec());
        for described in pool.ask(peer, request).await?.groups {
            if described.error_code == 0
                && let Some(group) = groups.get_mut(described.group_id.as_str())
            {
                fill_consumer(group, described);
            }
        }
    }
    Ok(())
}

fn fill_classic(group: &mut Group, described: classic::DescribedGroup) {
    let consumers = described.protocol_type.as_str() == "consumer";
    group.state = described.group_state.to_string();
    group.protocol = described.protocol_data.to_string();
    let members = described.members.into_iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.map(|id| id.to_string()),
        client: member.client_id.to_string(),
        host: host(&member.client_host),
        // Kafka Connect and others keep something else in these bytes.
        assignment: match consumers {
            true => assignment(member.member_assignment).unwrap_or_default(),
            false => Vec::new(),
        },
    });
    group.members = members.collect();
    group.members.sort_by(|one, other| one.id.cmp(&other.id));
}

fn fill_consumer(group: &mut Group, described: modern::DescribedGroup) {
    group.state = described.group_state.to_string();
    group.protocol = described.assignor_name.to_string();
    let members = described.members.into_iter().map(|member| {
        let topics = member.assignment.topic_partitions.into_iter();
        let assignment = topics.flat_map(|topic| {
            let name = Name::from(topic.topic_name.as_str());
            topic
                .partitions
                .into_iter()
                .map(move |partition| (name.clone(), partition))
        });
        Member {
            id: member.member_id.to_string(),
            instance: member.instance_id.map(|id| id.to_string()),
            client: member.client_id.to_string(),
            host: host(&member.client_host),
            assignment: sorted(assignment.collect()),
        }
    });
    group.members = members.collect();
    group.members.sort_by(|one, other| one.id.cmp(&other.id));
}

/// The address without the slash that Java's `InetAddress` prints before it, in its shortest form.
fn host(shown: &str) -> String {
    let bare = shown.rsplit('/').next().unwrap_or(shown);
    bare.parse::<IpAddr>()
        .map_or_else(|_| bare.to_owned(), |address| address.to_string())
}

/// The consumer protocol's assignment: a version, then `ConsumerProtocolAssignment`. `None` if it is something else.
fn assignment(mut bytes: Bytes) -> Option<Vec<(Name, i32)>> {
    if bytes.len() < 2 {
        return Some(Vec::new());
    }
    let version = bytes.get_i16();
    // Newer versions only append fields, so the newest known shape reads them too.
    let shape = version.clamp(0, 3);
    let assignment = ConsumerProtocolAssignment::decode(&mut bytes, shape).ok()?;
    let topics = assignment.assigned_partitions.into_iter().flat_map(|topic| {
        let name = Name::from(topic.topic.as_str());
        topic
            .partitions
            .into_iter()
            .map(move |partition| (name.clone(), partition))
    });
    Some(sorted(topics.collect()))
}

fn sorted(mut assignment: Vec<(Name, i32)>) -> Vec<(Name, i32)> {
    assignment.sort();
    assignment.shrink_to_fit();
    assignment
}

/// What these groups have committed, asked at once where the coordinator can.
async fn commits(pool: &Pool, peer: &Peer, names: &[String]) -> Result<Vec<(String, Vec<Commit>)>, Error> {
    if pool.version_of::<OffsetFetchRequest>(peer).await? >= BATCHED_FETCH {
        return commits_batched(pool, peer, names).await;
    }
    let lone = names.iter().cloned().map(|name| commits_alone(pool, peer, name));
    stream::iter(lone).buffer_unordered(LONE_FETCHES).try_collect().await
}

async fn commits_batched(pool: &Pool, peer: &Peer, names: &[String]) -> Result<Vec<(String, Vec<Commit>)>, Error> {
    let groups = names.iter().map(|name| {
        OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(super::answer::text(name)))
            .with_topics(None)
    });
    let request = OffsetFetchRequest::default().with_groups(groups.collect());
    let response = pool.ask(peer, request).await?;
    let groups = response.groups.into_iter().filter(|group| group.error_code == 0);
    let commits = groups.map(|group| {
        let topics = group.topics.into_iter().flat_map(|topic| {
            let name = Name::from(topic.name.as_str());
            topic.partitions.into_iter().filter_map(move |partition| {
                commit(
                    &name,
                    partition.partition_index,
                    partition.committed_offset,
                    partition.metadata.as_deref(),
                )
            })
        });
        (group.group_id.to_string(), by_place(topics.collect()))
    });
    Ok(commits.collect())
}

async fn commits_alone(pool: &Pool, peer: &Peer, name: String) -> Result<(String, Vec<Commit>), Error> {
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(super::answer::text(&name)))
        .with_topics(None);
    let ours = VersionRange {
        min: OffsetFetchRequest::VERSIONS.min,
        max: BATCHED_FETCH - 1,
    };
    let response = pool.ask_at(peer, ours, pool.deadlines().call, |_| request).await?;
    check(
        peer.name(),
        &format!("the offsets of group {name}"),
        response.error_code,
        None,
    )?;
    let topics = response.topics.into_iter().flat_map(|topic| {
        let name = Name::from(topic.name.as_str());
        topic.partitions.into_iter().filter_map(move |partition| {
            commit(
                &name,
                partition.partition_index,
                partition.committed_offset,
                partition.metadata.as_deref(),
            )
        })
    });
    Ok((name, by_place(topics.collect())))
}

/// `None` for -1, which stands for "nothing committed".
fn commit(topic: &Name, partition: i32, offset: i64, metadata: Option<&str>) -> Option<Commit> {
    (offset >= 0).then(|| Commit {
        topic: topic.clone(),
        partition,
        offset,
        metadata: metadata.unwrap_or_default().into(),
    })
}

fn by_place(mut commits: Vec<Commit>) -> Vec<Commit> {
    commits.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
    commits.shrink_to_fit();
    commits
}

/// The broker that coordinates this group. FindCoordinator.
pub(super) async fn coordinator(pool: &Pool, group: &str) -> Result<BrokerId, Error> {
    let key = super::answer::text(group);
    // Version 4 (KIP-699) takes several.
    let request = |version| match version {
        4.. => FindCoordinatorRequest::default().with_coordinator_keys(vec![key.clone()]),
        _ => FindCoordinatorRequest::default().with_key(key.clone()),
    };
    let (peer, response) = pool.ask_any(request).await?;
    let what = format!("the coordinator of group {group}");
    let (code, message, id) = match response.coordinators.into_iter().next() {
        Some(one) => (one.error_code, one.error_message, one.node_id),
        None => (response.error_code, response.error_message, response.node_id),
    };
    check(peer.name(), &what, code, message.as_ref())?;
    Ok(id.0)
}

/// Commits for a group that has no members. OffsetCommit, as no member.
pub(super) async fn commit_for(
    pool: &Pool,
    peer: &Peer,
    group: &str,
    offsets: &[(String, i32, i64)],
) -> Result<Outcomes<(String, i32)>, Error> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (topic, partition, offset) in offsets {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(StrBytes::from_static_str("")));
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        OffsetCommitRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions)
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(super::answer::text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect());
    let mut outcomes = Outcomes::new();
    for topic in pool.ask(peer, request).await?.topics {
        for partition in topic.partitions {
            let key = (topic.name.to_string(), partition.partition_index);
            let what = format!("the offset of group {group} in {}-{}", key.0, key.1);
            let outcome = check(peer.name(), &what, partition.error_code, None);
            outcomes.push((key, outcome));
        }
    }
    Ok(outcomes)
}

/// Deletes groups that have no members, with their offsets. DeleteGroups.
pub(super) async fn delete(pool: &Pool, peer: &Peer, groups: &[String]) -> Result<Outcomes<String>, Error> {
    let names = groups.iter().map(|name| GroupId(super::answer::text(name)));
    let request = DeleteGroupsRequest::default().with_groups_names(names.collect());
    let results = pool.ask(peer, request).await?.results.into_iter().map(|result| {
        let name = result.group_id.to_string();
        let outcome = check(peer.name(), &format!("deleting group {name}"), result.error_code, None);
        (name, outcome)
    });
    Ok(results.collect())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
    use kafka_protocol::protocol::Encodable;

    use super::super::answer::topic_name;
    use super::*;

    #[test]
    fn an_assignment_is_read_whatever_its_version() {
        for version in [0_i16, 1, 3, 9] {
            let topic = TopicPartition::default()
                .with_topic(topic_name("orders"))
                .with_partitions(vec![7, 2]);
            let written = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![topic]);
            let mut bytes = BytesMut::from(&version.to_be_bytes()[..]);
            written.encode(&mut bytes, version.min(3)).unwrap();
            let read = assignment(bytes.freeze()).unwrap();
            assert_eq!(read, [("orders".into(), 2), ("orders".into(), 7)], "version {version}");
        }
    }

    #[test]
    fn bytes_that_are_no_assignment_are_nothing() {
        assert_eq!(assignment(Bytes::new()), Some(Vec::new()));
        assert_eq!(assignment(Bytes::from_static(&[0, 0, 0xff, 0xff, 0xff])), None);
    }

    #[test]
    fn a_host_has_no_slash() {
        assert_eq!(host("/10.0.1.4"), "10.0.1.4");
        assert_eq!(host("ip-10-0-1-4/10.0.1.4"), "10.0.1.4");
        assert_eq!(host("0:0:0:0:0:0:0:1"), "::1");
        assert_eq!(host("unknown"), "unknown");
    }
}
