//! Plans that add and remove rules: what a file says against what the cluster has, with who gains and loses what.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Settings;
use super::effect::{self, Effect, Lockout, Turn};
use super::text::{Text, merged};
use crate::model::acl::{Acls, Operation, ResourceKind, Rule};
use crate::model::group::Group;
use crate::model::{Moment, Snapshot};
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::summary::{Line, Mood, plural};
use crate::plan::{Error, Kind, Plan, Step, Undo};

/// What somebody wants the rules to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// What a file says; with `prune` what is in its scope and not in it goes.
    Text { text: Text, prune: bool },
    /// These and no others: of a plan that was saved, or of an undo.
    Exactly {
        add: Vec<Rule>,
        remove: Vec<Rule>,
        whole: bool,
    },
}

/// Rules of one act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    pub rules: Vec<Rule>,
    /// Who gains and loses by the whole change; with the first act of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// Groups with members that read what somebody can no longer read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<String>,
    /// They are what `scope all` leaves out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

/// A file against the cluster's rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub add: Vec<Rule>,
    pub remove: Vec<Rule>,
    /// ACLs that are there already.
    pub same: usize,
}

/// So many rules of each act are listed; the file holds all.
const LISTED: usize = 40;

impl Difference {
    /// What the text has that the cluster has not, and what the cluster has in the text's scope that the text has not.
    pub fn of(text: &Text, acls: &Acls) -> Self {
        let wanted = by_key(&text.rules);
        let there = by_key(&acls.rules);
        let mut difference = Self::default();
        for (key, operations) in &wanted {
            let missing: Vec<Operation> = match there.get(key) {
                None => operations.iter().copied().collect(),
                Some(own) => operations.difference(own).copied().collect(),
            };
            difference.same += operations.len() - missing.len();
            difference.add.extend(with(key, missing));
        }
        for (key, operations) in there.iter().filter(|(key, _)| text.has(key)) {
            let surplus: Vec<Operation> = match wanted.get(key) {
                None => operations.iter().copied().collect(),
                Some(own) => operations.difference(own).copied().collect(),
            };
            difference.remove.extend(with(key, surplus));
        }
        difference
    }

    pub fn is_none(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

/// Rules by all that is not their operations; those of the key stay as they were.
fn by_key(rules: &[Rule]) -> BTreeMap<Key<'_>, BTreeSet<Operation>> {
    let mut all: BTreeMap<Key<'_>, BTreeSet<Operation>> = BTreeMap::new();
    for rule in rules {
        all.entry(Key(rule)).or_default().extend(&rule.operations);
    }
    all
}

fn with(key: &Key<'_>, operations: Vec<Operation>) -> Option<Rule> {
    (!operations.is_empty()).then(|| Rule {
        operations,
        ..key.0.clone()
    })
}

/// A rule whatever its operations.
#[derive(Clone, Copy)]
struct Key<'a>(&'a Rule);

impl<'a> Key<'a> {
    fn parts(&self) -> impl Ord + 'a {
        let rule = self.0;
        let (resource, pattern, permission) = (rule.resource, rule.pattern, rule.permission);
        (resource, pattern, &rule.name, &rule.principal, &rule.host, permission)
    }
}

impl std::ops::Deref for Key<'_> {
    type Target = Rule;

    fn deref(&self) -> &Rule {
        self.0
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key<'_> {}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.parts().cmp(&other.parts())
    }
}

/// Plans it. Needs the cluster, its rules, the brokers' configs and the groups; and who we are, where that can be told.
///
/// # Errors
/// When there is no authorizer, or it is so already.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    let acls = told(snapshot)?;
    let (add, remove, whole) = match wish {
        Wish::Text { text, prune } => {
            let difference = Difference::of(text, acls);
            if difference.is_none() {
                return Err(Error::Nothing(format!(
                    "the cluster has these {} ACLs already",
                    difference.same
                )));
            }
            if difference.add.is_empty() && !prune {
                let surplus = plural(difference.remove.len(), "rule");
                return Err(Error::Nothing(format!(
                    "nothing is to be added; {surplus} of the scope would be removed with --prune"
                )));
            }
            let remove = if *prune { difference.remove } else { Vec::new() };
            (difference.add, remove, *prune && text.is_of_all())
        }
        Wish::Exactly { add, remove, whole } => {
            let there = |rules: &[Rule], wanted: bool| changes(rules, acls, wanted);
            let (add, remove) = (there(add, false), there(remove, true));
            if add.is_empty() && remove.is_empty() {
                return Err(Error::Nothing("the rules are so already".to_owned()));
            }
            (add, remove, *whole)
        }
    };
    let settings = Settings::of(snapshot);
    let after = effect::after(acls, &add, &remove);
    let turn = Turn::new(acls, &after, &settings);
    let effects = turn.effects(add.iter().chain(&remove));
    let readers = readers(snapshot, &effects);
    let gates = vec![
        lockout(&turn, acls, &after, snapshot.principal.as_deref()),
        inter_broker(&turn, acls, &after),
        losses(&effects, &readers),
    ];
    let how = match (add.len(), remove.len()) {
        (0, removed) => format!("add {} again", plural(removed, "rule")),
        (added, 0) => format!("remove {} again", plural(added, "rule")),
        (added, removed) => format!("remove {} and add {removed} again", plural(added, "rule")),
    };
    let title = match (add.len(), remove.len()) {
        (added, 0) => format!("add {}", plural(added, "rule")),
        (0, removed) => format!("remove {}", plural(removed, "rule")),
        (added, removed) => format!("add {} and remove {removed}", plural(added, "rule")),
    };
    Ok(Plan {
        title,
        steps: steps(add, remove, effects, readers, whole),
        gates,
        undo: Undo::Full { how },
        ..Plan::draft(snapshot, Kind::AclApply, context, now)?
    })
}

