//! The table of a place, made where no key waits for it: that of ten thousand topics takes longer than a key may wait.
//!
//! An [`Outline`] is what the table hangs on besides the facts. Whoever works out the rows makes the table of it, and the
//! state takes it over if the person has changed nothing of it meanwhile.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Moment;
use crate::model::row::Rows;

use super::list::List;
use super::place::{Noun, Place};
use super::state::{Facts, State};
use super::table::Table;

/// A place with what a person did to its list.
pub struct Outline {
    /// Of one place only.
    state: State,
}

/// A table with its list, in order.
#[derive(Debug)]
pub struct Made {
    outline: State,
    /// `None` when nothing that the table shows has changed since the outline.
    table: Option<Table>,
}

impl State {
    /// What the next table hangs on; `None` where it is made of something else than facts.
    pub fn outline(&self) -> Option<Outline> {
        let place = self.place().clone();
        if place.noun == Noun::Record {
            return None;
        }
        let mut brokers = List::default();
        brokers.marks.clone_from(self.marked_brokers());
        let mut lists = HashMap::from([(Place::list(Noun::Broker), brokers)]);
        lists.insert(place.clone(), self.list().without_lines());
        Some(Outline {
            state: Self {
                width: self.width,
                origin: self.origin.clone(),
                rows: Arc::clone(&self.rows),
                changes: self.changes,
                operations: Arc::clone(&self.operations),
                operators: Arc::clone(&self.operators),
                contexts: self.contexts.clone(),
                history: vec![place],
                lists,
                ..Self::default()
            },
        })
    }

    /// Takes the table over; false, and nothing is changed, when the person is elsewhere by now or sees something else.
    pub(super) fn adopt(&mut self, now: Moment, made: Made) -> bool {
        let Made { mut outline, table } = made;
        let stands = self.place() == outline.place()
            && self.list().heat == outline.list().heat
            && self.marked_brokers() == outline.marked_brokers()
            && Arc::ptr_eq(&self.operations, &outline.operations)
            && Arc::ptr_eq(&self.operators, &outline.operators);
        let Some(table) = table.filter(|_| stands) else {
            return stands;
        };
        self.spent = Some(std::mem::replace(&mut self.table, table));
        self.tabled = Some(self.place().clone());
        let ready = std::mem::take(outline.list_mut());
        self.with_list(|list, table| {
            if !list.take_over(ready, table) {
                list.settle(table, now);
            }
        });
        self.reveal();
        true
    }

    /// Whether these rows make the table that is on screen: mostly nothing in it has changed.
    fn shows_the_same(&self, rows: &Rows) -> bool {
        let place = self.place();
        let placement = |rows: &Rows| -> Vec<_> {
            let brokers = rows.brokers.iter();
            brokers.map(|row| (row.id, row.zone.clone(), row.state)).collect()
        };
        let (was, rows) = (self.rows.shown(), rows.shown());
        place.noun == Noun::Topic
            && place.name.is_none()
            && Arc::ptr_eq(&was.topics, &rows.topics)
            && was.zones == rows.zones
            && placement(was) == placement(rows)
    }

    /// The table that was on screen before, to be freed where nobody waits.
    pub fn spent(&mut self) -> Option<Table> {
        self.spent.take()
    }
}

