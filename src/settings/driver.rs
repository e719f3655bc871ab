//! Drivers of a context: what is run to restart, stop and start its brokers.
//!
//! Nothing is run here. Templates are checked when they are read; what they are filled with is in [`crate::model::driver`].

use std::collections::BTreeMap;
use std::path::Path;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use super::{Context, Secret};
use crate::model::driver::{Action, DriverName, Way, check};

/// How long a driver may take, unless the context says otherwise.
const DEADLINE: SignedDuration = SignedDuration::from_mins(15);
/// How long a broker is watched after it is back, unless the context says otherwise.
const SOAK: SignedDuration = SignedDuration::from_mins(2);

/// On the broker's host, unless the context says otherwise: systemd carries it out whether or not the line holds, and
/// refuses a second one while the first is at it.
const ON_HOST: &str =
    "sudo -n systemd-run --quiet --collect --wait --unit=azimuth-{action}-{broker} systemctl {action} kafka";

/// Extends the partition, if there is one, and the file system to the size of the volume; growpart says 1 where nothing is to do.
const GROW: &str = r#"set -eu; s=$(findmnt -no SOURCE --target {path}); t=$(findmnt -no FSTYPE --target {path}); m=$(findmnt -no TARGET --target {path}); if [ "$(lsblk -dno TYPE "$s")" = part ]; then growpart "/dev/$(lsblk -dno PKNAME "$s")" "$(cat "/sys/class/block/$(basename "$s")/partition")" || [ $? -eq 1 ]; fi; case $t in xfs) xfs_growfs "$m";; ext*) resize2fs "$s";; *) echo "$t is not extended here"; exit 3;; esac"#;
/// The document that does that, unless the context says otherwise; the guide has it.
const GROW_DOCUMENT: &str = "azimuth-grow";

/// The document that does it, unless the context says otherwise; the guide has it.
const DOCUMENT: &str = "azimuth-kafka";
/// AWS's own document, which runs any command as root.
const SHELL: &str = "AWS-RunShellScript";
/// What that is told to run, unless the context says otherwise. The agent runs it as root.
const BY_AGENT: &str = "systemd-run --quiet --collect --wait --unit=azimuth-{action}-{broker} systemctl {action} kafka";

/// `[context.NAME.driver]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drivers {
    /// How long a broker is watched after it is back; `2m` unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak: Option<SignedDuration>,
    /// How long the command may take before it is no longer waited for; `15m` unless stated. It is never killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<SignedDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Local>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Remote>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssm: Option<Document>,
}

/// `[context.NAME.driver.command]`: a program on this machine, each as a list of words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// For whatever has no words of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Vec<String>>,
    /// Extends the file system of `{path}` to its volume. Without it a person does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grow: Option<Vec<String>>,
    /// Stops the broker, puts `{version}` in its place and starts it, or starts the old one and fails: one act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Vec<String>>,
    /// Variables that the program gets; what they hold is in no plan, journal or log.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Secret>,
}

/// `[context.NAME.driver.ssh]`: one command on the broker's host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Extends the file system of `{path}` to its volume; growpart and xfs_growfs or resize2fs by sudo unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grow: Option<String>,
    /// Stops the broker, puts `{version}` in its place and starts it, or starts the old one and fails: one act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<String>,
    /// As ssh finds it: a name of its config, or an address; `{host}` unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// More options of ssh, before the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// For whatever has no command of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

/// `[context.NAME.driver.ssm]`: a document of AWS Systems Manager, run by its agent on the broker's instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// `azimuth-kafka` unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The document that extends a file system, told `path`; `azimuth-grow` unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grow_document: Option<String>,
    /// The document that stops the broker, puts another version in its place and starts it, or starts the old one and fails; told
    /// `version`. Of `AWS-RunShellScript` what is run is in `upgrade`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_document: Option<String>,
    /// Of `AWS-RunShellScript`: the command for it, with `{version}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<String>,
    /// What it is told; `action = "{action}"` unless stated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Of `AWS-RunShellScript`: the command, for whatever has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

