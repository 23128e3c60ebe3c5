//! How two streams are joined.

use std::collections::BTreeMap;

use kafka_streams_core::{DefaultSerde, Serde};

use super::WindowStoreSupplier;
use super::serdes::SerdeChoice;

/// How two streams are joined: the serdes of both, and the names and the kind of nodes and stores.
///
/// A join keeps the records of both sides in window stores, and a left or outer join those without a partner in a third
/// store. The names of stores are not those of the nodes: [`named`](StreamJoined::named) gives both.
///
/// ```
/// use kafka_streams_dsl::{JoinWindows, StreamJoined, StreamsBuilder};
/// use std::time::Duration;
///
/// let builder = StreamsBuilder::new();
/// let views = builder.stream::<String, String>("views");
/// let clicks = builder.stream::<String, String>("clicks");
/// let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(60));
/// views
///     .join_stream_with(&clicks, |_ad, view, click| format!("{view} {click}"), windows, StreamJoined::named("clicked"))
///     .to("clicked-views");
/// ```
pub struct StreamJoined<K, V, V2> {
    pub(crate) name: Option<String>,
    pub(crate) store_name: Option<String>,
    pub(crate) keys: SerdeChoice<K>,
    pub(crate) values: SerdeChoice<V>,
    pub(crate) other_values: SerdeChoice<V2>,
    pub(crate) logging: Option<BTreeMap<String, String>>,
    /// `None`: persistent, unless a supplier says otherwise for the store that both sides share.
    pub(crate) persistent: Option<bool>,
    pub(crate) this_store: Option<WindowStoreSupplier>,
    pub(crate) other_store: Option<WindowStoreSupplier>,
}

impl<K: DefaultSerde, V: DefaultSerde, V2: DefaultSerde> StreamJoined<K, V, V2> {
    /// The serdes of streams or types, and this name for nodes, repartition topics and stores.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        StreamJoined::default().with_name(name.clone()).with_store_name(name)
    }
}

impl<K: 'static, V: 'static, V2: 'static> StreamJoined<K, V, V2> {
    /// These serdes: of the key, of the left stream's values, and of the right stream's.
    pub fn with(
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
        other_values: impl Serde<Target = V2>,
    ) -> Self {
        StreamJoined::of(SerdeChoice::given(keys), SerdeChoice::given(values), SerdeChoice::given(other_values))
    }

    fn of(keys: SerdeChoice<K>, values: SerdeChoice<V>, other_values: SerdeChoice<V2>) -> Self {
        StreamJoined {
            name: None,
            store_name: None,
            keys,
            values,
            other_values,
            logging: Some(BTreeMap::new()),
            persistent: None,
            this_store: None,
            other_store: None,
        }
    }

    /// The beginning of the names of the nodes, and of the repartition topics (`<application id>-<name>-left-repartition`
    /// and `…-right-…`), if they are needed. The stores keep generated names.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        StreamJoined { name: Some(name.into()), ..self }
    }

    /// The beginning of the stores' names, and so of their changelogs' (`<application id>-<name>-this-join-store-changelog`
    /// and so on). `StreamJoined.as` of the JVM gives this name.
    #[must_use]
    pub fn with_store_name(self, name: impl Into<String>) -> Self {
        StreamJoined { store_name: Some(name.into()), ..self }
    }

    /// Logs the stores to changelog topics with this configuration in addition to the defaults. Records stand side by
    /// side in them, so they are never compacted. Stores of [`with_this_store`](StreamJoined::with_this_store) and
    /// [`with_other_store`](StreamJoined::with_other_store) are logged in any case.
    #[must_use]
    pub fn with_logging_enabled<N: Into<String>, C: Into<String>>(
        self,
        config: impl IntoIterator<Item = (N, C)>,
    ) -> Self {
        let config = config.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        StreamJoined { logging: Some(config), ..self }
    }

    /// No changelogs: the stores are lost with the machine, and when their task moves.
    #[must_use]
    pub fn with_logging_disabled(self) -> Self {
        StreamJoined { logging: None, ..self }
    }

    /// Stores in memory, restored from their changelogs at every start.
    #[must_use]
    pub fn in_memory(self) -> Self {
        StreamJoined { persistent: Some(false), ..self }
    }

    /// Stores on disk, which is the default.
    #[must_use]
    pub fn persistent(self) -> Self {
        StreamJoined { persistent: Some(true), ..self }
    }

    /// The store of the left stream's records. It keeps duplicates; its window size is that of the join's windows
    /// (before and after together), its retention that and the grace.
    #[must_use]
    pub fn with_this_store(self, store: WindowStoreSupplier) -> Self {
        StreamJoined { this_store: Some(store), ..self }
    }

    /// The store of the right stream's records; see [`with_this_store`](StreamJoined::with_this_store).
    #[must_use]
    pub fn with_other_store(self, store: WindowStoreSupplier) -> Self {
        StreamJoined { other_store: Some(store), ..self }
    }
}

impl<K: DefaultSerde, V: DefaultSerde, V2: DefaultSerde> Default for StreamJoined<K, V, V2> {
    /// The serdes of streams or types, and generated names.
    fn default() -> Self {
        StreamJoined::of(SerdeChoice::of_type(), SerdeChoice::of_type(), SerdeChoice::of_type())
    }
}

impl<K, V, V2> Clone for StreamJoined<K, V, V2> {
    fn clone(&self) -> Self {
        StreamJoined {
            name: self.name.clone(),
            store_name: self.store_name.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            other_values: self.other_values.clone(),
            logging: self.logging.clone(),
            persistent: self.persistent,
            this_store: self.this_store.clone(),
            other_store: self.other_store.clone(),
        }
    }
}