impl Outline {
    /// Makes the table of these facts.
    pub fn make(self, now: Moment, (snapshot, rows, triage): Facts) -> Made {
        let mut outline = self.state;
        let same = outline.shows_the_same(&rows);
        (outline.now, outline.snapshot, outline.rows, outline.triage) = (now, snapshot, rows, Some(triage));
        let table = (!same).then(|| {
            let mut table = outline.build(now);
            table.measure();
            outline.list_mut().settle(&table, now);
            table
        });
        // Whoever keeps this must not keep the facts.
        (outline.snapshot, outline.rows, outline.triage) = Default::default();
        Made { outline, table }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{Six, now};
    use crate::tui::app::Message;
    use crate::tui::app::state::Start;

    fn facts(six: &Six) -> Facts {
        let snapshot = Arc::new(six.snapshot.clone());
        let rows = Arc::new(Rows::of(&snapshot, now()));
        (snapshot, rows, Arc::new(six.triage()))
    }

    /// The screens at the list of topics of a cluster that is well.
    fn at_topics() -> State {
        let mut state = State::new(Start {
            now: now(),
            width: 120,
            height: 40,
            ..Start::default()
        });
        state.update(now(), Message::Facts(facts(&Six::healthy()), None));
        state.go(now(), Place::list(Noun::Topic));
        state
    }

    fn made(state: &State, six: &Six) -> Message {
        let facts = facts(six);
        let made = state.outline().unwrap().make(now(), facts.clone());
        Message::Facts(facts, Some(Box::new(made)))
    }

    fn shrunk() -> Six {
        let mut six = Six::healthy();
        six.isr("orders", 0, &[1]);
        six
    }

    #[test]
    fn the_table_made_elsewhere_is_the_one_that_the_loop_would_make() {
        let mut state = at_topics();
        let before = state.table.clone();
        let news = made(&state, &shrunk());
        state.update(now(), news);
        assert_eq!(state.spent(), Some(before), "the old one is freed elsewhere");
        let adopted = state.table.clone();
        state.rebuild(now());
        assert_eq!(adopted, state.table);
        assert!(state.table.faults() > 0);
    }

    #[test]
    fn what_the_person_did_meanwhile_stands() {
        let mut state = at_topics();
        let news = made(&state, &shrunk());
        state.list_mut().filter = "orders".to_owned();
        state.update(now(), news);
        assert_eq!(state.list().filter, "orders");
        assert_eq!(state.list().rows().len(), 1, "{:?}", state.list().lines);

        let news = made(&state, &Six::healthy());
        state.go(now(), Place::list(Noun::Broker));
        state.update(now(), news);
        assert_eq!(state.table.noun, "broker");
        assert_eq!(state.table.rows.len(), 6);
    }

    #[test]
    fn judgements_are_made_elsewhere_and_no_key_waits_for_them() {
        use crate::tui::app::{Action, Effect};
        let mut state = at_topics();
        let effects = state.update(now(), Message::Act(Action::Check));
        assert!(effects.contains(&Effect::Make), "{effects:?}");
        assert_eq!(
            (state.table.rows.len(), state.table.empty.as_str()),
            (0, "working it out …")
        );
        let six = Six::healthy();
        let made = state.outline().unwrap().make(now(), facts(&six));
        let older = Arc::new(six.snapshot.clone());
        state.update(now(), Message::Made(older, Box::new(made)));
        assert_eq!(state.table.rows.len(), 0, "of facts that are no longer here");
        let made = state.outline().unwrap().make(now(), state.facts().unwrap());
        let of = Arc::clone(&state.snapshot);
        state.update(now(), Message::Made(of, Box::new(made)));
        assert!(state.table.rows.len() > 50, "{}", state.table.rows.len());
        assert!(!state.list().rows().is_empty());

        // Facts that come with a table of another place find the one that is there.
        let before = state.table.clone();
        let effects = state.update(now(), Message::Facts(facts(&six), None));
        assert!(effects.contains(&Effect::Make));
        assert_eq!(state.table, before);
    }

    #[test]
    fn a_table_that_would_be_the_same_is_not_made() {
        let mut state = at_topics();
        let outline = state.outline().unwrap();
        let shown = (
            Arc::clone(&state.snapshot),
            Arc::clone(&state.rows),
            state.triage.clone().unwrap(),
        );
        let made = outline.make(now(), shown);
        assert!(made.table.is_none());
        assert!(state.adopt(now(), made));
        assert_eq!(state.spent(), None);
    }
}
