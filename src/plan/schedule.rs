//! When an operation may go on: hours of the day, an end, a pause after the first, a rest after each.
//!
//! A unit is what such limits count: a batch of a reassignment, a broker of a rolling restart. What is in flight always
//! comes to its end; these say only whether the next unit may begin.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::Moment;

const DAY_MINUTES: i64 = 24 * 60;

/// What somebody asked for when the operation was begun. The default lets everything go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// It goes on only in these hours, and by itself when they come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Outside of them data goes on moving, so many bytes a second on each broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside_rate: Option<u64>,
    /// From then on it is paused until a person resumes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_after: Option<PauseAfter>,
    /// Between the end of a unit and the begin of the next.
    #[serde(skip_serializing_if = "is_zero")]
    pub soak_seconds: u64,
}

fn is_zero(seconds: &u64) -> bool {
    *seconds == 0
}

/// Hours of every day, in minutes since midnight UTC; from the later to the earlier goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Window {
    from: u16,
    to: u16,
}

/// Where a person wants to look before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum PauseAfter {
    /// Once, after the first unit.
    First,
    /// After each so many units.
    Units(u32),
    /// After the last unit of each zone.
    Zone,
}

/// How far an operation is, for its schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// Units that are done.
    pub units: u32,
    /// Of them, since a person last let it go on.
    pub units_since_resumed: u32,
    pub last_done_at: Option<Moment>,
    /// The zone of the last unit is another than that of the next.
    pub zone_ended: bool,
    /// The next unit moves data, so that an outside rate is meant for it.
    pub moves_data: bool,
}

/// Whether the next unit may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// By itself at that moment. `what` is one word for it.
    Wait {
        until: Moment,
        what: &'static str,
        why: String,
    },
    /// When a person says so.
    Pause {
        why: String,
    },
}

impl Schedule {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the next unit may begin now.
    pub fn verdict(&self, passed: &Passed, now: Moment) -> Verdict {
        if let Some(until) = self.until.filter(|until| now >= *until) {
            return Verdict::Pause {
                why: format!("it was to go on until {until}"),
            };
        }
        let pause = match self.pause_after {
            Some(PauseAfter::First) if passed.units == 1 && passed.units_since_resumed == 1 => Some("after the first"),
            Some(PauseAfter::Units(count)) if passed.units_since_resumed >= count => Some("after so many"),
            Some(PauseAfter::Zone) if passed.zone_ended && passed.units_since_resumed > 0 => Some("after a zone"),
            _ => None,
        };
        if let Some(after) = pause {
            return Verdict::Pause {
                why: format!("it was to pause {after}"),
            };
        }
        let slowed = passed.moves_data && self.outside_rate.is_some();
        if let Some(window) = self.window.filter(|window| !window.holds(now) && !slowed) {
            let until = window.next(now);
            return Verdict::Wait {
                until,
                what: "window",
                why: format!("outside of the window {window}: goes on at {until}"),
            };
        }
        let soaked = passed
            .last_done_at
            .map(|at| at + jiff::SignedDuration::from_secs(self.soak_seconds as i64));
        if let Some(until) = soaked.filter(|until| self.soak_seconds > 0 && now < *until) {
            return Verdict::Wait {
                until,
                what: "soak",
                why: format!("soaks for {} s until {until}", self.soak_seconds),
            };
        }
        Verdict::Go
    }

    /// What data may move at now where the hours decide it; `None` leaves it to the plan.
    pub fn rate(&self, now: Moment) -> Option<u64> {
        let window = self.window?;
        self.outside_rate.filter(|_| !window.holds(now))
    }

    /// `window 22:00-06:00Z · pause after first`, or nothing.
    pub fn words(&self) -> Option<String> {
        let rate = |rate: u64| format!("outside of it {}", super::throttle::per_second(rate));
        let parts = [
            self.window.map(|window| format!("window {window}")),
            self.outside_rate.map(rate),
            self.until.map(|until| format!("until {until}")),
            self.pause_after.map(|after| format!("pause after {after}")),
            (self.soak_seconds > 0).then(|| format!("soak {} s", self.soak_seconds)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" · "))
    }
}

impl Window {
    fn minute(now: Moment) -> i64 {
        now.as_second().div_euclid(60).rem_euclid(DAY_MINUTES)
    }

    /// Whether a moment lies in it; the last minute is the one before its end.
    pub fn holds(&self, now: Moment) -> bool {
        let (minute, from, to) = (Self::minute(now), i64::from(self.from), i64::from(self.to));
        match from < to {
            true => (from..to).contains(&minute),
            false => minute >= from || minute < to,
        }
    }

    /// When it opens next after a moment outside of it.
    pub fn next(&self, now: Moment) -> Moment {
        let wait = (i64::from(self.from) - Self::minute(now)).rem_euclid(DAY_MINUTES);
        let minute = now.as_second().div_euclid(60) + wait;
        Moment::from_second(minute * 60).unwrap_or(now)
    }
}

/// `22:00` in minutes.
pub fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (from, to) = text.strip_suffix('Z')?.split_once('-')?;
            let (from, to) = (clock(from)?, clock(to)?);
            (from != to).then_some(Self { from, to })
        };
        parse().ok_or_else(|| "write hours in UTC, for example 22:00-06:00Z".to_owned())
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        write!(f, "{:02}:{:02}-{:02}:{:02}Z", from / 60, from % 60, to / 60, to % 60)
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for PauseAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("first", _) => Ok(Self::First),
            ("az", _) => Ok(Self::Zone),
            (_, Ok(count @ 1..)) => Ok(Self::Units(count)),
            _ => Err("write first, az, or a number from 1 on".to_owned()),
        }
    }
}

