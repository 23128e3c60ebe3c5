//! Owned handles over librdkafka's C interface: the only unsafe code of the data plane.
//!
//! Three rules make the handles sound, whatever safe code does with them:
//! - **Nothing outlives its client.** Queues, topics and messages hold an `Arc` of the [`Client`]; it is destroyed last.
//! - **Error codes are integers.** librdkafka stores codes of newer brokers in its C enum as they came; the Rust enum of
//!   `rdkafka-sys` knows fewer, and a Rust enum with an unknown value is undefined behaviour. What returns or holds
//!   such a code is declared anew in `codes`, with `c_int`.
//! - **Callbacks never unwind** into C, and what they are given lives until after they were switched off.
#![allow(unsafe_code)] // librdkafka is a C library; `rdkafka` does not wrap the calls used here.

mod client;
mod codes;
mod config;
mod epoch;
mod event;
mod failure;
mod group_metadata;
mod message;
mod partition_list;
mod queue;
mod sockets;
mod topic;

pub(super) use client::{Client, Role};
pub(super) use config::{Config, PropertyError};
pub(super) use event::{DeliveryReport, Event};
pub(super) use failure::Failure;
pub(super) use group_metadata::GroupMetadata;
pub(super) use message::Messages;
pub(super) use partition_list::PartitionList;
pub(super) use queue::{Queue, Scratch, Signal};
pub(super) use topic::{HeaderList, Topic, Unsent};

#[cfg(test)]
pub(super) use failure::{all_codes, name_of_code};
