//! A window store that is named and sized by the user.

use std::time::Duration;

use crate::time_windows::millis;

/// A window store of the user's choice where an operator would make its own: its name, whether it is on disk, and how
/// long windows are kept (`WindowBytesStoreSupplier` of the JVM).
///
/// ```
/// use kafka_streams_dsl::WindowStoreSupplier;
/// use std::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// let store = WindowStoreSupplier::in_memory("left-orders", 2 * minute, 2 * minute, true);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowStoreSupplier {
    pub(crate) name: String,
    pub(crate) persistent: bool,
    pub(crate) retention_ms: i64,
    pub(crate) window_size_ms: i64,
    pub(crate) retain_duplicates: bool,
}

impl WindowStoreSupplier {
    /// A store on disk. Windows of this size are kept for `retention` after their start; equal windows of one key stand
    /// side by side if `retain_duplicates`, as joins need it, else the last one is kept.
    pub fn persistent(
        name: impl Into<String>,
        retention: Duration,
        window_size: Duration,
        retain_duplicates: bool,
    ) -> Self {
        WindowStoreSupplier {
            name: name.into(),
            persistent: true,
            retention_ms: millis(retention),
            window_size_ms: millis(window_size),
            retain_duplicates,
        }
    }

    /// A store in memory; as [`persistent`](WindowStoreSupplier::persistent) otherwise.
    pub fn in_memory(
        name: impl Into<String>,
        retention: Duration,
        window_size: Duration,
        retain_duplicates: bool,
    ) -> Self {
        let supplier = WindowStoreSupplier::persistent(name, retention, window_size, retain_duplicates);
        WindowStoreSupplier { persistent: false, ..supplier }
    }
}
