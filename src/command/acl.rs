//! `azimuth acl …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::value::gate;
use super::words::Words;
use crate::model::acl::{self, Operation, Pattern, ResourceKind};
use crate::plan::acl::text::Scope;

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
    /// A file of rules against the cluster: exit 0 the same, 1 different
    #[command(after_long_help = FILES)]
    Diff {
        /// Rules, or what kafka-acls --list prints; - is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Add the rules of a file; with --prune also remove what is in its scope and not in it
    #[command(after_long_help = FILES)]
    Apply {
        /// Rules, what kafka-acls --list prints, or a plan; - is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Remove what is in the file's scope and not in the file
        #[arg(long)]
        prune: bool,
        /// Return once it runs
        #[arg(long)]
        detach: bool,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Edit rules in $VISUAL or $EDITOR; what is left out is removed
    #[command(after_long_help = "\
Examples:
  azimuth acl edit --principal billing
  azimuth acl edit --topic-prefix orders-
  azimuth acl edit --confirm prod-eu                       all rules")]
    Edit {
        #[command(flatten)]
        of: Of,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

const FILES: &str = "\
A file has one rule a line, as acl list prints them, and begins with what it is the whole truth of:
  scope topic prefix orders-                               or: scope principal User:billing, scope all
  allow User:billing from * to Read,Describe on topic prefix orders-
  allow User:etl to produce on topic orders-raw            consume, produce and transact stand for what clients need
  deny \"User:CN=a b\" to Write on topic orders-eu          names with spaces or commas are quoted

Outside of its scope nothing is touched; without a scope line it only adds. --prune with scope all needs
--confirm NAME in every class of context. Rules are added first, read back from every broker, and then removed.

Examples:
  azimuth acl diff billing.acl
  azimuth acl apply billing.acl --dry-run
  azimuth acl apply billing.acl --prune --context dev --yes";

/// Which rules, one of these at most; none of them is all rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[group(multiple = false)]
pub struct Of {
    /// Those of this principal; `billing` is User:billing
    #[arg(long, value_name = "PRINCIPAL")]
    pub principal: Option<String>,
    /// Those on this topic
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Those on topics, and prefixes of topics, that begin so
    #[arg(long, value_name = "PREFIX")]
    pub topic_prefix: Option<String>,
    /// Those on this group
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
}

impl Of {
    pub fn scope(&self) -> Scope {
        let resource = |kind, pattern, name: &String| Scope::Resource {
            kind,
            pattern,
            name: name.clone(),
        };
        let principal = self
            .principal
            .as_ref()
            .map(|name| Scope::Principal(acl::principal(name)));
        let named = [
            (ResourceKind::Topic, Pattern::Literal, &self.topic),
            (ResourceKind::Topic, Pattern::Prefixed, &self.topic_prefix),
            (ResourceKind::Group, Pattern::Literal, &self.group),
        ];
        let mut named = named
            .into_iter()
            .filter_map(|(kind, pattern, name)| Some(resource(kind, pattern, name.as_ref()?)));
        principal.or_else(|| named.next()).unwrap_or(Scope::All)
    }
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
            Self::Diff { file } => Words::new(&["acl", "diff"]).name(file.display()),
            Self::Apply {
                file,
                prune,
                detach,
                overrides,
            } => Words::new(&["acl", "apply"])
                .name(file.display())
                .flag("--prune", *prune)
                .flag("--detach", *detach)
                .list("--override", overrides),
            Self::Edit { of, overrides } => Words::new(&["acl", "edit"])
                .option("--principal", &of.principal)
                .option("--topic", &of.topic)
                .option("--topic-prefix", &of.topic_prefix)
                .option("--group", &of.group)
                .list("--override", overrides),
        }
    }

    /// Whether it changes rules.
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Apply { .. } | Self::Edit { .. })
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
