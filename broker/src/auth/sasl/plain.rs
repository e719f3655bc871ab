//! PLAIN (RFC 4616): user and password in one message, compared with those of the JAAS configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Failure, Step, Success};
use crate::auth::Principal;
use crate::wire::sasl::scram::{equal, random_bytes};
use crate::wire::sasl::{Scram, Secret};

/// As Kafka says it, for an unknown user and a wrong password alike.
const INVALID: &str = "Authentication failed: Invalid username or password";

/// The users of one listener.
pub struct Users {
    /// Passwords are compared as keyed hashes, whose lengths are equal.
    hashes: BTreeMap<String, Vec<u8>>,
    /// Of no password: what an unknown user's is compared with, to take as long.
    nobody: [u8; 32],
    key: [u8; 32],
}

impl Users {
    /// # Errors
    /// A sentence when the system has no random numbers.
    pub fn new(passwords: &BTreeMap<String, Secret>) -> Result<Self, String> {
        let key = random_bytes()?;
        let hash = |password: &Secret| Scram::Sha256.hmac(&key, password.expose().as_bytes());
        let hashes = passwords
            .iter()
            .map(|(user, password)| (user.clone(), hash(password)))
            .collect();
        Ok(Self {
            hashes,
            nobody: random_bytes()?,
            key,
        })
    }

    fn accepts(&self, user: &str, password: &str) -> bool {
        let given = Scram::Sha256.hmac(&self.key, password.as_bytes());
        equal(&given, self.hashes.get(user).map_or(&self.nobody[..], Vec::as_slice))
    }
}

pub struct Exchange {
    users: Arc<Users>,
}

impl Exchange {
    pub fn new(users: Arc<Users>) -> Self {
        Self { users }
    }

    pub fn step(&self, message: &[u8]) -> Step {
        let Ok(text) = std::str::from_utf8(message) else {
            return Failure::hidden(None, "its PLAIN message is no text");
        };
        let parts: Vec<_> = text.split('\0').collect();
        let &[authorization, user, password] = parts.as_slice() else {
            return Failure::hidden(
                None,
                format!("its PLAIN message has {} parts instead of 3", parts.len()),
            );
        };
        if user.is_empty() {
            return Failure::told(None, "Authentication failed: username not specified");
        }
        if password.is_empty() {
            return Failure::told(Some(user), "Authentication failed: password not specified");
        }
        if !self.users.accepts(user, password) {
            return Failure::told(Some(user), INVALID);
        }
        if !authorization.is_empty() && authorization != user {
            return Failure::told(
                Some(user),
                "Authentication failed: Client requested an authorization id that is different from username",
            );
        }
        Step::Success(Success {
            principal: Principal::user(user),
            token: Vec::new(),
            expires_ms: None,
            by_token: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(message: &[u8]) -> Step {
        let users = BTreeMap::from([("alice".to_owned(), Secret::from("pw"))]);
        Exchange::new(Arc::new(Users::new(&users).unwrap())).step(message)
    }

    fn said(message: &[u8]) -> Option<String> {
        match step(message) {
            Step::Failure(failure) => failure.said,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_user_with_its_password_is_itself() {
        for message in [&b"\0alice\0pw"[..], b"alice\0alice\0pw"] {
            match step(message) {
                Step::Success(success) => assert_eq!(success.principal.to_string(), "User:alice"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_unknown_user_is_answered_as_a_wrong_password() {
        assert_eq!(said(b"\0alice\0wrong").as_deref(), Some(INVALID));
        assert_eq!(said(b"\0nobody\0pw").as_deref(), Some(INVALID));
    }

    #[test]
    fn other_messages_are_refused() {
        assert_eq!(said(b"\xff\0a\0b"), None);
        assert_eq!(said(b"alice"), None);
        assert_eq!(said(b"\0alice\0pw\0more"), None);
        assert!(said(b"\0\0pw").unwrap().contains("username not specified"));
        assert!(said(b"\0alice\0").unwrap().contains("password not specified"));
        assert!(said(b"bob\0alice\0pw").unwrap().contains("authorization id"));
    }
}
