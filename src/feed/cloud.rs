//! The AWS plane of the feed: asked zone by zone with the ids that are remembered, so that a zone in trouble fails alone.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::store::{Change, Seen, Store};
use crate::model::cloud::{Cloud, Instance, Volume};
use crate::model::{Health, Moment, Observed, Snapshot};
use crate::source::Error;
use crate::source::aws::{Aws, InstanceCache, MetricTarget, Scope, Status};

/// One question, all its pages.
const QUESTION: Duration = Duration::from_secs(20);

/// Zones change their state rarely.
const ZONES: Duration = Duration::from_secs(600);

/// Brokers that no instance was found for are looked for again after this.
const REDISCOVERY: Duration = Duration::from_secs(300);

/// Snapshots are made by the day.
const SNAPSHOTS: Duration = Duration::from_secs(600);

/// One name to addresses.
const RESOLVE: Duration = Duration::from_secs(2);

type Instances = BTreeMap<String, Instance>;

/// The AWS plane, or why there is none.
#[derive(Debug)]
pub(super) struct Plane {
    aws: Result<Aws, String>,
    /// Where what must be remembered of each cluster lies.
    state: Option<PathBuf>,
    memory: Mutex<Memory>,
    /// When snapshots were last told, and of which volumes.
    snapshots: Mutex<Option<(Instant, Vec<String>)>>,
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
        }
    }

    /// How the plane looks before anybody asked.
    pub fn unasked(&self) -> Cloud {
        let Err(reason) = &self.aws else {
            return Cloud::default();
        };
        Cloud {
            zones: Observed::absent(reason),
            metrics: Observed::absent(reason),
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
        let Ok(aws) = &self.aws else { return Seen::default() };
        if store.read(|snapshot| snapshot.cluster.get().is_none()) {
            return Seen::default();
        }
        let mut memory = self.memory.lock().await;
        let mut seen = self.zones(aws, store, &mut memory).await;
        let addresses = resolve(store).await;
        let mut cache = memory.cache.take().unwrap_or_else(|| self.cache());
        let missing = store.read(|snapshot| has_strangers(snapshot, &addresses));
        let found = match (cache.is_empty() || missing) && is_due(memory.discovery.as_ref(), &addresses) {
            true => discover(aws, store, &mut cache, &addresses).await,
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
        let looks = zones.into_iter().map(|(zone, ids)| one_zone(aws, store, zone, ids));
        for answered in join_all(looks).await {
            seen = both(seen, answered);
        }
        seen = both(seen, types(aws, store).await);
        self.meter(aws, store).await;
        self.join(store);
        seen
    }

    /// Volumes attached to the known instances, with their last modification.
    pub async fn volumes(&self, store: &Store) -> Seen {
        let Ok(aws) = &self.aws else { return Seen::default() };
        let zones: Vec<(String, Vec<String>)> = store.read(|snapshot| {
            let zones = snapshot.cloud.instances.iter();
            zones
                .filter_map(|(zone, seen)| Some((zone.clone(), seen.get()?.keys().cloned().collect())))
                .collect()
        });
        let looks = zones
            .into_iter()
            .filter(|(_, ids)| !ids.is_empty())
            .map(|(zone, ids)| zone_volumes(aws, store, zone, ids));
        let seen = join_all(looks).await.into_iter().fold(Seen::default(), both);
        let seen = both(seen, self.snapshots(aws, store).await);
        self.meter(aws, store).await;
        self.join(store);
        seen
    }

    /// The last snapshot of every known volume. It is an extra: its failure is told in its own section and does not
    /// hold up the volumes.
    async fn snapshots(&self, aws: &Aws, store: &Store) -> Seen {
        let volumes: Vec<String> = store.read(|snapshot| {
            let zones = snapshot.cloud.volumes.values().filter_map(Observed::get);
            zones.flat_map(BTreeMap::keys).cloned().collect()
        });
        let mut last = self.snapshots.lock().await;
        let told = |(at, known): &(Instant, Vec<String>)| at.elapsed() < SNAPSHOTS && *known == volumes;
        if volumes.is_empty() || last.as_ref().is_some_and(told) {
            return Seen::default();
        }
        let answer = within("DescribeSnapshots", aws.snapshots(&volumes, Moment::now())).await;
        note(store, "DescribeSnapshots", &answer);
        // A right that is missing is not asked for every minute either.
        *last = Some((Instant::now(), volumes));
        let seen = store.settle(answer, |snapshot| &mut snapshot.cloud.snapshots);
        Seen { failed: false, ..seen }
    }

    /// One GetMetricData for everything known.
    pub async fn metrics(&self, store: &Store) -> Seen {
        let Ok(aws) = &self.aws else { return Seen::default() };
        let targets = store.read(targets);
        if targets.is_empty() {
            return without_instances(store);
        }
        let answer = within("GetMetricData", aws.metrics(&targets, Moment::now())).await;
        note(store, "GetMetricData", &answer);
        let seen = store.settle(answer, |snapshot| &mut snapshot.cloud.metrics);
        self.meter(aws, store).await;
        seen
    }

    /// What earlier runs knew of the instances; the folder is the cluster's own.
    fn cache(&self) -> InstanceCache {
        self.state.as_deref().map(InstanceCache::load).unwrap_or_default()
    }

    async fn zones(&self, aws: &Aws, store: &Store, memory: &mut Memory) -> Seen {
        if memory.zones_at.is_some_and(|at| at.elapsed() < ZONES) {
            return Seen::default();
        }
        let zones = within("DescribeAvailabilityZones", aws.zones()).await;
        note(store, "DescribeAvailabilityZones", &zones);
        let seen = store.settle(zones, |snapshot| &mut snapshot.cloud.zones);
        if !seen.failed {
            memory.zones_at = Some(Instant::now());
        }
        seen
    }

    async fn meter(&self, aws: &Aws, store: &Store) {
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

/// Remembers whether an operation was answered: it names the right that is missing.
fn note<T>(store: &Store, operation: &str, answer: &Result<T, Error>) {
    let outcome = answer.as_ref().map(|_| ()).map_err(Error::clone);
    store.settle(outcome, |snapshot| {
        snapshot.cloud.calls.entry(operation.to_owned()).or_default()
    });
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
    aws: &Aws,
    store: &Store,
    cache: &mut InstanceCache,
    addresses: &BTreeSet<String>,
) -> Result<Option<Seen>, Seen> {
    let scope = Scope::Addresses(addresses.iter().cloned().collect());
    let answer = within("DescribeInstances", aws.instances(&scope)).await;
    note(store, "DescribeInstances", &answer);
    match answer {
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

async fn one_zone(aws: &Aws, store: &Store, zone: String, ids: Vec<String>) -> Seen {
    let scope = Scope::Ids(ids.clone());
    let (instances, statuses) = tokio::join!(
        within("DescribeInstances", aws.instances(&scope)),
        within("DescribeInstanceStatus", aws.statuses(&ids)),
    );
    note(store, "DescribeInstances", &instances);
    note(store, "DescribeInstanceStatus", &statuses);
    let statuses = statuses.unwrap_or_default();
    let instances = instances.map(|instances| with_status(instances, statuses));
    store.settle(instances, |snapshot| snapshot.cloud.instances.entry(zone).or_default())
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
async fn types(aws: &Aws, store: &Store) -> Seen {
    let unknown: BTreeSet<String> = store.read(|snapshot| {
        let cloud = &snapshot.cloud;
        let types = cloud.all_instances().map(|instance| &instance.instance_type);
        types.filter(|name| !cloud.types.contains_key(*name)).cloned().collect()
    });
    if unknown.is_empty() {
        return Seen::default();
    }
    let unknown: Vec<_> = unknown.into_iter().collect();
    let answer = within("DescribeInstanceTypes", aws.types(&unknown)).await;
    note(store, "DescribeInstanceTypes", &answer);
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

async fn zone_volumes(aws: &Aws, store: &Store, zone: String, instances: Vec<String>) -> Seen {
    let answer = within("DescribeVolumes", aws.volumes(&instances)).await;
    note(store, "DescribeVolumes", &answer);
    let answer = match answer {
        Ok(volumes) => Ok(with_modifications(aws, store, volumes).await),
        Err(error) => Err(error),
    };
    store.settle(answer, |snapshot| snapshot.cloud.volumes.entry(zone).or_default())
}

async fn with_modifications(
    aws: &Aws,
    store: &Store,
    mut volumes: BTreeMap<String, Volume>,
) -> BTreeMap<String, Volume> {
    let ids: Vec<_> = volumes.keys().cloned().collect();
    if ids.is_empty() {
        return volumes;
    }
    let answer = within("DescribeVolumesModifications", aws.modifications(&ids)).await;
    note(store, "DescribeVolumesModifications", &answer);
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
