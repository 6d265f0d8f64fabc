//! The side that asks for a password: challenges, and judges what comes back (RFC 7616 3.3, RFC 3261 22, RFC 8760).

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::algorithm::{Algorithm, Ha1};
use super::nonces::{Fresh, NonceLimits, Nonces, NotFresh, first_half, keyed};
use super::parameters::{Parameters, quoted};

/// Most credentials of one request that are looked at.
const MOST_CREDENTIALS: usize = 8;

/// What a server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The realm.
    pub realm: String,
    /// Algorithms in order of preference.
    pub algorithms: Vec<Algorithm>,
    /// Whether a URI is taken that is not the request's: for peers behind proxies that rewrite it. Whoever hears such
    /// credentials can use them once for another request.
    pub any_uri: bool,
    /// Bounds of nonces.
    pub nonces: NonceLimits,
}

impl ServerConfig {
    /// A realm with SHA-256 before MD5.
    #[must_use]
    pub fn new(realm: &str) -> Self {
        let algorithms = vec![Algorithm::Sha256, Algorithm::Md5];
        Self { realm: realm.to_owned(), algorithms, any_uri: false, nonces: NonceLimits::default() }
    }
}

/// Asks peers for their password and judges their answers.
pub struct DigestServer {
    config: ServerConfig,
    nonces: Nonces,
    /// Stands in for the password of users that there are not, so that they take as long as others.
    nobody: Hmac<Sha256>,
}

/// A request without its credentials: values of `WWW-Authenticate` (401) or `Proxy-Authenticate` (407) in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// A header for each algorithm, the preferred one first.
    pub headers: Vec<String>,
    /// Why, for the log and the metrics.
    pub why: NotAuthentic,
}

/// Why a request is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAuthentic {
    /// It has no credentials for the realm.
    Missing,
    /// The password was right, the nonce too old or forgotten: the peer tries again without asking anybody.
    Stale,
    /// The nonce is not ours, or was another peer's.
    Foreign,
    /// The user is unknown or the password wrong.
    Wrong,
    /// The same credentials came before.
    Replayed,
    /// The URI is not the request's.
    Uri,
    /// `qop=auth-int`, which is not served.
    AuthInt,
    /// No `qop`, an algorithm that was not offered, or no digest at all.
    Unserved,
}

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It comes from this user.
    Authentic {
        /// The user.
        user: String,
    },
    /// It is to be challenged.
    Challenge(Challenge),
}

impl DigestServer {
    /// A server with a secret of its own: 32 random bytes.
    #[must_use]
    pub fn new(config: ServerConfig, secret: &[u8; 32]) -> Self {
        let nonces = Nonces::new(secret, config.nonces);
        Self { config, nonces, nobody: keyed(secret) }
    }

    /// Judges a request. `peer` is whatever nonces are bound to, the source address for one; `credentials` are the values
    /// of `Authorization` or `Proxy-Authorization`; `ha1` finds the hash of a user.
    pub fn judge(
        &mut self,
        now_ms: u64,
        peer: &[u8],
        method: &str,
        uri: &str,
        credentials: &[&str],
        ha1: impl Fn(&str, Algorithm) -> Option<Ha1>,
    ) -> Judged {
        let mut why = NotAuthentic::Missing;
        for value in credentials.iter().take(MOST_CREDENTIALS) {
            match self.credentials(now_ms, peer, (method, uri), value, &ha1) {
                Ok(user) => return Judged::Authentic { user },
                Err(NotAuthentic::Missing) => {}
                Err(found) => why = found,
            }
        }
        let nonce = self.nonces.make(now_ms, peer);
        let realm = quoted(&self.config.realm);
        let stale = if why == NotAuthentic::Stale { ", stale=true" } else { "" };
        let header = |algorithm: &Algorithm| {
            format!("Digest realm={realm}, nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}", algorithm.name())
        };
        Judged::Challenge(Challenge { headers: self.config.algorithms.iter().map(header).collect(), why })
    }

    /// Number of nonces in use.
    #[must_use]
    pub fn nonces_in_use(&self) -> usize {
        self.nonces.in_use()
    }

    fn credentials(
        &mut self,
        now_ms: u64,
        peer: &[u8],
        (method, uri): (&str, &str),
        value: &str,
        ha1: &dyn Fn(&str, Algorithm) -> Option<Ha1>,
    ) -> Result<String, NotAuthentic> {
        let given = Parameters::read(value).map_err(|_| NotAuthentic::Unserved)?;
        let get = |name: &str| given.get(name).ok_or(NotAuthentic::Unserved);
        if get("realm")? != self.config.realm {
            // For a proxy on the way, or for another one behind us.
            return Err(NotAuthentic::Missing);
        }
        match given.get("qop") {
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {}
            Some(qop) if qop.eq_ignore_ascii_case("auth-int") => return Err(NotAuthentic::AuthInt),
            // Without it there is no count, and what was heard once could be said again.
            _ => return Err(NotAuthentic::Unserved),
        }
        let algorithm = Algorithm::of(given.get("algorithm").unwrap_or("MD5"));
        let algorithm = algorithm.filter(|algorithm| self.config.algorithms.contains(algorithm));
        let algorithm = algorithm.ok_or(NotAuthentic::Unserved)?;
        let (user, nonce, cnonce, nc) = (get("username")?, get("nonce")?, get("cnonce")?, get("nc")?);
        let count = u32::from_str_radix(nc, 16).ok().filter(|count| nc.len() == 8 && *count > 0);
        let count = count.ok_or(NotAuthentic::Unserved)?;
        if !self.config.any_uri && get("uri")? != uri {
            return Err(NotAuthentic::Uri);
        }
        let fresh = match self.nonces.look(now_ms, peer, nonce) {
            Ok(fresh) => Some(fresh),
            Err(NotFresh::Stale) => None,
            Err(NotFresh::Foreign) => return Err(NotAuthentic::Foreign),
        };
        let known = ha1(user, algorithm).filter(|known| known.algorithm == algorithm);
        let expected = known.clone().unwrap_or_else(|| self.nobody(algorithm, user));
        let expected = expected.response(method, get("uri")?, nonce, nc, cnonce);
        let right = expected.as_bytes().ct_eq(get("response")?.to_ascii_lowercase().as_bytes());
        if !bool::from(right) || known.is_none() {
            return Err(NotAuthentic::Wrong);
        }
        // Only now: whoever has no password is not told that a nonce was too old.
        let fresh: Fresh = fresh.ok_or(NotAuthentic::Stale)?;
        if !self.nonces.spend(now_ms, fresh, count) {
            return Err(NotAuthentic::Replayed);
        }
        Ok(user.to_owned())
    }

    fn nobody(&self, algorithm: Algorithm, user: &str) -> Ha1 {
        let mut hmac = self.nobody.clone();
        hmac.update(user.as_bytes());
        let password: String = first_half(hmac).iter().map(|byte| format!("{byte:02x}")).collect();
        Ha1::of(algorithm, user, &self.config.realm, &password)
    }
}

impl fmt::Debug for DigestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestServer").field("config", &self.config).finish_non_exhaustive()
    }
}
