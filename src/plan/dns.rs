//! Plans that move clients between two clusters by the weights of a name's record sets (Route 53, "Weighted routing").
//!
//! Promises: all sets of the name change in one batch, which Route 53 carries out whole or not at all; what was there before is in
//! the plan, and so in the journal; nothing is ever deleted, so that a policy with UPSERT alone will do. Route 53 has no DryRun:
//! the difference is shown instead.

mod gate;
mod still;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::summary::{Line, Mood};
use super::{Error, Kind, Plan, Step, Undo, known};
use crate::model::Moment;
use crate::model::dns::{RecordSet, Records, Zone, plain};
use crate::model::ends::Ends;
use crate::model::snapshot::Snapshot;

pub use still::{Still, StillGroup, StillTopic, still};

/// Answers may be kept for so long by resolvers that keep them at all. Source: aws.md's blue/green flow; Route 53 developer guide,
/// "Choosing between alias and non-alias records" says 60 s for what must move fast.
pub const LONGEST_TTL_SECONDS: i64 = 60;

/// What somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub record: String,
    /// The hosted zone, where its name does not tell.
    pub zone: Option<String>,
    pub want: Want,
    /// What the zone has of it, once it was asked.
    pub found: Result<Records, String>,
    /// The cluster that clients move to, once it was looked at.
    pub green: Option<Green>,
}

/// What the record sets shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Weights by set identifier, and what sets that do not exist yet shall answer.
    Weights {
        weights: Vec<(String, i64)>,
        targets: Vec<(String, String)>,
    },
    /// As they were before an operation changed them.
    Back(Box<Back>),
}

/// What takes a switch back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// Its name, as the journal has it.
    pub operation: String,
    /// As it left them.
    pub from: Vec<RecordSet>,
    /// As they were.
    pub to: Vec<RecordSet>,
    /// What was written there by then.
    pub mark: Option<Mark>,
}

/// The cluster that clients move to, as it was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Green {
    pub context: String,
    /// Whether a record went through every leader that was tried, or why that is not known.
    pub probe: Result<String, String>,
    /// What one cluster has and the other lacks, named; or why that is not known.
    pub differences: Result<Vec<String>, String>,
    pub mark: Result<Mark, String>,
}

/// How far the topics of a cluster were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    pub context: String,
    pub cluster_id: String,
    /// Topic to the sum of its partitions' end offsets.
    pub end_offsets: BTreeMap<String, i64>,
}

/// One step of such a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// All sets at once; done when every server of Route 53 answers so.
    Switch(Switch),
    /// Until what resolvers keep has run out.
    Settle { record: String, seconds: u64 },
}

/// Record sets as they were seen, and as they shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    pub zone: Zone,
    pub record: String,
    pub from: Vec<RecordSet>,
    pub to: Vec<RecordSet>,
    /// How far green was written when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

impl Wish {
    pub fn new(record: &str, zone: Option<&str>, want: Want) -> Self {
        Self {
            record: plain(record),
            zone: zone.map(ToOwned::to_owned),
            want,
            found: Err("Route 53 was not asked".to_owned()),
            green: None,
        }
    }
}

impl Mark {
    /// Records written since to topics that are still there; `None` of another cluster.
    pub fn written_since(&self, before: &Self) -> Option<i64> {
        if self.cluster_id != before.cluster_id {
            return None;
        }
        let more = |(topic, end): (&String, &i64)| (end - before.end_offsets.get(topic).unwrap_or(&0)).max(0);
        Some(self.end_offsets.iter().map(more).sum())
    }

    /// Of what a snapshot tells; internal topics and the probe's are left out, because nobody's records are in them.
    pub fn of(snapshot: &Snapshot, context: &str) -> Result<Self, String> {
        let cluster = snapshot
            .cluster
            .get()
            .ok_or_else(|| snapshot.cluster.problem().unwrap_or_default())?;
        let ends = Ends::of(snapshot);
        let is_ours = |name: &str| snapshot.probe_topic.as_deref() == Some(name);
        let mut end_offsets = BTreeMap::new();
        for topic in snapshot
            .topics()
            .iter()
            .filter(|topic| !topic.internal && !is_ours(&topic.name))
        {
            let mut sum = 0;
            for partition in &topic.partitions {
                let told = ends.get(&topic.name, partition.partition);
                let unseen = || format!("the end of {}-{} was not seen", topic.name, partition.partition);
                sum += told.ok_or_else(unseen)?.span.end;
            }
            end_offsets.insert(topic.name.clone(), sum);
        }
        Ok(Self {
            context: context.to_owned(),
            cluster_id: cluster.id.clone(),
            end_offsets,
        })
    }
}

