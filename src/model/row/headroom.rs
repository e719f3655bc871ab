//! How near each volume and each broker is to its limits, now and with a zone lost.

use std::collections::BTreeMap;

use super::Cell;
use super::broker::BrokerRow;
use super::join::Join;
use super::volume::VolumeRow;
use crate::model::cloud::InstanceType;
use crate::model::limit::{self, Limit, LimitKind, Load};
use crate::model::price;
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment};

/// Fills in which limit binds, what it would be with a zone lost, and what raising it takes.
pub fn fill(snapshot: &Snapshot, volumes: &mut [VolumeRow], brokers: &mut [BrokerRow], now: Moment) {
    let leaders = leaders(brokers);
    let own: Vec<Vec<Cell<Load>>> = volumes.iter().map(of_volume).collect();
    let mut machines: BTreeMap<String, Vec<Cell<Load>>> = BTreeMap::new();
    for instance in volumes.iter().filter_map(|volume| volume.instance.clone()) {
        machines
            .entry(instance)
            .or_insert_with_key(|instance| of_machine(snapshot, instance, volumes, now));
    }
    let zone_of: BTreeMap<String, String> = brokers
        .iter()
        .filter_map(|broker| Some((broker.instance.value.clone()?, broker.zone.clone())))
        .collect();
    for (volume, own) in volumes.iter_mut().zip(&own) {
        let machine = volume.instance.as_ref().and_then(|instance| machines.get(instance));
        volume.binding = match machine {
            Some(machine) => binding(own.iter().chain(machine)),
            None => Cell::unknown("attached to no instance"),
        };
        let zone = volume.instance.as_ref().and_then(|instance| zone_of.get(instance));
        (volume.zone_down_percent, volume.zone_down) = zone_down(&volume.binding, &leaders, zone);
        volume.raise = raise(snapshot, volume);
    }
    for broker in brokers {
        let mine = volumes
            .iter()
            .zip(&own)
            .filter(|(volume, _)| volume.broker == Some(broker.id));
        let machine = broker
            .instance
            .value
            .as_ref()
            .and_then(|instance| machines.get(instance));
        broker.binding = match machine {
            Some(machine) => binding(mine.flat_map(|(_, loads)| loads).chain(machine)),
            None => Cell::unknown(
                broker
                    .instance
                    .reason
                    .clone()
                    .unwrap_or_else(|| "no EBS volume of its instance is known".to_owned()),
            ),
        };
        (broker.zone_down_percent, broker.zone_down) = zone_down(&broker.binding, &leaders, Some(&broker.zone));
    }
}

/// What copies use of each broker's machine, in MB/s, against its limits: each of its volumes, its instance's EBS
/// baseline, and its network in the busier direction. Per broker, or why that is not known.
///
/// # Errors
/// When no cloud is seen at all.
pub fn copying(snapshot: &Snapshot, now: Moment) -> Result<BTreeMap<BrokerId, Result<Vec<Load>, String>>, String> {
    if snapshot.cloud.instances.is_empty() {
        return Err(snapshot
            .cloud
            .zones
            .problem()
            .unwrap_or_else(|| "no EC2 instance of this cluster is known".to_owned()));
    }
    let join = Join::of(snapshot);
    let volumes = VolumeRow::all(snapshot, &join, now);
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let of = |id: BrokerId| -> Result<Vec<Load>, String> {
        let (instance, _) = join.instance(id)?;
        let own = volumes.iter().filter(|volume| volume.broker == Some(id));
        let loads: Vec<Cell<Load>> = own
            .flat_map(of_volume)
            .chain(of_machine(snapshot, instance, &volumes, now))
            .collect();
        let rates = loads.into_iter().filter(|load| match &load.value {
            // Copying is a matter of bytes; operations are not counted here.
            Some(load) => load.kind.unit() == "MB/s",
            None => true,
        });
        let known: Result<Vec<Load>, String> = rates
            .map(|load| {
                load.value
                    .ok_or_else(|| load.reason.unwrap_or_else(|| "a limit is not known".to_owned()))
            })
            .collect();
        let known = known?;
        let volume = known.iter().any(|load| load.kind == LimitKind::Volume);
        match volume {
            true => Ok(known),
            false => Err("no EBS volume of its log directories is known".to_owned()),
        }
    };
    Ok(brokers.iter().map(|broker| (broker.id, of(broker.id))).collect())
}

