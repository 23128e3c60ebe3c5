//! What records can be grouped by in time, and what comes of it.

use kafka_streams_core::Timestamp;

use crate::cogrouped::{CogroupedKStream, SessionWindowedCogroupedKStream, TimeWindowedCogroupedKStream};
use crate::time_windows::WindowsFor;
use crate::{
    BuildError, KGroupedStream, SessionWindowedKStream, SessionWindows, SlidingWindows, TimeWindowedKStream,
    TimeWindows, UnlimitedWindows,
};

/// Windows that records can be grouped by: [`TimeWindows`], [`SlidingWindows`], [`UnlimitedWindows`],
/// [`SessionWindows`]. Nobody else can implement it.
pub trait Windows: sealed::Sealed + Copy {
    /// A grouped stream in such windows.
    type Stream<K, V>;
    /// Grouped streams in such windows, to be aggregated together.
    type Cogrouped<K: 'static, A: 'static>;

    /// Puts a grouped stream into windows; see [`KGroupedStream::windowed_by`].
    #[doc(hidden)]
    fn window<K: Clone + 'static, V: Clone + 'static>(self, grouped: &KGroupedStream<K, V>) -> Self::Stream<K, V>;

    /// Puts grouped streams into windows; see [`CogroupedKStream::windowed_by`].
    #[doc(hidden)]
    fn window_all<K: Clone + 'static, A: Clone + 'static>(
        self,
        grouped: &CogroupedKStream<K, A>,
    ) -> Self::Cogrouped<K, A>;
}

mod sealed {
    pub trait Sealed {}
}

/// Windows whose length is known when they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FixedWindows {
    Time(TimeWindows),
    Sliding(SlidingWindows),
    Unlimited(UnlimitedWindows),
}

impl FixedWindows {
    /// From a window's start to its end, in milliseconds.
    pub(crate) fn size_ms(self) -> i64 {
        match self {
            FixedWindows::Time(windows) => windows.size_ms,
            FixedWindows::Sliding(windows) => windows.difference_ms,
            FixedWindows::Unlimited(_) => i64::MAX,
        }
    }

    pub(crate) fn grace_ms(self) -> i64 {
        match self {
            FixedWindows::Time(windows) => windows.grace_ms,
            FixedWindows::Sliding(windows) => windows.grace_ms,
            FixedWindows::Unlimited(_) => 0,
        }
    }

    /// For how long a store must keep a window after its start, in milliseconds.
    pub(crate) fn retention_ms(self) -> i64 {
        match self {
            FixedWindows::Time(windows) => windows.size_and_grace_ms(),
            FixedWindows::Sliding(windows) => windows.retention_ms(),
            FixedWindows::Unlimited(_) => i64::MAX,
        }
    }

    /// The windows of a record of this time, which is not negative, in ascending order. Sliding windows depend on the
    /// other records, too.
    pub(crate) fn windows_for(self, timestamp: Timestamp) -> WindowsFor {
        match self {
            FixedWindows::Time(windows) => windows.windows_for(timestamp),
            FixedWindows::Sliding(_) => TimeWindows::windows_from(Timestamp::MAX, 1, 0, 0),
            FixedWindows::Unlimited(windows) => TimeWindows::windows_from(windows.start, i64::MAX, i64::MAX, timestamp),
        }
    }

    #[track_caller]
    pub(crate) fn check(self) -> Result<(), BuildError> {
        match self {
            FixedWindows::Time(windows) => windows.check(),
            FixedWindows::Sliding(windows) => windows.check(),
            FixedWindows::Unlimited(windows) => windows.check(),
        }
    }
}

macro_rules! fixed {
    ($windows:ident, $variant:ident) => {
        impl sealed::Sealed for $windows {}

        impl Windows for $windows {
            type Stream<K, V> = TimeWindowedKStream<K, V>;
            type Cogrouped<K: 'static, A: 'static> = TimeWindowedCogroupedKStream<K, A>;

            fn window<K: Clone + 'static, V: Clone + 'static>(
                self,
                grouped: &KGroupedStream<K, V>,
            ) -> Self::Stream<K, V> {
                TimeWindowedKStream::new(grouped.clone(), FixedWindows::$variant(self))
            }

            fn window_all<K: Clone + 'static, A: Clone + 'static>(
                self,
                grouped: &CogroupedKStream<K, A>,
            ) -> Self::Cogrouped<K, A> {
                TimeWindowedCogroupedKStream::new(grouped.clone(), FixedWindows::$variant(self))
            }
        }
    };
}

fixed!(TimeWindows, Time);
fixed!(SlidingWindows, Sliding);
fixed!(UnlimitedWindows, Unlimited);

impl sealed::Sealed for SessionWindows {}

impl Windows for SessionWindows {
    type Stream<K, V> = SessionWindowedKStream<K, V>;
    type Cogrouped<K: 'static, A: 'static> = SessionWindowedCogroupedKStream<K, A>;

    fn window<K: Clone + 'static, V: Clone + 'static>(self, grouped: &KGroupedStream<K, V>) -> Self::Stream<K, V> {
        SessionWindowedKStream::new(grouped.clone(), self)
    }

    fn window_all<K: Clone + 'static, A: Clone + 'static>(
        self,
        grouped: &CogroupedKStream<K, A>,
    ) -> Self::Cogrouped<K, A> {
        SessionWindowedCogroupedKStream::new(grouped.clone(), self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn starts(windows: FixedWindows, timestamp: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        windows.windows_for(timestamp).map(|window| (window.start, window.end)).collect()
    }

    #[test]
    fn an_unlimited_window_has_no_end_and_nothing_is_in_it_before_its_start() {
        let windows = FixedWindows::Unlimited(UnlimitedWindows::of().start_on(10));
        assert_eq!(starts(windows, 9), []);
        assert_eq!(starts(windows, 10), [(10, i64::MAX)]);
        assert_eq!(starts(windows, i64::MAX), [(10, i64::MAX)]);
        let windows = FixedWindows::Unlimited(UnlimitedWindows::of());
        assert_eq!(starts(windows, 0), [(0, i64::MAX)]);
        assert!(FixedWindows::Unlimited(UnlimitedWindows::of().start_on(-1)).check().is_err());
    }

    #[test]
    fn windows_of_no_length_are_refused() {
        let sliding = SlidingWindows::of_time_difference_with_no_grace(Duration::from_micros(999));
        assert!(FixedWindows::Sliding(sliding).check().is_err());
        assert!(SessionWindows::of_inactivity_gap_with_no_grace(Duration::ZERO).check().is_err());
        let sliding = SlidingWindows::of_time_difference_and_grace(Duration::from_millis(5), Duration::from_millis(3));
        assert_eq!(FixedWindows::Sliding(sliding).retention_ms(), 13);
    }
}
