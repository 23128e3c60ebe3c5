//! TLS, SASL and rights against a real broker, described by the file `KAFKA_STREAMS_TEST_BROKER_FILE` (`cargo xtask kafka up
//! --with-tls-sasl`). Without it, or without its security part, these tests pass by doing nothing.

use kafka_streams_client::Error;
use kafka_streams_client::network::{Cluster, ConnectionSettings, Sasl, SaslMechanism, Secret, Tls, TlsIdentity};
use kafka_streams_engine::port::BrokerErrorKind;
use kafka_streams_runtime::port::{CreateTopicError, NewTopic};
use serde_json::Value;

use crate::real_broker::{address, unique};

const MECHANISMS: [SaslMechanism; 3] = [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];

struct Secured(Value);

impl Secured {
    fn find() -> Option<Secured> {
        let file = std::env::var_os("KAFKA_STREAMS_TEST_BROKER_FILE")?;
        let state: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        Some(state["security"].clone()).filter(|security| !security.is_null()).map(Secured)
    }

    fn text(&self, key: &str) -> String {
        self.0[key].as_str().unwrap().to_owned()
    }

    fn pem(&self, key: &str) -> String {
        std::fs::read_to_string(self.text(key)).unwrap()
    }

    fn password(&self, user: &str) -> String {
        let users = self.0["users"].as_array().unwrap();
        users.iter().find(|known| known["name"] == user).unwrap()["password"].as_str().unwrap().to_owned()
    }

    fn tls(&self) -> Tls {
        Tls { authorities: Some(self.pem("ca_pem")), ..Tls::default() }
    }

    fn sasl(&self, mechanism: SaslMechanism, user: &str) -> Sasl {
        Sasl { mechanism, username: user.to_owned(), password: Secret::new(self.password(user)) }
    }

    fn cluster(&self, listener: &str, tls: Option<Tls>, sasl: Option<Sasl>) -> Cluster {
        let mut settings = ConnectionSettings::new(vec![address(&self.text(listener))], "client-test");
        settings.security.tls = tls;
        settings.security.sasl = sasl;
        Cluster::new(settings).unwrap()
    }
}

/// Creates a topic, which only those may do who may do everything.
async fn create(cluster: &Cluster) -> Result<(), CreateTopicError> {
    let name = unique("secured").into();
    let topic = NewTopic { name, partitions: Some(1), replication_factor: None, settings: Vec::new() };
    cluster.create_topics(&[topic], false).await.unwrap().remove(0).map(drop)
}

#[tokio::test]
async fn every_mechanism_logs_in_with_and_without_tls() {
    let Some(secured) = Secured::find() else { return };
    for mechanism in MECHANISMS {
        let plaintext = secured.cluster("sasl_plaintext", None, Some(secured.sasl(mechanism, "streams")));
        create(&plaintext).await.unwrap();
        let encrypted = secured.cluster("sasl_ssl", Some(secured.tls()), Some(secured.sasl(mechanism, "streams")));
        create(&encrypted).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_refused() {
    let Some(secured) = Secured::find() else { return };
    for mechanism in MECHANISMS {
        for (user, password) in [("streams", "wrong"), ("stranger", "streams-secret")] {
            let sasl = Sasl { mechanism, username: user.to_owned(), password: Secret::new(password) };
            let error = secured.cluster("sasl_ssl", Some(secured.tls()), Some(sasl)).describe().await.unwrap_err();
            assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
            assert_eq!(error.kind(), BrokerErrorKind::Fatal);
            assert!(!error.to_string().contains(password), "{error}");
        }
    }
}

#[tokio::test]
async fn missing_rights_are_told_as_such() {
    let Some(secured) = Secured::find() else { return };
    let cluster = secured.cluster("sasl_plaintext", None, Some(secured.sasl(SaslMechanism::ScramSha512, "nobody")));
    let CreateTopicError::Failed(error) = create(&cluster).await.unwrap_err() else { panic!() };
    assert_eq!(error.kind, BrokerErrorKind::Authorization, "{error}");
    let partitions = [kafka_streams_core::TopicPartition::new("lines", 0)];
    let error = cluster.committed_offsets("some-group", &partitions, true).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Authorization, "{error}");
}

#[tokio::test]
async fn only_the_right_authority_vouches_for_the_broker() {
    let Some(secured) = Secured::find() else { return };
    secured.cluster("ssl", Some(secured.tls()), None).describe().await.unwrap();
    let other = Tls { authorities: Some(secured.pem("other_ca_pem")), ..Tls::default() };
    let error = secured.cluster("ssl", Some(other), None).describe().await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_certificate_of_our_own_is_taken() {
    let Some(secured) = Secured::find() else { return };
    let (certificates, key) = (secured.pem("client_certificate_pem"), Secret::new(secured.pem("client_key_pem")));
    let identity = Some(TlsIdentity { certificates, key, key_password: None });
    let cluster = secured.cluster("ssl", Some(Tls { identity, ..secured.tls() }), None);
    create(&cluster).await.unwrap();
}

#[tokio::test]
async fn plain_text_to_the_tls_listener_is_an_error_that_says_so() {
    let Some(secured) = Secured::find() else { return };
    let error = secured.cluster("ssl", None, None).describe().await.unwrap_err();
    assert!(!error.to_string().is_empty(), "{error}");
}
