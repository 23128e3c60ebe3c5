//! A table joined with another on a key that is found in its rows.

use std::sync::Arc;

use kafka_streams_core::{DefaultSerde, SharedSerde};

use crate::graph::{Body, Graph, TableKind, Traits};
use crate::lower::foreign_key::{self, ForeignKeyJoin, Names};
use crate::lower::{StoreSlot, TableStore};
use crate::node::foreign_key::PseudoTopics;
use crate::option::{Materialized, TableJoined};
use crate::view::View;
use crate::{BuildError, IntoRow, KTable, prefix};

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// Joins each row with the row of the other table whose key `foreign_key` finds in it: many rows may find the same
    /// one. An update of either table updates the results; a row without a foreign key, or whose foreign key has no row,
    /// has no result.
    ///
    /// `foreign_key` returns a key, or an `Option`, whose `None` is no key; `joiner` a row, or an `Option` of one.
    ///
    /// The tables need not be partitioned alike: rows subscribe to their foreign keys through a topic, and are answered
    /// through another. Both tables, and the subscriptions, have stores.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # use kafka_streams_dsl::KTable;
    /// let orders = builder.table::<String, String>("customer-of-order");
    /// let customers = builder.table::<String, String>("customers");
    /// let names: KTable<String, String> =
    ///     orders.join_foreign_key(&customers, |_order, customer| customer.clone(), |_, name| name);
    /// ```
    #[track_caller]
    pub fn join_foreign_key<KO, VO, FK, R, VR, E, F>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: E,
        joiner: F,
    ) -> KTable<K, VR>
    where
        KO: Clone + 'static,
        VO: Clone + 'static,
        FK: IntoRow<KO>,
        R: IntoRow<VR>,
        VR: DefaultSerde + Clone,
        E: Fn(&K, &V) -> FK + Send + Sync + 'static,
        F: Fn(V, VO) -> R + Send + Sync + 'static,
    {
        self.join_foreign_key_with(other, foreign_key, joiner, TableJoined::default(), Materialized::default())
    }

    /// [`join_foreign_key`](KTable::join_foreign_key), named and partitioned as `joined` and stored as `materialized`
    /// says.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Materialized, TableJoined};
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let orders = builder.table::<String, String>("customer-of-order");
    /// # let customers = builder.table::<String, String>("customers");
    /// let names = orders.join_foreign_key_with(
    ///     &customers,
    ///     |_order, customer| Some(customer.clone()).filter(|customer| !customer.is_empty()),
    ///     |_, name| name,
    ///     TableJoined::named("with-customer"),
    ///     Materialized::named("customer-names"),
    /// );
    /// # let _: kafka_streams_dsl::KTable<String, String> = names;
    /// ```
    #[track_caller]
    pub fn join_foreign_key_with<KO, VO, FK, R, VR, E, F>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: E,
        joiner: F,
        joined: TableJoined<K, KO>,
        materialized: Materialized<K, VR>,
    ) -> KTable<K, VR>
    where
        KO: Clone + 'static,
        VO: Clone + 'static,
        FK: IntoRow<KO>,
        R: IntoRow<VR>,
        VR: Clone + 'static,
        E: Fn(&K, &V) -> FK + Send + Sync + 'static,
        F: Fn(V, VO) -> R + Send + Sync + 'static,
    {
        let extract = move |key: &K, value: &V| foreign_key(key, value).into_row();
        let f = move |left: V, right: Option<VO>| joiner(left, right?).into_row();
        self.join_on(other, extract, f, joined, materialized, false)
    }

    /// As [`join_foreign_key`](KTable::join_foreign_key), for all rows of this table: without a row of the other table
    /// `joiner` gets `None`.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # use kafka_streams_dsl::KTable;
    /// # let orders = builder.table::<String, String>("customer-of-order");
    /// # let customers = builder.table::<String, String>("customers");
    /// let names: KTable<String, String> = orders.left_join_foreign_key(
    ///     &customers,
    ///     |_order, customer| customer.clone(),
    ///     |_, name| name.unwrap_or("unknown".to_owned()),
    /// );
    /// ```
    #[track_caller]
    pub fn left_join_foreign_key<KO, VO, FK, R, VR, E, F>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: E,
        joiner: F,
    ) -> KTable<K, VR>
    where
        KO: Clone + 'static,
        VO: Clone + 'static,
        FK: IntoRow<KO>,
        R: IntoRow<VR>,
        VR: DefaultSerde + Clone,
        E: Fn(&K, &V) -> FK + Send + Sync + 'static,
        F: Fn(V, Option<VO>) -> R + Send + Sync + 'static,
    {
        self.left_join_foreign_key_with(other, foreign_key, joiner, TableJoined::default(), Materialized::default())
    }

    /// [`left_join_foreign_key`](KTable::left_join_foreign_key), named and partitioned as `joined` and stored as
    /// `materialized` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Materialized, TableJoined};
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let orders = builder.table::<String, String>("customer-of-order");
    /// # let customers = builder.table::<String, String>("customers");
    /// let names = orders.left_join_foreign_key_with(
    ///     &customers,
    ///     |_order, customer| customer.clone(),
    ///     |customer, name| name.unwrap_or(customer),
    ///     TableJoined::named("with-customer"),
    ///     Materialized::named("customer-names"),
    /// );
    /// # let _: kafka_streams_dsl::KTable<String, String> = names;
    /// ```
    #[track_caller]
    pub fn left_join_foreign_key_with<KO, VO, FK, R, VR, E, F>(
        &self,
        other: &KTable<KO, VO>,
        foreign_key: E,
        joiner: F,
        joined: TableJoined<K, KO>,
        materialized: Materialized<K, VR>,
    ) -> KTable<K, VR>
    where
        KO: Clone + 'static,
        VO: Clone + 'static,
        FK: IntoRow<KO>,
        R: IntoRow<VR>,
        VR: Clone + 'static,
        E: Fn(&K, &V) -> FK + Send + Sync + 'static,
        F: Fn(V, Option<VO>) -> R + Send + Sync + 'static,
    {
        let extract = move |key: &K, value: &V| foreign_key(key, value).into_row();
        let f = move |left: V, right: Option<VO>| joiner(left, right).into_row();
        self.join_on(other, extract, f, joined, materialized, true)
    }

    #[track_caller]
    fn join_on<KO, VO, VR, E, F>(
        &self,
        other: &KTable<KO, VO>,
        extract: E,
        f: F,
        joined: TableJoined<K, KO>,
        materialized: Materialized<K, VR>,
        left: bool,
    ) -> KTable<K, VR>
    where
        KO: Clone + 'static,
        VO: Clone + 'static,
        VR: Clone + 'static,
        E: Fn(&K, &V) -> Option<KO> + Send + Sync + 'static,
        F: Fn(V, Option<VO>) -> Option<VR> + Send + Sync + 'static,
    {
        let mut graph = self.graph.lock();
        let TableJoined { name, partitioner, other_partitioner } = joined;
        let names = Names::draw(&mut graph, name.as_ref());
        let store_name = graph.store_name(materialized.store.as_ref(), prefix::FOREIGN_OUTPUT);
        let (keys, results) = (materialized.key_serde(&self.keys), materialized.values.or_inherited(None));
        let builder = materialized.key_value_store(&store_name, &keys, &results);
        let table = graph.add_table(TableKind::Source, materialized.store.is_some());
        let slot = StoreSlot::default();
        let nothing = |node| KTable {
            graph: self.graph.clone(),
            node,
            table,
            sources: self.sources.clone(),
            keys: keys.clone(),
            values: Some(results.clone()),
            key_hash: self.key_hash,
            store_name: materialized.store.clone().map(Into::into),
            view: View::of_store(slot.clone()),
        };
        if !self.graph.is_same_as(&other.graph) {
            graph.errors.push(BuildError::TwoBuilders { node: names.result });
            return nothing(self.node);
        }
        let (Some(values), Some(foreign_values)) = (
            serde_of(&mut graph, &names.result, "left", self.values.as_ref()),
            serde_of(&mut graph, &names.result, "right", other.values.as_ref()),
        ) else {
            return nothing(self.node);
        };
        graph.send_old_values(other.table, true);
        graph.send_old_values(self.table, true);
        graph.make_readable(self.table);
        graph.make_readable(other.table);
        let result = names.result.clone();
        let (registration_source, response_source) = (names.registration_source.clone(), names.response_source.clone());
        let join = Arc::new(ForeignKeyJoin {
            left,
            topics: PseudoTopics::of(&names.registration_topic),
            keys: self.keys.clone(),
            values,
            foreign_keys: other.keys.clone(),
            foreign_values,
            key_hash: self.key_hash,
            foreign_key_hash: other.key_hash,
            partitioner,
            other_partitioner,
            names,
        });
        let body = Body::Node(foreign_key::registration(join.clone(), extract));
        let registered = graph.add(&[self.node], registration_source, Traits::default(), body);
        graph.copartitions.push(other.sources.iter().copied().chain([registered]).collect());
        let body = Body::Node(foreign_key::responses(join.clone(), other.view.clone()));
        let answered = graph.add(&[registered, other.node], response_source, Traits::default(), body);
        let sources: Vec<_> = self.sources.iter().copied().chain([answered]).collect();
        graph.copartitions.push(sources.clone());
        let store = TableStore { table, builder: Some(builder), slot: slot.clone() };
        let body = Body::Node(foreign_key::result(join, self.view.clone(), store, results.clone(), f));
        let node = graph.add(&[answered], result, Traits::default(), body);
        graph.set_output_versioned(node, false);
        drop(graph);
        KTable { sources, ..nothing(node) }
    }
}

