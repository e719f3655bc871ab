//! What raising an EBS volume's limits costs a month.
//!
//! Source: the EBS pricing page, list prices of us-east-1 in 2026, without free tier. Other regions charge up to half
//! as much again, so faces say `us-east-1 list`. Maxima: EBS user guide, "General Purpose SSD volumes" (gp3: 80,000
//! IOPS, 2,000 MiB/s, 500 IOPS a GiB, a quarter MiB/s an IOPS).

use serde::Serialize;

use super::cloud::Volume;
use super::limit::{LimitKind, iops, throughput_mib_per_second};

/// What comes with every gp3 volume.
const GP3_MIB: i64 = 125;
const GP3_IOPS: i64 = 3000;

const GP3_MIB_MOST: i64 = 2000;
const GP3_IOPS_MOST: i64 = 80_000;
const GP3_IOPS_PER_GIB: i64 = 500;
const GP3_IOPS_PER_MIB: i64 = 4;

const USD_PER_GP3_MIB: f64 = 0.04;
const USD_PER_GP3_IOPS: f64 = 0.005;

/// A change of a volume that lifts a limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Raise {
    /// For example `gp3 125→250 MiB/s`.
    pub change: String,
    /// More than today, list price of us-east-1; may be negative.
    pub usd_per_month: f64,
    /// What the volume sustains afterwards.
    pub mib_per_second: f64,
    pub iops: f64,
}

/// USD a GiB and month; `None` for a type that is not known here.
pub fn usd_per_gib(volume_type: &str) -> Option<f64> {
    match volume_type {
        "gp3" => Some(0.08),
        "gp2" => Some(0.10),
        "io1" | "io2" => Some(0.125),
        "st1" => Some(0.045),
        "sc1" => Some(0.015),
        _ => None,
    }
}

/// USD a month of so many custom metrics of CloudWatch, its tiers included (CloudWatch pricing).
pub fn custom_metrics_usd(metrics: usize) -> f64 {
    const TIERS: [(f64, f64); 4] = [
        (10_000.0, 0.30),
        (240_000.0, 0.10),
        (750_000.0, 0.05),
        (f64::INFINITY, 0.02),
    ];
    let mut left = metrics as f64;
    let mut usd = 0.0;
    for (many, each) in TIERS {
        usd += left.min(many) * each;
        left = (left - many).max(0.0);
    }
    usd
}

/// The next sensible step when `kind` binds: twice as much of it on gp3, gp3 instead of an older type. `None` where the
/// instance binds (no volume helps then), at the maximum, and for types that are not known here.
pub fn raise(volume: &Volume, kind: LimitKind) -> Option<Raise> {
    match (volume.volume_type.as_str(), kind) {
        ("gp3", LimitKind::Volume) => more_throughput(volume),
        ("gp3", LimitKind::VolumeIops) => more_iops(volume),
        ("gp2" | "st1" | "sc1", LimitKind::Volume | LimitKind::VolumeIops) => to_gp3(volume),
        _ => None,
    }
}

fn more_throughput(volume: &Volume) -> Option<Raise> {
    let now = volume.throughput_mib_per_second.unwrap_or(GP3_MIB);
    let iops_now = volume.iops.unwrap_or(GP3_IOPS);
    let next = (now * 2).min(GP3_MIB_MOST);
    let iops_next = iops_now.max(next * GP3_IOPS_PER_MIB);
    if next <= now || iops_next > (volume.size_gib * GP3_IOPS_PER_GIB).max(GP3_IOPS) {
        return None;
    }
    let mut change = format!("gp3 {now}→{next} MiB/s");
    if iops_next > iops_now {
        change.push_str(&format!(" {iops_now}→{iops_next} IOPS"));
    }
    Some(Raise {
        change,
        usd_per_month: gp3_extras(next, iops_next) - gp3_extras(now, iops_now),
        mib_per_second: next as f64,
        iops: iops_next as f64,
    })
}

