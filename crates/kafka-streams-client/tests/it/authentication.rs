//! SASL: who we are, and whether the broker knows the password too.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_streams_client::Error;
use kafka_streams_client::network::{Cluster, ConnectionSettings, Sasl, SaslMechanism, Secret};
use kafka_streams_engine::port::BrokerErrorKind;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::scram;
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::prelude::{Mechname, SASLConfig, SASLServer, Session, SessionError};
use sha2::{Digest, Sha256, Sha512};

use crate::fake_broker::{Asked, FakeBroker, PATIENCE, Reaction, text};

const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;

fn settings(broker: &FakeBroker, mechanism: SaslMechanism, password: &str) -> ConnectionSettings {
    let mut settings = broker.settings();
    settings.security.sasl = Some(Sasl { mechanism, username: "alice".to_owned(), password: Secret::new(password) });
    settings
}

async fn log_in(broker: &FakeBroker, mechanism: SaslMechanism, password: &str) -> Result<(), Error> {
    Cluster::new(settings(broker, mechanism, password)).unwrap().describe().await.map(drop)
}

fn handshake(asked: &Asked, offered: &[&str]) -> Reaction {
    let request: SaslHandshakeRequest = asked.read();
    let known = offered.contains(&request.mechanism.as_str());
    let reply = SaslHandshakeResponse::default()
        .with_error_code(if known { 0 } else { 33 })
        .with_mechanisms(offered.iter().map(|name| text(name)).collect());
    asked.reply(&reply)
}

fn denied(asked: &Asked) -> Reaction {
    asked.reply(
        &SaslAuthenticateResponse::default()
            .with_error_code(58)
            .with_error_message(Some(text("Authentication failed: Invalid username or password"))),
    )
}

/// A broker that wants PLAIN, from alice with the password `secret`, and lets sessions live for so long.
async fn plain_broker(session_ms: i64) -> FakeBroker {
    FakeBroker::start(move |asked| match asked.key {
        SASL_HANDSHAKE => Some(handshake(asked, &["PLAIN"])),
        SASL_AUTHENTICATE => {
            let request: SaslAuthenticateRequest = asked.read();
            let right = &request.auth_bytes[..] == b"\0alice\0secret";
            let accepted = SaslAuthenticateResponse::default().with_session_lifetime_ms(session_ms);
            Some(if right { asked.reply(&accepted) } else { denied(asked) })
        }
        _ => None,
    })
    .await
}

#[tokio::test]
async fn plain_logs_in_before_anything_else() {
    let broker = plain_broker(0).await;
    log_in(&broker, SaslMechanism::Plain, "secret").await.unwrap();
    let keys: Vec<i16> = broker.seen().iter().map(|seen| seen.key).collect();
    assert_eq!(keys, [18, SASL_HANDSHAKE, SASL_AUTHENTICATE, 3]);
}

#[tokio::test]
async fn a_wrong_password_is_a_fatal_error_without_the_password() {
    let broker = plain_broker(0).await;
    let error = log_in(&broker, SaslMechanism::Plain, "canary").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} refuses authentication with PLAIN: Authentication failed: Invalid username or password",
            broker.address
        )
    );
    assert_eq!(error.kind(), BrokerErrorKind::Fatal);
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn a_mechanism_that_the_broker_lacks_is_an_error_with_those_that_it_has() {
    let broker = FakeBroker::start(|asked| {
        (asked.key == SASL_HANDSHAKE).then(|| handshake(asked, &["SCRAM-SHA-512", "OAUTHBEARER"]))
    })
    .await;
    let error = log_in(&broker, SaslMechanism::Plain, "secret").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("UNSUPPORTED_SASL_MECHANISM (33), it offers SCRAM-SHA-512, OAUTHBEARER"), "{text}");
    assert_eq!(error.kind(), BrokerErrorKind::Fatal);
}

