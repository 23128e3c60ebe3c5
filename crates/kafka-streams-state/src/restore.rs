//! From changelog records back to rows: what a restore and a standby write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kafka_streams_core::{RawRecord, Timestamp};

use crate::format::buffer_value::BufferValue;
use crate::format::value::ValueFormat;
use crate::format::window_key::STREAM_TIME_ROW;
use crate::layer::segments::{ExpiryRule, read_stream_time};
use crate::version_history::{History, VersionRows};
use crate::{RestoreCodec, RowVisitor, StoreBackend, StoreError, StoreKind, StoreSpec};

/// The codec of a store.
pub(crate) fn codec(spec: &StoreSpec) -> Box<dyn RestoreCodec> {
    let format = ValueFormat::of(spec);
    match (spec.kind, ExpiryRule::of(spec)) {
        (StoreKind::Versioned { .. }, Some(rule)) => Box::new(VersionedCodec {
            rule,
            observed: AtomicI64::new(-1),
            deleted_below: AtomicI64::new(0),
            rows: Mutex::default(),
        }),
        (StoreKind::SuppressBuffer, _) => Box::new(SuppressCodec::default()),
        (_, None) => Box::new(KeyValueCodec { format }),
        (_, Some(rule)) => {
            // What was not emitted yet may have expired.
            let rule = if rule.indexed { rule.below_cache() } else { rule };
            Box::new(WindowCodec { format, rule, observed: AtomicI64::new(-1), deleted_below: AtomicI64::new(0) })
        }
    }
}

struct KeyValueCodec {
    format: ValueFormat,
}

impl RestoreCodec for KeyValueCodec {
    fn rows(&self, record: &RawRecord<'_>, row: RowVisitor<'_>) -> Result<(), StoreError> {
        // A source topic that serves as changelog may hold null keys; its table skipped them, too.
        let Some(key) = record.key else { return Ok(()) };
        self.format.of_record(record, |value| row(key, value))
    }
}

/// Puts the rows of window and session stores into segments, skips those that have expired, and keeps the stream time as
/// a row of its own. What a store with a time index has not emitted before does not expire here.
struct WindowCodec {
    format: ValueFormat,
    rule: ExpiryRule,
    observed: AtomicI64,
    deleted_below: AtomicI64,
}

impl RestoreCodec for WindowCodec {
    fn rows(&self, record: &RawRecord<'_>, row: RowVisitor<'_>) -> Result<(), StoreError> {
        let wrong = |reason: &str| StoreError::Changelog { offset: record.offset, reason: reason.to_owned() };
        let store_key = record.key.ok_or_else(|| wrong("its key is null"))?;
        let time = self.rule.time.of_store_key(store_key).ok_or_else(|| wrong("its key is too short for a window"))?;
        let before = self.observed.fetch_max(time, Ordering::Relaxed);
        if !self.rule.admits(time, before.max(time)) {
            return Ok(());
        }
        let mut key = Vec::with_capacity(8 + store_key.len());
        key.extend_from_slice(&self.rule.segment(time).to_be_bytes());
        key.extend_from_slice(store_key);
        self.format.of_record(record, |value| row(&key, value))?;
        if let Some(index) = self.rule.index_key(&key) {
            row(&index, record.value.map(|_| &[][..]))?;
        }
        if time > before {
            row(&STREAM_TIME_ROW, Some(&time.to_be_bytes()))?;
        }
        Ok(())
    }

    fn resume(&self, backend: &Arc<dyn StoreBackend>) -> Result<(), StoreError> {
        let observed: Timestamp = read_stream_time(&**backend)?;
        self.observed.fetch_max(observed, Ordering::Relaxed);
        Ok(())
    }

    fn take_deleted_ranges(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        if self.rule.indexed { Vec::new() } else { expired_segments(self.rule, &self.observed, &self.deleted_below) }
    }
}

/// The segments that are not alive any more, if there are more of them than before.
fn expired_segments(rule: ExpiryRule, observed: &AtomicI64, deleted_below: &AtomicI64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let lowest = rule.lowest_live(observed.load(Ordering::Relaxed));
    if lowest <= deleted_below.swap(lowest, Ordering::Relaxed) {
        return Vec::new();
    }
    // From the very first segment: an earlier batch may have held rows that expired within it.
    vec![(0i64.to_be_bytes().to_vec(), lowest.to_be_bytes().to_vec())]
}

/// Puts versions as the store did. A row holds several versions, so that rows are read to be written: from the batch in
/// the making, or from what was committed.
struct VersionedCodec {
    rule: ExpiryRule,
    observed: AtomicI64,
    deleted_below: AtomicI64,
    rows: Mutex<RestoredRows>,
}

