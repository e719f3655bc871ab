//! What changed, as the console itself saw it, and since when each symptom has lasted. Bounded; captures carry it.
//!
//! A moment is *recorded* when the console saw the symptom begin, and *seen* when it was there at the first look: nothing
//! is known of before [`Events::watched_since`].

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{BrokerId, Moment};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    /// A broker stopped answering, or answers again.
    Broker,
    /// The controller fenced a broker, or lets it lead again.
    Fence,
    /// Leaders moved.
    Leader,
    /// Replicas left or joined an ISR.
    Isr,
    /// Another controller, or another epoch of it.
    Controller,
    Reassignment,
    Throttle,
    Config,
    /// Topics created or deleted, partitions added.
    Topic,
    /// A volume was modified.
    Volume,
    /// An instance was launched, or AWS has scheduled something for it.
    Instance,
    /// What Azimuth did.
    Operation,
    /// What triage found, or what is over.
    Finding,
    /// What became of the recording itself.
    Recording,
}

/// One change, or several of one kind within moments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was first seen; for AWS facts, when AWS says it began.
    pub at: Moment,
    pub kind: EventKind,
    /// The thing, for example `broker 4`.
    pub subject: String,
    /// What became of it, for example `left the ISR of 41 partitions`; `{}` stands where the count goes.
    pub text: String,
    /// Changes summed up in this event.
    pub count: u32,
}

/// A symptom that lasts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Symptom {
    Offline,
    UnderMinIsr,
    AtMinIsr,
    UnderReplicated,
    /// Replicas on this broker are missing from their ISRs.
    #[strum(to_string = "missing {0}")]
    Missing(BrokerId),
    /// This broker alone is in the ISR of partitions that have other replicas.
    #[strum(to_string = "alone {0}")]
    Alone(BrokerId),
    #[strum(to_string = "fenced {0}")]
    Fenced(BrokerId),
    /// Throttles are set.
    Throttled,
}

/// When a symptom began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub at: Moment,
    /// The console saw it begin; otherwise it was there when the console looked first.
    pub recorded: bool,
}

/// A span in which nobody looked: what changed in it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub from: Moment,
    pub until: Moment,
}

/// Changes, oldest first, at most [`Events::CAPACITY`], and the symptoms that last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// The first look; `None` before it.
    pub watched_since: Option<Moment>,
    /// Spans since then in which nobody looked, oldest first.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    list: VecDeque<Event>,
    /// By the symptom's name.
    symptoms: BTreeMap<String, Since>,
}

impl Event {
    pub fn new(at: Moment, kind: EventKind, subject: impl Into<String>, text: impl Into<String>, count: u32) -> Self {
        Self {
            at,
            kind,
            subject: subject.into(),
            text: text.into(),
            count,
        }
    }

    /// In one clause, for example `broker 4 left the ISR of 41 partitions`.
    pub fn sentence(&self) -> String {
        let text = self.text.replace("{}", &self.count.to_string());
        format!("{} {text}", self.subject).trim().to_owned()
    }
}

impl Events {
    pub const CAPACITY: usize = 200;
    /// Changes of one kind to one thing within this many seconds are one event.
    const SUM_SECONDS: i64 = 20;
    /// Two looks so far apart have seen nothing of what lies between them.
    const GAP_SECONDS: i64 = 60;
    /// What is older is told nowhere.
    const KEPT_SECONDS: i64 = 7200;

    /// Adds a change; one like a recent one only raises its count.
    pub fn push(&mut self, event: Event) {
        let alike = |known: &&mut Event| {
            known.kind == event.kind
                && known.subject == event.subject
                && known.text == event.text
                && known.text.contains("{}")
                && event.at.duration_since(known.at).as_secs() <= Self::SUM_SECONDS
        };
        if let Some(known) = self.list.iter_mut().rev().take(16).find(alike) {
            known.count += event.count;
            return;
        }
        self.list.push_back(event);
        while self.list.len() > Self::CAPACITY {
            self.list.pop_front();
        }
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Event> + ExactSizeIterator {
        self.list.iter()
    }

    /// The same, to change what they say.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Event> {
        self.list.iter_mut()
    }

    /// Remembers when a symptom began, and forgets it when it is gone.
    pub fn mark(&mut self, symptom: &Symptom, present: bool, at: Moment, recorded: bool) {
        let name = symptom.to_string();
        match present {
            true => {
                self.symptoms.entry(name).or_insert(Since { at, recorded });
            }
            false => {
                self.symptoms.remove(&name);
            }
        }
    }

