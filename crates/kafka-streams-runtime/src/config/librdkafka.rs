//! How the JVM's client keys become librdkafka's properties: names, units, ranges, and the defaults that we choose.
//!
//! librdkafka only carries data here: it fetches what it is told to with `assign()`, produces, and runs transactions.
//! Group membership is our own, so nothing of a session, a heartbeat or an automatic commit is handed to it.

use super::broker_address::{self, BrokerAddress};
use super::client_key::{CLIENT_KEYS, Clients, Treatment};
use super::client_properties::{ClientProperties, ClientRole};
use super::property_map::PropertyMap;
use super::report::Report;
use super::security::Security;
use super::setting::ProcessingGuarantee;
use super::value::{Range, ValueType};

/// One property of librdkafka that a key of the JVM's sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// librdkafka's name.
    pub to: &'static str,
    /// How the value is translated.
    pub convert: Convert,
}

/// How a value is translated for librdkafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convert {
    /// As it is.
    Text,
    /// In lower case.
    Lowercase,
    /// `true` or `false`.
    Boolean,
    /// A number that is raised to `least`, and refused above `most`.
    Number {
        /// librdkafka's lower bound.
        least: i64,
        /// librdkafka's upper bound.
        most: i64,
    },
    /// By a rule of its own, which the key's note tells.
    Special,
}

pub(crate) const fn text(to: &'static str) -> Mapping {
    Mapping { to, convert: Convert::Text }
}

pub(crate) const fn lowercase(to: &'static str) -> Mapping {
    Mapping { to, convert: Convert::Lowercase }
}

pub(crate) const fn boolean(to: &'static str) -> Mapping {
    Mapping { to, convert: Convert::Boolean }
}

pub(crate) const fn number(to: &'static str, least: i64, most: i64) -> Mapping {
    Mapping { to, convert: Convert::Number { least, most } }
}

pub(crate) const fn special(to: &'static str) -> Mapping {
    Mapping { to, convert: Convert::Special }
}

/// A property that only librdkafka has, and that may be set under a client's prefix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NativeSpec {
    /// librdkafka's name.
    pub name: &'static str,
    /// The clients that have it.
    pub clients: Clients,
    /// Its type.
    pub value_type: ValueType,
    /// librdkafka's range.
    pub range: Range,
    /// The value that we give it, or empty where librdkafka's default stays.
    pub default: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

const C: Clients = Clients::CONSUMER;
const P: Clients = Clients::PRODUCER;

/// How many KiB of fetched records librdkafka holds of each partition; see `consumer.queued.max.messages.kbytes`.
/// librdkafka's own 64 MiB a partition would dwarf the stores' memory budget.
const FETCH_QUEUE_KIB: &str = "4096";

/// librdkafka waits a whole second before it looks again at a partition whose queue was full; with a small queue that
/// would be the pace of the application.
const FETCH_QUEUE_BACKOFF_MS: &str = "10";

/// librdkafka's own properties that may be set under a client's prefix, sorted by name.
pub const NATIVE_KEYS: &[NativeSpec] = &[
    native("batch.num.messages", P, ValueType::Int, Range::Between(1, 1_000_000), "", "The most records of a batch."),
    native(
        "broker.address.family",
        Clients::ALL,
        ValueType::String,
        Range::OneOf(&["any", "v4", "v6"]),
        "",
        "Which addresses of a broker are tried.",
    ),
    native(
        "fetch.error.backoff.ms",
        C,
        ValueType::Int,
        Range::Between(0, 300_000),
        "",
        "How long a partition is left alone after a fetch error.",
    ),
    native(
        "fetch.queue.backoff.ms",
        C,
        ValueType::Int,
        Range::Between(0, 300_000),
        FETCH_QUEUE_BACKOFF_MS,
        "How long a partition is left alone after its queue was found full.",
    ),
    native(
        "queue.buffering.max.messages",
        P,
        ValueType::Int,
        Range::Between(0, 2_147_483_647),
        "",
        "The most records that wait to be sent.",
    ),
    native(
        "queued.max.messages.kbytes",
        C,
        ValueType::Int,
        Range::Between(1, 2_097_151),
        FETCH_QUEUE_KIB,
        "How many KiB of fetched records wait, for each partition.",
    ),
    native(
        "queued.min.messages",
        C,
        ValueType::Int,
        Range::Between(1, 10_000_000),
        "",
        "How many fetched records librdkafka tries to keep waiting, for each partition.",
    ),
    native(
        "sticky.partitioning.linger.ms",
        P,
        ValueType::Int,
        Range::Between(0, 900_000),
        "",
        "How long records without a key and partition go to one partition.",
    ),
];

