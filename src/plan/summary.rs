//! A plan in words, line by line in the order to read; both faces show these lines.

use std::collections::BTreeSet;

use super::gate::{Class, Gate, Verdict};
use super::group::Offset;
use super::impact::Load;
use super::{Kind, Lead, Move, Plan, Step, Undo, acl, config, quota, reassign, restart, swap, throttle, user, volume};
use crate::model::BrokerId;
use crate::model::throttle::Setting;

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Plain,
    Title,
    Muted,
    Pass,
    Warn,
    Fail,
    Unknown,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub mood: Mood,
    pub text: String,
}

/// So many moves are listed; the file holds all.
const MOVES: usize = 12;
/// So many settings.
const SETTINGS: usize = 24;

impl Line {
    fn new(mood: Mood, text: impl Into<String>) -> Self {
        Self {
            mood,
            text: text.into(),
        }
    }
}

/// What is changed, how much is copied, what it costs, and what can be undone: one line.
pub fn headline(plan: &Plan) -> String {
    format!("PLAN {}   {}", title(plan), figures(plan))
}

/// What is changed.
pub fn title(plan: &Plan) -> String {
    match plan.kind {
        Kind::Reassign => format!("reassign: {}", plan.title),
        Kind::LeaderMove => format!("leader move: {}", plan.title),
        Kind::LeaderRestore => format!("leader restore: {}", plan.title),
        Kind::LeaderElect => format!("leader elect: {}", plan.title),
        Kind::GroupReset => format!("reset {}", plan.title),
        Kind::GroupDelete => format!("delete {}", plan.title),
        Kind::TransactionAbort => format!("abort {}", plan.title),
        Kind::TopicAddPartitions => format!("widen {}", plan.title),
        Kind::TopicTruncate => format!("delete {}", plan.title),
        Kind::Restart => format!("restart: {}", plan.title),
        Kind::BrokerStop => format!("stop {}", plan.title),
        Kind::BrokerStart => format!("start {}", plan.title),
        Kind::VolumeModify
        | Kind::VolumeSnapshot
        | Kind::VolumeCreate
        | Kind::VolumeAttach
        | Kind::VolumeExtend
        | Kind::VolumeDetach => volume::title(plan),
        Kind::DnsSwitch => format!("switch {}", plan.title),
        Kind::BrokerReplace => format!("move {}", plan.title),
        Kind::VolumeEncrypt => format!("exchange {}", plan.title),
        Kind::DnsRollback => format!("switch back {}", plan.title),
        _ => plan.title.clone(),
    }
}

