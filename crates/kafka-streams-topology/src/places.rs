//! Where in the user's program names were given, for the messages about them.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;

use kafka_streams_naming::check_name;

use crate::TopologyError;

/// A file, line and column of the user's program.
pub(crate) type Place = &'static Location<'static>;

/// The places of the names of a draft. The Processor API knows them; names that the DSL writes have none here, as it
/// checks them where they are given.
#[derive(Default)]
pub(crate) struct Places {
    /// Where the names come from that are given now.
    current: Option<Place>,
    nodes: BTreeMap<Arc<str>, Place>,
    stores: BTreeMap<Arc<str>, Place>,
}

impl Places {
    /// What follows is given at `place`.
    pub(crate) fn enter(&mut self, place: Place) {
        self.current = Some(place);
    }

    pub(crate) fn note_node(&mut self, name: &Arc<str>) {
        self.nodes.extend(self.current.map(|place| (name.clone(), place)));
    }

    pub(crate) fn note_store(&mut self, name: &Arc<str>) {
        self.stores.extend(self.current.map(|place| (name.clone(), place)));
    }

    pub(crate) fn check(&self, what: &'static str, name: &str) -> Result<(), TopologyError> {
        check_name(name).map_err(|error| TopologyError::IllegalName { what, error, place: self.current })
    }

    pub(crate) fn duplicate_node(&self, name: &str) -> TopologyError {
        TopologyError::DuplicateNode { name: name.into(), places: self.both(self.nodes.get(name)) }
    }

    pub(crate) fn duplicate_store(&self, name: &str) -> TopologyError {
        TopologyError::DuplicateStore { name: name.into(), places: self.both(self.stores.get(name)) }
    }

    /// A call that gives one name to two nodes is both places.
    fn both(&self, first: Option<&Place>) -> Option<[Place; 2]> {
        self.current.map(|current| [first.copied().unwrap_or(current), current])
    }
}
