//! Decoding of answers that no length field can make allocate without bound.
//!
//! kafka-protocol reserves memory for as many elements as an array's length says before it has seen one of them, so five
//! hostile bytes could ask for gigabytes and abort the process. All answers that we read (but two, see
//! [`plain_array_fits`]) have a flexible version (KIP-482), in which every length is an unsigned varint. These are read
//! byte by byte through `try_get_u8`, where [`Guarded`] puts them together again and refuses any that is larger than
//! what is left of the frame.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::buf::ByteBuf;

/// Beyond what is left of the frame: tag numbers, the only varints that are not lengths, are far below.
const SLACK: u64 = 1024;

/// The rest of a frame.
pub(super) struct Guarded {
    bytes: Bytes,
    /// The varint being read.
    partial: u64,
    shift: u32,
}

impl Guarded {
    pub(super) fn new(bytes: Bytes) -> Self {
        Guarded { bytes, partial: 0, shift: 0 }
    }
}

impl Buf for Guarded {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.bytes.try_get_u8()?;
        self.partial |= u64::from(byte & 0x7f) << self.shift;
        // A varint of 32 bits has at most five bytes.
        if byte & 0x80 != 0 && self.shift < 28 {
            self.shift += 7;
            return Ok(byte);
        }
        let value = std::mem::take(&mut self.partial);
        self.shift = 0;
        let available = self.bytes.remaining();
        if value > available as u64 + SLACK {
            return Err(TryGetError { requested: usize::try_from(value).unwrap_or(usize::MAX), available });
        }
        Ok(byte)
    }
}

impl ByteBuf for Guarded {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.bytes.split_to(size)
    }
}

/// Whether the array of an answer that begins with an error code and an array of plain encoding is no longer than the
/// frame: ApiVersions version 0 and SaslHandshake version 1, the two answers without a flexible version.
pub(super) fn plain_array_fits(body: &[u8]) -> bool {
    let count = body.get(2..6).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(i32::from_be_bytes);
    count.is_some_and(|count| usize::try_from(count).is_ok_and(|count| count <= body.len()))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{ApiVersionsResponse, JoinGroupResponse, MetadataResponse};
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_beyond_the_frame_is_an_error() {
        // Metadata 12: throttle time, then an array of 2^32 - 2 brokers.
        let hostile = Bytes::from_static(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(MetadataResponse::decode(&mut Guarded::new(hostile), 12).is_err());
        assert!(!plain_array_fits(&[0, 0, 0x7f, 0xff, 0xff, 0xff]));
        assert!(!plain_array_fits(&[0, 0, 0xff, 0xff, 0xff, 0xff]));
        assert!(!plain_array_fits(&[0, 0, 0]));
        assert!(plain_array_fits(&[0, 35, 0, 0, 0, 0]));
    }

    #[test]
    fn honest_answers_pass() {
        let name = StrBytes::from_string("m".repeat(300));
        let reply = JoinGroupResponse::default().with_generation_id(7).with_member_id(name).with_skip_assignment(true);
        let mut bytes = bytes::BytesMut::new();
        reply.encode(&mut bytes, 9).unwrap();
        let mut guarded = Guarded::new(bytes.freeze());
        assert_eq!(JoinGroupResponse::decode(&mut guarded, 9).unwrap(), reply);
        assert_eq!(guarded.remaining(), 0);
    }

    proptest! {
        #[test]
        fn garbage_decodes_or_fails_but_never_aborts(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = MetadataResponse::decode(&mut Guarded::new(bytes.clone()), 12);
            let _ = JoinGroupResponse::decode(&mut Guarded::new(bytes.clone()), 9);
            let _ = ApiVersionsResponse::decode(&mut Guarded::new(bytes), 3);
        }
    }
}
