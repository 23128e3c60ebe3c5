//! What can be tuned, and the settings that all databases share.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, LogLevel, Options, WriteBufferManager,
};

use crate::spill::PENDING;

/// How the files of stores are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: the fastest, and what the JVM does.
    #[default]
    None,
    /// LZ4: smaller files for some processor time.
    Lz4,
}

/// How RocksDB is used. All sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RocksDbOptions {
    /// Memory of all databases together: blocks, write buffers, index and filter blocks. Default 128 MiB, half of the
    /// default of `MemoryBudget`; give it `MemoryBudget::database`.
    pub memory: usize,
    /// Up to how much of `memory` write buffers may take; beyond, the largest is flushed. Default: half of it.
    pub write_buffers: usize,
    /// Up to how large the write buffer of one store may become before it is flushed. Default 16 MiB, as on the JVM.
    pub write_buffer_per_store: usize,
    /// How many files one store holds open. Default 128.
    pub max_open_files_per_store: i32,
    /// How many threads flush and compact, for all databases together. Default 2.
    pub background_threads: i32,
    /// How files are compressed.
    pub compression: Compression,
}

impl Default for RocksDbOptions {
    fn default() -> Self {
        RocksDbOptions::with_memory(128 << 20)
    }
}

impl RocksDbOptions {
    /// The defaults, for this much memory.
    pub fn with_memory(memory: usize) -> Self {
        RocksDbOptions {
            memory,
            write_buffers: memory / 2,
            write_buffer_per_store: (16 << 20).min(memory / 2),
            max_open_files_per_store: 128,
            background_threads: 2,
            compression: Compression::None,
        }
    }
}

/// The column family of the store's position.
pub(crate) const META: &str = "meta";

/// Options with the memory that all databases share.
pub(crate) struct Shared {
    options: RocksDbOptions,
    cache: Cache,
    write_buffers: WriteBufferManager,
}

/// RocksDB asks for at least this much, or it flushes all the time.
const MEMORY_MIN: usize = 1 << 20;
/// A database's own log: small, as what matters is returned as an error.
const LOG_FILE_SIZE: usize = 256 << 10;
/// Bits for each key in the bloom filter: one in a hundred missing keys costs a read.
const BLOOM_BITS: f64 = 10.0;

impl Shared {
    pub(crate) fn new(options: RocksDbOptions) -> Self {
        let cache = Cache::new_lru_cache(options.memory.max(MEMORY_MIN));
        let write_buffers = WriteBufferManager::new_write_buffer_manager_with_cache(
            options.write_buffers.max(MEMORY_MIN),
            false,
            cache.clone(),
        );
        Shared { options, cache, write_buffers }
    }

    /// Options of one database.
    pub(crate) fn database(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_write_buffer_manager(&self.write_buffers);
        options.set_max_background_jobs(self.options.background_threads);
        options.set_max_open_files(self.options.max_open_files_per_store);
        // Without it, batches that skip the log could come back with their position and without their rows (rule S3).
        options.set_atomic_flush(true);
        // One thread writes: no need for a memtable that many can write at once.
        options.set_allow_concurrent_memtable_write(false);
        options.set_enable_write_thread_adaptive_yield(false);
        options.set_log_level(LogLevel::Warn);
        options.set_max_log_file_size(LOG_FILE_SIZE);
        options.set_keep_log_file_num(2);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_max_total_wal_size(4 * self.options.write_buffer_per_store as u64);
        options
    }

    /// The column families of one database; `pending` only if there is one from its last life.
    pub(crate) fn column_families(&self, has_pending: bool) -> Vec<ColumnFamilyDescriptor> {
        let rows = ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, self.rows());
        let mut meta = Options::default();
        // Small for the sake of tasks with many stores; thousands of positions fit, and a flush takes the rows along.
        meta.set_write_buffer_size(MEMORY_MIN);
        let mut families = vec![rows, ColumnFamilyDescriptor::new(META, meta)];
        families.extend(has_pending.then(|| ColumnFamilyDescriptor::new(PENDING, self.rows())));
        families
    }

    /// Options of a column family of rows.
    pub(crate) fn rows(&self) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_bloom_filter(BLOOM_BITS, false);
        table.set_cache_index_and_filter_blocks(true);
        table.set_cache_index_and_filter_blocks_with_high_priority(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        options.set_write_buffer_size(self.options.write_buffer_per_store.max(MEMORY_MIN));
        options.set_max_write_buffer_number(3);
        options.set_compression_type(match self.options.compression {
            Compression::None => DBCompressionType::None,
            Compression::Lz4 => DBCompressionType::Lz4,
        });
        // A key that is nowhere is told from the write buffer without walking it.
        options.set_memtable_prefix_bloom_ratio(0.02);
        options.set_memtable_whole_key_filtering(true);
        options
    }
}
