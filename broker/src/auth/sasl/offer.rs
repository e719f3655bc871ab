//! What one listener offers: its mechanisms, who may log in with them, and for how long.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::bearer::{Signed, Unsecured, Validator};
use super::jaas::{self, Entry};
use super::jwks::{Jwks, Location, Source};
use super::plain::Users;
use super::{Exchange, bearer, plain, scram};
use crate::image::property::{Invalid, broker_property};
use crate::wire::sasl::{Mechanism, Scram, Secret};

/// A property of the listener: with its prefix if that is set, else without.
pub type Get<'a> = &'a dyn Fn(&str) -> Option<String>;

const MECHANISMS: &str = "sasl.enabled.mechanisms";
const REAUTHENTICATION: &str = "connections.max.reauth.ms";
const HANDLER: &str = "sasl.server.callback.handler.class";
const JWKS_URL: &str = "sasl.oauthbearer.jwks.endpoint.url";
const UNSECURED_HANDLER: &str = "OAuthBearerUnsecuredValidatorCallbackHandler";
const SIGNED_HANDLER: &str = "OAuthBearerValidatorCallbackHandler";

/// What a listener lets clients log in with.
pub struct Offer {
    mechanisms: Vec<Offered>,
    /// `sasl.server.max.receive.size`: the longest request before the end of a login, in bytes.
    pub receive_bytes: usize,
    /// `connection.failed.authentication.delay.ms`: how long a failure is held back.
    pub failure_delay: Duration,
    /// `delegation.token.secret.key`
    tokens: Option<Secret>,
}

struct Offered {
    mechanism: Mechanism,
    verifier: Verifier,
    /// `connections.max.reauth.ms`
    session: Option<Duration>,
}

enum Verifier {
    Plain(Arc<Users>),
    Scram(Scram),
    Bearer(Arc<Validator>),
}

impl Offer {
    /// Reads the properties of `listener`.
    ///
    /// # Errors
    /// A sentence with the key that is missing or wrong, and never with a password.
    pub fn new(listener: &str, get: Get<'_>) -> Result<Self, Invalid> {
        for key in ["sasl.jaas.config", HANDLER] {
            if get(key).is_some() {
                return Err(Invalid(format!(
                    "{key} has to name its mechanism: write listener.name.{}.MECHANISM.{key}.",
                    listener.to_ascii_lowercase()
                )));
            }
        }
        let names = get(MECHANISMS).unwrap_or_else(|| "GSSAPI".to_owned());
        let mut mechanisms: Vec<Offered> = Vec::new();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let mechanism: Mechanism = name
                .parse()
                .map_err(|why| Invalid(format!("{MECHANISMS} of the listener {listener}: {why}.")))?;
            if mechanisms.iter().any(|offered| offered.mechanism == mechanism) {
                continue;
            }
            let session: i64 = number(&format!("{}.{REAUTHENTICATION}", name.to_ascii_lowercase()), get)?
                .map_or_else(|| required(REAUTHENTICATION, get), Ok)?;
            mechanisms.push(Offered {
                mechanism,
                verifier: verifier(listener, mechanism, get)?,
                session: u64::try_from(session)
                    .ok()
                    .filter(|ms| *ms > 0)
                    .map(Duration::from_millis),
            });
        }
        if mechanisms.is_empty() {
            return Err(Invalid(format!(
                "{MECHANISMS} of the listener {listener} is empty; nobody could log in."
            )));
        }
        Ok(Self {
            mechanisms,
            receive_bytes: required("sasl.server.max.receive.size", get)?,
            tokens: get("delegation.token.secret.key")
                .filter(|secret| !secret.is_empty())
                .map(Secret::from),
            failure_delay: Duration::from_millis(required("connection.failed.authentication.delay.ms", get)?),
        })
    }

    /// The names of the mechanisms, in the order of the property.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.mechanisms.iter().map(|offered| offered.mechanism.name())
    }

    /// The mechanism of that name, if it is offered.
    pub fn mechanism(&self, name: &str) -> Option<Mechanism> {
        let mut offered = self.mechanisms.iter().map(|offered| offered.mechanism);
        offered.find(|mechanism| mechanism.name() == name)
    }

    /// Begins a login; `None` for a mechanism that is not offered.
    pub fn begin(&self, mechanism: Mechanism) -> Option<Exchange> {
        Some(match &self.of(mechanism)?.verifier {
            Verifier::Plain(users) => Exchange::Plain(plain::Exchange::new(Arc::clone(users))),
            Verifier::Scram(scram) => Exchange::Scram(scram::Exchange::new(*scram, self.tokens.clone())),
            Verifier::Bearer(validator) => Exchange::Bearer(bearer::Exchange::new(Arc::clone(validator))),
        })
    }

    /// For how long a login holds (KIP-368); `None` is for ever.
    pub fn session(&self, mechanism: Mechanism) -> Option<Duration> {
        self.of(mechanism)?.session
    }

    /// The key sets that have to be kept fresh with [`Jwks::run`].
    pub fn jwks(&self) -> impl Iterator<Item = Arc<Jwks>> {
        self.mechanisms.iter().filter_map(|offered| match &offered.verifier {
            Verifier::Bearer(validator) => match &**validator {
                Validator::Signed(signed) => Some(Arc::clone(&signed.jwks)),
                Validator::Unsecured(_) => None,
            },
            _ => None,
        })
    }

    fn of(&self, mechanism: Mechanism) -> Option<&Offered> {
        self.mechanisms.iter().find(|offered| offered.mechanism == mechanism)
    }
}

