//! A pattern of topic names: what a source reads that names no topics.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex::Regex;

use crate::TopologyError;

/// A regular expression that whole topic names match (`java.util.regex.Pattern` of the JVM, with `matches`).
///
/// The syntax is that of the [`regex`] crate: that of the JVM without look-around and back-references.
///
/// ```
/// use kafka_streams_topology::TopicPattern;
///
/// let pattern = TopicPattern::new("orders-.*")?;
/// assert!(pattern.matches("orders-eu") && !pattern.matches("old-orders-eu"));
/// # Ok::<(), kafka_streams_topology::TopologyError>(())
/// ```
#[derive(Clone)]
pub struct TopicPattern {
    text: Arc<str>,
    regex: Regex,
}

impl TopicPattern {
    /// The pattern of this text.
    ///
    /// # Errors
    /// [`TopologyError::IllegalPattern`]: it is no regular expression, or one that would need unreasonable memory.
    pub fn new(text: &str) -> Result<Self, TopologyError> {
        let illegal = |error: regex::Error| {
            // The message of a syntax error has lines with a marker below the pattern; its last one says what is wrong.
            let reason = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            TopologyError::IllegalPattern { pattern: text.to_owned(), reason }
        };
        // The expression alone first: behind the anchors an unmatched parenthesis could pass.
        Regex::new(text).map_err(illegal)?;
        let regex = Regex::new(&format!("^(?:{text})$")).map_err(illegal)?;
        Ok(TopicPattern { text: text.into(), regex })
    }

    /// Whether a topic of this name is read.
    pub fn matches(&self, topic: &str) -> bool {
        self.regex.is_match(topic)
    }

    /// The text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TopicPattern {}

impl PartialOrd for TopicPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TopicPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for TopicPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TopicPattern").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_must_match() {
        let either = TopicPattern::new("a|bc").unwrap();
        assert!(either.matches("a") && either.matches("bc"));
        assert!(!either.matches("ac") && !either.matches("abc") && !either.matches("a\n"));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_reason() {
        for text in ["(", "a)|(b", "[z-a]"] {
            let error = TopicPattern::new(text).unwrap_err();
            assert!(error.to_string().contains(text) && error.to_string().contains("error"), "{error}");
        }
    }
}
