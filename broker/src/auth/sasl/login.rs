//! A node's own login at its peers, from the same JAAS lines that say whom it lets in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::jaas::Entry;
use super::offer::{Get, entry};
use crate::env::clock::Clock;
use crate::image::property::Invalid;
use crate::wire::sasl::{Mechanism, Sasl, Secret, Token, TokenSource};

const TOKEN_URL: &str = "sasl.oauthbearer.token.endpoint.url";

/// How this node logs in at a listener of its peers. `mechanism_key`: the property that names the mechanism.
///
/// # Errors
/// A sentence with the key that is missing or wrong.
pub fn login(mechanism_key: &str, listener: &str, get: Get<'_>, clock: &Clock) -> Result<Sasl, Invalid> {
    let known = get(mechanism_key).unwrap_or_else(|| "GSSAPI".to_owned());
    let mechanism: Mechanism = known
        .parse()
        .map_err(|why| Invalid(format!("{mechanism_key} for the listener {listener}: {why}.")))?;
    let (key, entry) = entry(listener, mechanism, get)?;
    let Some(entry) = entry else {
        return Err(Invalid(format!(
            "{key} is not set; the node needs it to log in at its peers."
        )));
    };
    if mechanism == Mechanism::OauthBearer {
        return Ok(Sasl::oauth_bearer(tokens(&key, &entry, get, clock)?));
    }
    let option = |name: &str| {
        let value = entry.options.get(name).filter(|value| !value.expose().is_empty());
        value.cloned().ok_or_else(|| {
            Invalid(format!(
                "{key} has no option {name}; the node needs it to log in at its peers."
            ))
        })
    };
    let (user, password) = (option("username")?, option("password")?);
    Ok(match mechanism {
        Mechanism::Scram(scram) => Sasl::scram(scram, user.expose(), password),
        _ => Sasl::plain(user.expose(), password),
    })
}

fn tokens(key: &str, entry: &Entry, get: Get<'_>, clock: &Clock) -> Result<Arc<dyn TokenSource>, Invalid> {
    if let Some(url) = get(TOKEN_URL) {
        let Some(path) = url.strip_prefix("file:") else {
            return Err(Invalid(format!(
                "{TOKEN_URL} is no file: URL. A node's own token comes from a file that something else keeps fresh, \
                 or from the unsecuredLogin options of {key}."
            )));
        };
        let path = path.strip_prefix("//").unwrap_or(path).into();
        return Ok(Arc::new(TokenFile { path }));
    }
    if entry.options_after("unsecuredLogin").next().is_none() {
        return Err(Invalid(format!(
            "{key} has no unsecuredLoginStringClaim_sub and {TOKEN_URL} is not set; the node needs one of them to log in at its peers."
        )));
    }
    let unsecured = UnsecuredTokens::new(entry, clock.clone()).map_err(|why| Invalid(format!("{key}: {why}.")))?;
    Ok(Arc::new(unsecured))
}

/// A token in a file, read at every login.
struct TokenFile {
    path: PathBuf,
}

impl TokenSource for TokenFile {
    fn token(&self) -> BoxFuture<'_, Result<Token, String>> {
        async {
            let text = tokio::fs::read_to_string(&self.path)
                .await
                .map_err(|error| format!("the token in {} cannot be read: {error}", self.path.display()))?;
            Ok(Token {
                value: Secret::from(text.trim()),
                extensions: BTreeMap::new(),
            })
        }
        .boxed()
    }
}

/// Tokens without a signature, as Kafka's OAuthBearerUnsecuredLoginCallbackHandler makes them.
struct UnsecuredTokens {
    claims: Map<String, Value>,
    extensions: BTreeMap<String, String>,
    lifetime_seconds: i64,
    clock: Clock,
}

