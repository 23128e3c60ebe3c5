//! What the suites on a real broker have in common: the broker, its topics, programs under test, and independent results.
//!
//! `cargo xtask test` starts the brokers and sets the environment that [`Broker::get`] reads; without it every test of the
//! suite says that it is skipped, so that `cargo test --workspace` works anywhere.

pub mod broker;
pub mod broker_file;
pub mod in_process;
pub mod jvm;
pub mod own_broker;
pub mod program;
pub mod reference;

pub use broker::{Broker, Isolation, Record, Seen};
pub use broker_file::BrokerFile;
pub use jvm::Jvm;
pub use own_broker::OwnBroker;
pub use program::{Program, WordCount};
