//! Rules being edited: the text with its faults at their lines, and beside it, or below it where there is little room, what
//! applying it would do.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::style;
use crate::tui::app::rules::Draft;
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::span::{clip, wrap};

/// From this width on both stand side by side.
const BESIDE: u16 = 100;
/// Columns before a line: its fault, its number, a space.
const GUTTER: u16 = 7;

pub fn render(frame: &mut Frame<'_>, area: Rect, draft: &Draft, theme: &Theme) {
    if area.width <= GUTTER + 4 || area.height < 4 {
        return;
    }
    let [text, panel] = match area.width >= BESIDE {
        true => Layout::horizontal([Constraint::Percentage(56), Constraint::Fill(1)]).areas(area),
        false => Layout::vertical([Constraint::Fill(1), Constraint::Length((area.height / 2).min(10))]).areas(area),
    };
    lines(frame, text, draft, theme);
    beside(frame, panel, draft, theme);
}

fn lines(frame: &mut Frame<'_>, area: Rect, draft: &Draft, theme: &Theme) {
    let (row, column) = draft.pad.cursor();
    // The last line says what is wrong with this one, or what could stand here.
    let rows = usize::from(area.height - 1);
    let top = row.saturating_sub(rows - 1);
    let room = area.width - GUTTER - 1;
    // A long line scrolls with its cursor.
    let from = column.saturating_sub(usize::from(room).saturating_sub(1));
    for (at, line) in draft.pad.lines().iter().enumerate().skip(top).take(rows) {
        let y = area.y + (at - top) as u16;
        let is_fault = draft.faults.iter().any(|fault| fault.line == at + 1);
        let shown: String = match at == row {
            true => line.chars().skip(from).collect(),
            false => line.clone(),
        };
        let role = match (is_fault, line.trim_start().chars().next()) {
            (true, _) => Role::Error,
            (false, Some('#')) => Role::Muted,
            (false, _) if line.starts_with("scope") => Role::Accent,
            (false, _) if line.starts_with("deny") => Role::Warn,
            (false, _) => Role::Text,
        };
        let mark = if is_fault { "✖" } else { " " };
        let drawn = Line::from(vec![
            Span::styled(mark, theme.style(Role::Error)),
            Span::styled(format!("{:>5} ", at + 1), theme.style(Role::Muted)),
            Span::styled(clip(&shown, room), theme.style(role)),
        ]);
        frame.render_widget(drawn, Rect { y, height: 1, ..area });
        if at == row {
            let before: String = line.chars().skip(from).take(column - from).collect();
            frame.set_cursor_position((area.x + GUTTER + before.width() as u16, y));
        }
    }
    let (hint, role) = match (draft.fault(), draft.offers.is_empty()) {
        (Some(fault), true) => (format!(" ✖ {}", fault.text), Role::Error),
        (_, false) => (format!(" {}", draft.offers.join("  ")), Role::Muted),
        (None, true) => (String::new(), Role::Muted),
    };
    let last = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    frame.render_widget(Line::styled(clip(&hint, area.width - 1), theme.style(role)), last);
}

fn beside(frame: &mut Frame<'_>, area: Rect, draft: &Draft, theme: &Theme) {
    let width = area.width.saturating_sub(2);
    let mut y = area.y;
    for field in draft.panel() {
        for text in wrap(&field.text, width) {
            if y >= area.bottom() {
                return;
            }
            let line = Line::styled(format!("│ {text}"), style::of(&field, theme));
            frame.render_widget(line, Rect { y, height: 1, ..area });
            y += 1;
        }
    }
    while y < area.bottom() {
        frame.render_widget(
            Line::styled("│", theme.style(Role::Muted)),
            Rect { y, height: 1, ..area },
        );
        y += 1;
    }
}
