//! Joins: their names and wiring as on the JVM, what they do with records, and laws that hold for any input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

mod foreign_key;
mod golden;
mod null_keys;
mod stream_stream;
mod stream_table;
#[path = "../support/mod.rs"]
mod support;
mod table_table;

use kafka_streams_dsl::{KStream, StreamsBuilder};
use kafka_streams_topology::Topology;

fn build(declare: impl FnOnce(&StreamsBuilder)) -> Topology {
    let builder = StreamsBuilder::new();
    declare(&builder);
    builder.build().unwrap()
}

fn error(declare: impl FnOnce(&StreamsBuilder)) -> String {
    let builder = StreamsBuilder::new();
    declare(&builder);
    builder.build().unwrap_err().to_string()
}

fn strings(builder: &StreamsBuilder, topic: &str) -> KStream<String, String> {
    builder.stream(topic)
}
