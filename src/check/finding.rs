//! What triage found and what is over, as changes: they are remembered with the others, so that a console which is opened later
//! tells what was wrong within the last hour.

use std::collections::BTreeMap;

use super::{Cause, Triage};
use crate::model::Moment;
use crate::model::event::{Event, EventKind};

/// In the first seconds facts arrive one after the other: what they tell was there before.
const SETTLE_SECONDS: i64 = 15;

/// The findings of successive verdicts.
#[derive(Debug, Default)]
pub struct Findings {
    began: Option<Moment>,
    /// Rule and culprit, and since when.
    open: BTreeMap<String, Moment>,
}

/// A finding's name among the changes.
pub(super) fn subject(cause: &Cause) -> String {
    format!("{}: {}", cause.rule, cause.who())
}

impl Findings {
    /// What began and what is over since the last verdict.
    pub fn news(&mut self, triage: &Triage, now: Moment) -> Vec<Event> {
        if !triage.seen {
            return Vec::new();
        }
        let began = *self.began.get_or_insert(now);
        let present: BTreeMap<String, Moment> = triage
            .causes
            .iter()
            .map(|cause| (subject(cause), cause.since.map_or(now, |since| since.at)))
            .collect();
        let before = std::mem::replace(&mut self.open, present);
        if now.duration_since(began).as_secs() < SETTLE_SECONDS {
            return Vec::new();
        }
        let told = |name: &String, text: String| Event::new(now, EventKind::Finding, name, text, 1);
        let new = self.open.keys().filter(|name| !before.contains_key(*name));
        let mut news: Vec<Event> = new.map(|name| told(name, "found".to_owned())).collect();
        for (name, since) in before.iter().filter(|(name, _)| !self.open.contains_key(*name)) {
            let lasted = super::text::span(now.duration_since(*since).as_secs_f64());
            news.push(told(name, format!("over after {lasted}")));
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{Six, ago, now};

    #[test]
    fn what_begins_and_what_is_over_is_news_and_what_was_there_is_not() {
        let mut findings = Findings::default();
        let (well, mut ill) = (Six::healthy(), Six::healthy());
        ill.kill(4);
        let told = |events: Vec<Event>| events.iter().map(Event::sentence).collect::<Vec<_>>();
        assert!(
            findings.news(&ill.triage(), ago(100)).is_empty(),
            "it was so when we came"
        );
        assert!(findings.news(&ill.triage(), ago(80)).is_empty());
        assert_eq!(
            told(findings.news(&well.triage(), now())),
            ["broker-down: broker 4 over after 40 s"]
        );
        assert_eq!(
            told(findings.news(&ill.triage(), now())),
            ["broker-down: broker 4 found"]
        );
    }
}
