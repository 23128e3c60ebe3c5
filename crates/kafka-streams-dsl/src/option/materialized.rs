//! How a table is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_streams_core::{DefaultSerde, Serde};

use super::serdes::SerdeChoice;

/// How a table is stored: the store's name, its serdes, whether it is cached, logged and persistent, and for how long
/// windows are kept.
///
/// Without further words a store is persistent, logged to its changelog topic, and cached: of the updates of a key
/// between two commits only the last is logged and sent on.
///
/// The key's serde is that of the stream or table from which the table is made, unless one is given.
///
/// ```
/// use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let clicks = builder.stream::<String, String>("clicks").group_by_key(Grouped::default());
/// clicks.count(Materialized::named("clicks-per-user").with_caching_disabled().in_memory());
/// ```
pub struct Materialized<K, V> {
    pub(crate) store: Option<String>,
    pub(crate) keys: Option<SerdeChoice<K>>,
    pub(crate) values: SerdeChoice<V>,
    pub(crate) caching: bool,
    pub(crate) logging: Option<BTreeMap<String, String>>,
    pub(crate) persistent: bool,
    pub(crate) retention: Option<Duration>,
    /// How many entries an LRU store keeps.
    pub(crate) max_entries: Option<usize>,
    pub(crate) history: Option<Duration>,
    /// Whether anything was said at all. The JVM has methods without a `Materialized`, and they draw other numbers.
    pub(crate) said: bool,
}

impl<K: 'static, V: DefaultSerde> Materialized<K, V> {
    /// A store of this name with the value type's own serde. Its changelog is `<application id>-<name>-changelog`.
    pub fn named(name: impl Into<String>) -> Self {
        Materialized::default().with_name(name)
    }
}

impl<K: 'static, V: 'static> Materialized<K, V> {
    /// These serdes, and a generated name.
    pub fn with(keys: impl Serde<Target = K>, values: impl Serde<Target = V>) -> Self {
        Materialized { said: true, ..Materialized::of(Some(SerdeChoice::given(keys)), SerdeChoice::given(values)) }
    }

    fn of(keys: Option<SerdeChoice<K>>, values: SerdeChoice<V>) -> Self {
        Materialized {
            store: None,
            keys,
            values,
            caching: true,
            logging: Some(BTreeMap::new()),
            persistent: true,
            retention: None,
            max_entries: None,
            history: None,
            said: false,
        }
    }

    /// The store's name. Its changelog is `<application id>-<name>-changelog`.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Materialized { store: Some(name.into()), said: true, ..self }
    }

    /// Sends every update on, and logs it, at once.
    #[must_use]
    pub fn with_caching_disabled(self) -> Self {
        Materialized { caching: false, said: true, ..self }
    }

    /// Holds updates of a key back until the next commit, or until the cache is full, and sends on only the last: the
    /// default.
    #[must_use]
    pub fn with_caching_enabled(self) -> Self {
        Materialized { caching: true, said: true, ..self }
    }

    /// Logs the store to a changelog topic with this configuration in addition to the defaults.
    #[must_use]
    pub fn with_logging_enabled<N: Into<String>, C: Into<String>>(
        self,
        config: impl IntoIterator<Item = (N, C)>,
    ) -> Self {
        let config = config.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Materialized { logging: Some(config), said: true, ..self }
    }

    /// No changelog: the store is lost with the machine, and when its task moves.
    #[must_use]
    pub fn with_logging_disabled(self) -> Self {
        Materialized { logging: None, said: true, ..self }
    }

    /// A store in memory, restored from its changelog at every start.
    #[must_use]
    pub fn in_memory(self) -> Self {
        Materialized { persistent: false, said: true, ..self }
    }

    /// A store in memory that keeps only the `max_entries` entries that were read or written last; the others are deleted,
    /// from the changelog, too. Not for windowed tables.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized};
    /// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
    /// let recent = clicks.group_by_key(Grouped::default()).count(Materialized::named("recent").lru_map(1000));
    /// ```
    #[must_use]
    pub fn lru_map(self, max_entries: usize) -> Self {
        Materialized { max_entries: Some(max_entries), persistent: false, said: true, ..self }
    }

    /// A versioned store (KIP-889): of each key the values of the last `history_retention`, in the time of the table, with
    /// the times from which they were valid, in steps of a millisecond. Never cached. Only tables of topics and streams can
    /// be versioned.
    ///
    /// A record that is older than its row does not replace it, but the rows of its time. Joins and aggregations of the
    /// table leave such records out; a stream that is joined with the table meets the row of its record's time (KIP-914).
    ///
    /// As on the JVM, the changelog keeps every version for the history and a day (`min.compaction.lag.ms`) by the broker's
    /// clock. Of input that is older than that, a restore may find only the last version of each key that was written.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Consumed, KTable, Materialized};
    /// # use std::time::Duration;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let an_hour = Duration::from_secs(3600);
    /// let prices: KTable<String, i64> =
    ///     builder.table_with("prices", Consumed::default(), Materialized::named("prices").versioned(an_hour));
    /// ```
    #[must_use]
    pub fn versioned(self, history_retention: Duration) -> Self {
        Materialized { history: Some(history_retention), said: true, ..self }
    }

    /// For how long a window is kept after its start, in steps of a millisecond; at least its size and grace, which is
    /// the default. Only windowed tables have a retention.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, TimeWindows};
    /// # use std::time::Duration;
    /// # let clicks = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("clicks");
    /// let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
    /// let windows = TimeWindows::of_size_with_no_grace(minute);
    /// let store = Materialized::named("clicks-per-minute").with_retention(day).in_memory();
    /// clicks.group_by_key(Grouped::default()).windowed_by(windows).count(store);
    /// ```
    #[must_use]
    pub fn with_retention(self, retention: Duration) -> Self {
        Materialized { retention: Some(retention), said: true, ..self }
    }
}

impl<K: 'static, V: DefaultSerde> Default for Materialized<K, V> {
    /// A generated name, the value type's own serde, everything else by default.
    fn default() -> Self {
        Materialized::of(None, SerdeChoice::of_type())
    }
}

impl<K, V> Clone for Materialized<K, V> {
    fn clone(&self) -> Self {
        Materialized {
            store: self.store.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            caching: self.caching,
            logging: self.logging.clone(),
            persistent: self.persistent,
            retention: self.retention,
            max_entries: self.max_entries,
            history: self.history,
            said: self.said,
        }
    }
}
