//! Checks all settings against the tables and against one another, and makes the typed settings of them.
//!
//! It runs to the end whatever it finds, so that all problems are reported together: first each key by itself, then
//! the settings that depend on one another, then the values, where what is wrong counts as not set.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::DslStoreFormat;
use kafka_streams_core::handler::{Handlers, LogAndContinue, LogAndFail};

use super::broker_address::BrokerAddress;
use super::client_key::{self, ClientKeySpec, Clients as Kinds, Treatment};
use super::client_properties::{ClientProperties, ClientRole};
use super::error::{ConfigError, Problem};
use super::key::{self, CLIENT_TAG_PREFIX, KeyDefault, KeySpec, MEMORY_BUDGET_BYTES, Status, TOPIC_KEYS, TOPIC_PREFIX};
use super::librdkafka::{self, Common, LINGER_MS, REQUEST_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS};
use super::property_map::PropertyMap;
use super::report::Report;
use super::security::Security;
use super::setting::{
    AutoOffsetReset, BuiltInClasses, BuiltInHandler, DESERIALIZATION_HANDLERS, MaxTaskIdle, PROCESSING_HANDLERS,
    PRODUCTION_HANDLERS, ProcessingGuarantee, TIMESTAMP_EXTRACTORS, TopologyOptimization,
};
use super::settings::{Clients, ConnectionSettings, GroupSettings, StreamsSettings};
use super::suggest;
use super::value::{self, Value, ValueType};

/// Deprecated names, the name that wins over each, and nothing else.
const DEPRECATED: [(&str, &str); 3] = [
    ("cache.max.bytes.buffering", "statestore.cache.max.bytes"),
    ("default.deserialization.exception.handler", "deserialization.exception.handler"),
    ("default.production.exception.handler", "production.exception.handler"),
];

/// Limits of client tags, from the JVM's `StreamsConfig`.
const MOST_TAGS: usize = 5;
const LONGEST_TAG: usize = 20;
const LONGEST_TAG_VALUE: usize = 30;

/// The longest name of a topic. An application id goes into the names of its internal topics.
const LONGEST_TOPIC: usize = 249;

/// Commit intervals when `commit.interval.ms` is not set.
const COMMIT_INTERVAL_MS: i64 = 30_000;
const EXACTLY_ONCE_COMMIT_INTERVAL_MS: i64 = 100;

/// Makes typed settings of `properties`, or reports everything that is wrong with them.
pub(crate) fn validate(properties: &PropertyMap) -> Result<StreamsSettings, ConfigError> {
    let mut check = Check { properties, report: Report::default() };
    for (key, value) in properties.iter() {
        check.key(key, value);
    }
    check.required();
    check.deprecated();
    check.tags();
    let settings = check.settings();
    let warnings = check.report.finish()?;
    Ok(StreamsSettings { warnings, ..settings })
}

struct Check<'a> {
    properties: &'a PropertyMap,
    report: Report,
}

