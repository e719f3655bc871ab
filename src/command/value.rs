//! Values of flags that are more than text: durations, moves, offsets, gates. Each prints as it parses.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::driver::DriverName;
use crate::model::{BrokerId, Moment};
use crate::plan::group::To;
use crate::plan::reassign::topic_pattern;

/// A duration: `500ms`, `30s`, `5m`, `2h`; a bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

/// Where a partition shall be: `TOPIC:PARTITION=BROKER,BROKER`, the preferred leader first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<BrokerId>,
}

/// One partition: `orders:3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionName {
    pub topic: String,
    pub partition: i32,
}

/// A broker, and one of its log directories: `5`, `5:/data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirName {
    pub broker: BrokerId,
    /// `None` is the fullest.
    pub path: Option<String>,
}

/// Brokers by their ids: `4`, `4,7`, and `31..36` for all from 31 to 36. In order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brokers(pub Vec<BrokerId>);

/// One broker in the place of another: `4=37`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap {
    pub old: BrokerId,
    pub new: BrokerId,
}

/// An amount of bytes: `50GB`, `500MB`; decimal, as AWS bills. A bare number is bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Bytes a second: `50MB`, or `none` for as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

/// Where to start to read: `earliest`, `latest`, an offset, `-N` for the last N of each partition, a time, or a time ago
/// such as `15m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offset {
    Start,
    End,
    At(u64),
    Last(u32),
    Time(Moment),
    Ago(Time),
}

impl Offset {
    /// The place in each log that is meant, as a plan wants it.
    pub fn target(self, now: Moment) -> To {
        let since = |time| To::Since {
            time,
            found: BTreeMap::new(),
        };
        match self {
            Self::Start => To::Earliest,
            Self::End => To::Latest,
            Self::At(offset) => To::Offset(i64::try_from(offset).unwrap_or(i64::MAX)),
            Self::Last(count) => To::Last(i64::from(count)),
            Self::Time(time) => since(time),
            Self::Ago(time) => since(now.checked_sub(time.0).unwrap_or(Moment::MIN)),
        }
    }
}

/// The name of a driver.
pub(super) fn driver(text: &str) -> Result<DriverName, String> {
    text.parse().map_err(|_| "write command, ssh or ssm".to_owned())
}

/// A regular expression for whole names of topics, as it was written.
pub(super) fn topics(text: &str) -> Result<String, String> {
    topic_pattern(text).map(|_| text.to_owned())
}

const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = number_and_unit(text);
        let unit = if unit.is_empty() { "s" } else { unit };
        let factor = TIMES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let millis = factor
            .zip(number)
            .and_then(|(factor, number)| number.checked_mul(factor));
        millis
            .filter(|millis| *millis > 0)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| "write a duration above 0 such as 500ms, 30s, 5m or 2h".to_owned())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis() as u64;
        match millis.is_multiple_of(1000) {
            true => write!(formatter, "{}s", millis / 1000),
            false => write!(formatter, "{millis}ms"),
        }
    }
}

impl FromStr for PartitionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (topic, partition) = text.rsplit_once(':')?;
            let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
            let topic = topic.to_owned();
            Some(Self { topic, partition }).filter(|one| !one.topic.is_empty())
        };
        parse().ok_or_else(|| "write TOPIC:PARTITION, for example orders:3".to_owned())
    }
}

impl fmt::Display for PartitionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.topic, self.partition)
    }
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (partition, replicas) = text.split_once('=')?;
            let (topic, partition) = partition.rsplit_once(':')?;
            let replicas: Option<Vec<BrokerId>> = replicas.split(',').map(|id| id.parse().ok()).collect();
            Some(Self {
                topic: topic.to_owned(),
                partition: partition.parse().ok().filter(|partition| *partition >= 0)?,
                replicas: replicas.filter(|ids| ids.iter().all(|id| *id >= 0))?,
            })
        };
        let parsed = parse().filter(|assignment| !assignment.topic.is_empty());
        let parsed =
            parsed.ok_or_else(|| "write TOPIC:PARTITION=BROKER,BROKER, for example orders:3=1,4,5".to_owned())?;
        let mut ids = parsed.replicas.clone();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < parsed.replicas.len() {
            return Err("a broker is named twice; a partition has at most one replica on each".to_owned());
        }
        Ok(parsed)
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replicas: Vec<String> = self.replicas.iter().map(BrokerId::to_string).collect();
        write!(formatter, "{}:{}={}", self.topic, self.partition, replicas.join(","))
    }
}

