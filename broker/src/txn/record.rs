//! The records of `__transaction_state`, byte for byte Kafka's, so that its tools read them.
//!
//! Key: version (i16) = 0, the transactional id. Value: TransactionLogValue v0, and v1 with tagged fields once
//! `transaction.version` is on (`transaction-coordinator/src/main/resources/common/message`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{NO_EPOCH, NONE, State, Transaction};

/// A record that does not follow its schema; it is left alone and reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record of __transaction_state cannot be read: {0}")]
pub struct Malformed(&'static str);

const PREVIOUS_PRODUCER: usize = 0;
const NEXT_PRODUCER: usize = 1;
const CLIENT_VERSION: usize = 2;

pub fn key(id: &str) -> Bytes {
    let mut key = BytesMut::new();
    key.put_i16(0);
    put_string(&mut key, id);
    key.freeze()
}

/// The id; `None` for a key of a later version.
pub fn parse_key(mut key: &[u8]) -> Result<Option<String>, Malformed> {
    need(key, 2)?;
    if key.get_i16() != 0 {
        return Ok(None);
    }
    need(key, 2)?;
    let length = usize::try_from(key.get_i16()).map_err(|_| Malformed("an id is missing"))?;
    need(key, length)?;
    text(&key[..length]).map(Some)
}

/// `flexible`: in the version with tagged fields.
pub fn value(transaction: &Transaction, flexible: bool) -> Bytes {
    let mut value = BytesMut::new();
    value.put_i16(i16::from(flexible));
    value.put_i64(transaction.producer);
    value.put_i16(transaction.epoch);
    value.put_i32(transaction.timeout_ms);
    value.put_i8(transaction.state as i8);
    put_partitions(&mut value, transaction, flexible);
    value.put_i64(transaction.updated_ms);
    value.put_i64(transaction.started_ms);
    if flexible {
        let mut tags = BytesMut::new();
        let mut count = 0;
        for (tag, id) in [
            (PREVIOUS_PRODUCER, transaction.previous_producer),
            (NEXT_PRODUCER, transaction.next_producer),
        ] {
            if id != NONE {
                put_varint(&mut tags, tag);
                put_varint(&mut tags, 8);
                tags.put_i64(id);
                count += 1;
            }
        }
        if transaction.version != 0 {
            put_varint(&mut tags, CLIENT_VERSION);
            put_varint(&mut tags, 2);
            tags.put_i16(transaction.version);
            count += 1;
        }
        put_varint(&mut value, count);
        value.put_slice(&tags);
    }
    value.freeze()
}

/// An empty transaction has no list at all, as in Kafka.
fn put_partitions(value: &mut BytesMut, transaction: &Transaction, flexible: bool) {
    let none = transaction.state == State::Empty;
    match (flexible, none) {
        (true, true) => return value.put_u8(0),
        (false, true) => return value.put_i32(-1),
        (true, false) => put_varint(value, transaction.partitions.len() + 1),
        (false, false) => value.put_i32(transaction.partitions.len() as i32),
    }
    for (topic, partitions) in &transaction.partitions {
        if flexible {
            put_varint(value, topic.len() + 1);
            value.put_slice(topic.as_bytes());
            put_varint(value, partitions.len() + 1);
        } else {
            put_string(value, topic);
            value.put_i32(partitions.len() as i32);
        }
        for partition in partitions {
            value.put_i32(*partition);
        }
        if flexible {
            value.put_u8(0);
        }
    }
}

pub fn parse_value(mut value: &[u8]) -> Result<Transaction, Malformed> {
    need(value, 2)?;
    let flexible = match value.get_i16() {
        0 => false,
        1 => true,
        _ => return Err(Malformed("a transaction of a version after 1")),
    };
    need(value, 15)?;
    let mut transaction = Transaction::new(value.get_i64(), 0, 0);
    transaction.epoch = value.get_i16();
    transaction.timeout_ms = value.get_i32();
    let state = value.get_i8();
    transaction.state = State::ALL
        .into_iter()
        .find(|known| *known as i8 == state)
        .ok_or(Malformed("a state that does not exist"))?;
    transaction.partitions = parse_partitions(&mut value, flexible)?;
    need(value, 16)?;
    transaction.updated_ms = value.get_i64();
    transaction.started_ms = value.get_i64();
    transaction.last_epoch = NO_EPOCH;
    if flexible {
        for _ in 0..varint(&mut value)? {
            let (tag, length) = (varint(&mut value)?, varint(&mut value)?);
            need(value, length)?;
            let (mut field, rest) = value.split_at(length);
            value = rest;
            match (tag, length) {
                (PREVIOUS_PRODUCER, 8) => transaction.previous_producer = field.get_i64(),
                (NEXT_PRODUCER, 8) => transaction.next_producer = field.get_i64(),
                (CLIENT_VERSION, 2) => transaction.version = field.get_i16(),
                _ => {}
            }
        }
    }
    Ok(transaction)
}

fn parse_partitions(value: &mut &[u8], flexible: bool) -> Result<BTreeMap<String, BTreeSet<i32>>, Malformed> {
    let mut found = BTreeMap::new();
    for _ in 0..count(value, flexible)? {
        let length = match flexible {
            true => varint(value)?.checked_sub(1),
            false => {
                need(value, 2)?;
                usize::try_from(value.get_i16()).ok()
            }
        };
        let length = length.ok_or(Malformed("a topic has no name"))?;
        need(value, length)?;
        let topic = text(&value[..length])?;
        value.advance(length);
        let mut partitions = BTreeSet::new();
        for _ in 0..count(value, flexible)? {
            need(value, 4)?;
            partitions.insert(value.get_i32());
        }
        if flexible {
            for _ in 0..varint(value)? {
                let (_, length) = (varint(value)?, varint(value)?);
                need(value, length)?;
                value.advance(length);
            }
        }
        found.insert(topic, partitions);
    }
    Ok(found)
}

/// Of an array; 0 for null.
fn count(value: &mut &[u8], flexible: bool) -> Result<usize, Malformed> {
    if flexible {
        return Ok(varint(value)?.saturating_sub(1));
    }
    need(value, 4)?;
    Ok(usize::try_from(value.get_i32()).unwrap_or(0))
}

fn put_string(to: &mut BytesMut, text: &str) {
    // Longer strings cannot come in: the protocol's own strings have the same length field.
    let text = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
    to.put_i16(text.len() as i16);
    to.put_slice(text);
}

fn put_varint(to: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        to.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

fn varint(from: &mut &[u8]) -> Result<usize, Malformed> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        need(from, 1)?;
        let byte = from.get_u8();
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed("a length does not end"))
}

