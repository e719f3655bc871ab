//! `azimuth acl …`

use clap::{Args, Subcommand};

use super::words::Words;
use crate::model::acl::{self, Operation, ResourceKind};

/// What can be done with access rules.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// The rules, a line each; with flags only those that bear on what they name
    #[command(after_long_help = "\
Examples:
  azimuth acl list
  azimuth acl list --principal User:billing
  azimuth acl list --topic orders-eu -o json

A rule bears on a principal when it names it or everybody (User:*), and on a topic, group or transactional id
when it names it, a prefix of it, or all of them (*).")]
    List {
        /// Rules that hold for this principal; `billing` is User:billing
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
        #[command(flatten)]
        on: On,
        /// Rules that hold from this address
        #[arg(long, value_name = "ADDRESS")]
        host: Option<String>,
        /// Rules that decide about this operation, by implication too
        #[arg(long, value_name = "OPERATION", value_parser = operation)]
        operation: Option<Operation>,
        /// Only rules that deny
        #[arg(long)]
        deny: bool,
    },
    /// May this principal do this, and by which rule: exit 0 yes, 1 no
    #[command(after_long_help = "\
Examples:
  azimuth acl explain --principal User:billing --operation read --topic orders-eu
  azimuth acl explain --principal etl --operation write --topic raw --host 10.0.1.7
  azimuth acl explain --principal ops --operation alter --cluster

A rule that denies wins. Reading, writing, deleting and altering imply describing; altering configs implies
describing them. Without --host the answer holds from any address that no rule names; addresses from which it is
another one are listed.")]
    Explain {
        /// Who; `billing` is User:billing
        #[arg(long, value_name = "PRINCIPAL")]
        principal: String,
        /// What: read, write, create, delete, alter, describe, describeconfigs, …
        #[arg(long, value_name = "OPERATION", value_parser = operation)]
        operation: Operation,
        #[command(flatten)]
        on: On,
        /// From where
        #[arg(long, value_name = "ADDRESS")]
        host: Option<String>,
    },
}

/// A resource, one at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[group(multiple = false)]
pub struct On {
    /// A topic
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// A consumer group
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// A transactional id
    #[arg(long, value_name = "ID")]
    pub transactional_id: Option<String>,
    /// The cluster itself
    #[arg(long)]
    pub cluster: bool,
    /// A delegation token
    #[arg(long, value_name = "TOKEN")]
    pub delegation_token: Option<String>,
    /// A user whose delegation tokens are made or read
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
}

impl On {
    /// The resource's kind and name, where one is named.
    pub fn resource(&self) -> Option<(ResourceKind, &str)> {
        let named = [
            (ResourceKind::Topic, &self.topic),
            (ResourceKind::Group, &self.group),
            (ResourceKind::TransactionalId, &self.transactional_id),
            (ResourceKind::DelegationToken, &self.delegation_token),
            (ResourceKind::User, &self.user),
        ];
        let named = named
            .into_iter()
            .find_map(|(kind, name)| Some((kind, name.as_deref()?)));
        named.or_else(|| self.cluster.then_some((ResourceKind::Cluster, acl::CLUSTER)))
    }

    fn add(&self, words: Words) -> Words {
        words
            .option("--topic", &self.topic)
            .option("--group", &self.group)
            .option("--transactional-id", &self.transactional_id)
            .flag("--cluster", self.cluster)
            .option("--delegation-token", &self.delegation_token)
            .option("--user", &self.user)
    }
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List {
                principal,
                on,
                host,
                operation,
                deny,
            } => on
                .add(Words::new(&["acl", "list"]).option("--principal", principal))
                .option("--host", host)
                .option("--operation", *operation)
                .flag("--deny", *deny),
            Self::Explain {
                principal,
                operation,
                on,
                host,
            } => on
                .add(
                    Words::new(&["acl", "explain"])
                        .option("--principal", [principal])
                        .option("--operation", [operation]),
                )
                .option("--host", host),
        }
    }
}

/// Kafka's name in any case, with or without dashes: `describe-configs`.
fn operation(text: &str) -> Result<Operation, String> {
    use strum::IntoEnumIterator;
    text.replace(['-', '_'], "").parse().map_err(|_| {
        let all: Vec<String> = Operation::iter().map(|operation| operation.to_string()).collect();
        format!("there is no operation {text}; there are {}", all.join(", "))
    })
}
