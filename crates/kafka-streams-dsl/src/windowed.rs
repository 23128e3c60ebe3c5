//! Records grouped by key and by windows of time, waiting to be aggregated.

use std::sync::Arc;

use kafka_streams_core::SharedSerde;
use kafka_streams_state::{TimestampedWindowStoreBuilder, Windowed};

use crate::graph::{Body, Graph, GraphId, TableKind, Traits};
use crate::lower::{self, StoreSlot, TableStore};
use crate::node::sliding_aggregate::SlidingAggregate;
use crate::node::window_aggregate::{WindowAggregate, WindowAggregation};
use crate::option::Materialized;
use crate::time_windowed_serde::base_key;
use crate::view::View;
use crate::windows::FixedWindows;
use crate::{BuildError, EmitStrategy, KGroupedStream, KTable, TimeWindowedSerde, prefix};

/// A grouped stream in windows of time: tumbling, hopping, sliding or unlimited ones. Made by
/// [`windowed_by`](KGroupedStream::windowed_by).
///
/// A record counts for each of its windows until the window is closed: until this aggregation has seen a record whose
/// time is the window's end and grace, or later (for sliding windows: later than that). What comes after that is late, and
/// dropped. Records with a null key are dropped; null values are aggregated, but for sliding windows they are dropped,
/// too. The time of a result is the highest of the times of the records in it.
pub struct TimeWindowedKStream<K, V> {
    grouped: KGroupedStream<K, V>,
    windows: FixedWindows,
    emit: EmitStrategy,
}

impl<K: Clone + 'static, V: Clone + 'static> TimeWindowedKStream<K, V> {
    pub(crate) fn new(grouped: KGroupedStream<K, V>, windows: FixedWindows) -> Self {
        if let Err(error) = windows.check() {
            grouped.stream().graph.lock().errors.push(error);
        }
        TimeWindowedKStream { grouped, windows, emit: EmitStrategy::default() }
    }

    /// When results are sent on: with every update, or once, when their window is closed. See [`EmitStrategy`].
    #[must_use]
    pub fn emit_strategy(self, emit: EmitStrategy) -> Self {
        TimeWindowedKStream { emit, ..self }
    }

    /// The number of records of each key and window.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, KTable, Materialized, TimeWindows, Windowed};
    /// # use std::time::Duration;
    /// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
    /// let per_minute = clicks
    ///     .group_by_key(Grouped::default())
    ///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
    ///     .count(Materialized::named("clicks-per-minute"));
    /// # let _: KTable<Windowed<String>, i64> = per_minute;
    /// ```
    #[track_caller]
    pub fn count(&self, materialized: Materialized<K, i64>) -> KTable<Windowed<K>, i64> {
        self.do_count(None, materialized)
    }

    /// [`count`](TimeWindowedKStream::count) by a node of this name.
    #[track_caller]
    pub fn count_named(&self, name: impl Into<String>, materialized: Materialized<K, i64>) -> KTable<Windowed<K>, i64> {
        self.do_count(Some(name.into()), materialized)
    }

