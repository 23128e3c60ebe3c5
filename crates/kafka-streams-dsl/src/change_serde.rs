//! Changes of a table on their way through a repartition topic: old and new value in one record value.
//!
//! | flag (last byte) | before it |
//! |---|---|
//! | 0 | the old value |
//! | 1 | the new value |
//! | 2 | the new value's length as a zig-zag varint, the new value, the old value |
//! | 3, 4, 5 | as 0, 1, 2, and one more byte that says whether the change is the latest; read, never written |
//!
//! Source: `ChangedSerializer` and `ChangedDeserializer` of the JVM.

use std::borrow::Cow;

use kafka_streams_core::{Change, Serde, SerdeError, SharedSerde};

pub(crate) struct ChangeSerde<V>(pub(crate) SharedSerde<V>);

const OLD_ONLY: u8 = 0;
const NEW_ONLY: u8 = 1;
const BOTH: u8 = 2;
/// Added to a flag: there is a byte between payload and flag.
const WITH_LATEST: u8 = 3;

impl<V: 'static> Serde for ChangeSerde<V> {
    type Target = Change<V>;

    fn serialize(&self, topic: &str, change: &Change<V>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        let flag = match (&change.old, &change.new) {
            (None, None) => return Err(SerdeError::invalid::<Change<V>>("neither an old nor a new value")),
            (Some(old), None) => {
                self.0.serialize(topic, old, out)?;
                OLD_ONLY
            }
            (None, Some(new)) => {
                self.0.serialize(topic, new, out)?;
                NEW_ONLY
            }
            (Some(old), Some(new)) => {
                let mut bytes = Vec::new();
                self.0.serialize(topic, new, &mut bytes)?;
                let length = u32::try_from(bytes.len()).map_err(SerdeError::invalid::<Change<V>>)?;
                write_varint(length, out);
                out.append(&mut bytes);
                self.0.serialize(topic, old, out)?;
                BOTH
            }
        };
        out.push(flag);
        Ok(())
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Change<V>, SerdeError> {
        let invalid = |reason: &str| SerdeError::invalid::<Change<V>>(reason);
        let (mut flag, mut payload) = bytes.split_last().ok_or_else(|| invalid("no bytes"))?;
        let shortened = flag.wrapping_sub(WITH_LATEST);
        if *flag >= WITH_LATEST {
            (_, payload) = payload.split_last().ok_or_else(|| invalid("no byte before the flag"))?;
            flag = &shortened;
        }
        let read = |bytes: &[u8]| self.0.deserialize(topic, bytes).map(Some);
        match *flag {
            OLD_ONLY => Ok(Change { old: read(payload)?, new: None }),
            NEW_ONLY => Ok(Change { old: None, new: read(payload)? }),
            BOTH => {
                let (length, values) = read_varint(payload).ok_or_else(|| invalid("no length of the new value"))?;
                let split = values.split_at_checked(length).ok_or_else(|| invalid("the new value is cut off"))?;
                Ok(Change { new: read(split.0)?, old: read(split.1)? })
            }
            other => Err(invalid(&format!("unknown flag {other}"))),
        }
    }

    fn id(&self) -> Cow<'static, str> {
        Cow::Owned(format!("change<{}>", self.0.id()))
    }
}

/// A zig-zag varint of a number that is not negative, as in Kafka's records: seven bits a byte, lowest first.
fn write_varint(number: u32, out: &mut Vec<u8>) {
    let mut rest = u64::from(number) << 1;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The number and what follows it; `None` if it is cut off, too long or negative.
fn read_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let positive = number & 1 == 0;
            return positive.then_some((usize::try_from(number >> 1).ok()?, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_streams_core::serde::StringSerde;
    use proptest::prelude::*;

    use super::*;

    fn serde() -> ChangeSerde<String> {
        ChangeSerde(Arc::new(StringSerde))
    }

    fn bytes(old: Option<&str>, new: Option<&str>) -> Vec<u8> {
        let mut out = Vec::new();
        let change = Change { old: old.map(str::to_owned), new: new.map(str::to_owned) };
        serde().serialize("t", &change, &mut out).unwrap();
        out
    }

    #[test]
    fn a_change_has_the_jvms_bytes() {
        assert_eq!(bytes(Some("old"), None), b"old\0");
        assert_eq!(bytes(None, Some("new")), b"new\x01");
        assert_eq!(bytes(Some("o"), Some("new")), b"\x06newo\x02");
        assert_eq!(bytes(Some(""), Some(&"x".repeat(100)))[..2], [0xc8, 0x01]);
        assert!(serde().serialize("t", &Change { old: None, new: None }, &mut Vec::new()).is_err());
    }

    #[test]
    fn the_byte_that_newer_writers_may_add_is_skipped() {
        assert_eq!(serde().deserialize("t", b"old\x01\x03").unwrap().old.as_deref(), Some("old"));
        assert_eq!(serde().deserialize("t", b"new\x01\x04").unwrap().new.as_deref(), Some("new"));
        let both = serde().deserialize("t", b"\x06newo\x01\x05").unwrap();
        assert_eq!((both.old.as_deref(), both.new.as_deref()), (Some("o"), Some("new")));
    }

    proptest! {
        #[test]
        fn any_change_survives_the_round_trip(old: Option<String>, new: Option<String>) {
            prop_assume!(old.is_some() || new.is_some());
            let written = bytes(old.as_deref(), new.as_deref());
            prop_assert_eq!(serde().deserialize("t", &written).unwrap(), Change { old, new });
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = serde().deserialize("t", &bytes);
        }
    }
}
