//! Whether volumes and instances fit their work: what each needs with a zone lost and room to spare, and what that costs.
//!
//! AWS sizes brokers so that they use half of what they have (MSK sizing, Standard brokers). So what is needed is twice what is
//! used now, times what a lost zone adds. List prices of us-east-1; on-demand for instances.

use serde::Serialize;

use crate::model::cloud::Volume;
use crate::model::limit::MIB_IN_MB;
use crate::model::price::{gp3_extras, usd_per_gib};
use crate::model::row::Rows;
use crate::model::row::broker::BrokerRow;
use crate::model::row::volume::VolumeRow;
use crate::model::{BrokerId, Snapshot};

use super::HOURS;

/// Of a limit that work may take.
const SHARE: f64 = 0.5;
/// What comes with a gp3 volume, and its maxima.
const GP3_MIB: f64 = 125.0;
const GP3_MIB_MOST: f64 = 2000.0;
const GP3_IOPS: f64 = 3000.0;
const GP3_IOPS_MOST: f64 = 80_000.0;
/// Where a lost zone's share is not known: three even zones.
const ZONE_DOWN: f64 = 1.5;

/// Sizes of one family: name, EBS baseline MB/s, network baseline Gbit/s, USD an hour on demand.
type Family = (&'static str, [(&'static str, f64, f64, f64); 5]);

/// EC2 user guide, "EBS-optimized instances" and "network bandwidth"; on-demand list prices.
const FAMILIES: [Family; 2] = [
    (
        "m7g",
        [
            ("large", 79.0, 0.94, 0.0816),
            ("xlarge", 156.0, 1.88, 0.1632),
            ("2xlarge", 312.0, 3.75, 0.3264),
            ("4xlarge", 625.0, 7.5, 0.6528),
            ("8xlarge", 1250.0, 15.0, 1.3056),
        ],
    ),
    (
        "r7g",
        [
            ("large", 79.0, 0.94, 0.1071),
            ("xlarge", 156.0, 1.88, 0.2142),
            ("2xlarge", 312.0, 3.75, 0.4284),
            ("4xlarge", 625.0, 7.5, 0.8568),
            ("8xlarge", 1250.0, 15.0, 1.7136),
        ],
    ),
];

/// Every volume and broker.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sizing {
    pub volumes: Vec<VolumeFit>,
    pub brokers: Vec<BrokerFit>,
    /// Of all volumes whose type has a known price.
    pub volumes_usd_per_month: f64,
}

/// How a volume fits its work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VolumeFit {
    pub volume: String,
    pub broker: Option<BrokerId>,
    pub now: String,
    pub usd_per_month: Option<f64>,
    /// What it should be; `None` where it fits, or where its work is not known.
    pub wanted: Option<String>,
    /// More than now; less where negative.
    pub change_usd_per_month: Option<f64>,
    pub why: String,
}

/// How an instance fits its work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BrokerFit {
    pub broker: BrokerId,
    pub instance_type: Option<String>,
    /// Which limit is met first, and how far it is used: now and with the worst zone lost.
    pub limit: Option<String>,
    pub percent: Option<f64>,
    pub zone_down_percent: Option<f64>,
    pub wanted: Option<String>,
    pub change_usd_per_month: Option<f64>,
    pub why: String,
}

pub(super) fn of(snapshot: &Snapshot, rows: &Rows) -> Sizing {
    let volumes: Vec<VolumeFit> = rows
        .volumes
        .iter()
        .filter_map(|row| Some(volume(row, snapshot.cloud.volume(&row.id)?)))
        .collect();
    Sizing {
        volumes_usd_per_month: volumes.iter().filter_map(|volume| volume.usd_per_month).sum::<f64>() + 0.0,
        volumes,
        brokers: rows.brokers.iter().map(broker).collect(),
    }
}

fn usd(volume: &Volume, mib: f64, iops: f64) -> Option<f64> {
    let storage = volume.size_gib as f64 * usd_per_gib(&volume.volume_type)?;
    let extras = match volume.volume_type.as_str() {
        "gp3" => gp3_extras(mib as i64, iops as i64),
        _ => 0.0,
    };
    Some(storage + extras)
}

/// What a lost zone makes of the present work.
fn factor(now: Option<f64>, down: Option<f64>) -> f64 {
    match (now, down) {
        (Some(now), Some(down)) if now > 0.0 => down / now,
        _ => ZONE_DOWN,
    }
}

