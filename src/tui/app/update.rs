//! The one function that changes the state: a message in, wishes out.

use std::sync::Arc;
use std::time::Duration;

use crate::check::triage::Status;
use crate::model::Moment;
use crate::model::history::Window;
use crate::model::row::broker::BrokerState;

use super::action::Action;
use super::copy;
use super::dialog::Dialog;
use super::effect::Effect;
use super::field::Tone;
use super::frame::Inspect;
use super::menu::{Choice, Item, Menu};
use super::message::Message;
use super::operation::Operation;
use super::outline::Made;
use super::place::{Noun, Place};
use super::state::{Facts, Notice, State};
use super::text;

impl State {
    /// Waits for nothing and touches nothing outside itself.
    pub fn update(&mut self, now: Moment, message: Message) -> Vec<Effect> {
        let mut effects = self.hear(now, message);
        if std::mem::take(&mut self.wants_table) {
            effects.push(Effect::Make);
        }
        effects
    }

    fn hear(&mut self, now: Moment, message: Message) -> Vec<Effect> {
        self.now = now;
        match message {
            Message::Act(action) => return self.act(now, action),
            Message::Type(input) => match &mut self.dialog {
                Some(Dialog::Confirm(confirm)) => {
                    if let Some((_, typed)) = confirm.typed.as_mut() {
                        confirm.wrong &= !typed.input(input);
                    }
                }
                Some(_) => {}
                None if self.prompt.is_none() && self.drafting.is_some() => self.type_rules(now, input),
                None => self.type_text(now, input),
            },
            Message::Paste(text) if self.dialog.is_none() => match self.prompt.is_none() && self.drafting.is_some() {
                true => self.paste_rules(now, &text),
                false => self.paste(now, &text),
            },
            Message::Paste(_) => {}
            Message::Resize(width, height) => {
                (self.width, self.height) = (width, height);
                match self.place().noun {
                    // Its lines are as long as the screen is wide.
                    Noun::Record => self.rebuild(now),
                    _ => self.reveal(),
                }
            }
            Message::Tick => self.expire(now),
            Message::Facts(facts, made) => return self.learn(now, facts, made),
            // Newer facts came with a table of their own, or wished for one.
            Message::Made(of, made) => {
                if Arc::ptr_eq(&of, &self.snapshot) {
                    self.adopt(now, *made);
                }
            }
            Message::Operations(operations) => {
                let live = |all: &[Operation]| all.iter().filter(|one| one.is_live()).count();
                let ended = live(&operations) < live(&self.operations);
                self.operations = operations;
                if self.place().noun == Noun::Operation {
                    self.rebuild(now);
                }
                if ended {
                    // What it has changed is on this screen perhaps.
                    return vec![Effect::Refresh(self.place().noun)];
                }
            }
            Message::Fleet(Ok(lines)) => {
                for (name, verdict) in lines {
                    if let Some(context) = self.contexts.iter_mut().find(|context| context.name == name) {
                        context.verdict = Some(verdict);
                    }
                }
                if self.place().noun == Noun::Context {
                    self.rebuild(now);
                }
            }
            Message::Fleet(Err(why)) => self.notify(now, Tone::Error, why),
            Message::Past(past) => self.travelled(now, past),
            Message::Operators(operators) => {
                self.operators = operators;
                if self.place().noun == Noun::Operation {
                    self.rebuild(now);
                }
            }
            Message::Records(batch) => self.receive(now, batch),
            Message::Planned(words, planned) => self.planned(now, &words, planned),
            Message::Applied(Ok(text)) => self.notify(now, Tone::Ok, text),
            Message::Applied(Err(text)) => self.notify(now, Tone::Error, text),
            Message::Notice(tone, text) => self.notify(now, tone, text),
            // The rows are behind the text.
            Message::Click(_) if self.drafting.is_some() => {}
            Message::Click(line) => return self.click(now, line),
            Message::Chord(chord) => self.chord = chord,
        }
        Vec::new()
    }

    /// The person can see the screen as it is now.
    pub fn shown(&mut self, now: Moment) {
        if let Some(Dialog::Confirm(confirm)) = &mut self.dialog {
            confirm.shown_at.get_or_insert(now);
        }
    }

