//! Whether the next unit of an operation may begin, by the schedule that it was begun with.
//!
//! The engine asks before each step; what takes a step that is a unit of its own (a batch of moves, a broker or a batch of a roll) is
//! counted here, so that every kind of operation obeys the same flags.

use super::status::{Status, StepState, Wait};
use crate::model::Moment;
use crate::plan::schedule::{Passed, Verdict};
use crate::plan::{Plan, Step};

/// What an operation has to do before its next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    /// By itself.
    Wait(Wait),
    /// Until a person lets it go on.
    Pause(String),
}

/// Whether the step at `at` may begin now.
pub(super) fn next(status: &Status, at: usize, now: Moment) -> Next {
    let Some(step) = status.plan.steps.get(at).filter(|_| begins(&status.plan, at)) else {
        return Next::Go;
    };
    let (units, last_done_at) = done(status);
    let last = (0..at).rev().find_map(|before| zone(&status.plan, before));
    let passed = Passed {
        units,
        units_since_resumed: units.saturating_sub(status.units_resumed),
        last_done_at,
        zone_ended: last.is_some_and(|last| zone(&status.plan, at).is_some_and(|next| next != last)),
        moves_data: matches!(step, Step::Reassign { .. }),
    };
    match status.schedule.verdict(&passed, now) {
        Verdict::Go => Next::Go,
        Verdict::Pause { why } => Next::Pause(why),
        Verdict::Wait { until, what, why } => Next::Wait(Wait {
            for_: what.to_owned(),
            why,
            until: Some(until),
            gate: false,
        }),
    }
}

/// How many units are done, and when the last was.
pub(super) fn done(status: &Status) -> (u32, Option<Moment>) {
    let ended = status.steps.iter().enumerate().filter_map(|(at, state)| match state {
        StepState::Done { at: when, .. } if ends(&status.plan, at) => Some(*when),
        _ => None,
    });
    ended.fold((0, None), |(count, last), at| (count + 1, last.max(Some(at))))
}

/// What a schedule counts: steps that do something by themselves, not what is set before them or taken away after.
fn is_unit(step: &Step) -> bool {
    !matches!(
        step,
        Step::SetThrottle { .. } | Step::ClearThrottle { .. } | Step::AwaitIsr(_)
    )
}

/// Whether a unit begins with this step.
fn begins(plan: &Plan, at: usize) -> bool {
    plan.steps.get(at).is_some_and(is_unit) && !is_second(plan, at)
}

/// Whether a unit is done with it.
fn ends(plan: &Plan, at: usize) -> bool {
    plan.steps.get(at).is_some_and(is_unit) && !is_second(plan, at + 1) && !goes_with_next(plan, at)
}

/// Brokers that restart at the same time are one unit.
fn goes_with_next(plan: &Plan, at: usize) -> bool {
    match (plan.steps.get(at), plan.steps.get(at + 1)) {
        (Some(Step::Restart(one)), Some(Step::Restart(next))) => one.batch.is_some() && one.batch == next.batch,
        _ => false,
    }
}

/// The election after a new order of preference: nothing comes between the two, or leaders would be neither here nor there.
fn is_second(plan: &Plan, at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| plan.steps.get(before));
    matches!(plan.steps.get(at), Some(Step::Elect { .. })) && matches!(before, Some(Step::Reassign { .. }))
}

/// The zone that a step works in, where it is one zone.
fn zone(plan: &Plan, at: usize) -> Option<String> {
    match plan.steps.get(at)? {
        Step::Restart(turn) => Some(turn.zone.clone()),
        _ => None,
    }
}

/// Why a plan cannot keep a schedule.
///
/// # Errors
/// A sentence that names the flag.
pub fn fits(plan: &Plan, schedule: &crate::plan::schedule::Schedule) -> Result<(), String> {
    use crate::plan::schedule::PauseAfter;
    if schedule.outside_rate.is_some() && plan.throttle.is_none() {
        return Err("--outside-rate needs a plan that moves data under a throttle; plan it with --max-rate".to_owned());
    }
    let zones = (0..plan.steps.len()).any(|at| zone(plan, at).is_some());
    if schedule.pause_after == Some(PauseAfter::Zone) && !zones {
        return Err("--pause-after az: no step of this plan works in one zone; give first or a number".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{begun, now, who};
    use super::super::{Entry, Event, Id};
    use super::*;
    use crate::plan::schedule::{PauseAfter, Schedule};

    fn status(schedule: Schedule, events: Vec<Event>) -> Status {
        let begun = match begun() {
            Event::Begun {
                plan,
                by,
                reason,
                overrides,
                ..
            } => Event::Begun {
                plan,
                by,
                reason,
                overrides,
                schedule,
            },
            other => other,
        };
        let entry = |event| Entry::new(now(), event);
        let entries: Vec<Entry> = std::iter::once(begun).chain(events).map(entry).collect();
        Status::of(&entries, &Id::parse("abc123").unwrap()).unwrap()
    }

    fn done_(step: usize) -> Event {
        let outcome = "made".into();
        Event::Done { step, outcome }
    }

    #[test]
    fn it_pauses_once_after_the_first_and_goes_on_when_it_was_let() {
        let schedule = Schedule {
            pause_after: Some(PauseAfter::First),
            ..Schedule::default()
        };
        let begun = vec![Event::Engine { by: who() }];
        assert_eq!(next(&status(schedule.clone(), begun), 0, now()), Next::Go);
        let paused = vec![Event::Step { step: 0 }, done_(0)];
        assert!(matches!(
            next(&status(schedule.clone(), paused.clone()), 1, now()),
            Next::Pause(_)
        ));
        let resumed = paused.into_iter().chain([Event::Paused { why: None }, Event::Resumed]);
        assert_eq!(next(&status(schedule, resumed.collect()), 1, now()), Next::Go);
    }

    #[test]
    fn an_order_and_its_election_are_one() {
        let mut plan = super::super::testing::plan(&["a", "b"]);
        plan.steps = (0..2)
            .flat_map(|_| [Step::Reassign { moves: Vec::new() }, Step::Elect { leads: Vec::new() }])
            .collect();
        let at = |whether: fn(&Plan, usize) -> bool| (0..4).filter(|at| whether(&plan, *at)).collect::<Vec<_>>();
        assert_eq!((at(begins), at(ends)), (vec![0, 2], vec![1, 3]));
        // An election alone is a unit of its own.
        plan.steps.remove(0);
        assert!(begins(&plan, 0) && ends(&plan, 0));
    }

    #[test]
    fn zones_and_rates_that_a_plan_does_not_have_are_refused() {
        let plan = super::super::testing::plan(&["a"]);
        let schedule = Schedule {
            pause_after: Some(PauseAfter::Zone),
            ..Schedule::default()
        };
        assert!(fits(&plan, &schedule).unwrap_err().contains("--pause-after az"));
        let schedule = Schedule {
            outside_rate: Some(1),
            ..Schedule::default()
        };
        assert!(fits(&plan, &schedule).unwrap_err().contains("--outside-rate"));
        assert_eq!(fits(&plan, &Schedule::default()), Ok(()));
    }
}
