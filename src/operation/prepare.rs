//! What a plan is worked out from, and what an engine looks at before its first act: just those parts of the cluster that
//! the wish is about.

mod cloud;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::time::timeout;

use super::{Error, Folder, Secrets, dns, feature, lease, outlive};
use crate::feed::{self, Needs, Section, Sources};
use crate::model::config::Owner;
use crate::model::transaction::Producer;
use crate::model::{BrokerId, Moment, Observed, Snapshot, Trouble};
use crate::plan::group::{Reset, To};
use crate::plan::intent::Intent;
use crate::plan::leader;
use crate::plan::reassign::{Goal, MaxRate};
use crate::plan::restart::{self, Turn};
use crate::plan::throttle::{Clear, Set};
use crate::plan::topic::Truncate;
use crate::plan::{Kind, Plan, Step, swap, volume};
use crate::settings::secret::Program;
use crate::settings::{Context, Secret};
use cloud::{ask_credentials, ask_reach, host, swapped, tried};

/// Between the two looks that tell how fast somebody writes.
const APART: Duration = Duration::from_secs(1);

/// Fills in what the wish leaves to the brokers: where a time lies in their logs. Who does not answer leaves its partitions
/// unknown.
pub async fn asked(sources: &Sources, mut intent: Intent, snapshot: &Snapshot) -> Intent {
    if let Intent::Feature(wish) = &mut intent {
        wish.found = feature::of_cluster(sources).await;
        return intent;
    }
    if let Intent::AbortTransaction(wish) = &mut intent {
        wish.found = producers(sources, snapshot, &wish.topic, wish.partition).await;
        return intent;
    }
    if let Intent::Volume(wish) = &mut intent {
        // What asks AWS is too large to lie on the stack of whoever waits for it.
        tried(sources, wish, snapshot).boxed().await;
        return intent;
    }
    if let Intent::Swap(wish) = &mut intent {
        if let swap::What::Instance(id) = &wish.what {
            wish.found = host(sources, id).boxed().await;
        }
        wish.trials = swapped(sources, wish, snapshot).boxed().await;
        return intent;
    }
    if let Intent::Dns(wish) = &mut intent {
        wish.found = dns::found(sources, &wish.record, wish.zone.as_deref()).boxed().await;
        return intent;
    }
    let (topics, to): (BTreeSet<String>, &mut To) = match &mut intent {
        Intent::ResetGroup(wish) if wish.names.is_empty() => {
            let own = snapshot
                .groups
                .get()
                .into_iter()
                .flatten()
                .filter(|one| one.name == wish.group);
            let topics = own.flat_map(|one| &one.commits).map(|one| one.topic.to_string());
            (topics.collect(), &mut wish.to)
        }
        Intent::ResetGroup(Reset { names, to, .. }) | Intent::Truncate(Truncate { names, before: to }) => {
            (names.iter().map(|name| topic_of(name).to_owned()).collect(), to)
        }
        _ => return intent,
    };
    if let To::Since { time, found } = to {
        let mut led: BTreeMap<BrokerId, Vec<(String, i32)>> = BTreeMap::new();
        for (topic, partition) in snapshot.partitions().filter(|(topic, _)| topics.contains(*topic)) {
            if let Some(leader) = partition.leader {
                led.entry(leader)
                    .or_default()
                    .push((topic.to_owned(), partition.partition));
            }
        }
        let time_ms = time.as_millisecond();
        let answers = led
            .iter()
            .map(|(leader, own)| sources.kafka.offsets_since(*leader, own, time_ms));
        *found = join_all(answers)
            .await
            .into_iter()
            .flat_map(Result::unwrap_or_default)
            .collect();
    }
    intent
}

/// What the leader of a partition remembers of its producers, or why that is not known.
async fn producers(
    sources: &Sources,
    snapshot: &Snapshot,
    topic: &str,
    partition: i32,
) -> Result<Vec<Producer>, String> {
    let found = snapshot.topic(topic).and_then(|topic| topic.partition(partition));
    let leader = found.and_then(|partition| partition.leader).ok_or("it has no leader")?;
    let asked = BTreeMap::from([(topic.to_owned(), vec![partition])]);
    sources
        .kafka
        .producers(leader, &asked)
        .await
        .map_err(|error| error.to_string())
}

