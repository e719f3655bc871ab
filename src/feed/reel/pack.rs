//! Packs steps by zstd, each against the one before.
//!
//! A step of a wide cluster is tens of megabytes, and against another one zstd wants three times as much. A large one is packed
//! alone and piece by piece as it is told, and is not there to pack the next one against: no more than a few megabytes are ever
//! held. To whoever unpacks it is all the same: a frame that does not reach into the step before is none the worse for it.

use std::io::{self, Read, Write};

/// Fast: what matters is found in the step before.
const LEVEL: i32 = 1;
/// A step of so many bytes is large.
const LARGE: usize = 2 << 20;
/// Large ones are packed in pieces of so many bytes: what tells them writes a few at a time.
const PIECE: usize = 128 << 10;
/// No step is larger once unpacked.
const STEP_BYTES: usize = 1 << 30;

/// Takes in one step.
pub(super) struct Packer<'a> {
    before: &'a [u8],
    /// What is not packed yet.
    told: Vec<u8>,
    /// Of a large one.
    alone: Option<zstd::Encoder<'static, Vec<u8>>>,
}

impl<'a> Packer<'a> {
    pub fn new(before: &'a [u8]) -> Self {
        Self {
            before,
            told: Vec::with_capacity(before.len() + before.len() / 8),
            alone: None,
        }
    }

    /// The frame, and the step to pack the next one against: nothing after a large one.
    pub fn finish(self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let Self {
            before,
            mut told,
            alone,
        } = self;
        if let Some(mut encoder) = alone {
            encoder.write_all(&told)?;
            return Ok((encoder.finish()?, Vec::new()));
        }
        let mut encoder = zstd::Encoder::with_ref_prefix(Vec::new(), LEVEL, before)?;
        encoder.include_checksum(true)?;
        encoder.long_distance_matching(true)?;
        encoder.window_log(window(before.len() + told.len()))?;
        encoder.write_all(&told)?;
        let frame = encoder.finish()?;
        told.shrink_to_fit();
        Ok((frame, told))
    }
}

impl Write for Packer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.told.extend_from_slice(bytes);
        match &mut self.alone {
            Some(encoder) if self.told.len() >= PIECE => {
                encoder.write_all(&self.told)?;
                self.told.clear();
            }
            None if self.told.len() > LARGE => {
                let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
                encoder.include_checksum(true)?;
                encoder.write_all(&self.told)?;
                self.told = Vec::with_capacity(2 * PIECE);
                self.alone = Some(encoder);
            }
            _ => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The inverse of a [`Packer`].
pub(super) fn unpack(frame: &[u8], before: &[u8]) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::Decoder::with_ref_prefix(frame, before)?;
    decoder.window_log_max(30)?;
    let mut payload = Vec::with_capacity(before.len() + before.len() / 8);
    decoder.take(STEP_BYTES as u64 + 1).read_to_end(&mut payload)?;
    match payload.len() > STEP_BYTES {
        true => Err(io::Error::other("a step is larger than 1 GiB")),
        false => Ok(payload),
    }
}

/// The window that reaches over so many bytes, as zstd takes it: a power of two.
fn window(bytes: usize) -> u32 {
    (usize::BITS - bytes.leading_zeros()).clamp(18, 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(before: &[u8], step: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut packer = Packer::new(before);
        step.chunks(7).for_each(|some| packer.write_all(some).unwrap());
        packer.finish().unwrap()
    }

    #[test]
    fn steps_are_what_they_were_whether_or_not_one_of_them_is_large() {
        let numbers = |count: u32, from: u32| (from..from + count).flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
        let large = LARGE as u32 / 4 + 100_000;
        let steps = [
            numbers(50_000, 0),
            numbers(50_000, 10),
            numbers(large, 0),
            numbers(large, 5),
            numbers(20, 0),
            Vec::new(),
            numbers(21, 0),
        ];
        let (mut before, mut known, mut frames) = (Vec::new(), Vec::new(), Vec::new());
        for step in &steps {
            let (frame, kept) = packed(&before, step);
            assert!(kept.is_empty() || kept == *step, "a large one is not kept");
            assert_eq!(kept.is_empty(), step.len() > LARGE || step.is_empty());
            let unpacked = unpack(&frame, &known).unwrap();
            assert!(unpacked == *step);
            (before, known) = (kept, unpacked);
            frames.push(frame.len());
        }
        assert!(frames[1] * 100 < frames[0], "most is in the step before: {frames:?}");
    }
}
