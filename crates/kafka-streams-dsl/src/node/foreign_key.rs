//! The join of two tables on a key that is found in the rows of the left one (KIP-213, KIP-775).
//!
//! ```text
//!   left task                                       right task (of the foreign key)
//!   left table ─▶ send ───(registration topic)───▶ receive ─▶ subscription join ─┐
//!                                                    │ puts                      ├─(response topic)─▶ back
//!                                  subscriptions [foreign key, primary key]      │
//!                                                    ▲ scans                     │
//!                               right table ─▶ foreign table join ───────────────┘
//!   (response topic) ─▶ resolve ─▶ result table
//! ```
//!
//! A left row subscribes to its foreign key; every answer carries the hash of the left row that it was asked for, so that
//! answers to rows that have changed since are dropped.

pub(crate) mod combined_key;
pub(crate) mod murmur3;
pub(crate) mod receive;
pub(crate) mod resolve;
pub(crate) mod send;
pub(crate) mod subscription;

use std::sync::{Arc, OnceLock};

use kafka_streams_core::{SerdeError, SharedSerde};

/// The 128 bits by which a left row is known again; `None` of a row that is not there.
pub(crate) type RowHash = Option<[u8; 16]>;

/// The topics that serdes are told of keys and values that are in no topic by themselves: `<application
/// id>-<registration topic>-pk`, `-fk` and `-vh`. Only serdes that look at the topic see a difference.
pub(crate) struct PseudoTopics {
    registration: String,
    names: OnceLock<Names>,
}

struct Names {
    primary: String,
    foreign: String,
    hashed: String,
}

impl PseudoTopics {
    /// `registration` is without the application id.
    pub(crate) fn of(registration: &str) -> Arc<Self> {
        Arc::new(PseudoTopics { registration: registration.to_owned(), names: OnceLock::new() })
    }

    /// Tells the application's id, which is known when the first task is made.
    pub(crate) fn tell(&self, application_id: &str) {
        self.names.get_or_init(|| {
            let name = |suffix: &str| format!("{application_id}-{}-{suffix}", self.registration);
            Names { primary: name("pk"), foreign: name("fk"), hashed: name("vh") }
        });
    }

    pub(crate) fn primary(&self) -> &str {
        self.names.get().map_or("", |names| &names.primary)
    }

    pub(crate) fn foreign(&self) -> &str {
        self.names.get().map_or("", |names| &names.foreign)
    }

    /// The hash of a left row.
    pub(crate) fn hash<V: 'static>(&self, values: &SharedSerde<V>, value: &V) -> Result<[u8; 16], SerdeError> {
        let mut bytes = Vec::new();
        values.serialize(self.names.get().map_or("", |names| &names.hashed), value, &mut bytes)?;
        Ok(murmur3::hash128(&bytes))
    }
}
