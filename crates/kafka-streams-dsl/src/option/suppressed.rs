//! How long the changes of a table wait, and what happens when there are too many of them.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_streams_core::Timestamp;
use kafka_streams_state::Windowed;

use crate::node::suppress::WhenFull;
use crate::time_windows::millis;

/// How long the changes of a table wait, so that only the last of a key is sent on.
///
/// ```
/// use kafka_streams_dsl::{BufferConfig, Grouped, Materialized, Suppressed, TimeWindows};
/// use std::time::Duration;
/// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
/// let final_counts = clicks
///     .group_by_key(Grouped::default())
///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
///     .count(Materialized::named("clicks-per-minute"))
///     .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()));
/// ```
pub struct Suppressed<K> {
    pub(crate) name: Option<String>,
    pub(crate) buffer: BufferConfig,
    /// In milliseconds; `None` is the grace of the windows.
    pub(crate) wait_ms: Option<i64>,
    pub(crate) window_end: Option<fn(&K) -> Timestamp>,
}

impl<K> Suppressed<Windowed<K>> {
    /// Sends the result of a window on once, when the window is closed: when stream time has passed its end and grace. The
    /// buffer must keep what it is given: it may not emit early.
    pub fn until_window_closes(buffer: StrictBufferConfig) -> Self {
        Suppressed { name: None, buffer: buffer.0, wait_ms: None, window_end: Some(|key| key.window.end) }
    }
}

impl<K> Suppressed<K> {
    /// Sends a change on when stream time has gone on by `limit` since the first change of its key that waits, or earlier
    /// if the buffer says so.
    ///
    /// ```
    /// use kafka_streams_dsl::{BufferConfig, Suppressed};
    /// use std::time::Duration;
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let calmer =
    ///     balances.suppress(Suppressed::until_time_limit(Duration::from_secs(10), BufferConfig::max_records(1000)));
    /// ```
    pub fn until_time_limit(limit: Duration, buffer: impl Into<BufferConfig>) -> Self {
        Suppressed { name: None, buffer: buffer.into(), wait_ms: Some(millis(limit)), window_end: None }
    }

    /// Names the node; its buffer is `<name>-store`.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Suppressed { name: Some(name.into()), ..self }
    }
}

impl<K> Clone for Suppressed<K> {
    fn clone(&self) -> Self {
        Suppressed {
            name: self.name.clone(),
            buffer: self.buffer.clone(),
            wait_ms: self.wait_ms,
            window_end: self.window_end,
        }
    }
}

/// How much may wait, and what happens when that is too much. Made by its functions, which return what is also known of
/// it: an [`EagerBufferConfig`] emits early when it is full, a [`StrictBufferConfig`] never does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferConfig {
    pub(crate) max_records: i64,
    pub(crate) max_bytes: i64,
    pub(crate) when_full: WhenFull,
    pub(crate) shed_to: Option<String>,
    pub(crate) logging: Option<BTreeMap<String, String>>,
}

impl BufferConfig {
    /// As much as memory holds.
    pub fn unbounded() -> StrictBufferConfig {
        StrictBufferConfig(BufferConfig::of(i64::MAX, i64::MAX, WhenFull::ShutDown))
    }

    /// So many keys; the oldest leave early when there are more.
    pub fn max_records(records: u64) -> EagerBufferConfig {
        EagerBufferConfig(BufferConfig::of(bound(records), i64::MAX, WhenFull::Emit))
    }

    /// So many bytes, as the JVM counts them; the oldest leave early when there are more.
    pub fn max_bytes(bytes: u64) -> EagerBufferConfig {
        EagerBufferConfig(BufferConfig::of(i64::MAX, bound(bytes), WhenFull::Emit))
    }

    fn of(max_records: i64, max_bytes: i64, when_full: WhenFull) -> Self {
        BufferConfig { max_records, max_bytes, when_full, shed_to: None, logging: Some(BTreeMap::new()) }
    }
}

/// A buffer that sends the oldest changes on early when it is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EagerBufferConfig(BufferConfig);

/// A buffer that never sends anything on early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictBufferConfig(BufferConfig);

fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

macro_rules! buffer_config {
    ($config:ident) => {
        impl $config {
            /// So many keys.
            #[must_use]
            pub fn with_max_records(self, records: u64) -> Self {
                $config(BufferConfig { max_records: bound(records), ..self.0 })
            }

            /// So many bytes, as the JVM counts them: keys, values, and 28 bytes or more of what else is known of a change.
            #[must_use]
            pub fn with_max_bytes(self, bytes: u64) -> Self {
                $config(BufferConfig { max_bytes: bound(bytes), ..self.0 })
            }

            /// As much as memory holds.
            #[must_use]
            pub fn with_no_bound(self) -> StrictBufferConfig {
                let when_full = WhenFull::ShutDown;
                StrictBufferConfig(BufferConfig {
                    max_records: i64::MAX,
                    max_bytes: i64::MAX,
                    when_full,
                    shed_to: None,
                    ..self.0
                })
            }

            /// Sends the oldest changes on early when there are too many.
            #[must_use]
            pub fn emit_early_when_full(self) -> EagerBufferConfig {
                EagerBufferConfig(BufferConfig { when_full: WhenFull::Emit, shed_to: None, ..self.0 })
            }

            /// Fails when there are too many changes.
            #[must_use]
            pub fn shut_down_when_full(self) -> StrictBufferConfig {
                StrictBufferConfig(BufferConfig { when_full: WhenFull::ShutDown, shed_to: None, ..self.0 })
            }

            /// Writes the oldest changes to `topic` when there are too many, and forgets them: key and new value (null is
            /// a deletion), with timestamp and headers of the record that caused the change. Nothing is sent on early,
            /// and the application goes on. Not on the JVM.
            ///
            /// ```
            /// use kafka_streams_dsl::{BufferConfig, Grouped, Materialized, Suppressed, TimeWindows};
            /// use std::time::Duration;
            /// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
            /// let buffer = BufferConfig::max_bytes(64 << 20).shed_oldest_to("clicks-not-counted-to-the-end");
            /// let final_counts = clicks
            ///     .group_by_key(Grouped::default())
            ///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
            ///     .count(Materialized::named("clicks-per-minute"))
            ///     .suppress(Suppressed::until_window_closes(buffer));
            /// ```
            #[must_use]
            pub fn shed_oldest_to(self, topic: impl Into<String>) -> StrictBufferConfig {
                let (when_full, shed_to) = (WhenFull::Shed, Some(topic.into()));
                StrictBufferConfig(BufferConfig { when_full, shed_to, ..self.0 })
            }

            /// Logs the buffer to a changelog topic with this configuration in addition to the defaults.
            #[must_use]
            pub fn with_logging_enabled<N: Into<String>, C: Into<String>>(
                self,
                config: impl IntoIterator<Item = (N, C)>,
            ) -> Self {
                let config = config.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
                $config(BufferConfig { logging: Some(config), ..self.0 })
            }

            /// No changelog: what waits is lost when the task moves or the process ends.
            #[must_use]
            pub fn with_logging_disabled(self) -> Self {
                $config(BufferConfig { logging: None, ..self.0 })
            }
        }

        impl From<$config> for BufferConfig {
            fn from(config: $config) -> BufferConfig {
                config.0
            }
        }
    };
}

buffer_config!(EagerBufferConfig);
buffer_config!(StrictBufferConfig);
