//! The rules of the configuration as a whole: what is accepted, warned about and refused, and what comes of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use kafka_streams_core::handler::{LogAndContinue, LogAndFail};
use kafka_streams_core::{DslStoreFormat, TimestampExtractor};
use proptest::prelude::*;
use uuid::Uuid;

use super::client_key::CLIENT_KEYS;
use super::key::{OWN_KEYS, STREAMS_KEYS};
use super::*;

fn base() -> StreamsConfig {
    StreamsConfig::new("app", "localhost:9092")
}

fn with(entries: &[(&str, &str)]) -> StreamsConfig {
    entries.iter().fold(base(), |config, (key, value)| config.property(*key, *value))
}

#[track_caller]
fn settings(entries: &[(&str, &str)]) -> StreamsSettings {
    with(entries).validate().unwrap()
}

#[track_caller]
fn problems(entries: &[(&str, &str)]) -> Vec<Problem> {
    with(entries).validate().expect_err("it should be refused").problems().to_vec()
}

/// The one problem of a configuration, as text.
#[track_caller]
fn problem(entries: &[(&str, &str)]) -> String {
    let problems = problems(entries);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].to_string()
}

/// The one warning of a configuration, as text.
#[track_caller]
fn warning(entries: &[(&str, &str)]) -> String {
    let warnings = settings(entries).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    warnings[0].to_string()
}

fn ids(settings: &StreamsSettings) -> ClientIds {
    settings.client_ids(Uuid::from_u128(7))
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Main,
    Restore,
    Global,
    Producer,
    Admin,
}

#[track_caller]
fn librdkafka_of(of: Of, entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    let settings = settings(entries);
    let ids = ids(&settings);
    let client = match of {
        Of::Main => settings.main_consumer(&ids, 1),
        Of::Restore => settings.restore_consumer(&ids, 1),
        Of::Global => settings.global_consumer(&ids),
        Of::Producer => settings.producer(&ids, 1),
        Of::Admin => settings.admin(&ids),
    };
    client.librdkafka.into_inner()
}

const EOS: (&str, &str) = ("processing.guarantee", "exactly_once_v2");
const SASL: [(&str, &str); 3] = [
    ("security.protocol", "SASL_PLAINTEXT"),
    ("sasl.mechanism", "PLAIN"),
    (
        "sasl.jaas.config",
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"alice\" password=\"canary-1\";",
    ),
];
const CERT: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nCANARY2\n-----END PRIVATE KEY-----\n";

mod defaults {
    use super::*;

    #[test]
    fn a_minimal_configuration_has_the_documented_defaults() {
        let settings = settings(&[]);
        assert_eq!(settings.warnings, []);
        assert_eq!(settings.application_id, "app");
        assert_eq!(settings.bootstrap_servers, [BrokerAddress { host: "localhost".into(), port: 9092 }]);
        assert_eq!(settings.processing_guarantee, ProcessingGuarantee::AtLeastOnce);
        assert_eq!(settings.commit_interval, Duration::from_secs(30));
        assert_eq!(settings.num_stream_threads, 1);
        assert_eq!(settings.poll, Duration::from_millis(100));
        assert_eq!(settings.buffered_records_per_partition, 1000);
        assert_eq!(settings.max_task_idle, MaxTaskIdle::UntilFetched);
        assert_eq!(settings.task_timeout, Duration::from_secs(300));
        assert_eq!(settings.state_cleanup_delay, Duration::from_secs(600));
        assert_eq!(settings.repartition_purge_interval, Duration::from_secs(30));
        assert_eq!(settings.statestore_cache_max_bytes, 10 << 20);
        assert_eq!(settings.memory_budget_bytes, 128 << 20);
        assert_eq!(settings.replication_factor, None);
        assert_eq!(settings.windowstore_changelog_additional_retention, Duration::from_secs(86_400));
        assert!(settings.state_dir.ends_with("kafka-streams"));
        assert_eq!(settings.group.session_timeout, Duration::from_secs(45));
        assert_eq!(settings.group.heartbeat_interval, Duration::from_secs(3));
        assert_eq!(settings.group.max_poll_interval, Duration::from_secs(300));
        assert_eq!(settings.group.auto_offset_reset, AutoOffsetReset::Earliest);
    }

    #[test]
    fn typed_defaults_are_those_of_the_tables() {
        let spelt_out: Vec<(&str, &str)> = STREAMS_KEYS
            .iter()
            .chain(OWN_KEYS)
            .filter(|spec| spec.name != "state.dir")
            .filter_map(|spec| match spec.default {
                KeyDefault::Is(default) => Some((spec.name, default)),
                _ => None,
            })
            .collect();
        let mut left = settings(&spelt_out);
        let right = settings(&[]);
        // Three deprecated names were set.
        left.warnings.retain(|warning| !warning.message.contains("deprecated"));
        // Spelt out, these reach the clients, whose own defaults are others; see the table of differences.
        left.clients = right.clients.clone();
        // What was set, as it was set.
        left.app_configs = right.app_configs.clone();
        assert_eq!(format!("{left:?}"), format!("{right:?}"));
    }

    #[test]
    fn every_default_spelt_out_is_accepted() {
        for spec in STREAMS_KEYS.iter().chain(OWN_KEYS) {
            let value = match spec.default {
                KeyDefault::Is(default) => default,
                KeyDefault::Null => "",
                KeyDefault::Required => continue,
            };
            let settings = with(&[(spec.name, value)]).validate().unwrap_or_else(|e| panic!("{}: {e}", spec.name));
            let silent = settings.warnings.iter().all(|warning| warning.message.contains("deprecated"));
            assert!(silent, "{}: {:?}", spec.name, settings.warnings);
        }
        for spec in CLIENT_KEYS {
            for default in spec.defaults.iter().copied().chain(spec.defaults.is_empty().then_some("")) {
                if matches!(spec.name, "bootstrap.servers") {
                    continue;
                }
                for prefix in CLIENT_PREFIXES.iter().filter(|prefix| prefix.clients.meets(spec.clients)) {
                    let key = format!("{}{}", prefix.text, spec.name);
                    with(&[(&key, default)]).validate().unwrap_or_else(|e| panic!("{key}: {e}"));
                }
            }
        }
    }

    #[test]
    fn the_commit_interval_depends_on_the_guarantee_unless_it_is_set() {
        assert_eq!(settings(&[EOS]).commit_interval, Duration::from_millis(100));
        assert_eq!(settings(&[EOS, ("commit.interval.ms", "700")]).commit_interval, Duration::from_millis(700));
        assert_eq!(settings(&[("commit.interval.ms", "0")]).commit_interval, Duration::ZERO);
    }
}

mod builder {
    use super::*;

