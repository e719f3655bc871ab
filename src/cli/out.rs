//! Where answers go: stdout, or for a step of a runbook the memory of whoever carries it out.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::foreign::plain;

/// What a command has answered.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

tokio::task_local! {
    static KEPT: Kept;
}

/// Where this command's answer goes. Nothing of it acts on a terminal, whatever a form of output forgot.
pub fn stdout() -> Box<dyn Write> {
    match KEPT.try_with(Clone::clone) {
        Ok(kept) => Box::new(Last::door(kept)),
        Err(_) => Box::new(Last::door(std::io::stdout().lock())),
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

/// What would act on a terminal is replaced as [`plain`] does, layout excepted, and so are bytes that are no text. Who needs
/// every byte escapes it before.
struct Last<W> {
    out: W,
    /// The beginning of a letter of which the rest comes with the next bytes.
    held: Vec<u8>,
}

impl<W> Last<W> {
    fn door(out: W) -> Self {
        Self { out, held: Vec::new() }
    }
}

impl<W: Write> Write for Last<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let joined;
        let all = match self.held.is_empty() {
            true => bytes,
            false => {
                self.held.extend_from_slice(bytes);
                joined = std::mem::take(&mut self.held);
                &joined
            }
        };
        for chunk in all.utf8_chunks() {
            for piece in chunk.valid().split_inclusive(['\n', '\t']) {
                let text = piece.trim_end_matches(['\n', '\t']);
                self.out.write_all(plain(text).as_bytes())?;
                self.out.write_all(&piece.as_bytes()[text.len()..])?;
            }
            let is_cut = std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            let is_last = all.as_ptr_range().end == chunk.invalid().as_ptr_range().end;
            match chunk.invalid() {
                [] => {}
                begun if is_cut && is_last => self.held = begun.to_vec(),
                _ => self.out.write_all("\u{fffd}".as_bytes())?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_past_all_care_acts_on_nothing() {
        let mut out = Last::door(Vec::new());
        writeln!(out, "a\u{1b}[2Jb\tc\u{202e}d").unwrap();
        for byte in "größe 日本\n".as_bytes() {
            out.write_all(&[*byte]).unwrap();
        }
        out.write_all(b"\xff\xe6\x97 end\n").unwrap();
        assert_eq!(
            String::from_utf8(out.out).unwrap(),
            "a [2Jb\tc\u{fffd}d\ngröße 日本\n\u{fffd}\u{fffd} end\n"
        );
    }
}