/// Of `TOPIC` or `TOPIC:PARTITION`.
fn topic_of(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// What only this host knows: the throttles that Azimuth has set.
///
/// # Errors
/// When the journals cannot be read.
pub fn informed(intent: Intent, folder: &Folder) -> Result<Intent, Error> {
    Ok(match intent {
        Intent::ClearThrottle(clear) => Intent::ClearThrottle(Clear {
            claims: folder.claims()?,
            ..clear
        }),
        other => other,
    })
}

/// What only the context says: how its brokers are reached.
///
/// # Errors
/// A sentence with the way out, when it says nothing.
pub fn equipped(intent: Intent, context: &Context) -> Result<Intent, Error> {
    Ok(match intent {
        Intent::Restart(wish) => Intent::Restart(restart::Wish {
            way: Some(context.way(wish.driver).map_err(Error::Undriven)?),
            ..wish
        }),
        Intent::Volume(wish) => {
            let way = context.way(wish.driver);
            match (way, wish.driver) {
                (Err(why), Some(_)) => return Err(Error::Undriven(why)),
                (way, _) => Intent::Volume(volume::Wish { way, ..wish }),
            }
        }
        Intent::Swap(wish) => Intent::Swap(swap::Wish {
            way: Ok(context.way(wish.driver).map_err(Error::Undriven)?),
            ..wish
        }),
        other => other,
    })
}

/// What must be seen before a volume is changed.
pub(super) fn about_volumes() -> Needs {
    Needs::from([
        Section::Cluster,
        Section::Links,
        Section::Topics,
        Section::Logdirs,
        Section::Instances,
        Section::Volumes,
    ])
}

/// What must be seen before a broker is stopped.
pub(super) fn about_restarts(sources: &Sources) -> Needs {
    let mut needs = Needs::from([
        Section::Cluster,
        Section::Links,
        Section::Topics,
        Section::MinIsrs,
        Section::Reassignments,
        Section::Quorum,
    ]);
    if sources.aws.is_ok() {
        needs.insert(Section::Instances);
    }
    needs
}

/// Looks at what planning this takes, within `deadline`; what was not seen by then says so.
pub async fn look(sources: &Sources, intent: &Intent, deadline: Duration) -> Snapshot {
    let needs = |sections: &[Section]| sections.iter().copied().collect::<Needs>();
    match intent {
        Intent::Feature(_) => feed::collect(sources, &needs(&[Section::Cluster]), deadline).await,
        Intent::Dns(_) => {
            let mut snapshot = feed::collect(sources, &needs(&[Section::Cluster]), deadline / 2).await;
            ask_credentials(sources, &mut snapshot, deadline / 2).boxed().await;
            snapshot
        }
        Intent::CreateTopic(_) => feed::collect(sources, &needs(&[Section::Cluster, Section::Topics]), deadline).await,
        Intent::DeleteTopics(_) => {
            let needs = needs(&[Section::Cluster, Section::Topics, Section::Groups, Section::Offsets]);
            feed::collect_rates(sources, &needs, deadline, APART).await
        }
        Intent::CancelReassign(_) => {
            let needs = needs(&[Section::Cluster, Section::Topics, Section::Reassignments]);
            feed::collect(sources, &needs, deadline).await
        }
        Intent::AbortTransaction(_) => {
            let needs = needs(&[Section::Cluster, Section::Topics, Section::Transactions]);
            feed::collect(sources, &needs, deadline).await
        }
        Intent::AddPartitions(name, _) => {
            let needs = needs(&[Section::Cluster, Section::Topics]);
            let mut snapshot = feed::collect(sources, &needs, deadline / 2).await;
            ask_configs(sources, &mut snapshot, &[&Owner::Topic(name.clone())], deadline / 2).await;
            snapshot
        }
        Intent::Truncate(wish) => {
            let needs = needs(&[Section::Cluster, Section::Topics, Section::Groups, Section::Offsets]);
            let mut snapshot = feed::collect(sources, &needs, deadline / 2).await;
            let owners: BTreeSet<Owner> = wish
                .names
                .iter()
                .map(|name| Owner::Topic(topic_of(name).to_owned()))
                .collect();
            ask_configs(sources, &mut snapshot, &owners.iter().collect::<Vec<_>>(), deadline / 2).await;
            snapshot
        }
        Intent::ResetGroup(_) | Intent::DeleteGroups(_) => {
            let needs = needs(&[Section::Cluster, Section::Topics, Section::Groups, Section::Offsets]);
            feed::collect(sources, &needs, deadline).await
        }
        Intent::Leaders(wish) => {
            let mut needs = needs(&[
                Section::Cluster,
                Section::Links,
                Section::Topics,
                Section::Reassignments,
            ]);
            if matches!(wish, leader::Wish::Unclean(_)) {
                needs.insert(Section::Logdirs);
            }
            let snapshot = feed::collect(sources, &needs, deadline).await;
            if !leader::asks_ec2(wish, &snapshot) {
                return snapshot;
            }
            needs.insert(Section::Instances);
            feed::collect(sources, &needs, deadline).await
        }
        Intent::SetThrottle(_) | Intent::ClearThrottle(_) => {
            let mut needs = needs(&[
                Section::Cluster,
                Section::Links,
                Section::Topics,
                Section::Reassignments,
                Section::Logdirs,
                Section::BrokerConfigs,
                Section::TopicConfigs,
            ]);
            if let Intent::SetThrottle(Set::CatchUp(wish)) = intent {
                // What clients write meanwhile, where zones are, and what limits leave.
                needs.insert(Section::Offsets);
                if sources.aws.is_ok() {
                    needs.insert(Section::Instances);
                }
                if wish.bytes_per_second.is_none() && sources.aws.is_ok() {
                    needs.insert(Section::Metrics);
                }
                return feed::collect_rates(sources, &needs, deadline, APART).await;
            }
            feed::collect(sources, &needs, deadline).await
        }
        Intent::Reassign(wish) => {
            let mut needs = needs(&[
                Section::Cluster,
                Section::Links,
                Section::Topics,
                Section::Reassignments,
                Section::Logdirs,
            ]);
            if matches!(wish.goal, Goal::Factor(_)) {
                needs.insert(Section::TopicConfigs);
            }
            if wish.max_rate == MaxRate::Solved && sources.aws.is_ok() {
                needs.insert(Section::Metrics);
            }
            if matches!(wish.max_rate, MaxRate::At(_)) || needs.contains(&Section::Metrics) {
                // What clients write meanwhile, and what is throttled already.
                needs.extend([Section::Offsets, Section::BrokerConfigs]);
                return feed::collect_rates(sources, &needs, deadline, APART).await;
            }
            feed::collect(sources, &needs, deadline).await
        }
        Intent::Quota(_) => feed::collect(sources, &needs(&[Section::Cluster, Section::Quotas]), deadline).await,
        Intent::Restart(wish) => {
            let mut snapshot = collected(sources, about_restarts(sources), deadline / 2).await;
            let driver = wish.driver.or(wish.way.as_ref().map(|way| way.driver));
            let reach = deadline / 2;
            ask_reach(sources, &mut snapshot, driver, None, reach).boxed().await;
            if !restart::apart::chosen_of(&snapshot, &wish.whom).is_empty() {
                ask_controllers(sources, &mut snapshot, reach).await;
            }
            snapshot
        }
        Intent::Volume(wish) => {
            let mut snapshot = collected(sources, about_volumes(), deadline / 2).await;
            let driver = wish.driver.or(wish.way.as_ref().ok().map(|way| way.driver));
            let driver = driver.filter(|_| is_growing(wish));
            ask_reach(sources, &mut snapshot, driver, None, deadline / 4)
                .boxed()
                .await;
            ask_credentials(sources, &mut snapshot, deadline / 4).boxed().await;
            snapshot
        }
        Intent::Swap(wish) => {
            let mut needs = about_restarts(sources);
            needs.extend(about_volumes());
            let mut snapshot = collected(sources, needs, deadline / 2).await;
            let driver = wish.driver.or(wish.way.as_ref().ok().map(|way| way.driver));
            let more = match &wish.what {
                swap::What::Instance(id) => Some(id.clone()),
                swap::What::Encrypt { .. } => None,
            };
            ask_reach(sources, &mut snapshot, driver, more, deadline / 4)
                .boxed()
                .await;
            ask_credentials(sources, &mut snapshot, deadline / 4).boxed().await;
            snapshot
        }
        Intent::Acl(_) | Intent::User(_) => {
            let of = match intent {
                Intent::User(_) => Section::Users,
                _ => Section::Groups,
            };
            let needs = needs(&[Section::Cluster, Section::Acls, Section::BrokerConfigs, of]);
            feed::collect(sources, &needs, deadline).await
        }
        Intent::Config(wish) => {
            let needs = needs(&[Section::Cluster, Section::Topics]);
            let mut snapshot = feed::collect(sources, &needs, deadline / 2).await;
            ask_configs(sources, &mut snapshot, &[&wish.owner], deadline / 2).await;
            snapshot
        }
    }
}

/// Secrets looked up now, by what they are for.
///
/// # Errors
/// A sentence that names where one should have been, never a value.
pub fn secrets<'a>(wanted: impl Iterator<Item = (&'a str, Secret)>) -> Result<Secrets, String> {
    let reveal = |(name, secret): (&str, Secret)| {
        let value = secret.reveal()?;
        // It travels between such.
        match value.contains('\0') {
            true => Err(format!("{secret:?} holds a zero byte, which no value of {name} has")),
            false => Ok((name.to_owned(), value)),
        }
    };
    wanted.map(reveal).collect()
}

