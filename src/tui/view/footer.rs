//! The last line: a prompt while one types, else a notice, else the keys that work here and the command that shows this.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::style;
use crate::tui::app::Action;
use crate::tui::app::State;
use crate::tui::app::place::Layer;
use crate::tui::app::prompt::{Kind, Prompt};
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::span::clip;

/// The keys worth a place, most useful first.
const HINTS: [(Action, &str); 20] = [
    (Action::Propose, "plan"),
    (Action::Complete, "complete"),
    (Action::Cancel, "close"),
    (Action::Later, "later"),
    (Action::LaterFinding, "next finding"),
    (Action::Speed, "play"),
    (Action::Open, "open"),
    (Action::Back, "back"),
    (Action::Filter, "filter"),
    (Action::Palette, "command"),
    (Action::Actions, "actions"),
    (Action::Help, "help"),
    (Action::NextTab, "next page"),
    (Action::Faults, "faults"),
    (Action::Sort, "sort"),
    (Action::Inspect, "inspect"),
    (Action::Record, "records"),
    (Action::Heat, "heat"),
    (Action::Freeze, "freeze"),
    (Action::Quit, "quit"),
];

/// What the keys get beside a whole command, and beside a short one.
const KEYS_ROOM: usize = 56;
const KEYS_ROOM_MIN: u16 = 20;

pub fn render(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    if let Some(prompt) = &state.prompt {
        return typing(frame, area, prompt, state, theme);
    }
    if let Some(notice) = &state.notice {
        let text = format!(" {}", clip(&notice.text, area.width.saturating_sub(2)));
        let line = Line::styled(text, theme.style(style::role(notice.tone)));
        return frame.render_widget(line, area);
    }
    if !state.chord.is_empty() {
        let line = Line::styled(format!(" {} …", state.chord), theme.style(Role::Key));
        return frame.render_widget(line, area);
    }
    let command = command(state, area.width);
    let room = usize::from(area.width).saturating_sub(command.width() + 3);
    let mut line = Line::from(" ").style(theme.style(Role::Footer));
    for (action, label) in HINTS {
        let Some(key) = hint_key(state, action, theme) else {
            continue;
        };
        if line.width() + key.width() + label.width() + 3 > room {
            break;
        }
        line.push_span(Span::styled(key, theme.style(Role::Key)));
        line.push_span(format!(" {label}  "));
    }
    frame.render_widget(line, area);
    let line = Line::styled(format!("{command} "), theme.style(Role::Footer));
    frame.render_widget(line.right_aligned(), area);
}

/// The command, whole where the keys keep their room beside it, else without the words that lead to the cluster.
fn command(state: &State, width: u16) -> String {
    let whole = state.command();
    if whole.width() + KEYS_ROOM <= usize::from(width) {
        return whole;
    }
    clip(&state.short_command(), width.saturating_sub(KEYS_ROOM_MIN))
}

fn hint_key(state: &State, action: Action, theme: &Theme) -> Option<String> {
    let list = state.list();
    let useful = match action {
        Action::Open => state.selected().is_some_and(|row| row.opens.is_some()),
        Action::Back => state.place().name.is_some() || !list.filter.is_empty() || list.faults,
        Action::Propose | Action::Complete | Action::Cancel => state.layers() == [Layer::Editor],
        action => state.offers(action),
    };
    let layers = state.layers();
    let bound = state
        .bindings
        .iter()
        .find(|binding| binding.action == action && layers.contains(&binding.layer));
    let chord = &bound.filter(|_| useful)?.chord;
    Some(match chord.as_str() {
        "enter" if !theme.is_ascii() => "↵".to_owned(),
        chord => chord.to_owned(),
    })
}

fn typing(frame: &mut Frame<'_>, area: Rect, prompt: &Prompt, state: &State, theme: &Theme) {
    let (sign, hint) = match &prompt.kind {
        Kind::Filter { .. } => {
            let rows = state.list().rows().len();
            ("/", format!("{rows} shown · key:value  !not  >90%  disk:>90%"))
        }
        Kind::Palette { found, .. } => (":", format!("{} found · tab completes", found.len())),
    };
    let text = prompt.editor.text();
    // A long line scrolls with its cursor.
    let room = usize::from(area.width).saturating_sub(4);
    let from = prompt.editor.cursor().saturating_sub(room);
    let shown: String = text.chars().skip(from).take(room).collect();
    let before: String = text.chars().skip(from).take(prompt.editor.cursor() - from).collect();
    let cursor = area.x + 2 + before.width() as u16;
    let line = Line::from(vec![
        Span::raw(" "),
        Span::styled(sign, theme.style(Role::Key)),
        Span::styled(shown.clone(), theme.style(Role::Title)),
    ]);
    frame.render_widget(line, area);
    if usize::from(area.width) > shown.width() + hint.width() + 6 {
        let line = Line::styled(format!("{hint} "), theme.style(Role::Muted));
        frame.render_widget(line.right_aligned(), area);
    }
    frame.set_cursor_position((cursor.min(area.right().saturating_sub(1)), area.y));
}
