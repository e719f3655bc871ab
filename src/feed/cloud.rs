//! The AWS plane of the feed: asked zone by zone with the ids that are remembered, so that a zone in trouble fails alone.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::store::{Change, Seen, Store};
use crate::model::cloud::{Account, Alarm, Cloud, Instance, SecurityGroup, Subnet, Volume};
use crate::model::{Health, Moment, Observed, Snapshot};
use crate::source::Error;
use crate::source::aws::{Aws, InstanceCache, MetricTarget, Scope, Status};

/// One question, all its pages.
const QUESTION: Duration = Duration::from_secs(20);

/// Zones change their state rarely.
const ZONES: Duration = Duration::from_secs(600);

/// Brokers that no instance was found for are looked for again after this.
const REDISCOVERY: Duration = Duration::from_secs(300);

/// What was denied is asked for again after this: the pause of [`Cadence::denied`](super::Cadence::denied).
const DENIED: Duration = Duration::from_secs(300);

/// Snapshots are made by the day.
const SNAPSHOTS: Duration = Duration::from_secs(600);

/// One name to addresses.
const RESOLVE: Duration = Duration::from_secs(2);

type Instances = BTreeMap<String, Instance>;

/// What is around the known instances: ids of security groups, and of VPCs.
type Around = (BTreeSet<String>, BTreeSet<String>);

/// The AWS plane, or why there is none.
#[derive(Debug)]
pub(super) struct Plane {
    aws: Result<Aws, String>,
    /// Where what must be remembered of each cluster lies.
    state: Option<PathBuf>,
    memory: Mutex<Memory>,
    /// When snapshots were last told, and of which volumes.
    snapshots: Mutex<Option<(Instant, Vec<String>)>>,
    /// When the account was last asked, and for which security groups and VPCs.
    account: Mutex<Option<(Instant, Around)>>,
    denials: Denials,
    /// The zone of the machine that we run on, once it was asked.
    own_zone: OnceCell<Option<String>>,
}

/// The operations that were denied lately. AWS logs each refusal, and rights change rarely: until [`DENIED`] is over, or a
/// person asks, the same answer is given without a request.
#[derive(Debug, Default)]
struct Denials {
    at: std::sync::Mutex<BTreeMap<&'static str, (Instant, Error)>>,
}

impl Denials {
    fn all(&self) -> MutexGuard<'_, BTreeMap<&'static str, (Instant, Error)>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, operation: &str) -> Option<Error> {
        let all = self.all();
        let (at, error) = all.get(operation)?;
        (at.elapsed() < DENIED).then(|| error.clone())
    }
}

/// How the plane asks.
#[derive(Clone, Copy)]
struct Calls<'a> {
    aws: &'a Aws,
    store: &'a Store,
    denials: &'a Denials,
}

impl Calls<'_> {
    /// Asks for one operation, all its pages, unless it was denied lately, and remembers whether it was answered: its name is
    /// that of the right that is missing.
    async fn ask<T>(
        &self,
        operation: &'static str,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let answer = match self.denials.of(operation) {
            Some(denied) => Err(denied),
            None => {
                let answer = within(operation, question).await;
                match &answer {
                    Err(error @ Error::Denied { .. }) => {
                        self.denials.all().insert(operation, (Instant::now(), error.clone()));
                    }
                    _ => drop(self.denials.all().remove(operation)),
                }
                answer
            }
        };
        let outcome = answer.as_ref().map(|_| ()).map_err(Error::clone);
        self.store.settle(outcome, |snapshot| {
            snapshot.cloud.calls.entry(operation.to_owned()).or_default()
        });
        answer
    }
}

#[derive(Debug, Default)]
struct Memory {
    cache: Option<InstanceCache>,
    /// When somebody was last looked for, and by which addresses.
    discovery: Option<(Instant, BTreeSet<String>)>,
    zones_at: Option<Instant>,
}

impl Plane {
    pub fn new(aws: Result<Aws, String>, state: Option<PathBuf>) -> Self {
        Self {
            aws,
            state,
            memory: Mutex::default(),
            snapshots: Mutex::default(),
            account: Mutex::default(),
            denials: Denials::default(),
            own_zone: OnceCell::new(),
        }
    }

    fn calls<'a>(&'a self, store: &'a Store) -> Option<Calls<'a>> {
        let aws = self.aws.as_ref().ok()?;
        Some(Calls {
            aws,
            store,
            denials: &self.denials,
        })
    }

    /// A person wants to know now: what was denied is asked for again too.
    pub fn ask_again(&self) {
        self.denials.all().clear();
    }

