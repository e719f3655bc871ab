//! Plans that set or take away client quotas (KIP-546), one limit at a time: what is not named stays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::{Class, Gate, Verdict};
use super::summary::{Line, Mood};
use super::{Error, Kind, Plan, Step, Undo};
use crate::model::quota::{CONNECTION, CONSUMER, Entity, LIMITS, MUTATION, PRODUCER, REQUEST};
use crate::model::snapshot::Snapshot;
use crate::model::{Moment, nearest};

/// What somebody wants of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub entity: Entity,
    /// By Kafka's name of the limit; `None` takes it away.
    pub edits: BTreeMap<String, Option<f64>>,
    /// What must be there now: of an undo, what was set by what it undoes.
    pub found: BTreeMap<String, Option<f64>>,
}

/// One act: every limit that the entity has or gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alter {
    pub entity: Entity,
    /// Sorted by name.
    pub limits: Vec<Limit>,
}

/// One limit before and after; `None` is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub name: String,
    pub before: Option<f64>,
    pub after: Option<f64>,
}

impl Alter {
    pub fn changes(&self) -> impl Iterator<Item = &Limit> {
        self.limits.iter().filter(|limit| limit.before != limit.after)
    }

    /// `set producer_byte_rate of user billing`.
    pub fn words(&self) -> String {
        let verb = if self.changes().all(|one| one.after.is_none()) {
            "unset"
        } else {
            "set"
        };
        let names: Vec<&str> = self.changes().map(|one| one.name.as_str()).collect();
        format!("{verb} {} of {}", names.join(", "), self.entity.words())
    }
}

/// Plans it. Needs the cluster and its quotas.
///
/// # Errors
/// When a limit does not exist or does not fit the entity, somebody changed it meanwhile, or it is so already.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    let own = own(snapshot, &wish.entity)?;
    for (name, value) in &wish.edits {
        check(&wish.entity, name, *value, own.contains_key(name))?;
        if let Some(found) = wish.found.get(name)
            && *found != own.get(name).copied()
        {
            return Err(Error::Impossible(format!(
                "{name} of {} is {} now and was {}: somebody has changed it since; nothing is taken back",
                wish.entity.words(),
                value_of(name, own.get(name).copied()),
                value_of(name, *found)
            )));
        }
    }
    let mut limits: BTreeMap<String, Limit> = BTreeMap::new();
    for (name, value) in &own {
        let limit = Limit {
            name: name.clone(),
            before: Some(*value),
            after: Some(*value),
        };
        limits.insert(name.clone(), limit);
    }
    for (name, value) in &wish.edits {
        let limit = Limit {
            name: name.clone(),
            before: own.get(name).copied(),
            after: *value,
        };
        limits.insert(name.clone(), limit);
    }
    let alter = Alter {
        entity: wish.entity.clone(),
        limits: limits
            .into_values()
            .filter(|one| one.before.is_some() || one.after.is_some())
            .collect(),
    };
    if alter.changes().next().is_none() {
        return Err(Error::Nothing(format!(
            "the quota of {} is so already",
            wish.entity.words()
        )));
    }
    let back = |one: &Limit| match one.before {
        None => format!("unset {}", one.name),
        Some(value) => format!("set {}={value}", one.name),
    };
    let how = alter.changes().map(back).collect::<Vec<_>>().join(", ");
    Ok(Plan {
        title: alter.words(),
        gates: vec![tighter(&alter)],
        undo: Undo::Full { how },
        steps: vec![Step::AlterQuotas(alter)],
        ..Plan::draft(snapshot, Kind::QuotaSet, context, now)?
    })
}

/// What a plan of this kind was made for.
pub fn wish_of(alter: &Alter) -> Wish {
    Wish {
        entity: alter.entity.clone(),
        edits: alter.changes().map(|one| (one.name.clone(), one.after)).collect(),
        found: BTreeMap::new(),
    }
}

/// The way back.
pub fn undoing(alter: &Alter) -> Wish {
    Wish {
        entity: alter.entity.clone(),
        edits: alter.changes().map(|one| (one.name.clone(), one.before)).collect(),
        found: alter.changes().map(|one| (one.name.clone(), one.after)).collect(),
    }
}

