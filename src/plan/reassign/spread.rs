//! Partitions whose replicas share racks although they need not: as few replicas as it takes go to the emptiest racks.

use super::layout::{At, Layout};
use super::outcome::{Least, Outcome};
use crate::plan::impact::add;
use crate::plan::summary::plural;

/// `--spread`. Preferred leaders stay: in a rack with two replicas, one at least is a follower.
pub(super) fn racks(layout: &mut Layout<'_>) -> Outcome {
    let mut outcome = Outcome::new(layout);
    let shares = layout.shares(&layout.open(), |part| layout.weight(part));
    let (mut bytes, mut stuck) = (Some(0), Vec::new());
    for part in 0..layout.parts.len() {
        while let Some((place, target)) = step(layout, part, &shares) {
            if let Some(hold) = layout.parts[part].hold {
                outcome.left(layout, part, hold);
                break;
            }
            let Some(target) = target else {
                stuck.push(layout.name(part));
                break;
            };
            layout.replace(part, place, target);
            bytes = add(bytes, layout.parts[part].size);
        }
    }
    if !stuck.is_empty() {
        outcome.notes.push(format!(
            "{} cannot be spread better, for want of room on brokers of other racks: {}",
            plural(stuck.len(), "partition"),
            super::few(&stuck)
        ));
    }
    outcome.least = Least::Bytes(bytes);
    outcome
}

/// The replica that shares its rack with most others, and who takes it; `None` when no rack with a broker to spare is
/// emptier by two.
fn step(layout: &Layout<'_>, part: usize, shares: &[f64]) -> Option<(usize, Option<At>)> {
    let one = &layout.parts[part];
    let crowd = |place: usize| layout.crowd(part, Some(place), layout.rack(one.to[place]));
    let leaves = (0..one.to.len()).max_by_key(|place| {
        let node = &layout.nodes[one.to[*place]];
        (crowd(*place), *place > 0, !node.open, node.bytes, *place)
    })?;
    let crowded = crowd(leaves);
    let exists = layout.is_room(part, leaves, crowded);
    exists.then(|| (leaves, layout.best(part, Some(leaves), shares, crowded - 1)))
}
