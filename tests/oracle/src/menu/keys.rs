//! Functions that make keys, several records, or topics.

use std::sync::Arc;

use super::{KeyFn, TopicFn, Typed, need, number, string, unknown};
use crate::fault::Fault;
use crate::spec::Function;
use crate::value::{Key, KeyText, Value, ValueType};

/// From key and value to any number of `T`.
pub type Flat<T> = Arc<dyn Fn(&dyn KeyText, &Value) -> Vec<T> + Send + Sync>;

/// The key function of this name.
///
/// # Errors
/// There is none, or its arguments or the values are of another type.
pub fn key_fn(function: &Function, values: ValueType) -> Result<KeyFn, Fault> {
    let shown = |value: &Value| (!value.is_null()).then(|| value.show());
    Ok(match function.name() {
        "key" => Arc::new(|key, _| key.plain().map(str::to_owned)),
        "windowKey" => Arc::new(|key, _| (!key.is_null()).then(|| key.text())),
        "value" => Arc::new(move |_, value| shown(value)),
        "firstChar" => Arc::new(move |_, value| shown(value)?.chars().next().map(String::from)),
        "constant" => {
            let constant = string(function, 1)?;
            Arc::new(move |_, _| Some(constant.clone()))
        }
        "null" => Arc::new(|_, _| None),
        "keyAppend" => {
            let end = string(function, 1)?;
            Arc::new(move |key, _| key.plain().map(|key| format!("{key}{end}")))
        }
        "keyPart" => {
            let (separator, piece) = (string(function, 1)?, index(function, 2)?);
            Arc::new(move |key, _| key.plain()?.split(separator.as_str()).nth(piece).map(str::to_owned))
        }
        "valuePart" => {
            let (separator, piece) = (string(function, 1)?, index(function, 2)?);
            Arc::new(move |_, value| shown(value)?.split(separator.as_str()).nth(piece).map(str::to_owned))
        }
        "mod" => {
            need(values, ValueType::Long, function)?;
            let divisor = number(function, 1)?;
            Arc::new(move |_, value| match value {
                Value::Long(number) => Some(format!("m{}", floor_mod(*number, divisor))),
                _ => None,
            })
        }
        "lengthMod" => {
            let divisor = number(function, 1)?;
            Arc::new(move |_, value| shown(value).map(|text| format!("l{}", text.len() as i64 % divisor.max(1))))
        }
        _ => return unknown("key function", function),
    })
}

/// The function of `flatMapValues` of this name.
///
/// # Errors
/// There is none, or its arguments or the values are of another type.
pub fn flat_map_values(function: &Function, values: ValueType) -> Result<Typed<Flat<Value>>, Fault> {
    Ok(match function.name() {
        "splitWords" => {
            need(values, ValueType::String, function)?;
            let f: Flat<Value> = Arc::new(|_, value| words(value).into_iter().map(Value::text).collect());
            Typed { out: ValueType::String, f }
        }
        "repeat" => {
            let times = index(function, 1)?;
            Typed { out: values, f: Arc::new(move |_, value| vec![value.clone(); times]) }
        }
        "upTo" => {
            need(values, ValueType::Long, function)?;
            let f: Flat<Value> = Arc::new(|_, value| match value {
                Value::Long(end) => (0..(*end).min(5)).map(Value::Long).collect(),
                _ => Vec::new(),
            });
            Typed { out: ValueType::Long, f }
        }
        _ => return unknown("function of flatMapValues", function),
    })
}

/// The function of `flatMap` of this name.
///
/// # Errors
/// There is none, or its arguments or the values are of another type.
pub fn flat_map(function: &Function, values: ValueType) -> Result<Typed<Flat<(Key, Value)>>, Fault> {
    Ok(match function.name() {
        "wordsAsKeys" => {
            need(values, ValueType::String, function)?;
            let f: Flat<(Key, Value)> = Arc::new(|_, value| {
                words(value).iter().map(|word| (Key::from(word.as_str()), value.clone())).collect()
            });
            Typed { out: ValueType::String, f }
        }
        "wordLengths" => {
            need(values, ValueType::String, function)?;
            let pair = |word: &String| (Key::from(word.as_str()), Value::Long(word.len() as i64));
            let f: Flat<(Key, Value)> = Arc::new(move |_, value| words(value).iter().map(pair).collect());
            Typed { out: ValueType::Long, f }
        }
        "twoKeys" => {
            let f: Flat<(Key, Value)> = Arc::new(|key, value| {
                let second = key.plain().map(|key| format!("{key}2"));
                vec![(Key::from(key.plain().map(str::to_owned)), value.clone()), (second.into(), value.clone())]
            });
            Typed { out: values, f }
        }
        _ => return unknown("function of flatMap", function),
    })
}

/// The topic function of this name.
///
/// # Errors
/// There is none, or its arguments are of another type.
pub fn topic_fn(function: &Function) -> Result<TopicFn, Fault> {
    Ok(match function.name() {
        "constant" => {
            let topic = string(function, 1)?;
            Arc::new(move |_, _, _| topic.clone())
        }
        "keyFirstChar" => {
            let prefix = string(function, 1)?;
            Arc::new(move |key, _, _| {
                let first = (!key.is_null()).then(|| key.text()).and_then(|key| key.chars().next().map(String::from));
                format!("{prefix}{}", first.as_deref().unwrap_or("none"))
            })
        }
        "lengthParity" => {
            let (even, odd) = (string(function, 1)?, string(function, 2)?);
            Arc::new(move |_, value, _| if value.show().len().is_multiple_of(2) { even.clone() } else { odd.clone() })
        }
        "sourceTopic" => {
            let prefix = string(function, 1)?;
            Arc::new(move |_, _, topic| format!("{prefix}{topic}"))
        }
        _ => return unknown("topic function", function),
    })
}

/// Pieces at single spaces, empty ones left out.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn index(function: &Function, at: usize) -> Result<usize, Fault> {
    Ok(usize::try_from(number(function, at)?).unwrap_or(0))
}

/// `Math.floorMod`: the sign of the divisor.
fn floor_mod(number: i64, divisor: i64) -> i64 {
    match number.checked_rem(divisor) {
        Some(rest) if rest != 0 && (rest < 0) != (divisor < 0) => rest + divisor,
        Some(rest) => rest,
        None => 0,
    }
}
