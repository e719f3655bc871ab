//! A value that is not shown: written in a file, or taken from another file, the environment or a command when it is needed.
//!
//! No Debug output, error or screen holds what [`Secret::reveal`] gives.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How long a command may take to tell its secret.
const DEADLINE: Duration = Duration::from_secs(10);

/// The most that is read: 64 KiB, a chain of certificates with its key.
const MAX_BYTES: u64 = 64 * 1024;

/// Where a value is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Here.
    Text(String),
    /// The content of a file, without the line's end.
    File(PathBuf),
    /// The variable of this name.
    Environment(String),
    /// What a command prints, trimmed.
    Command(Program),
}

/// A command: a line for the shell, or a program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Program {
    Line(String),
    Words(Vec<String>),
}

/// The forms in which a table of a context names a secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    File(PathBuf),
    Env(String),
    Command(Program),
}

impl Secret {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The text itself where it is written here.
    pub fn written(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The file that it is in, where it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    /// A relative path counts from `folder`.
    #[must_use]
    pub fn within(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            other => other,
        }
    }

    /// The value, looked up now. Blocks on files and commands, for ten seconds at most.
    ///
    /// # Errors
    /// A sentence that names the file, the variable or the program, never the value.
    pub fn reveal(&self) -> Result<String, String> {
        let found = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => read(path)?,
            Self::Environment(name) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
            }
            Self::Command(program) => run(program, DEADLINE)?,
        };
        match found.is_empty() {
            true => Err(format!("{self:?} gives nothing")),
            false => Ok(found),
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let fault = |reason: &dyn fmt::Display| format!("cannot read {}: {reason}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(|error| fault(&error))?;
    let mut bounded = file.take(MAX_BYTES + 1);
    bounded.read_to_string(&mut text).map_err(|error| fault(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(fault(&format!("it has more than {MAX_BYTES} bytes")));
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

fn run(program: &Program, deadline: Duration) -> Result<String, String> {
    let mut command = match program {
        Program::Line(line) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", line]);
            shell
        }
        Program::Words(words) => {
            let (name, arguments) = words.split_first().ok_or("the command is empty")?;
            let mut command = Command::new(name);
            command.args(arguments);
            command
        }
    };
    let name = program.name();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(output(child)));
    match ended.recv_timeout(deadline) {
        Ok(Ok((status, text))) if status.success() => Ok(text.trim().to_owned()),
        Ok(Ok((status, _))) => Err(format!("{name} failed ({status}); run it by hand to see why")),
        Ok(Err(error)) => Err(format!("cannot read what {name} prints: {error}")),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            if let Some(group) = group {
                // It may have ended just now.
                let _ = kill_process_group(group, Signal::KILL);
            }
            Err(format!("{name} gave nothing within {} s", deadline.as_secs_f64()))
        }
    }
}

fn output(mut child: Child) -> std::io::Result<(ExitStatus, String)> {
    let mut text = String::new();
    let read = match child.stdout.take() {
        Some(output) => output.take(MAX_BYTES).read_to_string(&mut text),
        None => Ok(0),
    };
    let status = child.wait()?;
    read?;
    Ok((status, text))
}

impl Program {
    /// What errors call it: never its arguments, which may be secret themselves.
    fn name(&self) -> &str {
        let word = match self {
            Self::Line(line) => line.split_whitespace().next(),
            Self::Words(words) => words.first().map(String::as_str),
        };
        word.unwrap_or("the command")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("[hidden]"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::Command(program) => write!(f, "the command {}", program.name()),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let source = match self {
            Self::Text(text) => return serializer.serialize_str(text),
            Self::File(path) => Source::File(path.clone()),
            Self::Environment(name) => Source::Env(name.clone()),
            Self::Command(program) => Source::Command(program.clone()),
        };
        source.serialize(serializer)
    }
}

/// Numbers and booleans may be written without quotes.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self::Text(text)),
            toml::Value::Integer(number) => Ok(Self::Text(number.to_string())),
            toml::Value::Boolean(truth) => Ok(Self::Text(truth.to_string())),
            toml::Value::Table(table) => match Source::deserialize(table) {
                Ok(Source::File(path)) => Ok(Self::File(path)),
                Ok(Source::Env(name)) => Ok(Self::Environment(name)),
                Ok(Source::Command(program)) => Ok(Self::Command(program)),
                Err(_) => Err(de::Error::custom(
                    "a property is one value, or for a secret one of { file = \"PATH\" }, { env = \"NAME\" }, \
                     { command = \"LINE\" }; quote a name with dots: \"sasl.password\" = …",
                )),
            },
            _ => Err(de::Error::custom(
                "a property is one value; quote a name with dots: \"client.id\" = \"…\"",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Program {
        Program::Line(text.to_owned())
    }

    #[test]
    fn a_secret_comes_from_where_it_is_said_to_be_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "open sesame\n").unwrap();
        let file = Secret::File("password".into()).within(folder.path());
        assert_eq!(file.reveal().unwrap(), "open sesame");
        assert_eq!(
            Secret::Command(line("echo ' open sesame '")).reveal().unwrap(),
            "open sesame"
        );
        let words = ["printf", "%s", "a b"].map(str::to_owned).to_vec();
        assert_eq!(Secret::Command(Program::Words(words)).reveal().unwrap(), "a b");
        let shown = format!(
            "{:?} {:?}",
            Secret::text("open sesame"),
            Secret::Command(line("echo sesame"))
        );
        assert!(!shown.contains("sesame"), "{shown}");
    }

    #[test]
    fn what_gives_no_secret_is_named() {
        let cases = [
            (Secret::File("/no/such/file".into()), "cannot read /no/such/file"),
            (
                Secret::Environment("AZIMUTH_NO_SUCH".to_owned()),
                "the environment variable AZIMUTH_NO_SUCH is not set",
            ),
            (Secret::Command(line("exit 3")), "exit failed (exit status: 3)"),
            (Secret::Command(line("true")), "the command true gives nothing"),
            (
                Secret::Command(Program::Words(vec!["/no/such".to_owned()])),
                "cannot run /no/such",
            ),
        ];
        for (secret, wanted) in cases {
            let error = secret.reveal().unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let began = std::time::Instant::now();
        let error = run(&line("sleep 60 & wait"), Duration::from_millis(100)).unwrap_err();
        assert!(
            error.contains("within 0.1 s") && began.elapsed() < Duration::from_secs(30),
            "{error}"
        );
    }
}
