//! How connections are secured: one description that both librdkafka and our own client are set up from.
//!
//! The keys are the JVM's (`security.protocol`, `sasl.*`, `ssl.*`). Java key stores cannot be read here; they are refused
//! with the command that converts them to PEM.

use std::path::Path;

use super::client_properties::ClientProperties;
use super::jaas;
use super::pem::{self, Pem, PemKind};
use super::property_map::PropertyMap;
use super::report::Report;
use super::secret::Secret;

/// The value of `security.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// The JVM's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// Whether connections are encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether connections log in.
    pub fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];
        all.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(text))
    }
}

/// The value of `sasl.mechanism`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password is sent as it is: only over TLS.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512].into_iter().find(|mechanism| mechanism.name() == text)
    }

    /// The JVM's login module of the mechanism.
    pub(crate) fn login_module(self) -> &'static str {
        match self {
            Self::Plain => "org.apache.kafka.common.security.plain.PlainLoginModule",
            Self::ScramSha256 | Self::ScramSha512 => "org.apache.kafka.common.security.scram.ScramLoginModule",
        }
    }
}

/// How connections are secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// The protocol, which says whether the other two are there.
    pub protocol: SecurityProtocol,
    /// The login, with the SASL protocols.
    pub sasl: Option<Sasl>,
    /// The encryption, with the SSL protocols.
    pub tls: Option<Tls>,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    /// How to log in.
    pub mechanism: SaslMechanism,
    /// As whom.
    pub username: String,
    /// With what.
    pub password: Secret,
}

/// How connections are encrypted. TLS 1.2 and 1.3 are spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificates that brokers are trusted by; the system's root certificates when `None`.
    pub ca: Option<Pem>,
    /// The client's own certificate, for brokers that ask for one.
    pub identity: Option<Identity>,
    /// Whether the broker's certificate must be for the host that was connected to.
    pub check_hostname: bool,
}

/// A client's certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, followed by those that vouch for it. May be a file that holds the key as well.
    pub certificate_chain: Pem,
    /// The private key. May be a file that holds the certificates as well.
    pub key: Pem,
    /// The password of the key, when it is encrypted.
    pub key_password: Option<Secret>,
}

impl Security {
    /// No encryption and no login.
    pub fn plaintext() -> Self {
        Self { protocol: SecurityProtocol::Plaintext, sasl: None, tls: None }
    }

    /// Adds librdkafka's properties that describe this.
    pub(crate) fn to_librdkafka(&self, map: &mut PropertyMap) {
        map.insert("security.protocol", self.protocol.name().to_ascii_lowercase());
        if let Some(sasl) = &self.sasl {
            map.insert("sasl.mechanism", sasl.mechanism.name());
            map.insert("sasl.username", sasl.username.as_str());
            map.insert("sasl.password", sasl.password.expose());
        }
        let Some(tls) = &self.tls else { return };
        let mut put = |location: &str, text: &str, pem: &Pem| match pem {
            Pem::File(path) => map.insert(location, path.display().to_string()),
            Pem::Text(pem) => map.insert(text, pem.expose()),
        };
        if let Some(ca) = &tls.ca {
            put("ssl.ca.location", "ssl.ca.pem", ca);
        }
        if let Some(identity) = &tls.identity {
            put("ssl.certificate.location", "ssl.certificate.pem", &identity.certificate_chain);
            put("ssl.key.location", "ssl.key.pem", &identity.key);
            if let Some(password) = &identity.key_password {
                map.insert("ssl.key.password", password.expose());
            }
        }
        let check = if tls.check_hostname { "https" } else { "none" };
        map.insert("ssl.endpoint.identification.algorithm", check);
    }

