//! Preferred leaders that change without a byte moved: only the order of replicas.

use std::collections::VecDeque;

use super::layout::{At, Layout};
use super::outcome::{Least, Outcome};

/// The partitions that prefer one broker and could prefer another: by the one, by the other.
type Edges = Vec<Vec<Vec<usize>>>;

/// `--balance leaders`: every broker leads its share, by as few changes as that takes: along the shortest chains of
/// partitions from a broker that leads too many to one that leads too few.
pub(super) fn balance(layout: &mut Layout<'_>) -> Outcome {
    let mut outcome = Outcome::new(layout);
    let open: Vec<At> = (0..layout.nodes.len())
        .filter(|node| layout.nodes[*node].open)
        .collect();
    let all: u32 = open.iter().map(|node| layout.nodes[*node].leaders).sum();
    let (floor, over) = (all / open.len().max(1) as u32, all % open.len().max(1) as u32);
    let ceil = floor + u32::from(over > 0);
    let leads = |layout: &Layout<'_>, node: At| layout.nodes[node].leaders;
    let excess: u32 = open.iter().map(|node| leads(layout, *node).saturating_sub(ceil)).sum();
    let lack: u32 = open.iter().map(|node| floor.saturating_sub(leads(layout, *node))).sum();
    outcome.least = Least::Leaders(u64::from(excess.max(lack)));
    let mut edges = edges(layout);
    for (give, take) in [(ceil, floor), (ceil, ceil), (floor, floor)] {
        // Whoever leads more than `give` gives to whoever leads less than `take`.
        while let Some(chain) = chain(layout, &mut edges, &open, give, take) {
            for (from, to) in chain {
                shift(layout, &mut edges, from, to);
            }
        }
    }
    outcome
}

fn edges(layout: &Layout<'_>) -> Edges {
    let count = layout.nodes.len();
    let mut edges = vec![vec![Vec::new(); count]; count];
    for part in (0..layout.parts.len()).rev() {
        offer(layout, &mut edges, part);
    }
    edges
}

/// Who else could lead a partition: in sync and answering.
fn offer(layout: &Layout<'_>, edges: &mut Edges, part: usize) {
    let one = &layout.parts[part];
    let Some(first) = one.to.first().filter(|_| one.hold.is_none()) else {
        return;
    };
    for other in &one.to[1..] {
        let node = &layout.nodes[*other];
        if node.open && one.seen.isr.contains(&node.id) {
            edges[*first][*other].push(part);
        }
    }
}

/// The cheapest chain of brokers, each giving one leader to the next. A partition that has changed already costs nothing
/// to change again.
fn chain(layout: &Layout<'_>, edges: &mut Edges, open: &[At], give: u32, take: u32) -> Option<Vec<(At, At)>> {
    let mut before: Vec<Option<At>> = vec![None; layout.nodes.len()];
    let mut costs: Vec<Option<u32>> = vec![None; layout.nodes.len()];
    let mut done = vec![false; layout.nodes.len()];
    let givers = open.iter().copied().filter(|node| layout.nodes[*node].leaders > give);
    let mut queue: VecDeque<At> = givers.collect();
    queue.iter().for_each(|node| costs[*node] = Some(0));
    while let Some(from) = queue.pop_front() {
        if std::mem::replace(&mut done[from], true) {
            continue;
        }
        if before[from].is_some() && layout.nodes[from].leaders < take {
            return Some(back(&before, from));
        }
        let cost = costs[from].unwrap_or(0);
        for to in open.iter().copied() {
            let Some(more) = (!done[to]).then(|| edge(layout, edges, from, to)).flatten() else {
                continue;
            };
            if costs[to].is_none_or(|known| cost + more < known) {
                costs[to] = Some(cost + more);
                before[to] = Some(from);
                match more {
                    0 => queue.push_front(to),
                    _ => queue.push_back(to),
                }
            }
        }
    }
    None
}

/// The chain that ends there, its last link first.
fn back(before: &[Option<At>], mut end: At) -> Vec<(At, At)> {
    let mut chain = Vec::new();
    while let Some(start) = before[end] {
        chain.push((start, end));
        end = start;
    }
    chain
}

/// What it costs to let some partition go that way, if one can; those that went elsewhere meanwhile are forgotten.
fn edge(layout: &Layout<'_>, edges: &mut Edges, from: At, to: At) -> Option<u32> {
    let parts = &mut edges[from][to];
    while let Some(part) = parts.last() {
        let one = &layout.parts[*part];
        if one.to.first() == Some(&from) {
            let changed = one.seen.replicas.first() != Some(&layout.nodes[from].id);
            return Some(u32::from(!changed));
        }
        parts.pop();
    }
    None
}

fn shift(layout: &mut Layout<'_>, edges: &mut Edges, from: At, to: At) {
    let Some(part) = edges[from][to].pop() else { return };
    let place = layout.parts[part].to.iter().position(|node| *node == to);
    if let Some(place) = place.filter(|place| *place > 0) {
        layout.prefer(part, place);
        offer(layout, edges, part);
    }
}
