//! What the screens cost on the line: bytes for a key, nothing when idle. Peers send 2.7 and 7.2 kB for a `down`, and
//! up to 2.6 kB a second when idle.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azimuth::tui::run;
use azimuth::tui::terminal::Quiet;
use futures::StreamExt;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use tokio::time;

use super::harness::{Console, Opening, event};

/// Counts what is written.
#[derive(Debug, Clone, Default)]
struct Line(Arc<AtomicUsize>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Wire {
    console: run::Console,
    terminal: Terminal<Quiet<CrosstermBackend<Line>>>,
    line: Line,
}

impl Wire {
    async fn open() -> Self {
        let (console, _publish) = Console::open(Opening::default()).await.into_console();
        let line = Line::default();
        let options = TerminalOptions {
            viewport: Viewport::Fixed(Rect::new(0, 0, 120, 40)),
        };
        let backend = Quiet::new(CrosstermBackend::new(line.clone()));
        let mut wire = Self {
            console,
            terminal: Terminal::with_options(backend, options).unwrap(),
            line,
        };
        wire.cost_of("", Duration::from_millis(300)).await;
        wire
    }

    /// The bytes written from the first of `keys` until `rest` after the last.
    async fn cost_of(&mut self, keys: &str, rest: Duration) -> usize {
        let before = self.line.0.load(Ordering::Relaxed);
        let keys: Vec<_> = keys.split_whitespace().map(event).collect();
        let keys = futures::stream::iter(keys).then(|event| async move {
            time::sleep(Duration::from_millis(50)).await;
            Ok(event)
        });
        let end = futures::stream::once(time::sleep(rest)).filter_map(|()| async { None });
        run::run(&mut self.terminal, &mut Box::pin(keys.chain(end)), &mut self.console)
            .await
            .unwrap();
        self.line.0.load(Ordering::Relaxed) - before
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_minute_costs_less_than_the_clock() {
    let mut wire = Wire::open().await;
    // One minute passes: the clock's two digits, and the ages of the dead broker's values in coarse steps.
    let bytes = wire.cost_of("", Duration::from_secs(20)).await;
    assert!(bytes < 400, "{bytes} bytes in 20 s");
}

#[tokio::test(start_paused = true)]
async fn moving_the_cursor_costs_less_than_the_peers_do() {
    let mut wire = Wire::open().await;
    wire.cost_of("3", Duration::from_millis(200)).await;
    let keys = "j ".repeat(8);
    let each = wire.cost_of(&keys, Duration::from_millis(200)).await / 8;
    println!("{each} bytes for each j");
    assert!(each < 1600, "{each} bytes for each j");
}
