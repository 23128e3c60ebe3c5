//! The topology of Kafka's `SmokeTestClient`: windowed minimum, maximum, sum and count of a stream of numbers, raw and suppressed,
//! tables of them, joins of the tables, and a count of the counts.

use std::time::Duration;

use kafka_streams::prelude::*;

/// The generator's mark for "no more records of this key".
const END: i32 = i32::MAX;
/// The key of the records that only move stream time on.
const FLUSH: &str = "flush";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The topology, with the JVM's names.
///
/// # Errors
/// A mistake in the topology.
pub fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    let source = builder.stream::<String, i32>("data");
    source.filter_not(|key, _| key == FLUSH).to("echo");
    let data = source.filter(|_, value| *value != END);
    log_progress(&data, "data");
    let grouped = data.group_by_key(Grouped::default());

    minimum(&grouped);
    small_window_sums(&grouped);
    let minima = builder.table_with::<String, i32>("min", Consumed::default(), Materialized::named("minStoreName"));
    log_progress(&minima.to_stream(), "min");

    grouped
        .windowed_by(TimeWindows::of_size_with_no_grace(2 * DAY))
        .aggregate(|| i32::MIN, |_, value, max| max.max(value), Materialized::named("uwin-max"))
        .to_results("max");
    let maxima = builder.table_with::<String, i32>("max", Consumed::default(), Materialized::named("maxStoreName"));
    log_progress(&maxima.to_stream(), "max");

    grouped
        .windowed_by(TimeWindows::of_size_with_no_grace(2 * DAY))
        .aggregate(|| 0_i64, |_, value, sum| i64::from(value) + sum, Materialized::named("win-sum"))
        .to_results("sum");
    let sums = builder.table::<String, i64>("sum");
    log_progress(&sums.to_stream(), "sum");

    grouped
        .windowed_by(TimeWindows::of_size_with_no_grace(2 * DAY))
        .count(Materialized::named("uwin-cnt"))
        .to_results("cnt");
    let counts = builder.table_with::<String, i64>("cnt", Consumed::default(), Materialized::named("cntStoreName"));
    log_progress(&counts.to_stream(), "cnt");

    maxima.join(&minima, |max, min| max - min).to_stream().filter_not(|key, _| key == FLUSH).to("dif");
    sums.join(&counts, |sum, count| sum as f64 / count as f64).to_stream().filter_not(|key, _| key == FLUSH).to("avg");

    // How many keys have each count; through a repartition topic.
    counts
        .group_by(|_, count| (count.to_string(), 1_i64), Grouped::default())
        .aggregate(
            || 0_i64,
            |_, one, total| total + one,
            |_, one, total| total - one,
            Materialized::named("cntByCnt").in_memory(),
        )
        .to_stream()
        .to("tagg");
    builder.build()
}

/// The minimum of a day, also as of the window's close.
fn minimum(grouped: &KGroupedStream<String, i32>) {
    let minimum = grouped.windowed_by(TimeWindows::of_size_and_grace(DAY, Duration::from_secs(60))).aggregate(
        || i32::MAX,
        |_, value, min| min.min(value),
        Materialized::named("uwin-min").with_retention(Duration::from_secs(25 * 60 * 60)),
    );
    to_windowed_results(&minimum, "min-raw");
    to_windowed_results(
        &minimum.suppress(Suppressed::until_window_closes(BufferConfig::unbounded())),
        "min-suppressed",
    );
    minimum.to_results("min");
}

/// Sums over overlapping windows of two seconds, also as of the windows' close.
fn small_window_sums(grouped: &KGroupedStream<String, i32>) {
    let windows = TimeWindows::of_size_and_grace(Duration::from_secs(2), Duration::from_secs(30))
        .advance_by(Duration::from_secs(1));
    let sums = grouped.windowed_by(windows).reduce(|sum, value| sum.wrapping_add(value), Materialized::default());
    to_windowed_results(&sums, "sws-raw");
    to_windowed_results(&sums.suppress(Suppressed::until_window_closes(BufferConfig::unbounded())), "sws-suppressed");
}

/// Writes each change with its window in the key, as Java prints it.
fn to_windowed_results(table: &KTable<Windowed<String>, i32>, topic: &str) {
    table
        .to_stream()
        .filter_not(|windowed, _| windowed.key == FLUSH)
        .map(|windowed, value| (windowed.to_string(), value))
        .to(topic);
}

/// Writes each change under its key alone.
trait ToResults {
    fn to_results(&self, topic: &str);
}

impl<V> ToResults for KTable<Windowed<String>, V>
where
    V: Clone + 'static,
    Option<V>: DefaultSerde,
{
    fn to_results(&self, topic: &str) {
        self.to_stream().select_key(|windowed, _| windowed.key.clone()).filter_not(|key, _| key == FLUSH).to(topic);
    }
}

/// Says in the log how far a topic has been processed.
fn log_progress<V: Clone + 'static>(stream: &KStream<String, V>, topic: &'static str) {
    stream.process((), move |()| Progress { topic, records: 0, value: std::marker::PhantomData });
}

struct Progress<V> {
    topic: &'static str,
    records: u64,
    value: std::marker::PhantomData<V>,
}

impl<V: Clone + 'static> Processor for Progress<V> {
    type KIn = String;
    type VIn = V;
    type KOut = ();
    type VOut = ();

    fn process(&mut self, _record: Record<String, V>, _cx: &mut Context<'_, (), ()>) -> Step {
        self.records += 1;
        if self.records.is_multiple_of(1_000) {
            tracing::info!(topic = self.topic, records = self.records, "processed");
        }
        Ok(())
    }
}
