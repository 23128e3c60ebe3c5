//! Iterators over rows that hold nothing: they fetch some rows, let go of the store, and hand them out.
//!
//! So a processor may write the store that it walks. An iterator is no snapshot (nor is the JVM's over a cache): rows
//! written behind the point that it has reached are seen.

use std::fmt;

use kafka_streams_core::{Step, Timestamp};

use crate::format::session_key::{SessionKey, append_session};
use crate::format::window_key::{MAX_SEQUENCE, SEGMENT_SIZE, WindowKey, append_suffix};
use crate::layer::Layers;
use crate::{KeyRange, Order, StoreError};

/// Number of rows that are fetched at a time.
const PAGE: usize = 64;

/// An iterator over rows of a store; ends after the first error.
pub struct StoreIterator<'s, T> {
    layers: &'s Layers,
    order: Order,
    /// `None` for a row that the range holds but the question does not ask for.
    decode: Box<Decode<'s, T>>,
    plan: Plan,
    range: Option<Range>,
    page: std::vec::IntoIter<T>,
    error: Option<kafka_streams_core::Failure>,
}

/// Reads a row that the iterator came by.
pub(crate) type Decode<'s, T> = dyn Fn(&[u8], &[u8]) -> Result<Option<T>, StoreError> + 's;

/// A range of rows, half-open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Range {
    pub(crate) from: Option<Vec<u8>>,
    pub(crate) to: Option<Vec<u8>>,
    /// If all rows that are asked for are of one key: so many bytes of `from` are its segment and the key.
    pub(crate) of_key: Option<usize>,
}

/// What is left after the present range.
enum Plan {
    Done,
    /// The windows of one key, segment by segment.
    Segments(Segments),
}

/// Rows with the same part of their keys in each segment.
struct Segments {
    /// The first row within a segment.
    from: Vec<u8>,
    /// The end of the rows within a segment, exclusive.
    to: Vec<u8>,
    low: i64,
    high: i64,
    /// From one segment of rows to the next: 2 if there are segments of a time index between them.
    step: i64,
    /// The bytes of the key with which all of them begin; `None` if they are of several keys.
    of_key: Option<usize>,
}

/// Up to so many segments are tried one after the other; beyond, the next one with rows is looked for.
const SEGMENTS_TRIED: i64 = 4;

impl<'s, T> StoreIterator<'s, T> {
    /// Iterates over a range of rows.
    pub(crate) fn over(
        layers: &'s Layers,
        range: Step<Range>,
        order: Order,
        decode: impl Fn(&[u8], &[u8]) -> Result<Option<T>, StoreError> + 's,
    ) -> Self {
        let (range, error) = match range {
            Ok(range) => (Some(range), None),
            Err(error) => (None, Some(error)),
        };
        let page = Vec::new().into_iter();
        StoreIterator { layers, order, decode: Box::new(decode), plan: Plan::Done, range, page, error }
    }

    /// Iterates over the windows of `key` that start within `from..=to` (not negative), in segments `low..=high`.
    pub(crate) fn over_windows(
        layers: &'s Layers,
        key: &[u8],
        (from, to): (Timestamp, Timestamp),
        (low, high): (i64, i64),
        order: Order,
        decode: impl Fn(&[u8], &[u8]) -> Result<Option<T>, StoreError> + 's,
    ) -> Self {
        let bound = |start: Timestamp, sequence: i32, end: &[u8]| {
            let mut bytes = key.to_vec();
            append_suffix(&mut bytes, start, sequence);
            bytes.extend_from_slice(end);
            bytes
        };
        let (from, to, of_key) = (bound(from, 0, &[]), bound(to, MAX_SEQUENCE, &[0]), Some(key.len()));
        StoreIterator::over_segments(layers, Segments { from, to, low, high, step: 1, of_key }, order, decode)
    }

    /// Iterates over the sessions of `key` that end at `earliest_end` (not negative) or later, in segments
    /// `low..=high`.
    pub(crate) fn over_sessions(
        layers: &'s Layers,
        key: &[u8],
        earliest_end: Timestamp,
        (low, high): (i64, i64),
        order: Order,
        decode: impl Fn(&[u8], &[u8]) -> Result<Option<T>, StoreError> + 's,
    ) -> Self {
        let (mut from, mut to) = (key.to_vec(), key.to_vec());
        append_session(&mut from, 0, earliest_end);
        append_session(&mut to, Timestamp::MAX, Timestamp::MAX);
        to.push(0);
        let of_key = Some(key.len());
        StoreIterator::over_segments(layers, Segments { from, to, low, high, step: 1, of_key }, order, decode)
    }

    /// Iterates over the rows of a time index with times within `from..=to` (not negative), in segments `low..=high` of
    /// the index.
    pub(crate) fn over_index(
        layers: &'s Layers,
        (from, to): (Timestamp, Timestamp),
        (low, high): (i64, i64),
        decode: impl Fn(&[u8], &[u8]) -> Result<Option<T>, StoreError> + 's,
    ) -> Self {
        let (from, to) = (from.to_be_bytes().to_vec(), to.saturating_add(1).to_be_bytes().to_vec());
        StoreIterator::over_segments(
            layers,
            Segments { from, to, low, high, step: 2, of_key: None },
            Order::Ascending,
            decode,
        )
    }