    /// How the plane looks before anybody asked.
    pub fn unasked(&self) -> Cloud {
        let Err(reason) = &self.aws else {
            return Cloud::default();
        };
        Cloud {
            zones: Observed::absent(reason),
            metrics: Observed::absent(reason),
            account: Account {
                security_groups: Observed::absent(reason),
                subnets: Observed::absent(reason),
                alarms: Observed::absent(reason),
                encryption_by_default: Observed::absent(reason),
            },
            ..Cloud::default()
        }
    }

    pub fn is_absent(&self) -> bool {
        self.aws.is_err()
    }

    /// Joins brokers to instances anew; to be called when what the join rests on has changed.
    pub fn join(&self, store: &Store) {
        if self.is_absent() {
            return;
        }
        store.edit(|inner| {
            let cloud = &mut inner.snapshot.cloud;
            let before = (
                std::mem::take(&mut cloud.identities),
                std::mem::take(&mut cloud.backings),
            );
            inner.snapshot.join_cloud(&inner.rules, &inner.resolved);
            let cloud = &inner.snapshot.cloud;
            match cloud.identities == before.0 && cloud.backings == before.1 {
                true => Change::Nothing,
                false => Change::Value,
            }
        });
    }

    /// Zones, instances with their health, and what their types can do.
    pub async fn instances(&self, store: &Store) -> Seen {
        let Some(calls) = self.calls(store) else {
            return Seen::default();
        };
        if store.read(|snapshot| snapshot.cluster.get().is_none()) {
            return Seen::default();
        }
        let mut memory = self.memory.lock().await;
        let (mut seen, ()) = futures::join!(self.zones(calls, &mut memory), self.locate(calls));
        let addresses = resolve(store).await;
        let mut cache = memory.cache.take().unwrap_or_else(|| self.cache());
        let missing = store.read(|snapshot| has_strangers(snapshot, &addresses));
        let found = match (cache.is_empty() || missing) && is_due(memory.discovery.as_ref(), &addresses) {
            true => discover(calls, &mut cache, &addresses).await,
            false => Ok(None),
        };
        match found {
            Ok(None) => {}
            Ok(Some(answered)) => {
                memory.discovery = Some((Instant::now(), addresses));
                seen = both(seen, answered);
            }
            Err(failed) => seen = both(seen, failed),
        }
        let zones: Vec<_> = cache.zones().map(|(zone, ids)| (zone.to_owned(), ids)).collect();
        memory.cache = Some(cache);
        let looks = zones.into_iter().map(|(zone, ids)| one_zone(calls, zone, ids));
        for answered in join_all(looks).await {
            seen = both(seen, answered);
        }
        seen = both(seen, types(calls).await);
        self.meter(calls).await;
        self.join(store);
        seen
    }

    /// Volumes attached to the known instances, with their last modification.
    pub async fn volumes(&self, store: &Store) -> Seen {
        let Some(calls) = self.calls(store) else {
            return Seen::default();
        };
        let zones: Vec<(String, Vec<String>)> = store.read(|snapshot| {
            let zones = snapshot.cloud.instances.iter();
            zones
                .filter_map(|(zone, seen)| Some((zone.clone(), seen.get()?.keys().cloned().collect())))
                .collect()
        });
        let looks = zones
            .into_iter()
            .filter(|(_, ids)| !ids.is_empty())
            .map(|(zone, ids)| zone_volumes(calls, zone, ids));
        let seen = join_all(looks).await.into_iter().fold(Seen::default(), both);
        let seen = both(seen, self.snapshots(calls).await);
        self.meter(calls).await;
        self.join(store);
        seen
    }

    /// The last snapshot of every known volume. It is an extra: its failure is told in its own section and does not
    /// hold up the volumes.
    async fn snapshots(&self, calls: Calls<'_>) -> Seen {
        let store = calls.store;
        let volumes: Vec<String> = store.read(|snapshot| {
            let zones = snapshot.cloud.volumes.values().filter_map(Observed::get);
            zones.flat_map(BTreeMap::keys).cloned().collect()
        });
        let mut last = self.snapshots.lock().await;
        let told = |(at, known): &(Instant, Vec<String>)| at.elapsed() < SNAPSHOTS && *known == volumes;
        if volumes.is_empty() || last.as_ref().is_some_and(told) {
            return Seen::default();
        }
        let question = calls.aws.snapshots(&volumes, Moment::now());
        let answer = calls.ask("DescribeSnapshots", question).await;
        // A right that is missing is not asked for every minute either.
        *last = Some((Instant::now(), volumes));
        let seen = store.settle(answer, |snapshot| &mut snapshot.cloud.snapshots);
        Seen { failed: false, ..seen }
    }

