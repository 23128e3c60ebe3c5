//! Rows of a store by time: what aggregations that emit when their windows close walk over.

use std::iter::Peekable;

use kafka_streams_core::{Failure, Step, Timestamp};

use crate::StoreError;
use crate::cursor::StoreIterator;
use crate::layer::Layers;
use crate::layer::segments::ExpiryRule;

/// The keys of the rows whose time lies within `from..=to`, in the order of the index (`fetchAll` of
/// `TimeOrderedCachingWindowStore` and `RocksDBTimeOrderedWindowSegmentedBytesStore`, `fetchSessions` of
/// `RocksDBTimeOrderedSessionSegmentedBytesStore`). A row that was deleted in the cache is among them.
pub(crate) fn rows(layers: &Layers, from: Timestamp, to: Timestamp) -> RowsByTime<'_> {
    let (segments, error) = match layers.segments() {
        Ok(Some(segments)) if segments.rule().indexed => (Some(segments), None),
        Ok(_) => (None, Some(Failure::bug(format!("store {} has no time index", layers.name())))),
        Err(error) => (None, Some(layers.failure(error))),
    };
    let mut rows = RowsByTime { layers, error, rule: None, waiting: Vec::new().into_iter().peekable(), flushed: None };
    let Some(segments) = segments else { return rows };
    let (rule, from, to) = (segments.rule(), from.max(0), to.min(segments.newest()));
    if from <= to {
        let span = (rule.segment(from) + 1, rule.segment(to) + 1);
        let index = StoreIterator::over_index(layers, (from, to), span, |index_key, _| Ok(Some(index_key.to_vec())));
        rows.flushed = Some(index.peekable());
        rows.waiting = layers.waiting_index_keys(rule, from, to).into_iter().peekable();
        rows.rule = Some(rule);
    }
    rows
}

/// Iterates over rows that wait in the cache, and those that are in the index already.
pub(crate) struct RowsByTime<'s> {
    layers: &'s Layers,
    error: Option<Failure>,
    rule: Option<ExpiryRule>,
    waiting: Peekable<std::vec::IntoIter<Vec<u8>>>,
    flushed: Option<Peekable<StoreIterator<'s, Vec<u8>>>>,
}

impl RowsByTime<'_> {
    fn next_index_key(&mut self) -> Option<Step<Vec<u8>>> {
        let flushed = self.flushed.as_mut()?;
        let (Some(waiting), Some(Ok(below))) = (self.waiting.peek(), flushed.peek()) else {
            // An error ends the walk, whatever waits.
            return flushed.next().or_else(|| self.waiting.next().map(Ok));
        };
        if below < waiting {
            return flushed.next();
        }
        if below == waiting {
            flushed.next();
        }
        self.waiting.next().map(Ok)
    }
}

impl Iterator for RowsByTime<'_> {
    type Item = Step<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let rule = self.rule?;
        let index_key = match self.next_index_key()? {
            Ok(index_key) => index_key,
            Err(error) => return Some(Err(error)),
        };
        let too_short = || StoreError::Unreadable { reason: "a row of the time index is too short".to_owned() };
        Some(rule.time.row_key(&index_key).ok_or_else(|| self.layers.failure(too_short())))
    }
}
