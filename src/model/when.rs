//! A moment as a person writes it: `03:12`, `03:12:30`, `2026-11-22T03:12:00Z`; always UTC.

use std::fmt;
use std::str::FromStr;

use super::Moment;

/// A time of day, or a whole moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Seconds after midnight: of today, or of yesterday where that is still to come.
    Day(u32),
    At(Moment),
}

const DAY: i64 = 86_400;

impl When {
    /// The latest such moment that is not after `now`.
    pub fn moment(self, now: Moment) -> Moment {
        match self {
            Self::At(at) => at,
            Self::Day(second) => {
                let midnight = now.as_second().div_euclid(DAY) * DAY;
                let today = midnight + i64::from(second);
                let second = if today > now.as_second() { today - DAY } else { today };
                Moment::from_second(second).unwrap_or(now)
            }
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse::<Moment>() {
            return Ok(Self::At(at));
        }
        let wrong = || "write a time in UTC such as 03:12, 03:12:30 or 2026-11-22T03:12:00Z".to_owned();
        let clock = text.strip_suffix('Z').unwrap_or(text);
        let parts: Option<Vec<u32>> = clock
            .split(':')
            .map(|part| part.parse().ok().filter(|_| part.len() == 2))
            .collect();
        match parts.as_deref() {
            Some([hour @ 0..24, minute @ 0..60]) => Ok(Self::Day(hour * 3600 + minute * 60)),
            Some([hour @ 0..24, minute @ 0..60, second @ 0..60]) => Ok(Self::Day(hour * 3600 + minute * 60 + second)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => at.fmt(formatter),
            Self::Day(second) => {
                let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
                match second {
                    0 => write!(formatter, "{hour:02}:{minute:02}"),
                    second => write!(formatter, "{hour:02}:{minute:02}:{second:02}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_last_one() {
        let now: Moment = "2026-11-22T04:10:00Z".parse().unwrap();
        let moment = |text: &str| text.parse::<When>().unwrap().moment(now).to_string();
        assert_eq!(moment("03:12"), "2026-11-22T03:12:00Z");
        assert_eq!(moment("03:12:30Z"), "2026-11-22T03:12:30Z");
        assert_eq!(moment("21:02"), "2026-11-21T21:02:00Z");
        assert_eq!(moment("2026-11-20T21:02:00Z"), "2026-11-20T21:02:00Z");
        for wrong in ["", "3:12", "25:00", "03:12:61", "yesterday", "03-12"] {
            assert!(wrong.parse::<When>().is_err(), "{wrong}");
        }
        for text in ["03:12", "03:12:30", "2026-11-20T21:02:00Z"] {
            assert_eq!(text.parse::<When>().unwrap().to_string(), text);
        }
    }
}