impl fmt::Display for PauseAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::Zone => f.write_str("az"),
            Self::Units(count) => count.fmt(f),
        }
    }
}

impl From<PauseAfter> for String {
    fn from(after: PauseAfter) -> Self {
        after.to_string()
    }
}

impl TryFrom<String> for PauseAfter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        format!("2026-11-26T{text}Z").parse().unwrap()
    }

    fn night() -> Schedule {
        Schedule {
            window: Some("22:00-06:00Z".parse().unwrap()),
            ..Schedule::default()
        }
    }

    #[test]
    fn a_window_over_midnight_opens_and_closes_to_the_minute() {
        let window: Window = "22:00-06:00Z".parse().unwrap();
        for (time, inside) in [
            ("21:59:59", false),
            ("22:00:00", true),
            ("05:59:59", true),
            ("06:00:00", false),
        ] {
            assert_eq!(window.holds(at(time)), inside, "{time}");
        }
        assert_eq!(window.next(at("12:34:56")), at("22:00:00"));
        let day: Window = "08:30-09:00Z".parse().unwrap();
        assert!(day.holds(at("08:30:00")) && !day.holds(at("09:00:00")));
        assert_eq!(day.next(at("09:00:00")).to_string(), "2026-11-27T08:30:00Z");
        assert_eq!(window.to_string(), "22:00-06:00Z");
        for wrong in ["22-06Z", "22:00-06:00", "24:00-06:00Z", "22:00-22:00Z", "9:00-10:00Z"] {
            assert!(wrong.parse::<Window>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn outside_of_the_window_it_waits_unless_a_rate_was_given_and_data_moves() {
        let passed = Passed::default();
        assert_eq!(night().verdict(&passed, at("23:00:00")), Verdict::Go);
        let verdict = night().verdict(&passed, at("12:00:00"));
        let Verdict::Wait { until, what, .. } = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!((until, what), (at("22:00:00"), "window"));
        let slow = Schedule {
            outside_rate: Some(20),
            ..night()
        };
        let moving = Passed {
            moves_data: true,
            ..Passed::default()
        };
        assert_eq!(slow.verdict(&moving, at("12:00:00")), Verdict::Go);
        assert_eq!((slow.rate(at("12:00:00")), slow.rate(at("23:00:00"))), (Some(20), None));
        assert!(matches!(slow.verdict(&passed, at("12:00:00")), Verdict::Wait { .. }));
    }

    #[test]
    fn a_pause_comes_once_and_the_soak_after_each() {
        let after = |pause_after| Schedule {
            pause_after: Some(pause_after),
            ..Schedule::default()
        };
        let passed = |units, units_since_resumed| Passed {
            units,
            units_since_resumed,
            ..Passed::default()
        };
        let pauses = |schedule: &Schedule, passed: &Passed| {
            matches!(schedule.verdict(passed, at("12:00:00")), Verdict::Pause { .. })
        };
        let first = after(PauseAfter::First);
        assert!(!pauses(&first, &passed(0, 0)) && pauses(&first, &passed(1, 1)));
        assert!(!pauses(&first, &passed(1, 0)) && !pauses(&first, &passed(2, 1)));
        let each = after(PauseAfter::Units(2));
        assert!(!pauses(&each, &passed(1, 1)) && pauses(&each, &passed(2, 2)) && !pauses(&each, &passed(3, 1)));
        let ended = Passed {
            zone_ended: true,
            ..passed(3, 3)
        };
        assert!(pauses(&after(PauseAfter::Zone), &ended) && !pauses(&after(PauseAfter::Zone), &passed(3, 3)));

        let soak = Schedule {
            soak_seconds: 600,
            ..Schedule::default()
        };
        let done = Passed {
            last_done_at: Some(at("12:00:00")),
            ..passed(1, 1)
        };
        let verdict = soak.verdict(&done, at("12:09:59"));
        assert!(matches!(verdict, Verdict::Wait { until, what: "soak", .. } if until == at("12:10:00")));
        assert_eq!(soak.verdict(&done, at("12:10:00")), Verdict::Go);
        assert_eq!(soak.verdict(&passed(0, 0), at("12:00:00")), Verdict::Go);
    }

    #[test]
    fn an_end_outranks_the_window_and_the_words_come_back_from_a_journal() {
        let schedule = Schedule {
            until: Some(at("12:00:00")),
            pause_after: Some(PauseAfter::Units(3)),
            soak_seconds: 60,
            outside_rate: Some(20_000_000),
            ..night()
        };
        assert!(matches!(
            schedule.verdict(&Passed::default(), at("12:00:00")),
            Verdict::Pause { .. }
        ));
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule, "{text}");
        assert_eq!(serde_json::from_str::<Schedule>("{}").unwrap(), Schedule::default());
        assert_eq!(
            schedule.words().unwrap(),
            "window 22:00-06:00Z · outside of it 20 MB/s · until 2026-11-26T12:00:00Z · pause after 3 · soak 60 s"
        );
        assert_eq!(Schedule::default().words(), None);
    }
}
