//! Going from place to place, and building what is shown there.

use std::collections::BTreeSet;

use crate::check::Facts;
use crate::check::brief::Brief;
use crate::model::Moment;

use super::effect::Effect;
use super::list::{Line, List};
use super::place::{Noun, Place};
use super::state::State;
use super::table::Table;
use super::{
    acl, broker, check, config, context, cost, dashboard, group, logdir, operation, quorum, quota, reassignment,
    record, throttle, topic, transaction, triage, user, volume, whatif,
};

/// Places remembered; the oldest are forgotten.
const REMEMBERED: usize = 64;

impl State {
    /// Goes to a place; what lay ahead in history is dropped.
    pub(super) fn go(&mut self, now: Moment, place: Place) -> Vec<Effect> {
        let focus = place.noun;
        if *self.place() != place {
            self.history.truncate(self.at + 1);
            self.history.push(place);
            let surplus = self.history.len().saturating_sub(REMEMBERED);
            self.history.drain(..surplus);
            self.at = self.history.len() - 1;
            self.lists.retain(|place, _| self.history.contains(place));
        }
        self.list_mut().reorder();
        let stream = self.stream();
        self.rebuild(now);
        [vec![Effect::Focus(focus)], stream].concat()
    }

    pub(super) fn travel(&mut self, now: Moment, by: isize) -> Vec<Effect> {
        let there = self.at.saturating_add_signed(by).min(self.history.len() - 1);
        if there == self.at {
            return Vec::new();
        }
        self.at = there;
        self.list_mut().reorder();
        let stream = self.stream();
        self.rebuild(now);
        [vec![Effect::Focus(self.place().noun)], stream].concat()
    }

    /// Another page of the thing that is open; history keeps one place for it.
    pub(super) fn turn(&mut self, now: Moment, by: isize) {
        let place = &mut self.history[self.at];
        let pages = place.noun.tabs().len();
        let pages = match place.noun == Noun::Record && !record::is_one(place) {
            true => 1,
            false => pages,
        };
        if place.name.is_some() && pages > 1 {
            place.tab = (place.tab as isize + by).rem_euclid(pages as isize) as usize;
            self.rebuild(now);
        }
    }

    /// To a page of the selected thing, or of the one that is open.
    pub(super) fn open_page(&mut self, now: Moment, tab: usize) -> Vec<Effect> {
        if self.place().name.is_some() {
            let by = tab as isize - self.place().tab as isize;
            self.turn(now, by);
            return Vec::new();
        }
        match self.selected().and_then(|row| row.opens.clone()) {
            Some(place) => self.go(now, Place { tab, ..place }),
            None => Vec::new(),
        }
    }

    pub(super) fn open(&mut self, now: Moment) -> Vec<Effect> {
        if self.place().noun == Noun::Context
            && let Some(row) = self.selected()
            && row.key != self.origin.context
        {
            return vec![Effect::SwitchContext(row.key.clone())];
        }
        match self.selected().and_then(|row| row.opens.clone()) {
            Some(place) => self.go(now, place),
            None => Vec::new(),
        }
    }

    /// A click selects the row on a line of the screen, and opens it when it was selected already. What lies above the
    /// screen takes no clicks.
    pub(super) fn click(&mut self, now: Moment, line: u16) -> Vec<Effect> {
        if self.dialog.is_some() || self.prompt.is_some() {
            return Vec::new();
        }
        let frame = self.frame();
        let first = frame.header + frame.status + super::frame::Frame::titles(&self.table);
        let list = self.list();
        let shown = usize::from(line.saturating_sub(first));
        let inside = line >= first && shown < frame.rows(&self.table);
        let row = match list.lines.get(list.top + shown).filter(|_| inside) {
            Some(Line::Row(row)) => self.table.rows[*row].key.clone(),
            Some(Line::Section(_) | Line::Fold { .. }) | None => return Vec::new(),
        };
        if list.selected.as_ref() == Some(&row) {
            return self.open(now);
        }
        self.list_mut().selected = Some(row);
        self.reveal();
        Vec::new()
    }

    /// Builds the table of the place one is at from the facts at hand. One that takes long to work out is made elsewhere; until
    /// it is there the old one stands, or a word about it.
    pub(super) fn rebuild(&mut self, now: Moment) {
        let place = self.place().clone();
        if place.noun.is_worked_out() && self.snapshot.cluster.get().is_some() {
            self.wants_table = true;
            if self.tabled.as_ref() != Some(&place) {
                self.table = Table {
                    noun: place.noun.name(),
                    empty: "working it out …".to_owned(),
                    ..Table::default()
                };
                self.tabled = Some(place);
                self.settle(now);
            }
            return;
        }
        self.table = self.build(now);
        self.tabled = Some(place);
        self.table.measure();
        self.settle(now);
    }

