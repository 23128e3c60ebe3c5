//! The DSL: streams and tables, grouped, windowed and aggregated, lowered onto a topology.
//!
//! ```text
//!   StreamsBuilder ──stream──▶ KStream ──group_by(_key)──▶ KGroupedStream ──windowed_by──▶ TimeWindowedKStream,
//!        │                     ▲  │ to_table                     │ cogroup ▶ CogroupedKStream     SessionWindowedKStream
//!        │ table     to_stream │  ▼                              ▼ count, reduce, aggregate       │
//!        └──────────────────▶ KTable ◀───────────────────────────┴────────────────────────────────┘
//!                              │ group_by ▶ KGroupedTable ▶ KTable;  suppress ▶ KTable
//!
//!   operators ──▶ graph (names drawn, nothing decided) ──build()──▶ lower ──▶ Topology
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `builder`, `stream`, `table`, `grouped`, `grouped_table`, `windowed`, `session_windowed`, `cogrouped`, `suppress` | what the user writes |
//! | `time_windows`, `sliding_windows`, `session_windows`, `unlimited_windows`, `windows` | windows of time |
//! | `join` | joins of them |
//! | `option` | what can be said about an operator besides its function |
//! | `graph`, `optimize`, `lower` | the logical graph, its rewriting, and the topology that it becomes |
//! | `node`, `view` | what stateful nodes do with a record, and how tables are read by others |
//!
//! A type without a serde does not compile where bytes are needed, and only there:
//!
//! ```compile_fail,E0277
//! #[derive(Clone)]
//! struct Order;
//!
//! let builder = kafka_streams_dsl::StreamsBuilder::new();
//! builder.stream::<String, Order>("orders");
//! ```
//!
//! ```
//! #[derive(Clone)]
//! struct Order(i64);
//!
//! let builder = kafka_streams_dsl::StreamsBuilder::new();
//! let orders = builder.stream::<String, i64>("orders").map_values(Order);
//! orders.filter(|_, order| order.0 > 0).map_values(|order| order.0).to("amounts");
//! ```
//!
//! Windowed keys can be written where they come from an aggregation, but not read without a word about their windows:
//!
//! ```compile_fail,E0277
//! let builder = kafka_streams_dsl::StreamsBuilder::new();
//! builder.stream::<kafka_streams_dsl::Windowed<String>, i64>("counts-per-minute");
//! ```
//!
//! Neither does a join of different keys compile:
//!
//! ```compile_fail,E0308
//! let builder = kafka_streams_dsl::StreamsBuilder::new();
//! let customers = builder.table::<i64, String>("customers");
//! builder.stream::<String, i64>("orders").join(&customers, |amount, name| format!("{name}: {amount}"));
//! ```
//!
//! What is absent: no operator is known to the crates below; they see nodes and stores. This crate does not run anything.

mod branch;
mod builder;
mod change_serde;
mod cogrouped;
mod dynamic_sink;
mod emit_strategy;
mod error;
mod fallible;
mod fallible_table;
mod given_names;
mod global_table;
mod graph;
mod grouped;
mod grouped_table;
mod into_row;
mod join;
mod join_windows;
mod lower;
mod materialize;
mod names_policy;
mod node;
mod nullable_serde;
mod optimize;
mod option;
mod prefix;
mod print;
mod process;
mod processor_wrapper;
mod session_windowed;
mod session_windowed_serde;
mod session_windows;
mod sliding_windows;
mod stream;
mod suppress;
mod table;
mod table_stream;
mod time_windowed_serde;
mod time_windows;
mod transform_values;
mod unlimited_windows;
mod view;
mod windowed;
mod windows;

pub use branch::BranchedKStream;
pub use builder::{StreamsBuilder, Topics};
pub use cogrouped::{CogroupedKStream, SessionWindowedCogroupedKStream, TimeWindowedCogroupedKStream};
pub use emit_strategy::EmitStrategy;
pub use error::BuildError;
pub use global_table::GlobalKTable;
pub use grouped::KGroupedStream;
pub use grouped_table::KGroupedTable;
pub use into_row::IntoRow;
pub use join_windows::JoinWindows;
pub use kafka_streams_naming::Naming;
pub use kafka_streams_state::{Window, Windowed};
pub use kafka_streams_topology::{
    ConsumerRecord, ExtractTimestamp, OffsetReset, ProcessorStores, ProcessorSupplier, StoreRef, StoreRefs,
    StreamPartitioner, TopicNameExtractor, TopicPattern,
};
pub use optimize::Optimization;
pub use option::{
    Branched, BufferConfig, Consumed, EagerBufferConfig, Grouped, Joined, Materialized, Printed, Produced,
    Repartitioned, StreamJoined, StrictBufferConfig, Suppressed, TableJoined, WindowStoreSupplier,
};
pub use session_windowed::SessionWindowedKStream;
pub use session_windowed_serde::SessionWindowedSerde;
pub use session_windows::SessionWindows;
pub use sliding_windows::SlidingWindows;
pub use stream::KStream;
pub use table::KTable;
pub use time_windowed_serde::TimeWindowedSerde;
pub use time_windows::TimeWindows;
pub use transform_values::{TransformContext, ValueTransformerWithKey};
pub use unlimited_windows::UnlimitedWindows;
pub use windowed::TimeWindowedKStream;
pub use windows::Windows;
