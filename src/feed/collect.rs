//! One look at the sections that a command needs, and no more.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::look::{Job, Look};
use super::recorder;
use super::section::{Needs, Section};
use super::store::Change;
use crate::model::{BrokerId, Health, Moment, Observed, Snapshot, Trouble};

/// Looks at the sections in `needs` within `deadline` in all; what has not arrived by then says so.
pub(super) async fn collect(look: &Look, needs: &Needs, deadline: Duration) -> Snapshot {
    let until = Instant::now() + deadline;
    // What times out is found by its missing answer below.
    let in_time = tokio::time::timeout_at(until, run(look, needs)).await.is_ok();
    let brokers = look.brokers();
    look.store.edit(|inner| {
        let (trouble, reason) = match &inner.snapshot.cluster.health {
            // There was nobody who could be asked.
            Health::Failing { trouble, reason, .. } if in_time => (*trouble, reason.clone()),
            _ => {
                let seconds = deadline.as_secs_f64();
                (Trouble::TimedOut, format!("no answer within the command's {seconds} s"))
            }
        };
        let unanswered = Unanswered {
            trouble,
            reason,
            at: Moment::now(),
        };
        let mut needs = needs.clone();
        if look.prometheus.is_none() {
            needs.remove(&Section::BrokerMetrics);
        }
        mark(&mut inner.snapshot, &needs, brokers.into_iter().collect(), &unanswered);
        Change::Nothing
    });
    recorder::recall(look).await;
    // A look is a sample like any other: two of them are a rate.
    look.store.sample(Moment::now());
    let snapshot = look.store.publish();
    Snapshot::clone(&snapshot)
}

async fn run(look: &Look, needs: &Needs) {
    let wants = |section| needs.contains(&section);
    let cloud = needs.iter().any(Section::is_cloud);
    let per_broker = needs.iter().any(Section::is_per_broker);
    // Metadata and DescribeCluster need nothing; everything about brokers needs them.
    let basis = [
        (
            Section::Cluster,
            wants(Section::Cluster) || wants(Section::Probes) || per_broker || cloud,
        ),
        (
            Section::Topics,
            [
                Section::Topics,
                Section::Offsets,
                Section::TopicConfigs,
                Section::MinIsrs,
                Section::Probes,
            ]
            .into_iter()
            .any(wants),
        ),
        (Section::Quorum, wants(Section::Quorum)),
        (Section::Reassignments, wants(Section::Reassignments)),
        (Section::Acls, wants(Section::Acls)),
        (Section::Users, wants(Section::Users)),
        (Section::Quotas, wants(Section::Quotas)),
        (Section::ClientMetrics, wants(Section::ClientMetrics)),
    ];
    let basis = basis.into_iter().filter(|(_, wanted)| *wanted);
    join_all(basis.map(|(section, _)| at(look, section, None))).await;
    let brokers: Vec<BrokerId> = look.brokers().into_iter().collect();
    // What groups have not read follows from their offsets and the logs' ends.
    let late = |section: &Section| matches!(section, Section::Backlogs | Section::Retentions);
    let sections = needs
        .iter()
        .copied()
        .filter(|section| section.is_per_broker() && !late(section));
    let jobs = sections.flat_map(|section| brokers.iter().map(move |broker| (section, Some(*broker))));
    let covered = |section| section == Section::MinIsrs && wants(Section::TopicConfigs);
    let rest = [Section::TopicConfigs, Section::MinIsrs, Section::Probes]
        .into_iter()
        .filter(|section| wants(*section) && !covered(*section));
    let rest = rest.map(|section| (section, None));
    let told = join_all(jobs.chain(rest).map(|(section, broker)| at(look, section, broker)));
    let told = async {
        told.await;
        // Which partitions refuse writes follows from what was told by now.
        if wants(Section::Probes) && wants(Section::Offsets) {
            join_all(brokers.iter().map(|broker| look.last_write(*broker))).await;
        }
        let late = needs.iter().copied().filter(late);
        let jobs = late.flat_map(|section| match section.is_per_broker() {
            true => brokers.iter().map(|broker| (section, Some(*broker))).collect(),
            false => vec![(section, None)],
        });
        join_all(jobs.map(|(section, broker)| at(look, section, broker))).await;
        // How long a limit in bytes leaves what is unread hangs on sizes, for which nobody else asks.
        if !wants(Section::Logdirs) && look.store.read(limits_bytes) {
            join_all(brokers.iter().map(|broker| at(look, Section::Logdirs, Some(*broker)))).await;
        }
    };
    let _ = tokio::join!(told, clouds(look, needs));
}

