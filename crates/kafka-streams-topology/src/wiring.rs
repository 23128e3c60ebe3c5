//! One instantiation of a sub-topology, in progress: children first, so that every node finds the nodes below it made.
//!
//! The only casts are here, once per edge and task; [`Topology`] has compared the types of all edges before.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{
    Children, Extracted, Failure, Input, Lifecycle, NodeId, Processor, ProcessorNode, RawRecord, RouteId, Step,
    TaskContext, Timestamp,
};
use kafka_streams_state::StateStore;

use crate::processor_wrapper::Wrapped;
use crate::wrapped_processor::{WrappedLifecycle, WrappedNode};
use crate::{EdgeTypes, ProcessorStores, StoreIndex, StoreRef, TopicName, Topology};

/// Takes a fetched record into a task: reads key and value and sends the record to the nodes below the source.
///
/// The record's topic and its time are those of `cx.record`, which the engine sets before; the headers are the fetched
/// ones. What cannot be read is a [`FailureKind::Deserialization`](kafka_streams_core::FailureKind::Deserialization).
pub type Ingest = Rc<dyn Fn(&mut TaskContext, &RawRecord<'_>) -> Step>;

/// Finds out the time of a fetched record of a topic, whose partition's highest time so far is given (-1 before the first).
pub type ExtractTime = Rc<dyn Fn(&str, &RawRecord<'_>, Timestamp) -> Extracted>;

/// The stores of a task as their types, by store index; `None` for the stores of other sub-topologies.
pub(crate) type TypedStores = Vec<Option<Rc<dyn Any>>>;

/// What a node's closure sees while its task is made.
pub struct Wiring<'t> {
    pub(crate) topology: &'t Topology,
    pub(crate) application_id: &'t str,
    pub(crate) partitions: &'t dyn Fn(&str) -> Option<i32>,
    pub(crate) current: NodeId,
    pub(crate) stores: TypedStores,
    /// By node id: an [`Input`] of the node's types.
    pub(crate) inputs: Vec<Option<Box<dyn Any>>>,
    pub(crate) lifecycles: Vec<(NodeId, Rc<dyn Lifecycle>)>,
    pub(crate) sources: Vec<(NodeId, Ingest)>,
    pub(crate) extractors: Vec<(NodeId, ExtractTime)>,
    /// By node id; `None` for all nodes but the sinks of this sub-topology.
    pub(crate) sink_routes: Vec<Option<RouteId>>,
    /// What nodes of one operator share, by the operator's name.
    pub(crate) shared: BTreeMap<Arc<str>, Rc<dyn Any>>,
    /// What is around the node that is being made.
    pub(crate) wrapped: Option<Wrapped>,
}

impl fmt::Debug for Wiring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiring").field("node", &self.name(self.current)).finish_non_exhaustive()
    }
}

