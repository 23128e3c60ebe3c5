//! Names: what may be a name, how names are made, and what the internal topics of an application are called.
//!
//! | module | holds |
//! |---|---|
//! | [`grammar`] | legal names, generated names |
//! | [`generate`] | the two generators: `PerClass` and `Jvm` |
//! | [`renumbered`] | internal topics that are there under other numbers: the migration trap |
//! | [`topics`] | names of changelog and repartition topics |
//!
//! What is absent: this crate knows no topology. It is told a prefix and says a name.

pub mod generate;
pub mod grammar;
pub mod renumbered;
pub mod topics;

pub use generate::{NameGenerator, Naming};
pub use grammar::{MAX_NAME_LENGTH, NameError, check_name, is_generated};
pub use renumbered::{Renumbered, find_renumbered};
pub use topics::{changelog_topic, decorate, is_generated_repartition_prefix, repartition_name, repartition_topic};
