//! Topics of an application's own that its topology does not expect (any more). They are told and never deleted: a wrong
//! application id, or a second deploy at the same time, would make an orphan of live state.
//!
//! Not every topic that begins with the application id is the application's. `my-app-2-counts-changelog` may be the
//! changelog of `2-counts` in `my-app` or of `counts` in `my-app-2`; such a topic is told as an orphan of `my-app` only
//! with the doubt in it, and not at all where the other application is known.

use std::collections::BTreeSet;
use std::fmt;

use crate::grammar::split_generated;
use crate::{Manifest, decorate};

/// A topic of the application's own that nothing in its topology reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// Its name on the broker.
    pub topic: String,
    /// What it was.
    pub kind: OrphanKind,
    /// The store, or the prefix of the repartition topic, that it was named after.
    pub owner: String,
    /// Why it is taken for this application's.
    pub evidence: Evidence,
}

/// What an orphan was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OrphanKind {
    /// The changelog of a store.
    Changelog,
    /// A topic between sub-topologies.
    Repartition,
    /// A topic of a foreign-key join.
    ForeignKeyJoin,
}

/// Why a topic is taken for the application's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The manifest says that an earlier version had it ([`Manifest::retired`]).
    Retired,
    /// The application id, and then a name that was generated.
    GeneratedName,
    /// The application id, and then a name that another application of a longer id could have as well.
    Prefix,
}

/// The topics of the application's own that a topology needs, by their names on the broker.
///
/// Source topics that serve as changelogs, and the topics of global stores, are not among them: they belong to others.
///
/// ```
/// use kafka_streams_naming::{Manifest, expected_internal_topics};
/// let manifest = Manifest::new(None);
/// assert!(expected_internal_topics(&manifest, "shop").is_empty());
/// ```
pub fn expected_internal_topics(manifest: &Manifest, application_id: &str) -> BTreeSet<String> {
    let changelogs = manifest.stores.iter().filter_map(|store| store.changelog.as_ref()).map(|log| &log.topic);
    let repartitions = manifest.repartition_topics.iter().map(|entry| &entry.topic);
    let sources = manifest.sources.iter().flat_map(|source| &source.topics);
    let sinks = manifest.sinks.iter().filter_map(|sink| sink.topic.as_ref());
    let all = changelogs.chain(repartitions).chain(sources).chain(sinks);
    all.filter(|topic| topic.internal).map(|topic| topic.decorated(application_id)).collect()
}

/// The topics among `topics` that look like the application's own and that no manifest expects, sorted by name.
///
/// `manifests` are those of the versions that run: during a rolling deploy the new one and the one before, so that what
/// the old instances still use is none. `other_applications` are ids of other applications on the same cluster, as far
/// as they are known: what may be theirs is left out.
///
/// Besides internal topics, nothing that a manifest reads or writes is an orphan, whatever its name.
///
/// ```
/// use kafka_streams_naming::{Manifest, detect_orphans};
/// let manifest = Manifest::new(None);
/// let topics = ["shop-counts-changelog", "shop-2-counts-changelog", "orders", "workshop-counts-changelog"];
/// let orphans = detect_orphans(&[&manifest], "shop", topics, &["shop-2"]);
/// assert_eq!(orphans.iter().map(|orphan| orphan.topic.as_str()).collect::<Vec<_>>(), ["shop-counts-changelog"]);
/// ```
pub fn detect_orphans<'t>(
    manifests: &[&Manifest],
    application_id: &str,
    topics: impl IntoIterator<Item = &'t str>,
    other_applications: &[&str],
) -> Vec<Orphan> {
    let mut used = BTreeSet::new();
    let mut retired = BTreeSet::new();
    for manifest in manifests {
        used.extend(expected_internal_topics(manifest, application_id));
        used.extend(outer_topics(manifest));
        retired.extend(manifest.retired.iter().map(String::as_str));
    }
    let longer = |other: &&str| other.strip_prefix(application_id).is_some_and(|rest| rest.starts_with('-'));
    let others: Vec<String> =
        other_applications.iter().copied().filter(longer).map(|other| decorate(other, "")).collect();
    let own = decorate(application_id, "");
    let orphan = |topic: &str| {
        let name = topic.strip_prefix(&own)?;
        if used.contains(topic) || others.iter().any(|other| topic.starts_with(other)) {
            return None;
        }
        let (kind, owner) = kind_and_owner(name)?;
        let evidence = if retired.contains(name) || retired.contains(owner) {
            Evidence::Retired
        } else if begins_generated(owner) {
            Evidence::GeneratedName
        } else {
            Evidence::Prefix
        };
        Some(Orphan { topic: topic.to_owned(), kind, owner: owner.to_owned(), evidence })
    };
    let found: BTreeSet<Orphan> = topics.into_iter().filter_map(orphan).collect();
    found.into_iter().collect()
}

