//! Layer 3 of a store: the uncommitted rows of a step that outgrew its memory, in the column family `pending`.
//!
//! ```text
//!   None ── rows spilled ─▶ Filled ── commit: the promise ─▶ Promised ── merged, flushed ─▶ Leftover ─▶ None
//!                              └────────────────────────── dropped ──────────────────────────▶┘ removed
//! ```
//!
//! A step can write more than one batch of RocksDB should hold, so its commit is a **promise**: one logged batch of the
//! position, the rows that are still in memory, and a mark. From then on the batch is committed: the store's content is
//! `pending` over `default`, for readers as well as after a kill, and merging the one into the other in small batches
//! changes nothing that can be seen. A merge that a kill has cut short is done again when the store is opened; it comes to
//! the same rows however much of it was there. Why each state survives a kill (rule S3):
//!
//! - Spilled rows skip the log, as without a promise they are removed when the store is opened.
//! - Before the promise all column families are flushed, so that the log never promises rows that a kill can lose.
//! - Merged rows skip the log, too; they are flushed before the promise is taken back, and only then `pending` is removed.
//!   A promise that outlives `pending`, as a crash of the machine can have it, therefore has nothing left to do.
//!
//! A row in `pending` is a byte 1 and the value, or a byte 0 for a deletion. The column family is made by the first spill
//! and removed after the commit: a store that never spills does not have it.

use std::cmp::Ordering;
use std::sync::{Arc, PoisonError, RwLockReadGuard};

use kafka_streams_state::{CommitBatch, KeyRange, Order, RowIterator, StoreError};
use rocksdb::{BoundColumnFamily, DBRawIteratorWithThreadMode, ReadOptions, WriteBatch};

use crate::backend::{Database, RocksDbBackend, failed};
use crate::meta::{POSITION, encode};

/// The column family of spilled rows.
pub(crate) const PENDING: &str = "pending";
/// The mark of a promise, in the column family `meta`.
const PROMISE: &[u8] = b"promise";
/// Size of one batch of spilled or merged rows, in bytes.
const BATCH: usize = 1 << 20;

const DELETED: u8 = 0;
const PRESENT: u8 = 1;

pub(crate) type RawIterator<'a> = DBRawIteratorWithThreadMode<'a, Database>;

/// What the column family `pending` is at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It does not exist.
    #[default]
    None,
    /// It has uncommitted rows.
    Filled,
    /// Its rows are committed and not all merged yet.
    Promised,
    /// It means nothing and is to be removed.
    Leftover,
}

impl RocksDbBackend {
    /// The stage, which does not change while the guard lives. Readers hold it until they have their iterators, each of
    /// which sees one moment.
    pub(crate) fn stage(&self) -> RwLockReadGuard<'_, Stage> {
        self.stage.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_stage(&self, stage: Stage) {
        *self.stage.write().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    fn pending(&self) -> Result<Arc<BoundColumnFamily<'_>>, StoreError> {
        self.column_family(PENDING)
    }

    /// Settles what the last life of the store has left: keeps a promise, removes a spill (rule S6).
    pub(crate) fn settle_spill(&self, has_pending: bool) -> Result<(), StoreError> {
        let promised = self.db.get_pinned_cf(&self.meta()?, PROMISE).map_err(|error| failed("read a store", &error))?;
        match (promised.is_some(), has_pending) {
            (true, true) => {
                self.set_stage(Stage::Promised);
                self.keep_promise()
            }
            (true, false) => self.forget_promise(),
            (false, true) => {
                self.set_stage(Stage::Leftover);
                self.remove_leftover()
            }
            (false, false) => Ok(()),
        }
    }

    /// Writes rows into `pending`, which is made if there is none.
    pub(crate) fn write_spill(&self, rows: RowIterator<'_, '_>) -> Result<(), StoreError> {
        let mut stage = *self.stage();
        if stage == Stage::Promised {
            self.keep_promise()?;
            stage = *self.stage();
        }
        if stage == Stage::Leftover {
            self.remove_leftover()?;
        }
        if stage != Stage::Filled {
            let made = self.db.create_cf(PENDING, &self.pending_options);
            made.map_err(|error| failed("make the spill of a store", &error))?;
            self.set_stage(Stage::Filled);
        }
        let pending = self.pending()?;
        let mut value_bytes = Vec::new();
        let mut writes = WriteBatch::default();
        for (key, value) in rows {
            writes.put_cf(&pending, key, pending_value(value, &mut value_bytes));
            if writes.size_in_bytes() >= BATCH {
                self.write_unlogged(&mut writes, "spill rows of a store")?;
            }
        }
        self.write_unlogged(&mut writes, "spill rows of a store")
    }