impl Drivers {
    /// Relative paths count from `folder`.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        if let Some(local) = &mut self.command {
            let located = |(name, secret): (String, Secret)| (name, secret.within(folder));
            local.environment = std::mem::take(&mut local.environment)
                .into_iter()
                .map(located)
                .collect();
        }
        self
    }

    /// The driver of this name; without one, the only one there is.
    ///
    /// # Errors
    /// A sentence with the way out: there is none, there are several, or one asks for what there is not.
    pub fn way(&self, name: Option<DriverName>) -> Result<Way, String> {
        let driver = name.map_or_else(|| self.only(), Ok)?;
        let deadline = self.deadline.unwrap_or(DEADLINE);
        let (templates, grow, upgrade) = match (driver, &self.command, &self.ssh, &self.ssm) {
            (DriverName::Command, Some(local), ..) => (local.templates(), local.grow.clone(), local.upgrade.clone()),
            (DriverName::Ssh, _, Some(remote), _) => {
                let upgrade = remote.upgrade.clone().map(|command| remote.ssh(command));
                (remote.templates(), Some(remote.growing()), upgrade)
            }
            (DriverName::Ssm, .., Some(document)) => (
                document.templates(deadline)?,
                Some(document.growing(deadline)),
                document.upgrading(deadline),
            ),
            _ => return Err(format!("the context has no driver {driver}; {}", how(driver))),
        };
        for word in templates.values().chain(&grow).chain(&upgrade).flatten() {
            check(word).map_err(|fault| format!("the driver {driver} of the context: {fault}"))?;
        }
        if let Some(action) = templates
            .iter()
            .find_map(|(action, words)| words.is_empty().then_some(action))
        {
            return Err(format!("the driver {driver} of the context: {action} names no program"));
        }
        let seconds = |given: Option<SignedDuration>, usual: SignedDuration| {
            u64::try_from(given.unwrap_or(usual).as_secs())
                .map_err(|_| format!("a time of the driver {driver} is negative"))
        };
        Ok(Way {
            driver,
            templates,
            deadline_seconds: seconds(self.deadline, DEADLINE)?,
            soak_seconds: seconds(self.soak, SOAK)?,
            grow,
            upgrade,
        })
    }

    fn only(&self) -> Result<DriverName, String> {
        let all = [
            (self.command.is_some(), DriverName::Command),
            (self.ssh.is_some(), DriverName::Ssh),
            (self.ssm.is_some(), DriverName::Ssm),
        ];
        let there: Vec<String> = all
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, name)| name.to_string())
            .collect();
        match all.iter().find(|(is, _)| *is) {
            Some((_, only)) if there.len() == 1 => Ok(*only),
            Some(_) => Err(format!(
                "the context has several drivers; choose one with --driver {}",
                there.join("|")
            )),
            None => Err(format!(
                "the context has no driver, so nothing can reach a broker's process; {}",
                how(DriverName::Command)
            )),
        }
    }
}

impl Context {
    /// Its driver of this name; without one, the only one there is.
    ///
    /// # Errors
    /// As [`Drivers::way`].
    pub fn way(&self, name: Option<DriverName>) -> Result<Way, String> {
        self.driver.clone().unwrap_or_default().way(name)
    }
}

impl Local {
    fn templates(&self) -> BTreeMap<Action, Vec<String>> {
        all(&self.run, [&self.restart, &self.stop, &self.start])
    }
}

impl Remote {
    fn templates(&self) -> BTreeMap<Action, Vec<String>> {
        let run = Some(self.run.clone().unwrap_or_else(|| ON_HOST.to_owned()));
        let on_host = all(&run, [&self.restart, &self.stop, &self.start]);
        on_host
            .into_iter()
            .map(|(action, command)| (action, self.ssh(command)))
            .collect()
    }

    fn growing(&self) -> Vec<String> {
        let usual = || format!("sudo -n sh -c '{GROW}'");
        self.ssh(self.grow.clone().unwrap_or_else(usual))
    }

