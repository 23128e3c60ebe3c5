//! Where every topology begins: topics become streams and tables, and in the end all of it a topology.

use std::fmt;

use kafka_streams_core::DefaultSerde;
use kafka_streams_naming::Naming;
use kafka_streams_state::StoreBuilder;
use kafka_streams_topology::{EdgeTypes, SourceSpec, StoreRef, TopicName, TopicPattern, Topology};

use crate::graph::{Body, Graph, SharedGraph, Subscription, Traits};
use crate::optimize::Optimization;
use crate::option::{Consumed, Materialized};
use crate::{BuildError, KStream, KTable, lower, prefix};

/// Builds a topology out of streams and tables.
///
/// Operators return no `Result`, so that they can be written in a chain; [`build`](StreamsBuilder::build) reports all
/// mistakes at once.
///
/// ```
/// use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// builder
///     .stream::<Option<String>, String>("lines")
///     .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
///     .group_by(|_, word| word.clone(), Grouped::named("by-word"))
///     .count(Materialized::named("word-counts"))
///     .to_stream()
///     .to("counts");
/// let topology = builder.build()?;
/// assert_eq!(topology.subtopologies().len(), 2);
/// # Ok::<(), kafka_streams_dsl::BuildError>(())
/// ```
pub struct StreamsBuilder {
    pub(crate) graph: SharedGraph,
}

impl StreamsBuilder {
    /// A builder that numbers unnamed nodes, stores and topics by class ([`Naming::PerClass`]).
    pub fn new() -> Self {
        StreamsBuilder::with_naming(Naming::default())
    }

    /// A builder that numbers as `naming` says. With [`Naming::Jvm`] a topology has the names that the JVM gives it, so
    /// that instances of both can share its topics.
    pub fn with_naming(naming: Naming) -> Self {
        StreamsBuilder { graph: SharedGraph::new(naming) }
    }

    /// The records of a topic, or of several: `"orders"`, `["web-orders", "shop-orders"]`.
    ///
    /// Streams of the same topics share one source. A null key or value is an error unless the type is an `Option`.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let orders = builder.stream::<String, i64>(["web-orders", "shop-orders"]);
    /// ```
    #[track_caller]
    pub fn stream<K, V>(&self, topics: impl Topics) -> KStream<K, V>
    where
        K: DefaultSerde + Clone,
        V: DefaultSerde + Clone,
    {
        self.stream_with(topics, Consumed::default())
    }

