//! Plans that set or unset configs, one by one (KIP-339): what is not named stays as it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::{Class, Gate, Verdict};
use super::summary::{Line, Mood};
use super::{Error, Kind, Plan, Step, Undo};
use crate::model::config::{Config, Owner, is_same};
use crate::model::snapshot::Snapshot;
use crate::model::{Moment, nearest};

/// What somebody wants set on one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub owner: Owner,
    /// By name; `None` takes the override away.
    pub edits: BTreeMap<String, Option<Value>>,
    /// What must be set there now, by name: of an undo, what was set by what it undoes.
    pub found: BTreeMap<String, Option<Value>>,
}

/// A config's value, as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    Text(String),
    /// Sensitive: neither shown nor kept anywhere.
    Hidden,
}

/// One act: every override that the owner has or gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alter {
    pub owner: Owner,
    /// Sorted by name.
    pub settings: Vec<Setting>,
}

/// One override before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub name: String,
    /// `None`: it is inherited.
    pub before: Option<Value>,
    pub after: Option<Value>,
    /// What holds where nothing is set here; `None` when that is not told.
    pub inherited: Option<String>,
    /// It is one of those that the plan is about; the others are shown because they stay.
    pub changed: bool,
}

impl Alter {
    /// Those that change.
    pub fn changes(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(|setting| setting.changed)
    }

    /// `set retention.ms, unset cleanup.policy on topic orders`.
    pub fn words(&self) -> String {
        let names = |unset: bool| {
            let own = self.changes().filter(|setting| setting.after.is_none() == unset);
            own.map(|setting| setting.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let parts = [("set", names(false)), ("unset", names(true))];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(verb, names)| format!("{verb} {names}"))
            .collect();
        format!("{} on {}", parts.join(", "), self.owner)
    }
}

impl Value {
    fn words(&self) -> String {
        match self {
            Self::Text(text) if text.is_empty() => "\"\"".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Hidden => "(sensitive)".to_owned(),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Hidden => None,
        }
    }
}

/// The override that a config has on this owner.
pub fn set_on(config: &Config, owner: &Owner) -> Option<Value> {
    (config.source == owner.source()).then(|| match &config.value {
        _ if config.sensitive => Value::Hidden,
        value => Value::Text(value.clone().unwrap_or_default()),
    })
}

/// Whether an override is what it was; of a sensitive one only whether it is set can be told.
pub fn is_as(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (Some(Value::Text(one)), Some(Value::Text(other))) => is_same(one, other),
        (one, other) => one == other,
    }
}

/// Plans it. Needs the cluster, the topics, and the owner's configs; of all brokers together some broker's too.
///
/// # Errors
/// When the owner or a name does not exist, a config is read at start only or may not be shown, somebody set it otherwise
/// meanwhile, or it is so already.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    exists(snapshot, &wish.owner)?;
    let told = told(snapshot, &wish.owner)?;
    let known = known(snapshot, &wish.owner, told);
    let mut settings: Vec<Setting> = told
        .iter()
        .filter(|config| !wish.edits.contains_key(&config.name))
        .filter_map(|config| set_on(config, &wish.owner).map(|value| (config, value)))
        .map(|(config, value)| Setting {
            name: config.name.clone(),
            before: Some(value.clone()),
            after: Some(value),
            inherited: inherited(config, &wish.owner),
            changed: false,
        })
        .collect();
    let mut same = Vec::new();
    for (name, after) in &wish.edits {
        let config = told.iter().find(|config| config.name == *name);
        check(known, config, name, after.as_ref(), &wish.owner)?;
        let before = config.and_then(|config| set_on(config, &wish.owner));
        if let Some(found) = wish.found.get(name)
            && !is_as(found.as_ref(), before.as_ref())
        {
            let words = |value: &Option<Value>| value.as_ref().map_or("not set".to_owned(), Value::words);
            return Err(Error::Impossible(format!(
                "{name} on {} is {} now and was {}: somebody has changed it since; nothing is taken back",
                wish.owner,
                words(&before),
                words(found)
            )));
        }
        let hidden = matches!(after, Some(Value::Hidden));
        if !hidden && is_as(before.as_ref(), after.as_ref()) {
            same.push(name.as_str());
            continue;
        }
        settings.push(Setting {
            name: name.clone(),
            inherited: match known.iter().find(|config| config.name == *name) {
                Some(config) => inherited(config, &wish.owner),
                None => None,
            },
            before,
            after: after.clone(),
            changed: true,
        });
    }
    settings.sort_by(|one, other| one.name.cmp(&other.name));
    if same.len() == wish.edits.len() {
        let what = format!("{} on {} is so already", same.join(", "), wish.owner);
        return Err(Error::Nothing(what));
    }
    let alter = Alter {
        owner: wish.owner.clone(),
        settings,
    };
    let kind = match alter.changes().all(|setting| setting.after.is_none()) {
        true => Kind::ConfigUnset,
        false => Kind::ConfigSet,
    };
    Ok(Plan {
        title: alter.words(),
        gates: gates(snapshot, &alter),
        undo: undo(&alter),
        steps: vec![Step::AlterConfigs(alter)],
        ..Plan::draft(snapshot, kind, context, now)?
    })
}

