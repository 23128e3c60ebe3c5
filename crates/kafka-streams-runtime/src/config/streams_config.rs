//! The configuration of an application, as it is being written down.

use std::fmt::{self, Display};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::handler::{
    DeserializationExceptionHandler, ProcessingExceptionHandler, ProductionExceptionHandler,
};
use kafka_streams_core::{DslStoreFormat, TimestampExtractor};

use super::error::ConfigError;
use super::jaas;
use super::key::{CLIENT_TAG_PREFIX, MEMORY_BUDGET_BYTES};
use super::property_map::PropertyMap;
use super::secret::Secret;
use super::security::{SaslMechanism, SecurityProtocol};
use super::setting::{MaxTaskIdle, ProcessingGuarantee, TIMESTAMP_EXTRACTORS, TopologyOptimization};
use super::settings::StreamsSettings;
use super::validate;

/// The configuration of an application: what was set, and nothing else.
///
/// Every setter writes one of the JVM's keys, whose name it has in snake case, and [`StreamsConfig::property`] writes
/// any other, with the JVM's prefixes. Nothing is checked until [`StreamsConfig::validate`], which reports all problems
/// together. Starting an application validates too.
///
/// ```
/// use std::time::Duration;
///
/// use kafka_streams_runtime::config::{ProcessingGuarantee, StreamsConfig};
///
/// let config = StreamsConfig::new("word-count", "localhost:9092")
///     .processing_guarantee(ProcessingGuarantee::ExactlyOnceV2)
///     .num_stream_threads(2)
///     .state_dir("/var/lib/word-count")
///     .property("main.consumer.session.timeout.ms", "20000");
/// let settings = config.validate()?;
/// assert_eq!(settings.commit_interval, Duration::from_millis(100));
/// # Ok::<(), kafka_streams_runtime::config::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct StreamsConfig {
    properties: PropertyMap,
    deserialization: Option<Arc<dyn DeserializationExceptionHandler>>,
    processing: Option<Arc<dyn ProcessingExceptionHandler>>,
    production: Option<Arc<dyn ProductionExceptionHandler>>,
}

impl StreamsConfig {
    /// The configuration of the application `application_id` on the cluster that has the brokers `bootstrap_servers`
    /// (`host:port`, several separated by commas).
    pub fn new(application_id: impl Into<String>, bootstrap_servers: impl Into<String>) -> Self {
        Self::of(PropertyMap::new())
            .property("application.id", application_id)
            .property("bootstrap.servers", bootstrap_servers)
    }

