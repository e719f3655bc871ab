//! Taking back what a plan has done: a plan of its own, worked out against the cluster as it is now.

use super::intent::Intent;
use super::reassign::{Goal, Target};
use super::throttle::{self, Set};
use super::{
    Error, Kind, Move, Plan, Step, acl, config, dns, feature, group, leader, quota, restart, swap, user, volume,
};

/// What takes back the steps of a plan that were begun.
///
/// # Errors
/// When they cannot be taken back, with what can be done instead; when none was begun.
pub fn intent(plan: &Plan, begun: impl Fn(usize) -> bool) -> Result<Intent, Error> {
    let steps: Vec<&Step> = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(at, _)| begun(*at))
        .map(|(_, step)| step)
        .collect();
    let Some(first) = steps.first() else {
        return Err(Error::Nothing("no step of it was begun".to_owned()));
    };
    if plan.is_swap() {
        return Err(swap::undoing(plan));
    }
    if matches!(plan.kind, Kind::LeaderMove | Kind::LeaderRestore | Kind::LeaderElect) {
        let back = |one: &Move| Target::new(&one.topic, one.partition, one.from.clone());
        let order: Vec<Target> = plan.moves().map(back).collect();
        return match order.is_empty() {
            true => Err(Error::Impossible(
                "an election has no way back; azimuth leader move changes who leads".to_owned(),
            )),
            false => Ok(Intent::Leaders(leader::Wish::Restore(order))),
        };
    }
    if plan.kind == Kind::ThrottleClear {
        return Ok(Intent::SetThrottle(Set::Exactly(throttle::settings_of(plan))));
    }
    // Throttles around what is done are taken away by the operation itself.
    let is_throttle = |step: &Step| {
        matches!(
            step,
            Step::SetThrottle { .. } | Step::ClearThrottle { .. } | Step::AwaitIsr(_)
        )
    };
    match steps.iter().find(|step| !is_throttle(step)).unwrap_or(first) {
        Step::SetThrottle { .. } | Step::ClearThrottle { .. } if plan.kind == Kind::Reassign => {
            Err(Error::Nothing("no replica was moved".to_owned()))
        }
        Step::SetThrottle { .. } | Step::ClearThrottle { .. } => {
            Err(Error::Impossible("azimuth throttle clear takes it away".to_owned()))
        }
        Step::Reassign { .. } => {
            let moves = steps.iter().flat_map(|step| match step {
                Step::Reassign { moves } => moves.as_slice(),
                _ => &[],
            });
            let back = |one: &Move| Target::new(&one.topic, one.partition, one.from.clone());
            Ok(Intent::Reassign(Goal::Assign(moves.map(back).collect()).into()))
        }
        Step::CancelReassign { moves } => {
            let on = |one: &Move| Target::new(&one.topic, one.partition, one.from.clone());
            Ok(Intent::Reassign(Goal::Assign(moves.iter().map(on).collect()).into()))
        }
        Step::ResetOffsets { group, .. } | Step::DeleteGroup { group, .. } => {
            if steps.len() > 1 {
                return Err(Error::Impossible(
                    "several groups were deleted; azimuth operation show has the offsets of each, and azimuth group reset \
                     commits them again"
                        .to_owned(),
                ));
            }
            Ok(Intent::ResetGroup(group::Reset {
                group: group.clone(),
                names: Vec::new(),
                to: group::To::Saved(first.offsets().iter().filter_map(saved).collect()),
            }))
        }
        Step::AwaitIsr(_) => Err(Error::Nothing("it only waited".to_owned())),
        Step::Elect { .. } => Err(Error::Impossible("an election has no way back".to_owned())),
        Step::SetCredential(one) => Ok(Intent::User(user::undoing(one)?)),
        Step::DeleteCredential(one) => Err(user::lost(&one.user)),
        Step::Finalize(one) => Ok(Intent::Feature(feature::undoing(one))),
        Step::AlterQuotas(alter) => Ok(Intent::Quota(quota::undoing(alter))),
        Step::Volume(_) => Ok(Intent::Volume(volume::undoing(&steps)?)),
        Step::Dns(_) => dns::undoing("that is undone", &steps)
            .map(Intent::Dns)
            .ok_or_else(|| Error::Nothing("no record set was changed".to_owned())),
        Step::Restart(turn) => Ok(Intent::Restart(restart::undoing(turn)?)),
        Step::AddAcls(_) | Step::RemoveAcls(_) => Ok(Intent::Acl(acl::change::undoing(&steps))),
        Step::AlterConfigs(alter) => Ok(Intent::Config(config::undoing(alter)?)),
        Step::CreateTopic { name, .. } => Err(Error::Impossible(format!(
            "azimuth topic delete {name} takes it back, with all records written meanwhile"
        ))),
        Step::ByCommand { what } => Err(Error::Impossible(format!("it was to {what}, and that has no way back"))),
        Step::AbortTransaction { .. } => Err(Error::Impossible("an aborted transaction stays aborted".to_owned())),
        Step::AddPartitions { topic, .. } => {
            Err(Error::Impossible(format!("no partition of {topic} can be taken away")))
        }
        Step::Truncate { topic: name, .. } | Step::DeleteTopic { name, .. } => Err(Error::Impossible(format!(
            "the records of {name} are deleted, and nothing brings them back"
        ))),
    }
}

/// Where a group read before; nothing where it had read nothing.
fn saved(offset: &group::Offset) -> Option<group::Offset> {
    Some(group::Offset {
        to: offset.from?,
        ..offset.clone()
    })
}
