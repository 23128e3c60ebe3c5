//! What can go wrong with a store, and what to do about it.

use std::sync::Arc;

use kafka_streams_core::SerdeError;

/// An error of a state store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused to read or write.
    #[error("cannot {action}: {reason}; check the disk's space, the rights and the limits of the state directory")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// What the system or the database said.
        reason: String,
    },
    /// The files are damaged; the store is wiped and restored from its changelog.
    #[error("the files of the store are damaged: {reason}")]
    Unreadable {
        /// What the database said.
        reason: String,
    },
    /// The files were written by a release that this one does not know.
    #[error("the store has format {found}, this release knows up to {known}")]
    UnknownFormat {
        /// The format's number in the files.
        found: u32,
        /// The highest number that this release reads.
        known: u32,
    },
    /// The store's rows lie otherwise than it is declared now, and it has no changelog that could bring them back.
    #[error(
        "the store's rows are those of \"{found}\", it is declared as \"{declared}\" now, and it has no changelog to be \
         restored from; give it another name, or remove its files"
    )]
    OtherLayout {
        /// How the rows lie ([`StoreSpec::row_layout`](crate::StoreSpec::row_layout)).
        found: String,
        /// How they would lie by the declaration.
        declared: String,
    },
    /// A stored key or value is not of the type that the topology declares.
    #[error("a stored {part} cannot be read as the declared type: {error}; was the type or serde changed?")]
    Serde {
        /// `key` or `value`.
        part: &'static str,
        /// What the serde said.
        error: SerdeError,
    },
    /// A record of the changelog is not one that this store can have written.
    #[error(
        "the changelog's record at offset {offset} is not of this store: {reason}; does the topic belong to another store?"
    )]
    Changelog {
        /// The record's offset.
        offset: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The topology declares a store that cannot work.
    #[error("store {store}: {reason}")]
    Declaration {
        /// The store's name.
        store: Arc<str>,
        /// What is wrong.
        reason: String,
    },
    /// A task wrote a global store, which only its own processor may do: every instance has all of it.
    #[error("a global store can be read only; write its topic instead")]
    ReadOnly,
    /// The store was used after its task was closed.
    #[error("the store is closed: its task was closed or given to another instance")]
    Closed,
    /// A mistake of this library.
    #[error("internal error, please report it: {0}")]
    Bug(String),
}
