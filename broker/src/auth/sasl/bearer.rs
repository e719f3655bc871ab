//! OAUTHBEARER (RFC 7628): a JSON web token, signed by somebody that is trusted, or unsecured where that is configured.
//!
//! A refused token is answered in two steps, as the RFC wants: the reason in JSON, and the failure once the client has
//! acknowledged it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, Validation};
use serde_json::{Map, Value};

use super::{Failure, Jwks, Step, Success};
use crate::auth::Principal;

/// The separator of the messages, and the client's whole answer to a refusal.
const CONTROL_A: char = '\u{1}';

/// Who decides whether a token is good.
pub enum Validator {
    Unsecured(Unsecured),
    Signed(Signed),
}

/// Takes tokens without a signature: for development only, as Kafka's OAuthBearerUnsecuredValidatorCallbackHandler.
pub struct Unsecured {
    /// The claim that holds the user's name.
    pub principal_claim: String,
    pub scope_claim: String,
    /// What the scope has to contain.
    pub required_scope: Vec<String>,
    pub clock_skew_ms: i64,
}

/// Takes tokens that are signed with a key of the JWKS.
pub struct Signed {
    pub jwks: Arc<Jwks>,
    /// One of them has to be among the token's; none accepts any.
    pub audiences: Vec<String>,
    pub issuer: Option<String>,
    pub principal_claim: String,
    pub scope_claim: String,
    pub clock_skew_ms: i64,
}

/// What a good token says.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    user: String,
    expires_ms: i64,
}

/// Why a token is not good.
#[derive(Debug)]
struct Refusal {
    /// RFC 6750's word for it.
    status: &'static str,
    scope: Option<String>,
    why: String,
}

type Claims = Map<String, Value>;

pub struct Exchange {
    validator: Arc<Validator>,
    /// The answer to a token that was refused, until the client acknowledges it.
    refused: Option<(String, String)>,
}

impl Exchange {
    pub fn new(validator: Arc<Validator>) -> Self {
        Self {
            validator,
            refused: None,
        }
    }

    pub fn step(&mut self, message: &[u8], now_ms: i64) -> Step {
        if let Some((said, why)) = self.refused.take() {
            return Step::Failure(Failure {
                user: None,
                said: Some(said),
                why,
            });
        }
        let Some(initial) = std::str::from_utf8(message).ok().and_then(Initial::parse) else {
            return Failure::hidden(None, "its OAUTHBEARER message cannot be read");
        };
        let checked = match &*self.validator {
            Validator::Unsecured(unsecured) => unsecured.check(initial.token, now_ms),
            Validator::Signed(signed) => signed.check(initial.token, now_ms),
        };
        match checked {
            Err(refusal) => {
                let said = refusal.json();
                self.refused = Some((said.clone(), refusal.why));
                Step::Challenge(said.into_bytes())
            }
            Ok(claim) if !initial.authorization.is_empty() && initial.authorization != claim.user => Failure::told(
                Some(&claim.user),
                format!(
                    "Authentication failed: Client requested an authorization id ({}) that is different from the token's principal name ({})",
                    initial.authorization, claim.user
                ),
            ),
            Ok(claim) => Step::Success(Success {
                principal: Principal::user(claim.user),
                token: Vec::new(),
                expires_ms: Some(claim.expires_ms),
                by_token: false,
            }),
        }
    }
}

/// The client's first message.
struct Initial<'a> {
    authorization: &'a str,
    token: &'a str,
}

impl<'a> Initial<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (header, rest) = text.split_once(CONTROL_A)?;
        let authorization = header.strip_prefix("n,")?.strip_suffix(',')?;
        let pairs = rest.strip_suffix("\u{1}\u{1}")?;
        let mut token = None;
        for pair in pairs.split(CONTROL_A) {
            // Other pairs are extensions (KIP-342), which are taken and not used, as with Kafka's validators.
            let (key, value) = pair.split_once('=')?;
            if key == "auth" {
                let (scheme, value) = value.split_once(' ')?;
                token = Some(value.trim_start()).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
            }
        }
        Some(Self {
            authorization: match authorization {
                "" => "",
                named => named.strip_prefix("a=")?,
            },
            token: token?,
        })
    }
}

impl Refusal {
    fn new(why: impl Into<String>) -> Self {
        Self {
            status: "invalid_token",
            scope: None,
            why: why.into(),
        }
    }

    fn json(&self) -> String {
        let mut answer = serde_json::json!({ "status": self.status });
        if let Some(scope) = &self.scope {
            answer["scope"] = Value::String(scope.clone());
        }
        answer.to_string()
    }
}

