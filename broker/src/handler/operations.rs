//! The operations a client is authorized for (KIP-430): all, as long as there is no authorizer.

/// Bits of `AclOperation`: create, alter, describe, cluster action, describe and alter configs, idempotent write.
pub(super) const ON_CLUSTER: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);
/// Bits of `AclOperation`: read, write, create, delete, alter, describe, describe and alter configs.
pub(super) const ON_TOPIC: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);

const fn bits(operations: &[u8]) -> i32 {
    let mut bits = 0;
    let mut at = 0;
    while at < operations.len() {
        bits |= 1 << operations[at];
        at += 1;
    }
    bits
}
