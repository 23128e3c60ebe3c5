//! Value mappers.

use std::sync::Arc;

use super::{Mapper, Thrown, Typed, need, number, string, unknown};
use crate::fault::Fault;
use crate::spec::Function;
use crate::value::{Value, ValueType};

/// Whether the mapper with key is called, instead of the one without.
pub fn mapper_uses_key(function: &Function) -> bool {
    function.name() == "withKey"
}

/// The value mapper of this name.
///
/// # Errors
/// There is none, or its arguments or the values are of another type.
pub fn value_mapper(function: &Function, values: ValueType) -> Result<Typed<Mapper>, Fault> {
    let of_text = |f: Box<dyn Fn(&str) -> Value + Send + Sync>, out| -> Result<Typed<Mapper>, Fault> {
        need(values, ValueType::String, function)?;
        let f: Mapper = Arc::new(move |_, value| {
            Ok(match value {
                Value::Text(text) => f(text),
                _ => Value::Null,
            })
        });
        Ok(Typed { out, f })
    };
    let of_number = |f: Box<dyn Fn(i64) -> Value + Send + Sync>| -> Result<Typed<Mapper>, Fault> {
        need(values, ValueType::Long, function)?;
        let f: Mapper = Arc::new(move |_, value| {
            Ok(match value {
                Value::Long(number) => f(*number),
                _ => Value::Null,
            })
        });
        Ok(Typed { out: ValueType::Long, f })
    };
    let string = |index| string(function, index);
    let number = |index| number(function, index);
    match function.name() {
        "identity" => Ok(Typed { out: values, f: Arc::new(|_, value| Ok(value.clone())) }),
        "upper" => of_text(Box::new(|text| Value::text(text.to_uppercase())), ValueType::String),
        "lower" => of_text(Box::new(|text| Value::text(text.to_lowercase())), ValueType::String),
        "append" => {
            let end = string(1)?;
            of_text(Box::new(move |text| Value::text(format!("{text}{end}"))), ValueType::String)
        }
        "prepend" => {
            let start = string(1)?;
            of_text(Box::new(move |text| Value::text(format!("{start}{text}"))), ValueType::String)
        }
        "take" => {
            let length = usize::try_from(number(1)?).unwrap_or(0);
            let take = move |text: &str| Value::text(text.chars().take(length).collect::<String>());
            of_text(Box::new(take), ValueType::String)
        }
        "length" => of_text(Box::new(|text| Value::Long(text.len() as i64)), ValueType::Long),
        "parseLongOr0" => {
            need(values, ValueType::String, function)?;
            let f: Mapper = Arc::new(|_, value| {
                Ok(Value::Long(match value {
                    Value::Text(text) => parse_or_0(text),
                    _ => 0,
                }))
            });
            Ok(Typed { out: ValueType::Long, f })
        }
        "toString" => {
            let f: Mapper =
                Arc::new(|_, value| Ok(if value.is_null() { Value::Null } else { Value::text(value.show()) }));
            Ok(Typed { out: ValueType::String, f })
        }
        "add" => {
            let summand = number(1)?;
            of_number(Box::new(move |number| Value::Long(number.wrapping_add(summand))))
        }
        "mul" => {
            let factor = number(1)?;
            of_number(Box::new(move |number| Value::Long(number.wrapping_mul(factor))))
        }
        "const" => {
            let constant = Value::text(string(1)?);
            Ok(Typed { out: ValueType::String, f: Arc::new(move |_, _| Ok(constant.clone())) })
        }
        "constLong" => {
            let constant = number(1)?;
            Ok(Typed { out: ValueType::Long, f: Arc::new(move |_, _| Ok(Value::Long(constant))) })
        }
        "nullIfContains" => {
            let part = string(1)?;
            let f = move |text: &str| if text.contains(&part) { Value::Null } else { Value::text(text) };
            of_text(Box::new(f), ValueType::String)
        }
        "nullIfOdd" => of_number(Box::new(|number| if number & 1 == 0 { Value::Long(number) } else { Value::Null })),
        "orElse" => {
            need(values, ValueType::String, function)?;
            let other = Value::text(string(1)?);
            let f: Mapper = Arc::new(move |_, value| Ok(if value.is_null() { other.clone() } else { value.clone() }));
            Ok(Typed { out: ValueType::String, f })
        }
        "withKey" => {
            let f: Mapper = Arc::new(|key, value| Ok(Value::text(format!("{}:{}", key.text(), value.show()))));
            Ok(Typed { out: ValueType::String, f })
        }
        "failOn" => {
            let bad = string(1)?;
            let f: Mapper = Arc::new(move |_, value| match value.show() == bad {
                true => Err(Thrown(format!("failOn {bad}"))),
                false => Ok(value.clone()),
            });
            Ok(Typed { out: values, f })
        }
        _ => unknown("value mapper", function),
    }
}

/// An optional minus and 1 to 18 digits; anything else is 0.
fn parse_or_0(text: &str) -> i64 {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().unwrap_or(0),
        false => 0,
    }
}