    #[test]
    fn every_setter_that_the_table_names_writes_its_key() {
        let ms = Duration::from_millis(1234);
        let set: [(&str, StreamsConfig, &str); 33] = [
            ("errors_dead_letter_queue_topic_name", base().errors_dead_letter_queue_topic_name("dead"), "dead"),
            (
                "processing_exception_handler_global_enabled",
                base().processing_exception_handler_global_enabled(true),
                "true",
            ),
            ("application_server", base().application_server("h:1"), "h:1"),
            ("buffered_records_per_partition", base().buffered_records_per_partition(7), "7"),
            ("client_id", base().client_id("c"), "c"),
            ("commit_interval", base().commit_interval(ms), "1234"),
            ("connections_max_idle", base().connections_max_idle(ms), "1234"),
            (
                "default_timestamp_extractor",
                base().default_timestamp_extractor(TimestampExtractor::WallclockTimestampExtractor),
                "org.apache.kafka.streams.processor.WallclockTimestampExtractor",
            ),
            ("dsl_store_format", base().dsl_store_format(DslStoreFormat::Headers), "HEADERS"),
            ("explicit_names", base().explicit_names(true), "true"),
            ("max_task_idle", base().max_task_idle(MaxTaskIdle::Disabled), "-1"),
            ("memory_budget", base().memory_budget(1 << 30), "1073741824"),
            ("metadata_max_age", base().metadata_max_age(ms), "1234"),
            ("num_stream_threads", base().num_stream_threads(3), "3"),
            ("poll", base().poll(Duration::from_micros(1500)), "2"),
            (
                "processing_guarantee",
                base().processing_guarantee(ProcessingGuarantee::ExactlyOnceV2),
                "exactly_once_v2",
            ),
            ("receive_buffer_bytes", base().receive_buffer_bytes(5), "5"),
            ("reconnect_backoff", base().reconnect_backoff(ms), "1234"),
            ("reconnect_backoff_max", base().reconnect_backoff_max(ms), "1234"),
            ("repartition_purge_interval", base().repartition_purge_interval(ms), "1234"),
            ("replication_factor", base().replication_factor(3), "3"),
            ("request_timeout", base().request_timeout(ms), "1234"),
            ("retry_backoff", base().retry_backoff(ms), "1234"),
            ("security_protocol", base().security_protocol(SecurityProtocol::Ssl), "SSL"),
            ("send_buffer_bytes", base().send_buffer_bytes(5), "5"),
            ("state_cleanup_delay", base().state_cleanup_delay(ms), "1234"),
            ("state_dir", base().state_dir("/x"), "/x"),
            ("statestore_cache_max_bytes", base().statestore_cache_max_bytes(0), "0"),
            ("task_timeout", base().task_timeout(ms), "1234"),
            ("topology_optimization", base().topology_optimization(TopologyOptimization::NONE), "none"),
            (
                "windowstore_changelog_additional_retention",
                base().windowstore_changelog_additional_retention(ms),
                "1234",
            ),
            ("max_task_idle", base().max_task_idle(ms), "1234"),
            ("memory_budget", base().memory_budget(8 << 20), "8388608"),
        ];
        // Handlers are kept as they are; `handlers_of_ones_own_win_over_keys` looks at them.
        let in_code = [
            "new",
            "",
            "deserialization_exception_handler",
            "processing_exception_handler",
            "production_exception_handler",
        ];
        for spec in STREAMS_KEYS.iter().chain(OWN_KEYS).filter(|spec| !in_code.contains(&spec.setter)) {
            let (_, config, value) =
                set.iter().find(|(setter, ..)| *setter == spec.setter).unwrap_or_else(|| panic!("{}", spec.setter));
            assert_eq!(config.to_properties().get(spec.name), Some(*value), "{}", spec.setter);
            config.validate().unwrap_or_else(|e| panic!("{}: {e}", spec.setter));
        }
    }

    #[test]
    fn values_reach_the_settings() {
        let settings = base()
            .max_task_idle(Duration::from_millis(5))
            .replication_factor(3)
            .client_tag("zone", "a")
            .application_server("host:80")
            .property("topic.retention.ms", " 9 ")
            .default_timestamp_extractor(TimestampExtractor::LogAndSkipOnInvalidTimestamp)
            .validate()
            .unwrap();
        assert_eq!(settings.max_task_idle, MaxTaskIdle::Wait(Duration::from_millis(5)));
        assert_eq!(settings.replication_factor, Some(3));
        assert_eq!(settings.client_tags["zone"], "a");
        assert_eq!(settings.application_server.unwrap().port, 80);
        assert_eq!(settings.topic_overrides["retention.ms"], "9");
        assert_eq!(settings.default_timestamp_extractor, TimestampExtractor::LogAndSkipOnInvalidTimestamp);
    }

    #[test]
    fn handlers_are_chosen_by_class_and_ones_own_win_over_keys() {
        use kafka_streams_core::TaskId;
        use kafka_streams_core::handler::{ErrorContext, Response};
        let decide = |config: StreamsConfig| {
            let handlers = config.validate().unwrap().handlers;
            let context = ErrorContext {
                task: "0_0".parse::<TaskId>().unwrap(),
                node: None,
                topic: None,
                partition: -1,
                offset: -1,
                timestamp: 0,
                source: None,
                dead_letter_topic: handlers.dead_letter_topic.clone(),
            };
            let error = std::fmt::Error;
            [
                handlers.deserialization.handle(&context, &error),
                handlers.processing.handle(&context, &error),
                handlers.production.handle(&context, "t", &error),
            ]
        };
        let by_key = with(&[
            ("deserialization.exception.handler", "org.apache.kafka.streams.errors.LogAndContinueExceptionHandler"),
            (
                "processing.exception.handler",
                "org.apache.kafka.streams.errors.LogAndContinueProcessingExceptionHandler",
            ),
            ("production.exception.handler", "LogAndContinue"),
        ]);
        assert_eq!(decide(base()), [const { Response::Fail }; 3]);
        assert_eq!(decide(by_key.clone()), [const { Response::Continue }; 3]);
        let own = by_key
            .deserialization_exception_handler(LogAndFail)
            .processing_exception_handler(LogAndFail)
            .production_exception_handler(LogAndContinue);
        assert_eq!(decide(own), [Response::Fail, Response::Fail, Response::Continue]);
        let old = "default.deserialization.exception.handler";
        let old = with(&[(old, "org.apache.kafka.streams.errors.LogAndContinueExceptionHandler")]);
        assert_eq!(decide(old)[0], Response::Continue);
    }
}

mod single_keys {
    use super::*;

    #[test]
    fn all_problems_come_together_and_in_order() {
        let error = StreamsConfig::from_properties([
            ("poll.ms".to_owned(), "x".to_owned()),
            ("comit.interval.ms".to_owned(), "1".to_owned()),
            ("num.standby.replicas".to_owned(), "1".to_owned()),
        ])
        .expect_err("four problems");
        let keys: Vec<&str> = error.problems().iter().map(Problem::key).collect();
        assert_eq!(
            keys,
            ["application.id", "bootstrap.servers", "comit.interval.ms", "num.standby.replicas", "poll.ms"]
        );
        let text = error.to_string();
        assert!(text.starts_with("the configuration has 5 problems:\n  - `application.id` is not set"), "{text}");
        assert!(text.contains("did you mean `commit.interval.ms`?"), "{text}");
        assert!(text.contains("`poll.ms` = `x`: expected a whole number, from 0"), "{text}");
    }