    fn act(&mut self, now: Moment, action: Action) -> Vec<Effect> {
        self.notice = None;
        self.opens_triage_until = None;
        if action == Action::Quit {
            return vec![Effect::Quit];
        }
        match (&self.dialog, &self.prompt) {
            (Some(_), _) => self.dialog_act(now, action),
            (None, Some(_)) => self.prompt_act(now, action),
            (None, None) if self.drafting.is_some() => self.rules_act(now, action),
            (None, None) => self.screen_act(now, action),
        }
    }

    pub(super) fn screen_act(&mut self, now: Moment, action: Action) -> Vec<Effect> {
        let page = self.frame().rows(&self.table).saturating_sub(1).max(1) as isize;
        match action {
            Action::Quit => return vec![Effect::Quit],
            Action::Triage => return self.go(now, Place::list(Noun::Triage)),
            Action::Broker => return self.go(now, Place::list(Noun::Broker)),
            Action::Topic => return self.go(now, Place::list(Noun::Topic)),
            Action::Group => return self.go(now, Place::list(Noun::Group)),
            Action::Volume => return self.go(now, Place::list(Noun::Volume)),
            Action::Relieve => return self.open_page(now, 2),
            Action::Window if self.offers(action) => return self.widen(),
            Action::Config => return self.go(now, Place::list(Noun::Config)),
            Action::Operation if self.verbs => return self.go(now, Place::list(Noun::Operation)),
            Action::Acl => return self.go(now, Place::list(Noun::Acl)),
            Action::User => return self.go(now, Place::list(Noun::User)),
            Action::Check => return self.go(now, Place::list(Noun::Check)),
            Action::Quota => return self.go(now, Place::list(Noun::Quota)),
            Action::Context => return self.go(now, Place::list(Noun::Context)),
            Action::Next => self.step(1),
            Action::Previous => self.step(-1),
            Action::PageDown => self.step(page),
            Action::PageUp => self.step(-page),
            Action::First => self.step(isize::MIN),
            Action::Last => self.step(isize::MAX),
            Action::Open => return self.open(now),
            Action::Record if self.verbs => return self.open_records(now),
            Action::Back => return self.back(now),
            Action::NextTab => self.turn(now, 1),
            Action::PreviousTab => self.turn(now, -1),
            Action::HistoryBack => return self.travel(now, -1),
            Action::HistoryForward => return self.travel(now, 1),
            Action::Filter => self.open_filter(),
            Action::Palette => self.open_palette(""),
            Action::Help => self.dialog = Some(Dialog::Help { scroll: 0 }),
            Action::Sort => self.dialog = Some(Dialog::Menu(self.sort_menu())),
            Action::Copy => self.dialog = Some(Dialog::Menu(self.copy_menu())),
            Action::Export => self.dialog = Some(Dialog::Menu(self.export_menu(now))),
            Action::Pager => return vec![Effect::Page(copy::plain(&self.table, self.on_screen()))],
            Action::Actions => self.open_actions(now),
            Action::Redraw => return vec![Effect::Redraw],
            Action::Theme => return self.next_theme(now),
            Action::Clock => {
                self.local ^= true;
                let zone = if self.local { "the local zone" } else { "UTC" };
                self.notify(now, Tone::Muted, format!("the clock shows {zone}"));
            }
            action @ (Action::Later
            | Action::Earlier
            | Action::LaterFinding
            | Action::EarlierFinding
            | Action::Speed) => return self.travel_in_time(action),
            Action::Refresh if self.past.is_some() => {
                self.list_mut().reorder();
                self.settle(now);
                self.notify(
                    now,
                    Tone::Muted,
                    "ordered again; what is over is not asked again".to_owned(),
                );
            }
            Action::Refresh => {
                self.list_mut().reorder();
                self.settle(now);
                self.notify(now, Tone::Muted, "asking again".to_owned());
                let refresh = Effect::Refresh(self.place().noun);
                return match self.place().noun {
                    Noun::Context => vec![refresh, Effect::Fleet],
                    _ => vec![refresh],
                };
            }
            Action::Freeze => self.freeze(now),
            action if action.is_change() => return self.intend(now, action),
            action => self.toggle(now, action),
        }
        Vec::new()
    }

