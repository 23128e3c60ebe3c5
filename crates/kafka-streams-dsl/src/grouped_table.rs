//! Rows of a table grouped by a key, waiting to be aggregated.

use std::sync::{Arc, OnceLock};

use kafka_streams_core::{Change, SharedSerde};

use crate::change_serde::ChangeSerde;
use crate::graph::{Body, GraphId, RepartitionNode, SharedGraph, TableKind, Traits};
use crate::lower::{self, Repartition, StoreSlot, TableStore};
use crate::node::table_aggregate::{TableAggregate, TableAggregation};
use crate::option::Materialized;
use crate::view::View;
use crate::{KTable, prefix};

/// A table grouped by a key. Made by [`group_by`](KTable::group_by).
///
/// When a row changes, its old value is subtracted from its old group and the new one is added to the new group. The
/// results follow the table: they are not a history.
pub struct KGroupedTable<K, V> {
    graph: SharedGraph,
    node: GraphId,
    name: Option<String>,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
    /// The repartition topic, once there is one: the aggregations of a named grouping share it.
    shared: Arc<OnceLock<GraphId>>,
}

impl<K: Clone + 'static, V: Clone + 'static> KGroupedTable<K, V> {
    pub(crate) fn new(
        graph: SharedGraph,
        node: GraphId,
        name: Option<String>,
        keys: SharedSerde<K>,
        values: SharedSerde<V>,
    ) -> Self {
        KGroupedTable { graph, node, name, keys, values, shared: Arc::default() }
    }

    /// The number of rows in each group.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let cities = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("city-of-user");
    /// let users_per_city = cities
    ///     .group_by(|user, city| (city, user.clone()), Grouped::named("by-city"))
    ///     .count(Materialized::named("users-per-city"));
    /// # let _: kafka_streams_dsl::KTable<String, i64> = users_per_city;
    /// ```
    #[track_caller]
    pub fn count(&self, materialized: Materialized<K, i64>) -> KTable<K, i64> {
        self.do_count(None, materialized)
    }

    /// [`count`](KGroupedTable::count) by a node of this name; source and sink of the repartition topic are
    /// `<name>-source` and `<name>-sink`.
    #[track_caller]
    pub fn count_named(&self, name: impl Into<String>, materialized: Materialized<K, i64>) -> KTable<K, i64> {
        self.do_count(Some(name.into()), materialized)
    }

