//! Plans that finalize a level of a feature for the whole cluster (KIP-584, KIP-778): what a new version brings is used from
//! then on, and the old version can no longer be started.

use serde::{Deserialize, Serialize};

use super::gate::{Class, Gate, Verdict, few};
use super::{Error, Kind, Plan, Step, Undo, known};
use crate::model::feature::{Feature, Features, METADATA_VERSION};
use crate::model::snapshot::Snapshot;
use crate::model::{Moment, nearest};

/// What somebody wants finalized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub name: String,
    /// The highest that every broker speaks, where none is given.
    pub level: Option<i16>,
    /// What the brokers tell; filled in when they were asked.
    pub found: Result<Features, String>,
}

/// One act: one feature at another level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finalize {
    pub name: String,
    /// As it was seen; 0 is off.
    pub from: i16,
    pub to: i16,
}

impl Wish {
    pub fn new(name: &str, level: Option<i16>) -> Self {
        Self {
            name: name.to_owned(),
            level,
            found: Err("no broker was asked".to_owned()),
        }
    }
}

impl Finalize {
    /// Whether a level is taken back.
    pub fn is_lower(&self) -> bool {
        self.to < self.from
    }

    /// `finalize metadata.version at level 30`.
    pub fn words(&self) -> String {
        match self.to {
            0 => format!("turn {} off", self.name),
            to => format!("finalize {} at level {to}", self.name),
        }
    }

    pub(super) fn line(&self) -> String {
        let level = |level: i16| match level {
            0 => "off".to_owned(),
            level => format!("level {level}"),
        };
        format!(
            "  {}  {} → {}, on every broker at once",
            self.name,
            level(self.from),
            level(self.to)
        )
    }
}

/// Works it out. Needs the cluster, and what the brokers told.
///
/// # Errors
/// When no broker speaks such a feature, or nothing would change.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.cluster, "the cluster")?;
    let features = wish.found.as_ref().map_err(|why| Error::Blind {
        what: "the features of the brokers",
        why: why.clone(),
    })?;
    let all = features.all();
    let feature = all
        .iter()
        .find(|one| one.name == wish.name)
        .ok_or_else(|| stranger(&wish.name, &all))?;
    let to = match (wish.level, feature.highest()) {
        (Some(level), _) => level,
        (None, Some(highest)) => highest.max(feature.finalized),
        (None, None) => {
            return Err(Error::Impossible(format!(
                "the brokers have no level of {} in common; finish the upgrade first",
                wish.name
            )));
        }
    };
    if to < 0 {
        return Err(Error::Impossible("a level is 0 (off) or above".to_owned()));
    }
    let step = Finalize {
        name: wish.name.clone(),
        from: feature.finalized,
        to,
    };
    if step.from == to {
        return Err(Error::Nothing(format!("{} is at level {to} already", wish.name)));
    }
    Ok(Plan {
        title: step.words(),
        gates: gates(features, feature, &step),
        undo: undo(&step),
        steps: vec![Step::Finalize(step)],
        ..Plan::draft(snapshot, Kind::FeatureFinalize, context, now)?
    })
}

fn stranger(name: &str, all: &[Feature]) -> Error {
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", names.join(", ")),
    };
    Error::Impossible(format!("no broker speaks a feature {name}; {hint}"))
}

/// `metadata.version` is a way without return: Kafka goes back only where no metadata is lost, which it rarely is.
fn undo(step: &Finalize) -> Undo {
    let back = format!("azimuth feature finalize {} --level {}", step.name, step.from);
    match step.name.as_str() {
        _ if step.is_lower() => Undo::Full { how: back },
        METADATA_VERSION => Undo::None {
            why: format!(
                "brokers of the old version no longer start; {back} only where Kafka finds that no metadata is lost"
            ),
        },
        _ => Undo::Partial {
            how: format!("{back}, where Kafka finds that nothing is lost; the controller decides"),
        },
    }
}

