//! A box above the screen, in its middle, with a title in its border.

use ratatui::Frame;
use ratatui::layout::{Margin, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear};

use crate::tui::theme::{Role, Theme};

/// Clears room for `width` by `height` inside a border, as far as the screen has it, and gives the inside.
pub fn popup(frame: &mut Frame<'_>, theme: &Theme, title: &str, width: u16, height: u16) -> Rect {
    let area = frame.area();
    let width = (width + 4).min(area.width.saturating_sub(2));
    let height = (height + 2).min(area.height.saturating_sub(2));
    let at = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 3,
        width,
        height,
    };
    boxed(frame, theme, title, at)
}

/// The same in a given place.
pub fn boxed(frame: &mut Frame<'_>, theme: &Theme, title: &str, at: Rect) -> Rect {
    frame.render_widget(Clear, at);
    let title = Line::from(format!(" {title} ")).style(theme.style(Role::Title));
    let block = Block::bordered()
        .border_style(theme.style(Role::Border))
        .title(title)
        .style(theme.style(Role::Text));
    frame.render_widget(block, at);
    at.inner(Margin {
        horizontal: 2,
        vertical: 1,
    })
}
