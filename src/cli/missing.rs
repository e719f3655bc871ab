//! What a command wanted to see and did not: per section and broker, with the reason.

use std::collections::BTreeMap;

use super::output::Problem;
use crate::feed::{Needs, Section};
use crate::model::{BrokerId, Health, Observed, Snapshot};

/// The sections in `needs` that were not seen, or are old because their source fails. A plane that this context does not
/// have is no such thing: there was nothing to see.
pub fn problems(snapshot: &Snapshot, needs: &Needs) -> Vec<Problem> {
    let mut found = Found::default();
    found.one("the cluster", &snapshot.cluster);
    if snapshot.cluster.get().is_none() {
        // Everything else follows from it.
        return found.problems;
    }
    for section in needs {
        found.section(snapshot, *section);
    }
    found.problems
}

#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
}

impl Found {
    fn section(&mut self, snapshot: &Snapshot, section: Section) {
        match section {
            Section::Cluster => {}
            Section::Links => self.each(snapshot, "", &snapshot.links),
            Section::Topics => self.one("topics", &snapshot.topics),
            Section::Offsets => self.each(snapshot, "offsets", &snapshot.offsets),
            Section::Groups => {
                self.one("groups", &snapshot.groups);
                self.each(snapshot, "groups", &snapshot.coordinators);
            }
            Section::Backlogs => self.each(snapshot, "backlogs", &snapshot.backlogs),
            Section::Retentions => self.one("retention", &snapshot.retentions),
            Section::Logdirs => self.each(snapshot, "log dirs", &snapshot.logdirs),
            Section::BrokerConfigs => self.each(snapshot, "configs", &snapshot.broker_configs),
            // Empty where the context names no endpoints: there was nothing to see.
            Section::BrokerMetrics if snapshot.broker_metrics.is_empty() => {}
            Section::BrokerMetrics => self.each(snapshot, "metrics", &snapshot.broker_metrics),
            Section::TopicConfigs | Section::MinIsrs => self.one("topic configs", &snapshot.topic_configs),
            Section::Transactions => self.each(snapshot, "transactions", &snapshot.transactions),
            Section::Quorum => self.one("quorum", &snapshot.quorum),
            Section::Reassignments => self.one("reassignments", &snapshot.reassignments),
            Section::Acls => self.one("acls", &snapshot.acls),
            Section::Users => self.one("users", &snapshot.users),
            Section::Quotas => self.one("quotas", &snapshot.quotas),
            Section::Instances => {
                self.one("zones", &snapshot.cloud.zones);
                self.zones("instances", &snapshot.cloud.instances);
            }
            Section::Volumes => self.zones("volumes", &snapshot.cloud.volumes),
            Section::Metrics => self.one("metrics", &snapshot.cloud.metrics),
            Section::Account => {
                let account = &snapshot.cloud.account;
                self.one("security groups", &account.security_groups);
                self.one("subnets", &account.subnets);
                self.one("alarms", &account.alarms);
                self.one("encryption by default", &account.encryption_by_default);
            }
            Section::ClientMetrics => self.one("client metrics", &snapshot.client_metrics),
            // What a probe found is a verdict, and not a part of the answer that is missing.
            Section::Probes => {}
        }
    }

    fn one<T>(&mut self, what: &str, seen: &Observed<T>) {
        if let Some(reason) = unseen(seen) {
            self.add(what.to_owned(), reason);
        }
    }

    /// One answer for each broker. Brokers that lead or coordinate nothing need not be in the map.
    fn each<T>(&mut self, snapshot: &Snapshot, what: &str, seen: &BTreeMap<BrokerId, Observed<T>>) {
        let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
        if seen.is_empty() && !brokers.is_empty() {
            self.add(what.to_owned(), "no broker was asked".to_owned());
        }
        for (id, seen) in seen {
            if let Some(reason) = unseen(seen) {
                self.add(format!("broker {id} {what}").trim_end().to_owned(), reason);
            }
        }
    }

    fn zones<T>(&mut self, what: &str, seen: &BTreeMap<String, Observed<T>>) {
        for (zone, seen) in seen {
            if let Some(reason) = unseen(seen) {
                self.add(format!("{zone} {what}").trim_start().to_owned(), reason);
            }
        }
    }

    /// Problems with one reason are one problem.
    fn add(&mut self, subject: String, reason: String) {
        match self.problems.iter_mut().find(|problem| problem.reason == reason) {
            Some(known) if known.subjects.contains(&subject) => {}
            Some(known) => known.subjects.push(subject),
            None => self.problems.push(Problem {
                subjects: vec![subject],
                fields: Vec::new(),
                reason,
            }),
        }
    }
}

fn unseen<T>(seen: &Observed<T>) -> Option<String> {
    match seen.health {
        Health::Fresh | Health::Absent { .. } => None,
        Health::Unasked | Health::Failing { .. } => seen.problem(),
    }
}
