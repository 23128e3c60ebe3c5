//! Reading and writing the fields of the test's values: big-endian numbers, and texts with their length in four bytes before them.

use bytes::{Buf, BufMut};
use kafka_streams::prelude::SerdeError;

/// The fields of one value, read from the front.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn i32(&mut self) -> Result<i32, SerdeError> {
        self.0.try_get_i32().map_err(too_short)
    }

    pub(super) fn i64(&mut self) -> Result<i64, SerdeError> {
        self.0.try_get_i64().map_err(too_short)
    }

    pub(super) fn text(&mut self) -> Result<String, SerdeError> {
        let length = self.i32()?;
        let (text, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| self.0.split_at_checked(length))
            .ok_or_else(|| too_short(length))?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(SerdeError::invalid::<String>)
    }
}

/// Appends a text with its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) -> Result<(), SerdeError> {
    out.put_i32(i32::try_from(text.len()).map_err(SerdeError::invalid::<String>)?);
    out.put_slice(text.as_bytes());
    Ok(())
}

fn too_short(what: impl std::fmt::Display) -> SerdeError {
    SerdeError::invalid::<Fields<'_>>(format!("the bytes end early: {what}"))
}
