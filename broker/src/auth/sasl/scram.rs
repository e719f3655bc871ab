//! SCRAM (RFC 5802): the client proves that it knows a password that this side does not know.
//!
//! A user without a credential gets a salt too, always the same one, and fails at the end, as with a wrong password.
//! With Kafka's `tokenauth` extension (KIP-48) the user is a delegation token and the password its secret, and it is the
//! token's owner who logs in.

use std::num::NonZeroU32;
use std::sync::LazyLock;

use super::{Failure, Step, Success};
use crate::auth::Principal;
use crate::image::{Image, ScramCredential, token};
use crate::wire::sasl::scram::{self, attribute, decoded, encoded, escaped, unescaped};
use crate::wire::sasl::{Scram, Secret};

/// What a made-up credential looks like where there is no real one to imitate.
const SALT_BYTES: usize = 26;
const ITERATIONS: i32 = 4_096;

/// confluentinc/librdkafka#4895. Kafka 3.8.1 and 3.9 let it pass; the RFC does not.
const DOUBLED: &str = "its last SCRAM message repeats its own nonce, as librdkafka before 2.6.1 does, which Kafka 4 \
    refuses too; upgrade the client";

pub struct Exchange {
    scram: Scram,
    /// `delegation.token.secret.key`; without it there are no tokens.
    tokens: Option<Secret>,
    state: State,
}

enum State {
    First,
    Final(Box<Proof>),
    Over,
}

/// What the client's last message is checked against.
struct Proof {
    user: String,
    /// Not of a user that has one.
    made_up: bool,
    /// Of a token: its owner, and when it ends.
    token: Option<(Principal, i64)>,
    credential: ScramCredential,
    gs2: String,
    first_bare: String,
    server_first: String,
    nonce: String,
}

/// The parts of a client's first message.
struct ClientFirst<'a> {
    /// The header with its commas.
    gs2: &'a str,
    authorization: &'a str,
    bare: &'a str,
    user: String,
    nonce: &'a str,
    token: bool,
}

impl Exchange {
    pub fn new(scram: Scram, tokens: Option<Secret>) -> Self {
        Self {
            scram,
            tokens,
            state: State::First,
        }
    }

    pub fn step(&mut self, message: &[u8], image: &Image, now_ms: i64) -> Step {
        let Ok(text) = std::str::from_utf8(message) else {
            return Failure::hidden(None, "its SCRAM message is no text");
        };
        match std::mem::replace(&mut self.state, State::Over) {
            State::First => self.challenge(text, image, now_ms),
            State::Final(proof) => proof.check(self.scram, text),
            State::Over => Failure::hidden(None, "it goes on after the end of its SCRAM exchange"),
        }
    }

    fn challenge(&mut self, text: &str, image: &Image, now_ms: i64) -> Step {
        let Some(first) = ClientFirst::parse(text) else {
            return Failure::hidden(None, "its first SCRAM message cannot be read");
        };
        let user = Some(first.user.as_str());
        if !first.authorization.is_empty() && first.authorization != escaped(&first.user) {
            return Failure::told(
                user,
                "Authentication failed: Client requested an authorization id that is different from username",
            );
        }
        let nonce = match scram::nonce() {
            Ok(nonce) => format!("{}{nonce}", first.nonce),
            Err(why) => return Failure::hidden(user, why),
        };
        // Made for every user, so that each takes as long.
        let imitation = imitation(image, self.scram, &first.user);
        let (known, token) = match first.token {
            true => match self.of_token(image, &first.user, now_ms) {
                Some((credential, owner, ends)) => (Some(credential), Some((owner, ends))),
                None => (None, None),
            },
            false => (image.scram_credential(&first.user, self.scram).cloned(), None),
        };
        let made_up = known.is_none();
        let credential = known.unwrap_or(imitation);
        let server_first = format!("r={nonce},s={},i={}", encoded(&credential.salt), credential.iterations);
        self.state = State::Final(Box::new(Proof {
            gs2: first.gs2.to_owned(),
            first_bare: first.bare.to_owned(),
            user: first.user,
            made_up,
            token,
            credential,
            server_first: server_first.clone(),
            nonce,
        }));
        Step::Challenge(server_first.into_bytes())
    }

