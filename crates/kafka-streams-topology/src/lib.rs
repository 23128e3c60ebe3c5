//! The topology: nodes, sub-topologies, co-partitioning, internal topics, and the text of `describe()`.
//!
//! ```text
//!   StreamsBuilder (k-s-dsl) ──┐
//!                              ├─▶ Draft ──build()──▶ Topology ──plan()──▶ Plan       topics and tasks of the group
//!   TopologyBuilder ───────────┘   mutable            immutable │
//!                                                               └─wire()──▶ TaskGraph nodes and stores of one task
//! ```
//!
//! Types are erased when a node is declared and come back when a task is wired: a node's closure finds its children in
//! [`Wiring`], by their types, once. No record is ever boxed or cast.
//!
//! | module | holds |
//! |---|---|
//! | `draft`, `builder`, `supplier` | how a topology is written: by ids and types, or by names |
//! | `graph`, `node`, `store`, `topic`, `topic_pattern` | the topology |
//! | `subtopology`, `describe`, `manifest` | what follows from the graph alone |
//! | `origin`, `pin`, `places` | where names come from, how earlier ones are kept, and where in the program they were given |
//! | `plan`, `copartition`, `internal_topic` | what follows once the partitions of the source topics are known |
//! | `wiring`, `source_node`, `sink_node`, `dynamic_sink_node` | one task's nodes, on the thread that runs it |
//!
//! What is absent: this crate does not know how a record is fetched, who owns a task, or how a topic is created.

mod builder;
mod copartition;
mod copartition_sets;
mod describe;
mod draft;
mod dynamic_sink_node;
mod error;
mod graph;
mod internal_topic;
mod manifest;
mod node;
mod origin;
mod pin;
mod places;
mod plan;
mod processor_wrapper;
mod sink_node;
mod source_node;
mod store;
mod store_refs;
mod subtopology;
mod subtopology_topics;
mod supplier;
mod topic;
mod topic_pattern;
mod wiring;
mod wrapped_processor;

pub use builder::{ProcessorStores, TopicStore, TopologyBuilder};
pub use draft::Draft;
pub use dynamic_sink_node::{DynamicSinkSpec, TopicNameExtractor};
pub use error::{PlanError, TopologyError};
pub use graph::{OpenStore, Route, RouteKind, TaskGraph, TaskSource, TaskStore, Topology};
pub use internal_topic::{InternalTopic, InternalTopicKind, PlanOptions};
pub use node::{EdgeTypes, Node, NodeKind, NodeTypes};
pub use plan::{Plan, PlannedTask, plan, validate_existing};
pub use processor_wrapper::{ProcessorWrapper, WrapperStores};
pub use sink_node::{HashedKeyPart, SinkSpec, StreamPartitioner};
pub use source_node::{ConsumerRecord, ExtractTimestamp, OffsetReset, SourceSpec};
pub use store::{StoreIndex, StoreRef};
pub use store_refs::StoreRefs;
pub use subtopology::Subtopology;
pub use subtopology_topics::{SubtopologyTopics, TopicSettings};
pub use supplier::{ProcessorSupplier, StoreBuilders, SuppliedStores};
pub use topic::TopicName;
pub use topic_pattern::TopicPattern;
pub use wiring::{ExtractTime, Ingest, Wiring};
pub use wrapped_processor::{WrappedProcessor, WrappedRecord};
