//! One worker of Kafka Streams: tasks, the path of a record, restore and the commit cycle, over ports.
//!
//! ```text
//!  port::Fetch ─▶ record_queue ─▶ partition_group ─▶ task ─▶ nodes, stores ─▶ Output ─▶ port::Produce
//!                                                      │
//!                            worker: rebalance ▸ start ▸ commit ▸ recover      restore (beside it)
//! ```
//!
//! The modules stand in the order of a record's path. What is absent: this crate never learns which thread runs it, what
//! time it is or what Kafka is; no call of its ports waits, so the same loop runs on a broker and in a simulation.

mod commit_point;
mod config;
mod deadline;
mod error;
mod global_stores;
pub mod port;

mod record_queue;

mod partition_group;
mod queue_heap;

mod task;

mod position;

mod row_layout;
mod solo;

mod task_offsets;

mod failed_tasks;

pub mod restore;

mod worker;

mod global_worker;

#[cfg(test)]
mod doubles;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use commit_point::{CommitPoint, CommitProbe};
pub use config::{Guarantee, WorkerConfig};
pub use error::WorkerError;
pub use failed_tasks::FailedTasks;
pub use global_stores::GlobalStores;
pub use global_worker::{GlobalSetup, GlobalTurn, GlobalWorker};
pub use position::OffsetMetadata;
pub use solo::{InputRecord, RecordLog, SoloSetup, SoloTask};
pub use task_offsets::{LATEST_OFFSET, TaskOffsets};
pub use worker::{Backends, MakeProducer, Notice, PortSet, Ports, Turn, Worker, WorkerSetup};
