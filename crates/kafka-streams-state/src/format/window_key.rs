//! Keys of window stores.
//!
//! - store key, also the changelog's: key ‖ i64 window start ‖ i32 sequence number (`WindowKeySchema` of the JVM);
//! - row key, local and ours: i64 segment ‖ store key, so that a segment is one range of rows (rule S2).
//!
//! Numbers are big-endian. Segments and starts are not negative, so that rows sort by segment.

use kafka_streams_core::Timestamp;

/// Size of the segment before a store key.
pub(crate) const SEGMENT_SIZE: usize = 8;
/// The highest sequence number; they wrap around to 0.
pub(crate) const MAX_SEQUENCE: i32 = i32::MAX;

/// The row that keeps what a window store must remember besides its windows. No segment is negative, so it is behind
/// all of them. Value: i64 observed stream time.
pub(crate) const STREAM_TIME_ROW: [u8; SEGMENT_SIZE] = [0xff; SEGMENT_SIZE];

/// The parts of a store key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowKey<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) start: Timestamp,
    pub(crate) sequence: i32,
}

impl<'a> WindowKey<'a> {
    /// Reads a store key; `None` if it is too short to be one.
    #[inline]
    pub(crate) fn from_store_key(bytes: &'a [u8]) -> Option<Self> {
        let (rest, sequence) = bytes.split_last_chunk::<4>()?;
        let (key, start) = rest.split_last_chunk::<8>()?;
        Some(WindowKey { key, start: Timestamp::from_be_bytes(*start), sequence: i32::from_be_bytes(*sequence) })
    }

    /// Reads a row key; `None` if it is too short to be one.
    #[inline]
    pub(crate) fn from_row_key(bytes: &'a [u8]) -> Option<Self> {
        WindowKey::from_store_key(bytes.get(SEGMENT_SIZE..)?)
    }
}

/// Appends start and sequence number to a key.
#[inline]
pub(crate) fn append_suffix(out: &mut Vec<u8>, start: Timestamp, sequence: i32) {
    out.extend_from_slice(&start.to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_key_has_the_jvms_bytes() {
        // WindowKeySchema.toStoreKeyBinary("K", 60000, 0) of Kafka Streams 4.3.
        let golden = [0x4b, 0, 0, 0, 0, 0, 0, 0xea, 0x60, 0, 0, 0, 0];
        let mut bytes = b"K".to_vec();
        append_suffix(&mut bytes, 60_000, 0);
        assert_eq!(bytes, golden);
        let read = WindowKey::from_store_key(&golden);
        assert_eq!(read, Some(WindowKey { key: b"K", start: 60_000, sequence: 0 }));
        assert_eq!(WindowKey::from_store_key(&golden[2..]), None);
    }
}
