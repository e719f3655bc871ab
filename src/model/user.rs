//! Users whose passwords the cluster keeps, without the passwords. From DescribeUserScramCredentials (KIP-554).

use serde::{Deserialize, Serialize};

/// A user with SCRAM credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    pub credentials: Vec<Credential>,
}

/// One way for it to log in. Neither salt nor keys are ever told by the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    pub iterations: i32,
}
