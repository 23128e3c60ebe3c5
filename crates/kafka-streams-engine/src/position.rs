//! The metadata that is committed with an input offset, in the JVM's format, so that times survive a change of hands.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kafka_streams_core::Timestamp;

/// What a task keeps in the group's offsets besides the offset (`TopicPartitionMetadata` of the JVM).
///
/// Layout, in Base64: `02` ‖ i64 partition time ‖ [i32 count ‖ per entry: i32 length, key in UTF-8, i64 value]; the block
/// in brackets is absent if there are no entries. Version `01` has no block. Integers are big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetMetadata {
    /// The highest timestamp processed of this partition; -1 if none.
    pub partition_time: Timestamp,
    /// Values that processors keep: the last window that was emitted on close, by store name.
    pub processor: BTreeMap<String, i64>,
}

impl Default for OffsetMetadata {
    fn default() -> Self {
        OffsetMetadata { partition_time: -1, processor: BTreeMap::new() }
    }
}

impl OffsetMetadata {
    /// The text to commit.
    pub fn encode(&self) -> String {
        let mut bytes = vec![2];
        bytes.extend_from_slice(&self.partition_time.to_be_bytes());
        if !self.processor.is_empty() {
            bytes.extend_from_slice(&(self.processor.len() as i32).to_be_bytes());
            for (key, value) in &self.processor {
                bytes.extend_from_slice(&(key.len() as i32).to_be_bytes());
                bytes.extend_from_slice(key.as_bytes());
                bytes.extend_from_slice(&value.to_be_bytes());
            }
        }
        STANDARD.encode(bytes)
    }

    /// Reads a committed text. What cannot be read is worth nothing more than no metadata, as on the JVM.
    pub fn decode(text: &str) -> Self {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        Self::read(&bytes).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = bytes.split_first()?;
        if !matches!(version, 1 | 2) {
            return None;
        }
        let partition_time = i64::from_be_bytes(take(&mut rest)?);
        let mut processor = BTreeMap::new();
        if *version == 2 && !rest.is_empty() {
            for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
                let length = usize::try_from(i32::from_be_bytes(take(&mut rest)?)).ok()?;
                let (key, after) = rest.split_at_checked(length)?;
                rest = after;
                processor.insert(String::from_utf8(key.to_vec()).ok()?, i64::from_be_bytes(take(&mut rest)?));
            }
        }
        Some(OffsetMetadata { partition_time, processor })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_equals_the_jvms() {
        let plain = OffsetMetadata { partition_time: 1_700_000_000_000, processor: BTreeMap::new() };
        assert_eq!(plain.encode(), "AgAAAYvP5WgA");
        let with_entry = OffsetMetadata {
            partition_time: 1_700_000_005_000,
            processor: [("fin".to_owned(), 1_700_000_005_000)].into(),
        };
        assert_eq!(with_entry.encode(), "AgAAAYvP5XuIAAAAAQAAAANmaW4AAAGLz+V7iA==");
    }

    proptest! {
        #[test]
        fn metadata_survives_the_round_trip(time: i64, entries: BTreeMap<String, i64>) {
            let metadata = OffsetMetadata { partition_time: time, processor: entries };
            prop_assert_eq!(OffsetMetadata::decode(&metadata.encode()), metadata);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".*", bytes: Vec<u8>) {
            OffsetMetadata::decode(&text);
            OffsetMetadata::decode(&STANDARD.encode(bytes));
        }
    }
}