    fn over_segments(
        layers: &'s Layers,
        segments: Segments,
        order: Order,
        decode: impl Fn(&[u8], &[u8]) -> Result<Option<T>, StoreError> + 's,
    ) -> Self {
        let plan = Plan::Segments(Segments { step: if layers.has_time_index() { 2 } else { 1 }, ..segments });
        let page = Vec::new().into_iter();
        StoreIterator { layers, order, decode: Box::new(decode), plan, range: None, page, error: None }
    }

    /// Fetches rows until a page is full or nothing is left.
    fn fetch(&mut self) {
        let mut page = Vec::new();
        while page.len() < PAGE && self.error.is_none() {
            let Some(range) = self.range.take().or_else(|| self.next_range()) else { break };
            let mut reached = None;
            let mut failed = None;
            let decode = &*self.decode;
            let bounds = KeyRange { from: range.from.as_deref(), to: range.to.as_deref() };
            let of_key = range.of_key.and_then(|length| bounds.from?.get(..length));
            let scanned = self.layers.scan(bounds, of_key, self.order, &mut |key, value| match decode(key, value) {
                Ok(Some(row)) => {
                    page.push(row);
                    if page.len() == PAGE {
                        reached = Some(key.to_vec());
                    }
                    page.len() < PAGE
                }
                Ok(None) => true,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            });
            if let Some(error) = scanned.err().or(failed) {
                self.error = Some(self.layers.failure(error));
            }
            self.range = reached.map(|reached| rest(range, reached, self.order));
        }
        self.page = page.into_iter();
    }

    fn next_range(&mut self) -> Option<Range> {
        let Plan::Segments(Segments { from, to, low, high, step, of_key }) = &mut self.plan else { return None };
        if *high - *low > SEGMENTS_TRIED * *step {
            match next_segment(self.layers, *low, *high, self.order) {
                Ok(Some(segment)) if self.order == Order::Ascending => *low = segment - (segment - *low) % *step,
                Ok(Some(segment)) => *high = segment - (segment - *low) % *step,
                Ok(None) => *low = i64::MAX,
                Err(error) => {
                    *low = i64::MAX;
                    self.error = Some(self.layers.failure(error));
                }
            }
        }
        if *low > *high {
            return None;
        }
        let segment = match self.order {
            Order::Ascending => {
                *low += *step;
                *low - *step
            }
            Order::Descending => {
                *high -= *step;
                *high + *step
            }
        };
        let bound = |rest: &[u8]| Some([&segment.to_be_bytes()[..], rest].concat());
        Some(Range { from: bound(from), to: bound(to), of_key: of_key.map(|length| SEGMENT_SIZE + length) })
    }
}

/// What is left of a range after the row `reached`.
fn rest(mut range: Range, mut reached: Vec<u8>, order: Order) -> Range {
    match order {
        Order::Ascending => {
            reached.push(0);
            range.from = Some(reached);
        }
        Order::Descending => range.to = Some(reached),
    }
    range
}

/// The first segment within `low..=high` that has rows.
fn next_segment(layers: &Layers, low: i64, high: i64, order: Order) -> Result<Option<i64>, StoreError> {
    let (from, to) = (low.to_be_bytes(), high.saturating_add(1).to_be_bytes());
    let mut segment = None;
    layers.scan(KeyRange { from: Some(&from), to: Some(&to) }, None, order, &mut |key, _| {
        segment = key.first_chunk::<8>().map(|bytes| i64::from_be_bytes(*bytes));
        false
    })?;
    Ok(segment)
}

/// Reads a row key of a window store.
pub(crate) fn window_key(bytes: &[u8]) -> Result<WindowKey<'_>, StoreError> {
    WindowKey::from_row_key(bytes).ok_or_else(|| StoreError::Unreadable {
        reason: format!("a window's key has {} bytes, which is too few", bytes.len()),
    })
}

/// Reads a row key of a session store.
pub(crate) fn session_key(bytes: &[u8]) -> Result<SessionKey<'_>, StoreError> {
    SessionKey::from_row_key(bytes).ok_or_else(|| StoreError::Unreadable {
        reason: format!("a session's key has {} bytes, which is too few", bytes.len()),
    })
}

/// Whether a row of a store with a time index is one of the index: their segments are odd.
pub(crate) fn is_of_index(row_key: &[u8]) -> bool {
    row_key.get(7).is_some_and(|low| low % 2 == 1)
}

impl<T> Iterator for StoreIterator<'_, T> {
    type Item = Step<T>;

    fn next(&mut self) -> Option<Step<T>> {
        if let Some(row) = self.page.next() {
            return Some(Ok(row));
        }
        if self.error.is_none() {
            self.fetch();
        }
        match self.page.next() {
            Some(row) => Some(Ok(row)),
            None => {
                self.range = None;
                self.plan = Plan::Done;
                self.error.take().map(Err)
            }
        }
    }
}

impl<T> fmt::Debug for StoreIterator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreIterator")
            .field("store", self.layers.name())
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}
