//! A certificate authority of the control plane's own, and the server's certificates from it.
//!
//! Trust is in the authority's key, which gateways pin when they enrol. Its certificate therefore has no end (RFC 5280
//! 4.1.2.5: 99991231235959Z): a date would only be the day on which a fleet falls silent. A server's certificate is
//! made at every start and lives in memory alone.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use trunkline_api::enrolment::Fingerprint;

use super::{TlsError, fingerprint, read};

/// For how long a server's certificate is good, and when it is renewed.
const LIFETIME: Duration = Duration::from_secs(90 * 86_400);
const RENEWED_AFTER: Duration = Duration::from_secs(60 * 86_400);
/// How far another clock may be behind this one.
const CLOCKS_DIFFER: Duration = Duration::from_secs(86_400);

/// The authority.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// Reads the authority from the state folder, making it at first use.
    pub(super) fn open(state: &Path) -> Result<Self, TlsError> {
        let (key_path, certificate_path) = (state.join("ca.key"), state.join("ca.crt"));
        let file = |path: &Path, why: String| TlsError::File { path: path.to_owned(), why };
        let io = |path: &Path, error: std::io::Error| file(path, format!("{error}; check the state folder"));
        match std::fs::metadata(&key_path) {
            Ok(key) if key.permissions().mode() & 0o077 != 0 => {
                let why = "readable by others; run `chmod 600` on it and consider this key known";
                return Err(file(&key_path, why.to_owned()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if certificate_path.exists() {
                    return Err(TlsError::AuthorityLost { key: key_path, certificate: certificate_path });
                }
                let key = KeyPair::generate()?.serialize_pem();
                if trunkline_state_folder::create(&key_path, key.as_bytes()).map_err(|error| io(&key_path, error))? {
                    tracing::info!(path = %key_path.display(), "made a certificate authority; keep a backup of it");
                }
            }
            Err(error) => return Err(io(&key_path, error)),
        }
        let unusable = |path: &Path, error: &dyn std::fmt::Display| {
            file(path, format!("not what was written here ({error}); restore it from a backup"))
        };
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(|error| unusable(&key_path, &error))?;
        let params = params(&key);
        if !certificate_path.exists() {
            let made = params.self_signed(&key)?.pem();
            // Public, unlike everything else here; the folder still keeps it from other users.
            trunkline_state_folder::replace(&certificate_path, made.as_bytes())
                .and_then(|()| std::fs::set_permissions(&certificate_path, Permissions::from_mode(0o644)))
                .map_err(|error| io(&certificate_path, error))?;
        }
        let pem = read(&certificate_path)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
        let certificate = certificate.map_err(|error| unusable(&certificate_path, &error))?;
        let own = Fingerprint(Sha256::digest(key.subject_public_key_info()).into());
        if fingerprint(&certificate)? != own {
            let why = format!("not the certificate of {}; remove it and it is made again", key_path.display());
            return Err(file(&certificate_path, why));
        }
        Ok(Self { issuer: Issuer::new(params, key), certificate, pem })
    }

    /// The key that gateways pin.
    pub(super) fn fingerprint(&self) -> Result<Fingerprint, TlsError> {
        fingerprint(&self.certificate)
    }

    /// The certificate in PEM.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// A chain and key for a server of these names, and when to renew them.
    pub(super) fn issue(
        &self,
        names: &BTreeSet<String>,
        now: SystemTime,
        provider: &CryptoProvider,
    ) -> Result<(CertifiedKey, SystemTime), TlsError> {
        let (certificate, key) = self.make(names, now)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok((CertifiedKey::from_der(chain, key, provider)?, now + RENEWED_AFTER))
    }

    pub(super) fn make(&self, names: &BTreeSet<String>, now: SystemTime) -> Result<(Certificate, KeyPair), TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
        params.distinguished_name = named("Trunkline control plane");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + now.saturating_sub(CLOCKS_DIFFER);
        params.not_after = epoch + now + LIFETIME;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}

/// What the authority's certificate says; the same for the same key.
fn params(key: &KeyPair) -> CertificateParams {
    let fingerprint = Fingerprint(Sha256::digest(key.subject_public_key_info()).into()).to_string();
    let mut params = CertificateParams::default();
    // Authorities of two installations in one trust store are told apart by it.
    params.distinguished_name = named(&format!("Trunkline control plane authority {}", &fingerprint[..8]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31) + Duration::from_secs(86_399);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
