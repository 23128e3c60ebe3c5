//! librdkafka's properties: our defaults, those of the user, and those that cannot be changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kafka_streams_engine::port::Batching;

use super::raw::{Client, Config, PropertyError, Role};

/// Properties by librdkafka's names (its `CONFIGURATION.md`). Secrets are not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// None.
    pub fn new() -> Self {
        Properties::default()
    }

    /// Sets a property; the last value wins.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// A property's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(properties: I) -> Self {
        Properties(properties.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, value): (&'_ String, &'_ String)| {
            (key.clone(), if is_secret(key) { HIDDEN.to_owned() } else { value.clone() })
        };
        f.debug_map().entries(self.0.iter().map(shown)).finish()
    }
}

/// How to read.
///
/// A partition's share of the memory is `buffer_bytes` / 16, from 256 KiB to 8 MiB. It is per partition because each has
/// its own queue. A record costs some 400 bytes there beside its own, which librdkafka does not count: hence both limits.
///
/// Defaults that differ from librdkafka's, each of which `properties` may change:
///
/// | property | value | why |
/// |---|---|---|
/// | `queued.max.messages.kbytes` | half of the share | a partition whose queue has as much is not fetched |
/// | `queued.min.messages` | share / 512 bytes | the same for small records |
/// | `fetch.message.max.bytes` | share / 8, at least 64 KiB | what one answer adds to a queue that is nearly full |
/// | `fetch.max.bytes` | `buffer_bytes` / 4, from 1 MiB to 50 MiB | the whole answer stays in memory while one of its records does |
/// | `fetch.queue.backoff.ms` | 2 | pause of a partition whose queue is full; librdkafka's second would starve a fast worker |
/// | `fetch.wait.max.ms` | 100 | a partition that is assigned now waits for the fetch under way (500) |
/// | `fetch.error.backoff.ms` | 100 | as `retry.backoff.ms` of the JVM (500) |
/// | `check.crcs` | true | as the JVM's consumer |
/// | `enable.metrics.push` | false | KIP-714 telemetry delays the end of a client |
///
/// Fixed: `group.id`, `isolation.level`, `enable.auto.commit=false`, `enable.auto.offset.store=false`,
/// `enable.partition.eof=true`, `auto.offset.reset=error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSettings {
    /// librdkafka's properties, `bootstrap.servers` among them.
    pub properties: Properties,
    /// `application.id`. Nothing is committed under it here; librdkafka wants one, and brokers check the right to it.
    pub group_id: String,
    /// Whether records of open and aborted transactions are left out.
    pub read_committed: bool,
    /// Memory for fetched records, in bytes, if sixteen partitions wait for the worker. A partition may exceed its share
    /// by one batch as the topic's producer made it: brokers send batches whole.
    pub buffer_bytes: usize,
}

impl FetchSettings {
    /// With [`DEFAULT_BUFFER_BYTES`].
    pub fn new(properties: Properties, group_id: impl Into<String>, read_committed: bool) -> Self {
        FetchSettings { properties, group_id: group_id.into(), read_committed, buffer_bytes: DEFAULT_BUFFER_BYTES }
    }

    pub(super) fn connect(&self) -> Result<Arc<Client>, SetupError> {
        let partition_bytes = (self.buffer_bytes / 16).clamp(256 * KIB, 8 * MIB);
        let defaults = [
            ("queued.max.messages.kbytes", (partition_bytes / 2 / KIB).to_string()),
            ("queued.min.messages", (partition_bytes / 512).to_string()),
            ("fetch.message.max.bytes", (partition_bytes / 8).clamp(64 * KIB, MIB).to_string()),
            ("fetch.max.bytes", (self.buffer_bytes / 4).clamp(MIB, 50 * MIB).to_string()),
            ("fetch.queue.backoff.ms", "2".to_owned()),
            ("fetch.wait.max.ms", "100".to_owned()),
            ("fetch.error.backoff.ms", "100".to_owned()),
            ("check.crcs", "true".to_owned()),
            ("enable.metrics.push", "false".to_owned()),
        ];
        let isolation = if self.read_committed { "read_committed" } else { "read_uncommitted" };
        let fixed = [
            ("group.id", self.group_id.as_str()),
            ("isolation.level", isolation),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
        ];
        connect(Role::Consumer, &defaults, &self.properties, &fixed)
    }
}