fn volume(row: &VolumeRow, told: &Volume) -> VolumeFit {
    let mib = told.throughput_mib_per_second.map_or(GP3_MIB, |mib| mib as f64);
    let iops = told.iops.map_or(GP3_IOPS, |iops| iops as f64);
    let cost = usd(told, mib, iops);
    let mut fit = VolumeFit {
        volume: row.id.clone(),
        broker: row.broker,
        now: match told.volume_type.as_str() {
            "gp3" => format!("gp3 {} GiB {mib:.0} MiB/s {iops:.0} IOPS", told.size_gib),
            other => format!("{other} {} GiB", told.size_gib),
        },
        usd_per_month: cost,
        wanted: None,
        change_usd_per_month: None,
        why: String::new(),
    };
    let used = (row.throughput_mb_per_second.value, row.iops.value);
    let (Some(used_mb), Some(used_iops)) = used else {
        fit.why = row
            .throughput_mb_per_second
            .reason
            .clone()
            .unwrap_or_else(|| "what it does is not known".to_owned());
        return fit;
    };
    let times = factor(
        row.binding.value.as_ref().map(|load| load.percent()),
        row.zone_down_percent.value,
    );
    let needed_mib = used_mb / MIB_IN_MB * times / SHARE;
    let needed_iops = used_iops * times / SHARE;
    fit.why = format!("{used_mb:.0} MB/s and {used_iops:.0} IOPS now, ×{times:.2} with a zone lost, half of the limit");
    match told.volume_type.as_str() {
        "gp3" => {
            // In steps: a volume may be modified only so often.
            let step =
                |needed: f64, step: f64, least: f64, most: f64| ((needed / step).ceil() * step).clamp(least, most);
            let want_mib = step(needed_mib, 125.0, GP3_MIB, GP3_MIB_MOST);
            let want_iops = step(needed_iops, 1000.0, GP3_IOPS, GP3_IOPS_MOST).max(want_mib * 4.0);
            if (want_mib, want_iops) == (mib, iops.max(want_mib * 4.0)) || (want_mib, want_iops) == (mib, iops) {
                return fit;
            }
            let after = usd(told, want_mib, want_iops);
            fit.change_usd_per_month = after.zip(cost).map(|(after, now)| after - now);
            fit.wanted = Some(format!("gp3 {want_mib:.0} MiB/s {want_iops:.0} IOPS"));
        }
        "gp2" | "st1" | "sc1" | "standard" => {
            let want_mib = needed_mib.clamp(GP3_MIB, GP3_MIB_MOST).ceil();
            let want_iops = needed_iops.clamp(GP3_IOPS, GP3_IOPS_MOST).max(want_mib * 4.0).ceil();
            let after = usd_per_gib("gp3")
                .map(|gib| told.size_gib as f64 * gib + gp3_extras(want_mib as i64, want_iops as i64));
            fit.change_usd_per_month = after.zip(cost).map(|(after, now)| after - now);
            fit.wanted = Some(format!("gp3 {want_mib:.0} MiB/s {want_iops:.0} IOPS"));
        }
        _ => {}
    }
    fit
}

