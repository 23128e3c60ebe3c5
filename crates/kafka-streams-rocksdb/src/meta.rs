//! The bytes of a store's position, format 1.
//!
//! u32 format ‖ 16 bytes topic id ‖ i32 partition ‖ i64 offset ‖ i32 leader epoch ‖ i64 committed at ‖ u32 number of
//! extensions ‖ for each: u32 length ‖ name in UTF-8 ‖ u32 length ‖ bytes. Numbers are big-endian.

use kafka_streams_core::TopicId;
use kafka_streams_state::{StoreError, StorePosition};

/// The format that this release writes, and the highest that it reads.
pub(crate) const FORMAT: u32 = 1;

/// The key of the position in the column family `meta`.
pub(crate) const POSITION: &[u8] = b"position";

/// Writes a position.
pub(crate) fn encode(position: &StorePosition) -> Vec<u8> {
    let StorePosition { topic_id, partition, offset, leader_epoch, committed_at, extensions } = position;
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&FORMAT.to_be_bytes());
    out.extend_from_slice(topic_id.as_bytes());
    out.extend_from_slice(&partition.to_be_bytes());
    out.extend_from_slice(&offset.to_be_bytes());
    out.extend_from_slice(&leader_epoch.to_be_bytes());
    out.extend_from_slice(&committed_at.to_be_bytes());
    out.extend_from_slice(&(extensions.len() as u32).to_be_bytes());
    for (name, value) in extensions {
        for bytes in [name.as_bytes(), value] {
            out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            out.extend_from_slice(bytes);
        }
    }
    out
}

/// Reads a position.
pub(crate) fn decode(bytes: &[u8]) -> Result<StorePosition, StoreError> {
    let mut reader = Reader(bytes);
    let format = reader.array().map(u32::from_be_bytes)?;
    if format != FORMAT {
        return Err(StoreError::UnknownFormat { found: format, known: FORMAT });
    }
    let topic_id = reader.array().map(TopicId::from_bytes)?;
    let partition = reader.array().map(i32::from_be_bytes)?;
    let offset = reader.array().map(i64::from_be_bytes)?;
    let leader_epoch = reader.array().map(i32::from_be_bytes)?;
    let committed_at = reader.array().map(i64::from_be_bytes)?;
    let count = reader.array().map(u32::from_be_bytes)?;
    let mut extensions = Vec::new();
    for _ in 0..count {
        let name = String::from_utf8(reader.bytes()?.to_vec()).map_err(|_| unreadable())?;
        extensions.push((name, reader.bytes()?.to_vec()));
    }
    if !reader.0.is_empty() {
        return Err(unreadable());
    }
    Ok(StorePosition { topic_id, partition, offset, leader_epoch, committed_at, extensions })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or_else(unreadable)?;
        self.0 = rest;
        Ok(*array)
    }

    fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let length = self.array().map(u32::from_be_bytes)?;
        let (bytes, rest) = self.0.split_at_checked(length as usize).ok_or_else(unreadable)?;
        self.0 = rest;
        Ok(bytes)
    }
}

fn unreadable() -> StoreError {
    StoreError::Unreadable { reason: "the store's position is damaged".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> StorePosition {
        StorePosition {
            topic_id: TopicId::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f),
            partition: 1,
            offset: 2,
            leader_epoch: -1,
            committed_at: 3,
            extensions: vec![("ab".to_owned(), vec![9])],
        }
    }

    #[test]
    fn format_1_stays_readable() {
        // The bytes of format 1: they are on disks.
        let golden = b"\0\0\0\x01\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\0\0\0\x01\
            \0\0\0\0\0\0\0\x02\xff\xff\xff\xff\0\0\0\0\0\0\0\x03\0\0\0\x01\0\0\0\x02ab\0\0\0\x01\x09";
        assert_eq!(encode(&position()), golden);
        assert_eq!(decode(golden).unwrap(), position());
    }

    #[test]
    fn damaged_or_newer_positions_are_told_apart() {
        let bytes = encode(&position());
        for length in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..length]), Err(StoreError::Unreadable { .. })), "{length} bytes");
        }
        assert!(matches!(decode(&[&bytes[..], &[0]].concat()), Err(StoreError::Unreadable { .. })));
        let newer = [&2u32.to_be_bytes(), &bytes[4..]].concat();
        assert!(matches!(decode(&newer), Err(StoreError::UnknownFormat { found: 2, known: FORMAT })));
    }
}
