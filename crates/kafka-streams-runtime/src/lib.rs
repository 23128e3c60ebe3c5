//! Stream threads, lifecycle, configuration, the state directory and restore beside the running tasks, over ports.
//!
//! ```text
//!  KafkaStreams ─┬─ stream thread 1 ─ Worker ◀──▶ restore thread 1 ─ Restorer
//!                ├─ stream thread 2 ─ …
//!                ├─ tokio: group membership, administration, the leader's work
//!                └─ housekeeping: unused task folders, changed source topics
//! ```
//!
//! What is absent: this crate knows no Kafka client and no database. They come in through [`port::Clients`] and
//! [`MakePersistentStores`], so that the facade chooses, and tests bring their own.

mod application;
mod clock;
pub mod config;
mod error;
mod global_thread;
mod housekeeping;
mod leader;
mod lifecycle;
mod listener;
mod output_file;
pub mod port;
mod replacement;
mod restore_thread;
mod signal;
mod state;
mod state_directory;
mod stream_thread;
mod streams;

pub use application::MakePersistentStores;
pub use error::StreamsError;
pub use listener::{
    StateListener, StateRestoreListener, StreamThreadExceptionResponse, TaskListener, UncaughtExceptionHandler,
};
pub use signal::ctrl_c;
pub use state::{State, ThreadState};
pub use state_directory::{Cleaner, StateDirectory};
pub use streams::{Adapters, KafkaStreams, MakeClients};
