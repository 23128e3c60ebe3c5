//! The processing side of the smoke tests that Kafka's developers run against every release: `cargo xtask smoke` runs them with
//! Kafka's own generators and verifiers.

mod options;
pub mod relational;
pub mod streams;

pub use options::{Options, exit};
