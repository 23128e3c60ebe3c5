//! One store: its database, and the batches that it is written in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kafka_streams_state::{
    BatchSource, CommitBatch, KeyRange, Order, RowIterator, StoreBackend, StoreError, StorePosition,
};
use rocksdb::{
    BoundColumnFamily, DBWithThreadMode, Error, ErrorKind, FlushOptions, MultiThreaded, Options, WriteBatch,
    WriteOptions,
};

use crate::meta::{self, POSITION};
use crate::options::{META, Shared};
use crate::spill::{PENDING, Stage, advance, begin, within};

/// How long a flush that is not done is left alone before it is asked for again.
const FLUSH_PAUSE: Duration = Duration::from_millis(1);

pub(crate) type Database = DBWithThreadMode<MultiThreaded>;

pub(crate) struct RocksDbBackend {
    pub(crate) dir: PathBuf,
    pub(crate) db: Database,
    position: RwLock<Option<StorePosition>>,
    /// Whether there are batches that the log does not have.
    unlogged: AtomicBool,
    pub(crate) with_log: WriteOptions,
    pub(crate) without_log: WriteOptions,
    /// What the spill is at present.
    pub(crate) stage: RwLock<Stage>,
    pub(crate) pending_options: Options,
}

impl RocksDbBackend {
    pub(crate) fn open(dir: &Path, shared: &Shared) -> Result<Self, StoreError> {
        let options = shared.database();
        // The names of a database that cannot be read do not matter: opening it tells what is wrong.
        let has_pending = Database::list_cf(&options, dir).is_ok_and(|names| names.iter().any(|name| name == PENDING));
        let db = Database::open_cf_descriptors(&options, dir, shared.column_families(has_pending))
            .map_err(|error| opening(&error))?;
        let mut without_log = WriteOptions::default();
        without_log.disable_wal(true);
        let backend = RocksDbBackend {
            dir: dir.to_owned(),
            db,
            position: RwLock::new(None),
            unlogged: AtomicBool::new(false),
            with_log: WriteOptions::default(),
            without_log,
            stage: RwLock::default(),
            pending_options: shared.rows(),
        };
        backend.settle_spill(has_pending)?;
        let position = match backend.db.get_pinned_cf(&backend.meta()?, POSITION) {
            Ok(Some(bytes)) => Some(meta::decode(&bytes)?),
            Ok(None) if backend.is_empty()? => None,
            Ok(None) => return Err(StoreError::Unreadable { reason: "it has rows but no position".to_owned() }),
            Err(error) => return Err(failed("read the position of a store", &error)),
        };
        backend.set_position(position);
        Ok(backend)
    }