impl UnsecuredTokens {
    fn new(entry: &Entry, clock: Clock) -> Result<Self, String> {
        let mut claims = Map::new();
        for (name, value) in entry.options_after("unsecuredLoginStringClaim_") {
            claims.insert(name.to_owned(), Value::String(value.expose().to_owned()));
        }
        for (name, value) in entry.options_after("unsecuredLoginNumberClaim_") {
            let number = value
                .expose()
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64);
            let number = number.ok_or_else(|| format!("unsecuredLoginNumberClaim_{name} is no number"))?;
            claims.insert(name.to_owned(), Value::Number(number));
        }
        for (name, value) in entry.options_after("unsecuredLoginListClaim_") {
            // The first character separates the items.
            let mut items = value.expose().chars();
            let separator = items.next().unwrap_or(',');
            let items = items.as_str().split(separator).map(Value::from).collect();
            claims.insert(name.to_owned(), Value::Array(items));
        }
        let principal = entry.option("unsecuredLoginPrincipalClaimName").unwrap_or("sub");
        if !claims.get(principal).is_some_and(Value::is_string) {
            return Err(format!("unsecuredLoginStringClaim_{principal} is not set"));
        }
        let lifetime_seconds = match entry.option("unsecuredLoginLifetimeSeconds") {
            None => 3_600,
            Some(text) => text
                .parse()
                .map_err(|_| "unsecuredLoginLifetimeSeconds is no whole number".to_owned())?,
        };
        let extensions = entry.options_after("unsecuredLoginExtension_");
        Ok(Self {
            claims,
            extensions: extensions
                .map(|(name, value)| (name.to_owned(), value.expose().to_owned()))
                .collect(),
            lifetime_seconds,
            clock,
        })
    }

    fn make(&self) -> Token {
        let now = self.clock.now_ms() / 1000;
        let mut claims = self.claims.clone();
        claims.entry("iat").or_insert(now.into());
        claims.entry("exp").or_insert((now + self.lifetime_seconds).into());
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        let header = part(r#"{"alg":"none"}"#.to_owned());
        Token {
            value: Secret::from(format!("{header}.{}.", part(Value::Object(claims).to_string()))),
            extensions: self.extensions.clone(),
        }
    }
}

impl TokenSource for UnsecuredTokens {
    fn token(&self) -> BoxFuture<'_, Result<Token, String>> {
        std::future::ready(Ok(self.make())).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mechanism: &str, jaas: &str) -> Result<Sasl, Invalid> {
        let jaas_key = format!("{}.sasl.jaas.config", mechanism.to_ascii_lowercase());
        let get = |key: &str| match key {
            "sasl.mechanism.inter.broker.protocol" => Some(mechanism.to_owned()),
            _ => (key == jaas_key)
                .then(|| jaas.to_owned())
                .filter(|jaas| !jaas.is_empty()),
        };
        login(
            "sasl.mechanism.inter.broker.protocol",
            "INTERNAL",
            &get,
            &Clock::system(),
        )
    }

    #[test]
    fn a_login_comes_from_the_jaas_line_of_its_mechanism() {
        let sasl = of("SCRAM-SHA-512", "ScramLoginModule required username=a password=b;").unwrap();
        assert_eq!(sasl.mechanism().name(), "SCRAM-SHA-512");
        of("PLAIN", "PlainLoginModule required username=a password=b;").unwrap();
        of(
            "OAUTHBEARER",
            "OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=a;",
        )
        .unwrap();
    }

    #[test]
    fn what_is_missing_is_named() {
        for (mechanism, jaas, what) in [
            (
                "GSSAPI",
                "",
                "sasl.mechanism.inter.broker.protocol for the listener INTERNAL",
            ),
            ("PLAIN", "", "listener.name.internal.plain.sasl.jaas.config is not set"),
            ("PLAIN", "PlainLoginModule required username=a;", "no option password"),
            (
                "PLAIN",
                "ScramLoginModule required username=a password=hunter2;",
                "PlainLoginModule",
            ),
            (
                "OAUTHBEARER",
                "OAuthBearerLoginModule required;",
                "unsecuredLoginStringClaim_sub",
            ),
            (
                "OAUTHBEARER",
                "OAuthBearerLoginModule required unsecuredLoginLifetimeSeconds=60;",
                "unsecuredLoginStringClaim_sub",
            ),
        ] {
            let error = of(mechanism, jaas).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
