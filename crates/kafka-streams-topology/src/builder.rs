//! The Processor API: a topology written node by node, by names, as `org.apache.kafka.streams.Topology` is.

mod topic_store;

use std::any::Any;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{NodeId, Processor, Serde, Step};
use kafka_streams_state::{StateStore, StoreBuilder};

use crate::{
    Draft, DynamicSinkSpec, ProcessorSupplier, ProcessorWrapper, SinkSpec, SourceSpec, StoreBuilders, StoreIndex,
    StoreRef, StoreRefs, TopicName, TopicNameExtractor, TopicPattern, Topology, TopologyError, Wiring,
};

pub use topic_store::TopicStore;

/// Writes a topology by names. Parents are added before their children; key and value types of all edges are compared
/// by [`build`](TopologyBuilder::build). An illegal or taken name is told with the places where it was given.
///
/// ```
/// use kafka_streams_core::serde::{I64Serde, StringSerde};
/// use kafka_streams_core::{Context, Processor, Record, Step};
/// use kafka_streams_topology::TopologyBuilder;
///
/// struct Length;
///
/// impl Processor for Length {
///     type KIn = String;
///     type VIn = String;
///     type KOut = String;
///     type VOut = i64;
///
///     fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, i64>) -> Step {
///         cx.forward(record.map_value(|_, line| line.len() as i64))
///     }
/// }
///
/// # fn main() -> Result<(), kafka_streams_topology::TopologyError> {
/// let mut builder = TopologyBuilder::new();
/// builder
///     .add_source("lines", &["lines"], StringSerde, StringSerde)?
///     .add_processor("length", |_| Ok(Length), &["lines"])?
///     .add_sink("lengths", "lengths", StringSerde, I64Serde, &["length"])?;
/// let topology = builder.build()?;
/// assert!(topology.describe().contains("Processor: length"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct TopologyBuilder {
    draft: Draft,
    /// Connections to processors that may come later; made by `build`.
    connections: Vec<(Arc<str>, StoreConnection)>,
}

#[derive(Debug)]
enum StoreConnection {
    Index(StoreIndex),
    Name(String),
}

impl TopologyBuilder {
    /// A topology without nodes.
    pub fn new() -> Self {
        TopologyBuilder::default()
    }

    /// Wraps the processors that are added from now on, so that it is to be called first; see [`ProcessorWrapper`].
    #[must_use]
    pub fn with_processor_wrapper(mut self, wrapper: impl ProcessorWrapper) -> Self {
        self.draft.set_processor_wrapper(wrapper);
        self
    }

    /// Adds a node that reads `topics`.
    ///
    /// # Errors
    /// An illegal or taken name, no topic, or a topic that another source reads.
    #[track_caller]
    pub fn add_source<K, V>(
        &mut self,
        name: &str,
        topics: &[&str],
        keys: K,
        values: V,
    ) -> Result<&mut Self, TopologyError>
    where
        K: Serde<Target: Clone>,
        V: Serde<Target: Clone>,
    {
        let topics = topics.iter().map(|topic| TopicName::external(*topic));
        self.add_source_with(name, SourceSpec::new(topics, Arc::new(keys), Arc::new(values)))
    }

    /// Adds a node that reads the topics whose names match a pattern, also those that are created later.
    ///
    /// # Errors
    /// An illegal or taken name, no regular expression, or a topic that another source reads matches.
    #[track_caller]
    pub fn add_source_matching<K, V>(
        &mut self,
        name: &str,
        pattern: &str,
        keys: K,
        values: V,
    ) -> Result<&mut Self, TopologyError>
    where
        K: Serde<Target: Clone>,
        V: Serde<Target: Clone>,
    {
        let pattern = TopicPattern::new(pattern)?;
        self.add_source_with(name, SourceSpec::matching(pattern, Arc::new(keys), Arc::new(values)))
    }