const fn native(
    name: &'static str,
    clients: Clients,
    value_type: ValueType,
    range: Range,
    default: &'static str,
    doc: &'static str,
) -> NativeSpec {
    NativeSpec { name, clients, value_type, range, default, doc }
}

/// Properties that are set for every client of a kind, or from the security settings.
const SET_BY_US: [&str; 19] = [
    "allow.auto.create.topics",
    "auto.offset.reset",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.metrics.push",
    "enable.partition.eof",
    "group.id",
    "partitioner",
    "sasl.mechanism",
    "sasl.username",
    "security.protocol",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "transactional.id",
    "request.timeout.ms",
];

/// The row of a property of librdkafka's own.
pub(crate) fn find_native(name: &str) -> Option<&'static NativeSpec> {
    NATIVE_KEYS.iter().find(|spec| spec.name == name)
}

/// Whether `name` is a property that the maps made here may contain, other than secret ones.
pub(crate) fn is_property(name: &str) -> bool {
    SET_BY_US.contains(&name) || find_native(name).is_some() || mappings().any(|mapping| mapping.to == name)
}

fn mappings() -> impl Iterator<Item = &'static Mapping> {
    CLIENT_KEYS.iter().flat_map(|spec| match spec.treatment {
        Treatment::Librdkafka(mappings) | Treatment::Both(mappings) => mappings,
        _ => &[],
    })
}

/// `transaction.timeout.ms` when it is not set; `StreamsConfig.DEFAULT_TRANSACTION_TIMEOUT` of the JVM.
pub(crate) const TRANSACTION_TIMEOUT_MS: i64 = 10_000;

/// `linger.ms` when it is not set. The JVM's Streams uses 100, which is most of its latency.
pub(crate) const LINGER_MS: i64 = 5;

/// `request.timeout.ms` of all clients when it is not set; the JVM's clients' default.
pub(crate) const REQUEST_TIMEOUT_MS: i64 = 30_000;

/// `delivery.timeout.ms` when it is not set.
pub(crate) const DELIVERY_TIMEOUT_MS: i64 = 120_000;

/// `retry.backoff.ms` of a transactional producer when it is not set. Transactions that follow one another closely
/// meet CONCURRENT_TRANSACTIONS and wait this long; with 100 that is the whole commit interval.
const TRANSACTION_RETRY_BACKOFF_MS: i64 = 5;

/// librdkafka's `message.max.bytes`, which `fetch.max.bytes` may not be below.
const MESSAGE_MAX_BYTES: i64 = 1_000_000;

/// What all clients of an application share.
pub(crate) struct Common<'a> {
    pub(crate) application_id: &'a str,
    pub(crate) guarantee: ProcessingGuarantee,
    pub(crate) bootstrap: &'a [BrokerAddress],
}

/// The properties of a client in the given role. `client.id` and `transactional.id` are not among them: they name the
/// thread, which is known only at run time.
pub(crate) fn properties(
    common: &Common<'_>,
    role: ClientRole,
    client: &ClientProperties,
    security: &Security,
    report: &mut Report,
) -> PropertyMap {
    let mut map = PropertyMap::new();
    defaults(common, role, client, &mut map);
    for spec in CLIENT_KEYS {
        let (Treatment::Librdkafka(mappings) | Treatment::Both(mappings)) = spec.treatment else { continue };
        let Some(value) = client.text(spec.name) else { continue };
        for mapping in mappings {
            translate(client, spec.name, value, *mapping, &mut map, report);
        }
    }
    for (name, value) in client.natives() {
        map.insert(name, value);
    }
    match role {
        ClientRole::Producer => finish_producer(common, client, &mut map),
        ClientRole::Admin => {
            // Retrying is the admin client's own matter, and librdkafka has no such property for consumers.
            map.remove("retries");
        }
        ClientRole::MainConsumer | ClientRole::RestoreConsumer | ClientRole::GlobalConsumer => {
            finish_consumer(common, role, client, &mut map);
        }
    }
    security.to_librdkafka(&mut map);
    map
}

