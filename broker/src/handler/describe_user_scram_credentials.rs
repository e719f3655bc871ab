//! DescribeUserScramCredentials (50, KIP-554): which users have credentials, and how strong they are; no keys.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context};
use crate::image::Image;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn handle(
    cx: &Context,
    _: &Call,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    describe(&cx.image(), request)
}

fn describe(image: &Image, request: DescribeUserScramCredentialsRequest) -> DescribeUserScramCredentialsResponse {
    let mut known: BTreeMap<&str, Vec<CredentialInfo>> = BTreeMap::new();
    for (user, scram, credential) in image.scram_credentials() {
        let info = CredentialInfo::default()
            .with_mechanism(scram.code())
            .with_iterations(credential.iterations);
        known.entry(user).or_default().push(info);
    }
    let asked: Vec<_> = request.users.into_iter().flatten().map(|user| user.name).collect();
    let response = DescribeUserScramCredentialsResponse::default();
    if asked.is_empty() {
        let all = known.into_iter().map(|(user, infos)| result(user, infos));
        return response.with_results(all.collect());
    }
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<_> = asked.iter().filter(|name| !seen.insert(*name)).collect();
    let mut answered = BTreeSet::new();
    let results = asked
        .iter()
        .filter(|name| answered.insert(*name))
        .map(|name| match known.remove(name.as_str()) {
            _ if twice.contains(name) => refused(
                name,
                ErrorCode::DuplicateResource,
                "Cannot describe SCRAM credentials for the same user twice in a single request: ",
            ),
            Some(infos) => result(name, infos),
            None => refused(
                name,
                ErrorCode::ResourceNotFound,
                "Attempt to describe a user credential that does not exist: ",
            ),
        })
        .collect();
    response.with_results(results)
}

fn result(user: &str, infos: Vec<CredentialInfo>) -> DescribeUserScramCredentialsResult {
    DescribeUserScramCredentialsResult::default()
        .with_user(StrBytes::from_string(user.to_owned()))
        .with_credential_infos(infos)
}

fn refused(user: &str, code: ErrorCode, why: &str) -> DescribeUserScramCredentialsResult {
    result(user, Vec::new())
        .with_error_code(code.code())
        .with_error_message(Some(StrBytes::from_string(format!("{why}{user}"))))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;

    use super::*;
    use crate::image::{Record, ScramCredential};
    use crate::wire::sasl::Scram;

    fn image() -> Image {
        let mut image = Image::empty();
        for (offset, (user, mechanism)) in (0..).zip([
            ("bob", Scram::Sha256),
            ("alice", Scram::Sha512),
            ("alice", Scram::Sha256),
        ]) {
            let record = Record::Scram {
                user: user.to_owned(),
                mechanism,
                credential: Some(ScramCredential {
                    salt: vec![1],
                    stored_key: vec![2],
                    server_key: vec![3],
                    iterations: 4096,
                }),
            };
            image.apply(&record, offset, 1);
        }
        image
    }

    fn asked(users: Option<&[&str]>) -> Vec<(String, i16, usize)> {
        let names = |users: &[&str]| {
            let name = |user: &&str| UserName::default().with_name(StrBytes::from_string((*user).to_owned()));
            users.iter().map(name).collect()
        };
        let request = DescribeUserScramCredentialsRequest::default().with_users(users.map(names));
        let results = describe(&image(), request).results.into_iter();
        results
            .map(|result| {
                (
                    result.user.to_string(),
                    result.error_code,
                    result.credential_infos.len(),
                )
            })
            .collect()
    }

    #[test]
    fn all_users_or_those_asked_for_are_described() {
        let all = [("alice".to_owned(), 0, 2), ("bob".to_owned(), 0, 1)];
        assert_eq!(asked(None), all);
        assert_eq!(asked(Some(&[])), all);
        assert_eq!(asked(Some(&["bob"])), all[1..]);
    }

    #[test]
    fn users_that_are_not_there_or_asked_for_twice_are_errors() {
        let result = asked(Some(&["bob", "nobody", "bob"]));
        let duplicate = ErrorCode::DuplicateResource.code();
        let not_found = ErrorCode::ResourceNotFound.code();
        assert_eq!(
            result,
            [("bob".to_owned(), duplicate, 0), ("nobody".to_owned(), not_found, 0)]
        );
    }
}
