//! A topology being written: nodes in the order in which they are added, parents before children.
//!
//! The DSL lowers onto this; [`TopologyBuilder`](crate::TopologyBuilder) writes it by names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kafka_streams_core::{NodeId, Step};
use kafka_streams_naming::Naming;
use kafka_streams_state::{StoreBuilder, StoreSpec};

use crate::node::{BuildNode, NodeFacts};
use crate::origin::Origin;
use crate::places::{Place, Places};
use crate::processor_wrapper::AnyProcessorWrapper;
use crate::store::DeclaredStore;
use crate::{
    DynamicSinkSpec, EdgeTypes, Node, NodeKind, NodeTypes, ProcessorWrapper, SinkSpec, SourceSpec, StoreIndex,
    StoreRef, TopicName, Topology, TopologyError, Wiring,
};

/// A topology that can still grow. An error leaves it as it was.
#[derive(Default)]
pub struct Draft {
    nodes: Vec<Node>,
    node_names: BTreeMap<Arc<str>, NodeId>,
    specs: Vec<StoreSpec>,
    stores: Vec<DeclaredStore>,
    store_names: BTreeMap<Arc<str>, StoreIndex>,
    read_by: BTreeMap<TopicName, NodeId>,
    repartition_topics: Vec<RepartitionTopic>,
    copartitions: Vec<Vec<NodeId>>,
    told_copartitions: Vec<Vec<NodeId>>,
    source_changelogs: Vec<(StoreIndex, Arc<str>)>,
    origin: Origin,
    places: Places,
    wrapper: Option<Arc<dyn AnyProcessorWrapper>>,
}

/// A declared internal topic between sub-topologies.
#[derive(Clone, Debug)]
pub(crate) struct RepartitionTopic {
    /// Without the application id.
    pub(crate) name: Arc<str>,
    /// The explicit number of partitions.
    pub(crate) partitions: Option<i32>,
}

impl Draft {
    /// A topology without nodes.
    pub fn new() -> Self {
        Draft::default()
    }

    /// Says where in the user's program the names are given that follow.
    pub(crate) fn enter(&mut self, place: Place) {
        self.places.enter(place);
    }

    /// Says how the names that nobody chose were numbered; without it there are none.
    pub fn set_naming(&mut self, naming: Naming) {
        self.origin.naming = Some(naming);
    }

    /// Wraps the processors that are added from now on.
    pub fn set_processor_wrapper(&mut self, wrapper: impl ProcessorWrapper) {
        self.wrapper = Some(Arc::new(Arc::new(wrapper)));
    }