    /// What the account has around the known instances: one question for each part, which fails alone.
    pub async fn account(&self, store: &Store) -> Seen {
        let Some(calls) = self.calls(store) else {
            return Seen::default();
        };
        let around: Around = store.read(|snapshot| {
            let instances = || snapshot.cloud.all_instances();
            (
                instances()
                    .flat_map(|instance| instance.security_groups.iter().cloned())
                    .collect(),
                instances().filter_map(|instance| instance.vpc.clone()).collect(),
            )
        });
        let mut last = self.account.lock().await;
        let told = |(at, known): &(Instant, Around)| at.elapsed() < SNAPSHOTS && *known == around;
        if last.as_ref().is_some_and(told) {
            return Seen::default();
        }
        let (groups, vpcs): (Vec<String>, Vec<String>) =
            (around.0.iter().cloned().collect(), around.1.iter().cloned().collect());
        let (groups, subnets, alarms, default) = tokio::join!(
            security_groups(calls, groups),
            subnets(calls, vpcs),
            alarms(calls),
            encryption_by_default(calls)
        );
        let seen = [
            store.settle(groups, |snapshot| &mut snapshot.cloud.account.security_groups),
            store.settle(subnets, |snapshot| &mut snapshot.cloud.account.subnets),
            store.settle(alarms, |snapshot| &mut snapshot.cloud.account.alarms),
            store.settle(default, |snapshot| &mut snapshot.cloud.account.encryption_by_default),
        ];
        *last = Some((Instant::now(), around));
        self.meter(calls).await;
        let seen = seen.into_iter().fold(Seen::default(), both);
        // A right that is missing is told in its own part and holds up nothing.
        Seen { failed: false, ..seen }
    }

    /// One GetMetricData for everything known.
    pub async fn metrics(&self, store: &Store) -> Seen {
        let Some(calls) = self.calls(store) else {
            return Seen::default();
        };
        let targets = store.read(targets);
        if targets.is_empty() {
            return without_instances(store);
        }
        let question = calls.aws.metrics(&targets, Moment::now());
        let answer = calls.ask("GetMetricData", question).await;
        let seen = store.settle(answer, |snapshot| &mut snapshot.cloud.metrics);
        self.meter(calls).await;
        seen
    }

    /// What earlier runs knew of the instances; the folder is the cluster's own.
    fn cache(&self) -> InstanceCache {
        self.state.as_deref().map(InstanceCache::load).unwrap_or_default()
    }

    /// Finds out once where we look from.
    async fn locate(&self, Calls { aws, store, .. }: Calls<'_>) {
        if self.own_zone.initialized() {
            return;
        }
        let zone = self.own_zone.get_or_init(|| aws.own_zone()).await;
        if let Some(zone) = zone {
            store.edit(|inner| {
                inner.snapshot.vantage_zone = Some(zone.clone());
                Change::Value
            });
        }
    }

    async fn zones(&self, calls: Calls<'_>, memory: &mut Memory) -> Seen {
        if memory.zones_at.is_some_and(|at| at.elapsed() < ZONES) {
            return Seen::default();
        }
        let zones = calls.ask("DescribeAvailabilityZones", calls.aws.zones()).await;
        let seen = calls.store.settle(zones, |snapshot| &mut snapshot.cloud.zones);
        if !seen.failed {
            memory.zones_at = Some(Instant::now());
        }
        seen
    }

    async fn meter(&self, Calls { aws, store, .. }: Calls<'_>) {
        let region = aws.region().await.ok().flatten();
        store.edit(|inner| {
            let cloud = &mut inner.snapshot.cloud;
            cloud.cost = aws.cost();
            let region = region.or_else(|| cloud.region.clone());
            let label = (region, aws.simulated(), aws.clock_factor());
            let same = label == (cloud.region.clone(), cloud.simulated, cloud.clock_factor);
            (cloud.region, cloud.simulated, cloud.clock_factor) = label;
            if same { Change::Age } else { Change::Value }
        });
    }
}

// Each on the heap before anybody waits for it: together the SDK's futures are more than a thread's stack bears.

type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Nothing is around instances that nobody knows, or of which EC2 does not say it.
fn none(what: &str) -> Error {
    Error::Local(format!("no {what} of the brokers' instances is known"))
}

