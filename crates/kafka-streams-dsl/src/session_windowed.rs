//! Records grouped by key and by sessions, waiting to be aggregated.

use std::sync::Arc;

use kafka_streams_core::SharedSerde;
use kafka_streams_state::{SessionStoreBuilder, Windowed};

use crate::graph::{Body, Graph, GraphId, TableKind, Traits};
use crate::lower::{self, StoreSlot, TableStore};
use crate::node::session_aggregate::{SessionAggregate, SessionAggregation};
use crate::option::Materialized;
use crate::session_windowed_serde::base_key;
use crate::view::View;
use crate::{EmitStrategy, KGroupedStream, KTable, SessionWindowedSerde, SessionWindows, prefix};

/// A grouped stream in sessions. Made by [`windowed_by`](KGroupedStream::windowed_by).
///
/// When a record makes a session longer, or two sessions one, their results are deleted and there is a new one: a session
/// is told apart from others by its start and its end. A session is closed when this aggregation has seen a record whose
/// time is later than the session's end, gap and grace. What comes for a closed session is late, and dropped. Records with
/// a null key are dropped, null values are aggregated. The time of a result is the end of its session.
pub struct SessionWindowedKStream<K, V> {
    grouped: KGroupedStream<K, V>,
    windows: SessionWindows,
    emit: EmitStrategy,
}

impl<K: Clone + 'static, V: Clone + 'static> SessionWindowedKStream<K, V> {
    pub(crate) fn new(grouped: KGroupedStream<K, V>, windows: SessionWindows) -> Self {
        if let Err(error) = windows.check() {
            grouped.stream().graph.lock().errors.push(error);
        }
        SessionWindowedKStream { grouped, windows, emit: EmitStrategy::default() }
    }

    /// When results are sent on: with every update, or once, when their session is closed. See [`EmitStrategy`].
    #[must_use]
    pub fn emit_strategy(self, emit: EmitStrategy) -> Self {
        SessionWindowedKStream { emit, ..self }
    }

    /// The number of records of each session.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, KTable, Materialized, SessionWindows, Windowed};
    /// # use std::time::Duration;
    /// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
    /// let clicks_per_visit = clicks
    ///     .group_by_key(Grouped::default())
    ///     .windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(30 * 60)))
    ///     .count(Materialized::named("clicks-per-visit"));
    /// # let _: KTable<Windowed<String>, i64> = clicks_per_visit;
    /// ```
    #[track_caller]
    pub fn count(&self, materialized: Materialized<K, i64>) -> KTable<Windowed<K>, i64> {
        self.do_count(None, materialized)
    }

    /// [`count`](SessionWindowedKStream::count) by a node of this name.
    #[track_caller]
    pub fn count_named(&self, name: impl Into<String>, materialized: Materialized<K, i64>) -> KTable<Windowed<K>, i64> {
        self.do_count(Some(name.into()), materialized)
    }