fn more_iops(volume: &Volume) -> Option<Raise> {
    let now = volume.iops.unwrap_or(GP3_IOPS);
    let most = GP3_IOPS_MOST.min((volume.size_gib * GP3_IOPS_PER_GIB).max(GP3_IOPS));
    let next = (now * 2).min(most);
    let mib = volume.throughput_mib_per_second.unwrap_or(GP3_MIB);
    (next > now).then(|| Raise {
        change: format!("gp3 {now}→{next} IOPS"),
        usd_per_month: gp3_extras(mib, next) - gp3_extras(mib, now),
        mib_per_second: mib as f64,
        iops: next as f64,
    })
}

/// As fast as the older type at its best, or 250 MiB/s.
fn to_gp3(volume: &Volume) -> Option<Raise> {
    let mib = (throughput_mib_per_second(volume)?.ceil() as i64).clamp(250, GP3_MIB_MOST);
    let wanted = iops(volume).map_or(GP3_IOPS, |iops| iops as i64);
    let next = wanted.max(GP3_IOPS).max(mib * GP3_IOPS_PER_MIB);
    let per_gib = usd_per_gib("gp3")? - usd_per_gib(&volume.volume_type)?;
    Some(Raise {
        change: format!("{}→gp3 {mib} MiB/s {next} IOPS", volume.volume_type),
        usd_per_month: volume.size_gib as f64 * per_gib + gp3_extras(mib, next),
        mib_per_second: mib as f64,
        iops: next as f64,
    })
}

/// USD a month for what goes beyond the included throughput and IOPS.
pub fn gp3_extras(mib: i64, iops: i64) -> f64 {
    (mib - GP3_MIB).max(0) as f64 * USD_PER_GP3_MIB + (iops - GP3_IOPS).max(0) as f64 * USD_PER_GP3_IOPS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(volume_type: &str, size_gib: i64) -> Volume {
        Volume {
            volume_type: volume_type.to_owned(),
            size_gib,
            ..Volume::default()
        }
    }

    #[test]
    fn gp3_is_raised_in_steps_and_throughput_brings_the_iops_it_needs() {
        let raise_of = |mib, iops, kind| {
            let volume = Volume {
                throughput_mib_per_second: mib,
                iops,
                ..volume("gp3", 1000)
            };
            raise(&volume, kind).map(|raise| (raise.change, (raise.usd_per_month * 100.0).round() / 100.0))
        };
        let told = |change: &str, usd| Some((change.to_owned(), usd));
        assert_eq!(raise_of(None, None, LimitKind::Volume), told("gp3 125→250 MiB/s", 5.0));
        assert_eq!(
            raise_of(Some(500), Some(3000), LimitKind::Volume),
            told("gp3 500→1000 MiB/s 3000→4000 IOPS", 25.0)
        );
        assert_eq!(
            raise_of(None, None, LimitKind::VolumeIops),
            told("gp3 3000→6000 IOPS", 15.0)
        );
        assert_eq!(
            raise_of(Some(2000), Some(8000), LimitKind::Volume),
            None,
            "there is no more"
        );
        assert_eq!(
            raise_of(None, None, LimitKind::InstanceEbs),
            None,
            "a volume does not lift it"
        );
    }

    #[test]
    fn a_small_volume_cannot_have_the_iops_of_a_large_one() {
        let small = volume("gp3", 8);
        assert_eq!(
            raise(&small, LimitKind::VolumeIops).unwrap().change,
            "gp3 3000→4000 IOPS"
        );
        assert_eq!(raise(&volume("gp3", 1), LimitKind::VolumeIops), None);
    }

    #[test]
    fn older_types_become_gp3() {
        let raised = raise(&volume("gp2", 1000), LimitKind::Volume).unwrap();
        assert_eq!(raised.change, "gp2→gp3 250 MiB/s 3000 IOPS");
        assert!(
            (raised.usd_per_month + 15.0).abs() < 1e-9,
            "20 less for the GiB, 5 more for the throughput"
        );
        let raised = raise(&volume("st1", 2048), LimitKind::Volume).unwrap();
        assert!((raised.usd_per_month - (2048.0 * 0.035 + 5.0)).abs() < 1e-9);
    }
}
