//! Records grouped by key, waiting to be aggregated.

use std::sync::{Arc, OnceLock};

use kafka_streams_core::SharedSerde;

use crate::cogrouped::CogroupedKStream;
use crate::graph::{Body, Graph, GraphId, RepartitionNode, TableKind, Traits};
use crate::lower::{self, StoreSlot, TableStore};
use crate::node::aggregate::{Aggregate, Aggregation};
use crate::option::{Grouped, Materialized};
use crate::view::View;
use crate::windows::Windows;
use crate::{KStream, KTable, prefix};

/// A stream grouped by key. Made by [`group_by_key`](KStream::group_by_key) and [`group_by`](KStream::group_by).
///
/// Every aggregation drops records with a null key or a null value. The time of a result is the highest of the times of
/// the records in it.
pub struct KGroupedStream<K, V> {
    stream: KStream<K, V>,
    name: Option<String>,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    /// The repartition topic, once there is one: the aggregations of a named grouping share it.
    shared: Arc<OnceLock<GraphId>>,
}

impl<K: Clone + 'static, V: Clone + 'static> KGroupedStream<K, V> {
    pub(crate) fn new(stream: &KStream<K, V>, grouped: Grouped<K, V>) -> Self {
        let Grouped { name, keys, values } = grouped;
        KGroupedStream {
            stream: stream.clone(),
            name,
            keys: keys.or_inherited(stream.keys.as_ref()),
            values: values.or_inherited(stream.values.as_ref()),
            shared: Arc::default(),
        }
    }

    /// The number of records of each key.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
    /// let clicks_per_user = clicks.group_by_key(Grouped::default()).count(Materialized::named("clicks-per-user"));
    /// # let _: kafka_streams_dsl::KTable<String, i64> = clicks_per_user;
    /// ```
    #[track_caller]
    pub fn count(&self, materialized: Materialized<K, i64>) -> KTable<K, i64> {
        self.do_count(None, materialized)
    }

    /// [`count`](KGroupedStream::count) by a node of this name.
    #[track_caller]
    pub fn count_named(&self, name: impl Into<String>, materialized: Materialized<K, i64>) -> KTable<K, i64> {
        self.do_count(Some(name.into()), materialized)
    }

