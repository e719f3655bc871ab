//! Delegation tokens: CreateDelegationToken (38), RenewDelegationToken (39), ExpireDelegationToken (40).
//!
//! The broker that was asked has checked who asks; here is decided how long a token holds. Tokens that ended are
//! forgotten with the next decision about any.

use bytes::Bytes;
use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse, ExpireDelegationTokenRequest,
    ExpireDelegationTokenResponse, RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Ask, Decide, Decision, State};
use crate::env::random;
use crate::id::Base64Url;
use crate::image::Record;
use crate::image::token::{Party, Token, hmac};

/// The tagged field in which a broker names who asked it for a token: type and name, with a zero byte between. No client
/// reaches the controller's listener with it, and what a client sends a broker is overwritten.
pub const REQUESTER: i32 = 3;

/// The value of [`REQUESTER`].
pub fn requester(party: &Party) -> Bytes {
    Bytes::from(format!("{}\0{}", party.kind, party.name).into_bytes())
}

fn named(field: &Bytes) -> Option<Party> {
    let (kind, name) = std::str::from_utf8(field).ok()?.split_once('\0')?;
    Some(Party {
        kind: kind.to_owned(),
        name: name.to_owned(),
    })
}

/// The cluster's secret; without it there are no tokens.
fn secret(state: &State) -> Result<String, ErrorCode> {
    match state.config.text("delegation.token.secret.key") {
        "" => Err(ErrorCode::DelegationTokenAuthDisabled),
        secret => Ok(secret.to_owned()),
    }
}

/// The ends of tokens whose time is over.
fn sweep(state: &State) -> Vec<Record> {
    let now_ms = state.clock.now_ms();
    let ended = state.image.tokens.values().filter(|token| !token.holds(now_ms));
    ended
        .map(|token| Record::RemoveDelegationToken { id: token.id.clone() })
        .collect()
}

impl Decide for CreateDelegationTokenRequest {
    type Response = CreateDelegationTokenResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<CreateDelegationTokenResponse> {
        let refuse =
            |code: ErrorCode| Decision::only(CreateDelegationTokenResponse::default().with_error_code(code.code()));
        let secret = match secret(state) {
            Ok(secret) => secret,
            Err(code) => return refuse(code),
        };
        let Some(requester) = self.unknown_tagged_fields.get(&REQUESTER).and_then(named) else {
            return refuse(ErrorCode::InvalidRequest);
        };
        let text = |text: &StrBytes| text.to_string();
        let owner = match (&self.owner_principal_type, &self.owner_principal_name) {
            (Some(kind), Some(name)) if !name.is_empty() => Party {
                kind: text(kind),
                name: text(name),
            },
            _ => requester.clone(),
        };
        let now_ms = state.clock.now_ms();
        let longest = state.config.int("delegation.token.max.lifetime.ms");
        let lifetime = match self.max_lifetime_ms {
            ..=0 => longest,
            wanted => wanted.min(longest),
        };
        let max_ms = now_ms.saturating_add(lifetime);
        let renewers = self.renewers.iter().map(|renewer| Party {
            kind: text(&renewer.principal_type),
            name: text(&renewer.principal_name),
        });
        let token = Token {
            id: Base64Url(random::uuid()).to_string(),
            renewers: renewers.collect(),
            issued_ms: now_ms,
            expires_ms: max_ms.min(now_ms.saturating_add(state.config.int("delegation.token.expiry.time.ms"))),
            max_ms,
            owner,
            requester,
        };
        let string = |text: &str| StrBytes::from_string(text.to_owned());
        let response = CreateDelegationTokenResponse::default()
            .with_principal_type(string(&token.owner.kind))
            .with_principal_name(string(&token.owner.name))
            .with_token_requester_principal_type(string(&token.requester.kind))
            .with_token_requester_principal_name(string(&token.requester.name))
            .with_issue_timestamp_ms(token.issued_ms)
            .with_expiry_timestamp_ms(token.expires_ms)
            .with_max_timestamp_ms(token.max_ms)
            .with_token_id(string(&token.id))
            .with_hmac(hmac(&secret, &token.id).into());
        let mut records = sweep(state);
        records.push(Record::DelegationToken { token });
        Decision { records, response }
    }
}

/// The token that a secret is of, if it holds still, and the records that forget those that do not.
fn found(state: &State, given: &[u8]) -> Result<Token, ErrorCode> {
    let secret = secret(state)?;
    let token = state.image.token_of(&secret, given);
    let token = token.ok_or(ErrorCode::DelegationTokenNotFound)?;
    match token.holds(state.clock.now_ms()) {
        true => Ok(token.clone()),
        false => Err(ErrorCode::DelegationTokenExpired),
    }
}

/// The token with another end, which is never after its last.
fn until(state: &State, token: Token, period_ms: i64) -> (i64, Record) {
    let expires_ms = token.max_ms.min(state.clock.now_ms().saturating_add(period_ms));
    let token = Token { expires_ms, ..token };
    (expires_ms, Record::DelegationToken { token })
}

impl Decide for RenewDelegationTokenRequest {
    type Response = RenewDelegationTokenResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<RenewDelegationTokenResponse> {
        let longest = state.config.int("delegation.token.expiry.time.ms");
        match found(state, &self.hmac) {
            Err(code) => Decision::only(RenewDelegationTokenResponse::default().with_error_code(code.code())),
            Ok(token) => {
                let period_ms = match self.renew_period_ms {
                    ..0 => longest,
                    wanted => wanted.min(longest),
                };
                let (expires_ms, record) = until(state, token, period_ms);
                Decision {
                    records: vec![record],
                    response: RenewDelegationTokenResponse::default().with_expiry_timestamp_ms(expires_ms),
                }
            }
        }
    }
}

impl Decide for ExpireDelegationTokenRequest {
    type Response = ExpireDelegationTokenResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<ExpireDelegationTokenResponse> {
        match found(state, &self.hmac) {
            Err(code) => Decision::only(ExpireDelegationTokenResponse::default().with_error_code(code.code())),
            // At once.
            Ok(token) if self.expiry_time_period_ms < 0 => Decision {
                records: vec![Record::RemoveDelegationToken { id: token.id }],
                response: ExpireDelegationTokenResponse::default().with_expiry_timestamp_ms(state.clock.now_ms()),
            },
            Ok(token) => {
                let (expires_ms, record) = until(state, token, self.expiry_time_period_ms);
                Decision {
                    records: vec![record],
                    response: ExpireDelegationTokenResponse::default().with_expiry_timestamp_ms(expires_ms),
                }
            }
        }
    }
}
