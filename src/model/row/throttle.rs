//! Replication throttles as they are set: rates on brokers, lists on topics; what each slows, and which do nothing.
//!
//! A replica is slowed only where a list names it, its broker has a rate on that side, and it is out of sync (Kafka's
//! `shouldLeaderThrottle`, `shouldFollowerThrottle`). So a rate alone and a list alone do nothing, and a throttle that was
//! left behind is not felt until something falls out of sync.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::config::{Config, ConfigSource};
use crate::model::snapshot::Snapshot;
use crate::model::throttle::{self, Claim, LISTS, RATES, Setting};
use crate::model::{BrokerId, Observed};

pub use crate::model::throttle::Side;

/// One throttle setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThrottleRow {
    /// `broker 4`, `topic orders`.
    pub subject: String,
    pub broker: Option<BrokerId>,
    pub topic: Option<String>,
    pub side: Side,
    /// Kafka's name of the property.
    pub property: String,
    /// As it is set.
    pub value: String,
    /// Of a rate.
    pub bytes_per_second: Option<u64>,
    pub source: ConfigSource,
    pub standing: Standing,
    /// Why it stands so, in one sentence.
    pub why: String,
    /// Out-of-sync replicas that it slows now.
    pub slows: Vec<Slowed>,
}

/// A replica that is slowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Slowed {
    pub topic: String,
    pub partition: i32,
    pub replica: BrokerId,
}

/// What a setting is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Standing {
    /// It has its other half, and nothing is in flight that it could serve: it will slow the next recovery.
    Stale,
    /// A rate without a list or a list without a rate: it does nothing.
    Inert,
    /// Its other half is not known.
    Unknown,
    /// A reassignment in flight is under it.
    Serving,
}

/// Of nobody who works with Azimuth on this host, so far as the journals tell.
const FOREIGN: &str = "foreign";

/// Which replicas of a topic a list names.
#[derive(Debug, PartialEq, Eq)]
enum List {
    All,
    /// (partition, broker)
    Some(BTreeSet<(i32, BrokerId)>),
}

impl List {
    fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self::All;
        }
        let pair = |entry: &str| {
            let (partition, broker) = entry.trim().split_once(':')?;
            Some((partition.parse().ok()?, broker.parse().ok()?))
        };
        Self::Some(text.split(',').filter_map(pair).collect())
    }

    fn names(&self, partition: i32, broker: BrokerId) -> bool {
        match self {
            Self::All => true,
            Self::Some(pairs) => pairs.contains(&(partition, broker)),
        }
    }
}

/// Everything that is set, turned so that it can be asked.
struct Settings<'a> {
    rates: BTreeMap<(Side, BrokerId), u64>,
    lists: BTreeMap<(Side, &'a str), List>,
    /// Brokers whose configs are not known.
    untold: BTreeSet<BrokerId>,
}

/// An out-of-sync replica.
#[derive(Clone, Copy)]
struct Behind<'a> {
    topic: &'a str,
    partition: i32,
    leader: BrokerId,
    replica: BrokerId,
}

impl Behind<'_> {
    /// The broker whose rate counts on that side.
    fn throttled_at(&self, side: Side) -> BrokerId {
        match side {
            Side::Leader => self.leader,
            Side::Follower | Side::LogDirs => self.replica,
        }
    }

    fn slowed(&self) -> Slowed {
        Slowed {
            topic: self.topic.to_owned(),
            partition: self.partition,
            replica: self.replica,
        }
    }
}

impl ThrottleRow {
    /// What is set, to compare it with what was set by whom; `None` for a rate that is no number.
    pub fn setting(&self) -> Option<Setting> {
        match (self.broker, &self.topic) {
            (Some(broker), _) => Some(Setting::rate(broker, self.side, self.bytes_per_second?)),
            (None, Some(topic)) => Some(Setting::list(topic, self.side, throttle::entries(&self.value))),
            (None, None) => None,
        }
    }

