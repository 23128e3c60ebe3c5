//! The table of all keys of the JVM's `StreamsConfig`, of the keys that are ours, and of the topic settings.
//!
//! `docs/configuration.md` is written from these tables, and validation reads nothing else: a key that is missing here
//! is an unknown key. Keys, types, defaults and importance are those of Kafka Streams 4.3.0's `ConfigDef`; a test
//! compares them.

use super::value::{Range, ValueType};
use super::{client_key, librdkafka};

/// How much a user should care about a key; the JVM's `ConfigDef.Importance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// Look at it before going to production.
    High,
    /// Look at it when tuning.
    Medium,
    /// Leave it alone.
    Low,
}

/// What setting a key to something other than its default does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does what it does on the JVM.
    Honoured,
    /// It is accepted, has no effect, and a warning says so; the text says why that is harmless.
    Warned(&'static str),
    /// It is an error, as ignoring it would change what the application does; the text says what to do instead.
    Refused(&'static str),
}

/// The default of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDefault {
    /// The key must be set.
    Required,
    /// Not set.
    Null,
    /// This text.
    Is(&'static str),
}

/// One key of the JVM's `StreamsConfig`, or one of ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeySpec {
    /// The key.
    pub name: &'static str,
    /// Its type.
    pub value_type: ValueType,
    /// Its default.
    pub default: KeyDefault,
    /// How much it matters.
    pub importance: Importance,
    /// Which values of the type it takes.
    pub range: Range,
    /// What setting it does.
    pub status: Status,
    /// The method of [`StreamsConfig`](super::StreamsConfig) that sets it, or empty.
    pub setter: &'static str,
    /// What it is for, in one sentence.
    pub doc: &'static str,
}

/// The key of the number that bounds the memory of all stores of a process.
pub const MEMORY_BUDGET_BYTES: &str = "memory.budget.bytes";

/// The prefix of settings of internal topics.
pub const TOPIC_PREFIX: &str = "topic.";

/// The prefix of client tags.
pub const CLIENT_TAG_PREFIX: &str = "client.tag.";

use Importance::{High, Low, Medium};
use KeyDefault::{Is, Null, Required};
use Range::{Any, AtLeast, AtMostElements, Between, NonEmpty, OneOf, OneOfAnyCase};
use Status::{Honoured, Refused, Warned};
use ValueType::{Boolean, Class, Int, List, Long, String as Text};

const NO_STANDBYS: &str = "there are no standby or warm-up replicas yet: a task moves to its new owner at once";
const NO_METRICS: &str = "the JVM's metrics are not recorded";
const SERDE_BY_TYPE: &str = "the types of the topology choose the serdes; take the key out";
const NO_RACK_AWARENESS: &str = "the assignor does not look at racks yet; take the key out";
const NO_CLASSES: &str = "a Java class cannot run here; take the key out";
const WINDOWED_SERDE: &str = "it is for plain consumers, and Kafka Streams refuses it too; take the key out";
const DSL_STORE: &str =
    "stores of the DSL are RocksDB; call Materialized::in_memory at the operators that want another";

