//! The keys that work here, from the loaded keymap.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::app::State;
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::popup::popup;
use crate::tui::widget::span::pad;

const KEYS: u16 = 14;
const COLUMN: u16 = 56;

pub fn render(frame: &mut Frame<'_>, state: &State, scroll: usize, theme: &Theme) {
    let lines = lines(state, theme);
    let area = frame.area();
    let across = if area.width >= 2 * COLUMN + 8 { 2 } else { 1 };
    let inside_height = area.height.saturating_sub(6).max(4);
    let wanted = (lines.len() as u16).div_ceil(across);
    let height = wanted.min(inside_height);
    let title = format!("keys on {}  ·  esc closes", state.place().noun.name());
    let inside = popup(frame, theme, &title, COLUMN * across + (across - 1) * 2, height);
    let per = usize::from(inside.height);
    let last = lines.len().saturating_sub(per * usize::from(across));
    let from = scroll.min(last);
    for (at, line) in lines.into_iter().skip(from).take(per * usize::from(across)).enumerate() {
        let x = inside.x + (at / per.max(1)) as u16 * (COLUMN + 2);
        let y = inside.y + (at % per.max(1)) as u16;
        frame.render_widget(
            line,
            Rect {
                x,
                y,
                width: COLUMN.min(inside.right().saturating_sub(x)),
                height: 1,
            },
        );
    }
    if last > from {
        let more = Line::styled(" j more ▼ ", theme.style(Role::Key)).right_aligned();
        frame.render_widget(
            more,
            Rect {
                y: inside.bottom(),
                height: 1,
                ..inside
            },
        );
    }
}

fn lines<'a>(state: &State, theme: &Theme) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for (layer, bindings) in state.help() {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(format!("[{}]", layer.name()), theme.style(Role::Section)));
        for (chords, action) in bindings {
            lines.push(Line::from(vec![
                Span::styled(pad(&chords, KEYS, false), theme.style(Role::Key)),
                Span::raw(" "),
                Span::raw(action.help()),
            ]));
        }
    }
    lines
}
