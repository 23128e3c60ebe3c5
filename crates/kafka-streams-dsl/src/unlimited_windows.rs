//! The window that never ends.

use kafka_streams_core::Timestamp;

use crate::BuildError;

/// One window from a moment on, without an end. Records before it are in no window; none is ever late.
///
/// ```
/// use kafka_streams_dsl::UnlimitedWindows;
///
/// let since_ever = UnlimitedWindows::of();
/// let this_millennium = UnlimitedWindows::of().start_on(946_684_800_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnlimitedWindows {
    pub(crate) start: Timestamp,
}

impl UnlimitedWindows {
    /// The window from the beginning of time on.
    pub fn of() -> Self {
        UnlimitedWindows::default()
    }

    /// The window from this moment on, in milliseconds since the epoch, not negative.
    #[must_use]
    pub fn start_on(self, start: Timestamp) -> Self {
        UnlimitedWindows { start }
    }

    pub(crate) fn check(self) -> Result<(), BuildError> {
        if self.start >= 0 {
            return Ok(());
        }
        let rule = "the start of an unlimited window cannot be negative";
        Err(BuildError::IllegalWindows { size_ms: i64::MAX, advance_ms: 0, grace_ms: 0, rule })
    }
}
