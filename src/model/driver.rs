//! How a broker's process is stopped and started on its host: the words that are run there, made from a template of the
//! context and what is known of the broker. Pure; nothing is run here.
//!
//! Templates know `{broker}`, `{host}`, `{instance}`, `{az}` and `{action}`. What a cluster tells of itself (a host, a
//! rack) ends in command lines, so a value with anything but letters, digits and `._:-` in it is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BrokerId;

/// What is done to a broker's process.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    /// Stop and start, as one act that the host finishes by itself.
    Restart,
    Stop,
    Start,
}

/// Who carries it out.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DriverName {
    /// A program on this machine.
    Command,
    /// The operator's own OpenSSH client, which runs one command on the broker's host.
    Ssh,
    /// A document of AWS Systems Manager, which its agent runs on the broker's instance.
    Ssm,
}

/// A broker as its host is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub broker: BrokerId,
    /// The advertised host.
    pub host: String,
    /// The EC2 instance, where it is known beyond doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The AZ's id, else the rack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub az: Option<String>,
}

/// A driver of a context: the templates of what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub driver: DriverName,
    /// A program and its arguments, by what they do.
    pub templates: BTreeMap<Action, Vec<String>>,
    /// How long it may take before it is no longer waited for, in seconds; it is never killed.
    pub deadline_seconds: u64,
    /// How long a broker is watched after it is back, in seconds.
    pub soak_seconds: u64,
    /// What extends the file system of a log directory to its volume; `None` where the context says nothing of it.
    pub grow: Option<Vec<String>>,
    /// What stops a broker, puts another version in its place and starts it, as one act; `None` where the context says nothing of it.
    pub upgrade: Option<Vec<String>>,
}

/// What a template may ask for beside the broker.
#[derive(Debug, Clone, Copy, Default)]
struct More<'a> {
    path: Option<&'a str>,
    version: Option<&'a str>,
}

const NAMES: [&str; 7] = ["broker", "host", "instance", "az", "action", "path", "version"];

impl Way {
    /// What is run for this, word by word.
    ///
    /// # Errors
    /// A sentence with what is missing, or must not be put into a command.
    pub fn words(&self, action: Action, place: &Place) -> Result<Vec<String>, String> {
        let template = self.templates.get(&action).ok_or_else(|| {
            format!(
                "the {} driver of the context says nothing of how to {action} a broker",
                self.driver
            )
        })?;
        template
            .iter()
            .map(|word| fill(word, &action.to_string(), place, More::default()))
            .collect()
    }

    /// What is run to extend the file system of a log directory, word by word.
    ///
    /// # Errors
    /// As [`Way::words`].
    pub fn growing(&self, place: &Place, path: &str) -> Option<Result<Vec<String>, String>> {
        let path = Some(path);
        let more = More {
            path,
            ..More::default()
        };
        let words = self.grow.as_ref()?.iter();
        Some(words.map(|word| fill(word, "grow", place, more)).collect())
    }

    /// What is run to have a broker of another version, word by word: one act that ends with it started, or with the old one.
    ///
    /// # Errors
    /// As [`Way::words`].
    pub fn upgrading(&self, place: &Place, version: &str) -> Result<Vec<String>, String> {
        let template = self.upgrade.as_ref().ok_or_else(|| {
            format!(
                "the {} driver of the context says nothing of how to upgrade a broker: write upgrade into [context.NAME.driver.{}]",
                self.driver, self.driver
            )
        })?;
        let version = Some(version);
        let more = More {
            version,
            ..More::default()
        };
        template.iter().map(|word| fill(word, "upgrade", place, more)).collect()
    }
}

/// Whether a template asks only for what there is.
///
/// # Errors
/// A sentence with the name that is none.
pub fn check(template: &str) -> Result<(), String> {
    parts(template).try_for_each(|part| match part {
        Part::Text(_) => Ok(()),
        Part::Name(name) if NAMES.contains(&name) => Ok(()),
        Part::Name(name) => Err(format!(
            "`{{{name}}}` is nothing that is known of a broker; known are {}",
            NAMES.map(|name| format!("{{{name}}}")).join(" ")
        )),
    })
}

