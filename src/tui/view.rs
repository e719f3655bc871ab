//! One draw of the state: header, status, table, inspector, footer, and what lies above them. Changes nothing.

mod confirm;
pub mod first;
mod footer;
mod header;
mod help;
mod inspector;
mod menu;
mod palette;
mod rules;
mod status;
mod style;
mod table;
mod triage;

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::widgets::{Paragraph, Wrap};

use crate::model::foreign;
use crate::tui::app::State;
use crate::tui::app::dialog::Dialog;
use crate::tui::app::place::Noun;
use crate::tui::app::prompt::Kind;
use crate::tui::theme::{Role, Theme};

/// Columns and rows below which nothing can be read.
const LEAST: (u16, u16) = (40, 8);

/// Draws everything.
pub fn render(frame: &mut Frame<'_>, state: &State, theme: &Theme) {
    let area = frame.area();
    frame.buffer_mut().set_style(area, theme.style(Role::Text));
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (columns, rows) = LEAST;
        let text = format!(
            "{} by {} is too small: {columns} by {rows} at least, 80 by 24 for all",
            area.width, area.height
        );
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let parts = state.frame();
    let heights = [parts.header, parts.status, parts.table, parts.inspector, parts.footer].map(Constraint::Length);
    let [top, status_line, body, bottom, last] = Layout::vertical(heights).areas(area);
    header::render(frame, top, state, theme);
    status::render(frame, status_line, state, theme);
    match state.waiting() {
        Some(field) => {
            let text = Paragraph::new(field.text.as_str())
                .style(style::of(&field, theme))
                .wrap(Wrap { trim: true });
            let margin = ratatui::layout::Margin {
                horizontal: 2,
                vertical: 1,
            };
            frame.render_widget(text, body.inner(margin));
        }
        None if state.drafting().is_some() => {
            if let Some(draft) = state.drafting() {
                rules::render(frame, body, draft, theme);
            }
        }
        None if state.place().noun == Noun::Triage => triage::render(frame, body, state, theme),
        None => table::render(frame, body, state, theme),
    }
    if bottom.height > 0 {
        inspector::render(frame, bottom, state, theme);
    }
    footer::render(frame, last, state, theme);
    if let Some(prompt) = &state.prompt
        && let Kind::Palette {
            entries,
            found,
            selected,
        } = &prompt.kind
    {
        palette::render(frame, entries, found, *selected, theme);
    }
    match &state.dialog {
        None => {}
        Some(Dialog::Help { scroll }) => help::render(frame, state, *scroll, theme),
        Some(Dialog::Menu(menu)) => menu::render(frame, menu, theme),
        Some(Dialog::Confirm(confirm)) => confirm::render(frame, confirm, state, theme),
        Some(Dialog::Planning { words }) => confirm::planning(frame, &words.join(" "), theme),
    }
    tame(frame);
    if theme.is_ascii() {
        flatten(frame);
    }
}

/// Names and values are foreign text: whatever in them would turn or hide what stands beside it is left out, whoever
/// drew it.
fn tame(frame: &mut Frame<'_>) {
    for cell in &mut frame.buffer_mut().content {
        if !cell.symbol().is_ascii() && matches!(foreign::plain(cell.symbol()), Cow::Owned(_)) {
            let tamed = foreign::cell(cell.symbol());
            cell.set_symbol(&tamed);
        }
    }
}

/// Every character that is not ASCII by its stand-in: nothing can be forgotten, whoever drew it.
fn flatten(frame: &mut Frame<'_>) {
    for cell in &mut frame.buffer_mut().content {
        if !cell.symbol().is_ascii() {
            let plain = Theme::plain(cell.symbol());
            cell.set_symbol(plain);
        }
    }
}
