//! Users' SCRAM credentials: AlterUserScramCredentials (51, KIP-554), and the first users of a new cluster (KIP-900).
//!
//! A password is never here: a client sends what PBKDF2 made of it, and only the keys made of that are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Ask, Decide, Decision, State};
use crate::image::{Image, Record, ScramCredential};
use crate::wire::sasl::Scram;
use crate::wire::sasl::scram::{ITERATIONS, decoded, random_bytes};

/// The longest salt that is taken, in bytes.
const SALT_BYTES: usize = 1_024;

type Refusal = (ErrorCode, &'static str);

impl Decide for AlterUserScramCredentialsRequest {
    type Response = AlterUserScramCredentialsResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<AlterUserScramCredentialsResponse> {
        let twice = repeated(&self);
        let mut records = Vec::new();
        let mut results = Vec::new();
        let mut answered = BTreeSet::new();
        let deletions = self
            .deletions
            .iter()
            .map(|asked| (&asked.name, delete(&state.image, asked)));
        let upsertions = self.upsertions.iter().map(|asked| (&asked.name, upsert(asked)));
        for (user, outcome) in deletions.chain(upsertions) {
            if !answered.insert(user.clone()) {
                continue;
            }
            let outcome = match twice.contains(user) {
                true => Err((
                    ErrorCode::DuplicateResource,
                    "A user credential cannot be altered twice in the same request",
                )),
                false => outcome,
            };
            let mut result = AlterUserScramCredentialsResult::default().with_user(user.clone());
            match outcome {
                Ok(record) => records.push(record),
                Err((code, why)) => {
                    result.error_code = code.code();
                    result.error_message = Some(StrBytes::from_static_str(why));
                }
            }
            results.push(result);
        }
        Decision {
            records,
            response: AlterUserScramCredentialsResponse::default().with_results(results),
        }
    }
}

/// The users that are named more than once; for Kafka that is an error even with two mechanisms.
fn repeated(request: &AlterUserScramCredentialsRequest) -> BTreeSet<StrBytes> {
    let deleted = request.deletions.iter().map(|asked| &asked.name);
    let names = deleted.chain(request.upsertions.iter().map(|asked| &asked.name));
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).cloned().collect()
}

fn delete(image: &Image, asked: &ScramCredentialDeletion) -> Result<Record, Refusal> {
    let scram = checked(&asked.name, asked.mechanism)?;
    if image.scram_credential(&asked.name, scram).is_none() {
        return Err((
            ErrorCode::ResourceNotFound,
            "Attempt to delete a user credential that does not exist",
        ));
    }
    Ok(Record::Scram {
        user: asked.name.to_string(),
        mechanism: scram,
        credential: None,
    })
}

fn upsert(asked: &ScramCredentialUpsertion) -> Result<Record, Refusal> {
    let unacceptable = |why| Err((ErrorCode::UnacceptableCredential, why));
    let scram = checked(&asked.name, asked.mechanism)?;
    if asked.iterations < *ITERATIONS.start() {
        return unacceptable("Too few iterations");
    }
    if asked.iterations > *ITERATIONS.end() {
        return unacceptable("Too many iterations");
    }
    if asked.salt.is_empty() || asked.salt.len() > SALT_BYTES {
        return unacceptable("The salt must have between 1 and 1024 bytes");
    }
    if asked.salted_password.is_empty() {
        return unacceptable("The salted password must not be empty");
    }
    Ok(record(
        asked.name.to_string(),
        scram,
        asked.salt.to_vec(),
        asked.iterations,
        &asked.salted_password,
    ))
}

