//! The selected row in full: every value, its age, and why one is missing.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::style;
use crate::tui::app::State;
use crate::tui::app::field::Field;
use crate::tui::app::place::Noun;
use crate::tui::app::table::{Row, Table};
use crate::tui::app::text;
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::span::{clip, pad, wrap};

/// Columns of one value with its name, at least and at most.
const CELL: (u16, u16) = (34, 60);

pub fn render(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let rule = "─".repeat(usize::from(area.width));
    frame
        .buffer_mut()
        .set_string(area.x, area.y, rule, theme.style(Role::Border));
    let Some(row) = state.selected() else { return };
    let title = format!(
        " {} {} ",
        state.table.noun,
        clip(&row.key, area.width.saturating_sub(20))
    );
    frame
        .buffer_mut()
        .set_string(area.x + 2, area.y, title, theme.style(Role::Title));
    let body = Rect {
        x: area.x + 3,
        y: area.y + 1,
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(1),
    };
    let said = said(&state.table, row, theme);
    if state.place().noun == Noun::Triage {
        // Its values are the line itself.
        return lines(frame, body, &said);
    }
    if said.is_empty() {
        return values(frame, body, &state.table, row, theme);
    }
    if body.width >= 100 {
        let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)])
            .spacing(2)
            .areas(body);
        values(frame, left, &state.table, row, theme);
        lines(frame, right, &said);
    } else {
        let width = body.width;
        let count: usize = said.iter().map(|(_, text)| wrap(text, width).len()).sum();
        let top = (count as u16).min(body.height.div_ceil(2));
        let [above, below] = Layout::vertical([Constraint::Length(top), Constraint::Fill(1)]).areas(body);
        lines(frame, above, &said);
        values(frame, below, &state.table, row, theme);
    }
}

/// Notes, then reasons: `? cpu, net: CloudWatch has no data`.
fn said(table: &Table, row: &Row, theme: &Theme) -> Vec<(ratatui::style::Style, String)> {
    let mut said: Vec<(ratatui::style::Style, String)> = Vec::new();
    let mut reasons: Vec<(&str, Vec<&str>, &Field)> = Vec::new();
    for (column, field) in table.columns.iter().zip(&row.fields) {
        let Some(why) = field.reason().filter(|_| !column.title.is_empty()) else {
            continue;
        };
        match reasons
            .iter_mut()
            .find(|(known, _, other)| *known == why && other.is_unknown() == field.is_unknown())
        {
            Some((_, titles, _)) => titles.push(&column.title),
            None => reasons.push((why, vec![&column.title], field)),
        }
    }
    said.extend(row.notes.iter().map(|note| (theme.style(Role::Text), note.clone())));
    for (why, titles, field) in reasons {
        if row.notes.iter().any(|note| note.contains(why)) {
            continue;
        }
        let sign = match (field.is_unknown(), field.age()) {
            (true, _) => "? ".to_owned(),
            (false, Some(age)) => format!("{} old: ", text::age(age)),
            (false, None) => String::new(),
        };
        let role = if field.is_unknown() { Role::Unknown } else { Role::Muted };
        said.push((theme.style(role), format!("{sign}{}: {why}", titles.join(", "))));
    }
    said
}

fn lines(frame: &mut Frame<'_>, area: Rect, said: &[(ratatui::style::Style, String)]) {
    let mut y = area.y;
    for (style, text) in said {
        for line in wrap(text, area.width) {
            if y >= area.bottom() {
                return;
            }
            frame.buffer_mut().set_string(area.x, y, line, *style);
            y += 1;
        }
    }
}

/// Values down each column, then the next; columns of a matrix are left to the matrix.
fn values(frame: &mut Frame<'_>, area: Rect, table: &Table, row: &Row, theme: &Theme) {
    let shown = table
        .columns
        .iter()
        .zip(&row.fields)
        .filter(|(column, field)| column.group.is_none() && !column.title.is_empty() && !field.text.is_empty());
    let height = usize::from(area.height.max(1));
    let shown: Vec<_> = shown.collect();
    let most = usize::from((area.width / CELL.0).max(1));
    let across = shown.len().div_ceil(height).clamp(1, most);
    let cell = match across {
        1 => area.width,
        across => (area.width / across as u16).min(CELL.1),
    };
    for (at, (column, field)) in shown.into_iter().enumerate().take(height * across) {
        let x = area.x + (at / height) as u16 * cell;
        let y = area.y + (at % height) as u16;
        let room = (area.right().saturating_sub(x)).min(cell.saturating_sub(1));
        let title = pad(&column.title, 15.min(room), false);
        let age = field
            .age()
            .map(|age| format!("  {}", text::age(age)))
            .unwrap_or_default();
        let line = Line::from(vec![
            Span::styled(title, theme.style(Role::Muted)),
            Span::raw(" "),
            Span::styled(clip(&field.text, room.saturating_sub(16)), style::of(field, theme)),
            Span::styled(age, theme.style(Role::Warn)),
        ]);
        frame.render_widget(
            line,
            Rect {
                x,
                y,
                width: room,
                height: 1,
            },
        );
    }
}
