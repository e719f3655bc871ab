//! The ten lines of triage, wrapped. Where they do not fit, those that can wait are cut; the headline, who, next and don't
//! never are.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::style;
use crate::tui::app::State;
use crate::tui::app::field::Tone;
use crate::tui::app::table::Row;
use crate::tui::app::triage::{LABEL, MARK, SINCE, TEXT, WHOLE};
use crate::tui::theme::{Role, Theme};
use crate::tui::widget::span::{clip, wrap};

/// The cursor, the mark and the label before a text.
const GUTTER: u16 = 12;

/// One line's text, as it will be drawn.
struct Block<'a> {
    row: &'a Row,
    lines: Vec<String>,
    whole: bool,
}

pub fn render(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let (table, list) = (&state.table, state.list());
    if area.width <= GUTTER + 2 || area.height == 0 {
        return;
    }
    if table.rows.is_empty() {
        frame
            .buffer_mut()
            .set_string(area.x + 2, area.y, &table.empty, theme.style(Role::Muted));
        return;
    }
    let width = area.width - GUTTER - 1;
    let block = |at: usize| {
        let row = &table.rows[at];
        Block {
            row,
            lines: wrap(&text(row), width),
            whole: WHOLE.contains(&row.key.as_str()),
        }
    };
    let mut blocks: Vec<Block<'_>> = list.rows().into_iter().map(block).collect();
    fit(&mut blocks, usize::from(area.height), width);
    let selected = blocks
        .iter()
        .position(|block| Some(&block.row.key) == list.selected.as_ref())
        .unwrap_or(0);
    // Only a screen too small for all of it scrolls, by whole lines.
    let mut first = 0;
    while first < selected
        && blocks[first..=selected]
            .iter()
            .map(|block| block.lines.len())
            .sum::<usize>()
            > usize::from(area.height)
    {
        first += 1;
    }
    let mut y = area.y;
    for (at, block) in blocks.iter().enumerate().skip(first) {
        let height = (block.lines.len() as u16).min(area.bottom().saturating_sub(y));
        if height == 0 {
            return;
        }
        draw(frame, Rect { y, height, ..area }, block, at == selected, theme);
        y += height;
    }
}

/// The text with since when and why, where the text does not say so itself.
fn text(row: &Row) -> String {
    let since = &row.fields[SINCE].text;
    let mut text = row.fields[TEXT].text.clone();
    if since.starts_with("since") {
        text.push_str(&format!(" · {since}"));
    }
    if let Some(why) = row.fields[MARK]
        .reason()
        .filter(|why| !why.is_empty() && !text.contains(why))
    {
        text.push_str(&format!(" · {why}"));
    }
    text
}

/// Cuts what can wait, the longest first, until all fit or each has one line.
fn fit(blocks: &mut [Block<'_>], height: usize, width: u16) {
    loop {
        let all: usize = blocks.iter().map(|block| block.lines.len()).sum();
        let longest = blocks
            .iter_mut()
            .filter(|block| !block.whole && block.lines.len() > 1)
            .max_by_key(|block| block.lines.len());
        let (true, Some(block)) = (all > height, longest) else {
            return;
        };
        block.lines.pop();
        if let Some(last) = block.lines.last_mut() {
            *last = clip(&format!("{} …", last.trim_end_matches(" …")), width);
        }
    }
}

fn draw(frame: &mut Frame<'_>, area: Rect, block: &Block<'_>, selected: bool, theme: &Theme) {
    let over = if selected {
        theme.style(Role::Selection)
    } else {
        Style::new()
    };
    let under = Style { fg: None, ..over };
    let buffer = frame.buffer_mut();
    if selected {
        buffer.set_style(area, over);
        buffer.set_string(area.x, area.y, "▸", over);
    }
    let mark = &block.row.fields[MARK];
    buffer.set_string(area.x + 2, area.y, &mark.text, style::of(mark, theme).patch(under));
    let label = &block.row.fields[LABEL];
    buffer.set_string(
        area.x + 4,
        area.y,
        clip(&label.text, 7),
        style::of(label, theme).patch(under),
    );
    let field = &block.row.fields[TEXT];
    let own = style::of(field, theme);
    let own = if field.tone == Tone::Plain {
        own.patch(over)
    } else {
        own.patch(under)
    };
    for (y, line) in (area.y..area.bottom()).zip(&block.lines) {
        buffer.set_string(area.x + GUTTER, y, line, own);
    }
}
