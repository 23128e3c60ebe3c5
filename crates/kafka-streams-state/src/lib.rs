//! State stores: contracts, in-memory stores, the uncommitted layers, and the byte formats of keys and values.
//!
//! ```text
//!   Stores ──▶ StoreBuilder ──build──▶ Rc<KeyValueStore<K, V>>, Rc<WindowStore<K, V>>, …    types
//!                  │ spec                 │ put, get, range, update
//!                  ▼                      ▼
//!   StoreSpec ─▶ RestoreCodec          dirty cache ─▶ changelog, nodes below                 bytes
//!                                         ▼ flush
//!                                      uncommitted rows, clean rows ─▶ spill, if a step outgrows its memory
//!                                         ▼ commit: one batch
//!                                      StoreBackend (memory here, RocksDB in its own crate)
//! ```
//!
//! What is absent: this crate opens no file and knows no database; it reads no clock and starts no thread. When a store
//! commits, and at which position, is the engine's decision.

mod aggregation_with_headers;
mod backend;
mod budget;
mod builder;
pub mod conformance;
mod cursor;
mod error;
mod format;
mod java_hash_order;
mod join_buffer;
mod key_value;
mod kind_facts;
mod layer;
mod list_value;
mod memory;
mod restore;
mod session;
mod session_with_headers;
mod store;
mod stores;
mod suppress_buffer;
mod time_index;
mod timestamped_key_value;
mod timestamped_key_value_with_headers;
mod timestamped_window;
mod timestamped_window_with_headers;
mod value_and_timestamp;
mod value_timestamp_headers;
mod version_history;
mod versioned_key_value;
mod versioned_record;
mod window;
mod windowed;

pub use aggregation_with_headers::AggregationWithHeaders;
pub use backend::{BatchSource, CommitBatch, KeyRange, Order, RowIterator, StoreBackend, StoreBackends, StorePosition};
pub use budget::MemoryBudget;
pub use builder::{
    JoinBufferBuilder, KeyValueStoreBuilder, ListValueStoreBuilder, SessionStoreBuilder,
    SessionStoreWithHeadersBuilder, TimestampedKeyValueStoreBuilder, TimestampedKeyValueStoreWithHeadersBuilder,
    TimestampedWindowStoreBuilder, TimestampedWindowStoreWithHeadersBuilder, TypedStore, TypedStoreBuilder,
    VersionedKeyValueStoreBuilder, WindowStoreBuilder,
};
pub use cursor::StoreIterator;
pub use error::StoreError;
pub use join_buffer::{JoinBuffer, WaitingRecord};
pub use key_value::{FlushListener, KeyValueIterator, KeyValueStore};
pub use kind_facts::KindFacts;
pub use layer::cache::ThreadCache;
pub use list_value::ListValueStore;
pub use memory::{InMemoryBackend, InMemoryBackends};
pub use session::SessionStore;
pub use session_with_headers::SessionStoreWithHeaders;
pub use store::{
    RestoreCodec, RowVisitor, StateStore, StoreBuilder, StoreFacts, StoreKind, StoreParts, StoreSpec, Uncommitted,
};
pub use stores::Stores;
pub use suppress_buffer::{Buffered, SuppressBuffer, SuppressBufferBuilder};
pub use timestamped_key_value::{TimestampedKeyValueStore, Updated};
pub use timestamped_key_value_with_headers::TimestampedKeyValueStoreWithHeaders;
pub use timestamped_window::TimestampedWindowStore;
pub use timestamped_window_with_headers::TimestampedWindowStoreWithHeaders;
pub use value_and_timestamp::ValueAndTimestamp;
pub use value_timestamp_headers::ValueTimestampHeaders;
pub use versioned_key_value::{VersionedKeyValueStore, VersionedPut};
pub use versioned_record::VersionedRecord;
pub use window::{WindowStore, WindowStoreIterator, WindowedIterator};
pub use windowed::{Window, Windowed};
