//! A program on a pseudo-terminal, and the screen that its bytes draw.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::PATIENCE;

const LOOK: Duration = Duration::from_millis(20);
/// A key that had no effect for so long is pressed again.
const AGAIN: Duration = Duration::from_secs(2);
/// A screen that never rests is taken as it is after so many looks.
const LOOKS_UNTIL_STILL: usize = 50;
/// Columns that the program is not told of: whatever is drawn there was drawn too far.
const BEYOND: u16 = 40;

/// Columns and rows.
pub type Size = (u16, u16);

/// What came from the program.
struct Output {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

/// A program on a terminal.
pub struct Terminal {
    size: Size,
    output: Arc<Mutex<Output>>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Runs azimuth with these arguments on 120 by 40; its files lie under `home`.
    pub fn run(home: &Path, arguments: &[&str]) -> Self {
        Self::sized((120, 40), home, arguments)
    }

    /// The same on a terminal of another size.
    pub fn sized(size: Size, home: &Path, arguments: &[&str]) -> Self {
        Self::with(size, home, arguments, &[])
    }

    /// The same with variables of the environment.
    pub fn with(size: Size, home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let (columns, rows) = size;
        let pair = native_pty_system().openpty(PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        });
        let pair = pair.unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(arguments);
        command.env("HOME", home);
        command.env("TMPDIR", home);
        for folder in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
            command.env_remove(folder);
        }
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let whole = |count: u16| NonZeroU16::new(count).unwrap();
        let output = Arc::new(Mutex::new(Output {
            screen: vt100::Parser::new(whole(rows), whole(columns + BEYOND), 0),
            bytes: Vec::new(),
        }));
        let mut source = pair.master.try_clone_reader().unwrap();
        let shared = Arc::clone(&output);
        std::thread::spawn(move || {
            let mut bytes = [0; 1 << 16];
            while let Ok(count @ 1..) = source.read(&mut bytes) {
                let mut output = shared.lock().unwrap();
                output.screen.process(&bytes[..count]);
                output.bytes.extend_from_slice(&bytes[..count]);
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self {
            size,
            output,
            child,
            keys,
            _master: pair.master,
        }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    pub fn text(&self) -> String {
        self.output.lock().unwrap().screen.screen().contents()
    }

    /// Line by line, blanks at the ends left out.
    pub fn lines(&self) -> Vec<String> {
        let output = self.output.lock().unwrap();
        let (columns, _) = self.size;
        let rows = output.screen.screen().rows(0, columns + BEYOND);
        rows.map(|row| row.trim_end().to_owned()).collect()
    }

    /// The columns at which a text begins, of each of these lines that has it; the first line is 0.
    pub fn columns_of(&self, lines: Range<u16>, text: &str) -> Vec<u16> {
        let output = self.output.lock().unwrap();
        let screen = output.screen.screen();
        let (columns, _) = self.size;
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let at = |row: u16, column: u16| {
            (column..)
                .zip(&letters)
                .all(|(column, letter)| screen.cell(row, column).is_some_and(|cell| cell.contents() == *letter))
        };
        lines
            .filter_map(|row| (0..columns).find(|column| at(row, *column)))
            .collect()
    }

    /// What was drawn right of the last column, by the number of its line.
    pub fn beyond(&self) -> Vec<(usize, String)> {
        let output = self.output.lock().unwrap();
        let rows = output.screen.screen().rows(self.size.0, BEYOND);
        let written = rows.enumerate().filter(|(_, row)| !row.trim().is_empty());
        written.collect()
    }

    /// The lines once two looks after each other saw the same.
    pub fn still(&self) -> Vec<String> {
        let mut before = self.lines();
        for _ in 0..LOOKS_UNTIL_STILL {
            std::thread::sleep(LOOK);
            let now = self.lines();
            if now == before {
                break;
            }
            before = now;
        }
        before
    }

    /// Whether a text of bytes came from the program, anywhere and at any time.
    pub fn wrote(&self, bytes: &[u8]) -> bool {
        let output = self.output.lock().unwrap();
        output.bytes.windows(bytes.len()).any(|window| window == bytes)
    }

    /// Whether the program has the alternate screen.
    pub fn is_alternate(&self) -> bool {
        self.output.lock().unwrap().screen.screen().alternate_screen()
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the screen is as wished, and shows it when it never is.
    pub fn until(&self, what: &str, wished: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wished(&self.text()) {
            assert!(
                Instant::now() < deadline,
                "never {what}; the screen is\n{}",
                self.text()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Presses keys until the screen is as wished: what drops keys for a moment hears them the next time.
    pub fn press_until(&mut self, keys: &str, what: &str, wished: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.press(keys);
            let again = (Instant::now() + AGAIN).min(deadline);
            while Instant::now() < again {
                if wished(&self.text()) {
                    return;
                }
                std::thread::sleep(LOOK);
            }
            assert!(
                Instant::now() < deadline,
                "never {what}; the screen is\n{}",
                self.text()
            );
        }
    }

    pub fn shows(&self, text: &str) {
        self.until(&format!("shows {text:?}"), |screen| screen.contains(text));
    }

    /// Waits for the end and gives the exit status.
    pub fn ends(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(
                Instant::now() < deadline,
                "it does not end; the screen is\n{}",
                self.text()
            );
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ended already when all went well.
        let _ = self.child.kill();
    }
}