fn need(from: &[u8], length: usize) -> Result<(), Malformed> {
    match from.len() < length {
        true => Err(Malformed("it ends too early")),
        false => Ok(()),
    }
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("a string is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction() -> Transaction {
        Transaction {
            epoch: 5,
            state: State::Ongoing,
            partitions: BTreeMap::from([
                ("orders".to_owned(), BTreeSet::from([0, 3])),
                ("__consumer_offsets".to_owned(), BTreeSet::from([17])),
            ]),
            started_ms: 70,
            version: 2,
            ..Transaction::new(4_000, 60_000, 80)
        }
    }

    #[test]
    fn a_transaction_reads_back_as_written() {
        let written = transaction();
        assert_eq!(parse_value(&value(&written, true)), Ok(written.clone()));
        let renamed = Transaction {
            previous_producer: 3_000,
            next_producer: 5_000,
            ..written.clone()
        };
        assert_eq!(parse_value(&value(&renamed, true)), Ok(renamed));
        let old = Transaction { version: 0, ..written };
        assert_eq!(parse_value(&value(&old, false)), Ok(old));
        let empty = Transaction::new(1, 2, 3);
        assert_eq!(parse_value(&value(&empty, true)), Ok(empty.clone()));
        assert_eq!(parse_value(&value(&empty, false)), Ok(empty));
        assert_eq!(parse_key(&key("tx")), Ok(Some("tx".to_owned())));
    }

    #[test]
    fn the_bytes_are_kafkas() {
        // TransactionLogValue v0 of an empty id: producer 1, epoch 0, timeout 60000, Empty, null, 7, -1.
        let mut written = Transaction::new(1, 60_000, 7);
        written.epoch = 0;
        let expected = [
            &[
                0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xea, 0x60, 0, 0xff, 0xff, 0xff, 0xff,
            ][..],
            &[0, 0, 0, 0, 0, 0, 0, 7],
            &[0xff; 8],
        ];
        assert_eq!(value(&written, false), expected.concat());
    }

    #[test]
    fn a_torn_record_is_an_error_at_every_byte() {
        for flexible in [false, true] {
            let whole = value(&transaction(), flexible);
            for end in 0..whole.len() {
                assert!(parse_value(&whole[..end]).is_err(), "{end} bytes, flexible={flexible}");
            }
        }
    }
}
