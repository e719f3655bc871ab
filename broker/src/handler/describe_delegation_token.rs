//! DescribeDelegationToken (41): the tokens that the caller owns or may renew, and those that ACLs let it see.

use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_delegation_token_response::{
    DescribedDelegationToken, DescribedDelegationTokenRenewer,
};
use kafka_protocol::messages::{DescribeDelegationTokenRequest, DescribeDelegationTokenResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights, tokens};
use crate::auth::Object;
use crate::image::acl::Operation;
use crate::image::token::{Party, Token, hmac};

pub const VERSIONS: RangeInclusive<i16> = 1..=3;

/// The first version that tells who asked for a token (KIP-373).
const REQUESTERS: i16 = 3;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: DescribeDelegationTokenRequest,
) -> DescribeDelegationTokenResponse {
    let secret = match tokens::secret(cx, call) {
        Ok(secret) => secret,
        Err(code) => return DescribeDelegationTokenResponse::default().with_error_code(code.code()),
    };
    let caller = tokens::party(&call.principal);
    let owners = request.owners.map(|owners| {
        let party =
            |owner: &kafka_protocol::messages::describe_delegation_token_request::DescribeDelegationTokenOwner| Party {
                kind: owner.principal_type.to_string(),
                name: owner.principal_name.to_string(),
            };
        owners.iter().map(party).collect::<Vec<Party>>()
    });
    let image = cx.image();
    // As in Kafka, an owner's are also those that it may renew.
    let wanted = |token: &&Token| {
        owners
            .as_ref()
            .is_none_or(|owners| owners.iter().any(|owner| token.is_of(owner)))
    };
    let shown = |token: &&Token| {
        let owner = format!("{}:{}", token.owner.kind, token.owner.name);
        token.is_of(&caller)
            || rights.shows(Operation::Describe, Object::DelegationToken(&token.id))
            || rights.shows(Operation::DescribeTokens, Object::User(&owner))
    };
    let holds = |token: &&Token| token.holds(cx.clock.now_ms());
    let found = image.tokens.values().filter(wanted).filter(holds).filter(shown);
    let described = found.map(|token| described(token, secret, call.version));
    DescribeDelegationTokenResponse::default().with_tokens(described.collect())
}

fn described(token: &Token, secret: &str, version: i16) -> DescribedDelegationToken {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let renewer = |renewer: &Party| {
        DescribedDelegationTokenRenewer::default()
            .with_principal_type(text(&renewer.kind))
            .with_principal_name(text(&renewer.name))
    };
    let described = DescribedDelegationToken::default()
        .with_principal_type(text(&token.owner.kind))
        .with_principal_name(text(&token.owner.name))
        .with_issue_timestamp(token.issued_ms)
        .with_expiry_timestamp(token.expires_ms)
        .with_max_timestamp(token.max_ms)
        .with_token_id(text(&token.id))
        .with_hmac(hmac(secret, &token.id).into())
        .with_renewers(token.renewers.iter().map(renewer).collect());
    match version >= REQUESTERS {
        true => described
            .with_token_requester_principal_type(text(&token.requester.kind))
            .with_token_requester_principal_name(text(&token.requester.name)),
        false => described,
    }
}
