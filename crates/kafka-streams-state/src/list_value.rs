//! Stores of a list of values for each key: what left and outer stream-stream joins keep of records without a partner.
//!
//! A row, and its changelog record, hold the whole list (`ListValueStore` and `ListSerializer` of the JVM):
//! i8 strategy (1 = sizes vary) ‖ i32 count ‖ per value: i32 size ‖ bytes. Numbers are big-endian.

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use kafka_streams_core::serde::BytesSerde;
use kafka_streams_core::{Failure, SharedSerde, Step, TaskContext};

use crate::layer::Layers;
use crate::store::delegate_state_store;
use crate::{KeyValueStore, StoreError};

/// A store of a list of values for each key. Not cached: a list is logged as a whole whenever it grows.
pub struct ListValueStore<K, V> {
    rows: KeyValueStore<K, Bytes>,
    values: SharedSerde<V>,
}

/// Sizes are written with each value.
const VARIABLE_SIZE: u8 = 1;
/// Strategy and count.
const HEADER_SIZE: usize = 5;

impl<K: 'static, V: 'static> ListValueStore<K, V> {
    pub(crate) fn new(layers: Layers, keys: SharedSerde<K>, values: SharedSerde<V>) -> Self {
        ListValueStore { rows: KeyValueStore::new(layers, keys, Arc::new(BytesSerde)), values }
    }

    /// Appends a value to the list of `key`.
    ///
    /// # Errors
    /// Key or value cannot be serialized, the store fails, or the list is not one.
    pub fn append(&self, cx: &mut TaskContext, key: &K, value: &V) -> Step {
        let row = self.rows.get(key)?;
        let count = match &row {
            Some(row) => Entries::of(row.clone()).map_err(|error| self.failure(error))?.left,
            None => 0,
        };
        let mut list = Vec::with_capacity(row.as_ref().map_or(HEADER_SIZE, Bytes::len) + 64);
        list.push(VARIABLE_SIZE);
        list.extend_from_slice(&count.saturating_add(1).to_be_bytes());
        list.extend_from_slice(row.as_deref().and_then(|row| row.get(HEADER_SIZE..)).unwrap_or_default());
        let at = list.len();
        list.extend_from_slice(&[0; 4]);
        let written = self.values.serialize(self.rows.layers.topic(), value, &mut list);
        written.map_err(|error| self.failure(StoreError::Serde { part: "value", error }))?;
        let size = i32::try_from(list.len() - at - 4).map_err(|_| self.failure(too_long()))?;
        if let Some(place) = list.get_mut(at..at + 4) {
            place.copy_from_slice(&size.to_be_bytes());
        }
        self.rows.put(cx, key, Some(&Bytes::from(list)))
    }

    /// Deletes the list of `key`, without looking whether there is one.
    ///
    /// # Errors
    /// The key cannot be serialized, or the store fails.
    pub fn delete(&self, cx: &mut TaskContext, key: &K) -> Step {
        self.rows.put(cx, key, None)
    }

    /// Deletes the list of `key`, and logs that only if there is one.
    ///
    /// # Errors
    /// As [`delete`](ListValueStore::delete).
    pub fn delete_if_present(&self, cx: &mut TaskContext, key: &K) -> Step {
        match self.rows.get(key)? {
            Some(_) => self.rows.put(cx, key, None),
            None => Ok(()),
        }
    }

    /// All lists in the order of the bytes of their keys, each with an iterator over its values.
    pub fn all(&self) -> impl Iterator<Item = Step<(K, Vec<V>)>> + '_ {
        self.rows.all().map(|row| {
            let (key, list) = row?;
            let values = Entries::of(list).and_then(|entries| {
                let value = |bytes: Result<Bytes, StoreError>| {
                    let value = self.values.deserialize(self.rows.layers.topic(), &bytes?);
                    value.map_err(|error| StoreError::Serde { part: "value", error })
                };
                entries.map(value).collect::<Result<Vec<V>, StoreError>>()
            });
            Ok((key, values.map_err(|error| self.failure(error))?))
        })
    }

    fn failure(&self, error: StoreError) -> Failure {
        self.rows.layers.failure(error)
    }
}

/// Reads the values of a list.
struct Entries {
    bytes: Bytes,
    left: i32,
}

impl Entries {
    fn of(mut bytes: Bytes) -> Result<Self, StoreError> {
        if bytes.len() < HEADER_SIZE || bytes.get_u8() != VARIABLE_SIZE {
            return Err(unreadable("it does not begin as a list"));
        }
        let left = bytes.get_i32();
        Ok(Entries { bytes, left })
    }
}

impl Iterator for Entries {
    type Item = Result<Bytes, StoreError>;

    fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let size = (self.bytes.len() >= 4).then(|| self.bytes.get_i32());
        match size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= self.bytes.len()) {
            Some(size) => Some(Ok(self.bytes.split_to(size))),
            None => {
                self.left = 0;
                Some(Err(unreadable("a value of it ends too early")))
            }
        }
    }
}

#[cold]
fn unreadable(reason: &str) -> StoreError {
    StoreError::Unreadable { reason: format!("a list of values cannot be read: {reason}") }
}

#[cold]
fn too_long() -> StoreError {
    StoreError::Unreadable { reason: "a value of a list has more bytes than can be written".to_owned() }
}

delegate_state_store!(ListValueStore, rows);

impl<K, V> fmt::Debug for ListValueStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListValueStore").field(&self.rows.layers).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_jvms_bytes() {
        // Two values "L1" and "L2", each behind a byte 1, written by Kafka Streams 4.3.
        let golden: &[u8] = b"\x01\0\0\0\x02\0\0\0\x03\x01L1\0\0\0\x03\x01L2";
        let values: Vec<Bytes> = Entries::of(golden.into()).unwrap().map(Result::unwrap).collect();
        assert_eq!(values, [&b"\x01L1"[..], b"\x01L2"]);
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        assert!(Entries::of(Bytes::from_static(b"\x01\0\0\0")).is_err());
        assert!(Entries::of(Bytes::from_static(b"\0\0\0\0\x01")).is_err());
        for bytes in [&b"\x01\0\0\0\x01\0\0\0\x05ab"[..], b"\x01\0\0\0\x01\xff\xff\xff\xff", b"\x01\0\0\0\x01\0"] {
            let mut entries = Entries::of(bytes.into()).unwrap();
            assert!(entries.next().unwrap().is_err());
            assert!(entries.next().is_none());
        }
    }
}