/// How to write.
///
/// Defaults that differ from librdkafka's, each of which `properties` may change:
///
/// | property | value | why |
/// |---|---|---|
/// | `queue.buffering.max.kbytes` | `buffer_bytes` | the JVM's `buffer.memory` |
/// | `queue.buffering.max.messages` | that / 512 bytes, from 1000 to 1 million | a record costs some 250 bytes more in the queue |
/// | `message.max.bytes` | 1048576 | the JVM's `max.request.size` |
/// | `enable.idempotence` | true | as the JVM's producer: order is kept when a request is repeated |
/// | `partitioner` | murmur2_random | a key goes where the JVM's producer would put it |
/// | `retry.backoff.ms` | 10 | back-to-back transactions wait for the one before: 7 ms in place of 106 for a commit |
/// | `message.timeout.ms` | 120000 | the JVM's `delivery.timeout.ms`; under transactions librdkafka's default, `transaction.timeout.ms` |
/// | `enable.metrics.push` | false | KIP-714 telemetry delays the end of a client |
///
/// Fixed: `transactional.id`, `delivery.report.only.error=false`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceSettings {
    /// librdkafka's properties, `bootstrap.servers` among them.
    pub properties: Properties,
    /// The producer's identity under exactly-once; `None` writes without transactions.
    pub transactional_id: Option<String>,
    /// Memory for records that wait for the broker, in bytes.
    pub buffer_bytes: usize,
    /// Whether records may share a batch; [`Batching::OneByOne`] fixes `batch.num.messages=1`.
    pub batching: Batching,
}

impl ProduceSettings {
    /// With [`DEFAULT_BUFFER_BYTES`].
    pub fn new(properties: Properties, transactional_id: Option<String>) -> Self {
        let batching = Batching::AsConfigured;
        ProduceSettings { properties, transactional_id, buffer_bytes: DEFAULT_BUFFER_BYTES, batching }
    }

    /// Whether a batch never holds more than one record.
    pub(super) fn sends_one_by_one(&self) -> bool {
        self.batching == Batching::OneByOne || self.properties.get(SHARED_BATCH) == Some("1")
    }

    pub(super) fn connect(&self) -> Result<Arc<Client>, SetupError> {
        let mut defaults = vec![
            ("queue.buffering.max.kbytes", (self.buffer_bytes / KIB).clamp(1, 2_097_151).to_string()),
            ("queue.buffering.max.messages", (self.buffer_bytes / 512).clamp(1_000, 1_000_000).to_string()),
            ("message.max.bytes", MIB.to_string()),
            ("enable.idempotence", "true".to_owned()),
            ("partitioner", "murmur2_random".to_owned()),
            ("retry.backoff.ms", "10".to_owned()),
            ("enable.metrics.push", "false".to_owned()),
        ];
        let mut fixed = vec![("delivery.report.only.error", "false")];
        if self.batching == Batching::OneByOne {
            fixed.push((SHARED_BATCH, "1"));
        }
        match &self.transactional_id {
            Some(id) => fixed.push(("transactional.id", id)),
            None => defaults.push(("message.timeout.ms", "120000".to_owned())),
        }
        connect(Role::Producer, &defaults, &self.properties, &fixed)
    }
}

/// Memory of one stream thread for fetched records, and as much again for those to be written: 16 MiB.
pub const DEFAULT_BUFFER_BYTES: usize = 16 * MIB;

/// How many records a batch holds.
const SHARED_BATCH: &str = "batch.num.messages";

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// In place of a secret.
const HIDDEN: &str = "[hidden]";

/// A client that cannot be made. All but `Client` are mistakes in the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// librdkafka has no property of this name.
    #[error("`{key}` is no property of the {client}: see librdkafka's CONFIGURATION.md for the names")]
    UnknownProperty {
        /// `consumer` or `producer`.
        client: &'static str,
        /// The name.
        key: String,
    },
    /// librdkafka does not take the value. A secret's value is not told.
    #[error("the {client} does not take the value of `{key}`: {reason}")]
    InvalidProperty {
        /// `consumer` or `producer`.
        client: &'static str,
        /// The name.
        key: String,
        /// librdkafka's words, and the value.
        reason: String,
    },
    /// The properties contradict each other, a file cannot be read, or the process is out of resources.
    #[error("the {client} cannot be made: {reason}")]
    Client {
        /// `consumer` or `producer`.
        client: &'static str,
        /// librdkafka's words.
        reason: String,
    },
}

