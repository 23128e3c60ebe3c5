//! Keys with their window, on a topic: key bytes ‖ i64 window start.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::{Serde, SerdeError, SharedSerde};
use kafka_streams_state::{Window, Windowed};

use crate::time_windows::millis;

/// Reads and writes keys of windowed tables as the JVM's `TimeWindowedSerde` does: the key's bytes, then the window's
/// start in milliseconds as eight bytes, big-endian. The window's end is not written; it follows from the size.
///
/// ```
/// use kafka_streams_core::Serde;
/// use kafka_streams_core::serde::StringSerde;
/// use kafka_streams_dsl::{TimeWindowedSerde, Window, Windowed};
/// use std::time::Duration;
///
/// let serde = TimeWindowedSerde::new(StringSerde, Duration::from_secs(60));
/// let mut bytes = Vec::new();
/// let key = Windowed::new("K".to_owned(), Window::of_size(60_000, 60_000));
/// serde.serialize("topic", &key, &mut bytes)?;
/// assert_eq!(bytes, [b'K', 0, 0, 0, 0, 0, 0, 0xea, 0x60]);
/// assert_eq!(serde.deserialize("topic", &bytes)?, key);
/// # Ok::<(), kafka_streams_core::SerdeError>(())
/// ```
pub struct TimeWindowedSerde<K> {
    keys: SharedSerde<K>,
    /// In milliseconds.
    window_size: i64,
}

/// Size of the window's start behind the key.
const START_SIZE: usize = 8;

impl<K: 'static> TimeWindowedSerde<K> {
    /// The serde of windows of this size, in whole milliseconds.
    pub fn new(keys: impl Serde<Target = K>, window_size: Duration) -> Self {
        TimeWindowedSerde::shared(Arc::new(keys), millis(window_size))
    }

    pub(crate) fn shared(keys: SharedSerde<K>, window_size: i64) -> Self {
        TimeWindowedSerde { keys, window_size }
    }
}

impl<K: 'static> Serde for TimeWindowedSerde<K> {
    type Target = Windowed<K>;

    fn serialize(&self, topic: &str, windowed: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.keys.serialize(topic, &windowed.key, out)?;
        out.extend_from_slice(&windowed.window.start.to_be_bytes());
        Ok(())
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Windowed<K>, SerdeError> {
        let Some((key, start)) = bytes.split_last_chunk::<START_SIZE>() else {
            let (expected, found) = (START_SIZE, bytes.len());
            return Err(SerdeError::WrongSize { type_name: "window start", expected, found });
        };
        let window = Window::of_size(i64::from_be_bytes(*start), self.window_size);
        Ok(Windowed::new(self.keys.deserialize(topic, key)?, window))
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("time-windowed<{}>", self.keys.id()))
    }
}

/// The key without its window: what decides the partition, so that all windows of a key are in one
/// (`WindowedStreamPartitioner` of the JVM).
pub(crate) fn base_key(bytes: &[u8]) -> &[u8] {
    bytes.split_last_chunk::<START_SIZE>().map_or(bytes, |(key, _)| key)
}

#[cfg(test)]
mod tests {
    use kafka_streams_core::serde::StringSerde;

    use super::*;

    #[test]
    fn a_key_that_is_too_short_for_a_window_is_an_error() {
        let serde = TimeWindowedSerde::new(StringSerde, Duration::from_millis(10));
        assert!(serde.deserialize("t", b"1234567").is_err());
        let windowed = serde.deserialize("t", b"\0\0\0\0\0\0\0\x05").unwrap();
        assert_eq!(windowed, Windowed::new(String::new(), Window { start: 5, end: 15 }));
    }

    #[test]
    fn only_the_key_itself_decides_the_partition() {
        assert_eq!(base_key(b"key\0\0\0\0\0\0\0\x05"), b"key");
        assert_eq!(base_key(b"short"), b"short");
    }
}