/// Whether a topic that groups read is limited in size.
fn limits_bytes(snapshot: &Snapshot) -> bool {
    let kept = snapshot.retentions.get();
    kept.is_some_and(|kept| kept.topics.values().any(|kept| kept.bytes.is_some()))
}

/// Volumes hang on instances, and metrics on both.
async fn clouds(look: &Look, needs: &Needs) {
    let chain = [Section::Instances, Section::Volumes, Section::Metrics];
    let last = chain.iter().rev().find(|section| needs.contains(section)).copied();
    let around = needs.contains(&Section::Account);
    for section in chain {
        let asked = last.is_some_and(|last| section <= last);
        if asked || (around && section == Section::Instances) {
            at(look, section, None).await;
        }
        // What is around the instances hangs on them alone.
        if around && section == Section::Instances {
            at(look, Section::Account, None).await;
        }
    }
}

async fn at(look: &Look, section: Section, broker: Option<BrokerId>) {
    look.at(Job { section, broker }).await;
}

struct Unanswered {
    trouble: Trouble,
    reason: String,
    at: Moment,
}

impl Unanswered {
    fn mark<T>(&self, section: &mut Observed<T>) {
        if section.health == Health::Unasked {
            section.fail(self.trouble, &self.reason, self.at);
        }
    }
}

fn mark(snapshot: &mut Snapshot, needs: &Needs, brokers: Vec<BrokerId>, unanswered: &Unanswered) {
    for section in needs {
        match section {
            Section::Cluster => unanswered.mark(&mut snapshot.cluster),
            Section::Topics => unanswered.mark(&mut snapshot.topics),
            Section::TopicConfigs | Section::MinIsrs => unanswered.mark(&mut snapshot.topic_configs),
            Section::Quorum => unanswered.mark(&mut snapshot.quorum),
            Section::Reassignments => unanswered.mark(&mut snapshot.reassignments),
            Section::Acls => unanswered.mark(&mut snapshot.acls),
            Section::Users => unanswered.mark(&mut snapshot.users),
            Section::Quotas => unanswered.mark(&mut snapshot.quotas),
            Section::Instances => unanswered.mark(&mut snapshot.cloud.zones),
            Section::Metrics => {
                let cloud = &mut snapshot.cloud;
                if cloud.metrics.health == Health::Unasked && cloud.zones.is_fresh() && cloud.instances.is_empty() {
                    let reason = "no instance of this cluster is known, so CloudWatch was not asked";
                    cloud.metrics.fail(Trouble::Refused, reason, unanswered.at);
                }
                unanswered.mark(&mut cloud.metrics);
            }
            Section::Account => {
                let account = &mut snapshot.cloud.account;
                unanswered.mark(&mut account.security_groups);
                unanswered.mark(&mut account.subnets);
                unanswered.mark(&mut account.alarms);
                unanswered.mark(&mut account.encryption_by_default);
            }
            Section::ClientMetrics => unanswered.mark(&mut snapshot.client_metrics),
            Section::Groups => unanswered.mark(&mut snapshot.groups),
            Section::Retentions => unanswered.mark(&mut snapshot.retentions),
            Section::Volumes
            | Section::Links
            | Section::Offsets
            | Section::Backlogs
            | Section::Logdirs
            | Section::BrokerConfigs
            | Section::BrokerMetrics
            | Section::Transactions
            | Section::Probes => {}
        }
        for id in &brokers {
            match section {
                Section::Links => unanswered.mark(snapshot.links.entry(*id).or_default()),
                Section::Offsets => unanswered.mark(snapshot.offsets.entry(*id).or_default()),
                Section::Groups => unanswered.mark(snapshot.coordinators.entry(*id).or_default()),
                Section::Backlogs => unanswered.mark(snapshot.backlogs.entry(*id).or_default()),
                Section::Logdirs => unanswered.mark(snapshot.logdirs.entry(*id).or_default()),
                Section::Transactions => unanswered.mark(snapshot.transactions.entry(*id).or_default()),
                Section::BrokerConfigs => unanswered.mark(snapshot.broker_configs.entry(*id).or_default()),
                Section::BrokerMetrics => unanswered.mark(snapshot.broker_metrics.entry(*id).or_default()),
                _ => {}
            }
        }
    }
}
