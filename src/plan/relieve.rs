//! A log directory that fills up: what fills it, every remedy with when it helps against when it is full, what it costs and
//! what undoes it, and what must not be done. Advice only; nothing here changes anything.
//!
//! A remedy whose effect cannot be told says why instead of a number; one that helps too late says so.

mod grow;
mod moves;
mod retention;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::summary::size;
use crate::model::config::broker_defaults;
use crate::model::row::config::broker_value;
use crate::model::row::logdir::LogdirRow;
use crate::model::row::{Cell, Rows};
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment};

/// A disk that is relieved is brought down to this. Source: AWS MSK best practices, alarm at 85 %, with room to grow.
const AIM_PERCENT: f64 = 70.0;

/// What can be done about one directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Relief {
    pub dir: LogdirRow,
    /// The quickest first, those that come too late last.
    pub remedies: Vec<Remedy>,
    pub donts: Vec<Dont>,
}

/// One way to make room.
#[derive(Debug, Clone, PartialEq)]
pub struct Remedy {
    pub kind: Kind,
    /// One line, for example `grow vol-0c 2048→3072 GiB`.
    pub what: String,
    pub frees_bytes: Cell<u64>,
    /// From now until the room is there.
    pub helps_in_seconds: Cell<f64>,
    pub in_time: InTime,
    pub usd_per_month: Cell<f64>,
    pub undo: String,
    /// Why it cannot be done now, if so.
    pub blocked: Option<String>,
    /// Commands that do it.
    pub how: Vec<String>,
    /// What the numbers rest on, and whom it hurts.
    pub evidence: Vec<String>,
}

/// What a remedy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// The file system is smaller than its volume.
    Extend,
    Grow,
    Retention,
    /// To another directory of the same broker.
    Directory,
    Move,
}

/// Whether it helps before the directory is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum InTime {
    Yes,
    /// It is not filling: there is time.
    NoHurry,
    Unknown,
    TooLate,
    /// It cannot be done now.
    Blocked,
}

/// What must not be done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dont {
    pub what: String,
    pub why: String,
}

/// What every remedy looks at.
struct Scene<'a> {
    snapshot: &'a Snapshot,
    rows: &'a Rows,
    dir: &'a LogdirRow,
    now: Moment,
}

/// Advice for one directory; `rows` are of the same snapshot. `None` when the directory is not known.
///
/// Needs cluster, topics, log dirs and configs; offsets and groups tell who would lose records, AWS tells about volumes.
pub fn relieve(snapshot: &Snapshot, rows: &Rows, broker: BrokerId, path: &str, now: Moment) -> Option<Relief> {
    let dir = rows.logdir(broker, path)?;
    let scene = Scene {
        snapshot,
        rows,
        dir,
        now,
    };
    let mut remedies = grow::remedies(&scene);
    remedies.extend(retention::remedies(&scene));
    remedies.extend(moves::remedies(&scene));
    for remedy in &mut remedies {
        remedy.in_time = in_time(dir, remedy);
    }
    remedies.sort_by_key(|remedy| remedy.in_time);
    Some(Relief {
        dir: dir.clone(),
        remedies,
        donts: donts(&scene),
    })
}

/// The fullest directory of a broker, which is meant where none is named.
pub fn fullest(rows: &Rows, broker: BrokerId) -> Option<&LogdirRow> {
    let own = rows.logdirs.iter().filter(|row| row.broker == broker);
    own.max_by(|one, other| {
        let used = |row: &LogdirRow| (row.error.is_some(), row.used_percent.value.unwrap_or(0.0));
        used(one).partial_cmp(&used(other)).unwrap_or(std::cmp::Ordering::Equal)
    })
}

fn in_time(dir: &LogdirRow, remedy: &Remedy) -> InTime {
    if remedy.blocked.is_some() {
        return InTime::Blocked;
    }
    let growing = dir.growth_bytes_per_second.value.map(|growth| growth > 1.0);
    match (growing, dir.full_in_seconds.value, remedy.helps_in_seconds.value) {
        (Some(false), ..) => InTime::NoHurry,
        (_, Some(full), Some(helps)) if helps < full => InTime::Yes,
        (_, Some(_), Some(_)) => InTime::TooLate,
        _ => InTime::Unknown,
    }
}

