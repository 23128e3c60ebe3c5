//! The table of all keys of the JVM's consumer, producer and admin client, and what becomes of each here.
//!
//! A key goes to librdkafka (the data plane), to our own client (group membership and administration), to both, or it
//! is fixed, has no effect, or is refused. Keys, types and defaults are those of kafka-clients 4.3.0; a test compares
//! them. The names and ranges on librdkafka's side are checked against its own list (`librdkafka.rs`).

use super::librdkafka::{Mapping, boolean, lowercase, number, special, text};
use super::value::{Range, ValueType};

/// A set of the three kinds of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clients(u8);

impl Clients {
    /// Consumers.
    pub const CONSUMER: Self = Self(1);
    /// Producers.
    pub const PRODUCER: Self = Self(2);
    /// The admin client.
    pub const ADMIN: Self = Self(4);

    /// All three.
    pub const ALL: Self = Self(7);

    /// Whether the two sets have a client in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// `C`, `P` and `A` for the kinds in the set, for tables.
    pub fn letters(self) -> std::string::String {
        [(Self::CONSUMER, 'C'), (Self::PRODUCER, 'P'), (Self::ADMIN, 'A')]
            .iter()
            .filter(|(kind, _)| self.meets(*kind))
            .map(|(_, letter)| *letter)
            .collect()
    }
}

