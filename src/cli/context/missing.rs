//! What one cluster lacks of another, as a runbook that makes it: `context diff A B -o plan`.
//!
//! Each step is a command that is planned, gated and journaled like any other, so that the file is a plan that a person reads first.
//! What no command can make from what brokers tell (passwords, offsets, rules, fewer partitions) is told in its head.

use std::fmt::Write as _;

use crate::command::{Command, quota, topic};
use crate::model::config::{Config, ConfigSource};
use crate::model::row::difference::{Part, Side, between};
use crate::model::snapshot::Snapshot;

/// What B lacks of A, or has otherwise; `None` where nothing is to be made or told.
pub fn runbook(names: [&str; 2], a: &Snapshot, b: &Snapshot, parts: &[Part]) -> Option<String> {
    let mut steps: Vec<Command> = Vec::new();
    let mut notes = Vec::new();
    let wants = |part: Part| parts.contains(&part);
    if wants(Part::Topics) && a.topics.get().is_some() && b.topics.get().is_some() {
        for own in a.topics().iter().filter(|topic| !topic.internal) {
            let count = own.partitions.len() as i32;
            let Some(other) = b.topic(&own.name) else {
                let factor = own.partitions.iter().map(|one| one.replicas.len()).max();
                steps.push(Command::Topic(topic::Verb::Create {
                    name: own.name.clone(),
                    partitions: Some(count),
                    replication_factor: factor.and_then(|factor| i16::try_from(factor).ok()),
                    config: set(a, &own.name).map(|(key, value)| format!("{key}={value}")).collect(),
                    overrides: Vec::new(),
                }));
                continue;
            };
            match other.partitions.len() as i32 {
                there if there < count => steps.push(Command::Topic(topic::Verb::AddPartitions {
                    name: own.name.clone(),
                    to: count,
                    overrides: Vec::new(),
                })),
                there if there > count => notes.push(format!(
                    "topic {} has {count} partitions and {there} there; none can be taken away",
                    own.name
                )),
                _ => {}
            }
        }
    }
    if wants(Part::Configs) && b.topic_configs.get().is_some() {
        for topic in b.topics().iter().filter(|topic| !topic.internal) {
            let there: Vec<(&str, &str)> = set(b, &topic.name).collect();
            let config: Vec<String> = set(a, &topic.name)
                .filter(|pair| !there.contains(pair))
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let gone = |key: &str| a.topic(&topic.name).is_some() && set(a, &topic.name).all(|(own, _)| own != key);
            let unset: Vec<String> = there
                .iter()
                .filter(|(key, _)| gone(key))
                .map(|(key, _)| (*key).to_owned())
                .collect();
            if !config.is_empty() || !unset.is_empty() {
                steps.push(Command::Topic(topic::Verb::Alter {
                    name: topic.name.clone(),
                    config,
                    unset,
                    overrides: Vec::new(),
                }));
            }
        }
    }
    if wants(Part::Quotas)
        && let (Some(own), Some(there)) = (a.quotas.get(), b.quotas.get())
    {
        for one in own {
            let known = there.iter().find(|other| other.entity == one.entity);
            let lacks =
                |(name, value): &(&String, &f64)| known.and_then(|known| known.limits.get(*name)) != Some(*value);
            let pairs: Vec<String> = one
                .limits
                .iter()
                .filter(lacks)
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            if pairs.is_empty() {
                continue;
            }
            steps.push(Command::Quota(quota::Verb::Set {
                pairs,
                of: quota::Of::naming(&one.entity),
                overrides: Vec::new(),
            }));
        }
    }
    let by_hand: Vec<Part> = [Part::Acls, Part::Users, Part::Offsets]
        .into_iter()
        .filter(|part| wants(*part))
        .collect();
    for one in between(a, b, &by_hand) {
        match (one.part, one.side) {
            (_, Side::OnlyB) => {}
            (Part::Acls, _) => notes.push(format!("in a file for azimuth acl apply: {}", one.name)),
            (Part::Users, _) => notes.push(format!(
                "user {} {}: nobody tells its password; azimuth user set",
                one.name, one.field
            )),
            (_, _) => notes.push(format!(
                "{} {} is at {}: offsets are another cluster's, MirrorMaker 2 translates them",
                one.name,
                one.field,
                one.a.unwrap_or_default()
            )),
        }
    }
    (!steps.is_empty() || !notes.is_empty()).then(|| written(names, &steps, &notes))
}

