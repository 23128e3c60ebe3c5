//! From PEM texts to a TLS connector (rustls on ring).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::settings::{Tls, TlsIdentity};
use crate::error::Error;

/// The PEM label of a key that needs a password.
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// The connector for all connections of a client.
///
/// # Errors
/// [`Error::Settings`] if a PEM text does not hold what it should, or the system has no authorities.
pub(super) fn connector(tls: &Tls) -> Result<TlsConnector, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots(tls.authorities.as_deref())?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| settings(format!("the trusted certificates: {error}")))?;
    let verifier: Arc<dyn ServerCertVerifier> =
        if tls.verify_host { verifier } else { Arc::new(AnyHost { inner: verifier }) };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| settings(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let certificates = certificates(&identity.certificates, "ssl.keystore.certificate.chain")?;
            builder
                .with_client_auth_cert(certificates, private_key(identity)?)
                .map_err(|error| settings(format!("ssl.keystore.key does not fit its certificate: {error}")))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name that the broker's certificate must be for.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| settings(format!("`{host}` is neither a host name nor an address, as TLS needs it")))
}

fn settings(reason: String) -> Error {
    Error::Settings { reason }
}

fn roots(authorities: Option<&str>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in certificates(pem, "ssl.truststore.certificates")? {
                roots.add(certificate).map_err(|error| settings(format!("a certificate to trust: {error}")))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let why = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
                return Err(settings(format!(
                    "the operating system has no certificate authorities{why}: \
                     install its ca-certificates, or set ssl.truststore.certificates"
                )));
            }
        }
    }
    Ok(roots)
}

fn certificates(pem: &str, key: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = certificates.map_err(|error| settings(format!("{key} is not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(settings(format!("{key} has no CERTIFICATE block")));
    }
    Ok(certificates)
}

fn private_key(identity: &TlsIdentity) -> Result<PrivateKeyDer<'static>, Error> {
    let pem = identity.key.expose();
    let Some(start) = pem.find(ENCRYPTED) else {
        // The error is not shown: it could quote the key.
        return PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| settings("ssl.keystore.key has no readable PRIVATE KEY block".to_owned()));
    };
    let password = identity
        .key_password
        .as_ref()
        .ok_or_else(|| settings("ssl.keystore.key is encrypted: set ssl.key.password".to_owned()))?;
    let block = pem.get(start..).unwrap_or_default();
    let end = block.find(ENCRYPTED_END).map_or(block.len(), |end| end + ENCRYPTED_END.len());
    let unreadable = || settings("ssl.keystore.key has an ENCRYPTED PRIVATE KEY block that cannot be read".to_owned());
    let (_, der) = pkcs8::SecretDocument::from_pem(block.get(..end).unwrap_or_default()).map_err(|_| unreadable())?;
    let encrypted = pkcs8::EncryptedPrivateKeyInfo::try_from(der.as_bytes()).map_err(|_| unreadable())?;
    let key = encrypted
        .decrypt(password.expose())
        .map_err(|_| settings("ssl.keystore.key cannot be decrypted with ssl.key.password".to_owned()))?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec())))
}

/// Verifies all but that the certificate is for the host (`ssl.endpoint.identification.algorithm` is the empty text).
#[derive(Debug)]
struct AnyHost {
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is the last thing that is checked, so this error means that all else is in order.
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
