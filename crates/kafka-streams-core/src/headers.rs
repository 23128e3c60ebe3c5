//! Record headers: a list of keys and optional values, shared until changed.

use std::sync::Arc;

/// One header. Keys may repeat; a value may be null.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The header's key, UTF-8 on the wire.
    pub key: String,
    /// The header's bytes; `None` is a null value.
    pub value: Option<Vec<u8>>,
}

/// The headers of a record, in order. Eight bytes when passed along; an empty list allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Headers(Option<Arc<Vec<Header>>>);

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Headers(None)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// All headers, in order.
    pub fn as_slice(&self) -> &[Header] {
        self.0.as_ref().map_or(&[], |headers| headers)
    }

    /// Iterates over all headers, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.as_slice().iter()
    }

    /// The last header of this key, as `Headers.lastHeader` of the JVM.
    pub fn last(&self, key: &str) -> Option<&Header> {
        self.iter().rev().find(|header| header.key == key)
    }

    /// Appends a header. Copies the list if another record shares it.
    pub fn add(&mut self, key: impl Into<String>, value: Option<Vec<u8>>) {
        let list = self.0.get_or_insert_default();
        Arc::make_mut(list).push(Header { key: key.into(), value });
    }

    /// Removes all headers of this key. Copies the list if another record shares it.
    pub fn remove(&mut self, key: &str) {
        if self.last(key).is_some()
            && let Some(list) = &mut self.0
        {
            Arc::make_mut(list).retain(|header| header.key != key);
        }
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        let list: Vec<Header> = headers.into_iter().collect();
        Headers((!list.is_empty()).then(|| Arc::new(list)))
    }
}

impl<'h> IntoIterator for &'h Headers {
    type Item = &'h Header;
    type IntoIter = std::slice::Iter<'h, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_to_a_clone_leaves_the_original_alone() {
        let mut original = Headers::new();
        original.add("a", Some(vec![1]));
        let mut copy = original.clone();
        copy.add("a", None);
        assert_eq!(original.as_slice().len(), 1);
        assert_eq!(copy.last("a").map(|h| h.value.clone()), Some(None));
        copy.remove("a");
        assert!(copy.is_empty());
        assert!(!original.is_empty());
    }
}