/// By zone; `Err` says why they are not known.
type Leaders = Result<BTreeMap<String, u32>, String>;

fn leaders(brokers: &[BrokerRow]) -> Leaders {
    let mut zones = BTreeMap::new();
    for broker in brokers {
        let Some(leaders) = broker.leaders.value else {
            let reason = broker.leaders.reason.clone();
            return Err(reason.unwrap_or_else(|| "leaders are not known".to_owned()));
        };
        *zones.entry(broker.zone.clone()).or_insert(0) += leaders;
    }
    Ok(zones)
}

fn zone_down(binding: &Cell<Load>, leaders: &Leaders, zone: Option<&String>) -> (Cell<f64>, Option<String>) {
    let Some(now) = &binding.value else {
        return (binding.map(|_| None), None);
    };
    let (Ok(leaders), Some(zone)) = (leaders, zone) else {
        let why = leaders.as_ref().err().cloned();
        let why = why.unwrap_or_else(|| "the instance is no known broker's".to_owned());
        return (Cell::unknown(why), None);
    };
    let leaders = leaders.iter().map(|(zone, led)| (zone.as_str(), *led)).collect();
    match limit::zone_down(&leaders, zone) {
        Some((factor, lost)) => (binding.map(|_| Some(now.percent() * factor)), Some(lost.to_owned())),
        None => (Cell::unknown("no other zone could take over"), None),
    }
}

/// The tightest; unknown as soon as one is, because that one may be it.
fn binding<'a>(loads: impl Iterator<Item = &'a Cell<Load>>) -> Cell<Load> {
    let mut known = Vec::new();
    let mut stale = None;
    let mut reason = None;
    for load in loads {
        let Some(value) = &load.value else {
            return load.clone();
        };
        known.push(value.clone());
        stale = stale.max(load.stale_seconds);
        reason = reason.or_else(|| load.reason.clone());
    }
    match limit::binding(&known) {
        Some(load) => Cell {
            value: Some(load.clone()),
            stale_seconds: stale,
            reason,
        },
        None => Cell::unknown("no limit is known"),
    }
}

fn load(kind: LimitKind, name: &str, used: &Cell<f64>, limit: &Cell<f64>) -> Cell<Load> {
    match limit.value.filter(|limit| *limit > 0.0) {
        Some(limit) => used.map(|used| {
            Some(Load {
                kind,
                name: name.to_owned(),
                used: *used,
                limit,
            })
        }),
        None => limit.map(|_| None),
    }
}

fn of_volume(row: &VolumeRow) -> Vec<Cell<Load>> {
    let throughput = format!(
        "{} {:.0} MiB/s",
        row.volume_type,
        row.throughput_limit_mb_per_second.value.unwrap_or_default() / limit::MIB_IN_MB
    );
    let mut loads = vec![load(
        LimitKind::Volume,
        &throughput,
        &row.throughput_mb_per_second,
        &row.throughput_limit_mb_per_second,
    )];
    // HDD volumes are limited by throughput alone.
    if !matches!(row.volume_type.as_str(), "st1" | "sc1") {
        let name = format!(
            "{} {:.0} IOPS",
            row.volume_type,
            row.iops_limit.value.unwrap_or_default()
        );
        loads.push(load(LimitKind::VolumeIops, &name, &row.iops, &row.iops_limit));
    }
    loads
}