/// Where a secret is that is named by a file, a variable or a command; `None` where none of them is.
pub fn secret(file: Option<&Path>, variable: Option<&str>, command: Option<&str>) -> Option<Secret> {
    let file = file.map(|path| Secret::File(path.to_owned()));
    let variable = || variable.map(|name| Secret::Environment(name.to_owned()));
    let command = || command.map(|line| Secret::Command(Program::Line(line.to_owned())));
    file.or_else(variable).or_else(command)
}

/// The same plan with the gate of the lease, where it wants to be alone on the cluster, and what this host's session says of what it is
/// carried out with.
pub async fn leased(sources: &Sources, mut plan: Plan) -> Plan {
    plan.gates.retain(|gate| gate.name != lease::GATE);
    plan.gates.extend(lease::gate(&sources.kafka, &plan).await);
    if lease::is_leased(&plan) {
        plan.gates.extend(outlive::gate(&plan));
    }
    plan
}

/// Looks at what tells whether a plan still fits, before its first act.
pub(super) async fn again(sources: &Sources, plan: &Plan, deadline: Duration) -> Snapshot {
    let mut needs = Needs::from([
        Section::Cluster,
        Section::Topics,
        Section::Links,
        Section::Reassignments,
    ]);
    needs.extend(match plan.kind {
        Kind::AclApply => Some(Section::Acls),
        Kind::UserSet | Kind::UserDelete => Some(Section::Users),
        Kind::QuotaSet => Some(Section::Quotas),
        _ => None,
    });
    let mut snapshot = feed::collect(sources, &needs, deadline / 2).await;
    let owners: Vec<&Owner> = plan.steps.iter().filter_map(owner).collect();
    ask_configs(sources, &mut snapshot, &owners, deadline / 2).await;
    snapshot
}

