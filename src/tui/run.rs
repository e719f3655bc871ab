//! The loop: one `select!`, one draw. Input and backend are parameters, so that tests press keys and read the screen.
//!
//! A key's frame is drawn at once; frames that only facts caused come at most every 33 ms; none when nothing changed.

pub mod first;

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crossterm::event::{Event, MouseButton, MouseEventKind};
use futures::{Stream, StreamExt, poll};
use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType};
use tokio::sync::{mpsc, watch};
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::model::{Moment, Snapshot};
use crate::settings::appearance::{Colours, Glyphs};
use crate::settings::paths::Paths;
use crate::settings::preset::Preset;
use crate::settings::theme::Theme as ThemeFile;
use crate::tui::app::field::Tone;
use crate::tui::app::{Action, Effect, Message, State};
use crate::tui::input::{Hit, Key, Router};
use crate::tui::runtime::Runtime;
use crate::tui::theme::Theme;
use crate::tui::view;

/// The least time between two frames that only facts caused.
pub const FRAME: Duration = Duration::from_millis(33);
/// How often time passes on the screen; what it changes there moves in coarser steps.
const TICK: Duration = Duration::from_secs(1);
/// A plan's keys light up when they are heard.
const ARMING: Duration = Duration::from_millis(401);
/// So many waiting keys are heard before the screen is drawn again.
const BURST: usize = 256;

/// Everything that a running console owns; it survives a visit to the pager.
pub struct Console {
    pub state: State,
    pub router: Router,
    pub theme: Theme,
    pub look: Look,
    pub runtime: Runtime,
    pub messages: mpsc::Receiver<Message>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub clock: Clock,
    /// Puts text on the person's clipboard.
    pub clipboard: Box<dyn FnMut(&str) + Send>,
    /// Names the terminal's window.
    pub title: Box<dyn FnMut(&str) + Send>,
    /// What it was named last.
    pub titled: String,
    /// Whether the terminal tells of its mouse.
    pub mouse: bool,
}

/// How to load another theme for this terminal.
#[derive(Debug, Clone)]
pub struct Look {
    pub paths: Option<Paths>,
    pub colours: Colours,
    pub glyphs: Glyphs,
}

/// Says what time it is.
pub type Clock = Box<dyn Fn() -> Moment + Send>;

/// Why the loop ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    Quit,
    SwitchContext(String),
    /// Show text in the pager, then come back.
    Page(String),
    /// The terminal is gone, or we were told to stop.
    InputEnded,
}

impl Look {
    pub fn theme(&self, name: &str) -> Result<Theme, String> {
        let folder = self.paths.as_ref().map(Paths::themes);
        let file = ThemeFile::load(name, folder.as_deref()).map_err(|error| error.to_string())?;
        Theme::new(&file, self.colours, self.glyphs).map_err(|error| format!("theme {name}: {error}"))
    }
}

/// Runs until somebody leaves.
pub async fn run<B, I>(terminal: &mut Terminal<B>, input: &mut I, console: &mut Console) -> Result<Leave, B::Error>
where
    B: Backend,
    I: Stream<Item = io::Result<Event>> + Unpin,
{
    let mut ticks = time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut operations = console.runtime.operations();
    let mut past = console.runtime.past();
    let mut operators = console.runtime.operators();
    let mut due = Some(Instant::now());
    console.snapshots.mark_changed();
    loop {
        let digest_at = console.runtime.digest_at();
        let cause = tokio::select! {
            biased;
            () = until(due), if due.is_some() => Cause::Draw,
            event = input.next() => Cause::Event(event),
            Some(message) = console.messages.recv() => Cause::Message(message),
            message = console.runtime.digested() => Cause::Message(message),
            () = time::sleep_until(digest_at), if console.runtime.is_idle() => Cause::Digest,
            Ok(()) = console.snapshots.changed() => Cause::Fresh,
            operations = next(&mut operations) => Cause::Message(Message::Operations(operations)),
            place = next(&mut past) => Cause::Message(Message::Past(place)),
            operators = next(&mut operators) => Cause::Message(Message::Operators(operators)),
            _ = ticks.tick() => Cause::Tick,
        };
        match cause {
            Cause::Draw => {
                console.draw(terminal)?;
                let arming = console.state.is_arming((console.clock)());
                due = arming.then(|| Instant::now() + ARMING);
            }
            Cause::Event(Some(Ok(event))) => {
                if let Some(leave) = console.hear(terminal, event, input).await? {
                    return Ok(leave);
                }
                due = Some(Instant::now());
            }
            Cause::Event(_) => return Ok(Leave::InputEnded),
            Cause::Message(message) => {
                let effects = console.state.update((console.clock)(), message);
                console.runtime.bury(console.state.spent());
                if let Some(leave) = console.carry_out(terminal, effects)? {
                    return Ok(leave);
                }
                due = due.or(Some(Instant::now() + FRAME));
            }
            Cause::Fresh => {
                let snapshot = console.snapshots.borrow_and_update();
                console.runtime.tell(&snapshot);
            }
            Cause::Digest => {
                let snapshot = console.snapshots.borrow_and_update().clone();
                let outline = console.state.outline();
                console.runtime.digest(snapshot, (console.clock)(), outline);
            }
            Cause::Tick => {
                console.state.update((console.clock)(), Message::Tick);
                due = due.or(Some(Instant::now()));
            }
        }
    }
}

