//! Serdes of the standard types, with the JVM's bytes (`org.apache.kafka.common.serialization`).

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use super::{DefaultSerde, Serde, SerdeError};

macro_rules! number {
    ($(#[$doc:meta])* $serde:ident, $type:ty, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $serde;

        impl Serde for $serde {
            type Target = $type;

            #[inline]
            fn serialize(&self, _topic: &str, value: &$type, out: &mut Vec<u8>) -> Result<(), SerdeError> {
                out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }

            #[inline]
            fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<$type, SerdeError> {
                fixed::<$size>(stringify!($type), bytes).map(<$type>::from_be_bytes)
            }

            fn id(&self) -> Cow<'static, str> {
                Cow::Borrowed(stringify!($type))
            }
        }

        impl DefaultSerde for $type {
            type Serde = $serde;
        }
    };
}

number!(/** 16-bit integers, big-endian: the JVM's `ShortSerializer`. */ I16Serde, i16, 2);
number!(/** 32-bit integers, big-endian: the JVM's `IntegerSerializer`. */ I32Serde, i32, 4);
number!(/** 64-bit integers, big-endian: the JVM's `LongSerializer`. */ I64Serde, i64, 8);
number!(/** 32-bit floats, IEEE 754 big-endian: the JVM's `FloatSerializer`. */ F32Serde, f32, 4);
number!(/** 64-bit floats, IEEE 754 big-endian: the JVM's `DoubleSerializer`. */ F64Serde, f64, 8);

/// Booleans in one byte, 1 or 0: the JVM's `BooleanSerializer`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoolSerde;

impl Serde for BoolSerde {
    type Target = bool;

    fn serialize(&self, _topic: &str, value: &bool, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.push(u8::from(*value));
        Ok(())
    }

    fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<bool, SerdeError> {
        match fixed::<1>("bool", bytes)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(SerdeError::invalid::<bool>(format_args!("byte {other} is neither 0 nor 1"))),
        }
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Borrowed("bool")
    }
}

impl DefaultSerde for bool {
    type Serde = BoolSerde;
}

/// Text in UTF-8: the JVM's `StringSerializer`. Bytes that are not UTF-8 are an error, where the JVM puts U+FFFD.
#[derive(Clone, Copy, Debug, Default)]
pub struct StringSerde;

impl Serde for StringSerde {
    type Target = String;

    #[inline]
    fn serialize(&self, _topic: &str, value: &String, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    #[inline]
    fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<String, SerdeError> {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(SerdeError::invalid::<String>)
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Borrowed("string")
    }
}

impl DefaultSerde for String {
    type Serde = StringSerde;
}

/// Bytes as they are, owned: the JVM's `ByteArraySerializer`.
#[derive(Clone, Copy, Debug, Default)]
pub struct VecSerde;

impl Serde for VecSerde {
    type Target = Vec<u8>;

    #[inline]
    fn serialize(&self, _topic: &str, value: &Vec<u8>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.extend_from_slice(value);
        Ok(())
    }

    #[inline]
    fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<Vec<u8>, SerdeError> {
        Ok(bytes.to_vec())
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Borrowed("bytes")
    }
}

impl DefaultSerde for Vec<u8> {
    type Serde = VecSerde;
}

/// Bytes as they are, cheap to clone: the JVM's `BytesSerializer`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BytesSerde;

impl Serde for BytesSerde {
    type Target = Bytes;

    #[inline]
    fn serialize(&self, _topic: &str, value: &Bytes, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.extend_from_slice(value);
        Ok(())
    }

    #[inline]
    fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<Bytes, SerdeError> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Borrowed("bytes")
    }
}

impl DefaultSerde for Bytes {
    type Serde = BytesSerde;
}

/// UUIDs as text of 36 characters: the JVM's `UUIDSerializer`.
#[derive(Clone, Copy, Debug, Default)]
pub struct UuidSerde;

impl Serde for UuidSerde {
    type Target = Uuid;

    fn serialize(&self, _topic: &str, value: &Uuid, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        let mut text = Uuid::encode_buffer();
        out.extend_from_slice(value.hyphenated().encode_lower(&mut text).as_bytes());
        Ok(())
    }

    fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<Uuid, SerdeError> {
        Uuid::try_parse_ascii(bytes).map_err(SerdeError::invalid::<Uuid>)
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Borrowed("uuid")
    }
}

impl DefaultSerde for Uuid {
    type Serde = UuidSerde;
}

