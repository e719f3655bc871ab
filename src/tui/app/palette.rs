//! Everything that has a name: screens, actions, things on screen, themes, contexts, and commands typed out.

use std::collections::BTreeSet;

use strum::{IntoEnumIterator, VariantArray};

use crate::command::value::Time;
use crate::command::{Command, words};
use crate::model::history::Window;
use crate::model::row::logdir::LogdirRow;
use crate::model::{Moment, Observed, Snapshot, acl};

use super::action::Action;
use super::effect::Effect;
use super::field::Tone;
use super::place::{Noun, Place};
use super::state::State;
use super::text;

/// One thing that the palette can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub words: String,
    pub help: String,
    /// The keys that do the same.
    pub keys: String,
    pub target: Target,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    Act(Action),
    Go(Place),
    Theme(String),
    Context(String),
    /// The start of a command, to be completed.
    Draft(String),
}

/// At most so many are offered.
const OFFERED: usize = 200;

pub(super) fn entries(state: &State) -> Vec<Entry> {
    let mut entries = Vec::new();
    let meant = |action: &&Action| {
        let within = matches!(
            action,
            Action::Accept
                | Action::Cancel
                | Action::Complete
                | Action::Propose
                | Action::Apply
                | Action::Save
                | Action::Override
                | Action::Revise
        );
        !within && state.offers(**action)
    };
    for action in Action::VARIANTS.iter().filter(meant) {
        entries.push(Entry {
            words: action.name().to_owned(),
            help: action.help().to_owned(),
            keys: state.keys_of(*action),
            target: Target::Act(*action),
        });
    }
    entries.extend(Noun::iter().filter_map(|noun| {
        Some(Entry {
            words: noun.name().to_owned(),
            help: noun.unkeyed()?.to_owned(),
            keys: String::new(),
            target: Target::Go(Place::list(noun)),
        })
    }));
    let names = |noun: Noun| -> Vec<String> {
        match noun {
            Noun::Triage => Vec::new(),
            Noun::Broker => state.rows.brokers.iter().map(|row| row.id.to_string()).collect(),
            Noun::Topic => state.rows.topics.iter().map(|row| row.name.clone()).collect(),
            Noun::Group => state.rows.groups.iter().map(|row| row.name.clone()).collect(),
            Noun::Volume => state.rows.volumes.iter().map(|row| row.id.clone()).collect(),
            Noun::Acl | Noun::User => state.rows.users.iter().map(|row| row.principal.clone()).collect(),
            Noun::Quota | Noun::Whatif | Noun::Cost | Noun::Dashboard => Vec::new(),
            Noun::Check => crate::check::practice::all().map(|check| check.id.to_owned()).collect(),
            Noun::Transaction => state.rows.transactions.iter().map(|row| row.id.clone()).collect(),
            Noun::Quorum | Noun::Throttle | Noun::Reassignment => Vec::new(),
            Noun::Logdir => state.rows.logdirs.iter().map(LogdirRow::name).collect(),
            Noun::Config => properties(&state.snapshot),
            // Contexts have entries of their own below.
            Noun::Context => Vec::new(),
            Noun::Operation => state.operations.iter().map(|row| row.id.clone()).collect(),
            // Their topics are named already; `record tail TOPIC` typed out opens them.
            Noun::Record => Vec::new(),
        }
    };
    for noun in Noun::iter() {
        entries.extend(names(noun).into_iter().map(|name| Entry {
            words: format!("{} {name}", noun.name()),
            help: format!("Open {} {name}.", noun.name()),
            keys: String::new(),
            target: Target::Go(Place::open(noun, name)),
        }));
    }
    if state.verbs {
        entries.extend(drafts());
    }
    entries.extend(state.themes.iter().map(|name| Entry {
        words: format!("theme {name}"),
        help: format!("Use the theme {name}."),
        keys: String::new(),
        target: Target::Theme(name.clone()),
    }));
    entries.extend(
        state
            .contexts
            .iter()
            .map(|context| &context.name)
            .filter(|name| **name != state.origin.context)
            .map(|name| Entry {
                words: format!("context {name}"),
                help: format!("Leave this cluster and look at {name}."),
                keys: String::new(),
                target: Target::Context(name.clone()),
            }),
    );
    entries
}

