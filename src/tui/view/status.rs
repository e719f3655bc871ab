//! The second line: how many, how many are faulty, in which order, what is hidden. For an opened thing, its pages first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::style;
use crate::model::history::Window;
use crate::tui::app::State;
use crate::tui::app::place::Noun;
use crate::tui::app::text;
use crate::tui::theme::{Role, Theme};

pub fn render(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let muted = theme.style(Role::Muted);
    let mut line = Line::from(" ");
    let place = state.place();
    if !state.tabs().is_empty() {
        for (at, tab) in state.tabs().iter().enumerate() {
            let here = at == place.tab;
            let style = theme.style(if here { Role::Selection } else { Role::Muted });
            line.push_span(Span::styled(format!(" {tab} "), style));
        }
        line.push_span("  ");
    }
    if state.waiting().is_none() {
        line.extend(left(state, theme));
    }
    let mut right = right(state, theme);
    // Each has ` · ` before it.
    let wide = |right: &[(u8, Span<'_>)]| right.iter().map(|(_, span)| span.width() + 3).sum::<usize>() + 1;
    while line.width() + wide(&right) > usize::from(area.width)
        && let Some(least) = right.iter().map(|(rank, _)| *rank).max().filter(|rank| *rank > 0)
    {
        right.retain(|(rank, _)| *rank < least);
    }
    frame.render_widget(line.style(muted), area);
    let mut line = Line::default();
    for (at, (_, span)) in right.into_iter().enumerate() {
        line.push_span(if at > 0 { " · " } else { " " });
        line.push_span(span);
    }
    line.push_span(" ");
    frame.render_widget(line.style(muted).right_aligned(), area);
}

fn left(state: &State, theme: &Theme) -> Vec<Span<'static>> {
    if let Some(draft) = state.drafting() {
        return vec![Span::raw(draft.status())];
    }
    let list = state.list();
    let (table, shown) = (&state.table, list.lines.iter().map(rows_of).sum::<usize>());
    let all = table.rows.len();
    let mut spans = vec![Span::raw(match shown == all {
        true => text::plural(all, table.noun),
        false => format!("{} of {}", text::count(shown as i64), text::plural(all, table.noun)),
    })];
    if table.folds && table.sections.len() > 1 {
        spans.push(Span::raw(format!(" in {}", text::plural(table.sections.len(), "zone"))));
    }
    match table.faults() {
        0 => {}
        faults => {
            let text = format!(" · {} faulty", text::count(faults as i64));
            spans.push(Span::styled(text, theme.style(Role::Warn)));
        }
    }
    if let Some(reading) = state.reading() {
        spans.push(Span::styled(format!(" · {reading}"), theme.style(Role::Accent)));
    }
    if state.place().noun == Noun::Record {
        for part in state.records.status(state.now) {
            spans.push(Span::raw(" · "));
            spans.push(Span::styled(part.text.clone(), style::of(&part, theme)));
        }
    }
    if !list.marks.is_empty() {
        spans.push(Span::styled(
            format!(" · {} marked", list.marks.len()),
            theme.style(Role::Mark),
        ));
    }
    spans
}

fn rows_of(line: &crate::tui::app::list::Line) -> usize {
    use crate::tui::app::list::Line;
    match line {
        Line::Section(_) => 0,
        Line::Row(_) => 1,
        Line::Fold { rows } => rows.len(),
    }
}

/// The order of the rows, and how far it has aged.
fn order(state: &State, theme: &Theme) -> Vec<(u8, Span<'static>)> {
    let list = state.list();
    let order = match &list.sort {
        None if state.place().noun == Noun::Record => "as they came".to_owned(),
        None if state.table.is_fixed => "what to read first".to_owned(),
        None => "worst first".to_owned(),
        Some((id, down)) => {
            let title = state
                .table
                .column(id)
                .map_or("", |at| state.table.columns[at].title.as_str());
            format!("by {title} {}", if *down { "▼" } else { "▲" })
        }
    };
    let mut spans = vec![(3, Span::raw(order))];
    if let Some(at) = list.ordered_at.filter(|_| list.moved > 0) {
        let age = text::age(state.now.duration_since(at).as_secs());
        let text = format!("order {age} old · {} moved", text::count(list.moved as i64));
        spans.push((2, Span::styled(text, theme.style(Role::Accent))));
    }
    spans
}

/// What holds for the list, each with a rank: where there is little room the highest goes first, 0 never.
fn right(state: &State, theme: &Theme) -> Vec<(u8, Span<'static>)> {
    let list = state.list();
    let mut spans = Vec::new();
    if list.faults {
        spans.push((0, Span::styled("faults only", theme.style(Role::Match))));
    }
    if !list.filter.is_empty() {
        spans.push((0, Span::styled(format!("/{}", list.filter), theme.style(Role::Match))));
    }
    if list.heat {
        spans.push((0, Span::styled("heat: bytes", theme.style(Role::Match))));
    }
    // Triage says itself that it tells of the last hour.
    let told = |window: &Window| state.place().noun != Noun::Triage || *window != Window::CHANGES;
    if let Some(window) = state.window().filter(told) {
        let what = match state.place().noun {
            Noun::Triage => "changes of",
            _ => "rates over",
        };
        let seen = state.seen_for().map(|seconds| format!(", {} seen", text::age(seconds)));
        // The usual time is worth a word only where there is room.
        let rank = if window == Window::default() { 4 } else { 1 };
        spans.push((rank, Span::raw(format!("{what} {window}{}", seen.unwrap_or_default()))));
    }
    if state.table.rows.len() > 1 {
        spans.extend(order(state, theme));
    }
    if let Some(at) = state.frozen_at {
        let text = format!(" FROZEN at {} ", at.strftime("%H:%M:%SZ"));
        spans.push((0, Span::styled(text, theme.style(Role::Badge))));
    }
    spans
}
