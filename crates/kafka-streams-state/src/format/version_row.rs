//! Rows of versioned stores: the latest value of a key, and for each segment of time the versions of it that ended there.
//!
//! - key of the latest value: i64 maximum ‖ key; its value: i64 time ‖ value;
//! - key of earlier versions: i64 segment ‖ key; its value (`RocksDBVersionedStoreSegmentValueFormatter` of the JVM): i64 end
//!   of the newest version ‖ i64 begin of the oldest one ‖ per version, the newest first: i64 begin ‖ i32 size (-1 for a
//!   deletion) ‖ the values, the oldest first.
//!
//! Numbers are big-endian. Each version ends where the next one begins. Versions whose end is their begin are "degenerate":
//! a deletion of which nothing else is known.

use kafka_streams_core::Timestamp;

/// The segment of latest values, which never expires. No other has this number, and it sorts before the stream time.
const LATEST: i64 = i64::MAX;

/// The key of a key's latest value.
pub(crate) fn latest_key(key: &[u8]) -> Vec<u8> {
    segment_key(LATEST, key)
}

/// The key of the versions of a key that ended in a segment.
pub(crate) fn segment_key(segment: i64, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend_from_slice(&segment.to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// Versions of one key that ended in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    /// The end of the newest.
    next: Timestamp,
    /// Begin and value, the newest first; at least one.
    versions: Vec<(Timestamp, Option<Vec<u8>>)>,
}

/// A version found among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) index: usize,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) value: Option<Vec<u8>>,
}

impl Versions {
    pub(crate) fn one(value: Option<Vec<u8>>, from: Timestamp, to: Timestamp) -> Self {
        Versions { next: to, versions: vec![(from, value)] }
    }

    /// The end of the newest version.
    pub(crate) fn next(&self) -> Timestamp {
        self.next
    }

    /// The begin of the oldest version.
    pub(crate) fn min(&self) -> Timestamp {
        self.versions.last().map_or(self.next, |(from, _)| *from)
    }

    /// The version at a time; `None` before the oldest.
    pub(crate) fn find(&self, time: Timestamp) -> Option<Found> {
        let mut to = self.next;
        for (index, (from, value)) in self.versions.iter().enumerate() {
            if *from <= time {
                return Some(Found { index, from: *from, to, value: value.clone() });
            }
            to = *from;
        }
        None
    }

    /// Adds a version that is newer than all; what lies between is a deletion.
    pub(crate) fn insert_as_latest(&mut self, from: Timestamp, to: Timestamp, value: Option<Vec<u8>>) {
        if from < self.next {
            self.versions.retain(|(begin, _)| *begin < from);
            self.next = from;
        }
        if self.is_degenerate() {
            self.versions.clear();
        }
        if self.next != from {
            self.versions.insert(0, (self.next, None));
        }
        self.versions.insert(0, (from, value));
        self.next = to;
    }

    /// Adds a version that is older than all, and ends where the oldest begins.
    pub(crate) fn insert_as_earliest(&mut self, from: Timestamp, value: Option<Vec<u8>>) {
        if self.is_degenerate() {
            self.versions.clear();
        }
        self.versions.push((from, value));
    }

    /// Adds a version in the place of one that begins earlier, and ends now where this one begins.
    pub(crate) fn insert(&mut self, index: usize, from: Timestamp, value: Option<Vec<u8>>) {
        self.versions.insert(index.min(self.versions.len()), (from, value));
    }

    /// Replaces a version.
    pub(crate) fn update(&mut self, index: usize, from: Timestamp, value: Option<Vec<u8>>) {
        if let Some(version) = self.versions.get_mut(index) {
            *version = (from, value);
        }
    }

    fn is_degenerate(&self) -> bool {
        self.versions.is_empty() || self.next == self.min()
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let values: usize = self.versions.iter().map(|(_, value)| value.as_ref().map_or(0, Vec::len)).sum();
        let mut bytes = Vec::with_capacity(16 + 12 * self.versions.len() + values);
        bytes.extend_from_slice(&self.next.to_be_bytes());
        bytes.extend_from_slice(&self.min().to_be_bytes());
        for (from, value) in &self.versions {
            bytes.extend_from_slice(&from.to_be_bytes());
            let size = value.as_ref().map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
            bytes.extend_from_slice(&size.to_be_bytes());
        }
        for (_, value) in self.versions.iter().rev() {
            bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        }
        bytes
    }

    /// `None` for bytes that are no versions.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (next, rest) = split_i64(bytes)?;
        let (min, mut rest) = split_i64(rest)?;
        let mut versions = Vec::new();
        let mut sizes = Vec::new();
        loop {
            let (from, after) = split_i64(rest)?;
            let (size, after) = after.split_first_chunk::<4>()?;
            rest = after;
            versions.push((from, None));
            sizes.push(i32::from_be_bytes(*size));
            if from <= min {
                break;
            }
        }
        for ((_, value), size) in versions.iter_mut().zip(sizes).rev() {
            if let Ok(size) = usize::try_from(size) {
                let (bytes, after) = rest.split_at_checked(size)?;
                *value = Some(bytes.to_vec());
                rest = after;
            }
        }
        rest.is_empty().then_some(Versions { next, versions })
    }
}

/// The latest value of a key, as its row holds it.
pub(crate) fn write_latest(time: Timestamp, value: &[u8]) -> Vec<u8> {
    segment_key(time, value)
}

/// Time and value of a row of [`write_latest`].
pub(crate) fn read_latest(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    split_i64(bytes)
}

fn split_i64(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn versions_have_the_jvms_bytes() {
        // Made with RocksDBVersionedStoreSegmentValueFormatter of Kafka Streams 4.3.
        let aa = Versions::one(Some(b"aa".to_vec()), 1000, 2000);
        assert_eq!(hex(&aa.write()), "00000000000007d000000000000003e800000000000003e8000000026161");
        let deletion = Versions::one(None, 1000, 1000);
        assert_eq!(hex(&deletion.write()), "00000000000003e800000000000003e800000000000003e8ffffffff");
    }

    #[test]
    fn a_gap_between_versions_is_a_deletion() {
        let mut versions = Versions::one(Some(b"a".to_vec()), 10, 20);
        versions.insert_as_latest(30, 40, Some(b"b".to_vec()));
        versions.insert_as_earliest(5, Some(b"z".to_vec()));
        let at = |time| versions.find(time).map(|found| (found.from, found.to, found.value));
        assert_eq!(at(4), None);
        assert_eq!(at(9), Some((5, 10, Some(b"z".to_vec()))));
        assert_eq!(at(25), Some((20, 30, None)));
        assert_eq!(at(30), Some((30, 40, Some(b"b".to_vec()))));
        let mut deleted = Versions::one(None, 10, 10);
        deleted.insert_as_latest(20, 30, Some(b"c".to_vec()));
        assert_eq!(deleted.find(15).map(|found| (found.from, found.to, found.value)), Some((10, 20, None)));
        let mut deleted = Versions::one(None, 10, 10);
        deleted.insert_as_earliest(5, Some(b"d".to_vec()));
        assert_eq!((deleted.min(), deleted.next()), (5, 10));
    }

    proptest! {
        #[test]
        fn versions_survive_the_round_trip(
            times in proptest::collection::btree_set(0..1000i64, 1..10),
            values in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..5)), 10),
        ) {
            let versions: Vec<_> = times.into_iter().rev().zip(values).collect();
            let versions = Versions { next: 1000, versions };
            prop_assert_eq!(Versions::read(&versions.write()), Some(versions));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Versions::read(&bytes);
        }
    }
}
