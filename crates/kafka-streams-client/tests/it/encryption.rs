//! TLS: whom we trust, and who trusts us.

use std::sync::Arc;

use kafka_streams_client::Error;
use kafka_streams_client::network::{Address, Cluster, ConnectionSettings, Secret, Tls, TlsIdentity};
use kafka_streams_engine::port::BrokerErrorKind;
use pkcs8::pkcs5::pbes2;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use crate::fake_broker::FakeBroker;

/// An authority and what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority { issuer }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Certificate and key for a host.
    fn sign(&self, host: &str) -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key)
    }

    /// Takes connections with a certificate for `host`, from clients of the same authority only if `mutual`.
    fn acceptor(&self, host: &str, mutual: bool) -> TlsAcceptor {
        let (certificate, key) = self.sign(host);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }
}

async fn describe(address: &Address, tls: Tls) -> Result<(), Error> {
    let mut settings = ConnectionSettings::new(vec![address.clone()], "test");
    settings.security.tls = Some(tls);
    Cluster::new(settings)?.describe().await.map(drop)
}

fn trusting(authority: &Authority) -> Tls {
    Tls { authorities: Some(authority.pem()), ..Tls::default() }
}

#[tokio::test]
async fn a_broker_of_a_trusted_authority_is_spoken_to() {
    let authority = Authority::new();
    let broker = FakeBroker::start_with(Some(authority.acceptor("127.0.0.1", false)), |_| None).await;
    describe(&broker.address, trusting(&authority)).await.unwrap();
}

#[tokio::test]
async fn a_broker_of_another_authority_is_refused() {
    let authority = Authority::new();
    let broker = FakeBroker::start_with(Some(authority.acceptor("127.0.0.1", false)), |_| None).await;
    let error = describe(&broker.address, trusting(&Authority::new())).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert_eq!(error.kind(), BrokerErrorKind::Fatal);
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    let any_host = Tls { verify_host: false, ..trusting(&Authority::new()) };
    assert!(matches!(describe(&broker.address, any_host).await, Err(Error::Tls { .. })));
    assert_eq!(broker.seen(), []);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused_unless_hosts_are_not_verified() {
    let authority = Authority::new();
    let broker = FakeBroker::start_with(Some(authority.acceptor("broker.example.com", false)), |_| None).await;
    let error = describe(&broker.address, trusting(&authority)).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains("not valid for name"), "{error}");
    describe(&broker.address, Tls { verify_host: false, ..trusting(&authority) }).await.unwrap();
}

#[tokio::test]
async fn our_certificate_is_shown_to_a_broker_that_wants_one() {
    let authority = Authority::new();
    let broker = FakeBroker::start_with(Some(authority.acceptor("127.0.0.1", true)), |_| None).await;
    assert!(describe(&broker.address, trusting(&authority)).await.is_err());
    let (certificates, key) = authority.sign("client");
    let identity = TlsIdentity { certificates, key: Secret::new(key.serialize_pem()), key_password: None };
    describe(&broker.address, Tls { identity: Some(identity), ..trusting(&authority) }).await.unwrap();
}

#[tokio::test]
async fn an_encrypted_key_needs_its_password() {
    let authority = Authority::new();
    let broker = FakeBroker::start_with(Some(authority.acceptor("127.0.0.1", true)), |_| None).await;
    let (certificates, key) = authority.sign("client");
    let parameters = pbes2::Parameters::pbkdf2_sha256_aes256cbc(2_048, b"saltsalt", b"initialisation v").unwrap();
    let der = key.serialize_der();
    let encrypted =
        pkcs8::PrivateKeyInfo::try_from(&der[..]).unwrap().encrypt_with_params(parameters, "open sesame").unwrap();
    let pem = encrypted.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).unwrap();
    let with = |password: Option<&str>| {
        let key_password = password.map(Secret::new);
        let identity = TlsIdentity { certificates: certificates.clone(), key: Secret::new(&**pem), key_password };
        Tls { identity: Some(identity), ..trusting(&authority) }
    };
    describe(&broker.address, with(Some("open sesame"))).await.unwrap();
    let error = describe(&broker.address, with(Some("canary"))).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the connection settings cannot be used: ssl.keystore.key cannot be decrypted with ssl.key.password"
    );
    let error = describe(&broker.address, with(None)).await.unwrap_err();
    assert!(error.to_string().contains("set ssl.key.password"), "{error}");
}

#[tokio::test]
async fn texts_that_are_no_certificates_are_refused_before_anything_is_sent() {
    let nowhere = Address::new("127.0.0.1", 1);
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let tls = Tls { authorities: Some(text.to_owned()), ..Tls::default() };
        let error = describe(&nowhere, tls).await.unwrap_err();
        assert!(matches!(error, Error::Settings { .. }), "{error:?}");
    }
    let authority = Authority::new();
    let identity = TlsIdentity { certificates: authority.pem(), key: Secret::new("canary"), key_password: None };
    let error = describe(&nowhere, Tls { identity: Some(identity), ..trusting(&authority) }).await.unwrap_err();
    assert!(error.to_string().contains("no readable PRIVATE KEY block"), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn plain_text_to_a_tls_listener_is_an_error() {
    let authority = Authority::new();
    let broker = FakeBroker::start_with(Some(authority.acceptor("127.0.0.1", false)), |_| None).await;
    let error = broker.cluster().describe().await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("speaks TLS") || matches!(error, Error::NoBroker { .. }), "{told}");
}

#[tokio::test]
async fn tls_to_a_plain_text_listener_is_an_error() {
    let broker = FakeBroker::start(|_| None).await;
    assert!(describe(&broker.address, trusting(&Authority::new())).await.is_err());
}
