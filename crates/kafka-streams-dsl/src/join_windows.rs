//! Which records of two streams meet: those whose times differ by no more than a window says.

use std::time::Duration;

use crate::time_windows::millis;

/// The windows of a stream-stream join: a record of the left stream at time `t` meets the records of the right stream
/// with its key and a time within `t - before ..= t + after`.
///
/// The grace is for how much longer a left or outer join waits for a partner, in the time of the streams, before it sends
/// a record on without one; and for how much longer both sides are kept. All times are whole milliseconds; what is left
/// of a duration is cut off.
///
/// ```
/// use kafka_streams_dsl::JoinWindows;
/// use std::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// let within_a_minute = JoinWindows::of_time_difference_with_no_grace(minute);
/// let up_to_a_minute_later = JoinWindows::of_time_difference_and_grace(minute, Duration::from_secs(5)).before(Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindows {
    pub(crate) before_ms: i64,
    pub(crate) after_ms: i64,
    pub(crate) grace_ms: i64,
}

impl JoinWindows {
    /// Records whose times differ by at most `difference`, either way, without a grace.
    pub fn of_time_difference_with_no_grace(difference: Duration) -> Self {
        JoinWindows::of_time_difference_and_grace(difference, Duration::ZERO)
    }

    /// Records whose times differ by at most `difference`, either way.
    pub fn of_time_difference_and_grace(difference: Duration, grace: Duration) -> Self {
        let difference_ms = millis(difference);
        JoinWindows { before_ms: difference_ms, after_ms: difference_ms, grace_ms: millis(grace) }
    }

    /// By how much a record of the right stream may be earlier than the left one.
    #[must_use]
    pub fn before(self, difference: Duration) -> Self {
        JoinWindows { before_ms: millis(difference), ..self }
    }

    /// By how much a record of the right stream may be later than the left one.
    #[must_use]
    pub fn after(self, difference: Duration) -> Self {
        JoinWindows { after_ms: millis(difference), ..self }
    }

    /// The size of a window in milliseconds.
    pub(crate) fn size_ms(self) -> i64 {
        self.before_ms.saturating_add(self.after_ms)
    }

    /// For how long a record is kept, in milliseconds.
    pub(crate) fn retention_ms(self) -> i64 {
        self.size_ms().saturating_add(self.grace_ms)
    }
}
