//! The DSL: streams and tables, grouped, windowed and aggregated, lowered onto a topology.
//!
//! ```text
//!   StreamsBuilder ──stream──▶ KStream ──group_by(_key)──▶ KGroupedStream ──windowed_by──▶ TimeWindowedKStream
//!        │                     ▲  │ to_table                     │ count, reduce, aggregate       │
//!        │ table     to_stream │  ▼                              ▼                                │
//!        └──────────────────▶ KTable ◀───────────────────────────┴────────────────────────────────┘
//!                              │ group_by ▶ KGroupedTable ▶ KTable
//!
//!   operators ──▶ graph (names drawn, nothing decided) ──build()──▶ lower ──▶ Topology
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `builder`, `stream`, `table`, `grouped`, `grouped_table`, `windowed` | what the user writes |
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
//! What is absent: no operator is known to the crates below; they see nodes and stores. This crate does not run anything.

mod branch;
mod builder;
mod change_serde;
mod dynamic_sink;
mod error;
mod fallible;
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
mod stream;
mod table;
mod table_stream;
mod time_windowed_serde;
mod time_windows;
mod transform_values;
mod view;
mod windowed;

pub use branch::BranchedKStream;
pub use builder::{StreamsBuilder, Topics};
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
    Branched, Consumed, Grouped, Joined, Materialized, Printed, Produced, Repartitioned, StreamJoined, TableJoined,
    WindowStoreSupplier,
};
pub use stream::KStream;
pub use table::KTable;
pub use time_windowed_serde::TimeWindowedSerde;
pub use time_windows::TimeWindows;
pub use transform_values::{TransformContext, ValueTransformerWithKey};
pub use windowed::TimeWindowedKStream;
