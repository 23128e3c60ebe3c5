//! Windows of grouped streams, and cogroupings.

use std::time::Duration;

use kafka_streams_dsl::{EmitStrategy, KGroupedStream, SessionWindows, SlidingWindows, TimeWindows};

use crate::build::Build;
use crate::fault::Fault;
use crate::menu;
use crate::node::{
    AnyCogrouped, AnyGrouped, AnyKey, Cogrouped, Grouped, Node, SessionWindowed, SessionWindowedCogrouped,
    TimeWindowed, TimeWindowedCogrouped,
};
use crate::spec::{CogroupPart, Op, Windows};
use crate::value::{Key, Value};

/// Adds an operation.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, op: &Op) -> Result<(), Fault> {
    match op {
        Op::WindowedBy { r#in, id, windows, emit } => {
            let node = match build.node(r#in)? {
                Node::Grouped(AnyGrouped::Plain(grouped)) => of_stream(&grouped, windows, strategy(emit.as_deref())?),
                Node::Cogrouped(AnyCogrouped::Plain(grouped)) => of_streams(&grouped, windows),
                _ => return Fault::not_built(format!("windows of {in}", in = r#in)),
            };
            build.put(id, node);
            Ok(())
        }
        Op::Cogroup { id, parts } => {
            let node = cogroup(build, parts)?;
            build.put(id, node);
            Ok(())
        }
        _ => Fault::bad_case("no windows"),
    }
}

fn strategy(emit: Option<&str>) -> Result<EmitStrategy, Fault> {
    match emit {
        None | Some("onWindowUpdate") => Ok(EmitStrategy::on_window_update()),
        Some("onWindowClose") => Ok(EmitStrategy::on_window_close()),
        Some(other) => Fault::bad_case(format!("there is no emit strategy {other}")),
    }
}

/// Windows as the library has them.
enum Fixed {
    Time(TimeWindows),
    Sliding(SlidingWindows),
}

/// The windows, and their size.
fn fixed(windows: &Windows) -> Result<(Fixed, u64), SessionWindows> {
    match windows {
        Windows::Tumbling { size, grace } => Ok((Fixed::Time(time_windows(*size, *grace)), *size)),
        Windows::Hopping { size, advance, grace } => {
            Ok((Fixed::Time(time_windows(*size, *grace).advance_by(ms(*advance))), *size))
        }
        Windows::Sliding { difference, grace } => {
            let windows = match grace {
                Some(grace) => SlidingWindows::of_time_difference_and_grace(ms(*difference), ms(*grace)),
                None => SlidingWindows::of_time_difference_with_no_grace(ms(*difference)),
            };
            Ok((Fixed::Sliding(windows), *difference))
        }
        Windows::Session { gap, grace } => Err(match grace {
            Some(grace) => SessionWindows::of_inactivity_gap_and_grace(ms(*gap), ms(*grace)),
            None => SessionWindows::of_inactivity_gap_with_no_grace(ms(*gap)),
        }),
    }
}

fn of_stream(grouped: &Grouped<Key>, windows: &Windows, emit: EmitStrategy) -> Node {
    let Grouped { grouped, values, .. } = grouped;
    let values = *values;
    match fixed(windows) {
        Ok((windows, size_ms)) => {
            let windowed = match windows {
                Fixed::Time(windows) => grouped.windowed_by(windows),
                Fixed::Sliding(windows) => grouped.windowed_by(windows),
            };
            Node::TimeWindowed(TimeWindowed { windowed: windowed.emit_strategy(emit), size_ms, values })
        }
        Err(sessions) => {
            let windowed = grouped.windowed_by(sessions).emit_strategy(emit);
            Node::SessionWindowed(SessionWindowed { windowed, values })
        }
    }
}

fn of_streams(grouped: &Cogrouped<Key>, windows: &Windows) -> Node {
    let Cogrouped { grouped, out, .. } = grouped;
    let out = *out;
    match fixed(windows) {
        Ok((windows, size_ms)) => {
            let windowed = match windows {
                Fixed::Time(windows) => grouped.windowed_by(windows),
                Fixed::Sliding(windows) => grouped.windowed_by(windows),
            };
            Node::TimeWindowedCogrouped(TimeWindowedCogrouped { windowed, size_ms, out })
        }
        Err(sessions) => {
            let windowed = grouped.windowed_by(sessions);
            Node::SessionWindowedCogrouped(SessionWindowedCogrouped { windowed, out })
        }
    }
}

fn cogroup(build: &Build, parts: &[CogroupPart]) -> Result<Node, Fault> {
    let (mut plain, mut windowed) = (None, None);
    for part in parts {
        match build.node(&part.r#in)? {
            Node::Grouped(AnyGrouped::Plain(grouped)) => plain = Some(with_part(plain, &grouped, part)?),
            Node::Grouped(AnyGrouped::Windowed(grouped)) => windowed = Some(with_part(windowed, &grouped, part)?),
            _ => return Fault::bad_case(format!("{} is no grouped stream", part.r#in)),
        }
    }
    match (plain, windowed) {
        (Some(plain), None) => Ok(Node::Cogrouped(AnyCogrouped::Plain(plain))),
        (None, Some(windowed)) => Ok(Node::Cogrouped(AnyCogrouped::Windowed(windowed))),
        _ => Fault::bad_case("cogroup needs groups of one kind of keys"),
    }
}

fn with_part<K: AnyKey>(
    before: Option<Cogrouped<K>>,
    grouped: &Grouped<K>,
    part: &CogroupPart,
) -> Result<Cogrouped<K>, Fault> {
    let adder = menu::aggregator(&part.r#fn, grouped.values)?;
    let out = adder.out;
    let f = move |key: &K, value: Value, so_far: Value| (adder.f)(key, &value, &so_far);
    let stream: &KGroupedStream<K, Value> = &grouped.grouped;
    let all = match before {
        Some(before) => before.grouped.cogroup(stream, f),
        None => stream.cogroup(f),
    };
    Ok(Cogrouped { grouped: all, keys: grouped.keys.clone(), out })
}

fn time_windows(size: u64, grace: Option<u64>) -> TimeWindows {
    match grace {
        Some(grace) => TimeWindows::of_size_and_grace(ms(size), ms(grace)),
        None => TimeWindows::of_size_with_no_grace(ms(size)),
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