/// The JAAS line of one mechanism on one listener, and the name of its property.
pub(super) fn entry(listener: &str, mechanism: Mechanism, get: Get<'_>) -> Result<(String, Option<Entry>), Invalid> {
    let short = format!("{}.sasl.jaas.config", mechanism.name().to_ascii_lowercase());
    let key = format!("listener.name.{}.{short}", listener.to_ascii_lowercase());
    let Some(text) = get(&short) else {
        return Ok((key, None));
    };
    let entry = jaas::parse(&text).map_err(|why| Invalid(format!("{key} cannot be read: {why}.")))?;
    let module = match mechanism {
        Mechanism::Plain => "PlainLoginModule",
        Mechanism::Scram(_) => "ScramLoginModule",
        Mechanism::OauthBearer => "OAuthBearerLoginModule",
    };
    if entry.module != module {
        return Err(Invalid(format!(
            "{key} names another login module than {module}, which {mechanism} needs."
        )));
    }
    Ok((key, Some(entry)))
}

fn verifier(listener: &str, mechanism: Mechanism, get: Get<'_>) -> Result<Verifier, Invalid> {
    let (key, entry) = entry(listener, mechanism, get)?;
    match mechanism {
        Mechanism::Scram(scram) => Ok(Verifier::Scram(scram)),
        Mechanism::Plain => {
            let Some(entry) = entry else {
                return Err(Invalid(format!(
                    "{key} is not set; PLAIN needs it, with an option user_NAME=\"password\" for each user."
                )));
            };
            let users: BTreeMap<String, Secret> = entry
                .options_after("user_")
                .map(|(name, password)| (name.to_owned(), password.clone()))
                .collect();
            let users = Users::new(&users).map_err(|why| Invalid(format!("{key}: {why}.")))?;
            Ok(Verifier::Plain(Arc::new(users)))
        }
        Mechanism::OauthBearer => {
            validator(&key, entry.as_ref(), get).map(|validator| Verifier::Bearer(Arc::new(validator)))
        }
    }
}

