//! Fixed windows over event time: side by side, or overlapping.

use std::time::Duration;

use kafka_streams_core::Timestamp;
use kafka_streams_state::Window;

use crate::BuildError;

/// Windows of a fixed size, aligned to the epoch: tumbling ones, or with [`advance_by`](TimeWindows::advance_by) hopping
/// ones, which overlap. A record of time `t` belongs to every window with `start <= t < start + size`.
///
/// All times are whole milliseconds; what is left of a duration is cut off.
///
/// ```
/// use kafka_streams_dsl::TimeWindows;
/// use std::time::Duration;
///
/// let every_minute = TimeWindows::of_size_and_grace(Duration::from_secs(60), Duration::from_secs(5));
/// let last_hour_each_minute = TimeWindows::of_size_with_no_grace(Duration::from_secs(3600)).advance_by(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindows {
    pub(crate) size_ms: i64,
    pub(crate) advance_ms: i64,
    pub(crate) grace_ms: i64,
}

impl TimeWindows {
    /// Tumbling windows of this size, at least a millisecond. A record that comes after its window's end, in the time of
    /// the stream, is late and dropped.
    pub fn of_size_with_no_grace(size: Duration) -> Self {
        TimeWindows::of_size_and_grace(size, Duration::ZERO)
    }

    /// Tumbling windows of this size, at least a millisecond, that take late records until `grace` after their end.
    pub fn of_size_and_grace(size: Duration, grace: Duration) -> Self {
        let size_ms = millis(size);
        TimeWindows { size_ms, advance_ms: size_ms, grace_ms: millis(grace) }
    }

    /// Hopping windows: one begins every `advance`, at least a millisecond and at most the size.
    #[must_use]
    pub fn advance_by(self, advance: Duration) -> Self {
        TimeWindows { advance_ms: millis(advance), ..self }
    }

    /// The windows of a record of this time, which is not negative, in ascending order (`TimeWindows.windowsFor` of the
    /// JVM).
    pub(crate) fn windows_for(self, timestamp: Timestamp) -> WindowsFor {
        let TimeWindows { size_ms, advance_ms, .. } = self;
        let advance = advance_ms.max(1);
        let first = timestamp.saturating_sub(size_ms).saturating_add(advance).max(0) / advance * advance;
        TimeWindows::windows_from(first, advance, size_ms, timestamp)
    }

    /// The windows of this size from `first` on that have begun at `timestamp`.
    pub(crate) fn windows_from(first: Timestamp, advance: i64, size_ms: i64, timestamp: Timestamp) -> WindowsFor {
        WindowsFor { next: Some(first), advance, size_ms, timestamp }
    }

    /// For how long a window can change after its start, in milliseconds.
    pub(crate) fn size_and_grace_ms(self) -> i64 {
        self.size_ms.saturating_add(self.grace_ms)
    }

    pub(crate) fn check(self) -> Result<(), BuildError> {
        let TimeWindows { size_ms, advance_ms, grace_ms } = self;
        let rule = match () {
            () if size_ms < 1 => "the size must be at least 1 ms",
            () if advance_ms < 1 || advance_ms > size_ms => {
                "a window must begin after 1 ms at least and the size at most"
            }
            () => return Ok(()),
        };
        Err(BuildError::IllegalWindows { size_ms, advance_ms, grace_ms, rule })
    }
}

/// Windows of one size, at equal distances, up to those that begin at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowsFor {
    next: Option<Timestamp>,
    advance: i64,
    size_ms: i64,
    timestamp: Timestamp,
}

impl Iterator for WindowsFor {
    type Item = Window;

    #[inline]
    fn next(&mut self) -> Option<Window> {
        let start = self.next.filter(|start| *start <= self.timestamp)?;
        self.next = start.checked_add(self.advance);
        Some(Window::of_size(start, self.size_ms))
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(windows: TimeWindows, timestamp: Timestamp) -> Vec<Timestamp> {
        windows.windows_for(timestamp).map(|window| window.start).collect()
    }

    #[test]
    fn a_record_is_in_one_tumbling_window_and_in_several_hopping_ones() {
        let tumbling = TimeWindows::of_size_with_no_grace(Duration::from_millis(10));
        assert_eq!(starts(tumbling, 0), [0]);
        assert_eq!(starts(tumbling, 9), [0]);
        assert_eq!(starts(tumbling, 10), [10]);
        let hopping = tumbling.advance_by(Duration::from_millis(4));
        assert_eq!(starts(hopping, 3), [0]);
        assert_eq!(starts(hopping, 12), [4, 8, 12]);
        assert_eq!(starts(hopping, 14), [8, 12]);
    }

    #[test]
    fn the_end_of_time_is_no_overflow() {
        let windows = TimeWindows::of_size_and_grace(Duration::MAX, Duration::MAX);
        assert_eq!(starts(windows, i64::MAX - 1), [0]);
        assert_eq!(starts(windows, i64::MAX), [i64::MAX]);
        assert_eq!(windows.size_and_grace_ms(), i64::MAX);
        let short = TimeWindows::of_size_with_no_grace(Duration::from_millis(10));
        assert_eq!(short.windows_for(i64::MAX).map(|w| w.end).collect::<Vec<_>>(), [i64::MAX]);
    }

    #[test]
    fn windows_that_cannot_be_are_refused() {
        assert!(TimeWindows::of_size_with_no_grace(Duration::from_micros(900)).check().is_err());
        let windows = TimeWindows::of_size_with_no_grace(Duration::from_millis(10));
        assert!(windows.check().is_ok());
        assert!(windows.advance_by(Duration::from_millis(11)).check().is_err());
        assert!(windows.advance_by(Duration::ZERO).check().is_err());
    }
}