/// Of these rules what is there, or what is not.
fn changes(rules: &[Rule], acls: &Acls, wanted: bool) -> Vec<Rule> {
    let there = by_key(&acls.rules);
    let own = by_key(rules);
    let left = own.iter().filter_map(|(key, operations)| {
        let has = |operation: &&Operation| there.get(key).is_some_and(|own| own.contains(operation));
        with(
            key,
            operations
                .iter()
                .filter(|operation| has(operation) == wanted)
                .copied()
                .collect(),
        )
    });
    left.collect()
}

/// Additions first; they are read back before anything goes.
fn steps(add: Vec<Rule>, remove: Vec<Rule>, effects: Vec<Effect>, readers: Vec<String>, whole: bool) -> Vec<Step> {
    let mut told = Some((effects, readers));
    let mut lines = |rules: Vec<Rule>| {
        let (effects, readers) = told.take().unwrap_or_default();
        Lines {
            rules,
            effects,
            readers,
            whole,
        }
    };
    let mut steps = Vec::new();
    if !add.is_empty() {
        steps.push(Step::AddAcls(lines(add)));
    }
    if !remove.is_empty() {
        steps.push(Step::RemoveAcls(lines(remove)));
    }
    steps
}

/// What a plan of this kind was made for.
pub fn wish_of(plan: &Plan) -> Wish {
    let (mut add, mut remove, mut whole) = (Vec::new(), Vec::new(), false);
    for step in &plan.steps {
        match step {
            Step::AddAcls(lines) => add.extend_from_slice(&lines.rules),
            Step::RemoveAcls(lines) => {
                remove.extend_from_slice(&lines.rules);
                whole |= lines.whole;
            }
            _ => {}
        }
    }
    Wish::Exactly { add, remove, whole }
}

/// The way back of these steps.
pub fn undoing(steps: &[&Step]) -> Wish {
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::AddAcls(lines) => remove.extend_from_slice(&lines.rules),
            Step::RemoveAcls(lines) => add.extend_from_slice(&lines.rules),
            _ => {}
        }
    }
    Wish::Exactly {
        add,
        remove,
        whole: false,
    }
}

/// What is not as the plan saw it: a rule that is there already, or gone already.
pub fn drift(step: &Step, snapshot: &Snapshot) -> Vec<String> {
    let (lines, wanted, what) = match step {
        Step::AddAcls(lines) => (lines, true, "somebody has added"),
        Step::RemoveAcls(lines) => (lines, false, "somebody has removed"),
        _ => return Vec::new(),
    };
    match told(snapshot) {
        Err(error) => vec![error.to_string()],
        Ok(acls) => {
            let changed = changes(&lines.rules, acls, wanted);
            let shown: Vec<String> = changes_words(&changed);
            shown.into_iter().map(|rule| format!("{what} {rule}")).collect()
        }
    }
}

fn changes_words(rules: &[Rule]) -> Vec<String> {
    rules.iter().map(Rule::to_string).collect()
}

fn told(snapshot: &Snapshot) -> Result<&Acls, Error> {
    match snapshot.acls.get() {
        Some(acls) if !acls.authorizer => Err(Error::Impossible(
            "the cluster has no authorizer (SECURITY_DISABLED): set authorizer.class.name on its brokers first"
                .to_owned(),
        )),
        Some(acls) => Ok(acls),
        None => Err(Error::Blind {
            what: "the access rules",
            why: snapshot.acls.problem().unwrap_or_default(),
        }),
    }
}

fn lockout(turn: &Turn<'_>, before: &Acls, after: &Acls, own: Option<&str>) -> Gate {
    let gate = |verdict, evidence: String| Gate::new("lockout", Class::Soft, verdict, evidence);
    match (effect::lockout(turn, before, after, own), own) {
        (Lockout::No, Some(own)) => gate(
            Verdict::Pass,
            format!("{own}, which is you, keeps what it may do on the cluster"),
        ),
        (Lockout::No, None) => gate(Verdict::Pass, "nobody loses a right on the cluster".to_owned()),
        (Lockout::Yes(own, lost), _) => gate(
            Verdict::Fail,
            format!("{own}, which is you, can no longer {} on the cluster", words(&lost)),
        ),
        (Lockout::Unknown(who), _) => gate(
            Verdict::Unknown,
            format!(
                "{who} loses rights on the cluster, and your own principal comes from a certificate that brokers map"
            ),
        ),
    }
}

