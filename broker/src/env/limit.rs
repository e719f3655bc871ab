//! What the system lets this process have, and how much of it is held only to be faster.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many descriptors it may hold: the soft limit at its start, `ulimit -n`.
pub fn descriptors() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        limit
            .current
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(usize::MAX)
    })
}

static KEPT: AtomicUsize = AtomicUsize::new(0);

/// The right to keep a descriptor open that could be opened again when it is needed. All of the process together may take
/// a quarter of its descriptors, so that what must be open finds one.
#[derive(Debug)]
pub struct Kept(());

impl Kept {
    /// `None` when as many are kept already.
    pub fn take() -> Option<Self> {
        let most = descriptors() / 4;
        let taken = KEPT.fetch_update(Ordering::AcqRel, Ordering::Acquire, |kept| {
            (kept < most).then_some(kept + 1)
        });
        taken.is_ok().then_some(Self(()))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        KEPT.fetch_sub(1, Ordering::AcqRel);
    }
}