/// How much is copied, what it costs, and what can be undone.
pub fn figures(plan: &Plan) -> String {
    let mut parts = Vec::new();
    match plan.kind {
        Kind::Reassign => {
            let impact = &plan.impact;
            parts.push(plural(impact.partitions as usize, "partition"));
            parts.push(match impact.unknown_sizes {
                0 => size(impact.bytes),
                unknown => format!(
                    "over {} and {} of unknown size",
                    size(Some(impact.known_bytes)),
                    plural(unknown as usize, "partition")
                ),
            });
            let dollars = impact
                .crossing_usd
                .map_or("$ unknown".to_owned(), |usd| format!("${usd:.2}"));
            parts.push(format!("{} cross-AZ ({dollars})", size(impact.crossing_bytes)));
            let seconds = plan.throttle.as_ref().and_then(|throttle| throttle.seconds);
            parts.extend(seconds.map(|seconds| format!("~{}", reassign::throttle::span(seconds))));
        }
        Kind::LeaderMove | Kind::LeaderRestore | Kind::LeaderElect => {
            parts.push(plural(plan.impact.partitions as usize, "order"));
            let leads = plan.steps.iter().map(|step| step.leads().len()).sum();
            parts.push(plural(leads, "election"));
            parts.push("no data moved".to_owned());
        }
        Kind::GroupReset => {
            let offsets = plan.steps.iter().map(|step| step.offsets().len()).sum();
            parts.push(plural(offsets, "offset"));
        }
        Kind::GroupDelete => parts.push(plural(plan.steps.len(), "group")),
        Kind::TransactionAbort => parts.push("1 partition".to_owned()),
        Kind::TopicAddPartitions => parts.push("no data moved".to_owned()),
        Kind::TopicTruncate => parts.push(plural(plan.steps.len(), "topic")),
        Kind::TopicCreate | Kind::TopicDelete => parts.push(plural(plan.steps.len(), "topic")),
        Kind::ConfigSet | Kind::ConfigUnset | Kind::AclApply => {}
        Kind::UserSet | Kind::UserDelete | Kind::QuotaSet | Kind::FeatureFinalize => {}
        Kind::ReassignCancel => parts.push("what has been copied is dropped".to_owned()),
        Kind::RecordSend | Kind::RecordCheck => {}
        Kind::Restart | Kind::BrokerStop | Kind::BrokerStart => parts.extend(restart::figures(plan)),
        Kind::VolumeModify
        | Kind::VolumeSnapshot
        | Kind::VolumeCreate
        | Kind::VolumeAttach
        | Kind::VolumeExtend
        | Kind::VolumeDetach => parts.extend(volume::figures(plan)),
        Kind::BrokerReplace | Kind::VolumeEncrypt => parts.extend(swap::figures(plan)),
        Kind::DnsSwitch | Kind::DnsRollback => parts.push("connections that stand stay".to_owned()),
        Kind::ThrottleSet | Kind::ThrottleClear => {
            parts.push(plural(throttle::settings_of(plan).len(), "setting"));
        }
    }
    parts.push(format!("undo: {}", undo(&plan.undo)));
    parts.join(" · ")
}

/// The whole plan.
pub fn lines(plan: &Plan) -> Vec<Line> {
    let mut lines = vec![Line::new(Mood::Title, headline(plan))];
    lines.extend(body(plan));
    lines
}

/// What follows the headline: how near it comes to its least, brokers before and after, the moves, the gates.
pub fn body(plan: &Plan) -> Vec<Line> {
    let mut lines = Vec::new();
    if plan.kind == Kind::Reassign {
        let aim = reassign::aim_lines(plan).into_iter();
        lines.extend(aim.map(|text| Line::new(Mood::Plain, format!("  {text}"))));
        let throttle = plan.throttle.iter().map(reassign::throttle::line);
        lines.extend(throttle.map(|text| Line::new(Mood::Plain, format!("  {text}"))));
        let notes = plan.aim.iter().flat_map(|aim| &aim.notes);
        lines.extend(notes.map(|note| Line::new(Mood::Warn, format!("  ⚠ {note}"))));
    }
    lines.extend(brokers(plan));
    lines.extend(steps(plan));
    lines.extend(plan.gates.iter().map(gate));
    lines
}

/// `✓ isr   all replicas that stay are in sync`.
pub fn gate(gate: &Gate) -> Line {
    let (glyph, mood) = match gate.verdict {
        Verdict::Pass => ("✓", Mood::Pass),
        Verdict::Warn => ("⚠", Mood::Warn),
        Verdict::Fail => ("✖", Mood::Fail),
        Verdict::Unknown => ("?", Mood::Unknown),
    };
    Line::new(mood, format!("  {glyph} {:<13} {}", gate.name, gate.evidence))
}

/// Why the plan may not be carried out, and the way out; `None` when its gates, or these overrides, let it.
pub fn refusal(plan: &Plan, overrides: &[String]) -> Option<String> {
    let told = |gate: &Gate| {
        let state = match gate.verdict {
            Verdict::Unknown => "is not known to be open",
            _ => "is closed",
        };
        let way = match gate.class {
            Class::Hard => "it cannot be overridden".to_owned(),
            Class::Soft => format!("--override {} --reason TEXT goes on against it", gate.name),
        };
        format!("gate {} {state}: {}; {way}", gate.name, gate.evidence)
    };
    let refusals: Vec<String> = plan.refused_by(overrides).map(told).collect();
    (!refusals.is_empty()).then(|| refusals.join("\n"))
}