/// Each key by itself.
impl Check<'_> {
    fn key(&mut self, key: &str, value: &str) {
        if value.contains('\0') {
            self.report.bad_value(key, "", "a text without NUL characters");
        } else if let Some(spec) = key::find(key) {
            self.streams_key(spec, value);
        } else if let Some(topic_key) = key.strip_prefix(TOPIC_PREFIX) {
            if !TOPIC_KEYS.contains(&topic_key) {
                self.unknown(key);
            }
        } else if let Some(tag) = key.strip_prefix(CLIENT_TAG_PREFIX) {
            self.tag(key, tag, value);
        } else if let Some((prefix, name)) = client_key::split(key) {
            self.prefixed_key(key, name, prefix.clients, value);
        } else if let Some(spec) = client_key::find(key) {
            self.client_key(key, spec, value);
        } else {
            self.unknown(key);
        }
    }

    fn unknown(&mut self, key: &str) {
        // A key of this length was never typed; nothing of it is repeated in full.
        let shown: String = key.chars().take(200).collect();
        self.report.problem(Problem::UnknownKey { key: shown, hint: suggest::hint(key) });
    }

    fn streams_key(&mut self, spec: &KeySpec, value: &str) {
        let key = spec.name;
        if key == "processing.guarantee" && matches!(value.trim(), "exactly_once" | "exactly_once_beta") {
            self.report.refused(key, value, "Kafka Streams 4.0 removed it; set exactly_once_v2");
            return;
        }
        if key == "topology.optimization" && TopologyOptimization::parse(value).is_none() {
            self.report.bad_value(key, value, "none, all, or a list of the optimisations that the table names");
            return;
        }
        // The JVM has no value for "not set" in a file; an empty one is as good.
        let is_default = match spec.default {
            KeyDefault::Null => value.trim().is_empty(),
            KeyDefault::Is(default) => value::same(spec.value_type, spec.range, default, value),
            KeyDefault::Required => false,
        };
        if is_default || is_name_of_default(key, value) {
            return;
        }
        if let Err(expected) = value::parse(spec.value_type, spec.range, value) {
            self.report.bad_value(key, value, &expected);
            return;
        }
        match spec.status {
            Status::Honoured => self.honoured(key, value.trim()),
            Status::Warned(reason) => self.report.warn(key, format!("no effect: {reason}")),
            Status::Refused(reason) => self.report.refused(key, value, reason),
        }
    }

    /// What the tables cannot say about values that are honoured.
    fn honoured(&mut self, key: &str, value: &str) {
        match key {
            "application.id" => {
                let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                if !value.chars().all(legal) || value == "." || value == ".." || value.len() > LONGEST_TOPIC {
                    let expected = "letters, digits, '.', '_' and '-', at most 249, as it begins the names of topics";
                    self.report.bad_value(key, value, expected);
                }
            }
            "application.server" if BrokerAddress::parse(value).is_none() => {
                self.report.bad_value(key, value, "host:port");
            }
            "bootstrap.servers" => {
                let mut seen = Vec::new();
                for part in value.split(',') {
                    match BrokerAddress::parse(part) {
                        None => {
                            self.report.bad_value(key, value, "host:port, or several separated by commas");
                        }
                        Some(address) if seen.contains(&address) => {
                            self.report.bad_value(key, value, &format!("each broker once, but {address} comes again"));
                        }
                        Some(address) => seen.push(address),
                    }
                }
            }
            "replication.factor" if value::same(ValueType::Int, value::Range::Any, value, "0") => {
                self.report.bad_value(key, value, "a whole number from 1, or -1 for the broker's default");
            }
            "default.timestamp.extractor" => self.class(key, value, &TIMESTAMP_EXTRACTORS),
            "default.deserialization.exception.handler" | "deserialization.exception.handler" => {
                self.class(key, value, &DESERIALIZATION_HANDLERS);
            }
            "processing.exception.handler" => self.class(key, value, &PROCESSING_HANDLERS),
            "default.production.exception.handler" | "production.exception.handler" => {
                self.class(key, value, &PRODUCTION_HANDLERS);
            }
            // The rules of security.protocol and of the clients' keys are checked where the clients are made.
            _ => {}
        }
    }

    fn class<T: Copy + PartialEq>(&mut self, key: &str, value: &str, classes: &BuiltInClasses<T>) {
        if classes.find(value).is_none() {
            let reason = format!("a Java class of your own cannot run here; choose one of {}", classes.names());
            self.report.refused(key, value, &reason);
        }
    }

    fn tag(&mut self, key: &str, tag: &str, value: &str) {
        if tag.trim().is_empty() {
            self.unknown(key);
        } else if tag.chars().count() > LONGEST_TAG {
            self.report.bad_value(key, value, &format!("a tag of at most {LONGEST_TAG} characters"));
        } else if value.trim().is_empty() || value.chars().count() > LONGEST_TAG_VALUE {
            self.report.bad_value(key, value, &format!("a value of 1 to {LONGEST_TAG_VALUE} characters"));
        }
    }

    fn prefixed_key(&mut self, key: &str, name: &str, clients: Kinds, value: &str) {
        if let Some(spec) = client_key::find(name).filter(|spec| spec.clients.meets(clients)) {
            self.client_key(key, spec, value);
        } else if let Some(spec) = librdkafka::find_native(name).filter(|spec| spec.clients.meets(clients)) {
            if let Err(expected) = value::parse(spec.value_type, spec.range, value) {
                self.report.bad_value(key, value, &expected);
            }
        } else {
            self.unknown(key);
        }
    }

    fn client_key(&mut self, key: &str, spec: &ClientKeySpec, value: &str) {
        let is_default = spec.defaults.iter().any(|default| value::same(spec.value_type, spec.range, default, value));
        let is_unset = spec.defaults.is_empty() && value.trim().is_empty();
        if let Treatment::Fixed(to) = spec.treatment {
            if is_unset || value::same(spec.value_type, spec.range, value, to) {
                return;
            }
            let is_application_id = self.properties.get("application.id").is_some_and(|id| id.trim() == value.trim());
            if spec.name == "group.id" && is_application_id || spec.name == "client.id" && value.trim().is_empty() {
                return;
            }
            self.report.warn(key, format!("overridden: Kafka Streams sets {} to {to}", spec.name));
            return;
        }
        if is_unset && !matches!(spec.treatment, Treatment::Security) {
            return;
        }
        if spec.name == "auto.offset.reset" {
            if reset(value.trim()).is_none() {
                self.report.bad_value(key, value, "earliest, latest, none or by_duration:PnDTnHnMn.nS");
            }
            return;
        }
        if let Err(expected) = value::parse(spec.value_type, spec.range, value) {
            self.report.bad_value(key, value, &expected);
            return;
        }
        if is_default {
            return;
        }
        match spec.treatment {
            Treatment::Warned(reason) => self.report.warn(key, format!("no effect: {reason}")),
            Treatment::Refused(reason) => {
                let bootstrap = self.properties.get("bootstrap.servers");
                let same_cluster = spec.name == "bootstrap.servers"
                    && bootstrap.is_some_and(|bootstrap| value::same(spec.value_type, spec.range, bootstrap, value));
                if !same_cluster {
                    self.report.refused(key, value, reason);
                }
            }
            _ => {}
        }
    }
}

