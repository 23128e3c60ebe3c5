//! The smoke tests' topologies without a broker: the JVM's names, and the form of what Kafka's verifiers read.

use std::collections::BTreeMap;

use kafka_streams::prelude::*;
use kafka_streams_testing::TopologyTestDriver;
use smoke_test::{relational, streams};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What Kafka 4.3.0 prints for `SmokeTestClient.getTopology().describe()` and `RelationalSmokeTest.App.getTopology().describe()`.
const STREAMS: &str = include_str!("jvm/streams.txt");
const RELATIONAL: &str = include_str!("jvm/relational.txt");

#[test]
fn both_topologies_are_described_as_the_jvms() -> Outcome {
    similar_to(&streams::topology()?, STREAMS);
    similar_to(&relational::topology()?, RELATIONAL);
    Ok(())
}

fn similar_to(topology: &Topology, described: &str) {
    let ours = topology.describe().to_string();
    let differing = ours.lines().zip(described.lines()).find(|(ours, theirs)| ours.trim_end() != theirs.trim_end());
    assert_eq!(differing, None);
    assert_eq!(ours.lines().count(), described.lines().count());
}

#[test]
fn the_verifier_finds_keys_and_windows_as_it_splits_them() -> Outcome {
    let driver = TopologyTestDriver::new(&streams::topology()?)?;
    let data = driver.create_input_topic::<String, i32>("data");
    for value in [12, 10, 14] {
        data.pipe_input_at("10-14".to_owned(), value, 1_000)?;
    }
    data.pipe_input_at("flush".to_owned(), 0, 3 * 24 * 60 * 60 * 1_000)?;

    let windowed = driver.create_output_topic::<String, i32>("min-suppressed").read_key_values_to_list()?;
    assert_eq!(windowed, [("[10-14@0/86400000]".to_owned(), 10)]);
    let minima = driver.create_output_topic::<String, i32>("min").read_key_values_to_map()?;
    assert_eq!(minima, BTreeMap::from([("10-14".to_owned(), 10)]));
    let ranges = driver.create_output_topic::<String, i32>("dif").read_key_values_to_map()?;
    assert_eq!(ranges, BTreeMap::from([("10-14".to_owned(), 4)]));
    let means = driver.create_output_topic::<String, f64>("avg").read_key_values_to_map()?;
    assert_eq!(means, BTreeMap::from([("10-14".to_owned(), 12.0)]));
    let sums = driver.create_output_topic::<String, i32>("sws-suppressed").read_key_values_to_map()?;
    assert_eq!(sums.keys().collect::<Vec<_>>(), ["[10-14@0/2000]", "[10-14@1000/3000]"]);
    Ok(())
}
