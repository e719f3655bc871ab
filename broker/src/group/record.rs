//! The records of `__consumer_offsets`, byte for byte Kafka's, so that its tools read them.
//!
//! Key: version (i16), then for versions 0 and 1 an offset's group, topic, partition; for version 2 a group's name.
//! Values: OffsetCommitValue v3 and GroupMetadataValue v3 (`group-coordinator/src/main/resources/common/message`).
//! Strings have an i16 length, byte arrays an i32 length; -1 is null.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::member::Member;
use super::{Committed, Group, Now, State};

/// A record that does not follow its schema; it is left alone and reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record of __consumer_offsets cannot be read: {0}")]
pub struct Malformed(pub(super) &'static str);

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Offset {
        group: String,
        topic: String,
        partition: i32,
    },
    Group {
        group: String,
    },
    /// Of a group of the consumer protocol.
    Consumer,
    /// Of a later version, which belongs to a kind of group that this coordinator does not have.
    Other,
}

const VALUE_VERSION: i16 = 3;

impl Key {
    pub fn parse(mut key: &[u8]) -> Result<Self, Malformed> {
        match get_i16(&mut key)? {
            0 | 1 => Ok(Self::Offset {
                group: get_string(&mut key)?,
                topic: get_string(&mut key)?,
                partition: get_i32(&mut key)?,
            }),
            2 => Ok(Self::Group {
                group: get_string(&mut key)?,
            }),
            version if super::consumer::record::is_ours(version) => Ok(Self::Consumer),
            _ => Ok(Self::Other),
        }
    }
}

pub fn offset_key(group: &str, topic: &str, partition: i32) -> Bytes {
    let mut key = BytesMut::new();
    key.put_i16(1);
    put_string(&mut key, group);
    put_string(&mut key, topic);
    key.put_i32(partition);
    key.freeze()
}

pub fn offset_value(committed: &Committed) -> Bytes {
    let mut value = BytesMut::new();
    value.put_i16(VALUE_VERSION);
    value.put_i64(committed.offset);
    value.put_i32(committed.leader_epoch);
    put_string(&mut value, &committed.metadata);
    value.put_i64(committed.at_ms);
    value.freeze()
}

pub fn parse_offset(mut value: &[u8]) -> Result<Committed, Malformed> {
    let version = get_i16(&mut value)?;
    if !(0..=3).contains(&version) {
        return Err(Malformed("an offset of a version after 3"));
    }
    let offset = get_i64(&mut value)?;
    let leader_epoch = if version == 3 { get_i32(&mut value)? } else { -1 };
    let metadata = get_string(&mut value)?;
    Ok(Committed {
        offset,
        leader_epoch,
        metadata,
        at_ms: get_i64(&mut value)?,
        position: -1,
    })
}

pub fn group_key(group: &str) -> Bytes {
    let mut key = BytesMut::new();
    key.put_i16(2);
    put_string(&mut key, group);
    key.freeze()
}

/// The end of a group of the classic protocol.
pub(super) fn end_of(group: &str) -> (Bytes, Option<Bytes>) {
    (group_key(group), None)
}

pub(super) fn group_value(group: &Group, now_ms: i64) -> Bytes {
    let mut value = BytesMut::new();
    value.put_i16(VALUE_VERSION);
    put_string(&mut value, group.protocol_type.as_deref().unwrap_or_default());
    value.put_i32(group.generation);
    put_nullable(&mut value, group.protocol.as_deref());
    put_nullable(&mut value, group.leader.as_deref());
    value.put_i64(now_ms);
    value.put_i32(group.members.len() as i32);
    let protocol = group.protocol.clone().unwrap_or_default();
    for member in group.members.values() {
        put_string(&mut value, &member.id);
        put_nullable(&mut value, member.instance.as_deref());
        put_string(&mut value, &member.client_id);
        put_string(&mut value, &member.client_host);
        value.put_i32(member.rebalance_timeout_ms as i32);
        value.put_i32(member.session_timeout_ms as i32);
        put_bytes(&mut value, &member.metadata(&protocol));
        put_bytes(&mut value, &member.assignment);
    }
    value.freeze()
}

pub(super) fn parse_group(name: &str, mut value: &[u8], now: Now) -> Result<Group, Malformed> {
    let version = get_i16(&mut value)?;
    if !(0..=3).contains(&version) {
        return Err(Malformed("a group of a version after 3"));
    }
    let mut group = Group::new(name, now);
    group.protocol_type = Some(get_string(&mut value)?).filter(|kind| !kind.is_empty());
    group.generation = get_i32(&mut value)?;
    group.protocol = get_nullable(&mut value)?;
    group.leader = get_nullable(&mut value)?;
    if version >= 2 {
        group.changed_ms = get_i64(&mut value)?;
    }
    let protocol = group.protocol.clone().unwrap_or_default();
    for _ in 0..get_i32(&mut value)? {
        let member = parse_member(&mut value, version, &protocol, now)?;
        if let Some(instance) = &member.instance {
            group.instances.insert(instance.clone(), member.id.clone());
        }
        group.members.insert(member.id.clone(), member);
    }
    group.state = if group.members.is_empty() {
        State::Empty
    } else {
        State::Stable
    };
    Ok(group)
}

