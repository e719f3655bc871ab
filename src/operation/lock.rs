//! Who may change what on a cluster, among the operators of one host: a lock file for each scope, naming its holder.
//!
//! `data` (reassignments and everything that moves bytes) is one scope for the whole cluster; metadata has one for each
//! object, so a topic may be made while data moves.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use std::time::Duration;

use super::{Error, Id, Who, folder};
use crate::plan::{Plan, Step};

/// Whoever probes a lock holds it for an instant.
const PATIENCE: Duration = Duration::from_millis(200);

/// Held until dropped, or until the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Of a throttle for brokers that come back.
const CATCH_UP: &str = "catch-up";

/// The scopes that a plan needs, in the order in which everybody takes them.
pub fn scopes(plan: &Plan) -> Vec<String> {
    let scope = |step: &Step| match step {
        Step::Reassign { .. }
        | Step::CancelReassign { .. }
        | Step::Elect { .. }
        | Step::SetThrottle { .. }
        | Step::ClearThrottle { .. }
        | Step::Volume(_)
        | Step::Restart(_) => "data".to_owned(),
        // A restart of the broker that is waited for must not wait for this in turn.
        Step::AwaitIsr(_) => CATCH_UP.to_owned(),
        Step::ResetOffsets { group, .. } | Step::DeleteGroup { group, .. } => format!("group-{}", safe(group)),
        Step::AbortTransaction { producer } => format!("topic-{}", producer.topic),
        Step::AddPartitions { topic: name, .. }
        | Step::Truncate { topic: name, .. }
        | Step::CreateTopic { name, .. }
        | Step::DeleteTopic { name, .. } => format!("topic-{name}"),
        Step::SetCredential(one) | Step::DeleteCredential(one) => file("user", &one.user),
        Step::Dns(act) => file("dns", act.record()),
        Step::Finalize(_) => "feature".to_owned(),
        // Whoever takes it up does nothing.
        Step::ByCommand { .. } => "command".to_owned(),
        Step::AlterQuotas(alter) => file("quota", &alter.entity.words()),
        Step::AddAcls(_) | Step::RemoveAcls(_) => "acl".to_owned(),
        Step::AlterConfigs(alter) => file("config", &alter.owner.to_string()),
    };
    let mut scopes: Vec<String> = plan.steps.iter().map(scope).collect();
    if scopes.iter().any(|scope| scope == CATCH_UP) {
        scopes.retain(|scope| scope != "data");
    }
    scopes.sort();
    scopes.dedup();
    scopes
}

/// A name of anything, as part of a file's name. Two that come out alike only share a lock.
fn safe(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || ".-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    name.chars().map(plain).take(200).collect()
}

/// A scope that is a file's name, whatever the thing is called: names of users are anybody's.
fn file(noun: &str, name: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(60)
        .collect();
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    format!("{noun}-{plain}-{:08x}", hasher.finish() as u32)
}

impl Lock {
    /// Takes one scope, or tells who has it.
    pub fn take(folder: &Path, scope: &str, id: &Id, who: &Who) -> Result<Self, Error> {
        let path = folder.join(scope);
        let mut file = open(&path)?;
        held(&file, &path, scope)?;
        let name = format!("operation {id} of {who}\n");
        file.set_len(0)
            .and_then(|()| file.write_all(name.as_bytes()))
            .map_err(Error::file(&path))?;
        Ok(Self { _file: file })
    }

    /// Whether these scopes could be taken now; tells who has the first that could not.
    pub fn probe(folder: &Path, scopes: &[String]) -> Result<(), Error> {
        for scope in scopes {
            let path = folder.join(scope);
            if let Ok(file) = File::open(&path) {
                held(&file, &path, scope)?;
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            folder::share(path)?;
            Ok(file)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            options.open(path).map_err(Error::file(path))
        }
        Err(error) => Err(Error::file(path)(error)),
    }
}

/// Takes the file's lock, or tells whose it is by what they wrote into it.
fn held(file: &File, path: &Path, scope: &str) -> Result<(), Error> {
    match folder::lock(file, PATIENCE) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let holder = fs::read_to_string(path).unwrap_or_default().trim().to_owned();
            let unknown = || "another process".to_owned();
            Err(Error::Locked {
                scope: scope.to_owned(),
                holder: if holder.is_empty() { unknown() } else { holder },
            })
        }
        Err(reason) => Err(Error::file(path)(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: &str) -> Who {
        Who {
            user: user.to_owned(),
            host: "bastion-b".to_owned(),
            pid: 1,
            ..Who::default()
        }
    }

    #[test]
    fn the_second_operator_is_told_who_holds_it_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (Id::parse("aaa111").unwrap(), Id::parse("bbb222").unwrap());
        let scopes = ["data".to_owned()];
        Lock::probe(folder.path(), &scopes).unwrap();
        let lock = Lock::take(folder.path(), "data", &one, &who("anna")).unwrap();
        let refused = Lock::take(folder.path(), "data", &two, &who("bert")).unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("data is locked by operation aaa111 of anna@bastion-b"),
            "{refused}"
        );
        assert!(Lock::probe(folder.path(), &scopes).is_err());
        let other = Lock::take(folder.path(), "topic-orders", &two, &who("bert"));
        assert!(other.is_ok(), "metadata is locked by the object, beside data");
        drop(lock);
        Lock::probe(folder.path(), &scopes).unwrap();
        Lock::take(folder.path(), "data", &two, &who("bert")).unwrap();
    }
}
