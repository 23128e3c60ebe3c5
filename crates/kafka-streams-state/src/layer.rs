//! The layers of a store, from the top: dirty cache, uncommitted rows, rows kept in memory, committed base.
//!
//! ```text
//!            put │ update              │ get, scan
//!                ▼                     ▼
//!   cache    [dirty and clean entries, evicted by last use]      only with caching on
//!                │ flush: changelog, nodes below
//!                ▼
//!   rows     [uncommitted rows] [clean rows]                     one hash index over both
//!                │ when a step outgrows its memory
//!                ▼
//!   spill    [uncommitted rows]                                  in the back-end, out of sight of others
//!                │ commit: one batch     │ read
//!                ▼                       ▼
//!   backend  [committed rows, position]
//! ```
//!
//! A thread whose uncommitted rows exceed their share of the memory asks for an early commit, which comes between records.
//! Within one record or punctuation that writes on and on, rows go to the spill, where they are as uncommitted as before;
//! the copies in memory then are clean, as the layers below say the same, and are given up like all others.

pub(crate) mod cache;
pub(crate) mod lru;
pub(crate) mod merge;
mod order;
mod recent;
pub(crate) mod rows;
pub(crate) mod segments;
mod stack;

pub(crate) use stack::{Layers, LoggedHeaders, RowFormat};