    /// The values of each session, put together by `f`: the result so far, and the next value or the result of another
    /// session that it becomes one with. The first value is the first result.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, SessionWindows};
    /// # use std::time::Duration;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let largest_per_visit = orders
    ///     .group_by_key(Grouped::default())
    ///     .windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(30 * 60)))
    ///     .reduce(|a, b| a.max(b), Materialized::named("largest-per-visit"));
    /// ```
    #[track_caller]
    pub fn reduce<F>(&self, f: F, materialized: Materialized<K, V>) -> KTable<Windowed<K>, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.do_reduce(None, f, materialized)
    }

    /// [`reduce`](SessionWindowedKStream::reduce) by a node of this name.
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

    /// The values of each session, put together by `adder`: the key, the next value, and the result so far, which `init`
    /// begins. `merger` puts the results of two sessions together that become one, the earlier first; what `init` returns
    /// is one of them for a new record. A result that is null for its serde (`None`) deletes the session.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, SessionWindows};
    /// # use std::time::Duration;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let sums = orders
    ///     .group_by_key(Grouped::default())
    ///     .windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(30 * 60)))
    ///     .aggregate(|| 0, |_customer, amount, sum| sum + amount, |_customer, a, b| a + b, Materialized::named("sums"));
    /// # let _: kafka_streams_dsl::KTable<kafka_streams_dsl::Windowed<String>, i64> = sums;
    /// ```
    #[track_caller]
    pub fn aggregate<A, I, F, M>(
        &self,
        init: I,
        adder: F,
        merger: M,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
        M: Fn(&K, A, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(None, init, adder, merger, materialized)
    }

    /// [`aggregate`](SessionWindowedKStream::aggregate) by a node of this name.
    #[track_caller]
    pub fn aggregate_named<A, I, F, M>(
        &self,
        name: impl Into<String>,
        init: I,
        adder: F,
        merger: M,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
        M: Fn(&K, A, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(Some(name.into()), init, adder, merger, materialized)
    }

    /// The values of each session, put together by `f`: the key, the next value, and the result so far, to the next
    /// result; `None` deletes the session. `merger` puts the results of two sessions together that become one, the earlier
    /// first. What `aggregate` of the JVM does with functions that may return null.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, SessionWindows};
    /// # use std::time::Duration;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let open_amounts = orders
    ///     .group_by_key(Grouped::default())
    ///     .windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(30 * 60)))
    ///     .fold(
    ///         |_customer, amount, open: Option<i64>| Some(open.unwrap_or(0) + amount).filter(|open| *open != 0),
    ///         |_customer, a, b| Some(a + b),
    ///         Materialized::named("open-amounts"),
    ///     );
    /// ```
    #[track_caller]
    pub fn fold<A, F, M>(&self, f: F, merger: M, materialized: Materialized<K, A>) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        M: Fn(&K, A, A) -> Option<A> + Send + Sync + 'static,
    {
        self.add(None, prefix::AGGREGATE, None, (|| None, f, merge_some(merger)), materialized)
    }

    /// [`fold`](SessionWindowedKStream::fold) by a node of this name.
    #[track_caller]
    pub fn fold_named<A, F, M>(
        &self,
        name: impl Into<String>,
        f: F,
        merger: M,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        M: Fn(&K, A, A) -> Option<A> + Send + Sync + 'static,
    {
        self.add(Some(name.into()), prefix::AGGREGATE, None, (|| None, f, merge_some(merger)), materialized)
    }

    #[track_caller]
    fn do_count(&self, name: Option<String>, materialized: Materialized<K, i64>) -> KTable<Windowed<K>, i64> {
        self.grouped.burn_for_count(&materialized);
        self.do_aggregate(name, || 0, |_, _, count| count + 1, |_, a, b| a + b, materialized)
    }

    #[track_caller]
    fn do_reduce<F>(&self, name: Option<String>, f: F, materialized: Materialized<K, V>) -> KTable<Windowed<K>, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let merger = f.clone();
        let merge = merge_some(move |_: &K, a, b| Some(merger(a, b)));
        let f = move |_: &K, value: V, before: Option<V>| match before {
            Some(before) => Some(f(before, value)),
            None => Some(value),
        };
        self.add(name, prefix::REDUCE, Some(&self.grouped.values), (|| None, f, merge), materialized)
    }

    #[track_caller]
    fn do_aggregate<A, I, F, M>(
        &self,
        name: Option<String>,
        init: I,
        adder: F,
        merger: M,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
        M: Fn(&K, A, A) -> A + Send + Sync + 'static,
    {
        let init = move || Some(init());
        let f = move |key: &K, value: V, before: Option<A>| before.map(|before| adder(key, value, before));
        let merge = merge_some(move |key: &K, a, b| Some(merger(key, a, b)));
        self.add(name, prefix::AGGREGATE, None, (init, f, merge), materialized)
    }

    #[track_caller]
    fn add<A, I, F, M>(
        &self,
        name: Option<String>,
        prefix: &str,
        inherited: Option<&SharedSerde<A>>,
        (init, f, merge): (I, F, M),
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        A: Clone + 'static,
        I: Fn() -> Option<A> + Send + Sync + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        M: Fn(&K, Option<A>, Option<A>) -> Option<A> + Send + Sync + 'static,
    {
        let (grouped, windows, on_close) = (&self.grouped, self.windows, self.emit.on_close);
        let mut graph = grouped.stream().graph.lock();
        let store_name = graph.store_name(materialized.store.as_ref(), prefix);
        let name = graph.node_name(name, prefix);
        let (parent, sources) = grouped.aggregated_from(&mut graph, &store_name);
        let (keys, results) = (materialized.key_serde(&grouped.keys), materialized.values.or_inherited(inherited));
        let builder = materialized.session_store(&mut graph, &store_name, windows, on_close, &keys, &results);
        let (table, slot) = (graph.add_table(TableKind::Aggregate, true), StoreSlot::default());
        let (nulls, stored) = (grouped.keys.clone(), results.clone());
        let aggregation = SessionAggregation { windows, on_close, keys: nulls, results: stored, init, f, merge };
        let store = TableStore { table, builder: Some(builder), slot: slot.clone() };
        let node = add_node::<K, V, _, _, _, _>(&mut graph, parent, name, store, aggregation);
        drop(graph);
        KTable {
            graph: grouped.stream().graph.clone(),
            node,
            table,
            sources,
            keys: Arc::new(SessionWindowedSerde::shared(keys)),
            values: Some(results),
            key_hash: Some(base_key),
            store_name: materialized.store.map(Into::into),
            view: View::of_session_store(slot),
        }
    }
}

/// A merger of results that are there; one that is not adds nothing.
pub(crate) fn merge_some<K, A, M>(merger: M) -> impl Fn(&K, Option<A>, Option<A>) -> Option<A> + Send + Sync + 'static
where
    M: Fn(&K, A, A) -> Option<A> + Send + Sync + 'static,
{
    move |key, a, b| match (a, b) {
        (Some(a), Some(b)) => merger(key, a, b),
        (a, b) => a.or(b),
    }
}

/// Adds the node of an aggregation by sessions.
pub(crate) fn add_node<K, V, A, I, F, M>(
    graph: &mut Graph,
    parent: GraphId,
    name: String,
    store: TableStore<SessionStoreBuilder<K, A>>,
    aggregation: SessionAggregation<K, A, I, F, M>,
) -> GraphId
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    I: Fn() -> Option<A> + Send + Sync + 'static,
    F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
    M: Fn(&K, Option<A>, Option<A>) -> Option<A> + Send + Sync + 'static,
{
    let traits = Traits { grace_ms: Some(aggregation.windows.gap_and_grace_ms()), ..Traits::default() };
    let aggregation = Arc::new(aggregation);
    let lowering = lower::table::<K, V, _, _, _, _>(store, move |parts| SessionAggregate::new(&aggregation, parts));
    graph.add_unversioned(&[parent], name, traits, Body::Node(lowering))
}

impl<K, V> Clone for SessionWindowedKStream<K, V> {
    fn clone(&self) -> Self {
        SessionWindowedKStream { grouped: self.grouped.clone(), windows: self.windows, emit: self.emit }
    }
}