/// All keys of the JVM's `StreamsConfig`, sorted by name.
pub const STREAMS_KEYS: &[KeySpec] = &[
    key(
        "acceptable.recovery.lag",
        Long,
        Is("10000"),
        Medium,
        AtLeast(0),
        Warned(NO_STANDBYS),
        "",
        "How many records a replica may lag behind and still take the task over.",
    ),
    key(
        "allow.os.group.write.access",
        Boolean,
        Is("false"),
        Low,
        Any,
        Refused("state directories get the permissions of the process's umask; set that and take the key out"),
        "",
        "Whether the group may write the state directory.",
    ),
    key(
        "application.id",
        Text,
        Required,
        High,
        NonEmpty,
        Honoured,
        "new",
        "The name of the application: its consumer group, and the beginning of its internal topics' names and transactional ids. Letters, digits, `.`, `_` and `-`.",
    ),
    key(
        "application.server",
        Text,
        Is(""),
        Low,
        Any,
        Honoured,
        "application_server",
        "`host:port` of this instance, told to the other instances for routing queries.",
    ),
    key(
        "bootstrap.servers",
        List,
        Required,
        High,
        NonEmpty,
        Honoured,
        "new",
        "`host:port` of some brokers; the others are found through them.",
    ),
    key(
        "buffered.records.per.partition",
        Int,
        Is("1000"),
        Low,
        AtLeast(1),
        Honoured,
        "buffered_records_per_partition",
        "How many records of a partition wait in a task's queue before no more are taken from the fetcher.",
    ),
    key(
        "built.in.metrics.version",
        Text,
        Is("latest"),
        Low,
        OneOf(&["latest"]),
        Warned(NO_METRICS),
        "",
        "The version of the JVM's built-in metrics.",
    ),
    key(
        "cache.max.bytes.buffering",
        Long,
        Is("10485760"),
        Medium,
        AtLeast(0),
        Honoured,
        "",
        "Deprecated name of `statestore.cache.max.bytes`, which wins when both are set.",
    ),
    key(
        "client.id",
        Text,
        Is(""),
        Medium,
        Any,
        Honoured,
        "client_id",
        "The beginning of all client ids and thread names; `<application.id>-<process id>` when empty.",
    ),
    key(
        "commit.interval.ms",
        Long,
        Is("30000"),
        Low,
        AtLeast(0),
        Honoured,
        "commit_interval",
        "How often progress is committed; 100 under `exactly_once_v2` unless set.",
    ),
    key(
        "config.providers",
        List,
        Is(""),
        Low,
        Any,
        Refused("values are taken as they are, nothing is looked up; put the values themselves in"),
        "",
        "Classes that look up parts of values.",
    ),
    key(
        "connections.max.idle.ms",
        Long,
        Is("540000"),
        Low,
        Any,
        Honoured,
        "connections_max_idle",
        "Idle connections of producers and consumers are closed after this time; negative: never.",
    ),
    key(
        "default.client.supplier",
        Class,
        Is("org.apache.kafka.streams.processor.internals.DefaultKafkaClientSupplier"),
        Low,
        Any,
        Refused(NO_CLASSES),
        "",
        "The class that makes the clients.",
    ),
    key(
        "default.deserialization.exception.handler",
        Class,
        Is("org.apache.kafka.streams.errors.LogAndFailExceptionHandler"),
        Medium,
        Any,
        Honoured,
        "",
        "Deprecated name of `deserialization.exception.handler`, which wins when both are set.",
    ),
    key(
        "default.dsl.store",
        Text,
        Is("rocksDB"),
        Low,
        OneOf(&["rocksDB", "in_memory"]),
        Refused(DSL_STORE),
        "",
        "Deprecated: the kind of store that DSL operators use.",
    ),
    key(
        "default.key.serde",
        Class,
        Null,
        Medium,
        Any,
        Refused(SERDE_BY_TYPE),
        "",
        "The serde of keys where none is given.",
    ),
    key(
        "default.list.key.serde.inner",
        Class,
        Null,
        Medium,
        Any,
        Refused(SERDE_BY_TYPE),
        "",
        "The serde of the elements of keys that are lists.",
    ),
    key(
        "default.list.key.serde.type",
        Class,
        Null,
        Medium,
        Any,
        Refused(SERDE_BY_TYPE),
        "",
        "The list class of keys that are lists.",
    ),
    key(
        "default.list.value.serde.inner",
        Class,
        Null,
        Medium,
        Any,
        Refused(SERDE_BY_TYPE),
        "",
        "The serde of the elements of values that are lists.",
    ),
    key(
        "default.list.value.serde.type",
        Class,
        Null,
        Medium,
        Any,
        Refused(SERDE_BY_TYPE),
        "",
        "The list class of values that are lists.",
    ),
    key(
        "default.production.exception.handler",
        Class,
        Is("org.apache.kafka.streams.errors.DefaultProductionExceptionHandler"),
        Medium,
        Any,
        Honoured,
        "",
        "Deprecated name of `production.exception.handler`, which wins when both are set.",
    ),
    key(
        "default.timestamp.extractor",
        Class,
        Is("org.apache.kafka.streams.processor.FailOnInvalidTimestamp"),
        Medium,
        Any,
        Honoured,
        "default_timestamp_extractor",
        "How a record's timestamp is found; one of the JVM's four built-in classes.",
    ),
    key(
        "default.value.serde",
        Class,
        Null,
        Medium,
        Any,
        Refused(SERDE_BY_TYPE),
        "",
        "The serde of values where none is given.",
    ),
    key(
        "deserialization.exception.handler",
        Class,
        Is("org.apache.kafka.streams.errors.LogAndFailExceptionHandler"),
        Medium,
        Any,
        Honoured,
        "deserialization_exception_handler",
        "What happens to a record that cannot be decoded; one of the JVM's two built-in classes, or a handler given in code.",
    ),
    key(
        "dsl.store.format",
        Text,
        Is("DEFAULT"),
        Low,
        OneOfAnyCase(&["HEADERS", "DEFAULT"]),
        Honoured,
        "dsl_store_format",
        "Whether the stores of the DSL's operators keep the headers of records; in 4.3 only the deletions in their changelogs have any.",
    ),
    key(
        "dsl.store.suppliers.class",
        Class,
        Is("org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$RocksDBDslStoreSuppliers"),
        Low,
        Any,
        Refused(DSL_STORE),
        "",
        "The class that supplies the stores of DSL operators.",
    ),
    key(
        "enable.metrics.push",
        Boolean,
        Is("true"),
        Low,
        Any,
        Warned("metrics are never pushed to the brokers"),
        "",
        "Whether metrics are pushed to brokers that ask for them (KIP-714).",
    ),
    key(
        "ensure.explicit.internal.resource.naming",
        Boolean,
        Is("false"),
        High,
        Any,
        Honoured,
        "explicit_names",
        "Whether a store or internal topic without a name of its own is an error.",
    ),
    key(
        "errors.dead.letter.queue.topic.name",
        Text,
        Null,
        Medium,
        Any,
        Honoured,
        "errors_dead_letter_queue_topic_name",
        "The topic that takes records which could not be read, processed or written; it must exist.",
    ),
    key(
        "group.protocol",
        Text,
        Is("classic"),
        Medium,
        OneOfAnyCase(&["STREAMS", "CLASSIC"]),
        Refused("only the classic protocol is spoken yet; set group.protocol=classic"),
        "",
        "The group membership protocol.",
    ),
    key(
        "log.summary.interval.ms",
        Long,
        Is("120000"),
        Low,
        Any,
        Warned("no periodic summary is logged"),
        "",
        "How often a thread logs how much it processed.",
    ),
    key(
        "max.task.idle.ms",
        Long,
        Is("0"),
        Medium,
        AtLeast(-1),
        Honoured,
        "max_task_idle",
        "How long a task with an empty partition waits before it processes out of order: -1 never, 0 only for records that the broker already has, more: that much longer for new ones.",
    ),
    key(
        "max.warmup.replicas",
        Int,
        Is("2"),
        Medium,
        AtLeast(1),
        Warned(NO_STANDBYS),
        "",
        "How many replicas may warm up at a time.",
    ),
    key(
        "metadata.max.age.ms",
        Long,
        Is("300000"),
        Low,
        AtLeast(0),
        Honoured,
        "metadata_max_age",
        "How often the metadata of topics is fetched anew, so that new partitions are seen.",
    ),
    key(
        "metadata.recovery.rebootstrap.trigger.ms",
        Long,
        Is("300000"),
        Low,
        AtLeast(0),
        Honoured,
        "",
        "After how long without metadata the bootstrap servers are asked again.",
    ),
    key(
        "metadata.recovery.strategy",
        Text,
        Is("rebootstrap"),
        Low,
        OneOfAnyCase(&["REBOOTSTRAP", "NONE"]),
        Honoured,
        "",
        "Whether the bootstrap servers are asked again when no known broker answers.",
    ),
    key(
        "metric.reporters",
        List,
        Is("org.apache.kafka.common.metrics.JmxReporter"),
        Low,
        Any,
        Warned(NO_METRICS),
        "",
        "Classes that report metrics.",
    ),
    key(
        "metrics.num.samples",
        Int,
        Is("2"),
        Low,
        AtLeast(1),
        Warned(NO_METRICS),
        "",
        "How many samples a metric keeps.",
    ),
    key(
        "metrics.recording.level",
        Text,
        Is("INFO"),
        Low,
        OneOf(&["INFO", "DEBUG", "TRACE"]),
        Warned(NO_METRICS),
        "",
        "How many metrics are recorded.",
    ),
    key(
        "metrics.sample.window.ms",
        Long,
        Is("30000"),
        Low,
        AtLeast(0),
        Warned(NO_METRICS),
        "",
        "The time that one sample covers.",
    ),
    key(
        "num.standby.replicas",
        Int,
        Is("0"),
        High,
        AtLeast(0),
        Refused("there are no standby replicas yet; set 0"),
        "",
        "How many replicas of each store are kept on other instances.",
    ),
    key(
        "num.stream.threads",
        Int,
        Is("1"),
        Medium,
        AtLeast(1),
        Honoured,
        "num_stream_threads",
        "How many threads process records.",
    ),
    key(
        "poll.ms",
        Long,
        Is("100"),
        Low,
        AtLeast(0),
        Warned("a thread sleeps until its next duty and is woken by whatever arrives"),
        "poll",
        "How long an idle thread waits for input before it looks after commits and punctuations.",
    ),
    key(
        "probing.rebalance.interval.ms",
        Long,
        Is("600000"),
        Low,
        AtLeast(60_000),
        Warned(NO_STANDBYS),
        "",
        "How often a rebalance looks for replicas that have warmed up.",
    ),
    key(
        "processing.exception.handler",
        Class,
        Is("org.apache.kafka.streams.errors.LogAndFailProcessingExceptionHandler"),
        Medium,
        Any,
        Honoured,
        "processing_exception_handler",
        "What happens to a record whose processing fails; one of the JVM's two built-in classes, or a handler given in code.",
    ),
    key(
        "processing.exception.handler.global.enabled",
        Boolean,
        Is("false"),
        High,
        Any,
        Honoured,
        "processing_exception_handler_global_enabled",
        "Whether the processing handler is asked for global stores too; otherwise an error there ends the instance.",
    ),
    key(
        "processing.guarantee",
        Text,
        Is("at_least_once"),
        Medium,
        OneOf(&["at_least_once", "exactly_once_v2"]),
        Honoured,
        "processing_guarantee",
        "`at_least_once` or `exactly_once_v2`.",
    ),
    key(
        "processor.wrapper.class",
        Class,
        Is("org.apache.kafka.streams.processor.internals.NoOpProcessorWrapper"),
        Low,
        Any,
        Refused(
            "a wrapper is given in code, by `StreamsBuilder::with_processor_wrapper` or `TopologyBuilder::with_processor_wrapper`",
        ),
        "",
        "The class that wraps processors.",
    ),
    key(
        "production.exception.handler",
        Class,
        Is("org.apache.kafka.streams.errors.DefaultProductionExceptionHandler"),
        Medium,
        Any,
        Honoured,
        "production_exception_handler",
        "What happens to a record that cannot be written; the JVM's built-in class, `LogAndContinue` (ours), or a handler given in code.",
    ),
    key(
        "rack.aware.assignment.non_overlap_cost",
        Int,
        Null,
        Low,
        Any,
        Refused(NO_RACK_AWARENESS),
        "",
        "The cost of moving a task, for the rack-aware assignment.",
    ),
    key(
        "rack.aware.assignment.strategy",
        Text,
        Is("none"),
        Low,
        OneOf(&["none", "min_traffic", "balance_subtopology"]),
        Refused(NO_RACK_AWARENESS),
        "",
        "How racks are weighed when tasks are assigned.",
    ),
    key(
        "rack.aware.assignment.tags",
        List,
        Is(""),
        Low,
        AtMostElements(5),
        Refused(NO_RACK_AWARENESS),
        "",
        "The client tags over which standby replicas are spread.",
    ),
    key(
        "rack.aware.assignment.traffic_cost",
        Int,
        Null,
        Low,
        Any,
        Refused(NO_RACK_AWARENESS),
        "",
        "The cost of traffic between racks, for the rack-aware assignment.",
    ),
    key(
        "receive.buffer.bytes",
        Int,
        Is("32768"),
        Low,
        AtLeast(-1),
        Honoured,
        "receive_buffer_bytes",
        "SO_RCVBUF of connections; -1, and when not set: the system's default.",
    ),
    key(
        "reconnect.backoff.max.ms",
        Long,
        Is("1000"),
        Low,
        AtLeast(0),
        Honoured,
        "reconnect_backoff_max",
        "The longest wait between two attempts to connect to a broker.",
    ),
    key(
        "reconnect.backoff.ms",
        Long,
        Is("50"),
        Low,
        AtLeast(0),
        Honoured,
        "reconnect_backoff",
        "The first wait between two attempts to connect to a broker; it doubles.",
    ),
    key(
        "repartition.purge.interval.ms",
        Long,
        Is("30000"),
        Low,
        AtLeast(0),
        Honoured,
        "repartition_purge_interval",
        "How often processed records are deleted from repartition topics.",
    ),
    key(
        "replication.factor",
        Int,
        Is("-1"),
        Medium,
        Between(-1, 32_767),
        Honoured,
        "replication_factor",
        "The replication factor of internal topics; -1: the broker's default.",
    ),
    key(
        "request.timeout.ms",
        Int,
        Is("40000"),
        Low,
        AtLeast(0),
        Honoured,
        "request_timeout",
        "How long an answer of a broker is waited for; 30000, the clients' default, when not set.",
    ),
    key(
        "retry.backoff.ms",
        Long,
        Is("100"),
        Low,
        AtLeast(0),
        Honoured,
        "retry_backoff",
        "The first wait before a failed request is sent again. When not set, producers under `exactly_once_v2` use 5: see the differences.",
    ),
    key(
        "rocksdb.config.setter",
        Class,
        Null,
        Low,
        Any,
        Refused("RocksDB is tuned by memory.budget.bytes; take the key out"),
        "",
        "The class that tunes RocksDB.",
    ),
    key(
        "security.protocol",
        Text,
        Is("PLAINTEXT"),
        Medium,
        OneOfAnyCase(&["SASL_SSL", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"]),
        Honoured,
        "security_protocol",
        "How connections are secured; see Security.",
    ),
    key(
        "send.buffer.bytes",
        Int,
        Is("131072"),
        Low,
        AtLeast(-1),
        Honoured,
        "send_buffer_bytes",
        "SO_SNDBUF of connections; -1, and when not set: the system's default.",
    ),
    key(
        "state.cleanup.delay.ms",
        Long,
        Is("600000"),
        Low,
        AtLeast(0),
        Honoured,
        "state_cleanup_delay",
        "How long the state of a task that has moved away is kept.",
    ),
    key(
        "state.cleanup.dir.max.age.ms",
        Long,
        Is("-1"),
        Low,
        AtLeast(-1),
        Refused("old state is judged by its own changelog at start, not by its age; set -1"),
        "",
        "From which age local state is deleted at start.",
    ),
    key(
        "state.dir",
        Text,
        Is("/tmp/kafka-streams"),
        High,
        NonEmpty,
        Honoured,
        "state_dir",
        "The directory of the stores; `kafka-streams` in the system's temporary directory when not set. Production wants a lasting one.",
    ),
    key(
        "statestore.cache.max.bytes",
        Long,
        Is("10485760"),
        Medium,
        AtLeast(0),
        Honoured,
        "statestore_cache_max_bytes",
        "The memory of the record caches of all threads together; 0 turns caching off.",
    ),
    key("task.assignor.class", Text, Null, Medium, Any, Refused(NO_CLASSES), "", "The class that assigns tasks."),
    key(
        "task.timeout.ms",
        Long,
        Is("300000"),
        Medium,
        AtLeast(0),
        Honoured,
        "task_timeout",
        "How long a task may make no progress because of errors that are retried.",
    ),
    key(
        "topology.optimization",
        Text,
        Is("none"),
        Medium,
        Any,
        Refused(
            "a topology is finished before the configuration is read; call StreamsBuilder::build_optimized and take the key out",
        ),
        "topology_optimization",
        "`none`, `all`, or some of `reuse.ktable.source.topics`, `merge.repartition.topics`, `single.store.self.join`.",
    ),
    key(
        "upgrade.from",
        Text,
        Null,
        Low,
        OneOf(&[
            "2.4", "2.5", "2.6", "2.7", "2.8", "3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9",
            "4.0", "4.1", "4.2",
        ]),
        Refused(
            "members of older versions are understood without it, but their formats are not written; take the key out",
        ),
        "",
        "The version that a rolling upgrade comes from.",
    ),
    key(
        "window.size.ms",
        Long,
        Null,
        Low,
        Any,
        Refused(WINDOWED_SERDE),
        "",
        "The window size of a windowed deserializer.",
    ),
    key(
        "windowed.inner.class.serde",
        Text,
        Null,
        Low,
        Any,
        Refused(WINDOWED_SERDE),
        "",
        "The serde of the inner class of a windowed record.",
    ),
    key(
        "windowstore.changelog.additional.retention.ms",
        Long,
        Is("86400000"),
        Low,
        AtLeast(0),
        Honoured,
        "windowstore_changelog_additional_retention",
        "How much longer than the store a window store's changelog keeps its records.",
    ),
];

/// Keys that the JVM does not have, sorted by name.
pub const OWN_KEYS: &[KeySpec] = &[key(
    MEMORY_BUDGET_BYTES,
    Long,
    Is("134217728"),
    High,
    AtLeast(8_388_608),
    Honoured,
    "memory_budget",
    "The memory of all stores of the process together: RocksDB's block cache and write buffers, and the rows that are kept in memory. 128 MiB by default.",
)];

/// Settings of topics that `topic.` may precede (`TopicConfig` of Kafka 4.3.0).
pub const TOPIC_KEYS: &[&str] = &[
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.downconversion.enable",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

// One argument for each column of the table.
#[allow(clippy::too_many_arguments)]
const fn key(
    name: &'static str,
    value_type: ValueType,
    default: KeyDefault,
    importance: Importance,
    range: Range,
    status: Status,
    setter: &'static str,
    doc: &'static str,
) -> KeySpec {
    KeySpec { name, value_type, default, importance, range, status, setter, doc }
}

/// The row of a key of Kafka Streams or of ours; the keys are exact, without a prefix.
pub(crate) fn find(name: &str) -> Option<&'static KeySpec> {
    STREAMS_KEYS.iter().chain(OWN_KEYS).find(|spec| spec.name == name)
}

/// Whether `name`, with or without a prefix, can be set.
pub(crate) fn is_known(name: &str) -> bool {
    if find(name).is_some() || client_key::find(name).is_some() {
        return true;
    }
    if let Some(topic_key) = name.strip_prefix(TOPIC_PREFIX) {
        return TOPIC_KEYS.contains(&topic_key);
    }
    if let Some(tag) = name.strip_prefix(CLIENT_TAG_PREFIX) {
        return !tag.is_empty();
    }
    client_key::split(name).is_some_and(|(prefix, rest)| {
        client_key::find(rest).is_some_and(|spec| spec.clients.meets(prefix.clients))
            || librdkafka::find_native(rest).is_some_and(|native| native.clients.meets(prefix.clients))
    })
}

#[cfg(test)]
mod tests {
    use super::super::value;
    use super::*;

    #[test]
    fn the_table_equals_the_jvms_keys_types_defaults_and_importance() {
        let mut rows = Vec::new();
        for spec in STREAMS_KEYS {
            let default = match (spec.default, spec.value_type) {
                (Required, _) => "(required)".to_owned(),
                (Null, _) => "null".to_owned(),
                (Is(list), List) => format!("[{list}]"),
                (Is(text), _) => text.to_owned(),
            };
            let value_type = format!("{}", spec.value_type).to_uppercase();
            let importance = format!("{:?}", spec.importance).to_uppercase();
            rows.push(format!("{}\t{value_type}\t{default}\t{importance}", spec.name));
        }
        let jvm: Vec<&str> =
            include_str!("testdata/jvm-4.3.0-streams-keys.tsv").lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(rows, jvm);
    }

    #[test]
    fn every_default_is_a_value_that_its_own_row_accepts() {
        for spec in STREAMS_KEYS.iter().chain(OWN_KEYS) {
            if let Is(default) = spec.default {
                value::parse(spec.value_type, spec.range, default).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
            }
        }
    }

    #[test]
    fn every_status_has_its_reason_and_every_key_its_sentence() {
        for spec in STREAMS_KEYS.iter().chain(OWN_KEYS) {
            assert!(spec.doc.ends_with('.'), "{}", spec.name);
            if let Warned(reason) | Refused(reason) = spec.status {
                assert!(!reason.is_empty() && !reason.ends_with('.'), "{}", spec.name);
            }
        }
    }

    #[test]
    fn topic_keys_are_sorted_and_known_with_their_prefix_only() {
        assert!(TOPIC_KEYS.is_sorted());
        assert!(is_known("topic.retention.ms"));
        assert!(!is_known("retention.ms"));
    }
}