    /// The rows of each group, put together by `adder` and taken out again by `subtractor`; both take the result so far,
    /// and the row. The first row is the first result.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let totals = balances
    ///     .group_by(|account, balance| (account[..2].to_owned(), balance), Grouped::named("by-bank"))
    ///     .reduce(|total, balance| total + balance, |total, balance| total - balance, Materialized::named("totals"));
    /// ```
    #[track_caller]
    pub fn reduce<F, G>(&self, adder: F, subtractor: G, materialized: Materialized<K, V>) -> KTable<K, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
        G: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.do_reduce(None, adder, subtractor, materialized)
    }

    /// [`reduce`](KGroupedTable::reduce) by a node of this name; source and sink of the repartition topic are
    /// `<name>-source` and `<name>-sink`.
    #[track_caller]
    pub fn reduce_named<F, G>(
        &self,
        name: impl Into<String>,
        adder: F,
        subtractor: G,
        materialized: Materialized<K, V>,
    ) -> KTable<K, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
        G: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.do_reduce(Some(name.into()), adder, subtractor, materialized)
    }

    /// The rows of each group, put together by `adder` and taken out again by `subtractor`; both take the key, the row,
    /// and the result so far, which `init` begins. A result that is null for its serde (`None`) deletes the group.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let totals = balances
    ///     .group_by(|account, balance| (account[..2].to_owned(), balance), Grouped::named("by-bank"))
    ///     .aggregate(
    ///         || 0.0,
    ///         |_bank, balance, total| total + balance as f64,
    ///         |_bank, balance, total| total - balance as f64,
    ///         Materialized::named("totals"),
    ///     );
    /// # let _: kafka_streams_dsl::KTable<String, f64> = totals;
    /// ```
    #[track_caller]
    pub fn aggregate<A, I, F, G>(
        &self,
        init: I,
        adder: F,
        subtractor: G,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
        G: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(None, init, adder, subtractor, materialized)
    }

    /// [`aggregate`](KGroupedTable::aggregate) by a node of this name; source and sink of the repartition topic are
    /// `<name>-source` and `<name>-sink`.
    #[track_caller]
    pub fn aggregate_named<A, I, F, G>(
        &self,
        name: impl Into<String>,
        init: I,
        adder: F,
        subtractor: G,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
        G: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(Some(name.into()), init, adder, subtractor, materialized)
    }

    /// The rows of each group, put together by `adder` and taken out again by `subtractor`: the key, the row, and the
    /// result so far, to the next result; `None` deletes it.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let cities = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("city-of-user");
    /// // As `count`, but without groups of no rows.
    /// let users_per_city = cities.group_by(|user, city| (city, user.clone()), Grouped::named("by-city")).fold(
    ///     |_city, _user, users: Option<i64>| Some(users.unwrap_or(0) + 1),
    ///     |_city, _user, users| Some(users - 1).filter(|users| *users > 0),
    ///     Materialized::named("users-per-city"),
    /// );
    /// ```
    #[track_caller]
    pub fn fold<A, F, G>(&self, adder: F, subtractor: G, materialized: Materialized<K, A>) -> KTable<K, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        G: Fn(&K, V, A) -> Option<A> + Send + Sync + 'static,
    {
        self.do_fold(None, adder, subtractor, materialized)
    }

    /// [`fold`](KGroupedTable::fold) by a node of this name; source and sink of the repartition topic are `<name>-source`
    /// and `<name>-sink`.
    #[track_caller]
    pub fn fold_named<A, F, G>(
        &self,
        name: impl Into<String>,
        adder: F,
        subtractor: G,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        G: Fn(&K, V, A) -> Option<A> + Send + Sync + 'static,
    {
        self.do_fold(Some(name.into()), adder, subtractor, materialized)
    }

    #[track_caller]
    fn do_count(&self, name: Option<String>, materialized: Materialized<K, i64>) -> KTable<K, i64> {
        self.do_aggregate(name, || 0, |_, _, count| count + 1, |_, _, count| count - 1, materialized)
    }

    #[track_caller]
    fn do_reduce<F, G>(
        &self,
        name: Option<String>,
        adder: F,
        subtractor: G,
        materialized: Materialized<K, V>,
    ) -> KTable<K, V>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
        G: Fn(V, V) -> V + Send + Sync + 'static,
    {
        let results = materialized.values.or_inherited(Some(&self.values));
        let aggregation = TableAggregation {
            results: results.clone(),
            add: move |_: &K, row: V, result: Option<V>| match result {
                Some(result) => Some(adder(result, row)),
                None => Some(row),
            },
            subtract: move |_: &K, row: V, result: V| Some(subtractor(result, row)),
        };
        self.add(name, prefix::TABLE_REDUCE, results, aggregation, materialized)
    }

    #[track_caller]
    fn do_aggregate<A, I, F, G>(
        &self,
        name: Option<String>,
        init: I,
        adder: F,
        subtractor: G,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        I: Fn() -> A + Send + Sync + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
        G: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        let add = move |key: &K, row: V, result: Option<A>| Some(adder(key, row, result.unwrap_or_else(&init)));
        let subtract = move |key: &K, row: V, result: A| Some(subtractor(key, row, result));
        self.do_fold(name, add, subtract, materialized)
    }

    #[track_caller]
    fn do_fold<A, F, G>(
        &self,
        name: Option<String>,
        add: F,
        subtract: G,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        F: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        G: Fn(&K, V, A) -> Option<A> + Send + Sync + 'static,
    {
        let results = materialized.values.or_inherited(None);
        let aggregation = TableAggregation { results: results.clone(), add, subtract };
        self.add(name, prefix::TABLE_AGGREGATE, results, aggregation, materialized)
    }

    #[track_caller]
    fn add<A, Add, Subtract>(
        &self,
        name: Option<String>,
        prefix: &str,
        results: SharedSerde<A>,
        aggregation: TableAggregation<A, Add, Subtract>,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A>
    where
        A: Clone + 'static,
        Add: Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        Subtract: Fn(&K, V, A) -> Option<A> + Send + Sync + 'static,
    {
        let mut graph = self.graph.lock();
        // A reduction's store is named as an aggregation's (`KGroupedTableImpl.reduce` of the JVM).
        let store_name = graph.store_name(materialized.store.as_ref(), prefix::TABLE_AGGREGATE);
        let sink = graph.suffixed_name(name.as_ref(), "-sink", prefix::SINK);
        let source = graph.suffixed_name(name.as_ref(), "-source", prefix::SOURCE);
        let name = graph.node_name(name, prefix);
        let parent = match self.shared.get() {
            Some(shared) => {
                graph.attach(self.node, *shared);
                *shared
            }
            None => {
                let topic = format!("{}-repartition", self.name.as_deref().unwrap_or(&store_name));
                graph.check("repartition topic", &topic);
                let filter = String::new();
                let names = RepartitionNode { topic, filter, sink, source, partitions: None, mergeable: false };
                let values: SharedSerde<Change<V>> = Arc::new(ChangeSerde(self.values.clone()));
                let spec = Repartition { keys: self.keys.clone(), values, partitioner: None, key_hash: None };
                let (node_name, lowering) = (names.source.clone(), lower::table_repartition(spec, names));
                let node = graph.add(&[self.node], node_name, Traits::default(), Body::Node(lowering));
                if self.name.is_some() {
                    // The graph is locked: nobody else can have set it.
                    let _ = self.shared.set(node);
                }
                node
            }
        };
        let keys = materialized.key_serde(&self.keys);
        let builder = materialized.key_value_store(&store_name, &keys, &results);
        let (table, slot) = (graph.add_table(TableKind::Aggregate, true), StoreSlot::default());
        let store = TableStore { table, builder: Some(builder), slot: slot.clone() };
        let aggregation = Arc::new(aggregation);
        let lowering =
            lower::table::<K, Change<V>, _, _, _, _>(store, move |parts| TableAggregate::new(&aggregation, parts));
        let node = graph.add_unversioned(&[parent], name, Traits::default(), Body::Node(lowering));
        drop(graph);
        KTable {
            graph: self.graph.clone(),
            node,
            table,
            sources: vec![parent],
            keys,
            values: Some(results),
            key_hash: None,
            store_name: materialized.store.map(Into::into),
            view: View::of_store(slot),
        }
    }
}

impl<K, V> Clone for KGroupedTable<K, V> {
    fn clone(&self) -> Self {
        KGroupedTable {
            graph: self.graph.clone(),
            node: self.node,
            name: self.name.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            shared: self.shared.clone(),
        }
    }
}
