//! Commands and what they cost: wall time, processor time and memory, from `/proc`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getppid, kill_process, set_parent_process_death_signal, waitid,
};
use tempfile::TempDir;

use super::Failure;

/// Clock ticks per second in `/proc`: USER_HZ, which is part of Linux's interface.
const TICKS: f64 = 100.0;
const LOOK: Duration = Duration::from_millis(5);

/// A command that has ended.
pub struct Ran {
    pub wall: Duration,
    /// Seconds, in user space and in the kernel.
    pub cpu: f64,
    /// Resident set at its largest, as often as it was looked at.
    pub peak_bytes: u64,
    /// `None` where it had to be killed after the patience was over.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs it to its end, or kills it after `patience`. Its files lie below `home`.
pub fn run(command: &mut Command, home: &Path, patience: Duration) -> Result<Ran, Failure> {
    let (out, err) = (home.join("stdout"), home.join("stderr"));
    let began = Instant::now();
    let mut child = at_home(command, home)
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()?;
    let mut peak_bytes = 0;
    let mut killed = false;
    // Left to be reaped until its processor time was read.
    while waitid(
        WaitId::Pid(pid(&child)?),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG,
    )?
    .is_none()
    {
        peak_bytes = memory(child.id()).map_or(peak_bytes, |(_, peak)| peak.max(peak_bytes));
        if began.elapsed() > patience && !killed {
            child.kill()?;
            killed = true;
        }
        std::thread::sleep(LOOK);
    }
    let wall = began.elapsed();
    let cpu = cpu(child.id())?;
    let status = child.wait()?.code().filter(|_| !killed);
    Ok(Ran {
        wall,
        cpu,
        peak_bytes,
        status,
        stdout: fs::read_to_string(out)?,
        stderr: fs::read_to_string(err)?,
    })
}

/// Settings, state and temporary files below `home`, so that nothing of the person who measures plays a part.
pub fn at_home<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    for (name, value) in environment(home) {
        command.env(name, value);
    }
    command
}

pub fn environment(home: &Path) -> Vec<(&'static str, std::ffi::OsString)> {
    let folders = ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"];
    let mut environment: Vec<_> = folders.map(|name| (name, home.join(name).into_os_string())).into();
    environment.extend([
        ("HOME", home.as_os_str().to_owned()),
        ("TMPDIR", home.as_os_str().to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("TERM", "xterm-256color".into()),
        ("LC_ALL", "C.UTF-8".into()),
    ]);
    environment
}

/// Processor seconds of a process up to now; also of one that has ended and is not reaped.
pub fn cpu(process: u32) -> Result<f64, Failure> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name is the second field and may hold anything; utime and stime are the 14th and 15th.
    let fields: Vec<&str> = text
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS),
        _ => Err(format!("/proc/{process}/stat is not understood: {text}").into()),
    }
}

/// Whether a process was told to stop, as a host is that hangs.
pub fn is_stopped(child: &Child) -> Result<bool, Failure> {
    let text = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    let state = text.rsplit_once(')').map_or("", |(_, rest)| rest.trim_start());
    Ok(state.starts_with('T'))
}

/// Bytes resident now, and at the most.
pub fn memory(process: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    };
    Some((of("VmRSS:")?, of("VmHWM:")?))
}

pub fn pid(child: &Child) -> Result<Pid, Failure> {
    let raw = i32::try_from(child.id()).ok();
    raw.and_then(Pid::from_raw)
        .ok_or_else(|| "a process without an id".into())
}

pub fn signal(child: &Child, signal: Signal) -> Result<(), Failure> {
    Ok(kill_process(pid(child)?, signal)?)
}

/// The word by which the bench is started for somebody else's sake: see [`tied`].
const TIED: &str = "--tied-to";

/// A command whose process is killed when this one ends, however that happens. The one who starts it must be the main thread:
/// it is a thread's end that the kernel tells.
pub fn tied(program: impl AsRef<OsStr>) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(TIED).arg(std::process::id().to_string()).arg(program);
    Ok(command)
}

/// Where the bench was started by [`tied`]: becomes that program. The wish to be killed outlives the exec.
pub fn become_tied() -> Option<Failure> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != TIED {
        return None;
    }
    let (parent, program) = (words.next()?, words.next()?);
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return Some(error.into());
    }
    // It may have ended before it was heard.
    let now = getppid().map(|id| id.as_raw_nonzero().to_string());
    if now.map(OsString::from) != Some(parent) {
        return Some("who asked for it has ended".into());
    }
    Some(Command::new(program).args(words).exec().into())
}

/// A folder that goes with the bench, however that ends: at the latest who sweeps sees the end of a pipe.
pub struct Folder {
    folder: TempDir,
    _pipe: Child,
}

impl Folder {
    /// In `place`, or in memory where the machine has a file system for it (a disk that is shared with builds would be what is
    /// measured), else where temporary files are.
    pub fn new(place: Option<&Path>) -> Result<Self, Failure> {
        let memory = Some(Path::new("/dev/shm")).filter(|memory| memory.is_dir());
        let folder = match place.or(memory) {
            Some(place) => TempDir::new_in(place)?,
            None => TempDir::new()?,
        };
        let pipe = Command::new("sh")
            .args(["-c", "cat; until rm -rf -- \"$0\"; do sleep 1; done"])
            .arg(folder.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { folder, _pipe: pipe })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Asks it to end, waits, and ends it at last.
pub fn end(child: &mut Child) {
    let asked = signal(child, Signal::TERM);
    let until = Instant::now() + Duration::from_secs(20);
    while asked.is_ok() && Instant::now() < until {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(LOOK);
    }
    // What matters is that it is gone; its data goes with its folder.
    let _ = child.kill();
    let _ = child.wait();
}
