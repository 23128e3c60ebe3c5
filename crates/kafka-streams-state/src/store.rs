//! A store as its task sees it, whatever its types: flushed, committed, or dropped back to what was committed.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{RawRecord, RouteId, Step, TaskContext};

use crate::layer::segments::ExpiryRule;
use crate::{StoreBackend, StoreError, StorePosition, ThreadCache};

/// A store of a task. Belongs to the worker that runs the task; not `Send`.
pub trait StateStore {
    /// The store's name.
    fn name(&self) -> &Arc<str>;

    /// Empties the dirty cache: into the uncommitted rows, the changelog, and the nodes below (rule S1). Flushing is not
    /// committing.
    ///
    /// # Errors
    /// What a node below failed with, or the store.
    fn flush(&self, cx: &mut TaskContext) -> Step;

    /// Writes the uncommitted rows, spilled ones included, and `position` as one batch (rules S3, S5). They stay uncommitted
    /// on error.
    ///
    /// # Errors
    /// The back-end cannot write (rule C5: the task is to be closed).
    fn commit(&self, position: &StorePosition) -> Result<(), StoreError>;

    /// Forgets the dirty cache, the uncommitted rows and the spill (rule S9).
    fn drop_uncommitted(&self);

    /// What a commit would write now.
    fn uncommitted(&self) -> Uncommitted;

    /// Lets go of the nodes below, which are told what leaves the cache: they may hold this store in turn, as those of a
    /// join of tables do. Called when the task is over.
    fn disconnect(&self) {}
}

/// The size of what is not committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncommitted {
    /// Number of rows; one that was spilled and written again counts more than once.
    pub rows: usize,
    /// The size of those in memory, in bytes.
    pub bytes: usize,
}

/// What a topology declares of a store, without its types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSpec {
    /// The store's name, unique in its topology.
    pub name: Arc<str>,
    /// What it maps, and how its keys look.
    pub kind: StoreKind,
    /// Whether a row carries a timestamp before its value.
    pub timestamped: bool,
    /// Whether a row carries headers before its timestamp and value.
    pub headers: bool,
    /// Whether it outlives the process (RocksDB) or lives in memory.
    pub persistent: bool,
    /// Whether updates are held back and thinned out before they are logged and forwarded.
    pub caching: bool,
    /// Whether it has a changelog; the topic's own configuration in addition to the defaults.
    pub logging: Option<BTreeMap<String, String>>,
    /// For windows and sessions: whether rows can be found by time as well.
    pub time_index: bool,
}

impl StoreSpec {
    /// Checks what can be told without the rest of the topology.
    ///
    /// # Errors
    /// [`StoreError::Declaration`]: the store cannot work as it is declared.
    pub fn validate(&self) -> Result<(), StoreError> {
        let (window_size_ms, retention_ms) = match self.kind {
            StoreKind::Window { window_size_ms, retention_ms, .. } => (window_size_ms, retention_ms),
            StoreKind::Session { retention_ms } => (0, retention_ms),
            StoreKind::Versioned { .. } if self.timestamped || self.headers => {
                return Err(StoreError::Declaration {
                    store: self.name.clone(),
                    reason: "only tables of topics and streams can be versioned".to_owned(),
                });
            }
            StoreKind::Versioned { history_retention_ms, segment_interval_ms } => {
                if segment_interval_ms < 1 {
                    return Err(StoreError::Declaration {
                        store: self.name.clone(),
                        reason: "the segment interval must be at least 1 ms".to_owned(),
                    });
                }
                (0, history_retention_ms)
            }
            _ => return Ok(()),
        };
        let refuse = |reason: String| Err(StoreError::Declaration { store: self.name.clone(), reason });
        if window_size_ms < 0 || retention_ms < 0 {
            return refuse("window size and retention cannot be negative".to_owned());
        }
        if retention_ms < window_size_ms {
            return refuse(format!(
                "the retention of {retention_ms} ms is shorter than the window size of {window_size_ms} ms"
            ));
        }
        Ok(())
    }

