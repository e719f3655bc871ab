//! AlterUserScramCredentials (51, KIP-554): decided by the controller.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};
use kafka_protocol::protocol::StrBytes;

use super::refuse::{self, Refuse};
use super::{Call, Context, forward};
use crate::image::Image;
use crate::wire::ErrorCode;
use crate::wire::sasl::Scram;

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn handle(
    cx: &Context,
    call: &Call,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let asked = request.clone();
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => {
            let refused: BTreeSet<_> = response
                .results
                .iter()
                .filter(|result| result.error_code != 0)
                .map(|result| result.user.as_str())
                .collect();
            forward::settle(cx, |image| is_known(image, &asked, &refused)).await;
            response
        }
        Err(unanswered) => refused(&asked, unanswered.code, &forward::why(&unanswered)),
    }
}

/// Every user gets the same answer.
fn refused(
    asked: &AlterUserScramCredentialsRequest,
    code: ErrorCode,
    why: &Option<StrBytes>,
) -> AlterUserScramCredentialsResponse {
    let deleted = asked.deletions.iter().map(|asked| &asked.name);
    let names = deleted.chain(asked.upsertions.iter().map(|asked| &asked.name));
    let users: BTreeSet<_> = names.cloned().collect();
    let result = |user| {
        AlterUserScramCredentialsResult::default()
            .with_user(user)
            .with_error_code(code.code())
            .with_error_message(why.clone())
    };
    AlterUserScramCredentialsResponse::default().with_results(users.into_iter().map(result).collect())
}

impl Refuse for AlterUserScramCredentialsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> AlterUserScramCredentialsResponse {
        refused(self, code, &refuse::why(code))
    }
}

/// Whether an image has the changes, except those of users that were refused.
fn is_known(image: &Image, asked: &AlterUserScramCredentialsRequest, refused: &BTreeSet<&str>) -> bool {
    let find = |user: &str, code: i8| image.scram_credential(user, Scram::of_code(code)?);
    let deleted = asked
        .deletions
        .iter()
        .all(|asked| refused.contains(asked.name.as_str()) || find(&asked.name, asked.mechanism).is_none());
    let set = asked.upsertions.iter().all(|asked| {
        refused.contains(asked.name.as_str())
            || find(&asked.name, asked.mechanism).is_some_and(|credential| credential.salt == asked.salt)
    });
    deleted && set
}
