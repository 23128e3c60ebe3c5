//! **Kafka Streams for Rust**: stateful stream processing as a library, with the model, names, topics and bytes of JVM
//! Kafka Streams 4.3.
//!
//! ```no_run
//! use kafka_streams::prelude::*;
//!
//! fn topology() -> Result<Topology, TopologyError> {
//!     let builder = StreamsBuilder::new();
//!     builder
//!         .stream::<Option<String>, String>("lines")
//!         .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
//!         .group_by(|_, word| word.clone(), Grouped::named("by-word"))
//!         .count(Materialized::named("word-counts"))
//!         .to_stream()
//!         .to("counts");
//!     builder.build()
//! }
//!
//! # #[cfg(all(feature = "client", feature = "rocksdb"))]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! KafkaStreams::new(topology()?, StreamsConfig::new("word-count", "localhost:9092"))?.run_until(ctrl_c()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `client` | yes | the Kafka client: rdkafka for data, our own for group membership |
//! | `rocksdb` | yes | stores in RocksDB |
//! | `json` | no | `Json<T>` and `JsonSerde<T>` |
//!
//! A crate that only describes topologies takes `default-features = false` and compiles neither librdkafka nor RocksDB.

pub use kafka_streams_core as core;
pub use kafka_streams_dsl as dsl;
pub use kafka_streams_engine as engine;
pub use kafka_streams_group as group;
pub use kafka_streams_naming as naming;
pub use kafka_streams_runtime as runtime;
#[cfg(feature = "json")]
pub use kafka_streams_serde_json as json;
pub use kafka_streams_state as state;
pub use kafka_streams_topology as topology;

#[cfg(feature = "client")]
pub use kafka_streams_client as client;
#[cfg(feature = "rocksdb")]
pub use kafka_streams_rocksdb as rocksdb;

#[cfg(feature = "client")]
mod clients;
#[cfg(all(feature = "client", feature = "rocksdb"))]
mod streams;
#[cfg(feature = "client")]
mod visible_topics;

#[cfg(feature = "client")]
pub use clients::KafkaClients;
#[cfg(all(feature = "client", feature = "rocksdb"))]
pub use streams::KafkaStreams;
#[cfg(feature = "client")]
pub use visible_topics::visible_topics;

/// What a topology and its program need, in one `use`.
pub mod prelude {
    pub use kafka_streams_core::handler::{
        DeserializationExceptionHandler, ErrorContext, LogAndContinue, LogAndFail, ProcessingExceptionHandler,
        ProductionExceptionHandler, Response,
    };
    pub use kafka_streams_core::serde::{
        BoolSerde, BytesSerde, F32Serde, F64Serde, I16Serde, I32Serde, I64Serde, OptionSerde, StringSerde, UnitSerde,
        UuidSerde, VecSerde,
    };
    pub use kafka_streams_core::{
        Change, Context, DeadLetter, DefaultSerde, DslStoreFormat, Failure, FixedKeyContext, FixedKeyProcessor,
        FixedKeyRecord, Header, Headers, Partitions, Processor, Punctuation, PunctuationType, Record, RecordContext,
        Serde, SerdeError, SharedSerde, Step, TaskContext, TaskId, Timestamp, TimestampExtractor, TopicPartition,
    };
    /// What [`StreamsBuilder::build`] returns on a mistake in the topology: all that it found.
    pub use kafka_streams_dsl::BuildError as TopologyError;
    pub use kafka_streams_dsl::{
        Branched, BranchedKStream, BufferConfig, CogroupedKStream, Consumed, ConsumerRecord, EmitStrategy,
        GlobalKTable, Grouped, JoinWindows, Joined, KGroupedStream, KGroupedTable, KStream, KTable, Materialized,
        Optimization, Printed, Produced, Repartitioned, SessionWindowedKStream, SessionWindows, SlidingWindows,
        StreamJoined, StreamPartitioner, StreamsBuilder, Suppressed, TableJoined, TimeWindowedKStream, TimeWindows,
        TopicNameExtractor, TransformContext, UnlimitedWindows, ValueTransformerWithKey,
    };
    pub use kafka_streams_naming::Naming;
    pub use kafka_streams_runtime::config::{ProcessingGuarantee, StreamsConfig};
    pub use kafka_streams_runtime::{
        State, StateRestoreListener, StreamThreadExceptionResponse, StreamsError, TaskListener, ThreadState, ctrl_c,
    };
    #[cfg(feature = "json")]
    pub use kafka_streams_serde_json::{Json, JsonSerde};
    pub use kafka_streams_state::{
        AggregationWithHeaders, KeyValueStore, SessionStore, SessionStoreWithHeaders, Stores, TimestampedKeyValueStore,
        TimestampedKeyValueStoreWithHeaders, TimestampedWindowStore, TimestampedWindowStoreWithHeaders,
        ValueAndTimestamp, ValueTimestampHeaders, VersionedKeyValueStore, VersionedPut, VersionedRecord, Window,
        WindowStore, Windowed,
    };
    pub use kafka_streams_topology::{
        OffsetReset, ProcessorStores, ProcessorSupplier, ProcessorWrapper, StoreRef, TopicPattern, TopicStore,
        Topology, TopologyBuilder, WrappedProcessor, WrappedRecord,
    };

    /// Cheaply cloneable bytes, for keys and values that are not looked into.
    pub use bytes::Bytes;

    #[cfg(all(feature = "client", feature = "rocksdb"))]
    pub use crate::KafkaStreams;
}