fn fill(template: &str, action: &str, place: &Place, more: More<'_>) -> Result<String, String> {
    check(template)?;
    let id = place.broker;
    let known = |value: &Option<String>, what: &str| {
        value
            .clone()
            .ok_or_else(|| format!("the driver wants the {what} of broker {id}, which is not known"))
    };
    let value = |name: &str| match name {
        "broker" => Ok(id.to_string()),
        "host" => Ok(place.host.clone()),
        "instance" => known(&place.instance, "instance"),
        "az" => known(&place.az, "availability zone"),
        "path" => known(&more.path.map(ToOwned::to_owned), "log directory"),
        "version" => known(&more.version.map(ToOwned::to_owned), "version"),
        _ => Ok(action.to_owned()),
    };
    let mut filled = String::new();
    for part in parts(template) {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Name(name) => {
                let value = value(name)?;
                let signs = if name == "path" { "._:-/" } else { "._:-" };
                let plain = |letter: char| letter.is_ascii_alphanumeric() || signs.contains(letter);
                if value.is_empty() || value.starts_with('-') || !value.chars().all(plain) {
                    return Err(format!(
                        "the {name} of broker {id} is {value:?}, which is not put into a command"
                    ));
                }
                filled.push_str(&value);
            }
        }
    }
    Ok(filled)
}

enum Part<'a> {
    Text(&'a str),
    /// Lower-case letters between braces, with no `$` before them: `${HOME}` is the shell's.
    Name(&'a str),
}

fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((at, name)) = first(rest) else {
            return Some(Part::Text(std::mem::take(&mut rest)));
        };
        if at > 0 {
            let (text, behind) = rest.split_at(at);
            rest = behind;
            return Some(Part::Text(text));
        }
        rest = &rest[name.len() + 2..];
        Some(Part::Name(name))
    })
}

/// Where the first name in braces begins.
fn first(text: &str) -> Option<(usize, &str)> {
    text.match_indices('{').find_map(|(at, _)| {
        let (name, _) = text[at + 1..].split_once('}')?;
        let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        (is_name && !text[..at].ends_with('$')).then_some((at, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            broker: 4,
            host: "b4.internal".into(),
            instance: None,
            az: Some("euw1-az2".into()),
        }
    }

    #[test]
    fn a_template_is_filled_and_what_is_the_shells_stays() {
        let text = "ctl {action} {host}:{broker} ${HOME} {az} ${host} {} {A}";
        assert_eq!(
            fill(text, "restart", &place(), More::default()).unwrap(),
            "ctl restart b4.internal:4 ${HOME} euw1-az2 ${host} {} {A}"
        );
    }

    #[test]
    fn what_is_not_known_or_would_be_a_command_itself_is_refused() {
        let told = |text: &str, place: &Place| fill(text, "stop", place, More::default()).unwrap_err();
        assert!(told("x {instance}", &place()).contains("instance of broker 4, which is not known"));
        assert!(told("x {brokr}", &place()).contains("`{brokr}`"));
        for host in ["a; rm -rf /", "$(id)", "", "-oProxyCommand=x", "a b", "a'b"] {
            let evil = Place {
                host: host.into(),
                ..place()
            };
            assert!(told("ssh {host}", &evil).contains("not put into a command"), "{host}");
        }
        assert!(check("{host} {action}").is_ok());
        let path = |path: &str| {
            let path = Some(path);
            fill(
                "grow {path}",
                "grow",
                &place(),
                More {
                    path,
                    ..More::default()
                },
            )
        };
        assert_eq!(path("/data/kafka-1").unwrap(), "grow /data/kafka-1");
        assert!(path("/data/$(id)").unwrap_err().contains("not put into a command"));
        assert!(told("x {path}", &place()).contains("log directory of broker 4, which is not known"));
    }
}
