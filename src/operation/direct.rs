//! What a command does itself while somebody waits for it, kept in a journal like everything else: who, when, why, what, and
//! how it ended.
//!
//! There is no engine. A command that is killed leaves an operation without one, which `operation resume` ends as failed:
//! nobody else knows what was to be written.

use super::journal::{Event, Journal};
use super::{Error, Folder, Id, Who};
use crate::model::{Moment, Snapshot};
use crate::plan::schedule::Schedule;
use crate::plan::{Kind, Plan, Step, Undo};

/// An act that has begun. Dropped without an end it stays half done, as it is.
#[derive(Debug)]
pub struct Direct {
    journal: Journal,
    id: Id,
}

/// What is to be done, and why.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    pub kind: Kind,
    /// A sentence such as `write a record to orders`. Nothing of what is written is in it.
    pub what: String,
    pub context: &'a str,
    pub reason: Option<String>,
}

impl Direct {
    /// Writes down what is about to be done; only then it may be asked for.
    ///
    /// # Errors
    /// When the journal cannot be written, or the cluster is not known.
    pub fn begin(folder: &Folder, snapshot: &Snapshot, act: Act<'_>, now: Moment) -> Result<Self, Error> {
        let Act {
            kind,
            what,
            context,
            reason,
        } = act;
        let draft = Plan::draft(snapshot, kind, context, now).map_err(|error| Error::Unseen(error.to_string()))?;
        let plan = Plan {
            title: what.clone(),
            steps: vec![Step::ByCommand { what }],
            undo: Undo::None {
                why: "it was done at once".to_owned(),
            },
            ..draft
        };
        let id = Id::random();
        let by = Who::me();
        folder.prepare()?;
        folder.make(&id)?;
        let begun = Event::Begun {
            plan: Box::new(plan),
            by: by.clone(),
            reason,
            overrides: Vec::new(),
            schedule: Schedule::default(),
        };
        let mut journal = Journal::create(&folder.journal(&id), begun, now)?;
        journal.append(Event::Engine { by }, now)?;
        journal.append(Event::Step { step: 0 }, now)?;
        Ok(Self { journal, id })
    }

    pub fn id(&self) -> &Id {
        &self.id
    }

    /// It was done, so.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn done(mut self, outcome: String) -> Result<(), Error> {
        let now = Moment::now();
        self.journal.append(Event::Done { step: 0, outcome }, now)?;
        self.journal.append(Event::Finished, now)
    }

    /// It was not, or not all of it.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn failed(mut self, reason: String) -> Result<(), Error> {
        self.journal.append(Event::Failed { step: 0, reason }, Moment::now())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Phase;
    use super::*;
    use crate::model::Observed;
    use crate::model::cluster::Cluster;

    #[test]
    fn what_a_command_did_is_in_the_journal_and_what_it_did_not_end_is_no_engines() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::new(state.path());
        let cluster = Cluster {
            id: "c1".into(),
            ..Cluster::default()
        };
        let now = Moment::now();
        let snapshot = Snapshot {
            cluster: Observed::fresh(cluster, now),
            ..Snapshot::default()
        };
        let act = || Act {
            kind: Kind::RecordSend,
            what: "write a record to orders".into(),
            context: "dev",
            reason: Some("a test".into()),
        };
        let begin = || Direct::begin(&folder, &snapshot, act(), now).unwrap();
        let (one, other, third) = (begin(), begin(), begin());
        let ids = [&one, &other, &third].map(|direct| direct.id().clone());
        assert!(folder.status(&ids[0]).unwrap().alive);
        one.done("orders:3:1201".into()).unwrap();
        other.failed("no leader".into()).unwrap();
        drop(third);
        let [one, other, third] = ids.map(|id| folder.status(&id).unwrap());
        assert_eq!((one.phase, one.reason.as_deref()), (Phase::Finished, Some("a test")));
        assert_eq!((other.phase, other.note.as_deref()), (Phase::Failed, Some("no leader")));
        assert!(third.is_orphaned());
        assert!(one.undoing().unwrap_err().to_string().contains("has no way back"));
    }
}
