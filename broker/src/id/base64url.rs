//! Kafka's text form of a UUID: 22 characters of base64url without padding.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// How many characters 128 bits take; the last one carries two of them.
const LENGTH: usize = 22;

/// A UUID that reads and writes itself as Kafka's tools do, for example `AAAAAAAAAAAAAAAAAAAAAQ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Base64Url(pub Uuid);

impl fmt::Display for Base64Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.as_u128();
        let mut text = String::with_capacity(LENGTH);
        for index in 0..LENGTH {
            let shift = 122 - 6 * index as i32;
            let six = if shift >= 0 { bits >> shift } else { bits << -shift };
            text.push(char::from(ALPHABET[(six & 63) as usize]));
        }
        f.pad(&text)
    }
}

/// The text is not a UUID in base64url.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id of 22 base64url characters, as `kafka-storage random-uuid` prints")]
pub struct ParseError(String);

impl FromStr for Base64Url {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = || ParseError(text.chars().take(64).collect());
        let trimmed = text.trim_end_matches('=');
        if trimmed.len() != LENGTH {
            return Err(bad());
        }
        let mut bits = 0_u128;
        for (index, byte) in trimmed.bytes().enumerate() {
            let six = ALPHABET.iter().position(|known| *known == byte).ok_or_else(bad)? as u128;
            // The last character's low four bits lie beyond the 128.
            bits = if index == LENGTH - 1 {
                (bits << 2) | (six >> 4)
            } else {
                (bits << 6) | six
            };
        }
        Ok(Self(Uuid::from_u128(bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_topic_reads_as_in_kafka() {
        assert_eq!(Base64Url(Uuid::from_u128(1)).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAQ".parse(), Ok(Base64Url(Uuid::from_u128(1))));
    }

    #[test]
    fn every_uuid_survives_the_way_there_and_back() {
        for _ in 0..1_000 {
            let id = Base64Url(Uuid::new_v4());
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert!("too-short".parse::<Base64Url>().is_err());
        assert!("AAAAAAAAAAAAAAAAAAAA+Q".parse::<Base64Url>().is_err());
    }
}
