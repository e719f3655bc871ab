//! CreateDelegationToken (38): a token that others may log in with as its owner. Decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{CreateDelegationTokenRequest, CreateDelegationTokenResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights, forward, tokens};
use crate::auth::{Object, Principal};
use crate::controller::{REQUESTER, requester};
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=3;

/// The first version that may ask for another owner (KIP-373).
const OWNERS: i16 = 3;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    mut request: CreateDelegationTokenRequest,
) -> CreateDelegationTokenResponse {
    if let Err(code) = admit(cx, call, rights, &request) {
        return told(call, code);
    }
    let party = tokens::party(&call.principal);
    request.unknown_tagged_fields.insert(REQUESTER, requester(&party));
    let response = match cx.controller.ask(request, OWNERS, forward::patience(cx)).await {
        Ok(response) => response,
        Err(unanswered) => return told(call, unanswered.code),
    };
    let id = response.token_id.to_string();
    if response.error_code == 0 {
        forward::settle(cx, |image| image.tokens.contains_key(&id)).await;
    }
    match call.version >= OWNERS {
        true => response,
        false => response
            .with_token_requester_principal_type(StrBytes::default())
            .with_token_requester_principal_name(StrBytes::default()),
    }
}

fn admit(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: &CreateDelegationTokenRequest,
) -> Result<(), ErrorCode> {
    tokens::secret(cx, call)?;
    if request
        .renewers
        .iter()
        .any(|renewer| renewer.principal_type.as_str() != "User")
    {
        return Err(ErrorCode::InvalidPrincipalType);
    }
    if let (Some(kind), Some(name)) = (&request.owner_principal_type, &request.owner_principal_name)
        && !name.is_empty()
    {
        let owner = Principal {
            kind: kind.to_string(),
            name: name.to_string(),
        };
        if owner != *call.principal {
            rights.demand(Operation::CreateTokens, Object::User(&owner.to_string()))?;
        }
    }
    Ok(())
}

/// An error names the owner, as in Kafka.
fn told(call: &Call, code: ErrorCode) -> CreateDelegationTokenResponse {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let response = CreateDelegationTokenResponse::default()
        .with_error_code(code.code())
        .with_principal_type(text(&call.principal.kind))
        .with_principal_name(text(&call.principal.name))
        .with_issue_timestamp_ms(-1)
        .with_expiry_timestamp_ms(-1)
        .with_max_timestamp_ms(-1);
    match call.version >= OWNERS {
        true => response
            .with_token_requester_principal_type(text(&call.principal.kind))
            .with_token_requester_principal_name(text(&call.principal.name)),
        false => response,
    }
}
