//! Who may change what on a cluster, among the operators of one host: a lock file for each scope, naming its holder.
//!
//! `data` (reassignments and everything that moves bytes) is one scope for the whole cluster; metadata has one for each
//! object, so a topic may be made while data moves.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{Error, Id, Who};
use crate::plan::{Plan, Step};

/// Held until dropped, or until the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The scopes that a plan needs, in the order in which everybody takes them.
pub fn scopes(plan: &Plan) -> Vec<String> {
    let scope = |step: &Step| match step {
        Step::Reassign { .. } => "data".to_owned(),
        Step::CreateTopic { name, .. } | Step::DeleteTopic { name, .. } => format!("topic-{name}"),
    };
    let mut scopes: Vec<String> = plan.steps.iter().map(scope).collect();
    scopes.sort();
    scopes.dedup();
    scopes
}

impl Lock {
    /// Takes one scope, or tells who has it.
    pub fn take(folder: &Path, scope: &str, id: &Id, who: &Who) -> Result<Self, Error> {
        let path = folder.join(scope);
        let open = || {
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o660)
                .open(&path)
        };
        let mut file = open().map_err(Error::file(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
                let holder = if holder.is_empty() {
                    "another process".to_owned()
                } else {
                    holder
                };
                return Err(Error::Locked {
                    scope: scope.to_owned(),
                    holder,
                });
            }
            Err(error) => {
                return Err(Error::File {
                    path,
                    reason: error.into(),
                });
            }
        }
        let name = format!("operation {id} of {who}\n");
        file.set_len(0)
            .and_then(|()| file.write_all(name.as_bytes()))
            .map_err(Error::file(&path))?;
        Ok(Self { _file: file })
    }
}
