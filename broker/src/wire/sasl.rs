//! SASL as a client speaks it (RFC 4422): mechanisms, credentials, and the exchange of one login, without I/O.
//!
//! The arithmetic and the messages of SCRAM are in [`scram`], where the server side finds them too. A credential is
//! never part of a Debug output or an error.

mod exchange;
pub mod scram;
mod secret;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use futures::future::BoxFuture;

pub(super) use exchange::Exchange;
pub use scram::Scram;
pub use secret::Secret;

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mechanism {
    /// RFC 4616: the password itself; only sensible inside TLS.
    Plain,
    /// RFC 5802 with SHA-256 (RFC 7677) or SHA-512.
    Scram(Scram),
    /// RFC 7628: a token that somebody else vouches for.
    OauthBearer,
}

impl Mechanism {
    /// All that are spoken here, in the order of preference.
    pub const ALL: [Self; 4] = [
        Self::Scram(Scram::Sha512),
        Self::Scram(Scram::Sha256),
        Self::OauthBearer,
        Self::Plain,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(scram) => scram.name(),
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name() == name)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|mechanism| mechanism.name()).collect();
                format!("the SASL mechanism {name} is not supported, only {}", known.join(", "))
            })
    }
}

/// What a client logs in with.
#[derive(Clone)]
pub struct Sasl {
    mechanism: Mechanism,
    credential: Credential,
}

#[derive(Clone)]
enum Credential {
    Password { user: String, password: Secret },
    Tokens(Arc<dyn TokenSource>),
}

/// Where OAUTHBEARER tokens come from; asked at every login, so that an expired token is replaced.
pub trait TokenSource: Send + Sync {
    /// # Errors
    /// A sentence why there is none.
    fn token(&self) -> BoxFuture<'_, Result<Token, String>>;
}

/// A token of OAUTHBEARER.
#[derive(Debug, Clone)]
pub struct Token {
    pub value: Secret,
    /// SASL extensions (KIP-342), sent beside the token.
    pub extensions: BTreeMap<String, String>,
}

impl Sasl {
    pub fn plain(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::with_password(Mechanism::Plain, user, password)
    }

    pub fn scram(scram: Scram, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::with_password(Mechanism::Scram(scram), user, password)
    }

    pub fn oauth_bearer(tokens: Arc<dyn TokenSource>) -> Self {
        Self {
            mechanism: Mechanism::OauthBearer,
            credential: Credential::Tokens(tokens),
        }
    }

    fn with_password(mechanism: Mechanism, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        let credential = Credential::Password {
            user: user.into(),
            password: password.into(),
        };
        Self { mechanism, credential }
    }

    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Begins a login; asks for a token where one is needed.
    pub(super) async fn begin(&self) -> Result<Exchange, String> {
        match &self.credential {
            Credential::Tokens(tokens) => Ok(Exchange::bearer(tokens.token().await?)),
            Credential::Password { user, password } => match self.mechanism {
                Mechanism::Scram(scram) => Exchange::scram(scram, user, password.clone()),
                _ => Ok(Exchange::plain(user, password)),
            },
        }
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Sasl");
        shown.field("mechanism", &self.mechanism.name());
        if let Credential::Password { user, .. } = &self.credential {
            shown.field("user", user);
        }
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_are_named_as_in_kafka() {
        for mechanism in Mechanism::ALL {
            assert_eq!(mechanism.name().parse(), Ok(mechanism));
        }
        let error = "GSSAPI".parse::<Mechanism>().unwrap_err();
        assert!(error.contains("GSSAPI") && error.contains("SCRAM-SHA-512"), "{error}");
    }

    #[test]
    fn a_password_is_never_shown() {
        let sasl = Sasl::plain("alice", "open sesame");
        let shown = format!("{sasl:?} {:?}", Secret::from("open sesame"));
        assert!(shown.contains("alice") && !shown.contains("sesame"), "{shown}");
    }
}
