//! A menu: labels, hints to their right, what is refused dimmed with its reason.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use crate::tui::app::menu::Menu;
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::popup::popup;
use crate::tui::widget::span::{clip, pad};

pub fn render(frame: &mut Frame<'_>, menu: &Menu, theme: &Theme) {
    let widest = |of: fn(&crate::tui::app::menu::Item) -> &str| {
        menu.items.iter().map(|item| of(item).width()).max().unwrap_or(0) as u16
    };
    let labels = widest(|item| &item.label).max(12);
    let hints = widest(|item| &item.hint);
    let refused = menu.items.iter().filter_map(|item| item.refused.as_deref()).next();
    let width = (labels + hints + 5)
        .max(menu.title.width() as u16 + 2)
        .max(refused.map_or(0, |why| why.width() as u16));
    let height = menu.items.len() as u16 + u16::from(refused.is_some()) * 2;
    let inside = popup(frame, theme, &menu.title, width, height.min(20));
    let rows = usize::from(inside.height.saturating_sub(u16::from(refused.is_some()) * 2)).max(1);
    let from = menu.selected.saturating_sub(rows - 1);
    for (at, item) in menu.items.iter().enumerate().skip(from).take(rows) {
        let here = Rect {
            y: inside.y + (at - from) as u16,
            height: 1,
            ..inside
        };
        let selected = at == menu.selected;
        let style = match (&item.refused, selected) {
            (_, true) => theme.style(Role::Selection),
            (Some(_), false) => theme.style(Role::Muted),
            (None, false) => theme.style(Role::Text),
        };
        let cursor = if selected { "▸ " } else { "  " };
        let hint = clip(&item.hint, inside.width.saturating_sub(labels + 4));
        let gap = usize::from(inside.width).saturating_sub(2 + usize::from(labels) + hint.width());
        let line = Line::from(vec![
            Span::raw(cursor),
            Span::raw(pad(&item.label, labels, false)),
            Span::raw(" ".repeat(gap)),
            Span::styled(hint, if selected { style } else { theme.style(Role::Muted) }),
        ]);
        frame.render_widget(line.style(style), here);
    }
    if let Some(why) = refused {
        let at = Rect {
            y: inside.bottom().saturating_sub(1),
            height: 1,
            ..inside
        };
        frame.render_widget(Line::styled(clip(why, inside.width), theme.style(Role::Warn)), at);
    }
}
