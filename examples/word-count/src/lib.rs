//! The topology of word count, apart from the program that runs it, so that a check can build it without a Kafka client.

use kafka_streams::prelude::*;

/// Reads lines from `input`, counts their words, and writes the counts to `output`.
///
/// # Errors
/// A name that no topic may have.
pub fn topology(input: &str, output: &str) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    builder
        .stream::<Option<String>, String>(input)
        .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .group_by(|_, word| word.clone(), Grouped::named("by-word"))
        .count(Materialized::named("word-counts"))
        .to_stream()
        .to(output);
    builder.build()
}
