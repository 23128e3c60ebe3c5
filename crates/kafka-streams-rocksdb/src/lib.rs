//! RocksDB as the committed base of state stores.
//!
//! ```text
//!   <application's directory>/<task>/rocksdb/<store>/     one database for each store
//!        column family `default`   the rows
//!        column family `meta`      where the store stands, written in the batch that it belongs to
//!        column family `pending`   uncommitted rows of a step that outgrew its memory, while there is such a step
//! ```
//!
//! **Kill safety (rule S3).** A batch of processing goes through the write-ahead log, which is not synced: a killed
//! process loses nothing of it. A batch of a restore skips the log, and both column families are flushed atomically: a
//! killed process loses whole batches, latest first. Before the first batch of processing after a restore everything is
//! flushed, so that the log never tells more than what lies under it. A crash of the machine can cost batches of both
//! kinds, latest first, never part of one.
//!
//! The uncommitted rows in `pending` skip the log as well. Their commit is a logged batch that declares them to be the
//! store's content, over the others; merging them is mere tidying up, which is done again after a kill.
//!
//! **Memory.** One block cache is shared by all databases; write buffers, index and filter blocks are charged to it, so
//! one number bounds the memory of all stores.
//!
//! What is absent: nothing here knows of topics, types or layers; which batch is written when is the engine's business.

mod backend;
mod backends;
mod meta;
mod options;
mod spill;

pub use backends::RocksDbBackends;
pub use options::{Compression, RocksDbOptions};
