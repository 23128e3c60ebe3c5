//! The vocabulary that every crate of Kafka Streams for Rust speaks.
//!
//! ```text
//!   fetched bytes ──▶ Serde ──▶ Record<K, V> ──▶ Receive ──▶ Children ──▶ … ──▶ Serde ──▶ Output
//!                                                  │ Processor
//!                                                  └ &mut TaskContext goes down the stack with every record
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`serde`] | bytes and values |
//! | `record`, `headers` | what travels |
//! | `node`, `processor`, `fixed_key`, `context`, `punctuation` | what it travels through |
//! | `output`, `partitioner` | how it leaves |
//! | `failure`, `dead_letter`, [`handler`] | what can go wrong, and who decides what follows |
//!
//! What is absent: this crate knows no store, no topology and no thread; it does no I/O and reads no clock.

mod context;
mod dead_letter;
mod failure;
mod fixed_key;
pub mod handler;
mod headers;
mod node;
mod output;
mod partitioner;
mod processor;
mod processor_metadata;
mod punctuation;
mod record;
pub mod serde;
mod task_id;
mod time_heap;
mod timestamp_extractor;

pub use context::{Context, DslStoreFormat, EmitIntervals, RecordContext, RecordMetadata, TaskContext, TaskCounters};
pub use dead_letter::{
    DeadLetter, EXCEPTION_HEADER, MESSAGE_HEADER, OFFSET_HEADER, PARTITION_HEADER, STACKTRACE_HEADER, TOPIC_HEADER,
};
pub use failure::{Failure, FailureKind, Step};
pub use fixed_key::{FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, KeepingKeys};
pub use headers::{Header, Headers};
pub use node::{Children, Input, Lifecycle, NodeId, ProcessorNode, Receive};
pub use output::{Draft, NoSuchPartition, Output, OutputOverflow, OutputRecord, OverflowError, RouteId};
pub use partitioner::{PartitionChoice, Partitions, explicit, murmur2};
pub use processor::Processor;
pub use processor_metadata::ProcessorMetadata;
pub use punctuation::{Punctuation, PunctuationType, Timers};
pub use record::{Change, RawRecord, Record, Timestamp};
pub use serde::{DefaultSerde, Serde, SerdeError, SharedSerde, SinkKey, read_nullable};
pub use task_id::{ParseTaskIdError, TaskId, TopicId, TopicPartition};
pub use time_heap::TimeHeap;
pub use timestamp_extractor::{Extracted, TimestampExtractor};