fn parse_member(value: &mut &[u8], version: i16, protocol: &str, now: Now) -> Result<Member, Malformed> {
    let id = get_string(value)?;
    let instance = if version >= 3 { get_nullable(value)? } else { None };
    let client_id = get_string(value)?;
    let client_host = get_string(value)?;
    let rebalance_timeout_ms = if version >= 1 {
        Some(i64::from(get_i32(value)?))
    } else {
        None
    };
    let session_timeout_ms = i64::from(get_i32(value)?);
    let metadata = get_bytes(value)?;
    Ok(Member {
        id,
        instance,
        client_id,
        client_host,
        session_timeout_ms,
        rebalance_timeout_ms: rebalance_timeout_ms.unwrap_or(session_timeout_ms),
        protocols: vec![(protocol.to_owned(), metadata)],
        assignment: get_bytes(value)?,
        expires_ms: now.mono_ms + session_timeout_ms,
        joining: None,
        syncing: None,
    })
}

pub(super) fn put_string(to: &mut BytesMut, text: &str) {
    // Longer strings cannot come in: the protocol's own strings have the same length field.
    let text = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
    to.put_i16(text.len() as i16);
    to.put_slice(text);
}

fn put_nullable(to: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(to, text),
        None => to.put_i16(-1),
    }
}

fn put_bytes(to: &mut BytesMut, bytes: &[u8]) {
    to.put_i32(bytes.len() as i32);
    to.put_slice(bytes);
}

pub(super) fn need(from: &&[u8], length: usize) -> Result<(), Malformed> {
    if from.remaining() < length {
        Err(Malformed("it ends too early"))
    } else {
        Ok(())
    }
}

pub(super) fn get_i16(from: &mut &[u8]) -> Result<i16, Malformed> {
    need(from, 2)?;
    Ok(from.get_i16())
}

pub(super) fn get_i32(from: &mut &[u8]) -> Result<i32, Malformed> {
    need(from, 4)?;
    Ok(from.get_i32())
}

pub(super) fn get_i64(from: &mut &[u8]) -> Result<i64, Malformed> {
    need(from, 8)?;
    Ok(from.get_i64())
}

pub(super) fn get_nullable(from: &mut &[u8]) -> Result<Option<String>, Malformed> {
    let length = get_i16(from)?;
    let Ok(length) = usize::try_from(length) else {
        return Ok(None);
    };
    need(from, length)?;
    let (text, rest) = from.split_at(length);
    *from = rest;
    String::from_utf8(text.to_vec())
        .map(Some)
        .map_err(|_| Malformed("a string is not UTF-8"))
}

pub(super) fn get_string(from: &mut &[u8]) -> Result<String, Malformed> {
    get_nullable(from)?.ok_or(Malformed("a string is missing"))
}

fn get_bytes(from: &mut &[u8]) -> Result<Bytes, Malformed> {
    let length = usize::try_from(get_i32(from)?).unwrap_or(0);
    need(from, length)?;
    let (bytes, rest) = from.split_at(length);
    *from = rest;
    Ok(Bytes::copy_from_slice(bytes))
}

/// Passes over bytes.
pub(super) fn skip_bytes(from: &mut &[u8]) -> Result<(), Malformed> {
    get_bytes(from).map(|_| ())
}

/// A group's partition of `__consumer_offsets`: Java's `abs(hashCode) % partitions`, which every client and tool expects.
pub fn partition_of(group: &str, partitions: i32) -> i32 {
    let hash = group
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_partition_is_javas() {
        // System.out.println(Math.abs("billing".hashCode()) % 50) and the like.
        assert_eq!(partition_of("", 50), 0);
        assert_eq!(partition_of("a", 50), 97 % 50);
        assert_eq!(partition_of("ab", 50), (97 * 31 + 98) % 50);
    }

    #[test]
    fn an_offset_reads_back_as_written() {
        let committed = Committed {
            offset: 7,
            leader_epoch: 2,
            metadata: "m".into(),
            at_ms: 9,
            position: -1,
        };
        assert_eq!(parse_offset(&offset_value(&committed)), Ok(committed));
        let key = Key::Offset {
            group: "g".into(),
            topic: "t".into(),
            partition: 3,
        };
        assert_eq!(Key::parse(&offset_key("g", "t", 3)), Ok(key));
    }

    #[test]
    fn a_torn_record_is_an_error_at_every_byte() {
        let value = offset_value(&Committed {
            offset: 7,
            leader_epoch: 2,
            metadata: "meta".into(),
            at_ms: 9,
            position: -1,
        });
        for end in 0..value.len() {
            assert!(parse_offset(&value[..end]).is_err(), "{end} bytes");
        }
    }
}