fn donts(scene: &Scene<'_>) -> Vec<Dont> {
    let broker = scene.dir.broker;
    let dont = |what: String, why: &str| Dont {
        what,
        why: why.to_owned(),
    };
    let moves = scene.snapshot.reassignments.get().into_iter().flatten();
    let coming = moves.filter(|one| one.adding.contains(&broker)).count();
    let onto = match coming {
        0 => "it brings more bytes, and frees nothing here".to_owned(),
        several => format!("it brings more bytes; {several} in flight do so already (azimuth reassign list)"),
    };
    vec![
        dont(
            "rm segment files".to_owned(),
            "Kafka fails on files that go missing: the directory goes offline, or a replica loses records in silence",
        ),
        dont(
            format!("restart broker {broker}"),
            "on a full disk recovery cannot write and the broker does not come back",
        ),
        dont(format!("reassign onto broker {broker}"), &onto),
    ]
}

impl Remedy {
    /// The command of ours that does it, without the program's name.
    pub fn command(&self) -> Option<&str> {
        self.how.iter().find_map(|line| line.strip_prefix("azimuth "))
    }
}

impl Relief {
    /// One line: whose, how full, when it will be full, and what fills it.
    pub fn headline(&self) -> String {
        self.figures().join(" · ")
    }

    /// The parts of that line.
    pub fn figures(&self) -> Vec<String> {
        let dir = &self.dir;
        let mut parts = vec![match dir.used_percent.value {
            Some(used) => format!("broker {} {} {used:.0} %", dir.broker, dir.path),
            None => format!("broker {} {} ? %", dir.broker, dir.path),
        }];
        if let Some(error) = &dir.error {
            parts.push(format!("offline: {error}"));
        }
        match dir.growth_bytes_per_second.value {
            Some(growth) if growth > 1.0 => parts.push(pace(growth)),
            Some(_) => parts.push("not growing".to_owned()),
            None => parts.push("growth ?".to_owned()),
        }
        if let Some(seconds) = dir.full_in_seconds.value {
            parts.push(format!("full in {}", span(seconds)));
        }
        let top = |topic: &crate::model::logdir::TopicUse| {
            let share = dir.share_percent(topic);
            match topic.growth_bytes_per_second.filter(|growth| *growth > 1.0) {
                Some(growth) => format!("{} {share:.0} % ({})", topic.topic, pace(growth)),
                None => format!("{} {share:.0} %", topic.topic),
            }
        };
        let tops: Vec<String> = dir
            .top
            .iter()
            .filter(|topic| topic.size_bytes > 0)
            .take(3)
            .map(top)
            .collect();
        if !tops.is_empty() {
            parts.push(format!("top: {}", tops.join(" · ")));
        }
        parts
    }
}

impl Scene<'_> {
    /// A topic's config: its own, or what the brokers have in its place.
    fn effective(&self, topic: &str, name: &str) -> Option<String> {
        let own = self.snapshot.topic_configs.get()?.get(topic);
        let own = own.and_then(|configs| configs.iter().find(|config| config.name == name));
        if let Some(config) = own {
            return config.value.clone();
        }
        let defaults = broker_defaults(name).into_iter();
        defaults
            .filter_map(|(property, factor)| broker_value(self.snapshot, &property, factor, self.now).value)
            .next()
    }

    /// Bytes to take away until the disk is at its aim; a tenth of what lies here where it is below already.
    fn wanted(&self) -> Option<u64> {
        let (used, total) = (self.dir.used_bytes.value?, self.dir.total_bytes.value?);
        let aim = (total as f64 * AIM_PERCENT / 100.0) as u64;
        Some(used.saturating_sub(aim).max(self.dir.logs_bytes / 10))
    }
}

/// `+3.1 GB/min`.
fn pace(bytes_per_second: f64) -> String {
    format!("+{}/min", size(Some((bytes_per_second * 60.0) as u64)))
}

/// `41 m`, `3 h`, `9 d`: one unit, for a plan's words.
fn span(seconds: f64) -> String {
    match seconds.max(0.0) as u64 {
        s if s < 120 => format!("{s} s"),
        s if s < 2 * 3600 => format!("{} m", s / 60),
        s if s < 2 * 86_400 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}