/// The properties that brokers have told, each once.
fn properties(snapshot: &Snapshot) -> Vec<String> {
    let told = snapshot.broker_configs.values().filter_map(Observed::get);
    let names: BTreeSet<&str> = told.flatten().map(|config| config.name.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// The verbs that are planned here once their names are typed, with the help of the command line.
fn drafts() -> impl Iterator<Item = Entry> {
    const PLANNED: [&str; 11] = [
        "topic create",
        "topic delete",
        "reassign plan",
        "config set",
        "config unset",
        "operation undo",
        "acl apply",
        "user set",
        "user delete",
        "quota set",
        "quota unset",
    ];
    let planned = |(words, _): &(String, String)| PLANNED.contains(&words.as_str());
    crate::command::verbs()
        .into_iter()
        .filter(planned)
        .map(|(words, help)| Entry {
            help,
            keys: "type it".to_owned(),
            target: Target::Draft(words.clone()),
            words,
        })
}

/// The entries that `text` could mean, best first; all of them for no text.
pub(super) fn search(entries: &[Entry], text: &str) -> Vec<usize> {
    let text = text.trim().to_lowercase();
    let mut found: Vec<(u32, usize)> = entries
        .iter()
        .enumerate()
        .filter_map(|(at, entry)| Some((score(&entry.words.to_lowercase(), &text)?, at)))
        .collect();
    found.sort();
    found.into_iter().take(OFFERED).map(|(_, at)| at).collect()
}

/// How far `text` is from `words`: its letters must all come in order. Smaller is nearer.
pub(super) fn score(words: &str, text: &str) -> Option<u32> {
    if words == text {
        return Some(0);
    }
    if words.starts_with(text) {
        return Some(1 + words.len() as u32 / 64);
    }
    if let Some(at) = words.find(text) {
        let starts_word = words[..at].ends_with([' ', '-', '.', '_']);
        return Some(if starts_word { 100 } else { 200 } + at as u32);
    }
    let mut score = 1000;
    let mut rest = words.chars();
    for wanted in text.chars() {
        let mut gap = 0;
        loop {
            match rest.next()? {
                found if found == wanted => break,
                _ => gap += 1,
            }
        }
        score += gap;
    }
    // Letters scattered over a long name are no match.
    (score < 1000 + 3 * text.len() as u32).then_some(score)
}

impl State {
    pub(super) fn run_entry(&mut self, now: Moment, entry: Entry) -> Vec<Effect> {
        match entry.target {
            Target::Act(action) => self.screen_act(now, action),
            Target::Go(place) => self.go(now, place),
            Target::Theme(name) => {
                self.theme.clone_from(&name);
                vec![Effect::Theme(name)]
            }
            Target::Context(name) => vec![Effect::SwitchContext(name)],
            Target::Draft(words) => {
                self.open_palette(&format!("{words} "));
                Vec::new()
            }
        }
    }

    /// A command typed out: what shows a thing goes there, what changes one is planned.
    pub(super) fn run_words(&mut self, now: Moment, text: &str) -> Vec<Effect> {
        let words = match words::split(text) {
            Ok(words) => words,
            Err(error) => {
                self.notify(now, Tone::Warn, error);
                return Vec::new();
            }
        };
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|word| *word != "azimuth")
            .collect();
        let noun = |word: &str| word.parse::<Noun>().ok();
        if let [rest @ .., "--window", time] = words.as_slice()
            && let ["triage" | "broker" | "topic" | "group" | "volume" | "logdir", ..] = rest
            && let Ok(Time(time)) = time.parse()
        {
            let quoted: Vec<String> = rest.iter().map(|word| text::word(word)).collect();
            let shown = self.run_words(now, &quoted.join(" "));
            let window = Window::of(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
            let over = match self.place().noun {
                Noun::Triage => self.set_changes(window),
                _ => vec![Effect::Rates(window)],
            };
            return [shown, over].concat();
        }
        match words.as_slice() {
            [] => Vec::new(),
            ["check", "run" | "list"] => self.go(now, Place::list(Noun::Check)),
            ["check", "run" | "explain", id] => self.go(now, Place::open(Noun::Check, *id)),
            ["whatif"] => self.go(now, Place::list(Noun::Whatif)),
            ["whatif", verb @ ("az-loss" | "restart" | "add-broker"), subject] => {
                self.go(now, Place::open(Noun::Whatif, format!("{verb} {subject}")))
            }
            ["dashboard"] => self.go(now, Place::list(Noun::Dashboard)),
            ["dashboard", metric] => self.go(now, Place::open(Noun::Dashboard, *metric)),
            ["cost"] => self.go(now, Place::list(Noun::Cost)),
            ["triage"] => self.go(now, Place::list(Noun::Triage)),
            ["acl", "list", "--principal", name] => self.go(now, Place::open(Noun::Acl, acl::principal(name))),
            ["quorum", "show"] => self.go(now, Place::list(Noun::Quorum)),
            ["reassign", "list"] => self.go(now, Place::list(Noun::Reassignment)),
            words @ ["record", "tail" | "read", ..] if self.verbs => self.run_record(now, words),
            // Records have no list: they are read, of a topic.
            [word, "list"] if noun(word).is_some_and(|noun| noun != Noun::Record) => self.go_noun(now, noun(word)),
            [word, "show" | "lag" | "config", name] if noun(word).is_some() => match noun(word) {
                Some(noun) => self.go(now, Place::open(noun, *name)),
                None => Vec::new(),
            },
            words if words.len() >= 2 && self.verbs => self.plan(words.iter().map(|word| (*word).to_owned()).collect()),
            _ => {
                self.notify(
                    now,
                    Tone::Warn,
                    format!("nothing here is called `{text}`; : lists what there is"),
                );
                Vec::new()
            }
        }
    }

    /// `record tail …` typed out: the screen shows what the command would print.
    fn run_record(&mut self, now: Moment, words: &[&str]) -> Vec<Effect> {
        let text: Vec<String> = words.iter().map(|word| words::quote(word)).collect();
        match text.join(" ").parse() {
            Ok(command @ Command::Record(_)) => {
                let printed = command.to_string();
                let name = printed.strip_prefix("record ").unwrap_or(&printed).to_owned();
                self.go(now, Place::open(Noun::Record, name))
            }
            Ok(_) => Vec::new(),
            Err(error) => {
                self.notify(now, Tone::Warn, error.to_string());
                Vec::new()
            }
        }
    }

    fn go_noun(&mut self, now: Moment, noun: Option<Noun>) -> Vec<Effect> {
        noun.map(|noun| self.go(now, Place::list(noun))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn nearer_words_come_first() {
        let near = |a: &str, b: &str, text: &str| score(a, text) < score(b, text);
        assert!(near("topic", "topic orders", "topic"));
        assert!(near("topic orders", "group billing-orders", "ord"));
        assert!(near("group orders", "group borders", "orders"));
        assert_eq!(score("broker", "xyz"), None);
        assert!(score("history-back", "hback").is_some());
    }
}
