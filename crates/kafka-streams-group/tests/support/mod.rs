//! What the simulation is made of.

pub(crate) mod coordinator;
pub(crate) mod random;