fn gates(features: &Features, feature: &Feature, step: &Finalize) -> Vec<Gate> {
    let lacking: Vec<String> = features
        .brokers
        .iter()
        .filter_map(|(id, told)| {
            let (min, max) = told.as_ref().ok()?.speaks.get(&feature.name).copied().unwrap_or((0, 0));
            (!(min..=max).contains(&step.to)).then(|| format!("broker {id} speaks {min} to {max}"))
        })
        .collect();
    let spoken = match lacking.is_empty() {
        true => Gate::new(
            "spoken",
            Class::Hard,
            Verdict::Pass,
            format!("every broker that answers speaks level {}", step.to),
        ),
        false => Gate::new("spoken", Class::Hard, Verdict::Fail, few(&lacking)),
    };
    let silent: Vec<String> = features
        .silent()
        .map(|(id, why)| format!("broker {id}: {why}"))
        .collect();
    let answered = match silent.is_empty() {
        true => Gate::new(
            "answered",
            Class::Soft,
            Verdict::Pass,
            "every broker told what it speaks",
        ),
        // One that is away and old would not come back.
        false => Gate::new("answered", Class::Soft, Verdict::Unknown, few(&silent)),
    };
    vec![spoken, answered]
}

/// What takes it back.
pub(super) fn undoing(step: &Finalize) -> Wish {
    Wish::new(&step.name, Some(step.from))
}

/// What a plan of it is for.
pub(super) fn wish_of(step: &Finalize) -> Wish {
    Wish::new(&step.name, Some(step.to))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Observed;
    use crate::model::cluster::Cluster;
    use crate::model::feature::Told;

    fn now() -> Moment {
        Moment::from_second(1_700_000_000).unwrap()
    }

    fn told(name: &str, speaks: (i16, i16), finalized: i16) -> Result<Told, String> {
        Ok(Told {
            speaks: BTreeMap::from([(name.to_owned(), speaks)]),
            finalized: BTreeMap::from([(name.to_owned(), finalized)]),
            release: None,
        })
    }

    fn made(name: &str, level: Option<i16>, brokers: Vec<Result<Told, String>>) -> Result<Plan, Error> {
        let cluster = Cluster {
            id: "c1".into(),
            controller: Some(1),
            brokers: Vec::new(),
            version: None,
        };
        let snapshot = Snapshot {
            cluster: Observed::fresh(cluster, now()),
            ..Snapshot::default()
        };
        let wish = Wish {
            found: Ok(Features {
                brokers: (1..).zip(brokers).collect(),
            }),
            ..Wish::new(name, level)
        };
        plan(&snapshot, &wish, "dev", now())
    }

    fn verdicts(plan: &Plan) -> Vec<(&str, Verdict)> {
        plan.gates
            .iter()
            .map(|gate| (gate.name.as_str(), gate.verdict))
            .collect()
    }

    #[test]
    fn the_highest_that_all_speak_is_finalized_and_the_release_has_no_way_back() {
        let brokers = vec![
            told("metadata.version", (7, 30), 27),
            told("metadata.version", (7, 29), 27),
        ];
        let plan = made("metadata.version", None, brokers).unwrap();
        assert_eq!(plan.title, "finalize metadata.version at level 29");
        assert!(plan.wants_name(), "{:?}", plan.undo);
        assert_eq!(
            verdicts(&plan),
            [("spoken", Verdict::Pass), ("answered", Verdict::Pass)]
        );
        let brokers = vec![told("t", (0, 2), 0)];
        let plan = made("t", Some(1), brokers).unwrap();
        assert!(matches!(&plan.undo, Undo::Partial { how } if how.contains("feature finalize t --level 0")));
    }

    #[test]
    fn what_a_broker_does_not_speak_is_refused_and_one_that_is_silent_holds_it_up() {
        let brokers = vec![told("t", (0, 2), 1), told("t", (0, 1), 1), Err("down".to_owned())];
        let plan = made("t", Some(2), brokers.clone()).unwrap();
        assert_eq!(
            verdicts(&plan),
            [("spoken", Verdict::Fail), ("answered", Verdict::Unknown)]
        );
        let why = made("t", None, brokers.clone()).unwrap_err().to_string();
        assert!(why.contains("level 1 already"), "{why}");
        let why = made("u", None, brokers).unwrap_err().to_string();
        assert!(why.contains("there are t") || why.contains("did you mean t"), "{why}");
        let why = made("t", None, vec![told("t", (1, 1), 1), told("t", (2, 2), 1)])
            .unwrap_err()
            .to_string();
        assert!(why.contains("in common"), "{why}");
    }
}