enum Cause {
    Draw,
    Event(Option<io::Result<Event>>),
    Message(Message),
    Digest,
    Fresh,
    Tick,
}

/// Resolves at `due`; at once when that is over. A timer would wait for the next millisecond, and for a thread of the runtime that
/// has time to look at its timers: when all of them take answers of a wide cluster apart, a key's frame would wait for them.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) if due > Instant::now() => time::sleep_until(due).await,
        Some(_) => {}
        None => std::future::pending().await,
    }
}

/// The next value of a watch that may not be there; forever pending when it is gone.
async fn next<T: Clone>(watch: &mut Option<watch::Receiver<T>>) -> T {
    if let Some(receiver) = watch
        && receiver.changed().await.is_ok()
    {
        return receiver.borrow_and_update().clone();
    }
    *watch = None;
    std::future::pending().await
}

impl Console {
    fn draw<B: Backend>(&mut self, terminal: &mut Terminal<B>) -> Result<(), B::Error> {
        terminal.draw(|frame| view::render(frame, &self.state, &self.theme))?;
        self.state.shown((self.clock)());
        let title = self.state.title();
        if title != self.titled {
            (self.title)(&title);
            self.titled = title;
        }
        Ok(())
    }

    /// Hears an event and those already waiting behind it, so that a burst costs one frame.
    ///
    /// The input is looked at with this task's own waker: crossterm's stream keeps the first waker that finds nothing until the
    /// next key, and with another one that key would be heard only when something else happens.
    async fn hear<B, I>(
        &mut self,
        terminal: &mut Terminal<B>,
        event: Event,
        input: &mut I,
    ) -> Result<Option<Leave>, B::Error>
    where
        B: Backend,
        I: Stream<Item = io::Result<Event>> + Unpin,
    {
        let mut event = Some(event);
        for _ in 0..BURST {
            let Some(heard) = event.take() else { break };
            for message in self.messages_of(heard) {
                let effects = self.state.update((self.clock)(), message);
                if let Some(leave) = self.carry_out(terminal, effects)? {
                    return Ok(Some(leave));
                }
            }
            event = match poll!(input.next()) {
                Poll::Pending => None,
                Poll::Ready(Some(Ok(event))) => Some(event),
                Poll::Ready(_) => return Ok(Some(Leave::InputEnded)),
            };
        }
        if let Some(event) = event {
            for message in self.messages_of(event) {
                let effects = self.state.update((self.clock)(), message);
                if let Some(leave) = self.carry_out(terminal, effects)? {
                    return Ok(Some(leave));
                }
            }
        }
        Ok(None)
    }

    fn messages_of(&mut self, event: Event) -> Vec<Message> {
        match event {
            Event::Key(event) => {
                let Some(key) = Key::of(&event) else { return Vec::new() };
                let hit = self.router.hear(&self.state.layers(), key);
                let chord = Message::Chord(self.router.pending());
                match hit {
                    Hit::Action(action) => vec![chord, Message::Act(action)],
                    Hit::Pending => vec![chord],
                    Hit::Nobody if self.state.takes_text() => vec![chord, Message::Type(key.input())],
                    Hit::Nobody => vec![chord],
                }
            }
            Event::Paste(text) => vec![Message::Paste(text)],
            Event::Resize(width, height) => vec![Message::Resize(width, height)],
            Event::Mouse(mouse) => match mouse.kind {
                MouseEventKind::ScrollDown => vec![Message::Act(Action::Next)],
                MouseEventKind::ScrollUp => vec![Message::Act(Action::Previous)],
                MouseEventKind::Down(MouseButton::Left) => vec![Message::Click(mouse.row)],
                _ => Vec::new(),
            },
            Event::FocusGained | Event::FocusLost => Vec::new(),
        }
    }

    fn carry_out<B: Backend>(
        &mut self,
        terminal: &mut Terminal<B>,
        effects: Vec<Effect>,
    ) -> Result<Option<Leave>, B::Error> {
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(Some(Leave::Quit)),
                Effect::SwitchContext(name) => return Ok(Some(Leave::SwitchContext(name))),
                Effect::Page(text) => return Ok(Some(Leave::Page(text))),
                Effect::Redraw => {
                    // Not `Terminal::clear`, which asks the terminal where its cursor is, while the answer goes to
                    // whoever reads the keys.
                    terminal.backend_mut().clear_region(ClearType::All)?;
                    terminal.swap_buffers();
                }
                Effect::Make => {
                    if let (Some(outline), Some(facts)) = (self.state.outline(), self.state.facts()) {
                        self.runtime.make(outline, (self.clock)(), facts);
                    }
                }
                Effect::Copy(text) => (self.clipboard)(&text),
                Effect::Theme(name) => match self.look.theme(&name) {
                    Ok(theme) => self.theme = theme,
                    Err(error) => {
                        self.state.update((self.clock)(), Message::Notice(Tone::Error, error));
                    }
                },
                effect => self.runtime.run(effect),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_due_waits_for_no_timer() {
        let mut due = std::pin::pin!(until(Some(Instant::now())));
        assert!(poll!(&mut due).is_ready());
        let mut later = std::pin::pin!(until(Some(Instant::now() + Duration::from_secs(3600))));
        assert!(poll!(&mut later).is_pending());
        let mut never = std::pin::pin!(until(None));
        assert!(poll!(&mut never).is_pending());
    }
}
