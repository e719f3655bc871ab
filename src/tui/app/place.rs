//! Where one is: a noun's list, or one thing of it opened at one of its pages.

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::model::acl;

/// The nouns that have a screen; also the names of their keymap layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Noun {
    Triage,
    Broker,
    Topic,
    Group,
    Volume,
    Operation,
    Acl,
    User,
    Quota,
    Config,
    Logdir,
    Quorum,
    Throttle,
    Reassignment,
    Transaction,
    Check,
    Whatif,
    Cost,
    Dashboard,
    Record,
    Context,
}

impl Noun {
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Of a screen that has no key of its own and is reached by name: its help.
    pub fn unkeyed(self) -> Option<&'static str> {
        match self {
            Self::Quorum => Some("The controller quorum: who follows how closely."),
            Self::Throttle => Some("Replication throttles and what each slows."),
            Self::Reassignment => Some("Reassignments in flight, whoever started them."),
            Self::Transaction => Some("Transactions: which are open, which hang."),
            Self::Whatif => Some("What would be: a zone lost, a restart, more brokers."),
            Self::Dashboard => Some("What the article says to monitor, with charts."),
            Self::Cost => Some("What it costs: zones, topics, groups, volumes."),
            Self::Logdir => Some("Log directories: what fills them, when full."),
            _ => None,
        }
    }

    /// Its tables are judgements over the whole cluster, which a key cannot wait for.
    pub fn is_worked_out(self) -> bool {
        matches!(self, Self::Check | Self::Whatif)
    }

    /// The pages of one opened thing; the first opens first.
    pub fn tabs(self) -> &'static [&'static str] {
        match self {
            Self::Triage => &[],
            Self::Broker => &["partitions", "log dirs", "configs"],
            Self::Topic => &["partitions", "configs"],
            Self::Group => &["partitions", "members"],
            Self::Volume => &["partitions"],
            Self::Operation => &["steps", "log"],
            Self::Acl => &["rules"],
            Self::User => &["rules", "quotas"],
            Self::Quota | Self::Check | Self::Whatif | Self::Cost | Self::Dashboard => &[],
            Self::Config => &["brokers", "topics"],
            Self::Logdir => &["topics", "replicas", "relieve"],
            Self::Transaction => &["partitions"],
            Self::Quorum | Self::Throttle | Self::Reassignment => &[],
            Self::Record => &["json", "text", "hex"],
            Self::Context => &[],
        }
    }
}

/// A layer of the keymap; the order is the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Layer {
    Dialog,
    Prompt,
    Editor,
    Replay,
    Triage,
    Broker,
    Topic,
    Group,
    Volume,
    Operation,
    Acl,
    User,
    Quota,
    Config,
    Logdir,
    Quorum,
    Throttle,
    Reassignment,
    Transaction,
    Check,
    Whatif,
    Cost,
    Dashboard,
    Record,
    Context,
    List,
    Global,
}

impl Layer {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl From<Noun> for Layer {
    fn from(noun: Noun) -> Self {
        match noun {
            Noun::Triage => Self::Triage,
            Noun::Broker => Self::Broker,
            Noun::Topic => Self::Topic,
            Noun::Group => Self::Group,
            Noun::Volume => Self::Volume,
            Noun::Operation => Self::Operation,
            Noun::Acl => Self::Acl,
            Noun::User => Self::User,
            Noun::Quota => Self::Quota,
            Noun::Config => Self::Config,
            Noun::Logdir => Self::Logdir,
            Noun::Quorum => Self::Quorum,
            Noun::Throttle => Self::Throttle,
            Noun::Reassignment => Self::Reassignment,
            Noun::Transaction => Self::Transaction,
            Noun::Check => Self::Check,
            Noun::Whatif => Self::Whatif,
            Noun::Cost => Self::Cost,
            Noun::Dashboard => Self::Dashboard,
            Noun::Record => Self::Record,
            Noun::Context => Self::Context,
        }
    }
}

/// One screen: a list (`name` is `None`) or one opened thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub noun: Noun,
    pub name: Option<String>,
    pub tab: usize,
}

