//! The driver that has a document of AWS Systems Manager run on the broker's instance.
//!
//! SSM gives no token by which a command may be asked for twice, so it is asked once: what is about to be sent lies on the disk
//! first, with a comment by which it is found again when the answer was lost, or the engine died over it. That SSM does not know
//! a command at first is its eventual consistency; what SSM cannot tell, the broker itself shows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{Driver, Exit, Run, State, said};
use crate::model::Moment;
use crate::operation::folder;
use crate::source::Error;
use crate::source::aws::{Aws, Invocation, Order};

/// How long an agent may take to fetch a command; afterwards it never runs it. SendCommand takes 30 s at least: Systems Manager
/// API reference, `TimeoutSeconds`.
const DELIVERY_SECONDS: i32 = 60;
/// So long after it was sent SSM may not yet know a command, or list it.
const UNKNOWN: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// Clocks differ by so much at most.
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_secs(300);
/// Between tries when SSM throttles.
const AGAIN: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// As a shell says of what was never run.
const NOT_RUN: i32 = 126;

pub(super) struct Ssm {
    aws: Option<Aws>,
}

/// What lies on the disk of a command.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    at: Moment,
    instance: String,
    comment: String,
    /// Once SSM told it.
    command: Option<String>,
    /// How it ended, once it did: SSM forgets after a month.
    ended: Option<(Option<i32>, String)>,
}

impl Ssm {
    pub fn new(aws: Option<Aws>) -> Self {
        Self { aws }
    }

    fn aws(&self) -> Result<&Aws, String> {
        self.aws
            .as_ref()
            .ok_or_else(|| "the context has no AWS plane, so SSM cannot be asked".to_owned())
    }

    async fn send(&self, words: &[String], run: &Run) -> Result<(), String> {
        let aws = self.aws()?;
        let order = order(words, comment(run))?;
        let mut mark = Mark {
            at: Moment::now(),
            instance: order.instance.clone(),
            comment: order.comment.clone(),
            command: None,
            ended: None,
        };
        mark.keep(run)?;
        let mut pauses = AGAIN.iter();
        loop {
            match aws.send_command(&order).await {
                Ok(id) => {
                    mark.command = Some(id);
                    return mark.keep(run);
                }
                Err(Error::Throttled { .. }) if pauses.len() > 0 => {
                    sleep(pauses.next().copied().unwrap_or_default()).await;
                }
                // It may have been taken all the same; whoever looks finds it by its comment.
                Err(error) if is_open(&error) => return Ok(()),
                Err(error) => {
                    // Nothing was begun, so nothing is to be found.
                    let _ = fs::remove_file(run.file("ssm"));
                    return Err(error.to_string());
                }
            }
        }
    }

    async fn seen(&self, run: &Run) -> Result<State, String> {
        let Some(mut mark) = Mark::read(run)? else {
            return Ok(State::Absent);
        };
        if let Some((code, tail)) = mark.ended {
            return Ok(State::Ended(Exit { code, tail }));
        }
        let aws = self.aws()?;
        let told = |error: Error| error.to_string();
        let is_young = Moment::now().duration_since(mark.at) < UNKNOWN;
        let command = match &mark.command {
            Some(command) => command.clone(),
            None => {
                let sent = aws.sent_command(&mark.instance, mark.at - SKEW, &mark.comment).await;
                match sent.map_err(told)? {
                    Some(command) => {
                        mark.command = Some(command.clone());
                        mark.keep(run)?;
                        command
                    }
                    None if is_young => return Ok(State::Running),
                    None => return Ok(State::Absent),
                }
            }
        };
        let state = match aws.invocation(&command, &mark.instance).await.map_err(told)? {
            None if is_young => State::Running,
            None => State::Ended(Exit {
                code: None,
                tail: format!("SSM does not know command {command} on {}", mark.instance),
            }),
            Some(invocation) => state(&invocation),
        };
        if let State::Ended(exit) = &state {
            mark.ended = Some((exit.code, exit.tail.clone()));
            mark.keep(run)?;
        }
        Ok(state)
    }
}

impl Driver for Ssm {
    fn begin<'a>(&'a self, words: &'a [String], run: &'a Run) -> BoxFuture<'a, Result<(), String>> {
        self.send(words, run).boxed()
    }

    fn look<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, State> {
        async move { self.seen(run).await.unwrap_or_else(State::Unseen) }.boxed()
    }

    fn is_cut(&self, exit: &Exit) -> bool {
        exit.code.is_none()
    }
}

