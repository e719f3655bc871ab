//! Delegation tokens (KIP-48): whom a token stands for, and until when. Its secret is made of the cluster's secret and
//! the token's id, and is stored nowhere.

use serde::{Deserialize, Serialize};

use super::Image;
use crate::wire::sasl::Scram;

/// A principal as ACLs name it, in two parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Party {
    pub kind: String,
    pub name: String,
}

/// One token; times in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub id: String,
    /// Whoever logs in with it acts as this principal.
    pub owner: Party,
    /// Who asked for it.
    pub requester: Party,
    /// Who may renew and end it besides its owner.
    pub renewers: Vec<Party>,
    pub issued_ms: i64,
    /// When it ends unless it is renewed.
    pub expires_ms: i64,
    /// When it ends in any case.
    pub max_ms: i64,
}

impl Token {
    /// Whether it may be used at that time.
    pub fn holds(&self, now_ms: i64) -> bool {
        now_ms < self.expires_ms && now_ms < self.max_ms
    }

    /// Whether it is that principal's to renew and to end.
    pub fn is_of(&self, party: &Party) -> bool {
        self.owner == *party || self.requester == *party || self.renewers.contains(party)
    }
}

/// A token's secret, of the cluster's `delegation.token.secret.key`: HMAC-SHA-512 of its id.
pub fn hmac(secret: &str, id: &str) -> Vec<u8> {
    Scram::Sha512.hmac(secret.as_bytes(), id.as_bytes())
}

impl Image {
    /// The token with that secret, which tells them apart.
    pub fn token_of(&self, secret: &str, hmac_of: &[u8]) -> Option<&Token> {
        self.tokens.values().find(|token| hmac(secret, &token.id) == hmac_of)
    }
}
