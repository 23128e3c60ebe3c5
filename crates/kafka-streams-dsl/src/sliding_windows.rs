//! Windows that slide over event time: one for each set of records that lie close together.

use std::time::Duration;

use crate::BuildError;
use crate::time_windows::millis;

/// Windows of the records that lie at most `difference` apart: whenever a record comes into reach or goes out of it, there
/// is another window. A record of time `t` is in the windows that end with it (`t - difference..=t`) and begin behind it;
/// both ends of a window belong to it. There is no window before the beginning of time: records up to `difference` share
/// the first.
///
/// All times are whole milliseconds; what is left of a duration is cut off.
///
/// ```
/// use kafka_streams_dsl::SlidingWindows;
/// use std::time::Duration;
///
/// let within_ten_seconds = SlidingWindows::of_time_difference_with_no_grace(Duration::from_secs(10));
/// let and_late_ones =
///     SlidingWindows::of_time_difference_and_grace(Duration::from_secs(10), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindows {
    pub(crate) difference_ms: i64,
    pub(crate) grace_ms: i64,
}

impl SlidingWindows {
    /// Windows of records at most this far apart, at least a millisecond. A record that comes after its windows' ends, in
    /// the time of the stream, is late and dropped.
    pub fn of_time_difference_with_no_grace(difference: Duration) -> Self {
        SlidingWindows::of_time_difference_and_grace(difference, Duration::ZERO)
    }

    /// Windows of records at most this far apart, at least a millisecond, that take late records until `grace` after
    /// their ends.
    pub fn of_time_difference_and_grace(difference: Duration, grace: Duration) -> Self {
        SlidingWindows { difference_ms: millis(difference), grace_ms: millis(grace) }
    }

    /// For how long a store must keep a window, in milliseconds: a record's windows are found from those up to twice the
    /// difference before it.
    pub(crate) fn retention_ms(self) -> i64 {
        self.difference_ms.saturating_mul(2).saturating_add(self.grace_ms)
    }

    pub(crate) fn check(self) -> Result<(), BuildError> {
        // A window of no length cannot be written on the JVM, which finds out with the first record.
        if self.difference_ms >= 1 {
            return Ok(());
        }
        let SlidingWindows { difference_ms: size_ms, grace_ms } = self;
        Err(BuildError::IllegalWindows {
            size_ms,
            advance_ms: 0,
            grace_ms,
            rule: "the difference must be at least 1 ms",
        })
    }
}
