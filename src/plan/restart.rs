//! Plans that stop and start brokers: one at a time or those of a batch, zone by zone, the active controller last.
//!
//! Promises: a step is one act that ends with the broker as wanted, so there is none between stop and start; what is run
//! is in the plan, word by word; the gates are those of one broker, and are looked at again before each.

pub mod apart;
pub mod batch;
mod gate;
pub mod reach;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::gate::{Gate, few};
use super::{Error, Kind, Plan, Step, Undo, known, summary};
use crate::model::driver::{Action, DriverName, Place, Way};
use crate::model::identity::Identity;
use crate::model::row::Rows;
use crate::model::row::broker::BrokerRow;
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment};

pub use gate::{gates, lag_of_voter};

/// What shall be done, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub action: Action,
    pub whom: Whom,
    /// Of the context; `None` is the only one that it has.
    pub driver: Option<DriverName>,
    /// What the context says of that driver; not known before it was read.
    pub way: Option<Way>,
    /// Leaders leave before the broker stops.
    pub drain: bool,
    /// How long each broker is watched after it is back; as the context says without.
    pub soak_seconds: Option<u64>,
    /// The release that each broker runs afterwards.
    pub upgrade_to: Option<String>,
    /// At most so many brokers of a zone at the same time, where nothing is against it; `None` is one by one.
    pub parallel: Option<u32>,
}

/// Which brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    All,
    Brokers(Vec<BrokerId>),
    /// By id, name, or rack.
    Zone(String),
    /// The voters of the metadata quorum that are no brokers.
    Controllers,
}

/// One broker's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    pub action: Action,
    pub place: Place,
    /// What it is told by on screens: the zone's key, `?` where there is none.
    pub zone: String,
    pub driver: DriverName,
    /// What is run, word by word.
    pub words: Vec<String>,
    /// How long that may take before it is no longer waited for.
    pub deadline_seconds: u64,
    pub soak_seconds: u64,
    /// Leaders leave before it stops, and come back after it has started.
    pub drain: bool,
    /// It is a voter of the metadata quorum, too.
    pub voter: bool,
    /// It led the quorum when the plan was made.
    pub controller: bool,
    /// Where it listens, of a controller that is no broker; what is said of brokers is said of it by the quorum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<String>,
    /// The release that it runs afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_to: Option<String>,
    /// Who has the same number restarts at the same time; `None` is alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// As it was seen.
    pub leaders: u32,
    pub replicas: u32,
}

impl Wish {
    pub fn new(action: Action, whom: Whom) -> Self {
        Self {
            action,
            whom,
            driver: None,
            way: None,
            drain: false,
            soak_seconds: None,
            upgrade_to: None,
            parallel: None,
        }
    }
}

impl Turn {
    pub fn broker(&self) -> BrokerId {
        self.place.broker
    }

    /// `restart broker 4`.
    pub fn name(&self) -> String {
        match &self.upgrade_to {
            Some(version) => format!("upgrade {} to {version}", self.who()),
            None => format!("{} {}", self.action, self.who()),
        }
    }

    /// `broker 4`, or `controller 101` of one that is no broker.
    pub fn who(&self) -> String {
        let role = if self.apart.is_some() { "controller" } else { "broker" };
        format!("{role} {}", self.broker())
    }
}

/// Whether a broker's release, as far as Kafka tells it (`4.3`, or `> 4.3` of one that is newer than this program), is of a version
/// such as `4.3.1`. The third number is told by nobody.
pub fn is_of(release: &str, version: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    };
    match (release.strip_prefix("> "), numbers(version)) {
        (Some(last), Some(version)) => numbers(last).is_some_and(|last| version > last),
        (None, Some(version)) => numbers(release) == Some(version),
        (_, None) => false,
    }
}

/// Works it out. Needs cluster, links, topics with their min ISR, reassignments and the quorum; instances where there is AWS.
///
/// # Errors
/// When a broker or a zone does not exist, or the driver cannot be told what to do.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.cluster, "the cluster")?;
    known(&snapshot.topics, "the topics")?;
    let Some(way) = &wish.way else {
        return Err(Error::Impossible(
            "a capture has no driver; restarts are planned against a context".to_owned(),
        ));
    };
    let rows = Rows::of(snapshot, now);
    let brokers = order(snapshot, chosen(snapshot, &rows, &wish.whom)?);
    let turns = brokers.iter().map(|row| turn(snapshot, wish, way, row));
    // After the brokers, so that what they need is there while they restart.
    let controllers = apart::chosen(snapshot, &wish.whom)?.into_iter();
    let turns = turns.chain(controllers.map(|id| apart::turn(snapshot, wish, way, id)));
    let turns = turns.collect::<Result<Vec<Turn>, Error>>()?;
    let turns = match wish.parallel {
        None => turns,
        Some(most) => batch::together(snapshot, turns, most as usize),
    };
    let ids: Vec<BrokerId> = turns.iter().map(Turn::broker).collect();
    let title = match &wish.upgrade_to {
        Some(version) => format!(
            "kafka {}→{version}, {}",
            releases(snapshot, &ids),
            title(wish.action, &turns)
        ),
        None => title(wish.action, &turns),
    };
    Ok(Plan {
        title,
        gates: all_gates(snapshot, wish.action, &turns, now),
        undo: undo(wish.action, &ids),
        steps: turns.into_iter().map(Step::Restart).collect(),
        ..Plan::draft(snapshot, kind(wish.action), context, now)?
    })
}

