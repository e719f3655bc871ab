//! The real binary in a pseudo-terminal: what a person sees, types, and finds afterwards.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::cluster;

const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
const ROWS: NonZeroU16 = NonZeroU16::new(40).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(120).unwrap();

/// A program on a terminal of 120 by 40.
struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Runs azimuth with these arguments; its files lie under `home`.
    fn run(home: &Path, arguments: &[&str]) -> Self {
        let size = PtySize {
            rows: ROWS.get(),
            cols: COLUMNS.get(),
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(arguments);
        command.env("HOME", home);
        command.env("TMPDIR", home);
        for folder in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
            command.env(folder, home.join(folder));
        }
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let mut output = pair.master.try_clone_reader().unwrap();
        let shared = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shared.lock().unwrap().process(&bytes[..count]);
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self {
            screen,
            child,
            keys,
            _master: pair.master,
        }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the screen is as wished, and shows it when it never is.
    fn until(&self, what: &str, wished: impl Fn(&str) -> bool) {
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

    fn shows(&self, text: &str) {
        self.until(&format!("shows {text:?}"), |screen| screen.contains(text));
    }

    /// Waits for the end and gives the exit status.
    fn ends(&mut self) -> u32 {
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

#[test]
fn the_demo_opens_answers_keys_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::run(home.path(), &["demo"]);
    terminal.shows("6 brokers in 3 zones");
    #[cfg(feature = "aws")]
    terminal.shows("SIMULATED");
    terminal.until("shows three zones up", |screen| screen.matches("2/2 up").count() == 3);
    terminal.press("3");
    terminal.shows("payments");
    terminal.press("4");
    terminal.until("shows all groups at work", |screen| {
        ["analytics", "archive", "billing", "fraud"]
            .iter()
            .all(|group| screen.contains(group))
    });
    terminal.press("5");
    #[cfg(feature = "aws")]
    terminal.shows("vol-0");
    terminal.press("?");
    terminal.shows("keys on volume");
    terminal.press("\u{1b}");
    terminal.until("closes the help", |screen| !screen.contains("keys on volume"));
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    assert!(
        !terminal.screen.lock().unwrap().screen().alternate_screen(),
        "the terminal is given back"
    );
    let left: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.starts_with("azimuth-demo"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_broker_that_dies_ages_its_own_cells_and_comes_back_by_itself() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = runtime.block_on(cluster::start(folder.path()));
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::run(home.path(), &["--bootstrap", &cluster.bootstrap()]);
    terminal.shows("3/3");
    // Triage opens first where this machine's disk is nearly full.
    terminal.press("2");
    let victim = cluster.ids()[2];
    runtime.block_on(cluster.kill(victim));
    terminal.shows("unreachable");
    terminal.shows("2/3");
    // The others are alive, and so are the keys.
    terminal.press("?");
    terminal.shows("keys on broker");
    terminal.press("\u{1b}");
    runtime.block_on(cluster.restart(victim)).unwrap();
    terminal.until("recovers by itself", |screen| {
        screen.contains("3/3") && !screen.contains("unreachable")
    });
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    runtime.block_on(cluster.shutdown());
}
