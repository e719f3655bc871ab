//! One step: asking Kafka for it, and looking what became of it.

use std::collections::BTreeMap;

use super::status::Progress;
use super::{acl, config, feature, group, leader, quota, reassign, throttle, topic, transaction, user};
use crate::plan::Step;
use crate::source::Error;
use crate::source::kafka::Kafka;

/// What became of asking.
#[derive(Debug)]
pub(super) enum Act {
    Asked,
    /// Nobody could be asked; it is asked again until it can, or somebody aborts.
    Later(String),
    Refused(String),
}

/// What a look showed.
#[derive(Debug)]
pub(super) enum Seen {
    Done(String),
    Waiting(Progress),
    /// Neither done nor on its way; when it stays so, somebody else has interfered.
    Astray(String),
    Unknown(String),
}

/// What must not be kept: values by name, told to the engine when it is started.
pub type Secrets = BTreeMap<String, String>;

/// Asks for a step. `again`: it may have been asked for before.
pub(super) async fn act(kafka: Kafka, step: Step, again: bool, secrets: Secrets) -> Act {
    match &step {
        Step::Reassign { moves } => reassign::act(&kafka, moves).await,
        Step::CancelReassign { moves } => reassign::send_back(&kafka, moves).await,
        Step::Elect { leads } => leader::act(&kafka, leads).await,
        Step::ResetOffsets { group, offsets } => group::reset(&kafka, group, offsets).await,
        Step::DeleteGroup { group, .. } => group::delete(&kafka, group, again).await,
        Step::AbortTransaction { producer } => transaction::abort(&kafka, producer).await,
        Step::AddPartitions { topic, id, to, .. } => topic::widen(&kafka, topic, *id, *to).await,
        Step::Truncate { topic, id, offsets } => topic::truncate(&kafka, topic, *id, offsets).await,
        Step::CreateTopic {
            name,
            partitions,
            replication_factor,
            configs,
        } => {
            let wanted = topic::Wanted {
                name,
                partitions: *partitions,
                replication_factor: *replication_factor,
                configs,
            };
            topic::create(&kafka, &wanted, again).await
        }
        Step::DeleteTopic { name, id, .. } => topic::delete(&kafka, name, *id, again).await,
        Step::SetCredential(one) => user::set(&kafka, one, &secrets).await,
        Step::DeleteCredential(one) => user::delete(&kafka, one).await,
        Step::AlterQuotas(alter) => quota::act(&kafka, alter).await,
        Step::Finalize(one) => feature::act(&kafka, one).await,
        Step::AddAcls(lines) => acl::add(&kafka, &lines.rules).await,
        Step::RemoveAcls(lines) => acl::remove(&kafka, &lines.rules).await,
        Step::AlterConfigs(alter) => config::act(&kafka, alter, &secrets).await,
        Step::SetThrottle { settings } => throttle::set(&kafka, settings, settings).await,
        Step::AwaitIsr(_) => Act::Asked,
        Step::ByCommand { what } => Act::Refused(format!(
            "the command that was to {what} ended before it could say how far it came; look, and run it again"
        )),
        // The engine does them itself: setting by setting, and with a driver, and at AWS.
        Step::ClearThrottle { .. } | Step::Restart(_) | Step::Volume(_) | Step::Dns(_) => Act::Asked,
    }
}

/// Looks how far a step is that was asked for.
pub(super) async fn look(kafka: Kafka, step: Step, at: usize) -> Seen {
    match &step {
        Step::Reassign { moves } => reassign::look(&kafka, moves, at).await,
        Step::CancelReassign { moves } => reassign::is_back(&kafka, moves, at).await,
        Step::Elect { leads } => leader::look(&kafka, leads, at).await,
        Step::ResetOffsets { group, offsets } => group::is_reset(&kafka, group, offsets, at).await,
        Step::DeleteGroup { group, .. } => group::is_deleted(&kafka, group, at).await,
        Step::AbortTransaction { producer } => transaction::is_over(&kafka, producer, at).await,
        Step::AddPartitions { topic, to, .. } => topic::is_widened(&kafka, topic, *to, at).await,
        Step::Truncate { topic, offsets, .. } => topic::is_truncated(&kafka, topic, offsets, at).await,
        Step::CreateTopic { name, .. } => topic::is_created(&kafka, name, at).await,
        Step::DeleteTopic { name, id, .. } => topic::is_deleted(&kafka, name, *id, at).await,
        Step::SetCredential(one) => user::look(&kafka, one, false, at).await,
        Step::DeleteCredential(one) => user::look(&kafka, one, true, at).await,
        Step::AlterQuotas(alter) => quota::look(&kafka, alter, at).await,
        Step::Finalize(one) => feature::look(&kafka, one, at).await,
        Step::AddAcls(lines) => acl::look(&kafka, &lines.rules, false, at).await,
        Step::RemoveAcls(lines) => acl::look(&kafka, &lines.rules, true, at).await,
        Step::AlterConfigs(alter) => config::look(&kafka, alter, at).await,
        Step::SetThrottle { settings } => throttle::is_set(&kafka, settings, at).await,
        Step::AwaitIsr(back) => throttle::is_back(&kafka, back, at).await,
        Step::ClearThrottle { .. } | Step::Restart(_) | Step::Volume(_) | Step::Dns(_) | Step::ByCommand { .. } => {
            Seen::Done(String::new())
        }
    }
}

/// Takes back what of a step is in flight. `Asked`: nothing is any more.
pub(super) async fn take_back(kafka: Kafka, step: Step) -> Act {
    match &step {
        Step::Reassign { moves } => reassign::cancel(&kafka, moves).await,
        _ => Act::Asked,
    }
}

/// What an error means for asking: some pass by themselves, others need a person.
pub(super) fn act_of(error: Error) -> Act {
    if is_passing(&error) {
        Act::Later(error.to_string())
    } else {
        Act::Refused(error.to_string())
    }
}

/// Whether the same question may well be answered a little later.
pub(super) fn is_passing(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Throttled { .. } => true,
        Error::Refused { code, .. } => matches!(
            code.as_str(),
            "REQUEST_TIMED_OUT"
                | "NOT_CONTROLLER"
                | "BROKER_NOT_AVAILABLE"
                | "NETWORK_EXCEPTION"
                | "LEADER_NOT_AVAILABLE"
        ),
        Error::Insecure { .. } | Error::Denied { .. } | Error::Expired { .. } => false,
        Error::Unsupported { .. } | Error::Local(_) => false,
    }
}
