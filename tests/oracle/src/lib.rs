//! Runs topologies written in the oracle's language (`SPEC.md`) through this library, and compares what comes out with
//! what JVM Kafka Streams does, record by record.
//!
//! ```text
//!   case ─▶ spec ─▶ build (ops, menu) ─▶ Topology ─▶ run (test driver) ─▶ outcome ─▶ compare ◀─ expected, from the JVM
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`spec`], [`value`] | the language, and its values |
//! | [`menu`] | the functions |
//! | [`build`], [`ops`], [`node`] | from operations to a topology |
//! | [`run`], [`outcome`], [`jvm_error`] | a case's result |
//! | [`compare`], [`differences`] | the comparison, and the differences by intent |
//! | [`suite`] | files of cases |

pub mod build;
pub mod compare;
pub mod config;
pub mod differences;
pub mod fault;
pub mod jvm_error;
pub mod menu;
pub mod node;
pub mod ops;
pub mod outcome;
pub mod run;
pub mod spec;
pub mod suite;
pub mod value;
