//! The console in a pseudo-terminal of 120 by 40: what it writes, when, and what that looks like.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::{Failure, process};

const SIZE: PtySize = PtySize {
    rows: 40,
    cols: 120,
    pixel_width: 0,
    pixel_height: 0,
};

/// A program on a terminal.
pub struct Terminal {
    begun: Instant,
    shared: Arc<Shared>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    _master: Box<dyn MasterPty + Send>,
}

struct Shared {
    seen: Mutex<Seen>,
    news: Condvar,
}

struct Seen {
    screen: vt100::Parser,
    bytes: usize,
    /// When the last of them came.
    at: Instant,
}

impl Terminal {
    /// Runs a program; its files lie below `home`.
    pub fn run(program: &Path, arguments: &[&str], home: &Path) -> Result<Self, Failure> {
        let pair = native_pty_system().openpty(SIZE)?;
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        for (name, value) in process::environment(home) {
            command.env(name, value);
        }
        let begun = Instant::now();
        let child = pair.slave.spawn_command(command)?;
        drop(pair.slave);
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen {
                screen: vt100::Parser::new(SIZE.rows.try_into()?, SIZE.cols.try_into()?, 0),
                bytes: 0,
                at: begun,
            }),
            news: Condvar::new(),
        });
        let mut output = pair.master.try_clone_reader()?;
        let reader = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let at = Instant::now();
                let mut seen = reader.lock();
                (seen.bytes, seen.at) = (seen.bytes + count, at);
                seen.screen.process(&bytes[..count]);
                reader.news.notify_all();
            }
        });
        let keys = pair.master.take_writer()?;
        Ok(Self {
            begun,
            shared,
            child,
            keys,
            _master: pair.master,
        })
    }

    pub fn process(&self) -> Result<u32, Failure> {
        self.child
            .process_id()
            .ok_or_else(|| "the program has no process id".into())
    }

    /// Bytes written until now.
    pub fn bytes(&self) -> usize {
        self.shared.lock().bytes
    }

    /// Waits until the screen is as wished; the answer is when that was, from the start of the program.
    pub fn until(&self, what: &str, patience: Duration, wished: impl Fn(&str) -> bool) -> Result<Duration, Failure> {
        let until = Instant::now() + patience;
        let mut seen = self.shared.lock();
        while !wished(&seen.screen.screen().contents()) {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                let screen = seen.screen.screen().contents();
                return Err(format!("the screen never {what}; it is\n{screen}").into());
            };
            seen = self.shared.wait(seen, left);
        }
        Ok(seen.at.duration_since(self.begun))
    }

    pub fn press(&mut self, keys: &str) -> Result<(), Failure> {
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }

    /// The time from a key to the first byte of the frame that follows; `None` where nothing came within ten seconds.
    pub fn answer_to(&mut self, key: &str) -> Result<Option<Duration>, Failure> {
        let before = self.bytes();
        let pressed = Instant::now();
        self.press(key)?;
        let mut seen = self.shared.lock();
        while seen.bytes == before {
            let Some(left) = Duration::from_secs(10).checked_sub(pressed.elapsed()) else {
                return Ok(None);
            };
            seen = self.shared.wait(seen, left);
        }
        Ok(Some(seen.at.duration_since(pressed)))
    }

    /// What a key costs: the bytes from its frame on until nothing more came for `quiet`; `None` where it changed nothing.
    pub fn cost_of(&mut self, key: &str, quiet: Duration) -> Result<Option<usize>, Failure> {
        self.rest(quiet, quiet * 50);
        let before = self.bytes();
        if self.answer_to(key)?.is_none() {
            return Ok(None);
        }
        self.rest(quiet, quiet * 50);
        Ok(Some(self.bytes() - before))
    }

    /// Waits until nothing was written for `quiet`, at most for `patience`.
    pub fn rest(&self, quiet: Duration, patience: Duration) {
        let until = Instant::now() + patience;
        let mut seen = self.shared.lock();
        while Instant::now() < until {
            let left = quiet.saturating_sub(seen.at.elapsed());
            if left.is_zero() {
                return;
            }
            seen = self.shared.wait(seen, left);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What matters is that it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, seen: MutexGuard<'a, Seen>, most: Duration) -> MutexGuard<'a, Seen> {
        let waited = self.news.wait_timeout(seen, most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
