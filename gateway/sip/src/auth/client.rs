//! The side that has a password: reads challenges, chooses the best it can answer, and answers until it is refused
//! (RFC 7616 3.4, RFC 8760 2.4).

use std::fmt;

use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Ha1};
use super::parameters::{Parameters, quoted};

/// Most challenges of one response that are looked at.
const MOST_CHALLENGES: usize = 8;

/// A user and password, for one realm or for whichever asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// The only realm that is answered; any when it is `None`.
    pub realm: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// Why a challenge is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestClientError {
    /// There is none that can be read.
    #[error("the answer asks for a password and has no digest challenge that can be read; the peer's to mend")]
    NoChallenge,
    /// For realms that there are no credentials for.
    #[error("the peer asks for another realm than the credentials are for; correct the realm, or leave it out")]
    Realm,
    /// With algorithms that are not served, or session variants.
    #[error("the peer asks for an algorithm other than SHA-256, SHA-512-256 and MD5; allow one of them there")]
    Algorithm,
    /// With `auth-int` alone.
    #[error("the peer asks for `auth-int`, which is not served since proxies change bodies; allow `auth` there")]
    AuthInt,
    /// The credentials were sent and refused.
    #[error("the peer refuses user or password; correct them")]
    Refused,
}

/// A challenge that can be answered.
#[derive(Clone)]
struct Session {
    header: &'static str,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    has_qop: bool,
    /// Whether the algorithm was named; peers that do not name it may not know it when it is named to them.
    algorithm_named: bool,
    ha1: Ha1,
    count: u32,
    /// It answers a challenge that came after the last success; otherwise it is used unasked, and may be out of date.
    is_answer: bool,
}

/// Answers challenges for one peer.
pub struct DigestClient {
    credentials: Credentials,
    session: Option<Session>,
    /// A challenge was answered since the last success: another one says that the answer was wrong.
    tried: bool,
}

impl DigestClient {
    /// A client that has not been asked yet.
    #[must_use]
    pub const fn new(credentials: Credentials) -> Self {
        Self { credentials, session: None, tried: false }
    }

    /// A 401 or 407 came with these `WWW-Authenticate` or `Proxy-Authenticate` headers. When it returns `Ok`, the request
    /// is to be sent again with [`DigestClient::authorize`].
    ///
    /// # Errors
    /// When there is no use in another try.
    pub fn handle_challenge(&mut self, headers: &[(&str, &str)]) -> Result<(), DigestClientError> {
        let mut best: Option<(Algorithm, Session, bool)> = None;
        let mut why = DigestClientError::NoChallenge;
        for (name, value) in headers.iter().take(MOST_CHALLENGES) {
            let answer_by = match () {
                () if name.eq_ignore_ascii_case("WWW-Authenticate") => "Authorization",
                () if name.eq_ignore_ascii_case("Proxy-Authenticate") => "Proxy-Authorization",
                () => continue,
            };
            match self.read(answer_by, value) {
                Ok((session, stale)) => {
                    let algorithm = session.ha1.algorithm;
                    // Of equals the first: the peer's preference.
                    if best.as_ref().is_none_or(|(known, ..)| algorithm > *known) {
                        best = Some((algorithm, session, stale));
                    }
                }
                Err(error) => why = error,
            }
        }
        let (_, session, stale) = best.ok_or(why)?;
        let nonce_again = self.session.as_ref().is_some_and(|known| known.nonce == session.nonce);
        if self.tried && (!stale || nonce_again) {
            self.session = None;
            return Err(DigestClientError::Refused);
        }
        self.session = Some(session);
        Ok(())
    }

    /// The header for a request: name and value; `None` before any challenge. `random` must be new each time.
    pub fn authorize(&mut self, method: &str, uri: &str, random: [u8; 16]) -> Option<(&'static str, String)> {
        let session = self.session.as_mut()?;
        self.tried |= session.is_answer;
        session.count = session.count.saturating_add(1);
        let (user, realm, nonce) = (quoted(&self.credentials.user), quoted(&session.realm), quoted(&session.nonce));
        let mut value = format!("Digest username={user}, realm={realm}, nonce={nonce}, uri={}", quoted(uri));
        if session.algorithm_named {
            value.push_str(&format!(", algorithm={}", session.ha1.algorithm.name()));
        }
        if session.has_qop {
            let cnonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            let nc = format!("{:08x}", session.count);
            let response = session.ha1.response(method, uri, &session.nonce, &nc, &cnonce);
            let response = response.as_str();
            value.push_str(&format!(", response=\"{response}\", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
        } else {
            let response = session.ha1.response_without_qop(method, uri, &session.nonce);
            value.push_str(&format!(", response=\"{}\"", response.as_str()));
        }
        if let Some(opaque) = &session.opaque {
            value.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        Some((session.header, value))
    }

    /// The request was accepted, or another peer is asked from now on: a challenge after it is a new one. What was
    /// answered with until now is used unasked.
    pub fn handle_accepted(&mut self) {
        self.tried = false;
        if let Some(session) = &mut self.session {
            session.is_answer = false;
        }
    }

    fn read(&self, header: &'static str, value: &str) -> Result<(Session, bool), DigestClientError> {
        let given = Parameters::read(value).map_err(|_| DigestClientError::NoChallenge)?;
        let get = |name: &str| given.get(name).ok_or(DigestClientError::NoChallenge);
        let (realm, nonce) = (get("realm")?, get("nonce")?);
        if self.credentials.realm.as_ref().is_some_and(|only| only != realm) {
            return Err(DigestClientError::Realm);
        }
        let named = given.get("algorithm");
        let algorithm = named.map_or(Some(Algorithm::Md5), Algorithm::of).ok_or(DigestClientError::Algorithm)?;
        let qop = given.get("qop");
        let offers = |wanted: &str| {
            qop.is_some_and(|list| list.split(',').any(|option| option.trim().eq_ignore_ascii_case(wanted)))
        };
        if qop.is_some() && !offers("auth") {
            return Err(if offers("auth-int") { DigestClientError::AuthInt } else { DigestClientError::NoChallenge });
        }
        let Credentials { user, password, .. } = &self.credentials;
        let session = Session {
            header,
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            opaque: given.get("opaque").map(str::to_owned),
            has_qop: qop.is_some(),
            algorithm_named: named.is_some(),
            ha1: Ha1::of(algorithm, user, realm, password),
            count: 0,
            is_answer: true,
        };
        Ok((session, given.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"))))
    }
}

impl fmt::Debug for DigestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestClient").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}
