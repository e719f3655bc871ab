//! Whether the certificates that a node shows have run out: by their dates only, or on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A cheap handle; clones say the same.
#[derive(Debug, Clone, Default)]
pub struct Expiry {
    over: Option<Arc<AtomicBool>>,
}

impl Expiry {
    /// One that [`Expiry::set`] changes together with its clones.
    pub fn settable(self) -> Self {
        Self {
            over: Some(Arc::default()),
        }
    }

    /// Whether whoever asks for a certificate from now on is shown one that has run out. Does nothing to a handle that is not
    /// [`Expiry::settable`].
    pub fn set(&self, is_over: bool) {
        if let Some(over) = &self.over {
            over.store(is_over, Ordering::SeqCst);
        }
    }

    /// Whether it can ever be over.
    pub fn is_settable(&self) -> bool {
        self.over.is_some()
    }

    pub fn is_over(&self) -> bool {
        self.over.as_ref().is_some_and(|over| over.load(Ordering::Relaxed))
    }
}
