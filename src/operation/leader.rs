//! Leaders: asks the controller for elections and looks who leads; finds the order that an earlier operation saved.

use super::folder::Folder;
use super::status::{Progress, Status};
use super::step::{Act, Seen, act_of, is_passing};
use super::{Error, Id};
use crate::model::topic::{Partition, Topic};
use crate::plan::reassign::Target;
use crate::plan::{Kind, Lead};
use crate::source::kafka::{Election, Kafka};

/// Asks for an election of each partition that is not led as wanted.
pub(super) async fn act(kafka: &Kafka, leads: &[Lead]) -> Act {
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return act_of(error),
    };
    let (mut preferred, mut unclean) = (Vec::new(), Vec::new());
    for lead in leads {
        if find(&topics, lead).is_none_or(|partition| is_led(lead, partition)) {
            continue;
        }
        let key = (lead.topic.clone(), lead.partition);
        match lead.to {
            None => unclean.push(key),
            Some(_) => preferred.push(key),
        }
    }
    for (election, partitions) in [(Election::Preferred, preferred), (Election::Unclean, unclean)] {
        if partitions.is_empty() {
            continue;
        }
        let outcomes = match kafka.elect_leaders(election, &partitions).await {
            Ok(outcomes) => outcomes,
            Err(error) => return act_of(error),
        };
        let failed: Vec<_> = outcomes
            .into_iter()
            .filter_map(|(key, outcome)| Some((key, outcome.err()?)))
            .collect();
        if failed.is_empty() {
            continue;
        }
        let passing = failed.iter().all(|(_, error)| is_passing(error));
        let told = failed
            .iter()
            .map(|((topic, partition), error)| format!("{topic}-{partition}: {error}"));
        let reasons = told.collect::<Vec<_>>().join("; ");
        return match passing {
            true => Act::Later(reasons),
            false => Act::Refused(reasons),
        };
    }
    Act::Asked
}

/// Whether every partition is led as wanted. A topic that was deleted meanwhile is skipped.
pub(super) async fn look(kafka: &Kafka, leads: &[Lead], step: usize) -> Seen {
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let mut waiting = Vec::new();
    let mut lost = Vec::new();
    for lead in leads {
        let Some(partition) = find(&topics, lead).filter(|partition| !is_led(lead, partition)) else {
            continue;
        };
        match lead.to {
            Some(to) if partition.replicas.first() != Some(&to) => {
                lost.push(format!(
                    "somebody made {} prefer {:?}, not {to}",
                    lead.name(),
                    partition.replicas
                ));
            }
            Some(to) if !partition.isr.contains(&to) => {
                lost.push(format!("broker {to} is no longer in sync for {}", lead.name()));
            }
            _ => waiting.push(lead.name()),
        }
    }
    if !lost.is_empty() {
        return Seen::Astray(lost.join("; "));
    }
    if waiting.is_empty() {
        return Seen::Done(format!("{} led as planned", leads.len()));
    }
    Seen::Waiting(Progress {
        step,
        done: (leads.len() - waiting.len()) as u32,
        total: leads.len() as u32,
        note: format!("waiting for the leader of {}", waiting.join(", ")),
        ..Progress::default()
    })
}

fn find<'a>(topics: &'a [Topic], lead: &Lead) -> Option<&'a Partition> {
    let at = topics
        .binary_search_by(|topic| topic.name.as_str().cmp(&lead.topic))
        .ok()?;
    topics[at].partition(lead.partition)
}

fn is_led(lead: &Lead, partition: &Partition) -> bool {
    match lead.to {
        Some(to) => partition.leader == Some(to),
        None => partition.leader.is_some(),
    }
}

/// The order of preference that the latest `leader move`, or the operation of this name, found and changed.
///
/// # Errors
/// When there is no such operation, or it is no `leader move`.
pub fn saved_order(folder: &Folder, name: Option<&str>) -> Result<(Id, Vec<Target>), Error> {
    let status = match name {
        Some(name) => folder.status(&folder.find(name)?)?,
        None => {
            let told = folder.all()?.into_iter().filter_map(|(_, status)| status.ok());
            let mut moved = told.filter(|status| status.plan.kind == Kind::LeaderMove && !status.is_untouched());
            let nothing = || Error::Refused("no leader move is in the journal of this cluster".to_owned());
            moved.next().ok_or_else(nothing)?
        }
    };
    if status.plan.kind != Kind::LeaderMove {
        let (id, kind) = (&status.id, status.plan.kind);
        return Err(Error::Refused(format!(
            "operation {id} is a {kind}, it saved no order of leaders"
        )));
    }
    Ok((status.id.clone(), order(&status)))
}

fn order(status: &Status) -> Vec<Target> {
    let before = |one: &crate::plan::Move| Target::new(&one.topic, one.partition, one.from.clone());
    status.plan.moves().map(before).collect()
}