/// What of it was not seen, and why.
pub(super) fn unseen(plan: &Plan, snapshot: &Snapshot) -> Option<String> {
    let (what, missing, problem) = match plan.kind {
        Kind::AclApply => ("access rules", snapshot.acls.get().is_none(), snapshot.acls.problem()),
        Kind::UserSet | Kind::UserDelete => ("users", snapshot.users.get().is_none(), snapshot.users.problem()),
        Kind::QuotaSet => ("quotas", snapshot.quotas.get().is_none(), snapshot.quotas.problem()),
        _ => ("", false, None),
    };
    if missing {
        return Some(format!("waiting for the {what}: {}", problem.unwrap_or_default()));
    }
    let blind = |(owner, seen): (&Owner, &Observed<_>)| {
        let problem = seen.problem().filter(|_| seen.get().is_none())?;
        Some(format!("waiting for the configs of {owner}: {problem}"))
    };
    snapshot.owned_configs.iter().find_map(blind)
}

fn owner(step: &Step) -> Option<&Owner> {
    match step {
        Step::AlterConfigs(alter) => Some(&alter.owner),
        _ => None,
    }
}

/// Looks, from the bottom of a stack of its own: reading what AWS says nests deep.
pub(super) async fn collected(sources: &Sources, needs: Needs, deadline: Duration) -> Snapshot {
    let sources = sources.clone();
    in_task(async move { feed::collect(&sources, &needs, deadline).await }).await
}