impl Mark {
    fn read(run: &Run) -> Result<Option<Self>, String> {
        let path = run.file("ssm");
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Whole or not at all.
    fn keep(&self, run: &Run) -> Result<(), String> {
        let (path, part) = (run.file("ssm"), run.file("ssm.part"));
        let kept = || -> std::io::Result<()> {
            let mut options = File::options();
            let mut file = options
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&part)?;
            // Another operator's file is theirs to give away.
            let _ = folder::share(&part);
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&part, &path)
        };
        kept().map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// By which the command is known at SSM: the operation, its step, and which run of it.
fn comment(run: &Run) -> String {
    let operation = run.folder.file_name().and_then(|name| name.to_str()).unwrap_or("?");
    format!("azimuth operation {operation} step {} run {}", run.step + 1, run.number)
}

/// Document, instance, and `name=value` for each parameter.
fn order(words: &[String], comment: String) -> Result<Order, String> {
    let [document, instance, parameters @ ..] = words else {
        return Err("the words name no document and instance".to_owned());
    };
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for word in parameters {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| format!("`{word}` is no parameter; write name=value"))?;
        named.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    Ok(Order {
        instance: instance.clone(),
        document: document.clone(),
        parameters: named,
        comment,
        delivery_seconds: DELIVERY_SECONDS,
    })
}

/// Whether nobody knows if a command was taken that was answered so.
fn is_open(error: &Error) -> bool {
    match error {
        Error::TimedOut { .. } | Error::Unreachable { .. } => true,
        Error::Refused { code, .. } => {
            code.starts_with("HTTP 5")
                || matches!(
                    code.as_str(),
                    "InternalServerError" | "InternalError" | "InternalFailure" | "ServiceUnavailable" | "no id"
                )
        }
        _ => false,
    }
}

/// Source: Systems Manager user guide, "Understanding command statuses".
fn state(invocation: &Invocation) -> State {
    let detail = match invocation.detail.as_str() {
        "" => &invocation.status,
        detail => detail,
    };
    let said = said::told(&invocation.said, &[]);
    let with = |why: String| match said.is_empty() {
        true => why,
        false => format!("{why}: {said}"),
    };
    let ended = |code, tail| State::Ended(Exit { code, tail });
    match (invocation.status.as_str(), detail.replace(' ', "").as_str()) {
        ("Success", _) => ended(Some(0), said),
        (_, "DeliveryTimedOut" | "Undeliverable" | "Terminated" | "InvalidPlatform" | "AccessDenied") => {
            ended(Some(NOT_RUN), with(format!("SSM never ran it, {detail}")))
        }
        ("Failed", _) => ended(invocation.code.filter(|code| *code != 0).or(Some(1)), said),
        ("TimedOut" | "Cancelled", _) => ended(None, with(format!("SSM says {detail}"))),
        _ => State::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssm_says_of_a_command_is_told_apart() {
        let told = |status: &str, detail: &str, code| {
            state(&Invocation {
                status: status.to_owned(),
                detail: detail.to_owned(),
                code,
                said: "password=x".to_owned(),
            })
        };
        let exit = |status, detail, code| match told(status, detail, code) {
            State::Ended(exit) => (exit.code, exit.tail),
            other => panic!("{other:?}"),
        };
        for status in ["Pending", "InProgress", "Delayed", "Cancelling"] {
            assert_eq!(told(status, status, None), State::Running);
        }
        assert_eq!(
            exit("Success", "Success", Some(0)),
            (Some(0), "password=***".to_owned())
        );
        assert_eq!(exit("Failed", "Failed", Some(3)).0, Some(3));
        let (code, why) = exit("TimedOut", "Delivery Timed Out", None);
        assert!(code == Some(NOT_RUN) && why.contains("never ran it"), "{why}");
        assert_eq!(
            exit("TimedOut", "Execution Timed Out", None).0,
            None,
            "the host may be at it"
        );
        assert_eq!(exit("Failed", "Undeliverable", None).0, Some(NOT_RUN));
    }

    #[test]
    fn words_are_a_document_an_instance_and_parameters() {
        let words = ["AWS-RunShellScript", "i-1", "commands=a=b", "commands=c"].map(str::to_owned);
        let order = order(&words, "x".to_owned()).unwrap();
        assert_eq!(
            (order.document.as_str(), order.instance.as_str()),
            ("AWS-RunShellScript", "i-1")
        );
        assert_eq!(order.parameters["commands"], ["a=b", "c"]);
        assert!(super::order(&words[..1], String::new()).is_err());
    }
}
