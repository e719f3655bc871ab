//! Values of flags that are more than text: durations, rates, moves, offsets. Each prints as it parses.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::BrokerId;

/// A duration: `500ms`, `30s`, `5m`, `2h`; a bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

/// Bytes per second: `50MB/s` (10⁶), `50MiB/s` (2²⁰); the `/s` may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub bytes_per_second: u64,
}

/// Where a partition shall be: `TOPIC:PARTITION=BROKER,BROKER`, the preferred leader first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<BrokerId>,
}

/// Where to start to read: `start`, `end`, an offset, or `-N` for the last N of each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offset {
    Start,
    End,
    At(u64),
    Last(u32),
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

const RATES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = number_and_unit(text.strip_suffix("/s").unwrap_or(text));
        let factor = RATES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, factor)| *factor);
        let rate = factor
            .zip(number)
            .and_then(|(factor, number)| number.checked_mul(factor));
        rate.filter(|rate| *rate > 0)
            .map(|bytes_per_second| Self { bytes_per_second })
            .ok_or_else(|| "write a rate above 0 such as 50MB/s or 200MiB/s".to_owned())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.bytes_per_second;
        let whole = RATES.iter().find(|(_, factor)| rate.is_multiple_of(*factor));
        let (unit, factor) = whole.unwrap_or(&("B", 1));
        write!(formatter, "{}{unit}/s", rate / factor)
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

impl FromStr for Offset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match (text, text.strip_prefix('-')) {
            ("start", _) => Some(Self::Start),
            ("end", _) => Some(Self::End),
            (_, Some(count)) => count.parse().ok().map(Self::Last),
            (number, None) => number
                .parse::<i64>()
                .ok()
                .and_then(|at| u64::try_from(at).ok())
                .map(Self::At),
        };
        parsed.ok_or_else(|| "write start, end, an offset such as 1200, or -10 for the last 10".to_owned())
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => formatter.write_str("start"),
            Self::End => formatter.write_str("end"),
            Self::At(offset) => write!(formatter, "{offset}"),
            Self::Last(count) => write!(formatter, "-{count}"),
        }
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
    fn times_and_rates_have_units() {
        assert_eq!("5m".parse(), Ok(Time(Duration::from_secs(300))));
        assert_eq!("7".parse(), Ok(Time(Duration::from_secs(7))));
        assert_eq!(
            "50MB/s".parse(),
            Ok(Rate {
                bytes_per_second: 50_000_000
            })
        );
        assert_eq!(
            "1 mib".parse(),
            Ok(Rate {
                bytes_per_second: 1 << 20
            })
        );
        assert_eq!(
            Rate {
                bytes_per_second: 1_536
            }
            .to_string(),
            "1536B/s"
        );
        for bad in ["", "s", "-1s", "0", "1d", "99999999999999999999h", "1.5s"] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
        for bad in ["50", "MB/s", "0MB", "50Mb/m", "99999999999999999999GB"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
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
