//! `suppress`.

use crate::build::Build;
use crate::fault::Fault;
use crate::spec::Suppress;

/// Adds a suppression.
///
/// # Errors
/// See [`Fault`].
pub fn add(_build: &mut Build, _op: &Suppress) -> Result<(), Fault> {
    Fault::not_built("suppress")
}
