//! A bounds-checked reader and a writer for big-endian messages.

use std::sync::Arc;

use crate::Error;

/// Reads one message from the front. Every method fails instead of reading past the end.
pub(super) struct Reader<'b> {
    message: &'static str,
    all: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(message: &'static str, all: &'b [u8]) -> Self {
        Reader { message, all, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn left(&self) -> usize {
        self.all.len().saturating_sub(self.at)
    }

    pub(super) fn take(&mut self, field: &'static str, needed: usize) -> Result<&'b [u8], Error> {
        let end = self.at.checked_add(needed);
        match end.and_then(|end| self.all.get(self.at..end)) {
            Some(bytes) => {
                self.at = self.at.saturating_add(needed);
                Ok(bytes)
            }
            None => Err(Error::Truncated { message: self.message, field, at: self.at, needed, left: self.left() }),
        }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        let bytes = self.take(field, N)?;
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        Ok(array)
    }

    pub(super) fn i8(&mut self, field: &'static str) -> Result<i8, Error> {
        Ok(i8::from_be_bytes(self.array(field)?))
    }

    pub(super) fn i16(&mut self, field: &'static str) -> Result<i16, Error> {
        Ok(i16::from_be_bytes(self.array(field)?))
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32, Error> {
        Ok(i32::from_be_bytes(self.array(field)?))
    }

    pub(super) fn i64(&mut self, field: &'static str) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    pub(super) fn uuid(&mut self, field: &'static str) -> Result<uuid::Uuid, Error> {
        Ok(uuid::Uuid::from_bytes(self.array(field)?))
    }

    /// An i32 count of elements that take `element` bytes or more each. Fails if the rest of the message cannot hold
    /// them, so that a count may be used as a capacity.
    pub(super) fn count(&mut self, field: &'static str, element: usize) -> Result<usize, Error> {
        let at = self.at;
        let count = self.i32(field)?;
        let length = usize::try_from(count).map_err(|_| self.negative(field, at, i64::from(count)))?;
        let needed = length.saturating_mul(element);
        if needed > self.left() {
            return Err(Error::Truncated { message: self.message, field, at, needed, left: self.left() });
        }
        Ok(length)
    }

    /// Bytes after an i32 length.
    pub(super) fn bytes(&mut self, field: &'static str) -> Result<&'b [u8], Error> {
        let length = self.count(field, 1)?;
        self.take(field, length)
    }

    /// Bytes after an i32 length, of which -1 means null.
    pub(super) fn nullable_bytes(&mut self, field: &'static str) -> Result<Option<&'b [u8]>, Error> {
        let start = self.at;
        if self.i32(field)? == -1 {
            return Ok(None);
        }
        self.at = start;
        self.bytes(field).map(Some)
    }

    /// UTF-8 text after an i16 length.
    pub(super) fn string(&mut self, field: &'static str) -> Result<&'b str, Error> {
        let at = self.at;
        self.nullable_string(field)?.ok_or_else(|| self.negative(field, at, -1))
    }

    /// UTF-8 text after an i16 length, of which -1 means null.
    pub(super) fn nullable_string(&mut self, field: &'static str) -> Result<Option<&'b str>, Error> {
        let at = self.at;
        let length = self.i16(field)?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| self.negative(field, at, i64::from(length)))?;
        let bytes = self.take(field, length)?;
        self.text(field, at, bytes).map(Some)
    }

    /// Checks that `bytes`, read at `at`, are UTF-8.
    pub(super) fn text(&self, field: &'static str, at: usize, bytes: &'b [u8]) -> Result<&'b str, Error> {
        std::str::from_utf8(bytes).map_err(|_| Error::NotText { message: self.message, field, at })
    }

    /// Java's `DataInput.readUTF`: a u16 length and modified UTF-8.
    pub(super) fn java_utf(&mut self, field: &'static str) -> Result<String, Error> {
        let at = self.at;
        let length = usize::from(self.u16(field)?);
        let bytes = self.take(field, length)?;
        match std::str::from_utf8(bytes) {
            // Without NUL and beyond-BMP characters, which never occur in topic and host names, the two are the same.
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            _ => from_modified_utf8(bytes).ok_or(Error::NotText { message: self.message, field, at }),
        }
    }

    /// As [`Reader::java_utf`], for a topic's name.
    pub(super) fn java_topic(&mut self, field: &'static str) -> Result<Arc<str>, Error> {
        Ok(self.java_utf(field)?.into())
    }

    pub(super) fn negative(&self, field: &'static str, at: usize, length: i64) -> Error {
        Error::NegativeLength { message: self.message, field, at, length }
    }

    pub(super) fn no_such_topic(&self, at: usize, index: i32) -> Error {
        Error::TopicIndex { message: self.message, at, index }
    }
}

/// Writes one message. Fails only where a value is too long for its length field.
pub(super) struct Writer {
    message: &'static str,
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(message: &'static str) -> Self {
        Writer { message, bytes: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn count(&mut self, field: &'static str, count: usize) -> Result<(), Error> {
        let limit = i32::MAX as usize;
        let value = i32::try_from(count).map_err(|_| self.too_long(field, count, limit))?;
        self.i32(value);
        Ok(())
    }

    pub(super) fn bytes(&mut self, field: &'static str, bytes: &[u8]) -> Result<(), Error> {
        self.count(field, bytes.len())?;
        self.raw(bytes);
        Ok(())
    }

    pub(super) fn nullable_bytes(&mut self, field: &'static str, bytes: Option<&[u8]>) -> Result<(), Error> {
        match bytes {
            Some(bytes) => self.bytes(field, bytes),
            None => {
                self.i32(-1);
                Ok(())
            }
        }
    }

    pub(super) fn string(&mut self, field: &'static str, text: &str) -> Result<(), Error> {
        let limit = i16::MAX as usize;
        let length = i16::try_from(text.len()).map_err(|_| self.too_long(field, text.len(), limit))?;
        self.i16(length);
        self.raw(text.as_bytes());
        Ok(())
    }

    pub(super) fn nullable_string(&mut self, field: &'static str, text: Option<&str>) -> Result<(), Error> {
        match text {
            Some(text) => self.string(field, text),
            None => {
                self.i16(-1);
                Ok(())
            }
        }
    }

    /// Java's `DataOutput.writeUTF`.
    pub(super) fn java_utf(&mut self, field: &'static str, text: &str) -> Result<(), Error> {
        let bytes = to_modified_utf8(text);
        let limit = usize::from(u16::MAX);
        let length = u16::try_from(bytes.len()).map_err(|_| self.too_long(field, bytes.len(), limit))?;
        self.raw(&length.to_be_bytes());
        self.raw(&bytes);
        Ok(())
    }

    fn too_long(&self, field: &'static str, length: usize, limit: usize) -> Error {
        Error::TooLong { message: self.message, field, length, limit }
    }
}

/// Java's modified UTF-8: each UTF-16 unit on its own in one to three bytes, NUL in two.
fn to_modified_utf8(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        let low = 0x80 | (unit & 0x3f) as u8;
        match unit {
            1..=0x7f => bytes.push(unit as u8),
            0 | 0x80..=0x7ff => bytes.extend([0xc0 | (unit >> 6) as u8, low]),
            0x800.. => bytes.extend([0xe0 | (unit >> 12) as u8, 0x80 | ((unit >> 6) & 0x3f) as u8, low]),
        }
    }
    bytes
}

fn from_modified_utf8(bytes: &[u8]) -> Option<String> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let tail = |byte: u8| (byte & 0xc0 == 0x80).then_some(u16::from(byte & 0x3f));
    while let [first, after @ ..] = rest {
        let (unit, after) = match (*first, after) {
            (first @ 0..=0x7f, after) => (u16::from(first), after),
            (first @ 0xc0..=0xdf, [second, after @ ..]) => (u16::from(first & 0x1f) << 6 | tail(*second)?, after),
            (first @ 0xe0..=0xef, [second, third, after @ ..]) => {
                (u16::from(first & 0x0f) << 12 | tail(*second)? << 6 | tail(*third)?, after)
            }
            _ => return None,
        };
        units.push(unit);
        rest = after;
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_text_survives_nul_and_characters_beyond_the_bmp() {
        for text in ["", "topic", "a\0b", "ä€", "x\u{1f600}y"] {
            let mut writer = Writer::new("test");
            writer.java_utf("text", text).unwrap();
            let bytes = writer.finish();
            assert_eq!(Reader::new("test", &bytes).java_utf("text").unwrap(), text);
        }
        assert_eq!(to_modified_utf8("\0"), [0xc0, 0x80]);
        assert_eq!(to_modified_utf8("\u{1f600}"), [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]);
    }

    #[test]
    fn a_count_that_the_rest_cannot_hold_is_refused() {
        let bytes = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert!(matches!(Reader::new("test", &bytes).count("n", 1), Err(Error::Truncated { .. })));
        let negative = [0xff, 0xff, 0xff, 0xff];
        assert!(matches!(Reader::new("test", &negative).count("n", 1), Err(Error::NegativeLength { .. })));
    }
}
