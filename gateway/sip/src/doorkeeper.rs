//! Who must prove more than their address: calls of trunks that have an account are made only with its password (RFC 3261
//! 22.2, RFC 8760). Asked before there is a dialog, so that whoever has none leaves nothing behind but a transaction.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rsipstack::sip::{Header, Request, Uri};

use crate::admission::TrunkToken;
use crate::auth::{Algorithm, DigestServer, Ha1, Judged, NotAuthentic, ServerConfig};

/// Most trunks with accounts whose nonces are remembered.
const MOST_TRUNKS: usize = 4096;

/// What the calls of a trunk must prove.
#[derive(Debug, Clone)]
pub struct Account {
    user: String,
    realm: String,
    hashes: Vec<Ha1>,
}

impl Account {
    /// An account by its password, which is not kept.
    #[must_use]
    pub fn new(user: &str, realm: &str, password: &str) -> Self {
        let hashes = [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| Ha1::of(algorithm, user, realm, password));
        Self { user: user.to_owned(), realm: realm.to_owned(), hashes: hashes.into() }
    }

    /// An account that nobody can prove: for a password that is not to be had.
    #[must_use]
    pub fn closed(user: &str, realm: &str) -> Self {
        Self { user: user.to_owned(), realm: realm.to_owned(), hashes: Vec::new() }
    }

    fn hash(&self, user: &str, algorithm: Algorithm) -> Option<Ha1> {
        self.hashes.iter().find(|hash| self.user == user && hash.algorithm() == algorithm).cloned()
    }
}

/// Asks for passwords.
pub(crate) struct Doorkeeper {
    secret: [u8; 32],
    began: Instant,
    servers: Mutex<BTreeMap<TrunkToken, (String, DigestServer)>>,
}

impl Doorkeeper {
    /// With 32 random bytes.
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self { secret, began: Instant::now(), servers: Mutex::default() }
    }

    /// Judges a request; otherwise why not, and the headers of a 401 as whole lines.
    pub(crate) fn judge(
        &self,
        trunk: &TrunkToken,
        account: &Account,
        source: IpAddr,
        request: &Request,
    ) -> Result<(), (NotAuthentic, String)> {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let named = |name: &str| name.eq_ignore_ascii_case("Authorization");
        let proofs: Vec<&str> =
            request.headers.iter().filter(|header| named(header.name())).map(Header::value).collect();
        let uri = proofs.iter().find_map(|proof| same_uri(proof, &request.uri));
        let uri = uri.unwrap_or_else(|| request.uri.to_string());
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if servers.get(trunk).is_some_and(|(realm, _)| *realm != account.realm) {
            servers.remove(trunk);
        }
        if servers.len() >= MOST_TRUNKS && !servers.contains_key(trunk) {
            servers.pop_first();
        }
        let (_, server) = servers.entry(trunk.clone()).or_insert_with(|| {
            let server = DigestServer::new(ServerConfig::new(&account.realm), &self.secret);
            (account.realm.clone(), server)
        });
        let peer = source.to_string();
        let method = request.method.to_string();
        let known = |user: &str, algorithm| account.hash(user, algorithm);
        match server.judge(now_ms, peer.as_bytes(), &method, &uri, &proofs, known) {
            Judged::Authentic { .. } => Ok(()),
            Judged::Challenge(challenge) => {
                let lines = challenge.headers.iter().map(|value| format!("WWW-Authenticate: {value}\r\n"));
                Err((challenge.why, lines.collect()))
            }
        }
    }
}

/// The URI that credentials are for, when it is the request's, however both are written.
fn same_uri(proof: &str, uri: &Uri) -> Option<String> {
    let (_, rest) = proof.split_once("uri=\"")?;
    let (written, _) = rest.split_once('"')?;
    let read = Uri::try_from(written).ok()?;
    (read.to_string() == uri.to_string()).then(|| written.to_owned())
}