fn checked(user: &str, mechanism: i8) -> Result<Scram, Refusal> {
    if user.is_empty() {
        return Err((ErrorCode::UnacceptableCredential, "Username must not be empty"));
    }
    Scram::of_code(mechanism).ok_or((ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism"))
}

fn record(user: String, scram: Scram, salt: Vec<u8>, iterations: i32, salted_password: &[u8]) -> Record {
    let keys = scram.keys(salted_password);
    Record::Scram {
        user,
        mechanism: scram,
        credential: Some(ScramCredential {
            salt,
            stored_key: keys.stored,
            server_key: keys.server,
            iterations,
        }),
    }
}

/// A user to add when a controller starts, as `kafka-storage format --add-scram` takes one.
#[derive(Clone, PartialEq)]
pub struct NewUser {
    user: String,
    scram: Scram,
    record: Record,
}

impl NewUser {
    /// Reads `SCRAM-SHA-512=[name=alice,password=secret]`, with `iterations`, `salt` and `saltedpassword` if wanted.
    ///
    /// # Errors
    /// A sentence that repeats no value but the mechanism's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mechanism, rest) = text.trim().split_once('=').ok_or_else(|| {
            "it has no equals sign; it has to be like SCRAM-SHA-512=[name=alice,password=secret]".to_owned()
        })?;
        let scram = Scram::of_name(mechanism).ok_or_else(|| {
            format!("the mechanism {mechanism} is not supported, only SCRAM-SHA-256 and SCRAM-SHA-512")
        })?;
        let inner = rest
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .ok_or_else(|| format!("after {mechanism}= there has to be a list in square brackets"))?;
        Self::of(scram, inner)
    }

    fn of(scram: Scram, inner: &str) -> Result<Self, String> {
        let mut parts = BTreeMap::new();
        for part in inner.split(',') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| "a part of the list has no equals sign".to_owned())?;
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            parts.insert(key.trim(), bare.unwrap_or(value));
        }
        let bytes = |key: &str, value: &str| decoded(value).ok_or_else(|| format!("{key} is no base64"));
        let user = parts.remove("name").filter(|name| !name.is_empty());
        let user = user.ok_or_else(|| "it has no name".to_owned())?.to_owned();
        let salt = parts.remove("salt").map(|salt| bytes("salt", salt)).transpose()?;
        let iterations = match parts.remove("iterations") {
            None => *ITERATIONS.start(),
            Some(text) => text.parse().unwrap_or(0),
        };
        if !ITERATIONS.contains(&iterations) {
            return Err(format!(
                "iterations has to be a whole number between {} and {}",
                ITERATIONS.start(),
                ITERATIONS.end()
            ));
        }
        let password = parts.remove("password");
        let salted = parts.remove("saltedpassword");
        if let Some(unknown) = parts.keys().next() {
            return Err(format!("there is no option {unknown}"));
        }
        let (salt, salted) = match (password, salted, salt) {
            (Some(password), _, salt) => {
                let salt = salt.map_or_else(|| random_bytes::<24>().map(Vec::from), Ok)?;
                let rounds = u32::try_from(iterations)
                    .ok()
                    .and_then(NonZeroU32::new)
                    .unwrap_or(NonZeroU32::MIN);
                let salted = scram.salted_password(password, &salt, rounds);
                (salt, salted)
            }
            (None, Some(salted), Some(salt)) => (salt, bytes("saltedpassword", salted)?),
            (None, Some(_), None) => return Err("saltedpassword needs its salt".to_owned()),
            (None, None, _) => return Err("it has neither password nor saltedpassword".to_owned()),
        };
        Ok(Self {
            record: record(user.clone(), scram, salt, iterations, &salted),
            user,
            scram,
        })
    }
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewUser({} {})", self.user, self.scram.name())
    }
}

/// The records of those users that have no such credential. What somebody changed since is left as it is.
pub(super) fn missing(image: &Image, users: Vec<NewUser>) -> Vec<Record> {
    let mut records = Vec::new();
    for new in users {
        if image.scram_credential(&new.user, new.scram).is_some() {
            tracing::info!(
                "the user {} has a {} credential, which is left as it is",
                new.user,
                new.scram.name()
            );
        } else {
            records.push(new.record);
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sasl::scram::encoded;

    #[test]
    fn kafkas_form_of_a_new_user_is_read() {
        let new =
            NewUser::parse("SCRAM-SHA-256=[name=alice,password=\"pencil\",iterations=8192,salt=\"c2FsdA==\"]").unwrap();
        let salted = Scram::Sha256.salted_password("pencil", b"salt", NonZeroU32::new(8192).unwrap());
        let keys = Scram::Sha256.keys(&salted);
        match &new.record {
            Record::Scram {
                user,
                mechanism: Scram::Sha256,
                credential: Some(credential),
            } => {
                assert_eq!(user, "alice");
                assert_eq!((credential.iterations, &credential.salt[..]), (8192, &b"salt"[..]));
                assert!(credential.stored_key == keys.stored && credential.server_key == keys.server);
            }
            other => panic!("{other:?}"),
        }
        assert!(!format!("{new:?}").contains("pencil"));
        let salted = NewUser::parse(&format!(
            "SCRAM-SHA-256=[name=alice,saltedpassword={},iterations=8192,salt=c2FsdA==]",
            encoded(&salted)
        ));
        assert!(salted.unwrap() == new);
    }

    #[test]
    fn an_error_says_what_is_wrong_without_the_password() {
        for (text, what) in [
            ("hunter2", "equals sign"),
            ("PLAIN=[name=a,password=hunter2]", "PLAIN is not supported"),
            ("SCRAM-SHA-256=name=a,password=hunter2", "square brackets"),
            ("SCRAM-SHA-256=[password=hunter2]", "no name"),
            ("SCRAM-SHA-256=[name=a,hunter2]", "no equals sign"),
            ("SCRAM-SHA-256=[name=a]", "neither password"),
            ("SCRAM-SHA-256=[name=a,saltedpassword=hunter2]", "salt"),
            (
                "SCRAM-SHA-256=[name=a,password=hunter2,iterations=100]",
                "between 4096 and 16384",
            ),
            ("SCRAM-SHA-256=[name=a,password=hunter2,colour=red]", "no option colour"),
            ("SCRAM-SHA-256=[name=a,password=hunter2,salt=?]", "base64"),
        ] {
            let error = NewUser::parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
