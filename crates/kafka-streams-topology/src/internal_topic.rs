//! The topics that an application makes for itself: what they are called, and how they are configured.
//!
//! Configuration is laid over one another as on the JVM (`RepartitionTopicConfig`, `UnwindowedUnversionedChangelogTopicConfig`,
//! `WindowedChangelogTopicConfig`): the defaults of the kind, the application's `topic.*` entries, the store's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_streams_state::{StoreKind, StoreSpec};

/// A topic of the application's own, as it is to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its name on the broker.
    pub name: Arc<str>,
    /// Its number of partitions, at least 1.
    pub partitions: i32,
    /// What it is for.
    pub kind: InternalTopicKind,
    /// Its configuration, complete but for the broker's defaults.
    pub config: BTreeMap<String, String>,
    /// Its number of replicas; -1 is the broker's default.
    pub replication_factor: i16,
    /// Whether the user gave the number of partitions.
    pub explicit_partitions: bool,
}

/// What an internal topic is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InternalTopicKind {
    /// Carries records from one sub-topology to another. Records are deleted once they are processed.
    Repartition,
    /// Holds what a store holds.
    Changelog {
        /// The store's name.
        store: Arc<str>,
    },
}

/// What the application's configuration says about internal topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// `replication.factor`; -1 is the broker's default.
    pub replication_factor: i16,
    /// The `topic.*` entries, without `topic.`.
    pub topic_overrides: BTreeMap<String, String>,
    /// `windowstore.changelog.additional.retention.ms`: how much longer than the store its changelog keeps a window.
    pub windowstore_additional_retention_ms: i64,
}

impl Default for PlanOptions {
    fn default() -> Self {
        PlanOptions {
            replication_factor: -1,
            topic_overrides: BTreeMap::new(),
            windowstore_additional_retention_ms: 24 * 60 * 60 * 1000,
        }
    }
}

const CLEANUP_POLICY: &str = "cleanup.policy";
const RETENTION_MS: &str = "retention.ms";
const MIN_COMPACTION_LAG_MS: &str = "min.compaction.lag.ms";
/// How much longer than the store its changelog keeps every version: a day.
const VERSIONED_ADDITIONAL_LAG_MS: i64 = 24 * 60 * 60 * 1000;

/// The configuration of a repartition topic: kept until the application deletes what it has processed, in segments
/// small enough (50 MiB) for that to free space soon.
pub(crate) fn repartition_config(options: &PlanOptions) -> BTreeMap<String, String> {
    let defaults = [(CLEANUP_POLICY, "delete"), ("segment.bytes", "52428800"), (RETENTION_MS, "-1")];
    let mut config = defaults_of(&defaults);
    config.extend(options.topic_overrides.clone());
    config
}

/// The configuration of a store's changelog.
pub(crate) fn changelog_config(spec: &StoreSpec, options: &PlanOptions) -> BTreeMap<String, String> {
    let policy = match spec.kind {
        StoreKind::Window { .. } | StoreKind::Session { .. } => "compact,delete",
        _ => "compact",
    };
    let own = spec.logging.clone().unwrap_or_default();
    let user_lag = own.contains_key(MIN_COMPACTION_LAG_MS);
    let user_retention = own.contains_key(RETENTION_MS);
    let mut config = defaults_of(&[(CLEANUP_POLICY, policy)]);
    config.extend(options.topic_overrides.clone());
    config.extend(own);
    if let StoreKind::Versioned { history_retention_ms, .. } = spec.kind
        && !user_lag
    {
        // A version must not be compacted away as long as the store may ask for it (`VersionedChangelogTopicConfig`).
        let lag = history_retention_ms.saturating_add(VERSIONED_ADDITIONAL_LAG_MS);
        config.insert(MIN_COMPACTION_LAG_MS.to_owned(), lag.to_string());
    }
    if let Some(retention_ms) = spec.kind.retention_ms().filter(|_| !user_retention) {
        let retention = retention_ms.saturating_add(options.windowstore_additional_retention_ms);
        config.insert(RETENTION_MS.to_owned(), retention.to_string());
    }
    config
}

fn defaults_of(of_kind: &[(&str, &str)]) -> BTreeMap<String, String> {
    // The time of a record is the event's, which windows rely on, and not that of its arrival.
    let all = [("message.timestamp.type", "CreateTime")];
    all.iter().chain(of_kind).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: StoreKind, logging: &[(&str, &str)]) -> StoreSpec {
        let logging = logging.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        StoreSpec {
            name: "s".into(),
            kind,
            timestamped: true,
            headers: false,
            persistent: true,
            caching: false,
            logging: Some(logging),
            time_index: false,
        }
    }

    fn text(config: &BTreeMap<String, String>) -> String {
        config.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }

    fn window() -> StoreKind {
        StoreKind::Window { window_size_ms: 1000, retention_ms: 5000, retain_duplicates: false }
    }

    #[test]
    fn each_kind_has_the_jvms_configuration() {
        let options = PlanOptions::default();
        assert_eq!(
            text(&repartition_config(&options)),
            "cleanup.policy=delete message.timestamp.type=CreateTime retention.ms=-1 segment.bytes=52428800"
        );
        assert_eq!(
            text(&changelog_config(&spec(StoreKind::KeyValue, &[]), &options)),
            "cleanup.policy=compact message.timestamp.type=CreateTime"
        );
        assert_eq!(
            text(&changelog_config(&spec(window(), &[]), &options)),
            "cleanup.policy=compact,delete message.timestamp.type=CreateTime retention.ms=86405000"
        );
        assert_eq!(
            text(&changelog_config(&spec(StoreKind::Session { retention_ms: 5000 }, &[]), &options)),
            text(&changelog_config(&spec(window(), &[]), &options))
        );
    }

    #[test]
    fn the_stores_entries_win_over_the_applications_and_a_retention_of_its_own_stands() {
        let overrides = [("min.insync.replicas", "2"), ("segment.bytes", "1"), ("retention.ms", "7")];
        let topic_overrides = overrides.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let options = PlanOptions { topic_overrides, ..PlanOptions::default() };
        assert_eq!(
            text(&changelog_config(&spec(window(), &[("segment.bytes", "2")]), &options)),
            "cleanup.policy=compact,delete message.timestamp.type=CreateTime min.insync.replicas=2 \
             retention.ms=86405000 segment.bytes=2"
        );
        let own = changelog_config(&spec(window(), &[("retention.ms", "9")]), &options);
        assert_eq!(own.get("retention.ms").map(String::as_str), Some("9"));
        assert_eq!(repartition_config(&options).get("retention.ms").map(String::as_str), Some("7"));
    }

    #[test]
    fn a_retention_beyond_all_time_is_the_longest_one() {
        let kind = StoreKind::Window { window_size_ms: 1, retention_ms: i64::MAX, retain_duplicates: false };
        let config = changelog_config(&spec(kind, &[]), &PlanOptions::default());
        assert_eq!(config.get("retention.ms"), Some(&i64::MAX.to_string()));
    }
}
