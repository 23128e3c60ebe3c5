//! What may be a name of a node, a store or a topic, and which names were made by a generator.
//!
//! Kafka's own rule for topics (`org.apache.kafka.common.internals.Topic`) holds for all three, as on the JVM
//! (`org.apache.kafka.streams.kstream.Named.validate`): stores and operators end up in names of topics.

/// The longest name in characters: a topic's files on the broker have 255, less the suffix of a segment.
pub const MAX_NAME_LENGTH: usize = 249;

/// Digits of a generated name's number.
pub(crate) const DIGITS: usize = 10;

/// Between the operator's prefix and the number of a generated store.
pub(crate) const STATE_STORE: &str = "STATE-STORE-";

/// Why a name is not legal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("the name is empty")]
    Empty,
    /// The name means a directory.
    #[error("`{name}` cannot be a name; choose one with a letter or a digit in it")]
    Dots {
        /// The name.
        name: String,
    },
    /// The name is longer than [`MAX_NAME_LENGTH`].
    #[error("`{name}` has {length} characters, of which a name may have {MAX_NAME_LENGTH}; choose a shorter one")]
    TooLong {
        /// The name.
        name: String,
        /// Its length in characters.
        length: usize,
    },
    /// The name has a character that no topic may have.
    #[error("`{name}` contains {character:?}; a name consists of ASCII letters, digits, `.`, `_` and `-`")]
    IllegalCharacter {
        /// The name.
        name: String,
        /// The first character that is not legal.
        character: char,
    },
}

/// Accepts the names that a topic, and so a store or an operator, may have.
///
/// # Errors
/// [`NameError`] says which rule the name breaks.
///
/// ```
/// use kafka_streams_naming::check_name;
/// assert!(check_name("orders.by-customer_2").is_ok());
/// assert!(check_name("orders/2").is_err());
/// ```
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name == "." || name == ".." {
        return Err(NameError::Dots { name: name.to_owned() });
    }
    if let Some(character) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-')) {
        return Err(NameError::IllegalCharacter { name: name.to_owned(), character });
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(NameError::TooLong { name: name.to_owned(), length: name.len() });
    }
    Ok(())
}

/// Whether `name` carries a generator's number, so that a change of the topology may change it.
///
/// True for operators (`KSTREAM-MAP-0000000002`), for stores (`KSTREAM-AGGREGATE-STATE-STORE-0000000001`,
/// `users-STATE-STORE-0000000000`, `KSTREAM-JOINTHIS-0000000004-store`), and for the topics named after them.
pub fn is_generated(name: &str) -> bool {
    split_generated(name).is_some()
}

/// A generated name taken apart: `KSTREAM-JOINTHIS-`, 4 and `-store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generated<'n> {
    /// What the number follows; ends in a dash. An internal topic may have the application id before it.
    pub(crate) prefix: &'n str,
    pub(crate) number: u64,
    /// What follows the number: a role, or a branch's position.
    pub(crate) suffix: &'n str,
}

impl Generated<'_> {
    /// The name with another number.
    pub(crate) fn with_number(&self, number: u64) -> String {
        format!("{}{number:0DIGITS$}{}", self.prefix, self.suffix)
    }
}

/// Takes a generated name apart; `None` if it was not generated.
pub(crate) fn split_generated(name: &str) -> Option<Generated<'_>> {
    let stem = strip_topic_suffixes(name);
    let prefix = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    // A branch's position follows the splitter's number without a dash: there may be more than ten digits.
    if stem.len() - prefix.len() < DIGITS || !prefix.ends_with('-') {
        return None;
    }
    if !prefix.ends_with(STATE_STORE) && !OPERATORS.iter().any(|operators| contains_segment(prefix, operators)) {
        return None;
    }
    let end = prefix.len() + DIGITS;
    let number = name.get(prefix.len()..end)?.parse().ok()?;
    Some(Generated { prefix, number, suffix: name.get(end..)? })
}

/// A name without what makes it the name of a topic, of a node around it, or of a join's store: generated names then end
/// in their number.
pub(crate) fn strip_topic_suffixes(name: &str) -> &str {
    let suffixes = ["-filter", "-sink", "-source", "-changelog", "-repartition", "-topic", "-store", "-Buffer"];
    suffixes.iter().fold(name, |stem, suffix| stem.strip_suffix(suffix).unwrap_or(stem))
}

/// What generated operators begin with. An internal topic has the application id before it.
const OPERATORS: [&str; 3] = ["KSTREAM-", "KTABLE-", "COGROUPKSTREAM-"];

fn contains_segment(name: &str, segment: &str) -> bool {
    name.match_indices(segment).any(|(at, _)| at == 0 || name[..at].ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_topics() {
        for name in ["a", "A.b_c-9", "...", &"x".repeat(249)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        assert_eq!(check_name(""), Err(NameError::Empty));
        assert!(matches!(check_name("."), Err(NameError::Dots { .. })));
        assert!(matches!(check_name(".."), Err(NameError::Dots { .. })));
        assert!(matches!(check_name(&"x".repeat(250)), Err(NameError::TooLong { length: 250, .. })));
        for (name, character) in [("a b", ' '), ("a/b", '/'), ("é", 'é'), ("a:b", ':')] {
            assert_eq!(check_name(name), Err(NameError::IllegalCharacter { name: name.to_owned(), character }));
        }
    }

    #[test]
    fn generated_names_are_told_from_given_ones() {
        for name in [
            "KSTREAM-MAP-0000000002",
            "KTABLE-FILTER-0000000012",
            "COGROUPKSTREAM-MERGE-0000000007",
            "KSTREAM-BRANCH-00000000011",
            "KSTREAM-AGGREGATE-STATE-STORE-0000000001",
            "users-STATE-STORE-0000000000",
            "KSTREAM-JOINTHIS-0000000004-store",
            "KSTREAM-OUTERSHARED-0000000004-store",
            "KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition",
            "app-KSTREAM-AGGREGATE-STATE-STORE-0000000003-changelog",
            "KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000003-topic",
            "app-KSTREAM-JOINTHIS-0000000004-store-changelog",
            "KSTREAM-JOIN-0000000004-Buffer",
            "COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition-filter",
        ] {
            assert!(is_generated(name), "{name}");
            let parts = split_generated(name).unwrap();
            assert_eq!(parts.with_number(parts.number), name);
        }
        let branch = split_generated("KSTREAM-BRANCH-00000000011").unwrap();
        assert_eq!(branch, Generated { prefix: "KSTREAM-BRANCH-", number: 1, suffix: "1" });
        for name in ["counts", "counts-repartition", "orders-0000000001", "KSTREAM-MAP", "KSTREAM-MAP-12", "-store", ""]
        {
            assert!(!is_generated(name), "{name}");
        }
    }
}
