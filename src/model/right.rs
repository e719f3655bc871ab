//! What a principal may do, as the cluster tells it.

use std::collections::BTreeMap;

/// The operations that are allowed on the cluster and on the topics that can be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// `None`: not told. Brokers tell nothing, which reads as no right at all, to whoever may not describe the cluster.
    pub cluster: Option<Operations>,
    /// By name; `None` in it: not told.
    pub topics: BTreeMap<String, Option<Operations>>,
}

/// A set of operations, one bit for each code of `AclOperation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operations(i32);

/// `org.apache.kafka.common.acl.AclOperation`, those that the console needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum Operation {
    Read = 3,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    DescribeConfigs = 10,
    AlterConfigs = 11,
}

impl Operations {
    /// A bit field of the protocol, KIP-430.
    pub fn of_bits(bits: i32) -> Self {
        Self(bits)
    }

    pub fn has(self, operation: Operation) -> bool {
        self.0 & (1 << (operation as i32)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_the_codes_of_operations() {
        let operations = Operations::of_bits(1 << 8 | 1 << 3);
        assert!(operations.has(Operation::Describe) && operations.has(Operation::Read));
        assert!(!operations.has(Operation::DescribeConfigs));
    }
}
