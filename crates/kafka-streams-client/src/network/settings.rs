//! Where the brokers are, and how both sides prove who they are. Plain data.

use std::fmt;
use std::time::Duration;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// This host and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Address { host: host.into(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How to reach the brokers. The defaults of the times are those of the JVM's clients.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// `bootstrap.servers`: brokers to begin with. At least one.
    pub bootstrap: Vec<Address>,
    /// `client.id`: what the broker's log and quotas call us.
    pub client_id: String,
    /// `request.timeout.ms`: an answer that takes longer costs the connection. Requests that wait for other members of a
    /// group are given more.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`: for connecting, handshakes and authentication together.
    pub connect_timeout: Duration,
    /// `reconnect.backoff.ms`: wait before a broker that could not be reached is tried again; doubles with each failure.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`: the longest such wait.
    pub reconnect_backoff_max: Duration,
    /// Seed of the jitter (± 20 %) of these waits. Any number that differs between processes.
    pub jitter_seed: u64,
    /// Encryption and authentication.
    pub security: Security,
}

impl ConnectionSettings {
    /// Plain text to these brokers, with the default times.
    pub fn new(bootstrap: Vec<Address>, client_id: impl Into<String>) -> Self {
        ConnectionSettings {
            bootstrap,
            client_id: client_id.into(),
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            jitter_seed: 0,
            security: Security::default(),
        }
    }
}

/// `security.protocol`, taken apart: PLAINTEXT is neither, SSL is `tls`, SASL_PLAINTEXT is `sasl`, SASL_SSL is both.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// Encryption, and proof that the broker is who it says.
    pub tls: Option<Tls>,
    /// Proof that we are who we say.
    pub sasl: Option<Sasl>,
}

/// TLS 1.2 or 1.3.
#[derive(Clone, Debug)]
pub struct Tls {
    /// `ssl.truststore.certificates`: PEM text of the authorities to trust; `None` trusts those of the operating system.
    pub authorities: Option<String>,
    /// The certificate that we show, for brokers that want one.
    pub identity: Option<TlsIdentity>,
    /// Whether the broker's certificate must be for the host that we connect to
    /// (`ssl.endpoint.identification.algorithm`: `https` is true, the empty text false).
    pub verify_host: bool,
}

impl Default for Tls {
    /// The operating system's authorities, no certificate of our own, host names verified.
    fn default() -> Self {
        Tls { authorities: None, identity: None, verify_host: true }
    }
}

/// Our own certificate and its key.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    /// `ssl.keystore.certificate.chain`: PEM text, our certificate first.
    pub certificates: String,
    /// `ssl.keystore.key`: PEM text of the private key.
    pub key: Secret,
    /// `ssl.key.password`: for a key in an `ENCRYPTED PRIVATE KEY` block (PKCS #8).
    pub key_password: Option<Secret>,
}

/// User name and password, and how they are shown to the broker.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// The mechanism.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// `sasl.mechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// The password itself (RFC 4616); only over TLS, unless the network is trusted.
    Plain,
    /// Proof of knowing the password (RFC 7677).
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A text that is never printed: no `Display`, and `Debug` shows `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_settings_hides_password_and_key() {
        let mut settings = ConnectionSettings::new(vec![Address::new("::1", 9092)], "c");
        settings.security.sasl = Some(Sasl {
            mechanism: SaslMechanism::Plain,
            username: "alice".into(),
            password: Secret::new("canary-password"),
        });
        settings.security.tls = Some(Tls {
            identity: Some(TlsIdentity {
                certificates: "chain".into(),
                key: Secret::new("canary-key"),
                key_password: Some(Secret::new("canary-key-password")),
            }),
            ..Tls::default()
        });
        let shown = format!("{settings:?} {settings:#?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("alice") && shown.contains("[redacted]"));
        assert_eq!(settings.bootstrap[0].to_string(), "[::1]:9092");
    }
}