fn undo(undo: &Undo) -> String {
    match undo {
        Undo::Full { how } => format!("full ({how})"),
        Undo::Partial { how } => format!("partial ({how})"),
        Undo::None { why } => format!("none ({why})"),
    }
}

/// Before and after, for the brokers that the plan touches.
fn brokers(plan: &Plan) -> Vec<Line> {
    let touched = |load: &Load| {
        load.leaders_now != load.leaders_after
            || load.replicas_now != load.replicas_after
            || load.bytes_in != Some(0)
            || load.bytes_out != Some(0)
    };
    let touched: Vec<(&BrokerId, &Load)> = plan.impact.brokers.iter().filter(|(_, load)| touched(load)).collect();
    if touched.is_empty() {
        return Vec::new();
    }
    let change = |now: u32, after: u32| match now == after {
        true => now.to_string(),
        false => format!("{now}→{after}"),
    };
    let percent = |percent: Option<f64>| percent.map_or("?".to_owned(), |percent| format!("{percent:.0}%"));
    let row = |(id, load): (&BrokerId, &Load)| {
        [
            id.to_string(),
            change(load.leaders_now, load.leaders_after),
            change(load.replicas_now, load.replicas_after),
            size(load.bytes_in),
            size(load.bytes_out),
            format!("{}→{}", percent(load.used_percent_now), percent(load.used_percent_peak)),
        ]
    };
    let heads = ["broker", "leaders", "replicas", "in", "out", "disk → peak"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(touched.into_iter().map(row)).collect();
    // Where only the order changes nobody's bytes do.
    let columns = if plan.moves().all(Move::is_order) { 3 } else { 6 };
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths);
        cells
            .map(|(cell, width)| format!("{}{cell}", " ".repeat(width - cell.chars().count())))
            .collect::<Vec<_>>()
            .join("   ")
    };
    let mood = |at| if at == 0 { Mood::Muted } else { Mood::Plain };
    rows.iter()
        .enumerate()
        .map(|(at, row)| Line::new(mood(at), format!("  {}", line(row))))
        .collect()
}

/// What each step does.
pub fn steps(plan: &Plan) -> Vec<Line> {
    let mut lines: Vec<Line> = plan.moves().take(MOVES).map(one_move).collect();
    lines.extend(more_moves(plan.moves().count()));
    lines.extend(leads(plan));
    lines.extend(offsets(plan));
    lines.extend(plan.steps.iter().flat_map(step));
    if plan.kind != Kind::Reassign {
        lines.extend(settings(&throttle::settings_of(plan)));
    }
    lines
}

/// What is set or cleared, one a line.
fn settings(settings: &[Setting]) -> Vec<Line> {
    let shown = settings.iter().take(SETTINGS);
    let mut lines: Vec<Line> = shown
        .map(|setting| Line::new(Mood::Plain, format!("  {}", throttle::line(setting))))
        .collect();
    if let Some(more) = settings.len().checked_sub(SETTINGS).filter(|more| *more > 0) {
        lines.push(Line::new(
            Mood::Muted,
            format!("  … and {}", plural(more, "more setting")),
        ));
    }
    lines
}

/// Each offset before and after: what is reset is read before it is done.
fn offsets(plan: &Plan) -> Vec<Line> {
    let one = |offset: &Offset| {
        let (from, by) = match offset.from {
            None => ("none".to_owned(), String::new()),
            Some(from) => (from.to_string(), format!("  ({:+})", offset.to - from)),
        };
        let Offset {
            topic, partition, to, ..
        } = offset;
        Line::new(Mood::Plain, format!("  {topic}-{partition}  {from} → {to}{by}"))
    };
    let resets = |step: &&Step| matches!(step, Step::ResetOffsets { .. } | Step::Truncate { .. });
    let resets = plan.steps.iter().filter(resets);
    resets.flat_map(Step::offsets).map(one).collect()
}

