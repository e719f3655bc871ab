//! SASL on the server's side: what a listener offers, and one login as a state machine without I/O.
//!
//! A user that does not exist is answered as a wrong password is, in the same number of messages and the same time.
//! No secret is in a log, an error or a Debug output.

mod bearer;
mod jaas;
mod jwks;
mod login;
mod offer;
mod plain;
mod scram;

use crate::auth::Principal;
use crate::image::Image;

pub use jwks::Jwks;
pub use login::login;
pub use offer::Offer;

/// What a client's message led to.
#[derive(Debug)]
pub enum Step {
    /// The client has to answer these bytes.
    Challenge(Vec<u8>),
    Success(Success),
    Failure(Failure),
}

/// A login that is complete.
#[derive(Debug)]
pub struct Success {
    pub principal: Principal,
    /// The last bytes for the client.
    pub token: Vec<u8>,
    /// When the credential ends, in milliseconds since the Unix epoch.
    pub expires_ms: Option<i64>,
    /// A delegation token stands for its owner's password.
    pub by_token: bool,
}

/// A login that failed.
#[derive(Debug)]
pub struct Failure {
    /// Who the client says it is, as far as it said.
    pub user: Option<String>,
    /// What the client may know; without it, that its credentials are invalid.
    pub said: Option<String>,
    /// For the log.
    pub why: String,
}

impl Failure {
    fn hidden(user: Option<&str>, why: impl Into<String>) -> Step {
        Step::Failure(Self {
            user: user.map(str::to_owned),
            said: None,
            why: why.into(),
        })
    }

    /// One whose reason the client is told.
    fn told(user: Option<&str>, why: impl Into<String>) -> Step {
        let why = why.into();
        Step::Failure(Self {
            user: user.map(str::to_owned),
            said: Some(why.clone()),
            why,
        })
    }
}

/// A login in progress.
pub enum Exchange {
    Plain(plain::Exchange),
    Scram(scram::Exchange),
    Bearer(bearer::Exchange),
}

impl Exchange {
    /// Takes the client's next message. After anything but a challenge the exchange is over.
    pub fn step(&mut self, message: &[u8], image: &Image, now_ms: i64) -> Step {
        match self {
            Self::Plain(exchange) => exchange.step(message),
            Self::Scram(exchange) => exchange.step(message, image, now_ms),
            Self::Bearer(exchange) => exchange.step(message, now_ms),
        }
    }
}
