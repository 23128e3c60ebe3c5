//! Windows of grouped streams, and cogroupings.

use std::time::Duration;

use kafka_streams_dsl::TimeWindows;

use crate::build::Build;
use crate::fault::Fault;
use crate::node::{AnyGrouped, Node, TimeWindowed};
use crate::spec::{Op, Windows};

/// Adds an operation.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, op: &Op) -> Result<(), Fault> {
    match op {
        Op::WindowedBy { r#in, id, windows, emit } => {
            if emit.as_deref() == Some("onWindowClose") {
                return Fault::not_built("emit on window close");
            }
            let Node::Grouped(AnyGrouped::Plain(grouped)) = build.node(r#in)? else {
                return Fault::not_built(format!("windows of {in}", in = r#in));
            };
            let (windows, size_ms) = match windows {
                Windows::Tumbling { size, grace } => (time_windows(*size, *grace), *size),
                Windows::Hopping { size, advance, grace } => {
                    (time_windows(*size, *grace).advance_by(Duration::from_millis(*advance)), *size)
                }
                Windows::Sliding { .. } => return Fault::not_built("sliding windows"),
                Windows::Session { .. } => return Fault::not_built("session windows"),
            };
            let windowed = grouped.grouped.windowed_by(windows);
            build.put(id, Node::TimeWindowed(TimeWindowed { windowed, size_ms, values: grouped.values }));
            Ok(())
        }
        Op::Cogroup { .. } => Fault::not_built("cogroup"),
        _ => Fault::bad_case("no windows"),
    }
}

fn time_windows(size: u64, grace: Option<u64>) -> TimeWindows {
    let size = Duration::from_millis(size);
    match grace {
        Some(grace) => TimeWindows::of_size_and_grace(size, Duration::from_millis(grace)),
        None => TimeWindows::of_size_with_no_grace(size),
    }
}
