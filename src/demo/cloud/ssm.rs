//! The simulated Systems Manager: what it is told goes to whoever plays the hosts, and is answered as AWS does.
//!
//! A command is not known anywhere at the first question after it was sent, then pending, then in progress until its host has
//! ended it. An agent that is offline fetches nothing, and after its time the command was never run.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::fault::{Faults, Refusal};
use super::fleet::Fleet;
use super::time::Tempo;

/// Documents that exist here.
const DOCUMENTS: [&str; 4] = ["azimuth-kafka", "azimuth-grow", "azimuth-upgrade", "AWS-RunShellScript"];
/// So many of them are kept, the newest.
const KEPT: usize = 1000;

/// What a host shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub command: String,
    pub instance: String,
    pub document: String,
    pub parameters: BTreeMap<String, Vec<String>>,
}

/// All commands ever sent.
#[derive(Debug, Default)]
pub(super) struct Commands {
    sent: Vec<Command>,
    count: u64,
    hosts: Option<UnboundedSender<Task>>,
}

#[derive(Debug)]
struct Command {
    task: Task,
    comment: String,
    /// By the cloud's own clock.
    sent_at: i64,
    delivery_seconds: i64,
    fetched: bool,
    ended: Option<(i32, String)>,
    /// Questions about it, and lists it could have been in.
    looks: u32,
    lists: u32,
}

/// What an operation looks at.
pub(super) struct View<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) faults: &'a Faults,
    pub(super) now: i64,
    pub(super) tempo: Tempo,
}

impl Commands {
    pub(super) fn attach(&mut self, hosts: UnboundedSender<Task>) {
        self.hosts = Some(hosts);
    }

    pub(super) fn end(&mut self, command: &str, code: i32, said: String) {
        if let Some(found) = self.sent.iter_mut().find(|one| one.task.command == command) {
            found.ended = Some((code, said));
        }
    }

    /// Answers one operation.
    pub(super) fn answer(&mut self, view: &View<'_>, operation: &str, body: &Value) -> Result<Value, Refusal> {
        match operation {
            "SendCommand" => self.send(view, body),
            "GetCommandInvocation" => self.invocation(view, body),
            "ListCommands" => Ok(self.list(view, body)),
            "DescribeInstanceInformation" => Ok(agents(view, body)),
            other => Err(refusal(
                "UnknownOperationException",
                format!("{other} is not simulated"),
            )),
        }
    }

    fn send(&mut self, view: &View<'_>, body: &Value) -> Result<Value, Refusal> {
        let document = text(body, "DocumentName");
        if !DOCUMENTS.contains(&document.as_str()) {
            return Err(refusal(
                "InvalidDocument",
                format!("Document {document} does not exist"),
            ));
        }
        let instances: Vec<String> = strings(&body["InstanceIds"]);
        let [instance] = instances.as_slice() else {
            return Err(refusal("InvalidInstanceId", "one instance at a time is simulated"));
        };
        // AWS refuses an instance that never registered or does not run.
        let machine = view
            .fleet
            .machine(instance)
            .filter(|machine| machine.state == "running");
        if machine.is_none() {
            return Err(refusal(
                "InvalidInstanceId",
                format!("Instances [[{instance}]] not in a valid state for account 000000000000"),
            ));
        }
        let parameters = body["Parameters"].as_object().into_iter().flatten();
        self.count += 1;
        let task = Task {
            command: format!("00000000-0000-4000-8000-{:012x}", self.count),
            instance: instance.clone(),
            document,
            parameters: parameters
                .map(|(name, values)| (name.clone(), strings(values)))
                .collect(),
        };
        let online = !view.faults.offline.contains(instance);
        let scripted = view.faults.commands.get(instance).cloned();
        let ended = match (&scripted, &self.hosts) {
            (Some(ended), _) => Some(ended.clone()),
            // Nobody plays the hosts: whatever is asked is done.
            (None, None) => Some((0, String::new())),
            (None, Some(hosts)) => {
                if online {
                    // Who has gone does nothing more; the command stays in progress.
                    let _ = hosts.send(task.clone());
                }
                None
            }
        };
        let command = Command {
            comment: text(body, "Comment"),
            sent_at: view.now,
            delivery_seconds: body["TimeoutSeconds"].as_i64().unwrap_or(3600),
            fetched: online,
            ended: ended.filter(|_| online),
            looks: 0,
            lists: 0,
            task,
        };
        let told = command.json(view);
        self.sent.push(command);
        let surplus = self.sent.len().saturating_sub(KEPT);
        self.sent.drain(..surplus);
        Ok(json!({ "Command": told }))
    }