    #[test]
    fn every_refused_key_is_refused_and_every_warned_key_warns() {
        for spec in STREAMS_KEYS {
            let value = other_value(spec.name, spec.value_type, spec.range, spec.default);
            match spec.status {
                Status::Honoured => {}
                Status::Refused(reason) => {
                    let text = problem(&[(spec.name, &value)]);
                    assert_eq!(text, format!("`{}` = `{value}` is refused: {reason}", spec.name));
                }
                // The one value that it has is its default.
                Status::Warned(_) if spec.name == "built.in.metrics.version" => {}
                Status::Warned(reason) => {
                    let text = warning(&[(spec.name, &value)]);
                    assert_eq!(text, format!("`{}`: no effect: {reason}", spec.name));
                }
            }
        }
    }

    #[test]
    fn every_refused_client_key_is_refused_and_every_warned_or_fixed_one_warns() {
        for spec in CLIENT_KEYS {
            let default = spec.defaults.first().map_or(KeyDefault::Null, |default| KeyDefault::Is(default));
            let value = other_value(spec.name, spec.value_type, spec.range, default);
            for prefix in CLIENT_PREFIXES.iter().filter(|prefix| prefix.clients.meets(spec.clients)) {
                let key = format!("{}{}", prefix.text, spec.name);
                let result = with(&[(&key, &value)]).validate();
                match spec.treatment {
                    Treatment::Refused(_) => {
                        let error = result.expect_err(&key);
                        assert!(matches!(error.problems(), [Problem::Refused { .. }]), "{key}: {error}");
                    }
                    // Both values of this one are defaults of some client.
                    Treatment::Warned(_) if spec.name == "enable.metrics.push" => {}
                    Treatment::Warned(_) | Treatment::Fixed(_) => {
                        let warnings = result.unwrap_or_else(|e| panic!("{key}: {e}")).warnings;
                        let expected = match (spec.treatment, spec.name) {
                            // The value made here is what it is fixed to.
                            (Treatment::Fixed(_), "allow.auto.create.topics" | "enable.auto.commit") => 0,
                            _ => 1,
                        };
                        assert_eq!(warnings.len(), expected, "{key}: {warnings:?}");
                    }
                    _ => {}
                }
            }
        }
    }

    /// A legal value that is not the default.
    fn other_value(name: &str, value_type: ValueType, range: Range, default: KeyDefault) -> String {
        match (name, range, value_type, default) {
            ("topology.optimization", ..) => "all".to_owned(),
            (_, Range::OneOf(texts) | Range::OneOfAnyCase(texts), _, KeyDefault::Is(default)) => {
                let other = texts.iter().find(|text| !text.eq_ignore_ascii_case(default) && !text.is_empty());
                (*other.unwrap_or(&texts[0])).to_owned()
            }
            (_, Range::OneOf(texts) | Range::OneOfAnyCase(texts), ..) => texts[0].to_owned(),
            (_, Range::AtLeast(least), _, KeyDefault::Is(default)) if least.to_string() == default => {
                (least + 1).to_string()
            }
            (_, Range::AtLeast(least) | Range::Between(least, _), ..) => least.to_string(),
            (_, _, ValueType::Boolean, KeyDefault::Is(default)) => (default != "true").to_string(),
            (_, _, ValueType::Boolean, _) => "true".to_owned(),
            (_, _, ValueType::Int | ValueType::Long | ValueType::Short | ValueType::Double, _) => "77".to_owned(),
            _ => "x".to_owned(),
        }
    }

    #[test]
    fn names_of_applications_are_names_of_topics() {
        for id in ["a b", "ä", "..", ".", "a/b", "", &"x".repeat(250)] {
            assert!(problem(&[("application.id", id)]).starts_with("`application.id` = "), "{id}");
        }
        settings(&[("application.id", "A-z_0.9")]);
    }

    #[test]
    fn addresses_are_checked_one_by_one() {
        assert!(problem(&[("bootstrap.servers", "a:1,b")]).contains("expected host:port"));
        assert!(problem(&[("bootstrap.servers", "")]).contains("expected a list"));
        assert!(problem(&[("bootstrap.servers", "a:1,a:1")]).contains("a:1 comes again"));
        assert!(problem(&[("application.server", "a")]).contains("expected host:port"));
        assert_eq!(settings(&[("bootstrap.servers", " a:1 , [::1]:2 ")]).bootstrap_servers[1].host, "::1");
    }

    #[test]
    fn one_cluster_is_read_and_written() {
        assert!(problem(&[("producer.bootstrap.servers", "other:1")]).contains("one cluster"));
        settings(&[("producer.bootstrap.servers", "localhost:9092")]);
    }

    #[test]
    fn removed_guarantees_have_their_hint() {
        for name in ["exactly_once", "exactly_once_beta"] {
            assert!(problem(&[("processing.guarantee", name)]).contains("set exactly_once_v2"));
        }
        assert!(
            problem(&[("processing.guarantee", "exactly-once")])
                .contains("expected one of at_least_once, exactly_once_v2")
        );
    }

    #[test]
    fn classes_of_ones_own_are_refused_with_the_choices() {
        for key in [
            "deserialization.exception.handler",
            "processing.exception.handler",
            "production.exception.handler",
            "default.timestamp.extractor",
        ] {
            let text = problem(&[(key, "com.example.Mine")]);
            assert!(text.contains("choose one of org.apache.kafka.streams"), "{text}");
        }
        assert!(problem(&[("default.key.serde", "x.StringSerde")]).contains("types of the topology choose the serdes"));
        settings(&[(
            "task.assignor.class",
            "org.apache.kafka.streams.processor.internals.assignment.HighAvailabilityTaskAssignor",
        )]);
    }

    #[test]
    fn a_replication_factor_is_not_zero() {
        assert!(problem(&[("replication.factor", "0")]).contains("-1 for the broker's default"));
        assert_eq!(settings(&[("replication.factor", "-1")]).replication_factor, None);
    }

    #[test]
    fn deprecated_names_work_and_lose_against_the_new_ones() {
        let old = settings(&[("cache.max.bytes.buffering", "5")]);
        assert_eq!((old.statestore_cache_max_bytes, old.warnings.len()), (5, 1));
        let both = settings(&[("cache.max.bytes.buffering", "5"), ("statestore.cache.max.bytes", "6")]);
        assert_eq!(both.statestore_cache_max_bytes, 6);
        assert!(both.warnings[0].message.starts_with("no effect"), "{:?}", both.warnings);
    }

    #[test]
    fn tags_have_their_limits() {
        assert!(problem(&[("client.tag.", "x")]).contains("not a known key"));
        assert!(problem(&[("client.tag.zone", " ")]).contains("1 to 30 characters"));
        assert!(problem(&[("client.tag.012345678901234567890", "x")]).contains("at most 20 characters"));
        let six: Vec<String> = (0..6).map(|n| format!("client.tag.t{n}")).collect();
        let six: Vec<(&str, &str)> = six.iter().map(|key| (key.as_str(), "x")).collect();
        assert!(problem(&six).contains("at most 5 tags"));
    }

    #[test]
    fn topic_settings_are_known_ones() {
        assert!(problem(&[("topic.retention", "1")]).contains("did you mean `topic.retention.ms`?"));
    }