impl Wiring<'_> {
    /// The nodes below `of`, which take records of the types `K` and `V`.
    ///
    /// # Errors
    /// A mistake of this library: a node below was not installed or takes other types.
    pub fn children<K: Clone + 'static, V: Clone + 'static>(&self, of: NodeId) -> Step<Children<K, V>> {
        let Some(node) = self.topology.node(of) else {
            return Err(Failure::bug(format!("there is no node {}", of.0)));
        };
        let mut children = Vec::with_capacity(node.children.len());
        for child in &node.children {
            let name = self.name(*child);
            let input = self.inputs.get(child.0 as usize).and_then(Option::as_ref);
            let Some(input) = input.and_then(|input| input.downcast_ref::<Input<K, V>>()) else {
                let types = EdgeTypes::of::<K, V>();
                return Err(Failure::bug(format!("node {name} below {} was not installed for {types}", node.name)));
            };
            children.push((name, input.clone()));
        }
        Ok(Children::new(children))
    }

    /// The task's instance of a store.
    ///
    /// # Errors
    /// The store is not connected to the node that is being made.
    pub fn store<S: StateStore + Any>(&self, store: StoreRef<S>) -> Step<Rc<S>> {
        let index = store.index();
        self.check_connected(index)?;
        let built = self.stores.get(index.0 as usize).and_then(Option::clone);
        built.and_then(|built| built.downcast::<S>().ok()).ok_or_else(|| {
            Failure::bug(format!("store {} is no {}", self.store_name(index), std::any::type_name::<S>()))
        })
    }

    /// The task's instance of the store of this name.
    ///
    /// # Errors
    /// There is no such store, it is not connected to the node that is being made, or it has another type.
    pub fn store_named<S: StateStore + Any>(&self, name: &str) -> Step<Rc<S>> {
        let Some(at) = self.topology.stores().iter().position(|spec| *spec.name == *name) else {
            return Err(Failure::processing(format!("there is no store named {name}")));
        };
        self.check_connected(StoreIndex(u32::try_from(at).unwrap_or(u32::MAX)))?;
        let built = self.stores.get(at).and_then(Option::clone).and_then(|built| built.downcast::<S>().ok());
        built.ok_or_else(|| {
            Failure::processing(format!("store {name} is no {}; name its type", std::any::type_name::<S>()))
        })
    }

    /// What the nodes of one operator share within this task, such as the two sides of a join; made by the first of them
    /// that asks. `operator` is a name that no other operator of the topology has.
    ///
    /// # Errors
    /// A mistake of this library: it was asked for as another type.
    pub fn shared<T: Default + 'static>(&mut self, operator: &str) -> Step<Rc<T>> {
        let shared = match self.shared.get(operator) {
            Some(shared) => shared.clone(),
            None => {
                let shared: Rc<dyn Any> = Rc::new(T::default());
                self.shared.insert(operator.into(), shared.clone());
                shared
            }
        };
        shared.downcast().map_err(|_| Failure::bug(format!("what {operator} shares has two types")))
    }

    /// The stores that the node that is being made may use.
    pub fn processor_stores(&self) -> ProcessorStores<'_> {
        ProcessorStores::new(self)
    }

    /// The name of a node; empty if there is none of this id.
    pub fn name(&self, node: NodeId) -> Arc<str> {
        self.topology.node(node).map_or_else(|| "".into(), |node| node.name.clone())
    }

    /// The application's id.
    pub fn application_id(&self) -> &str {
        self.application_id
    }

    /// The name of a topic on the broker.
    pub fn topic(&self, topic: &TopicName) -> Arc<str> {
        self.topology.present_name(topic).decorated(self.application_id)
    }

    /// The number of partitions of a topic; 0 if it is not known.
    pub fn partitions(&self, topic: &TopicName) -> i32 {
        (self.partitions)(&self.topic(topic)).unwrap_or(0)
    }

    /// Makes `node` what the parents of `id` send their records to. To be called once for each processor and sink.
    pub fn install<K: 'static, V: 'static>(&mut self, id: NodeId, node: Input<K, V>) {
        let node = match self.wrapped.clone() {
            Some(wrapped) => Rc::new(WrappedNode { name: self.name(id), wrapped, inner: node }),
            None => node,
        };
        if let Some(slot) = self.inputs.get_mut(id.0 as usize) {
            *slot = Some(Box::new(node));
        }
    }

    /// Makes a processor the node `id`, with a life of its own.
    ///
    /// # Errors
    /// As [`children`](Wiring::children).
    pub fn install_processor<P: Processor>(&mut self, id: NodeId, processor: P) -> Step {
        let children = self.children::<P::KOut, P::VOut>(id)?;
        let node = Rc::new(ProcessorNode::new(id, self.name(id), processor, children));
        self.install::<P::KIn, P::VIn>(id, node.clone());
        self.install_lifecycle(id, node);
        Ok(())
    }

    /// Lets `node` be started, woken and closed with the task.
    pub fn install_lifecycle(&mut self, id: NodeId, node: Rc<dyn Lifecycle>) {
        self.lifecycles.push((id, node));
    }

    /// Lets what is around the node that was made be started and closed with the task.
    pub(crate) fn wrap_lifecycle(&mut self, id: NodeId) {
        let Some(wrapped) = self.wrapped.take() else { return };
        let own = self.lifecycles.iter().position(|(node, _)| *node == id);
        let inner = own.map(|at| self.lifecycles.swap_remove(at).1);
        self.install_lifecycle(id, Rc::new(WrappedLifecycle { name: self.name(id), wrapped, inner }));
    }

    /// Makes `ingest` the entry of the source `id`.
    pub fn install_source(&mut self, id: NodeId, ingest: Ingest) {
        self.sources.push((id, ingest));
    }

    /// Lets the records of the source `id` have the time that `extract` finds.
    pub fn install_extractor(&mut self, id: NodeId, extract: ExtractTime) {
        self.extractors.push((id, extract));
    }

    /// Where the sink `id` sends its records.
    ///
    /// # Errors
    /// A mistake of this library: the node is no sink of this sub-topology.
    pub fn sink_route(&mut self, id: NodeId) -> Step<RouteId> {
        let route = self.sink_routes.get(id.0 as usize).copied().flatten();
        route.ok_or_else(|| Failure::bug(format!("node {} is no sink of this sub-topology", self.name(id))))
    }

    fn check_connected(&self, store: StoreIndex) -> Step {
        match self.topology.node(self.current) {
            Some(node) if node.stores.contains(&store) || self.topology.is_global(store) => Ok(()),
            _ => Err(Failure::processing(format!(
                "node {} uses store {} without being connected to it; connect them when the topology is built",
                self.name(self.current),
                self.store_name(store)
            ))),
        }
    }

    fn store_name(&self, store: StoreIndex) -> &str {
        self.topology.stores().get(store.0 as usize).map_or("?", |spec| &*spec.name)
    }
}