fn outer_topics(manifest: &Manifest) -> impl Iterator<Item = String> {
    let read = manifest.sources.iter().flat_map(|source| &source.topics);
    let written = manifest.sinks.iter().filter_map(|sink| sink.topic.as_ref());
    let restored = manifest.stores.iter().filter_map(|store| store.changelog.as_ref()).map(|log| &log.topic);
    read.chain(written).chain(restored).filter(|topic| !topic.internal).map(|topic| topic.name.clone())
}

/// What a topic of this name, without the application id, is, and what it is named after.
fn kind_and_owner(name: &str) -> Option<(OrphanKind, &str)> {
    if let Some(owner) = name.strip_suffix("-changelog") {
        return (!owner.is_empty()).then_some((OrphanKind::Changelog, owner));
    }
    if let Some(owner) = name.strip_suffix("-repartition") {
        return (!owner.is_empty()).then_some((OrphanKind::Repartition, owner));
    }
    // `<prefix>-subscription-registration-topic` where the join is named.
    let foreign = ["KTABLE-FK-JOIN-SUBSCRIPTION-", "-subscription-registration", "-subscription-response"];
    let owner = name.strip_suffix("-topic")?;
    foreign.iter().any(|part| owner.contains(part)).then_some((OrphanKind::ForeignKeyJoin, owner))
}