    /// Switches of the list and the screen.
    fn toggle(&mut self, now: Moment, action: Action) {
        match action {
            Action::Faults => self.with_list(|list, _| list.faults ^= true),
            Action::Wide => self.with_list(|list, _| (list.wide, list.left) = (!list.wide, 0)),
            Action::Unfold => self.with_list(|list, _| list.unfolded ^= true),
            Action::ScrollRight => self.with_list(|list, table| {
                list.left = if list.wide {
                    (list.left + 1).min(table.columns.len().saturating_sub(2))
                } else {
                    0
                };
            }),
            Action::ScrollLeft => self.with_list(|list, _| list.left = list.left.saturating_sub(1)),
            Action::UnmarkAll => self.with_list(|list, _| list.marks.clear()),
            Action::Mark => {
                self.with_list(|list, _| {
                    if let Some(key) = list.selected.clone()
                        && !list.marks.remove(&key)
                    {
                        list.marks.insert(key);
                    }
                });
                self.step(1);
            }
            Action::Heat => {
                self.with_list(|list, _| list.heat ^= true);
                self.rebuild(now);
            }
            Action::Inspect => {
                let open = self.frame().inspector > 0;
                self.inspect = if open { Inspect::Closed } else { Inspect::Open };
            }
            _ => {}
        }
        self.settle(now);
    }

    /// Undoes the nearest thing: the filter, the faults-only view, then what is open.
    fn back(&mut self, now: Moment) -> Vec<Effect> {
        let list = self.list_mut();
        if !list.filter.is_empty() || list.faults {
            list.filter.clear();
            list.faults = false;
            self.settle(now);
            return Vec::new();
        }
        if self.place().name.is_none() {
            return Vec::new();
        }
        match self.at {
            0 => {
                let noun = match self.place().noun {
                    Noun::Record => Noun::Topic,
                    noun => noun,
                };
                self.go(now, Place::list(noun))
            }
            _ => self.travel(now, -1),
        }
    }

    fn learn(&mut self, now: Moment, facts: Facts, made: Option<Box<Made>>) -> Vec<Effect> {
        let (snapshot, rows, triage) = facts;
        if self.frozen_at.is_some() {
            self.held = Some((snapshot, rows, triage));
            return Vec::new();
        }
        let opens =
            self.opens_triage_until.is_some_and(|until| now <= until) && triage.seen && triage.status == Status::Fail;
        (self.snapshot, self.rows, self.triage) = (snapshot, rows, Some(triage));
        if self.rows.brokers.iter().all(|row| row.state != BrokerState::Unknown) && self.snapshot.topics.get().is_some()
        {
            // Everything was well once: what goes wrong from here on does not take the screen away.
            self.opens_triage_until = None;
        }
        if opens {
            // The first screen, and not one on the way back.
            self.opens_triage_until = None;
            self.history[self.at] = Place::list(Noun::Triage);
            self.rebuild(now);
            return vec![Effect::Focus(Noun::Triage)];
        }
        self.read_draft(now, true);
        if !made.is_some_and(|made| self.adopt(now, *made)) {
            self.rebuild(now);
        }
        Vec::new()
    }

    fn freeze(&mut self, now: Moment) {
        match self.frozen_at.take() {
            None => self.frozen_at = Some(now),
            Some(_) => {
                if let Some((snapshot, rows, triage)) = self.held.take() {
                    (self.snapshot, self.rows, self.triage) = (snapshot, rows, Some(triage));
                }
                self.rebuild(now);
            }
        }
    }

    /// The next longer time for what is on screen.
    fn widen(&mut self) -> Vec<Effect> {
        match (self.place().noun, self.window()) {
            (Noun::Triage, Some(window)) => self.set_changes(window.next_changes()),
            (_, Some(window)) => vec![Effect::Rates(window.next())],
            (_, None) => Vec::new(),
        }
    }

