//! What somebody who set an unknown key probably meant.

use super::client_key::{self, CLIENT_KEYS, CLIENT_PREFIXES, Clients};
use super::key::{CLIENT_TAG_PREFIX, OWN_KEYS, STREAMS_KEYS, TOPIC_KEYS, TOPIC_PREFIX};
use super::librdkafka::{self, NATIVE_KEYS};

/// librdkafka's names for what the JVM names otherwise, which its users are used to.
const OF_LIBRDKAFKA: [(&str, &str); 12] = [
    ("metadata.broker.list", "bootstrap.servers"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.username", "sasl.jaas.config"),
    ("sasl.password", "sasl.jaas.config"),
    ("ssl.ca.location", "ssl.truststore.location"),
    ("ssl.ca.pem", "ssl.truststore.certificates"),
    ("ssl.certificate.location", "ssl.keystore.location"),
    ("ssl.certificate.pem", "ssl.keystore.certificate.chain"),
    ("ssl.key.location", "ssl.keystore.location"),
    ("ssl.key.pem", "ssl.keystore.key"),
    ("fetch.wait.max.ms", "fetch.max.wait.ms"),
    ("queue.buffering.max.ms", "linger.ms"),
];

/// A hint for an unknown key, when there is a good one.
pub(crate) fn hint(unknown: &str) -> Option<String> {
    let (prefix, name, clients) = match client_key::split(unknown) {
        Some((prefix, name)) => (prefix.text, name, Some(prefix.clients)),
        None => ("", unknown, None),
    };
    if let Some((_, jvm)) = OF_LIBRDKAFKA.iter().find(|(theirs, _)| *theirs == name) {
        return Some(format!("that is librdkafka's name; set `{prefix}{jvm}`"));
    }
    if unknown.starts_with("__") || unknown.starts_with("internal.") {
        return Some("the JVM's private settings cannot be made here".to_owned());
    }
    if let Some(topic_key) = unknown.strip_prefix(TOPIC_PREFIX) {
        let known = TOPIC_KEYS.iter().map(|known| format!("{TOPIC_PREFIX}{known}"));
        return nearest(&format!("{TOPIC_PREFIX}{topic_key}"), known);
    }
    if let Some(spec) = librdkafka::find_native(name) {
        let prefix =
            CLIENT_PREFIXES.iter().rev().find(|prefix| prefix.clients.meets(spec.clients)).map_or("", |p| p.text);
        let prefix = if spec.clients == Clients::CONSUMER { "consumer." } else { prefix };
        return Some(format!("did you mean `{prefix}{name}`?"));
    }
    match clients {
        Some(clients) => {
            if let Some(spec) = client_key::find(name) {
                return Some(format!("`{name}` is a key of {} only", of(spec.clients)));
            }
            if STREAMS_KEYS.iter().chain(OWN_KEYS).any(|spec| spec.name == name) {
                return Some(format!("set `{name}` without a prefix"));
            }
            let keys = CLIENT_KEYS.iter().filter(|spec| spec.clients.meets(clients)).map(|spec| spec.name);
            let natives = NATIVE_KEYS.iter().filter(|spec| spec.clients.meets(clients)).map(|spec| spec.name);
            nearest(unknown, keys.chain(natives).map(|known| format!("{prefix}{known}")))
        }
        None => {
            let streams = STREAMS_KEYS.iter().chain(OWN_KEYS).map(|spec| spec.name.to_owned());
            let clients = CLIENT_KEYS.iter().map(|spec| spec.name.to_owned());
            // A misspelt prefix: every known key with each prefix is a candidate.
            let prefixed = CLIENT_PREFIXES.iter().flat_map(|prefix| {
                let keys = CLIENT_KEYS.iter().filter(|spec| spec.clients.meets(prefix.clients));
                keys.map(|spec| format!("{}{}", prefix.text, spec.name))
            });
            let topics = TOPIC_KEYS.iter().map(|known| format!("{TOPIC_PREFIX}{known}"));
            let tags = std::iter::once(format!("{CLIENT_TAG_PREFIX}<tag>"));
            nearest(unknown, streams.chain(clients).chain(prefixed).chain(topics).chain(tags))
        }
    }
}

fn of(clients: Clients) -> String {
    let names =
        [(Clients::CONSUMER, "consumers"), (Clients::PRODUCER, "producers"), (Clients::ADMIN, "the admin client")];
    let named: Vec<&str> = names.iter().filter(|(kind, _)| kind.meets(clients)).map(|(_, name)| *name).collect();
    named.join(" and ")
}

/// The candidate with the fewest edits, when they are few for a key of its length; the first of equals.
fn nearest(unknown: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    // An absurdly long key is near nothing, and not worth the time.
    if unknown.len() > 200 {
        return None;
    }
    let unknown = unknown.to_ascii_lowercase().replace('_', ".");
    let most = (unknown.chars().count() / 4).clamp(1, 6);
    let length = unknown.chars().count();
    let distance = |known: &str| {
        let known = known.to_ascii_lowercase().replace('_', ".");
        let missing = known.chars().count().abs_diff(length);
        // A unit or a last word that was left out is no misspelling.
        if length > 4 && known.strip_prefix(&unknown).is_some_and(|rest| rest.starts_with('.')) {
            return Some((missing.min(most), missing));
        }
        // Every character too few or too many is an edit, so most candidates need no closer look.
        let edits = if missing > most { missing } else { strsim::damerau_levenshtein(&unknown, &known) };
        (edits <= most).then_some((edits, edits))
    };
    let near = candidates.filter_map(|known| Some((distance(&known)?, known)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, best)| format!("did you mean `{best}`?"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn misspelt_keys_find_their_key() {
        for (unknown, meant) in [
            ("comit.interval.ms", "commit.interval.ms"),
            ("commit.interval", "commit.interval.ms"),
            ("processing_guarantee", "processing.guarantee"),
            ("NUM.STREAM.THREADS", "num.stream.threads"),
            ("consumer.max.pol.interval.ms", "consumer.max.poll.interval.ms"),
            ("poducer.linger.ms", "producer.linger.ms"),
            ("topic.retention.sm", "topic.retention.ms"),
            ("memory.budget", "memory.budget.bytes"),
            ("queued.max.messages.kbytes", "consumer.queued.max.messages.kbytes"),
            ("batch.num.messages", "producer.batch.num.messages"),
            ("ssl.ca.location", "ssl.truststore.location"),
            ("producer.sasl.password", "producer.sasl.jaas.config"),
            ("consumer.application.id", "application.id"),
        ] {
            let hint = hint(unknown).unwrap_or_else(|| panic!("{unknown}"));
            assert!(hint.contains(&format!("`{meant}`")), "{unknown}: {hint}");
        }
    }

    #[test]
    fn a_key_of_another_client_says_whose_it_is() {
        assert_eq!(hint("producer.fetch.min.bytes").unwrap(), "`fetch.min.bytes` is a key of consumers only");
    }

    #[test]
    fn what_is_like_nothing_gets_no_hint() {
        assert_eq!(hint("com.example.mine"), None);
        assert_eq!(hint(""), None);
        assert_eq!(hint(&"x".repeat(100_000)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_key_panics(key in any::<String>()) {
            let _ = hint(&key);
            let _ = hint(&format!("main.consumer.{key}"));
        }
    }
}