    #[test]
    fn text_with_nul_never_reaches_a_client() {
        assert!(problem(&[("client.id", "a\0b")]).contains("without NUL"));
    }

    #[test]
    fn offsets_are_reset_by_name_only() {
        assert_eq!(settings(&[("consumer.auto.offset.reset", "none")]).group.auto_offset_reset, AutoOffsetReset::None);
        assert_eq!(settings(&[("auto.offset.reset", "latest")]).group.auto_offset_reset, AutoOffsetReset::Latest);
        for (text, seconds) in [("PT1H", 3600), ("P1DT1M2S", 86_462), ("PT90M", 5400), ("P2D", 172_800), ("pt0s", 0)] {
            let reset = settings(&[("auto.offset.reset", &format!("by_duration:{text}"))]).group.auto_offset_reset;
            assert_eq!(reset, AutoOffsetReset::ByDuration(Duration::from_secs(seconds)), "{text}");
            assert_eq!(AutoOffsetReset::parse(&reset.name()), Some(reset));
        }
        let fine = AutoOffsetReset::ByDuration(Duration::from_millis(1500));
        assert_eq!(AutoOffsetReset::parse("by_duration:PT1.5S"), Some(fine));
        assert_eq!(AutoOffsetReset::parse(&fine.name()), Some(fine));
        for wrong in [
            "smallest",
            "by_duration",
            "by_duration:",
            "by_duration:1h",
            "by_duration:PT",
            "by_duration:P",
            "by_duration:PT-1H",
            "by_duration:P1H",
            "by_duration:PT1",
            "by_duration:PT1é",
        ] {
            assert!(problem(&[("auto.offset.reset", wrong)]).contains("expected earliest, latest, none or"), "{wrong}");
        }
    }
}

mod contradictions {
    use super::*;

    #[test]
    fn a_transaction_outlives_the_commit_interval() {
        let text = problem(&[EOS, ("commit.interval.ms", "10001")]);
        assert!(text.starts_with("`commit.interval.ms`, `producer.transaction.timeout.ms`: "), "{text}");
        settings(&[EOS, ("commit.interval.ms", "10001"), ("producer.transaction.timeout.ms", "10001")]);
        settings(&[("commit.interval.ms", "10001")]);
    }

    #[test]
    fn exactly_once_excludes_automatic_commits() {
        let text = problem(&[EOS, ("consumer.enable.auto.commit", "true")]);
        assert!(text.contains("`consumer.enable.auto.commit`"), "{text}");
        assert!(warning(&[("enable.auto.commit", "true")]).contains("overridden"));
    }

    #[test]
    fn exactly_once_needs_what_idempotence_needs() {
        for (key, value) in
            [("acks", "1"), ("producer.retries", "0"), ("producer.max.in.flight.requests.per.connection", "6")]
        {
            assert!(problem(&[EOS, (key, value)]).contains(key));
            // Without transactions it only turns idempotence off,
            assert_eq!(librdkafka_of(Of::Producer, &[(key, value)])["enable.idempotence"], "false");
            // unless idempotence was asked for.
            assert!(problem(&[("enable.idempotence", "true"), (key, value)]).contains(key));
        }
        assert!(warning(&[EOS, ("producer.enable.idempotence", "false")]).contains("overridden"));
        assert_eq!(librdkafka_of(Of::Producer, &[EOS, ("enable.idempotence", "false")])["enable.idempotence"], "true");
    }

    #[test]
    fn heartbeats_keep_sessions_alive_and_sessions_fit_the_poll_interval() {
        assert!(problem(&[("heartbeat.interval.ms", "45000")]).contains("`heartbeat.interval.ms`"));
        let text = problem(&[("main.consumer.max.poll.interval.ms", "44999")]);
        assert!(text.contains("`main.consumer.max.poll.interval.ms`, `session.timeout.ms`"), "{text}");
        settings(&[("max.poll.interval.ms", "45000")]);
    }

    #[test]
    fn backoffs_grow() {
        assert!(problem(&[("reconnect.backoff.ms", "2000"), ("reconnect.backoff.max.ms", "1999")]).contains("2000 ms"));
        assert!(
            problem(&[("admin.retry.backoff.ms", "2"), ("admin.retry.backoff.max.ms", "1")]).contains("`admin.retry")
        );
        // A longest wait that is not set follows.
        let producer = librdkafka_of(Of::Producer, &[("reconnect.backoff.ms", "2000"), ("retry.backoff.ms", "3000")]);
        assert_eq!(producer["reconnect.backoff.max.ms"], "2000");
        assert_eq!(producer["retry.backoff.max.ms"], "3000");
        // So does a first one.
        let producer =
            librdkafka_of(Of::Producer, &[("reconnect.backoff.max.ms", "20"), ("retry.backoff.max.ms", "0")]);
        assert_eq!((&*producer["reconnect.backoff.ms"], &*producer["retry.backoff.ms"]), ("20", "1"));
    }

    #[test]
    fn deliveries_cover_what_they_consist_of() {
        assert!(problem(&[("delivery.timeout.ms", "30004")]).contains("30005 ms together"));
        assert_eq!(librdkafka_of(Of::Producer, &[("delivery.timeout.ms", "30005")])["delivery.timeout.ms"], "30005");
        assert_eq!(librdkafka_of(Of::Producer, &[("linger.ms", "200000")])["delivery.timeout.ms"], "230000");
        assert!(problem(&[EOS, ("delivery.timeout.ms", "4")]).contains("30005 ms together"));
        assert!(problem(&[EOS, ("linger.ms", "10000")]).contains("held back beyond the transaction's timeout"));
    }

    #[test]
    fn batches_fit_into_segments() {
        let text = problem(&[("topic.segment.bytes", "1000"), ("producer.batch.size", "1001")]);
        assert!(text.contains("`topic.segment.bytes`, `producer.batch.size`"), "{text}");
    }
}

mod clients {
    use super::*;

    #[test]
    fn names_are_those_of_the_jvm() {
        let settings = settings(&[EOS]);
        let ids = ids(&settings);
        let process = "00000000-0000-0000-0000-000000000007";
        assert_eq!(ids.base(), format!("app-{process}"));
        assert_eq!(settings.main_consumer(&ids, 2).client_id, format!("app-{process}-StreamThread-2-consumer"));
        assert_eq!(
            settings.restore_consumer(&ids, 2).client_id,
            format!("app-{process}-StreamThread-2-restore-consumer")
        );
        assert_eq!(settings.membership(&ids, 2).client_id, format!("app-{process}-StreamThread-2-consumer"));
        assert_eq!(settings.administration(&ids).client_id, format!("app-{process}-admin"));
        assert_eq!(settings.global_consumer(&ids).client_id, format!("app-{process}-global-consumer"));
        assert_eq!(ids.state_updater(1), format!("app-{process}-StateUpdater-1"));
        let producer = settings.producer(&ids, 2);
        assert_eq!(producer.client_id, format!("app-{process}-StreamThread-2-producer"));
        assert_eq!(producer.librdkafka.get("client.id"), Some(&*producer.client_id));
        assert_eq!(producer.librdkafka.get("transactional.id"), Some(&*format!("app-{process}-2")));
        let named = with(&[EOS, ("client.id", "c")]).validate().unwrap();
        let ids = named.client_ids(Uuid::from_u128(7));
        assert_eq!(ids.stream_thread(1), "c-StreamThread-1");
        assert_eq!(ids.transactional_id(1), format!("app-{process}-1"));
    }