/// Names that choose what is the default without a name.
fn is_name_of_default(key: &str, value: &str) -> bool {
    const ASSIGNOR: &str = "org.apache.kafka.streams.processor.internals.assignment.HighAvailabilityTaskAssignor";
    key == "task.assignor.class" && value.trim() == ASSIGNOR
}

fn reset(text: &str) -> Option<AutoOffsetReset> {
    AutoOffsetReset::parse(text)
}

/// Settings that depend on one another.
impl Check<'_> {
    fn required(&mut self) {
        for (key, why) in [
            ("application.id", "every application has one, and keeps it"),
            ("bootstrap.servers", "the brokers are found through it"),
        ] {
            if self.properties.get(key).is_none() {
                self.report.missing(key, why);
            }
        }
    }

    fn deprecated(&mut self) {
        for (old, new) in DEPRECATED {
            let (Some(old_value), new_value) = (self.properties.get(old), self.properties.get(new)) else { continue };
            let message = match new_value {
                Some(new_value) if new_value.trim() != old_value.trim() => {
                    format!("no effect, as `{new}`, its new name, is set too")
                }
                _ => format!("deprecated; set `{new}`"),
            };
            self.report.warn(old, message);
        }
    }

    fn tags(&mut self) {
        let tags: Vec<&str> =
            self.properties.iter().map(|(key, _)| key).filter(|key| key.starts_with(CLIENT_TAG_PREFIX)).collect();
        if tags.len() > MOST_TAGS {
            self.report.contradiction(&tags, format!("a client has at most {MOST_TAGS} tags"));
        }
    }

    fn group_rules(&mut self, main: &ClientProperties, group: &GroupSettings) {
        const SESSION: &str = "session.timeout.ms";
        let (heartbeat, session) = (group.heartbeat_interval, group.session_timeout);
        if heartbeat >= session {
            let why = format!("heartbeats every {heartbeat:?} cannot keep a session of {session:?} alive");
            self.report.contradiction(&[main.key_of("heartbeat.interval.ms"), main.key_of(SESSION)], why);
        }
        let poll = group.max_poll_interval;
        if poll < session {
            let why = format!(
                "a thread that may be busy for {poll:?} at most makes a session of {session:?} pointless; raise the first or lower the second"
            );
            self.report.contradiction(&[main.key_of("max.poll.interval.ms"), main.key_of(SESSION)], why);
        }
    }

    fn consumer_rules(&mut self, guarantee: ProcessingGuarantee, client: &ClientProperties) {
        if guarantee != ProcessingGuarantee::ExactlyOnceV2 {
            return;
        }
        if client.boolean("enable.auto.commit") == Some(true) {
            let keys = ["processing.guarantee", client.key_of("enable.auto.commit")];
            self.report.contradiction(&keys, "offsets that commit themselves cannot be part of a transaction");
        }
    }

    fn producer_rules(&mut self, guarantee: ProcessingGuarantee, commit_interval_ms: i64, client: &ClientProperties) {
        let key = |name: &'static str| client.key_of(name).to_owned();
        let covered = librdkafka::covered_by_delivery_timeout_ms(client);
        if client.number("delivery.timeout.ms").is_some_and(|delivery| delivery < covered) {
            let why = format!("it must cover linger.ms and request.timeout.ms, which are {covered} ms together");
            self.report.contradiction(&[&key("delivery.timeout.ms")], why);
        }
        if guarantee == ProcessingGuarantee::ExactlyOnceV2 {
            let timeout = client.number("transaction.timeout.ms").unwrap_or(TRANSACTION_TIMEOUT_MS);
            if timeout < commit_interval_ms {
                let why = format!(
                    "a transaction of {commit_interval_ms} ms would be aborted by its timeout of {timeout} ms; lower the first or raise the second"
                );
                self.report.contradiction(&["commit.interval.ms", &key_or(client, "transaction.timeout.ms")], why);
            }
            if client.number("linger.ms").unwrap_or(LINGER_MS) >= timeout {
                let why = format!("records would be held back beyond the transaction's timeout of {timeout} ms");
                self.report.contradiction(&[&key("linger.ms"), &key_or(client, "transaction.timeout.ms")], why);
            }
            if client.boolean("enable.idempotence") == Some(false) {
                let message = "overridden: Kafka Streams sets enable.idempotence to true under exactly_once_v2";
                self.report.warn(&key("enable.idempotence"), message);
            }
            if let Some((name, why)) = librdkafka::breaks_idempotence(client) {
                let why = format!("exactly-once needs an idempotent producer, and {why}");
                self.report.contradiction(&["processing.guarantee", &key(name)], why);
            }
            return;
        }
        if client.boolean("enable.idempotence") == Some(true)
            && let Some((name, why)) = librdkafka::breaks_idempotence(client)
        {
            self.report.contradiction(&[&key("enable.idempotence"), &key(name)], why);
        }
    }

    fn segment_rule(&mut self, producer: &ClientProperties) {
        const SEGMENT: &str = "topic.segment.bytes";
        let segment = self.properties.get(SEGMENT).and_then(|text| text.trim().parse::<i64>().ok());
        if let (Some(segment), Some(batch)) = (segment, producer.number("batch.size"))
            && segment < batch
        {
            let why = format!("a batch of {batch} bytes does not fit into a segment of {segment} bytes");
            self.report.contradiction(&[SEGMENT, producer.key_of("batch.size")], why);
        }
    }

    fn backoff_rules(&mut self, client: &ClientProperties) {
        for (first, longest) in
            [("reconnect.backoff.ms", "reconnect.backoff.max.ms"), ("retry.backoff.ms", "retry.backoff.max.ms")]
        {
            if let (Some(least), Some(most)) = (client.number(first), client.number(longest))
                && least > most
            {
                let keys = [client.key_of(first), client.key_of(longest)];
                self.report
                    .contradiction(&keys, format!("the first wait, {least} ms, is above the longest, {most} ms"));
            }
        }
    }
}