    /// Adds a node that reads topics.
    ///
    /// # Errors
    /// An illegal or taken name, no topic, or a topic that another source reads.
    pub fn add_source<K, V>(&mut self, name: &str, source: SourceSpec<K, V>) -> Result<NodeId, TopologyError>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        let name = self.new_node_name(name)?;
        if source.topics.is_empty() && source.pattern.is_none() {
            return Err(TopologyError::NoTopics { node: name });
        }
        if let Some(pattern) = &source.pattern {
            let known = self.read_by.iter().find(|(topic, _)| !topic.internal && pattern.matches(&topic.name));
            if let Some((topic, read_by)) = known {
                return Err(TopologyError::TopicMatchesPattern {
                    topic: topic.name.clone(),
                    source_node: self.name_of(*read_by),
                    pattern: pattern.as_str().into(),
                    pattern_node: name,
                });
            }
        }
        for (at, topic) in source.topics.iter().enumerate() {
            self.places.check("topic", &topic.name)?;
            self.check_matches_no_pattern(topic, &name)?;
            let known = self.read_by.get(topic).map(|source| self.name_of(*source));
            let repeated = source.topics.iter().take(at).any(|earlier| earlier == topic).then(|| name.clone());
            if let Some(first) = known.or(repeated) {
                return Err(TopologyError::TopicReadTwice { topic: topic.name.clone(), first, second: name });
            }
        }
        let kind = NodeKind::Source {
            topics: source.topics.clone(),
            pattern: source.pattern.clone(),
            timestamp_extractor: source.timestamp_extractor,
            offset_reset: source.offset_reset,
        };
        let (topics, facts) = (source.topics.clone(), source.facts());
        let types = (None, Some(EdgeTypes::of::<K, V>()));
        let id = self.push(name, kind, &[], types, source.into_build());
        self.note(id, facts);
        self.read_by.extend(topics.into_iter().map(|topic| (topic, id)));
        Ok(id)
    }

    /// Adds a node that takes records of the types `I` and sends records of the types `O`; each is a pair of key and
    /// value, or `()` where no record travels. `build` makes the node in each task, by [`Wiring::install`].
    ///
    /// # Errors
    /// An illegal or taken name, no parent, a parent or store that does not exist, or a sink as parent.
    pub fn add_processor<I: NodeTypes, O: NodeTypes>(
        &mut self,
        name: &str,
        parents: &[NodeId],
        stores: &[StoreIndex],
        build: impl Fn(&mut Wiring<'_>, NodeId) -> Step + Send + Sync + 'static,
    ) -> Result<NodeId, TopologyError> {
        let wrapping = match self.wrapper.clone() {
            Some(wrapper) if !self.node_names.contains_key(name) => wrapper.declare(name, self)?,
            _ => None,
        };
        let id = self.add_unwrapped_processor::<I, O>(name, parents, stores, build)?;
        if let Some((stores, wrap)) = wrapping {
            for store in stores {
                self.connect_store(id, store)?;
            }
            if let Some(node) = self.nodes.get_mut(id.0 as usize) {
                node.wrap = Some(wrap);
            }
        }
        Ok(id)
    }

    /// Adds a node that writes a topic.
    ///
    /// # Errors
    /// As [`add_processor`](Draft::add_processor).
    pub fn add_sink<K, V>(
        &mut self,
        name: &str,
        parents: &[NodeId],
        sink: SinkSpec<K, V>,
    ) -> Result<NodeId, TopologyError>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        let name = self.new_node_name(name)?;
        self.places.check("topic", &sink.topic.name)?;
        self.check_parents(&name, parents)?;
        let kind = NodeKind::Sink { topic: sink.topic.clone() };
        let (types, facts) = ((Some(EdgeTypes::of::<K, V>()), None), sink.facts());
        let id = self.push(name, kind, parents, types, sink.into_build());
        self.note(id, facts);
        Ok(id)
    }

    /// Adds a node that writes the topic that is chosen for each record.
    ///
    /// # Errors
    /// As [`add_processor`](Draft::add_processor).
    pub fn add_dynamic_sink<K, V>(
        &mut self,
        name: &str,
        parents: &[NodeId],
        sink: DynamicSinkSpec<K, V>,
    ) -> Result<NodeId, TopologyError>
    where
        K: Clone + 'static,
        V: Clone + 'static,
    {
        let name = self.new_node_name(name)?;
        self.check_parents(&name, parents)?;
        let kind = NodeKind::DynamicSink { extractor: sink.extractor.name().into() };
        let (types, facts) = ((Some(EdgeTypes::of::<K, V>()), None), sink.facts());
        let id = self.push(name, kind, parents, types, sink.into_build());
        self.note(id, facts);
        Ok(id)
    }

    /// Adds a store of which every instance has all: a source that reads all partitions of its topics, and a processor
    /// that takes records of the types `I` and keeps the store. It has no changelog, its topic is one.
    ///
    /// `build` makes the processor, by [`Wiring::install`]; nothing can be below it.
    ///
    /// # Errors
    /// As [`add_source`](Draft::add_source), [`add_processor`](Draft::add_processor) and [`add_store`](Draft::add_store).
    pub fn add_global_store<B, K, V, O>(
        &mut self,
        store: B,
        source_name: &str,
        source: SourceSpec<K, V>,
        processor_name: &str,
        build: impl FnOnce(StoreRef<B::Store>) -> O,
    ) -> Result<StoreRef<B::Store>, TopologyError>
    where
        B: StoreBuilder,
        K: Clone + 'static,
        V: Clone + 'static,
        O: Fn(&mut Wiring<'_>, NodeId) -> Step + Send + Sync + 'static,
    {
        let processor = self.new_node_name(processor_name)?;
        if *source_name == *processor {
            return Err(self.places.duplicate_node(&processor));
        }
        let source = self.add_source(source_name, source)?;
        let store = self.add_store(store)?;
        let index = store.index();
        self.add_unwrapped_processor::<(K, V), ()>(processor_name, &[source], &[index], build(store))?;
        if let Some(declared) = self.stores.get_mut(index.0 as usize) {
            declared.global = true;
        }
        if let Some(spec) = self.specs.get_mut(index.0 as usize) {
            spec.logging = None;
            spec.caching = false;
        }
        Ok(store)
    }

    /// Adds a store. Connect it to the processors that use it.
    ///
    /// # Errors
    /// An illegal or taken name, or a declaration that cannot work.
    pub fn add_store<B: StoreBuilder>(&mut self, builder: B) -> Result<StoreRef<B::Store>, TopologyError> {
        let (spec, declared) = DeclaredStore::new(builder);
        self.places.check("store", &spec.name)?;
        spec.validate().map_err(|error| TopologyError::IllegalStore { reason: error.to_string() })?;
        if self.store_names.contains_key(&spec.name) {
            return Err(self.places.duplicate_store(&spec.name));
        }
        let index = StoreIndex(u32::try_from(self.specs.len()).unwrap_or(u32::MAX));
        self.places.note_store(&spec.name);
        self.store_names.insert(spec.name.clone(), index);
        self.specs.push(spec);
        self.stores.push(declared);
        Ok(StoreRef::new(index))
    }

    /// Lets a processor use a store. Processors that share a store belong to one sub-topology.
    ///
    /// # Errors
    /// There is no such node or store, or the node is no processor.
    pub fn connect_store(&mut self, node: NodeId, store: StoreIndex) -> Result<(), TopologyError> {
        let name = self.checked_name_of(node, "connecting a store")?;
        let store_name = self.check_store(store, &name)?;
        let Some(declared) = self.nodes.get_mut(node.0 as usize) else { return Ok(()) };
        if self.stores.get(store.0 as usize).is_some_and(|store| store.global) {
            return Err(TopologyError::ConnectedToGlobal { node: name, store: store_name });
        }
        if declared.kind != NodeKind::Processor {
            return Err(TopologyError::StoreOnSourceOrSink { store: store_name, node: name });
        }
        if !declared.stores.contains(&store) {
            declared.stores.push(store);
        }
        Ok(())
    }

    /// Declares an internal topic that records are sent through to be partitioned anew; `topic` is without the
    /// application id. Without an explicit number it gets as many partitions as what leads to it.
    ///
    /// # Errors
    /// An illegal name or number, or another number than was declared before.
    pub fn add_repartition_topic(&mut self, topic: &str, partitions: Option<i32>) -> Result<(), TopologyError> {
        self.places.check("topic", topic)?;
        if let Some(partitions) = partitions.filter(|partitions| *partitions < 1) {
            return Err(TopologyError::IllegalPartitions { topic: topic.into(), partitions });
        }
        match self.repartition_topics.iter().find(|known| *known.name == *topic) {
            Some(known) if known.partitions == partitions => Ok(()),
            Some(known) => Err(TopologyError::RepartitionTopicConflict {
                topic: known.name.clone(),
                first: known.partitions,
                second: partitions,
            }),
            None => {
                self.repartition_topics.push(RepartitionTopic { name: topic.into(), partitions });
                Ok(())
            }
        }
    }

    /// Restores `store` from the source topic that it is a copy of, and gives it no changelog of its own
    /// (`reuse.ktable.source.topics` of the JVM).
    pub fn use_source_as_changelog(&mut self, store: StoreIndex, topic: &str) {
        self.source_changelogs.push((store, topic.into()));
    }

    /// Says that the topics of these sources are joined, and so must have equal numbers of partitions.
    pub fn copartition(&mut self, sources: &[NodeId]) {
        self.copartition_and_tell(sources, sources);
    }

    /// [`copartition`](Draft::copartition), of which the JVM knows `told` only: what
    /// [`copartition_sets`](crate::Topology::copartition_sets) tells.
    pub fn copartition_and_tell(&mut self, sources: &[NodeId], told: &[NodeId]) {
        self.copartitions.push(sources.to_vec());
        self.told_copartitions.push(told.to_vec());
    }

    /// Notes for the manifest which operator a node is: what a generated name of it begins with, as `KSTREAM-MAP-`.
    pub fn set_operator(&mut self, node: &str, operator: &str) {
        self.origin.operators.insert(node.into(), operator.into());
    }

    /// The name of a node.
    pub fn name(&self, node: NodeId) -> Option<&Arc<str>> {
        self.nodes.get(node.0 as usize).map(|node| &node.name)
    }

    /// The node of a name.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.node_names.get(name).copied()
    }

    /// The store of a name.
    pub fn store(&self, name: &str) -> Option<StoreIndex> {
        self.store_names.get(name).copied()
    }

    /// What was declared of a store.
    pub fn store_spec(&self, store: StoreIndex) -> Option<&StoreSpec> {
        self.specs.get(store.0 as usize)
    }

    /// Checks the whole and makes it immutable.
    ///
    /// # Errors
    /// An edge between different types, a store that no processor uses, an internal topic that was not declared, a
    /// group of co-partitioned nodes with one that is no source, or a changelog that no source reads.
    pub fn build(mut self) -> Result<Topology, TopologyError> {
        self.check_edges()?;
        self.check_internal_topics()?;
        self.check_copartitions()?;
        self.settle_source_changelogs()?;
        self.check_stores_connected()?;
        let indexes = (0..u32::try_from(self.stores.len()).unwrap_or(u32::MAX)).map(StoreIndex);
        let globals: Vec<StoreIndex> =
            self.stores.iter().zip(indexes).filter(|(store, _)| store.global).map(|(_, index)| index).collect();
        let subtopologies = crate::subtopology::subtopologies(&self.nodes, self.specs.len(), &globals);
        Ok(Topology {
            nodes: self.nodes,
            specs: self.specs,
            stores: self.stores,
            repartition_topics: self.repartition_topics,
            copartitions: self.copartitions,
            told_copartitions: self.told_copartitions,
            subtopologies,
            origin: self.origin,
        })
    }

    /// [`add_processor`](Draft::add_processor), which no wrapper goes around.
    pub(crate) fn add_unwrapped_processor<I: NodeTypes, O: NodeTypes>(
        &mut self,
        name: &str,
        parents: &[NodeId],
        stores: &[StoreIndex],
        build: impl Fn(&mut Wiring<'_>, NodeId) -> Step + Send + Sync + 'static,
    ) -> Result<NodeId, TopologyError> {
        let name = self.new_node_name(name)?;
        self.check_parents(&name, parents)?;
        for store in stores {
            self.check_store(*store, &name)?;
        }
        let id = self.push(name, NodeKind::Processor, parents, (I::types(), O::types()), Box::new(build));
        for store in stores {
            self.connect_store(id, *store)?;
        }
        Ok(id)
    }

    fn push(
        &mut self,
        name: Arc<str>,
        kind: NodeKind,
        parents: &[NodeId],
        (input, output): (Option<EdgeTypes>, Option<EdgeTypes>),
        build: BuildNode,
    ) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        for parent in parents {
            if let Some(parent) = self.nodes.get_mut(parent.0 as usize) {
                parent.children.push(id);
            }
        }
        self.places.note_node(&name);
        self.node_names.insert(name.clone(), id);
        let parents = parents.to_vec();
        self.nodes.push(Node {
            id,
            name,
            kind,
            parents,
            children: vec![],
            stores: vec![],
            input,
            output,
            facts: NodeFacts::default(),
            build,
            wrap: None,
        });
        id
    }

    fn note(&mut self, node: NodeId, facts: NodeFacts) {
        if let Some(node) = self.nodes.get_mut(node.0 as usize) {
            node.facts = facts;
        }
    }

    fn new_node_name(&self, name: &str) -> Result<Arc<str>, TopologyError> {
        self.places.check("node", name)?;
        if self.node_names.contains_key(name) {
            return Err(self.places.duplicate_node(name));
        }
        Ok(name.into())
    }

    fn check_matches_no_pattern(&self, topic: &TopicName, reader: &Arc<str>) -> Result<(), TopologyError> {
        for node in self.nodes.iter().filter(|_| !topic.internal) {
            if let NodeKind::Source { pattern: Some(pattern), .. } = &node.kind
                && pattern.matches(&topic.name)
            {
                return Err(TopologyError::TopicMatchesPattern {
                    topic: topic.name.clone(),
                    source_node: reader.clone(),
                    pattern: pattern.as_str().into(),
                    pattern_node: node.name.clone(),
                });
            }
        }
        Ok(())
    }

    fn check_parents(&self, child: &Arc<str>, parents: &[NodeId]) -> Result<(), TopologyError> {
        if parents.is_empty() {
            return Err(TopologyError::NoParents { node: child.clone() });
        }
        for parent in parents {
            let name = self.checked_name_of(*parent, child)?;
            let sink = |node: &Node| node.kind.is_sink();
            if self.nodes.get(parent.0 as usize).is_some_and(sink) {
                return Err(TopologyError::ParentIsSink { parent: name, child: child.clone() });
            }
        }
        Ok(())
    }

    fn check_store(&self, store: StoreIndex, by: &Arc<str>) -> Result<Arc<str>, TopologyError> {
        match self.specs.get(store.0 as usize) {
            Some(spec) => Ok(spec.name.clone()),
            None => Err(TopologyError::UnknownStore { store: format!("number {}", store.0), by: by.clone() }),
        }
    }

    fn checked_name_of(&self, node: NodeId, by: &str) -> Result<Arc<str>, TopologyError> {
        let unknown = || TopologyError::UnknownNode { node: format!("number {}", node.0), by: by.into() };
        self.name(node).cloned().ok_or_else(unknown)
    }

    fn name_of(&self, node: NodeId) -> Arc<str> {
        self.name(node).cloned().unwrap_or_else(|| "?".into())
    }

    fn check_edges(&self) -> Result<(), TopologyError> {
        for child in &self.nodes {
            for parent in child.parents.iter().filter_map(|parent| self.nodes.get(parent.0 as usize)) {
                if parent.output.is_none() || parent.output != child.input {
                    let text = |types: Option<EdgeTypes>| types.map_or("nothing".to_owned(), |t| t.to_string());
                    return Err(TopologyError::TypeMismatch {
                        parent: parent.name.clone(),
                        sends: text(parent.output),
                        child: child.name.clone(),
                        takes: text(child.input),
                    });
                }
            }
        }
        Ok(())
    }

    fn check_internal_topics(&self) -> Result<(), TopologyError> {
        for node in &self.nodes {
            let topics = match &node.kind {
                NodeKind::Source { topics, .. } => topics.as_slice(),
                NodeKind::Sink { topic } => std::slice::from_ref(topic),
                NodeKind::Processor | NodeKind::DynamicSink { .. } => &[],
            };
            for topic in topics.iter().filter(|topic| topic.internal) {
                if !self.repartition_topics.iter().any(|declared| declared.name == topic.name) {
                    let (node, topic) = (node.name.clone(), topic.name.clone());
                    return Err(TopologyError::UndeclaredInternalTopic { node, topic });
                }
            }
        }
        Ok(())
    }

    fn check_copartitions(&self) -> Result<(), TopologyError> {
        for node in self.copartitions.iter().chain(&self.told_copartitions).flatten() {
            let name = self.checked_name_of(*node, "a co-partitioned group")?;
            let source = |node: &Node| matches!(node.kind, NodeKind::Source { .. });
            if !self.nodes.get(node.0 as usize).is_some_and(source) {
                return Err(TopologyError::CopartitionedNoSource { node: name });
            }
        }
        Ok(())
    }

    fn settle_source_changelogs(&mut self) -> Result<(), TopologyError> {
        for (store, topic) in std::mem::take(&mut self.source_changelogs) {
            let name = self.check_store(store, &"the use of a source topic as changelog".into())?;
            if !self.read_by.contains_key(&TopicName::external(topic.clone())) {
                return Err(TopologyError::ChangelogNotRead { store: name, topic });
            }
            if let Some(declared) = self.stores.get_mut(store.0 as usize) {
                declared.source_changelog = Some(topic);
            }
        }
        Ok(())
    }

    fn check_stores_connected(&self) -> Result<(), TopologyError> {
        for (name, index) in &self.store_names {
            if !self.nodes.iter().any(|node| node.stores.contains(index)) {
                return Err(TopologyError::StoreNotConnected { store: name.clone() });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("nodes", &self.nodes).field("stores", &self.specs).finish_non_exhaustive()
    }
}
