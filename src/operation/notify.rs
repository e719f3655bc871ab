//! Tells a command of the operator's choice when an operation needs a person, or is over.
//!
//! It gets one JSON object on stdin and its exit status is looked at by `context test` alone: an operation is never held
//! up, nor failed, by whoever shall be told of it.

use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::journal::Event;
use super::status::Status;
use crate::model::Moment;
use crate::settings::context::Notify;
use crate::settings::secret::Program;

/// How long the command may take; then it is ended.
const DEADLINE: Duration = Duration::from_secs(30);
/// No partition and no byte more for so long is worth a word.
const STANDSTILL: Duration = Duration::from_secs(600);

/// What a command is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct News {
    /// The shape's version.
    pub azimuth: u32,
    /// `waiting`, `needs_person`, `paused`, `failed`, `aborted`, `done`, `no_progress`, or `test`.
    pub event: &'static str,
    pub context: String,
    pub cluster_id: Option<String>,
    pub operation: Option<String>,
    /// What it does.
    pub title: Option<String>,
    /// How it stands, in words.
    pub message: String,
    /// Who began it.
    pub by: Option<String>,
    pub at: Moment,
    /// How to look at it.
    pub command: Option<String>,
}

impl News {
    /// The one that `context test` sends.
    pub fn test(context: &str, now: Moment) -> Self {
        Self {
            azimuth: 1,
            event: "test",
            context: context.to_owned(),
            cluster_id: None,
            operation: None,
            title: None,
            message: "azimuth context test: this is how an operation would tell you something".to_owned(),
            by: None,
            at: now,
            command: None,
        }
    }

    fn of(status: &Status, event: &'static str, message: String) -> Self {
        Self {
            azimuth: 1,
            event,
            context: status.plan.context.clone(),
            cluster_id: Some(status.plan.cluster_id.clone()),
            operation: Some(status.id.to_string()),
            title: Some(status.plan.title.clone()),
            message,
            by: Some(status.begun_by.to_string()),
            at: status.last_at,
            command: Some(format!(
                "azimuth operation attach {} --context {}",
                status.id, status.plan.context
            )),
        }
    }
}

/// What an entry of the journal is to somebody who is not looking; most are nothing.
fn event(event: &Event) -> Option<&'static str> {
    match event {
        Event::Paused { .. } => Some("paused"),
        Event::Failed { .. } => Some("failed"),
        Event::Aborted { .. } => Some("aborted"),
        Event::Finished => Some("done"),
        // A time that somebody has set passes by itself; a gate may need a hand.
        Event::Waits { wait } if wait.gate => Some("needs_person"),
        _ => None,
    }
}

/// Runs the command with the news on its stdin.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn send(notify: &Notify, news: &News) -> Result<(), String> {
    let text = serde_json::to_string(news).map_err(|error| error.to_string())? + "\n";
    let mut command = match &notify.command {
        Program::Line(line) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", line]);
            shell
        }
        Program::Words(words) => {
            let (program, arguments) = words.split_first().ok_or("[notify] command is empty")?;
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
    };
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let run = async {
        let mut child = command
            .spawn()
            .map_err(|error| format!("it cannot be started: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read is told by its exit status, if it matters to it.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
        let output = child.wait_with_output().await.map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                let last = said
                    .lines()
                    .rev()
                    .find(|line| !line.trim().is_empty())
                    .unwrap_or("without a word");
                Err(format!("it ended with {}: {}", output.status, last.trim()))
            }
        }
    };
    let late = || format!("it did not end within {} s", DEADLINE.as_secs());
    timeout(DEADLINE, run).await.unwrap_or_else(|_| Err(late()))
}

/// Sends what an engine has to tell, beside what it does.
#[derive(Debug)]
pub(super) struct Notifier {
    notify: Option<Notify>,
    sending: JoinSet<()>,
    progress: Standstill,
}

impl Notifier {
    pub fn new(notify: Option<Notify>) -> Self {
        Self {
            notify,
            sending: JoinSet::new(),
            progress: Standstill::default(),
        }
    }

    /// After an entry of the journal.
    pub fn tell(&mut self, entry: &Event, status: &Status) {
        if let Some(event) = event(entry) {
            self.send(News::of(status, event, status.summary()));
        }
    }

    /// After each look at a step in flight.
    pub fn looked(&mut self, status: &Status, now: Instant) {
        let progress = status.progress.as_ref();
        let mark = progress.map(|progress| (progress.step, progress.done, progress.bytes_done));
        if self.progress.is_news(mark.unwrap_or_default(), now) {
            let note = progress.map(|progress| progress.note.clone()).unwrap_or_default();
            let minutes = STANDSTILL.as_secs() / 60;
            self.send(News::of(
                status,
                "no_progress",
                format!("no progress for {minutes} m: {note}"),
            ));
        }
    }

    fn send(&mut self, news: News) {
        let Some(notify) = self.notify.clone() else { return };
        self.sending.spawn(async move {
            if let Err(error) = send(&notify, &news).await {
                // The engine's log; the journal is for what happens to the cluster.
                eprintln!("azimuth: [notify] command: {}: {error}", news.event);
            }
        });
    }

    /// Waits for what is under way, at most as long as a command may take.
    pub async fn finish(mut self) {
        while self.sending.join_next().await.is_some() {}
    }
}

/// How far the step in flight is: the step, partitions done, bytes done.
type Mark = (usize, u32, Option<u64>);

/// Since when nothing has moved; tells it once.
#[derive(Debug, Default)]
struct Standstill {
    since: Option<(Instant, Mark)>,
    told: bool,
}

impl Standstill {
    fn is_news(&mut self, mark: Mark, now: Instant) -> bool {
        match &self.since {
            Some((since, before)) if *before == mark => {
                let due = !self.told && now.duration_since(*since) >= STANDSTILL;
                self.told |= due;
                due
            }
            _ => {
                (self.since, self.told) = (Some((now, mark)), false);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notify(line: &str) -> Notify {
        Notify {
            command: Program::Line(line.to_owned()),
        }
    }

    #[tokio::test]
    async fn a_command_reads_one_json_object_and_says_why_it_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("news");
        let news = News::test("dev", "2026-11-26T12:00:00Z".parse().unwrap());
        send(&notify(&format!("cat > {}", path.display())), &news)
            .await
            .unwrap();
        let told: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!((&told["event"], &told["context"]), (&"test".into(), &"dev".into()));
        let failed = send(&notify("echo no route to the pager >&2; exit 3"), &news)
            .await
            .unwrap_err();
        assert!(failed.contains("exit status: 3: no route to the pager"), "{failed}");
        let words = Notify {
            command: Program::Words(vec!["/nowhere/at/all".to_owned()]),
        };
        assert!(send(&words, &news).await.unwrap_err().contains("cannot be started"));
    }

    #[test]
    fn ten_minutes_without_a_byte_are_told_once() {
        let (mut still, began) = (Standstill::default(), Instant::now());
        let after = |minutes: u64| began + Duration::from_secs(minutes * 60);
        assert!(!still.is_news((1, 2, Some(3)), began) && !still.is_news((1, 2, Some(3)), after(9)));
        assert!(still.is_news((1, 2, Some(3)), after(10)) && !still.is_news((1, 2, Some(3)), after(30)));
        assert!(!still.is_news((1, 2, Some(4)), after(31)));
        assert!(still.is_news((1, 2, Some(4)), after(41)));
    }
}