    #[test]
    fn consumers_are_fully_steered_by_us() {
        for of in [Of::Main, Of::Restore, Of::Global] {
            let user = [
                ("consumer.group.id", "x"),
                ("consumer.allow.auto.create.topics", "true"),
                ("consumer.enable.auto.commit", "true"),
            ];
            let map = librdkafka_of(of, &user);
            assert_eq!(map["group.id"], "app");
            for key in
                ["enable.auto.commit", "enable.auto.offset.store", "allow.auto.create.topics", "enable.metrics.push"]
            {
                assert_eq!(map[key], "false", "{key}");
            }
            assert_eq!(map["auto.offset.reset"], "error");
            assert_eq!(map["check.crcs"], "true");
            assert_eq!(map["queued.max.messages.kbytes"], "4096");
            assert_eq!(map["fetch.queue.backoff.ms"], "10");
            assert_eq!(map["bootstrap.servers"], "localhost:9092");
            for absent in
                ["session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms", "partition.assignment.strategy"]
            {
                assert!(!map.contains_key(absent), "{absent}");
            }
        }
    }

    #[test]
    fn what_feeds_a_store_reads_committed_records_under_either_guarantee() {
        for guarantee in ["at_least_once", "exactly_once_v2"] {
            let entries = [("processing.guarantee", guarantee), ("consumer.isolation.level", "read_uncommitted")];
            for of in [Of::Restore, Of::Global] {
                let map = librdkafka_of(of, &entries);
                assert_eq!((&*map["isolation.level"], &*map["enable.partition.eof"]), ("read_committed", "true"));
            }
        }
        assert_eq!(librdkafka_of(Of::Main, &[])["isolation.level"], "read_uncommitted");
        assert_eq!(librdkafka_of(Of::Main, &[EOS])["isolation.level"], "read_committed");
        assert_eq!(
            librdkafka_of(Of::Main, &[EOS, ("isolation.level", "read_uncommitted")])["isolation.level"],
            "read_committed"
        );
        assert_eq!(
            librdkafka_of(Of::Main, &[("isolation.level", "read_committed")])["isolation.level"],
            "read_committed"
        );
    }

    #[test]
    fn producers_have_our_defaults() {
        let map = librdkafka_of(Of::Producer, &[]);
        for (key, value) in [
            ("acks", "-1"),
            ("enable.idempotence", "true"),
            ("linger.ms", "5"),
            ("queue.buffering.max.kbytes", "32768"),
            ("message.max.bytes", "1048576"),
            ("delivery.timeout.ms", "120000"),
            ("request.timeout.ms", "30000"),
            ("partitioner", "murmur2_random"),
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
        ] {
            assert_eq!(map[key], value, "{key}");
        }
        assert!(!map.contains_key("transactional.id") && !map.contains_key("transaction.timeout.ms"));
    }

    #[test]
    fn transactional_producers_are_bounded_by_their_transactions() {
        let map = librdkafka_of(Of::Producer, &[EOS]);
        for (key, value) in [
            ("enable.idempotence", "true"),
            ("transaction.timeout.ms", "10000"),
            ("retry.backoff.ms", "5"),
            ("linger.ms", "5"),
            ("socket.timeout.ms", "10000"),
            ("request.timeout.ms", "10000"),
        ] {
            assert_eq!(map[key], value, "{key}");
        }
        assert!(!map.contains_key("delivery.timeout.ms"));
        let longer = [
            EOS,
            ("producer.transaction.timeout.ms", "60000"),
            ("request.timeout.ms", "40000"),
            ("delivery.timeout.ms", "50000"),
        ];
        let map = librdkafka_of(Of::Producer, &longer);
        assert_eq!((&*map["socket.timeout.ms"], &*map["delivery.timeout.ms"]), ("40000", "50000"));
        assert_eq!(librdkafka_of(Of::Producer, &[EOS, ("retry.backoff.ms", "50")])["retry.backoff.ms"], "50");
    }

    #[test]
    fn units_and_names_are_translated() {
        let producer = librdkafka_of(
            Of::Producer,
            &[
                ("buffer.memory", "1025"),
                ("batch.size", "0"),
                ("acks", "all"),
                ("compression.type", "zstd"),
                ("compression.zstd.level", "12"),
                ("compression.gzip.level", "1"),
                ("max.request.size", "2000000"),
                ("send.buffer.bytes", "-1"),
                ("retries", "7"),
                ("connections.max.idle.ms", "-1"),
                ("request.timeout.ms", "20000"),
                ("metadata.max.age.ms", "0"),
            ],
        );
        for (key, value) in [
            ("queue.buffering.max.kbytes", "2"),
            ("batch.size", "1"),
            ("acks", "-1"),
            ("compression.type", "zstd"),
            ("compression.level", "12"),
            ("message.max.bytes", "2000000"),
            ("socket.send.buffer.bytes", "0"),
            ("retries", "7"),
            ("connections.max.idle.ms", "0"),
            ("socket.timeout.ms", "20000"),
            ("request.timeout.ms", "20000"),
            ("topic.metadata.refresh.interval.ms", "1"),
        ] {
            assert_eq!(producer[key], value, "{key}");
        }
        let consumer = librdkafka_of(
            Of::Main,
            &[
                ("fetch.max.wait.ms", "7"),
                ("fetch.max.bytes", "5000"),
                ("client.rack", "r"),
                ("receive.buffer.bytes", "4096"),
                ("metadata.recovery.strategy", "NONE"),
                ("consumer.queued.max.messages.kbytes", "1"),
                ("retries", "3"),
            ],
        );
        for (key, value) in [
            ("fetch.wait.max.ms", "7"),
            ("fetch.max.bytes", "5000"),
            ("message.max.bytes", "5000"),
            ("client.rack", "r"),
            ("socket.receive.buffer.bytes", "4096"),
            ("metadata.recovery.strategy", "none"),
            ("queued.max.messages.kbytes", "1"),
        ] {
            assert_eq!(consumer[key], value, "{key}");
        }
        assert!(!consumer.contains_key("retries"));
        assert!(!librdkafka_of(Of::Admin, &[("retries", "3")]).contains_key("retries"));
    }

    #[test]
    fn what_librdkafka_cannot_take_is_a_problem_here() {
        for (key, value, most) in [
            ("request.timeout.ms", "300001", "300000"),
            ("linger.ms", "900001", "900000"),
            ("reconnect.backoff.ms", "3600001", "3600000"),
            ("producer.buffer.memory", "9999999999999", "2147483647"),
            ("receive.buffer.bytes", "100000001", "100000000"),
        ] {
            let text = problems(&[(key, value)]).iter().map(ToString::to_string).collect::<String>();
            assert!(text.contains(&format!("`{key}`")) && text.contains(most), "{text}");
        }
        assert!(problem(&[("compression.type", "lz4"), ("compression.lz4.level", "13")]).contains("at most 12"));
        assert!(problem(&[("compression.type", "zstd"), ("compression.zstd.level", "-5")]).contains("-1 to 12"));
        settings(&[("compression.type", "lz4"), ("compression.zstd.level", "-5")]);
    }

