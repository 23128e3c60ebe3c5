//! The data plane: records in, records out and transactions, on librdkafka.
//!
//! ```text
//!                       stream thread                          librdkafka's own threads
//!   worker ── poll ──▶ RdFetch ◀── one queue per partition ◀──────── broker connections ◀── brokers
//!      │                  └─ Batch: the fetched messages, borrowed, freed together
//!      │
//!      └──── send ───▶ RdProduce ── topic queues ───────────────────▶ broker connections ──▶ brokers
//!             poll ◀──── delivery reports ◀── one event queue ◀───────────┘
//!                          └─ Lane: a thread of its own for the calls that wait (flush, transactions)
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`fetch`](RdFetch), `batch` | reading: the ports `Fetch` and `FetchedBatch` |
//! | [`produce`](RdProduce), `partition_count`, `lane` | writing: the port `Produce` |
//! | `settings` | librdkafka's properties: defaults, those of the user, those that cannot be changed |
//! | `error_kind` | what follows from each of librdkafka's error codes |
//! | `log` | librdkafka's log lines and passing errors, on their way to `tracing` |
//! | `raw` | the only unsafe code: owned handles over librdkafka's C interface |
//!
//! librdkafka is used under manual assignment: it joins no group, commits no offsets and resets no position by itself.
//! Why not the `rdkafka` crate's clients: they give one message at a time (a quarter more CPU per record), have no
//! way to pass a member's id and generation to a transaction, and wait at least 100 ms in each flush.
//!
//! What is absent: group membership, offsets outside of transactions and questions to the cluster; they are the group
//! plane's. No call here waits for a broker.

mod batch;
mod error_kind;
mod fetch;
mod lane;
mod log;
mod partition_count;
mod produce;
mod raw;
mod settings;

use std::sync::Arc;

pub use batch::Batch;
pub use fetch::RdFetch;
pub use produce::RdProduce;
pub use settings::{DEFAULT_BUFFER_BYTES, FetchSettings, ProduceSettings, Properties, SetupError};

/// Called when there is news for a worker that may sleep: data of a partition, a delivery report, the end of a step.
///
/// It runs on threads of librdkafka that hold locks: it must return at once, must not call back into the adapter, and
/// may come without news. `Thread::unpark` or a condition variable's `notify_one` are what is meant.
pub type Waker = Arc<dyn Fn() + Send + Sync>;