    pub(super) fn build(&self, now: Moment) -> Table {
        let (rows, snapshot) = (&*self.rows, &self.snapshot);
        // Rates over the time that the person wants; what judges goes by the usual one.
        let shown = rows.shown();
        let place = self.place();
        let heat = self.list().heat;
        match (place.noun, &place.name) {
            (Noun::Triage, _) => triage::list(self.triage.as_deref()),
            (Noun::Broker, None) => broker::list(shown),
            (Noun::Broker, Some(name)) => broker::open(shown, snapshot, name, place.tab, now),
            (Noun::Topic, None) => topic::list(shown, snapshot, self.marked_brokers(), heat),
            (Noun::Topic, Some(name)) => {
                topic::open(shown, snapshot, name, place.tab, self.marked_brokers(), heat, now)
            }
            (Noun::Group, None) => group::list(shown, now),
            (Noun::Group, Some(name)) => group::open(shown, snapshot, name, place.tab, now),
            (Noun::Volume, None) => volume::list(shown, snapshot),
            (Noun::Volume, Some(name)) => volume::open(shown, snapshot, name, now),
            (Noun::Acl, None) => acl::list(snapshot, now),
            (Noun::Acl, Some(name)) => acl::open(snapshot, name, now),
            (Noun::User, None) => user::list(rows, snapshot),
            (Noun::User, Some(name)) => user::open(rows, snapshot, name, place.tab, now),
            (Noun::Quota, _) => quota::list(rows, snapshot),
            (Noun::Check, name) => {
                let acts = operation::acts(&self.operations);
                let facts = Facts {
                    snapshot,
                    rows,
                    acts: &acts,
                    strict: false,
                    changes: self.changes,
                    now,
                };
                match name {
                    None => check::list(&facts),
                    Some(id) => check::open(&facts, id),
                }
            }
            (Noun::Whatif, None) => whatif::list(rows, snapshot),
            (Noun::Whatif, Some(question)) => whatif::open(rows, snapshot, question),
            (Noun::Dashboard, None) => dashboard::list(rows, snapshot, now),
            (Noun::Dashboard, Some(name)) => dashboard::open(rows, snapshot, name, now),
            (Noun::Cost, _) => cost::list(rows, snapshot),
            (Noun::Config, None) => config::list(rows, snapshot, now),
            (Noun::Config, Some(name)) => config::open(snapshot, name, place.tab, now),
            (Noun::Logdir, None) => logdir::list(shown, snapshot),
            (Noun::Logdir, Some(name)) => logdir::open(shown, snapshot, name, place.tab, now),
            // Their rows open what they are about.
            (Noun::Quorum, _) => quorum::list(snapshot, now),
            (Noun::Throttle, _) => throttle::list(rows, snapshot, &operation::claims(&self.operations)),
            (Noun::Reassignment, _) => reassignment::list(rows, snapshot),
            (Noun::Transaction, None) => transaction::list(rows, snapshot),
            (Noun::Transaction, Some(name)) => transaction::open(rows, snapshot, name),
            (Noun::Record, None) => record::open(&self.records, snapshot, "", 0, (now, self.width)),
            (Noun::Record, Some(words)) => record::open(&self.records, snapshot, words, place.tab, (now, self.width)),
            (Noun::Context, _) => {
                let triage = self.triage.as_deref();
                let own = triage.and_then(|triage| Brief::of(snapshot, rows, triage, now).ok());
                context::list(&self.contexts, &self.origin.context, &self.health(), own.as_ref())
            }
            (Noun::Operation, None) => operation::list(&self.operations, &self.operators, now),
            (Noun::Operation, Some(name)) => operation::open(&self.operations, name, place.tab),
        }
    }

    pub(super) fn marked_brokers(&self) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.lists
            .get(&Place::list(Noun::Broker))
            .map_or(&NONE, |list| &list.marks)
    }

    /// Fits the list to its table: filter, order, selection, scroll.
    pub(super) fn settle(&mut self, now: Moment) {
        self.with_list(|list, table| list.settle(table, now));
        self.reveal();
    }

    pub(super) fn reveal(&mut self) {
        let height = self.frame().rows(&self.table);
        self.with_list(|list, table| list.reveal(table, height));
    }

    pub(super) fn step(&mut self, by: isize) {
        self.with_list(|list, table| list.step(by, table));
        self.reveal();
    }

    pub(super) fn with_list(&mut self, change: impl FnOnce(&mut List, &Table)) {
        let place = self.history[self.at].clone();
        change(self.lists.entry(place).or_default(), &self.table);
    }
}