/// The unit type, always null on the wire: the JVM's `VoidSerializer`. Any bytes at all are an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnitSerde;

impl Serde for UnitSerde {
    type Target = ();

    fn serialize(&self, _topic: &str, (): &(), _out: &mut Vec<u8>) -> Result<(), SerdeError> {
        Ok(())
    }

    fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<(), SerdeError> {
        Err(SerdeError::invalid::<()>(format_args!("{} bytes where only null is allowed", bytes.len())))
    }

    fn is_null(&self, (): &()) -> bool {
        true
    }

    fn null(&self) -> Option<()> {
        Some(())
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Borrowed("void")
    }
}

impl DefaultSerde for () {
    type Serde = UnitSerde;
}

/// Values that may be null: `None` is null on the wire, `Some` is what the inner serde writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct OptionSerde<S>(pub S);

impl<S: Serde> Serde for OptionSerde<S> {
    type Target = Option<S::Target>;

    #[inline]
    fn serialize(&self, topic: &str, value: &Self::Target, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        value.as_ref().map_or(Ok(()), |value| self.0.serialize(topic, value, out))
    }

    #[inline]
    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Self::Target, SerdeError> {
        self.0.deserialize(topic, bytes).map(Some)
    }

    #[inline]
    fn is_null(&self, value: &Self::Target) -> bool {
        value.as_ref().is_none_or(|value| self.0.is_null(value))
    }

    #[inline]
    fn null(&self) -> Option<Self::Target> {
        Some(None)
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("{}?", self.0.id()))
    }
}

impl<T: DefaultSerde> DefaultSerde for Option<T> {
    type Serde = OptionSerde<T::Serde>;
}

fn fixed<const N: usize>(type_name: &'static str, bytes: &[u8]) -> Result<[u8; N], SerdeError> {
    bytes.try_into().map_err(|_| SerdeError::WrongSize { type_name, expected: N, found: bytes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serde::read_nullable;

    #[test]
    fn ids_name_the_bytes() {
        fn id<T: DefaultSerde>() -> String {
            T::shared().id().into_owned()
        }
        let ids = [id::<i16>(), id::<i32>(), id::<i64>(), id::<f32>(), id::<f64>(), id::<bool>(), id::<String>()];
        assert_eq!(ids, ["i16", "i32", "i64", "f32", "f64", "bool", "string"]);
        assert_eq!([id::<Vec<u8>>(), id::<Bytes>(), id::<Uuid>(), id::<()>()], ["bytes", "bytes", "uuid", "void"]);
        assert_eq!(id::<Option<String>>(), "string?");
    }

    fn bytes_of<T: DefaultSerde>(value: T) -> Vec<u8> {
        let mut out = Vec::new();
        T::Serde::default().serialize("t", &value, &mut out).unwrap();
        out
    }

    fn round_trip<T: DefaultSerde + Clone + PartialEq + std::fmt::Debug>(value: T) {
        let back = T::Serde::default().deserialize("t", &bytes_of(value.clone())).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn values_survive_the_round_trip() {
        round_trip(-7_i16);
        round_trip(i32::MIN);
        round_trip(i64::MAX);
        round_trip(1.5_f32);
        round_trip(-0.25_f64);
        round_trip(true);
        round_trip("größe".to_owned());
        round_trip(vec![0_u8, 255]);
        round_trip(Bytes::from_static(b"abc"));
        round_trip(Uuid::from_u128(42));
        round_trip(Some(5_i64));
    }

    #[test]
    fn numbers_are_big_endian_as_on_the_jvm() {
        assert_eq!(bytes_of(258_i64), [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(bytes_of(1.0_f64), [0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_null_is_an_error_unless_the_type_has_one() {
        let error = read_nullable(&StringSerde, "t", None).unwrap_err().to_string();
        assert!(error.contains("Option<alloc::string::String>"), "{error}");
        assert_eq!(read_nullable(&OptionSerde(StringSerde), "t", None).unwrap(), None);
        assert!(OptionSerde(StringSerde).is_null(&None));
        assert!(UnitSerde.is_null(&()));
        assert!(UnitSerde.deserialize("t", b"x").is_err());
    }

    #[test]
    fn wrong_bytes_are_errors() {
        assert!(I64Serde.deserialize("t", b"1234567").is_err());
        assert!(BoolSerde.deserialize("t", &[2]).is_err());
        assert!(StringSerde.deserialize("t", &[0xff]).is_err());
        assert!(UuidSerde.deserialize("t", b"no uuid").is_err());
    }
}
