//! Where answers go: stdout, or for a step of a runbook the memory of whoever carries it out.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// What a command has answered.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

tokio::task_local! {
    static KEPT: Kept;
}

/// Where this command's answer goes.
pub fn stdout() -> Box<dyn Write> {
    match KEPT.try_with(Clone::clone) {
        Ok(kept) => Box::new(kept),
        Err(_) => Box::new(std::io::stdout().lock()),
    }
}

/// Whether the answer is kept, so that nobody looks at it on a terminal.
pub fn is_kept() -> bool {
    KEPT.try_with(|_| ()).is_ok()
}

/// Carries a command out and keeps what it answers. What it says on stderr goes there.
pub async fn keep<T>(command: impl Future<Output = T>) -> (T, Vec<u8>) {
    let kept = Kept::default();
    let told = KEPT.scope(kept.clone(), command).await;
    let bytes = std::mem::take(&mut *kept.0.lock().unwrap_or_else(PoisonError::into_inner));
    (told, bytes)
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
