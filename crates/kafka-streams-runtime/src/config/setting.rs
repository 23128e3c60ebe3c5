//! The choices that single settings offer, with the JVM's names for them.

use std::time::Duration;

use kafka_streams_core::TimestampExtractor;

/// `processing.guarantee`: what a crash may do to the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessingGuarantee {
    /// Records may be processed again after a crash.
    #[default]
    AtLeastOnce,
    /// The results are as if every record had been processed once. Needs brokers of version 2.5 or later.
    ExactlyOnceV2,
}

impl ProcessingGuarantee {
    /// The JVM's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnceV2 => "exactly_once_v2",
        }
    }

    /// The guarantee of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::AtLeastOnce, Self::ExactlyOnceV2].into_iter().find(|one| one.name() == name)
    }
}

/// A built-in answer to an exception, that a handler's key chooses by its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltInHandler {
    LogAndFail,
    LogAndContinue,
}

/// `auto.offset.reset`: where a source partition without a committed offset begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoOffsetReset {
    /// At its first record.
    #[default]
    Earliest,
    /// After its last record.
    Latest,
    /// Nowhere: it is an error.
    None,
    /// At its first record that is not older than this (`by_duration:PT1H`, KIP-1106).
    ByDuration(Duration),
}

impl AutoOffsetReset {
    /// What stands before the duration.
    const BY_DURATION: &str = "by_duration:";

    /// The JVM's text.
    pub fn name(self) -> String {
        match self {
            Self::Earliest => "earliest".to_owned(),
            Self::Latest => "latest".to_owned(),
            Self::None => "none".to_owned(),
            Self::ByDuration(duration) => {
                let seconds = duration.as_secs();
                match duration.subsec_nanos() {
                    0 => format!("{}PT{seconds}S", Self::BY_DURATION),
                    nanos => format!("{}PT{seconds}.{nanos:09}S", Self::BY_DURATION),
                }
            }
        }
    }

    /// What the JVM's text means.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            "none" => Some(Self::None),
            _ => iso_8601(text.strip_prefix(Self::BY_DURATION)?).map(Self::ByDuration),
        }
    }
}

/// A duration that is not negative, as `java.time.Duration` reads it: days, hours, minutes, and seconds with up to nine
/// decimals.
fn iso_8601(text: &str) -> Option<Duration> {
    let (days, time) = match text.strip_prefix(['P', 'p'])?.split_once(['T', 't']) {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (text.get(1..)?, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    if !days.is_empty() {
        let days: u64 = days.strip_suffix(['D', 'd'])?.parse().ok()?;
        total = Duration::from_secs(days.checked_mul(86_400)?);
    }
    let mut rest = time;
    for (unit, seconds) in [(['H', 'h'], 3600_u64), (['M', 'm'], 60)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let number: u64 = number.parse().ok()?;
            total = total.checked_add(Duration::from_secs(number.checked_mul(seconds)?))?;
            rest = after;
        }
    }
    if !rest.is_empty() {
        let (whole, decimals) = match rest.strip_suffix(['S', 's'])?.split_once(['.', ',']) {
            Some((whole, decimals)) => (whole, decimals),
            None => (rest.get(..rest.len() - 1)?, ""),
        };
        if decimals.len() > 9 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let nanos: u32 = format!("{decimals:0<9}").parse().ok()?;
        total = total.checked_add(Duration::new(whole.parse().ok()?, nanos))?;
    }
    Some(total)
}

/// `max.task.idle.ms`: how long a task waits for its empty partitions before it processes the others out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaxTaskIdle {
    /// Not at all (-1).
    Disabled,
    /// Until everything that the broker has for them was fetched (0).
    #[default]
    UntilFetched,
    /// That much longer, for records that have yet to be produced.
    Wait(Duration),
}

impl From<Duration> for MaxTaskIdle {
    fn from(wait: Duration) -> Self {
        if wait.is_zero() { Self::UntilFetched } else { Self::Wait(wait) }
    }
}

/// `topology.optimization`: which rewritings of the topology are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TopologyOptimization {
    /// A table's source topic serves as its changelog.
    pub reuse_ktable_source_topics: bool,
    /// Repartition topics of one stream are merged.
    pub merge_repartition_topics: bool,
    /// A stream joined with itself keeps one store.
    pub single_store_self_join: bool,
}

impl TopologyOptimization {
    /// No rewriting.
    pub const NONE: Self =
        Self { reuse_ktable_source_topics: false, merge_repartition_topics: false, single_store_self_join: false };
    /// All of them.
    pub const ALL: Self =
        Self { reuse_ktable_source_topics: true, merge_repartition_topics: true, single_store_self_join: true };

    /// The JVM's text: `none`, `all`, or a list.
    pub fn name(self) -> String {
        if self == Self::ALL {
            return "all".to_owned();
        }
        let named: Vec<&str> = self.named().iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        if named.is_empty() { "none".to_owned() } else { named.join(",") }
    }