    /// Reads the security settings of one client. What is wrong goes to the report, and something harmless is returned.
    pub(crate) fn read(client: &ClientProperties, report: &mut Report) -> Self {
        let protocol = client.text("security.protocol").and_then(SecurityProtocol::parse);
        let protocol = protocol.unwrap_or(SecurityProtocol::Plaintext);
        let tls = if protocol.has_tls() { Some(read_tls(client, report)) } else { None };
        let sasl = if protocol.has_sasl() { read_sasl(client, report) } else { None };
        warn_of_unused(client, protocol, report);
        Self { protocol, sasl, tls }
    }
}

/// Settings that the protocol leaves without effect: most likely the protocol was forgotten.
fn warn_of_unused(client: &ClientProperties, protocol: SecurityProtocol, report: &mut Report) {
    const OF_TLS: [&str; 5] = [
        "ssl.truststore.location",
        "ssl.truststore.certificates",
        "ssl.keystore.location",
        "ssl.keystore.certificate.chain",
        "ssl.keystore.key",
    ];
    let mut warn = |name: &str, needs: &str| {
        if client.filled(name).is_some() {
            let message = format!("no effect, as security.protocol is {} and not {needs}", protocol.name());
            report.warn(client.key_of(name), message);
        }
    };
    if !protocol.has_sasl() {
        warn("sasl.jaas.config", "SASL_SSL or SASL_PLAINTEXT");
    }
    if !protocol.has_tls() {
        for name in OF_TLS {
            warn(name, "SSL or SASL_SSL");
        }
    }
}

fn read_sasl(client: &ClientProperties, report: &mut Report) -> Option<Sasl> {
    let mechanism = match client.filled("sasl.mechanism") {
        None => {
            report.missing(
                "sasl.mechanism",
                "set PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; the JVM's default, GSSAPI, is not supported",
            );
            None
        }
        Some(text) => {
            let mechanism = SaslMechanism::parse(text);
            if mechanism.is_none() {
                let reason = "only PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are supported";
                report.refused(client.key_of("sasl.mechanism"), text, reason);
            }
            mechanism
        }
    };
    let Some(text) = client.filled("sasl.jaas.config") else {
        report.missing("sasl.jaas.config", "it holds the login module with username and password");
        return None;
    };
    let key = client.key_of("sasl.jaas.config");
    let entry = jaas::parse(text).map_err(|what| report.bad_value(key, text, &format!("a JAAS entry: {what}"))).ok()?;
    let mechanism = mechanism?;
    if entry.module != mechanism.login_module() {
        let reason = format!("the login module of {} is {}", mechanism.name(), mechanism.login_module());
        report.refused(key, text, &reason);
        return None;
    }
    if entry.options.get("tokenauth").is_some_and(|flag| flag.expose().eq_ignore_ascii_case("true")) {
        report.refused(key, text, "delegation tokens (tokenauth) are not supported");
        return None;
    }
    let mut option = |name: &str| {
        let value = entry.options.get(name);
        if value.is_none() {
            report.bad_value(key, text, &format!("an entry with {name}=\"…\""));
        }
        value.cloned()
    };
    let (username, password) = (option("username"), option("password"));
    Some(Sasl { mechanism, username: username?.expose().to_owned(), password: password? })
}

fn read_tls(client: &ClientProperties, report: &mut Report) -> Tls {
    let ca = match read_store(client, "truststore", report) {
        Some(Pem::File(path)) => Some(Pem::File(path)),
        _ => read_pem_text(client, "ssl.truststore.certificates", PemKind::Certificates, report),
    };
    let check_hostname = client.text("ssl.endpoint.identification.algorithm") != Some("");
    Tls { ca, identity: read_identity(client, report), check_hostname }
}