    /// librdkafka checks its settings against one another when a client is made. These are its rules, so that no
    /// configuration that passes here fails there.
    fn assert_librdkafka_accepts(of: Of, map: &BTreeMap<String, String>) {
        let number = |key: &str, default: i64| map.get(key).map_or(default, |text| text.parse().unwrap());
        assert!(number("reconnect.backoff.max.ms", 10_000) >= number("reconnect.backoff.ms", 100), "{map:?}");
        if map.contains_key("transactional.id") {
            let transaction = number("transaction.timeout.ms", 60_000);
            assert!(number("socket.timeout.ms", 60_000) <= transaction + 100, "{map:?}");
            assert!(number("delivery.timeout.ms", transaction) <= transaction, "{map:?}");
            assert!(number("delivery.timeout.ms", transaction) > number("linger.ms", 5), "{map:?}");
        }
        if matches!(of, Of::Producer) {
            assert!(number("delivery.timeout.ms", 300_000) > number("linger.ms", 5), "{map:?}");
            if map["enable.idempotence"] == "true" {
                assert_eq!(number("acks", -1), -1, "{map:?}");
                assert!(number("max.in.flight.requests.per.connection", 5) <= 5, "{map:?}");
                assert!(number("retries", 1) >= 1, "{map:?}");
            }
        }
        if matches!(of, Of::Main | Of::Restore | Of::Global) {
            assert!(number("fetch.max.bytes", 52_428_800) >= number("message.max.bytes", 1_000_000), "{map:?}");
        }
        for (key, text) in map {
            let range = RANGES.get(&**key).unwrap_or_else(|| panic!("librdkafka has no {key}"));
            if let Some((least, most)) = range.split_once(" .. ") {
                let (least, most): (i64, i64) = (least.parse().unwrap(), most.parse().unwrap());
                let number: i64 = text.parse().unwrap();
                assert!((least..=most).contains(&number), "{key}={text} is not in {range}");
            }
        }
    }

    /// The ranges of librdkafka's properties, by name.
    static RANGES: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
        let lines = include_str!("testdata/librdkafka-2.12.1-properties.tsv").lines();
        let columns = lines.filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
        columns.map(|columns| (columns[0], columns.get(2).copied().unwrap_or(""))).collect()
    });

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn whatever_passes_here_passes_librdkafka(
            exactly_once in any::<bool>(),
            entries in proptest::collection::vec((0..CLIENT_KEYS.len(), 0..4usize, number()), 0..8),
        ) {
            let mut config = base();
            if exactly_once {
                config = config.processing_guarantee(ProcessingGuarantee::ExactlyOnceV2);
            }
            for (row, prefix, value) in entries {
                let spec = &CLIENT_KEYS[row];
                if matches!(spec.treatment, Treatment::Refused(_) | Treatment::Security) {
                    continue;
                }
                let prefixes: Vec<&str> = CLIENT_PREFIXES
                    .iter()
                    .filter(|prefix| prefix.clients.meets(spec.clients))
                    .map(|prefix| prefix.text)
                    .chain([""])
                    .collect();
                let value = match spec.range {
                    Range::OneOf(texts) | Range::OneOfAnyCase(texts) => texts[value.unsigned_abs() as usize % texts.len()].to_owned(),
                    _ if spec.value_type == ValueType::Boolean => (value % 2 == 0).to_string(),
                    _ => value.to_string(),
                };
                config = config.property(format!("{}{}", prefixes[prefix % prefixes.len()], spec.name), value);
            }
            if let Ok(settings) = config.validate() {
                let ids = ids(&settings);
                assert_librdkafka_accepts(Of::Main, &settings.main_consumer(&ids, 1).librdkafka.into_inner());
                assert_librdkafka_accepts(Of::Restore, &settings.restore_consumer(&ids, 1).librdkafka.into_inner());
                assert_librdkafka_accepts(Of::Global, &settings.global_consumer(&ids).librdkafka.into_inner());
                assert_librdkafka_accepts(Of::Producer, &settings.producer(&ids, 1).librdkafka.into_inner());
                assert_librdkafka_accepts(Of::Admin, &settings.admin(&ids).librdkafka.into_inner());
            }
        }
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![-2..20i64, 500..2_000i64, 5_000..400_000i64, any::<i32>().prop_map(i64::from)]
    }

    #[test]
    fn our_own_client_gets_the_keys_of_the_client_that_it_stands_for() {
        let settings = settings(&[
            ("main.consumer.request.timeout.ms", "1000"),
            ("admin.request.timeout.ms", "2000"),
            ("reconnect.backoff.ms", "5000"),
            ("main.consumer.client.rack", "r1"),
        ]);
        let ids = ids(&settings);
        let membership = settings.membership(&ids, 1);
        assert_eq!(membership.request_timeout, Duration::from_secs(1));
        assert_eq!(
            (membership.reconnect_backoff, membership.reconnect_backoff_max),
            (Duration::from_secs(5), Duration::from_secs(5))
        );
        assert_eq!(membership.retry_backoff, Duration::from_millis(100));
        assert_eq!(membership.connection_setup_timeout, Duration::from_secs(10));
        assert_eq!(membership.metadata_max_age, Duration::from_secs(300));
        assert_eq!(membership.bootstrap[0].to_string(), "localhost:9092");
        assert_eq!(settings.administration(&ids).request_timeout, Duration::from_secs(2));
        assert_eq!(settings.group.client_rack.as_deref(), Some("r1"));
    }
}

mod security {
    use super::*;

    fn of(entries: &[(&str, &str)]) -> Security {
        let settings = settings(entries);
        settings.membership(&ids(&settings), 1).security
    }

