//! The global stores of a process: written by one worker, read by the tasks of all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_streams_core::{Failure, Step};
use kafka_streams_state::{StoreBackend, StoreParts, ThreadCache};

/// The committed bases of the global stores, by name. Clones are the same stores.
#[derive(Clone, Default)]
pub struct GlobalStores(Arc<Mutex<ByName>>);

type ByName = BTreeMap<Arc<str>, Arc<dyn StoreBackend>>;

impl GlobalStores {
    /// A process without global stores.
    pub fn new() -> Self {
        GlobalStores::default()
    }

    /// The committed base of a store, once it is open.
    pub fn get(&self, name: &str) -> Option<Arc<dyn StoreBackend>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn insert(&self, name: Arc<str>, backend: Arc<dyn StoreBackend>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, backend);
    }

    /// What a task's view of a store is made from.
    pub(crate) fn parts(&self, name: &str, shared: &ThreadCache) -> Step<StoreParts> {
        let Some(backend) = self.get(name) else {
            return Err(Failure::bug(format!("store {name} is neither restored nor global")));
        };
        Ok(StoreParts::new(backend, None, shared.clone()))
    }
}

impl fmt::Debug for GlobalStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(stores.keys()).finish()
    }
}
