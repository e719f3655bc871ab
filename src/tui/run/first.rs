//! The loop of the first screen: a key, a frame, until something is chosen.

use std::io;

use crossterm::event::Event;
use futures::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::Backend;

use crate::tui::app::first::{First, Pick, Step};
use crate::tui::app::place::Layer;
use crate::tui::input::{Hit, Key, Router};
use crate::tui::theme::Theme;
use crate::tui::view;

/// Runs until something is chosen; `None` when the person leaves or the terminal is gone.
pub async fn choose<B, I>(
    terminal: &mut Terminal<B>,
    input: &mut I,
    router: &mut Router,
    first: &mut First,
    theme: &Theme,
) -> Result<Option<Pick>, B::Error>
where
    B: Backend,
    I: Stream<Item = io::Result<Event>> + Unpin,
{
    loop {
        terminal.draw(|frame| view::first::render(frame, first, theme))?;
        let Some(Ok(event)) = input.next().await else {
            return Ok(None);
        };
        let key = match &event {
            Event::Key(event) => Key::of(event),
            _ => None,
        };
        let Some(Hit::Action(action)) = key.map(|key| router.hear(&[Layer::Dialog], key)) else {
            continue;
        };
        match first.act(action) {
            Step::Stay => {}
            Step::Pick(pick) => return Ok(Some(pick)),
            Step::Leave => return Ok(None),
        }
    }
}
