//! What a screen still waits for when it is first opened: which facts, how many brokers have told theirs, and since when.
//!
//! A question that was answered badly was answered: its cells say why they are empty.

use std::collections::BTreeMap;

use crate::model::cluster::Cluster;
use crate::model::{BrokerId, Health, Observed, Snapshot};

use super::place::Noun;
use super::state::State;
use super::text;

/// One question, and how far it is answered.
enum Question {
    /// Asked of one broker for all.
    Once { what: &'static str, told: bool },
    /// Asked of each broker.
    Each { what: &'static str, told: usize },
}

impl State {
    /// `reading log dirs 40/100 · 3 s`; `None` once everybody has answered.
    pub fn reading(&self) -> Option<String> {
        let cluster = self.snapshot.cluster.get()?;
        let all = cluster.brokers.len();
        let waits = questions(&self.snapshot, cluster, self.place().noun);
        let first = waits.into_iter().find_map(|question| match question {
            Question::Once { what, told: false } => Some(format!("reading {what}")),
            Question::Each { what, told } if told < all => Some(format!("reading {what} {told}/{all}")),
            _ => None,
        })?;
        Some(format!("{first}{}", self.waited()))
    }

    /// ` · 3 s` since the console was opened; nothing in the first second.
    pub(super) fn waited(&self) -> String {
        match self.now.duration_since(self.opened_at).as_secs() {
            ..1 => String::new(),
            seconds => format!(" · {}", text::span(seconds as f64)),
        }
    }
}

/// What a screen is made of, the most telling first.
fn questions(snapshot: &Snapshot, cluster: &Cluster, noun: Noun) -> Vec<Question> {
    let topics = || once("topics", &snapshot.topics);
    let logdirs = || each("log dirs", cluster, &snapshot.logdirs);
    let groups = || each("groups", cluster, &snapshot.coordinators);
    let ends = || each("log ends", cluster, &snapshot.offsets);
    let configs = || each("configs", cluster, &snapshot.broker_configs);
    match noun {
        Noun::Check => vec![topics(), configs(), groups(), logdirs()],
        Noun::Whatif => vec![topics(), logdirs()],
        Noun::Dashboard => vec![logdirs(), groups()],
        Noun::Cost => vec![topics(), ends(), groups(), logdirs()],
        Noun::Triage => vec![topics(), groups(), ends(), logdirs()],
        Noun::Broker | Noun::Topic => vec![topics(), logdirs()],
        Noun::Group => vec![groups(), ends()],
        Noun::Volume | Noun::Logdir => vec![logdirs()],
        Noun::Config => vec![configs()],
        Noun::Throttle => vec![configs(), once("topic configs", &snapshot.topic_configs)],
        Noun::Acl => vec![once("rules", &snapshot.acls)],
        Noun::User => vec![once("users", &snapshot.users)],
        Noun::Quota => vec![once("quotas", &snapshot.quotas)],
        Noun::Quorum => vec![once("the quorum", &snapshot.quorum)],
        Noun::Reassignment => vec![once("what is in flight", &snapshot.reassignments)],
        Noun::Transaction => vec![each("transactions", cluster, &snapshot.transactions)],
        // Of files, or with a count of their own.
        Noun::Context | Noun::Operation | Noun::Record => Vec::new(),
    }
}

fn once<T>(what: &'static str, section: &Observed<T>) -> Question {
    Question::Once {
        what,
        told: section.health != Health::Unasked,
    }
}

fn each<T>(what: &'static str, cluster: &Cluster, sections: &BTreeMap<BrokerId, Observed<T>>) -> Question {
    let told = |id: &BrokerId| {
        sections
            .get(id)
            .is_some_and(|section| section.health != Health::Unasked)
    };
    Question::Each {
        what,
        told: cluster.brokers.iter().filter(|broker| told(&broker.id)).count(),
    }
}
