//! Which serde an operator uses: the one that was given, else the one that its stream came with, else the type's own.

use std::sync::Arc;

use kafka_streams_core::{DefaultSerde, Serde, SharedSerde};

/// A serde and how it came about.
pub(crate) enum SerdeChoice<T> {
    /// Named by the user: it is used.
    Given(SharedSerde<T>),
    /// The type's own: it is used unless the stream or table came with another.
    Default(SharedSerde<T>),
}

impl<T: 'static> SerdeChoice<T> {
    pub(crate) fn given(serde: impl Serde<Target = T>) -> Self {
        SerdeChoice::Given(Arc::new(serde))
    }

    pub(crate) fn of_type() -> Self
    where
        T: DefaultSerde,
    {
        SerdeChoice::Default(T::shared())
    }

    /// The serde to be used where the stream or table came with `inherited`.
    pub(crate) fn or_inherited(&self, inherited: Option<&SharedSerde<T>>) -> SharedSerde<T> {
        match (self, inherited) {
            (SerdeChoice::Default(_), Some(inherited)) => inherited.clone(),
            (SerdeChoice::Given(serde) | SerdeChoice::Default(serde), _) => serde.clone(),
        }
    }
}

impl<T> Clone for SerdeChoice<T> {
    fn clone(&self) -> Self {
        match self {
            SerdeChoice::Given(serde) => SerdeChoice::Given(serde.clone()),
            SerdeChoice::Default(serde) => SerdeChoice::Default(serde.clone()),
        }
    }
}