    pub(super) fn set_changes(&mut self, window: Window) -> Vec<Effect> {
        self.changes = window;
        vec![Effect::Changes(window)]
    }

    fn sort_menu(&self) -> Menu {
        let list = self.list();
        let mark = |by: Option<&str>| match &list.sort {
            Some((id, down)) if Some(id.as_str()) == by => {
                if *down {
                    "▼ now"
                } else {
                    "▲ now"
                }
            }
            None if by.is_none() => "now",
            _ => "",
        };
        let mut items = vec![Item::new("worst first", mark(None), Choice::Sort(None))];
        let columns = self
            .table
            .columns
            .iter()
            .filter(|column| !column.title.is_empty() && column.title != "age");
        items.extend(columns.map(|column| {
            let title = match &column.group {
                Some(group) => format!("{group} {}", column.title),
                None => column.title.clone(),
            };
            Item::new(title, mark(Some(&column.id)), Choice::Sort(Some(column.id.clone())))
        }));
        let selected = match &list.sort {
            Some((id, _)) => items
                .iter()
                .position(|item| item.choice == Choice::Sort(Some(id.clone())))
                .unwrap_or(0),
            None => 0,
        };
        Menu {
            title: "order rows by".to_owned(),
            items,
            selected,
        }
    }

    /// Numbers run downwards first, names upwards; the same column again turns it round.
    pub(super) fn sort(&mut self, now: Moment, by: Option<String>) {
        let numeric = |state: &Self, id: &str| {
            let column = state.table.column(id);
            column.is_some_and(|at| {
                state
                    .table
                    .rows
                    .iter()
                    .any(|row| row.fields.get(at).is_some_and(|f| f.number.is_some()))
            })
        };
        let sort = by.map(|id| match &self.list().sort {
            Some((now, down)) if *now == id => (id, !down),
            _ => {
                let down = numeric(self, &id);
                (id, down)
            }
        });
        let list = self.list_mut();
        list.sort = sort;
        list.reorder();
        self.settle(now);
    }

    fn open_actions(&mut self, now: Moment) {
        let actions = self.actions();
        if actions.is_empty() {
            self.notify(
                now,
                Tone::Muted,
                format!("there is nothing to do with a {} here", self.table.noun),
            );
            return;
        }
        let refused = self.origin.read_only.then(|| self.read_only());
        let item = |action: Action| Item {
            refused: refused.clone(),
            ..Item::new(
                action.help().trim_end_matches('.'),
                self.keys_of(action),
                Choice::Act(action),
            )
        };
        let targets = self.targets();
        let title = match targets.as_slice() {
            [one] => format!("{} {one}", self.place().noun.name()),
            several => text::plural(several.len(), self.table.noun),
        };
        self.dialog = Some(Dialog::Menu(Menu {
            title,
            items: actions.into_iter().map(item).collect(),
            selected: 0,
        }));
    }

    pub(super) fn read_only(&self) -> String {
        let context = &self.origin.context;
        format!("{context} is read-only: set `changes = true` in its context file to allow changes")
    }

    fn next_theme(&mut self, now: Moment) -> Vec<Effect> {
        let at = self
            .themes
            .iter()
            .position(|name| *name == self.theme)
            .map_or(0, |at| at + 1);
        let Some(name) = self.themes.get(at % self.themes.len().max(1)).cloned() else {
            return Vec::new();
        };
        self.theme.clone_from(&name);
        self.notify(now, Tone::Muted, format!("theme {name}"));
        vec![Effect::Theme(name)]
    }

    pub(super) fn notify(&mut self, now: Moment, tone: Tone, text: String) {
        let long = matches!(tone, Tone::Error | Tone::Warn);
        let until = now
            .checked_add(Duration::from_secs(if long { 60 } else { 5 }))
            .unwrap_or(now);
        self.notice = Some(Notice { tone, text, until });
    }

    fn expire(&mut self, now: Moment) {
        if self.notice.as_ref().is_some_and(|notice| notice.until <= now) {
            self.notice = None;
        }
        if self.place().noun == Noun::Operation && self.frozen_at.is_none() {
            self.rebuild(now);
        }
    }
}