/// What brokers run now: `4.2`, or `4.2, 4.3` in the middle of an upgrade.
fn releases(snapshot: &Snapshot, ids: &[BrokerId]) -> String {
    let told = ids
        .iter()
        .filter_map(|id| snapshot.links.get(id)?.get()?.release.as_deref());
    let all: BTreeSet<&str> = told.collect();
    match all.is_empty() {
        true => "?".to_owned(),
        false => all.into_iter().collect::<Vec<&str>>().join(", "),
    }
}

/// The same plan with its gates as they stand now; what it does is pinned.
pub(super) fn renew(plan: &Plan, snapshot: &Snapshot, now: Moment) -> Plan {
    let turns: Vec<Turn> = turns(plan).cloned().collect();
    let action = turns.first().map_or(Action::Restart, |turn| turn.action);
    Plan {
        gates: all_gates(snapshot, action, &turns, now),
        ..plan.clone()
    }
}

/// Of the brokers, and of what reaches them.
pub fn all_gates(snapshot: &Snapshot, action: Action, turns: &[Turn], now: Moment) -> Vec<Gate> {
    let stays = |turn: &&Turn| !is_started_elsewhere(snapshot, turn);
    let ids: Vec<BrokerId> = turns.iter().filter(stays).map(Turn::broker).collect();
    let mut all = gates(snapshot, action, &ids);
    all.extend(apart::gate(snapshot, turns));
    all.extend(batch::gate(snapshot, turns));
    all.extend(reach::gates(snapshot, turns, now));
    all
}

/// What is against an instance that a stopped broker has left for another holds nothing up: its registration is from there, until
/// it registers anew.
fn is_started_elsewhere(snapshot: &Snapshot, turn: &Turn) -> bool {
    let left = match snapshot.cloud.identities.get(&turn.broker()) {
        Some(Identity::Mismatch { instance, .. }) => instance,
        _ => return false,
    };
    turn.action == Action::Start && turn.place.instance.as_ref().is_some_and(|to| to != left)
}

/// The brokers of a plan, in turn.
pub fn turns(plan: &Plan) -> impl Iterator<Item = &Turn> {
    plan.steps.iter().filter_map(|step| match step {
        Step::Restart(turn) => Some(turn),
        _ => None,
    })
}

/// What a plan of it is for, whatever the driver.
pub(super) fn wish_of(plan: &Plan) -> Wish {
    let first = turns(plan).next();
    Wish {
        driver: first.map(|turn| turn.driver),
        drain: first.is_some_and(|turn| turn.drain),
        soak_seconds: first.map(|turn| turn.soak_seconds),
        upgrade_to: first.and_then(|turn| turn.upgrade_to.clone()),
        parallel: most(plan),
        ..Wish::new(
            first.map_or(Action::Restart, |turn| turn.action),
            Whom::Brokers(turns(plan).map(Turn::broker).collect()),
        )
    }
}

/// The most that go at the same time, of a plan that was to have some do so.
fn most(plan: &Plan) -> Option<u32> {
    let turns: Vec<Turn> = turns(plan).cloned().collect();
    turns.iter().find(|turn| turn.batch.is_some())?;
    let most = batch::batches(&turns).map(<[Turn]>::len).max();
    most.map(|most| most.max(2) as u32)
}

/// What has changed about a turn's broker since: it is elsewhere, or gone.
pub(super) fn drift(turn: &Turn, snapshot: &Snapshot) -> Option<String> {
    let id = turn.broker();
    if turn.apart.is_some() {
        return None;
    }
    let brokers = &snapshot.cluster.get()?.brokers;
    match brokers.iter().find(|broker| broker.id == id) {
        None if turn.action == Action::Start => None,
        None => Some(format!("broker {id} is not registered any more")),
        Some(broker) if broker.host != turn.place.host => Some(format!(
            "broker {id} was at {} and is at {}",
            turn.place.host, broker.host
        )),
        Some(_) => match snapshot.cloud.identities.get(&id).and_then(Identity::instance) {
            Some(now) if turn.place.instance.as_deref().is_some_and(|then| then != now) => {
                Some(format!("broker {id} is on another instance now, {now}"))
            }
            _ => None,
        },
    }
}

