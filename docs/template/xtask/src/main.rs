//! `cargo xtask golden`: holds the topology against its golden file; see docs/evolution.md of Kafka Streams for Rust.

use kafka_streams_golden::Golden;

fn main() -> std::process::ExitCode {
    Golden::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../golden")).pinned_topology("orders", app::orders).main()
}