impl FromStr for DirName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (broker, path) = match text.split_once(':') {
            Some((broker, path)) => (broker, Some(path.to_owned())),
            None => (text, None),
        };
        let broker = broker.parse().ok().filter(|broker| *broker >= 0);
        match (broker, path) {
            (Some(broker), path) if path.as_deref() != Some("") => Ok(Self { broker, path }),
            _ => Err("write BROKER or BROKER:DIR, for example 5 or 5:/data".to_owned()),
        }
    }
}

impl fmt::Display for DirName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(formatter, "{}:{path}", self.broker),
            None => write!(formatter, "{}", self.broker),
        }
    }
}

const SIZES: [(&str, u64); 4] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
];

/// A range of more brokers than this is a typo.
const BROKERS: i32 = 10_000;

impl FromStr for Brokers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = |text: &str| text.parse::<BrokerId>().ok().filter(|id| *id >= 0);
        let part = |text: &str| match text.split_once("..") {
            None => id(text).map(|id| id..=id),
            Some((first, last)) => {
                let range = id(first)?..=id(last)?;
                let fine = range.start() < range.end() && range.end() - range.start() < BROKERS;
                fine.then_some(range)
            }
        };
        let ranges: Option<Vec<_>> = text.split(',').map(part).collect();
        let ranges = ranges.ok_or_else(|| "write ids of brokers, for example 4, 4,7 or 31..36".to_owned())?;
        let mut ids: Vec<BrokerId> = ranges.into_iter().flatten().collect();
        let named = ids.len();
        ids.sort_unstable();
        ids.dedup();
        match ids.len() == named {
            true => Ok(Self(ids)),
            false => Err("a broker is named twice".to_owned()),
        }
    }
}

impl fmt::Display for Brokers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = |pair: &[BrokerId]| pair[0].checked_add(1) != Some(pair[1]);
        let runs: Vec<String> = self
            .0
            .chunk_by(|one, next| !ends(&[*one, *next]))
            .flat_map(|run| match run {
                [first, _, .., last] => vec![format!("{first}..{last}")],
                few => few.iter().map(BrokerId::to_string).collect(),
            })
            .collect();
        formatter.write_str(&runs.join(","))
    }
}

impl FromStr for Swap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = |text: &str| text.parse::<BrokerId>().ok().filter(|id| *id >= 0);
        let swap = text.split_once('=').and_then(|(old, new)| {
            let (old, new) = (id(old)?, id(new)?);
            (old != new).then_some(Self { old, new })
        });
        swap.ok_or_else(|| "write OLD=NEW with the ids of two brokers, for example 4=37".to_owned())
    }
}

impl fmt::Display for Swap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.old, self.new)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = number_and_unit(text);
        let factor = match unit {
            "" | "B" => Some(1),
            unit => SIZES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor),
        };
        let bytes = factor
            .zip(number)
            .and_then(|(factor, number)| number.checked_mul(factor));
        bytes
            .filter(|bytes| *bytes > 0)
            .map(Self)
            .ok_or_else(|| "write bytes above 0 such as 500MB, 50GB or 2TB".to_owned())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZES.iter().find(|(_, factor)| self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(formatter, "{}{unit}", self.0 / factor),
            None => write!(formatter, "{}", self.0),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let size: Result<Size, String> = text.strip_suffix("/s").unwrap_or(text).parse();
        size.map(|size| Self(Some(size.0)))
            .map_err(|_| "write bytes a second above 0 such as 50MB, or none".to_owned())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => formatter.write_str("none"),
            Some(bytes) => Size(bytes).fmt(formatter),
        }
    }
}