/// What becomes of a client's key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Treatment {
    /// It is set on librdkafka's client under these names.
    Librdkafka(&'static [Mapping]),
    /// It is set on librdkafka's client and on our own.
    Both(&'static [Mapping]),
    /// It is a setting of our own client or of the stream threads.
    Ours,
    /// It is part of the security settings, which both clients get.
    Security,
    /// Kafka Streams fixes it to this; another value is overridden with a warning, as on the JVM.
    Fixed(&'static str),
    /// It has no effect, and a warning says why that is harmless.
    Warned(&'static str),
    /// Setting it to something other than the default is an error.
    Refused(&'static str),
}

/// One key of the JVM's clients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClientKeySpec {
    /// The key, without a prefix.
    pub name: &'static str,
    /// Which clients have it.
    pub clients: Clients,
    /// Its type.
    pub value_type: ValueType,
    /// The JVM's defaults, more than one where its clients differ; empty for none.
    pub defaults: &'static [&'static str],
    /// Which values of the type it takes.
    pub range: Range,
    /// What becomes of it.
    pub treatment: Treatment,
    /// What is worth knowing about it, or empty.
    pub note: &'static str,
}

/// A prefix that sends a key to some clients only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientPrefix {
    /// The prefix with its dot.
    pub text: &'static str,
    /// The clients that it addresses.
    pub clients: Clients,
}

/// The prefixes. The one with more words wins: `main.consumer.` over `consumer.`, and that over none.
pub const CLIENT_PREFIXES: &[ClientPrefix] = &[
    ClientPrefix { text: "main.consumer.", clients: Clients::CONSUMER },
    ClientPrefix { text: "restore.consumer.", clients: Clients::CONSUMER },
    ClientPrefix { text: "global.consumer.", clients: Clients::CONSUMER },
    ClientPrefix { text: "consumer.", clients: Clients::CONSUMER },
    ClientPrefix { text: "producer.", clients: Clients::PRODUCER },
    ClientPrefix { text: "admin.", clients: Clients::ADMIN },
];

use Range::{Any, AtLeast, Between, NonEmpty, OneOf, OneOfAnyCase};
use Treatment::{Both, Fixed, Librdkafka, Ours, Refused, Security, Warned};
use ValueType::{Boolean, Class, Double, Int, List, Long, Password, Short, String as Text};

const C: Clients = Clients::CONSUMER;
const P: Clients = Clients::PRODUCER;
const A: Clients = Clients::ADMIN;
const CP: Clients = Clients(3);
const CA: Clients = Clients(5);
const PA: Clients = Clients(6);
const CPA: Clients = Clients::ALL;

const I32_MAX: i64 = i32::MAX as i64;
const HOUR_MS: i64 = 3_600_000;

const BY_TYPE: &str = "clients carry bytes, and the types of the topology choose the serdes";
const NO_METRICS: &str = "the JVM's metrics are not recorded";
const NO_CLASSES: &str = "a Java class cannot run here; take the key out";
const NO_KERBEROS: &str = "Kerberos (GSSAPI) is not supported; use PLAIN or SCRAM";
const NO_OAUTH: &str = "OAUTHBEARER is not supported; use PLAIN or SCRAM";
const NO_SHARE: &str = "it belongs to share consumers, which Kafka Streams does not use";
const JVM_TLS: &str = "it chooses parts of the JVM's TLS; librdkafka's and ours have no such choice";
const LEVEL_NOTE: &str = "Only with the `compression.type` it names.";

/// All keys of the JVM's clients, sorted by name.
pub const CLIENT_KEYS: &[ClientKeySpec] = &[
    key(
        "acks",
        P,
        Text,
        &["all"],
        OneOf(&["all", "-1", "0", "1"]),
        Librdkafka(&[special("acks")]),
        "Only `all` (or -1) under `exactly_once_v2`.",
    ),
    key("allow.auto.create.topics", C, Boolean, &["true"], Any, Fixed("false"), ""),
    key("auto.commit.interval.ms", C, Int, &["5000"], AtLeast(0), Warned("nothing is committed automatically"), ""),
    key(
        "auto.offset.reset",
        C,
        Text,
        &["latest"],
        Any,
        Ours,
        "`earliest` (our default, as the JVM's Streams), `latest`, `none` or `by_duration:` with an ISO-8601 duration (`by_duration:PT1H`). Source topics only: restore and global consumers never reset.",
    ),
    key(
        "batch.size",
        P,
        Int,
        &["16384"],
        AtLeast(0),
        Librdkafka(&[number("batch.size", 1, I32_MAX)]),
        "Bytes of a batch; 1000000, librdkafka's default, when not set. 0 becomes 1.",
    ),
    key(
        "bootstrap.controllers",
        A,
        List,
        &[""],
        Any,
        Refused("the application talks to brokers; set bootstrap.servers"),
        "",
    ),
    key(
        "bootstrap.servers",
        CPA,
        List,
        &[],
        NonEmpty,
        Refused("an application reads and writes one cluster; set bootstrap.servers without a prefix"),
        "Without a prefix only.",
    ),
    key(
        "buffer.memory",
        P,
        Long,
        &["33554432"],
        AtLeast(0),
        Librdkafka(&[special("queue.buffering.max.kbytes")]),
        "In KiB, rounded up. 32 MiB when not set, as on the JVM.",
    ),
    key(
        "check.crcs",
        C,
        Boolean,
        &["true"],
        Any,
        Librdkafka(&[boolean("check.crcs")]),
        "On when not set, as on the JVM.",
    ),
    key(
        "client.dns.lookup",
        CPA,
        Text,
        &["use_all_dns_ips"],
        OneOf(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]),
        Refused("canonical names are for Kerberos, which is not supported"),
        "",
    ),
    key(
        "client.id",
        CPA,
        Text,
        &[""],
        Any,
        Fixed("<client.id>-StreamThread-<n>-…"),
        "Set it without a prefix: the clients' ids begin with it.",
    ),
    key(
        "client.rack",
        C,
        Text,
        &[""],
        Any,
        Both(&[text("client.rack")]),
        "Fetches from the nearest replica, and is told to the group.",
    ),
    key(
        "compression.gzip.level",
        P,
        Int,
        &["-1"],
        Between(-1, 9),
        Librdkafka(&[special("compression.level")]),
        LEVEL_NOTE,
    ),
    key(
        "compression.lz4.level",
        P,
        Int,
        &["9"],
        Between(1, 17),
        Librdkafka(&[special("compression.level")]),
        "Only with the `compression.type` it names; librdkafka goes to 12.",
    ),
    key(
        "compression.type",
        P,
        Text,
        &["none"],
        OneOf(&["none", "gzip", "snappy", "lz4", "zstd"]),
        Librdkafka(&[text("compression.type")]),
        "",
    ),
    key(
        "compression.zstd.level",
        P,
        Int,
        &["3"],
        Between(-131_072, 22),
        Librdkafka(&[special("compression.level")]),
        "Only with the `compression.type` it names; librdkafka takes -1 to 12.",
    ),
    key(
        "config.providers",
        CPA,
        List,
        &[""],
        Any,
        Refused("values are taken as they are, nothing is looked up; put the values themselves in"),
        "",
    ),
    key(
        "connections.max.idle.ms",
        CPA,
        Long,
        &["540000", "300000"],
        Any,
        Librdkafka(&[special("connections.max.idle.ms")]),
        "Negative: never. Connections of group membership are kept open by their heartbeats.",
    ),
    key(
        "default.api.timeout.ms",
        CA,
        Int,
        &["60000"],
        AtLeast(0),
        Warned("retries are bounded by task.timeout.ms, and by max.poll.interval.ms in a rebalance"),
        "",
    ),
    key(
        "delivery.timeout.ms",
        P,
        Int,
        &["120000"],
        AtLeast(0),
        Librdkafka(&[special("delivery.timeout.ms")]),
        "Under `exactly_once_v2` the transaction's timeout bounds the delivery, so a longer one is not passed on.",
    ),
    key(
        "enable.auto.commit",
        C,
        Boolean,
        &["true"],
        Any,
        Fixed("false"),
        "`true` is an error under `exactly_once_v2`.",
    ),
    key(
        "enable.idempotence",
        P,
        Boolean,
        &["true"],
        Any,
        Librdkafka(&[boolean("enable.idempotence")]),
        "Fixed to `true` under `exactly_once_v2`.",
    ),
    key(
        "enable.metrics.push",
        CPA,
        Boolean,
        &["true", "false"],
        Any,
        Warned("metrics are never pushed to the brokers"),
        "",
    ),
    key("exclude.internal.topics", C, Boolean, &["true"], Any, Warned("topics are subscribed to by name"), ""),
    key(
        "fetch.max.bytes",
        C,
        Int,
        &["52428800"],
        AtLeast(0),
        Librdkafka(&[special("fetch.max.bytes")]),
        "When not set: the bytes that the fetch queue may hold.",
    ),
    key("fetch.max.wait.ms", C, Int, &["500"], AtLeast(0), Librdkafka(&[number("fetch.wait.max.ms", 0, 300_000)]), ""),
    key(
        "fetch.min.bytes",
        C,
        Int,
        &["1"],
        AtLeast(0),
        Librdkafka(&[number("fetch.min.bytes", 1, 100_000_000)]),
        "0 becomes 1.",
    ),
    key("group.id", C, Text, &[], Any, Fixed("<application.id>"), ""),
    key("group.instance.id", C, Text, &[], NonEmpty, Refused("members cannot be static yet; take the key out"), ""),
    key("group.protocol", C, Text, &["classic"], OneOfAnyCase(&["CONSUMER", "CLASSIC"]), Fixed("classic"), ""),
    key(
        "group.remote.assignor",
        C,
        Text,
        &[],
        Any,
        Refused("tasks are assigned by the group's leader; take the key out"),
        "",
    ),
    key("heartbeat.interval.ms", C, Int, &["3000"], AtLeast(1), Ours, "Below the session's timeout."),
    key("interceptor.classes", CP, List, &[""], Any, Refused(NO_CLASSES), ""),
    key(
        "internal.throw.on.fetch.stable.offset.unsupported",
        C,
        Boolean,
        &["false"],
        Any,
        Warned("brokers without stable offset fetches are refused under exactly_once_v2 in any case"),
        "",
    ),
    key(
        "isolation.level",
        C,
        Text,
        &["read_uncommitted"],
        OneOf(&["read_committed", "read_uncommitted"]),
        Librdkafka(&[text("isolation.level")]),
        "Fixed to `read_committed` under `exactly_once_v2`, and for restore and global consumers always.",
    ),
    key("key.deserializer", C, Class, &[], Any, Warned(BY_TYPE), ""),
    key("key.serializer", P, Class, &[], Any, Warned(BY_TYPE), ""),
    key(
        "linger.ms",
        P,
        Long,
        &["5"],
        AtLeast(0),
        Librdkafka(&[number("linger.ms", 0, 900_000)]),
        "5 when not set; the JVM's Streams uses 100.",
    ),
    key(
        "max.block.ms",
        P,
        Long,
        &["60000"],
        AtLeast(0),
        Warned("a full send queue never blocks a thread; task.timeout.ms bounds the wait"),
        "",
    ),
    key(
        "max.in.flight.requests.per.connection",
        P,
        Int,
        &["5"],
        AtLeast(1),
        Librdkafka(&[number("max.in.flight.requests.per.connection", 1, 1_000_000)]),
        "At most 5 with idempotence.",
    ),
    key(
        "max.partition.fetch.bytes",
        C,
        Int,
        &["1048576"],
        AtLeast(0),
        Librdkafka(&[number("max.partition.fetch.bytes", 1, 1_000_000_000)]),
        "",
    ),
    key(
        "max.poll.interval.ms",
        C,
        Int,
        &["300000"],
        AtLeast(1),
        Ours,
        "How long a stream thread may go without coming back for records before its member leaves the group.",
    ),
    key(
        "max.poll.records",
        C,
        Int,
        &["500"],
        AtLeast(1),
        Warned(
            "records are taken in batches; buffered.records.per.partition and consumer.queued.max.messages.kbytes bound them",
        ),
        "",
    ),
    key(
        "max.request.size",
        P,
        Int,
        &["1048576"],
        AtLeast(0),
        Librdkafka(&[number("message.max.bytes", 1000, 1_000_000_000)]),
        "1 MiB when not set, as on the JVM. Below 1000 becomes 1000.",
    ),
    key(
        "metadata.max.age.ms",
        CPA,
        Long,
        &["300000"],
        AtLeast(0),
        Both(&[number("topic.metadata.refresh.interval.ms", 1, HOUR_MS)]),
        "At most an hour.",
    ),
    key(
        "metadata.max.idle.ms",
        P,
        Long,
        &["300000"],
        AtLeast(5000),
        Warned("librdkafka forgets unused topics by itself"),
        "",
    ),
    key(
        "metadata.recovery.rebootstrap.trigger.ms",
        CPA,
        Long,
        &["300000"],
        AtLeast(0),
        Librdkafka(&[number("metadata.recovery.rebootstrap.trigger.ms", 0, I32_MAX)]),
        "",
    ),
    key(
        "metadata.recovery.strategy",
        CPA,
        Text,
        &["rebootstrap"],
        OneOfAnyCase(&["REBOOTSTRAP", "NONE"]),
        Librdkafka(&[lowercase("metadata.recovery.strategy")]),
        "Our own client always asks the bootstrap servers again.",
    ),
    key("metric.reporters", CPA, List, &["org.apache.kafka.common.metrics.JmxReporter"], Any, Warned(NO_METRICS), ""),
    key("metrics.num.samples", CPA, Int, &["2"], AtLeast(1), Warned(NO_METRICS), ""),
    key("metrics.recording.level", CPA, Text, &["INFO"], OneOf(&["INFO", "DEBUG", "TRACE"]), Warned(NO_METRICS), ""),
    key("metrics.sample.window.ms", CPA, Long, &["30000"], AtLeast(0), Warned(NO_METRICS), ""),
    key(
        "partition.assignment.strategy",
        C,
        List,
        &[
            "org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        ],
        Any,
        Fixed("stream"),
        "Kafka Streams' own assignor.",
    ),
    key(
        "partitioner.adaptive.partitioning.enable",
        P,
        Boolean,
        &["true"],
        Any,
        Warned("partitions are chosen by the sink's partitioner"),
        "",
    ),
    key(
        "partitioner.availability.timeout.ms",
        P,
        Long,
        &["0"],
        AtLeast(0),
        Warned("partitions are chosen by the sink's partitioner"),
        "",
    ),
    key("partitioner.class", P, Class, &[], Any, Refused("give the sink a partitioner in the topology instead"), ""),
    key(
        "partitioner.ignore.keys",
        P,
        Boolean,
        &["false"],
        Any,
        Refused("records with a key go to their key's partition; give the sink a partitioner in the topology instead"),
        "",
    ),
    key(
        "receive.buffer.bytes",
        CPA,
        Int,
        &["65536", "32768"],
        AtLeast(-1),
        Librdkafka(&[special("socket.receive.buffer.bytes")]),
        "The system's default when not set.",
    ),
    key(
        "reconnect.backoff.max.ms",
        CPA,
        Long,
        &["1000"],
        AtLeast(0),
        Both(&[number("reconnect.backoff.max.ms", 0, HOUR_MS)]),
        "At most an hour.",
    ),
    key(
        "reconnect.backoff.ms",
        CPA,
        Long,
        &["50"],
        AtLeast(0),
        Both(&[number("reconnect.backoff.ms", 0, HOUR_MS)]),
        "At most an hour.",
    ),
    key(
        "request.timeout.ms",
        CPA,
        Int,
        &["30000"],
        AtLeast(0),
        Both(&[special("socket.timeout.ms")]),
        "10 to 300000. A producer's is also librdkafka's `request.timeout.ms`; under `exactly_once_v2` it is cut to the transaction's timeout.",
    ),
    key(
        "retries",
        PA,
        Int,
        &["2147483647"],
        AtLeast(0),
        Librdkafka(&[number("retries", 0, I32_MAX)]),
        "Of producers; our own client retries until its timeouts end.",
    ),
    key(
        "retry.backoff.max.ms",
        CPA,
        Long,
        &["1000"],
        AtLeast(0),
        Both(&[number("retry.backoff.max.ms", 1, 300_000)]),
        "0 becomes 1.",
    ),
    key(
        "retry.backoff.ms",
        CPA,
        Long,
        &["100"],
        AtLeast(0),
        Both(&[number("retry.backoff.ms", 1, 300_000)]),
        "0 becomes 1. When not set, 5 for producers under `exactly_once_v2`.",
    ),
    key("sasl.client.callback.handler.class", CPA, Class, &[], Any, Refused(NO_CLASSES), ""),
    key("sasl.jaas.config", CPA, Password, &[], Any, Security, "`PlainLoginModule` or `ScramLoginModule`."),
    key("sasl.kerberos.kinit.cmd", CPA, Text, &["/usr/bin/kinit"], Any, Refused(NO_KERBEROS), ""),
    key("sasl.kerberos.min.time.before.relogin", CPA, Long, &["60000"], Any, Refused(NO_KERBEROS), ""),
    key("sasl.kerberos.service.name", CPA, Text, &[], Any, Refused(NO_KERBEROS), ""),
    key("sasl.kerberos.ticket.renew.jitter", CPA, Double, &["0.05"], Any, Refused(NO_KERBEROS), ""),
    key("sasl.kerberos.ticket.renew.window.factor", CPA, Double, &["0.8"], Any, Refused(NO_KERBEROS), ""),
    key("sasl.login.callback.handler.class", CPA, Class, &[], Any, Refused(NO_CLASSES), ""),
    key("sasl.login.class", CPA, Class, &[], Any, Refused(NO_CLASSES), ""),
    key("sasl.login.connect.timeout.ms", CPA, Int, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.login.read.timeout.ms", CPA, Int, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.login.refresh.buffer.seconds", CPA, Short, &["300"], Between(0, 3600), Refused(NO_OAUTH), ""),
    key("sasl.login.refresh.min.period.seconds", CPA, Short, &["60"], Between(0, 900), Refused(NO_OAUTH), ""),
    key("sasl.login.refresh.window.factor", CPA, Double, &["0.8"], Any, Refused(NO_OAUTH), ""),
    key("sasl.login.refresh.window.jitter", CPA, Double, &["0.05"], Any, Refused(NO_OAUTH), ""),
    key("sasl.login.retry.backoff.max.ms", CPA, Long, &["10000"], Any, Refused(NO_OAUTH), ""),
    key("sasl.login.retry.backoff.ms", CPA, Long, &["100"], Any, Refused(NO_OAUTH), ""),
    key(
        "sasl.mechanism",
        CPA,
        Text,
        &["GSSAPI"],
        Any,
        Security,
        "`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`. Must be set: the JVM's default, GSSAPI, is not supported.",
    ),
    key(
        "sasl.oauthbearer.assertion.algorithm",
        CPA,
        Text,
        &["RS256"],
        OneOfAnyCase(&["ES256", "RS256"]),
        Refused(NO_OAUTH),
        "",
    ),
    key("sasl.oauthbearer.assertion.claim.aud", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.assertion.claim.exp.seconds", CPA, Int, &["300"], Between(0, 86_400), Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.assertion.claim.iss", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.assertion.claim.jti.include", CPA, Boolean, &["false"], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.assertion.claim.nbf.seconds", CPA, Int, &["60"], Between(0, 3600), Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.assertion.claim.sub", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.assertion.file", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.assertion.private.key.file", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.assertion.private.key.passphrase", CPA, Password, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.assertion.template.file", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.client.credentials.client.id", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.client.credentials.client.secret", CPA, Password, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.clock.skew.seconds", CPA, Int, &["30"], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.expected.audience", CPA, List, &[""], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.expected.issuer", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.header.urlencode", CPA, Boolean, &["false"], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.jwks.endpoint.refresh.ms", CPA, Long, &["3600000"], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", CPA, Long, &["10000"], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", CPA, Long, &["100"], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.jwks.endpoint.url", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key(
        "sasl.oauthbearer.jwt.retriever.class",
        CPA,
        Class,
        &["org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"],
        Any,
        Refused(NO_OAUTH),
        "",
    ),
    key(
        "sasl.oauthbearer.jwt.validator.class",
        CPA,
        Class,
        &["org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"],
        Any,
        Refused(NO_OAUTH),
        "",
    ),
    key("sasl.oauthbearer.scope", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.scope.claim.name", CPA, Text, &["scope"], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.sub.claim.name", CPA, Text, &["sub"], Any, Refused(NO_OAUTH), ""),
    key("sasl.oauthbearer.token.endpoint.url", CPA, Text, &[], Any, Refused(NO_OAUTH), ""),
    key(
        "security.protocol",
        CPA,
        Text,
        &["PLAINTEXT"],
        OneOfAnyCase(&["SASL_SSL", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"]),
        Security,
        "",
    ),
    key("security.providers", CPA, Text, &[], Any, Warned(JVM_TLS), ""),
    key(
        "send.buffer.bytes",
        CPA,
        Int,
        &["131072"],
        AtLeast(-1),
        Librdkafka(&[special("socket.send.buffer.bytes")]),
        "The system's default when not set.",
    ),
    key("session.timeout.ms", C, Int, &["45000"], AtLeast(1), Ours, ""),
    key("share.acknowledgement.mode", C, Text, &["implicit"], OneOf(&["implicit", "explicit"]), Refused(NO_SHARE), ""),
    key(
        "share.acquire.mode",
        C,
        Text,
        &["BATCH_OPTIMIZED"],
        OneOfAnyCase(&["batch_optimized", "record_limit"]),
        Refused(NO_SHARE),
        "",
    ),
    key(
        "socket.connection.setup.timeout.max.ms",
        CPA,
        Long,
        &["30000"],
        AtLeast(0),
        Warned("the set-up timeout does not grow"),
        "",
    ),
    key(
        "socket.connection.setup.timeout.ms",
        CPA,
        Long,
        &["10000"],
        AtLeast(0),
        Both(&[number("socket.connection.setup.timeout.ms", 1000, I32_MAX)]),
        "Below 1000 becomes 1000 for librdkafka.",
    ),
    key(
        "ssl.cipher.suites",
        CPA,
        List,
        &[""],
        Any,
        Refused("librdkafka and our client name their cipher suites differently; restrict them on the broker"),
        "",
    ),
    key(
        "ssl.enabled.protocols",
        CPA,
        List,
        &["TLSv1.2,TLSv1.3"],
        Any,
        Refused("TLS 1.2 and 1.3 are spoken; restrict the versions on the broker"),
        "",
    ),
    key(
        "ssl.endpoint.identification.algorithm",
        CPA,
        Text,
        &["https"],
        OneOfAnyCase(&["https", ""]),
        Security,
        "Empty turns the check of the host's name off.",
    ),
    key("ssl.engine.factory.class", CPA, Class, &[], Any, Refused(NO_CLASSES), ""),
    key("ssl.key.password", CPA, Password, &[], Any, Security, "Of an encrypted PEM key."),
    key("ssl.keymanager.algorithm", CPA, Text, &["SunX509"], Any, Warned(JVM_TLS), ""),
    key("ssl.keystore.certificate.chain", CPA, Password, &[], Any, Security, "PEM text."),
    key("ssl.keystore.key", CPA, Password, &[], Any, Security, "PEM text."),
    key("ssl.keystore.location", CPA, Text, &[], Any, Security, "A PEM file with the key and its certificates."),
    key("ssl.keystore.password", CPA, Password, &[], Any, Security, "Refused with PEM, as on the JVM."),
    key(
        "ssl.keystore.type",
        CPA,
        Text,
        &["JKS"],
        Any,
        Security,
        "`PEM`; JKS and PKCS12 are refused with the command that converts them.",
    ),
    key(
        "ssl.protocol",
        CPA,
        Text,
        &["TLSv1.3"],
        Any,
        Warned("TLS 1.2 and 1.3 are spoken, whichever the broker prefers"),
        "",
    ),
    key("ssl.provider", CPA, Text, &[], Any, Warned(JVM_TLS), ""),
    key("ssl.secure.random.implementation", CPA, Text, &[], Any, Warned(JVM_TLS), ""),
    key("ssl.trustmanager.algorithm", CPA, Text, &["PKIX"], Any, Warned(JVM_TLS), ""),
    key("ssl.truststore.certificates", CPA, Password, &[], Any, Security, "PEM text."),
    key(
        "ssl.truststore.location",
        CPA,
        Text,
        &[],
        Any,
        Security,
        "A PEM file. The system's root certificates when neither is set.",
    ),
    key("ssl.truststore.password", CPA, Password, &[], Any, Security, "Refused with PEM, as on the JVM."),
    key(
        "ssl.truststore.type",
        CPA,
        Text,
        &["JKS"],
        Any,
        Security,
        "`PEM`; JKS and PKCS12 are refused with the command that converts them.",
    ),
    key(
        "transaction.timeout.ms",
        P,
        Int,
        &["60000"],
        AtLeast(1000),
        Librdkafka(&[number("transaction.timeout.ms", 1000, I32_MAX)]),
        "10000 when not set, as the JVM's Streams; not below the commit interval.",
    ),
    key(
        "transaction.two.phase.commit.enable",
        P,
        Boolean,
        &["false"],
        Any,
        Refused("transactions are committed by Kafka Streams; set false"),
        "",
    ),
    key(
        "transactional.id",
        P,
        Text,
        &[],
        NonEmpty,
        Fixed("<application.id>-<process id>-<thread>"),
        "Under `exactly_once_v2`; none otherwise.",
    ),
    key("value.deserializer", C, Class, &[], Any, Warned(BY_TYPE), ""),
    key("value.serializer", P, Class, &[], Any, Warned(BY_TYPE), ""),
];

const fn key(
    name: &'static str,
    clients: Clients,
    value_type: ValueType,
    defaults: &'static [&'static str],
    range: Range,
    treatment: Treatment,
    note: &'static str,
) -> ClientKeySpec {
    ClientKeySpec { name, clients, value_type, defaults, range, treatment, note }
}

/// The row of a client's key, without a prefix.
pub(crate) fn find(name: &str) -> Option<&'static ClientKeySpec> {
    let at = CLIENT_KEYS.binary_search_by(|spec| spec.name.cmp(name)).ok()?;
    CLIENT_KEYS.get(at)
}

/// The prefix that addresses a client, and the rest of the key.
pub(crate) fn split(name: &str) -> Option<(ClientPrefix, &str)> {
    CLIENT_PREFIXES.iter().find_map(|prefix| Some((*prefix, name.strip_prefix(prefix.text)?)))
}

#[cfg(test)]
mod tests {
    use super::super::value;
    use super::*;

    #[test]
    fn the_table_equals_the_jvms_keys_clients_types_and_defaults() {
        let mut rows = Vec::new();
        for spec in CLIENT_KEYS {
            let value_type = format!("{}", spec.value_type).to_uppercase();
            rows.push((spec.name, spec.clients.letters(), value_type));
        }
        let jvm: Vec<(&str, std::string::String, std::string::String)> =
            include_str!("testdata/jvm-4.3.0-client-keys.tsv")
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| {
                    let columns: Vec<&str> = line.split('\t').collect();
                    (columns[0], columns[1].to_owned(), columns[2].to_owned())
                })
                .collect();
        assert_eq!(rows, jvm);
    }

    #[test]
    fn the_defaults_equal_the_jvms() {
        for line in include_str!("testdata/jvm-4.3.0-client-keys.tsv").lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let spec = find(columns[0]).unwrap();
            // Required keys are given by Kafka Streams itself.
            let jvm: Vec<std::string::String> = if columns[3] == "null" || columns[3].starts_with("(required)") {
                Vec::new()
            } else {
                columns[3].split(" / ").map(|text| text.trim_matches(['[', ']']).replace(", ", ",")).collect()
            };
            assert_eq!(spec.defaults, jvm, "{}", spec.name);
        }
    }

    #[test]
    fn every_default_is_a_value_that_its_own_row_accepts() {
        for spec in CLIENT_KEYS {
            for default in spec.defaults {
                value::parse(spec.value_type, spec.range, default).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
            }
        }
    }

    #[test]
    fn keys_are_sorted_so_that_they_are_found() {
        assert!(CLIENT_KEYS.is_sorted_by_key(|spec| spec.name));
        assert!(CLIENT_KEYS.iter().all(|spec| find(spec.name) == Some(spec)));
    }

    #[test]
    fn the_longer_prefix_is_split_off() {
        let (prefix, rest) = split("main.consumer.fetch.min.bytes").unwrap();
        assert_eq!((prefix.text, rest), ("main.consumer.", "fetch.min.bytes"));
        assert!(split("fetch.min.bytes").is_none());
    }
}