    /// The credential of a token that holds, which is made anew for every login: with its owner and its end.
    fn of_token(&self, image: &Image, id: &str, now_ms: i64) -> Option<(ScramCredential, Principal, i64)> {
        let secret = self.tokens.as_ref()?;
        let token = image.tokens.get(id).filter(|token| token.holds(now_ms))?;
        let salt = scram::random_bytes::<SALT_BYTES>().ok()?.to_vec();
        let password = encoded(&token::hmac(secret.expose(), id));
        let salted = self
            .scram
            .salted_password(&password, &salt, NonZeroU32::new(ITERATIONS.unsigned_abs())?);
        let keys = self.scram.keys(&salted);
        let credential = ScramCredential {
            salt,
            stored_key: keys.stored,
            server_key: keys.server,
            iterations: ITERATIONS,
        };
        let owner = Principal {
            kind: token.owner.kind.clone(),
            name: token.owner.name.clone(),
        };
        Some((credential, owner, token.expires_ms))
    }
}

impl<'a> ClientFirst<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(3, ',');
        // `p=` would be channel binding, which is not offered.
        let flag = parts.next().filter(|flag| matches!(*flag, "n" | "y"))?;
        let authorization = parts.next()?;
        let bare = parts.next()?;
        let mut fields = bare.split(',');
        // A mandatory extension (`m=`) is none that is known here.
        let user = unescaped(attribute(fields.next(), "n")?).filter(|user| !user.is_empty())?;
        let nonce = attribute(fields.next(), "r").filter(|nonce| !nonce.is_empty())?;
        Some(Self {
            gs2: &text[..flag.len() + authorization.len() + 2],
            authorization: match authorization {
                "" => "",
                named => attribute(Some(named), "a")?,
            },
            bare,
            user,
            nonce,
            token: fields.any(|field| field.eq_ignore_ascii_case("tokenauth=true")),
        })
    }
}

impl Proof {
    /// Whether the client put its own part before the whole nonce once more.
    fn is_doubled(&self, nonce: &str) -> bool {
        let before = nonce.strip_suffix(&self.nonce);
        before.is_some_and(|before| self.nonce.starts_with(before))
    }

    fn check(&self, scram: Scram, text: &str) -> Step {
        let user = Some(self.user.as_str());
        let Some((without_proof, proof)) = text.rsplit_once(",p=") else {
            return Failure::hidden(user, "its last SCRAM message has no proof");
        };
        let mut fields = without_proof.split(',');
        let binding = attribute(fields.next(), "c").and_then(decoded);
        if binding.as_deref() != Some(self.gs2.as_bytes()) {
            return Failure::hidden(user, "its last SCRAM message repeats another header than its first");
        }
        match attribute(fields.next(), "r") {
            Some(nonce) if nonce == self.nonce => {}
            Some(nonce) if self.is_doubled(nonce) => return Failure::hidden(user, DOUBLED),
            _ => return Failure::hidden(user, "its last SCRAM message has another nonce"),
        }
        let proof = decoded(proof).unwrap_or_default();
        let message = format!("{},{},{without_proof}", self.first_bare, self.server_first);
        let proven = scram.proves(&self.credential.stored_key, message.as_bytes(), &proof);
        // Made for every outcome, so that each takes as long.
        let signature = scram.hmac(&self.credential.server_key, message.as_bytes());
        if self.made_up {
            return Failure::hidden(user, format!("there is no {} credential of that user", scram.name()));
        }
        if !proven {
            return Failure::hidden(user, "wrong password");
        }
        Step::Success(Success {
            by_token: self.token.is_some(),
            expires_ms: self.token.as_ref().map(|(_, ends)| *ends),
            principal: match &self.token {
                Some((owner, _)) => owner.clone(),
                None => Principal::user(&self.user),
            },
            token: format!("v={}", encoded(&signature)).into_bytes(),
        })
    }
}

