//! The menus of functions (section 8 of `SPEC.md`): a name and arguments become a closure and the type of its results.
//!
//! Text is ASCII, so its length in bytes is its length in characters.

mod aggregators;
mod keys;
mod mappers;
mod predicates;

use std::sync::Arc;

pub use aggregators::{aggregator, joiner, joiner_uses_key, merger, reducer};
pub use keys::{Flat, flat_map, flat_map_values, key_fn, topic_fn};
pub use mappers::{mapper_uses_key, value_mapper};
pub use predicates::predicate;

use crate::fault::Fault;
use crate::spec::{Function, text};
use crate::value::{KeyText, Value, ValueType};

/// A predicate of key and value.
pub type Predicate = Arc<dyn Fn(&dyn KeyText, &Value) -> bool + Send + Sync>;
/// From key and value to a value; an error is what the JVM's function throws.
pub type Mapper = Arc<dyn Fn(&dyn KeyText, &Value) -> Result<Value, Thrown> + Send + Sync>;
/// From key and value to a key.
pub type KeyFn = Arc<dyn Fn(&dyn KeyText, &Value) -> Option<String> + Send + Sync>;
/// From two values to one.
pub type Reducer = Arc<dyn Fn(&Value, &Value) -> Value + Send + Sync>;
/// From a key and two values to one.
pub type Combiner = Arc<dyn Fn(&dyn KeyText, &Value, &Value) -> Value + Send + Sync>;
/// From key, value and input topic to an output topic.
pub type TopicFn = Arc<dyn Fn(&dyn KeyText, &Value, &str) -> String + Send + Sync>;

/// What a function of the menus throws.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Thrown(pub String);

/// A function with the type of its results.
#[derive(Clone)]
pub struct Typed<F> {
    /// The type of the results.
    pub out: ValueType,
    /// The function.
    pub f: F,
}

/// A string argument.
fn string(function: &Function, index: usize) -> Result<String, Fault> {
    match function.argument(index) {
        Some(argument) => Ok(text(argument)),
        None => Fault::bad_case(format!("{} needs an argument {index}", function.name())),
    }
}

/// A number as argument.
fn number(function: &Function, index: usize) -> Result<i64, Fault> {
    match function.argument(index).and_then(serde_json::Value::as_i64) {
        Some(argument) => Ok(argument),
        None => Fault::bad_case(format!("{} needs a number as argument {index}", function.name())),
    }
}

/// Refuses values of another type.
fn need(values: ValueType, wanted: ValueType, function: &Function) -> Result<(), Fault> {
    match values == wanted {
        true => Ok(()),
        false => Fault::bad_case(format!("{} needs values of type {wanted:?}", function.name())),
    }
}

fn unknown<T>(menu: &str, function: &Function) -> Result<T, Fault> {
    Fault::bad_case(format!("there is no {menu} named {}", function.name()))
}
