//! Expiry of window and session stores: stream time as the store has seen it, and the segments that are still alive
//! (rule S2).
//!
//! Source: `AbstractSegments` and `AbstractRocksDBSegmentedBytesStore` of the JVM. Expiry raises a floor below which no
//! row is visible; the next commit deletes the range below it, and a dropped transaction brings the old floor back.
//! A store with a time index is emptied by who emits its windows: the floor stays where the emission is.

use std::cell::Cell;

use kafka_streams_core::Timestamp;

use super::rows::Expiry;
use crate::backend::StoreBackend;
use crate::format::row_time::RowTime;
use crate::format::window_key::STREAM_TIME_ROW;
use crate::{StoreError, StoreKind, StoreSpec};

#[derive(Debug)]
pub(crate) struct Segments {
    rule: ExpiryRule,
    loaded: Cell<bool>,
    observed: Cell<Timestamp>,
    committed_observed: Cell<Timestamp>,
    /// Stream time when it was loaded: the back-end had no later row.
    loaded_observed: Cell<Timestamp>,
    floor: Cell<i64>,
    committed_floor: Cell<i64>,
    /// The latest start that was put, flushed or not: no walk needs to look behind it.
    newest: Cell<Timestamp>,
    /// The earliest start that was visible when what was committed was taken over.
    visible_at_load: Cell<Timestamp>,
    /// With a time index: the segment up to which all windows were emitted, so that they may go.
    emitted: Cell<i64>,
}

/// How windows expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpiryRule {
    pub(crate) retention_ms: i64,
    /// In-memory stores refuse a window as soon as it is invisible, others, and all with a cache, when its
    /// segment is dropped.
    pub(crate) exact: bool,
    /// Which time of a row decides.
    pub(crate) time: RowTime,
    /// Whether each row has a second one that finds it by time. Rows of the index lie in segments of their own, between
    /// those of the rows: the numbers of segments are doubled.
    pub(crate) indexed: bool,
    /// How much time a segment covers, in milliseconds; at least 1.
    pub(crate) interval_ms: i64,
}

/// The shortest segment, in milliseconds.
const SEGMENT_INTERVAL_MIN_MS: i64 = 60_000;

impl ExpiryRule {
    /// The rule of a store; `None` if its rows do not expire.
    pub(crate) fn of(spec: &StoreSpec) -> Option<Self> {
        let time = match spec.kind {
            StoreKind::Session { .. } => RowTime::SessionEnd,
            StoreKind::Versioned { history_retention_ms, segment_interval_ms } => {
                return Some(ExpiryRule {
                    retention_ms: history_retention_ms,
                    exact: false,
                    time: RowTime::WindowStart,
                    indexed: false,
                    interval_ms: segment_interval_ms.max(1),
                });
            }
            _ => RowTime::WindowStart,
        };
        let retention_ms = spec.kind.retention_ms()?;
        let interval_ms = (retention_ms / 2).max(SEGMENT_INTERVAL_MIN_MS);
        Some(ExpiryRule { retention_ms, exact: !spec.persistent, time, indexed: spec.time_index, interval_ms })
    }

    /// The rule below a cache: what the JVM's cache holds is found, expired or not, whatever store lies below it.
    pub(crate) fn below_cache(self) -> Self {
        ExpiryRule { exact: false, ..self }
    }

    /// The segment of a window start (or session end, or end of a version): of windows and sessions `start / max(retention
    /// / 2, 60 s)`.
    #[inline]
    pub(crate) fn segment(self, start: Timestamp) -> i64 {
        (start.max(0) / self.interval_ms) << u32::from(self.indexed)
    }

    /// The first window start of a segment.
    fn start_of(self, segment: i64) -> Timestamp {
        (segment >> u32::from(self.indexed)).saturating_mul(self.interval_ms)
    }

    /// The time of a row.
    #[inline]
    pub(crate) fn time_of(self, row_key: &[u8]) -> Option<Timestamp> {
        self.time.of_row_key(row_key)
    }

    /// The key of the row that finds this one by time, if there is one.
    pub(crate) fn index_key(self, row_key: &[u8]) -> Option<Vec<u8>> {
        if self.indexed { self.time.index_key(row_key) } else { None }
    }

    /// The lowest segment that is alive at this stream time.
    pub(crate) fn lowest_live(self, observed: Timestamp) -> i64 {
        self.segment(observed.saturating_sub(self.retention_ms))
    }

