//! The first time: what was found on this machine, what choosing does, and how to keep it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use crate::tui::app::first::First;
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::span::{clip, pad};

/// Draws all of it.
pub fn render(frame: &mut Frame<'_>, first: &First, theme: &Theme) {
    let area = frame.area();
    frame.buffer_mut().set_style(area, theme.style(Role::Text));
    let lines = lines(first, area.width, theme);
    for (line, y) in lines.into_iter().zip(area.y..area.bottom().saturating_sub(1)) {
        frame.render_widget(line, Rect { y, height: 1, ..area });
    }
    let keys = Line::styled(" enter open  j k move  q leave", theme.style(Role::Footer));
    let last = area.bottom().saturating_sub(1);
    frame.render_widget(
        keys,
        Rect {
            y: last,
            height: 1,
            ..area
        },
    );
    super::tame(frame);
    if theme.is_ascii() {
        super::flatten(frame);
    }
}

fn lines(first: &First, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let text = |words: &str, role: Role| {
        Line::styled(format!("  {}", clip(words, width.saturating_sub(3))), theme.style(role))
    };
    let mut lines = vec![
        Line::styled(" azimuth   no cluster is known here yet", theme.style(Role::Title)),
        Line::default(),
        text(found(first), Role::Muted),
    ];
    // What was found and where share the width; a name takes no more of it than it needs.
    let longest = first.items.iter().map(|item| item.label.width()).max().unwrap_or(0) as u16;
    let names = (longest + 4).min(width.saturating_sub(4) * 2 / 3);
    for (at, item) in first.items.iter().enumerate() {
        let chosen = at == first.selected;
        let role = |role: Role| theme.style(if chosen { Role::Selection } else { role });
        lines.push(Line::from(vec![
            Span::styled(if chosen { "▸ " } else { "  " }, role(Role::Text)),
            Span::styled(pad(&item.label, names, false), role(Role::Text)),
            Span::styled(
                pad(&item.hint, width.saturating_sub(names + 2), false),
                role(Role::Muted),
            ),
        ]));
    }
    lines.push(Line::default());
    for (at, command) in first.commands().iter().enumerate() {
        let what = match at {
            0 => "the same as a command; it is read-only and writes nothing:",
            _ => "to keep it under a name:",
        };
        lines.push(text(what, Role::Muted));
        lines.push(text(&format!("  {command}"), Role::Key));
    }
    lines.push(Line::default());
    if first.items.len() <= 1 {
        lines.push(text("for a cluster of your own, then azimuth again:", Role::Muted));
        lines.push(text("  azimuth context add NAME --bootstrap HOST:PORT", Role::Key));
        lines.push(text("  azimuth context test NAME", Role::Key));
        lines.push(Line::default());
    }
    let profiles = match first.profiles.as_slice() {
        [] => "AWS: no profile found; an instance's own role serves, else azimuth context add --help".to_owned(),
        some => format!("AWS profiles: {}", some.join(", ")),
    };
    lines.push(text(&profiles, Role::Muted));
    lines
}

fn found(first: &First) -> &'static str {
    match first.items.len() {
        0 | 1 => "no variable and no client property file names a broker; there is",
        _ => "found on this machine",
    }
}
