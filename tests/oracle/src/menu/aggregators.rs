//! Reducers, aggregators, mergers and joiners.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Combiner, Reducer, Typed, need, string, unknown};
use crate::fault::Fault;
use crate::spec::Function;
use crate::value::{Value, ValueType};

/// The reducer of this name: the aggregate so far comes first.
///
/// # Errors
/// There is none, or its arguments or the values are of another type.
pub fn reducer(function: &Function, values: ValueType) -> Result<Reducer, Fault> {
    let wants_numbers = || need(values, ValueType::Long, function);
    Ok(match function.name() {
        "first" => Arc::new(|a, _| a.clone()),
        "last" => Arc::new(|_, b| b.clone()),
        "concat" => {
            need(values, ValueType::String, function)?;
            let between = string(function, 1)?;
            Arc::new(move |a, b| Value::text(format!("{}{between}{}", a.show(), b.show())))
        }
        "sum" => {
            wants_numbers()?;
            Arc::new(|a, b| Value::Long(a.number().wrapping_add(b.number())))
        }
        "minus" => {
            wants_numbers()?;
            Arc::new(|a, b| Value::Long(a.number().wrapping_sub(b.number())))
        }
        "max" => Arc::new(|a, b| if compare(a, b).is_ge() { a.clone() } else { b.clone() }),
        "min" => Arc::new(|a, b| if compare(a, b).is_le() { a.clone() } else { b.clone() }),
        _ => return unknown("reducer", function),
    })
}

/// The aggregator of this name: key, value, aggregate.
///
/// # Errors
/// There is none, or its arguments or the values are of another type.
pub fn aggregator(function: &Function, values: ValueType) -> Result<Typed<Combiner>, Fault> {
    let wants_numbers = || need(values, ValueType::Long, function);
    let number = |f: fn(i64, &Value) -> i64| -> Typed<Combiner> {
        let f: Combiner = Arc::new(move |_, value, so_far| Value::Long(f(so_far.number(), value)));
        Typed { out: ValueType::Long, f }
    };
    let length = |value: &Value| value.show().len() as i64;
    let text = |f: Combiner| Typed { out: ValueType::String, f };
    Ok(match function.name() {
        "plus1" => number(|so_far, _| so_far.wrapping_add(1)),
        "minus1" => number(|so_far, _| so_far.wrapping_sub(1)),
        "sum" => {
            wants_numbers()?;
            number(|so_far, value| so_far.wrapping_add(value.number()))
        }
        "minus" => {
            wants_numbers()?;
            number(|so_far, value| so_far.wrapping_sub(value.number()))
        }
        "max" => {
            wants_numbers()?;
            number(|so_far, value| so_far.max(value.number()))
        }
        "min" => {
            wants_numbers()?;
            number(|so_far, value| so_far.min(value.number()))
        }
        "sumLength" => {
            let f: Combiner =
                Arc::new(move |_, value, so_far| Value::Long(so_far.number().wrapping_add(length(value))));
            Typed { out: ValueType::Long, f }
        }
        "minusLength" => {
            let f: Combiner =
                Arc::new(move |_, value, so_far| Value::Long(so_far.number().wrapping_sub(length(value))));
            Typed { out: ValueType::Long, f }
        }
        "trace" => {
            let between = string(function, 1)?;
            text(Arc::new(move |_, value, so_far| Value::text(format!("{}{between}{}", so_far.show(), value.show()))))
        }
        "traceKey" => {
            let between = string(function, 1)?;
            text(Arc::new(move |key, value, so_far| {
                Value::text(format!("{}{between}{}={}", so_far.show(), key.text(), value.show()))
            }))
        }
        "traceNullOn" => {
            let (between, none) = (string(function, 1)?, string(function, 2)?);
            text(Arc::new(move |_, value, so_far| match value.show() == none {
                true => Value::Null,
                false => Value::text(format!("{}{between}{}", so_far.show(), value.show())),
            }))
        }
        _ => return unknown("aggregator", function),
    })
}

/// The merger of this name.
///
/// # Errors
/// There is none, or its arguments or the values are of another type.
pub fn merger(function: &Function, values: ValueType) -> Result<Combiner, Fault> {
    Ok(match function.name() {
        "sum" => {
            need(values, ValueType::Long, function)?;
            Arc::new(|_, a, b| Value::Long(a.number().wrapping_add(b.number())))
        }
        "max" => {
            need(values, ValueType::Long, function)?;
            Arc::new(|_, a, b| Value::Long(a.number().max(b.number())))
        }
        "concat" => {
            need(values, ValueType::String, function)?;
            let between = string(function, 1)?;
            Arc::new(move |_, a, b| Value::text(format!("{}{between}{}", a.show(), b.show())))
        }
        _ => return unknown("merger", function),
    })
}

/// Whether the joiner with key is called, instead of the one without.
pub fn joiner_uses_key(function: &Function) -> bool {
    function.name() == "pipeKey"
}

/// The joiner of this name: key, left, right.
///
/// # Errors
/// There is none, or its arguments or the values are of another type.
pub fn joiner(function: &Function, left: ValueType, right: ValueType) -> Result<Typed<Combiner>, Fault> {
    let text = |f: Combiner| Typed { out: ValueType::String, f };
    Ok(match function.name() {
        "pipe" => text(Arc::new(|_, a, b| Value::text(format!("{}|{}", a.show(), b.show())))),
        "pipeKey" => text(Arc::new(|key, a, b| Value::text(format!("{}:{}|{}", key.text(), a.show(), b.show())))),
        "sum" => {
            need(left, ValueType::Long, function)?;
            need(right, ValueType::Long, function)?;
            let f: Combiner = Arc::new(|_, a, b| Value::Long(a.number().wrapping_add(b.number())));
            Typed { out: ValueType::Long, f }
        }
        "left" => Typed { out: left, f: Arc::new(|_, a, _| a.clone()) },
        "right" => Typed { out: right, f: Arc::new(|_, _, b| b.clone()) },
        _ => return unknown("joiner", function),
    })
}

/// Numbers by size, text by bytes, null before everything.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Long(a), Value::Long(b)) => a.cmp(b),
        _ => a.show().cmp(&b.show()),
    }
}