impl Place {
    pub fn list(noun: Noun) -> Self {
        Self {
            noun,
            name: None,
            tab: 0,
        }
    }

    pub fn open(noun: Noun, name: impl Into<String>) -> Self {
        Self {
            noun,
            name: Some(name.into()),
            tab: 0,
        }
    }

    /// The command that prints what this place shows, without the context.
    pub fn command(&self) -> Vec<String> {
        let noun = self.noun.name();
        if let (Noun::Record, Some(words)) = (self.noun, &self.name) {
            let mut all = vec![noun.to_owned()];
            all.extend(crate::command::words::split(words).unwrap_or_default());
            if super::record::is_one(self) {
                all.extend(["--as", Noun::Record.tabs()[self.tab]].map(str::to_owned));
            }
            return all;
        }
        if let (Noun::Whatif, Some(question)) = (self.noun, &self.name) {
            return std::iter::once(noun)
                .chain(question.split(' '))
                .map(str::to_owned)
                .collect();
        }
        let words: Vec<&str> = match (self.noun, self.name.as_deref(), self.tab) {
            (Noun::Check, None, _) => vec![noun, "run"],
            (Noun::Check, Some(name), _) => vec![noun, "run", name, "-o", "wide"],
            (Noun::Triage | Noun::Cost, ..) | (Noun::Dashboard, None, _) => vec![noun],
            (Noun::Dashboard, Some("alarms"), _) => vec![noun],
            (Noun::Dashboard, Some(metric), _) => vec![noun, metric],
            (Noun::Broker, Some(name), 2) => vec![noun, "config", name],
            (Noun::Broker, Some(name), 1) => vec!["logdir", "list", "--broker", name],
            (Noun::Transaction, ..) => vec![noun, "list"],
            (Noun::Quorum, ..) => vec![noun, "show"],
            (Noun::Reassignment, ..) => vec!["reassign", "list"],
            (Noun::Logdir, Some(name), 2) => vec![noun, "relieve", name],
            (Noun::Topic, Some(name), 1) => vec!["config", "list", "--topic", name],
            (Noun::Group, Some(name), 0) => vec![noun, "lag", name],
            (Noun::User, Some(name), 1) => vec!["quota", "list", "--user", acl::user_of(name).unwrap_or(name)],
            (Noun::Acl | Noun::User, Some(name), _) => vec!["acl", "list", "--principal", name],
            (Noun::Volume, None, _) => vec![noun, "list"],
            (_, Some(name), _) => vec![noun, "show", name],
            (_, None, _) => vec![noun, "list"],
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;
    use crate::command::Line;

    /// Something of each noun that can be opened.
    fn opened(noun: Noun) -> Option<&'static str> {
        Some(match noun {
            Noun::Broker => "4",
            Noun::Topic | Noun::Group => "orders",
            Noun::Volume => "vol-07",
            Noun::Operation => "7f3",
            Noun::Acl | Noun::User => "User:billing",
            Noun::Config => "min.insync.replicas",
            Noun::Logdir => "5:/data",
            Noun::Check => "rack-awareness",
            Noun::Whatif => "az-loss euw1-az2",
            Noun::Record => "tail orders",
            _ => return None,
        })
    }

    #[test]
    fn every_screen_shows_a_command_that_there_is() {
        for noun in Noun::iter() {
            let open = opened(noun).map(|name| Place::open(noun, name));
            let pages = open
                .into_iter()
                .flat_map(|place| (0..noun.tabs().len().max(1)).map(move |tab| Place { tab, ..place.clone() }));
            // Records are always of a topic.
            let list = (noun != Noun::Record).then(|| Place::list(noun));
            for place in list.into_iter().chain(pages) {
                let words = place.command();
                let line = std::iter::once("azimuth".to_owned()).chain(words.clone());
                let parsed = Line::of_arguments(line.map(Into::into));
                assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            }
        }
    }
}