fn key_or(client: &ClientProperties, name: &'static str) -> String {
    let key = client.key_of(name);
    // A default contradicts as well; then the key is named as it would have to be set.
    if key == name { format!("producer.{name}") } else { key.to_owned() }
}

/// The values.
impl Check<'_> {
    fn settings(&mut self) -> StreamsSettings {
        let guarantee = self.text("processing.guarantee").and_then(ProcessingGuarantee::parse).unwrap_or_default();
        let commit_interval_ms = self.number("commit.interval.ms").unwrap_or(match guarantee {
            ProcessingGuarantee::AtLeastOnce => COMMIT_INTERVAL_MS,
            ProcessingGuarantee::ExactlyOnceV2 => EXACTLY_ONCE_COMMIT_INTERVAL_MS,
        });
        let application_id = self.text("application.id").unwrap_or_default().to_owned();
        let bootstrap_servers: Vec<BrokerAddress> =
            self.text("bootstrap.servers").unwrap_or_default().split(',').filter_map(BrokerAddress::parse).collect();
        let (clients, group) = self.clients(&application_id, &bootstrap_servers, guarantee, commit_interval_ms);
        let under = |prefix: &'static str| {
            let all = self.properties.iter();
            all.filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.trim().to_owned())))
        };
        StreamsSettings {
            application_id,
            application_server: self.text("application.server").and_then(BrokerAddress::parse),
            bootstrap_servers,
            buffered_records_per_partition: self.count("buffered.records.per.partition", 1000),
            client_id: self.text("client.id").filter(|id| !id.is_empty()).map(str::to_owned),
            client_tags: under(CLIENT_TAG_PREFIX).collect(),
            commit_interval: millis(commit_interval_ms),
            default_timestamp_extractor: self
                .choice("default.timestamp.extractor", "", &TIMESTAMP_EXTRACTORS)
                .unwrap_or_default(),
            dsl_store_format: match self.text("dsl.store.format") {
                Some(format) if format.trim().eq_ignore_ascii_case("HEADERS") => DslStoreFormat::Headers,
                _ => DslStoreFormat::Default,
            },
            explicit_names: self
                .text("ensure.explicit.internal.resource.naming")
                .is_some_and(|text| text.eq_ignore_ascii_case("true")),
            handlers: self.handlers(),
            processing_exception_handler_global_enabled: self
                .text("processing.exception.handler.global.enabled")
                .is_some_and(|text| text.trim().eq_ignore_ascii_case("true")),
            app_configs: Arc::new(self.properties.public_entries()),
            max_task_idle: match self.number("max.task.idle.ms").unwrap_or(0) {
                idle if idle < 0 => MaxTaskIdle::Disabled,
                idle => MaxTaskIdle::from(millis(idle)),
            },
            memory_budget_bytes: self.bytes(MEMORY_BUDGET_BYTES, "", 134_217_728),
            num_stream_threads: self.count("num.stream.threads", 1),
            poll: self.millis("poll.ms", 100),
            processing_guarantee: guarantee,
            repartition_purge_interval: self.millis("repartition.purge.interval.ms", 30_000),
            replication_factor: self
                .number("replication.factor")
                .and_then(|factor| i16::try_from(factor).ok())
                .filter(|factor| *factor > 0),
            state_cleanup_delay: self.millis("state.cleanup.delay.ms", 600_000),
            state_dir: self.text("state.dir").map_or_else(|| std::env::temp_dir().join("kafka-streams"), PathBuf::from),
            statestore_cache_max_bytes: self.bytes(
                "statestore.cache.max.bytes",
                "cache.max.bytes.buffering",
                10_485_760,
            ),
            task_timeout: self.millis("task.timeout.ms", 300_000),
            topic_overrides: under(TOPIC_PREFIX).collect(),
            topology_optimization: self
                .text("topology.optimization")
                .and_then(TopologyOptimization::parse)
                .unwrap_or_default(),
            windowstore_changelog_additional_retention: self
                .millis("windowstore.changelog.additional.retention.ms", 86_400_000),
            group,
            warnings: Vec::new(),
            clients,
        }
    }

    fn clients(
        &mut self,
        application_id: &str,
        bootstrap: &[BrokerAddress],
        guarantee: ProcessingGuarantee,
        commit_interval_ms: i64,
    ) -> (Clients, GroupSettings) {
        let common = Common { application_id, guarantee, bootstrap };
        let properties = self.properties;
        let mut make = |role: ClientRole| {
            let client = ClientProperties::new(properties, role);
            let security = Security::read(&client, &mut self.report);
            let librdkafka = librdkafka::properties(&common, role, &client, &security, &mut self.report);
            (client, security, librdkafka)
        };
        let (main, main_security, main_consumer) = make(ClientRole::MainConsumer);
        let (restore, _, restore_consumer) = make(ClientRole::RestoreConsumer);
        let (global, _, global_consumer) = make(ClientRole::GlobalConsumer);
        let (producing, _, producer) = make(ClientRole::Producer);
        let (administrating, admin_security, admin) = make(ClientRole::Admin);
        for client in [&main, &restore, &global, &producing, &administrating] {
            self.backoff_rules(client);
        }
        for client in [&main, &restore, &global] {
            self.consumer_rules(guarantee, client);
        }
        let group = GroupSettings {
            session_timeout: of(&main, "session.timeout.ms", 45_000),
            heartbeat_interval: of(&main, "heartbeat.interval.ms", 3_000),
            max_poll_interval: of(&main, "max.poll.interval.ms", 300_000),
            auto_offset_reset: main.text("auto.offset.reset").and_then(reset).unwrap_or_default(),
            client_rack: main.filled("client.rack").map(str::to_owned),
        };
        self.group_rules(&main, &group);
        self.producer_rules(guarantee, commit_interval_ms, &producing);
        self.segment_rule(&producing);
        let clients = Clients {
            main_consumer,
            restore_consumer,
            global_consumer,
            producer,
            admin,
            membership: connection(&main, bootstrap, main_security),
            administration: connection(&administrating, bootstrap, admin_security),
        };
        (clients, group)
    }

    /// The value of a Streams key, when it is set and right.
    fn parsed(&self, key: &str) -> Option<Value> {
        let spec = key::find(key)?;
        value::parse(spec.value_type, spec.range, self.properties.get(key)?).ok()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.parsed(key)?;
        self.properties.get(key).map(str::trim)
    }

    fn number(&self, key: &str) -> Option<i64> {
        match self.parsed(key)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn millis(&self, key: &str, default: i64) -> Duration {
        millis(self.number(key).unwrap_or(default))
    }

    fn count(&self, key: &str, default: usize) -> usize {
        self.number(key).and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    }

    fn bytes(&self, key: &str, deprecated: &str, default: u64) -> u64 {
        let number = self.number(key).or_else(|| self.number(deprecated));
        number.and_then(|number| u64::try_from(number).ok()).unwrap_or(default)
    }

    fn choice<T: Copy + PartialEq>(&self, key: &str, deprecated: &str, classes: &BuiltInClasses<T>) -> Option<T> {
        self.text(key).or_else(|| self.text(deprecated)).and_then(|name| classes.find(name))
    }

    /// The handlers that the keys choose.
    fn handlers(&self) -> Handlers {
        let goes_on = |key: &str, deprecated: &str, classes: &BuiltInClasses<BuiltInHandler>| {
            self.choice(key, deprecated, classes) == Some(BuiltInHandler::LogAndContinue)
        };
        let mut handlers = Handlers {
            deserialization: Arc::new(LogAndFail),
            processing: Arc::new(LogAndFail),
            production: Arc::new(LogAndFail),
            dead_letter_topic: self
                .text("errors.dead.letter.queue.topic.name")
                .map(str::trim)
                .filter(|topic| !topic.is_empty())
                .map(Into::into),
        };
        let old = "default.deserialization.exception.handler";
        if goes_on("deserialization.exception.handler", old, &DESERIALIZATION_HANDLERS) {
            handlers.deserialization = Arc::new(LogAndContinue);
        }
        if goes_on("processing.exception.handler", "", &PROCESSING_HANDLERS) {
            handlers.processing = Arc::new(LogAndContinue);
        }
        let old = "default.production.exception.handler";
        if goes_on("production.exception.handler", old, &PRODUCTION_HANDLERS) {
            handlers.production = Arc::new(LogAndContinue);
        }
        handlers
    }
}

fn millis(number: i64) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

fn of(client: &ClientProperties, name: &str, default: i64) -> Duration {
    millis(client.number(name).unwrap_or(default))
}

fn connection(client: &ClientProperties, bootstrap: &[BrokerAddress], security: Security) -> ConnectionSettings {
    let (reconnect_backoff, reconnect_backoff_max) =
        client.backoff("reconnect.backoff.ms", "reconnect.backoff.max.ms", 50);
    let (retry_backoff, retry_backoff_max) = client.backoff("retry.backoff.ms", "retry.backoff.max.ms", 100);
    ConnectionSettings {
        bootstrap: bootstrap.to_vec(),
        security,
        client_id: String::new(),
        request_timeout: of(client, "request.timeout.ms", REQUEST_TIMEOUT_MS),
        reconnect_backoff: millis(reconnect_backoff),
        reconnect_backoff_max: millis(reconnect_backoff_max),
        retry_backoff: millis(retry_backoff),
        retry_backoff_max: millis(retry_backoff_max),
        connection_setup_timeout: of(client, "socket.connection.setup.timeout.ms", 10_000),
        metadata_max_age: of(client, "metadata.max.age.ms", 300_000),
    }
}