    /// The values of each key, put together by `f`: the result so far, and the next value. The first value is the first
    /// result.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let largest = orders.group_by_key(Grouped::default()).reduce(|a, b| a.max(b), Materialized::named("largest"));
    /// # let _: kafka_streams_dsl::KTable<String, i64> = largest;
    /// ```
    #[track_caller]
    pub fn reduce<F>(&self, f: F, materialized: Materialized<K, V>) -> KTable<K, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.do_reduce(None, f, materialized)
    }

    /// [`reduce`](KGroupedStream::reduce) by a node of this name.
    #[track_caller]
    pub fn reduce_named<F>(&self, name: impl Into<String>, f: F, materialized: Materialized<K, V>) -> KTable<K, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.do_reduce(Some(name.into()), f, materialized)
    }

    /// The values of each key, put together by `adder`: the key, the next value, and the result so far, which `init`
    /// begins. A result that is null for its serde (`None`) deletes the row; the next value begins anew.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("orders");
    /// let bytes = orders
    ///     .group_by_key(Grouped::default())
    ///     .aggregate(|| 0, |_customer, order, bytes| bytes + order.len() as i64, Materialized::named("bytes"));
    /// # let _: kafka_streams_dsl::KTable<String, i64> = bytes;
    /// ```
    #[track_caller]
    pub fn aggregate<A, I, F>(&self, init: I, adder: F, materialized: Materialized<K, A>) -> KTable<K, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(None, prefix::AGGREGATE, init, adder, materialized)
    }

    /// [`aggregate`](KGroupedStream::aggregate) by a node of this name.
    #[track_caller]
    pub fn aggregate_named<A, I, F>(
        &self,
        name: impl Into<String>,
        init: I,
        adder: F,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(Some(name.into()), prefix::AGGREGATE, init, adder, materialized)
    }

    /// The values of each key, put together by `f`: the key, the next value, and the result so far, to the next result;
    /// `None` deletes it. What `aggregate` of the JVM does with an aggregator that may return null.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let open_amounts = orders.group_by_key(Grouped::default()).fold(
    ///     |_customer, amount, open: Option<i64>| Some(open.unwrap_or(0) + amount).filter(|open| *open != 0),
    ///     Materialized::named("open-amounts"),
    /// );
    /// ```
    #[track_caller]
    pub fn fold<A, F>(&self, f: F, materialized: Materialized<K, A>) -> KTable<K, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
    {
        self.add(None, prefix::AGGREGATE, None, || None, f, materialized)
    }

    /// [`fold`](KGroupedStream::fold) by a node of this name.
    #[track_caller]
    pub fn fold_named<A, F>(&self, name: impl Into<String>, f: F, materialized: Materialized<K, A>) -> KTable<K, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
    {
        self.add(Some(name.into()), prefix::AGGREGATE, None, || None, f, materialized)
    }

    /// Groups the records of each key by windows: of time ([`TimeWindows`](crate::TimeWindows)), of records that lie
    /// close together ([`SlidingWindows`](crate::SlidingWindows)), of records without a longer pause between them
    /// ([`SessionWindows`](crate::SessionWindows)), or one for all time ([`UnlimitedWindows`](crate::UnlimitedWindows)).
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, SessionWindows, TimeWindows};
    /// # use std::time::Duration;
    /// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
    /// let by_user = clicks.group_by_key(Grouped::default());
    /// let clicks_per_minute = by_user
    ///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
    ///     .count(Materialized::named("clicks-per-minute"));
    /// let clicks_per_visit = by_user
    ///     .windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(1800)))
    ///     .count(Materialized::named("clicks-per-visit"));
    /// ```
    pub fn windowed_by<W: Windows>(&self, windows: W) -> W::Stream<K, V> {
        windows.window(self)
    }

    /// Begins an aggregation of several grouped streams into one result: `adder` takes the key, a value of this stream,
    /// and the result so far. Further streams are added by [`CogroupedKStream::cogroup`].
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
    /// # let builder = StreamsBuilder::new();
    /// let orders = builder.stream::<String, i64>("orders").group_by_key(Grouped::default());
    /// let refunds = builder.stream::<String, String>("refunds").group_by_key(Grouped::default());
    /// let balances = orders
    ///     .cogroup(|_customer, amount, balance: i64| balance + amount)
    ///     .cogroup(&refunds, |_customer, refund, balance| balance - refund.parse().unwrap_or(0))
    ///     .aggregate(|| 0, Materialized::named("balances"));
    /// # let _: kafka_streams_dsl::KTable<String, i64> = balances;
    /// ```
    #[track_caller]
    pub fn cogroup<A, F>(&self, adder: F) -> CogroupedKStream<K, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        CogroupedKStream::of(self, adder)
    }

    #[track_caller]
    fn do_count(&self, name: Option<String>, materialized: Materialized<K, i64>) -> KTable<K, i64> {
        self.burn_for_count(&materialized);
        self.do_aggregate(name, prefix::AGGREGATE, || 0, |_, _, count| count + 1, materialized)
    }

    /// `count(Materialized)` of the JVM draws a number too many for a store without a name.
    pub(crate) fn burn_for_count<A>(&self, materialized: &Materialized<K, A>) {
        if materialized.store.is_none() && materialized.said {
            self.stream.graph.lock().names.burn_jvm();
        }
    }

    #[track_caller]
    fn do_reduce<F>(&self, name: Option<String>, f: F, materialized: Materialized<K, V>) -> KTable<K, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        let f = move |_: &K, value: V, before: Option<V>| match before {
            Some(before) => Some(f(before, value)),
            None => Some(value),
        };
        self.add(name, prefix::REDUCE, Some(&self.values), || None, f, materialized)
    }

    #[track_caller]
    fn do_aggregate<A, I, F>(
        &self,
        name: Option<String>,
        prefix: &str,
        init: I,
        adder: F,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        let init = move || Some(init());
        let f = move |key: &K, value: V, before: Option<A>| before.map(|before| adder(key, value, before));
        self.add(name, prefix, None, init, f, materialized)
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
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        I: Fn() -> Option<A> + Send + Sync + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
    {
        let mut graph = self.stream.graph.lock();
        let store_name = graph.store_name(materialized.store.as_ref(), prefix);
        let name = graph.node_name(name, prefix);
        let (parent, sources) = self.aggregated_from(&mut graph, &store_name);
        let (keys, results) = (materialized.key_serde(&self.keys), materialized.values.or_inherited(inherited));
        let builder = materialized.key_value_store(&store_name, &keys, &results);
        let (table, slot) = (graph.add_table(TableKind::Aggregate, true), StoreSlot::default());
        let aggregation = Arc::new(Aggregation {
            keys: self.keys.clone(),
            values: self.values.clone(),
            results: results.clone(),
            init,
            f,
        });
        let store = TableStore { table, builder: Some(builder), slot: slot.clone() };
        let lowering = lower::table::<K, V, _, _, _, _>(store, move |parts| Aggregate::new(&aggregation, parts));
        let node = graph.add_unversioned(&[parent], name, Traits::default(), Body::Node(lowering));
        drop(graph);
        KTable {
            graph: self.stream.graph.clone(),
            node,
            table,
            sources,
            keys,
            values: Some(results),
            key_hash: None,
            store_name: materialized.store.map(Into::into),
            view: View::of_store(slot),
        }
    }

    /// The node below which an aggregation is attached, and the nodes that read its topics: those of the stream, or a
    /// repartition topic if the key may have changed.
    #[track_caller]
    pub(crate) fn aggregated_from(&self, graph: &mut Graph, store_name: &str) -> (GraphId, Vec<GraphId>) {
        if !self.stream.repartition_required {
            return (self.stream.node, self.stream.sources.clone());
        }
        // The names are drawn even where a topic is shared (`GroupedStreamAggregateBuilder` of the JVM).
        let names = graph.repartition(self.name.as_deref().unwrap_or(store_name));
        if let Some(shared) = self.shared.get() {
            graph.attach(self.stream.node, *shared);
            return (*shared, vec![*shared]);
        }
        let node = self.add_repartition(graph, names);
        if self.name.is_some() {
            let _ = self.shared.set(node);
        }
        (node, vec![node])
    }

    /// The node below which an aggregation of several streams is attached; its aggregations share `topic`
    /// (`CogroupedStreamAggregateBuilder.processRepartitions` of the JVM).
    #[track_caller]
    pub(crate) fn cogrouped_from(&self, graph: &mut Graph, store_name: &str, topic: &OnceLock<GraphId>) -> GraphId {
        if !self.stream.repartition_required {
            return self.stream.node;
        }
        let names = graph.repartition(self.name.as_deref().unwrap_or(store_name));
        if let Some(shared) = topic.get() {
            return *shared;
        }
        let node = self.add_repartition(graph, names);
        let _ = topic.set(node);
        node
    }

    #[track_caller]
    fn add_repartition(&self, graph: &mut Graph, names: RepartitionNode) -> GraphId {
        if self.name.is_some() {
            graph.check("repartition topic", &names.topic);
        }
        let spec = lower::Repartition {
            keys: self.keys.clone(),
            values: self.values.clone(),
            partitioner: None,
            key_hash: self.stream.key_hash,
        };
        let (name, body) = (names.source.clone(), Body::Repartition(names, lower::repartition(spec)));
        graph.add(&[self.stream.node], name, Traits::default(), body)
    }

    /// Tells groupings apart, also those of one stream; clones are the same.
    pub(crate) fn identity(&self) -> *const () {
        Arc::as_ptr(&self.shared).cast()
    }

    pub(crate) fn stream(&self) -> &KStream<K, V> {
        &self.stream
    }
}

impl<K, V> Clone for KGroupedStream<K, V> {
    fn clone(&self) -> Self {
        KGroupedStream {
            stream: self.stream.clone(),
            name: self.name.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            shared: self.shared.clone(),
        }
    }
}
