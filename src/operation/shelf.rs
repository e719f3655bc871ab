//! Journals as they were read last, for whoever looks at them again and again: one that is over is not read twice.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use super::folder::ledger;
use super::{Entry, Folder, Id, Journal, Status};
use crate::model::throttle::Claim;

/// What of a journal tells whether it has changed: its size, and when it was written.
type Mark = (u64, i64, i64);

/// The operations of one folder.
#[derive(Debug, Default)]
pub struct Shelf {
    marks: BTreeMap<Id, Mark>,
    read: BTreeMap<Id, (Status, Vec<Entry>)>,
}

impl Shelf {
    /// Each operation, as its journal tells it.
    pub fn read(&self) -> &BTreeMap<Id, (Status, Vec<Entry>)> {
        &self.read
    }

    /// Which operation holds which throttle.
    pub fn claims(&self) -> Vec<Claim> {
        let told = self.read.iter();
        let told: Vec<_> = told
            .map(|(id, (status, entries))| {
                let about = entries.iter().filter(|entry| entry.event.is_about_throttles());
                (id.clone(), status.phase.is_over(), about.cloned().collect())
            })
            .collect();
        ledger(&told)
    }

    /// Reads what has changed. One that cannot be read is told by `operation list`; it must not hide the others here.
    pub fn look(&mut self, folder: &Folder) {
        let ids = folder.ids().unwrap_or_default();
        self.read.retain(|id, _| ids.contains(id));
        self.marks.retain(|id, _| ids.contains(id));
        for id in ids {
            let path = folder.journal(&id);
            let mark = |file: Metadata| (file.size(), file.mtime(), file.mtime_nsec());
            let Ok(mark) = std::fs::metadata(&path).map(mark) else {
                continue;
            };
            let is_over = self.read.get(&id).is_some_and(|(status, _)| status.phase.is_over());
            if is_over && self.marks.get(&id) == Some(&mark) {
                continue;
            }
            if let (Ok(status), Ok(entries)) = (folder.status(&id), Journal::read(&path)) {
                self.marks.insert(id.clone(), mark);
                self.read.insert(id, (status, entries));
            }
        }
    }
}