/// What a plan of this kind was made for.
pub fn wish_of(alter: &Alter) -> Wish {
    let edits = alter.changes().map(|one| (one.name.clone(), one.after.clone()));
    Wish {
        owner: alter.owner.clone(),
        edits: edits.collect(),
        found: BTreeMap::new(),
    }
}

/// The way back.
///
/// # Errors
/// When a value that was replaced is not known.
pub fn undoing(alter: &Alter) -> Result<Wish, Error> {
    if let Some(lost) = alter.changes().find(|one| one.before == Some(Value::Hidden)) {
        return Err(Error::Impossible(format!(
            "{} was sensitive, and Kafka does not tell the value that it had; set it anew",
            lost.name
        )));
    }
    let pair = |one: &Setting, value: &Option<Value>| (one.name.clone(), value.clone());
    Ok(Wish {
        owner: alter.owner.clone(),
        edits: alter.changes().map(|one| pair(one, &one.before)).collect(),
        found: alter.changes().map(|one| pair(one, &one.after)).collect(),
    })
}

/// What is not as the plan saw it.
pub fn drift(alter: &Alter, snapshot: &Snapshot) -> Vec<String> {
    let told = match told(snapshot, &alter.owner) {
        Ok(told) => told,
        Err(error) => return vec![error.to_string()],
    };
    let now = |name: &str| {
        let config = told.iter().find(|config| config.name == name);
        config.and_then(|config| set_on(config, &alter.owner))
    };
    let changed = alter.changes().filter_map(|one| {
        let now = now(&one.name);
        let words = |value: &Option<Value>| value.as_ref().map_or("not set".to_owned(), Value::words);
        (!is_as(one.before.as_ref(), now.as_ref())).then(|| {
            let (was, is) = (words(&one.before), words(&now));
            format!("{} on {} was {was} and is {is}", one.name, alter.owner)
        })
    });
    changed.collect()
}

/// Every override, before and after.
pub fn lines(alter: &Alter) -> Vec<Line> {
    let none = || "(inherited)".to_owned();
    let words = |value: &Option<Value>, inherited: &Option<String>| match (value, inherited) {
        (Some(value), _) => value.words(),
        (None, Some(text)) if !text.is_empty() => format!("({text} inherited)"),
        (None, _) => none(),
    };
    let row = |one: &Setting| {
        let after = match one.changed {
            true => words(&one.after, &one.inherited),
            false => "=".to_owned(),
        };
        let glyph = match (one.changed, one.before.is_some(), one.after.is_some()) {
            (false, ..) => " ",
            (true, false, _) => "+",
            (true, true, false) => "-",
            (true, true, true) => "~",
        };
        [
            format!("{glyph} {}", one.name),
            words(&one.before, &one.inherited),
            after,
            match one.changed {
                true => "dynamic: no restart".to_owned(),
                false => String::new(),
            },
        ]
    };
    let heads = [
        format!("  {}", alter.owner),
        "before".into(),
        "after".into(),
        String::new(),
    ];
    let rows: Vec<[String; 4]> = std::iter::once(heads).chain(alter.settings.iter().map(row)).collect();
    const WIDEST: usize = 48;
    let width = |at: usize| {
        rows.iter()
            .map(|row| row[at].chars().count())
            .max()
            .unwrap_or(0)
            .min(WIDEST)
    };
    let widths: Vec<usize> = (0..3).map(width).collect();
    let text = |row: &[String; 4]| {
        let cells = row.iter().zip(&widths);
        let padded = cells.map(|(cell, width)| format!("{cell:<width$}", width = *width));
        let line = padded.chain([row[3].clone()]).collect::<Vec<_>>().join("  ");
        format!("  {}", line.trim_end())
    };
    let changed = |at: usize| at > 0 && alter.settings[at - 1].changed;
    let mood = |at: usize| if changed(at) { Mood::Plain } else { Mood::Muted };
    let line = |(at, row): (usize, &[String; 4])| Line {
        mood: mood(at),
        text: text(row),
    };
    rows.iter().enumerate().map(line).collect()
}