/// Makes a client. The order decides: the user's properties outrank the defaults, the fixed ones all others.
fn connect(
    role: Role,
    defaults: &[(&str, String)],
    properties: &Properties,
    fixed: &[(&str, &str)],
) -> Result<Arc<Client>, SetupError> {
    let client = match role {
        Role::Consumer => "consumer",
        Role::Producer => "producer",
    };
    let failed = |reason: &str| SetupError::Client { client, reason: reason.to_owned() };
    let mut config = Config::new().ok_or_else(|| failed("out of memory"))?;
    for (key, value) in &properties.0 {
        if let Some((_, ours)) = fixed.iter().find(|(fixed, ours)| fixed == key && ours != value) {
            tracing::warn!("the {client}'s property {key}={value} is ignored: it is always {ours}");
        }
    }
    let defaults = defaults.iter().map(|(key, value)| (*key, value.as_str()));
    let properties = properties.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    for (key, value) in defaults.chain(properties).chain(fixed.iter().copied()) {
        config.set(key, value).map_err(|error| refused(client, key, value, error))?;
    }
    Client::new(role, config).map_err(|reason| failed(&reason))
}

fn refused(client: &'static str, key: &str, value: &str, error: PropertyError) -> SetupError {
    let key = key.to_owned();
    match error {
        PropertyError::Unknown => SetupError::UnknownProperty { client, key },
        PropertyError::Invalid(_) if is_secret(&key) => {
            SetupError::InvalidProperty { client, key, reason: "the value is secret and not shown here".to_owned() }
        }
        PropertyError::Invalid(reason) => {
            SetupError::InvalidProperty { client, key, reason: format!("{reason}, got {value:?}") }
        }
    }
}

/// Whether a property's value must not be shown. Rather one too many than one too few.
fn is_secret(key: &str) -> bool {
    ["password", "secret", "pem", "jaas", "oauthbearer", "token", "private", "passphrase"]
        .iter()
        .any(|part| key.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(properties: &[(&str, &str)]) -> Result<(), SetupError> {
        FetchSettings::new(properties.iter().copied().collect(), "app", true).connect().map(drop)
    }

    #[test]
    fn an_unknown_property_is_named() {
        let error = fetch(&[("fetch.max.wait.ms", "10")]).unwrap_err();
        assert_eq!(error, SetupError::UnknownProperty { client: "consumer", key: "fetch.max.wait.ms".to_owned() });
        assert!(error.to_string().contains("`fetch.max.wait.ms`"), "{error}");
    }

    #[test]
    fn a_value_that_is_refused_is_told_unless_it_is_secret() {
        let error = fetch(&[("socket.timeout.ms", "soon")]).unwrap_err().to_string();
        assert!(error.contains("`socket.timeout.ms`") && error.contains("soon"), "{error}");
        let error = fetch(&[("sasl.password", "hun\0ter2")]).unwrap_err().to_string();
        assert!(error.contains("`sasl.password`") && !error.contains("hun"), "{error}");
    }

    #[test]
    fn properties_that_contradict_each_other_make_no_client() {
        let properties = [("message.timeout.ms", "60000"), ("transaction.timeout.ms", "10000")];
        let settings = ProduceSettings::new(properties.into_iter().collect(), Some("id".to_owned()));
        let error = settings.connect().map(drop).unwrap_err();
        assert!(matches!(error, SetupError::Client { client: "producer", .. }), "{error}");
        assert!(error.to_string().contains("message.timeout.ms"), "{error}");
    }

    #[test]
    fn the_users_property_outranks_a_default_but_not_a_fixed_one() {
        // A value that librdkafka refuses shows that it was set at all.
        assert!(fetch(&[("fetch.queue.backoff.ms", "-1")]).is_err());
        // `latest` is a value that librdkafka takes; ours comes after it.
        assert_eq!(fetch(&[("auto.offset.reset", "latest"), ("enable.auto.commit", "true")]), Ok(()));
    }

    #[test]
    fn every_budget_makes_a_client() {
        for buffer_bytes in [0, 1, 1_000_000, DEFAULT_BUFFER_BYTES, 1 << 40] {
            let fetch = FetchSettings { buffer_bytes, ..FetchSettings::new(Properties::new(), "app", false) };
            assert_eq!(fetch.connect().map(drop), Ok(()), "{buffer_bytes}");
            let produce = ProduceSettings { buffer_bytes, ..ProduceSettings::new(Properties::new(), None) };
            assert_eq!(produce.connect().map(drop), Ok(()), "{buffer_bytes}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let secrets = [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
        ];
        let mut properties: Properties = secrets.iter().map(|key| (*key, "hunter2")).collect();
        properties.set("client.id", "shown");
        let text = format!("{:?}", FetchSettings::new(properties, "app", true));
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("shown") && text.contains("sasl.password"), "{text}");
    }
}
