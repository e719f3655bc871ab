//! `azimuth quota …`

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::value::{gate, key_value};
use super::words::Words;
use crate::model::quota::{Entity, Whom};
use crate::plan::intent::Intent;
use crate::plan::quota::Wish;

/// What can be done with client quotas.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Quotas of users, client ids and addresses, and which of them wins
    #[command(after_long_help = "\
Examples:
  azimuth quota list
  azimuth quota list --user billing --client-id etl

With flags only the quotas that may hold for such a client are listed, and DECIDES names the limits that each of
them sets for it. A part that is not given is one that no quota names. Each broker holds its clients to the byte
rates and the request percentage on its own; the mutation rate is the controller's.")]
    List {
        /// Of this user
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Of this client id
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        /// Of this address
        #[arg(long, value_name = "ADDRESS")]
        ip: Option<String>,
    },
    /// Set limits of a user, a client id, both, or an address; what is not named stays
    #[command(after_long_help = "\
Examples:
  azimuth quota set producer_byte_rate=2000000 --user billing
  azimuth quota set request_percentage=50 --default-user
  azimuth quota set consumer_byte_rate=1000000 --user etl --client-id nightly
  azimuth quota set connection_creation_rate=100 --default-ip

Limits are producer_byte_rate and consumer_byte_rate (bytes per second on each broker), request_percentage (of one
thread on each broker), controller_mutation_rate (partitions per second), and for addresses connection_creation_rate.")]
    Set {
        #[arg(value_name = "LIMIT=NUMBER", required = true, value_parser = limit)]
        pairs: Vec<String>,
        #[command(flatten)]
        of: Of,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Take limits away
    #[command(after_long_help = "\
Examples:
  azimuth quota unset producer_byte_rate --user billing --context dev --yes")]
    Unset {
        #[arg(value_name = "LIMIT", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        of: Of,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

/// Whom a quota is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[group(required = true, multiple = true)]
pub struct Of {
    /// This user
    #[arg(long, value_name = "USER", conflicts_with_all = ["default_user", "ip", "default_ip"])]
    pub user: Option<String>,
    /// Every user that has none of its own
    #[arg(long, conflicts_with_all = ["ip", "default_ip"])]
    pub default_user: bool,
    /// This client id
    #[arg(long, value_name = "ID", conflicts_with_all = ["default_client_id", "ip", "default_ip"])]
    pub client_id: Option<String>,
    /// Every client id that has none of its own
    #[arg(long, conflicts_with_all = ["ip", "default_ip"])]
    pub default_client_id: bool,
    /// This address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "default_ip")]
    pub ip: Option<String>,
    /// Every address that has none of its own
    #[arg(long)]
    pub default_ip: bool,
}

impl Of {
    fn entity(&self) -> Entity {
        let whom = |name: &Option<String>, default: bool| {
            let named = name.clone().map(Whom::Named);
            named.or_else(|| default.then_some(Whom::Default))
        };
        Entity {
            user: whom(&self.user, self.default_user),
            client_id: whom(&self.client_id, self.default_client_id),
            ip: whom(&self.ip, self.default_ip),
        }
    }

    /// The flags that name an entity.
    pub fn naming(entity: &Entity) -> Self {
        let parts = |whom: &Option<Whom>| match whom {
            None => (None, false),
            Some(Whom::Named(name)) => (Some(name.clone()), false),
            Some(Whom::Default) => (None, true),
        };
        let (user, default_user) = parts(&entity.user);
        let (client_id, default_client_id) = parts(&entity.client_id);
        let (ip, default_ip) = parts(&entity.ip);
        Self {
            user,
            default_user,
            client_id,
            default_client_id,
            ip,
            default_ip,
        }
    }

    fn add(&self, words: Words) -> Words {
        words
            .option("--user", &self.user)
            .flag("--default-user", self.default_user)
            .option("--client-id", &self.client_id)
            .flag("--default-client-id", self.default_client_id)
            .option("--ip", &self.ip)
            .flag("--default-ip", self.default_ip)
    }
}

fn limit(text: &str) -> Result<String, String> {
    let pair = key_value(text)?;
    let number = pair.split_once('=').and_then(|(_, value)| value.parse::<f64>().ok());
    match number {
        Some(_) => Ok(pair),
        None => Err("write LIMIT=NUMBER, for example producer_byte_rate=2000000".to_owned()),
    }
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { user, client_id, ip } => Words::new(&["quota", "list"])
                .option("--user", user)
                .option("--client-id", client_id)
                .option("--ip", ip),
            Self::Set { pairs, of, overrides } => of
                .add(Words::new(&["quota", "set"]).names(pairs))
                .list("--override", overrides),
            Self::Unset { names, of, overrides } => of
                .add(Words::new(&["quota", "unset"]).names(names))
                .list("--override", overrides),
        }
    }

    /// What it wants changed, and against which gates; `None` for a read.
    pub fn change(&self) -> Option<(Intent, &[String])> {
        let (of, overrides, edits): (_, _, BTreeMap<String, Option<f64>>) = match self {
            Self::List { .. } => return None,
            Self::Set { pairs, of, overrides } => {
                let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
                let edits = pairs.map(|(name, value)| (name.to_owned(), value.parse().ok()));
                (of, overrides, edits.collect())
            }
            Self::Unset { names, of, overrides } => {
                let edits = names.iter().map(|name| (name.clone(), None));
                (of, overrides, edits.collect())
            }
        };
        let wish = Wish {
            entity: of.entity(),
            edits,
            found: BTreeMap::new(),
        };
        Some((Intent::Quota(wish), overrides))
    }
}
