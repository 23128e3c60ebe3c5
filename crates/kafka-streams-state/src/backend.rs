//! The committed base of a store: what a back-end crate implements, and all that the layers above know of it.

use std::fmt;
use std::sync::Arc;

use kafka_streams_core::{TaskId, TopicId};

use crate::StoreError;

/// One store of one task, as it stands after its last commit. Rows are bytes; keys sort as unsigned bytes.
///
/// Shared between the worker that owns the task, the restore thread, and readers of committed data; writes come from
/// one thread at a time. A back-end passes the suite in [`conformance`](crate::conformance).
pub trait StoreBackend: Send + Sync + fmt::Debug {
    /// Calls `read` with the value of `key`, if there is one.
    ///
    /// # Errors
    /// The row cannot be read.
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError>;

    /// Calls `visit` with the rows of `range` in `order` until it returns false.
    ///
    /// # Errors
    /// The rows cannot be read.
    fn scan(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError>;

    /// About how many rows there are.
    ///
    /// # Errors
    /// The rows cannot be read.
    fn approximate_rows(&self) -> Result<u64, StoreError> {
        let mut rows = 0;
        self.scan(KeyRange::default(), Order::Ascending, &mut |_, _| {
            rows += 1;
            true
        })?;
        Ok(rows)
    }

    /// Where the rows stand (rule S4); `None` for a store that was never committed.
    fn position(&self) -> Option<StorePosition>;

    /// Writes a batch, upon the spill if there is one: all of it or nothing, also if the process is killed within (rule
    /// S3). Afterwards there is no spill.
    ///
    /// # Errors
    /// Nothing of the batch or the spill is there: the disk is full, or the files cannot be written.
    fn commit(&self, batch: CommitBatch<'_>) -> Result<(), StoreError>;

    /// Whether it takes uncommitted rows, as [`spill`](StoreBackend::spill) hands them over. By default it does not, and
    /// a step that writes more than its memory holds them there all the same.
    fn can_spill(&self) -> bool {
        false
    }

    /// Takes uncommitted rows: layer 3 of a store (rule S1). They hide earlier ones of the same keys, are read with
    /// [`get_with_spill`](StoreBackend::get_with_spill) and [`scan_with_spill`](StoreBackend::scan_with_spill) only, and
    /// become committed with the next [`commit`](StoreBackend::commit). A spill does not outlive the process, and is
    /// gone when the store is opened again (rule S6). Rows come sorted by key, each key once.
    ///
    /// # Errors
    /// The rows cannot be written; some of them may be in the spill.
    fn spill(&self, _rows: RowIterator<'_, '_>) -> Result<(), StoreError> {
        Err(StoreError::Bug("rows were spilled to a back-end that takes none".to_owned()))
    }

    /// As [`get`](StoreBackend::get), of what a commit of the spill would leave.
    ///
    /// # Errors
    /// The row cannot be read.
    fn get_with_spill(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.get(key, read)
    }

    /// As [`scan`](StoreBackend::scan), of what a commit of the spill would leave.
    ///
    /// # Errors
    /// The rows cannot be read.
    fn scan_with_spill(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.scan(range, order, visit)
    }

    /// Forgets the spill (rule S9). It cannot fail: what cannot be removed now is out of sight, and removed before the
    /// next spill or when the store is opened.
    fn drop_spill(&self) {}

    /// Removes all rows and the position (rule S6).
    ///
    /// # Errors
    /// The files cannot be removed or made anew.
    fn wipe(&self) -> Result<(), StoreError>;

    /// Makes what was committed so far safe against a crash of the machine, not only of the process.
    ///
    /// # Errors
    /// The files cannot be written.
    fn sync(&self) -> Result<(), StoreError>;
}

/// A half-open range of keys, `from..to`; `None` is unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRange<'a> {
    /// The first key of the range, inclusive.
    pub from: Option<&'a [u8]>,
    /// The end of the range, exclusive.
    pub to: Option<&'a [u8]>,
}

impl KeyRange<'_> {
    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if from >= to)
    }
}

/// The order of a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// From the lowest key up.
    #[default]
    Ascending,
    /// From the highest key down.
    Descending,
}

/// Where a store stands in its changelog (rules S3 and S4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePosition {
    /// The changelog topic's id, which differs after a deletion; nil if the broker knows no ids.
    pub topic_id: TopicId,
    /// The changelog's partition.
    pub partition: i32,
    /// N: every committed record of the changelog at an offset up to and including N is in the rows, and nothing of a
    /// later one; -1 if none is.
    pub offset: i64,
    /// The leader epoch of the record at N; -1 if not known.
    pub leader_epoch: i32,
    /// Wall-clock time of the commit in milliseconds since the epoch.
    pub committed_at: i64,
    /// For a store without a changelog under exactly-once: the task's input offsets (rule S5), opaque to the back-end.
    pub extensions: Vec<(String, Vec<u8>)>,
}

impl StorePosition {
    /// The offset of the changelog from which on nothing is in the rows; 0 if none is.
    pub fn next_offset(&self) -> i64 {
        self.offset.saturating_add(1).max(0)
    }
}

/// Rows on their way into a back-end, sorted by key, each key once; a value of `None` deletes the key.
pub type RowIterator<'i, 'r> = &'i mut dyn Iterator<Item = (&'r [u8], Option<&'r [u8]>)>;

/// What one commit changes. Rows come sorted by key, each key once.
pub struct CommitBatch<'a> {
    /// Ranges to delete before the rows are written, also from the spill (rule S2).
    pub deleted_ranges: &'a [(Vec<u8>, Vec<u8>)],
    /// The rows; a value of `None` deletes the key.
    pub rows: RowIterator<'a, 'a>,
    /// Where the store stands afterwards.
    pub position: &'a StorePosition,
    /// How the batch came about; lets a back-end skip its log for rows that can be read again.
    pub source: BatchSource,
}

/// How a batch came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSource {
    /// Processing: the batch must survive a kill once `commit` has returned.
    Processing,
    /// Restoring: a kill may lose whole batches, latest first, never part of one.
    Restore,
}

/// Opens the stores of one kind.
pub trait StoreBackends: Send + Sync {
    /// Opens or makes the store `name` of `task`.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] or [`StoreError::UnknownFormat`] for files that rule S6 says to wipe: the caller
    /// calls [`destroy`](StoreBackends::destroy) and opens again. Anything else stands.
    fn open(&self, task: TaskId, name: &str) -> Result<Arc<dyn StoreBackend>, StoreError>;

    /// Removes the store's files, readable or not. The store is not open.
    ///
    /// # Errors
    /// The files cannot be removed.
    fn destroy(&self, task: TaskId, name: &str) -> Result<(), StoreError>;

    /// Whether what it opens outlives the process.
    fn is_persistent(&self) -> bool;
}