/// The first elections, and how many more there are. Where the order changes too, its line says who leads.
fn leads(plan: &Plan) -> Vec<Line> {
    let moves: BTreeSet<(&str, i32)> = plan.moves().map(|m| (m.topic.as_str(), m.partition)).collect();
    let told = |lead: &&Lead| !moves.contains(&(lead.topic.as_str(), lead.partition));
    let all: Vec<&Lead> = plan.steps.iter().flat_map(Step::leads).filter(told).collect();
    let who = |id: Option<BrokerId>, nobody: &str| id.map_or(nobody.to_owned(), |id| id.to_string());
    let one = |lead: &&Lead| {
        let (from, to) = (who(lead.from, "nobody"), who(lead.to, "whoever is alive"));
        Line::new(Mood::Plain, format!("  {}  led by {from} → {to}", lead.name()))
    };
    let mut lines: Vec<Line> = all.iter().take(MOVES).map(one).collect();
    if let Some(more) = all.len().checked_sub(MOVES).filter(|more| *more > 0) {
        lines.push(Line::new(
            Mood::Muted,
            format!("  … and {}", plural(more, "more leader")),
        ));
    }
    lines
}

/// How many are not shown.
fn more_moves(all: usize) -> Option<Line> {
    let more = all.checked_sub(MOVES).filter(|more| *more > 0)?;
    let text = format!("  … and {}", plural(more, "more partition"));
    Some(Line::new(Mood::Muted, text))
}

fn one_move(m: &Move) -> Line {
    if m.is_order() {
        let text = format!("  {}  prefers {} → {}", m.name(), ids(&m.from), ids(&m.to));
        return Line::new(Mood::Plain, text);
    }
    let text = format!(
        "  {}  {} → {}  {}",
        m.name(),
        ids(&m.from),
        ids(&m.to),
        size(m.size_bytes)
    );
    Line::new(Mood::Plain, text)
}

/// What one step does, mostly in a line; moves have lines of their own.
fn step(step: &Step) -> Vec<Line> {
    let text = match step {
        Step::Reassign { .. }
        | Step::Elect { .. }
        | Step::ResetOffsets { .. }
        | Step::Truncate { .. }
        | Step::SetThrottle { .. }
        | Step::ClearThrottle { .. } => return Vec::new(),
        Step::CancelReassign { moves } => {
            let one = |m: &Move| format!("  {}  {} → {}", m.name(), ids(&m.from), ids(&m.to));
            let shown = moves.iter().take(MOVES).map(|m| Line::new(Mood::Plain, one(m)));
            return shown.chain(more_moves(moves.len())).collect();
        }
        Step::AwaitIsr(back) => format!("  {}", back.words()),
        Step::AddPartitions { topic, from, to, .. } => format!("  {topic}  {from} → {to} partitions"),
        Step::AbortTransaction { producer } => format!(
            "  {}-{}  readers of committed records stand at {}",
            producer.topic,
            producer.partition,
            producer.open_from_offset.unwrap_or_default()
        ),
        Step::AlterConfigs(alter) => return config::lines(alter),
        Step::DeleteGroup { group, offsets } => {
            format!("  - {group}  {}", plural(offsets.len(), "committed offset"))
        }
        Step::SetCredential(_) | Step::DeleteCredential(_) => user::line(step).unwrap_or_default(),
        Step::AlterQuotas(alter) => return quota::lines(alter),
        Step::Finalize(one) => one.line(),
        Step::Restart(turn) => restart::line(turn),
        Step::Volume(act) => {
            let lines = volume::lines(act).into_iter();
            return lines.map(|text| Line::new(Mood::Plain, text)).collect();
        }
        Step::Dns(act) => return act.lines(),
        Step::ByCommand { what } => format!("  {what}"),
        Step::AddAcls(all) => return acl::change::lines(all, '+'),
        Step::RemoveAcls(all) => return acl::change::lines(all, '-'),
        Step::CreateTopic {
            name,
            partitions,
            replication_factor,
            configs,
        } => {
            let or_default = |number: Option<i32>| number.map_or("default".to_owned(), |number| number.to_string());
            let configs: String = configs.iter().map(|(key, value)| format!("  {key}={value}")).collect();
            format!(
                "  + {name}  partitions {}  replication factor {}{configs}",
                or_default(*partitions),
                or_default(replication_factor.map(i32::from))
            )
        }
        Step::DeleteTopic { name, id, partitions } => {
            format!("  - {name}  {}  id {id}", plural(*partitions as usize, "partition"))
        }
    };
    vec![Line::new(Mood::Plain, text)]
}