    fn ssh(&self, command: String) -> Vec<String> {
        // Nobody is there to answer a question, and a host that does not answer is not waited for.
        let ours = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"];
        let ours = ours
            .into_iter()
            .chain(["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]);
        let mut words: Vec<String> = ours.map(str::to_owned).collect();
        words.extend(self.options.iter().cloned());
        let host = self.host.clone().unwrap_or_else(|| "{host}".to_owned());
        words.extend(["--".to_owned(), host, command]);
        words
    }
}

impl Document {
    fn growing(&self, deadline: SignedDuration) -> Vec<String> {
        let usual = match self.document.as_deref() {
            Some(SHELL) => SHELL,
            _ => GROW_DOCUMENT,
        };
        let document = self.grow_document.clone().unwrap_or_else(|| usual.to_owned());
        let told = match document == SHELL {
            true => vec![
                format!("commands={GROW}"),
                format!("executionTimeout={}", deadline.as_secs().max(1)),
            ],
            false => vec!["path={path}".to_owned()],
        };
        [document, "{instance}".to_owned()].into_iter().chain(told).collect()
    }

    fn upgrading(&self, deadline: SignedDuration) -> Option<Vec<String>> {
        let (document, told) = match (&self.upgrade_document, &self.upgrade) {
            (Some(document), _) => (document.clone(), vec!["version={version}".to_owned()]),
            (None, Some(command)) => (
                SHELL.to_owned(),
                vec![
                    format!("commands={command}"),
                    format!("executionTimeout={}", deadline.as_secs().max(1)),
                ],
            ),
            (None, None) => return None,
        };
        let words = [document, "{instance}".to_owned()].into_iter();
        Some(words.chain(told).collect())
    }

    /// The document, the instance, and each parameter as `name=value`.
    fn templates(&self, deadline: SignedDuration) -> Result<BTreeMap<Action, Vec<String>>, String> {
        let document = self.document.clone().unwrap_or_else(|| DOCUMENT.to_owned());
        let own = [&self.restart, &self.stop, &self.start];
        let words = |parameters: Vec<String>| {
            let head = [document.clone(), "{instance}".to_owned()];
            head.into_iter().chain(parameters).collect::<Vec<String>>()
        };
        if document != SHELL {
            if self.run.is_some() || own.iter().any(|own| own.is_some()) {
                return Err(format!(
                    "the driver ssm of the context: run, restart, stop and start are commands for {SHELL}; {document} is told parameters"
                ));
            }
            let mut parameters = self.parameters.clone();
            if parameters.is_empty() {
                parameters.insert("action".to_owned(), "{action}".to_owned());
            }
            let parameters: Vec<String> = parameters
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let all = Action::VARIANTS.iter();
            return Ok(all.map(|action| (*action, words(parameters.clone()))).collect());
        }
        let run = Some(self.run.clone().unwrap_or_else(|| BY_AGENT.to_owned()));
        let on_host = all(&run, own).into_iter();
        let told = |(action, command)| {
            let mut parameters = vec![
                format!("commands={command}"),
                format!("executionTimeout={}", deadline.as_secs().max(1)),
            ];
            parameters.extend(self.parameters.iter().map(|(name, value)| format!("{name}={value}")));
            (action, words(parameters))
        };
        Ok(on_host.map(told).collect())
    }
}

/// Of each action what it has of its own, or the common one.
fn all<T: Clone>(run: &Option<T>, own: [&Option<T>; 3]) -> BTreeMap<Action, T> {
    let pairs = Action::VARIANTS.iter().zip(own);
    let given = pairs.filter_map(|(action, own)| Some((*action, own.clone().or_else(|| run.clone())?)));
    given.collect()
}

fn how(driver: DriverName) -> &'static str {
    match driver {
        DriverName::Command => {
            "write [context.NAME.driver.command] with run = [\"PROGRAM\", \"{action}\", \"{host}\"] into the context file"
        }
        DriverName::Ssh => "write [context.NAME.driver.ssh] into the context file",
        DriverName::Ssm => "write [context.NAME.driver.ssm] into the context file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::driver::Place;

    fn drivers(text: &str) -> Drivers {
        toml::from_str(text).unwrap()
    }

    fn place() -> Place {
        Place {
            broker: 4,
            host: "b4".into(),
            instance: None,
            az: None,
        }
    }

    #[test]
    fn ssh_asks_nobody_and_the_host_finishes_what_it_began() {
        let way = drivers("[ssh]\noptions = [\"-l\", \"ec2-user\"]").way(None).unwrap();
        let words = way.words(Action::Restart, &place()).unwrap();
        assert!(words.contains(&"BatchMode=yes".to_owned()), "{words:?}");
        assert_eq!(words[words.len() - 3..words.len() - 1], ["--", "b4"]);
        let command = words.last().unwrap();
        assert!(
            command.contains("systemd-run") && command.ends_with("systemctl restart kafka"),
            "{command}"
        );
    }

    #[test]
    fn a_document_is_told_the_action_and_aws_own_one_a_command() {
        let at = Place {
            instance: Some("i-0abc".into()),
            ..place()
        };
        let way = drivers("[ssm]").way(None).unwrap();
        let words = way.words(Action::Stop, &at).unwrap();
        assert_eq!(words, ["azimuth-kafka", "i-0abc", "action=stop"]);
        let unknown = way.words(Action::Stop, &place()).unwrap_err();
        assert!(
            unknown.contains("instance of broker 4, which is not known"),
            "{unknown}"
        );
        let way = drivers("[ssm]\ndocument = \"AWS-RunShellScript\"").way(None).unwrap();
        let words = way.words(Action::Restart, &at).unwrap();
        assert!(words[2].starts_with("commands=systemd-run ") && words[2].ends_with("systemctl restart kafka"));
        assert_eq!(words[3], "executionTimeout=900");
        let mixed = drivers("[ssm]\nrun = \"reboot\"").way(None).unwrap_err();
        assert!(mixed.contains("are commands for AWS-RunShellScript"), "{mixed}");
    }

    #[test]
    fn an_action_may_have_words_of_its_own_and_times_are_told() {
        let text = "soak = \"10s\"\n[command]\nrun = [\"ctl\", \"{action}\"]\nstop = [\"halt\", \"{broker}\"]";
        let way = drivers(text).way(Some(DriverName::Command)).unwrap();
        assert_eq!((way.soak_seconds, way.deadline_seconds), (10, 900));
        assert_eq!(way.words(Action::Stop, &place()).unwrap(), ["halt", "4"]);
        assert_eq!(way.words(Action::Start, &place()).unwrap(), ["ctl", "start"]);
    }

    #[test]
    fn an_upgrade_is_told_its_version_where_the_context_says_how() {
        let at = Place {
            instance: Some("i-0abc".into()),
            ..place()
        };
        let words = |text: &str| drivers(text).way(None).unwrap().upgrading(&at, "4.3.1");
        let own = "[command]\nrun = [\"ctl\"]\nupgrade = [\"up\", \"{broker}\", \"{version}\"]";
        assert_eq!(words(own).unwrap(), ["up", "4", "4.3.1"]);
        let document = words("[ssm]\nupgrade_document = \"kafka-upgrade\"").unwrap();
        assert_eq!(document, ["kafka-upgrade", "i-0abc", "version=4.3.1"]);
        let ssh = words("[ssh]\nupgrade = \"kafka-to {version}\"").unwrap();
        assert_eq!(ssh.last().unwrap(), "kafka-to 4.3.1");
        assert!(words("[ssm]").unwrap_err().contains("nothing of how to upgrade"));
        let evil = drivers(own).way(None).unwrap().upgrading(&at, "4; reboot");
        assert!(evil.unwrap_err().contains("not put into a command"));
    }

    #[test]
    fn what_is_missing_is_told_with_the_way_out() {
        let told = |text: &str, name| drivers(text).way(name).unwrap_err();
        assert!(told("", None).contains("[context.NAME.driver.command]"));
        assert!(told("[ssh]\n[command]\nrun = [\"a\"]", None).contains("--driver command|ssh"));
        assert!(told("[ssh]", Some(DriverName::Command)).contains("no driver command"));
        assert!(told("[command]\nrun = [\"a\", \"{hots}\"]", None).contains("{hots}"));
        assert!(told("[command]\nrun = []", None).contains("names no program"));
        let way = drivers("[command]\nstop = [\"halt\"]").way(None).unwrap();
        assert!(
            way.words(Action::Restart, &place())
                .unwrap_err()
                .contains("how to restart")
        );
    }
}