    /// Adds a node that reads topics, with a timestamp extractor or a policy for missing offsets of its own.
    ///
    /// # Errors
    /// As [`add_source`](TopologyBuilder::add_source).
    #[track_caller]
    pub fn add_source_with<K, V>(&mut self, name: &str, source: SourceSpec<K, V>) -> Result<&mut Self, TopologyError>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        self.draft.enter(Location::caller());
        self.draft.add_source(name, source)?;
        Ok(self)
    }

    /// Adds a processor. `supplier` makes it in each task, and gets the stores that are connected to it by
    /// [`add_state_store`](TopologyBuilder::add_state_store) or
    /// [`connect_processor_and_state_stores`](TopologyBuilder::connect_processor_and_state_stores).
    ///
    /// # Errors
    /// An illegal or taken name, no parent, or a parent that does not exist or is a sink.
    #[track_caller]
    pub fn add_processor<P: Processor>(
        &mut self,
        name: &str,
        supplier: impl Fn(&ProcessorStores<'_>) -> Step<P> + Send + Sync + 'static,
        parents: &[&str],
    ) -> Result<&mut Self, TopologyError> {
        self.push_processor(name, &[], parents, move |wiring| supplier(&ProcessorStores { wiring }))
    }

    /// Adds a processor and connects it to `stores`, which `supplier` gets in the same shape: one store for one
    /// reference, a tuple for a tuple.
    ///
    /// # Errors
    /// As [`add_processor`](TopologyBuilder::add_processor).
    #[track_caller]
    pub fn add_processor_with_stores<R: StoreRefs, P: Processor>(
        &mut self,
        name: &str,
        stores: R,
        supplier: impl Fn(R::Stores) -> P + Send + Sync + 'static,
        parents: &[&str],
    ) -> Result<&mut Self, TopologyError> {
        self.push_processor(name, &stores.indexes(), parents, move |wiring| Ok(supplier(stores.resolve(wiring)?)))
    }

    /// Adds a processor with the stores that its supplier brings.
    ///
    /// # Errors
    /// As [`add_processor`](TopologyBuilder::add_processor); or another store has the name of one that is brought.
    #[track_caller]
    pub fn add_supplied_processor<S: ProcessorSupplier>(
        &mut self,
        name: &str,
        supplier: S,
        parents: &[&str],
    ) -> Result<&mut Self, TopologyError> {
        self.draft.enter(Location::caller());
        let stores = supplier.stores().add_to(&mut self.draft)?;
        self.push_processor(name, &stores.indexes(), parents, move |wiring| Ok(supplier.get(stores.resolve(wiring)?)))
    }

    /// Adds a node that writes the topic that `extractor` chooses for each record, partitioned by the hash of the key.
    ///
    /// # Errors
    /// As [`add_processor`](TopologyBuilder::add_processor).
    #[track_caller]
    pub fn add_dynamic_sink<K, V>(
        &mut self,
        name: &str,
        extractor: impl TopicNameExtractor<K::Target, V::Target> + 'static,
        keys: K,
        values: V,
        parents: &[&str],
    ) -> Result<&mut Self, TopologyError>
    where
        K: Serde<Target: Clone>,
        V: Serde<Target: Clone>,
    {
        self.add_dynamic_sink_with(name, DynamicSinkSpec::new(extractor, Arc::new(keys), Arc::new(values)), parents)
    }

    /// Adds a node that writes topics of its choice, with a partitioner of its own.
    ///
    /// # Errors
    /// As [`add_processor`](TopologyBuilder::add_processor).
    #[track_caller]
    pub fn add_dynamic_sink_with<K, V>(
        &mut self,
        name: &str,
        sink: DynamicSinkSpec<K, V>,
        parents: &[&str],
    ) -> Result<&mut Self, TopologyError>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        self.draft.enter(Location::caller());
        let parents = self.parents(name, parents)?;
        self.draft.add_dynamic_sink(name, &parents, sink)?;
        Ok(self)
    }

    /// Adds a node that writes `topic`, partitioned by the hash of the key.
    ///
    /// # Errors
    /// As [`add_processor`](TopologyBuilder::add_processor).
    #[track_caller]
    pub fn add_sink<K, V>(
        &mut self,
        name: &str,
        topic: &str,
        keys: K,
        values: V,
        parents: &[&str],
    ) -> Result<&mut Self, TopologyError>
    where
        K: Serde<Target: Clone>,
        V: Serde<Target: Clone>,
    {
        let sink = SinkSpec::new(TopicName::external(topic), Arc::new(keys), Arc::new(values));
        self.add_sink_with(name, sink, parents)
    }

    /// Adds a node that writes a topic, with a partitioner of its own.
    ///
    /// # Errors
    /// As [`add_processor`](TopologyBuilder::add_processor).
    #[track_caller]
    pub fn add_sink_with<K, V>(
        &mut self,
        name: &str,
        sink: SinkSpec<K, V>,
        parents: &[&str],
    ) -> Result<&mut Self, TopologyError>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        self.draft.enter(Location::caller());
        let parents = self.parents(name, parents)?;
        self.draft.add_sink(name, &parents, sink)?;
        Ok(self)
    }

    /// Adds a store and connects it to these processors, which may be added later.
    ///
    /// # Errors
    /// An illegal or taken name.
    #[track_caller]
    pub fn add_state_store<B: StoreBuilder>(
        &mut self,
        builder: B,
        processors: &[&str],
    ) -> Result<StoreRef<B::Store>, TopologyError> {
        self.draft.enter(Location::caller());
        let store = self.draft.add_store(builder)?;
        let connections = processors.iter().map(|name| ((*name).into(), StoreConnection::Index(store.index())));
        self.connections.extend(connections);
        Ok(store)
    }

    /// Lets a processor use these stores. Processors that share a store belong to one sub-topology. Names are looked up
    /// by [`build`](TopologyBuilder::build).
    pub fn connect_processor_and_state_stores(&mut self, processor: &str, stores: &[&str]) -> &mut Self {
        let connections = stores.iter().map(|name| (processor.into(), StoreConnection::Name((*name).to_owned())));
        self.connections.extend(connections);
        self
    }

    /// Checks the whole and makes it immutable.
    ///
    /// # Errors
    /// A node or store that was named and not added, and whatever [`Draft::build`] refuses.
    pub fn build(mut self) -> Result<Topology, TopologyError> {
        for (processor, store) in std::mem::take(&mut self.connections) {
            let by: Arc<str> = format!("the connection of processor {processor} and its store").into();
            let Some(node) = self.draft.node(&processor) else {
                return Err(TopologyError::UnknownNode { node: processor.to_string(), by });
            };
            let index = match store {
                StoreConnection::Index(index) => index,
                StoreConnection::Name(name) => match self.draft.store(&name) {
                    Some(index) => index,
                    None => return Err(TopologyError::UnknownStore { store: name, by: processor }),
                },
            };
            self.draft.connect_store(node, index)?;
        }
        self.draft.build()
    }

    #[track_caller]
    fn push_processor<P: Processor>(
        &mut self,
        name: &str,
        stores: &[StoreIndex],
        parents: &[&str],
        make: impl Fn(&Wiring<'_>) -> Step<P> + Send + Sync + 'static,
    ) -> Result<&mut Self, TopologyError> {
        self.draft.enter(Location::caller());
        let parents = self.parents(name, parents)?;
        let build = move |wiring: &mut Wiring<'_>, id: NodeId| {
            let processor = make(wiring)?;
            wiring.install_processor(id, processor)
        };
        self.draft.add_processor::<(P::KIn, P::VIn), (P::KOut, P::VOut)>(name, &parents, stores, build)?;
        Ok(self)
    }

    fn parents(&self, child: &str, parents: &[&str]) -> Result<Vec<NodeId>, TopologyError> {
        let unknown = |parent: &str| TopologyError::UnknownNode { node: parent.to_owned(), by: child.into() };
        parents.iter().map(|parent| self.draft.node(parent).ok_or_else(|| unknown(parent))).collect()
    }
}

/// The stores of one task that a processor may use, while it is made.
pub struct ProcessorStores<'w> {
    wiring: &'w Wiring<'w>,
}

impl<'w> ProcessorStores<'w> {
    pub(crate) fn new(wiring: &'w Wiring<'w>) -> Self {
        ProcessorStores { wiring }
    }
}

impl ProcessorStores<'_> {
    /// The task's instance of a store.
    ///
    /// # Errors
    /// The store is not connected to the processor.
    pub fn get<S: StateStore + Any>(&self, store: StoreRef<S>) -> Step<Rc<S>> {
        self.wiring.store(store)
    }

    /// The task's instance of the store of this name. Prefer [`get`](ProcessorStores::get), which cannot fail by type.
    ///
    /// # Errors
    /// There is no such store, it is not connected to the processor, or it has another type.
    pub fn named<S: StateStore + Any>(&self, name: &str) -> Step<Rc<S>> {
        self.wiring.store_named(name)
    }
}

impl std::fmt::Debug for ProcessorStores<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProcessorStores { .. }")
    }
}