/// What is not as the plan saw it.
pub fn drift(alter: &Alter, snapshot: &Snapshot) -> Vec<String> {
    match own(snapshot, &alter.entity) {
        Err(error) => vec![error.to_string()],
        Ok(own) => {
            let changed = alter.changes().filter(|one| own.get(&one.name).copied() != one.before);
            let text = |one: &Limit| {
                let (was, is) = (
                    value_of(&one.name, one.before),
                    value_of(&one.name, own.get(&one.name).copied()),
                );
                format!("{} of {} was {was} and is {is}", one.name, alter.entity.words())
            };
            changed.map(text).collect()
        }
    }
}

/// Every limit, before and after.
pub fn lines(alter: &Alter) -> Vec<Line> {
    let head = Line {
        mood: Mood::Muted,
        text: format!("  {}", alter.entity.words()),
    };
    let row = |one: &Limit| {
        let (before, after) = (value_of(&one.name, one.before), value_of(&one.name, one.after));
        let (glyph, mood) = match (one.before, one.after) {
            (before, after) if before == after => (" ", Mood::Muted),
            (None, _) => ("+", Mood::Plain),
            (_, None) => ("-", Mood::Plain),
            _ => ("~", Mood::Plain),
        };
        let text = match one.before == one.after {
            true => format!("  {glyph} {}  {before}", one.name),
            false => format!("  {glyph} {}  {before} → {after}", one.name),
        };
        Line { mood, text }
    };
    std::iter::once(head).chain(alter.limits.iter().map(row)).collect()
}

fn own(snapshot: &Snapshot, entity: &Entity) -> Result<BTreeMap<String, f64>, Error> {
    let Some(quotas) = snapshot.quotas.get() else {
        return Err(Error::Blind {
            what: "the quotas",
            why: snapshot.quotas.problem().unwrap_or_default(),
        });
    };
    let found = quotas.iter().find(|quota| quota.entity == *entity);
    Ok(found.map(|quota| quota.limits.clone()).unwrap_or_default())
}

fn check(entity: &Entity, name: &str, value: Option<f64>, there: bool) -> Result<(), Error> {
    let fitting: Vec<&str> = LIMITS
        .into_iter()
        .filter(|limit| (*limit == CONNECTION) == entity.ip.is_some())
        .collect();
    let goes = there && value.is_none();
    if !goes && !fitting.contains(&name) {
        let near = nearest(name, fitting.iter().copied()).map(|near| format!("; did you mean {near}?"));
        return Err(Error::Impossible(format!(
            "there is no limit {name} of {}; there are {}{}",
            entity.words(),
            fitting.join(", "),
            near.unwrap_or_default()
        )));
    }
    match value {
        Some(value) if !(value.is_finite() && value > 0.0) => Err(Error::Impossible(format!(
            "{name} is a number above 0; quota unset takes a limit away"
        ))),
        Some(value) if [PRODUCER, CONSUMER, CONNECTION].contains(&name) && value.fract() != 0.0 => {
            Err(Error::Impossible(format!("{name} is a whole number")))
        }
        _ => Ok(()),
    }
}

/// `2 MB/s on each broker`.
fn value_of(name: &str, value: Option<f64>) -> String {
    let Some(value) = value else {
        return "no limit".to_owned();
    };
    match name {
        PRODUCER | CONSUMER => format!("{}/s on each broker", super::summary::size(Some(value as u64))),
        REQUEST => format!("{value} % of a thread on each broker"),
        MUTATION => format!("{value} partitions/s"),
        CONNECTION => format!("{value} connections/s on each broker"),
        _ => value.to_string(),
    }
}

