//! TLS of the listeners: where the certificate comes from, and its exchange while connections go on.

mod authority;
mod files;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use trunkline_api::enrolment::{CONTROL_PLANE_NAME, Fingerprint};

use crate::config::{self, Config};
use authority::Authority;
use files::Files;

/// How often changed files, changed addresses and the end of a certificate are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate or key file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The authority's key is gone, but gateways may have pinned it.
    #[error(
        "{key} is missing, and gateways that enrolled trust that key alone; restore it from a backup. If it is lost for \
         good, remove {certificate} as well and enrol every gateway again"
    )]
    AuthorityLost {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}; check `tls.names`")]
    Make(#[from] rcgen::Error),
    /// The TLS stack refused it.
    #[error("TLS: {0}")]
    Stack(#[from] rustls::Error),
}

/// Where the certificate comes from.
#[derive(Debug)]
enum Origin {
    Own(Box<Authority>),
    Given(Files),
}

impl Origin {
    fn open(config: &Config) -> Result<Self, TlsError> {
        let tls = &config.tls;
        match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => Ok(Self::Given(Files::new(cert, key, tls.ca.as_deref()))),
            _ => Ok(Self::Own(Box::new(Authority::open(&config.state)?))),
        }
    }

    /// The key that gateways pin; none for a certificate from a public authority.
    fn pin(&self) -> Result<Option<Fingerprint>, TlsError> {
        match self {
            Self::Own(authority) => Ok(Some(authority.fingerprint()?)),
            Self::Given(files) => files.authority()?.as_ref().map(fingerprint).transpose(),
        }
    }
}

/// The key that a gateway has to pin when it enrols with a control plane so configured; none when the way is plain
/// loopback or the certificate from a public authority.
pub(crate) fn pin(config: &Config) -> Result<Option<Fingerprint>, TlsError> {
    if config.is_tls(config.listen.sync) { Origin::open(config)?.pin() } else { Ok(None) }
}

/// The authority's certificate in PEM, for `curl --cacert`; none for a certificate from a public authority.
pub fn authority_pem(config: &Config) -> Result<Option<String>, TlsError> {
    match Origin::open(config)? {
        Origin::Own(authority) => Ok(Some(authority.pem().to_owned())),
        Origin::Given(_) => config.tls.ca.as_deref().map(read).transpose(),
    }
}

/// Whether what the configuration names can be used.
pub fn check(tls: &config::Tls) -> Result<(), TlsError> {
    match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Files::new(cert, key, tls.ca.as_deref()).load(&provider()).map(drop),
        _ => Ok(()),
    }
}

