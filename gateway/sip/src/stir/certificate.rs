//! A signer's certificate with those between it and an authority, and the authorities that are believed.

use std::time::Duration;

use der::asn1::{AnyRef, UintRef};
use der::{Encode as _, Tag};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert};

use super::finding::Fault;
use super::tn_auth_list::TnAuthList;

/// Longest chain that is read.
const MOST_CHAIN: usize = 6;
/// Most authorities of a file.
const MOST_ROOTS: usize = 512;

/// A chain.
#[derive(Debug)]
pub(super) struct Chain {
    leaf: CertificateDer<'static>,
    between: Vec<CertificateDer<'static>>,
    /// For whom it speaks.
    pub(super) list: Option<TnAuthList>,
}

impl Chain {
    /// Reads one in PEM, the signer's certificate first, or the signer's alone in DER.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut all = certificates(bytes, MOST_CHAIN)?;
        if all.is_empty() {
            all.push(CertificateDer::from(bytes.to_vec()));
        }
        let leaf = all.remove(0);
        EndEntityCert::try_from(&leaf).map_err(|_| "it is no certificate of X.509, or of a kind that is not read")?;
        let list = TnAuthList::of(&leaf).map_err(|_| "its TNAuthList cannot be read")?;
        Ok(Self { leaf, between: all, list })
    }

    /// Whether an authority stands behind it now.
    pub(super) fn check(&self, roots: &Roots, wall_s: u64) -> Result<(), Fault> {
        let untrusted = |error: webpki::Error| Fault::Untrusted(error.to_string());
        let time = UnixTime::since_unix_epoch(Duration::from_secs(wall_s));
        let leaf = EndEntityCert::try_from(&self.leaf).map_err(untrusted)?;
        let known = webpki::ALL_VERIFICATION_ALGS;
        leaf.verify_for_usage(known, &roots.0, &self.between, time, AnyUsage, None, None).map_err(untrusted)?;
        Ok(())
    }

    /// Whether its key made a signature of ES256 (RFC 7518 3.4): two numbers of 32 bytes.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), Fault> {
        let encoded = encoded(signature).map_err(|_| Fault::Signature)?;
        let leaf = EndEntityCert::try_from(&self.leaf).map_err(|error| Fault::Untrusted(error.to_string()))?;
        let checked = leaf.verify_signature(webpki::ring::ECDSA_P256_SHA256, message, &encoded);
        checked.map_err(|_| Fault::Signature)
    }
}

/// Authorities that are believed.
#[derive(Debug, Default)]
pub(super) struct Roots(Vec<TrustAnchor<'static>>);

impl Roots {
    /// Reads them in PEM.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let all = certificates(bytes, MOST_ROOTS)?;
        let anchors = all.iter().map(|root| anchor_from_trusted_cert(root).map(|anchor| anchor.to_owned()));
        let anchors: Vec<_> = anchors.collect::<Result<_, _>>().map_err(|_| "a certificate in it cannot be read")?;
        if anchors.is_empty() { Err("it holds no certificate in PEM") } else { Ok(Self(anchors)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Certificates in PEM; none of what is no PEM.
fn certificates(bytes: &[u8], most: usize) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .take(most + 1)
        .collect::<Result<_, _>>()
        .map_err(|_| "it is not a certificate in PEM")?;
    if all.len() > most { Err("it holds too many certificates") } else { Ok(all) }
}

/// The same signature as X.509 writes it: a SEQUENCE of two INTEGERs (RFC 3279 2.2.3).
fn encoded(signature: &[u8; 64]) -> der::Result<Vec<u8>> {
    let (r, s) = signature.split_at(32);
    let mut both = UintRef::new(r)?.to_der()?;
    UintRef::new(s)?.encode_to_vec(&mut both)?;
    AnyRef::new(Tag::Sequence, &both)?.to_der()
}

/// What a certificate may be used for is said by its TNAuthList; profiles of SHAKEN have no extended key usage.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, mut purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        purposes.try_for_each(|purpose| purpose.map(drop))
    }
}
