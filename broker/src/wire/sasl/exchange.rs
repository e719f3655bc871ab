//! One login from the client's side: what it says first, and what it answers.

use super::scram;
use super::{Scram, Secret, Token};

/// The separator of OAUTHBEARER's messages, and the whole answer to a refusal (RFC 7628).
const CONTROL_A: u8 = 1;

/// A login in progress.
pub enum Exchange {
    /// Everything is said in the first message.
    Plain(Vec<u8>),
    Scram(Box<scram::Client>),
    Bearer(Vec<u8>),
}

impl Exchange {
    pub fn plain(user: &str, password: &Secret) -> Self {
        Self::Plain(format!("\0{user}\0{}", password.expose()).into_bytes())
    }

    pub fn scram(scram: Scram, user: &str, password: Secret) -> Result<Self, String> {
        let client = scram::Client::new(scram, user, password, scram::nonce()?);
        Ok(Self::Scram(Box::new(client)))
    }

    pub fn bearer(token: Token) -> Self {
        let mut message = format!("n,,\u{1}auth=Bearer {}", token.value.expose());
        for (key, value) in &token.extensions {
            message.push_str(&format!("\u{1}{key}={value}"));
        }
        message.push_str("\u{1}\u{1}");
        Self::Bearer(message.into_bytes())
    }

    pub fn first(&mut self) -> Vec<u8> {
        match self {
            Self::Plain(message) | Self::Bearer(message) => std::mem::take(message),
            Self::Scram(client) => client.first(),
        }
    }

    /// Answers what the server said; `None` when the login is complete.
    ///
    /// # Errors
    /// A sentence why the server is not to be believed.
    pub fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Plain(_) => Ok(None),
            Self::Bearer(_) if challenge.is_empty() => Ok(None),
            // A refusal in JSON: after this answer the server says why.
            Self::Bearer(_) => Ok(Some(vec![CONTROL_A])),
            Self::Scram(client) => client.answer(challenge),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn plain_and_bearer_say_it_all_at_once() {
        let mut plain = Exchange::plain("alice", &"pw".into());
        assert_eq!(plain.first(), b"\0alice\0pw");
        assert_eq!(plain.answer(b""), Ok(None));
        let mut bearer = Exchange::bearer(Token {
            value: "a.b.c".into(),
            extensions: BTreeMap::from([("traceId".to_owned(), "7".to_owned())]),
        });
        assert_eq!(bearer.first(), b"n,,\x01auth=Bearer a.b.c\x01traceId=7\x01\x01");
        assert_eq!(bearer.answer(b"{\"status\":\"invalid_token\"}"), Ok(Some(vec![1])));
        assert_eq!(bearer.answer(b""), Ok(None));
    }
}
