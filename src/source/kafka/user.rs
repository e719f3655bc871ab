//! Users with SCRAM credentials, never the credentials. DescribeUserScramCredentials (KIP-554).

use kafka_protocol::messages::DescribeUserScramCredentialsRequest;

use super::answer::check;
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

/// `ScramMechanism` of Kafka.
fn mechanism(number: i8) -> String {
    match number {
        1 => "SCRAM-SHA-256".to_owned(),
        2 => "SCRAM-SHA-512".to_owned(),
        other => format!("mechanism {other}"),
    }
}