#[tokio::test]
async fn a_session_is_renewed_before_the_broker_ends_it() {
    let broker = plain_broker(1).await;
    let cluster = Cluster::new(settings(&broker, SaslMechanism::Plain, "secret")).unwrap();
    let renewed = async {
        while broker.versions(SASL_AUTHENTICATE).len() < 2 {
            cluster.describe().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.unwrap();
}

struct StoredPassword {
    sha512: bool,
    password: &'static [u8],
}

impl SessionCallback for StoredPassword {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        const SALT: &[u8] = b"salt of the earth";
        let (stored_key, server_key) = if self.sha512 {
            let mut salted = Default::default();
            scram::tools::hash_password::<Sha512>(self.password, 4096, SALT, &mut salted);
            let (client_key, server_key) = scram::tools::derive_keys::<Sha512>(&salted);
            (Sha512::digest(client_key).to_vec(), server_key.to_vec())
        } else {
            let mut salted = Default::default();
            scram::tools::hash_password::<Sha256>(self.password, 4096, SALT, &mut salted);
            let (client_key, server_key) = scram::tools::derive_keys::<Sha256>(&salted);
            (Sha256::digest(client_key).to_vec(), server_key.to_vec())
        };
        request.satisfy::<ScramStoredPassword<'_>>(&ScramStoredPassword::new(4096, SALT, &stored_key, &server_key))?;
        Ok(())
    }
}

/// A broker that wants SCRAM with the password `secret`; `impostor` changes what it proves at the end.
async fn scram_broker(mechanism: &'static str, impostor: bool) -> FakeBroker {
    let session: Arc<Mutex<Option<Session>>> = Arc::default();
    let round = AtomicUsize::new(0);
    FakeBroker::start(move |asked| match asked.key {
        SASL_HANDSHAKE => {
            let stored = StoredPassword { sha512: mechanism == "SCRAM-SHA-512", password: b"secret" };
            let config = SASLConfig::builder().with_default_mechanisms().with_callback(stored).unwrap();
            let name = Mechname::parse(mechanism.as_bytes()).unwrap();
            *session.lock().unwrap() = Some(SASLServer::new(config).start_suggested(name).unwrap());
            Some(handshake(asked, &[mechanism]))
        }
        SASL_AUTHENTICATE => {
            let request: SaslAuthenticateRequest = asked.read();
            let mut answer = Vec::new();
            let stepped = session.lock().unwrap().as_mut().unwrap().step(Some(&request.auth_bytes), &mut answer);
            // Kafka does not pass SCRAM's own error message on.
            if stepped.is_err() || answer.starts_with(b"e=") {
                return Some(denied(asked));
            }
            if impostor && round.fetch_add(1, Ordering::SeqCst) == 1 {
                answer = b"v=aW1wb3N0b3JpbXBvc3RvcmltcG9zdG9yaW1wb3N0b3I=".to_vec();
            }
            Some(asked.reply(&SaslAuthenticateResponse::default().with_auth_bytes(Bytes::from(answer))))
        }
        _ => None,
    })
    .await
}

#[tokio::test]
async fn scram_logs_in_with_the_right_password_only() {
    for mechanism in [SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
        let broker = scram_broker(mechanism.name(), false).await;
        log_in(&broker, mechanism, "secret").await.unwrap();
        assert_eq!(broker.versions(SASL_AUTHENTICATE), [2, 2]);
        let error = log_in(&broker, mechanism, "wrong").await.unwrap_err();
        assert!(error.to_string().contains("Invalid username or password"), "{error}");
        assert_eq!(error.kind(), BrokerErrorKind::Fatal);
    }
}

#[tokio::test]
async fn scram_refuses_a_broker_that_does_not_know_the_password() {
    let broker = scram_broker("SCRAM-SHA-256", true).await;
    let error = log_in(&broker, SaslMechanism::ScramSha256, "secret").await.unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
    assert!(!broker.seen().iter().any(|seen| seen.key == 3));
}