    fn tls<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [("security.protocol", "SSL")].into_iter().chain(more.iter().copied()).collect()
    }

    #[test]
    fn one_login_reaches_both_planes() {
        let sasl = of(&SASL).sasl.unwrap();
        assert_eq!(
            (sasl.mechanism, &*sasl.username, sasl.password.expose()),
            (SaslMechanism::Plain, "alice", "canary-1")
        );
        for client in [Of::Main, Of::Restore, Of::Global, Of::Producer, Of::Admin] {
            let map = librdkafka_of(client, &SASL);
            assert_eq!(map["security.protocol"], "sasl_plaintext");
            assert_eq!(
                (&*map["sasl.mechanism"], &*map["sasl.username"], &*map["sasl.password"]),
                ("PLAIN", "alice", "canary-1")
            );
        }
    }

    #[test]
    fn a_client_may_have_a_login_of_its_own() {
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule required username=bob password=b;";
        let mut entries = SASL.to_vec();
        entries.push(("producer.sasl.jaas.config", module));
        assert_eq!(librdkafka_of(Of::Producer, &entries)["sasl.username"], "bob");
        assert_eq!(librdkafka_of(Of::Main, &entries)["sasl.username"], "alice");
    }

    #[test]
    fn setters_write_what_is_read_back() {
        let config = base()
            .security_protocol(SecurityProtocol::SaslSsl)
            .sasl(SaslMechanism::ScramSha512, "a\"b", "c\\d;\ne")
            .ssl_truststore_pem("/ca.pem")
            .ssl_keystore_pem("/me.pem", Some(Secret::new("pw")));
        let settings = config.validate().unwrap();
        let security = settings.administration(&ids(&settings)).security;
        let sasl = security.sasl.unwrap();
        assert_eq!(
            (sasl.mechanism, &*sasl.username, sasl.password.expose()),
            (SaslMechanism::ScramSha512, "a\"b", "c\\d;\ne")
        );
        let identity = security.tls.unwrap().identity.unwrap();
        assert_eq!((identity.key, identity.key_password), (Pem::File("/me.pem".into()), Some(Secret::new("pw"))));
        let map = settings.producer(&ids(&settings), 1).librdkafka.into_inner();
        for (key, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.certificate.location", "/me.pem"),
            ("ssl.key.location", "/me.pem"),
            ("ssl.key.password", "pw"),
            ("ssl.endpoint.identification.algorithm", "https"),
        ] {
            assert_eq!(map[key], value, "{key}");
        }
    }

    #[test]
    fn logins_are_complete_and_of_their_mechanism() {
        let missing = problems(&[("security.protocol", "sasl_ssl")]);
        let keys: Vec<&str> = missing.iter().map(Problem::key).collect();
        assert_eq!(keys, ["sasl.jaas.config", "sasl.mechanism"]);
        let with_mechanism = |mechanism| {
            let mut entries = SASL;
            entries[1].1 = mechanism;
            problem(&entries)
        };
        assert!(
            with_mechanism("SCRAM-SHA-256").contains(
                "the login module of SCRAM-SHA-256 is org.apache.kafka.common.security.scram.ScramLoginModule"
            )
        );
        for mechanism in ["GSSAPI", "OAUTHBEARER", "plain"] {
            assert!(with_mechanism(mechanism).contains("only PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512"), "{mechanism}");
        }
        let with_entry = |entry| {
            let mut entries = SASL;
            entries[2].1 = entry;
            problem(&entries)
        };
        assert!(
            with_entry("org.apache.kafka.common.security.plain.PlainLoginModule required password=x;")
                .contains("username=")
        );
        assert!(with_entry("com.sun.security.auth.module.Krb5LoginModule required;").contains("is refused"));
        assert!(with_entry("canary-3").contains("[redacted]"));
        let token =
            "org.apache.kafka.common.security.scram.ScramLoginModule required username=a password=b tokenauth=true;";
        let entries = [SASL[0], ("sasl.mechanism", "SCRAM-SHA-256"), ("sasl.jaas.config", token)];
        assert!(problem(&entries).contains("tokenauth"));
    }

    #[test]
    fn certificates_come_from_the_system_from_a_file_or_from_text() {
        assert_eq!(of(&tls(&[])).tls.unwrap(), Tls { ca: None, identity: None, check_hostname: true });
        let file = of(&tls(&[("ssl.truststore.type", "PEM"), ("ssl.truststore.location", "/ca.pem")]));
        assert_eq!(file.tls.unwrap().ca, Some(Pem::File("/ca.pem".into())));
        let one_line = CERT.replace('\n', " ");
        let text = tls(&[("ssl.truststore.type", "pem"), ("ssl.truststore.certificates", &one_line)]);
        assert_eq!(of(&text).tls.unwrap().ca, Some(Pem::Text(Secret::new(CERT))));
        assert_eq!(librdkafka_of(Of::Main, &text)["ssl.ca.pem"], CERT);
    }

    #[test]
    fn an_identity_is_one_file_or_two_texts() {
        let pem = ("ssl.keystore.type", "PEM");
        let both = [
            pem,
            ("ssl.keystore.certificate.chain", CERT),
            ("ssl.keystore.key", KEY),
            ("ssl.key.password", "canary-4"),
        ];
        let identity = of(&tls(&both)).tls.unwrap().identity.unwrap();
        assert_eq!(identity.certificate_chain, Pem::Text(Secret::new(CERT)));
        assert_eq!(identity.key, Pem::Text(Secret::new(KEY)));
        let map = librdkafka_of(Of::Producer, &tls(&both));
        assert_eq!(
            (&*map["ssl.certificate.pem"], &*map["ssl.key.pem"], &*map["ssl.key.password"]),
            (CERT, KEY, "canary-4")
        );
        assert!(
            problem(&tls(&[pem, ("ssl.keystore.key", KEY)])).starts_with("`ssl.keystore.certificate.chain` is not set")
        );
        assert!(
            problem(&tls(&[pem, ("ssl.keystore.certificate.chain", CERT)]))
                .starts_with("`ssl.keystore.key` is not set")
        );
        let swapped = [pem, ("ssl.keystore.certificate.chain", KEY), ("ssl.keystore.key", KEY)];
        assert!(problem(&tls(&swapped)).contains("expected PEM text"));
        let file_and_text = [
            pem,
            ("ssl.keystore.location", "/me.pem"),
            ("ssl.keystore.certificate.chain", CERT),
            ("ssl.keystore.key", KEY),
        ];
        assert!(problem(&tls(&file_and_text)).contains("exclude one another"));
    }

    #[test]
    fn pem_stores_have_no_password() {
        let entries = tls(&[
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", "/ca.pem"),
            ("ssl.truststore.password", "canary-5"),
        ]);
        assert!(problem(&entries).contains("`ssl.truststore.password` = `[redacted]` is refused"));
    }

    #[test]
    fn java_key_stores_are_refused_with_the_command_that_converts_them() {
        let text =
            problem(&tls(&[("ssl.truststore.location", "/etc/it's.jks"), ("ssl.truststore.password", "canary-6")]));
        let command = r"keytool -importkeystore -srckeystore '/etc/it'\''s.jks' -srcstoretype JKS -destkeystore '/etc/it'\''s.p12' -deststoretype PKCS12 && openssl pkcs12 -in '/etc/it'\''s.p12' -nokeys -out '/etc/it'\''s.pem'";
        assert!(text.contains(command), "{text}");
        let text = problem(&tls(&[("ssl.keystore.location", "/a.p12"), ("ssl.keystore.type", "pkcs12")]));
        assert!(
            text.contains("openssl pkcs12 -in '/a.p12' -nodes -out '/a.pem'") && !text.contains("keytool"),
            "{text}"
        );
        assert!(text.contains("ssl.keystore.type=PEM and ssl.keystore.location=/a.pem"), "{text}");
        let text = problem(&tls(&[("ssl.truststore.certificates", CERT)]));
        assert!(text.contains("set ssl.truststore.type=PEM"), "{text}");
        assert!(
            problem(&tls(&[("ssl.keystore.location", "/a"), ("ssl.keystore.type", "x; rm")]))
                .contains("only PEM is read")
        );
    }

    #[test]
    fn the_check_of_the_hosts_name_is_turned_off_by_an_empty_value() {
        let off = tls(&[("ssl.endpoint.identification.algorithm", "")]);
        assert!(!of(&off).tls.unwrap().check_hostname);
        assert_eq!(librdkafka_of(Of::Main, &off)["ssl.endpoint.identification.algorithm"], "none");
        assert!(of(&tls(&[("ssl.endpoint.identification.algorithm", "HTTPS")])).tls.unwrap().check_hostname);
        assert!(problem(&tls(&[("ssl.endpoint.identification.algorithm", "http")])).contains("expected one of"));
    }

    #[test]
    fn credentials_that_the_protocol_does_not_use_are_warned_about() {
        assert!(warning(&SASL[1..]).contains("security.protocol is PLAINTEXT"));
        assert!(warning(&[("ssl.truststore.location", "/x")]).contains("no effect"));
        assert!(problem(&[("security.protocol", "TLS")]).contains("expected one of SASL_SSL"));
    }
}

