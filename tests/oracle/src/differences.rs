//! The differences by intent: which case differs in which field, and where `docs/differences.md` gives the reason.

use crate::compare::Field;

/// A difference that is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intended {
    /// The case.
    pub case: &'static str,
    /// The field of its result.
    pub field: Field,
    /// The number in `docs/differences.md`.
    pub number: u32,
}

/// All of them. Each must really differ: one that does not is reported, too.
pub const INTENDED: &[Intended] = &[];