fn broker(row: &BrokerRow) -> BrokerFit {
    let mut fit = BrokerFit {
        broker: row.id,
        instance_type: row.instance_type.value.clone(),
        limit: row.binding.value.as_ref().map(|load| load.name.clone()),
        percent: row.binding.value.as_ref().map(|load| load.percent()),
        zone_down_percent: row.zone_down_percent.value,
        wanted: None,
        change_usd_per_month: None,
        why: String::new(),
    };
    let Some(name) = &fit.instance_type else {
        fit.why = row
            .instance_type
            .reason
            .clone()
            .unwrap_or_else(|| "its instance is not known".to_owned());
        return fit;
    };
    let Some((family, size)) = name.split_once('.') else {
        return fit;
    };
    let Some((_, sizes)) = FAMILIES.iter().find(|(known, _)| *known == family) else {
        fit.why = format!("prices of {family} are not known here");
        return fit;
    };
    let disk = row.throughput_mb_per_second.value;
    let net = row
        .network_in_bytes_per_second
        .value
        .zip(row.network_out_bytes_per_second.value);
    let (Some(disk), Some((inward, outward))) = (disk, net) else {
        fit.why = "what its disks and its network do is not known".to_owned();
        return fit;
    };
    let times = factor(fit.percent, fit.zone_down_percent);
    let needed_ebs = disk * times / SHARE;
    let needed_net = inward.max(outward) * 8.0 / 1e9 * times / SHARE;
    fit.why = format!(
        "needs {needed_ebs:.0} MB/s of EBS and {needed_net:.2} Gbit/s: what it does now, ×{times:.2} with a zone lost, half of the limit"
    );
    // Memory is the page cache: a smaller instance also reads more from its disks, so that at most one size less is advised.
    let here = sizes.iter().position(|(known, ..)| *known == size);
    let least = sizes
        .iter()
        .position(|(_, ebs, net, _)| *ebs >= needed_ebs && *net >= needed_net);
    let (Some(here), Some(least)) = (here, least.or(Some(sizes.len() - 1))) else {
        return fit;
    };
    let wanted = least.max(here.saturating_sub(1));
    if wanted != here {
        fit.wanted = Some(format!("{family}.{}", sizes[wanted].0));
        fit.change_usd_per_month = Some((sizes[wanted].3 - sizes[here].3) * HOURS);
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{Six, now};
    use crate::model::limit::{LimitKind, Load};
    use crate::model::row::Cell;

    fn told(mib: i64, iops: i64) -> Volume {
        Volume {
            id: "vol-1".to_owned(),
            volume_type: "gp3".to_owned(),
            size_gib: 1000,
            throughput_mib_per_second: Some(mib),
            iops: Some(iops),
            ..Volume::default()
        }
    }

    fn works(mb: f64, iops: f64) -> VolumeRow {
        VolumeRow {
            id: "vol-1".to_owned(),
            throughput_mb_per_second: Cell::known(mb),
            iops: Cell::known(iops),
            ..VolumeRow::default()
        }
    }

    #[test]
    fn a_volume_that_is_too_fast_or_too_slow_is_told_with_the_price() {
        let idle = volume(&works(10.0, 200.0), &told(500, 6000));
        assert_eq!(idle.wanted.as_deref(), Some("gp3 125 MiB/s 3000 IOPS"));
        // 375 MiB/s at $0.04 and 3,000 IOPS at $0.005 less.
        assert!((idle.change_usd_per_month.unwrap() + 30.0).abs() < 1e-9);
        let busy = volume(&works(100.0, 800.0), &told(125, 3000));
        assert_eq!(busy.wanted.as_deref(), Some("gp3 375 MiB/s 3000 IOPS"));
        assert!((busy.change_usd_per_month.unwrap() - 10.0).abs() < 1e-9);
        let fits = volume(&works(30.0, 800.0), &told(125, 3000));
        assert_eq!((fits.wanted, fits.usd_per_month), (None, Some(80.0)));
    }

    #[test]
    fn what_is_not_measured_is_not_sized() {
        let unknown = VolumeRow {
            throughput_mb_per_second: Cell::unknown("CloudWatch is denied"),
            ..works(0.0, 0.0)
        };
        let fit = volume(&unknown, &told(500, 6000));
        assert_eq!((fit.wanted, fit.why.as_str()), (None, "CloudWatch is denied"));
    }

    #[test]
    fn an_instance_is_one_size_smaller_at_most_and_as_large_as_it_must_be() {
        let six = Six::healthy();
        let rows = Rows::of(&six.snapshot, now());
        let with = |name: &str, mb: f64, net: f64| {
            let mut row = rows.brokers[0].clone();
            row.instance_type = Cell::known(name.to_owned());
            row.throughput_mb_per_second = Cell::known(mb);
            row.network_in_bytes_per_second = Cell::known(net);
            row.network_out_bytes_per_second = Cell::known(net);
            row.binding = Cell::known(Load {
                kind: LimitKind::InstanceEbs,
                name: "EBS baseline".to_owned(),
                used: 10.0,
                limit: 100.0,
            });
            row.zone_down_percent = Cell::known(15.0);
            broker(&row).wanted
        };
        assert_eq!(with("m7g.4xlarge", 5.0, 1e6).as_deref(), Some("m7g.2xlarge"));
        assert_eq!(with("m7g.xlarge", 100.0, 1e6).as_deref(), Some("m7g.2xlarge"));
        assert_eq!(with("m7g.xlarge", 50.0, 1e6), None);
        assert_eq!(with("c9x.large", 50.0, 1e6), None, "prices are not known");
    }
}