fn read_identity(client: &ClientProperties, report: &mut Report) -> Option<Identity> {
    let key_password = client.filled("ssl.key.password").map(Secret::new);
    if let Some(file) = read_store(client, "keystore", report) {
        return Some(Identity { certificate_chain: file.clone(), key: file, key_password });
    }
    const CHAIN: &str = "ssl.keystore.certificate.chain";
    const KEY: &str = "ssl.keystore.key";
    match (client.filled(CHAIN), client.filled(KEY)) {
        (Some(_), Some(_)) => {
            let chain = read_pem_text(client, CHAIN, PemKind::Certificates, report);
            let key = read_pem_text(client, KEY, PemKind::PrivateKey, report);
            Some(Identity { certificate_chain: chain?, key: key?, key_password })
        }
        (Some(_), None) => {
            report.missing(KEY, "ssl.keystore.certificate.chain is of no use without its key");
            None
        }
        (None, Some(_)) => {
            report.missing(CHAIN, "ssl.keystore.key is of no use without its certificates");
            None
        }
        (None, None) => None,
    }
}

fn read_pem_text(client: &ClientProperties, name: &str, kind: PemKind, report: &mut Report) -> Option<Pem> {
    let text = client.filled(name)?;
    let pem = pem::normalise(text, kind);
    if pem.is_none() {
        report.bad_value(client.key_of(name), text, kind.describe());
    }
    pem.map(Pem::Text)
}

/// The file of a trust store or key store, and the rules that both have in common.
fn read_store(client: &ClientProperties, store: &str, report: &mut Report) -> Option<Pem> {
    let names = [
        format!("ssl.{store}.location"),
        format!("ssl.{store}.type"),
        format!("ssl.{store}.password"),
        if store == "keystore" { "ssl.keystore.key".to_owned() } else { "ssl.truststore.certificates".to_owned() },
    ];
    let [location, store_type, password, text] = &names;
    let file = client.filled(location);
    if file.is_none() && client.filled(text).is_none() {
        return None;
    }
    let jvm_type = client.filled(store_type).unwrap_or("JKS");
    if !jvm_type.eq_ignore_ascii_case("PEM") {
        let convertible = ["JKS", "JCEKS", "PKCS12"].iter().find(|known| known.eq_ignore_ascii_case(jvm_type));
        let reason = match (file, convertible) {
            (Some(file), Some(known)) => conversion(store, known, file),
            (Some(_), None) => "only PEM is read".to_owned(),
            (None, _) => format!("the text is PEM; set {store_type}=PEM"),
        };
        report.refused(client.key_of(store_type), jvm_type, &reason);
        return None;
    }
    if let Some(secret) = client.filled(password) {
        let instead = if store == "keystore" { "set ssl.key.password if the key is encrypted" } else { "take it out" };
        report.refused(
            client.key_of(password),
            secret,
            &format!("PEM stores have no password, on the JVM neither; {instead}"),
        );
    }
    if let (Some(file), Some(_)) = (file, client.filled(text)) {
        let keys = [client.key_of(location), client.key_of(text)];
        report.contradiction(&keys, "the file and the text exclude one another; take one out");
        return Some(Pem::File(file.into()));
    }
    file.map(|file| Pem::File(file.into()))
}

/// Tells how to turn a Java key store into PEM.
fn conversion(store: &str, store_type: &str, file: &str) -> String {
    let path = Path::new(file);
    let quoted =
        |extension: &str| format!("'{}'", path.with_extension(extension).display().to_string().replace('\'', r"'\''"));
    let original = format!("'{}'", file.replace('\'', r"'\''"));
    let what = if store == "keystore" { "-nodes" } else { "-nokeys" };
    let (pkcs12, first) = if store_type == "PKCS12" {
        (original, String::new())
    } else {
        let pkcs12 = quoted("p12");
        let keytool = format!(
            "keytool -importkeystore -srckeystore {original} -srcstoretype {store_type} -destkeystore {pkcs12} -deststoretype PKCS12 && "
        );
        (pkcs12, keytool)
    };
    let pem = quoted("pem");
    format!(
        "Java key stores cannot be read here. Convert it once with\n      {first}openssl pkcs12 -in {pkcs12} {what} -out {pem}\n    \
         and set ssl.{store}.type=PEM and ssl.{store}.location={}",
        path.with_extension("pem").display()
    )
}