impl Unsecured {
    fn check(&self, token: &str, now_ms: i64) -> Result<Claim, Refusal> {
        let parts: Vec<_> = token.split('.').collect();
        let &[header, claims, ""] = parts.as_slice() else {
            return Err(Refusal::new("its token is not an unsecured JSON web token"));
        };
        if object(header)?.get("alg").and_then(Value::as_str) != Some("none") {
            return Err(Refusal::new(
                "its token has another algorithm than `none` and no signature",
            ));
        }
        let claims = object(claims)?;
        let user = user(&claims, &self.principal_claim)?;
        let issued = time(&claims, "iat")?;
        let expires = expiry(&claims, now_ms, self.clock_skew_ms)?;
        if issued.is_some_and(|issued| issued > now_ms + self.clock_skew_ms) {
            return Err(Refusal::new("its token is issued in the future"));
        }
        if issued.is_some_and(|issued| issued >= expires) {
            return Err(Refusal::new("its token expires before it is issued"));
        }
        let scope = scope(&claims, &self.scope_claim)?;
        if !self.required_scope.iter().all(|wanted| scope.contains(wanted)) {
            return Err(Refusal {
                status: "insufficient_scope",
                scope: Some(self.required_scope.join(" ")),
                why: format!("its token has not the scope {}", self.required_scope.join(" ")),
            });
        }
        Ok(Claim {
            user,
            expires_ms: expires,
        })
    }
}

impl Signed {
    fn check(&self, token: &str, now_ms: i64) -> Result<Claim, Refusal> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|error| Refusal::new(format!("its token cannot be read: {error}")))?;
        if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return Err(Refusal::new(
                "its token is signed with a shared secret, which is refused",
            ));
        }
        let key = self.jwks.key(header.kid.as_deref(), header.alg).map_err(Refusal::new)?;
        let mut validation = Validation::new(header.alg);
        // The times are compared below with this node's clock.
        validation.validate_exp = false;
        validation.validate_aud = !self.audiences.is_empty();
        if validation.validate_aud {
            validation.set_audience(&self.audiences);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|error| Refusal::new(format!("its token is refused: {error}")))?
            .claims;
        let expires = expiry(&claims, now_ms, self.clock_skew_ms)?;
        if time(&claims, "nbf")?.is_some_and(|start| start > now_ms + self.clock_skew_ms) {
            return Err(Refusal::new("its token is not valid yet"));
        }
        if time(&claims, "iat")?.is_none() {
            return Err(Refusal::new("its token does not say when it was issued (iat)"));
        }
        scope(&claims, &self.scope_claim)?;
        Ok(Claim {
            user: user(&claims, &self.principal_claim)?,
            expires_ms: expires,
        })
    }
}

/// Whether a signature of this kind can be checked with a public key of that kind.
pub(super) fn is_of(algorithm: Algorithm, family: AlgorithmFamily) -> bool {
    family != AlgorithmFamily::Hmac && family.algorithms().contains(&algorithm)
}

fn object(part: &str) -> Result<Claims, Refusal> {
    URL_SAFE_NO_PAD
        .decode(part)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| Refusal::new("its token is no JSON in base64url"))
}

fn user(claims: &Claims, name: &str) -> Result<String, Refusal> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|user| !user.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| Refusal::new(format!("its token has no text as claim {name}")))
}

/// A time in seconds since the Unix epoch, as milliseconds.
fn time(claims: &Claims, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value
        .as_f64()
        .filter(|seconds| seconds.is_finite() && seconds.abs() < 1e12)
        .ok_or_else(|| Refusal::new(format!("its token has no time as claim {name}")))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bounded above, and a fraction of a millisecond is nothing"
    )]
    Ok(Some((seconds * 1000.0) as i64))
}

fn expiry(claims: &Claims, now_ms: i64, skew_ms: i64) -> Result<i64, Refusal> {
    let expires = time(claims, "exp")?.ok_or_else(|| Refusal::new("its token has no end (exp)"))?;
    if now_ms - skew_ms >= expires {
        return Err(Refusal::new(format!(
            "its token expired {} s ago",
            (now_ms - expires) / 1000
        )));
    }
    Ok(expires)
}

