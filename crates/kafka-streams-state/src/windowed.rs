//! A key together with the window that its value belongs to.

use std::fmt;

use kafka_streams_core::{SharedSerde, SinkKey, Timestamp};

/// A time window, from `start` inclusive to `end` exclusive, in milliseconds of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Its first millisecond.
    pub start: Timestamp,
    /// The first millisecond after it (for session windows: its last).
    pub end: Timestamp,
}

impl Window {
    /// The window of `size` milliseconds from `start`; its end is cut off at the end of time, as on the JVM
    /// (`WindowKeySchema.timeWindowForSize`).
    pub fn of_size(start: Timestamp, size: i64) -> Self {
        Window { start, end: start.saturating_add(size) }
    }
}

/// A key in a window. Displayed as `[key@start/end]`, as on the JVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Windowed<K> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
}

impl<K> Windowed<K> {
    /// `key` in `window`.
    pub fn new(key: K, window: Window) -> Self {
        Windowed { key, window }
    }
}

/// How a window is written follows from its kind, which the type does not tell: the aggregation does.
impl<K: 'static> SinkKey for Windowed<K> {
    fn default_serde() -> Option<SharedSerde<Self>> {
        None
    }
}

impl<K: fmt::Display> fmt::Display for Windowed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}@{}/{}]", self.key, self.window.start, self.window.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_windowed_key_reads_as_on_the_jvm() {
        assert_eq!(Windowed::new("k", Window::of_size(60_000, 10)).to_string(), "[k@60000/60010]");
        assert_eq!(Window::of_size(i64::MAX - 1, 10).end, i64::MAX);
    }
}
