//! SCRAM's arithmetic and messages (RFC 5802, RFC 7677), for both sides.
//!
//! As in Kafka there is no channel binding, and names and passwords are UTF-8 as they are, without SASLprep.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The bounds that Kafka sets for the rounds of a credential.
pub const ITERATIONS: RangeInclusive<i32> = 4_096..=16_384;

/// A client takes no more rounds than this from a server: each costs it time.
const CLIENT_ITERATIONS_MAX: u32 = 1_000_000;

/// SCRAM with one hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scram {
    #[serde(rename = "SCRAM-SHA-256")]
    Sha256,
    #[serde(rename = "SCRAM-SHA-512")]
    Sha512,
}

/// What a server keeps of a password: enough to check it, not enough to log in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    pub stored: Vec<u8>,
    pub server: Vec<u8>,
}

impl Scram {
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// Its number in the protocol (KIP-554).
    pub fn code(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    pub fn of_code(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|scram| scram.code() == code)
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scram| scram.name() == name)
    }

    /// The length of its keys, signatures and proofs in bytes.
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Sha256 => digest::SHA256_OUTPUT_LEN,
            Self::Sha512 => digest::SHA512_OUTPUT_LEN,
        }
    }

    /// `Hi(password, salt, iterations)`: slow on purpose.
    pub fn salted_password(self, password: &str, salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut salted = vec![0; self.key_bytes()];
        pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
        salted
    }

    /// What a server keeps of a salted password.
    pub fn keys(self, salted: &[u8]) -> Keys {
        Keys {
            stored: self.hash(&self.hmac(salted, b"Client Key")),
            server: self.hmac(salted, b"Server Key"),
        }
    }

    pub fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec()
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    /// A client's proof that it knows the salted password.
    pub fn proof(self, salted: &[u8], auth_message: &[u8]) -> Vec<u8> {
        let client_key = self.hmac(salted, b"Client Key");
        let signature = self.hmac(&self.hash(&client_key), auth_message);
        xor(&client_key, &signature)
    }

    /// Whether `proof` comes from the password that `stored` was made of. Takes as long for a wrong one.
    pub fn proves(self, stored: &[u8], auth_message: &[u8], proof: &[u8]) -> bool {
        let signature = self.hmac(stored, auth_message);
        let client_key = xor(&signature, proof);
        proof.len() == self.key_bytes() && equal(&self.hash(&client_key), stored)
    }
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(a, b)| a ^ b).collect()
}

/// Compares in a time that does not depend on where two values of one length differ.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Random bytes from the system's generator.
///
/// # Errors
/// A sentence when the system has none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(bytes)
}

/// A nonce of 144 random bits in characters that no message gives a meaning.
///
/// # Errors
/// As [`random_bytes`].
pub fn nonce() -> Result<String, String> {
    Ok(STANDARD.encode(random_bytes::<18>()?))
}

/// A name as it stands in a message: comma and equals sign are written otherwise.
pub fn escaped(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The name that was escaped; `None` for an equals sign that escapes nothing.
pub fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let rest = if let Some(rest) = part.strip_prefix("3D") {
            plain.push('=');
            rest
        } else {
            plain.push(',');
            part.strip_prefix("2C")?
        };
        plain.push_str(rest);
    }
    Some(plain)
}

/// The value of an attribute like `r=`.
pub fn attribute<'a>(part: Option<&'a str>, name: &str) -> Option<&'a str> {
    part?.strip_prefix(name)?.strip_prefix('=')
}

/// Bytes from base64.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Bytes as base64.
pub fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The client's side of one exchange.
pub(in crate::wire) struct Client {
    scram: Scram,
    password: super::Secret,
    first_bare: String,
    nonce: String,
    /// The server's expected signature, once the proof was sent.
    signature: Option<Vec<u8>>,
}

/// Without channel binding, and without an authorization id.
const GS2: &str = "n,,";

impl Client {
    pub fn new(scram: Scram, user: &str, password: super::Secret, nonce: String) -> Self {
        Self {
            scram,
            password,
            first_bare: format!("n={},r={nonce}", escaped(user)),
            nonce,
            signature: None,
        }
    }

    pub fn first(&self) -> Vec<u8> {
        format!("{GS2}{}", self.first_bare).into_bytes()
    }

    /// Answers the server; `None` when it has proved itself. Takes milliseconds for the first message.
    pub fn answer(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let message = std::str::from_utf8(message).map_err(|_| "the server sends no text".to_owned())?;
        if let Some(why) = attribute(message.split(',').next(), "e") {
            return Err(format!("the server says {why}"));
        }
        match &self.signature {
            None => self.prove(message).map(Some),
            Some(expected) => {
                let sent = attribute(message.split(',').next(), "v").and_then(decoded);
                if sent.is_some_and(|sent| equal(&sent, expected)) {
                    return Ok(None);
                }
                Err("the server does not know the password either: its signature is wrong".to_owned())
            }
        }
    }