/// The words of a scope, which is a text of them or a list.
fn scope(claims: &Claims, name: &str) -> Result<Vec<String>, Refusal> {
    let bad = || {
        Refusal::new(format!(
            "its token has neither text nor a list of texts as claim {name}"
        ))
    };
    match claims.get(name) {
        None => Ok(Vec::new()),
        Some(Value::String(words)) => Ok(words.split_whitespace().map(str::to_owned).collect()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(|word| word.trim().to_owned()).ok_or_else(bad))
            .collect(),
        Some(_) => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn unsecured() -> Unsecured {
        Unsecured {
            principal_claim: "sub".to_owned(),
            scope_claim: "scope".to_owned(),
            required_scope: Vec::new(),
            clock_skew_ms: 0,
        }
    }

    fn token(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&serde_json::json!({"alg": "none"})), part(claims))
    }

    fn step(validator: Unsecured, message: &str) -> (Step, Step) {
        let mut exchange = Exchange::new(Arc::new(Validator::Unsecured(validator)));
        let first = exchange.step(message.as_bytes(), NOW);
        (first, exchange.step(b"\x01", NOW))
    }

    fn bearer(token: &str) -> String {
        format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}")
    }

    fn seconds(after: i64) -> i64 {
        NOW / 1000 + after
    }

    #[test]
    fn a_good_token_names_the_user_and_its_end() {
        let token = token(&serde_json::json!({"sub": "alice", "exp": seconds(60), "iat": seconds(-1)}));
        match step(
            unsecured(),
            &format!("n,a=alice,\u{1}auth=bearer {token}\u{1}traceId=1\u{1}\u{1}"),
        )
        .0
        {
            Step::Success(success) => {
                assert_eq!(success.principal.name, "alice");
                assert_eq!(success.expires_ms, Some(NOW + 60_000));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bad_token_is_answered_in_json_and_then_fails() {
        let good = serde_json::json!({"sub": "alice", "exp": seconds(60), "iat": seconds(-1), "scope": ["read"]});
        let with = |key: &str, value: Value| {
            let mut claims = good.clone();
            claims[key] = value;
            token(&claims)
        };
        for bad in [
            with("exp", seconds(0).into()),
            with("exp", Value::Null),
            with("exp", "soon".into()),
            with("iat", seconds(61).into()),
            with("iat", seconds(60).into()),
            with("sub", 7.into()),
            with("sub", " ".into()),
            with("scope", 7.into()),
            "x.y.z".to_owned(),
            format!("{}c2lnbmF0dXJl", token(&good)),
        ] {
            let (first, second) = step(unsecured(), &bearer(&bad));
            match (first, second) {
                (Step::Challenge(said), Step::Failure(failure)) => {
                    assert_eq!(said, br#"{"status":"invalid_token"}"#);
                    assert_eq!(failure.said.unwrap().into_bytes(), said);
                    assert!(!failure.why.contains(&bad), "{}", failure.why);
                }
                other => panic!("{bad}: {other:?}"),
            }
        }
        let strict = Unsecured {
            required_scope: vec!["write".to_owned()],
            ..unsecured()
        };
        match step(strict, &bearer(&token(&good))).0 {
            Step::Challenge(said) => {
                assert!(String::from_utf8(said).unwrap().contains("insufficient_scope"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clock_skew_is_allowed_for_as_far_as_configured() {
        let validator = Unsecured {
            clock_skew_ms: 5_000,
            ..unsecured()
        };
        let late = token(&serde_json::json!({"sub": "alice", "exp": seconds(-4)}));
        assert!(matches!(step(validator, &bearer(&late)).0, Step::Success(_)));
    }

    #[test]
    fn messages_that_do_not_follow_the_rfc_are_refused() {
        let good = token(&serde_json::json!({"sub": "alice", "exp": seconds(60)}));
        for message in [
            String::new(),
            "n,,".to_owned(),
            format!("y,,\u{1}auth=Bearer {good}\u{1}\u{1}"),
            format!("n,,\u{1}auth=Basic {good}\u{1}\u{1}"),
            format!("n,,\u{1}auth=Bearer {good}"),
            "n,,\u{1}nothing\u{1}\u{1}".to_owned(),
            format!("n,b=alice,\u{1}auth=Bearer {good}\u{1}\u{1}"),
            "n,,\u{1}host=x\u{1}\u{1}".to_owned(),
        ] {
            assert!(matches!(step(unsecured(), &message).0, Step::Failure(_)), "{message}");
        }
        let other = format!("n,a=bob,\u{1}auth=Bearer {good}\u{1}\u{1}");
        match step(unsecured(), &other).0 {
            Step::Failure(failure) => assert!(failure.said.unwrap().contains("authorization id")),
            step => panic!("{step:?}"),
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_answered(message: Vec<u8>, text: String) {
            let mut exchange = Exchange::new(Arc::new(Validator::Unsecured(unsecured())));
            exchange.step(&message, NOW);
            exchange.step(bearer(&text).as_bytes(), NOW);
        }
    }
}
