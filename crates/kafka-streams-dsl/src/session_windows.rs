//! Sessions: records that follow each other without a longer pause.

use std::time::Duration;

use crate::BuildError;
use crate::time_windows::millis;

/// Sessions of records between which there is no pause longer than the gap. A session begins with its first record and
/// ends with its last; a record that comes between two sessions may make them one.
///
/// All times are whole milliseconds; what is left of a duration is cut off.
///
/// ```
/// use kafka_streams_dsl::SessionWindows;
/// use std::time::Duration;
///
/// let visits = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(30 * 60));
/// let and_late_clicks =
///     SessionWindows::of_inactivity_gap_and_grace(Duration::from_secs(30 * 60), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWindows {
    pub(crate) gap_ms: i64,
    pub(crate) grace_ms: i64,
}

impl SessionWindows {
    /// Sessions that end when nothing comes for longer than this, at least a millisecond. A record that comes when its
    /// session has ended, in the time of the stream, is late and dropped.
    pub fn of_inactivity_gap_with_no_grace(gap: Duration) -> Self {
        SessionWindows::of_inactivity_gap_and_grace(gap, Duration::ZERO)
    }

    /// Sessions that end when nothing comes for longer than `gap`, at least a millisecond, and take late records until
    /// `grace` after that.
    pub fn of_inactivity_gap_and_grace(gap: Duration, grace: Duration) -> Self {
        SessionWindows { gap_ms: millis(gap), grace_ms: millis(grace) }
    }

    /// For how long a session can change after its end, in milliseconds.
    pub(crate) fn gap_and_grace_ms(self) -> i64 {
        self.gap_ms.saturating_add(self.grace_ms)
    }

    pub(crate) fn check(self) -> Result<(), BuildError> {
        if self.gap_ms >= 1 {
            return Ok(());
        }
        let SessionWindows { gap_ms: size_ms, grace_ms } = self;
        Err(BuildError::IllegalWindows { size_ms, advance_ms: 0, grace_ms, rule: "the gap must be at least 1 ms" })
    }
}
