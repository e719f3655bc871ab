//! Users with SCRAM credentials, never the credentials; and setting them. DescribeUserScramCredentials and
//! AlterUserScramCredentials (KIP-554).

use std::num::NonZeroU32;

use azimuth_broker::wire::sasl::{Scram, scram};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::{AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest};

use super::answer::{check, text};
use super::pool::Pool;
use crate::model::user::{Credential, User};
use crate::source::Error;

/// All of them, sorted by name.
pub(super) async fn users(pool: &Pool) -> Result<Vec<User>, Error> {
    let (peer, response) = pool
        // Empty means all, as null does; but to null from somebody who lacks the right Kafka 4.3 fails to answer at all (a
        // null pointer in DescribeUserScramCredentialsRequest.getErrorResponse), and holds up the connection.
        .ask_any(|_| DescribeUserScramCredentialsRequest::default().with_users(Some(Vec::new())))
        .await?;
    let what = "DescribeUserScramCredentials";
    check(peer.name(), what, response.error_code, response.error_message.as_ref())?;
    let mut users = Vec::new();
    for result in response.results {
        let what = format!("the credentials of {}", result.user.as_str());
        check(peer.name(), &what, result.error_code, result.error_message.as_ref())?;
        let mut credentials: Vec<_> = result
            .credential_infos
            .iter()
            .map(|info| Credential {
                mechanism: mechanism(info.mechanism),
                iterations: info.iterations,
            })
            .collect();
        credentials.sort_by(|one, other| one.mechanism.cmp(&other.mechanism));
        users.push(User {
            name: result.user.to_string(),
            credentials,
        });
    }
    users.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(users)
}

/// Bytes of salt, as Kafka's own tool takes: what two equal passwords differ by.
const SALT: usize = 26;

/// Gives a user a password. Only what is derived from it is sent, salted anew each time.
pub(super) async fn set(
    pool: &Pool,
    user: &str,
    mechanism: &str,
    iterations: i32,
    password: &str,
) -> Result<(), Error> {
    let scram = known(mechanism)?;
    let rounds = u32::try_from(iterations).ok().and_then(NonZeroU32::new);
    let rounds = rounds.ok_or_else(|| Error::Local(format!("{iterations} iterations are none")))?;
    let salt = scram::random_bytes::<SALT>().map_err(Error::Local)?;
    let (secret, salted) = (password.to_owned(), salt.to_vec());
    // Slow on purpose, so on a thread that may be.
    let derived = tokio::task::spawn_blocking(move || scram.salted_password(&secret, &salted, rounds)).await;
    let derived = derived.map_err(|error| Error::Local(error.to_string()))?;
    let upsertion = ScramCredentialUpsertion::default()
        .with_name(text(user))
        .with_mechanism(scram.code())
        .with_iterations(iterations)
        .with_salt(salt.to_vec().into())
        .with_salted_password(derived.into());
    alter(
        pool,
        AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]),
        &format!("setting the password of {user}"),
    )
    .await
}

/// Takes a credential away; one that is gone already is no error.
pub(super) async fn delete(pool: &Pool, user: &str, mechanism: &str) -> Result<(), Error> {
    let deletion = ScramCredentialDeletion::default()
        .with_name(text(user))
        .with_mechanism(known(mechanism)?.code());
    let request = AlterUserScramCredentialsRequest::default().with_deletions(vec![deletion]);
    let outcome = alter(pool, request, &format!("deleting a credential of {user}")).await;
    match outcome {
        Err(Error::Refused { code, .. }) if code == "RESOURCE_NOT_FOUND" => Ok(()),
        outcome => outcome,
    }
}

async fn alter(pool: &Pool, request: AlterUserScramCredentialsRequest, what: &str) -> Result<(), Error> {
    let (peer, response) = pool.tell(|_| request).await?;
    for result in response.results {
        check(peer.name(), what, result.error_code, result.error_message.as_ref())?;
    }
    Ok(())
}

fn known(mechanism: &str) -> Result<Scram, Error> {
    Scram::of_name(mechanism).ok_or_else(|| Error::Local(format!("{mechanism} is no SCRAM mechanism")))
}

/// `ScramMechanism` of Kafka.
fn mechanism(number: i8) -> String {
    match number {
        1 => "SCRAM-SHA-256".to_owned(),
        2 => "SCRAM-SHA-512".to_owned(),
        other => format!("mechanism {other}"),
    }
}