    /// How the store's rows lie in its back-end, in a few words. Rows of another layout cannot be read, nor those of another
    /// length of segments be found: a store whose declaration has changed so is restored anew (rule S6).
    ///
    /// ```
    /// use kafka_streams_core::serde::{I64Serde, StringSerde};
    /// use kafka_streams_state::{StoreBuilder, Stores};
    ///
    /// let plain = Stores::persistent_key_value_store("totals", StringSerde, I64Serde);
    /// let timestamped = Stores::persistent_timestamped_key_value_store("totals", StringSerde, I64Serde);
    /// assert_ne!(plain.spec().row_layout(), timestamped.spec().row_layout());
    /// ```
    pub fn row_layout(&self) -> String {
        let mut layout = self.kind.facts().name.to_owned();
        if let Some(rule) = ExpiryRule::of(self) {
            layout.push_str(&format!(" in segments of {} ms", rule.interval_ms));
        }
        let parts =
            [(self.time_index, " with time index"), (self.headers, ", headers"), (self.timestamped, ", timestamp")];
        parts.iter().filter(|(has, _)| *has).for_each(|(_, part)| layout.push_str(part));
        layout
    }

    /// What turns the store's changelog back into its rows.
    pub fn restore_codec(&self) -> Box<dyn RestoreCodec> {
        crate::restore::codec(self)
    }
}

/// What is known of a store and only told: nothing that runs depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFacts {
    /// The id of the keys' serde ([`Serde::id`](kafka_streams_core::Serde::id)).
    pub key_serde: Option<Cow<'static, str>>,
    /// The id of the serde of the values, without what the store puts around them.
    pub value_serde: Option<Cow<'static, str>>,
    /// How long windows take late records after their end, in milliseconds.
    pub grace_ms: Option<i64>,
}

/// What a store maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// One value for each key.
    KeyValue,
    /// One value for each key, of the keys that were used last.
    LruMap {
        /// How many keys are kept.
        max_entries: usize,
    },
    /// One value for each key and window start.
    Window {
        /// Size of a window in milliseconds.
        window_size_ms: i64,
        /// How long a window is kept after stream time has reached its start, in milliseconds.
        retention_ms: i64,
        /// Whether equal keys and times are kept side by side (join stores).
        retain_duplicates: bool,
    },
    /// One value for each key and session.
    Session {
        /// How long a session is kept after stream time has reached its end, in milliseconds.
        retention_ms: i64,
    },
    /// The values of each key and when they were valid.
    Versioned {
        /// How long a value is kept after stream time has reached its end, in milliseconds.
        history_retention_ms: i64,
        /// Values are forgotten in steps of so much time, in milliseconds, at least 1.
        segment_interval_ms: i64,
    },
    /// Changes that wait to be sent on, in the order of their times.
    SuppressBuffer,
}

impl StoreKind {
    /// A versioned store of this history retention, with the JVM's default for the segments
    /// (`RocksDbVersionedKeyValueBytesStoreSupplier`): values are forgotten in steps of a third of a short retention down to
    /// a 24th of a long one.
    pub fn versioned(history_retention: std::time::Duration) -> Self {
        const SECOND: i64 = 1000;
        const MINUTE: i64 = 60 * SECOND;
        let history_retention_ms = i64::try_from(history_retention.as_millis()).unwrap_or(i64::MAX);
        let segment_interval_ms = match history_retention_ms {
            short if short <= MINUTE => (short / 3).max(2 * SECOND),
            short if short <= 5 * MINUTE => (short / 5).max(20 * SECOND),
            long if long <= 60 * MINUTE => (long / 12).max(MINUTE),
            long => (long / 24).max(5 * MINUTE),
        };
        StoreKind::Versioned { history_retention_ms, segment_interval_ms }
    }

