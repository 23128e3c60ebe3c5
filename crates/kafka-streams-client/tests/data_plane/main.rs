//! The data plane against librdkafka's mock cluster, and against a real broker: the latter only where
//! `KAFKA_STREAMS_TEST_BOOTSTRAP` names one (`cargo xtask kafka up` prints an address).

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // Helpers of tests, outside of test functions.

mod coordinator;
mod member;
mod mock;
mod produce;
mod read;
mod support;
mod transactions;