/// What a step does, for a list of steps.
pub fn step_name(step: &Step) -> String {
    match step {
        Step::Reassign { moves } if moves.iter().all(Move::is_order) => {
            format!("change whom {} prefer", plural(moves.len(), "partition"))
        }
        Step::Reassign { moves } => match moves.as_slice() {
            [only] => format!("move {} to {}", only.name(), ids(&only.to)),
            [first, .., last] => format!(
                "move {}: {} … {}",
                plural(moves.len(), "partition"),
                first.name(),
                last.name()
            ),
            [] => "move nothing".to_owned(),
        },
        Step::CancelReassign { moves } => match moves.as_slice() {
            [only] => format!("send {} back to {}", only.name(), ids(&only.to)),
            many => format!("send {} back", plural(many.len(), "partition")),
        },
        Step::Elect { leads } => match leads.as_slice() {
            [only] => format!("elect a leader for {}", only.name()),
            many => format!("elect {}", plural(many.len(), "leader")),
        },
        Step::ResetOffsets { group, offsets } => {
            format!("reset {} of group {group}", plural(offsets.len(), "offset"))
        }
        Step::DeleteGroup { group, .. } => format!("delete group {group}"),
        Step::AbortTransaction { producer } => format!(
            "abort the transaction of producer {} in {}-{}",
            producer.producer_id, producer.topic, producer.partition
        ),
        Step::AddPartitions { topic, to, .. } => format!("widen {topic} to {to} partitions"),
        Step::Truncate { topic, offsets, .. } => {
            format!("delete records of {} of {topic}", plural(offsets.len(), "partition"))
        }
        Step::CreateTopic { name, .. } => format!("create topic {name}"),
        Step::DeleteTopic { name, .. } => format!("delete topic {name}"),
        Step::AlterConfigs(alter) => alter.words(),
        Step::AwaitIsr(back) => back.words(),
        Step::SetThrottle { settings } => format!("throttle: {}", throttle::words(settings)),
        Step::ClearThrottle { settings } if settings.is_empty() => "take the throttle away".to_owned(),
        Step::ClearThrottle { settings } => format!("clear {}", throttle::words(settings)),
        Step::SetCredential(one) => format!("set the {} password of {}", one.mechanism, one.user),
        Step::DeleteCredential(one) => format!("delete the {} credential of {}", one.mechanism, one.user),
        Step::AlterQuotas(alter) => alter.words(),
        Step::Finalize(one) => one.words(),
        Step::Restart(turn) => turn.name(),
        Step::Volume(act) => volume::name(act),
        Step::Dns(act) => act.name(),
        Step::ByCommand { what } => what.clone(),
        Step::AddAcls(all) => format!("add {}", plural(all.rules.len(), "rule")),
        Step::RemoveAcls(all) => format!("remove {}", plural(all.rules.len(), "rule")),
    }
}

fn ids(ids: &[BrokerId]) -> String {
    ids.iter().map(BrokerId::to_string).collect::<Vec<_>>().join(",")
}

pub(super) fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        many => format!("{many} {noun}s"),
    }
}

/// Decimal, as AWS bills; `?` is not known.
pub fn size(bytes: Option<u64>) -> String {
    const STEPS: [(f64, &str); 4] = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let Some(bytes) = bytes else { return "? B".to_owned() };
    match STEPS.iter().find(|(step, _)| bytes as f64 >= *step) {
        None => format!("{bytes} B"),
        Some((step, unit)) if bytes as f64 >= step * 9.95 => format!("{:.0} {unit}", bytes as f64 / step),
        Some((step, unit)) => format!("{:.1} {unit}", bytes as f64 / step),
    }
}
