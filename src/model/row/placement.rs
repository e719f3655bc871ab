//! How leaders, replicas and bytes lie on the brokers, and how far from a fair share each is.

use std::collections::BTreeMap;

use super::Cell;
use super::partition::{Badge, Partitions};
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment};

/// What one broker holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Placed {
    pub leaders: u32,
    pub replicas: u32,
    /// Replicas that are missing from their ISR.
    pub misses: u32,
    /// Partitions that prefer this broker as their leader and are led by another, or by none.
    pub led_elsewhere: u32,
    /// Replicas of partitions that lie in fewer racks than they could.
    pub rack_violations: u32,
}

impl Placed {
    /// Every broker that holds a replica.
    pub fn count(partitions: &Partitions) -> BTreeMap<BrokerId, Self> {
        let mut placed: BTreeMap<BrokerId, Self> = BTreeMap::new();
        for row in partitions.iter() {
            let violates = row.badges().contains(Badge::RackViolation);
            for (at, id) in row.replicas.iter().enumerate() {
                let here = placed.entry(*id).or_default();
                let leads = row.leader == Some(*id);
                here.replicas += 1;
                here.leaders += u32::from(leads);
                here.misses += u32::from(!row.isr.contains(id) && !row.adding().contains(id));
                here.led_elsewhere += u32::from(at == 0 && !leads);
                here.rack_violations += u32::from(violates);
            }
        }
        placed
    }
}

/// The bytes of a broker's replicas, future ones left out.
pub fn size_bytes(snapshot: &Snapshot, broker: BrokerId, now: Moment) -> Cell<u64> {
    match snapshot.logdirs.get(&broker) {
        Some(section) => Cell::from(section, now, "", |dirs| {
            let replicas = dirs.iter().flat_map(|dir| dir.replicas.iter());
            Some(
                replicas
                    .filter(|replica| !replica.future)
                    .map(|replica| replica.size_bytes)
                    .sum(),
            )
        }),
        None => Cell::unknown(format!("broker {broker} has not told its log dirs")),
    }
}

/// Each amount's distance from the mean of those that are known, in percent: 0 is a fair share, -100 is nothing.
pub fn skew<T: Copy>(amounts: &[&Cell<T>], number: fn(T) -> f64) -> Vec<Cell<f64>> {
    let known: Vec<f64> = amounts.iter().filter_map(|cell| cell.value.map(number)).collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let distance = |cell: &&Cell<T>| match mean > 0.0 {
        true => cell.map(|amount| Some((number(*amount) / mean - 1.0) * 100.0)),
        false => Cell::unknown("there is nothing to share yet"),
    };
    amounts.iter().map(distance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fair_share_is_zero_and_what_is_unknown_is_left_out_of_the_mean() {
        let cells = [Cell::known(30_u32), Cell::known(10), Cell::unknown("silent")];
        let skews = skew(&cells.each_ref(), f64::from);
        assert_eq!((skews[0].value, skews[1].value), (Some(50.0), Some(-50.0)));
        assert_eq!((skews[2].value, skews[2].reason.as_deref()), (None, Some("silent")));
    }

    #[test]
    fn nothing_at_all_is_not_even() {
        let cells = [Cell::known(0_u32), Cell::known(0)];
        assert_eq!(skew(&cells.each_ref(), f64::from)[0].value, None);
    }
}