fn inter_broker(turn: &Turn<'_>, before: &Acls, after: &Acls) -> Gate {
    let cut = effect::brokers_cut_off(turn, before, after);
    Gate::none_of(
        "inter-broker",
        Class::Soft,
        &cut,
        "who has ClusterAction keeps it",
        "lose ClusterAction, and brokers that log in so no longer fetch from each other",
    )
}

fn losses(effects: &[Effect], readers: &[String]) -> Gate {
    let losers: BTreeSet<&str> = effects
        .iter()
        .filter(|one| !one.gains)
        .map(|one| one.principal.as_str())
        .collect();
    let losers: Vec<String> = losers.into_iter().map(str::to_owned).collect();
    let gate = |verdict, evidence| Gate::new("losses", Class::Soft, verdict, evidence);
    if losers.is_empty() {
        return gate(Verdict::Pass, "nobody loses anything".to_owned());
    }
    let reading = match readers {
        [] => String::new(),
        some => format!("; groups that read there now: {}", few(some)),
    };
    gate(
        Verdict::Warn,
        format!(
            "{}: {}{reading}; producers ? not visible to Kafka",
            plural(losers.len(), "principal"),
            few(&losers)
        ),
    )
}

/// Groups with members that read a topic, or are a group, on which somebody loses reading.
fn readers(snapshot: &Snapshot, effects: &[Effect]) -> Vec<String> {
    let lost: Vec<&Effect> = effects
        .iter()
        .filter(|one| !one.gains && one.operations.contains(&Operation::Read))
        .collect();
    if lost.is_empty() {
        return Vec::new();
    }
    let Some(groups) = snapshot.groups.get() else {
        let why = snapshot.groups.problem().unwrap_or_default();
        return vec![format!("? groups are not known: {why}")];
    };
    let about = |kind: ResourceKind, name: &str| {
        lost.iter().any(|one| {
            let target = one.target.split(" from ").next().unwrap_or_default();
            let target = target
                .strip_prefix(&format!("{kind} "))
                .filter(|_| one.resource == kind);
            target.is_some_and(|target| match target.strip_prefix("prefix ") {
                Some(prefix) => name.starts_with(prefix.trim_matches('"')),
                None => target == "*" || target.trim_matches('"') == name,
            })
        })
    };
    let reads = |group: &Group| {
        let topics = group.members.iter().flat_map(|member| &member.assignment);
        !group.members.is_empty()
            && (about(ResourceKind::Group, &group.name)
                || topics.into_iter().any(|(topic, _)| about(ResourceKind::Topic, topic)))
    };
    groups
        .iter()
        .filter(|group| reads(group))
        .map(|group| group.name.clone())
        .collect()
}

fn words(operations: &[Operation]) -> String {
    operations
        .iter()
        .map(Operation::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// The rules of an act, then who gains and who loses.
pub fn lines(lines: &Lines, sign: char) -> Vec<Line> {
    let line = |mood, text: String| Line { mood, text };
    let mood = if sign == '+' { Mood::Pass } else { Mood::Fail };
    let mut shown: Vec<Line> = lines
        .rules
        .iter()
        .take(LISTED)
        .map(|rule| line(mood, format!("  {sign} {rule}")))
        .collect();
    if let Some(more) = lines.rules.len().checked_sub(LISTED).filter(|more| *more > 0) {
        shown.push(line(Mood::Muted, format!("  … and {}", plural(more, "more rule"))));
    }
    shown.extend(effect_lines(&lines.effects));
    shown
}

/// `  ▲ User:billing gains Read on topic orders`, losses first.
pub fn effect_lines(effects: &[Effect]) -> Vec<Line> {
    let mut sorted: Vec<&Effect> = effects.iter().collect();
    sorted.sort_by_key(|one| one.gains);
    let text = |one: &Effect| {
        let (glyph, verb, mood) = match one.gains {
            true => ("▲", "gains", Mood::Plain),
            false => ("▼", "loses", Mood::Warn),
        };
        let everybody = one.principal == crate::model::acl::EVERYBODY;
        let who = if everybody { "everybody" } else { &one.principal };
        Line {
            mood,
            text: format!("  {glyph} {who} {verb} {} on {}", words(&one.operations), one.target),
        }
    };
    let mut shown: Vec<Line> = sorted.iter().take(LISTED).map(|one| text(one)).collect();
    if let Some(more) = sorted.len().checked_sub(LISTED).filter(|more| *more > 0) {
        shown.push(Line {
            mood: Mood::Muted,
            text: format!("  … and {more} more gain or lose"),
        });
    }
    shown
}

/// The rules in a file's scope, to be edited.
pub fn in_scope(text: &Text, acls: &Acls) -> Vec<Rule> {
    merged(acls.rules.iter().filter(|rule| text.has(rule)).cloned().collect())
}

#[cfg(test)]
mod tests;
