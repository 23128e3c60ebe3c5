//! Keys of session stores.
//!
//! - store key, also the changelog's: key ‖ i64 session end ‖ i64 session start (`SessionKeySchema` of the JVM);
//! - row key, local and ours: i64 segment ‖ store key, so that a segment is one range of rows (rule S2).
//!
//! Numbers are big-endian.

use kafka_streams_core::Timestamp;

use super::window_key::SEGMENT_SIZE;

/// The parts of a store key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionKey<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

impl<'a> SessionKey<'a> {
    /// Reads a store key; `None` if it is too short to be one.
    #[inline]
    pub(crate) fn from_store_key(bytes: &'a [u8]) -> Option<Self> {
        let (rest, start) = bytes.split_last_chunk::<8>()?;
        let (key, end) = rest.split_last_chunk::<8>()?;
        Some(SessionKey { key, start: Timestamp::from_be_bytes(*start), end: Timestamp::from_be_bytes(*end) })
    }

    /// Reads a row key; `None` if it is too short to be one.
    #[inline]
    pub(crate) fn from_row_key(bytes: &'a [u8]) -> Option<Self> {
        SessionKey::from_store_key(bytes.get(SEGMENT_SIZE..)?)
    }
}

/// Appends end and start to a key.
#[inline]
pub(crate) fn append_session(out: &mut Vec<u8>, start: Timestamp, end: Timestamp) {
    out.extend_from_slice(&end.to_be_bytes());
    out.extend_from_slice(&start.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_key_has_the_jvms_bytes() {
        // SessionKeySchema.toBinary("K", 1000, 5000) of Kafka Streams 4.3.
        let golden = [0x4b, 0, 0, 0, 0, 0, 0, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0x03, 0xe8];
        let mut bytes = b"K".to_vec();
        append_session(&mut bytes, 1000, 5000);
        assert_eq!(bytes, golden);
        let read = SessionKey::from_store_key(&golden);
        assert_eq!(read, Some(SessionKey { key: b"K", start: 1000, end: 5000 }));
        assert_eq!(SessionKey::from_store_key(&golden[2..]), None);
    }
}
