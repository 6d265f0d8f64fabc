//! What a PASSporT claims (RFC 8225 5, RFC 8588 5), and what is signed of one in the compact form (RFC 8225 7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::finding::{Fault, Proof};
use super::number::signed;
use super::question::Question;
use super::token::{Kind, Token, decoded};

/// Most numbers that a call may be to.
const MOST_NUMBERS: usize = 64;
/// Longest `origid`: a UUID has 36 characters.
const MOST_ORIGID: usize = 128;

#[derive(Deserialize)]
struct Head {
    alg: String,
    typ: String,
    ppt: Option<String>,
    x5u: Option<String>,
    crit: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Payload {
    attest: Option<String>,
    dest: Called,
    iat: u64,
    orig: Caller,
    origid: Option<String>,
}

#[derive(Deserialize)]
struct Caller {
    tn: Option<String>,
}

#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    tn: Vec<String>,
}

/// What is claimed, and what is signed.
#[derive(Debug)]
pub(super) struct Claims {
    /// Header and payload, as they are signed.
    pub(super) message: String,
    /// When it was signed, in seconds since the Unix epoch.
    pub(super) iat: u64,
    /// Who calls; nothing when it is no number.
    pub(super) orig: Option<String>,
    /// Who is called.
    pub(super) dest: Vec<String>,
    pub(super) proof: Proof,
}

impl Claims {
    /// Those of a token, of which the compact form has the call say them.
    pub(super) fn of(token: &Token<'_>, question: &Question) -> Result<Self, Fault> {
        if token.alg.is_some_and(|alg| alg != "ES256") {
            return Err(Fault::Algorithm);
        }
        match token.written {
            Some((head, payload)) => Self::full(token, head, payload),
            None => Self::compact(token, question),
        }
    }

    fn full(token: &Token<'_>, head: &str, payload: &str) -> Result<Self, Fault> {
        let message = format!("{head}.{payload}");
        let Head { alg, typ, ppt, x5u, crit } = serde_json::from_slice(&decoded(head)?)
            .map_err(|_| Fault::Malformed("its header is not that of a PASSporT"))?;
        let payload: Payload = serde_json::from_slice(&decoded(payload)?)
            .map_err(|_| Fault::Malformed("its payload is not that of a PASSporT"))?;
        if alg != "ES256" {
            return Err(Fault::Algorithm);
        }
        if typ != "passport" {
            return Err(Fault::Malformed("its header has another `typ` than `passport`"));
        }
        if crit.is_some() {
            return Err(Fault::Malformed("its header has `crit`, and nothing beyond RFC 8225 is understood"));
        }
        let is_shaken = ppt.as_deref() == Some("shaken");
        if ppt.is_some() != is_shaken || is_shaken != (token.kind == Kind::Shaken) {
            return Err(Fault::Malformed("`ppt` of the token is another than that of the header"));
        }
        if x5u.as_deref() != Some(token.url) {
            return Err(Fault::InfoDiffers);
        }
        let Payload { attest, dest, iat, orig, origid } = payload;
        if dest.tn.len() > MOST_NUMBERS {
            return Err(Fault::Malformed("it is to more than 64 numbers"));
        }
        let proof = if is_shaken { shaken(attest, origid)? } else { Proof::default() };
        let orig = orig.tn.as_deref().and_then(signed);
        let dest = dest.tn.iter().filter_map(|number| signed(number)).collect();
        Ok(Self { message, iat, orig, dest, proof })
    }

    fn compact(token: &Token<'_>, question: &Question) -> Result<Self, Fault> {
        if token.kind != Kind::Plain {
            return Err(Fault::Malformed("the compact form does not carry what `shaken` says (RFC 8588)"));
        }
        let iat = question.date_s.ok_or(Fault::Malformed("the compact form is expected with a Date"))?;
        let (Some(orig), Some(dest)) = (&question.calling, &question.to) else {
            return Err(Fault::Malformed("the compact form is expected with numbers in From and To"));
        };
        // Keys in order and no white space (RFC 8225 9); a URL has nothing that JSON would escape.
        let head = format!("{{\"alg\":\"ES256\",\"typ\":\"passport\",\"x5u\":\"{}\"}}", token.url);
        let payload = format!("{{\"dest\":{{\"tn\":[\"{dest}\"]}},\"iat\":{iat},\"orig\":{{\"tn\":\"{orig}\"}}}}");
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(payload));
        let (orig, dest) = (Some(orig.clone()), vec![dest.clone()]);
        Ok(Self { message, iat, orig, dest, proof: Proof::default() })
    }
}

/// What SHAKEN adds, all of which must be there.
fn shaken(attest: Option<String>, origid: Option<String>) -> Result<Proof, Fault> {
    let attest = match attest.as_deref() {
        Some("A") => 'A',
        Some("B") => 'B',
        Some("C") => 'C',
        _ => return Err(Fault::Malformed("its `attest` is none of A, B and C")),
    };
    let fits =
        |text: &String| (1..=MOST_ORIGID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let origid = origid.filter(fits).ok_or(Fault::Malformed("its `origid` is missing or no short text"))?;
    Ok(Proof { attest: Some(attest), origid: Some(origid), ..Proof::default() })
}