    /// Whose it is: `mine ID` or `foreign`; entries of one list may be of both.
    pub fn whose(&self, claims: &[Claim]) -> String {
        let Some(setting) = self.setting() else {
            return FOREIGN.to_owned();
        };
        let mut rest = vec![setting.clone()];
        let mut owners = BTreeSet::new();
        for claim in claims {
            let mine = throttle::among(std::slice::from_ref(&setting), std::slice::from_ref(&claim.setting));
            if !mine.is_empty() {
                throttle::release(&mut rest, &mine);
                owners.insert(claim.operation.as_str());
            }
        }
        let mine = owners.into_iter().collect::<Vec<_>>().join(", ");
        match (mine.is_empty(), rest.is_empty()) {
            (true, _) => FOREIGN.to_owned(),
            (false, true) => format!("mine {mine}"),
            (false, false) => format!("mine {mine} + {FOREIGN}"),
        }
    }

    /// Stale ones that slow something first, then by standing and subject.
    pub fn all(snapshot: &Snapshot) -> Vec<Self> {
        let settings = settings(snapshot);
        if settings.rates.is_empty() && settings.lists.is_empty() {
            return Vec::new();
        }
        let behind = behind(snapshot);
        let mut rows = rates(snapshot, &settings, &behind);
        rows.extend(lists(snapshot, &settings, &behind));
        rows.sort_by_key(|row| (row.slows.is_empty(), row.standing, row.broker.is_none()));
        rows
    }
}

/// The rate that holds a replica back, and the settings by name; for each side that does.
pub fn holding(snapshot: &Snapshot, topic: &str, partition: i32, replica: BrokerId) -> Vec<(Side, BrokerId, u64)> {
    let settings = settings(snapshot);
    let found = snapshot.topic(topic);
    let part = found.and_then(|topic| topic.partitions.iter().find(|part| part.partition == partition));
    let Some((part, leader)) = part.and_then(|part| Some((part, part.leader?))) else {
        return Vec::new();
    };
    if part.isr.contains(&replica) {
        return Vec::new();
    }
    let one = Behind {
        topic,
        partition,
        leader,
        replica,
    };
    let sides = [Side::Leader, Side::Follower].into_iter();
    sides
        .filter_map(|side| {
            let at = one.throttled_at(side);
            let rate = *settings.rates.get(&(side, at))?;
            settings
                .lists
                .get(&(side, topic))?
                .names(partition, at)
                .then_some((side, at, rate))
        })
        .collect()
}

/// True where any throttle is set; cheap.
pub fn is_any_set(snapshot: &Snapshot) -> bool {
    let settings = settings(snapshot);
    !settings.rates.is_empty() || !settings.lists.is_empty()
}

fn settings(snapshot: &Snapshot) -> Settings<'_> {
    let mut rates = BTreeMap::new();
    let mut untold = BTreeSet::new();
    for (broker, section) in &snapshot.broker_configs {
        let Some(configs) = section.get() else {
            untold.insert(*broker);
            continue;
        };
        for (side, name) in RATES {
            if let Some((_, rate)) = set_rate(configs, name) {
                rates.insert((side, *broker), rate);
            }
        }
    }
    let mut lists = BTreeMap::new();
    for (topic, configs) in snapshot.topic_configs.get().into_iter().flatten() {
        for (side, name) in LISTS {
            if let Some(config) = set_list(configs, name) {
                lists.insert(
                    (side, topic.as_str()),
                    List::parse(config.value.as_deref().unwrap_or_default()),
                );
            }
        }
    }
    Settings { rates, lists, untold }
}

/// A rate that somebody has set; Kafka's default is "unlimited", the largest number.
fn set_rate<'a>(configs: &'a [Config], name: &str) -> Option<(&'a Config, u64)> {
    let config = configs.iter().find(|config| config.name == name)?;
    let rate: i64 = config.value.as_deref()?.parse().ok()?;
    let set = config.source != ConfigSource::Default && rate != i64::MAX;
    set.then_some((config, u64::try_from(rate).ok()?))
}

fn set_list<'a>(configs: &'a [Config], name: &str) -> Option<&'a Config> {
    let config = configs.iter().find(|config| config.name == name)?;
    let value = config.value.as_deref().unwrap_or_default().trim();
    (config.source == ConfigSource::Topic && !value.is_empty() && value != "none").then_some(config)
}

fn behind(snapshot: &Snapshot) -> Vec<Behind<'_>> {
    let parts = snapshot.partitions();
    parts
        .filter_map(|(topic, part)| Some((topic, part, part.leader?)))
        .flat_map(|(topic, part, leader)| {
            part.missing().map(move |replica| Behind {
                topic,
                partition: part.partition,
                leader,
                replica,
            })
        })
        .collect()
}

