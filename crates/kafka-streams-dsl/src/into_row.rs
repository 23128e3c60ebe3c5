//! What a stream's values are to a table: rows, or rows and deletions.

use kafka_streams_core::SharedSerde;

use crate::nullable_serde::NullableSerde;

/// Values that can become rows of type `T`: a `T`, or an `Option<T>`, whose `None` deletes the row.
pub trait IntoRow<T>: Clone + Sized + 'static {
    /// The row; `None` deletes it.
    fn into_row(self) -> Option<T>;

    /// The serde of such values, by that of rows.
    fn serde(rows: &SharedSerde<T>) -> SharedSerde<Self>;

    /// The serde of rows, if that of such values tells it.
    fn row_serde(values: Option<&SharedSerde<Self>>) -> Option<SharedSerde<T>>;
}

impl<T: Clone + 'static> IntoRow<T> for T {
    #[inline]
    fn into_row(self) -> Option<T> {
        Some(self)
    }

    fn serde(rows: &SharedSerde<T>) -> SharedSerde<T> {
        rows.clone()
    }

    fn row_serde(values: Option<&SharedSerde<T>>) -> Option<SharedSerde<T>> {
        values.cloned()
    }
}

impl<T: Clone + 'static> IntoRow<T> for Option<T> {
    #[inline]
    fn into_row(self) -> Option<T> {
        self
    }

    fn serde(rows: &SharedSerde<T>) -> SharedSerde<Option<T>> {
        NullableSerde::around(rows)
    }

    fn row_serde(_values: Option<&SharedSerde<Option<T>>>) -> Option<SharedSerde<T>> {
        None
    }
}