    fn invocation(&mut self, view: &View<'_>, body: &Value) -> Result<Value, Refusal> {
        let (id, instance) = (text(body, "CommandId"), text(body, "InstanceId"));
        let known = self.sent.iter_mut();
        let found = known
            .filter(|one| one.task.command == id && one.task.instance == instance)
            .find_map(|one| {
                one.looks += 1;
                (one.looks > 1).then_some(one)
            });
        let Some(command) = found else {
            return Err(refusal("InvocationDoesNotExist", ""));
        };
        let (status, detail) = command.status(view);
        let (code, said) = match (&command.ended, status) {
            (Some((code, said)), "Success" | "Failed") => (*code, said.as_str()),
            _ => (-1, ""),
        };
        Ok(json!({
            "CommandId": id,
            "InstanceId": instance,
            "DocumentName": command.task.document,
            "Comment": command.comment,
            "Status": status,
            "StatusDetails": detail,
            "ResponseCode": code,
            "StandardOutputContent": said,
            "StandardErrorContent": "",
        }))
    }

    fn list(&mut self, view: &View<'_>, body: &Value) -> Value {
        let instance = text(body, "InstanceId");
        let commands = self.sent.iter_mut().filter(|one| one.task.instance == instance);
        let shown = commands.filter_map(|one| {
            one.lists += 1;
            (one.lists > 1).then(|| one.json(view))
        });
        json!({ "Commands": shown.collect::<Vec<Value>>() })
    }
}

impl Command {
    fn status(&self, view: &View<'_>) -> (&'static str, &'static str) {
        match &self.ended {
            _ if self.looks == 2 => ("Pending", "Pending"),
            Some((0, _)) => ("Success", "Success"),
            Some(_) => ("Failed", "Failed"),
            None if self.fetched => ("InProgress", "InProgress"),
            None if view.now - self.sent_at >= self.delivery_seconds => ("TimedOut", "DeliveryTimedOut"),
            None => ("Delayed", "Delayed"),
        }
    }

    fn json(&self, view: &View<'_>) -> Value {
        json!({
            "CommandId": self.task.command,
            "DocumentName": self.task.document,
            "Comment": self.comment,
            "InstanceIds": [self.task.instance],
            "RequestedDateTime": view.tempo.outside(self.sent_at),
            "Status": "Pending",
            "StatusDetails": "Pending",
        })
    }
}

fn agents(view: &View<'_>, body: &Value) -> Value {
    let filters = body["Filters"].as_array().into_iter().flatten();
    let wanted: Vec<String> = filters
        .filter(|filter| filter["Key"] == "InstanceIds")
        .flat_map(|filter| strings(&filter["Values"]))
        .collect();
    let machines = view
        .fleet
        .machines
        .iter()
        .filter(|machine| wanted.contains(&machine.id));
    let told = machines.map(|machine| {
        let online = machine.state == "running" && !view.faults.offline.contains(&machine.id);
        let last = if online { view.now } else { view.now - 1800 };
        json!({
            "InstanceId": machine.id,
            "PingStatus": if online { "Online" } else { "ConnectionLost" },
            "LastPingDateTime": view.tempo.outside(last),
            "AgentVersion": "3.3.0.0",
            "PlatformType": "Linux",
            "ResourceType": "EC2Instance",
        })
    });
    json!({ "InstanceInformationList": told.collect::<Vec<Value>>() })
}

/// The same fault in the words of a JSON service.
pub(super) fn spoken(refusal: &Refusal) -> (u16, Value) {
    let (status, code) = match refusal.code.as_str() {
        "RequestLimitExceeded" => (400, "ThrottlingException"),
        "UnauthorizedOperation" => (400, "AccessDeniedException"),
        "RequestExpired" => (400, "ExpiredTokenException"),
        "InternalError" => (500, "InternalServerError"),
        other => (refusal.status, other),
    };
    (status, json!({ "__type": code, "message": refusal.message }))
}

fn refusal(code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(400, code, message)
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_default().to_owned()
}

fn strings(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}
