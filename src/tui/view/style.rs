//! What a value's meaning looks like.

use ratatui::style::Style;

use crate::tui::app::field::{Field, Tone};
use crate::tui::theme::{Role, Theme};

pub fn role(tone: Tone) -> Role {
    match tone {
        Tone::Plain => Role::Text,
        Tone::Muted => Role::Muted,
        Tone::Accent => Role::Accent,
        Tone::Title => Role::Title,
        Tone::Section => Role::Section,
        Tone::Ok => Role::Ok,
        Tone::Warn => Role::Warn,
        Tone::Error => Role::Error,
        Tone::Unknown => Role::Unknown,
    }
}

/// A stale value dims, whatever it says.
pub fn of(field: &Field, theme: &Theme) -> Style {
    match field.age() {
        Some(_) => theme.style(Role::Stale),
        None => theme.style(role(field.tone)),
    }
}