/// Whether a reassignment in flight moves one of these partitions.
fn is_served(snapshot: &Snapshot, named: impl Fn(&str, i32, BrokerId) -> bool) -> bool {
    let moves = snapshot.reassignments.get().into_iter().flatten();
    moves.into_iter().any(|one| {
        let involved = one.replicas.iter().chain(&one.adding).chain(&one.removing);
        involved
            .into_iter()
            .any(|broker| named(&one.topic, one.partition, *broker))
    })
}

const STALE: &str = "no reassignment is in flight that it could serve";

fn rates(snapshot: &Snapshot, settings: &Settings<'_>, behind: &[Behind<'_>]) -> Vec<ThrottleRow> {
    let brokers = snapshot.broker_configs.iter();
    let told = brokers.filter_map(|(broker, section)| Some((*broker, section.get()?)));
    told.flat_map(|(broker, configs)| {
        RATES.iter().filter_map(move |(side, name)| {
            let (config, rate) = set_rate(configs, name)?;
            Some((broker, *side, config, rate))
        })
    })
    .map(|(broker, side, config, rate)| {
        let (standing, why, slows) = match side {
            Side::LogDirs => log_dirs(snapshot, broker),
            side => rate_standing(snapshot, settings, behind, side, broker),
        };
        ThrottleRow {
            subject: format!("broker {broker}"),
            broker: Some(broker),
            topic: None,
            side,
            property: config.name.clone(),
            value: config.value.clone().unwrap_or_default(),
            bytes_per_second: Some(rate),
            source: config.source,
            standing,
            why,
            slows,
        }
    })
    .collect()
}

type Verdict = (Standing, String, Vec<Slowed>);

fn log_dirs(snapshot: &Snapshot, broker: BrokerId) -> Verdict {
    let Some(dirs) = snapshot.logdirs.get(&broker).and_then(Observed::get) else {
        return (
            Standing::Unknown,
            format!("broker {broker} has not told its log dirs"),
            Vec::new(),
        );
    };
    let moving: Vec<Slowed> = dirs
        .iter()
        .flat_map(|dir| dir.replicas.iter())
        .filter(|replica| replica.future)
        .map(|replica| Slowed {
            topic: replica.topic.to_string(),
            partition: replica.partition,
            replica: broker,
        })
        .collect();
    match moving.is_empty() {
        true => (
            Standing::Stale,
            "no replica is moving between directories of the broker".to_owned(),
            moving,
        ),
        false => (
            Standing::Serving,
            format!("{} between directories of the broker", replicas(moving.len(), "moving")),
            moving,
        ),
    }
}

fn rate_standing(
    snapshot: &Snapshot,
    settings: &Settings<'_>,
    behind: &[Behind<'_>],
    side: Side,
    broker: BrokerId,
) -> Verdict {
    if snapshot.topic_configs.get().is_none() {
        let why = snapshot.topic_configs.problem().unwrap_or_default();
        return (
            Standing::Unknown,
            format!("the topics' lists are not known: {why}"),
            Vec::new(),
        );
    }
    let listed = |topic: &str, partition: i32, at: BrokerId| {
        at == broker
            && settings
                .lists
                .get(&(side, topic))
                .is_some_and(|list| list.names(partition, at))
    };
    let names_it = settings.lists.iter().any(|((list_side, _), list)| {
        *list_side == side
            && match list {
                List::All => true,
                List::Some(pairs) => pairs.iter().any(|(_, at)| *at == broker),
            }
    });
    if !names_it {
        let why = format!("a rate without a list: no topic's {side} list names broker {broker}");
        return (Standing::Inert, why, Vec::new());
    }
    let slows: Vec<Slowed> = behind
        .iter()
        .filter(|one| one.throttled_at(side) == broker && listed(one.topic, one.partition, broker))
        .map(Behind::slowed)
        .collect();
    verdict(is_served(snapshot, listed), slows)
}

fn verdict(served: bool, slows: Vec<Slowed>) -> Verdict {
    match (served, slows.len()) {
        (true, 0) => (
            Standing::Serving,
            "a reassignment in flight is under it".to_owned(),
            slows,
        ),
        (true, n) => (
            Standing::Serving,
            format!("{} by a reassignment", replicas(n, "copied")),
            slows,
        ),
        (false, 0) => (Standing::Stale, STALE.to_owned(), slows),
        (false, n) => (
            Standing::Stale,
            format!("{STALE}; it slows the recovery of {}", replicas(n, "out of sync")),
            slows,
        ),
    }
}

fn replicas(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 replica {what}"),
        several => format!("{several} replicas {what}"),
    }
}

