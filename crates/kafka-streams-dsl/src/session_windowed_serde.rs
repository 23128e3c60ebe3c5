//! Keys with their session, on a topic: key bytes ‖ i64 session end ‖ i64 session start.

use std::borrow::Cow;
use std::sync::Arc;

use kafka_streams_core::{Serde, SerdeError, SharedSerde, Timestamp};
use kafka_streams_state::{Window, Windowed};

/// Reads and writes keys of tables of sessions as the JVM's `SessionWindowedSerde` does: the key's bytes, then the
/// session's end and its start in milliseconds as eight bytes each, big-endian.
///
/// ```
/// use kafka_streams_core::Serde;
/// use kafka_streams_core::serde::StringSerde;
/// use kafka_streams_dsl::{SessionWindowedSerde, Window, Windowed};
///
/// let serde = SessionWindowedSerde::new(StringSerde);
/// let mut bytes = Vec::new();
/// let key = Windowed::new("K".to_owned(), Window { start: 1000, end: 5000 });
/// serde.serialize("topic", &key, &mut bytes)?;
/// assert_eq!(bytes, [b'K', 0, 0, 0, 0, 0, 0, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0x03, 0xe8]);
/// assert_eq!(serde.deserialize("topic", &bytes)?, key);
/// # Ok::<(), kafka_streams_core::SerdeError>(())
/// ```
pub struct SessionWindowedSerde<K> {
    keys: SharedSerde<K>,
}

/// Size of the session's end and start behind the key.
const SUFFIX_SIZE: usize = 16;

impl<K: 'static> SessionWindowedSerde<K> {
    /// The serde of sessions whose keys have this one.
    pub fn new(keys: impl Serde<Target = K>) -> Self {
        SessionWindowedSerde::shared(Arc::new(keys))
    }

    pub(crate) fn shared(keys: SharedSerde<K>) -> Self {
        SessionWindowedSerde { keys }
    }
}

impl<K: 'static> Serde for SessionWindowedSerde<K> {
    type Target = Windowed<K>;

    fn serialize(&self, topic: &str, session: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.keys.serialize(topic, &session.key, out)?;
        out.extend_from_slice(&session.window.end.to_be_bytes());
        out.extend_from_slice(&session.window.start.to_be_bytes());
        Ok(())
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Windowed<K>, SerdeError> {
        let Some((key, end, start)) = split(bytes) else {
            let (expected, found) = (SUFFIX_SIZE, bytes.len());
            return Err(SerdeError::WrongSize { type_name: "session", expected, found });
        };
        Ok(Windowed::new(self.keys.deserialize(topic, key)?, Window { start, end }))
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("session-windowed<{}>", self.keys.id()))
    }
}

/// The key without its session: what decides the partition, so that all sessions of a key are in one
/// (`WindowedStreamPartitioner` of the JVM).
pub(crate) fn base_key(bytes: &[u8]) -> &[u8] {
    split(bytes).map_or(bytes, |(key, _, _)| key)
}

fn split(bytes: &[u8]) -> Option<(&[u8], Timestamp, Timestamp)> {
    let (rest, start) = bytes.split_last_chunk::<8>()?;
    let (key, end) = rest.split_last_chunk::<8>()?;
    Some((key, Timestamp::from_be_bytes(*end), Timestamp::from_be_bytes(*start)))
}

#[cfg(test)]
mod tests {
    use kafka_streams_core::serde::StringSerde;

    use super::*;

    #[test]
    fn a_key_that_is_too_short_for_a_session_is_an_error() {
        assert!(SessionWindowedSerde::new(StringSerde).deserialize("t", &[0; 15]).is_err());
        assert_eq!(base_key(b"key\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01"), b"key");
        assert_eq!(base_key(b"short"), b"short");
    }
}
