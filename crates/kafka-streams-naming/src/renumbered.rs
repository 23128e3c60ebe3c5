//! The migration trap: internal topics that are there under other numbers than the ones the topology expects.
//!
//! `Naming::PerClass` and the JVM number the same unnamed store differently. Started in the place of a JVM application, a
//! topology would find none of its topics, make new ones, and count from nothing beside the old state.

use std::collections::{BTreeMap, BTreeSet};

use crate::grammar::{DIGITS, is_generated, strip_topic_suffixes};

/// A generated internal topic that is missing, while one that differs from it by its number alone is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renumbered {
    /// The topic that the topology expects and that does not exist.
    pub expected: String,
    /// The topic that exists and that the topology does not expect.
    pub found: String,
}

/// Looks for generated internal topics that exist under another number: topics of a class (all of the name but its number)
/// of which one is expected and missing, and another one exists and is not expected.
///
/// `expected` are the topology's internal topics, `existing` all topics of the cluster, both by their full names. The
/// answer names the lowest numbers of the first such class; `None` means that nothing was found. Explicit names have no
/// class. A topic that is not expected is left alone if its class lacks none: an application that has lost an unnamed
/// aggregation leaves its changelog behind.
///
/// ```
/// use kafka_streams_naming::find_renumbered;
/// let expected = ["app-KSTREAM-AGGREGATE-STATE-STORE-0000000000-changelog"];
/// let existing = ["app-KSTREAM-AGGREGATE-STATE-STORE-0000000003-changelog", "lines"];
/// let found = find_renumbered("app", expected, existing).map(|renumbered| renumbered.found);
/// assert_eq!(found.as_deref(), Some(existing[0]));
/// ```
pub fn find_renumbered<'a>(
    application_id: &str,
    expected: impl IntoIterator<Item = &'a str>,
    existing: impl IntoIterator<Item = &'a str>,
) -> Option<Renumbered> {
    let (expected, existing) = (by_class(application_id, expected), by_class(application_id, existing));
    expected.iter().find_map(|(class, wanted)| {
        let there = existing.get(class)?;
        let missing = wanted.difference(there).next()?;
        let found = there.difference(wanted).next()?;
        Some(Renumbered { expected: (*missing).to_owned(), found: (*found).to_owned() })
    })
}

/// What a generated name consists of beside its number.
type Class<'a> = (&'a str, &'a str);

fn by_class<'a>(
    application_id: &str,
    topics: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<Class<'a>, BTreeSet<&'a str>> {
    let mut classes: BTreeMap<Class<'a>, BTreeSet<&'a str>> = BTreeMap::new();
    for topic in topics {
        let name = topic.strip_prefix(application_id).and_then(|name| name.strip_prefix('-'));
        if let Some(class) = name.and_then(class) {
            classes.entry(class).or_default().insert(topic);
        }
    }
    classes
}

fn class(name: &str) -> Option<Class<'_>> {
    let stem = strip_topic_suffixes(name);
    let prefix = stem.len().checked_sub(DIGITS).and_then(|at| stem.get(..at))?;
    is_generated(name).then_some((prefix, &name[stem.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: &str = "KSTREAM-AGGREGATE-STATE-STORE-";

    fn topics(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| format!("app-{name}")).collect()
    }

    fn check(expected: &[&str], existing: &[&str]) -> Option<(String, String)> {
        let (expected, existing) = (topics(expected), topics(existing));
        let found = find_renumbered("app", expected.iter().map(String::as_str), existing.iter().map(String::as_str))?;
        let short = |topic: String| topic.trim_start_matches("app-").to_owned();
        Some((short(found.expected), short(found.found)))
    }

    fn changelog(number: u32) -> String {
        format!("{COUNT}{number:010}-changelog")
    }

    #[test]
    fn the_jvms_numbers_are_found_where_other_numbers_are_expected() {
        let (ours, jvms) = (changelog(0), changelog(3));
        assert_eq!(check(&[&ours], &[&jvms]), Some((ours.clone(), jvms.clone())));
        let (repartition, jvm_repartition) =
            (format!("{COUNT}0000000000-repartition"), format!("{COUNT}0000000003-repartition"));
        assert_eq!(check(&[&ours, &repartition], &[&jvms, &jvm_repartition]), Some((ours, jvms)));
        assert_eq!(
            check(&["KSTREAM-JOINTHIS-0000000000-store-changelog"], &["KSTREAM-JOINTHIS-0000000004-store-changelog"]),
            Some((
                "KSTREAM-JOINTHIS-0000000000-store-changelog".to_owned(),
                "KSTREAM-JOINTHIS-0000000004-store-changelog".to_owned()
            ))
        );
    }

    #[test]
    fn some_numbers_may_be_the_same_by_chance() {
        let [zero, one, five] = [0, 1, 5].map(changelog);
        assert_eq!(check(&[&zero, &one], &[&one, &five]), Some((zero, five)));
    }

    #[test]
    fn a_topology_that_finds_its_own_topics_is_left_alone() {
        let [zero, one, two] = [0, 1, 2].map(changelog);
        assert_eq!(check(&[&zero], &[&zero]), None);
        assert_eq!(check(&[&zero, &one], &[&zero]), None, "grown");
        assert_eq!(check(&[&zero], &[&zero, &one, &two]), None, "shrunk");
        assert_eq!(check(&[&zero], &[]), None, "new");
        assert_eq!(check(&[], &[&two]), None, "everything has a name now");
    }

    #[test]
    fn explicit_names_and_other_classes_do_not_matter() {
        let (zero, three) = (changelog(0), changelog(3));
        assert_eq!(check(&["counts-changelog"], &[&three, "sums-changelog"]), None);
        assert_eq!(check(&[&zero], &["KSTREAM-REDUCE-STATE-STORE-0000000003-changelog"]), None);
        assert_eq!(check(&[&zero], &[&format!("{COUNT}0000000003-repartition")]), None);
        assert_eq!(check(&["orders-0000000000-changelog"], &["orders-0000000003-changelog"]), None);
    }

    #[test]
    fn topics_of_other_applications_do_not_matter() {
        let expected = ["app-KSTREAM-AGGREGATE-STATE-STORE-0000000000-changelog"];
        for other in ["app-x-", "other-", "ap", "app", ""] {
            let existing = format!("{other}KSTREAM-AGGREGATE-STATE-STORE-0000000003-changelog");
            assert_eq!(find_renumbered("app", expected, [existing.as_str()]), None, "{existing}");
        }
    }

    #[test]
    fn no_name_is_too_odd() {
        for odd in ["", "-", "app-", "app--changelog", "app-é-0000000003", "app-KSTREAM-0000000003é-changelog"] {
            assert_eq!(find_renumbered("app", [odd], [odd]), None);
            assert_eq!(find_renumbered("app", [odd], ["app-KSTREAM-X-0000000003-changelog"]), None);
        }
    }
}
