//! A table of which every instance has all rows.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{DefaultSerde, Processor, SharedSerde};
use kafka_streams_state::StoreBuilder;
use kafka_streams_topology::{SourceSpec, TopicName};

use crate::graph::{Body, SharedGraph, Traits};
use crate::lower::{self, StoreSlot};
use crate::node::table_source::TableSource;
use crate::nullable_serde::NullableSerde;
use crate::option::{Consumed, Materialized};
use crate::view::View;
use crate::{BuildError, StreamsBuilder, prefix};

/// A table of which every instance has all rows, to join streams with by any key.
///
/// Its topic is read by every instance to its end before anything is processed, and followed from then on, beside the
/// tasks: when a row becomes visible is not bound to their time. Joins see what was written and committed.
pub struct GlobalKTable<K, V> {
    pub(crate) graph: SharedGraph,
    pub(crate) store_name: Option<Arc<str>>,
    pub(crate) view: View<K, V>,
    pub(crate) keys: SharedSerde<K>,
}

impl<K: Clone + 'static, V: Clone + 'static> GlobalKTable<K, V> {
    /// The name of the table's store, if it was given one: the name under which the table can be queried.
    pub fn queryable_store_name(&self) -> Option<&str> {
        self.store_name.as_deref()
    }
}

impl StreamsBuilder {
    /// A topic as a table of which every instance has all rows.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let products = builder.global_table::<String, String>("products");
    /// let orders = builder.stream::<String, String>("orders");
    /// let named = orders.join_global(&products, |_, product| product.clone(), |order, name| format!("{order}: {name}"));
    /// # named.to("named-orders");
    /// # builder.build()?;
    /// # Ok::<(), kafka_streams_dsl::BuildError>(())
    /// ```
    #[track_caller]
    pub fn global_table<K, V>(&self, topic: impl Into<String>) -> GlobalKTable<K, V>
    where
        K: DefaultSerde + Clone,
        V: DefaultSerde + Clone,
    {
        self.global_table_with(topic, Consumed::default(), Materialized::default())
    }

    /// [`global_table`](StreamsBuilder::global_table), read as `consumed` and stored as `materialized` says. The serdes are
    /// those of `consumed`; the store is never cached, and its topic is its changelog.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Consumed, GlobalKTable, Materialized};
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let products: GlobalKTable<String, String> =
    ///     builder.global_table_with("products", Consumed::default(), Materialized::named("products-by-id").in_memory());
    /// assert_eq!(products.queryable_store_name(), Some("products-by-id"));
    /// ```
    #[track_caller]
    pub fn global_table_with<K, V>(
        &self,
        topic: impl Into<String>,
        consumed: Consumed<K, V>,
        materialized: Materialized<K, V>,
    ) -> GlobalKTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        let topic = topic.into();
        let Consumed { name, keys, values, timestamp_extractor, extract, offset_reset: _ } = consumed;
        let mut graph = self.graph().lock();
        graph.check("topic", &topic);
        let store_name = graph.store_name(materialized.store.as_ref(), &format!("{topic}-"));
        let source_name = graph.suffixed_name(name.as_ref(), "-source", prefix::SOURCE);
        let name = graph.node_name(name, prefix::TABLE_SOURCE);
        let uncached = Materialized { caching: false, logging: None, ..materialized.clone() };
        let store = uncached.key_value_store(&store_name, &keys, &values);
        let slot = StoreSlot::default();
        let spec = SourceSpec {
            topics: vec![TopicName::external(topic)],
            pattern: None,
            keys: keys.clone(),
            values: NullableSerde::around(&values),
            timestamp_extractor,
            extract: extract.map(crate::option::of_rows),
            offset_reset: None,
        };
        let serdes = (keys.clone(), values);
        let lowering = lower::global_store(source_name, spec, store, Some(slot.clone()), move |name, store| {
            TableSource::<K, Option<V>, V>::of_global(&serdes.0, &serdes.1, name, store)
        });
        graph.add(&[], name, Traits::default(), Body::Node(lowering));
        drop(graph);
        GlobalKTable {
            graph: self.graph().clone(),
            store_name: materialized.store.map(Into::into),
            view: View::of_store(slot),
            keys,
        }
    }

    /// Adds a store of which every instance has all: the topic, and the processor that keeps the store. `make` makes it,
    /// once for each instance. Every processor can read the store, by the name of it, without being connected.
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// use kafka_streams_core::serde::StringSerde;
    /// use kafka_streams_core::{Context, Processor, Record, Step};
    /// use kafka_streams_dsl::{Consumed, StreamsBuilder};
    /// use kafka_streams_state::{KeyValueStore, Stores};
    ///
    /// struct Keep { names: Rc<KeyValueStore<String, String>> }
    ///
    /// impl Processor for Keep {
    ///     type KIn = String;
    ///     type VIn = String;
    ///     type KOut = ();
    ///     type VOut = ();
    ///
    ///     fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, (), ()>) -> Step {
    ///         self.names.put(cx, &record.key, Some(&record.value))
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let names = Stores::in_memory_key_value_store("names", StringSerde, StringSerde);
    /// builder.add_global_store(names, "names", Consumed::default(), |names| Keep { names });
    /// # builder.build()?;
    /// # Ok::<(), kafka_streams_dsl::BuildError>(())
    /// ```
    #[track_caller]
    pub fn add_global_store<B, K, V, P>(
        &self,
        store: B,
        topic: impl Into<String>,
        consumed: Consumed<K, V>,
        make: impl Fn(Rc<B::Store>) -> P + Send + Sync + 'static,
    ) where
        B: StoreBuilder,
        K: Clone + 'static,
        V: Clone + 'static,
        P: Processor<KIn = K, VIn = V>,
    {
        let topic = topic.into();
        let Consumed { name, keys, values, timestamp_extractor, extract, offset_reset: _ } = consumed;
        let mut graph = self.graph().lock();
        graph.check("topic", &topic);
        let source_name = graph.suffixed_name(name.as_ref(), "-source", prefix::SOURCE);
        let name = graph.node_name(name, prefix::TABLE_SOURCE);
        let spec =
            SourceSpec { timestamp_extractor, extract, ..SourceSpec::new([TopicName::external(topic)], keys, values) };
        graph.add(&[], name, Traits::default(), Body::Node(lower::global_processor(source_name, spec, store, make)));
    }
}

/// A global table and what reads it belong to one builder.
pub(crate) fn check_same_builder<K, V>(
    table: &GlobalKTable<K, V>,
    graph: &SharedGraph,
    node: &str,
) -> Option<BuildError> {
    (!graph.is_same_as(&table.graph)).then(|| BuildError::TwoBuilders { node: node.to_owned() })
}

impl<K, V> Clone for GlobalKTable<K, V> {
    fn clone(&self) -> Self {
        GlobalKTable {
            graph: self.graph.clone(),
            store_name: self.store_name.clone(),
            view: self.view.clone(),
            keys: self.keys.clone(),
        }
    }
}

impl<K, V> fmt::Debug for GlobalKTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobalKTable").field("store", &self.store_name).finish_non_exhaustive()
    }
}
