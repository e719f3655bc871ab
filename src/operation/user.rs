//! Setting and deleting SCRAM credentials, seen in the cluster's list of users afterwards.

use crate::plan::user::{Credential, PASSWORD};
use crate::source::kafka::Kafka;

use super::status::Progress;
use super::step::{Act, Secrets, Seen, act_of};

/// Asks for a credential. Without the password, which nothing keeps, nothing is asked.
pub(super) async fn set(kafka: &Kafka, one: &Credential, secrets: &Secrets) -> Act {
    let Some(password) = secrets.get(PASSWORD) else {
        let user = &one.user;
        return Act::Refused(format!(
            "the password of {user} is kept nowhere; azimuth user set {user} begins anew"
        ));
    };
    let asked = kafka.set_scram(&one.user, &one.mechanism, one.iterations, password);
    match asked.await {
        Ok(()) => Act::Asked,
        Err(error) => act_of(error),
    }
}

/// Asks for a credential to go; one that is gone already is no error.
pub(super) async fn delete(kafka: &Kafka, one: &Credential) -> Act {
    match kafka.delete_scram(&one.user, &one.mechanism).await {
        Ok(()) => Act::Asked,
        Err(error) => act_of(error),
    }
}

/// Whether the user has it, with these rounds; or with `gone` has it no more.
pub(super) async fn look(kafka: &Kafka, one: &Credential, gone: bool, step: usize) -> Seen {
    let users = match kafka.users().await {
        Ok(users) => users,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let user = users.iter().find(|user| user.name == one.user);
    let own = user.and_then(|user| user.credentials.iter().find(|own| own.mechanism == one.mechanism));
    let what = format!("{} {}", one.user, one.mechanism);
    match (own, gone) {
        (None, true) => Seen::Done(format!("{what} is gone")),
        (Some(own), false) if own.iterations == one.iterations => {
            Seen::Done(format!("{what}, {} iterations", own.iterations))
        }
        _ => Seen::Waiting(Progress {
            step,
            total: 1,
            note: format!("{what} is not told as it was asked for yet"),
            ..Progress::default()
        }),
    }
}