fn exists(snapshot: &Snapshot, owner: &Owner) -> Result<(), Error> {
    match owner {
        Owner::Topic(name) => {
            let Some(topics) = snapshot.topics.get() else {
                let why = snapshot.topics.problem().unwrap_or_default();
                return Err(Error::Blind {
                    what: "the topics",
                    why,
                });
            };
            if snapshot.topic(name).is_some() {
                return Ok(());
            }
            let near = nearest(name, topics.iter().map(|topic| topic.name.as_str()));
            let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            Err(Error::Impossible(format!("there is no topic {name}{near}")))
        }
        Owner::Broker(id) => {
            let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
            match brokers.iter().any(|broker| broker.id == *id) {
                true => Ok(()),
                false => Err(Error::Impossible(format!("the cluster lists no broker {id}"))),
            }
        }
        Owner::AllBrokers | Owner::Group(_) => Ok(()),
    }
}

fn told<'a>(snapshot: &'a Snapshot, owner: &Owner) -> Result<&'a [Config], Error> {
    let seen = snapshot.owned_configs.get(owner);
    match seen.and_then(|seen| seen.get()) {
        Some(configs) => Ok(configs),
        None => Err(Error::Blind {
            what: "the configs",
            why: match seen.and_then(|seen| seen.problem()) {
                Some(problem) => problem,
                None => format!("nobody was asked for those of {owner}"),
            },
        }),
    }
}

/// Configs by every name that the owner can have. Of all brokers together only what is set is told, so there a broker
/// tells the rest.
fn known<'a>(snapshot: &'a Snapshot, owner: &Owner, told: &'a [Config]) -> &'a [Config] {
    if *owner != Owner::AllBrokers {
        return told;
    }
    let some = snapshot.owned_configs.iter().find_map(|(owner, seen)| match owner {
        Owner::Broker(_) => seen.get().map(Vec::as_slice),
        _ => None,
    });
    some.unwrap_or(told)
}

fn inherited(config: &Config, owner: &Owner) -> Option<String> {
    if config.sensitive {
        return None;
    }
    if config.source != owner.source() {
        return config.value.clone();
    }
    let below = config.synonyms.iter().find(|synonym| synonym.source != owner.source());
    below.and_then(|synonym| synonym.value.clone())
}

fn check(
    known: &[Config],
    set: Option<&Config>,
    name: &str,
    after: Option<&Value>,
    owner: &Owner,
) -> Result<(), Error> {
    let Some(config) = set.or_else(|| known.iter().find(|config| config.name == name)) else {
        // Throttles are told only where they are set.
        if THROTTLES.contains(&name) {
            return Ok(());
        }
        let near = nearest(name, known.iter().map(|config| config.name.as_str()));
        let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        return Err(Error::Impossible(format!("there is no config {name} on {owner}{near}")));
    };
    if config.read_only {
        return Err(Error::Impossible(format!(
            "{name} needs a restart: brokers read it at start only; write it into the properties file of {owner}, and restart"
        )));
    }
    match after {
        Some(Value::Text(_)) if config.sensitive => Err(Error::Impossible(format!(
            "{name} is sensitive, and a value on the command line is seen by everybody on this machine; \
             give a file: --from-file {name}=FILE"
        ))),
        Some(Value::Hidden) if !config.sensitive => Err(Error::Impossible(format!(
            "{name} is not sensitive and may be shown; write {name}=VALUE"
        ))),
        _ => Ok(()),
    }
}

/// What brokers and topics have and do not tell while it is not set.
const THROTTLES: [&str; 5] = [
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];

