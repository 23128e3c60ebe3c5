//! The client against brokers: a fake one in this process for what a real one does not do on request, and a real one for
//! the rest (skipped unless `KAFKA_STREAMS_TEST_BOOTSTRAP` is set).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "the helpers of tests are tests too")]

mod authentication;
mod cluster;
mod encryption;
mod fake_broker;
mod fake_coordinator;
mod frames;
mod member;
mod negotiation;
mod real_broker;
mod secured_broker;
