//! The records of groups of the consumer protocol in `__consumer_offsets`, byte for byte Kafka's 4.x, so that its tools
//! read them.
//!
//! Keys: version (i16) 3 and 6 with the group, 5, 7 and 8 with the group and a member, 16 with the group and a regular
//! expression; strings have an i16 length. Values: version 0 (i16), then compact fields, whose lengths are unsigned varints
//! of one more than the length, and tagged fields.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::super::record::{Malformed, get_i16, get_i32, get_i64, get_string, need, put_string};
use super::{Change, ClassicMember, Generation, Holding, Partitions, Progress, Resolved, Subscriber};
use crate::id::TopicId;

const GENERATION: i16 = 3;
const MEMBER: i16 = 5;
const ASSIGNMENT_EPOCH: i16 = 6;
const TARGET: i16 = 7;
const HOLDING: i16 = 8;
const REGEX: i16 = 16;

/// Whether a key is that of a group of the consumer protocol.
pub fn is_ours(version: i16) -> bool {
    matches!(
        version,
        GENERATION | MEMBER | ASSIGNMENT_EPOCH | TARGET | HOLDING | REGEX
    )
}

/// Whether a key is that of a regular expression.
pub(super) fn is_regex(key: &[u8]) -> bool {
    key.starts_with(&REGEX.to_be_bytes())
}

/// Key and value of one change; no value is a tombstone.
pub(super) fn encode(group: &str, change: &Change) -> (Bytes, Option<Bytes>) {
    let key = |version: i16, member: Option<&str>| {
        let mut key = BytesMut::new();
        key.put_i16(version);
        put_string(&mut key, group);
        if let Some(member) = member {
            put_string(&mut key, member);
        }
        key.freeze()
    };
    match change {
        Change::Generation(value) => (key(GENERATION, None), value.map(generation)),
        Change::AssignmentEpoch(value) => (key(ASSIGNMENT_EPOCH, None), value.map(assignment_epoch)),
        Change::Member(id, value) => (key(MEMBER, Some(id)), value.as_ref().map(member)),
        Change::Target(id, value) => (key(TARGET, Some(id)), value.as_ref().map(target)),
        Change::Holding(id, value) => (key(HOLDING, Some(id)), value.as_ref().map(holding)),
        Change::Regex(regex, value) => (key(REGEX, Some(regex)), value.as_ref().map(resolved)),
    }
}

/// The group and the change that a record of the log is.
pub fn decode(mut key: &[u8], value: Option<&[u8]>) -> Result<(String, Change), Malformed> {
    let version = get_i16(&mut key)?;
    let group = get_string(&mut key)?;
    let mut named = || get_string(&mut key);
    let change = match version {
        GENERATION => Change::Generation(value.map(read_generation).transpose()?),
        ASSIGNMENT_EPOCH => Change::AssignmentEpoch(value.map(read_assignment_epoch).transpose()?),
        MEMBER => Change::Member(named()?, value.map(read_member).transpose()?),
        TARGET => Change::Target(named()?, value.map(read_target).transpose()?),
        HOLDING => Change::Holding(named()?, value.map(read_holding).transpose()?),
        REGEX => Change::Regex(named()?, value.map(read_resolved).transpose()?),
        _ => return Err(Malformed("its key has an unknown version")),
    };
    Ok((group, change))
}

fn value() -> BytesMut {
    let mut value = BytesMut::new();
    value.put_i16(0);
    value
}

fn generation(of: Generation) -> Bytes {
    let mut to = value();
    to.put_i32(of.epoch);
    match of.topics_hash {
        0 => put_varint(&mut to, 0),
        hash => {
            put_varint(&mut to, 1);
            put_varint(&mut to, 0);
            put_varint(&mut to, 8);
            to.put_i64(hash);
        }
    }
    to.freeze()
}

fn assignment_epoch(epoch: i32) -> Bytes {
    let mut to = value();
    to.put_i32(epoch);
    put_varint(&mut to, 0);
    to.freeze()
}

