//! The rows: titles, sections, fields with their bars, folds, totals; the selected one under the cursor.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::style;
use crate::tui::app::State;
use crate::tui::app::field::Field;
use crate::tui::app::frame::Frame as Parts;
use crate::tui::app::list::Line as ListLine;
use crate::tui::app::table::{Column, Row, Section, Table};
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::bar::bar;
use crate::tui::widget::columns::{Want, fit};
use crate::tui::widget::span::{clip, pad, wrap};

/// The cursor and the mark before a row.
const GUTTER: u16 = 3;

/// A column in its place.
struct Slot<'a> {
    at: usize,
    column: &'a Column,
    x: u16,
    width: u16,
    bar: u16,
    /// The first of its group: a rule stands before it.
    leads: bool,
}

pub fn render(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let (table, list) = (&state.table, state.list());
    if area.height < 2 || area.width <= GUTTER {
        return;
    }
    let slots = slots(table, list.wide.then_some(list.left), area.width - GUTTER - 1);
    let titles_height = Parts::titles(table);
    titles(frame, area, &slots, titles_height, theme);
    let feet = state.frame().feet(table);
    let room = usize::from(area.height.saturating_sub(titles_height + feet));
    let mut y = area.y + titles_height;
    for line in list.lines.iter().skip(list.top).take(room) {
        let here = Rect { y, height: 1, ..area };
        match line {
            ListLine::Section(at) => section(frame, here, &table.sections[*at], theme),
            ListLine::Row(at) => row(frame, here, &table.rows[*at], &slots, state, theme),
            ListLine::Fold { rows } => fold(frame, here, table, rows, theme),
        }
        y += 1;
    }
    if list.lines.is_empty() {
        let text = if table.rows.is_empty() {
            table.empty.clone()
        } else {
            "nothing passes the filter; esc clears it".to_owned()
        };
        for line in wrap(&text, area.width.saturating_sub(GUTTER + 1)) {
            if y >= area.bottom() {
                break;
            }
            let line = Line::styled(format!("   {line}"), theme.style(Role::Muted));
            frame.render_widget(line, Rect { y, height: 1, ..area });
            y += 1;
        }
        return;
    }
    for foot in table.feet.iter().take(usize::from(feet)) {
        fields(frame, Rect { y, height: 1, ..area }, foot, &slots, Style::new(), theme);
        y += 1;
    }
}

/// Lays the columns out; `scrolled` pins the first and shows the rest from that one on.
fn slots(table: &Table, scrolled: Option<usize>, room: u16) -> Vec<Slot<'_>> {
    let shown: Vec<usize> = match scrolled {
        None => (0..table.columns.len()).collect(),
        Some(left) => (0..table.columns.len()).filter(|at| *at == 0 || *at > left).collect(),
    };
    let leads = |at: usize| {
        let column = &table.columns[at];
        let before = at.checked_sub(1).map(|at| &table.columns[at]);
        column.group.is_some() && before.is_none_or(|before| before.group != column.group)
    };
    let want = |at: &usize| {
        let column = &table.columns[*at];
        let bar = if column.bar > 0 { column.bar + 1 } else { 0 };
        Want {
            width: if column.width == 0 { 0 } else { column.width + bar },
            min: (column.min + bar).min(column.width + bar),
            // Scrolled sideways, columns come in their order, whatever their weight.
            rank: if scrolled.is_some() { 2 } else { column.rank },
            gap: if leads(*at) {
                3
            } else {
                1 + u16::from(column.group.is_none() && *at > 0 && room >= 100)
            },
            grow: column.bar * 2,
        }
    };
    let wants: Vec<Want> = shown.iter().map(want).collect();
    let slot = |(place, x, width, more): (usize, u16, u16, u16)| {
        let at = shown[place];
        let column = &table.columns[at];
        let bar = if column.bar > 0 { column.bar + more } else { 0 };
        Slot {
            at,
            column,
            x: x + GUTTER - 1,
            width,
            bar,
            leads: leads(at),
        }
    };
    fit(&wants, room).into_iter().map(slot).collect()
}

