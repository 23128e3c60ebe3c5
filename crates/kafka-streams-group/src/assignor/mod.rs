//! Who runs which task: pure functions from the group's state to an assignment.
//!
//! ```text
//!   AssignorInput ──▶ sticky::assign ──▶ AssignorOutput ──▶ validate ──▶ threads::distribute (per process)
//!   tasks, processes,    by process                           │              by consumer
//!   what they had                                           Defect
//! ```
//!
//! In this version active tasks are placed sticky and balanced; standby and warm-up tasks have their place in the output, but
//! none are made yet.

mod input;
mod output;
mod spread;
pub mod sticky;
pub mod threads;
mod validate;

pub use input::{AssignorInput, ConsumerState, Lag, ProcessState, TaskInfo};
pub use output::{AssignorOutput, ProcessAssignment};
pub use validate::{Defect, validate};