    /// The records of a topic, or of several, read as `consumed` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Consumed, KStream};
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let orders: KStream<String, i64> = builder.stream_with("orders", Consumed::named("read-orders"));
    /// ```
    #[track_caller]
    pub fn stream_with<K, V>(&self, topics: impl Topics, consumed: Consumed<K, V>) -> KStream<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        let topics = topics.into_topics();
        let mut graph = self.graph.lock();
        for topic in &topics {
            graph.check("topic", topic);
        }
        drop(graph);
        self.do_stream(topics, None, consumed)
    }

    /// The records of all topics whose names match a regular expression as a whole, also of topics that are created later
    /// (they are noticed within `metadata.max.age.ms`). Repartition and changelog topics of the application are not among
    /// them. The syntax is that of [`TopicPattern`].
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let orders = builder.stream_matching::<String, i64>("orders-.*");
    /// ```
    #[track_caller]
    pub fn stream_matching<K, V>(&self, pattern: &str) -> KStream<K, V>
    where
        K: DefaultSerde + Clone,
        V: DefaultSerde + Clone,
    {
        self.stream_matching_with(pattern, Consumed::default())
    }

    /// [`stream_matching`](StreamsBuilder::stream_matching), read as `consumed` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Consumed, KStream};
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let orders: KStream<String, i64> = builder.stream_matching_with("orders-.*", Consumed::named("all-orders"));
    /// ```
    #[track_caller]
    pub fn stream_matching_with<K, V>(&self, pattern: &str, consumed: Consumed<K, V>) -> KStream<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        match TopicPattern::new(pattern) {
            Ok(pattern) => self.do_stream(Vec::new(), Some(pattern), consumed),
            Err(error) => {
                self.graph.lock().errors.push(error.into());
                self.do_stream(Vec::new(), None, consumed)
            }
        }
    }

    pub(crate) fn graph(&self) -> &SharedGraph {
        &self.graph
    }

    #[track_caller]
    fn do_stream<K, V>(
        &self,
        topics: Vec<String>,
        pattern: Option<TopicPattern>,
        consumed: Consumed<K, V>,
    ) -> KStream<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        let Consumed { name, keys, values, timestamp_extractor, extract, offset_reset } = consumed;
        let mut graph = self.graph.lock();
        let name = graph.node_name(name, prefix::SOURCE);
        let spec = SourceSpec {
            topics: topics.iter().map(|topic| TopicName::external(topic.as_str())).collect(),
            pattern: pattern.clone(),
            keys: keys.clone(),
            values: values.clone(),
            timestamp_extractor,
            extract,
            offset_reset,
        };
        let subscription = Subscription { topics, pattern, offset_reset, types: EdgeTypes::of::<K, V>() };
        let node = graph.add(&[], name, Traits::default(), Body::Source(subscription, lower::source(spec)));
        drop(graph);
        KStream {
            graph: self.graph.clone(),
            node,
            sources: vec![node],
            keys: Some(keys),
            values: Some(values),
            key_hash: None,
            repartition_required: false,
        }
    }

    /// A topic as a table: the last value of each key. A null value deletes its row, a record with a null key is dropped.
    ///
    /// The table has a store only if something needs one: a join, or an aggregation of the table.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let users = builder.table::<String, String>("users");
    /// ```
    #[track_caller]
    pub fn table<K, V>(&self, topic: impl Into<String>) -> KTable<K, V>
    where
        K: DefaultSerde + Clone,
        V: DefaultSerde + Clone,
    {
        self.table_with(topic, Consumed::default(), Materialized::default())
    }

    /// A topic as a table, read as `consumed` and stored as `materialized` says. A table whose store is named has it in
    /// any case. The serdes are those of `consumed`.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Consumed, KTable, Materialized};
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let users: KTable<String, String> =
    ///     builder.table_with("users", Consumed::default(), Materialized::named("users-by-id"));
    /// ```
    #[track_caller]
    pub fn table_with<K, V>(
        &self,
        topic: impl Into<String>,
        consumed: Consumed<K, V>,
        materialized: Materialized<K, V>,
    ) -> KTable<K, V>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        KTable::of_topic(&self.graph, topic.into(), consumed, materialized)
    }

    /// Adds a store for processors, which name it by the reference that is returned.
    ///
    /// ```
    /// use kafka_streams_core::serde::{I64Serde, StringSerde};
    /// use kafka_streams_core::{Context, Processor, Record, Step};
    /// use kafka_streams_dsl::StreamsBuilder;
    /// use kafka_streams_state::{KeyValueStore, Stores};
    /// use std::rc::Rc;
    ///
    /// /// Passes on a key's first record.
    /// struct FirstOnly { seen: Rc<KeyValueStore<String, i64>> }
    ///
    /// impl Processor for FirstOnly {
    ///     type KIn = String;
    ///     type VIn = i64;
    ///     type KOut = String;
    ///     type VOut = i64;
    ///
    ///     fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, String, i64>) -> Step {
    ///         if self.seen.get(&record.key)?.is_some() {
    ///             return Ok(());
    ///         }
    ///         self.seen.put(cx, &record.key, Some(&record.value))?;
    ///         cx.forward(record)
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), kafka_streams_dsl::BuildError> {
    /// let builder = StreamsBuilder::new();
    /// let seen = builder.add_state_store(Stores::persistent_key_value_store("seen", StringSerde, I64Serde))?;
    /// builder.stream("orders").process(seen, |seen| FirstOnly { seen }).to("first-orders");
    /// # builder.build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The name is not legal, or another store of the builder has it.
    #[track_caller]
    pub fn add_state_store<B: StoreBuilder>(&self, store: B) -> Result<StoreRef<B::Store>, BuildError> {
        let mut graph = self.graph.lock();
        graph.claim("store", &store.spec().name)?;
        Ok(graph.draft.add_store(store)?)
    }

    /// The topology of all that was said.
    ///
    /// # Errors
    /// All mistakes that were made; [`BuildError::Several`] if there is more than one.
    pub fn build(self) -> Result<Topology, BuildError> {
        self.build_optimized(&[])
    }

    /// The topology, rewritten to use fewer topics.
    ///
    /// ```
    /// use kafka_streams_dsl::{Optimization, StreamsBuilder};
    /// # let builder = StreamsBuilder::new();
    /// let topology = builder.build_optimized(&Optimization::ALL)?;
    /// # Ok::<(), kafka_streams_dsl::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// As [`build`](StreamsBuilder::build).
    pub fn build_optimized(self, optimizations: &[Optimization]) -> Result<Topology, BuildError> {
        let naming = self.graph.lock().names.naming();
        // Streams and tables may outlive the builder; what is attached to them from now on leads nowhere.
        let graph = std::mem::replace(&mut *self.graph.lock(), Graph::new(naming));
        lower::lower(graph, optimizations)
    }
}

impl Default for StreamsBuilder {
    fn default() -> Self {
        StreamsBuilder::new()
    }
}

impl fmt::Debug for StreamsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamsBuilder").field("nodes", &self.graph.lock().nodes.len()).finish_non_exhaustive()
    }
}

/// One topic or several: `"a"`, `["a", "b"]`, `vec![…]`.
pub trait Topics {
    /// The names.
    fn into_topics(self) -> Vec<String>;
}

impl Topics for &str {
    fn into_topics(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl Topics for String {
    fn into_topics(self) -> Vec<String> {
        vec![self]
    }
}

impl Topics for &String {
    fn into_topics(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl<T: Into<String>, const N: usize> Topics for [T; N] {
    fn into_topics(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<String> + Clone> Topics for &[T] {
    fn into_topics(self) -> Vec<String> {
        self.iter().cloned().map(Into::into).collect()
    }
}

impl<T: Into<String>> Topics for Vec<T> {
    fn into_topics(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}
