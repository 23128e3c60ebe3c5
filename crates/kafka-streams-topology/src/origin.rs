//! Where a topology's names come from: what only its manifest tells, and which names were changed to keep earlier ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_streams_naming::Naming;
use serde_json::Value;

/// What is known of the making of a topology.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) naming: Option<Naming>,
    /// By the node's name: what a generated name of it begins with.
    pub(crate) operators: BTreeMap<Arc<str>, Arc<str>>,
    /// Internal topics by the name under which their nodes know them, without the application id, where a pinned name
    /// took its place.
    pub(crate) pinned_topics: BTreeMap<Arc<str>, Arc<str>>,
    /// Whether the names were held against an earlier version's.
    pub(crate) pinned: bool,
    /// See `Manifest::retired`.
    pub(crate) retired: BTreeSet<String>,
    /// See `Manifest::extensions`.
    pub(crate) extensions: BTreeMap<String, Value>,
}