fn kind(action: Action) -> Kind {
    match action {
        Action::Restart => Kind::Restart,
        Action::Stop => Kind::BrokerStop,
        Action::Start => Kind::BrokerStart,
    }
}

fn title(action: Action, turns: &[Turn]) -> String {
    let brokers: Vec<&Turn> = turns.iter().filter(|turn| turn.apart.is_none()).collect();
    let zones: BTreeSet<&str> = brokers.iter().map(|turn| turn.zone.as_str()).collect();
    if let [only] = turns {
        return format!("{} ({})", only.who(), only.zone);
    }
    let batches = batch::batches(turns).count();
    let how = match action {
        Action::Restart if batches < turns.len() => format!(
            ", in {}",
            if batches == 1 {
                "1 batch".to_owned()
            } else {
                format!("{batches} batches")
            }
        ),
        Action::Restart => ", one by one".to_owned(),
        Action::Stop | Action::Start => String::new(),
    };
    let controllers = summary::plural(turns.len() - brokers.len(), "controller");
    let told = match brokers.len() {
        0 => controllers,
        many => {
            let told = format!(
                "{} in {}",
                summary::plural(many, "broker"),
                summary::plural(zones.len(), "zone")
            );
            match many == turns.len() {
                true => told,
                false => format!("{told} and {controllers}"),
            }
        }
    };
    format!("{told}{how}")
}

fn undo(action: Action, ids: &[BrokerId]) -> Undo {
    let id = ids.first().copied().unwrap_or_default();
    match action {
        Action::Restart => Undo::Partial {
            how: "pause or abort leaves the brokers that come later as they are; one that was restarted stays so"
                .to_owned(),
        },
        Action::Stop => Undo::Full {
            how: format!("azimuth broker start {id}"),
        },
        Action::Start => Undo::Full {
            how: format!("azimuth broker stop {id}"),
        },
    }
}

/// What takes a stop or a start back.
pub(super) fn undoing(turn: &Turn) -> Result<Wish, Error> {
    let back = match turn.action {
        Action::Restart => {
            return Err(Error::Impossible(
                "a broker that was restarted runs; there is nothing to take back".to_owned(),
            ));
        }
        Action::Stop => Action::Start,
        Action::Start => Action::Stop,
    };
    Ok(Wish {
        driver: Some(turn.driver),
        ..Wish::new(back, Whom::Brokers(vec![turn.broker()]))
    })
}

fn chosen<'a>(snapshot: &Snapshot, rows: &'a Rows, whom: &Whom) -> Result<Vec<&'a BrokerRow>, Error> {
    let all = || rows.brokers.iter();
    match whom {
        Whom::All => Ok(all().collect()),
        Whom::Controllers => Ok(Vec::new()),
        Whom::Brokers(ids) => ids
            .iter()
            .filter(|id| !apart::is(snapshot, **id))
            .map(|id| {
                all()
                    .find(|row| row.id == *id)
                    .ok_or_else(|| stranger(snapshot, rows, *id))
            })
            .collect(),
        Whom::Zone(name) => {
            let names = |row: &&BrokerRow| {
                let zone = rows.zones.iter().find(|zone| zone.key == row.zone);
                let named = zone.and_then(|zone| zone.zone_name.as_deref());
                [Some(row.zone.as_str()), row.rack.as_deref(), named].contains(&Some(name))
            };
            let there: Vec<&BrokerRow> = all().filter(names).collect();
            if there.is_empty() {
                let zones: Vec<String> = rows.zones.iter().map(|zone| zone.key.clone()).collect();
                return Err(Error::Impossible(format!(
                    "no broker is in zone {name}; there are {}",
                    few(&zones)
                )));
            }
            Ok(there)
        }
    }
}

fn stranger(snapshot: &Snapshot, rows: &Rows, id: BrokerId) -> Error {
    let holds = snapshot
        .partitions()
        .any(|(_, partition)| partition.replicas.contains(&id));
    let ids: Vec<String> = rows.brokers.iter().map(|row| row.id.to_string()).collect();
    Error::Impossible(match holds {
        true => format!(
            "broker {id} holds replicas and is not registered, so nobody tells where it is; start it on its host"
        ),
        false => format!("there is no broker {id}; there are {}", few(&ids)),
    })
}

