//! JSON keys and values: [`JsonSerde<T>`] for any type that `serde` can read and write, and [`Json<T>`] for types that
//! are to be JSON without a word.
//!
//! ```
//! use kafka_streams_core::Serde;
//! use kafka_streams_serde_json::JsonSerde;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, PartialEq, Debug)]
//! struct Order { id: u64, amount: f64 }
//!
//! let serde = JsonSerde::<Order>::new();
//! let mut bytes = Vec::new();
//! serde.serialize("orders", &Order { id: 7, amount: 1.5 }, &mut bytes)?;
//! assert_eq!(bytes, br#"{"id":7,"amount":1.5}"#);
//! assert_eq!(serde.deserialize("orders", &bytes)?, Order { id: 7, amount: 1.5 });
//! # Ok::<(), kafka_streams_core::SerdeError>(())
//! ```
//!
//! The bytes are compact UTF-8 JSON in the order of the type's fields, without a schema id. A null key or value is not
//! the JSON text `null` but Kafka's null; read such a topic as `Option<Json<T>>`.
//!
//! What is absent: no schema registry, and no schema.

mod json;
mod json_serde;

pub use json::Json;
pub use json_serde::JsonSerde;
