//! TLS as Open vSwitch does it: both sides have certificates, and each trusts what the other's authority signed.

use super::error::OvsdbError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The files that a connection to `ssl:…` takes, in PEM; those of ovs-vsctl(8)'s options of the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates of the authority that signed the server's certificate.
    pub ca: PathBuf,
    /// Our own certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// The private key that belongs to it.
    pub private_key: PathBuf,
}

/// A TLS client of these files.
pub(super) fn connector(files: &TlsFiles) -> Result<TlsConnector, OvsdbError> {
    let TlsFiles { ca, certificate, private_key } = files;
    let provider = Arc::new(crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root).map_err(|error| unusable(ca, error))?;
    }
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| unusable(private_key, error))?;
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(certificate, error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(SignedByAuthority { roots, provider }))
        .with_client_auth_cert(certificates(certificate)?, key)
        .map_err(|error| unusable(certificate, error))?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name that a handshake mentions.
pub(super) fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OvsdbError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, error))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| unusable(path, error))?;
    if all.is_empty() { Err(unusable(path, "there is no certificate in it")) } else { Ok(all) }
}

fn unusable(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OvsdbError {
    OvsdbError::TlsFile { path: path.to_owned(), source: source.into() }
}

/// Takes a server for what it says if the authority signed its certificate, whatever name is in that: ovs-pki(8) writes
/// no host names into certificates, and Open vSwitch's own programs don't ask for any.
#[derive(Debug)]
struct SignedByAuthority {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SignedByAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
