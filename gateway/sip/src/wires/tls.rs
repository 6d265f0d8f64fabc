//! TLS for SIP (RFC 5922): a certificate and key from files, taken anew when the files change; certificates of clients that
//! have one are checked against an authority of the operator's, and servers' against those of the Web or of a file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::config::TlsFiles;
use crate::error::SipError;

/// Longest chain that is read.
const LONGEST_CHAIN: usize = 8;
/// Most authorities of a file.
const MOST_AUTHORITIES: usize = 512;
/// Most names of one certificate that are looked at.
const MOST_NAMES: usize = 64;

/// Both sides of TLS, as the files are now.
pub(crate) struct Tls {
    files: TlsFiles,
    current: Mutex<Current>,
}

struct Current {
    stamp: Vec<Option<(u64, u64, i64, i64)>>,
    server: Option<Arc<ServerConfig>>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, SipError> {
        let current = Current::load(&files)?;
        Ok(Self { files, current: Mutex::new(current) })
    }

    /// Takes the files as they are now, if they changed. What cannot be used is said, and what was read before stays.
    pub(crate) fn refresh(&self) {
        let stamp = stamp(&self.files);
        if self.current.lock().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return;
        }
        match Current::load(&self.files) {
            Ok(current) => {
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
                tracing::info!("the files of sip.tls have changed and are in force");
            }
            Err(error) => {
                // Said once for each state of the files.
                self.current.lock().unwrap_or_else(PoisonError::into_inner).stamp = stamp;
                tracing::error!(%error, "the files of sip.tls have changed and cannot be used; the old ones stay in force");
            }
        }
    }

    /// Whether connections can be taken: there is a certificate of ours.
    pub(crate) fn can_serve(&self) -> bool {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).server.is_some()
    }

    /// The far end's handshake, and the DNS names that its certificate proves.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> io::Result<(server::TlsStream<TcpStream>, Vec<String>)> {
        let config = self.current.lock().unwrap_or_else(PoisonError::into_inner).server.clone();
        let config = config.ok_or_else(|| io::Error::other("there is no certificate for sip.tls"))?;
        let stream = TlsAcceptor::from(config).accept(tcp).await?;
        let names = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(names).unwrap_or_default();
        Ok((stream, names))
    }

    /// Our handshake with a server whose certificate is to be for a name.
    pub(crate) async fn connect(&self, name: &str, tcp: TcpStream) -> io::Result<client::TlsStream<TcpStream>> {
        let bare = name.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(bare).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let config = Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner).client);
        TlsConnector::from(config).connect(name, tcp).await
    }
}

impl Current {
    fn load(files: &TlsFiles) -> Result<Self, SipError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let stamp = stamp(files);
        let identity = match &files.identity {
            Some((certificate, key)) => Some((chain(certificate)?, private_key(key)?, certificate)),
            None => None,
        };
        let client =
            client(files, &provider, identity.as_ref().map(|(chain, key, _)| (chain.clone(), key.clone_key())))?;
        let server = match identity {
            Some((chain, key, path)) => Some(server(files, &provider, chain, key, path)?),
            None => None,
        };
        Ok(Self { stamp, server, client: Arc::new(client) })
    }
}

fn server(
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: &Path,
) -> Result<Arc<ServerConfig>, SipError> {
    let unfit = |path: &Path, why: String| SipError::Tls { path: path.to_owned(), why };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| unfit(path, error.to_string()))?;
    let builder = match &files.client_ca {
        Some(authority) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority)?), Arc::clone(provider))
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| unfit(authority, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| unfit(path, error.to_string()))?;
    Ok(Arc::new(config))
}

fn client(
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, SipError> {
    let unfit = |why: String| SipError::Tls { path: files.server_ca.clone().unwrap_or_default(), why };
    let trusted = match &files.server_ca {
        Some(authority) => roots(authority)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(provider))
        .build()
        .map_err(|error| unfit(error.to_string()))?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| unfit(error.to_string()))?;
    let builder = builder.with_webpki_verifier(verifier);
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| unfit(error.to_string())),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SipError> {
    fs::read(path).map_err(|error| SipError::Tls { path: path.to_owned(), why: error.to_string() })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, SipError> {
    certificates(path, LONGEST_CHAIN)
}

fn certificates(path: &Path, most: usize) -> Result<Vec<CertificateDer<'static>>, SipError> {
    let unfit = |why: String| SipError::Tls { path: path.to_owned(), why };
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).take(most).collect();
    let found = found.map_err(|error| unfit(format!("not a certificate in PEM: {error}")))?;
    if found.is_empty() { Err(unfit("it holds no certificate in PEM".to_owned())) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, SipError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| SipError::Tls { path: path.to_owned(), why: format!("not a private key in PEM: {error}") })
}

fn roots(path: &Path) -> Result<RootCertStore, SipError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, MOST_AUTHORITIES)? {
        let added = roots.add(certificate);
        added.map_err(|error| SipError::Tls { path: path.to_owned(), why: format!("not an authority: {error}") })?;
    }
    Ok(roots)
}

/// The DNS names of a certificate that was verified; those with a wildcard name nobody (RFC 5922 7.2).
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let plain = parsed.valid_dns_names().filter(|name| !name.contains('*'));
    plain.take(MOST_NAMES).map(str::to_ascii_lowercase).collect()
}

/// What tells two states of the files apart.
fn stamp(files: &TlsFiles) -> Vec<Option<(u64, u64, i64, i64)>> {
    let identity = files.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
    let all = identity.chain(&files.client_ca).chain(&files.server_ca);
    all.map(|path: &PathBuf| {
        let file = fs::metadata(path).ok()?;
        Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    })
    .collect()
}