fn member(of: &Subscriber) -> Bytes {
    let mut to = value();
    put_text(&mut to, of.instance.as_deref());
    put_text(&mut to, of.rack.as_deref());
    put_text(&mut to, Some(&of.client_id));
    put_text(&mut to, Some(&of.client_host));
    put_texts(&mut to, &of.topics);
    put_text(&mut to, of.regex.as_deref());
    to.put_i32(of.rebalance_timeout_ms);
    put_text(&mut to, of.assignor.as_deref());
    match &of.classic {
        None => put_varint(&mut to, 0),
        Some(classic) => {
            let mut inner = BytesMut::new();
            // A nullable struct begins with 1 when it is there.
            inner.put_i8(1);
            inner.put_i32(classic.session_timeout_ms);
            put_length(&mut inner, classic.protocols.len());
            for (name, metadata) in &classic.protocols {
                put_text(&mut inner, Some(name));
                put_length(&mut inner, metadata.len());
                inner.put_slice(metadata);
                put_varint(&mut inner, 0);
            }
            put_varint(&mut inner, 0);
            put_varint(&mut to, 1);
            put_varint(&mut to, 0);
            put_varint(&mut to, inner.len() as u64);
            to.put_slice(&inner);
        }
    }
    to.freeze()
}

fn target(of: &Partitions) -> Bytes {
    let mut to = value();
    put_partitions(&mut to, of);
    put_varint(&mut to, 0);
    to.freeze()
}

fn holding(of: &Holding) -> Bytes {
    let mut to = value();
    to.put_i32(of.epoch);
    to.put_i32(of.previous_epoch);
    to.put_i8(of.progress as i8);
    put_partitions(&mut to, &of.assigned);
    put_partitions(&mut to, &of.revoking);
    put_varint(&mut to, 0);
    to.freeze()
}

fn resolved(of: &Resolved) -> Bytes {
    let mut to = value();
    put_texts(&mut to, &of.topics);
    to.put_i64(of.version);
    to.put_i64(of.at_ms);
    put_varint(&mut to, 0);
    to.freeze()
}

fn read_generation(mut from: &[u8]) -> Result<Generation, Malformed> {
    let from = &mut from;
    begin(from)?;
    let mut read = Generation {
        epoch: get_i32(from)?,
        topics_hash: 0,
    };
    tagged(from, |tag, mut field| {
        if tag == 0 {
            read.topics_hash = get_i64(&mut field)?;
        }
        Ok(())
    })?;
    Ok(read)
}

fn read_assignment_epoch(mut from: &[u8]) -> Result<i32, Malformed> {
    begin(&mut from)?;
    get_i32(&mut from)
}

fn read_member(mut from: &[u8]) -> Result<Subscriber, Malformed> {
    let from = &mut from;
    begin(from)?;
    let mut read = Subscriber {
        instance: get_text(from)?,
        rack: get_text(from)?,
        client_id: get_text(from)?.unwrap_or_default(),
        client_host: get_text(from)?.unwrap_or_default(),
        topics: get_texts(from)?,
        regex: get_text(from)?,
        rebalance_timeout_ms: get_i32(from)?,
        assignor: get_text(from)?,
        classic: None,
    };
    tagged(from, |tag, mut field| {
        if tag == 0 && get_i8(&mut field)? == 1 {
            read.classic = Some(read_classic(&mut field)?);
        }
        Ok(())
    })?;
    Ok(read)
}

fn read_classic(from: &mut &[u8]) -> Result<ClassicMember, Malformed> {
    let session_timeout_ms = get_i32(from)?;
    let mut protocols = Vec::new();
    for _ in 0..get_length(from)?.unwrap_or(0) {
        let name = get_text(from)?.unwrap_or_default();
        let length = get_length(from)?.unwrap_or(0);
        let metadata = Bytes::copy_from_slice(take(from, length)?);
        tagged(from, |_, _| Ok(()))?;
        protocols.push((name, metadata));
    }
    Ok(ClassicMember {
        session_timeout_ms,
        protocols,
    })
}

fn read_target(mut from: &[u8]) -> Result<Partitions, Malformed> {
    begin(&mut from)?;
    get_partitions(&mut from)
}

fn read_holding(mut from: &[u8]) -> Result<Holding, Malformed> {
    let from = &mut from;
    begin(from)?;
    Ok(Holding {
        epoch: get_i32(from)?,
        previous_epoch: get_i32(from)?,
        progress: match get_i8(from)? {
            0 => Progress::Stable,
            1 => Progress::Unrevoked,
            2 => Progress::Unreleased,
            _ => Progress::Unknown,
        },
        assigned: get_partitions(from)?,
        revoking: get_partitions(from)?,
    })
}

