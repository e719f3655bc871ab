//! Flags that say when an operation may go on, of every verb that begins a long one.

use std::fmt;
use std::str::FromStr;

use clap::{Args, Parser};

use super::value::{Size, Time};
use super::words::{Words, split};
use crate::model::Moment;
use crate::plan::schedule::{self, PauseAfter, Schedule, Window};

/// When it may go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct When {
    /// Go on only in these hours of each day, in UTC; outside of them it waits
    #[arg(long, value_name = "HH:MM-HH:MMZ")]
    pub window: Option<Window>,
    /// Outside of --window move data so fast on each broker, rather than wait
    #[arg(long, value_name = "RATE", requires = "window")]
    pub outside_rate: Option<Size>,
    /// Pause at this time: 06:00Z for the next one, or a whole moment such as 2026-11-27T06:00:00Z
    #[arg(long, value_name = "TIME")]
    pub until: Option<Until>,
    /// Pause after the first batch or broker, after each N of them, or after each zone
    #[arg(long, value_name = "first|N|az")]
    pub pause_after: Option<PauseAfter>,
    /// Rest so long after each batch or broker
    #[arg(long, value_name = "DURATION")]
    pub soak: Option<Time>,
}

/// How an operation is begun by a verb that needs no file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Begin {
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
    #[command(flatten)]
    pub when: When,
}

impl Begin {
    pub(super) fn words(&self, words: Words) -> Words {
        self.when.words(words.flag("--detach", self.detach))
    }
}

/// An end: a time of day, the next one, or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Minutes since midnight UTC.
    Clock(u16),
    At(Moment),
}

impl When {
    /// As they are typed: `--window 22:00-06:00Z --soak 10m`; nothing where all may go on.
    pub fn flags(&self) -> String {
        self.words(Words::new(&[])).to_string()
    }

    pub(super) fn words(&self, words: Words) -> Words {
        words
            .option("--window", self.window)
            .option("--outside-rate", self.outside_rate)
            .option("--until", self.until)
            .option("--pause-after", self.pause_after)
            .option("--soak", self.soak)
    }

    /// As the operation's journal keeps it.
    pub fn schedule(&self, now: Moment) -> Schedule {
        Schedule {
            window: self.window,
            outside_rate: self.outside_rate.map(|rate| rate.0),
            until: self.until.map(|until| until.after(now)),
            pause_after: self.pause_after,
            // A soak below a second is one.
            soak_seconds: self.soak.map_or(0, |soak| soak.0.as_secs().max(1)),
        }
    }
}

/// The flags alone, without a command before them.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Alone {
    #[command(flatten)]
    when: When,
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let alone = Alone::try_parse_from(split(text)?).map_err(|error| super::sentence(&error))?;
        Ok(alone.when)
    }
}

impl Until {
    fn after(self, now: Moment) -> Moment {
        const DAY: i64 = 24 * 3600;
        match self {
            Self::At(moment) => moment,
            Self::Clock(minutes) => {
                let today = now.as_second().div_euclid(DAY) * DAY + i64::from(minutes) * 60;
                let next = if today > now.as_second() { today } else { today + DAY };
                Moment::from_second(next).unwrap_or(now)
            }
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let clock = text.strip_suffix('Z').and_then(schedule::clock).map(Self::Clock);
        clock
            .or_else(|| text.parse().ok().map(Self::At))
            .ok_or_else(|| "write 06:00Z, or a moment such as 2026-11-27T06:00:00Z".to_owned())
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(minutes) => write!(f, "{:02}:{:02}Z", minutes / 60, minutes % 60),
            Self::At(moment) => moment.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_next_one() {
        let at = |text: &str| text.parse::<Moment>().unwrap();
        let until = |text: &str, now: &str| text.parse::<Until>().unwrap().after(at(now)).to_string();
        assert_eq!(until("06:00Z", "2026-11-26T22:00:00Z"), "2026-11-27T06:00:00Z");
        assert_eq!(until("06:00Z", "2026-11-26T05:59:59Z"), "2026-11-26T06:00:00Z");
        assert_eq!(
            until("2026-12-01T00:00:00Z", "2026-11-26T05:59:59Z"),
            "2026-12-01T00:00:00Z"
        );
        assert!("06:00".parse::<Until>().is_err() && "tomorrow".parse::<Until>().is_err());
    }

    #[test]
    fn the_flags_alone_are_read_as_they_are_typed() {
        let text = "--window 22:00-06:00Z --outside-rate 20MB --pause-after first --soak 10m";
        let when: When = text.parse().unwrap();
        assert_eq!(when.flags().parse(), Ok(when));
        assert_eq!("".parse(), Ok(When::default()));
        assert!("--outside-rate 20MB".parse::<When>().is_err());
        for (wrong, named) in [("--window 22", "22:00-06:00Z"), ("tomorrow", "tomorrow")] {
            let error = wrong.parse::<When>().unwrap_err();
            assert!(error.contains(named), "{wrong}: {error}");
        }
    }
}
