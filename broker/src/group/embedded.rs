//! The consumers' own protocol inside the classic one: what they subscribe to, what they own, what they are assigned
//! (ConsumerProtocolSubscription v0 to v3, ConsumerProtocolAssignment).

use bytes::{BufMut, Bytes, BytesMut};

use super::record::{get_i16, get_i32, get_nullable, get_string, put_string, skip_bytes};
use crate::group::record::Malformed;

/// Topics with some of their partitions.
pub type Named = Vec<(String, Vec<i32>)>;

/// What a consumer tells its group's leader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    pub version: i16,
    pub topics: Vec<String>,
    /// What it has, from v1 on.
    pub owned: Named,
    /// From v3 on.
    pub rack: Option<String>,
}

impl Subscription {
    /// `None` when it is something else.
    pub fn parse(metadata: &[u8]) -> Option<Self> {
        Self::read(metadata).ok()
    }

    fn read(mut from: &[u8]) -> Result<Self, Malformed> {
        let from = &mut from;
        let version = get_i16(from)?;
        if version < 0 {
            return Err(Malformed("a subscription has no version"));
        }
        let mut read = Self {
            version,
            ..Self::default()
        };
        for _ in 0..get_i32(from)? {
            read.topics.push(get_string(from)?);
        }
        // Of a subscription that ends early, its topics count.
        if skip_bytes(from).is_err() || version == 0 {
            return Ok(read);
        }
        read.owned = partitions(from)?;
        if version >= 2 {
            let _generation = get_i32(from)?;
        }
        if version >= 3 {
            read.rack = get_nullable(from)?;
        }
        Ok(read)
    }
}

/// The partitions of an assignment; none when it is something else, or empty.
pub fn assigned(mut assignment: &[u8]) -> Named {
    let from = &mut assignment;
    let version = get_i16(from);
    version.and_then(|_| partitions(from)).unwrap_or_default()
}

/// An assignment as its member reads it.
pub fn assignment(version: i16, partitions: &Named) -> Bytes {
    let mut to = BytesMut::new();
    to.put_i16(version);
    to.put_i32(partitions.len() as i32);
    for (topic, partitions) in partitions {
        put_string(&mut to, topic);
        to.put_i32(partitions.len() as i32);
        for partition in partitions {
            to.put_i32(*partition);
        }
    }
    // No user data.
    to.put_i32(-1);
    to.freeze()
}

fn partitions(from: &mut &[u8]) -> Result<Named, Malformed> {
    let mut read = Named::new();
    for _ in 0..get_i32(from)? {
        let topic = get_string(from)?;
        let mut partitions = Vec::new();
        for _ in 0..get_i32(from)? {
            partitions.push(get_i32(from)?);
        }
        read.push((topic, partitions));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_that_lies_about_its_length_names_no_topic() {
        assert_eq!(Subscription::parse(&[0, 1, 127, 255, 255, 255, 0, 1, b'a']), None);
        let short = Subscription::parse(&[0, 1, 0, 0, 0, 1, 0, 1, b'a']).unwrap();
        assert_eq!(short.topics, ["a"]);
    }

    #[test]
    fn a_subscription_of_version_3_tells_what_it_owns_and_its_rack() {
        let mut bytes = vec![0, 3, 0, 0, 0, 1, 0, 1, b'a', 255, 255, 255, 255];
        bytes.extend([0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 5]);
        bytes.extend([0, 0, 0, 9, 0, 2, b'z', b'1']);
        let read = Subscription::parse(&bytes).unwrap();
        assert_eq!(read.owned, [("a".to_owned(), vec![4, 5])]);
        assert_eq!(read.rack.as_deref(), Some("z1"));
    }

    #[test]
    fn an_assignment_reads_back_as_written() {
        let partitions = vec![("a".to_owned(), vec![1, 2]), ("b".to_owned(), vec![0])];
        assert_eq!(assigned(&assignment(1, &partitions)), partitions);
        assert_eq!(assigned(b""), Named::new());
    }
}