/// Who is held to less than before is slowed at once.
fn tighter(alter: &Alter) -> Gate {
    let less: Vec<&str> = alter
        .changes()
        .filter(|one| match (one.before, one.after) {
            (None, Some(_)) => true,
            (Some(before), Some(after)) => after < before,
            _ => false,
        })
        .map(|one| one.name.as_str())
        .collect();
    let gate = |verdict, evidence| Gate::new("tighter", Class::Soft, verdict, evidence);
    match less.is_empty() {
        true => gate(Verdict::Pass, "nobody is held to less than before".to_owned()),
        false => gate(
            Verdict::Warn,
            format!(
                "{}: clients above it are slowed at once, by delayed answers",
                less.join(", ")
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;
    use crate::model::cluster::Cluster;
    use crate::model::quota::{Quota, Whom};

    fn now() -> Moment {
        Moment::from_second(1_700_000_000).unwrap()
    }

    fn billing() -> Entity {
        Entity {
            user: Some(Whom::Named("billing".into())),
            ..Entity::default()
        }
    }

    fn snapshot(limits: &[(&str, f64)]) -> Snapshot {
        let limits = limits.iter().map(|(name, value)| ((*name).to_owned(), *value));
        let quota = Quota {
            entity: billing(),
            limits: limits.collect(),
        };
        let cluster = Cluster {
            id: "c1".into(),
            controller: Some(1),
            brokers: Vec::new(),
            version: None,
        };
        Snapshot {
            cluster: Observed::fresh(cluster, now()),
            quotas: Observed::fresh(vec![quota], now()),
            ..Snapshot::default()
        }
    }

    fn wish(entity: Entity, edits: &[(&str, Option<f64>)]) -> Wish {
        Wish {
            entity,
            edits: edits.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            found: BTreeMap::new(),
        }
    }

    #[test]
    fn limits_are_shown_with_their_units_and_the_others_stay() {
        let before = snapshot(&[(PRODUCER, 2e6), (REQUEST, 50.0)]);
        let plan = plan(
            &before,
            &wish(billing(), &[(PRODUCER, Some(1e6)), (CONSUMER, Some(3e6))]),
            "dev",
            now(),
        )
        .unwrap();
        let Step::AlterQuotas(alter) = &plan.steps[0] else {
            panic!()
        };
        let text: Vec<String> = lines(alter).into_iter().map(|line| line.text).collect();
        assert_eq!(
            text,
            [
                "  user billing",
                "  + consumer_byte_rate  no limit → 3.0 MB/s on each broker",
                "  ~ producer_byte_rate  2.0 MB/s on each broker → 1.0 MB/s on each broker",
                "    request_percentage  50 % of a thread on each broker",
            ]
        );
        assert_eq!(plan.gates[0].verdict, Verdict::Warn);
        let how = "unset consumer_byte_rate, set producer_byte_rate=2000000".to_owned();
        assert_eq!(plan.undo, Undo::Full { how });
        assert!(drift(alter, &before).is_empty());
        assert_eq!(drift(alter, &snapshot(&[(PRODUCER, 5e6)])).len(), 1);
        let back = undoing(alter);
        let after = snapshot(&[(PRODUCER, 1e6), (CONSUMER, 3e6), (REQUEST, 50.0)]);
        let undone = super::plan(&after, &back, "dev", now()).unwrap();
        assert_eq!(
            undone.title,
            "set consumer_byte_rate, producer_byte_rate of user billing"
        );
        assert!(super::plan(&snapshot(&[(PRODUCER, 9e6)]), &back, "dev", now()).is_err());
    }

    #[test]
    fn a_limit_must_fit_whom_it_is_for() {
        let refusal = |entity: Entity, edits: &[(&str, Option<f64>)]| {
            plan(&snapshot(&[]), &wish(entity, edits), "dev", now())
                .unwrap_err()
                .to_string()
        };
        let text = refusal(billing(), &[("producer_byte_rat", Some(1.0))]);
        assert!(text.ends_with("did you mean producer_byte_rate?"), "{text}");
        let ip = Entity {
            ip: Some(Whom::Default),
            ..Entity::default()
        };
        assert!(refusal(ip, &[(PRODUCER, Some(1.0))]).contains("there are connection_creation_rate"));
        assert!(refusal(billing(), &[(PRODUCER, Some(0.0))]).contains("above 0"));
        assert!(refusal(billing(), &[(PRODUCER, None)]).contains("so already"));
    }
}
