//! Offsets of groups: commits them for a group without members, or deletes the group; each verified by looking.

use super::status::Progress;
use super::step::{Act, Seen, act_of, is_passing};
use crate::model::group::Group;
use crate::plan::group::Offset;
use crate::source::kafka::Kafka;
use crate::source::{self, Error};

/// Commits what is not committed yet.
pub(super) async fn reset(kafka: &Kafka, name: &str, offsets: &[Offset]) -> Act {
    let coordinator = match kafka.coordinator(name).await {
        Ok(coordinator) => coordinator,
        Err(error) => return act_of(error),
    };
    let wanted: Vec<(String, i32, i64)> = offsets
        .iter()
        .map(|one| (one.topic.clone(), one.partition, one.to))
        .collect();
    match kafka.commit_offsets(coordinator, name, &wanted).await {
        Err(error) => act_of(error),
        Ok(outcomes) => {
            let failed: Vec<Error> = outcomes.into_iter().filter_map(|(_, outcome)| outcome.err()).collect();
            told(name, &failed)
        }
    }
}

/// One sentence for however many partitions were refused for the same reason.
fn told(name: &str, failed: &[Error]) -> Act {
    let Some(first) = failed.first() else { return Act::Asked };
    // What Kafka answers who is no member of a group that has some.
    if failed.iter().any(|error| error.is(&["UNKNOWN_MEMBER_ID"])) {
        return Act::Refused(format!("group {name} has members now; stop them first"));
    }
    let more = match failed.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    match failed.iter().all(passes) {
        true => Act::Later(format!("{first}{more}")),
        false => Act::Refused(format!("{first}{more}")),
    }
}

/// Whether every offset is committed as wanted.
pub(super) async fn is_reset(kafka: &Kafka, name: &str, offsets: &[Offset], step: usize) -> Seen {
    let group = match find(kafka, name).await {
        Ok(group) => group,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let commits = group.map(|group| group.commits).unwrap_or_default();
    let is_there = |one: &&Offset| {
        let same =
            |commit: &&crate::model::group::Commit| commit.topic == one.topic && commit.partition == one.partition;
        commits.iter().find(same).is_some_and(|commit| commit.offset == one.to)
    };
    let done = offsets.iter().filter(is_there).count();
    if done == offsets.len() {
        return Seen::Done(format!("{done} offsets committed"));
    }
    Seen::Waiting(Progress {
        step,
        done: done as u32,
        total: offsets.len() as u32,
        note: format!("waiting for the offsets of {name}"),
        ..Progress::default()
    })
}

/// Deletes the group; one that is gone counts as deleted when we asked before.
pub(super) async fn delete(kafka: &Kafka, name: &str, again: bool) -> Act {
    let coordinator = match kafka.coordinator(name).await {
        Ok(coordinator) => coordinator,
        Err(error) => return act_of(error),
    };
    match kafka.delete_groups(coordinator, &[name.to_owned()]).await {
        Err(error) => act_of(error),
        Ok(outcomes) => match outcomes.into_iter().find_map(|(_, outcome)| outcome.err()) {
            None => Act::Asked,
            Some(error) if again && error.is(&["GROUP_ID_NOT_FOUND"]) => Act::Asked,
            Some(error) if error.is(&["NON_EMPTY_GROUP"]) => {
                Act::Refused(format!("group {name} has members now; stop them first"))
            }
            Some(error) if passes(&error) => Act::Later(error.to_string()),
            Some(error) => act_of(error),
        },
    }
}

/// Whether its coordinator knows the group no more.
pub(super) async fn is_deleted(kafka: &Kafka, name: &str, step: usize) -> Seen {
    match find(kafka, name).await {
        Err(error) => Seen::Unknown(error.to_string()),
        Ok(None) => Seen::Done(format!("group {name} is gone")),
        Ok(Some(_)) => Seen::Waiting(Progress {
            step,
            total: 1,
            note: format!("group {name} is still there"),
            ..Progress::default()
        }),
    }
}

async fn find(kafka: &Kafka, name: &str) -> Result<Option<Group>, source::Error> {
    let coordinator = kafka.coordinator(name).await?;
    let groups = kafka.groups(coordinator).await?;
    Ok(groups.into_iter().find(|group| group.name == name))
}

/// A coordinator that moves, or reads its log first, answers soon.
fn passes(error: &Error) -> bool {
    let moving = [
        "NOT_COORDINATOR",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
    ];
    is_passing(error) || error.is(&moving)
}
