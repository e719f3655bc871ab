//! A process that outlives the engine that began it, and tells its end to whoever looks.
//!
//! A shell of two lines runs the words as they are, without reading them, and writes their exit status into a file beside
//! the journal, whole or not at all. While it lives it holds a lock on another file, so that a later engine can tell an act
//! that goes on from one whose machine went down. What the words say goes to a third, which nobody has to empty.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{FlockOperation, flock};
use tokio::process::Command;

use super::{Exit, Run, State, said};
use crate::operation::folder;

/// `$1` is where the exit status goes; the rest are the words. The lock is standard input, which the words do not get: a
/// broker that they leave running must not hold it.
const KEEPER: &str = r#"mark=$1; shift
"$@" </dev/null
code=$?
printf '%s\n' "$code" >"$mark.part" && mv -f "$mark.part" "$mark"
"#;

/// So much of the end of what was said is read.
const TAIL_BYTES: i64 = 4096;

/// Begins the words. Returns once they run.
pub(super) fn begin(run: &Run, words: &[String], environment: &BTreeMap<String, String>) -> Result<(), String> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let (lock, said) = (run.file("lock"), run.file("out"));
    let held = open(&lock).map_err(failed(&lock))?;
    flock(&held, FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| format!("{}: it runs already ({error})", lock.display()))?;
    let out = open(&said).map_err(failed(&said))?;
    let errors = out.try_clone().map_err(failed(&said))?;
    let mut command = Command::new("sh");
    command
        .args(["-c", KEEPER, "azimuth-driver"])
        .arg(run.file("exit"))
        .args(words)
        .envs(environment)
        .stdin(Stdio::from(held))
        .stdout(out)
        .stderr(errors)
        // A signal to the engine's group is not for it.
        .process_group(0);
    command.spawn().map(drop).map_err(|error| format!("sh: {error}"))
}

/// What became of it.
pub(super) fn look<'a>(run: &Run, secrets: impl Iterator<Item = &'a str>) -> State {
    let secrets: Vec<&str> = secrets.collect();
    let ended = |code| {
        let said = run.file("out");
        let tail = tail(&said, secrets);
        // It lies beside the journal, so what must not be told does not stay there either. A folder that cannot be written is
        // told by the journal itself.
        let _ = fs::write(&said, &tail);
        State::Ended(Exit { code: Some(code), tail })
    };
    if let Some(code) = exit(run) {
        return ended(code);
    }
    match File::open(run.file("lock")) {
        Err(_) => State::Absent,
        Ok(lock) if flock(&lock, FlockOperation::NonBlockingLockShared).is_err() => State::Running,
        // Between the two looks it may have come to its end.
        Ok(_) => match exit(run) {
            Some(code) => ended(code),
            None => State::Lost,
        },
    }
}

fn exit(run: &Run) -> Option<i32> {
    fs::read_to_string(run.file("exit")).ok()?.trim().parse().ok()
}

impl Run {
    pub(super) fn file(&self, ending: &str) -> PathBuf {
        let name = format!("step-{}-{}.{ending}", self.step + 1, self.number);
        self.folder.join(name)
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    // Another operator's file is theirs to give away.
    let _ = folder::share(path);
    Ok(file)
}

/// The last lines in one, without what must not be told.
fn tail(path: &Path, secrets: Vec<&str>) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let length = file.metadata().map_or(0, |about| about.len() as i64);
        // What cannot be read is not told; the exit status is.
        let _ = file.seek(SeekFrom::End(-length.min(TAIL_BYTES)));
        let _ = file.take(TAIL_BYTES as u64).read_to_end(&mut bytes);
    }
    said::told(&String::from_utf8_lossy(&bytes), &secrets)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    async fn until(run: &Run, wanted: impl Fn(&State) -> bool) -> State {
        let started = Instant::now();
        loop {
            let state = look(run, ["open sesame"].into_iter());
            if wanted(&state) {
                return state;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{state:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn run(folder: &tempfile::TempDir) -> Run {
        Run {
            folder: folder.path().to_owned(),
            step: 2,
            number: 1,
        }
    }

    #[tokio::test]
    async fn its_end_is_told_with_what_it_said_and_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(&folder);
        assert_eq!(look(&run, std::iter::empty()), State::Absent);
        let environment = BTreeMap::from([("TOKEN".to_owned(), "open sesame".to_owned())]);
        // No shell reads the words but the one that is asked to.
        let asked = words(&["sh", "-c", "echo \"$1 $TOKEN\"; exit 3", "x", "$HOME; 'a'"]);
        begin(&run, &asked, &environment).unwrap();
        let ended = until(&run, |state| matches!(state, State::Ended(_))).await;
        let State::Ended(exit) = ended else { unreachable!() };
        assert_eq!((exit.code, exit.tail.as_str()), (Some(3), "$HOME; 'a' ***"));
        let kept = fs::read_to_string(run.file("out")).unwrap();
        assert_eq!(kept, exit.tail, "what is kept holds no secret either");
        let again = look(&run, ["open sesame"].into_iter());
        assert_eq!(again, State::Ended(exit));
    }

    #[tokio::test]
    async fn what_runs_is_not_begun_again_and_a_broker_left_running_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(&folder);
        let gate = folder.path().join("gate");
        let line = format!(
            "while [ ! -e {} ]; do sleep 0.05; done; sleep 60 & echo $!",
            gate.display()
        );
        begin(&run, &words(&["sh", "-c", &line]), &BTreeMap::new()).unwrap();
        assert_eq!(look(&run, std::iter::empty()), State::Running);
        let again = begin(&run, &words(&["true"]), &BTreeMap::new()).unwrap_err();
        assert!(again.contains("it runs already"), "{again}");
        fs::write(&gate, "").unwrap();
        let ended = until(&run, |state| matches!(state, State::Ended(_))).await;
        let State::Ended(exit) = ended else { unreachable!() };
        assert_eq!(exit.code, Some(0));
        let left = rustix::process::Pid::from_raw(exit.tail.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn what_was_killed_is_lost_and_a_program_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(&folder);
        begin(&run, &words(&["sh", "-c", "kill -9 $PPID; sleep 60"]), &BTreeMap::new()).unwrap();
        until(&run, |state| *state == State::Lost).await;
        let other = Run { number: 2, ..run };
        begin(&other, &words(&["/no/such/program"]), &BTreeMap::new()).unwrap();
        let ended = until(&other, |state| matches!(state, State::Ended(_))).await;
        let State::Ended(exit) = ended else { unreachable!() };
        assert_eq!(exit.code, Some(127));
        assert!(exit.tail.contains("not found"), "{}", exit.tail);
    }
}
