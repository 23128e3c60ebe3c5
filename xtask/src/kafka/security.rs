//! TLS, SASL and authorization of a test broker: throw-away certificates made by `openssl`, users, and the broker's properties for them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::config::{HOST, Ports};
use super::state::{SecurityState, User};
use crate::process;

/// Certificates in a directory, and the users.
#[derive(Debug, Clone)]
pub(crate) struct Security {
    directory: PathBuf,
    users: Vec<User>,
}

/// The certificates' extensions. Written out, as the system's own configuration differs between machines.
const OPENSSL_CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
";

impl Security {
    /// Makes certificates in `directory`, which is emptied first.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        let _ = std::fs::remove_dir_all(directory);
        std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let security = Security {
            directory: directory.to_path_buf(),
            users: vec![
                User { name: "streams".to_owned(), password: "streams-secret".to_owned(), super_user: true },
                User { name: "nobody".to_owned(), password: "nobody-secret".to_owned(), super_user: false },
            ],
        };
        std::fs::write(security.path("openssl.cnf"), OPENSSL_CONFIG)?;
        security.authority("ca")?;
        security.authority("other-ca")?;
        security.signed("server", "localhost")?;
        security.signed("client", "streams")?;
        // The broker wants its key and its certificate in one file.
        let key = std::fs::read_to_string(security.path("server.key"))?;
        let certificate = std::fs::read_to_string(security.path("server.pem"))?;
        std::fs::write(security.path("server-keystore.pem"), key + &certificate)?;
        Ok(security)
    }

    /// The part of `server.properties` for the listeners SASL_PLAINTEXT, SASL_SSL and SSL.
    pub(crate) fn server_properties(&self) -> String {
        let mut logins = String::new();
        for user in &self.users {
            // Writing to a String cannot fail.
            let _ = write!(logins, " user_{}=\"{}\"", user.name, user.password);
        }
        let mut text = format!(
            "\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
# ANONYMOUS: the plaintext listener, the broker itself, and TLS without a client certificate.
super.users=User:ANONYMOUS;User:CN=streams;{super_users}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.ssl.ssl.client.auth=requested
",
            super_users = self
                .users
                .iter()
                .filter(|user| user.super_user)
                .map(|user| format!("User:{}", user.name))
                .collect::<Vec<_>>()
                .join(";"),
            keystore = self.path("server-keystore.pem").display(),
            ca = self.path("ca.pem").display(),
        );
        for listener in ["sasl_plaintext", "sasl_ssl"] {
            let _ = writeln!(
                text,
                "listener.name.{listener}.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required{logins};"
            );
            for mechanism in ["scram-sha-256", "scram-sha-512"] {
                let _ = writeln!(
                    text,
                    "listener.name.{listener}.{mechanism}.sasl.jaas.config=\
                     org.apache.kafka.common.security.scram.ScramLoginModule required;"
                );
            }
        }
        text
    }

    /// Arguments of `StorageTool format` that store the users' SCRAM credentials.
    pub(crate) fn format_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            for user in &self.users {
                arguments.push("--add-scram".to_owned());
                arguments.push(format!("{mechanism}=[name={},password={}]", user.name, user.password));
            }
        }
        arguments
    }

    /// What clients must know.
    pub(crate) fn state(&self, ports: Ports) -> SecurityState {
        let [sasl_plaintext, sasl_ssl, ssl] = ports.secured.map(|port| format!("{HOST}:{port}"));
        SecurityState {
            sasl_plaintext,
            sasl_ssl,
            ssl,
            ca_pem: self.path("ca.pem"),
            other_ca_pem: self.path("other-ca.pem"),
            client_certificate_pem: self.path("client.pem"),
            client_key_pem: self.path("client.key"),
            users: self.users.clone(),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// A self-signed authority in `NAME.pem` and `NAME.key`.
    fn authority(&self, name: &str) -> Result<()> {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let subject = format!("/CN=kafka-streams test {name}");
        let mut arguments = vec!["req", "-x509", "-config", "openssl.cnf", "-extensions", "authority", "-days", "3650"];
        arguments.extend(NEW_KEY);
        arguments.extend(["-subj", &subject, "-keyout", &key, "-out", &certificate]);
        self.openssl(&arguments)
    }

    /// A certificate of the authority `ca` in `ROLE.pem` and `ROLE.key`; `ROLE` is also the section of its extensions.
    fn signed(&self, role: &str, common_name: &str) -> Result<()> {
        let (key, request, certificate) = (format!("{role}.key"), format!("{role}.csr"), format!("{role}.pem"));
        let subject = format!("/CN={common_name}");
        let mut arguments = vec!["req", "-new", "-config", "openssl.cnf"];
        arguments.extend(NEW_KEY);
        arguments.extend(["-subj", &subject, "-keyout", &key, "-out", &request]);
        self.openssl(&arguments)?;
        let serial = if role == "server" { "2" } else { "3" };
        let mut arguments = vec!["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key"];
        arguments.extend(["-set_serial", serial, "-days", "3650", "-sha256"]);
        arguments.extend(["-extfile", "openssl.cnf", "-extensions", role, "-out", &certificate]);
        self.openssl(&arguments)
    }

    fn openssl(&self, arguments: &[&str]) -> Result<()> {
        process::capture(Command::new("openssl").args(arguments).current_dir(&self.directory), "openssl").map(drop)
    }
}

/// A P-256 key, not encrypted, in PKCS #8: quick to make and read by Java, OpenSSL and rustls alike.
const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_certificate_is_signed_by_the_authority_and_by_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let security = Security::create(&dir.path().join("security")).unwrap();
        let verify = |ca: &str| security.openssl(&["verify", "-CAfile", ca, "server.pem"]);
        verify("ca.pem").unwrap();
        assert!(verify("other-ca.pem").is_err());
    }

    #[test]
    fn a_user_without_rights_is_no_super_user() {
        let user = |name: &str, super_user| User { name: name.to_owned(), password: "x".to_owned(), super_user };
        let users = vec![user("streams", true), user("nobody", false)];
        let text = Security { directory: PathBuf::from("x"), users }.server_properties();
        assert!(text.contains("super.users=User:ANONYMOUS;User:CN=streams;User:streams\n"), "{text}");
        assert!(text.contains("user_nobody="));
    }
}