    fn prove(&mut self, server_first: &str) -> Result<Vec<u8>, String> {
        let bad = |what: &str| format!("the server's first SCRAM message has no valid {what}");
        let mut parts = server_first.split(',');
        let nonce = attribute(parts.next(), "r").ok_or_else(|| bad("nonce"))?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(bad("nonce"));
        }
        let salt = attribute(parts.next(), "s").and_then(decoded);
        let salt = salt.ok_or_else(|| bad("salt"))?;
        let iterations = attribute(parts.next(), "i").and_then(|text| text.parse::<NonZeroU32>().ok());
        let iterations = iterations.ok_or_else(|| bad("number of iterations"))?;
        if iterations.get() > CLIENT_ITERATIONS_MAX {
            return Err(format!(
                "the server asks for {iterations} iterations; more than {CLIENT_ITERATIONS_MAX} are refused"
            ));
        }
        let salted = self.scram.salted_password(self.password.expose(), &salt, iterations);
        let without_proof = format!("c={},r={nonce}", encoded(GS2.as_bytes()));
        let auth_message = format!("{},{server_first},{without_proof}", self.first_bare);
        let proof = self.scram.proof(&salted, auth_message.as_bytes());
        let server_key = self.scram.keys(&salted).server;
        self.signature = Some(self.scram.hmac(&server_key, auth_message.as_bytes()));
        Ok(format!("{without_proof},p={}", encoded(&proof)).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(scram: Scram, nonce: &str) -> Client {
        Client::new(scram, "user", "pencil".into(), nonce.to_owned())
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_example_of_rfc_7677_holds() {
        let mut client = client(Scram::Sha256, "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(text(client.first()), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server_first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(
            text(client.answer(server_first.as_bytes()).unwrap().unwrap()),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let server_final = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(client.answer(server_final), Ok(None));
    }

    #[test]
    fn the_servers_keys_check_the_clients_proof() {
        for scram in Scram::ALL {
            let salted = scram.salted_password("pencil", b"salt", NonZeroU32::new(4096).unwrap());
            let keys = scram.keys(&salted);
            let proof = scram.proof(&salted, b"message");
            assert!(scram.proves(&keys.stored, b"message", &proof));
            assert!(!scram.proves(&keys.stored, b"another message", &proof));
            assert!(!scram.proves(&keys.stored, b"message", &proof[1..]));
            assert!(!scram.proves(&keys.stored, b"message", &[]));
        }
    }

    #[test]
    fn sha_512_keys_are_those_of_another_implementation() {
        // Computed with Python's hashlib.pbkdf2_hmac and hmac.
        let salted = Scram::Sha512.salted_password("pencil", b"saltSALTsalt", NonZeroU32::new(4096).unwrap());
        let keys = Scram::Sha512.keys(&salted);
        assert_eq!(
            encoded(&keys.stored),
            "TY9WfxRrLJp2jXYJiBaAlWHVki6qbkQss258f+vEIhROEfmtAPnE+avOpbOabDGqigJP5S4/BXsDkyGMqhKoLw=="
        );
        assert_eq!(
            encoded(&keys.server),
            "6GbP2NR37AIW4AfdGy3Ybv2CunGFnEqibwgjV9B5M9RdRjOSfMXdXvmIca4NTIGmipTn1M7t+h1MFt6UUxCoDQ=="
        );
    }

    #[test]
    fn a_server_that_cannot_sign_or_changes_the_nonce_is_refused() {
        let mut one = client(Scram::Sha256, "abc");
        assert!(
            one.answer(b"r=abc,s=c2FsdA==,i=4096").is_err(),
            "adds nothing to the nonce"
        );
        assert!(one.answer(b"r=xyzabc,s=c2FsdA==,i=4096").is_err());
        assert!(one.answer(b"r=abcd,s=c2FsdA==,i=0").is_err());
        assert!(one.answer(b"r=abcd,s=c2FsdA==,i=4000000000").is_err());
        assert!(one.answer(b"e=other-error").unwrap_err().contains("other-error"));
        assert!(one.answer(b"\xff").is_err());
        one.answer(b"r=abcd,s=c2FsdA==,i=4096").unwrap().unwrap();
        let error = one.answer(b"v=AAAA").unwrap_err();
        assert!(error.contains("signature"), "{error}");
    }

    #[test]
    fn names_are_escaped_and_back() {
        for name in ["plain", "a,b=c", "=", ",", "=2C"] {
            assert_eq!(unescaped(&escaped(name)).as_deref(), Some(name));
        }
        assert_eq!(unescaped("a=b"), None);
    }
}