    /// Commits the spill together with a batch.
    pub(crate) fn commit_with_spill(&self, batch: CommitBatch<'_>) -> Result<(), StoreError> {
        // IMPORTANT: the log must not promise rows that a kill can still lose.
        self.flush()?;
        self.promise(batch)?;
        // It is committed by now, come what may.
        if let Err(error) = self.keep_promise() {
            tracing::warn!(dir = %self.dir.display(), %error, "a spill is committed and not merged yet, it will be tried again");
        }
        Ok(())
    }

    /// Makes the rows of the batch and of the spill the store's content, in one logged batch.
    fn promise(&self, batch: CommitBatch<'_>) -> Result<(), StoreError> {
        let (pending, meta) = (self.pending()?, self.meta()?);
        let mut writes = WriteBatch::default();
        for (from, to) in batch.deleted_ranges {
            if from < to {
                writes.delete_range(from, to);
                writes.delete_range_cf(&pending, from, to);
            }
        }
        let mut value_bytes = Vec::new();
        for (key, value) in batch.rows {
            writes.put_cf(&pending, key, pending_value(value, &mut value_bytes));
        }
        writes.put_cf(&meta, POSITION, encode(batch.position));
        writes.put_cf(&meta, PROMISE, []);
        let mut stage = self.stage.write().unwrap_or_else(PoisonError::into_inner);
        self.db.write_opt(writes, &self.with_log).map_err(|error| failed("write a store", &error))?;
        *stage = Stage::Promised;
        drop(stage);
        self.set_position(Some(batch.position.clone()));
        Ok(())
    }

    /// Merges promised rows into the others, and removes `pending`. To be repeated from the beginning after an error.
    pub(crate) fn keep_promise(&self) -> Result<(), StoreError> {
        self.merge_pending()?;
        // IMPORTANT: what is merged must be in files before the promise is gone, as it is not in the log.
        self.flush()?;
        self.forget_promise()?;
        self.set_stage(Stage::Leftover);
        if let Err(error) = self.remove_leftover() {
            tracing::warn!(dir = %self.dir.display(), %error, "a spill cannot be removed, it will be tried again");
        }
        Ok(())
    }

