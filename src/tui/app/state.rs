//! Everything the screens know. `update` is the only place where it changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::check::Triage;
use crate::model::history::Window;
use crate::model::row::Rows;
use crate::model::{Moment, Snapshot, foreign};

use super::action::Action;
use super::context::Context;
use super::dialog::Dialog;
use super::field::{Field, Tone};
use super::frame::{Frame, Inspect, ROOMY};
use super::list::List;
use super::operation::{Operation, Operator};
use super::past::Past;
use super::place::{Layer, Noun, Place};
use super::prompt::Prompt;
use super::record::{self, Records};
use super::rules::Draft;
use super::table::{Row, Table};
use super::text;

/// Which cluster this is and what may be done to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub context: String,
    /// `prod`, `staging`, `dev`, ...; decides the colour.
    pub class: String,
    pub read_only: bool,
    /// Whom we ask first, for the screen before the first answer.
    pub bootstrap: String,
    /// The words that lead a command to this cluster: `--context prod-eu`.
    pub target: Vec<String>,
}

/// A line that says what happened, for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub tone: Tone,
    pub text: String,
    pub until: Moment,
}

/// One line of help: where a chord works, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub layer: Layer,
    /// As shown: `ctrl-r`, `g g`.
    pub chord: String,
    pub action: Action,
}

/// A snapshot, its rows, and what the rules say of them.
pub type Facts = (Arc<Snapshot>, Arc<Rows>, Arc<Triage>);

/// The state of the console.
#[derive(Debug, Default)]
pub struct State {
    pub now: Moment,
    pub(super) opened_at: Moment,
    pub width: u16,
    pub height: u16,
    pub origin: Origin,
    pub snapshot: Arc<Snapshot>,
    pub rows: Arc<Rows>,
    /// What the rules say of `snapshot`; `None` before its first.
    pub triage: Option<Arc<Triage>>,
    /// What arrived while frozen.
    pub(super) held: Option<Facts>,
    /// Until then triage opens by itself when something is wrong; `None` once a key was pressed or all was seen.
    pub(super) opens_triage_until: Option<Moment>,
    pub frozen_at: Option<Moment>,
    /// The time of which triage tells what changed.
    pub changes: Window,
    pub operations: Arc<Vec<Operation>>,
    /// Who else works on the cluster.
    pub operators: Arc<Vec<Operator>>,
    pub records: Records,
    /// Whether plans can be made and applied here.
    pub verbs: bool,
    /// What is looked at is over.
    pub past: Option<Past>,

    pub(super) history: Vec<Place>,
    pub(super) at: usize,
    pub(super) lists: HashMap<Place, List>,
    pub table: Table,
    /// The place that `table` is of.
    pub(super) tabled: Option<Place>,
    /// The table of this place is to be made elsewhere.
    pub(super) wants_table: bool,
    /// The table before, until somebody frees it.
    pub(super) spent: Option<Table>,
    pub inspect: Inspect,
    pub prompt: Option<Prompt>,
    /// Texts of rules, by their scope; kept while the console is open.
    pub(super) drafts: HashMap<String, Draft>,
    /// The one that is being edited.
    pub(super) drafting: Option<String>,
    pub dialog: Option<Dialog>,
    pub notice: Option<Notice>,
    /// The chord typed so far.
    pub chord: String,

    pub theme: String,
    pub themes: Vec<String>,
    pub contexts: Vec<Context>,
    pub bindings: Vec<Binding>,
    /// Where the person is; `None` is not known, and then every clock shows UTC.
    pub zone: Option<TimeZone>,
    /// The clock shows that zone's time.
    pub local: bool,
}

/// What the state starts with.
#[derive(Debug, Clone, Default)]
pub struct Start {
    pub now: Moment,
    pub width: u16,
    pub height: u16,
    pub origin: Origin,
    pub verbs: bool,
    /// Triage is the first screen when something is wrong.
    pub triage_first: bool,
    pub theme: String,
    pub themes: Vec<String>,
    pub contexts: Vec<Context>,
    pub bindings: Vec<Binding>,
    pub zone: Option<TimeZone>,
}

/// Seconds after the start in which triage may take the screen: all facts have arrived by then.
const OPENING: i64 = 15;

