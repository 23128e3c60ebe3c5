//! The suite on a real broker. Run by `cargo xtask test`; every test has topics and application ids of its own, so that
//! all of them run side by side.

mod bad_input;
mod broker_trouble;
mod caches;
mod changelog_shapes;
mod crash;
mod features;
mod global_only;
mod headers_in_stores;
mod interop;
mod kill;
mod lifecycle;
mod names;
mod orphans;
mod poison;
mod rebalance;
mod restart;
mod security;
mod source_changelogs;
mod sources;
mod state_trouble;
mod suppress;
mod unlogged_stores;
mod versioned;
mod versioned_interop;
mod word_count;