    /// How long a window or session is kept, in milliseconds; `None` for stores that keep their rows.
    pub fn retention_ms(self) -> Option<i64> {
        match self {
            StoreKind::Window { retention_ms, .. } | StoreKind::Session { retention_ms } => Some(retention_ms),
            _ => None,
        }
    }
}

/// What a typed store is made from, when its task is wired.
#[derive(Debug)]
pub struct StoreParts {
    /// The committed base.
    pub backend: Arc<dyn StoreBackend>,
    /// Where its changelog goes; `None` without logging.
    pub changelog: Option<RouteId>,
    /// The cache of the stream thread.
    pub cache: ThreadCache,
    /// The topic that the serdes of keys and values are told, by which a schema registry finds their schemas; without one
    /// they are told the store's name.
    pub serde_topic: Option<Arc<str>>,
}

impl StoreParts {
    /// The parts of a store whose serdes are told its name.
    pub fn new(backend: Arc<dyn StoreBackend>, changelog: Option<RouteId>, cache: ThreadCache) -> Self {
        StoreParts { backend, changelog, cache, serde_topic: None }
    }
}

/// Makes a typed store for each task that has one. What [`Stores`](crate) returns.
pub trait StoreBuilder: Send + Sync + 'static {
    /// The typed store.
    type Store: StateStore + Any;

    /// What the topology records of it.
    fn spec(&self) -> StoreSpec;

    /// What the manifest of a topology tells of it besides; nothing by default.
    fn facts(&self) -> StoreFacts {
        StoreFacts::default()
    }

    /// Gives it another name: one that was generated, and is to stay what it was before the topology changed.
    fn set_name(&mut self, name: Arc<str>);

    /// Makes the store of one task.
    fn build(&self, parts: StoreParts) -> Rc<Self::Store>;
}

/// Takes a row that is set, or deleted with `None`.
pub type RowVisitor<'v> = &'v mut dyn FnMut(&[u8], Option<&[u8]>) -> Result<(), StoreError>;

/// From a changelog record to the rows that it stands for; runs on the restore thread.
pub trait RestoreCodec: Send + Sync {
    /// Calls `row` for each row that `record` sets (or deletes, with `None`), in order.
    ///
    /// # Errors
    /// The record is not one of this store's changelog.
    fn rows(&self, record: &RawRecord<'_>, row: RowVisitor<'_>) -> Result<(), StoreError>;

    /// Takes over from an earlier restore what the rows in `backend` tell; to be called before the first record.
    ///
    /// # Errors
    /// The rows cannot be read.
    fn resume(&self, _backend: &Arc<dyn StoreBackend>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ranges of rows that have expired by what the records so far tell (rule S2); to be taken once for each batch, when it
    /// is complete, and deleted with it before its rows are written.
    fn take_deleted_ranges(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::new()
    }
}

/// The store's life is that of the store or layers in its field.
macro_rules! delegate_state_store {
    ($store:ident, $field:tt) => {
        impl<K: 'static, V: 'static> crate::StateStore for $store<K, V> {
            fn name(&self) -> &std::sync::Arc<str> {
                crate::StateStore::name(&self.$field)
            }

            fn flush(&self, cx: &mut kafka_streams_core::TaskContext) -> kafka_streams_core::Step {
                crate::StateStore::flush(&self.$field, cx)
            }

            fn commit(&self, position: &crate::StorePosition) -> Result<(), crate::StoreError> {
                crate::StateStore::commit(&self.$field, position)
            }

            fn drop_uncommitted(&self) {
                crate::StateStore::drop_uncommitted(&self.$field);
            }

            fn uncommitted(&self) -> crate::Uncommitted {
                crate::StateStore::uncommitted(&self.$field)
            }

            fn disconnect(&self) {
                crate::StateStore::disconnect(&self.$field);
            }
        }
    };
}

pub(crate) use delegate_state_store;
