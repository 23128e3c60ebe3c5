//! What a builder is told about names beyond their numbering: to keep an earlier version's, and to insist on given ones.

use kafka_streams_naming::Manifest;
use kafka_streams_topology::Topology;

use crate::{BuildError, StreamsBuilder};

/// What is done about the names of a finished topology.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamesPolicy {
    previous: Option<Manifest>,
    explicit: bool,
}

impl NamesPolicy {
    pub(crate) fn apply(&self, mut topology: Topology) -> Result<Topology, BuildError> {
        if let Some(previous) = &self.previous {
            topology.pin_names(previous);
        }
        if self.explicit {
            let resources = topology.to_manifest().unnamed_resources();
            if !resources.is_empty() {
                return Err(BuildError::Unnamed { resources });
            }
        }
        Ok(topology)
    }
}

impl StreamsBuilder {
    /// Keeps the names that an earlier version of the topology had: what is found again in `previous` is called as it
    /// was there, and only what is new draws new numbers. Adding, removing or moving an operator then renames no store
    /// and no topic of another.
    ///
    /// `previous` is the manifest of the version that runs, as the golden file of the repository holds it; the program
    /// that runs must be given the same one as the check of the golden file, best by `include_str!`.
    ///
    /// ```
    /// use kafka_streams_dsl::{Grouped, Materialized, Naming, StreamsBuilder};
    ///
    /// # fn main() -> Result<(), kafka_streams_dsl::BuildError> {
    /// let first = StreamsBuilder::with_naming(Naming::Jvm);
    /// first.stream::<String, String>("in").group_by_key(Grouped::default()).count(Materialized::default());
    /// let first = first.build()?;
    ///
    /// let second = StreamsBuilder::with_naming(Naming::Jvm).with_pinned_names(first.to_manifest());
    /// let checked = second.stream::<String, String>("in").peek(|_, _| {});
    /// checked.group_by_key(Grouped::default()).count(Materialized::default());
    /// let second = second.build()?;
    /// assert_eq!(second.stores()[0].name, first.stores()[0].name);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_pinned_names(self, previous: Manifest) -> Self {
        self.graph.lock().names_policy.previous = Some(previous);
        self
    }

    /// Refuses a topology with a store or a repartition topic that was not named (KIP-1111,
    /// `ensure.explicit.internal.resource.naming`), so that no change of the topology can rename one.
    ///
    /// ```
    /// use kafka_streams_dsl::{BuildError, Grouped, Materialized, StreamsBuilder};
    ///
    /// let builder = StreamsBuilder::new().with_explicit_names();
    /// builder.stream::<String, String>("in").group_by_key(Grouped::default()).count(Materialized::default());
    /// assert!(matches!(builder.build(), Err(BuildError::Unnamed { .. })));
    /// ```
    #[must_use]
    pub fn with_explicit_names(self) -> Self {
        self.graph.lock().names_policy.explicit = true;
        self
    }
}