/// Looks at what the gates of these turns are about, as [`collected`] does.
pub(super) async fn of_turns(sources: Sources, turns: Vec<Turn>, deadline: Duration) -> Snapshot {
    in_task(async move {
        let mut snapshot = feed::collect(&sources, &about_restarts(&sources), deadline).await;
        let instances: Vec<String> = turns.iter().filter_map(|turn| turn.place.instance.clone()).collect();
        let driver = turns.first().map(|turn| turn.driver);
        ask_reach(&sources, &mut snapshot, driver, instances, deadline).await;
        if turns.iter().any(|turn| turn.apart.is_some()) {
            ask_controllers(&sources, &mut snapshot, deadline).await;
        }
        snapshot
    })
    .await
}

/// Where it panicked nothing was seen, and plans and gates say so.
async fn in_task(look: impl Future<Output = Snapshot> + Send + 'static) -> Snapshot {
    tokio::spawn(look).await.unwrap_or_default()
}

/// Asks the controllers that are no brokers whether they answer; where they listen is told by the quorum.
async fn ask_controllers(sources: &Sources, snapshot: &mut Snapshot, deadline: Duration) {
    let addresses = snapshot
        .quorum
        .get()
        .map(|quorum| quorum.addresses.clone())
        .unwrap_or_default();
    let apart = restart::apart::ids(snapshot);
    let asked = addresses
        .into_iter()
        .filter(|(id, _)| apart.contains(id))
        .map(async |(id, address)| {
            let told = timeout(deadline, sources.kafka.controller_link(&address)).await;
            (
                id,
                told.map_or_else(|_| late(), |told| observed(told.map(|probe| probe.link))),
            )
        });
    snapshot.links.extend(join_all(asked).await);
}

fn is_growing(wish: &volume::Wish) -> bool {
    match &wish.verb {
        volume::Verb::Modify { wanted, .. } => wanted.size_gib.is_some(),
        volume::Verb::Extend { .. } => true,
        _ => false,
    }
}

fn observed<T>(answer: Result<T, crate::source::Error>) -> Observed<T> {
    let now = Moment::now();
    match answer {
        Ok(value) => Observed::fresh(value, now),
        Err(error) => {
            let mut seen = Observed::default();
            seen.fail(error.trouble(), error.to_string(), now);
            seen
        }
    }
}

fn late<T>() -> Observed<T> {
    let mut seen = Observed::default();
    seen.fail(Trouble::TimedOut, "no answer in time", Moment::now());
    seen
}

/// Asks for every config of these owners; for all brokers together some broker too, which tells what there is to set.
async fn ask_configs(sources: &Sources, snapshot: &mut Snapshot, owners: &[&Owner], deadline: Duration) {
    let known = |owner: &&&Owner| match owner {
        // An error of a topic that is not there says less than the plan does.
        Owner::Topic(name) => snapshot.topic(name).is_some(),
        _ => true,
    };
    let mut wanted: Vec<Owner> = owners.iter().filter(known).map(|owner| (*owner).clone()).collect();
    if wanted.contains(&Owner::AllBrokers) {
        let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
        let live = brokers.iter().find(|broker| !broker.fenced);
        wanted.extend(live.map(|broker| Owner::Broker(broker.id)));
    }
    let asked = wanted.into_iter().map(async |owner| {
        let told = timeout(deadline, sources.kafka.configs_of(&owner)).await;
        (owner, told.map_or_else(|_| late(), observed))
    });
    snapshot.owned_configs = join_all(asked).await.into_iter().collect();
}
