//! A store as it is declared: named by a typed reference, so that whoever holds one needs no look-up and no cast.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_state::{StateStore, StoreBuilder, StoreFacts, StoreParts, StoreSpec};

/// A store's index within its topology, in the order of registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreIndex(pub u32);

/// A store's typed name. Made when the store is added; worth the store itself when a task is wired.
pub struct StoreRef<S> {
    index: StoreIndex,
    store: PhantomData<fn() -> S>,
}

impl<S> StoreRef<S> {
    pub(crate) fn new(index: StoreIndex) -> Self {
        StoreRef { index, store: PhantomData }
    }

    /// The store's index.
    pub fn index(self) -> StoreIndex {
        self.index
    }
}

impl<S> Clone for StoreRef<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for StoreRef<S> {}

impl<S> fmt::Debug for StoreRef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreRef<{}>({})", std::any::type_name::<S>(), self.index.0)
    }
}

/// One store of a task in both views: typed for the nodes, untyped for the engine.
pub(crate) type BuiltStore = (Rc<dyn Any>, Rc<dyn StateStore>);

/// A store builder without its types.
trait ErasedBuilder: Send + Sync {
    fn build(&self, parts: StoreParts) -> BuiltStore;
    fn set_name(&mut self, name: Arc<str>);
}

impl<B: StoreBuilder> ErasedBuilder for B {
    fn build(&self, parts: StoreParts) -> BuiltStore {
        let store = StoreBuilder::build(self, parts);
        (store.clone(), store)
    }

    fn set_name(&mut self, name: Arc<str>) {
        StoreBuilder::set_name(self, name);
    }
}

/// What the topology knows of a store besides its specification.
pub(crate) struct DeclaredStore {
    builder: Box<dyn ErasedBuilder>,
    /// What only the manifest tells.
    pub(crate) facts: StoreFacts,
    /// A source topic that is this store's changelog (`reuse.ktable.source.topics` of the JVM).
    pub(crate) source_changelog: Option<Arc<str>>,
    /// Whether every instance has all of it.
    pub(crate) global: bool,
}

impl DeclaredStore {
    pub(crate) fn new<B: StoreBuilder>(builder: B) -> (StoreSpec, Self) {
        let (spec, facts) = (builder.spec(), builder.facts());
        (spec, DeclaredStore { builder: Box::new(builder), facts, source_changelog: None, global: false })
    }

    /// The store of one task.
    pub(crate) fn build(&self, parts: StoreParts) -> BuiltStore {
        self.builder.build(parts)
    }

    pub(crate) fn set_name(&mut self, name: Arc<str>) {
        self.builder.set_name(name);
    }
}