mod secrets {
    use super::*;

    #[test]
    fn no_secret_is_in_a_debug_or_error_text() {
        let secret = [
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.certificate.chain", CERT),
            ("ssl.keystore.key", KEY),
            ("ssl.key.password", "canary-7"),
        ];
        let mut entries = SASL.to_vec();
        entries[0].1 = "SASL_SSL";
        entries.extend(secret);
        let config = with(&entries);
        let settings = config.validate().unwrap();
        let ids = ids(&settings);
        let mut shown = format!("{config:?} {config:#?} {:?} {settings:?} {settings:#?}", config.to_properties());
        shown += &format!("{:?} {:?}", settings.membership(&ids, 1), settings.administration(&ids));
        for client in [settings.main_consumer(&ids, 1), settings.producer(&ids, 1), settings.admin(&ids)] {
            // The secrets are there, for the one who asks for them.
            assert_eq!(client.librdkafka.get("sasl.password"), Some("canary-1"));
            shown += &format!("{client:?} {client:#?}");
        }
        assert!(!shown.to_lowercase().contains("canary"), "{shown}");
        assert!(shown.contains("alice") && shown.contains("[redacted]"));
    }

    #[test]
    fn no_problem_and_no_warning_repeats_a_secret() {
        let wrong = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", "x required password=\"canary\""),
            ("sasl.jaas.confg", "canary"),
            ("producer.sasl.jaas.config", "org.x required username=canary password=canary;"),
            ("sasl.password", "canary"),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.key", "canary"),
            ("ssl.keystore.certificate.chain", "canary"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.certificates", "canary"),
            ("ssl.truststore.password", "canary"),
            ("admin.sasl.oauthbearer.client.credentials.client.secret", "canary"),
            ("sasl.oauthbearer.assertion.private.key.passphrase", "canary\0"),
            ("consumer.bootstrap.servers", "alice:canary@host:1"),
            ("my.password", "canary"),
        ];
        let error = with(&wrong).validate().expect_err("much is wrong");
        assert!(error.problems().len() >= 11, "{error}");
        let shown = format!("{error} {error:?} {error:#?}");
        assert!(!shown.to_lowercase().contains("canary"), "{shown}");
    }
}

mod files {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<StreamsConfig, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.properties");
        std::fs::write(&path, text).unwrap();
        StreamsConfig::from_properties_file(path)
    }

    #[test]
    fn a_properties_file_is_read() {
        let text =
            "# word count\napplication.id=wc\nbootstrap.servers = a:1,\\\n    b:2\nclient.id: caf\\u00e9\npoll.ms 7\n";
        let settings = read(text).unwrap().validate().unwrap();
        assert_eq!((settings.bootstrap_servers.len(), settings.client_id.as_deref()), (2, Some("café")));
        assert_eq!(settings.poll, Duration::from_millis(7));
    }

    #[test]
    fn faults_of_files_name_the_file_and_the_line() {
        let missing = StreamsConfig::from_properties_file("/nowhere/app.properties").unwrap_err().to_string();
        assert!(missing.contains("/nowhere/app.properties"), "{missing}");
        let syntax = read("a=1\nsasl.jaas.config=canary\\u00zz\n").unwrap_err().to_string();
        assert!(syntax.contains("app.properties, line 2: ") && !syntax.contains("canary"), "{syntax}");
        assert!(matches!(read(b"a=\xff").unwrap_err(), ConfigError::File { .. }));
        assert!(matches!(read("a=1").unwrap_err(), ConfigError::Invalid { .. }));
    }

    /// A key that is known, with some prefix, and a value that might fit it.
    fn entry() -> impl Strategy<Value = (String, String)> {
        let names: Vec<String> = STREAMS_KEYS
            .iter()
            .chain(OWN_KEYS)
            .map(|spec| spec.name.to_owned())
            .chain(CLIENT_KEYS.iter().map(|spec| spec.name.to_owned()))
            .chain(TOPIC_KEYS.iter().map(|name| (*name).to_owned()))
            .chain(NATIVE_KEYS.iter().map(|spec| spec.name.to_owned()))
            .collect();
        const PREFIXES: [&str; 8] =
            ["", "consumer.", "main.consumer.", "restore.consumer.", "producer.", "admin.", "topic.", "client.tag."];
        let value = prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            (0..100_000u32).prop_map(|number| number.to_string()),
            prop::sample::select(
                &["true", "false", "", "PEM", "SSL", "SASL_SSL", "exactly_once_v2", "PLAIN", "earliest", "all"][..]
            )
            .prop_map(str::to_owned),
            "[ -~]{0,30}",
            any::<String>(),
        ];
        let name = prop_oneof![8 => prop::sample::select(names), 1 => "[a-z.]{0,20}", 1 => any::<String>()];
        (prop::sample::select(&PREFIXES[..]), name, value)
            .prop_map(|(prefix, name, value)| (format!("{prefix}{name}"), value))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_input_panics(entries in proptest::collection::vec(entry(), 0..12)) {
            let config = base().properties(entries);
            match config.validate() {
                Ok(settings) => {
                    let ids = ids(&settings);
                    let _ = format!("{settings:?} {:?}", settings.producer(&ids, usize::MAX));
                }
                Err(error) => {
                    prop_assert!(!error.problems().is_empty());
                    let _ = format!("{error} {error:?}");
                }
            }
        }

        #[test]
        fn properties_round_trip(entries in proptest::collection::vec(entry(), 0..6)) {
            // What is wrong by itself is left out, so that many configurations are right.
            let mut config = base();
            for (key, value) in entries {
                let more = config.clone().property(key, value);
                if more.validate().is_ok() {
                    config = more;
                }
            }
            let again = StreamsConfig::from_properties(config.to_properties()).unwrap();
            prop_assert_eq!(again.to_properties(), config.to_properties());
            let read = read(format!("\n{}", config.to_properties().to_properties_text())).unwrap();
            prop_assert_eq!(read.to_properties(), config.to_properties());
            prop_assert_eq!(format!("{:?}", read.validate().unwrap()), format!("{:?}", config.validate().unwrap()));
        }
    }
}
