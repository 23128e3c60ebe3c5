//! The serde to be named where a type is read or written.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use kafka_streams_core::{Serde, SerdeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads and writes values of `T` as JSON.
///
/// It carries its type, so that nothing has to be annotated where it is given:
/// `Consumed::with(StringSerde, JsonSerde::<Order>::new())`.
pub struct JsonSerde<T>(PhantomData<fn() -> T>);

impl<T> JsonSerde<T> {
    /// The serde of `T`.
    pub const fn new() -> Self {
        JsonSerde(PhantomData)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Serde for JsonSerde<T> {
    type Target = T;

    fn serialize(&self, _topic: &str, value: &T, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        serde_json::to_writer(out, value).map_err(SerdeError::invalid::<T>)
    }

    /// Reads a value that makes up the whole of `bytes`, but for white space around it.
    fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<T, SerdeError> {
        serde_json::from_slice(bytes).map_err(SerdeError::invalid::<T>)
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Borrowed("json")
    }
}

impl<T> Default for JsonSerde<T> {
    fn default() -> Self {
        JsonSerde::new()
    }
}

impl<T> Clone for JsonSerde<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for JsonSerde<T> {}

impl<T> fmt::Debug for JsonSerde<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonSerde<{}>", std::any::type_name::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn text_that_is_not_of_the_type_is_an_error_with_the_types_name() {
        let serde = JsonSerde::<BTreeMap<String, i64>>::new();
        let error = serde.deserialize("t", br#"{"a": "b"}"#).unwrap_err().to_string();
        assert!(error.contains("BTreeMap") && error.contains("line 1"), "{error}");
        assert!(serde.deserialize("t", br#"{"a": 1} x"#).is_err());
        assert_eq!(serde.deserialize("t", b" {\"a\": 1}\n").unwrap(), BTreeMap::from([("a".to_owned(), 1)]));
    }

    #[test]
    fn a_value_without_a_form_in_json_is_an_error() {
        let serde = JsonSerde::<BTreeMap<Vec<u8>, i64>>::new();
        assert!(serde.serialize("t", &BTreeMap::from([(vec![1], 1)]), &mut Vec::new()).is_err());
    }
}