/// What is forbidden while nothing speaks for it: the DON'Ts of triage.
fn gates(snapshot: &Snapshot, alter: &Alter) -> Vec<Gate> {
    let change = |name: &str| alter.changes().find(|one| one.name == name);
    let mut gates = Vec::new();
    if let Some(one) = change("min.insync.replicas") {
        gates.push(min_isr(snapshot, &alter.owner, one));
    }
    if let Some(one) = change("unclean.leader.election.enable") {
        let on = after(one).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let (verdict, evidence) = match on {
            true => (
                Verdict::Fail,
                "a replica that is not in sync may become leader, and acknowledged records are lost",
            ),
            false => (Verdict::Pass, "only replicas in sync become leader"),
        };
        gates.push(Gate::new("unclean", Class::Soft, verdict, evidence));
    }
    if let Some(loss) = alter.changes().find_map(shortened) {
        gates.push(Gate::new("retention", Class::Soft, Verdict::Warn, loss));
    }
    if let Some(one) = alter.changes().find(|one| one.name.contains("replication.throttled")) {
        let evidence = format!(
            "{} belongs to throttles: who sets it by hand takes it away by hand",
            one.name
        );
        gates.push(Gate::new("throttle", Class::Soft, Verdict::Warn, evidence));
    }
    gates
}

/// What holds before and after, inherited where nothing is set.
fn before(one: &Setting) -> Option<&str> {
    one.before.as_ref().map_or(one.inherited.as_deref(), Value::text)
}

fn after(one: &Setting) -> Option<&str> {
    one.after.as_ref().map_or(one.inherited.as_deref(), Value::text)
}

fn number(text: Option<&str>) -> Option<i64> {
    text?.trim().parse().ok()
}

fn min_isr(snapshot: &Snapshot, owner: &Owner, one: &Setting) -> Gate {
    let gate = |verdict, evidence: String| Gate::new("min-isr", Class::Soft, verdict, evidence);
    let (Some(was), Some(is)) = (number(before(one)), number(after(one))) else {
        return gate(
            Verdict::Unknown,
            "what it is without an override is not told".to_owned(),
        );
    };
    let least = match owner {
        Owner::Topic(name) => snapshot.topic(name).and_then(|topic| {
            let factors = topic.partitions.iter().map(|partition| partition.replicas.len() as i64);
            factors.min()
        }),
        _ => None,
    };
    match least {
        _ if is < was => gate(
            Verdict::Fail,
            format!("{was} → {is}: writes are acknowledged with fewer copies"),
        ),
        Some(factor) if is > factor => gate(
            Verdict::Fail,
            format!("{is} with {factor} replicas: every write with acks=all is refused"),
        ),
        Some(factor) if is == factor && factor > 1 => gate(
            Verdict::Warn,
            format!("{is} with {factor} replicas: writes stop as soon as one replica is out of sync"),
        ),
        _ => gate(Verdict::Pass, format!("{was} → {is}")),
    }
}

/// How records come to be deleted earlier than before; -1 is for ever.
fn shortened(one: &Setting) -> Option<String> {
    const LIMITS: [&str; 8] = [
        "retention.ms",
        "retention.bytes",
        "local.retention.ms",
        "local.retention.bytes",
        "log.retention.ms",
        "log.retention.bytes",
        "log.local.retention.ms",
        "log.local.retention.bytes",
    ];
    let deletes = |policy: Option<&str>| policy.is_none_or(|policy| policy.contains("delete"));
    let endless = |limit: i64| if limit < 0 { i64::MAX } else { limit };
    if one.name.ends_with("cleanup.policy") {
        let begins = deletes(after(one)) && !deletes(before(one));
        return begins.then(|| format!("{}: records beyond the retention are deleted from now on", one.name));
    }
    if !LIMITS.contains(&one.name.as_str()) {
        return None;
    }
    match (number(before(one)).map(endless), number(after(one)).map(endless)) {
        (Some(was), Some(is)) if is >= was => None,
        (Some(_), Some(_)) => Some(format!(
            "{} goes down: records beyond it are deleted within minutes, and no undo brings them back",
            one.name
        )),
        _ => Some(format!(
            "{}: whether records are deleted earlier is not known",
            one.name
        )),
    }
}

fn undo(alter: &Alter) -> Undo {
    if let Some(lost) = alter.changes().find(|one| one.before == Some(Value::Hidden)) {
        let why = format!("Kafka does not tell the value of {} that is replaced", lost.name);
        return Undo::None { why };
    }
    let back = |one: &Setting| match &one.before {
        None => format!("unset {}", one.name),
        Some(value) => format!("set {}={}", one.name, value.words()),
    };
    let how = alter.changes().map(back).collect::<Vec<_>>().join(", ");
    match alter.changes().find_map(shortened) {
        None => Undo::Full { how },
        Some(_) => Undo::Partial {
            how: format!("{how}; records that were deleted meanwhile are gone"),
        },
    }
}

#[cfg(test)]
mod tests;