    fn merge_pending(&self) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let mut rows = self.db.raw_iterator_cf_opt(&self.pending()?, options);
        rows.seek_to_first();
        let mut writes = WriteBatch::default();
        while let Some((key, value)) = rows.item() {
            match present(value)? {
                Some(value) => writes.put(key, value),
                None => writes.delete(key),
            }
            if writes.size_in_bytes() >= BATCH {
                self.write_unlogged(&mut writes, "write a store")?;
            }
            rows.next();
        }
        rows.status().map_err(|error| failed("read a store", &error))?;
        self.write_unlogged(&mut writes, "write a store")
    }

    fn forget_promise(&self) -> Result<(), StoreError> {
        let mut writes = WriteBatch::default();
        writes.delete_cf(&self.meta()?, PROMISE);
        self.db.write_opt(writes, &self.with_log).map_err(|error| failed("write a store", &error))
    }

    /// Puts the end of a promise into a batch that wipes the store.
    pub(crate) fn wipe_promise(&self, writes: &mut WriteBatch) -> Result<(), StoreError> {
        writes.delete_cf(&self.meta()?, PROMISE);
        Ok(())
    }

    /// Gives up the rows of `pending`, unless they are committed; with `promised`, these as well.
    pub(crate) fn give_up_spill(&self, promised: bool) {
        let stage = *self.stage();
        if stage == Stage::Filled || (promised && stage == Stage::Promised) {
            self.set_stage(Stage::Leftover);
        }
        if let Err(error) = self.remove_leftover() {
            tracing::warn!(dir = %self.dir.display(), %error, "a spill cannot be removed, it will be tried again");
        }
    }

    fn remove_leftover(&self) -> Result<(), StoreError> {
        if *self.stage() == Stage::Leftover {
            self.db.drop_cf(PENDING).map_err(|error| failed("remove the spill of a store", &error))?;
            self.set_stage(Stage::None);
        }
        Ok(())
    }

    fn write_unlogged(&self, writes: &mut WriteBatch, action: &'static str) -> Result<(), StoreError> {
        let writes = std::mem::take(writes);
        if writes.is_empty() {
            return Ok(());
        }
        self.db.write_opt(writes, &self.without_log).map_err(|error| failed(action, &error))
    }

    /// Reads a row of `pending` over `default`; the guard says that there are both.
    pub(crate) fn get_merged(
        &self,
        stage: RwLockReadGuard<'_, Stage>,
        key: &[u8],
        read: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        let reading = |error| failed("read a store", &error);
        if let Some(pending) = self.db.get_pinned_cf(&self.pending()?, key).map_err(reading)? {
            drop(stage);
            if let Some(value) = present(&pending)? {
                read(value);
            }
            return Ok(());
        }
        let value = self.db.get_pinned(key).map_err(reading)?;
        drop(stage);
        if let Some(value) = value {
            read(&value);
        }
        Ok(())
    }

    /// Walks over `pending` and `default` at once; the guard says that there are both.
    pub(crate) fn scan_merged(
        &self,
        stage: RwLockReadGuard<'_, Stage>,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let pending = self.pending()?;
        let mut upper = self.db.raw_iterator_cf_opt(&pending, within(range));
        let mut lower = self.db.raw_iterator_opt(within(range));
        drop(stage);
        begin(&mut upper, order);
        begin(&mut lower, order);
        loop {
            let side = match (upper.key(), lower.key(), order) {
                (None, None, _) => break,
                (Some(_), None, _) => Ordering::Less,
                (None, Some(_), _) => Ordering::Greater,
                (Some(upper), Some(lower), Order::Ascending) => upper.cmp(lower),
                (Some(upper), Some(lower), Order::Descending) => lower.cmp(upper),
            };
            let from_upper = side != Ordering::Greater;
            let row = if from_upper { upper.item() } else { lower.item() };
            let Some((key, value)) = row else { break };
            let value = if from_upper { present(value)? } else { Some(value) };
            if value.is_some_and(|value| !visit(key, value)) {
                return Ok(());
            }
            if side != Ordering::Less {
                advance(&mut lower, order);
            }
            if from_upper {
                advance(&mut upper, order);
            }
        }
        let status = upper.status().and_then(|()| lower.status());
        status.map_err(|error| failed("read a store", &error))
    }
}

/// Read options that keep an iterator within a range.
pub(crate) fn within(range: KeyRange<'_>) -> ReadOptions {
    let mut options = ReadOptions::default();
    if let Some(from) = range.from {
        options.set_iterate_lower_bound(from);
    }
    if let Some(to) = range.to {
        options.set_iterate_upper_bound(to);
    }
    options
}

/// Puts an iterator before its first row.
pub(crate) fn begin(rows: &mut RawIterator<'_>, order: Order) {
    match order {
        Order::Ascending => rows.seek_to_first(),
        Order::Descending => rows.seek_to_last(),
    }
}

/// Moves an iterator on.
pub(crate) fn advance(rows: &mut RawIterator<'_>, order: Order) {
    match order {
        Order::Ascending => rows.next(),
        Order::Descending => rows.prev(),
    }
}

/// The value of a row in `pending`.
fn pending_value<'b>(value: Option<&[u8]>, bytes: &'b mut Vec<u8>) -> &'b [u8] {
    bytes.clear();
    bytes.push(if value.is_some() { PRESENT } else { DELETED });
    bytes.extend_from_slice(value.unwrap_or_default());
    bytes
}

/// What a row in `pending` says: a value, or that the row is deleted.
fn present(bytes: &[u8]) -> Result<Option<&[u8]>, StoreError> {
    match bytes.split_first() {
        Some((&PRESENT, value)) => Ok(Some(value)),
        Some((&DELETED, [])) => Ok(None),
        _ => Err(StoreError::Unreadable { reason: "a spilled row is damaged".to_owned() }),
    }
}

#[cfg(test)]
mod tests;
