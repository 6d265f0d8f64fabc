//! A certificate chain and key that the operator gives, and noticing that their files changed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::{Origin, TlsError, read};

/// Longest chain that is presented.
const LONGEST_CHAIN: usize = 8;

/// The files of `[tls]`.
#[derive(Debug)]
pub(super) struct Files {
    cert: PathBuf,
    key: PathBuf,
    ca: Option<PathBuf>,
}

impl Files {
    pub(super) fn new(cert: &Path, key: &Path, ca: Option<&Path>) -> Self {
        Self { cert: cert.to_owned(), key: key.to_owned(), ca: ca.map(Path::to_path_buf) }
    }

    /// The private authority's certificate.
    pub(super) fn authority(&self) -> Result<Option<CertificateDer<'static>>, TlsError> {
        let Some(path) = &self.ca else { return Ok(None) };
        Ok(certificates(path)?.into_iter().next())
    }

    /// Chain and key, which fit each other, are good now and come from the authority when one is named.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let refused = |path: &Path, why: String| TlsError::File { path: path.to_owned(), why };
        let mut chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(read(&self.key)?.as_bytes())
            .map_err(|error| refused(&self.key, format!("not a private key in PEM: {error}")))?;
        if let Some(authority) = self.authority()? {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone())?;
            let algorithms = provider.signature_verification_algorithms.all;
            let certificate = ParsedCertificate::try_from(&chain[0])?;
            verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &chain[1..], UnixTime::now(), algorithms)
                .map_err(|error| refused(&self.cert, format!("does not hold under `tls.ca`: {error}")))?;
            // A gateway that pinned the authority's key looks for it in what is presented.
            if !chain.contains(&authority) {
                chain.push(authority);
            }
        }
        CertifiedKey::from_der(chain, key, provider)
            .map_err(|error| refused(&self.key, format!("does not fit {}: {error}", self.cert.display())))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |why: String| TlsError::File { path: path.to_owned(), why };
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).take(LONGEST_CHAIN).collect();
    let found = found.map_err(|error| refused(format!("not a certificate in PEM: {error}")))?;
    if found.is_empty() { Err(refused("it holds no certificate in PEM".to_owned())) } else { Ok(found) }
}

/// What tells two states of the files apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stamp(Vec<Option<(u64, u64, i64, i64)>>);

impl Stamp {
    pub(super) fn of(origin: &Origin) -> Self {
        let Origin::Given(files) = origin else { return Self::default() };
        let stamp = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
        };
        Self([Some(&files.cert), Some(&files.key), files.ca.as_ref()].into_iter().flatten().map(stamp).collect())
    }
}
