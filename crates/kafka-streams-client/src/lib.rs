//! The Kafka adapter: rdkafka for data, a client of our own for group membership and administration.
//!
//! ```text
//!   stream thread ──▶ Fetch, Produce ──▶ data_plane (librdkafka) ───────────────▶ partition leaders
//!        │        ──▶ Admin ──────────▶ admin ─────────┐
//!        └────────▶ Group ──────────▶ group_plane ─────┴─▶ network (kafka-protocol, tokio, rustls) ──▶ brokers
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`network`] | connections, versions, TLS and SASL, what is known of the cluster |
//! | [`admin`] | topics, offsets, records to delete |
//! | [`group_plane`] | the driver of a group member |
//!
//! librdkafka has neither a pluggable assignor nor a group protocol with tasks, so membership is ours; and because the
//! member id and generation that fence a commit are ours, so are the commits outside of transactions.
//!
//! What is absent: no assignment is decided here, no offset is stored, and nothing is retried beyond a second look for a
//! leader or coordinator; how long to try is the policy of who asks.

pub mod admin;
pub mod data_plane;
mod error;
pub mod group_plane;
pub mod network;

pub use error::{Error, OLDEST_BROKER};
