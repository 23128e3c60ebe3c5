//! The layers of a store, from the top: dirty cache, uncommitted rows, rows kept in memory, committed base.
//!
//! ```text
//!            put │ update              │ get, scan
//!                ▼                     ▼
//!   cache    [dirty and clean entries, evicted by last use]      only with caching on
//!                │ flush: changelog, nodes below
//!                ▼
//!   rows     [uncommitted rows] [clean rows]                     one hash index over both
//!                │ commit: one batch     │ read
//!                ▼                       ▼
//!   backend  [committed rows, position]
//! ```
//!
//! Layer 3, the spill of rows that outgrow the memory within one step, has its place between rows and backend and is not
//! built: a thread whose uncommitted rows exceed their share asks for an early commit instead, which comes between
//! records.

pub(crate) mod cache;
mod merge;
mod order;
pub(crate) mod rows;
pub(crate) mod segments;
mod stack;

pub(crate) use stack::{Layers, RowFormat};
