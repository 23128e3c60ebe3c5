//! The operations of the language, a module for each group (section 6 of `SPEC.md`).
//!
//! Each module has an `add`, which builds an operation from its fields and puts the result under its id. What the library
//! does not have yet is [`Fault::NotBuilt`](crate::fault::Fault::NotBuilt).

pub mod aggregate;
pub mod branch;
pub mod global;
pub mod group;
pub mod join;
pub mod join_stream;
pub mod join_tables;
pub mod materialized;
pub mod papi;
pub mod process;
pub mod processors;
pub mod source;
pub mod stateless;
pub mod stores;
pub mod suppress;
pub mod table;
pub mod topic;
pub mod window;
pub mod window_aggregate;