/// A credential for a user that has none: it looks like the others and is the same on every node.
fn imitation(image: &Image, scram: Scram, user: &str) -> ScramCredential {
    /// For a cluster without credentials.
    static SECRET: LazyLock<[u8; 32]> = LazyLock::new(|| scram::random_bytes().unwrap_or_default());
    let model = image.scram_credentials().find(|(_, of, _)| *of == scram);
    let (secret, bytes, iterations) = match model {
        Some((_, _, model)) => (model.server_key.as_slice(), model.salt.len(), model.iterations),
        None => (&SECRET[..], SALT_BYTES, ITERATIONS),
    };
    // A key of its own: what clients see must be nothing that the server key signs.
    let key = Scram::Sha512.hmac(secret, b"salts of users that are not there");
    let mut salt = Vec::new();
    while salt.len() < bytes {
        let seed = format!("{user}\0{}", salt.len());
        salt.extend(Scram::Sha512.hmac(&key, seed.as_bytes()));
    }
    salt.truncate(bytes);
    ScramCredential {
        salt,
        stored_key: vec![0; scram.key_bytes()],
        server_key: vec![0; scram.key_bytes()],
        iterations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Record;

    fn image(scram: Scram) -> Image {
        let mut image = Image::empty();
        let salt = b"0123456789".to_vec();
        let salted = scram.salted_password("pencil", &salt, NonZeroU32::new(4096).unwrap());
        let keys = scram.keys(&salted);
        let record = Record::Scram {
            user: "a=b,c".to_owned(),
            mechanism: scram,
            credential: Some(ScramCredential {
                salt,
                stored_key: keys.stored,
                server_key: keys.server,
                iterations: 4096,
            }),
        };
        image.apply(&record, 0, 1);
        image
    }

    /// Logs in as a client does that follows the RFC; returns the server's last word.
    const NOW: i64 = 1_700_000_000_000;
    const SECRET: &str = "the cluster's secret";

    fn party(name: &str) -> token::Party {
        token::Party {
            kind: "User".to_owned(),
            name: name.to_owned(),
        }
    }

    /// Of alice, for another minute.
    fn with_token(mut image: Image) -> Image {
        let token = token::Token {
            id: "token-1".to_owned(),
            owner: party("alice"),
            requester: party("admin"),
            renewers: Vec::new(),
            issued_ms: NOW,
            expires_ms: NOW + 60_000,
            max_ms: NOW + 600_000,
        };
        let offset = image.offset + 1;
        image.apply(&Record::DelegationToken { token }, offset, 1);
        image
    }

    #[test]
    fn a_token_lets_its_owner_in_until_it_ends() {
        let image = with_token(image(Scram::Sha256));
        let password = encoded(&token::hmac(SECRET, "token-1"));
        let log_in = |secret: Option<&str>, password: &str, now_ms: i64| {
            let exchange = Exchange::new(Scram::Sha512, secret.map(Secret::from));
            finish(exchange, &image, ("n=token-1,r=abc,tokenauth=true", password), now_ms).1
        };
        match log_in(Some(SECRET), &password, NOW) {
            Step::Success(success) => {
                assert_eq!((success.principal, success.by_token), (Principal::user("alice"), true));
                assert_eq!(success.expires_ms, Some(NOW + 60_000));
            }
            other => panic!("{other:?}"),
        }
        for refused in [
            log_in(Some(SECRET), "another", NOW),
            log_in(Some("another cluster's"), &password, NOW),
            log_in(Some(SECRET), &password, NOW + 60_000),
            log_in(None, &password, NOW),
        ] {
            assert!(matches!(refused, Step::Failure(_)), "{refused:?}");
        }
    }

    fn log_in(scram: Scram, user: &str, password: &str) -> (String, Step) {
        let bare = format!("n={},r=nonce", escaped(user));
        finish(Exchange::new(scram, None), &image(scram), (&bare, password), NOW)
    }

    /// A whole login: the server's first message, and its last word.
    fn finish(mut exchange: Exchange, image: &Image, (bare, password): (&str, &str), now_ms: i64) -> (String, Step) {
        let scram = exchange.scram;
        let Step::Challenge(first) = exchange.step(format!("n,,{bare}").as_bytes(), image, now_ms) else {
            panic!("no challenge");
        };
        let first = String::from_utf8(first).unwrap();
        let mut fields = first.split(',');
        let nonce = attribute(fields.next(), "r").unwrap();
        let salt = decoded(attribute(fields.next(), "s").unwrap()).unwrap();
        let rounds: NonZeroU32 = attribute(fields.next(), "i").unwrap().parse().unwrap();
        let salted = scram.salted_password(password, &salt, rounds);
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{bare},{first},{without_proof}");
        let proof = scram.proof(&salted, message.as_bytes());
        let last = exchange.step(
            format!("{without_proof},p={}", encoded(&proof)).as_bytes(),
            image,
            now_ms,
        );
        (first, last)
    }

    #[test]
    fn a_client_that_knows_the_password_is_let_in() {
        for scram in Scram::ALL {
            match log_in(scram, "a=b,c", "pencil").1 {
                Step::Success(success) => {
                    assert_eq!(success.principal.name, "a=b,c");
                    assert!(success.token.starts_with(b"v="));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_unknown_user_fails_like_a_wrong_password() {
        let (known, wrong) = log_in(Scram::Sha256, "a=b,c", "pen");
        let (made_up, nobody) = log_in(Scram::Sha256, "nobody", "pencil");
        for step in [wrong, nobody] {
            match step {
                Step::Failure(failure) => assert_eq!(failure.said, None),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(made_up.len(), known.len(), "{made_up} {known}");
        let salt = |first: &str| first.split(',').nth(1).unwrap().to_owned();
        let again = log_in(Scram::Sha256, "nobody", "pencil").0;
        assert_eq!(salt(&made_up), salt(&again), "a salt that changed would tell");
        assert_ne!(salt(&made_up), salt(&log_in(Scram::Sha256, "other", "x").0));
    }

    #[test]
    fn messages_that_do_not_follow_the_rfc_are_refused() {
        let image = image(Scram::Sha256);
        let fails = |messages: &[&[u8]]| {
            let mut exchange = Exchange::new(Scram::Sha256, None);
            let last = messages
                .iter()
                .map(|message| exchange.step(message, &image, NOW))
                .last();
            match last {
                Some(Step::Failure(failure)) => failure.why,
                other => panic!("{other:?}"),
            }
        };
        for first in [
            &b""[..],
            b"n",
            b"n,,",
            b"p=tls-unique,,n=a,r=b",
            b"n,,r=b,n=a",
            b"n,,n=,r=b",
            b"n,,n=a=b,r=b",
            b"n,,m=x,n=a,r=b",
            b"\xff\xfe",
            b"\x60\x82",
        ] {
            fails(&[first]);
        }
        assert!(fails(&[b"n,a=other,n=a,r=b"]).contains("authorization id"));
        assert!(fails(&[b"n,,n=a,r=b", b"c=biws,r=b"]).contains("no proof"));
        assert!(fails(&[b"n,,n=a,r=b", b"c=biws,r=b,p=AAAA"]).contains("nonce"));
        assert!(fails(&[b"n,,n=a,r=b", b"c=eSws,r=b,p=AAAA"]).contains("header"));
        let mut old = Exchange::new(Scram::Sha256, None);
        let Step::Challenge(first) = old.step(b"n,,n=a,r=b", &image, NOW) else {
            panic!("no challenge");
        };
        let first = String::from_utf8(first).unwrap();
        let nonce = attribute(first.split(',').next(), "r").unwrap();
        match old.step(format!("c=biws,r=b{nonce},p=AAAA").as_bytes(), &image, NOW) {
            Step::Failure(failure) => assert!(failure.why.contains("upgrade the client")),
            other => panic!("{other:?}"),
        }
        assert!(fails(&[b"n,,n=a,r=b", b"", b""]).contains("after the end"));
    }

    #[test]
    fn a_client_may_name_itself_as_authorization_id() {
        let mut exchange = Exchange::new(Scram::Sha256, None);
        let step = exchange.step(b"n,a=alice,n=alice,r=b", &Image::empty(), NOW);
        assert!(matches!(step, Step::Challenge(_)), "{step:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_answered(messages: Vec<Vec<u8>>) {
            let image = Image::empty();
            let mut exchange = Exchange::new(Scram::Sha512, None);
            for message in messages {
                exchange.step(&message, &image, NOW);
            }
        }
    }
}
