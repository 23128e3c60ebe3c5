//! A stream of records: each one is an event of its own.

use std::panic::Location;
use std::sync::Arc;

use kafka_streams_core::{Children, DefaultSerde, Processor, Record, SharedSerde, SinkKey, Step, TaskContext};
use kafka_streams_topology::{HashedKeyPart, SinkSpec, StoreRefs, TopicName};

use crate::graph::{Body, GraphId, SharedGraph, Traits};
use crate::lower::{self, Lowering};
use crate::option::{Grouped, Materialized, Produced, Repartitioned};
use crate::{BuildError, IntoRow, KGroupedStream, KTable, prefix};

/// A stream of records with keys of type `K` and values of type `V`.
///
/// A handle: cloning it is cheap, and everything attached to a clone is attached to the stream. Operators take functions
/// that are `Fn + Send + Sync + 'static`; write them in the call, so that their arguments need no types. Values are
/// moved through operators; a record is cloned only where a stream is used twice.
///
/// Null keys and values are a matter of types: a topic that may hold nulls is read as `Option<K>` or `Option<V>`.
///
/// Every operator that makes a node has a twin `…_named` that takes the node's name first, unless its options carry one
/// (`Grouped::named`, `Produced::named`, …). A name stays when operators are added before it; a generated one may not.
///
/// ```
/// use kafka_streams_dsl::{Naming, StreamsBuilder};
///
/// let builder = StreamsBuilder::with_naming(Naming::Jvm);
/// builder.stream::<String, i64>("in").filter_named("positive", |_, value| *value > 0).to("out");
/// assert!(builder.build()?.describe().contains("Processor: positive"));
/// # Ok::<(), kafka_streams_dsl::BuildError>(())
/// ```
pub struct KStream<K, V> {
    pub(crate) graph: SharedGraph,
    pub(crate) node: GraphId,
    /// The nodes that read the topics from which the stream comes.
    pub(crate) sources: Vec<GraphId>,
    pub(crate) keys: Option<SharedSerde<K>>,
    pub(crate) values: Option<SharedSerde<V>>,
    /// The part of a key's bytes that decides its partition; `None` is all of them.
    pub(crate) key_hash: Option<HashedKeyPart>,
    /// Whether the key may have changed since the records were partitioned.
    pub(crate) repartition_required: bool,
}

/// What changes of the records.
pub(crate) const SAME: Traits =
    Traits { changes_key: false, changes_value: false, merges: false, takes_null_keys: false, grace_ms: None };
