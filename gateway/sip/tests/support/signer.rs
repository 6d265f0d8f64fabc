//! A service provider that signs who calls, with an authority of its own (RFC 8226, RFC 8588).
#![allow(dead_code, reason = "each test uses its part")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SigningKey as _,
};

/// TNAuthList (RFC 8226 9).
const TN_AUTH_LIST: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 26];

/// An authority.
pub(crate) struct Authority {
    /// Its certificate in PEM.
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        Self { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
    }

    /// An authority below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        Self { pem: params.signed_by(&key, &self.issuer).unwrap().pem(), issuer: Issuer::new(params, key) }
    }

    /// A provider whose certificate is found at `url`.
    pub(crate) fn signer(&self, url: &str) -> Signer {
        self.signer_with(url, KeyPair::generate().unwrap(), |_| {})
    }

    /// The same with another key and certificate.
    pub(crate) fn signer_with(&self, url: &str, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Signer {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "SHAKEN 709J");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.custom_extensions = vec![provider("709J")];
        change(&mut params);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Signer { pem, url: url.to_owned(), key }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// TNAuthList with a service provider's code.
pub(crate) fn provider(code: &str) -> CustomExtension {
    tn_auth_list(&tlv(0xa0, &tlv(0x16, code.as_bytes())))
}

/// TNAuthList with one number.
pub(crate) fn number(number: &str) -> CustomExtension {
    tn_auth_list(&tlv(0xa2, &tlv(0x16, number.as_bytes())))
}

fn tn_auth_list(entries: &[u8]) -> CustomExtension {
    CustomExtension::from_oid_content(&TN_AUTH_LIST, tlv(0x30, entries))
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(value.len()).unwrap()], value].concat()
}

/// A provider that signs.
pub(crate) struct Signer {
    /// Its certificate in PEM.
    pub(crate) pem: String,
    /// Where that is found.
    pub(crate) url: String,
    key: KeyPair,
}

impl Signer {
    /// An Identity of SHAKEN.
    pub(crate) fn shaken(&self, attest: char, orig: &str, dest: &str, iat: u64) -> String {
        let payload = format!(
            r#"{{"attest":"{attest}","dest":{{"tn":["{dest}"]}},"iat":{iat},"orig":{{"tn":"{orig}"}},"origid":"123e4567-e89b-12d3-a456-426655440000"}}"#
        );
        self.identity(&self.head("shaken"), &payload, "shaken")
    }

    /// The header of a token, with `ppt` unless that is empty.
    pub(crate) fn head(&self, ppt: &str) -> String {
        let ppt = if ppt.is_empty() { String::new() } else { format!("\"ppt\":\"{ppt}\",") };
        format!(r#"{{"alg":"ES256",{ppt}"typ":"passport","x5u":"{}"}}"#, self.url)
    }

    /// An Identity of any header and payload.
    pub(crate) fn identity(&self, head: &str, payload: &str, ppt: &str) -> String {
        let (head, payload) = (URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.signature(&format!("{head}.{payload}"));
        let ppt = if ppt.is_empty() { String::new() } else { format!(";ppt=\"{ppt}\"") };
        format!("{head}.{payload}.{signature};info=<{}>;alg=ES256{ppt}", self.url)
    }

    /// A signature of ES256: two numbers of 32 bytes, where the library writes a SEQUENCE of two INTEGERs.
    pub(crate) fn signature(&self, message: &str) -> String {
        let encoded = self.key.sign(message.as_bytes()).unwrap();
        let integer = |at: usize| {
            let length = usize::from(encoded[at + 1]);
            let value = &encoded[at + 2..at + 2 + length];
            let value = value.strip_prefix(&[0]).unwrap_or(value);
            ([vec![0; 32 - value.len()], value.to_vec()].concat(), at + 2 + length)
        };
        let (r, next) = integer(2);
        let (s, _) = integer(next);
        URL_SAFE_NO_PAD.encode([r, s].concat())
    }
}
