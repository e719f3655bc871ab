//! The real terminal: taken over and given back, whatever ends us; a backend that writes nothing when nothing changed.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event, EventStream,
};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, SetTitle, disable_raw_mode, enable_raw_mode};
use futures::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use tokio::signal::unix::{SignalKind, signal};

/// The screen that the console draws on.
pub type Screen = Terminal<Quiet<CrosstermBackend<BufWriter<io::Stdout>>>>;

/// Enough for a whole frame: one `write` each.
const FRAME_BYTES: usize = 64 * 1024;
/// Terminals drop longer OSC 52 sequences; xterm and tmux take about 74 kB of base64.
const CLIPBOARD_BYTES: usize = 55_000;

/// XTWINOPS: the window's title goes on the terminal's stack, and comes back from it.
const KEEP_TITLE: &[u8] = b"\x1b[22;2t";
const RESTORE_TITLE: &[u8] = b"\x1b[23;2t";

/// Whether the terminal is ours; a panic anywhere has to know.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the terminal over. Fails without one. A terminal that tells of its `mouse` no longer selects text with it.
pub fn init(mouse: bool) -> io::Result<Screen> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(io::Error::other("the screens need a terminal on stdin and stdout"));
    }
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
    let mut out = io::stdout();
    out.write_all(KEEP_TITLE)?;
    if mouse {
        execute!(out, EnableMouseCapture)?;
    }
    Terminal::new(Quiet::new(CrosstermBackend::new(BufWriter::with_capacity(
        FRAME_BYTES,
        io::stdout(),
    ))))
}

/// Gives the terminal back. Harmless when it was not taken, when called twice, or when the terminal is gone.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = out.write_all(RESTORE_TITLE);
    let _ = execute!(
        out,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}

/// Names the terminal's window; a text that moves the cursor must not come here.
pub fn title(text: &str) {
    let _ = execute!(io::stdout(), SetTitle(text));
}

/// Reports panics and errors by color-eyre, on a terminal that works again.
pub fn install_reports() -> color_eyre::Result<()> {
    let (panic, error) = color_eyre::config::HookBuilder::default().into_hooks();
    error.install()?;
    let panic = panic.into_panic_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        panic(info);
    }));
    Ok(())
}

/// The terminal's events; they end when we are told to stop or the terminal goes away.
pub fn events() -> io::Result<impl Stream<Item = io::Result<Event>> + Unpin> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(EventStream::new().take_until(Box::pin(told)).boxed())
}

/// OSC 52: the terminal puts the text on the clipboard of the machine it runs on, over any number of SSH hops.
pub fn copy(text: &str) {
    let mut end = text.len().min(CLIPBOARD_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = base64::engine::general_purpose::STANDARD.encode(&text[..end]);
    let mut out = io::stdout();
    let _ = write!(out, "\x1b]52;c;{text}\x07");
    let _ = out.flush();
}

/// Shows text in `$PAGER` (`less` without one) on the plain terminal. Blocks until the pager ends.
pub fn page(text: &str) -> Result<(), String> {
    let pager = std::env::var("PAGER")
        .ok()
        .filter(|pager| !pager.trim().is_empty())
        .unwrap_or_else(|| "less -S".to_owned());
    let failed = |error: io::Error| format!("pager `{pager}`: {error}");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(&pager)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A pager that is left early closes its end; that is no failure.
        let _ = stdin.write_all(text.as_bytes());
    }
    let status = child.wait().map_err(failed)?;
    match status.code() {
        Some(127) => Err(format!("pager `{pager}` is not installed; set PAGER")),
        _ => Ok(()),
    }
}

/// A backend that passes on only what changes something: no cell, no cursor move, no flush without need. An idle
/// console sends no byte, though it draws.
#[derive(Debug)]
pub struct Quiet<B> {
    inner: B,
    cursor: Option<Cursor>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    Hidden,
    /// Shown; where is known once it was set after the last cells.
    Shown(Option<Position>),
}

impl<B> Quiet<B> {
    pub fn new(inner: B) -> Self {
        Self { inner, cursor: None }
    }

    pub fn inner(&self) -> &B {
        &self.inner
    }
}

impl<B: Backend> Backend for Quiet<B> {
    type Error = B::Error;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), B::Error>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        if let Some(Cursor::Shown(at)) = &mut self.cursor {
            *at = None;
        }
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> Result<(), B::Error> {
        if self.cursor == Some(Cursor::Hidden) {
            return Ok(());
        }
        self.cursor = Some(Cursor::Hidden);
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> Result<(), B::Error> {
        if matches!(self.cursor, Some(Cursor::Shown(_))) {
            return Ok(());
        }
        self.cursor = Some(Cursor::Shown(None));
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> Result<Position, B::Error> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), B::Error> {
        let position = position.into();
        if self.cursor == Some(Cursor::Shown(Some(position))) {
            return Ok(());
        }
        if let Some(Cursor::Shown(at)) = &mut self.cursor {
            *at = Some(position);
        }
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> Result<(), B::Error> {
        self.cursor = None;
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> Result<(), B::Error> {
        self.cursor = None;
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> Result<Size, B::Error> {
        self.inner.size()
    }

    fn window_size(&mut self) -> Result<WindowSize, B::Error> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> Result<(), B::Error> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use ratatui::text::Line;

    /// What was written, for everybody to count.
    #[derive(Debug, Clone, Default)]
    struct Tape(Arc<AtomicUsize>);

    impl Write for Tape {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(bytes.len(), Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Taped = Terminal<Quiet<CrosstermBackend<Tape>>>;

    fn screen() -> (Taped, Tape) {
        let tape = Tape::default();
        let area = ratatui::layout::Rect::new(0, 0, 20, 2);
        let options = ratatui::TerminalOptions {
            viewport: ratatui::Viewport::Fixed(area),
        };
        let backend = Quiet::new(CrosstermBackend::new(tape.clone()));
        (Terminal::with_options(backend, options).unwrap(), tape)
    }

    impl Tape {
        fn bytes(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_frame_that_changes_nothing_writes_no_byte() {
        let (mut terminal, tape) = screen();
        let draw = |terminal: &mut Taped, text: &'static str| {
            terminal
                .draw(|frame| frame.render_widget(Line::from(text), frame.area()))
                .unwrap();
        };
        draw(&mut terminal, "orders");
        let before = tape.bytes();
        draw(&mut terminal, "orders");
        assert_eq!(tape.bytes(), before);
        draw(&mut terminal, "orderz");
        assert!(tape.bytes() > before);
    }

    #[test]
    fn a_cursor_that_stays_is_not_sent_again() {
        let (mut terminal, tape) = screen();
        let draw = |terminal: &mut Taped, x: u16| {
            terminal.draw(|frame| frame.set_cursor_position((x, 0))).unwrap();
        };
        draw(&mut terminal, 3);
        let before = tape.bytes();
        draw(&mut terminal, 3);
        assert_eq!(tape.bytes(), before);
        draw(&mut terminal, 4);
        assert!(tape.bytes() > before);
    }
}
