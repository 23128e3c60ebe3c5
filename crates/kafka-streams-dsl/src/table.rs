//! A table: of each key the last value, and a stream of its changes.

use std::sync::Arc;

use kafka_streams_core::{Change, Children, Record, SharedSerde, Step, TaskContext};
use kafka_streams_topology::{HashedKeyPart, SourceSpec, TopicName};

use crate::graph::{Body, GraphId, SharedGraph, TableId, TableKind, Traits};
use crate::lower::{self, StoreSlot, TableStore};
use crate::node::table_map::{Mapping, TableMap};
use crate::node::table_select::{Selection, TableSelect};
use crate::node::table_source::TableSource;
use crate::node::versioned_table_source::VersionedTableSource;
use crate::nullable_serde::NullableSerde;
use crate::option::{Consumed, Grouped, Materialized};
use crate::view::View;
use crate::{IntoRow, KGroupedTable, KStream, prefix};

/// A table with keys of type `K` and rows of type `V`.
///
/// A handle, as [`KStream`] is; what is said there about functions and names holds here, too. Rows have no null: a null
/// on a topic, or `None` where a function may return it, is no row.
///
/// A table has a store if it is an aggregation, if its store is named, or if a join or an aggregation of the table needs
/// one.
pub struct KTable<K, V> {
    pub(crate) graph: SharedGraph,
    pub(crate) node: GraphId,
    pub(crate) table: TableId,
    /// The nodes that read the topics from which the table comes.
    pub(crate) sources: Vec<GraphId>,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: Option<SharedSerde<V>>,
    /// The part of a key's bytes that decides its partition; `None` is all of them.
    pub(crate) key_hash: Option<HashedKeyPart>,
    pub(crate) store_name: Option<Arc<str>>,
    pub(crate) view: View<K, V>,
}

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// The rows for which `predicate` is true.
    ///
    /// ```
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let overdrawn = balances.filter(|_account, balance| *balance < 0);
    /// ```
    #[track_caller]
    pub fn filter<F>(&self, predicate: F) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(None, predicate, true, None)
    }

    /// [`filter`](KTable::filter) by a node of this name.
    #[track_caller]
    pub fn filter_named<F>(&self, name: impl Into<String>, predicate: F) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(Some(name.into()), predicate, true, None)
    }

    /// [`filter`](KTable::filter), stored as `materialized` says if that names a store.
    ///
    /// ```
    /// # use kafka_streams_dsl::Materialized;
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let overdrawn = balances.filter_with(|_account, balance| *balance < 0, Materialized::named("overdrawn"));
    /// ```
    #[track_caller]
    pub fn filter_with<F>(&self, predicate: F, materialized: Materialized<K, V>) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(None, predicate, true, Some(materialized))
    }

    /// [`filter_with`](KTable::filter_with) by a node of this name.
    #[track_caller]
    pub fn filter_with_named<F>(
        &self,
        name: impl Into<String>,
        predicate: F,
        materialized: Materialized<K, V>,
    ) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(Some(name.into()), predicate, true, Some(materialized))
    }

    /// The rows for which `predicate` is false.
    ///
    /// ```
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let in_credit = balances.filter_not(|_account, balance| *balance < 0);
    /// ```
    #[track_caller]
    pub fn filter_not<F>(&self, predicate: F) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(None, predicate, false, None)
    }

    /// [`filter_not`](KTable::filter_not) by a node of this name.
    #[track_caller]
    pub fn filter_not_named<F>(&self, name: impl Into<String>, predicate: F) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(Some(name.into()), predicate, false, None)
    }

    /// [`filter_not`](KTable::filter_not), stored as `materialized` says if that names a store.
    ///
    /// ```
    /// # use kafka_streams_dsl::Materialized;
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let in_credit = balances.filter_not_with(|_account, balance| *balance < 0, Materialized::named("in-credit"));
    /// ```
    #[track_caller]
    pub fn filter_not_with<F>(&self, predicate: F, materialized: Materialized<K, V>) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(None, predicate, false, Some(materialized))
    }

    /// [`filter_not_with`](KTable::filter_not_with) by a node of this name.
    #[track_caller]
    pub fn filter_not_with_named<F>(
        &self,
        name: impl Into<String>,
        predicate: F,
        materialized: Materialized<K, V>,
    ) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(Some(name.into()), predicate, false, Some(materialized))
    }

    /// Another value for each row.
    ///
    /// ```
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let in_euros = balances.map_values(|cents| cents as f64 / 100.0);
    /// ```
    #[track_caller]
    pub fn map_values<V2, F>(&self, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(V) -> V2 + Send + Sync + 'static,
    {
        self.do_map_values(None, prefix::TABLE_MAP_VALUES, move |_, value| Some(f(value)), None)
    }

    /// [`map_values`](KTable::map_values) by a node of this name.
    #[track_caller]
    pub fn map_values_named<V2, F>(&self, name: impl Into<String>, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(V) -> V2 + Send + Sync + 'static,
    {
        self.do_map_values(Some(name.into()), prefix::TABLE_MAP_VALUES, move |_, value| Some(f(value)), None)
    }

    /// [`map_values`](KTable::map_values) by a function that sees the key.
    ///
    /// ```
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let texts = balances.map_values_with_key(|account, balance| format!("{account}: {balance}"));
    /// ```
    #[track_caller]
    pub fn map_values_with_key<V2, F>(&self, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> V2 + Send + Sync + 'static,
    {
        self.do_map_values(None, prefix::TABLE_MAP_VALUES, move |key, value| Some(f(key, value)), None)
    }

    /// [`map_values_with_key`](KTable::map_values_with_key) by a node of this name.
    #[track_caller]
    pub fn map_values_with_key_named<V2, F>(&self, name: impl Into<String>, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> V2 + Send + Sync + 'static,
    {
        self.do_map_values(Some(name.into()), prefix::TABLE_MAP_VALUES, move |key, value| Some(f(key, value)), None)
    }

    /// [`map_values_with_key`](KTable::map_values_with_key), stored as `materialized` says if that names a store.
    ///
    /// ```
    /// # use kafka_streams_dsl::Materialized;
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let in_euros = balances.map_values_with(|_account, cents| cents as f64 / 100.0, Materialized::named("in-euros"));
    /// ```
    #[track_caller]
    pub fn map_values_with<V2, F>(&self, f: F, materialized: Materialized<K, V2>) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> V2 + Send + Sync + 'static,
    {
        let f = move |key: &K, value: V| Some(f(key, value));
        self.do_map_values(None, prefix::TABLE_MAP_VALUES, f, Some(materialized))
    }

    /// [`map_values_with`](KTable::map_values_with) by a node of this name.
    #[track_caller]
    pub fn map_values_with_named<V2, F>(
        &self,
        name: impl Into<String>,
        f: F,
        materialized: Materialized<K, V2>,
    ) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> V2 + Send + Sync + 'static,
    {
        let f = move |key: &K, value: V| Some(f(key, value));
        self.do_map_values(Some(name.into()), prefix::TABLE_MAP_VALUES, f, Some(materialized))
    }

    /// Another value for each row, or none: what `mapValues` of the JVM does with a function that may return null.
    ///
    /// ```
    /// # let inputs = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("inputs");
    /// let numbers = inputs.filter_map_values(|_name, text| text.parse::<i64>().ok());
    /// ```
    #[track_caller]
    pub fn filter_map_values<V2, F>(&self, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
    {
        self.do_map_values(None, prefix::TABLE_MAP_VALUES, f, None)
    }

    /// [`filter_map_values`](KTable::filter_map_values) by a node of this name.
    #[track_caller]
    pub fn filter_map_values_named<V2, F>(&self, name: impl Into<String>, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
    {
        self.do_map_values(Some(name.into()), prefix::TABLE_MAP_VALUES, f, None)
    }

    /// [`filter_map_values`](KTable::filter_map_values), stored as `materialized` says if that names a store.
    ///
    /// ```
    /// # use kafka_streams_dsl::Materialized;
    /// # let inputs = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("inputs");
    /// let numbers = inputs.filter_map_values_with(|_, text| text.parse::<i64>().ok(), Materialized::named("numbers"));
    /// ```
    #[track_caller]
    pub fn filter_map_values_with<V2, F>(&self, f: F, materialized: Materialized<K, V2>) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
    {
        self.do_map_values(None, prefix::TABLE_MAP_VALUES, f, Some(materialized))
    }

    /// [`filter_map_values_with`](KTable::filter_map_values_with) by a node of this name.
    #[track_caller]
    pub fn filter_map_values_with_named<V2, F>(
        &self,
        name: impl Into<String>,
        f: F,
        materialized: Materialized<K, V2>,
    ) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
    {
        self.do_map_values(Some(name.into()), prefix::TABLE_MAP_VALUES, f, Some(materialized))
    }

    /// The table's changes as a stream of new values; `None` is the deletion of a row, which is written as null.
    /// Behind it, `flat_map_values(|row| row)` leaves the rows only.
    ///
    /// ```
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// balances.to_stream().to("balance-changes");
    /// ```
    #[track_caller]
    pub fn to_stream(&self) -> KStream<K, Option<V>> {
        self.do_to_stream(None)
    }

    /// [`to_stream`](KTable::to_stream) by a node of this name.
    #[track_caller]
    pub fn to_stream_named(&self, name: impl Into<String>) -> KStream<K, Option<V>> {
        self.do_to_stream(Some(name.into()))
    }

    /// [`to_stream`](KTable::to_stream) under the key that `f` finds for each change: it and
    /// [`select_key`](KStream::select_key) in one.
    ///
    /// ```
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// balances.to_stream_with_key(|account, _balance| account.len() as i64).to("changes-by-length");
    /// ```
    #[track_caller]
    pub fn to_stream_with_key<K2, F>(&self, f: F) -> KStream<K2, Option<V>>
    where
        K2: Clone + 'static,
        F: Fn(&K, &Option<V>) -> K2 + Send + Sync + 'static,
    {
        self.do_to_stream(None).select_key(f)
    }

    /// [`to_stream_with_key`](KTable::to_stream_with_key), the first of its two nodes having this name.
    #[track_caller]
    pub fn to_stream_with_key_named<K2, F>(&self, name: impl Into<String>, f: F) -> KStream<K2, Option<V>>
    where
        K2: Clone + 'static,
        F: Fn(&K, &Option<V>) -> K2 + Send + Sync + 'static,
    {
        self.do_to_stream(Some(name.into())).select_key(f)
    }

    /// Groups the rows by the key that `f` finds for them, each with the value that `f` makes of it, to be aggregated.
    /// The changes are sent through a repartition topic. Rows whose new key or value is null are in no group.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let users = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("users-with-city");
    /// let users_per_city = users.group_by(|user, city| (city, user.clone()), Grouped::named("by-city")).count(Materialized::named("users-per-city"));
    /// ```
    #[track_caller]
    pub fn group_by<K2, V2, F>(&self, f: F, grouped: Grouped<K2, V2>) -> KGroupedTable<K2, V2>
    where
        K2: Clone + PartialEq + 'static,
        V2: Clone + 'static,
        F: Fn(&K, V) -> (K2, V2) + Send + Sync + 'static,
    {
        let Grouped { name, keys, values } = grouped;
        let (keys, values) = (keys.or_inherited(None), values.or_inherited(None));
        let selection = Arc::new(Selection { f, keys: keys.clone(), values: values.clone() });
        let mut graph = self.graph.lock();
        let select = graph.node_name(name.clone(), prefix::TABLE_SELECT);
        let lowering = lower::below_table::<K, Change<V>, K2, Change<V2>, _>(move |name, out, below_versions| {
            TableSelect::new(&selection, name, out, below_versions)
        });
        let node = graph.add(&[self.node], select, Traits::default(), Body::Node(lowering));
        graph.send_old_values(self.table, true);
        drop(graph);
        KGroupedTable::new(self.graph.clone(), node, name, keys, values)
    }

    /// The same table, with this serde of its rows where an operator below needs one and nothing above has said it: a join
    /// on a foreign key hashes the rows of the left table and sends those of the right one through a topic.
    ///
    /// ```
    /// # use kafka_streams_core::serde::StringSerde;
    /// # use kafka_streams_dsl::KTable;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let orders = builder.table::<String, String>("orders");
    /// # let customers = builder.table::<String, String>("customers");
    /// let customer_of_order = orders.map_values(|order| order.trim().to_owned()).with_value_serde(StringSerde);
    /// let names: KTable<String, String> =
    ///     customer_of_order.join_foreign_key(&customers, |_order, customer| customer.clone(), |_, name| name);
    /// ```
    #[must_use]
    pub fn with_value_serde(&self, values: impl kafka_streams_core::Serde<Target = V>) -> KTable<K, V> {
        KTable { values: Some(Arc::new(values)), ..self.clone() }
    }

    /// The name of the table's store, if it was given one: the name under which the table can be queried.
    pub fn queryable_store_name(&self) -> Option<&str> {
        self.store_name.as_deref()
    }

    /// A topic as a table.
    #[track_caller]
    pub(crate) fn of_topic(
        graph: &SharedGraph,
        topic: String,
        consumed: Consumed<K, V>,
        materialized: Materialized<K, V>,
    ) -> Self {
        let Consumed { name, keys, values, timestamp_extractor, extract, offset_reset } = consumed;
        let shared = graph;
        let mut graph = shared.lock();
        graph.check("topic", &topic);
        let store_name = graph.store_name(materialized.store.as_ref(), &format!("{topic}-"));
        let source_name = graph.suffixed_name(name.as_ref(), "-source", prefix::SOURCE);
        let name = graph.node_name(name, prefix::TABLE_SOURCE);
        let table = graph.add_table(TableKind::Source, materialized.store.is_some());
        let spec = SourceSpec {
            topics: vec![TopicName::external(topic)],
            pattern: None,
            keys: keys.clone(),
            values: NullableSerde::around(&values),
            timestamp_extractor,
            extract: extract.map(crate::option::of_rows),
            offset_reset,
        };
        let serdes = (keys.clone(), values.clone());
        let (lowering, view) = if materialized.history.is_some() {
            let (store, view) = materialized.versioned_table_store(table, &store_name, &keys, &values);
            let lowering = lower::table_source(source_name, spec, store, move |parts| {
                VersionedTableSource::<K, Option<V>, V>::new(&serdes.0, parts)
            });
            (lowering, view)
        } else {
            let (store, view) = materialized.table_store(table, &store_name, &keys, &values);
            let lowering = lower::table_source(source_name, spec, store, move |parts| {
                Ok(TableSource::<K, Option<V>, V>::new(&serdes.0, &serdes.1, parts))
            });
            (lowering, view)
        };
        let node = graph.add(&[], name, Traits::default(), Body::Node(lowering));
        graph.set_output_versioned(node, materialized.history.is_some());
        drop(graph);
        KTable {
            graph: shared.clone(),
            node,
            table,
            sources: vec![node],
            keys,
            values: Some(values),
            key_hash: None,
            store_name: materialized.store.map(Into::into),
            view,
        }
    }

    /// A stream as a table.
    #[track_caller]
    pub(crate) fn of_stream<V0>(
        stream: &KStream<K, V0>,
        keys: SharedSerde<K>,
        values: SharedSerde<V>,
        name: Option<String>,
        materialized: Materialized<K, V>,
    ) -> Self
    where
        V0: IntoRow<V>,
    {
        let mut graph = stream.graph.lock();
        let name = graph.node_name(name, prefix::TO_TABLE);
        let store_name = graph.store_name(materialized.store.as_ref(), prefix::TO_TABLE);
        let (mut parent, mut sources) = (stream.node, stream.sources.clone());
        if stream.repartition_required {
            let names = graph.repartition(&name);
            let spec = lower::Repartition {
                keys: keys.clone(),
                values: V0::serde(&values),
                partitioner: None,
                key_hash: stream.key_hash,
            };
            let (source, body) = (names.source.clone(), Body::Repartition(names, lower::repartition::<K, V0>(spec)));
            parent = graph.add(&[stream.node], source, Traits::default(), body);
            sources = vec![parent];
        }
        let table = graph.add_table(TableKind::Source, materialized.store.is_some());
        let serdes = (keys.clone(), values.clone());
        let (lowering, view) = if materialized.history.is_some() {
            let (store, view) = materialized.versioned_table_store(table, &store_name, &keys, &values);
            let lowering = lower::table::<K, V0, _, _, _, _>(store, move |parts| {
                VersionedTableSource::<K, V0, V>::new(&serdes.0, parts)
            });
            (lowering, view)
        } else {
            let (store, view) = materialized.table_store(table, &store_name, &keys, &values);
            let lowering = lower::table::<K, V0, _, _, _, _>(store, move |parts| {
                Ok(TableSource::<K, V0, V>::new(&serdes.0, &serdes.1, parts))
            });
            (lowering, view)
        };
        let node = graph.add(&[parent], name, Traits::default(), Body::Node(lowering));
        graph.set_output_versioned(node, materialized.history.is_some());
        drop(graph);
        KTable {
            graph: stream.graph.clone(),
            node,
            table,
            sources,
            keys,
            values: Some(values),
            key_hash: stream.key_hash,
            store_name: materialized.store.map(Into::into),
            view,
        }
    }

    #[track_caller]
    fn do_filter<F>(
        &self,
        name: Option<String>,
        predicate: F,
        keep: bool,
        materialized: Option<Materialized<K, V>>,
    ) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_try_filter(name, move |key, value| Ok(predicate(key, value) == keep), materialized)
    }

    #[track_caller]
    pub(crate) fn do_try_filter<F>(
        &self,
        name: Option<String>,
        keeps: F,
        materialized: Option<Materialized<K, V>>,
    ) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> Step<bool> + Send + Sync + 'static,
    {
        let f = move |key: &K, value: V| Ok(keeps(key, &value)?.then_some(value));
        let derived = self.do_try_map_values(name, prefix::TABLE_FILTER, f, materialized);
        KTable { values: derived.values.clone().or_else(|| self.values.clone()), ..derived }
    }

    #[track_caller]
    fn do_map_values<V2, F>(
        &self,
        name: Option<String>,
        prefix: &str,
        f: F,
        materialized: Option<Materialized<K, V2>>,
    ) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
    {
        self.do_try_map_values(name, prefix, move |key, value| Ok(f(key, value)), materialized)
    }

    #[track_caller]
    pub(crate) fn do_try_map_values<V2, F>(
        &self,
        name: Option<String>,
        prefix: &str,
        f: F,
        materialized: Option<Materialized<K, V2>>,
    ) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Step<Option<V2>> + Send + Sync + 'static,
    {
        let mut graph = self.graph.lock();
        if materialized.as_ref().is_some_and(|materialized| materialized.store.is_none()) {
            graph.names.burn_jvm();
        }
        let name = graph.node_name(name, prefix);
        let keys = materialized.as_ref().map_or_else(|| self.keys.clone(), |stored| stored.key_serde(&self.keys));
        let values = materialized.as_ref().map(|stored| stored.values.or_inherited(None));
        let store_name = materialized.as_ref().and_then(|stored| stored.store.clone());
        let table = graph.add_table(TableKind::Derived(self.table), store_name.is_some());
        let is_filter = prefix == prefix::TABLE_FILTER;
        if is_filter && graph.send_old_values(self.table, false) {
            // With the row before at hand anyway, a filter need not send deletions of what it never let through.
            graph.mark_sending_old_values(table);
        }
        let builder = match (&materialized, &store_name, &values) {
            (Some(stored), Some(name), Some(values)) => {
                graph.check("store", name);
                Some(stored.key_value_store(name, &keys, values))
            }
            _ => None,
        };
        if let (Some(stored), None) = (&materialized, &builder) {
            stored.refuse_versions(&mut graph, &name);
        }
        let slot = StoreSlot::default();
        let f = Arc::new(f);
        let view = {
            let f = f.clone();
            View::derived(self.view.clone(), move |key, value| f(key, value), slot.clone())
        };
        let stored_values = values.clone().filter(|_| builder.is_some());
        let mapping = Arc::new(Mapping { f: move |key: &K, value: V| f(key, value), values: stored_values, is_filter });
        let store = TableStore { table, builder, slot };
        let lowering = lower::table::<K, Change<V>, _, _, _, _>(store, move |parts| Ok(TableMap::new(&mapping, parts)));
        let node = graph.add(&[self.node], name, Traits::default(), Body::Node(lowering));
        if materialized.is_some() {
            graph.set_output_versioned(node, false);
        }
        drop(graph);
        KTable {
            graph: self.graph.clone(),
            node,
            table,
            sources: self.sources.clone(),
            keys,
            values,
            key_hash: self.key_hash,
            store_name: store_name.map(Into::into),
            view,
        }
    }

    #[track_caller]
    fn do_to_stream(&self, name: Option<String>) -> KStream<K, Option<V>> {
        let lowering = lower::stateless(|out: Children<K, Option<V>>| {
            move |cx: &mut TaskContext, record: Record<K, Change<V>>| {
                // A stream has no order that an update could be out of.
                let before = std::mem::replace(&mut cx.update_out_of_order, false);
                let sent = out.forward(cx, record.map_value(|_, change| change.new));
                cx.update_out_of_order = before;
                sent
            }
        });
        let mut graph = self.graph.lock();
        let name = graph.node_name(name, prefix::TABLE_TO_STREAM);
        let node = graph.add(&[self.node], name, Traits::default(), Body::Node(lowering));
        drop(graph);
        KStream {
            graph: self.graph.clone(),
            node,
            sources: self.sources.clone(),
            keys: Some(self.keys.clone()),
            values: self.values.as_ref().map(NullableSerde::around),
            key_hash: self.key_hash,
            repartition_required: false,
        }
    }
}

impl<K, V> Clone for KTable<K, V> {
    fn clone(&self) -> Self {
        KTable {
            graph: self.graph.clone(),
            node: self.node,
            table: self.table,
            sources: self.sources.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            key_hash: self.key_hash,
            store_name: self.store_name.clone(),
            view: self.view.clone(),
        }
    }
}
