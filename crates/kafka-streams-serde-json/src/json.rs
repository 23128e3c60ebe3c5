//! A type of its own, so that JSON is found without being named.

use std::ops::{Deref, DerefMut};

use kafka_streams_core::DefaultSerde;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::JsonSerde;

/// A value that is JSON on the wire: `builder.stream::<String, Json<Order>>("orders")` needs no serde to be named.
///
/// Dereferences to the value; `.0` takes it out.
///
/// ```
/// use kafka_streams_core::{DefaultSerde, Serde};
/// use kafka_streams_serde_json::Json;
///
/// let serde = <Json<Vec<i32>> as DefaultSerde>::Serde::default();
/// assert_eq!(*serde.deserialize("t", b"[1, 2]")?, [1, 2]);
/// # Ok::<(), kafka_streams_core::SerdeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned + 'static> DefaultSerde for Json<T> {
    type Serde = JsonSerde<Json<T>>;
}

impl<T> From<T> for Json<T> {
    fn from(value: T) -> Self {
        Json(value)
    }
}

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_streams_core::Serde;

    #[test]
    fn the_wrapper_leaves_no_trace_in_the_bytes() {
        let mut bytes = Vec::new();
        let serde = JsonSerde::<Json<(String, i32)>>::new();
        serde.serialize("t", &Json(("größe".to_owned(), 1)), &mut bytes).unwrap();
        assert_eq!(bytes, r#"["größe",1]"#.as_bytes());
        assert_eq!(serde.deserialize("t", &bytes).unwrap(), Json(("größe".to_owned(), 1)));
    }

    #[test]
    fn a_null_is_read_as_an_option() {
        let serde = <Option<Json<i32>> as DefaultSerde>::Serde::default();
        assert_eq!(kafka_streams_core::read_nullable(&serde, "t", None).unwrap(), None);
    }
}
