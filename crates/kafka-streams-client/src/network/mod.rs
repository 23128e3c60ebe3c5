//! The way to the brokers: connections, and what is known of the cluster.
//!
//! ```text
//!   Cluster ── which broker? (metadata, coordinators, back-off) ──▶ Connection ── which version? ──▶ frames over
//!                                                                                                 TCP or TLS, SASL
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `settings` | where the brokers are and how they are trusted |
//! | `connection` | one connection: handshakes, pipelined requests, time limits |
//! | `version` | which version of each request we speak |
//! | `guard` | decoding that no length can make allocate without bound |
//! | `cluster` | brokers, leaders and coordinators; one connection for each broker and lane |
//!
//! Every byte that a broker sends is taken to be hostile: frames are bounded, and what does not decode is an error.

mod backoff;
mod cluster;
mod connection;
mod guard;
mod sasl;
mod settings;
mod tls;
pub(crate) mod version;

pub use cluster::Cluster;
pub(crate) use cluster::Lane;
pub(crate) use cluster::TopicMetadata;
pub(crate) use connection::Connection;
pub use settings::{Address, ConnectionSettings, Sasl, SaslMechanism, Secret, Security, Tls, TlsIdentity};
