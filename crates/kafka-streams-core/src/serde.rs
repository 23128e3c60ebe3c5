//! From values to bytes and back, and which serde a type has when none is named.
//!
//! A serde decides three things: how a value looks in bytes, how bytes are read, and whether the type knows a null.
//! Types without a null (`String`, `i64`) refuse a null key or value as a deserialization error;
//! `Option<T>` is the way to say that a topic may hold nulls.

mod id;
mod primitive;

use std::borrow::Cow;
use std::sync::Arc;

pub use primitive::{
    BoolSerde, BytesSerde, F32Serde, F64Serde, I16Serde, I32Serde, I64Serde, OptionSerde, StringSerde, UnitSerde,
    UuidSerde, VecSerde,
};

/// Turns values of one type into bytes and bytes into values, as `Serializer` and `Deserializer` do on the JVM.
///
/// One serde serves all tasks at once, so it takes `&self` and keeps no state of its own without a lock.
///
/// The `topic` that a serde is told, by which a schema registry finds the schema, is as on the JVM: that of the record, or
/// for the rows of a store the one that the store is restored from (`<application id>-<store>-changelog` mostly).
pub trait Serde: Send + Sync + 'static {
    /// The type that this serde reads and writes.
    type Target: 'static;

    /// Appends the bytes of `value` to `out`. Never called for a value that [`is_null`](Serde::is_null).
    ///
    /// # Errors
    /// The value has no form in bytes. What was appended until then is discarded.
    fn serialize(&self, topic: &str, value: &Self::Target, out: &mut Vec<u8>) -> Result<(), SerdeError>;

    /// Reads a value that makes up the whole of `bytes`.
    ///
    /// # Errors
    /// The bytes are not a value of this type.
    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Self::Target, SerdeError>;

    /// Whether `value` travels as a null key or a null value.
    #[inline]
    fn is_null(&self, _value: &Self::Target) -> bool {
        false
    }

    /// What a null key or value is read as; `None` for types that have no null.
    #[inline]
    fn null(&self) -> Option<Self::Target> {
        None
    }

    /// Names the bytes that this serde writes, for the manifest of a topology: two serdes of one id read each other's
    /// bytes, so a store whose serde gets another id cannot read its changelog any more.
    ///
    /// The ids of this library's own serdes never change: `string`, `i64`, `json`, and for what wraps another serde its
    /// id in angle brackets, as in `change<i64>`. A `?` at the end (`string?`) says that null is a value of the type,
    /// too; it changes no bytes.
    ///
    /// **Give a serde of your own an id of your own**, with a version to be raised when its bytes change:
    /// `"order/v2"`. The default is `custom:` and the type's name without its modules. Rust does not promise that such a
    /// name stays the same from compiler to compiler, so that it may change where no byte does; a difference that is
    /// reported without need is the better mistake than one that goes unseen.
    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(id::of_type_name(std::any::type_name::<Self>()))
    }
}

/// A serde shared by the tasks of a topology.
pub type SharedSerde<T> = Arc<dyn Serde<Target = T>>;

/// Types that have a serde of their own, so that `stream::<String, i64>("topic")` needs no more words.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no default serde",
    label = "no serde for `{Self}`",
    note = "name one, as in `Consumed::with(StringSerde, JsonSerde::<Order>::new())`, or implement `DefaultSerde`",
    note = "`Json<T>` (feature `json`) is a serde for any `T: serde::Serialize + serde::de::DeserializeOwned`"
)]
pub trait DefaultSerde: Sized + 'static {
    /// The serde used where none is given.
    type Serde: Serde<Target = Self> + Default;

    /// The default serde, ready to be shared.
    fn shared() -> SharedSerde<Self> {
        Arc::new(Self::Serde::default())
    }
}

/// Types of keys that a stream can be written with, when no serde is named: those that have one, and those that come with
/// one, as the windowed keys of an aggregation do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no default serde",
    label = "no serde for `{Self}`",
    note = "name one, as in `Produced::with(StringSerde, JsonSerde::<Order>::new())`, or implement `DefaultSerde`",
    note = "`Json<T>` (feature `json`) is a serde for any `T: serde::Serialize + serde::de::DeserializeOwned`"
)]
pub trait SinkKey: Sized + 'static {
    /// The serde of the type; `None` if there is only what the stream came with.
    fn default_serde() -> Option<SharedSerde<Self>>;
}

impl<T: DefaultSerde> SinkKey for T {
    fn default_serde() -> Option<SharedSerde<T>> {
        Some(T::shared())
    }
}

/// Why bytes are not a value, or a value has no bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SerdeError {
    /// The type has a fixed size and the bytes have another.
    #[error("{found} bytes found where {type_name} takes {expected}")]
    WrongSize {
        /// The type that was to be read.
        type_name: &'static str,
        /// Its size in bytes.
        expected: usize,
        /// The number of bytes found.
        found: usize,
    },
    /// A null for a type without a null.
    #[error("null found where {type_name} is expected; read the topic as Option<{type_name}> to let nulls through")]
    UnexpectedNull {
        /// The type that was to be read.
        type_name: &'static str,
    },
    /// The content is wrong.
    #[error("not a value of {type_name}: {reason}")]
    Invalid {
        /// The type that was to be read or written.
        type_name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl SerdeError {
    /// An [`Invalid`](SerdeError::Invalid) error for `T`.
    pub fn invalid<T>(reason: impl std::fmt::Display) -> Self {
        SerdeError::Invalid { type_name: std::any::type_name::<T>(), reason: reason.to_string() }
    }
}

/// Reads a key or a value that may be null on the wire.
///
/// # Errors
/// As [`Serde::deserialize`]; [`SerdeError::UnexpectedNull`] for a null that the type does not have.
#[inline]
pub fn read_nullable<T: 'static>(
    serde: &dyn Serde<Target = T>,
    topic: &str,
    bytes: Option<&[u8]>,
) -> Result<T, SerdeError> {
    match bytes {
        Some(bytes) => serde.deserialize(topic, bytes),
        None => serde.null().ok_or(SerdeError::UnexpectedNull { type_name: std::any::type_name::<T>() }),
    }
}