fn read_resolved(mut from: &[u8]) -> Result<Resolved, Malformed> {
    let from = &mut from;
    begin(from)?;
    Ok(Resolved {
        topics: get_texts(from)?,
        version: get_i64(from)?,
        at_ms: get_i64(from)?,
        topics_version: 0,
    })
}

fn begin(from: &mut &[u8]) -> Result<(), Malformed> {
    match get_i16(from)? {
        0 => Ok(()),
        _ => Err(Malformed("a group of the consumer protocol of a version after 0")),
    }
}

fn put_varint(to: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        to.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    to.put_u8(number as u8);
}

/// One more than the length, so that 0 is null.
fn put_length(to: &mut BytesMut, length: usize) {
    put_varint(to, length as u64 + 1);
}

fn put_text(to: &mut BytesMut, text: Option<&str>) {
    match text {
        None => put_varint(to, 0),
        Some(text) => {
            put_length(to, text.len());
            to.put_slice(text.as_bytes());
        }
    }
}

fn put_texts(to: &mut BytesMut, texts: &BTreeSet<String>) {
    put_length(to, texts.len());
    for text in texts {
        put_text(to, Some(text));
    }
}

fn put_partitions(to: &mut BytesMut, partitions: &Partitions) {
    put_length(to, partitions.len());
    for (topic, partitions) in partitions {
        to.put_slice(topic.0.as_bytes());
        put_length(to, partitions.len());
        for partition in partitions {
            to.put_i32(*partition);
        }
        put_varint(to, 0);
    }
}

fn get_i8(from: &mut &[u8]) -> Result<i8, Malformed> {
    need(from, 1)?;
    Ok(from.get_i8())
}

fn get_varint(from: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0_u64;
    for shift in (0..35).step_by(7) {
        need(from, 1)?;
        let byte = from.get_u8();
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed("a number is too long"))
}

fn get_length(from: &mut &[u8]) -> Result<Option<usize>, Malformed> {
    let length = usize::try_from(get_varint(from)?).unwrap_or(usize::MAX);
    Ok(length.checked_sub(1))
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    need(from, length)?;
    let (taken, rest) = from.split_at(length);
    *from = rest;
    Ok(taken)
}

fn get_text(from: &mut &[u8]) -> Result<Option<String>, Malformed> {
    let Some(length) = get_length(from)? else {
        return Ok(None);
    };
    let text = take(from, length)?.to_vec();
    String::from_utf8(text)
        .map(Some)
        .map_err(|_| Malformed("a string is not UTF-8"))
}

fn get_texts(from: &mut &[u8]) -> Result<BTreeSet<String>, Malformed> {
    let mut texts = BTreeSet::new();
    for _ in 0..get_length(from)?.unwrap_or(0) {
        texts.insert(get_text(from)?.ok_or(Malformed("a string is missing"))?);
    }
    Ok(texts)
}

fn get_partitions(from: &mut &[u8]) -> Result<Partitions, Malformed> {
    let mut read = Partitions::new();
    for _ in 0..get_length(from)?.unwrap_or(0) {
        let id = Uuid::from_slice(take(from, 16)?).map_err(|_| Malformed("a topic's id is no UUID"))?;
        let partitions = read.entry(TopicId(id)).or_default();
        for _ in 0..get_length(from)?.unwrap_or(0) {
            partitions.insert(get_i32(from)?);
        }
        tagged(from, |_, _| Ok(()))?;
    }
    read.retain(|_, partitions| !partitions.is_empty());
    Ok(read)
}

/// Gives every tagged field to `field`.
fn tagged(from: &mut &[u8], mut field: impl FnMut(u64, &[u8]) -> Result<(), Malformed>) -> Result<(), Malformed> {
    for _ in 0..get_varint(from)? {
        let tag = get_varint(from)?;
        let length = usize::try_from(get_varint(from)?).unwrap_or(usize::MAX);
        field(tag, take(from, length)?)?;
    }
    Ok(())
}