    pub(crate) fn meta(&self) -> Result<Arc<BoundColumnFamily<'_>>, StoreError> {
        self.column_family(META)
    }

    pub(crate) fn column_family(&self, name: &'static str) -> Result<Arc<BoundColumnFamily<'_>>, StoreError> {
        let missing = || StoreError::Unreadable { reason: format!("the column family {name} is missing") };
        self.db.cf_handle(name).ok_or_else(missing)
    }

    fn is_empty(&self) -> Result<bool, StoreError> {
        let mut empty = true;
        self.scan(KeyRange::default(), Order::Ascending, &mut |_, _| {
            empty = false;
            false
        })?;
        Ok(empty)
    }

    pub(crate) fn set_position(&self, position: Option<StorePosition>) {
        *self.position.write().unwrap_or_else(PoisonError::into_inner) = position;
    }

    /// Writes all column families to files, as they stand at one moment.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let (rows, meta) = (self.column_family(rocksdb::DEFAULT_COLUMN_FAMILY_NAME)?, self.meta()?);
        let pending = (*self.stage() != Stage::None).then(|| self.column_family(PENDING)).transpose()?;
        let mut families = vec![&rows, &meta];
        families.extend(&pending);
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let flush = || self.db.flush_cfs_opt(&families, &options).map_err(|error| failed("flush a store", &error));
        flush()?;
        // IMPORTANT: RocksDB may come back too early. Of several families it waits for each until another one's memtables are
        // flushed: `AtomicFlushMemTables` gives `WaitForFlushMemTables` their ids in the order of a hash map (seen in 11.8).
        while self.has_unflushed(&families)? {
            std::thread::sleep(FLUSH_PAUSE);
            flush()?;
        }
        self.unlogged.store(false, Ordering::Release);
        Ok(())
    }

    /// Whether a family has memtables on their way to a file.
    fn has_unflushed(&self, families: &[&Arc<BoundColumnFamily<'_>>]) -> Result<bool, StoreError> {
        for family in families {
            let waiting = self.db.property_int_value_cf(*family, rocksdb::properties::NUM_IMMUTABLE_MEM_TABLE);
            if waiting.map_err(|error| failed("flush a store", &error))? != Some(0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl StoreBackend for RocksDbBackend {
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        let stage = self.stage();
        if *stage == Stage::Promised {
            return self.get_merged(stage, key, read);
        }
        let value = self.db.get_pinned(key).map_err(|error| failed("read a store", &error))?;
        drop(stage);
        if let Some(value) = value {
            read(&value);
        }
        Ok(())
    }

    fn scan(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let stage = self.stage();
        if *stage == Stage::Promised {
            return self.scan_merged(stage, range, order, visit);
        }
        let mut rows = self.db.raw_iterator_opt(within(range));
        drop(stage);
        begin(&mut rows, order);
        while let Some((key, value)) = rows.item() {
            if !visit(key, value) {
                return Ok(());
            }
            advance(&mut rows, order);
        }
        // An iterator ends at its range's end or at an error.
        rows.status().map_err(|error| failed("read a store", &error))
    }

    fn approximate_rows(&self) -> Result<u64, StoreError> {
        let estimate = self.db.property_int_value(rocksdb::properties::ESTIMATE_NUM_KEYS);
        Ok(estimate.map_err(|error| failed("read a store", &error))?.unwrap_or(0))
    }

    fn position(&self) -> Option<StorePosition> {
        self.position.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn commit(&self, batch: CommitBatch<'_>) -> Result<(), StoreError> {
        let stage = *self.stage();
        match stage {
            Stage::None | Stage::Leftover => {}
            Stage::Filled => return self.commit_with_spill(batch),
            Stage::Promised => self.keep_promise()?,
        }
        let options = match batch.source {
            BatchSource::Restore => &self.without_log,
            BatchSource::Processing => {
                // IMPORTANT: the log must not tell of a batch whose predecessors a kill can still lose.
                if self.unlogged.load(Ordering::Acquire) {
                    self.flush()?;
                }
                &self.with_log
            }
        };
        let mut writes = WriteBatch::default();
        for (from, to) in batch.deleted_ranges {
            if from < to {
                writes.delete_range(from, to);
            }
        }
        for (key, value) in batch.rows {
            match value {
                Some(value) => writes.put(key, value),
                None => writes.delete(key),
            }
        }
        writes.put_cf(&self.meta()?, POSITION, meta::encode(batch.position));
        if batch.source == BatchSource::Restore {
            self.unlogged.store(true, Ordering::Release);
        }
        self.db.write_opt(writes, options).map_err(|error| failed("write a store", &error))?;
        self.set_position(Some(batch.position.clone()));
        Ok(())
    }

    fn can_spill(&self) -> bool {
        true
    }

    fn spill(&self, rows: RowIterator<'_, '_>) -> Result<(), StoreError> {
        self.write_spill(rows)
    }

    fn get_with_spill(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        let stage = self.stage();
        if *stage == Stage::Filled {
            return self.get_merged(stage, key, read);
        }
        drop(stage);
        self.get(key, read)
    }

    fn scan_with_spill(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let stage = self.stage();
        if *stage == Stage::Filled && !range.is_empty() {
            return self.scan_merged(stage, range, order, visit);
        }
        drop(stage);
        self.scan(range, order, visit)
    }

    fn drop_spill(&self) {
        self.give_up_spill(false);
    }

    fn wipe(&self) -> Result<(), StoreError> {
        // Not through a scan: rows that a promise hides are to go as well.
        let mut rows = self.db.raw_iterator();
        rows.seek_to_last();
        let last = rows.key().map(|key| [key, &[0]].concat());
        rows.status().map_err(|error| failed("read a store", &error))?;
        drop(rows);
        let mut writes = WriteBatch::default();
        writes.delete_cf(&self.meta()?, POSITION);
        self.wipe_promise(&mut writes)?;
        if let Some(end) = &last {
            writes.delete_range(&[][..], end);
        }
        // Flushed at once, so that no old state can come back from the files, whatever of the log is lost.
        self.db.write_opt(writes, &self.with_log).map_err(|error| failed("wipe a store", &error))?;
        self.flush()?;
        self.give_up_spill(true);
        self.set_position(None);
        if last.is_some() {
            self.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        if self.unlogged.load(Ordering::Acquire) {
            self.flush()?;
        }
        self.db.flush_wal(true).map_err(|error| failed("sync a store", &error))
    }
}

impl fmt::Debug for RocksDbBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksDbBackend")
            .field("dir", &self.dir)
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

/// An error of an open database.
#[cold]
pub(crate) fn failed(action: &'static str, error: &Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption => StoreError::Unreadable { reason: error.to_string() },
        _ => StoreError::Io { action, reason: error.to_string() },
    }
}

/// An error of opening: also a database that has other column families or options than ours is none of ours.
#[cold]
fn opening(error: &Error) -> StoreError {
    match error.kind() {
        ErrorKind::InvalidArgument | ErrorKind::NotSupported => StoreError::Unreadable { reason: error.to_string() },
        _ => failed("open a store", error),
    }
}
