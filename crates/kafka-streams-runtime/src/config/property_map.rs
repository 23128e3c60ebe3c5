//! A map of settings as strings that hides the values of secret keys whenever it is printed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::error::ConfigError;
use super::secret::REDACTED;
use super::value::ValueType;
use super::{client_key, key, librdkafka, properties};

/// Settings by key, sorted. `Debug` shows a value only when its key is known and is not secret: a password under a
/// misspelt key is hidden too.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PropertyMap(BTreeMap<String, String>);

impl PropertyMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// The map in a file with the syntax of Java's `.properties` files, in UTF-8. Keys and values are not looked at.
    ///
    /// # Errors
    /// [`ConfigError::File`] when it cannot be read, and [`ConfigError::Syntax`] when it is no properties file.
    pub fn read_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        let entries = properties::read(&text).map_err(|fault| ConfigError::Syntax {
            path: path.to_owned(),
            line: fault.line,
            what: fault.what.to_owned(),
        })?;
        Ok(entries.into_iter().collect())
    }

    /// The value of `key`, secret or not.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets `key`, replacing what was there.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// Keys and values in the order of the keys, secrets in clear.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The plain map, secrets in clear: for the adapter that configures a client with it.
    pub fn into_inner(self) -> BTreeMap<String, String> {
        self.0
    }

    /// The map in the syntax of Java's `.properties` files, one key a line, secrets in clear.
    /// [`StreamsConfig::from_properties_file`](super::StreamsConfig::from_properties_file) reads it back.
    pub fn to_properties_text(&self) -> String {
        properties::write(self.iter())
    }
}

impl fmt::Debug for PropertyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, value)| (key, shown(key, value)))).finish()
    }
}

impl FromIterator<(String, String)> for PropertyMap {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Extend<(String, String)> for PropertyMap {
    fn extend<T: IntoIterator<Item = (String, String)>>(&mut self, entries: T) {
        self.0.extend(entries);
    }
}

impl IntoIterator for PropertyMap {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl PropertyMap {
    /// What was set, without secrets: the entries that may be shown to anyone.
    pub(crate) fn public_entries(&self) -> std::collections::BTreeMap<String, String> {
        let public = self.iter().filter(|(key, value)| !is_secret(key) && !value.contains("-----BEGIN"));
        public.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

/// The longest value that an error or `Debug` prints in full, in characters.
const LONGEST_SHOWN: usize = 120;

/// `value` as it may be printed: hidden when `key` is secret or unknown, cut when it is long.
pub(crate) fn shown(key: &str, value: &str) -> String {
    // A broker list may have been written as a URL with credentials, which is wrong but no reason to print them.
    if is_secret(key) || value.contains('@') || value.contains("-----BEGIN") {
        return REDACTED.to_owned();
    }
    match value.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// Whether the value of `key` must not be printed: the JVM calls it a password, its name sounds like a secret, or nobody
/// knows what it is.
fn is_secret(key: &str) -> bool {
    const PARTS: [&str; 8] =
        ["password", "passphrase", "secret", "token", "jaas", "credential", "private.key", "key.pem"];
    let lower = key.to_ascii_lowercase();
    let name = client_key::split(key).map_or(key, |(_, name)| name);
    PARTS.iter().any(|part| lower.contains(part))
        || client_key::find(name).is_some_and(|spec| spec.value_type == ValueType::Password)
        || !(key::is_known(key) || librdkafka::is_property(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debug_of(key: &str) -> String {
        let mut map = PropertyMap::new();
        map.insert(key, "canary");
        format!("{map:?} {map:#?}")
    }

    #[test]
    fn debug_hides_secret_keys_with_any_prefix() {
        for key in [
            "sasl.jaas.config",
            "producer.sasl.jaas.config",
            "main.consumer.ssl.keystore.key",
            "ssl.key.password",
            "ssl.truststore.password",
            "sasl.password",
            "ssl.key.pem",
            "sasl.oauthbearer.client.credentials.client.secret",
        ] {
            assert!(!debug_of(key).contains("canary"), "{key}");
        }
    }

    #[test]
    fn debug_hides_the_value_of_a_misspelt_key() {
        assert!(!debug_of("sasl.jas.config").contains("canary"));
        assert!(!debug_of("admin.sasl.pasword").contains("canary"));
    }

    #[test]
    fn debug_shows_ordinary_keys() {
        for key in
            ["client.id", "producer.linger.ms", "queued.max.messages.kbytes", "client.tag.zone", "topic.retention.ms"]
        {
            assert!(debug_of(key).contains("canary"), "{key}");
        }
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let shown = shown("client.id", &"ä".repeat(500));
        assert_eq!(shown.chars().count(), LONGEST_SHOWN + 1);
    }
}
