//! Trust in one certificate authority, known by the SHA-256 of its public key, instead of the public roots.
//!
//! Whoever was handed the fingerprint (RFC 7469 2.4: over the DER of SubjectPublicKeyInfo) needs no certificate file:
//! the authority's certificate is found in the chain that the server presents, and then is its only anchor.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, InvalidMessage, OtherError, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest as _, Sha256};

/// An authority that signs for one service only, and the name it writes into that service's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedAuthority {
    /// SHA-256 of the authority's SubjectPublicKeyInfo.
    pub key_sha256: [u8; 32],
    /// A name accepted beside the URL's host, so that the service is reached under any address. Only what the pinned
    /// key signed can carry it.
    pub also_named: Option<String>,
}

/// SHA-256 of the SubjectPublicKeyInfo of a certificate (DER); `None` when it is not a certificate.
#[must_use]
pub fn key_sha256(certificate: &[u8]) -> Option<[u8; 32]> {
    let der = CertificateDer::from(certificate);
    let parsed = ParsedCertificate::try_from(&der).ok()?;
    Some(Sha256::digest(parsed.subject_public_key_info().as_ref()).into())
}

/// No certificate of the chain has the pinned key.
#[derive(Debug, thiserror::Error)]
#[error("no certificate that it presents has the pinned key")]
struct KeyIsNotThere;

/// Verifies chains against a [`PinnedAuthority`].
#[derive(Debug)]
pub(crate) struct PinVerifier {
    key_sha256: [u8; 32],
    also_named: Option<DnsName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl PinVerifier {
    /// `None` when the additional name is not a DNS name.
    pub(crate) fn new(pin: &PinnedAuthority, provider: Arc<CryptoProvider>) -> Option<Self> {
        let also_named = match &pin.also_named {
            Some(name) => Some(DnsName::try_from(name.clone()).ok()?),
            None => None,
        };
        Some(Self { key_sha256: pin.key_sha256, also_named, provider })
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let authority = intermediates.iter().find(|der| key_sha256(der) == Some(self.key_sha256));
        let Some(authority) = authority else {
            let why = OtherError(Arc::new(KeyIsNotThere));
            return Err(TlsError::InvalidCertificate(CertificateError::Other(why)));
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &roots, intermediates, now, algorithms)?;
        verify_server_name(&certificate, server_name).or_else(|error| match &self.also_named {
            Some(name) => verify_server_name(&certificate, &ServerName::DnsName(name.clone())).map_err(|_| error),
            None => Err(error),
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a failed handshake means, wherever it is wrapped in `error` and its causes.
pub(crate) fn handshake_fault(error: &(dyn std::error::Error + 'static)) -> Option<HandshakeFault> {
    let mut current = Some(error);
    while let Some(error) = current {
        match error.downcast_ref::<TlsError>() {
            Some(TlsError::InvalidCertificate(CertificateError::Other(why))) if why.0.is::<KeyIsNotThere>() => {
                return Some(HandshakeFault::NotPinned);
            }
            Some(TlsError::InvalidCertificate(why)) => return Some(HandshakeFault::Certificate(why.to_string())),
            Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                return Some(HandshakeFault::NotTls);
            }
            _ => {
                // An `io::Error` passes over the error inside it when it is asked for its source.
                let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
                current = inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source());
            }
        }
    }
    None
}

/// Why a handshake failed, as far as it is about who the other side is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HandshakeFault {
    /// The pinned key is not in its chain.
    NotPinned,
    /// Its certificate cannot be trusted.
    Certificate(String),
    /// It does not speak TLS.
    NotTls,
}