    /// Takes up what another console has recorded up to `until`; `self` is what was seen since. A symptom goes on only where
    /// somebody has looked all the time.
    pub fn resume(&mut self, recorded: Self, until: Moment, now: Moment) {
        let own = std::mem::replace(self, recorded);
        let next = own.watched_since.unwrap_or(now);
        let broken = next.duration_since(until).as_secs() > Self::GAP_SECONDS;
        self.watched_since = self.watched_since.or(own.watched_since);
        if broken {
            self.gaps.push(Gap {
                from: until,
                until: next,
            });
            self.symptoms.clear();
        }
        let old = |at: Moment| now.duration_since(at).as_secs() > Self::KEPT_SECONDS;
        self.gaps.retain(|gap| !old(gap.until));
        self.list.retain(|event| !old(event.at));
        if self.watched_since.is_some_and(old) {
            let kept = now.checked_sub(jiff::SignedDuration::from_secs(Self::KEPT_SECONDS));
            self.watched_since = kept.ok().or(self.watched_since);
        }
        for (name, since) in own.symptoms {
            self.symptoms.entry(name).or_insert(since);
        }
        own.list.into_iter().for_each(|event| self.push(event));
    }

    /// Since when a symptom has lasted without a break.
    pub fn since(&self, symptom: &Symptom) -> Option<Since> {
        self.symptoms.get(&symptom.to_string()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn left(second: i64, count: u32) -> Event {
        Event::new(
            at(second),
            EventKind::Isr,
            "broker 4",
            "left the ISR of {} partitions",
            count,
        )
    }

    #[test]
    fn changes_within_moments_are_one_event() {
        let mut events = Events::default();
        for event in [left(0, 3), left(5, 4), left(60, 1)] {
            events.push(event);
        }
        let told: Vec<String> = events.iter().map(Event::sentence).collect();
        assert_eq!(
            told,
            [
                "broker 4 left the ISR of 7 partitions",
                "broker 4 left the ISR of 1 partitions"
            ]
        );
    }

    #[test]
    fn the_oldest_event_goes_first() {
        let mut events = Events::default();
        for second in 0..500 {
            events.push(left(second * 60, 1));
        }
        assert_eq!(events.iter().len(), Events::CAPACITY);
        assert_eq!(events.iter().next().unwrap().at, at(300 * 60));
    }

    #[test]
    fn a_symptom_lasts_until_it_is_gone() {
        let mut events = Events::default();
        events.mark(&Symptom::Missing(4), true, at(0), false);
        events.mark(&Symptom::Missing(4), true, at(9), true);
        assert_eq!(
            events.since(&Symptom::Missing(4)),
            Some(Since {
                at: at(0),
                recorded: false
            })
        );
        assert_eq!(events.since(&Symptom::Missing(5)), None);
        events.mark(&Symptom::Missing(4), false, at(20), true);
        events.mark(&Symptom::Missing(4), true, at(30), true);
        assert_eq!(
            events.since(&Symptom::Missing(4)),
            Some(Since {
                at: at(30),
                recorded: true
            })
        );
    }

    #[test]
    fn a_recording_goes_on_and_what_nobody_saw_is_a_gap() {
        let recorded = || {
            let mut events = Events {
                watched_since: Some(at(0)),
                ..Events::default()
            };
            events.push(left(100, 3));
            events.mark(&Symptom::Missing(4), true, at(100), true);
            events
        };
        let own = || {
            let mut events = Events {
                watched_since: Some(at(1000)),
                ..Events::default()
            };
            events.mark(&Symptom::Missing(4), true, at(1000), false);
            events.push(left(1010, 1));
            events
        };
        let mut seamless = own();
        seamless.resume(recorded(), at(990), at(1020));
        assert_eq!((seamless.watched_since, seamless.gaps.len()), (Some(at(0)), 0));
        assert_eq!(seamless.iter().len(), 2);
        let since = seamless.since(&Symptom::Missing(4)).unwrap();
        assert_eq!((since.at, since.recorded), (at(100), true));
        let mut broken = own();
        broken.resume(recorded(), at(400), at(1020));
        let gap = Gap {
            from: at(400),
            until: at(1000),
        };
        assert_eq!(broken.gaps, [gap]);
        let since = broken.since(&Symptom::Missing(4)).unwrap();
        assert_eq!(
            (since.at, since.recorded),
            (at(1000), false),
            "it may have gone and come back"
        );
        let mut late = Events::default();
        late.resume(recorded(), at(400), at(20_000));
        assert_eq!((late.iter().len(), late.watched_since), (0, Some(at(12_800))));
    }
}
