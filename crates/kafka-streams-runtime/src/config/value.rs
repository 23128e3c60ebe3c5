//! The types and ranges of settings, and how a text becomes a value of one of them.

use std::fmt;

/// The type of a setting, as the JVM's `ConfigDef.Type` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// `true` or `false`, in any case.
    Boolean,
    /// A 32-bit signed integer.
    Int,
    /// A 64-bit signed integer.
    Long,
    /// A 16-bit signed integer.
    Short,
    /// A floating-point number.
    Double,
    /// Any text.
    String,
    /// Texts separated by commas.
    List,
    /// The name of a Java class.
    Class,
    /// A text that is never printed.
    Password,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Short => "short",
            Self::Double => "double",
            Self::String => "string",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
        })
    }
}

/// Which values of its type a setting takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// All of them.
    Any,
    /// Any text but the empty one.
    NonEmpty,
    /// Numbers from this one up.
    AtLeast(i64),
    /// Numbers between the two, both included.
    Between(i64, i64),
    /// One of these texts, exactly.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// Lists of at most this many elements.
    AtMostElements(usize),
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::NonEmpty => f.write_str("not empty"),
            Self::AtLeast(least) => write!(f, "from {least}"),
            Self::Between(least, most) => write!(f, "{least} to {most}"),
            Self::OneOf(texts) | Self::OneOfAnyCase(texts) => f.write_str(&texts.join(", ")),
            Self::AtMostElements(most) => write!(f, "at most {most} elements"),
        }
    }
}

/// A value of some [`ValueType`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Boolean(bool),
    Number(i64),
    Double(f64),
    Text(String),
    List(Vec<String>),
}

/// Reads `text`, without the white space around it, as a value of `value_type` within `range`.
///
/// # Errors
/// A description of what was expected.
pub(crate) fn parse(value_type: ValueType, range: Range, text: &str) -> Result<Value, String> {
    let text = text.trim();
    let expected = || describe(value_type, range);
    let value = match value_type {
        ValueType::Boolean if text.eq_ignore_ascii_case("true") => Value::Boolean(true),
        ValueType::Boolean if text.eq_ignore_ascii_case("false") => Value::Boolean(false),
        ValueType::Boolean => return Err(expected()),
        ValueType::Short => Value::Number(text.parse::<i16>().map_err(|_| expected())?.into()),
        ValueType::Int => Value::Number(text.parse::<i32>().map_err(|_| expected())?.into()),
        ValueType::Long => Value::Number(text.parse::<i64>().map_err(|_| expected())?),
        ValueType::Double => Value::Double(text.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(expected)?),
        ValueType::String | ValueType::Class | ValueType::Password => Value::Text(text.to_owned()),
        ValueType::List if text.is_empty() => Value::List(Vec::new()),
        ValueType::List => Value::List(text.split(',').map(|part| part.trim().to_owned()).collect()),
    };
    let fits = match (range, &value) {
        (Range::Any, _) => true,
        (Range::NonEmpty, Value::Text(text)) => !text.is_empty(),
        (Range::NonEmpty, Value::List(parts)) => !parts.is_empty() && parts.iter().all(|part| !part.is_empty()),
        (Range::AtLeast(least), Value::Number(number)) => *number >= least,
        (Range::Between(least, most), Value::Number(number)) => (least..=most).contains(number),
        (Range::OneOf(texts), Value::Text(text)) => texts.contains(&text.as_str()),
        (Range::OneOfAnyCase(texts), Value::Text(text)) => texts.iter().any(|one| one.eq_ignore_ascii_case(text)),
        (Range::AtMostElements(most), Value::List(parts)) => parts.len() <= most,
        // A range that does not belong to the type is a mistake in a table; the tables' tests rule it out.
        _ => true,
    };
    if fits { Ok(value) } else { Err(expected()) }
}

/// Whether two texts mean the same value of a setting, so that a default that is spelt out is known as the default.
pub(crate) fn same(value_type: ValueType, range: Range, left: &str, right: &str) -> bool {
    let (Ok(left), Ok(right)) = (parse(value_type, Range::Any, left), parse(value_type, Range::Any, right)) else {
        return false;
    };
    match (left, right) {
        (Value::Text(left), Value::Text(right)) if matches!(range, Range::OneOfAnyCase(_)) => {
            left.eq_ignore_ascii_case(&right)
        }
        (Value::List(mut left), Value::List(mut right)) => {
            left.sort_unstable();
            right.sort_unstable();
            left == right
        }
        (left, right) => left == right,
    }
}

/// "a whole number, from 0", and so on.
fn describe(value_type: ValueType, range: Range) -> String {
    let kind = match value_type {
        ValueType::Boolean => "true or false",
        ValueType::Short => "a whole number of 16 bits",
        ValueType::Int => "a whole number of 32 bits",
        ValueType::Long => "a whole number",
        ValueType::Double => "a number",
        ValueType::String | ValueType::Password => "a text",
        ValueType::Class => "the name of a class",
        ValueType::List => "a list separated by commas",
    };
    match range {
        Range::Any => kind.to_owned(),
        Range::OneOf(texts) => format!("one of {}", texts.join(", ")),
        Range::OneOfAnyCase(texts) => format!("one of {} (in any case)", texts.join(", ")),
        Range::NonEmpty => format!("{kind} that is not empty"),
        other => format!("{kind}, {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bounded_by_their_type_and_their_range() {
        assert_eq!(parse(ValueType::Int, Range::AtLeast(0), " 7 "), Ok(Value::Number(7)));
        assert_eq!(parse(ValueType::Int, Range::AtLeast(0), "-1"), Err("a whole number of 32 bits, from 0".to_owned()));
        assert!(parse(ValueType::Int, Range::Any, "2147483648").is_err());
        assert!(parse(ValueType::Short, Range::Any, "40000").is_err());
        assert!(parse(ValueType::Long, Range::Between(1, 3), "4").is_err());
        assert!(parse(ValueType::Long, Range::Any, "1.5").is_err());
        assert!(parse(ValueType::Double, Range::Any, "NaN").is_err());
    }

    #[test]
    fn booleans_ignore_case_and_nothing_else() {
        assert_eq!(parse(ValueType::Boolean, Range::Any, "TRUE"), Ok(Value::Boolean(true)));
        assert!(parse(ValueType::Boolean, Range::Any, "yes").is_err());
    }

    #[test]
    fn choices_are_exact_unless_any_case_is_allowed() {
        assert!(parse(ValueType::String, Range::OneOf(&["none"]), "None").is_err());
        assert!(parse(ValueType::String, Range::OneOfAnyCase(&["none"]), "None").is_ok());
    }

    #[test]
    fn lists_are_split_trimmed_and_counted() {
        let list = parse(ValueType::List, Range::AtMostElements(2), "a , b");
        assert_eq!(list, Ok(Value::List(vec!["a".to_owned(), "b".to_owned()])));
        assert!(parse(ValueType::List, Range::AtMostElements(2), "a,b,c").is_err());
        assert!(parse(ValueType::List, Range::NonEmpty, "a,,b").is_err());
    }

    #[test]
    fn a_default_is_known_in_other_spellings() {
        assert!(same(ValueType::Long, Range::Any, "0100", "100"));
        assert!(same(ValueType::List, Range::Any, "TLSv1.3, TLSv1.2", "TLSv1.2,TLSv1.3"));
        assert!(same(ValueType::String, Range::OneOfAnyCase(&["CLASSIC"]), "Classic", "classic"));
        assert!(!same(ValueType::String, Range::Any, "Classic", "classic"));
        assert!(!same(ValueType::Long, Range::Any, "x", "x"));
    }
}