/// Works it out. Needs the cluster, and what the wish was told beside.
///
/// # Errors
/// When there is no such record, it is routed by something else than weights, or nothing would change.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.cluster, "the cluster")?;
    let records = wish.found.as_ref().map_err(|why| Error::Blind {
        what: "the record sets",
        why: why.clone(),
    })?;
    let from = records.sets.clone();
    let to = match &wish.want {
        Want::Weights { weights, targets } => weighted(&wish.record, &from, weights, targets)?,
        Want::Back(back) => before(&wish.record, &from, back)?,
    };
    if from == to {
        return Err(Error::Nothing(format!("{} has these weights already", wish.record)));
    }
    let switch = Switch {
        zone: records.zone.clone(),
        record: wish.record.clone(),
        mark: wish.green.as_ref().and_then(|green| green.mark.clone().ok()),
        from,
        to,
    };
    // What was answered before may be kept as long as it said itself.
    let seconds = switch
        .from
        .iter()
        .chain(&switch.to)
        .filter_map(|set| set.ttl_seconds)
        .max();
    let settle = Act::Settle {
        record: wish.record.clone(),
        seconds: seconds.unwrap_or(LONGEST_TTL_SECONDS).unsigned_abs(),
    };
    let (kind, undo) = match &wish.want {
        Want::Weights { .. } => (Kind::DnsSwitch, undo(&switch)),
        Want::Back(back) => (Kind::DnsRollback, left_behind(back, wish)),
    };
    Ok(Plan {
        title: format!("{}: {}", wish.record, weights(&switch.to)),
        gates: gate::gates(snapshot, wish, &switch, now),
        undo,
        steps: vec![Step::Dns(Act::Switch(switch)), Step::Dns(settle)],
        ..Plan::draft(snapshot, kind, context, now)?
    })
}

fn weighted(
    record: &str,
    from: &[RecordSet],
    weights: &[(String, i64)],
    targets: &[(String, String)],
) -> Result<Vec<RecordSet>, Error> {
    let Some(first) = from.first() else {
        return Err(Error::Impossible(format!("there is no record {record} in this zone")));
    };
    if let Some(other) = from.iter().find(|set| set.weight.is_none()) {
        let how = match other.set {
            None => {
                "a simple record, which Route 53 lets nothing be beside: delete it and make weighted ones in one batch, once, by hand"
            }
            Some(_) => "routed by something else than weights",
        };
        return Err(Error::Impossible(format!("{record} ({}) is {how}", other.kind)));
    }
    let mut to = from.to_vec();
    let mut unused: Vec<&(String, String)> = targets.iter().collect();
    for (name, weight) in weights {
        if !(0..=255).contains(weight) {
            return Err(Error::Impossible(format!(
                "a weight is 0 to 255, and {name} shall have {weight}"
            )));
        }
        let target = targets.iter().find(|(set, _)| set == name).map(|(_, target)| target);
        unused.retain(|(set, _)| set != name);
        let mut alike = to.iter_mut().filter(|set| set.set.as_ref() == Some(name)).peekable();
        match (alike.peek().is_some(), target) {
            (true, None) => alike.for_each(|set| set.weight = Some(*weight)),
            (true, Some(target)) => {
                return Err(Error::Impossible(format!(
                    "{record} has a set {name} already, so --target {name}={target} is not needed"
                )));
            }
            (false, Some(target)) if first.kind == "CNAME" => to.push(RecordSet {
                set: Some(name.clone()),
                weight: Some(*weight),
                values: vec![plain(target)],
                alias: None,
                health_check: None,
                ttl_seconds: first.ttl_seconds.or(Some(LONGEST_TTL_SECONDS)),
                ..first.clone()
            }),
            (false, Some(_)) => {
                return Err(Error::Impossible(format!(
                    "{record} is of type {}, and --target makes CNAMEs",
                    first.kind
                )));
            }
            (false, None) => {
                let there: Vec<&str> = from.iter().map(RecordSet::title).collect();
                return Err(Error::Impossible(format!(
                    "{record} has no set {name}, but {}; --target {name}=HOST makes one",
                    there.join(", ")
                )));
            }
        }
    }
    if let Some((name, _)) = unused.first() {
        return Err(Error::Impossible(format!(
            "--target {name}=… has no weight: add {name}=N to --weights"
        )));
    }
    Ok(to)
}

/// As they were. Sets that the switch made are kept, without any weight.
fn before(record: &str, now: &[RecordSet], back: &Back) -> Result<Vec<RecordSet>, Error> {
    let strange = now
        .iter()
        .find(|set| !back.from.contains(set) && !back.to.contains(set));
    if let Some(set) = strange {
        return Err(Error::Impossible(format!(
            "{record} {} is {} with weight {}, as neither operation {} nor what was before it left it: somebody has changed it since; azimuth dns switch sets weights",
            set.title(),
            set.answer(),
            set.weight.unwrap_or_default(),
            back.operation
        )));
    }
    let mut to = back.to.clone();
    for made in now.iter().filter(|set| !back.to.iter().any(|old| old.is_same(set))) {
        to.push(RecordSet {
            weight: Some(0),
            ..made.clone()
        });
    }
    Ok(to)
}

