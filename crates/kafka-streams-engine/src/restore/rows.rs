//! Restored rows on their way into a store: collected, sorted, each key once, written as one batch.

use kafka_streams_state::{BatchSource, CommitBatch, StoreBackend, StoreError, StorePosition};

/// A batch in the making. Keys and values lie back to back in one buffer.
#[derive(Debug, Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    key_end: usize,
    /// `usize::MAX` for a deletion.
    value_end: usize,
}

impl Rows {
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let value_end = if value.is_some() { self.bytes.len() } else { usize::MAX };
        self.entries.push(Entry { start, key_end, value_end });
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Writes the last value of each key, and the position; the rows are gone from here afterwards.
    /// Ranges that have expired meanwhile are deleted in the same batch (rule S2).
    pub(super) fn write(
        &mut self,
        backend: &dyn StoreBackend,
        position: &StorePosition,
        deleted_ranges: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), StoreError> {
        let bytes = &self.bytes;
        let key = |entry: &Entry| &bytes[entry.start..entry.key_end];
        // Among equal keys the latest comes first and is the one that stays.
        self.entries.sort_unstable_by(|a, b| key(a).cmp(key(b)).then(b.start.cmp(&a.start)));
        self.entries.dedup_by(|later, earlier| key(later) == key(earlier));
        let mut rows = self.entries.iter().map(|entry| {
            let value = (entry.value_end != usize::MAX).then(|| &bytes[entry.key_end..entry.value_end]);
            (key(entry), value)
        });
        backend.commit(CommitBatch { deleted_ranges, rows: &mut rows, position, source: BatchSource::Restore })?;
        self.entries.clear();
        self.bytes.clear();
        Ok(())
    }
}