    /// The earliest start that is visible at this stream time.
    #[inline]
    pub(crate) fn earliest_visible(self, observed: Timestamp) -> Timestamp {
        // With a time index windows are seen until the very moment in which they close, unless they are in memory
        // (`getActualFrom` of `AbstractDualSchemaRocksDBSegmentedBytesStore`).
        let closing = i64::from(self.indexed && !self.exact && self.time == RowTime::WindowStart);
        observed.saturating_sub(self.retention_ms).saturating_add(1 - closing)
    }

    /// Whether a window may be written at this stream time.
    #[inline]
    pub(crate) fn admits(self, start: Timestamp, observed: Timestamp) -> bool {
        if self.exact {
            start >= self.earliest_visible(observed)
        } else {
            self.segment(start) >= self.lowest_live(observed)
        }
    }
}

/// Reads a stream time row.
pub(crate) fn read_stream_time(backend: &dyn StoreBackend) -> Result<Timestamp, StoreError> {
    let mut observed = Ok(-1);
    backend.get(&STREAM_TIME_ROW, &mut |bytes| {
        observed = <[u8; 8]>::try_from(bytes).map(Timestamp::from_be_bytes).map_err(|_| StoreError::Unreadable {
            reason: format!("the row of the stream time has {} bytes instead of 8", bytes.len()),
        });
    })?;
    observed
}

impl Segments {
    pub(crate) fn new(rule: ExpiryRule) -> Self {
        Segments {
            rule,
            loaded: Cell::new(false),
            observed: Cell::new(-1),
            committed_observed: Cell::new(-1),
            loaded_observed: Cell::new(-1),
            floor: Cell::new(0),
            committed_floor: Cell::new(0),
            newest: Cell::new(-1),
            visible_at_load: Cell::new(-1),
            emitted: Cell::new(0),
        }
    }

    pub(crate) fn rule(&self) -> ExpiryRule {
        self.rule
    }

    /// Takes over what was committed; done at the first use, as a restore comes between making the store and using it.
    #[inline]
    pub(crate) fn ensure_loaded(&self, backend: &dyn StoreBackend) -> Result<(), StoreError> {
        if self.loaded.get() { Ok(()) } else { self.load(backend) }
    }

    #[cold]
    fn load(&self, backend: &dyn StoreBackend) -> Result<(), StoreError> {
        let observed = read_stream_time(backend)?;
        self.observed.set(observed);
        self.committed_observed.set(observed);
        self.loaded_observed.set(observed);
        self.newest.set(observed);
        self.visible_at_load.set(self.rule.earliest_visible(observed));
        self.emitted.set(0);
        self.floor.set(self.floor_at(observed));
        // What lies below the floor may or may not be there: the first commit deletes it once more.
        self.committed_floor.set(0);
        self.loaded.set(true);
        Ok(())
    }

    /// Forgets all that is not committed.
    pub(crate) fn forget(&self) {
        self.loaded.set(false);
    }

    /// Notes the start of a window that is about to be put, flushed or not.
    #[inline]
    pub(crate) fn note(&self, start: Timestamp) {
        self.newest.set(self.newest.get().max(start));
    }

    /// Moves stream time on to a window that is about to be written below the cache; false if it has expired.
    #[inline]
    pub(crate) fn admit(&self, start: Timestamp) -> bool {
        self.note(start);
        if start > self.observed.get() {
            self.observed.set(start);
            self.floor.set(self.floor_at(start).max(self.floor.get()));
            return true;
        }
        self.rule.admits(start, self.observed.get())
    }

    /// Lets go of the rows before `time`, of which nobody will ask any more, as far as they have expired.
    pub(crate) fn emitted_until(&self, time: Timestamp) {
        self.emitted.set(self.rule.segment(time).max(self.emitted.get()));
        self.floor.set(self.floor_at(self.observed.get()).max(self.floor.get()));
    }

    fn floor_at(&self, observed: Timestamp) -> i64 {
        let lowest = self.rule.lowest_live(observed);
        if self.rule.indexed { lowest.min(self.emitted.get()) } else { lowest }
    }

    /// The earliest start that is visible.
    #[inline]
    pub(crate) fn earliest_visible(&self) -> Timestamp {
        self.rule.earliest_visible(self.observed.get())
    }

