//! The topology, apart from the program that runs it, so that the xtask can build it without a Kafka client.

use kafka_streams::naming::Manifest;
use kafka_streams::prelude::*;

/// The names that are kept: those of the version that runs. Written by `cargo xtask golden --bless`.
const GOLDEN: &str = include_str!("../../golden/orders.json");

/// The topology that runs.
pub fn topology() -> Result<Topology, Box<dyn std::error::Error>> {
    Ok(orders(Some(&Manifest::from_json(GOLDEN)?))?)
}

/// Counts the orders of each customer. `previous` is the version whose names are kept.
pub fn orders(previous: Option<&Manifest>) -> Result<Topology, TopologyError> {
    let mut builder = StreamsBuilder::new();
    if let Some(previous) = previous {
        builder = builder.with_pinned_names(previous.clone());
    }
    builder
        .stream::<String, String>("orders")
        .group_by_key(Grouped::default())
        .count(Materialized::named("orders-per-customer"))
        .to_stream()
        .to("order-counts");
    builder.build()
}
