//! More or fewer replicas of each partition. What is added is copied once; what is removed costs nothing. The preferred
//! leader stays.

use super::layout::Layout;
use super::outcome::{Least, Outcome};
use super::{Error, few};
use crate::plan::impact::add;

/// `--rf`.
pub(super) fn set(layout: &mut Layout<'_>, count: usize) -> Result<Outcome, Error> {
    let open = layout.nodes.iter().filter(|node| node.open).count();
    if count > open {
        return Err(Error::Impossible(format!(
            "{count} replicas need as many brokers, and {open} answer"
        )));
    }
    let mut outcome = Outcome::new(layout);
    let shares = layout.shares(&layout.open(), |part| layout.weight(part));
    let (mut bytes, mut homeless) = (Some(0), Vec::new());
    for part in 0..layout.parts.len() {
        if layout.parts[part].to.len() == count {
            continue;
        }
        if let Some(hold) = layout.parts[part].hold {
            outcome.left(layout, part, hold);
            continue;
        }
        while layout.parts[part].to.len() > count {
            let place = worst(layout, part);
            layout.remove(part, place);
        }
        while layout.parts[part].to.len() < count {
            let Some(node) = layout.best(part, None, &shares, usize::MAX) else {
                homeless.push(layout.name(part));
                break;
            };
            layout.add(part, node);
            bytes = add(bytes, layout.parts[part].size);
        }
    }
    if !homeless.is_empty() {
        return Err(Error::Impossible(format!(
            "nobody can take one more replica of {} partitions ({}): no broker without one has room below 85 % of its \
             disk; free some, or leave topics out with --exclude",
            homeless.len(),
            few(&homeless)
        )));
    }
    outcome.least = Least::Bytes(bytes);
    Ok(outcome)
}

/// The replica that is missed least: gone or out of sync, then in the fullest rack, then on the fullest broker. The
/// preferred leader goes only when it is itself out of sync.
fn worst(layout: &Layout<'_>, part: usize) -> usize {
    let one = &layout.parts[part];
    let key = |place: &usize| {
        let node = &layout.nodes[one.to[*place]];
        let useless = !node.open || !one.seen.isr.contains(&node.id);
        let crowd = layout.crowd(part, Some(*place), node.rack);
        (useless, *place > 0, crowd, node.bytes, *place)
    };
    (0..one.to.len()).max_by_key(key).unwrap_or(0)
}