    /// The values of each key and window, put together by `f`: the result so far, and the next value. The first value is
    /// the first result.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, TimeWindows};
    /// # use std::time::Duration;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let largest_per_minute = orders
    ///     .group_by_key(Grouped::default())
    ///     .windowed_by(TimeWindows::of_size_and_grace(Duration::from_secs(60), Duration::from_secs(5)))
    ///     .reduce(|a, b| a.max(b), Materialized::named("largest-per-minute"));
    /// ```
    #[track_caller]
    pub fn reduce<F>(&self, f: F, materialized: Materialized<K, V>) -> KTable<Windowed<K>, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.do_reduce(None, f, materialized)
    }

    /// [`reduce`](TimeWindowedKStream::reduce) by a node of this name.
    #[track_caller]
    pub fn reduce_named<F>(
        &self,
        name: impl Into<String>,
        f: F,
        materialized: Materialized<K, V>,
    ) -> KTable<Windowed<K>, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.do_reduce(Some(name.into()), f, materialized)
    }

    /// The values of each key and window, put together by `adder`: the key, the next value, and the result so far, which
    /// `init` begins. A result that is null for its serde (`None`) deletes the row; the next value begins anew.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, TimeWindows};
    /// # use std::time::Duration;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let sums = orders
    ///     .group_by_key(Grouped::default())
    ///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
    ///     .aggregate(|| 0, |_customer, amount, sum| sum + amount, Materialized::named("sums"));
    /// # let _: kafka_streams_dsl::KTable<kafka_streams_dsl::Windowed<String>, i64> = sums;
    /// ```
    #[track_caller]
    pub fn aggregate<A, I, F>(&self, init: I, adder: F, materialized: Materialized<K, A>) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(None, init, adder, materialized)
    }

    /// [`aggregate`](TimeWindowedKStream::aggregate) by a node of this name.
    #[track_caller]
    pub fn aggregate_named<A, I, F>(
        &self,
        name: impl Into<String>,
        init: I,
        adder: F,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(Some(name.into()), init, adder, materialized)
    }

    /// The values of each key and window, put together by `f`: the key, the next value, and the result so far, to the next result;
    /// `None` deletes it. What `aggregate` of the JVM does with an aggregator that may return null.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, TimeWindows};
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let open_amounts = orders.group_by_key(Grouped::default()).windowed_by(TimeWindows::of_size_with_no_grace(std::time::Duration::from_secs(60))).fold(
    ///     |_customer, amount, open: Option<i64>| Some(open.unwrap_or(0) + amount).filter(|open| *open != 0),
    ///     Materialized::named("open-amounts"),
    /// );
    /// ```
    #[track_caller]
    pub fn fold<A, F>(&self, f: F, materialized: Materialized<K, A>) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
    {
        self.add(None, prefix::AGGREGATE, None, || None, f, materialized)
    }

    /// [`fold`](TimeWindowedKStream::fold) by a node of this name.
    #[track_caller]
    pub fn fold_named<A, F>(
        &self,
        name: impl Into<String>,
        f: F,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
    {
        self.add(Some(name.into()), prefix::AGGREGATE, None, || None, f, materialized)
    }

    #[track_caller]
    fn do_count(&self, name: Option<String>, materialized: Materialized<K, i64>) -> KTable<Windowed<K>, i64> {
        // Sliding windows came when the JVM no longer drew a number too many.
        if !matches!(self.windows, FixedWindows::Sliding(_)) {
            self.grouped.burn_for_count(&materialized);
        }
        self.do_aggregate(name, || 0, |_, _, count| count + 1, materialized)
    }

    #[track_caller]
    fn do_reduce<F>(&self, name: Option<String>, f: F, materialized: Materialized<K, V>) -> KTable<Windowed<K>, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        let f = move |_: &K, value: V, before: Option<V>| match before {
            Some(before) => Some(f(before, value)),
            None => Some(value),
        };
        self.add(name, prefix::REDUCE, Some(&self.grouped.values), || None, f, materialized)
    }

    #[track_caller]
    fn do_aggregate<A, I, F>(
        &self,
        name: Option<String>,
        init: I,
        adder: F,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        let init = move || Some(init());
        let f = move |key: &K, value: V, before: Option<A>| before.map(|before| adder(key, value, before));
        self.add(name, prefix::AGGREGATE, None, init, f, materialized)
    }

    #[track_caller]
    fn add<A, I, F>(
        &self,
        name: Option<String>,
        prefix: &str,
        inherited: Option<&SharedSerde<A>>,
        init: I,
        f: F,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        I: Fn() -> Option<A> + Send + Sync + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
    {
        let (grouped, windows, on_close) = (&self.grouped, self.windows, self.emit.on_close);
        let mut graph = grouped.stream().graph.lock();
        let store_name = graph.store_name(materialized.store.as_ref(), prefix);
        let name = graph.node_name(name, prefix);
        if on_close && matches!(windows, FixedWindows::Unlimited(_)) {
            graph.errors.push(BuildError::NeverEmits { node: name.clone() });
        }
        let (parent, sources) = grouped.aggregated_from(&mut graph, &store_name);
        let (keys, results) = (materialized.key_serde(&grouped.keys), materialized.values.or_inherited(inherited));
        let builder = materialized.window_store(&mut graph, &store_name, windows, on_close, &keys, &results);
        let (table, slot) = (graph.add_table(TableKind::Aggregate, true), StoreSlot::default());
        let aggregation = WindowAggregation {
            windows,
            on_close,
            keys: grouped.keys.clone(),
            values: grouped.values.clone(),
            results: results.clone(),
            init,
            f,
        };
        let store = TableStore { table, builder: Some(builder), slot: slot.clone() };
        let node = add_node(&mut graph, parent, name, store, aggregation);
        drop(graph);
        KTable {
            graph: grouped.stream().graph.clone(),
            node,
            table,
            sources,
            keys: Arc::new(TimeWindowedSerde::shared(keys, windows.size_ms())),
            values: Some(results),
            key_hash: Some(base_key),
            store_name: materialized.store.map(Into::into),
            view: View::of_window_store(slot),
        }
    }
}

/// Adds the node of an aggregation by windows of time.
pub(crate) fn add_node<K, V, A, I, F>(
    graph: &mut Graph,
    parent: GraphId,
    name: String,
    store: TableStore<TimestampedWindowStoreBuilder<K, A>>,
    aggregation: WindowAggregation<K, V, A, I, F>,
) -> GraphId
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    I: Fn() -> Option<A> + Send + Sync + 'static,
    F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
{
    let traits = Traits { grace_ms: Some(aggregation.windows.grace_ms()), ..Traits::default() };
    let (windows, aggregation) = (aggregation.windows, Arc::new(aggregation));
    let lowering = match windows {
        FixedWindows::Sliding(_) => {
            lower::table::<K, V, _, _, _, _>(store, move |parts| SlidingAggregate::new(&aggregation, parts))
        }
        _ => lower::table::<K, V, _, _, _, _>(store, move |parts| WindowAggregate::new(&aggregation, parts)),
    };
    graph.add_unversioned(&[parent], name, traits, Body::Node(lowering))
}

impl<K, V> Clone for TimeWindowedKStream<K, V> {
    fn clone(&self) -> Self {
        TimeWindowedKStream { grouped: self.grouped.clone(), windows: self.windows, emit: self.emit }
    }
}
