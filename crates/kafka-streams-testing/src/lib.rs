//! Runs a topology in a test: no broker, no threads, no clock. Records go in, records come out, and the test holds the
//! time and, if it wants to, the commits.
//!
//! ```text
//!   TestInputTopic ──▶ TopologyTestDriver ──▶ TestOutputTopic
//!                       │  one task of the whole topology: the engine's own record path, stores and flush
//!                       └─ stores, stream time, wall clock, changelogs and repartition topics
//! ```
//!
//! ```
//! use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
//! use kafka_streams_testing::TopologyTestDriver;
//!
//! let builder = StreamsBuilder::new();
//! builder
//!     .stream::<Option<String>, String>("lines")
//!     .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
//!     .group_by(|_, word| word.clone(), Grouped::named("by-word"))
//!     .count(Materialized::named("counts"))
//!     .to_stream()
//!     .to("counts");
//! let driver = TopologyTestDriver::new(&builder.build()?)?;
//! let lines = driver.create_input_topic::<Option<String>, String>("lines");
//! let counts = driver.create_output_topic::<String, i64>("counts");
//!
//! lines.pipe_input(None, "to be or not to be".to_owned())?;
//! assert_eq!(counts.read_key_values_to_map()?["be"], 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `driver`, `settings` | the driver, and what it runs with |
//! | `input_topic`, `output_topic`, `test_record` | typed ways in and out |
//! | `topic_log` | what was produced |
//! | `mock_context` | a processor alone, without a topology |
//!
//! After every record the driver commits, as `TopologyTestDriver` of the JVM does; [`CommitMode::Manual`] leaves that to
//! the test. A record of a topic that the topology also reads, such as a repartition topic, is taken in again before the
//! next record of the test.
//!
//! What is absent: groups, rebalances, restores and failures. They need a worker; the driver runs one task.

mod driver;
mod error;
mod input_topic;
mod mock_context;
mod output_topic;
mod settings;
mod state_directory;
mod test_record;
mod topic_log;

pub use driver::TopologyTestDriver;
pub use error::TestDriverError;
pub use input_topic::TestInputTopic;
pub use mock_context::{Captured, MockProcessorContext};
pub use output_topic::TestOutputTopic;
pub use settings::{CommitMode, TestDriverSettings};
pub use test_record::{RawTestRecord, TestRecord};
