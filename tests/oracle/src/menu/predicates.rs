//! Predicates of key and value.

use std::sync::Arc;

use super::{Predicate, need, number, string, unknown};
use crate::fault::Fault;
use crate::spec::Function;
use crate::value::{Value, ValueType};

/// The predicate of this name.
///
/// # Errors
/// There is none, or its arguments or the values are of another type.
pub fn predicate(function: &Function, values: ValueType) -> Result<Predicate, Fault> {
    let wants_text = || need(values, ValueType::String, function);
    let wants_numbers = || need(values, ValueType::Long, function);
    Ok(match function.name() {
        "always" => Arc::new(|_, _| true),
        "never" => Arc::new(|_, _| false),
        "contains" => {
            wants_text()?;
            let part = string(function, 1)?;
            Arc::new(move |_, value| matches!(value, Value::Text(text) if text.contains(&part)))
        }
        "lengthGt" => {
            wants_text()?;
            let length = number(function, 1)?;
            Arc::new(move |_, value| matches!(value, Value::Text(text) if text.len() as i64 > length))
        }
        "longGt" => {
            wants_numbers()?;
            let bound = number(function, 1)?;
            Arc::new(move |_, value| matches!(value, Value::Long(number) if *number > bound))
        }
        "longEven" => {
            wants_numbers()?;
            Arc::new(|_, value| matches!(value, Value::Long(number) if number & 1 == 0))
        }
        "keyEquals" => {
            let wanted = string(function, 1)?;
            Arc::new(move |key, _| key.plain() == Some(&wanted))
        }
        "keyStartsWith" => {
            let wanted = string(function, 1)?;
            Arc::new(move |key, _| key.plain().is_some_and(|key| key.starts_with(&wanted)))
        }
        "keyNotNull" => Arc::new(|key, _| !key.is_null()),
        "valueNotNull" => Arc::new(|_, value| !value.is_null()),
        "not" => {
            let Some(inner) = function.argument(1).cloned().and_then(|inner| serde_json::from_value(inner).ok()) else {
                return Fault::bad_case("not needs a predicate");
            };
            let inner = predicate(&inner, values)?;
            Arc::new(move |key, value| !inner(key, value))
        }
        _ => return unknown("predicate", function),
    })
}