fn security_groups(calls: Calls<'_>, ids: Vec<String>) -> Answer<'_, BTreeMap<String, SecurityGroup>> {
    Box::pin(async move {
        match ids.is_empty() {
            true => Err(none("security group")),
            false => {
                calls
                    .ask("DescribeSecurityGroups", calls.aws.security_groups(&ids))
                    .await
            }
        }
    })
}

fn subnets(calls: Calls<'_>, vpcs: Vec<String>) -> Answer<'_, BTreeMap<String, Subnet>> {
    Box::pin(async move {
        match vpcs.is_empty() {
            true => Err(none("VPC")),
            false => calls.ask("DescribeSubnets", calls.aws.subnets(&vpcs)).await,
        }
    })
}

fn alarms(calls: Calls<'_>) -> Answer<'_, Vec<Alarm>> {
    Box::pin(async move { calls.ask("DescribeAlarms", calls.aws.alarms()).await })
}

fn encryption_by_default(calls: Calls<'_>) -> Answer<'_, bool> {
    Box::pin(async move {
        let question = calls.aws.encryption_by_default();
        calls.ask("GetEbsEncryptionByDefault", question).await
    })
}

/// Two answers to one question of ours.
fn both(one: Seen, other: Seen) -> Seen {
    Seen {
        failed: one.failed || other.failed,
        denied: one.denied && other.denied,
        change: one.change.max(other.change),
        turned: one.turned || other.turned,
    }
}

async fn within<T>(what: &str, question: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(QUESTION, question).await.unwrap_or_else(|_| {
        Err(Error::TimedOut {
            peer: "AWS".to_owned(),
            what: what.to_owned(),
            after: QUESTION,
        })
    })
}

/// The addresses of all brokers; host names are resolved from here.
async fn resolve(store: &Store) -> BTreeSet<String> {
    let hosts: BTreeSet<String> = store.read(|snapshot| {
        let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
        brokers.iter().map(|broker| broker.host.clone()).collect()
    });
    let (literal, names): (Vec<_>, Vec<_>) = hosts.into_iter().partition(|host| host.parse::<IpAddr>().is_ok());
    let looks = names.into_iter().map(|name| async move {
        let looked = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((name.clone(), 0))).await;
        let found: Vec<IpAddr> = match looked {
            Ok(Ok(addresses)) => addresses.map(|address| address.ip()).collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        (name, found)
    });
    let found: Vec<_> = join_all(looks).await;
    let mut addresses: BTreeSet<String> = literal.into_iter().collect();
    store.edit(|inner| {
        for (name, ips) in found {
            addresses.extend(ips.iter().map(IpAddr::to_string));
            if !ips.is_empty() {
                inner.resolved.insert(name, ips);
            }
        }
        Change::Nothing
    });
    addresses
}

/// Whether a broker's address is on none of the known instances.
fn has_strangers(snapshot: &Snapshot, addresses: &BTreeSet<String>) -> bool {
    let known: BTreeSet<&str> = snapshot
        .cloud
        .all_instances()
        .flat_map(|instance| instance.private_addresses.iter().chain(&instance.public_address))
        .map(String::as_str)
        .collect();
    addresses.iter().any(|address| !known.contains(address.as_str()))
}

fn is_due(discovery: Option<&(Instant, BTreeSet<String>)>, addresses: &BTreeSet<String>) -> bool {
    discovery.is_none_or(|(at, sought)| at.elapsed() >= REDISCOVERY || sought != addresses)
}

/// Looks for instances by address and remembers their zones. A failure stands under the zone `""`.
async fn discover(
    calls: Calls<'_>,
    cache: &mut InstanceCache,
    addresses: &BTreeSet<String>,
) -> Result<Option<Seen>, Seen> {
    let scope = Scope::Addresses(addresses.iter().cloned().collect());
    let store = calls.store;
    match calls.ask("DescribeInstances", calls.aws.instances(&scope)).await {
        Ok(instances) => {
            if cache.learn(instances.values()) {
                // The file only saves the next start a discovery.
                let _ = cache.save();
            }
            store.edit(|inner| match inner.snapshot.cloud.instances.remove("") {
                Some(_) => Change::Value,
                None => Change::Nothing,
            });
            Ok(Some(Seen::default()))
        }
        Err(error) => Err(store.settle(Err(error), |snapshot| {
            snapshot.cloud.instances.entry(String::new()).or_default()
        })),
    }
}

async fn one_zone(calls: Calls<'_>, zone: String, ids: Vec<String>) -> Seen {
    let scope = Scope::Ids(ids.clone());
    let (instances, statuses) = tokio::join!(
        calls.ask("DescribeInstances", calls.aws.instances(&scope)),
        calls.ask("DescribeInstanceStatus", calls.aws.statuses(&ids)),
    );
    let statuses = statuses.unwrap_or_default();
    let instances = instances.map(|instances| with_status(instances, statuses));
    calls
        .store
        .settle(instances, |snapshot| snapshot.cloud.instances.entry(zone).or_default())
}

/// Adds the checks and events that DescribeInstances does not tell.
fn with_status(mut instances: Instances, statuses: BTreeMap<String, Status>) -> Instances {
    for (id, status) in statuses {
        let Some(instance) = instances.get_mut(&id) else {
            continue;
        };
        if let Some(state) = status.state {
            instance.state = state;
        }
        instance.system_check = status.system_check;
        instance.instance_check = status.instance_check;
        instance.ebs_check = status.ebs_check;
        instance.events = status.events;
    }
    instances
}

/// Asks for types that are not known yet; what a type can do never changes.
async fn types(calls: Calls<'_>) -> Seen {
    let store = calls.store;
    let unknown: BTreeSet<String> = store.read(|snapshot| {
        let cloud = &snapshot.cloud;
        let types = cloud.all_instances().map(|instance| &instance.instance_type);
        types.filter(|name| !cloud.types.contains_key(*name)).cloned().collect()
    });
    if unknown.is_empty() {
        return Seen::default();
    }
    let unknown: Vec<_> = unknown.into_iter().collect();
    let answer = calls.ask("DescribeInstanceTypes", calls.aws.types(&unknown)).await;
    let failed = answer.is_err();
    let denied = matches!(answer, Err(Error::Denied { .. }));
    let change = store.edit(|inner| match answer {
        Ok(types) if !types.is_empty() => {
            inner.snapshot.cloud.types.extend(types);
            Change::Value
        }
        _ => Change::Nothing,
    });
    Seen {
        failed,
        denied,
        change,
        turned: false,
    }
}

async fn zone_volumes(calls: Calls<'_>, zone: String, instances: Vec<String>) -> Seen {
    let answer = match calls.ask("DescribeVolumes", calls.aws.volumes(&instances)).await {
        Ok(volumes) => Ok(with_modifications(calls, volumes).await),
        Err(error) => Err(error),
    };
    calls
        .store
        .settle(answer, |snapshot| snapshot.cloud.volumes.entry(zone).or_default())
}

async fn with_modifications(calls: Calls<'_>, mut volumes: BTreeMap<String, Volume>) -> BTreeMap<String, Volume> {
    let ids: Vec<_> = volumes.keys().cloned().collect();
    if ids.is_empty() {
        return volumes;
    }
    let question = calls.aws.modifications(&ids);
    let answer = calls.ask("DescribeVolumesModifications", question).await;
    for (id, modification) in answer.unwrap_or_default() {
        if let Some(volume) = volumes.get_mut(&id) {
            volume.modification = Some(modification);
        }
    }
    volumes
}

/// CloudWatch is asked for instances that are known: where EC2 tells of none, its reason is the metrics' too.
fn without_instances(store: &Store) -> Seen {
    let change = store.edit(|inner| {
        let cloud = &mut inner.snapshot.cloud;
        let failing = cloud.instances.values().find_map(|section| match &section.health {
            Health::Failing { trouble, reason, .. } => Some((*trouble, reason.clone())),
            _ => None,
        });
        let before = cloud.metrics.health.clone();
        if let Some((trouble, reason)) = failing {
            cloud.metrics.fail(trouble, reason, Moment::now());
        }
        match cloud.metrics.health == before {
            true => Change::Nothing,
            false => Change::Value,
        }
    });
    Seen {
        change,
        ..Seen::default()
    }
}

fn targets(snapshot: &Snapshot) -> Vec<MetricTarget> {
    let cloud = &snapshot.cloud;
    let instances = cloud.all_instances().map(|instance| MetricTarget::Instance {
        id: instance.id.clone(),
        detailed_monitoring: instance.detailed_monitoring,
    });
    let volumes = cloud.volumes.values().filter_map(Observed::get);
    let volumes = volumes.flat_map(BTreeMap::values).map(|volume| MetricTarget::Volume {
        id: volume.id.clone(),
        instance: volume.instance.clone(),
        volume_type: volume.volume_type.clone(),
    });
    instances.chain(volumes).collect()
}

#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;
