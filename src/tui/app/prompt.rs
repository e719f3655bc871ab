//! The line one types on: a filter that works while it is typed, or the palette.

use crate::model::Moment;

use super::action::Action;
use super::editor::{Editor, Input};
use super::effect::Effect;
use super::palette::{self, Entry};
use super::state::State;

/// An open prompt.
#[derive(Debug, Clone)]
pub struct Prompt {
    pub kind: Kind,
    pub editor: Editor,
}

/// What the line is for.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `before` comes back when it is cancelled.
    Filter { before: String },
    Palette {
        entries: Vec<Entry>,
        found: Vec<usize>,
        selected: usize,
    },
}

impl State {
    pub(super) fn open_filter(&mut self) {
        let before = self.list().filter.clone();
        self.prompt = Some(Prompt {
            editor: Editor::new(&before),
            kind: Kind::Filter { before },
        });
    }

    pub(super) fn open_palette(&mut self, text: &str) {
        let entries = palette::entries(self);
        let kind = Kind::Palette {
            entries,
            found: Vec::new(),
            selected: 0,
        };
        self.prompt = Some(Prompt {
            editor: Editor::new(text),
            kind,
        });
        self.search();
    }

    pub(super) fn type_text(&mut self, now: Moment, input: Input) {
        if self.prompt.as_mut().is_some_and(|prompt| prompt.editor.input(input)) {
            self.typed(now);
        }
    }

    pub(super) fn paste(&mut self, now: Moment, text: &str) {
        // A paste outside a prompt is not meant for us; in a confirmation it is dropped.
        if self.prompt.as_mut().is_some_and(|prompt| prompt.editor.paste(text)) {
            self.typed(now);
        }
    }

    fn typed(&mut self, now: Moment) {
        let Some(prompt) = &self.prompt else { return };
        match &prompt.kind {
            Kind::Filter { .. } => {
                let text = prompt.editor.text().to_owned();
                self.list_mut().filter = text;
                self.settle(now);
            }
            Kind::Palette { .. } => self.search(),
        }
    }

    fn search(&mut self) {
        if let Some(Prompt {
            kind:
                Kind::Palette {
                    entries,
                    found,
                    selected,
                },
            editor,
        }) = &mut self.prompt
        {
            *found = palette::search(entries, editor.text());
            *selected = 0;
        }
    }

    pub(super) fn prompt_act(&mut self, now: Moment, action: Action) -> Vec<Effect> {
        let Some(prompt) = &mut self.prompt else {
            return Vec::new();
        };
        match (action, &mut prompt.kind) {
            (Action::Cancel, Kind::Filter { before }) => {
                let before = std::mem::take(before);
                self.prompt = None;
                self.list_mut().filter = before;
                self.settle(now);
            }
            (Action::Cancel, Kind::Palette { .. }) => self.prompt = None,
            (Action::Accept, Kind::Filter { .. }) => self.prompt = None,
            (Action::Accept, Kind::Palette { .. }) => return self.run_palette(now),
            (Action::Next, Kind::Palette { found, selected, .. }) => {
                *selected = (*selected + 1).min(found.len().saturating_sub(1));
            }
            (Action::Previous, Kind::Palette { selected, .. }) => *selected = selected.saturating_sub(1),
            (Action::Next, Kind::Filter { .. }) => self.step(1),
            (Action::Previous, Kind::Filter { .. }) => self.step(-1),
            (
                Action::Complete,
                Kind::Palette {
                    entries,
                    found,
                    selected,
                },
            ) => {
                if let Some(entry) = found.get(*selected).and_then(|at| entries.get(*at)) {
                    prompt.editor.set(&format!("{} ", entry.words));
                    self.search();
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn run_palette(&mut self, now: Moment) -> Vec<Effect> {
        let Some(Prompt {
            kind:
                Kind::Palette {
                    entries,
                    found,
                    selected,
                },
            editor,
        }) = self.prompt.take()
        else {
            return Vec::new();
        };
        let text = editor.text().trim().to_owned();
        match found.get(selected).and_then(|at| entries.get(*at)) {
            Some(entry) => self.run_entry(now, entry.clone()),
            None => self.run_words(now, &text),
        }
    }
}
