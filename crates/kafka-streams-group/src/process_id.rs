//! The identity of one application instance (process) within a group, ordered as the JVM orders it.

use std::cmp::Ordering;
use std::fmt;

use uuid::Uuid;

/// The id of a process: all stream threads (group members) of one application instance carry the same one.
///
/// The order is that of Java's `UUID.compareTo`: the two 64-bit halves are compared as *signed* numbers, so that an id
/// that begins with `8000…` sorts before one that begins with `7fff…`. Leaders must agree on it, since it decides ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId(Uuid);

impl ProcessId {
    /// Stands for all members whose metadata is newer than we can read (`FUTURE_ID` of `StreamsPartitionAssignor`).
    /// All bits are set, which no random (version 4) id has.
    pub const FUTURE: ProcessId = ProcessId(Uuid::max());

    /// The process with this id.
    pub const fn new(id: Uuid) -> Self {
        ProcessId(id)
    }

    /// The id.
    pub const fn uuid(&self) -> Uuid {
        self.0
    }

    /// The id's 16 bytes, most significant first, as they travel.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    fn signed_halves(&self) -> (i64, i64) {
        let (high, low) = self.0.as_u64_pair();
        (high as i64, low as i64)
    }
}

impl Ord for ProcessId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.signed_halves().cmp(&other.signed_halves())
    }
}

impl PartialOrd for ProcessId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<Uuid> for ProcessId {
    fn from(id: Uuid) -> Self {
        ProcessId(id)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_compared_as_signed_numbers() {
        let negative = ProcessId::new(Uuid::from_u128(0x8000_0000_0000_0000_0000_0000_0000_0000));
        let positive = ProcessId::new(Uuid::from_u128(0x7fff_ffff_ffff_ffff_0000_0000_0000_0000));
        assert!(negative < positive);
        let low_negative = ProcessId::new(Uuid::from_u128(0x8000_0000_0000_0000));
        let low_positive = ProcessId::new(Uuid::from_u128(1));
        assert!(low_negative < low_positive);
    }
}
