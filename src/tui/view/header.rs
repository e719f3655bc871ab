//! The first line: whose cluster, what is open, how the planes are, what runs, the time.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::style;
use crate::tui::app::State;
use crate::tui::app::operation::elsewhere;
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::span::clip;

/// A piece of the header. Those with the highest rank go when there is little room.
struct Piece {
    rank: u8,
    spans: Vec<Span<'static>>,
}

impl Piece {
    fn width(&self) -> usize {
        self.spans.iter().map(|span| span.content.width()).sum::<usize>()
    }
}

pub fn render(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let base = theme.style(Role::Header);
    frame.buffer_mut().set_style(area, base);
    let mut right = right(state, theme);
    let left = left(state, theme);
    let name = if area.width >= 100 { 9 } else { 0 };
    let room = usize::from(area.width).saturating_sub(left.width() + name + 1);
    while right.iter().map(|piece| piece.width() + 3).sum::<usize>() > room {
        match right
            .iter()
            .enumerate()
            .max_by_key(|(_, piece)| piece.rank)
            .filter(|(_, piece)| piece.rank > 0)
        {
            Some((at, _)) => right.remove(at),
            None => break,
        };
    }
    let mut line = Line::default().style(base);
    if name > 0 {
        line.push_span(Span::styled(" azimuth ", theme.style(Role::Title)));
    }
    line.extend(left);
    frame.render_widget(line, area);
    let mut line = Line::default();
    for (at, piece) in right.into_iter().enumerate() {
        line.push_span(if at > 0 { "   " } else { "" });
        line.extend(piece.spans);
    }
    line.push_span(" ");
    frame.render_widget(line.right_aligned(), area);
}

fn left(state: &State, theme: &Theme) -> Line<'static> {
    let class = match state.origin.class.as_str() {
        "dev" | "test" => Role::Dev,
        "staging" => Role::Staging,
        _ => Role::Prod,
    };
    let place = state.place();
    let muted = theme.style(Role::Muted);
    let mut line = Line::from(vec![
        Span::styled(
            format!(
                " {} ",
                clip(&state.origin.context, if state.width >= 100 { 24 } else { 12 })
            ),
            theme.style(class),
        ),
        Span::styled(" ▸ ", muted),
        Span::raw(place.noun.name()),
    ]);
    if let Some(name) = &place.name {
        line.push_span(Span::styled(" ▸ ", muted));
        line.push_span(Span::styled(
            clip(name, if state.width >= 100 { 28 } else { 18 }),
            theme.style(Role::Title),
        ));
    }
    line
}

fn right(state: &State, theme: &Theme) -> Vec<Piece> {
    let mut pieces = Vec::new();
    // Whether the cluster answers, and that nothing can be changed, is always said.
    for (rank, plane) in [0, 3].into_iter().zip(state.planes()) {
        let name = Span::styled(format!("{} ", plane.name), theme.style(Role::Muted));
        let state = Span::styled(plane.state.text.clone(), style::of(&plane.state, theme));
        pieces.push(Piece {
            rank,
            spans: vec![name, state],
        });
    }
    if let Some(operation) = state.operations.iter().find(|operation| operation.is_live()) {
        let percent = match operation.turns() {
            Some((done, all)) => format!(" {done}/{all}"),
            None => operation
                .percent
                .map(|percent| format!(" {percent:.0}%"))
                .unwrap_or_default(),
        };
        let state = if operation.state == "running" {
            ""
        } else {
            &operation.state
        };
        let gap = if state.is_empty() { "" } else { " " };
        let text = format!("⚙ {}{percent}{gap}{state} {}", operation.verb, operation.by);
        let role = if operation.is_running() {
            Role::Accent
        } else {
            Role::Error
        };
        pieces.push(Piece {
            rank: 2,
            spans: vec![Span::styled(text, theme.style(role))],
        });
    }
    if let Some(text) = others(state) {
        pieces.push(Piece {
            rank: 2,
            spans: vec![Span::styled(text, theme.style(Role::Accent))],
        });
    }
    if let Some(spans) = findings(state, theme) {
        pieces.push(Piece { rank: 1, spans });
    }
    if state.snapshot.cloud.simulated {
        pieces.push(Piece {
            rank: 1,
            spans: vec![Span::styled(simulated(state), theme.style(Role::Badge))],
        });
    }
    let clock = state.clock();
    pieces.push(Piece {
        rank: 4,
        spans: vec![Span::raw(clock)],
    });
    if let Some(past) = &state.past {
        // It must never be taken for the present.
        pieces.push(Piece {
            rank: 0,
            spans: vec![Span::styled(format!(" {} ", past.badge()), theme.style(Role::Badge))],
        });
    } else if state.origin.read_only {
        pieces.push(Piece {
            rank: 0,
            spans: vec![Span::styled(" READ-ONLY ", theme.style(Role::Badge))],
        });
    }
    pieces
}

/// Who else is at work: what an engine of another host does, or whose screens are open.
fn others(state: &State) -> Option<String> {
    let others: Vec<_> = elsewhere(&state.operators, &state.operations).collect();
    let first = others.iter().find(|one| one.operation.is_some()).or(others.first())?;
    let what = match first.operation {
        Some(_) => format!("⚙ {} {}", clip(&first.does, 28), first.who),
        None => format!("with {}", first.who),
    };
    Some(match others.len() {
        1 => what,
        many => format!("{what} +{}", many - 1),
    })
}

/// How much triage has found, the gravest first; `!` leads there.
fn findings(state: &State, theme: &Theme) -> Option<Vec<Span<'static>>> {
    let (fail, warn) = state.triage.as_ref()?.findings();
    let mut spans = Vec::new();
    for (count, mark, role) in [(fail, "✖", Role::Error), (warn, "▲", Role::Warn)] {
        if count > 0 {
            spans.push(Span::styled(format!("{mark} {count} "), theme.style(role)));
        }
    }
    if spans.is_empty() {
        return None;
    }
    let noun = if fail + warn == 1 { "finding" } else { "findings" };
    spans.push(Span::styled(
        if state.width >= 140 {
            format!("{noun} !")
        } else {
            "!".to_owned()
        },
        theme.style(Role::Muted),
    ));
    Some(spans)
}

/// That it is not AWS, and how much faster its clock runs.
fn simulated(state: &State) -> String {
    match state.snapshot.cloud.clock_factor {
        0 | 1 => " SIMULATED ".to_owned(),
        factor => format!(" SIMULATED ×{factor} "),
    }
}
