//! The codecs of KIP-110 and older, with output that is bounded before it is produced.

use std::io;
use std::io::Read;

use bytes::Bytes;

use super::Error;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    /// Raw, or in the xerial framing that the Java client writes.
    Snappy,
    /// The frame format.
    Lz4,
    Zstd,
}

/// Begins what snappy-java writes: then two version numbers of 4 bytes, then blocks, each behind its length.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

impl Compression {
    pub(super) fn from_code(codec: i16) -> Result<Self, Error> {
        Ok(match codec {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            codec => return Err(Error::UnsupportedCompression { codec }),
        })
    }

    /// As in the three low bits of a batch's attributes.
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The content of `packed`, at most `limit` bytes of it.
    ///
    /// # Errors
    /// When it is damaged, or larger than `limit`.
    pub fn decompress(self, packed: &Bytes, limit: usize) -> Result<Bytes, Error> {
        match self {
            Self::None if packed.len() > limit => Err(Error::TooLarge { limit }),
            Self::None => Ok(packed.clone()),
            Self::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(packed.as_ref()), limit),
            Self::Snappy => snappy(packed, limit),
            Self::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(packed.as_ref()), limit),
            Self::Zstd => read_bounded(
                zstd::stream::read::Decoder::new(packed.as_ref()).map_err(damaged)?,
                limit,
            ),
        }
    }

    /// `plain` compressed at the codec's usual level; snappy in its raw form.
    ///
    /// # Errors
    /// When the codec refuses, which for a buffer in memory means it is too large for it.
    pub fn compress(self, plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.compress_at(plain, None)
    }

    /// As [`Compression::compress`], at a level of gzip (1 to 9) or zstd (-131072 to 22); the other codecs have one.
    ///
    /// # Errors
    /// As [`Compression::compress`].
    pub fn compress_at(self, plain: &[u8], level: Option<i32>) -> Result<Vec<u8>, Error> {
        use std::io::Write;
        match self {
            Self::None => Ok(plain.to_vec()),
            Self::Gzip => {
                let level = level.and_then(|level| u32::try_from(level).ok());
                let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(plain).map_err(damaged)?;
                encoder.finish().map_err(damaged)
            }
            Self::Snappy => snap::raw::Encoder::new().compress_vec(plain).map_err(damaged),
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(plain).map_err(damaged)?;
                encoder.finish().map_err(damaged)
            }
            Self::Zstd => zstd::stream::encode_all(plain, level.unwrap_or(0)).map_err(damaged),
        }
    }
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Decompress { why: error.to_string() }
}

fn read_bounded(reader: impl io::Read, limit: usize) -> Result<Bytes, Error> {
    let mut plain = Vec::new();
    // One more than the limit tells what is larger from what just fits.
    reader
        .take((limit as u64).saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(damaged)?;
    if plain.len() > limit {
        return Err(Error::TooLarge { limit });
    }
    Ok(plain.into())
}

fn snappy(packed: &[u8], limit: usize) -> Result<Bytes, Error> {
    let mut plain = Vec::new();
    if !packed.starts_with(XERIAL_MAGIC) {
        snappy_block(packed, &mut plain, limit)?;
        return Ok(plain.into());
    }
    let mut rest = packed.get(XERIAL_HEADER..).ok_or(Error::Malformed {
        why: "its snappy header is cut off",
    })?;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let block = after.get(..length).ok_or(Error::Malformed {
            why: "a snappy block is cut off",
        })?;
        snappy_block(block, &mut plain, limit)?;
        rest = &after[length..];
    }
    if rest.is_empty() {
        Ok(plain.into())
    } else {
        Err(Error::Malformed {
            why: "a snappy block is cut off",
        })
    }
}

/// Appends the content of one raw block; its length is stored in front, so it is checked before allocating.
fn snappy_block(block: &[u8], plain: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
    let length = snap::raw::decompress_len(block).map_err(damaged)?;
    let before = plain.len();
    // A block cannot expand by more than 64 bytes per 3: a larger claim is a lie, whatever the limit.
    if length > limit.saturating_sub(before) || length > block.len().saturating_mul(32).saturating_add(64) {
        return Err(Error::TooLarge { limit });
    }
    plain.resize(before + length, 0);
    let written = snap::raw::Decoder::new()
        .decompress(block, &mut plain[before..])
        .map_err(damaged)?;
    plain.truncate(before + written);
    Ok(())
}