/// Tokens are checked with keys where there is a URL for them. Unsecured ones are taken only if the class or an option
/// of Kafka's unsecured validator is named.
fn validator(key: &str, entry: Option<&Entry>, get: Get<'_>) -> Result<Validator, Invalid> {
    let handler = get(&format!("oauthbearer.{HANDLER}"));
    let class = handler
        .as_deref()
        .map(|class| class.rsplit('.').next().unwrap_or_default());
    if !matches!(class, None | Some(UNSECURED_HANDLER | SIGNED_HANDLER)) {
        return Err(Invalid(format!(
            "oauthbearer.{HANDLER} is no class that is known here, only {SIGNED_HANDLER} and {UNSECURED_HANDLER} are."
        )));
    }
    match get(JWKS_URL) {
        Some(url) if class != Some(UNSECURED_HANDLER) => signed(&url, entry, get).map(Validator::Signed),
        Some(_) => Err(Invalid(format!(
            "{JWKS_URL} is set, and the {UNSECURED_HANDLER} too, which would not look at it; remove one of them."
        ))),
        None => {
            let asked = class == Some(UNSECURED_HANDLER)
                || entry.is_some_and(|entry| entry.options_after("unsecured").next().is_some());
            if !asked {
                return Err(Invalid(format!(
                    "OAUTHBEARER needs {JWKS_URL}. For tests without signatures name \
                     org.apache.kafka.common.security.oauthbearer.internals.unsecured.{UNSECURED_HANDLER} as \
                     oauthbearer.{HANDLER}, or give {key} an unsecuredValidator option."
                )));
            }
            unsecured(key, entry).map(Validator::Unsecured)
        }
    }
}

fn signed(url: &str, entry: Option<&Entry>, get: Get<'_>) -> Result<Signed, Invalid> {
    let millis = |key: &str| required(key, get).map(Duration::from_millis);
    let text = |key: &str| get(key).or_else(|| default_of(key)).filter(|text| !text.is_empty());
    // As in Kafka, what the URL's server is trusted by is in the JAAS options, not in the listener's own properties.
    let ssl = |key: &str| entry?.option(key).map(str::to_owned);
    let skew: i64 = required("sasl.oauthbearer.clock.skew.seconds", get)?;
    Ok(Signed {
        jwks: Arc::new(Jwks::new(Source {
            location: Location::parse(url, ssl).map_err(|why| Invalid(format!("{JWKS_URL}: {why}.")))?,
            refresh: millis("sasl.oauthbearer.jwks.endpoint.refresh.ms")?,
            backoff: millis("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms")?,
            backoff_max: millis("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms")?,
        })),
        audiences: text("sasl.oauthbearer.expected.audience")
            .map(|list| list.split(',').map(|item| item.trim().to_owned()).collect())
            .unwrap_or_default(),
        issuer: text("sasl.oauthbearer.expected.issuer"),
        principal_claim: text("sasl.oauthbearer.sub.claim.name").unwrap_or_else(|| "sub".to_owned()),
        scope_claim: text("sasl.oauthbearer.scope.claim.name").unwrap_or_else(|| "scope".to_owned()),
        clock_skew_ms: skew.saturating_mul(1000),
    })
}