fn undo(switch: &Switch) -> Undo {
    Undo::Partial {
        how: format!(
            "azimuth dns rollback sets {}; what was written meanwhile stays where it was written",
            weights(&switch.from)
        ),
    }
}

/// What a way back leaves on the other side.
fn left_behind(back: &Back, wish: &Wish) -> Undo {
    let there = back
        .mark
        .as_ref()
        .map_or("the other cluster", |mark| mark.context.as_str());
    let written = match (&back.mark, wish.green.as_ref().map(|green| &green.mark)) {
        (Some(before), Some(Ok(now))) => now.written_since(before),
        _ => None,
    };
    let what = match written {
        Some(0) => format!("no record was written to {there} since the switch"),
        Some(1) => format!("1 record written to {there} since the switch stays there"),
        Some(records) => format!("{records} records written to {there} since the switch stay there"),
        None => format!("how many records were written to {there} since the switch is not known; they stay there"),
    };
    Undo::Partial {
        how: format!("azimuth dns rollback of this operation; {what}"),
    }
}

/// `blue 90, green 10`.
fn weights(sets: &[RecordSet]) -> String {
    let mut told: Vec<String> = Vec::new();
    for set in sets {
        let one = format!("{} {}", set.title(), set.weight.unwrap_or_default());
        if !told.contains(&one) {
            told.push(one);
        }
    }
    told.join(", ")
}

/// What such a plan is for, so that it can be looked at again.
pub(super) fn wish_of(plan: &Plan) -> Wish {
    let switch = plan.steps.iter().find_map(|step| match step {
        Step::Dns(Act::Switch(switch)) => Some(switch),
        _ => None,
    });
    let Some(switch) = switch else {
        return Wish::new(
            "",
            None,
            Want::Weights {
                weights: Vec::new(),
                targets: Vec::new(),
            },
        );
    };
    let back = Back {
        operation: String::new(),
        from: switch.from.clone(),
        to: switch.to.clone(),
        mark: switch.mark.clone(),
    };
    Wish::new(&switch.record, Some(&switch.zone.id), Want::Back(Box::new(back)))
}

/// What takes a switch back, of a plan that has one.
pub fn undoing(operation: &str, steps: &[&Step]) -> Option<Wish> {
    let switch = steps.iter().find_map(|step| match step {
        Step::Dns(Act::Switch(switch)) => Some(switch),
        _ => None,
    })?;
    let back = Back {
        operation: operation.to_owned(),
        from: switch.to.clone(),
        to: switch.from.clone(),
        mark: switch.mark.clone(),
    };
    Some(Wish::new(
        &switch.record,
        Some(&switch.zone.id),
        Want::Back(Box::new(back)),
    ))
}

impl Act {
    pub fn record(&self) -> &str {
        match self {
            Self::Switch(Switch { record, .. }) | Self::Settle { record, .. } => record,
        }
    }

    /// For a list of steps.
    pub fn name(&self) -> String {
        match self {
            Self::Switch(switch) => format!("{} answers {}", switch.record, weights(&switch.to)),
            Self::Settle { record, seconds } => {
                format!("wait {seconds} s until resolvers ask for {record} again")
            }
        }
    }

    /// The difference, set by set.
    pub(super) fn lines(&self) -> Vec<Line> {
        let line = |text| Line {
            mood: Mood::Plain,
            text,
        };
        let Self::Switch(switch) = self else {
            return vec![line(format!("  {}", self.name()))];
        };
        let kind = if switch.zone.private {
            "private zone"
        } else {
            "public zone"
        };
        let mut lines = vec![line(format!(
            "  {kind} {} ({}), in one batch:",
            switch.zone.name, switch.zone.id
        ))];
        for set in &switch.to {
            let share = Records::share_percent(&switch.to, set);
            let was = switch.from.iter().find(|old| old.is_same(set));
            let weight = set.weight.unwrap_or_default();
            let change = match was.map(|was| (was, was.weight.unwrap_or_default())) {
                None => format!("+ weight {weight}"),
                Some((was, _)) if was == set => format!("  weight {weight}, as it is"),
                Some((_, was)) => format!("  weight {was} → {weight}"),
            };
            let ttl = set.ttl_seconds.map(|ttl| format!("  TTL {ttl} s")).unwrap_or_default();
            lines.push(line(format!(
                "  {change}  {} {} {} → {}  {share:.0} % of answers{ttl}",
                set.name,
                set.kind,
                set.title(),
                set.answer()
            )));
        }
        lines
    }
}