pub(crate) const NEW_KEY: Traits = Traits { changes_key: true, ..SAME };
pub(crate) const NEW_VALUE: Traits = Traits { changes_value: true, ..SAME };

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// The records for which `predicate` is true.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let large = orders.filter(|_customer, amount| *amount > 1000);
    /// ```
    #[track_caller]
    pub fn filter<F>(&self, predicate: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(None, predicate, true)
    }

    /// [`filter`](KStream::filter) by a node of this name.
    #[track_caller]
    pub fn filter_named<F>(&self, name: impl Into<String>, predicate: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(Some(name.into()), predicate, true)
    }

    /// The records for which `predicate` is false.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let small = orders.filter_not(|_customer, amount| *amount > 1000);
    /// ```
    #[track_caller]
    pub fn filter_not<F>(&self, predicate: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(None, predicate, false)
    }

    /// [`filter_not`](KStream::filter_not) by a node of this name.
    #[track_caller]
    pub fn filter_not_named<F>(&self, name: impl Into<String>, predicate: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.do_filter(Some(name.into()), predicate, false)
    }

    /// Another key and another value for each record. The next aggregation or join repartitions the stream; where the
    /// key stays, [`map_values`](KStream::map_values) saves that.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let by_amount = orders.map(|customer, amount| (amount / 100, customer));
    /// # let _: kafka_streams_dsl::KStream<i64, String> = by_amount;
    /// ```
    #[track_caller]
    pub fn map<K2, V2, F>(&self, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        F: Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
    {
        self.do_map(None, f)
    }

    /// [`map`](KStream::map) by a node of this name.
    #[track_caller]
    pub fn map_named<K2, V2, F>(&self, name: impl Into<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        F: Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
    {
        self.do_map(Some(name.into()), f)
    }

    /// Another value for each record.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let cents = orders.map_values(|amount| amount * 100);
    /// ```
    #[track_caller]
    pub fn map_values<V2, F>(&self, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(V) -> V2 + Send + Sync + 'static,
    {
        self.do_map_values(None, move |_, value| f(value))
    }

    /// [`map_values`](KStream::map_values) by a node of this name.
    #[track_caller]
    pub fn map_values_named<V2, F>(&self, name: impl Into<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(V) -> V2 + Send + Sync + 'static,
    {
        self.do_map_values(Some(name.into()), move |_, value| f(value))
    }

    /// [`map_values`](KStream::map_values) by a function that sees the key.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let texts = orders.map_values_with_key(|customer, amount| format!("{customer}: {amount}"));
    /// ```
    #[track_caller]
    pub fn map_values_with_key<V2, F>(&self, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> V2 + Send + Sync + 'static,
    {
        self.do_map_values(None, f)
    }

    /// [`map_values_with_key`](KStream::map_values_with_key) by a node of this name.
    #[track_caller]
    pub fn map_values_with_key_named<V2, F>(&self, name: impl Into<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> V2 + Send + Sync + 'static,
    {
        self.do_map_values(Some(name.into()), f)
    }

    /// Any number of records for each record. The next aggregation or join repartitions the stream.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let both_ways = orders.flat_map(|customer, amount| [(customer.clone(), amount), (customer, -amount)]);
    /// ```
    #[track_caller]
    pub fn flat_map<K2, V2, I, F>(&self, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        I: IntoIterator<Item = (K2, V2)>,
        F: Fn(K, V) -> I + Send + Sync + 'static,
    {
        self.do_flat_map(None, f)
    }

    /// [`flat_map`](KStream::flat_map) by a node of this name.
    #[track_caller]
    pub fn flat_map_named<K2, V2, I, F>(&self, name: impl Into<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        I: IntoIterator<Item = (K2, V2)>,
        F: Fn(K, V) -> I + Send + Sync + 'static,
    {
        self.do_flat_map(Some(name.into()), f)
    }

    /// Any number of values for each record, under its key.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let words = lines.flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    /// # let _: kafka_streams_dsl::KStream<String, String> = words;
    /// ```
    #[track_caller]
    pub fn flat_map_values<I, F>(&self, f: F) -> KStream<K, I::Item>
    where
        I: IntoIterator<Item: Clone + 'static>,
        F: Fn(V) -> I + Send + Sync + 'static,
    {
        self.do_flat_map_values(None, move |_, value| f(value))
    }

    /// [`flat_map_values`](KStream::flat_map_values) by a node of this name.
    #[track_caller]
    pub fn flat_map_values_named<I, F>(&self, name: impl Into<String>, f: F) -> KStream<K, I::Item>
    where
        I: IntoIterator<Item: Clone + 'static>,
        F: Fn(V) -> I + Send + Sync + 'static,
    {
        self.do_flat_map_values(Some(name.into()), move |_, value| f(value))
    }

    /// [`flat_map_values`](KStream::flat_map_values) by a function that sees the key.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let texts = orders.flat_map_values_with_key(|customer, amount| [format!("{customer} pays"), format!("{amount}")]);
    /// ```
    #[track_caller]
    pub fn flat_map_values_with_key<I, F>(&self, f: F) -> KStream<K, I::Item>
    where
        I: IntoIterator<Item: Clone + 'static>,
        F: Fn(&K, V) -> I + Send + Sync + 'static,
    {
        self.do_flat_map_values(None, f)
    }

    /// [`flat_map_values_with_key`](KStream::flat_map_values_with_key) by a node of this name.
    #[track_caller]
    pub fn flat_map_values_with_key_named<I, F>(&self, name: impl Into<String>, f: F) -> KStream<K, I::Item>
    where
        I: IntoIterator<Item: Clone + 'static>,
        F: Fn(&K, V) -> I + Send + Sync + 'static,
    {
        self.do_flat_map_values(Some(name.into()), f)
    }

    /// Another key for each record. The next aggregation or join repartitions the stream.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let by_class = orders.select_key(|_customer, amount| amount / 1000);
    /// ```
    #[track_caller]
    pub fn select_key<K2, F>(&self, f: F) -> KStream<K2, V>
    where
        K2: Clone + 'static,
        F: Fn(&K, &V) -> K2 + Send + Sync + 'static,
    {
        self.do_select_key(None, f)
    }

    /// [`select_key`](KStream::select_key) by a node of this name.
    #[track_caller]
    pub fn select_key_named<K2, F>(&self, name: impl Into<String>, f: F) -> KStream<K2, V>
    where
        K2: Clone + 'static,
        F: Fn(&K, &V) -> K2 + Send + Sync + 'static,
    {
        self.do_select_key(Some(name.into()), f)
    }

    /// The same records, after `f` has seen them.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// orders.peek(|customer, amount| println!("{customer}: {amount}")).to("seen-orders");
    /// ```
    #[track_caller]
    pub fn peek<F>(&self, f: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) + Send + Sync + 'static,
    {
        self.do_peek(None, f)
    }

    /// [`peek`](KStream::peek) by a node of this name.
    #[track_caller]
    pub fn peek_named<F>(&self, name: impl Into<String>, f: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) + Send + Sync + 'static,
    {
        self.do_peek(Some(name.into()), f)
    }

    /// Hands every record to `f`, which is the end of this branch of the topology.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// orders.for_each(|customer, amount| println!("{customer}: {amount}"));
    /// ```
    #[track_caller]
    pub fn for_each<F>(&self, f: F)
    where
        F: Fn(K, V) + Send + Sync + 'static,
    {
        self.do_for_each(None, f);
    }

    /// [`for_each`](KStream::for_each) by a node of this name.
    #[track_caller]
    pub fn for_each_named<F>(&self, name: impl Into<String>, f: F)
    where
        F: Fn(K, V) + Send + Sync + 'static,
    {
        self.do_for_each(Some(name.into()), f);
    }

    /// The records of both streams, in no particular order between them.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let all = builder.stream::<String, i64>("web").merge(&builder.stream("shops"));
    /// ```
    #[track_caller]
    pub fn merge(&self, other: &KStream<K, V>) -> KStream<K, V> {
        self.do_merge(None, other)
    }

    /// [`merge`](KStream::merge) by a node of this name.
    #[track_caller]
    pub fn merge_named(&self, name: impl Into<String>, other: &KStream<K, V>) -> KStream<K, V> {
        self.do_merge(Some(name.into()), other)
    }

    /// Sends the stream through a topic of the application's own, so that equal keys meet in one partition, or to spread
    /// the work over more partitions. Records with a null key are dropped.
    ///
    /// ```
    /// # use kafka_streams_dsl::Repartitioned;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let spread = orders.repartition(Repartitioned::named("spread").with_number_of_partitions(12));
    /// ```
    #[track_caller]
    pub fn repartition(&self, repartitioned: Repartitioned<K, V>) -> KStream<K, V> {
        let Repartitioned { name, keys, values, partitions, partitioner } = repartitioned;
        let (keys, values) = (keys.or_inherited(self.keys.as_ref()), values.or_inherited(self.values.as_ref()));
        let mut graph = self.graph.lock();
        let topic_prefix = match name {
            Some(name) => {
                graph.check("repartition topic", &name);
                name
            }
            None => graph.names.next_node(prefix::REPARTITION),
        };
        let mut names = graph.repartition(&topic_prefix);
        names.partitions = partitions;
        names.mergeable = false;
        let lowering = lower::repartition(lower::Repartition {
            keys: keys.clone(),
            values: values.clone(),
            partitioner,
            key_hash: self.key_hash,
        });
        let node = graph.add(&[self.node], names.source.clone(), SAME, Body::Repartition(names, lowering));
        drop(graph);
        KStream {
            graph: self.graph.clone(),
            node,
            sources: vec![node],
            keys: Some(keys),
            values: Some(values),
            key_hash: self.key_hash,
            repartition_required: false,
        }
    }

    /// Runs the user's [`Processor`] on every record. `make` makes one for each task, from the stores that are named in
    /// `stores`: `()` for none, a [`StoreRef`](crate::StoreRef), or a tuple of them.
    ///
    /// The processor may change the key, so the next aggregation or join repartitions the stream.
    ///
    /// ```
    /// use kafka_streams_core::{Context, Processor, Record, Step};
    /// use kafka_streams_dsl::StreamsBuilder;
    ///
    /// /// Passes on every second record.
    /// struct EverySecond { odd: bool }
    ///
    /// impl Processor for EverySecond {
    ///     type KIn = String;
    ///     type VIn = i64;
    ///     type KOut = String;
    ///     type VOut = i64;
    ///
    ///     fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, String, i64>) -> Step {
    ///         self.odd = !self.odd;
    ///         if self.odd { Ok(()) } else { cx.forward(record) }
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream("orders").process((), |()| EverySecond { odd: false }).to("half-of-the-orders");
    /// ```
    #[track_caller]
    pub fn process<P, S, F>(&self, stores: S, make: F) -> KStream<P::KOut, P::VOut>
    where
        P: Processor<KIn = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> P + Send + Sync + 'static,
    {
        let name = self.graph.lock().names.next_node(prefix::PROCESSOR);
        self.do_process(name, stores, make)
    }

    /// [`process`](KStream::process) by a node of this name.
    #[track_caller]
    pub fn process_named<P, S, F>(&self, name: impl Into<String>, stores: S, make: F) -> KStream<P::KOut, P::VOut>
    where
        P: Processor<KIn = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> P + Send + Sync + 'static,
    {
        let name = name.into();
        self.graph.lock().check("node", &name);
        self.do_process(name, stores, make)
    }

    /// Groups the records by their keys, to be aggregated. If the key may have changed, the records are sent through a
    /// repartition topic first. Records with a null key are dropped.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let orders_per_customer = orders.group_by_key(Grouped::default()).count(Materialized::named("orders-per-customer"));
    /// ```
    pub fn group_by_key(&self, grouped: Grouped<K, V>) -> KGroupedStream<K, V> {
        KGroupedStream::new(self, grouped)
    }

    /// Groups the records by the key that `f` finds for them: [`select_key`](KStream::select_key) and
    /// [`group_by_key`](KStream::group_by_key) in one. The records are sent through a repartition topic.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
    /// let views = clicks.group_by(|_user, page| page.clone(), Grouped::named("by-page")).count(Materialized::named("views"));
    /// ```
    #[track_caller]
    pub fn group_by<K2, F>(&self, f: F, grouped: Grouped<K2, V>) -> KGroupedStream<K2, V>
    where
        K2: Clone + 'static,
        F: Fn(&K, &V) -> K2 + Send + Sync + 'static,
    {
        self.do_select_key(grouped.name.clone(), f).group_by_key(grouped)
    }

    /// The stream as a table of the last value of each key, without a name of its own: the store, if one is needed, has
    /// a generated name. See [`to_table_with`](KStream::to_table_with).
    ///
    /// ```
    /// # let settings = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("settings");
    /// let current = settings.to_table();
    /// ```
    #[track_caller]
    pub fn to_table(&self) -> KTable<K, V>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.do_to_table(None, Materialized::default())
    }

    /// The stream as a table of the last value of each key. A null value deletes its row, a null key is dropped.
    ///
    /// The table's values are of the stream's type `V`, or, of a stream of `Option<T>`, of type `T`, where `None` is a
    /// null. Which one it is must be said for a stream of `Option`s, by the type of `materialized` or of the table.
    ///
    /// ```
    /// # use kafka_streams_dsl::{KTable, Materialized};
    /// # let numbers = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("numbers");
    /// let last = numbers.to_table_with(Materialized::named("last-numbers"));
    /// # let settings = kafka_streams_dsl::StreamsBuilder::new().stream::<String, Option<i64>>("settings");
    /// let current: KTable<String, i64> = settings.to_table_with(Materialized::named("current-settings"));
    /// ```
    #[track_caller]
    pub fn to_table_with<T>(&self, materialized: Materialized<K, T>) -> KTable<K, T>
    where
        K: DefaultSerde,
        V: IntoRow<T>,
        T: Clone + 'static,
    {
        self.do_to_table(None, materialized)
    }

    /// [`to_table_with`](KStream::to_table_with) by a node of this name, which also names the repartition topic, if one
    /// is needed.
    #[track_caller]
    pub fn to_table_with_named<T>(&self, name: impl Into<String>, materialized: Materialized<K, T>) -> KTable<K, T>
    where
        K: DefaultSerde,
        V: IntoRow<T>,
        T: Clone + 'static,
    {
        self.do_to_table(Some(name.into()), materialized)
    }

    /// Writes the stream to a topic, with the serdes that it came with, else those of its types.
    ///
    /// Windowed keys are written as those of the aggregation that they come from. If the keys were changed since, which
    /// is an error of [`build`](crate::StreamsBuilder::build), name a serde by [`to_with`](KStream::to_with).
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// orders.to("copy-of-orders");
    /// ```
    #[track_caller]
    pub fn to(&self, topic: impl Into<String>)
    where
        K: SinkKey,
        V: DefaultSerde,
    {
        match self.keys.clone().or_else(K::default_serde) {
            Some(keys) => self.to_with(topic, Produced::of_keys(keys)),
            None => {
                let (topic, place) = (topic.into(), Location::caller());
                self.graph.lock().errors.push(BuildError::UnknownKeySerde { topic, place });
            }
        }
    }

    /// Writes the stream to a topic as `produced` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::Produced;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// orders.to_with("copy-of-orders", Produced::named("copy"));
    /// ```
    #[track_caller]
    pub fn to_with(&self, topic: impl Into<String>, produced: Produced<K, V>) {
        let Produced { name, keys, values, partitioner, key_hash } = produced;
        let topic = topic.into();
        let keys = keys.or_inherited(self.keys.as_ref());
        let values = values.or_inherited(self.values.as_ref());
        let key_hash = key_hash.or(self.key_hash);
        let spec = SinkSpec { topic: TopicName::external(topic.clone()), keys, values, partitioner, key_hash };
        let mut graph = self.graph.lock();
        graph.check("topic", &topic);
        let name = graph.node_name(name, prefix::SINK);
        graph.add(&[self.node], name, SAME, Body::Node(lower::sink(spec)));
    }
}

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    #[track_caller]
    fn do_filter<F>(&self, name: Option<String>, predicate: F, keep: bool) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        let predicate = Arc::new(predicate);
        let node = self.attach(name, prefix::FILTER, SAME, move |out: Children<K, V>| {
            let predicate = predicate.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| match predicate(&record.key, &record.value) == keep {
                true => out.forward(cx, record),
                false => Ok(()),
            }
        });
        KStream { node, ..self.clone() }
    }

    #[track_caller]
    fn do_map<K2, V2, F>(&self, name: Option<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        F: Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::MAP, NEW_KEY, move |out: Children<K2, V2>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let Record { key, value, timestamp, headers } = record;
                let (key, value) = f(key, value);
                out.forward(cx, Record { key, value, timestamp, headers })
            }
        });
        self.with_new_key(node, None)
    }

    #[track_caller]
    fn do_map_values<V2, F>(&self, name: Option<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> V2 + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::MAP_VALUES, NEW_VALUE, move |out: Children<K, V2>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                out.forward(cx, record.map_value(|key, value| f(key, value)))
            }
        });
        self.with_new_value(node)
    }

    #[track_caller]
    fn do_flat_map<K2, V2, I, F>(&self, name: Option<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        I: IntoIterator<Item = (K2, V2)>,
        F: Fn(K, V) -> I + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::FLAT_MAP, NEW_KEY, move |out: Children<K2, V2>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let Record { key, value, timestamp, headers } = record;
                f(key, value).into_iter().try_for_each(|(key, value)| {
                    out.forward(cx, Record { key, value, timestamp, headers: headers.clone() })
                })
            }
        });
        self.with_new_key(node, None)
    }

    #[track_caller]
    fn do_flat_map_values<I, F>(&self, name: Option<String>, f: F) -> KStream<K, I::Item>
    where
        I: IntoIterator<Item: Clone + 'static>,
        F: Fn(&K, V) -> I + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::FLAT_MAP_VALUES, NEW_VALUE, move |out: Children<K, I::Item>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let Record { key, value, timestamp, headers } = record;
                let mut values = f(&key, value).into_iter();
                let Some(mut value) = values.next() else { return Ok(()) };
                // One value behind, so that the last one takes the key itself and not a clone.
                for next in values {
                    let value = std::mem::replace(&mut value, next);
                    out.forward(cx, Record { key: key.clone(), value, timestamp, headers: headers.clone() })?;
                }
                out.forward(cx, Record { key, value, timestamp, headers })
            }
        });
        self.with_new_value(node)
    }

    #[track_caller]
    fn do_select_key<K2, F>(&self, name: Option<String>, f: F) -> KStream<K2, V>
    where
        K2: Clone + 'static,
        F: Fn(&K, &V) -> K2 + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::SELECT_KEY, NEW_KEY, move |out: Children<K2, V>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let key = f(&record.key, &record.value);
                out.forward(cx, record.with_key(key))
            }
        });
        self.with_new_key(node, self.values.clone())
    }

    #[track_caller]
    fn do_peek<F>(&self, name: Option<String>, f: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::PEEK, SAME, move |out: Children<K, V>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                f(&record.key, &record.value);
                out.forward(cx, record)
            }
        });
        KStream { node, ..self.clone() }
    }

    #[track_caller]
    fn do_for_each<F>(&self, name: Option<String>, f: F)
    where
        F: Fn(K, V) + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let lowering = lower::terminal(move || {
            let f = f.clone();
            move |_: &mut TaskContext, record: Record<K, V>| -> Step {
                f(record.key, record.value);
                Ok(())
            }
        });
        self.add_below(name, prefix::FOR_EACH, SAME, lowering);
    }

    #[track_caller]
    fn do_merge(&self, name: Option<String>, other: &KStream<K, V>) -> KStream<K, V> {
        let mut graph = self.graph.lock();
        let name = graph.node_name(name, prefix::MERGE);
        if !self.graph.is_same_as(&other.graph) {
            graph.errors.push(BuildError::TwoBuilders { node: name });
            drop(graph);
            return self.clone();
        }
        let lowering = lower::stateless(|out: Children<K, V>| {
            move |cx: &mut TaskContext, record: Record<K, V>| out.forward(cx, record)
        });
        let traits = Traits { merges: true, ..SAME };
        let node = graph.add(&[self.node, other.node], name, traits, Body::Node(lowering));
        drop(graph);
        let mut sources = self.sources.clone();
        sources.extend(other.sources.iter().filter(|source| !self.sources.contains(source)));
        KStream {
            graph: self.graph.clone(),
            node,
            sources,
            keys: None,
            values: None,
            key_hash: self.key_hash.or(other.key_hash),
            repartition_required: self.repartition_required || other.repartition_required,
        }
    }

    #[track_caller]
    fn do_process<P, S, F>(&self, name: String, stores: S, make: F) -> KStream<P::KOut, P::VOut>
    where
        P: Processor<KIn = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> P + Send + Sync + 'static,
    {
        let node = self.graph.lock().add(&[self.node], name, SAME, Body::Node(lower::process(stores, make)));
        self.with_new_key(node, None)
    }

    #[track_caller]
    fn do_to_table<T>(&self, name: Option<String>, materialized: Materialized<K, T>) -> KTable<K, T>
    where
        K: DefaultSerde,
        V: IntoRow<T>,
        T: Clone + 'static,
    {
        let keys = materialized.key_serde(&self.keys.clone().unwrap_or_else(K::shared));
        let values = materialized.values.or_inherited(V::row_serde(self.values.as_ref()).as_ref());
        KTable::of_stream(self, keys, values, name, materialized)
    }

    /// Adds a node without a store below the stream.
    #[track_caller]
    pub(crate) fn attach<K2, V2, N>(
        &self,
        name: Option<String>,
        prefix: &str,
        traits: Traits,
        build: impl Fn(Children<K2, V2>) -> N + Send + Sync + 'static,
    ) -> GraphId
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        N: Fn(&mut TaskContext, Record<K, V>) -> Step + 'static,
    {
        self.add_below(name, prefix, traits, lower::stateless(build))
    }

    #[track_caller]
    pub(crate) fn add_below(&self, name: Option<String>, prefix: &str, traits: Traits, lowering: Lowering) -> GraphId {
        let mut graph = self.graph.lock();
        let name = graph.node_name(name, prefix);
        graph.add(&[self.node], name, traits, Body::Node(lowering))
    }

    pub(crate) fn with_new_key<K2, V2>(&self, node: GraphId, values: Option<SharedSerde<V2>>) -> KStream<K2, V2> {
        KStream {
            graph: self.graph.clone(),
            node,
            sources: self.sources.clone(),
            keys: None,
            values,
            key_hash: None,
            repartition_required: true,
        }
    }

    pub(crate) fn with_new_value<V2>(&self, node: GraphId) -> KStream<K, V2> {
        KStream {
            graph: self.graph.clone(),
            node,
            sources: self.sources.clone(),
            keys: self.keys.clone(),
            values: None,
            key_hash: self.key_hash,
            repartition_required: self.repartition_required,
        }
    }
}

impl<K, V> Clone for KStream<K, V> {
    fn clone(&self) -> Self {
        KStream {
            graph: self.graph.clone(),
            node: self.node,
            sources: self.sources.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            key_hash: self.key_hash,
            repartition_required: self.repartition_required,
        }
    }
}
