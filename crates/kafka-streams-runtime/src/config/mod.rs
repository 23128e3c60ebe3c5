//! Configuration: from the JVM's keys, or a typed builder, to settings that have been checked.
//!
//! ```text
//!  .properties file ─┐
//!  map of keys ──────┼─> StreamsConfig ── validate() ──> StreamsSettings ─┬─> ClientSettings      librdkafka's clients
//!  builder ──────────┘   (what was set)    all problems   (typed, whole)  ├─> ConnectionSettings  our own client
//!                                          together                       └─> fields              threads, stores, tasks
//! ```
//!
//! The tables [`STREAMS_KEYS`], [`CLIENT_KEYS`], [`OWN_KEYS`] and [`NATIVE_KEYS`] say of every key of the JVM's what becomes
//! of it. Nothing is ignored silently: a key is honoured, has no effect and is warned about, or is refused.
//! `docs/configuration.md` is written from the same tables.
//!
//! What is absent: this module knows no Kafka client. It makes plain data, and the adapters configure clients with it.
//! Secrets are printed nowhere: see [`Secret`] and [`PropertyMap`].

mod broker_address;
mod client_key;
mod client_properties;
mod error;
mod jaas;
mod key;
mod librdkafka;
mod pem;
mod properties;
mod property_map;
#[cfg(test)]
mod reference;
mod report;
mod secret;
mod security;
mod setting;
mod settings;
mod streams_config;
mod suggest;
#[cfg(test)]
mod tests;
mod validate;
mod value;

pub use broker_address::BrokerAddress;
pub use client_key::{CLIENT_KEYS, CLIENT_PREFIXES, ClientKeySpec, ClientPrefix, Clients, Treatment};
pub use error::{ConfigError, ConfigWarning, Problem};
pub use key::{
    CLIENT_TAG_PREFIX, Importance, KeyDefault, KeySpec, MEMORY_BUDGET_BYTES, OWN_KEYS, STREAMS_KEYS, Status,
    TOPIC_KEYS, TOPIC_PREFIX,
};
pub use librdkafka::{Convert, Mapping, NATIVE_KEYS, NativeSpec};
pub use pem::Pem;
pub use property_map::PropertyMap;
pub use secret::Secret;
pub use security::{Identity, Sasl, SaslMechanism, Security, SecurityProtocol, Tls};
pub use setting::{AutoOffsetReset, MaxTaskIdle, ProcessingGuarantee, TopologyOptimization};
pub use settings::{ClientIds, ClientSettings, ConnectionSettings, GroupSettings, StreamsSettings};
pub use streams_config::StreamsConfig;
pub use value::{Range, ValueType};
