//! What `broker.json` says of a broker: its listeners with TLS and SASL, users and certificates.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

/// The state file of a broker that `cargo xtask kafka up` started.
#[derive(Clone, Debug)]
pub struct BrokerFile(Value);

impl BrokerFile {
    /// The file of the broker that `cargo xtask test` started; `None` with a note outside of it.
    ///
    /// # Errors
    /// The file cannot be read.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub fn get() -> Result<Option<BrokerFile>> {
        match std::env::var("KAFKA_STREAMS_TEST_BROKER_FILE") {
            Ok(path) if !path.is_empty() => {
                let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
                Ok(Some(BrokerFile(serde_json::from_str(&text)?)))
            }
            _ => {
                eprintln!("skipped: KAFKA_STREAMS_TEST_BROKER_FILE is not set; run `cargo xtask test`");
                Ok(None)
            }
        }
    }

    /// Address of a listener: `sasl_plaintext`, `sasl_ssl` or `ssl`.
    ///
    /// # Errors
    /// The broker has none.
    pub fn listener(&self, name: &str) -> Result<String> {
        self.security(name)
    }

    /// Path of a PEM file: `ca_pem`, `other_ca_pem`, `client_certificate_pem` or `client_key_pem`.
    ///
    /// # Errors
    /// The broker has none.
    pub fn pem(&self, name: &str) -> Result<PathBuf> {
        self.security(name).map(PathBuf::from)
    }

    /// The password of a user.
    ///
    /// # Errors
    /// There is no such user.
    pub fn password(&self, user: &str) -> Result<String> {
        let users = self.0.pointer("/security/users").and_then(Value::as_array).context("the broker has users")?;
        let found = users.iter().find(|found| found.get("name").and_then(Value::as_str) == Some(user));
        let password = found.and_then(|found| found.get("password")).and_then(Value::as_str);
        Ok(password.with_context(|| format!("the broker has a user {user}"))?.to_owned())
    }

    fn security(&self, key: &str) -> Result<String> {
        let found = self.0.pointer(&format!("/security/{key}")).and_then(Value::as_str);
        Ok(found.with_context(|| format!("the broker has {key}: start it with --with-tls-sasl"))?.to_owned())
    }
}
