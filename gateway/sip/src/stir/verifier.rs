//! The judgement itself (RFC 8224 6.2). What costs nothing comes first, so that nothing is fetched for a token that could
//! not hold.

use std::sync::Arc;
use std::time::Instant;

use super::cache::Cache;
use super::certificate::Chain;
use super::finding::{Fault, Finding, Proof};
use super::material::Material;
use super::passport::Claims;
use super::question::Question;
use super::token::{Kind, Token};

/// Most bytes of a certificate with those above it.
pub const MOST_CERTIFICATE_BYTES: usize = 64 << 10;
/// Most certificates that are kept.
const MOST_KEPT: usize = 1024;
/// Most providers of a certificate that are told.
const MOST_PROVIDERS: usize = 4;

/// What is said of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is settled.
    Found(Finding),
    /// A certificate is needed from this URL first.
    Needs(String),
}

/// What became of one token.
enum Seen {
    Holds(Proof),
    Needs(String),
    /// It is not of a kind that says who calls.
    Else,
}

/// Verifies who calls.
#[derive(Debug)]
pub struct Verifier {
    freshness_s: u32,
    cache: Cache,
}

impl Verifier {
    /// One that believes what was signed at most so many seconds ago.
    #[must_use]
    pub fn new(freshness_s: u32) -> Self {
        Self { freshness_s, cache: Cache::new(MOST_KEPT) }
    }

    /// Judges a call at `now`, which is `wall_s` seconds after the Unix epoch. Of several tokens one that holds is enough;
    /// where none does it is the first one's fault that counts.
    #[must_use]
    pub fn judge(&self, now: Instant, wall_s: u64, material: &Material, question: &Question) -> Judgement {
        let (mut needs, mut fault) = (None, None);
        for value in &question.identities {
            match self.token(now, wall_s, material, question, value) {
                Ok(Seen::Holds(proof)) => {
                    let is_div = |value: &String| Token::parse(value).is_ok_and(|token| token.kind == Kind::Div);
                    let is_diverted = question.identities.iter().any(is_div);
                    return Judgement::Found(Finding::Passed(Proof { is_diverted, ..proof }));
                }
                Ok(Seen::Needs(url)) => needs = needs.or(Some(url)),
                Ok(Seen::Else) => {}
                Err(wrong) => fault = fault.or(Some(wrong)),
            }
        }
        match (needs, fault) {
            (Some(url), _) => Judgement::Needs(url),
            (None, Some(fault)) => Judgement::Found(Finding::Failed(fault)),
            (None, None) if question.has_others => {
                let why = "a signed token with `info` is expected, at most 4 of 4096 bytes together";
                Judgement::Found(Finding::Failed(Fault::Malformed(why)))
            }
            (None, None) => Judgement::Found(Finding::None),
        }
    }

    fn token(
        &self,
        now: Instant,
        wall_s: u64,
        material: &Material,
        question: &Question,
        value: &str,
    ) -> Result<Seen, Fault> {
        let token = Token::parse(value)?;
        // That a call was sent on changes nothing for who calls; what else is signed is not for us (RFC 8224 6.2, step 1).
        if matches!(token.kind, Kind::Div | Kind::Other) {
            return Ok(Seen::Else);
        }
        let claims = Claims::of(&token, question)?;
        self.check(wall_s, &claims, question)?;
        if !material.has_roots() {
            return Err(Fault::NoRoots);
        }
        let chain = match material.chain(token.url) {
            Some(chain) => Arc::clone(chain),
            None => match self.cache.get(now, token.url) {
                Some(Ok(chain)) => chain,
                Some(Err(why)) => return Err(Fault::NotHad(why)),
                None => return Ok(Seen::Needs(token.url.to_owned())),
            },
        };
        chain.check(&material.roots, wall_s)?;
        let list = chain.list.as_ref().ok_or(Fault::NotEntitled("it has no TNAuthList (RFC 8226 9)"))?;
        if !claims.orig.as_deref().is_some_and(|orig| list.covers(orig)) {
            return Err(Fault::NotEntitled("its TNAuthList does not name the number"));
        }
        chain.signed(claims.message.as_bytes(), &token.signature)?;
        let providers = list.providers.iter().take(MOST_PROVIDERS).cloned().collect();
        Ok(Seen::Holds(Proof { providers, ..claims.proof }))
    }

    /// What needs no certificate.
    fn check(&self, wall_s: u64, claims: &Claims, question: &Question) -> Result<(), Fault> {
        let age_s =
            i64::try_from(wall_s).unwrap_or(i64::MAX).saturating_sub(i64::try_from(claims.iat).unwrap_or(i64::MAX));
        if age_s.unsigned_abs() > u64::from(self.freshness_s) {
            return Err(Fault::Stale { age_s });
        }
        if claims.orig.is_none() || claims.orig != question.calling {
            return Err(Fault::Origin);
        }
        let called = [&question.to, &question.dialled].into_iter().flatten();
        if !called.into_iter().any(|called| claims.dest.contains(called)) {
            return Err(Fault::Destination);
        }
        Ok(())
    }

    /// A certificate that was needed has been fetched, or could not be.
    pub fn had(&mut self, now: Instant, wall_s: u64, material: &Material, url: String, fetched: Result<&[u8], String>) {
        let chain = fetched.and_then(|bytes| {
            if bytes.len() > MOST_CERTIFICATE_BYTES {
                return Err("it is longer than 64 KiB".to_owned());
            }
            Chain::read(bytes).map(Arc::new).map_err(str::to_owned)
        });
        let believed = chain.as_ref().is_ok_and(|chain| chain.check(&material.roots, wall_s).is_ok());
        self.cache.put(now, url, chain, believed);
    }
}
