//! The suite on a real broker. Run by `cargo xtask test`; every test has topics and application ids of its own, so that
//! all of them run side by side.

mod crash;
mod interop;
mod kill;
mod rebalance;
mod restart;
mod word_count;
