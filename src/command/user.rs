//! `azimuth user …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::value::gate;
use super::words::Words;
use crate::plan::intent::Intent;
use crate::plan::user::Wish;

/// What can be done with users.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Users with SCRAM credentials, and principals that only rules or quotas name
    #[command(after_long_help = "\
Examples:
  azimuth user list
  azimuth user list -o json")]
    List,
    /// Give a user a SCRAM password; one that it replaces cannot be given back
    #[command(after_long_help = "\
Examples:
  azimuth user set billing                                 asks for the password, twice
  azimuth user set billing --password-file /run/secrets/billing
  azimuth user set billing --password-command 'pass show kafka/billing' --iterations 8192

A password is never an argument, and neither shown nor kept: it goes to the brokers salted and derived. An operation
whose engine died before it was set cannot be resumed.")]
    Set {
        #[arg(value_name = "USER")]
        name: String,
        #[arg(long, value_enum, default_value_t = Mechanism::Sha512)]
        mechanism: Mechanism,
        /// Rounds that each guess costs: 4096 to 16384
        #[arg(long, value_name = "N", default_value_t = 4096)]
        iterations: i32,
        #[command(flatten)]
        password: Password,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Delete a user's SCRAM credentials; they cannot be given back
    #[command(after_long_help = "\
Examples:
  azimuth user delete etl --dry-run
  azimuth user delete etl --mechanism SCRAM-SHA-256 --context dev --yes")]
    Delete {
        #[arg(value_name = "USER")]
        name: String,
        /// Only this one; both without it
        #[arg(long, value_enum)]
        mechanism: Option<Mechanism>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

/// Kafka's SCRAM mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, strum::Display)]
pub enum Mechanism {
    #[value(name = "SCRAM-SHA-256", alias = "sha-256")]
    #[strum(to_string = "SCRAM-SHA-256")]
    Sha256,
    #[value(name = "SCRAM-SHA-512", alias = "sha-512")]
    #[strum(to_string = "SCRAM-SHA-512")]
    Sha512,
}

/// Where a password is; it is asked for where none of these is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[group(multiple = false)]
pub struct Password {
    /// The content of this file, without the line's end
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The environment variable of this name
    #[arg(long, value_name = "NAME")]
    pub password_env: Option<String>,
    /// What this command prints
    #[arg(long, value_name = "LINE")]
    pub password_command: Option<String>,
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List => Words::new(&["user", "list"]),
            Self::Set {
                name,
                mechanism,
                iterations,
                password,
                overrides,
            } => Words::new(&["user", "set"])
                .name(name)
                .option("--mechanism", [mechanism])
                .option("--iterations", [iterations])
                .option(
                    "--password-file",
                    password.password_file.as_ref().map(|file| file.display()),
                )
                .option("--password-env", &password.password_env)
                .option("--password-command", &password.password_command)
                .list("--override", overrides),
            Self::Delete {
                name,
                mechanism,
                overrides,
            } => Words::new(&["user", "delete"])
                .name(name)
                .option("--mechanism", mechanism)
                .list("--override", overrides),
        }
    }

    /// What it wants changed, and against which gates; `None` for a read.
    pub fn change(&self) -> Option<(Intent, &[String])> {
        match self {
            Self::List => None,
            Self::Set {
                name,
                mechanism,
                iterations,
                overrides,
                ..
            } => {
                let wish = Wish::Set {
                    user: name.clone(),
                    mechanism: mechanism.to_string(),
                    iterations: *iterations,
                };
                Some((Intent::User(wish), overrides))
            }
            Self::Delete {
                name,
                mechanism,
                overrides,
            } => {
                let wish = Wish::Delete {
                    user: name.clone(),
                    mechanism: mechanism.map(|mechanism| mechanism.to_string()),
                };
                Some((Intent::User(wish), overrides))
            }
        }
    }

    /// Where the password of a change is; `None` where it needs none.
    pub fn password(&self) -> Option<&Password> {
        match self {
            Self::Set { password, .. } => Some(password),
            Self::List | Self::Delete { .. } => None,
        }
    }
}
