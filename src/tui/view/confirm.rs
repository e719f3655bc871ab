//! A plan before it is applied: what happens, gates, undo, the command, and the name that must be typed.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::style;
use crate::tui::app::State;
use crate::tui::app::operation::{Answer, Confirm};
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::popup::popup;
use crate::tui::widget::span::clip;

pub fn render(frame: &mut Frame<'_>, confirm: &Confirm, state: &State, theme: &Theme) {
    let sheet = &confirm.sheet;
    let area = frame.area();
    let widest = sheet.lines.iter().map(|line| line.text.width()).max().unwrap_or(0) as u16;
    let width = widest
        .max(sheet.command.width() as u16)
        .clamp(60, area.width.saturating_sub(8).max(60));
    let body = (sheet.lines.len() as u16).min(area.height.saturating_sub(10));
    let inside = popup(frame, theme, &format!("PLAN {}", sheet.title), width, body + 4);
    let rows = inside.height.saturating_sub(4);
    for (at, field) in sheet
        .lines
        .iter()
        .skip(confirm.scroll)
        .take(usize::from(rows))
        .enumerate()
    {
        let line = Line::styled(clip(&field.text, inside.width), style::of(field, theme));
        frame.render_widget(
            line,
            Rect {
                y: inside.y + at as u16,
                height: 1,
                ..inside
            },
        );
    }
    let at = |up: u16| Rect {
        y: inside.bottom().saturating_sub(up),
        height: 1,
        ..inside
    };
    frame.render_widget(
        Line::styled(clip(&sheet.command, inside.width), theme.style(Role::Accent)),
        at(3),
    );
    match (&sheet.blocked, &confirm.typed) {
        (_, Some((answer, typed))) => {
            let ask = match (answer, &sheet.confirm) {
                (Answer::Name, name) => format!("type {} to apply: ", name.as_deref().unwrap_or_default()),
                (Answer::Reason, _) if sheet.against.is_empty() => "why: ".to_owned(),
                (Answer::When, _) => "when: ".to_owned(),
                (Answer::Reason, _) => format!("why go on against {}: ", sheet.against.join(", ")),
            };
            let cursor = inside.x + ask.width() as u16 + typed.cursor() as u16;
            let tone = theme.style(if confirm.wrong { Role::Error } else { Role::Title });
            let line = Line::from(vec![Span::raw(ask), Span::styled(typed.text().to_owned(), tone)]);
            frame.render_widget(line, at(1));
            frame.set_cursor_position((cursor.min(inside.right()), at(1).y));
        }
        (why, None) => {
            if let Some(why) = why {
                let text = format!("✖ cannot be applied: {why}");
                frame.render_widget(Line::styled(clip(&text, inside.width), theme.style(Role::Error)), at(2));
            }
            frame.render_widget(keys(confirm, state, theme), at(1));
        }
    }
}

fn keys<'a>(confirm: &Confirm, state: &State, theme: &Theme) -> Line<'a> {
    let sheet = &confirm.sheet;
    let apply = match (&sheet.confirm, sheet.wants_reason) {
        (_, true) => "apply (asks why)".to_owned(),
        (Some(name), false) => format!("apply (type {name})"),
        (None, false) => "apply".to_owned(),
    };
    let against = format!("go on against {} (asks why)", sheet.against.join(", "));
    let keys = [
        ("A", apply, sheet.blocked.is_none()),
        ("O", against, !sheet.against.is_empty()),
        ("W", "when".to_owned(), sheet.when.is_some()),
        ("E", "edit".to_owned(), true),
        ("S", "save".to_owned(), true),
        ("esc", "leave".to_owned(), true),
    ];
    let spans = keys.into_iter().filter(|(_, _, offered)| *offered);
    let line: Line<'a> = spans
        .flat_map(|(key, text, _)| {
            [
                Span::styled(key.to_owned(), theme.style(Role::Key)),
                Span::raw(format!(" {text}   ")),
            ]
        })
        .collect();
    // Dim while input is still dropped, so that a key that does nothing is no surprise.
    if confirm.is_armed(state.now) {
        line
    } else {
        line.style(theme.style(Role::Muted))
    }
}

pub fn planning(frame: &mut Frame<'_>, command: &str, theme: &Theme) {
    let text = format!("working out: {command}");
    let inside = popup(frame, theme, "PLAN", (text.width() as u16).max(40), 1);
    frame.render_widget(
        Line::styled(clip(&text, inside.width), theme.style(Role::Muted)),
        inside,
    );
}