    /// The configuration that the JVM's keys describe. When a key comes more than once the last one counts.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn from_properties(entries: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let config = Self::of(entries.into_iter().collect());
        config.validate()?;
        Ok(config)
    }

    /// The configuration in a file with the syntax of Java's `.properties` files, in UTF-8.
    ///
    /// # Errors
    /// [`ConfigError::File`] when it cannot be read, [`ConfigError::Syntax`] when it is no properties file, and
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn from_properties_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let entries = PropertyMap::read_file(path)?;
        Self::from_properties(entries)
    }

    /// What was set, by key, secrets in clear. [`StreamsConfig::from_properties`] makes the same configuration of it,
    /// but for handlers that were given in code.
    pub fn to_properties(&self) -> PropertyMap {
        self.properties.clone()
    }

    /// Checks everything and fills in the defaults.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn validate(&self) -> Result<StreamsSettings, ConfigError> {
        let mut settings = validate::validate(&self.properties)?;
        if let Some(handler) = &self.deserialization {
            settings.handlers.deserialization = handler.clone();
        }
        if let Some(handler) = &self.processing {
            settings.handlers.processing = handler.clone();
        }
        if let Some(handler) = &self.production {
            settings.handlers.production = handler.clone();
        }
        Ok(settings)
    }

    /// Sets any key, with or without a prefix (`consumer.`, `main.consumer.`, `restore.consumer.`, `global.consumer.`,
    /// `producer.`, `admin.`, `topic.`, `client.tag.`).
    #[must_use]
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key, value);
        self
    }

    /// Sets several keys.
    #[must_use]
    pub fn properties(mut self, entries: impl IntoIterator<Item = (String, String)>) -> Self {
        self.properties.extend(entries);
        self
    }

    /// `application.server`: `host:port` of this instance, for routing queries.
    #[must_use]
    pub fn application_server(self, address: impl Into<String>) -> Self {
        self.property("application.server", address)
    }

    /// `buffered.records.per.partition`, from 1; 1000 by default.
    #[must_use]
    pub fn buffered_records_per_partition(self, records: u32) -> Self {
        self.set("buffered.records.per.partition", records)
    }

    /// `client.id`; `<application.id>-<process id>` by default.
    #[must_use]
    pub fn client_id(self, id: impl Into<String>) -> Self {
        self.property("client.id", id)
    }

    /// `client.tag.<tag>`; at most five tags, of up to 20 characters, with values of up to 30.
    #[must_use]
    pub fn client_tag(self, tag: impl Display, value: impl Into<String>) -> Self {
        self.property(format!("{CLIENT_TAG_PREFIX}{tag}"), value)
    }

    /// `commit.interval.ms`; 30 seconds by default, 100 milliseconds under exactly-once.
    #[must_use]
    pub fn commit_interval(self, interval: Duration) -> Self {
        self.set("commit.interval.ms", millis(interval))
    }

    /// `connections.max.idle.ms`; 9 minutes by default.
    #[must_use]
    pub fn connections_max_idle(self, idle: Duration) -> Self {
        self.set("connections.max.idle.ms", millis(idle))
    }

    /// `default.timestamp.extractor`; the record's own timestamp by default, which must not be negative.
    #[must_use]
    pub fn default_timestamp_extractor(self, extractor: TimestampExtractor) -> Self {
        self.property("default.timestamp.extractor", TIMESTAMP_EXTRACTORS.name(extractor))
    }

    /// `deserialization.exception.handler`: decides what happens to a record that cannot be decoded; fail by default. Wins over the
    /// key, and is not among the properties.
    #[must_use]
    pub fn deserialization_exception_handler(
        mut self,
        handler: impl DeserializationExceptionHandler + 'static,
    ) -> Self {
        self.deserialization = Some(Arc::new(handler));
        self
    }

    /// `max.task.idle.ms`; [`MaxTaskIdle::UntilFetched`] by default.
    #[must_use]
    pub fn max_task_idle(self, idle: impl Into<MaxTaskIdle>) -> Self {
        let number = match idle.into() {
            MaxTaskIdle::Disabled => -1,
            MaxTaskIdle::UntilFetched => 0,
            MaxTaskIdle::Wait(wait) => millis(wait),
        };
        self.set("max.task.idle.ms", number)
    }

    /// `memory.budget.bytes` (ours): the memory of all stores of the process together, that is RocksDB's block cache and
    /// write buffers and the rows kept in memory. 128 MiB by default, 8 MiB at least.
    #[must_use]
    pub fn memory_budget(self, bytes: u64) -> Self {
        self.set(MEMORY_BUDGET_BYTES, bytes)
    }

    /// `metadata.max.age.ms`; 5 minutes by default.
    #[must_use]
    pub fn metadata_max_age(self, age: Duration) -> Self {
        self.set("metadata.max.age.ms", millis(age))
    }

    /// `num.stream.threads`, from 1; 1 by default.
    #[must_use]
    pub fn num_stream_threads(self, threads: u32) -> Self {
        self.set("num.stream.threads", threads)
    }

    /// `poll.ms`; 100 milliseconds by default. Warned about, as it has no effect: a thread is woken by whatever arrives.
    #[must_use]
    pub fn poll(self, wait: Duration) -> Self {
        self.set("poll.ms", millis(wait))
    }

    /// `processing.exception.handler`: decides what happens to a record that fails in processing; fail by default. Wins over the
    /// key, and is not among the properties.
    #[must_use]
    pub fn processing_exception_handler(mut self, handler: impl ProcessingExceptionHandler + 'static) -> Self {
        self.processing = Some(Arc::new(handler));
        self
    }

    /// `processing.guarantee`; at-least-once by default.
    #[must_use]
    pub fn processing_guarantee(self, guarantee: ProcessingGuarantee) -> Self {
        self.property("processing.guarantee", guarantee.name())
    }

    /// `production.exception.handler`: decides what happens to a record that cannot be written; fail by default. Wins over the
    /// key, and is not among the properties.
    #[must_use]
    pub fn production_exception_handler(mut self, handler: impl ProductionExceptionHandler + 'static) -> Self {
        self.production = Some(Arc::new(handler));
        self
    }

    /// `receive.buffer.bytes`; the system's by default.
    #[must_use]
    pub fn receive_buffer_bytes(self, bytes: u32) -> Self {
        self.set("receive.buffer.bytes", bytes)
    }

    /// `reconnect.backoff.ms`; 50 milliseconds by default.
    #[must_use]
    pub fn reconnect_backoff(self, wait: Duration) -> Self {
        self.set("reconnect.backoff.ms", millis(wait))
    }

    /// `reconnect.backoff.max.ms`; one second by default.
    #[must_use]
    pub fn reconnect_backoff_max(self, wait: Duration) -> Self {
        self.set("reconnect.backoff.max.ms", millis(wait))
    }

    /// `repartition.purge.interval.ms`; 30 seconds by default.
    #[must_use]
    pub fn repartition_purge_interval(self, interval: Duration) -> Self {
        self.set("repartition.purge.interval.ms", millis(interval))
    }

    /// `dsl.store.format`: what the stores of the DSL's operators keep; [`DslStoreFormat::Default`] by default.
    #[must_use]
    pub fn dsl_store_format(self, format: DslStoreFormat) -> Self {
        let format = match format {
            DslStoreFormat::Default => "DEFAULT",
            DslStoreFormat::Headers => "HEADERS",
        };
        self.set("dsl.store.format", format)
    }

    /// `ensure.explicit.internal.resource.naming`: whether a topology with a store or a repartition topic that was not
    /// named is refused; false by default.
    #[must_use]
    pub fn explicit_names(self, required: bool) -> Self {
        self.set("ensure.explicit.internal.resource.naming", required)
    }

    /// `replication.factor` of internal topics, from 1; the broker's by default, which is -1.
    #[must_use]
    pub fn replication_factor(self, factor: i16) -> Self {
        self.set("replication.factor", factor)
    }

    /// `request.timeout.ms`; 30 seconds by default.
    #[must_use]
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.set("request.timeout.ms", millis(timeout))
    }

    /// `retry.backoff.ms`; 100 milliseconds by default.
    #[must_use]
    pub fn retry_backoff(self, wait: Duration) -> Self {
        self.set("retry.backoff.ms", millis(wait))
    }

    /// `sasl.mechanism` and `sasl.jaas.config`: how to log in. Takes effect with the SASL protocols; see
    /// [`StreamsConfig::security_protocol`].
    #[must_use]
    pub fn sasl(self, mechanism: SaslMechanism, username: &str, password: impl Into<Secret>) -> Self {
        let entry = jaas::write(mechanism.login_module(), username, &password.into());
        self.property("sasl.mechanism", mechanism.name()).property("sasl.jaas.config", entry)
    }

    /// `security.protocol`; plaintext by default.
    #[must_use]
    pub fn security_protocol(self, protocol: SecurityProtocol) -> Self {
        self.property("security.protocol", protocol.name())
    }

    /// `send.buffer.bytes`; the system's by default.
    #[must_use]
    pub fn send_buffer_bytes(self, bytes: u32) -> Self {
        self.set("send.buffer.bytes", bytes)
    }

    /// `ssl.keystore.location` and its type: a PEM file with the client's private key and certificates, and the key's
    /// password when it is encrypted.
    #[must_use]
    pub fn ssl_keystore_pem(self, file: impl AsRef<Path>, key_password: Option<Secret>) -> Self {
        let this = self.property("ssl.keystore.type", "PEM").path("ssl.keystore.location", file.as_ref());
        match key_password {
            Some(password) => this.property("ssl.key.password", password.expose()),
            None => this,
        }
    }

    /// `ssl.truststore.location` and its type: a PEM file with the certificates that brokers are trusted by; the
    /// system's root certificates by default.
    #[must_use]
    pub fn ssl_truststore_pem(self, file: impl AsRef<Path>) -> Self {
        self.property("ssl.truststore.type", "PEM").path("ssl.truststore.location", file.as_ref())
    }

    /// `state.cleanup.delay.ms`; 10 minutes by default.
    #[must_use]
    pub fn state_cleanup_delay(self, delay: Duration) -> Self {
        self.set("state.cleanup.delay.ms", millis(delay))
    }

    /// `state.dir`; `kafka-streams` in the system's temporary directory by default, which is not for production.
    #[must_use]
    pub fn state_dir(self, directory: impl AsRef<Path>) -> Self {
        self.path("state.dir", directory.as_ref())
    }

    /// `statestore.cache.max.bytes` of all threads together; 10 MiB by default, 0 turns caching off.
    #[must_use]
    pub fn statestore_cache_max_bytes(self, bytes: u64) -> Self {
        self.set("statestore.cache.max.bytes", bytes)
    }

    /// `task.timeout.ms`; 5 minutes by default.
    #[must_use]
    pub fn task_timeout(self, timeout: Duration) -> Self {
        self.set("task.timeout.ms", millis(timeout))
    }

    /// `errors.dead.letter.queue.topic.name`: where the built-in handlers send records that they stop at or skip; nowhere by
    /// default. The topic must exist.
    #[must_use]
    pub fn errors_dead_letter_queue_topic_name(self, topic: impl Into<String>) -> Self {
        self.property("errors.dead.letter.queue.topic.name", topic)
    }

    /// `processing.exception.handler.global.enabled`: whether the processing handler is asked about global stores, too;
    /// not by default.
    #[must_use]
    pub fn processing_exception_handler_global_enabled(self, enabled: bool) -> Self {
        self.set("processing.exception.handler.global.enabled", enabled)
    }

    /// `topology.optimization`; none by default.
    #[must_use]
    pub fn topology_optimization(self, optimization: TopologyOptimization) -> Self {
        self.property("topology.optimization", optimization.name())
    }

    /// `windowstore.changelog.additional.retention.ms`; one day by default.
    #[must_use]
    pub fn windowstore_changelog_additional_retention(self, retention: Duration) -> Self {
        self.set("windowstore.changelog.additional.retention.ms", millis(retention))
    }

    fn of(properties: PropertyMap) -> Self {
        Self { properties, deserialization: None, processing: None, production: None }
    }

    fn set(self, key: &str, value: impl Display) -> Self {
        self.property(key, value.to_string())
    }

    fn path(self, key: &str, path: &Path) -> Self {
        self.property(key, path.to_string_lossy())
    }
}

impl fmt::Debug for StreamsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamsConfig").field("properties", &self.properties).finish_non_exhaustive()
    }
}

/// Whole milliseconds, rounded up, so that a short time does not become none.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}
