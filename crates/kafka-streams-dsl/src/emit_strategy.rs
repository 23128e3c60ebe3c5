//! When a windowed aggregation sends its results on.

/// When a windowed aggregation sends its results on (KIP-825).
///
/// ```
/// use kafka_streams_dsl::{EmitStrategy, Grouped, Materialized, TimeWindows};
/// use std::time::Duration;
/// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
/// let final_counts = clicks
///     .group_by_key(Grouped::default())
///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
///     .emit_strategy(EmitStrategy::on_window_close())
///     .count(Materialized::named("clicks-per-minute"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmitStrategy {
    pub(crate) on_close: bool,
}

impl EmitStrategy {
    /// With every update: the default. What a cache holds back is sent at the next commit.
    pub fn on_window_update() -> Self {
        EmitStrategy { on_close: false }
    }

    /// Once, when the window is closed: when stream time has passed its end and grace. Looked for at most once a second,
    /// in the time of the machine, and only while records come. Not for [`UnlimitedWindows`](crate::UnlimitedWindows),
    /// which never close.
    pub fn on_window_close() -> Self {
        EmitStrategy { on_close: true }
    }
}