fn unsecured(key: &str, entry: Option<&Entry>) -> Result<Unsecured, Invalid> {
    let option = |name: &str| {
        let value = entry?.option(&format!("unsecuredValidator{name}"))?.trim();
        Some(value.to_owned()).filter(|value| !value.is_empty())
    };
    let clock_skew_ms = match option("AllowableClockSkewMs") {
        None => 0,
        Some(text) => text.parse::<u32>().map(i64::from).map_err(|_| {
            Invalid(format!(
                "{key}: unsecuredValidatorAllowableClockSkewMs is no whole number of at least 0."
            ))
        })?,
    };
    Ok(Unsecured {
        principal_claim: option("PrincipalClaimName").unwrap_or_else(|| "sub".to_owned()),
        scope_claim: option("ScopeClaimName").unwrap_or_else(|| "scope".to_owned()),
        required_scope: option("RequiredScope")
            .map(|words| words.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        clock_skew_ms,
    })
}

fn default_of(key: &str) -> Option<String> {
    broker_property(key)?.default.map(str::to_owned)
}

fn required<T: FromStr>(key: &str, get: Get<'_>) -> Result<T, Invalid> {
    let text = get(key).or_else(|| default_of(key)).unwrap_or_default();
    text.trim().parse().map_err(|_| {
        Invalid(format!(
            "Invalid value {text} for configuration {key}: must be a whole number."
        ))
    })
}

fn number<T: FromStr>(key: &str, get: Get<'_>) -> Result<Option<T>, Invalid> {
    get(key).map(|_| required(key, get)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(properties: &[(&str, &str)]) -> Result<Offer, Invalid> {
        let get = |key: &str| {
            let found = properties.iter().find(|(name, _)| *name == key);
            found.map(|(_, value)| (*value).to_owned())
        };
        Offer::new("CLIENTS", &get)
    }

    fn refused(properties: &[(&str, &str)]) -> String {
        match offer(properties) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("taken: {properties:?}"),
        }
    }

    #[test]
    fn each_mechanism_has_what_it_needs() {
        let offer = offer(&[
            (MECHANISMS, "PLAIN, SCRAM-SHA-512,OAUTHBEARER"),
            ("plain.sasl.jaas.config", "PlainLoginModule required user_alice=pw;"),
            (
                "oauthbearer.sasl.jaas.config",
                "OAuthBearerLoginModule required unsecuredValidatorAllowableClockSkewMs=1;",
            ),
            (REAUTHENTICATION, "2000"),
            ("plain.connections.max.reauth.ms", "0"),
        ])
        .unwrap();
        assert_eq!(
            offer.names().collect::<Vec<_>>(),
            ["PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"]
        );
        assert_eq!(offer.receive_bytes, 524_288);
        let scram = offer.mechanism("SCRAM-SHA-512").unwrap();
        assert_eq!(offer.session(scram), Some(Duration::from_secs(2)));
        assert_eq!(offer.session(Mechanism::Plain), None);
        assert!(offer.mechanism("SCRAM-SHA-256").is_none());
        assert!(offer.begin(Mechanism::Plain).is_some() && offer.begin(Mechanism::Scram(Scram::Sha256)).is_none());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_without_its_value() {
        let plain = [(MECHANISMS, "PLAIN")];
        assert!(refused(&[]).contains("GSSAPI"));
        assert!(refused(&[(MECHANISMS, " ")]).contains("nobody could log in"));
        assert!(refused(&[("sasl.jaas.config", "hunter2")]).contains("clients.MECHANISM.sasl.jaas.config"));
        assert!(refused(&plain).contains("listener.name.clients.plain.sasl.jaas.config is not set"));
        let jaas = |text: &'static str| [plain[0], ("plain.sasl.jaas.config", text)];
        let error = refused(&jaas("PlainLoginModule required user_a=hunter2"));
        assert!(
            error.contains("listener.name.clients.plain.sasl.jaas.config") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(refused(&jaas("ScramLoginModule required;")).contains("PlainLoginModule"));
        assert!(refused(&[(MECHANISMS, "SCRAM-SHA-256"), (REAUTHENTICATION, "soon")]).contains(REAUTHENTICATION));
    }

    #[test]
    fn unsecured_tokens_are_taken_only_when_that_is_said() {
        let bearer = (MECHANISMS, "OAUTHBEARER");
        let jaas = ("oauthbearer.sasl.jaas.config", "OAuthBearerLoginModule required;");
        let class = "org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler";
        let handler = ("oauthbearer.sasl.server.callback.handler.class", class);
        let url = (JWKS_URL, "https://localhost/keys");
        assert!(refused(&[bearer, jaas]).contains(JWKS_URL));
        assert!(refused(&[bearer, handler, url]).contains("remove one"));
        assert!(refused(&[bearer, (handler.0, "com.example.Mine")]).contains("no class"));
        assert!(refused(&[bearer, (JWKS_URL, "ftp://x")]).contains("ftp://x"));
        assert_eq!(offer(&[bearer, handler]).unwrap().jwks().count(), 0);
        assert_eq!(offer(&[bearer, url]).unwrap().jwks().count(), 1);
    }
}
