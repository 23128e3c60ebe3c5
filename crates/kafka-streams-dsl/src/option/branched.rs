//! What a branch of a split stream is called, and what becomes of it.

use std::fmt;

use crate::KStream;

type Apply<K, V> = Box<dyn FnOnce(KStream<K, V>) -> Option<KStream<K, V>>>;

/// What a branch is called, and what is done with it at once.
///
/// ```
/// use kafka_streams_dsl::{Branched, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let orders = builder.stream::<String, i64>("orders");
/// let branches = orders
///     .split_named("orders-")
///     .branch_with(|_, amount| *amount < 0, Branched::with_consumer(|refunds| refunds.to("refunds")).with_name("refunds"))
///     .no_default_branch();
/// assert!(branches.is_empty(), "what a consumer takes is not in the map");
/// ```
pub struct Branched<K, V> {
    pub(crate) name: Option<String>,
    apply: Option<Apply<K, V>>,
}

impl<K, V> Branched<K, V> {
    /// A branch of this name, behind that of the split.
    pub fn named(name: impl Into<String>) -> Self {
        Branched { name: Some(name.into()), apply: None }
    }

    /// A branch that `function` turns into the stream of the result.
    pub fn with_function(function: impl FnOnce(KStream<K, V>) -> KStream<K, V> + 'static) -> Self {
        Branched { name: None, apply: Some(Box::new(|branch| Some(function(branch)))) }
    }

    /// A branch that `consumer` takes; it is not in the result.
    pub fn with_consumer(consumer: impl FnOnce(KStream<K, V>) + 'static) -> Self {
        let apply: Apply<K, V> = Box::new(|branch| {
            consumer(branch);
            None
        });
        Branched { name: None, apply: Some(apply) }
    }

    /// The branch's name, behind that of the split.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(crate) fn apply(self, branch: KStream<K, V>) -> Option<KStream<K, V>> {
        match self.apply {
            Some(apply) => apply(branch),
            None => Some(branch),
        }
    }
}

impl<K, V> Default for Branched<K, V> {
    /// A branch whose name is its number.
    fn default() -> Self {
        Branched { name: None, apply: None }
    }
}

impl<K, V> fmt::Debug for Branched<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Branched").field("name", &self.name).finish_non_exhaustive()
    }
}
