//! The golden files of the examples' topologies; `cargo xtask golden` calls it. In a workspace of one's own this is what
//! the `xtask` itself does.

use std::process::ExitCode;

use kafka_streams_golden::Golden;

fn main() -> ExitCode {
    Golden::new(concat!(env!("CARGO_MANIFEST_DIR"), "/files"))
        .topology("word-count", || word_count::topology("lines", "counts"))
        .main()
}
