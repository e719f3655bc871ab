//! What changed in the last hour, or in the time that somebody wants to see: seen by the console, done by Azimuth, told by EC2. Before the console's first look it is
//! unknown what changed, and the line says so.

use std::collections::BTreeSet;

use super::{Line, Name};
use crate::check::finding::subject;
use crate::check::{Act, Cause, Evidence, Facts};
use crate::model::Moment;
use crate::model::event::{Event, EventKind};
use crate::model::history::Window;
use crate::plan::gate::Verdict;

/// Told in the line, the latest first.
const TOLD: usize = 5;

pub(super) fn line(facts: &Facts<'_>, causes: &[Cause]) -> Line {
    let mut events = recent(facts);
    // What is still found is told above.
    let open: BTreeSet<String> = causes.iter().map(subject).collect();
    events.retain(|event| event.kind != EventKind::Finding || event.text != "found" || !open.contains(&event.subject));
    let watched = facts.snapshot.events.watched_since;
    let clock = |at: Moment| at.strftime("%H:%M:%S").to_string();
    let told = |event: &Event| format!("{} {}", event.at.strftime("%H:%M"), event.sentence());
    let mut clauses: Vec<String> = events.iter().take(TOLD).map(told).collect();
    if events.len() > TOLD {
        clauses.push(format!("{} more", events.len() - TOLD));
    }
    let window = facts.changes.seconds();
    let whole = watched.is_some_and(|at| facts.now.duration_since(at).as_secs() >= window);
    if clauses.is_empty() {
        let since = if whole && facts.changes == Window::CHANGES {
            "for an hour".to_owned()
        } else if whole {
            format!("for {}", facts.changes)
        } else {
            watched.map_or_else(String::new, |at| format!("since {}", clock(at)))
        };
        clauses.push(format!("nothing seen {since}").trim().to_owned());
    }
    let gaps = facts.snapshot.events.gaps.iter();
    for gap in gaps.filter(|gap| facts.now.duration_since(gap.until).as_secs() < window) {
        clauses.push(format!(
            "unknown {}–{}",
            gap.from.strftime("%H:%M"),
            gap.until.strftime("%H:%M:%S")
        ));
    }
    if !whole {
        clauses.push(match watched {
            Some(at) => format!("unknown before {}", clock(at)),
            None => "unknown: not watched yet".to_owned(),
        });
    }
    let verdict = if watched.is_some() {
        Verdict::Pass
    } else {
        Verdict::Unknown
    };
    Line::new(
        Name::Changed,
        verdict,
        clauses.join(" · "),
        "successive looks, operations, EC2",
    )
    .at(Evidence::list("operation"))
}

/// Of the time that is looked at, and what is scheduled; the latest first.
fn recent(facts: &Facts<'_>) -> Vec<Event> {
    let mut events: Vec<Event> = facts.snapshot.events.iter().cloned().collect();
    events.extend(facts.acts.iter().map(Act::event));
    for volume in facts
        .snapshot
        .cloud
        .volumes
        .values()
        .filter_map(|section| section.get())
        .flat_map(|all| all.values())
    {
        if let Some(modification) = &volume.modification
            && let Some(at) = modification.started_at
        {
            let progress = modification
                .progress_percent
                .filter(|_| modification.state != "completed")
                .map(|p| format!(" {p} %"))
                .unwrap_or_default();
            let text = format!(
                "modification {} ({}{progress})",
                modification.change, modification.state
            );
            events.push(Event::new(at, EventKind::Volume, &volume.id, text, 1));
        }
    }
    for row in &facts.rows.brokers {
        let Some(instance) = facts.snapshot.cloud.instance_of(row.id) else {
            continue;
        };
        if let Some(at) = instance.launched_at {
            events.push(Event::new(
                at,
                EventKind::Instance,
                format!("broker {}", row.id),
                format!("instance {} launched", instance.id),
                1,
            ));
        }
    }
    events.retain(|event| {
        let age = facts.now.duration_since(event.at).as_secs();
        (0..=facts.changes.seconds()).contains(&age)
    });
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    let scheduled = facts
        .rows
        .brokers
        .iter()
        .filter_map(|row| Some((row.id, facts.snapshot.cloud.instance_of(row.id)?)));
    let scheduled = scheduled.flat_map(|(id, instance)| instance.events.iter().map(move |event| (id, event)));
    let mut ahead: Vec<Event> = scheduled
        .map(|(id, event)| {
            let when = event
                .not_before
                .map_or_else(|| "soon".to_owned(), |at| at.strftime("%d %b %H:%MZ").to_string());
            let text = format!("AWS schedules {} for {when}", event.code);
            Event::new(facts.now, EventKind::Instance, format!("broker {id}"), text, 1)
        })
        .collect();
    ahead.extend(events);
    ahead
}
