//! Golden files of topologies: what a deploy would change, told by class and checked in continuous integration.
//!
//! ```text
//!   topologies of the program ──build──▶ Manifest ──diff──▶ changes in five classes ──▶ text, JSON, annotations
//!                                           ▲                        │
//!              golden/<name>.json ──────────┘                        └──▶ exit code: 0 same … 3 loses state
//! ```
//!
//! A workspace's `xtask` is a few lines over this crate; [`Golden`] shows them. Its commands:
//!
//! | command | does |
//! |---|---|
//! | `golden` | compares each topology with its golden file, and fails on any difference |
//! | `golden --bless` | writes the golden files anew, after telling the differences |
//! | `diff OLD NEW` | compares two manifests |
//! | `describe`, `manifest` | prints the text of `describe()`, or the manifest |
//! | `graph --svg`, `--mermaid`, `--dot` | draws a topology |
//! | `orphans --bootstrap …` | tells topics that are left over (feature `orphans`) |
//!
//! | exit code | means |
//! |---|---|
//! | 0 | the same |
//! | 1 | a harmless change |
//! | 2 | a change that needs thought, or orphans |
//! | 3 | a change that loses state |
//! | 4 | the command failed: wrong arguments, a file that cannot be read, a topology that cannot be built |
//!
//! What is absent: this crate deletes no topic and writes to no broker. It knows no operator and runs nothing.

mod check;
mod command;
mod error;
mod golden;
#[cfg(feature = "orphans")]
mod orphans;

pub use error::GoldenError;
pub use golden::Golden;
