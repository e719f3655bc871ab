//! A short list to choose from: actions, sort orders, things to copy.

use super::action::Action;

/// A menu and its cursor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Menu {
    pub title: String,
    pub items: Vec<Item>,
    pub selected: usize,
}

/// One line of a menu.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub label: String,
    /// To the right, muted: a key, a value, a reason.
    pub hint: String,
    pub choice: Choice,
    /// Why it cannot be chosen.
    pub refused: Option<String>,
}

/// What choosing an item does.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    Act(Action),
    Copy {
        what: String,
        text: String,
    },
    /// Sort by a column, or worst first.
    Sort(Option<String>),
    Export {
        name: String,
        text: String,
    },
}

impl Item {
    pub fn new(label: impl Into<String>, hint: impl Into<String>, choice: Choice) -> Self {
        Self {
            label: label.into(),
            hint: hint.into(),
            choice,
            refused: None,
        }
    }
}

impl Menu {
    pub fn step(&mut self, by: isize) {
        let last = self.items.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    pub fn chosen(&self) -> Option<&Item> {
        self.items.get(self.selected)
    }
}