#[derive(Default)]
struct RestoredRows {
    backend: Option<Arc<dyn StoreBackend>>,
    batch: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What the record in hand sets.
    set: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl VersionRows for RestoredRows {
    fn row(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(row) = self.batch.get(key) {
            return Ok(row.clone());
        }
        let mut found = None;
        if let Some(backend) = &self.backend {
            backend.get(key, &mut |bytes| found = Some(bytes.to_vec()))?;
        }
        Ok(found)
    }

    fn set_row(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let value = value.map(<[u8]>::to_vec);
        self.batch.insert(key.to_vec(), value.clone());
        self.set.push((key.to_vec(), value));
        Ok(())
    }
}

impl RestoreCodec for VersionedCodec {
    fn rows(&self, record: &RawRecord<'_>, row: RowVisitor<'_>) -> Result<(), StoreError> {
        // A source topic that serves as changelog may hold null keys; its table skipped them, too.
        let Some(key) = record.key else { return Ok(()) };
        let before = self.observed.fetch_max(record.timestamp, Ordering::Relaxed);
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let observed = before.max(record.timestamp);
        let mut history = History { rule: self.rule, observed, rows: &mut *rows };
        if history.has_expired(record.timestamp) {
            return Ok(());
        }
        history.put(key, record.value, record.timestamp)?;
        for (key, value) in rows.set.drain(..) {
            row(&key, value.as_deref())?;
        }
        if record.timestamp > before {
            row(&STREAM_TIME_ROW, Some(&record.timestamp.to_be_bytes()))?;
        }
        Ok(())
    }

    fn resume(&self, backend: &Arc<dyn StoreBackend>) -> Result<(), StoreError> {
        let observed: Timestamp = read_stream_time(&**backend)?;
        self.observed.fetch_max(observed, Ordering::Relaxed);
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        *rows = RestoredRows { backend: Some(backend.clone()), ..RestoredRows::default() };
        Ok(())
    }

    fn take_deleted_ranges(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        // The batch is complete; before the next record it is committed.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).batch.clear();
        expired_segments(self.rule, &self.observed, &self.deleted_below)
    }
}

/// Turns the records of a suppress buffer's changelog into rows of the present version.
#[derive(Default)]
struct SuppressCodec {
    /// Of the keys that wait, what their rows were: records of early versions do not say it.
    priors: Mutex<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl RestoreCodec for SuppressCodec {
    fn rows(&self, record: &RawRecord<'_>, row: RowVisitor<'_>) -> Result<(), StoreError> {
        let wrong = |reason: &str| StoreError::Changelog { offset: record.offset, reason: reason.to_owned() };
        let key = record.key.ok_or_else(|| wrong("its key is null"))?;
        let mut priors = self.priors.lock().unwrap_or_else(PoisonError::into_inner);
        if record.value.is_none() {
            priors.remove(key);
            return row(key, None);
        }
        let value = BufferValue::of_record(record, priors.get(key).cloned());
        let (time, value) = value.ok_or_else(|| wrong("its value is none of a suppress buffer"))?;
        let mut bytes = Vec::new();
        value.write(time, &mut bytes);
        priors.insert(key.to_vec(), value.prior);
        row(key, Some(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreBuilder;
    use crate::Stores;
    use kafka_streams_core::serde::{I64Serde, StringSerde};
    use std::time::Duration;

    type Row = (Vec<u8>, Option<Vec<u8>>);

    fn rows(codec: &dyn RestoreCodec, key: &[u8], value: Option<&[u8]>, timestamp: i64) -> Vec<Row> {
        let mut rows = Vec::new();
        let record = RawRecord { offset: 7, timestamp, key: Some(key), value, headers: None };
        codec
            .rows(&record, &mut |key, value| {
                rows.push((key.to_vec(), value.map(<[u8]>::to_vec)));
                Ok(())
            })
            .unwrap();
        rows
    }

    #[test]
    fn a_timestamped_value_is_the_records_timestamp_and_value() {
        let spec = Stores::persistent_timestamped_key_value_store("s", StringSerde, I64Serde).spec();
        let codec = spec.restore_codec();
        let expected = b"\0\0\0\0\0\0\x03\xe8v".to_vec();
        assert_eq!(rows(&*codec, b"k", Some(b"v"), 1000), [(b"k".to_vec(), Some(expected))]);
        assert_eq!(rows(&*codec, b"k", None, 1000), [(b"k".to_vec(), None)]);
    }

    #[test]
    fn s2_windows_come_back_in_their_segments_and_expired_ones_do_not() {
        let minute = Duration::from_secs(60);
        let spec = Stores::persistent_window_store("s", 2 * minute, minute, false, StringSerde, I64Serde).spec();
        let codec = spec.restore_codec();
        let store_key = |start: i64| [b"K", &start.to_be_bytes()[..], &[0; 4]].concat();
        let restored = rows(&*codec, &store_key(60_000), Some(b"v"), 5);
        let row_key = [&1i64.to_be_bytes()[..], &store_key(60_000)].concat();
        assert_eq!(restored[0], (row_key, Some(b"v".to_vec())));
        assert_eq!(restored[1], (STREAM_TIME_ROW.to_vec(), Some(60_000i64.to_be_bytes().to_vec())));
        assert_eq!(codec.take_deleted_ranges(), []);
        rows(&*codec, &store_key(300_000), Some(b"v"), 5);
        assert_eq!(rows(&*codec, &store_key(60_000), Some(b"v"), 5), []);
        assert_eq!(codec.take_deleted_ranges(), [(vec![0; 8], 3i64.to_be_bytes().to_vec())]);
        assert_eq!(codec.take_deleted_ranges(), []);
        rows(&*codec, &store_key(600_000), Some(b"v"), 5);
        assert_eq!(codec.take_deleted_ranges(), [(vec![0; 8], 8i64.to_be_bytes().to_vec())], "from the first segment");
        let record = RawRecord { offset: 7, timestamp: 0, key: Some(b"short"), value: None, headers: None };
        assert!(codec.rows(&record, &mut |_, _| Ok(())).is_err());
    }
}