/// Whether the whole of it was generated, and not only what follows the rest of a longer application id.
fn begins_generated(owner: &str) -> bool {
    let operators = ["KSTREAM-", "KTABLE-", "COGROUPKSTREAM-"];
    split_generated(owner).is_some() && operators.iter().any(|operator| owner.starts_with(operator))
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            OrphanKind::Changelog => "the changelog of store",
            OrphanKind::Repartition => "the repartition topic of",
            OrphanKind::ForeignKeyJoin => "the topic of foreign-key join",
        };
        write!(f, "{}: {what} {}", self.topic, self.owner)?;
        f.write_str(match self.evidence {
            Evidence::Retired => ", which an earlier version had",
            Evidence::GeneratedName => ", which the topology does not have",
            Evidence::Prefix => {
                ", which the topology does not have; or it belongs to another application, whose id begins like this one's"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChangelogEntry, RepartitionEntry, SourceEntry, StoreEntry, TopicRef};

    fn store(name: &str, topic: TopicRef) -> StoreEntry {
        let changelog = Some(ChangelogEntry { topic, config: Default::default() });
        StoreEntry { name: name.to_owned(), changelog, ..StoreEntry::default() }
    }

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(None);
        manifest.stores.push(store("counts", TopicRef::internal("counts-changelog")));
        manifest.stores.push(store("users", TopicRef::external("my-app-users-changelog")));
        manifest.repartition_topics.push(RepartitionEntry {
            topic: TopicRef::internal("by-word-repartition"),
            partitions: None,
            partition_by: Default::default(),
            config: Default::default(),
        });
        let topics = vec![TopicRef::external("my-app-users-changelog"), TopicRef::external("my-app-in-repartition")];
        manifest.sources.push(SourceEntry { name: "s".to_owned(), topics, ..SourceEntry::default() });
        let registration = "KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000004-topic";
        let topics = vec![TopicRef::internal(registration)];
        manifest.sources.push(SourceEntry { name: "fk".to_owned(), topics, ..SourceEntry::default() });
        manifest
    }

    fn found(manifests: &[&Manifest], topics: &[&str], others: &[&str]) -> Vec<(String, Evidence)> {
        let orphans = detect_orphans(manifests, "my-app", topics.iter().copied(), others);
        orphans.into_iter().map(|orphan| (orphan.topic, orphan.evidence)).collect()
    }

    #[test]
    fn what_the_topology_uses_is_no_orphan_whoever_owns_it() {
        let manifest = manifest();
        let expected = expected_internal_topics(&manifest, "my-app");
        assert_eq!(
            expected.iter().map(String::as_str).collect::<Vec<_>>(),
            [
                "my-app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000004-topic",
                "my-app-by-word-repartition",
                "my-app-counts-changelog",
            ]
        );
        let mut topics: Vec<&str> = expected.iter().map(String::as_str).collect();
        topics.extend(["my-app-users-changelog", "my-app-in-repartition", "my-app", "my-app-", "orders"]);
        assert_eq!(found(&[&manifest], &topics, &[]), []);
    }

    #[test]
    fn what_no_version_expects_is_an_orphan_with_its_evidence() {
        let mut manifest = manifest();
        manifest.retired.insert("KSTREAM-AGGREGATE-STATE-STORE-0000000002".to_owned());
        let topics = [
            "my-app-KSTREAM-AGGREGATE-STATE-STORE-0000000002-changelog",
            "my-app-KSTREAM-REDUCE-STATE-STORE-0000000007-changelog",
            "my-app-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000009-topic",
            "my-app-by-page-repartition",
            "my-app-fk-subscription-registration-topic",
        ];
        let evidence: Vec<Evidence> = found(&[&manifest], &topics, &[]).into_iter().map(|(_, why)| why).collect();
        use Evidence::{GeneratedName, Prefix, Retired};
        assert_eq!(evidence, [Retired, GeneratedName, GeneratedName, Prefix, Prefix]);
    }

    #[test]
    fn an_application_whose_id_begins_alike_keeps_its_topics() {
        let manifest = manifest();
        let theirs = "my-app-2-counts-changelog";
        assert_eq!(found(&[&manifest], &[theirs, "my-application-counts-changelog"], &["my-app-2"]), []);
        // Unknown, it is told with the doubt in it.
        assert_eq!(found(&[&manifest], &[theirs], &[]), [(theirs.to_owned(), Evidence::Prefix)]);
        let generated = "my-app-2-KSTREAM-AGGREGATE-STATE-STORE-0000000002-changelog";
        assert_eq!(found(&[&manifest], &[generated], &[]), [(generated.to_owned(), Evidence::Prefix)]);
        // A shorter id is no prefix of ours, and must not hide our own.
        let ours = "my-app-old-changelog";
        assert_eq!(found(&[&manifest], &[ours], &["my"]), [(ours.to_owned(), Evidence::Prefix)]);
    }

    #[test]
    fn topics_of_the_version_before_are_none_while_both_run() {
        let (new, mut old) = (manifest(), manifest());
        old.stores.push(store("views", TopicRef::internal("views-changelog")));
        let topics = ["my-app-views-changelog"];
        assert_eq!(found(&[&new, &old], &topics, &[]), []);
        assert_eq!(found(&[&new], &topics, &[]).len(), 1);
    }

    #[test]
    fn a_topic_that_is_not_of_a_known_kind_is_none() {
        assert_eq!(found(&[&manifest()], &["my-app-out", "my-app-changelog", "my-app-dead-letter-topic"], &[]), []);
    }
}