    /// Reads the JVM's text.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "none" => return Some(Self::NONE),
            "all" => return Some(Self::ALL),
            _ => {}
        }
        let mut this = Self::NONE;
        for name in text.split(',') {
            match name.trim() {
                "reuse.ktable.source.topics" => this.reuse_ktable_source_topics = true,
                "merge.repartition.topics" => this.merge_repartition_topics = true,
                "single.store.self.join" => this.single_store_self_join = true,
                _ => return None,
            }
        }
        Some(this)
    }

    fn named(self) -> [(&'static str, bool); 3] {
        [
            ("reuse.ktable.source.topics", self.reuse_ktable_source_topics),
            ("merge.repartition.topics", self.merge_repartition_topics),
            ("single.store.self.join", self.single_store_self_join),
        ]
    }
}

/// A choice that the JVM makes by the name of one of its own classes.
pub(crate) struct BuiltInClasses<T: 'static>(&'static [(&'static str, T)]);

impl<T: Copy + PartialEq> BuiltInClasses<T> {
    /// The choice of that name.
    pub(crate) fn find(&self, name: &str) -> Option<T> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, choice)| *choice)
    }

    /// The name of a choice.
    pub(crate) fn name(&self, choice: T) -> &'static str {
        self.0.iter().find(|(_, known)| *known == choice).map_or("", |(name, _)| name)
    }

    /// All names, the default's first.
    pub(crate) fn names(&self) -> String {
        self.0.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// `deserialization.exception.handler`.
pub(crate) const DESERIALIZATION_HANDLERS: BuiltInClasses<BuiltInHandler> = BuiltInClasses(&[
    ("org.apache.kafka.streams.errors.LogAndFailExceptionHandler", BuiltInHandler::LogAndFail),
    ("org.apache.kafka.streams.errors.LogAndContinueExceptionHandler", BuiltInHandler::LogAndContinue),
]);

/// `processing.exception.handler`.
pub(crate) const PROCESSING_HANDLERS: BuiltInClasses<BuiltInHandler> = BuiltInClasses(&[
    ("org.apache.kafka.streams.errors.LogAndFailProcessingExceptionHandler", BuiltInHandler::LogAndFail),
    ("org.apache.kafka.streams.errors.LogAndContinueProcessingExceptionHandler", BuiltInHandler::LogAndContinue),
]);

/// `production.exception.handler`. The JVM has no class that goes on; the second name is ours.
pub(crate) const PRODUCTION_HANDLERS: BuiltInClasses<BuiltInHandler> = BuiltInClasses(&[
    ("org.apache.kafka.streams.errors.DefaultProductionExceptionHandler", BuiltInHandler::LogAndFail),
    ("LogAndContinue", BuiltInHandler::LogAndContinue),
]);

/// `default.timestamp.extractor`.
pub(crate) const TIMESTAMP_EXTRACTORS: BuiltInClasses<TimestampExtractor> = BuiltInClasses(&[
    ("org.apache.kafka.streams.processor.FailOnInvalidTimestamp", TimestampExtractor::FailOnInvalidTimestamp),
    (
        "org.apache.kafka.streams.processor.LogAndSkipOnInvalidTimestamp",
        TimestampExtractor::LogAndSkipOnInvalidTimestamp,
    ),
    (
        "org.apache.kafka.streams.processor.UsePartitionTimeOnInvalidTimestamp",
        TimestampExtractor::UsePartitionTimeOnInvalidTimestamp,
    ),
    ("org.apache.kafka.streams.processor.WallclockTimestampExtractor", TimestampExtractor::WallclockTimestampExtractor),
]);

#[cfg(test)]
mod tests {
    use super::super::key::{self, KeyDefault};
    use super::*;

    fn agrees_with_its_row<T: Copy + PartialEq + std::fmt::Debug>(key: &str, classes: &BuiltInClasses<T>) {
        for (name, choice) in classes.0 {
            assert_eq!(classes.name(*choice), *name);
            assert_eq!(classes.find(name), Some(*choice));
        }
        assert_eq!(key::find(key).unwrap().default, KeyDefault::Is(classes.0[0].0));
        assert_eq!(classes.find("com.example.Mine"), None);
    }

    #[test]
    fn built_in_classes_have_their_choice_and_the_default_is_first() {
        agrees_with_its_row("deserialization.exception.handler", &DESERIALIZATION_HANDLERS);
        agrees_with_its_row("processing.exception.handler", &PROCESSING_HANDLERS);
        agrees_with_its_row("production.exception.handler", &PRODUCTION_HANDLERS);
        agrees_with_its_row("default.timestamp.extractor", &TIMESTAMP_EXTRACTORS);
    }

    #[test]
    fn optimisations_are_read_and_written_as_the_jvm_does() {
        for text in ["none", "all", "merge.repartition.topics", "reuse.ktable.source.topics,single.store.self.join"] {
            assert_eq!(TopologyOptimization::parse(text).unwrap().name(), text);
        }
        for text in ["", "al", "none,merge.repartition.topics", "all,all"] {
            assert_eq!(TopologyOptimization::parse(text), None, "{text}");
        }
    }

    #[test]
    fn no_idling_time_still_waits_for_what_the_broker_has() {
        assert_eq!(MaxTaskIdle::from(Duration::ZERO), MaxTaskIdle::UntilFetched);
    }
}