/// What a topic has set itself.
fn set<'a>(snapshot: &'a Snapshot, topic: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let configs = snapshot.topic_configs.get().and_then(|all| all.get(topic));
    let own = |config: &&Config| config.source == ConfigSource::Topic && !config.sensitive;
    let configs = configs.into_iter().flatten().filter(own);
    configs.filter_map(|config| Some((config.name.as_str(), config.value.as_deref()?)))
}

fn written([from, to]: [&str; 2], steps: &[Command], notes: &[String]) -> String {
    // A string of JSON is one of YAML.
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# What {to} lacks of {from}. Read it, then: azimuth runbook run FILE --context {to}"
    );
    if !notes.is_empty() {
        let _ = writeln!(text, "# Not made by it:");
        for note in notes {
            let one: String = note.chars().filter(|letter| !letter.is_control()).collect();
            let _ = writeln!(text, "#   {one}");
        }
    }
    let _ = writeln!(
        text,
        "azimuth: 1\ntitle: {}",
        quoted(&format!("What {to} lacks of {from}"))
    );
    if steps.is_empty() {
        let _ = writeln!(
            text,
            "steps:\n  - name: nothing\n    check: topic list\n    expect: any"
        );
        return text;
    }
    let _ = writeln!(text, "steps:");
    for (at, step) in steps.iter().enumerate() {
        let _ = writeln!(
            text,
            "  - name: step-{}\n    command: {}",
            at + 1,
            quoted(&step.to_string())
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::topic::{Partition, Topic};
    use crate::model::{Moment, Observed};
    use crate::runbook::book::Book;

    fn now() -> Moment {
        Moment::from_second(1_700_000_000).unwrap()
    }

    /// Name, partitions and own configs.
    type Made<'a> = (&'a str, i32, &'a [(&'a str, &'a str)]);

    fn snapshot(topics: &[Made<'_>]) -> Snapshot {
        let partition = |partition| Partition {
            partition,
            replicas: [1, 2, 3].into(),
            ..Partition::default()
        };
        let topic = |(name, count, _): &Made<'_>| Topic {
            name: (*name).to_owned(),
            partitions: (0..*count).map(partition).collect(),
            id: uuid::Uuid::nil(),
            internal: false,
        };
        let config = |(name, value): &(&str, &str)| Config {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
            source: ConfigSource::Topic,
            sensitive: false,
            read_only: false,
            documentation: None,
            synonyms: Vec::new(),
        };
        let configs = topics
            .iter()
            .map(|(name, _, set)| ((*name).to_owned(), set.iter().map(config).collect::<Vec<_>>()));
        Snapshot {
            topics: Observed::fresh(topics.iter().map(topic).collect(), now()),
            topic_configs: Observed::fresh(configs.collect::<BTreeMap<_, _>>(), now()),
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_is_missing_becomes_commands_and_the_file_is_a_runbook() {
        let a = snapshot(&[
            ("clicks", 6, &[("retention.ms", "1000")]),
            ("orders", 3, &[("cleanup.policy", "compact")]),
            ("small", 1, &[]),
        ]);
        let b = snapshot(&[("clicks", 3, &[("max.message.bytes", "7")]), ("small", 2, &[])]);
        let parts = [Part::Topics, Part::Configs];
        let text = runbook(["blue", "green"], &a, &b, &parts).unwrap();
        for line in [
            "topic add-partitions clicks --to 6",
            "topic create orders --partitions 3 --replication-factor 3 --config cleanup.policy=compact",
            "topic alter clicks --config retention.ms=1000 --unset max.message.bytes",
            "#   topic small has 1 partitions and 2 there; none can be taken away",
        ] {
            assert!(text.contains(line), "{line}:\n{text}");
        }
        let book = Book::read("green", &text).unwrap();
        assert_eq!(book.steps.len(), 3);
        assert_eq!(runbook(["blue", "green"], &a, &a, &parts), None);
    }
}
