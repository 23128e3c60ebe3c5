//! Rows of a store by time: what aggregations that emit when their windows close walk over.

use kafka_streams_core::{Failure, Step, Timestamp};

use crate::cursor::{Range, StoreIterator};
use crate::layer::Layers;
use crate::{Order, StoreError};

/// The keys of the rows whose time lies within `from..=to`, in the order of the index (`fetchAll` of
/// `RocksDBTimeOrderedWindowSegmentedBytesStore`, `fetchSessions` of `RocksDBTimeOrderedSessionSegmentedBytesStore`).
/// Rows in the cache are not in the index yet.
pub(crate) fn rows(layers: &Layers, from: Timestamp, to: Timestamp) -> StoreIterator<'_, Vec<u8>> {
    let nothing = |range: Step<Range>| StoreIterator::over(layers, range, Order::Ascending, |_, _| Ok(None));
    let segments = match layers.segments() {
        Ok(Some(segments)) if segments.rule().indexed => segments,
        Ok(_) => return nothing(Err(Failure::bug(format!("store {} has no time index", layers.name())))),
        Err(error) => return nothing(Err(layers.failure(error))),
    };
    let (rule, from, to) = (segments.rule(), from.max(0), to.min(segments.newest()));
    if from > to {
        return nothing(Ok(Range::nothing()));
    }
    let span = (rule.segment(from) + 1, rule.segment(to) + 1);
    StoreIterator::over_index(layers, (from, to), span, move |index_key, _| {
        let row_key = rule.time.row_key(index_key);
        row_key
            .map(Some)
            .ok_or_else(|| StoreError::Unreadable { reason: "a row of the time index is too short".to_owned() })
    })
}
