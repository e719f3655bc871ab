//! What the palette found, above the line one types on; the best is nearest to it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::app::palette::Entry;
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::popup::boxed;
use crate::tui::widget::span::{clip, pad};

pub fn render(frame: &mut Frame<'_>, entries: &[Entry], found: &[usize], selected: usize, theme: &Theme) {
    let area = frame.area();
    let rows = (found.len() as u16).min(area.height.saturating_sub(6).min(14));
    if rows == 0 {
        return;
    }
    let width = area.width.min(104);
    let at = Rect {
        x: area.x,
        y: area.bottom().saturating_sub(rows + 3),
        width,
        height: rows + 2,
    };
    let inside = boxed(frame, theme, "go to, do, or type a command", at);
    let from = selected.saturating_sub(usize::from(rows) - 1);
    let names = (inside.width / 3).max(20);
    for (line, place) in found.iter().enumerate().skip(from).take(usize::from(rows)) {
        let Some(entry) = entries.get(*place) else { continue };
        let here = Rect {
            y: inside.y + (line - from) as u16,
            height: 1,
            ..inside
        };
        let chosen = line == selected;
        let style = theme.style(if chosen { Role::Selection } else { Role::Text });
        let pick = |role: Role| if chosen { style } else { theme.style(role) };
        let keys = 14.min(inside.width / 6);
        let help = inside.width.saturating_sub(names + keys + 4);
        let text = Line::from(vec![
            Span::raw(if chosen { "▸ " } else { "  " }),
            Span::styled(pad(&entry.words, names, false), pick(Role::Text)),
            Span::raw(" "),
            Span::styled(pad(&entry.help, help, false), pick(Role::Muted)),
            Span::raw(" "),
            Span::styled(clip(&entry.keys, keys), pick(Role::Key)),
        ]);
        frame.render_widget(text.style(style), here);
    }
}
