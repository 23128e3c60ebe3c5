//! Which time of a segmented row decides about its segment and its expiry, and the rows that find it by that time.

use kafka_streams_core::Timestamp;

use super::window_key::SEGMENT_SIZE;

/// The time of a row of a window or session store. Layouts are those of [`window_key`](super::window_key) and
/// [`session_key`](super::session_key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowTime {
    /// The start of a window: eight bytes before the last four.
    WindowStart,
    /// The end of a session: eight bytes before the last eight.
    SessionEnd,
}

impl RowTime {
    /// Bytes behind the key: the time, and what else tells rows of one key apart.
    const fn suffix(self) -> usize {
        match self {
            RowTime::WindowStart => 12,
            RowTime::SessionEnd => 16,
        }
    }

    /// The time in a store key; `None` if it is too short to be one.
    #[inline]
    pub(crate) fn of_store_key(self, key: &[u8]) -> Option<Timestamp> {
        let at = key.len().checked_sub(self.suffix())?;
        key.get(at..)?.first_chunk::<8>().map(|bytes| Timestamp::from_be_bytes(*bytes))
    }

    /// The time in a row key; `None` if it is too short to be one.
    #[inline]
    pub(crate) fn of_row_key(self, key: &[u8]) -> Option<Timestamp> {
        self.of_store_key(key.get(SEGMENT_SIZE..)?)
    }

    /// Segment and key of a row key; `None` if it is too short to be one.
    #[inline]
    pub(crate) fn key_part(self, row_key: &[u8]) -> Option<&[u8]> {
        let end = row_key.len().checked_sub(self.suffix())?;
        row_key.get(..end).filter(|part| part.len() >= SEGMENT_SIZE)
    }

    /// The key of the row that finds a row by time: segment + 1 ‖ suffix up to and including the times ‖ key ‖ rest of
    /// the suffix. So it sorts as `PrefixedWindowKeySchemas.TimeFirst` and `PrefixedSessionKeySchemas.TimeFirst` of the
    /// JVM.
    pub(crate) fn index_key(self, row_key: &[u8]) -> Option<Vec<u8>> {
        let (segment, store_key) = row_key.split_first_chunk::<SEGMENT_SIZE>()?;
        let (key, suffix) = store_key.split_at_checked(store_key.len().checked_sub(self.suffix())?)?;
        let (times, rest) = suffix.split_at_checked(self.times())?;
        let segment = i64::from_be_bytes(*segment) + 1;
        Some([&segment.to_be_bytes()[..], times, key, rest].concat())
    }

    /// The key of the row that a row of the index finds.
    pub(crate) fn row_key(self, index_key: &[u8]) -> Option<Vec<u8>> {
        let (segment, rest) = index_key.split_first_chunk::<SEGMENT_SIZE>()?;
        let (times, rest) = rest.split_at_checked(self.times())?;
        let (key, rest) = rest.split_at_checked(rest.len().checked_sub(self.suffix() - self.times())?)?;
        let segment = i64::from_be_bytes(*segment) - 1;
        Some([&segment.to_be_bytes()[..], key, times, rest].concat())
    }

    const fn times(self) -> usize {
        match self {
            RowTime::WindowStart => 8,
            RowTime::SessionEnd => 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_their_index_find_each_other() {
        let window = [&4i64.to_be_bytes()[..], b"key", &60_000i64.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(RowTime::WindowStart.of_row_key(&window), Some(60_000));
        let index = RowTime::WindowStart.index_key(&window).unwrap();
        assert_eq!(index, [&5i64.to_be_bytes()[..], &60_000i64.to_be_bytes(), b"key", &[0; 4]].concat());
        assert_eq!(RowTime::WindowStart.row_key(&index), Some(window.clone()));
        let session = [&4i64.to_be_bytes()[..], b"key", &5i64.to_be_bytes(), &1i64.to_be_bytes()].concat();
        assert_eq!(RowTime::SessionEnd.of_row_key(&session), Some(5));
        let index = RowTime::SessionEnd.index_key(&session).unwrap();
        assert_eq!(index, [&5i64.to_be_bytes()[..], &5i64.to_be_bytes(), &1i64.to_be_bytes(), b"key"].concat());
        assert_eq!(RowTime::SessionEnd.row_key(&index), Some(session));
        assert_eq!(RowTime::SessionEnd.of_row_key(&window[..20]), None);
        assert_eq!(RowTime::SessionEnd.index_key(&window[..20]), None);
    }
}
