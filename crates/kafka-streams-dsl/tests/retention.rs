//! How long the stores of windowed tables keep their windows, by default and as they are told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::time::Duration;

use kafka_streams_dsl::{
    BuildError, Grouped, KGroupedStream, Materialized, SessionWindows, SlidingWindows, StreamsBuilder, TimeWindows,
};
use kafka_streams_state::StoreSpec;

type Counts = Materialized<String, i64>;
type Declare = fn(KGroupedStream<String, String>, Counts);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What windows need: 10 and 5 ms of size and grace, twice 10 and 5 ms of difference and grace, 10 and 5 ms of gap and grace.
const WINDOWS: [(Declare, i64); 3] = [
    (|grouped, store| drop(grouped.windowed_by(TimeWindows::of_size_and_grace(ms(10), ms(5))).count(store)), 15),
    (
        |grouped, store| {
            drop(grouped.windowed_by(SlidingWindows::of_time_difference_and_grace(ms(10), ms(5))).count(store));
        },
        25,
    ),
    (
        |grouped, store| {
            drop(grouped.windowed_by(SessionWindows::of_inactivity_gap_and_grace(ms(10), ms(5))).count(store));
        },
        15,
    ),
];

fn store(declare: Declare, store: Counts) -> Result<StoreSpec, BuildError> {
    let builder = StreamsBuilder::new();
    declare(builder.stream::<String, String>("in").group_by_key(Grouped::default()), store);
    Ok(builder.build()?.stores()[0].clone())
}

#[test]
fn windows_are_kept_for_as_long_as_they_can_change_or_longer() {
    for (declare, needed) in WINDOWS {
        let spec = store(declare, Materialized::named("kept")).unwrap();
        assert_eq!((spec.kind.retention_ms(), spec.persistent), (Some(needed), true));
        let longer = Materialized::named("kept").with_retention(ms(1_000)).in_memory();
        let spec = store(declare, longer).unwrap();
        assert_eq!((spec.kind.retention_ms(), spec.persistent), (Some(1_000), false));
    }
}

#[test]
fn a_retention_that_is_too_short_is_refused() {
    for (declare, needed) in WINDOWS {
        assert!(store(declare, Materialized::named("kept").with_retention(ms(needed.unsigned_abs()))).is_ok());
        let shorter = Materialized::named("kept").with_retention(ms(needed.unsigned_abs() - 1));
        let Err(BuildError::RetentionTooShort { store, retention_ms, needed_ms }) = store(declare, shorter) else {
            panic!("it is taken")
        };
        assert_eq!((&*store, retention_ms, needed_ms), ("kept", needed - 1, needed));
    }
}