/// Zone by zone; the zone of the active controller last, and itself last of all.
fn order<'a>(snapshot: &Snapshot, mut brokers: Vec<&'a BrokerRow>) -> Vec<&'a BrokerRow> {
    let active = snapshot.quorum.get().and_then(|quorum| quorum.leader);
    let home = brokers
        .iter()
        .find(|row| Some(row.id) == active)
        .map(|row| row.zone.clone());
    brokers.sort_by_key(|row| {
        (
            Some(row.id) == active,
            Some(&row.zone) == home.as_ref(),
            row.zone.clone(),
            row.id,
        )
    });
    brokers.dedup_by_key(|row| row.id);
    brokers
}

/// One broker's turn, where it runs now.
pub(super) fn turn(snapshot: &Snapshot, wish: &Wish, way: &Way, row: &BrokerRow) -> Result<Turn, Error> {
    let id = row.id;
    let instance = match snapshot.cloud.identities.get(&id) {
        Some(Identity::Identified { instance, .. }) => Some(instance.clone()),
        _ => None,
    };
    let place = Place {
        broker: id,
        host: row.host.clone(),
        instance,
        az: (row.zone != "?").then(|| row.zone.clone()),
    };
    let quorum = snapshot.quorum.get();
    let replicas = snapshot.partitions().filter(|(_, one)| one.replicas.contains(&id));
    let leaders = snapshot.partitions().filter(|(_, one)| one.leader == Some(id));
    Ok(Turn {
        action: wish.action,
        zone: row.zone.clone(),
        driver: way.driver,
        words: match &wish.upgrade_to {
            Some(version) => way.upgrading(&place, version),
            None => way.words(wish.action, &place),
        }
        .map_err(Error::Impossible)?,
        upgrade_to: wish.upgrade_to.clone(),
        deadline_seconds: way.deadline_seconds,
        soak_seconds: match wish.action {
            Action::Stop => 0,
            Action::Restart | Action::Start => wish.soak_seconds.unwrap_or(way.soak_seconds),
        },
        drain: wish.drain && wish.action == Action::Restart,
        voter: quorum.is_some_and(|quorum| quorum.voters.iter().any(|voter| voter.id == id)),
        controller: quorum.and_then(|quorum| quorum.leader) == Some(id),
        apart: None,
        batch: None,
        leaders: leaders.count() as u32,
        replicas: replicas.count() as u32,
        place,
    })
}

/// How many, where, and what is known of how long it takes.
pub(super) fn figures(plan: &Plan) -> Vec<String> {
    let turns: Vec<Turn> = turns(plan).cloned().collect();
    let count = turns.len();
    let longest = |batch: &[Turn]| batch.iter().map(|turn| turn.soak_seconds).max().unwrap_or(0);
    let soak: u64 = batch::batches(&turns).map(longest).sum();
    let controllers = turns.iter().filter(|turn| turn.apart.is_some()).count();
    let counts = [(count - controllers, "broker"), (controllers, "controller")];
    let counted = counts.into_iter().filter(|(many, _)| *many > 0);
    let mut parts: Vec<String> = counted.map(|(many, noun)| summary::plural(many, noun)).collect();
    parts.push("no data moved".to_owned());
    parts.extend(batch::saved(&turns));
    if soak > 0 {
        let each = turns.first().map_or(0, |turn| turn.soak_seconds);
        let span = super::reassign::throttle::span;
        parts.push(match count {
            1 => format!("watched for {} after it is back", span(each)),
            _ => format!(
                "each watched for {}: {} and what recovery takes",
                span(each),
                span(soak)
            ),
        });
    }
    parts
}

/// One broker's line: whose turn, what it carries, what is run.
pub(super) fn line(turn: &Turn) -> String {
    let role = match (turn.controller, turn.voter) {
        (true, _) => ", active controller",
        (false, true) => ", controller",
        (false, false) => "",
    };
    if turn.apart.is_some() {
        let active = if turn.controller { "active" } else { "voter" };
        let run = spoken(&turn.words);
        return format!("  {}  {}  {active}  by {}: {run}", turn.who(), turn.zone, turn.driver);
    }
    let drain = if turn.drain { ", leaders leave first" } else { "" };
    let batch = turn.batch.map(|batch| format!("  batch {batch}")).unwrap_or_default();
    format!(
        "{batch}  broker {}  {}  {}, {}{role}{drain}  by {}: {}",
        turn.broker(),
        turn.zone,
        summary::plural(turn.leaders as usize, "leader"),
        summary::plural(turn.replicas as usize, "replica"),
        turn.driver,
        spoken(&turn.words)
    )
}

/// Words as one reads them; those with blanks in quotes.
pub fn spoken(words: &[String]) -> String {
    let word = |word: &String| match word.contains(char::is_whitespace) || word.is_empty() {
        true => format!("'{word}'"),
        false => word.clone(),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}