/// The certificate in use; handshakes take what is there when they begin.
#[derive(Debug)]
struct InUse(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for InUse {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// TLS for listeners.
#[derive(Debug)]
pub(crate) struct Tls {
    origin: Origin,
    names: Vec<String>,
    bound: Vec<SocketAddr>,
    provider: Arc<CryptoProvider>,
    in_use: Arc<InUse>,
    made_for: BTreeSet<String>,
    renew_at: SystemTime,
    tried: files::Stamp,
}

impl Tls {
    /// Reads or makes the certificate for listeners bound at `bound`.
    pub(crate) fn start(config: &Config, bound: Vec<SocketAddr>) -> Result<Self, TlsError> {
        let (origin, provider) = (Origin::open(config)?, provider());
        let names = config.tls.names.clone();
        let made_for = all_names(&names, &bound);
        let tried = files::Stamp::of(&origin);
        let (key, renew_at) = load(&origin, &made_for, &provider)?;
        let in_use = Arc::new(InUse(ArcSwap::from_pointee(key)));
        Ok(Self { origin, names, bound, provider, in_use, made_for, renew_at, tried })
    }

    /// The key that gateways pin.
    pub(crate) fn pin(&self) -> Result<Option<Fingerprint>, TlsError> {
        self.origin.pin()
    }

    /// Speaks TLS 1.2 and 1.3 with whatever certificate is in use at the time.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.in_use) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Exchanges the certificate when its files, this host's addresses or the time ask for it, or when it is told to,
    /// until `stopping`.
    pub(crate) async fn keep(mut self, asked: Arc<Notify>, stopping: CancellationToken) {
        loop {
            let forced = tokio::select! {
                () = stopping.cancelled() => return,
                () = asked.notified() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            self.look(forced, SystemTime::now());
        }
    }

    fn look(&mut self, forced: bool, now: SystemTime) {
        let (names, stamp) = (all_names(&self.names, &self.bound), files::Stamp::of(&self.origin));
        let outdated = match self.origin {
            Origin::Own(_) => now >= self.renew_at || names != self.made_for,
            Origin::Given(_) => stamp != self.tried,
        };
        if !outdated && !forced {
            return;
        }
        self.tried = stamp;
        match load(&self.origin, &names, &self.provider) {
            Ok((key, renew_at)) => {
                (self.made_for, self.renew_at) = (names, renew_at);
                self.in_use.0.store(Arc::new(key));
                tracing::info!("a new certificate is in use; open connections keep theirs");
            }
            Err(error) => tracing::error!(%error, "the new certificate cannot be used; the one in use stays"),
        }
    }
}

fn load(
    origin: &Origin,
    names: &BTreeSet<String>,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, SystemTime), TlsError> {
    match origin {
        Origin::Own(authority) => authority.issue(names, SystemTime::now(), provider),
        // Whoever gave it renews it.
        Origin::Given(files) => Ok((files.load(provider)?, SystemTime::UNIX_EPOCH)),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What the certificate is made for: the name gateways know, the operator's names, this host's name and addresses.
fn all_names(configured: &[String], bound: &[SocketAddr]) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = configured.iter().cloned().collect();
    names.extend([CONTROL_PLANE_NAME, "localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let host = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    names.insert(host);
    for address in bound.iter().map(SocketAddr::ip) {
        if address.is_unspecified() {
            // Without the right to ask for them, `tls.names` is the way.
            let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
            let reached = |ip: &IpAddr| match ip {
                IpAddr::V4(_) => true,
                IpAddr::V6(ip) => address.is_ipv6() && !ip.is_unicast_link_local(),
            };
            names.extend(interfaces.iter().map(if_addrs::Interface::ip).filter(reached).map(|ip| ip.to_string()));
        } else {
            names.insert(address.to_string());
        }
    }
    names.retain(|name| ServerName::try_from(name.as_str()).is_ok());
    names
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
fn fingerprint(certificate: &CertificateDer<'static>) -> Result<Fingerprint, TlsError> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(Fingerprint(Sha256::digest(parsed.subject_public_key_info().as_ref()).into()))
}

fn read(path: &Path) -> Result<String, TlsError> {
    let file = |error: std::io::Error| TlsError::File {
        path: path.to_owned(),
        why: format!("{error}; check that it is there and that this user may read it"),
    };
    std::fs::read_to_string(path).map_err(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(folder: &Path) -> Config {
        Config { state: folder.to_owned(), ..Config::default() }
    }

    fn presented(tls: &Tls) -> Vec<CertificateDer<'static>> {
        tls.in_use.0.load().cert.clone()
    }

    #[test]
    fn the_authority_stays_and_the_certificate_is_made_for_every_name_of_this_host() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = own(folder.path());
        config.tls.names = vec!["cp.example.com".to_owned(), "192.0.2.7".to_owned()];
        let tls = Tls::start(&config, vec!["0.0.0.0:7001".parse().unwrap()]).unwrap();
        for name in ["cp.example.com", "192.0.2.7", "localhost", "127.0.0.1", CONTROL_PLANE_NAME] {
            let chain = presented(&tls);
            let certificate = ParsedCertificate::try_from(&chain[0]).unwrap();
            rustls::client::verify_server_name(&certificate, &ServerName::try_from(name).unwrap()).unwrap();
        }
        let again = Tls::start(&config, Vec::new()).unwrap();
        assert_eq!(tls.pin().unwrap(), again.pin().unwrap());
        assert_eq!(presented(&tls)[1], presented(&again)[1], "the authority's certificate is the same");
        assert_ne!(presented(&tls)[0], presented(&again)[0]);
        assert_eq!(Some(fingerprint(&presented(&tls)[1]).unwrap()), tls.pin().unwrap());
        assert_eq!(
            authority_pem(&config).unwrap().unwrap(),
            std::fs::read_to_string(folder.path().join("ca.crt")).unwrap()
        );
    }

    #[test]
    fn it_is_renewed_before_it_ends_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let mut tls = Tls::start(&own(folder.path()), Vec::new()).unwrap();
        let (first, now) = (presented(&tls), SystemTime::now());
        tls.look(false, now);
        assert_eq!(presented(&tls), first);
        let days = |days: u64| now + Duration::from_secs(days * 86_400);
        tls.look(false, days(59));
        assert_eq!(presented(&tls), first);
        assert!(tls.renew_at < days(90), "it is good for 90 days");
        tls.look(false, days(61));
        assert_ne!(presented(&tls)[0], first[0]);
        assert_eq!(presented(&tls)[1], first[1]);
    }

    #[test]
    fn a_lost_authority_is_not_replaced_quietly_but_its_certificate_can_be_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let pin = Tls::start(&own(folder.path()), Vec::new()).unwrap().pin().unwrap();
        std::fs::remove_file(folder.path().join("ca.crt")).unwrap();
        assert_eq!(Tls::start(&own(folder.path()), Vec::new()).unwrap().pin().unwrap(), pin);
        std::fs::remove_file(folder.path().join("ca.key")).unwrap();
        let error = Tls::start(&own(folder.path()), Vec::new()).unwrap_err();
        assert!(matches!(error, TlsError::AuthorityLost { .. }), "{error}");
    }

    /// A server's chain and key in files, from an authority made in `from`.
    fn given(from: &Path, folder: &Path) -> Config {
        let authority = Authority::open(from).unwrap();
        let (chain, key) = authority.make(&all_names(&[], &[]), SystemTime::now()).unwrap();
        let paths = ["server.crt", "server.key", "given.crt"].map(|name| folder.join(name));
        for (path, text) in paths.iter().zip([chain.pem(), key.serialize_pem(), authority.pem().to_owned()]) {
            std::fs::write(path, text).unwrap();
        }
        let [cert, key, ca] = paths.map(Some);
        let mut config = own(folder);
        config.tls = config::Tls { cert, key, ca, ..config::Tls::default() };
        config
    }

    #[test]
    fn changed_files_are_taken_over_and_a_broken_pair_leaves_the_one_in_use() {
        let (authority, folder, other) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = given(authority.path(), folder.path());
        let mut tls = Tls::start(&config, Vec::new()).unwrap();
        let first = presented(&tls);
        assert_eq!(first.len(), 2, "the authority is presented with it, so that gateways find its key");
        assert_eq!(tls.pin().unwrap(), Some(fingerprint(&first[1]).unwrap()));
        tls.look(false, SystemTime::now());
        assert_eq!(presented(&tls), first);

        // A new certificate whose key is not there yet.
        let key = std::fs::read(folder.path().join("server.key")).unwrap();
        given(authority.path(), folder.path());
        let (new_chain, new_key) = ("server.crt", std::fs::read(folder.path().join("server.key")).unwrap());
        std::fs::write(folder.path().join("server.key"), key).unwrap();
        tls.look(false, SystemTime::now());
        assert_eq!(presented(&tls), first, "{new_chain} does not fit its key");
        std::fs::write(folder.path().join("server.key"), new_key).unwrap();
        tls.look(true, SystemTime::now());
        let second = presented(&tls);
        assert_ne!(second[0], first[0]);

        // From another authority than `tls.ca` names.
        let ca = std::fs::read(folder.path().join("given.crt")).unwrap();
        given(other.path(), folder.path());
        std::fs::write(folder.path().join("given.crt"), ca).unwrap();
        tls.look(true, SystemTime::now());
        assert_eq!(presented(&tls), second);
        std::fs::remove_file(folder.path().join("server.crt")).unwrap();
        tls.look(true, SystemTime::now());
        assert_eq!(presented(&tls), second);
    }

    #[test]
    fn without_a_private_authority_nothing_is_pinned() {
        let (authority, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut config = given(authority.path(), folder.path());
        config.tls.ca = None;
        assert_eq!(Tls::start(&config, Vec::new()).unwrap().pin().unwrap(), None);
        assert_eq!(authority_pem(&config).unwrap(), None);
        assert!(check(&config.tls).is_ok());
        std::fs::write(folder.path().join("server.key"), "nonsense").unwrap();
        assert!(check(&config.tls).unwrap_err().to_string().contains("server.key"));
    }
}