/// A command line of these words.
fn line(words: impl IntoIterator<Item = String>) -> String {
    let words = words.into_iter().map(|word| text::word(&word));
    std::iter::once("azimuth".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

impl State {
    pub fn new(start: Start) -> Self {
        let mut state = Self {
            now: start.now,
            opened_at: start.now,
            width: start.width,
            height: start.height,
            origin: start.origin,
            verbs: start.verbs,
            theme: start.theme,
            themes: start.themes,
            contexts: start.contexts,
            bindings: start.bindings,
            zone: start.zone,
            history: vec![Place::list(Noun::Broker)],
            opens_triage_until: start
                .triage_first
                .then(|| start.now + jiff::SignedDuration::from_secs(OPENING)),
            changes: Window::CHANGES,
            ..Self::default()
        };
        state.rebuild(start.now);
        state
    }

    /// What is on screen was made of them; `None` before the first.
    pub fn facts(&self) -> Option<Facts> {
        let triage = self.triage.clone()?;
        Some((Arc::clone(&self.snapshot), Arc::clone(&self.rows), triage))
    }

    pub fn place(&self) -> &Place {
        &self.history[self.at]
    }

    pub fn list(&self) -> &List {
        static NONE: std::sync::LazyLock<List> = std::sync::LazyLock::new(List::default);
        self.lists.get(self.place()).unwrap_or(&NONE)
    }

    pub(super) fn list_mut(&mut self) -> &mut List {
        let place = self.history[self.at].clone();
        self.lists.entry(place).or_default()
    }

    pub fn selected(&self) -> Option<&Row> {
        self.list().selected.as_deref().and_then(|key| self.table.row(key))
    }

    /// The marked rows, or the selected one.
    pub fn targets(&self) -> Vec<String> {
        let list = self.list();
        match list.marks.is_empty() {
            false => list.marks.iter().cloned().collect(),
            true => list.selected.iter().cloned().collect(),
        }
    }

    pub fn frame(&self) -> Frame {
        let place = self.place();
        // Their lines say all that there is to say of them, or take more than one line each.
        let inspect = match self.inspect {
            // It has the screen for itself.
            _ if self.drafting.is_some() => Inspect::Closed,
            Inspect::Auto if self.selected().is_none() || record::is_one(place) => Inspect::Closed,
            Inspect::Auto if place.noun == Noun::Triage && self.height < ROOMY => Inspect::Closed,
            inspect => inspect,
        };
        let lines = self.list().lines.len() + self.table.feet.len() + usize::from(Frame::titles(&self.table));
        Frame::of(self.height, inspect, lines)
    }

    /// The layers that hear keys now, first come first served.
    pub fn layers(&self) -> Vec<Layer> {
        match (&self.dialog, &self.prompt) {
            (Some(Dialog::Confirm(confirm)), _) if confirm.typed.is_some() => vec![Layer::Prompt],
            (Some(_), _) => vec![Layer::Dialog],
            (None, Some(_)) => vec![Layer::Prompt],
            (None, None) if self.drafting.is_some() => vec![Layer::Editor],
            (None, None) if self.is_replay() => {
                vec![Layer::Replay, self.place().noun.into(), Layer::List, Layer::Global]
            }
            (None, None) => vec![self.place().noun.into(), Layer::List, Layer::Global],
        }
    }

    fn is_replay(&self) -> bool {
        self.past.as_ref().is_some_and(Past::is_replay)
    }

    /// Whether a key that is bound to nothing is text.
    pub fn takes_text(&self) -> bool {
        matches!(self.layers().as_slice(), [Layer::Prompt | Layer::Editor])
    }

    /// The command that prints what is on screen.
    pub fn command(&self) -> String {
        let words = self.place_command().into_iter().chain(self.moment_words());
        line(words.chain(self.origin.target.iter().cloned()))
    }

    /// The words that lead to the moment of a recording; a capture is led to by the target's.
    fn moment_words(&self) -> Vec<String> {
        let recorded = self.past.as_ref().filter(|past| !past.is_capture);
        let words = |past: &Past| vec!["--from".to_owned(), past.at.strftime("%FT%H:%M:%S%.3fZ").to_string()];
        recorded.map(words).unwrap_or_default()
    }

    fn place_command(&self) -> Vec<String> {
        if let Some(words) = self.rules_command() {
            return words;
        }
        let mut words = self.place().command();
        let usual = match self.place().noun {
            Noun::Triage => Window::CHANGES,
            _ => Window::default(),
        };
        if let Some(window) = self.window().filter(|window| *window != usual) {
            words.extend(["--window".to_owned(), window.to_string()]);
        }
        words
    }

    /// What the rates and trends on screen are over, or what changed is told of; `None` where there is neither.
    pub fn window(&self) -> Option<Window> {
        let Place { noun, name, tab } = self.place();
        match (noun, name, tab) {
            (Noun::Triage, ..) => Some(self.changes),
            // Configs, members, remedies.
            (Noun::Broker, Some(_), 2) | (Noun::Topic, Some(_), 1) | (Noun::Logdir, Some(_), 2) => None,
            (Noun::Broker | Noun::Topic | Noun::Group | Noun::Volume | Noun::Logdir | Noun::Dashboard, ..) => {
                Some(self.rows.shown().window)
            }
            _ => None,
        }
    }

    /// Since when it was looked at, where that is less than the time that rates are over.
    pub fn seen_for(&self) -> Option<i64> {
        let window = self.window().filter(|_| self.place().noun != Noun::Triage)?;
        let oldest = self.snapshot.history.trail.oldest()?;
        let seen = self.now.duration_since(oldest).as_secs();
        (seen < window.seconds()).then_some(seen.max(0))
    }

    /// The same without the words that lead to this cluster, which the header names: for where there is little room.
    pub fn short_command(&self) -> String {
        line(self.place_command())
    }

    /// The chords of an action, in any layer: `j · down`.
    pub fn keys_of(&self, action: Action) -> String {
        let mut seen = BTreeSet::new();
        let own = self.bindings.iter().filter(|binding| binding.action == action);
        let chords: Vec<&str> = own
            .map(|binding| binding.chord.as_str())
            .filter(|chord| seen.insert(*chord))
            .collect();
        chords.join(" · ")
    }

    /// The pages of what is open; none in a list.
    pub fn tabs(&self) -> &'static [&'static str] {
        let place = self.place();
        match (&place.name, place.noun) {
            (None, _) => &[],
            (Some(_), Noun::Record) if !record::is_one(place) => &[],
            (Some(_), noun) => noun.tabs(),
        }
    }

    /// Whether an action means anything in this console and on this screen.
    pub fn offers(&self, action: Action) -> bool {
        let place = self.place();
        match action {
            Action::Create => self.verbs && place.noun == Noun::Topic && place.name.is_none(),
            Action::Delete => self.verbs && matches!(place.noun, Noun::Topic | Noun::Group | Noun::User),
            Action::Reset => self.verbs && place.noun == Noun::Group,
            Action::Reassign => self.verbs && place.noun == Noun::Topic,
            Action::Leader | Action::Restart => self.verbs && place.noun == Noun::Broker,
            Action::Modify | Action::Snapshot => self.verbs && place.noun == Noun::Volume,
            Action::Step => {
                let there = matches!(place.noun, Noun::Triage | Noun::Logdir);
                self.verbs && there && self.next_step().is_some()
            }
            Action::Pause | Action::Resume | Action::Abort | Action::Undo => {
                self.verbs && place.noun == Noun::Operation
            }
            Action::Set | Action::Unset => self.verbs && self.drafts(action),
            Action::Rules => self.verbs && place.noun == Noun::Acl,
            Action::Propose => self.drafting.is_some(),
            Action::SetThrottle | Action::ClearThrottle => self.verbs && place.noun == Noun::Throttle,
            Action::CancelMove => self.verbs && place.noun == Noun::Reassignment,
            Action::Operation => self.verbs,
            Action::Heat => place.noun == Noun::Topic && place.tab == 0,
            // What is frozen is not computed again.
            Action::Later | Action::Earlier | Action::LaterFinding | Action::EarlierFinding | Action::Speed => {
                self.is_replay()
            }
            Action::Refresh => self.past.is_none(),
            Action::Window => self.window().is_some() && self.frozen_at.is_none(),
            Action::Relieve => place.noun == Noun::Logdir,
            Action::Record => self.verbs && matches!(place.noun, Noun::Topic | Noun::Record),
            Action::Unfold => self.table.folds,
            Action::NextTab | Action::PreviousTab if place.noun == Noun::Record => record::is_one(place),
            Action::NextTab | Action::PreviousTab => place.name.is_some() && place.noun.tabs().len() > 1,
            Action::ScrollLeft | Action::ScrollRight => self.list().wide,
            Action::Actions => !self.actions().is_empty(),
            _ => true,
        }
    }

    /// The capitals that work on this screen.
    pub(super) fn actions(&self) -> Vec<Action> {
        let layer: Layer = self.place().noun.into();
        let own = self
            .bindings
            .iter()
            .filter(|binding| binding.layer == layer && binding.action.is_change());
        let mut actions: Vec<Action> = own.map(|binding| binding.action).collect();
        actions.retain(|action| self.offers(*action));
        actions.dedup();
        actions
    }

    /// Help: for each layer that hears keys on this screen, its chords by action.
    pub fn help(&self) -> Vec<(Layer, Vec<(String, Action)>)> {
        let layers = [
            Layer::Replay,
            self.place().noun.into(),
            Layer::List,
            Layer::Global,
            Layer::Prompt,
            Layer::Dialog,
        ];
        let section = |layer: Layer| {
            let mut lines: Vec<(String, Action)> = Vec::new();
            for binding in self
                .bindings
                .iter()
                .filter(|binding| binding.layer == layer && self.offers(binding.action))
            {
                match lines.iter_mut().find(|(_, action)| *action == binding.action) {
                    Some((chords, _)) => *chords = format!("{chords} {}", binding.chord),
                    None => lines.push((binding.chord.clone(), binding.action)),
                }
            }
            lines.sort_by_key(|(_, action)| *action);
            (layer, lines)
        };
        layers
            .into_iter()
            .map(section)
            .filter(|(_, lines)| !lines.is_empty())
            .collect()
    }

    pub fn help_lines(&self) -> usize {
        self.help().iter().map(|(_, lines)| lines.len() + 2).sum()
    }

    /// A plan is on screen whose input is still dropped.
    pub fn is_arming(&self, now: Moment) -> bool {
        matches!(&self.dialog, Some(Dialog::Confirm(confirm)) if !confirm.is_armed(now))
    }

    /// The clock, to the minute: `21:04Z`, or `22:04+01` in the person's own zone.
    pub fn clock(&self) -> String {
        match &self.zone {
            Some(zone) if self.local => {
                let text = self.now.to_zoned(zone.clone()).strftime("%H:%M%:z").to_string();
                // Most offsets are whole hours, and a minute less to read.
                text.strip_suffix(":00").map(str::to_owned).unwrap_or(text)
            }
            _ => self.now.strftime("%H:%MZ").to_string(),
        }
    }

    /// What the terminal's window is called: `azimuth prod-eu ▸ topic ▸ orders`. Names are foreign text, so nothing in
    /// it moves a cursor.
    pub fn title(&self) -> String {
        let place = self.place();
        let mut title = format!("azimuth {} ▸ {}", self.origin.context, place.noun.name());
        if let Some(name) = &place.name {
            title += &format!(" ▸ {name}");
        }
        foreign::plain(&title).chars().take(120).collect()
    }

    /// Why the whole screen has nothing to show yet, if so.
    pub fn waiting(&self) -> Option<Field> {
        let cluster = &self.snapshot.cluster;
        if cluster.get().is_some() {
            return None;
        }
        let field = match cluster.problem() {
            Some(problem) if !matches!(cluster.health, crate::model::Health::Unasked) => {
                let words = ["context", "test"].map(str::to_owned).into_iter();
                let way = line(words.chain(self.origin.target.iter().cloned()));
                Field::new(format!("✖ {problem}\n\n{way}\nsays which step of the way there fails")).tone(Tone::Error)
            }
            _ => Field::new(format!("asking {} …{}", self.origin.bootstrap, self.waited())).tone(Tone::Muted),
        };
        Some(field)
    }
}
