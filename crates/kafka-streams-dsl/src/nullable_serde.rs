//! A serde that lets nulls through, around one that is only known when the program runs.

use std::borrow::Cow;
use std::sync::Arc;

use kafka_streams_core::{Serde, SerdeError, SharedSerde};

/// Values that may be null, whatever the inner serde: what a table reads and what it becomes as a stream.
pub(crate) struct NullableSerde<T>(SharedSerde<T>);

impl<T: 'static> NullableSerde<T> {
    pub(crate) fn around(serde: &SharedSerde<T>) -> SharedSerde<Option<T>> {
        Arc::new(NullableSerde(serde.clone()))
    }
}

impl<T: 'static> Serde for NullableSerde<T> {
    type Target = Option<T>;

    #[inline]
    fn serialize(&self, topic: &str, value: &Option<T>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        value.as_ref().map_or(Ok(()), |value| self.0.serialize(topic, value, out))
    }

    #[inline]
    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Option<T>, SerdeError> {
        self.0.deserialize(topic, bytes).map(Some)
    }

    #[inline]
    fn is_null(&self, value: &Option<T>) -> bool {
        value.as_ref().is_none_or(|value| self.0.is_null(value))
    }

    #[inline]
    fn null(&self) -> Option<Option<T>> {
        Some(None)
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("{}?", self.0.id()))
    }
}
