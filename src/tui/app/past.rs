//! What is looked at is over: a capture, or one step of a recording, and how one moves on in it. Nothing can be asked or changed.

use super::action::Action;
use super::effect::Effect;
use super::field::Tone;
use super::state::State;
use crate::model::Moment;

/// Where one is in the past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    pub is_capture: bool,
    pub at: Moment,
    /// From 0.
    pub step: usize,
    pub steps: usize,
    /// How many times faster than it happened it goes on; `None` stands still.
    pub speed: Option<u32>,
    /// Why a step is not shown that was asked for.
    pub problem: Option<String>,
}

/// A way to move in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Travel {
    Later,
    Earlier,
    /// To where a finding began or was over.
    LaterFinding,
    EarlierFinding,
    /// The next speed.
    Speed,
}

/// Goes through these, and stands still after the last.
pub const SPEEDS: [u32; 3] = [1, 10, 60];

impl Travel {
    pub fn of(action: Action) -> Option<Self> {
        Some(match action {
            Action::Later => Self::Later,
            Action::Earlier => Self::Earlier,
            Action::LaterFinding => Self::LaterFinding,
            Action::EarlierFinding => Self::EarlierFinding,
            Action::Speed => Self::Speed,
            _ => return None,
        })
    }
}

impl Past {
    /// There are steps to move through.
    pub fn is_replay(&self) -> bool {
        self.steps > 1
    }

    /// The next speed, and none after the fastest.
    pub fn next_speed(&self) -> Option<u32> {
        match self.speed {
            None => SPEEDS.first().copied(),
            Some(speed) => SPEEDS.into_iter().find(|next| *next > speed),
        }
    }

    /// For the header: `REPLAY 2026-11-22 21:04:29Z 12/340 ▶×10`.
    pub fn badge(&self) -> String {
        let word = if self.is_capture { "CAPTURE" } else { "REPLAY" };
        let at = self.at.strftime("%F %H:%M:%SZ");
        match (self.is_replay(), self.speed) {
            (false, _) => format!("{word} {at}"),
            (true, None) => format!("{word} {at} {}/{}", self.step + 1, self.steps),
            (true, Some(speed)) => format!("{word} {at} {}/{} ▶×{speed}", self.step + 1, self.steps),
        }
    }
}

impl State {
    /// The past has moved.
    pub(super) fn travelled(&mut self, now: Moment, past: Past) {
        if let Some(problem) = &past.problem {
            self.notify(now, Tone::Warn, problem.clone());
        }
        self.past = Some(past);
    }

    /// A wish to move in it.
    pub(super) fn travel_in_time(&self, action: Action) -> Vec<Effect> {
        match Travel::of(action) {
            Some(travel) if self.offers(action) => vec![Effect::Travel(travel)],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_go_round_and_the_badge_tells_where_one_is() {
        let mut past = Past {
            at: "2026-11-22T21:04:29Z".parse().unwrap(),
            step: 11,
            steps: 340,
            ..Past::default()
        };
        assert_eq!(past.badge(), "REPLAY 2026-11-22 21:04:29Z 12/340");
        let mut seen = Vec::new();
        for _ in 0..4 {
            past.speed = past.next_speed();
            seen.push(past.speed);
        }
        assert_eq!(seen, [Some(1), Some(10), Some(60), None]);
        past.speed = Some(10);
        assert_eq!(past.badge(), "REPLAY 2026-11-22 21:04:29Z 12/340 ▶×10");
        let capture = Past {
            is_capture: true,
            steps: 1,
            ..past
        };
        assert_eq!(capture.badge(), "CAPTURE 2026-11-22 21:04:29Z");
    }
}