impl FromStr for Offset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match (text, text.strip_prefix('-')) {
            ("earliest" | "start", _) => Some(Self::Start),
            ("latest" | "end", _) => Some(Self::End),
            (_, Some(count)) => count.parse().ok().map(Self::Last),
            (number, None) if number.chars().all(|letter| letter.is_ascii_digit()) => number
                .parse::<i64>()
                .ok()
                .and_then(|at| u64::try_from(at).ok())
                .map(Self::At),
            (time, None) => {
                let ago = time.parse().map(Self::Ago).ok();
                ago.or_else(|| time.parse().map(Self::Time).ok())
            }
        };
        parsed.ok_or_else(|| {
            "write earliest, latest, an offset such as 1200, -10 for the last 10, a time such as 2026-11-25T21:04:00Z, \
             or a time ago such as 15m"
                .to_owned()
        })
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => formatter.write_str("earliest"),
            Self::End => formatter.write_str("latest"),
            Self::At(offset) => write!(formatter, "{offset}"),
            Self::Last(count) => write!(formatter, "-{count}"),
            Self::Time(moment) => write!(formatter, "{moment}"),
            Self::Ago(time) => write!(formatter, "{time}"),
        }
    }
}

/// The name of a gate, such as `disk`.
pub fn gate(text: &str) -> Result<String, String> {
    let fine = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if text.is_empty() || text.starts_with('-') || !text.chars().all(fine) {
        return Err("write names of gates as the plan shows them, for example disk,isr".to_owned());
    }
    Ok(text.to_owned())
}

/// A name and what it shall be: `retention.ms=86400000`.
pub fn key_value(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("write KEY=VALUE, for example retention.ms=86400000".to_owned()),
    }
}

fn number_and_unit(text: &str) -> (Option<u64>, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().ok(), text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!("5m".parse(), Ok(Time(Duration::from_secs(300))));
        assert_eq!("7".parse(), Ok(Time(Duration::from_secs(7))));
        for bad in ["", "s", "-1s", "0", "1d", "99999999999999999999h", "1.5s"] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_place_to_read_from_is_a_word_an_offset_or_a_time() {
        for (text, offset) in [
            ("earliest", Offset::Start),
            ("latest", Offset::End),
            ("1200", Offset::At(1200)),
            ("-10", Offset::Last(10)),
            ("900s", Offset::Ago(Time(Duration::from_secs(900)))),
            (
                "2026-11-25T21:04:00Z",
                Offset::Time("2026-11-25T21:04:00Z".parse().unwrap()),
            ),
        ] {
            assert_eq!(text.parse(), Ok(offset));
            assert_eq!(offset.to_string(), text);
        }
        assert_eq!("15m".parse(), Ok(Offset::Ago(Time(Duration::from_secs(900)))));
        assert_eq!("start".parse(), Ok(Offset::Start), "the older word");
        for bad in ["", "-", "--1", "yesterday", "1.5", "99999999999999999999"] {
            assert!(bad.parse::<Offset>().is_err(), "{bad}");
        }
    }

    #[test]
    fn brokers_are_ids_and_ranges() {
        for (text, ids, printed) in [
            ("4", vec![4], "4"),
            ("7,4", vec![4, 7], "4,7"),
            ("31..36", vec![31, 32, 33, 34, 35, 36], "31..36"),
            ("1,2,5..6,9", vec![1, 2, 5, 6, 9], "1,2,5,6,9"),
        ] {
            let brokers: Brokers = text.parse().unwrap();
            assert_eq!((&brokers.0, brokers.to_string().as_str()), (&ids, printed));
        }
        for bad in ["", "a", "4,", "4,4", "1..3,2", "5..4", "5..5", "-1", "1..", "0..99999"] {
            assert!(bad.parse::<Brokers>().is_err(), "{bad}");
        }
        assert_eq!("4=37".parse(), Ok(Swap { old: 4, new: 37 }));
        for bad in ["4", "4=", "4=4", "=4", "a=b"] {
            assert!(bad.parse::<Swap>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_decimal_units() {
        for (text, bytes, printed) in [
            ("50GB", 50_000_000_000, "50GB"),
            ("1500 MB", 1_500_000_000, "1500MB"),
            ("1000MB", 1_000_000_000, "1GB"),
            ("7", 7, "7"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, printed));
        }
        for bad in ["", "0", "GB", "1GiB", "1.5GB", "99999999999TB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_move_names_each_broker_once() {
        let text = "orders:3=1,4,5";
        assert_eq!(text.parse::<Assignment>().unwrap().to_string(), text);
        for bad in [
            "orders",
            "orders:3",
            ":3=1",
            "orders:x=1",
            "orders:3=",
            "orders:3=1,1",
            "orders:-1=1",
            "orders:1=-1",
        ] {
            assert!(bad.parse::<Assignment>().is_err(), "{bad}");
        }
    }
}