/// What all shown volumes of an instance do together, and its network. The root volume is left out: it holds no log.
fn of_machine(snapshot: &Snapshot, instance: &str, volumes: &[VolumeRow], now: Moment) -> Vec<Cell<Load>> {
    let own: Vec<&VolumeRow> = volumes
        .iter()
        .filter(|volume| volume.instance.as_deref() == Some(instance))
        .collect();
    let total = |take: fn(&VolumeRow) -> &Cell<f64>| super::broker::total(&own, take, None);
    let known = snapshot.cloud.instance(instance);
    let name = known.map_or(instance, |known| known.instance_type.as_str());
    let limits = known.and_then(|known| snapshot.cloud.types.get(&known.instance_type));
    let limit_of = |take: &dyn Fn(&InstanceType) -> Option<f64>| match limits.and_then(take) {
        Some(limit) => Cell::known(limit),
        None => Cell::unknown(format!("EC2 tells no such limit for {name}")),
    };
    let network = |take: fn(&crate::model::cloud::InstanceMetrics) -> Option<crate::model::cloud::Point>| {
        Cell::from(&snapshot.cloud.metrics, now, "CloudWatch has no data", |metrics| {
            let point = metrics.instances.get(instance).and_then(take)?;
            Some(point.value / 1e6)
        })
    };
    let (inward, outward) = (
        network(|m| m.network_in_bytes_per_second),
        network(|m| m.network_out_bytes_per_second),
    );
    let busier = match (inward.value, outward.value) {
        (Some(inward_mb), Some(outward_mb)) if inward_mb > outward_mb => inward,
        (None, _) => inward,
        _ => outward,
    };
    let network_limit = limit_of(&|limits| {
        let Limit { mb_per_second, .. } = limit::network_limit(limits)?;
        Some(mb_per_second)
    });
    vec![
        load(
            LimitKind::InstanceEbs,
            &format!("{name} EBS baseline"),
            &total(|row| &row.throughput_mb_per_second),
            &limit_of(&|limits| limits.ebs_baseline_mb_per_second),
        ),
        load(
            LimitKind::InstanceIops,
            &format!("{name} EBS IOPS baseline"),
            &total(|row| &row.iops),
            &limit_of(&|limits| limits.ebs_baseline_iops.map(|iops| iops as f64)),
        ),
        load(
            LimitKind::Network,
            &format!("{name} network baseline"),
            &busier,
            &network_limit,
        ),
    ]
}

/// What it takes to lift the limit that binds a volume, in a sentence with its price.
fn raise(snapshot: &Snapshot, row: &VolumeRow) -> Cell<String> {
    let Some(binds) = &row.binding.value else {
        return row.binding.map(|_| None);
    };
    let volume = snapshot.cloud.volume(&row.id);
    let instance = row.instance.as_deref().and_then(|id| snapshot.cloud.instance(id));
    let limits = instance.and_then(|instance| snapshot.cloud.types.get(&instance.instance_type));
    let raise = volume.and_then(|volume| price::raise(volume, binds.kind));
    let sentence = match (binds.kind, raise) {
        (LimitKind::InstanceEbs | LimitKind::InstanceIops | LimitKind::Network, _) => {
            format!(
                "a larger instance type than {}: no volume lifts it",
                machine_name(binds)
            )
        }
        (_, Some(raise)) => {
            let cost = format!("{} {} us-east-1 list", raise.change, usd(raise.usd_per_month));
            let raised = raise.mib_per_second * limit::MIB_IN_MB;
            match limits.and_then(|limits| limits.ebs_baseline_mb_per_second) {
                Some(baseline) if binds.kind == LimitKind::Volume && baseline < raised => {
                    format!("{cost}; beyond {baseline:.0} MB/s the instance binds")
                }
                _ => cost,
            }
        }
        (_, None) => format!(
            "{} is at its type's maximum: spread the log over more volumes",
            binds.name
        ),
    };
    row.binding.map(|_| Some(sentence))
}

fn machine_name(load: &Load) -> &str {
    load.name.split(' ').next().unwrap_or_default()
}

/// `+$5.00/month`.
fn usd(amount: f64) -> String {
    let sign = if amount < 0.0 { "-" } else { "+" };
    format!("{sign}${:.2}/month", amount.abs())
}
