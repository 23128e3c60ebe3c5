//! The settings that one client gets, after the prefixes have been weighed.

use std::collections::BTreeMap;

use super::client_key::{self, Clients};
use super::librdkafka;
use super::property_map::PropertyMap;
use super::value::{self, Range, Value};

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientRole {
    /// Fetches source and repartition topics.
    MainConsumer,
    /// Fetches changelogs.
    RestoreConsumer,
    /// Fetches the topics of global stores.
    GlobalConsumer,
    /// Writes all topics.
    Producer,
    /// Creates and looks at topics.
    Admin,
}

impl ClientRole {
    fn clients(self) -> Clients {
        match self {
            Self::MainConsumer | Self::RestoreConsumer | Self::GlobalConsumer => Clients::CONSUMER,
            Self::Producer => Clients::PRODUCER,
            Self::Admin => Clients::ADMIN,
        }
    }

    /// The prefixes that address this client, the winning one last.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::MainConsumer => &["consumer.", "main.consumer."],
            Self::RestoreConsumer => &["consumer.", "restore.consumer."],
            Self::GlobalConsumer => &["consumer.", "global.consumer."],
            Self::Producer => &["producer."],
            Self::Admin => &["admin."],
        }
    }
}

/// Keys that mean something else without a prefix, and are not handed to clients then.
const NOT_INHERITED: [&str; 3] = ["bootstrap.servers", "client.id", "group.protocol"];

/// A setting as a client sees it.
struct Entry {
    /// The key as it was set, with its prefix.
    key: String,
    /// The value, without white space around it.
    value: String,
}

/// The settings of one client: of each key the one whose prefix wins. Values that are wrong are as good as not set
/// here; they were reported when each key was checked.
pub(crate) struct ClientProperties {
    entries: BTreeMap<&'static str, Entry>,
    natives: BTreeMap<&'static str, String>,
}

impl ClientProperties {
    /// The settings of the client in `role` out of all settings of an application.
    pub(crate) fn new(all: &PropertyMap, role: ClientRole) -> Self {
        let mut this = Self { entries: BTreeMap::new(), natives: BTreeMap::new() };
        for (key, value) in all.iter() {
            if !NOT_INHERITED.contains(&key) {
                this.add(key, key, value, role);
            }
        }
        for prefix in role.prefixes() {
            for (key, value) in all.iter() {
                if let Some(name) = key.strip_prefix(prefix) {
                    this.add(name, key, value, role);
                }
            }
        }
        this
    }

    fn add(&mut self, name: &str, key: &str, value: &str, role: ClientRole) {
        if let Some(spec) = client_key::find(name).filter(|spec| spec.clients.meets(role.clients())) {
            self.entries.insert(spec.name, Entry { key: key.to_owned(), value: value.trim().to_owned() });
        } else if let Some(spec) = librdkafka::find_native(name)
            // Only under a prefix: nothing of librdkafka's is a key of the application.
            && key != name
            && spec.clients.meets(role.clients())
            && value::parse(spec.value_type, spec.range, value).is_ok()
        {
            self.natives.insert(spec.name, value.trim().to_owned());
        }
    }

    /// The value of `name`, when it is set and right.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.parsed(name, false).map(|(text, _)| text)
    }

    /// The number that `name` is set to.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        match self.parsed(name, false)? {
            (_, Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// Whether `name` is set to `true` or `false`.
    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        match self.parsed(name, false)? {
            (_, Value::Boolean(flag)) => Some(flag),
            _ => None,
        }
    }

    /// A wait that grows, from its first to its longest, in milliseconds. When only one of the two is set the other
    /// follows, so that the first is never above the longest; when neither is, they are `default` and a second.
    pub(crate) fn backoff(&self, first: &str, longest: &str, default: i64) -> (i64, i64) {
        match (self.number(first), self.number(longest)) {
            (Some(first), longest) => (first, longest.unwrap_or(first.max(1000))),
            (None, Some(longest)) => (default.min(longest), longest),
            (None, None) => (default, 1000),
        }
    }

    /// The value of `name` when it is set and not empty, whatever its row says of its range.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.parsed(name, true).map(|(text, _)| text).filter(|text| !text.is_empty())
    }

    /// The key, with its prefix, that `name` was set by; `name` itself when it was not.
    pub(crate) fn key_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.entries.get(name).map_or(name, |entry| &entry.key)
    }

    /// librdkafka's own properties that were set for this client.
    pub(crate) fn natives(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.natives.iter().map(|(name, value)| (*name, value.as_str()))
    }

    fn parsed(&self, name: &str, any: bool) -> Option<(&str, Value)> {
        let spec = client_key::find(name)?;
        let entry = self.entries.get(name)?;
        let range = if any { Range::Any } else { spec.range };
        Some((&entry.value, value::parse(spec.value_type, range, &entry.value).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(entries: &[(&str, &str)]) -> PropertyMap {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_more_particular_prefix_wins() {
        let all = all(&[
            ("fetch.min.bytes", "1"),
            ("consumer.fetch.min.bytes", "2"),
            ("main.consumer.fetch.min.bytes", "3"),
            ("linger.ms", "4"),
            ("producer.linger.ms", "5"),
        ]);
        let number = |role, name| ClientProperties::new(&all, role).number(name);
        assert_eq!(number(ClientRole::MainConsumer, "fetch.min.bytes"), Some(3));
        assert_eq!(number(ClientRole::RestoreConsumer, "fetch.min.bytes"), Some(2));
        assert_eq!(number(ClientRole::Producer, "fetch.min.bytes"), None);
        assert_eq!(number(ClientRole::Producer, "linger.ms"), Some(5));
        let main = ClientProperties::new(&all, ClientRole::MainConsumer);
        assert_eq!(main.key_of("fetch.min.bytes"), "main.consumer.fetch.min.bytes");
    }

    #[test]
    fn librdkafkas_own_properties_need_a_prefix() {
        let all = all(&[("queued.min.messages", "1"), ("consumer.queued.max.messages.kbytes", "7")]);
        let main = ClientProperties::new(&all, ClientRole::MainConsumer);
        assert_eq!(main.natives().collect::<Vec<_>>(), [("queued.max.messages.kbytes", "7")]);
    }

    #[test]
    fn the_applications_own_keys_are_not_inherited() {
        let all = all(&[("client.id", "x"), ("group.protocol", "classic")]);
        let main = ClientProperties::new(&all, ClientRole::MainConsumer);
        assert_eq!((main.text("client.id"), main.text("group.protocol")), (None, None));
    }
}