fn lists(snapshot: &Snapshot, settings: &Settings<'_>, behind: &[Behind<'_>]) -> Vec<ThrottleRow> {
    let topics = snapshot.topic_configs.get().into_iter().flatten();
    let set = topics.flat_map(|(topic, configs)| {
        LISTS
            .iter()
            .filter_map(move |(side, name)| Some((topic, *side, set_list(configs, name)?)))
    });
    set.map(|(topic, side, config)| {
        let (standing, why, slows) = list_standing(snapshot, settings, behind, side, topic);
        ThrottleRow {
            subject: format!("topic {topic}"),
            broker: None,
            topic: Some(topic.clone()),
            side,
            property: config.name.clone(),
            value: config.value.clone().unwrap_or_default(),
            bytes_per_second: None,
            source: config.source,
            standing,
            why,
            slows,
        }
    })
    .collect()
}

fn list_standing(
    snapshot: &Snapshot,
    settings: &Settings<'_>,
    behind: &[Behind<'_>],
    side: Side,
    topic: &str,
) -> Verdict {
    let Some(list) = settings.lists.get(&(side, topic)) else {
        return (Standing::Inert, String::new(), Vec::new());
    };
    let named = |broker: BrokerId| match list {
        List::All => true,
        List::Some(pairs) => pairs.iter().any(|(_, at)| *at == broker),
    };
    let rated = settings
        .rates
        .keys()
        .any(|(rate_side, broker)| *rate_side == side && named(*broker));
    if !rated {
        let untold: Vec<String> = settings
            .untold
            .iter()
            .filter(|broker| named(**broker))
            .map(BrokerId::to_string)
            .collect();
        return match untold.is_empty() {
            false => {
                let why = format!("the rates of broker {} are not known", untold.join(", "));
                (Standing::Unknown, why, Vec::new())
            }
            true => {
                let why = format!("a list without a rate: no broker that it names has a {side} rate");
                (Standing::Inert, why, Vec::new())
            }
        };
    }
    let slows: Vec<Slowed> = behind
        .iter()
        .filter(|one| {
            let at = one.throttled_at(side);
            one.topic == topic && list.names(one.partition, at) && settings.rates.contains_key(&(side, at))
        })
        .map(Behind::slowed)
        .collect();
    let served = is_served(snapshot, |moved, partition, broker| {
        moved == topic && list.names(partition, broker)
    });
    verdict(served, slows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reassignment::Reassignment;
    use crate::model::topic::{Partition, Topic};
    use crate::model::{Moment, Trouble};

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn config(name: &str, value: &str, source: ConfigSource) -> Config {
        Config {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
            sensitive: false,
            read_only: false,
            documentation: None,
            synonyms: Vec::new(),
        }
    }

    /// orders-0 led by 1, with broker 2 out of sync; rates on 1 and 2, lists on orders.
    fn snapshot() -> Snapshot {
        let part = Partition {
            partition: 0,
            leader: Some(1),
            leader_epoch: 1,
            replicas: [1, 2, 3].into(),
            isr: [1, 3].into(),
            eligible: [].into(),
        };
        let orders = Topic {
            name: "orders".to_owned(),
            id: uuid::Uuid::nil(),
            internal: false,
            partitions: vec![part],
        };
        let rate = |name: &str| config(name, "10000000", ConfigSource::DynamicBroker);
        let unlimited = config(RATES[1].1, &i64::MAX.to_string(), ConfigSource::Default);
        let lists = vec![
            config(LISTS[1].1, "0:2", ConfigSource::Topic),
            config(LISTS[0].1, "0:1", ConfigSource::Topic),
        ];
        Snapshot {
            topics: Observed::fresh(vec![orders], at(0)),
            reassignments: Observed::fresh(Vec::new(), at(0)),
            broker_configs: BTreeMap::from([
                (1, Observed::fresh(vec![rate(RATES[0].1), unlimited], at(0))),
                (2, Observed::fresh(vec![rate(RATES[1].1)], at(0))),
            ]),
            topic_configs: Observed::fresh(BTreeMap::from([("orders".to_owned(), lists)]), at(0)),
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_throttle_that_nothing_in_flight_needs_is_stale_and_names_whom_it_slows() {
        let rows = ThrottleRow::all(&snapshot());
        assert_eq!(rows.len(), 4);
        let slowed = Slowed {
            topic: "orders".to_owned(),
            partition: 0,
            replica: 2,
        };
        for row in &rows {
            assert_eq!(row.standing, Standing::Stale, "{row:?}");
            assert_eq!(row.slows, std::slice::from_ref(&slowed), "{row:?}");
        }
        let held = holding(&snapshot(), "orders", 0, 2);
        assert_eq!(held, [(Side::Leader, 1, 10_000_000), (Side::Follower, 2, 10_000_000)]);
        assert!(
            holding(&snapshot(), "orders", 0, 3).is_empty(),
            "in sync is never slowed"
        );
    }

    #[test]
    fn a_reassignment_in_flight_is_served() {
        let mut snapshot = snapshot();
        let moving = Reassignment {
            topic: "orders".to_owned(),
            partition: 0,
            replicas: vec![1, 2, 3],
            adding: vec![2],
            removing: vec![3],
        };
        snapshot.reassignments = Observed::fresh(vec![moving], at(0));
        assert!(
            ThrottleRow::all(&snapshot)
                .iter()
                .all(|row| row.standing == Standing::Serving)
        );
    }

    #[test]
    fn half_a_throttle_does_nothing() {
        let mut no_lists = snapshot();
        no_lists.topic_configs = Observed::fresh(BTreeMap::new(), at(0));
        let rows = ThrottleRow::all(&no_lists);
        assert!(
            rows.len() == 2 && rows.iter().all(|row| row.standing == Standing::Inert),
            "{rows:?}"
        );
        assert!(rows[0].why.starts_with("a rate without a list"));
        let mut no_rates = snapshot();
        no_rates.broker_configs = BTreeMap::from([(1, Observed::fresh(Vec::new(), at(0)))]);
        let rows = ThrottleRow::all(&no_rates);
        assert!(
            rows.iter().all(|row| row.why.starts_with("a list without a rate")),
            "{rows:?}"
        );
    }

    #[test]
    fn what_a_silent_broker_has_set_is_unknown_and_not_nothing() {
        let mut snapshot = snapshot();
        let mut silent = Observed::default();
        silent.fail(Trouble::TimedOut, "no answer", at(0));
        snapshot.broker_configs = BTreeMap::from([(2, silent)]);
        let rows = ThrottleRow::all(&snapshot);
        let follower = rows.iter().find(|row| row.side == Side::Follower).unwrap();
        assert_eq!(follower.standing, Standing::Unknown);
    }

    #[test]
    fn it_is_told_whose_it_is_entry_by_entry() {
        let rows = ThrottleRow::all(&snapshot());
        let of = |subject: &str, side: Side| {
            rows.iter()
                .find(|row| row.subject == subject && row.side == side)
                .unwrap()
        };
        let claim = |operation: &str, setting| Claim {
            operation: operation.to_owned(),
            live: false,
            setting,
        };
        let rate = |bytes| claim("abc123", Setting::rate(1, Side::Leader, bytes));
        assert_eq!(of("broker 1", Side::Leader).whose(&[rate(10_000_000)]), "mine abc123");
        assert_eq!(
            of("broker 1", Side::Leader).whose(&[rate(9)]),
            "foreign",
            "somebody set another"
        );
        assert_eq!(of("broker 2", Side::Follower).whose(&[rate(10_000_000)]), "foreign");
        let listed = |text: &str| {
            claim(
                "abc123",
                Setting::list("orders", Side::Follower, throttle::entries(text)),
            )
        };
        let mut row = of("topic orders", Side::Follower).clone();
        assert_eq!(row.whose(&[listed("0:2,1:2")]), "mine abc123");
        row.value = "0:2,7:7".to_owned();
        assert_eq!(row.whose(&[listed("0:2,1:2")]), "mine abc123 + foreign");
    }

    #[test]
    fn a_star_names_every_replica() {
        assert!(List::parse("*").names(7, 9));
        assert!(List::parse("0:1, 1:2").names(1, 2));
        assert!(!List::parse("0:1").names(1, 1));
    }
}
