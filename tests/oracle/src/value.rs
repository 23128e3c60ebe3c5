//! Keys and values of the oracle's language, typed when the program runs: any of them may be null, and the serde says
//! which kind of value is meant.
//!
//! One type for all values keeps the interpreter small. Nothing that is drawn or written depends on it: serdes are named
//! everywhere, as the JVM's program does it.

use std::sync::Arc;

use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_core::{DefaultSerde, Serde, SerdeError, SharedSerde};
use kafka_streams_dsl::Windowed;
use serde::Deserialize;

/// A key: text or null.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Option<Arc<str>>);

/// A value: text, a number, or null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// Text.
    Text(Arc<str>),
    /// A number.
    Long(i64),
}

/// The static type of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Text.
    #[default]
    String,
    /// A number of 64 bits.
    Long,
}

/// What the function menus see of a key, plain or in a window.
pub trait KeyText {
    /// The key inside; `None` for a null key.
    fn plain(&self) -> Option<&str>;

    /// The key as text, with its window; `null` for a null key.
    fn text(&self) -> String;

    /// Whether it is null.
    fn is_null(&self) -> bool {
        self.plain().is_none()
    }
}

impl KeyText for Key {
    fn plain(&self) -> Option<&str> {
        self.0.as_deref()
    }

    fn text(&self) -> String {
        self.plain().unwrap_or("null").to_owned()
    }
}

impl<K: KeyText> KeyText for Windowed<K> {
    fn plain(&self) -> Option<&str> {
        self.key.plain()
    }

    fn text(&self) -> String {
        format!("{}@{}/{}", self.key.text(), self.window.start, self.window.end)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Key(Some(text.into()))
    }
}

impl From<Option<String>> for Key {
    fn from(text: Option<String>) -> Self {
        Key(text.map(Into::into))
    }
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Value::Text(text.into())
    }

    /// `str` of the language: `null` for null.
    pub fn show(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Text(text) => text.to_string(),
            Value::Long(number) => number.to_string(),
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }

    /// The number; 0 for null and for text.
    pub fn number(&self) -> i64 {
        match self {
            Value::Long(number) => *number,
            _ => 0,
        }
    }

    /// The value as a row of a table, in which there is no null.
    pub fn into_row(self) -> Option<Value> {
        (!self.is_null()).then_some(self)
    }
}

impl From<Option<Value>> for Value {
    fn from(row: Option<Value>) -> Self {
        row.unwrap_or_default()
    }
}

/// Rows of tables: values, or the numbers that counting gives.
pub trait Row: Clone + PartialEq + 'static {
    /// As a value.
    fn value(self) -> Value;

    /// From a value that is not null.
    fn of(value: Value) -> Option<Self>;

    /// How such rows are stored and written.
    fn serde(values: ValueType) -> SharedSerde<Self>;
}

impl Row for Value {
    fn value(self) -> Value {
        self
    }

    fn of(value: Value) -> Option<Self> {
        value.into_row()
    }

    fn serde(values: ValueType) -> SharedSerde<Value> {
        Arc::new(ValueSerde(values))
    }
}

impl Row for i64 {
    fn value(self) -> Value {
        Value::Long(self)
    }

    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Long(number) => Some(number),
            _ => None,
        }
    }

    fn serde(_values: ValueType) -> SharedSerde<i64> {
        Arc::new(I64Serde)
    }
}

/// Keys as UTF-8.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeySerde;

impl Serde for KeySerde {
    type Target = Key;

    fn serialize(&self, _topic: &str, key: &Key, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.extend_from_slice(key.plain().unwrap_or_default().as_bytes());
        Ok(())
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Key, SerdeError> {
        StringSerde.deserialize(topic, bytes).map(|text| Key(Some(text.into())))
    }

    fn is_null(&self, key: &Key) -> bool {
        key.0.is_none()
    }

    fn null(&self) -> Option<Key> {
        Some(Key(None))
    }
}

/// Values of one type.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueSerde(pub ValueType);

impl Serde for ValueSerde {
    type Target = Value;

    fn serialize(&self, _topic: &str, value: &Value, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        match (self.0, value) {
            (ValueType::String, Value::Text(text)) => out.extend_from_slice(text.as_bytes()),
            (ValueType::Long, Value::Long(number)) => out.extend_from_slice(&number.to_be_bytes()),
            (wanted, other) => return Err(SerdeError::invalid::<Value>(format!("{other:?} is no {wanted:?}"))),
        }
        Ok(())
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Value, SerdeError> {
        match self.0 {
            ValueType::String => StringSerde.deserialize(topic, bytes).map(Value::text),
            ValueType::Long => I64Serde.deserialize(topic, bytes).map(Value::Long),
        }
    }

    fn is_null(&self, value: &Value) -> bool {
        value.is_null()
    }

    fn null(&self) -> Option<Value> {
        Some(Value::Null)
    }
}

/// The configuration of all cases names the string serde as the default.
impl DefaultSerde for Value {
    type Serde = ValueSerde;
}

impl DefaultSerde for Key {
    type Serde = KeySerde;
}

/// A serde that is only known when the program runs.
#[derive(Clone)]
pub struct Shared<T>(pub SharedSerde<T>);

impl<T: 'static> Serde for Shared<T> {
    type Target = T;

    fn serialize(&self, topic: &str, value: &T, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.0.serialize(topic, value, out)
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<T, SerdeError> {
        self.0.deserialize(topic, bytes)
    }

    fn is_null(&self, value: &T) -> bool {
        self.0.is_null(value)
    }

    fn null(&self) -> Option<T> {
        self.0.null()
    }
}