fn titles(frame: &mut Frame<'_>, area: Rect, slots: &[Slot<'_>], height: u16, theme: &Theme) {
    let muted = theme.style(Role::Muted);
    let buffer = frame.buffer_mut();
    for slot in slots {
        let x = area.x + slot.x;
        if slot.leads {
            for y in area.y..area.y + height {
                buffer.set_string(x - 2, y, "│", theme.style(Role::Border));
            }
            let group = slot.column.group.as_deref().unwrap_or_default();
            let end = slots
                .iter()
                .filter(|other| other.column.group == slot.column.group)
                .map(|other| other.x + other.width);
            let room = end.max().unwrap_or(slot.x).saturating_sub(slot.x);
            buffer.set_string(x, area.y, clip(group, room), theme.style(Role::Section));
        }
        let title = pad(&slot.column.title, slot.width, slot.column.right && slot.bar == 0);
        buffer.set_string(x, area.y + height - 1, title, muted);
    }
}

fn row(frame: &mut Frame<'_>, area: Rect, row: &Row, slots: &[Slot<'_>], state: &State, theme: &Theme) {
    let list = state.list();
    let selected = list.selected.as_ref() == Some(&row.key);
    let over = if selected {
        theme.style(Role::Selection)
    } else {
        Style::new()
    };
    if selected {
        frame.buffer_mut().set_style(area, over);
        frame.buffer_mut().set_string(area.x, area.y, "▸", over);
    }
    if list.marks.contains(&row.key) {
        frame
            .buffer_mut()
            .set_string(area.x + 1, area.y, "◆", theme.style(Role::Mark).patch(over));
    }
    fields(frame, area, &row.fields, slots, over, theme);
}

/// The selection's background lies under every field, and each keeps its own colour unless the selection has one.
fn fields(frame: &mut Frame<'_>, area: Rect, fields: &[Field], slots: &[Slot<'_>], over: Style, theme: &Theme) {
    let buffer = frame.buffer_mut();
    for slot in slots {
        let Some(field) = fields.get(slot.at) else { continue };
        let mut x = area.x + slot.x;
        if slot.leads {
            buffer.set_string(x - 2, area.y, "│", theme.style(Role::Border).patch(background(over)));
        }
        let mut width = slot.width;
        if slot.bar > 0 {
            width = width.saturating_sub(slot.bar + 1);
            if let Some(share) = field.bar() {
                let (filled, _) = bar(share, slot.bar);
                let tone = match field.tone {
                    crate::tui::app::field::Tone::Plain => theme.style(Role::Gauge),
                    _ => style::of(field, theme),
                };
                let tone = if field.age().is_some() {
                    theme.style(Role::Stale)
                } else {
                    tone
                };
                buffer.set_string(x, area.y, filled, tone.patch(background(over)));
            }
            x += slot.bar + 1;
        }
        let own = style::of(field, theme);
        let text = pad(&field.text, width, slot.column.right);
        let style = if field.tone == crate::tui::app::field::Tone::Plain && field.age().is_none() {
            own.patch(over)
        } else {
            own.patch(background(over))
        };
        buffer.set_string(x, area.y, text, style);
    }
}

/// A selection without its foreground, so that red stays red under the cursor.
fn background(over: Style) -> Style {
    Style { fg: None, ..over }
}

fn section(frame: &mut Frame<'_>, area: Rect, section: &Section, theme: &Theme) {
    let mut spans: Vec<Span<'_>> = Vec::new();
    let mut used = 1;
    for (at, field) in section.title.iter().enumerate() {
        let gap = match at {
            0 => 1,
            1 => 2,
            _ => 3,
        };
        used += gap + field.text.width();
        if used > usize::from(area.width) {
            break;
        }
        spans.push(Span::raw(" ".repeat(gap)));
        spans.push(Span::styled(field.text.clone(), style::of(field, theme)));
    }
    frame.render_widget(Line::from(spans), area);
}

/// `… 17 more ●, worst disk used 61%`: the column with a bar that is fullest speaks for all.
fn fold(frame: &mut Frame<'_>, area: Rect, table: &Table, rows: &[usize], theme: &Theme) {
    fn fullest<'a>(table: &'a Table, rows: &[usize], at: usize) -> Option<(f64, &'a str, &'a str)> {
        let fields = rows.iter().filter_map(|row| table.rows[*row].fields.get(at));
        let most = fields
            .filter_map(|field| Some((field.bar()?, field)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        most.map(|(share, field)| (share, table.columns[at].title.as_str(), field.text.as_str()))
    }
    let barred = (0..table.columns.len()).filter(|at| table.columns[*at].bar > 0);
    let worst = barred
        .filter_map(|at| fullest(table, rows, at))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let worst = worst
        .map(|(_, title, text)| format!(" · worst {title} {text}"))
        .unwrap_or_default();
    let text = format!("   … {} more ●{worst}", rows.len());
    frame.render_widget(Line::styled(text, theme.style(Role::Muted)), area);
}