/// The serde of a table's values, which a join on a foreign key needs: rows are hashed, and sent through a topic.
fn serde_of<V>(
    graph: &mut Graph,
    node: &str,
    side: &'static str,
    values: Option<&SharedSerde<V>>,
) -> Option<SharedSerde<V>> {
    if values.is_none() {
        graph.errors.push(BuildError::UnknownValueSerde { node: node.to_owned(), side });
    }
    values.cloned()
}

impl Names {
    /// Draws in the JVM's order (`KTableImpl.doJoinOnForeignKey`).
    #[track_caller]
    fn draw(graph: &mut Graph, name: Option<&String>) -> Self {
        let mut draw = |suffix: &str, prefix: &str| graph.suffixed_name(name, suffix, prefix);
        Names {
            registration_topic: draw("-subscription-registration", prefix::FOREIGN_REGISTRATION) + "-topic",
            send: draw("-subscription-registration-processor", prefix::FOREIGN_REGISTRATION),
            registration_sink: draw("-subscription-registration-sink", prefix::TABLE_SINK),
            registration_source: draw("-subscription-registration-source", prefix::TABLE_SOURCE),
            store: draw("-subscription-store", prefix::FOREIGN_STORE),
            receive: draw("-subscription-receive", prefix::FOREIGN_PROCESSOR),
            subscription_join: draw("-subscription-join-foreign", prefix::FOREIGN_PROCESSOR),
            foreign_join: draw("-foreign-join-subscription", prefix::FOREIGN_PROCESSOR),
            response_topic: draw("-subscription-response", prefix::FOREIGN_RESPONSE) + "-topic",
            response_sink: draw("-subscription-response-sink", prefix::TABLE_SINK),
            response_source: draw("-subscription-response-source", prefix::TABLE_SOURCE),
            resolve: draw("-subscription-response-resolver", prefix::FOREIGN_RESOLVER),
            result: draw("-result", prefix::FOREIGN_OUTPUT),
        }
    }
}