fn defaults(common: &Common<'_>, role: ClientRole, client: &ClientProperties, map: &mut PropertyMap) {
    map.insert("bootstrap.servers", broker_address::join(common.bootstrap));
    // librdkafka would push its own metrics, which nobody asked for.
    map.insert("enable.metrics.push", "false");
    // The JVM's clients reconnect faster than librdkafka.
    let (reconnect, reconnect_max) = client.backoff("reconnect.backoff.ms", "reconnect.backoff.max.ms", 50);
    map.insert("reconnect.backoff.ms", reconnect.to_string());
    map.insert("reconnect.backoff.max.ms", reconnect_max.to_string());
    let is_transactional = role == ClientRole::Producer && common.guarantee == ProcessingGuarantee::ExactlyOnceV2;
    let retry = if is_transactional { TRANSACTION_RETRY_BACKOFF_MS } else { 100 };
    let (retry, retry_max) = client.backoff("retry.backoff.ms", "retry.backoff.max.ms", retry);
    map.insert("retry.backoff.ms", retry.max(1).to_string());
    map.insert("retry.backoff.max.ms", retry_max.max(1).to_string());
    map.insert("connections.max.idle.ms", "540000");
    map.insert("socket.connection.setup.timeout.ms", "10000");
    match role {
        ClientRole::Producer => {
            map.insert("acks", "-1");
            map.insert("queue.buffering.max.kbytes", "32768");
            map.insert("message.max.bytes", "1048576");
            map.insert("linger.ms", LINGER_MS.to_string());
            // The JVM's default partitioner, for records that no partition was chosen for.
            map.insert("partitioner", "murmur2_random");
            if is_transactional {
                map.insert("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string());
            }
        }
        ClientRole::Admin => {}
        ClientRole::MainConsumer | ClientRole::RestoreConsumer | ClientRole::GlobalConsumer => {
            map.insert("check.crcs", "true");
            map.insert("isolation.level", "read_uncommitted");
            map.insert("queued.max.messages.kbytes", FETCH_QUEUE_KIB);
            map.insert("fetch.queue.backoff.ms", FETCH_QUEUE_BACKOFF_MS);
        }
    }
}

fn translate(
    client: &ClientProperties,
    name: &str,
    value: &str,
    mapping: Mapping,
    map: &mut PropertyMap,
    report: &mut Report,
) {
    let key = client.key_of(name);
    match mapping.convert {
        Convert::Text => map.insert(mapping.to, value),
        Convert::Lowercase => map.insert(mapping.to, value.to_ascii_lowercase()),
        Convert::Boolean => {
            if let Some(flag) = client.boolean(name) {
                map.insert(mapping.to, flag.to_string());
            }
        }
        Convert::Number { least, most } => {
            if let Some(number) = client.number(name) {
                bounded(key, value, number.max(least), most, mapping.to, map, report);
            }
        }
        Convert::Special => {
            let Some(number) = client.number(name) else {
                if name == "acks" {
                    map.insert(mapping.to, if value == "all" { "-1" } else { value });
                }
                return;
            };
            match name {
                "buffer.memory" => {
                    let kib = number.saturating_add(1023).div_euclid(1024).max(1);
                    bounded(key, value, kib, i32::MAX.into(), mapping.to, map, report);
                }
                "compression.gzip.level" | "compression.lz4.level" | "compression.zstd.level" => {
                    let codec = client.text("compression.type").unwrap_or("none");
                    if name.split('.').nth(1) == Some(codec) {
                        let most = if codec == "gzip" { 9 } else { 12 };
                        if number < -1 {
                            report.bad_value(key, value, "a level from -1 to 12, librdkafka's range");
                        } else {
                            bounded(key, value, number, most, mapping.to, map, report);
                        }
                    }
                }
                // A negative time means never, which is 0 for librdkafka.
                "connections.max.idle.ms" => {
                    let idle = if number < 0 { 0 } else { number.max(1) };
                    bounded(key, value, idle, i32::MAX.into(), mapping.to, map, report);
                }
                // -1 means the system's default, which is 0 for librdkafka.
                "receive.buffer.bytes" | "send.buffer.bytes" => {
                    bounded(key, value, number.max(0), 100_000_000, mapping.to, map, report);
                }
                "fetch.max.bytes" => {
                    let bytes = number.max(1000);
                    bounded(key, value, bytes, 2_147_483_135, mapping.to, map, report);
                    if bytes < MESSAGE_MAX_BYTES {
                        map.insert("message.max.bytes", bytes.to_string());
                    }
                }
                "request.timeout.ms" => bounded(key, value, number.max(10), 300_000, mapping.to, map, report),
                // `delivery.timeout.ms` depends on the guarantee; see `finish_producer`.
                _ => {}
            }
        }
    }
}

fn bounded(key: &str, value: &str, number: i64, most: i64, to: &str, map: &mut PropertyMap, report: &mut Report) {
    if number > most {
        report.bad_value(key, value, &format!("at most {most}, as librdkafka takes no more"));
    } else {
        map.insert(to, number.to_string());
    }
}

fn finish_producer(common: &Common<'_>, client: &ClientProperties, map: &mut PropertyMap) {
    let request_timeout = client.number("request.timeout.ms").unwrap_or(REQUEST_TIMEOUT_MS).max(10);
    match common.guarantee {
        ProcessingGuarantee::ExactlyOnceV2 => {
            map.insert("enable.idempotence", "true");
            // librdkafka demands that a request, and a delivery, cannot outlive the transaction.
            let transaction_timeout = client.number("transaction.timeout.ms").unwrap_or(TRANSACTION_TIMEOUT_MS);
            let request_timeout = request_timeout.min(transaction_timeout);
            map.insert("socket.timeout.ms", request_timeout.min(300_000).to_string());
            map.insert("request.timeout.ms", request_timeout.min(900_000).to_string());
            if let Some(delivery) = client.number("delivery.timeout.ms").filter(|ms| *ms <= transaction_timeout) {
                map.insert("delivery.timeout.ms", delivery.to_string());
            }
        }
        ProcessingGuarantee::AtLeastOnce => {
            map.remove("transaction.timeout.ms");
            map.insert("enable.idempotence", idempotent(client).to_string());
            map.insert("request.timeout.ms", request_timeout.min(900_000).to_string());
            map.insert("delivery.timeout.ms", delivery_timeout_ms(client).to_string());
        }
    }
}

/// Whether a producer without transactions is idempotent: unless it was turned off, or settings that exclude it were
/// made without asking for it, as `ProducerConfig` of the JVM has it.
fn idempotent(client: &ClientProperties) -> bool {
    client.boolean("enable.idempotence").unwrap_or_else(|| breaks_idempotence(client).is_none())
}

/// The first setting that idempotence does not allow, with the reason.
pub(crate) fn breaks_idempotence(client: &ClientProperties) -> Option<(&'static str, &'static str)> {
    if client.text("acks").is_some_and(|acks| acks != "all" && acks != "-1") {
        Some(("acks", "it needs acks=all"))
    } else if client.number("retries") == Some(0) {
        Some(("retries", "it needs retries"))
    } else if client.number("max.in.flight.requests.per.connection").is_some_and(|requests| requests > 5) {
        Some(("max.in.flight.requests.per.connection", "it allows at most 5 requests in flight"))
    } else {
        None
    }
}

/// The delivery timeout without transactions. When it is not set it grows with the times it must cover, as in
/// `KafkaProducer.configureDeliveryTimeout`.
fn delivery_timeout_ms(client: &ClientProperties) -> i64 {
    let covered = covered_by_delivery_timeout_ms(client);
    client.number("delivery.timeout.ms").unwrap_or(DELIVERY_TIMEOUT_MS.max(covered)).min(i32::MAX.into())
}

/// What a delivery timeout has to cover: the wait for a full batch, and one request.
pub(crate) fn covered_by_delivery_timeout_ms(client: &ClientProperties) -> i64 {
    let linger = client.number("linger.ms").unwrap_or(LINGER_MS);
    linger.saturating_add(client.number("request.timeout.ms").unwrap_or(REQUEST_TIMEOUT_MS).max(10))
}

fn finish_consumer(common: &Common<'_>, role: ClientRole, client: &ClientProperties, map: &mut PropertyMap) {
    // Needed to hand offsets to a transaction; with `assign()` alone librdkafka does not join the group.
    map.insert("group.id", common.application_id);
    map.insert("enable.auto.commit", "false");
    map.insert("enable.auto.offset.store", "false");
    map.insert("allow.auto.create.topics", "false");
    // Positions are always explicit. One that the broker does not have is an error for us to judge, never a silent jump.
    map.insert("auto.offset.reset", "error");
    match role {
        ClientRole::MainConsumer => {
            if common.guarantee == ProcessingGuarantee::ExactlyOnceV2 {
                map.insert("isolation.level", "read_committed");
            }
        }
        // S8: whatever feeds a store reads only committed records, under either guarantee.
        _ => {
            map.insert("isolation.level", "read_committed");
            // The end of a log of control or aborted records is seen only by its end-of-partition event.
            map.insert("enable.partition.eof", "true");
        }
    }
    if let Some(kib) = map.get("queued.max.messages.kbytes").and_then(|kib| kib.parse::<i64>().ok())
        && client.text("fetch.max.bytes").is_none()
    {
        // librdkafka does the same by itself; stated, so that the bound is seen where it is made.
        let bytes = kib.saturating_mul(1024).clamp(MESSAGE_MAX_BYTES, 52_428_800);
        map.insert("fetch.max.bytes", bytes.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, kind and range of every property that librdkafka has.
    fn of_librdkafka() -> Vec<(&'static str, &'static str, &'static str)> {
        include_str!("testdata/librdkafka-2.12.1-properties.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let columns: Vec<&str> = line.split('\t').collect();
                (columns[0], columns[1], columns.get(2).copied().unwrap_or(""))
            })
            .collect()
    }

    fn bounds(range: &str) -> Option<(i64, i64)> {
        let (least, most) = range.split_once(" .. ")?;
        Some((least.parse().ok()?, most.parse().ok()?))
    }

    #[test]
    fn every_property_that_we_set_exists_in_librdkafka() {
        let known = of_librdkafka();
        let ours =
            mappings().map(|mapping| mapping.to).chain(SET_BY_US).chain(NATIVE_KEYS.iter().map(|spec| spec.name));
        for name in ours {
            assert!(known.iter().any(|(property, ..)| *property == name), "{name}");
        }
    }

    #[test]
    fn numbers_that_we_pass_on_fit_librdkafkas_ranges() {
        let known = of_librdkafka();
        for mapping in mappings() {
            let Convert::Number { least, most } = mapping.convert else { continue };
            let (.., range) = known.iter().find(|(property, ..)| *property == mapping.to).unwrap();
            let (lowest, highest) = bounds(range).unwrap_or_else(|| panic!("{}: {range}", mapping.to));
            assert!(lowest <= least && most <= highest, "{}: {least}..{most} is not in {range}", mapping.to);
        }
        for spec in NATIVE_KEYS {
            let Range::Between(least, most) = spec.range else { continue };
            let (.., range) = known.iter().find(|(property, ..)| *property == spec.name).unwrap();
            assert_eq!(bounds(range), Some((least, most)), "{}", spec.name);
        }
    }

    #[test]
    fn native_keys_are_no_keys_of_the_jvms() {
        assert!(NATIVE_KEYS.is_sorted_by_key(|spec| spec.name));
        for spec in NATIVE_KEYS {
            assert!(super::super::client_key::find(spec.name).is_none(), "{}", spec.name);
        }
    }
}
