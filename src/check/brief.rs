//! A verdict in one line, for a list of clusters.

use serde::Serialize;

use super::triage::{Name, Status, Triage};
use crate::model::row::Rows;
use crate::model::row::broker::BrokerState;
use crate::model::{Moment, Snapshot};

/// What triage says of a cluster, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Brief {
    pub status: Status,
    /// Brokers that answer, and all.
    pub up: usize,
    pub brokers: usize,
    /// Who is at fault; `nobody` where nobody is.
    pub culprit: String,
    /// The headline's first clause.
    pub headline: String,
    pub at: Moment,
}

impl Brief {
    /// Of a cluster that was seen.
    ///
    /// # Errors
    /// Why it was not.
    pub fn of(snapshot: &Snapshot, rows: &Rows, triage: &Triage, at: Moment) -> Result<Self, String> {
        if !triage.seen {
            return Err(snapshot
                .cluster
                .problem()
                .unwrap_or_else(|| "it was not seen".to_owned()));
        }
        let headline = triage.line(Name::Headline).map_or("", |line| line.text.as_str());
        let up = rows.brokers.iter().filter(|broker| broker.state == BrokerState::Up);
        Ok(Self {
            status: triage.status,
            up: up.count(),
            brokers: rows.brokers.len(),
            culprit: triage
                .causes
                .first()
                .map_or_else(|| "nobody".to_owned(), |cause| cause.who()),
            headline: headline.split(" · ").next().unwrap_or_default().to_owned(),
            at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{Six, now};

    #[test]
    fn a_cluster_is_one_line_and_one_that_was_not_seen_says_why() {
        let mut six = Six::healthy();
        six.kill(4);
        let rows = Rows::of(&six.snapshot, now());
        let brief = Brief::of(&six.snapshot, &rows, &six.triage(), now()).unwrap();
        assert_eq!((brief.up, brief.brokers, brief.culprit.as_str()), (5, 6, "broker 4"));
        assert!(!brief.headline.is_empty() && !brief.headline.contains(" · "));
        let nothing = Snapshot::default();
        let rows = Rows::of(&nothing, now());
        let triage = Triage::of(&crate::check::Facts {
            snapshot: &nothing,
            rows: &rows,
            acts: &[],
            strict: false,
            changes: crate::model::history::Window::CHANGES,
            now: now(),
        });
        assert!(Brief::of(&nothing, &rows, &triage, now()).is_err());
    }
}
