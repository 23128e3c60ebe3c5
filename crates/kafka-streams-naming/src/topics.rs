//! What the internal topics of an application are called, before and after the application id is known.

use crate::grammar::DIGITS;

const CHANGELOG: &str = "-changelog";
const REPARTITION: &str = "-repartition";

/// The full name of an internal topic: `<application id>-<name>`.
pub fn decorate(application_id: &str, name: &str) -> String {
    format!("{application_id}-{name}")
}

/// The full name of a store's changelog: `<application id>-<store>-changelog`.
pub fn changelog_topic(application_id: &str, store: &str) -> String {
    format!("{application_id}-{store}{CHANGELOG}")
}

/// A repartition topic's name without the application id: `<prefix>-repartition`, unless the prefix already ends so.
pub fn repartition_name(prefix: &str) -> String {
    if prefix.ends_with(REPARTITION) { prefix.to_owned() } else { format!("{prefix}{REPARTITION}") }
}

/// The full name of a repartition topic: `<application id>-<prefix>-repartition`.
pub fn repartition_topic(application_id: &str, prefix: &str) -> String {
    decorate(application_id, &repartition_name(prefix))
}

/// Whether a repartition topic of this prefix has sink, filter and source with generated names, and not with names made
/// from the topic's: the whole prefix matches `KSTREAM.*-[0-9]{10}` (`OptimizableRepartitionNode` of the JVM).
pub fn is_generated_repartition_prefix(prefix: &str) -> bool {
    let Some(rest) = prefix.strip_prefix("KSTREAM") else { return false };
    let number = rest.as_bytes().last_chunk::<{ DIGITS + 1 }>();
    number.is_some_and(|[dash, digits @ ..]| *dash == b'-' && digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_topics_are_named_as_on_the_jvm() {
        assert_eq!(changelog_topic("app", "counts"), "app-counts-changelog");
        assert_eq!(repartition_topic("app", "by-word"), "app-by-word-repartition");
        assert_eq!(repartition_topic("app", "by-word-repartition"), "app-by-word-repartition");
        assert_eq!(decorate("app", "N-subscription-registration-topic"), "app-N-subscription-registration-topic");
    }

    #[test]
    fn only_generated_prefixes_of_streams_keep_generated_repartition_nodes() {
        assert!(is_generated_repartition_prefix("KSTREAM-AGGREGATE-STATE-STORE-0000000003"));
        assert!(is_generated_repartition_prefix("KSTREAM-0000000003"));
        for prefix in [
            "COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000003",
            "KSTREAM-MAP-12",
            "counts",
            "KSTREAM0000000003",
            "KSTREAM",
            "KSTREAMé-000000000",
        ] {
            assert!(!is_generated_repartition_prefix(prefix), "{prefix}");
        }
    }
}
