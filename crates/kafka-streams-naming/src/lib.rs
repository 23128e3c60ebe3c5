//! Names, and what becomes of them from one version of an application to the next.
//!
//! ```text
//!            prefix ──▶ NameGenerator ──▶ names ──▶ Topology ──to_manifest()──▶ Manifest ──▶ JSON, kept in the repository
//!                                                                                 │
//!    old Manifest ─┬─ pin ───▶ names that stay what they were                     ├─ render ──▶ Mermaid, DOT, SVG
//!                  └─ diff ──▶ changes in five classes, each with what to do ◀────┤
//!    topics of the broker ────────────────────────▶ orphans ◀─────────────────────┘
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`grammar`] | legal names, generated names |
//! | [`generate`] | the two generators: `PerClass` and `Jvm` |
//! | [`renumbered`] | internal topics that are there under other numbers: the migration trap |
//! | [`topics`] | names of changelog and repartition topics |
//! | [`manifest`] | a topology as data |
//! | [`pin`] | names that stay what they were |
//! | [`diff`](mod@diff) | what a deploy changes, in five classes |
//! | [`orphan`] | topics that no version expects any more |
//! | [`render`] | Mermaid, DOT and SVG |
//! | `shape`, `matching` | which node of a topology is which one of its earlier version |
//!
//! What is absent: this crate knows no topology. It is told a prefix and says a name; it is told manifests and compares
//! them. It reads no file and asks no broker, and nothing in it deletes a topic.

pub mod diff;
pub mod generate;
pub mod grammar;
pub mod manifest;
mod matching;
pub mod orphan;
pub mod pin;
pub mod render;
pub mod renumbered;
mod shape;
pub mod topics;

pub use diff::{Answer, Change, ChangeClass, Diff, Verdict, diff};
pub use generate::{NameGenerator, Naming};
pub use grammar::{MAX_NAME_LENGTH, NameError, check_name, is_generated};
pub use manifest::{
    ChangelogEntry, MANIFEST_FORMAT, Manifest, ManifestError, PartitionRule, ProcessorEntry, RepartitionEntry,
    SinkEntry, SourceEntry, StoreEntry, SubtopologyEntry, TopicRef, UnnamedResource,
};
pub use orphan::{Evidence, Orphan, OrphanKind, detect_orphans, expected_internal_topics};
pub use pin::{PinnedNames, pin_names};
pub use renumbered::{Renumbered, find_renumbered};
pub use topics::{changelog_topic, decorate, is_generated_repartition_prefix, repartition_name, repartition_topic};