    /// The earliest start that is in a segment that is alive, and was visible when the store was opened.
    pub(crate) fn earliest_alive(&self) -> Timestamp {
        self.rule.start_of(self.rule.lowest_live(self.observed.get())).max(self.visible_at_load.get())
    }

    /// The earliest time of a row that a walk by time finds on the JVM: of windows what is visible
    /// (`AbstractRocksDBTimeOrderedSegmentedBytesStore`), of sessions what is in a live segment
    /// (`RocksDBTimeOrderedSessionSegmentedBytesStore`), unless they are in memory.
    pub(crate) fn earliest_by_time(&self) -> Timestamp {
        match self.rule.time {
            RowTime::SessionEnd if !self.rule.exact => self.rule.start_of(self.rule.lowest_live(self.observed.get())),
            _ => self.earliest_visible(),
        }
    }

    /// The latest start that was written below the cache; -1 before the first.
    pub(crate) fn observed(&self) -> Timestamp {
        self.observed.get()
    }

    /// No row was later than this when what was committed was taken over.
    pub(crate) fn observed_in_the_beginning(&self) -> Timestamp {
        if self.loaded.get() { self.loaded_observed.get() } else { Timestamp::MAX }
    }

    /// The latest start that was ever put.
    pub(crate) fn newest(&self) -> Timestamp {
        self.newest.get()
    }

    /// Whether a commit has something to write, even without rows.
    pub(crate) fn has_changes(&self) -> bool {
        self.loaded.get()
            && (self.observed.get() != self.committed_observed.get() || self.floor.get() != self.committed_floor.get())
    }

    /// What the next commit changes besides rows.
    pub(crate) fn expiry(&self) -> Expiry {
        if !self.has_changes() {
            return Expiry::default();
        }
        let key = |segment: i64| segment.to_be_bytes().to_vec();
        let (from, to) = (self.committed_floor.get(), self.floor.get());
        Expiry {
            deleted_ranges: (from < to).then(|| (key(from), key(to))).into_iter().collect(),
            floor: Some(key(to)),
            last_row: Some((STREAM_TIME_ROW.to_vec(), self.observed.get().to_be_bytes().to_vec())),
        }
    }

    /// What [`expiry`](Segments::expiry) said is committed.
    pub(crate) fn committed(&self) {
        self.committed_observed.set(self.observed.get());
        self.committed_floor.set(self.floor.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_lives_as_long_as_on_the_jvm() {
        // AbstractSegments: interval max(retention / 2, 60000), live if id >= (streamTime - retention) / interval.
        let rule = ExpiryRule {
            retention_ms: 200_000,
            exact: false,
            time: RowTime::WindowStart,
            indexed: false,
            interval_ms: 100_000,
        };
        assert_eq!((rule.segment(99_999), rule.segment(100_000)), (0, 1));
        assert_eq!(rule.lowest_live(-1), 0);
        assert_eq!(rule.lowest_live(299_999), 0);
        assert_eq!(rule.lowest_live(300_000), 1);
        assert!(rule.admits(100_000, 399_999) && !rule.admits(99_999, 399_999));
        assert_eq!(rule.earliest_visible(399_999), 200_000);
        let short = ExpiryRule { retention_ms: 10, exact: true, interval_ms: 60_000, ..rule };
        assert_eq!(short.segment(60_000), 1);
        assert!(short.admits(91, 100) && !short.admits(90, 100));
    }

    #[test]
    fn s2_what_was_not_emitted_yet_does_not_expire() {
        let rule = ExpiryRule {
            retention_ms: 10,
            exact: false,
            time: RowTime::SessionEnd,
            indexed: true,
            interval_ms: 60_000,
        };
        assert_eq!((rule.segment(59_999), rule.segment(60_000)), (0, 2));
        let segments = Segments::new(rule);
        assert!(segments.admit(600_000));
        assert_eq!(segments.expiry().deleted_ranges, [], "nothing was emitted");
        segments.emitted_until(300_000);
        let range = (0i64.to_be_bytes().to_vec(), 10i64.to_be_bytes().to_vec());
        assert_eq!(segments.expiry().deleted_ranges, [] as [(Vec<u8>, Vec<u8>); 0], "not loaded yet");
        segments.loaded.set(true);
        assert_eq!(segments.expiry().deleted_ranges, [range]);
        segments.emitted_until(10_000_000);
        assert_eq!(segments.floor.get(), rule.lowest_live(600_000), "what is alive stays");
    }
}
