//! Changing client quotas, read back afterwards.

use crate::plan::quota::Alter;
use crate::source::kafka::Kafka;

use super::status::Progress;
use super::step::{Act, Seen, act_of};

/// Asks for the limits; asking again asks for the same.
pub(super) async fn act(kafka: &Kafka, alter: &Alter) -> Act {
    let limits = alter.changes().map(|one| (one.name.clone(), one.after)).collect();
    match kafka.alter_quota(&alter.entity, &limits).await {
        Ok(()) => Act::Asked,
        Err(error) => act_of(error),
    }
}

/// Whether they are told so.
pub(super) async fn look(kafka: &Kafka, alter: &Alter, step: usize) -> Seen {
    let quotas = match kafka.quotas().await {
        Ok(quotas) => quotas,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let own = quotas.iter().find(|quota| quota.entity == alter.entity);
    let told = |name: &str| own.and_then(|quota| quota.limits.get(name)).copied();
    match alter.changes().find(|one| told(&one.name) != one.after) {
        None => Seen::Done(format!("read back: {}", alter.words())),
        Some(late) => Seen::Waiting(Progress {
            step,
            total: 1,
            note: format!("{} is not told as it was set yet", late.name),
            ..Progress::default()
        }),
    }
}
