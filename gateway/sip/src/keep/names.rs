//! Addresses of the hosts of a trunk, as they were looked up last. The system's resolver says nothing of NAPTR and SRV, so
//! that names stand for their addresses alone; and since it does not say for how long either, they are asked for again
//! every minute. A name that cannot be looked up any more keeps its addresses for an hour: calls need no name server.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::locate::{Found, Naptr, Records, Srv};

/// How soon a name is looked up again.
const FRESH_MS: u64 = 60_000;
/// The same after a failure.
const RETRY_MS: u64 = 10_000;
/// How long addresses are believed that could not be looked up again.
const STALE_MS: u64 = 3_600_000;
/// Most addresses of a name.
const MOST: usize = 8;

/// Names and their addresses.
#[derive(Debug, Default)]
pub struct Names {
    known: BTreeMap<String, Known>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<IpAddr>,
    /// When the addresses were found.
    found_ms: Option<u64>,
    again_ms: u64,
    asked: bool,
}

impl Names {
    /// These names, none of which was looked up. Addresses are no names.
    #[must_use]
    pub fn new<'a>(hosts: impl Iterator<Item = &'a str>) -> Self {
        let names = hosts.filter(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().is_err());
        Self { known: names.map(|name| (name.to_ascii_lowercase(), Known::default())).collect() }
    }

    /// A name that is to be looked up now, each once.
    pub fn poll_question(&mut self, now_ms: u64) -> Option<String> {
        let due = self.known.iter_mut().find(|(_, known)| !known.asked && known.again_ms <= now_ms);
        due.map(|(name, known)| {
            known.asked = true;
            name.clone()
        })
    }

    /// A name was looked up; without addresses that failed.
    pub fn handle_found(&mut self, now_ms: u64, name: &str, mut addresses: Vec<IpAddr>) {
        let Some(known) = self.known.get_mut(name) else { return };
        known.asked = false;
        if addresses.is_empty() {
            known.again_ms = now_ms + RETRY_MS;
            if known.found_ms.is_some_and(|found_ms| now_ms.saturating_sub(found_ms) >= STALE_MS) {
                (known.addresses, known.found_ms) = (Vec::new(), None);
            }
            return;
        }
        addresses.truncate(MOST);
        (known.addresses, known.found_ms, known.again_ms) = (addresses, Some(now_ms), now_ms + FRESH_MS);
    }

    /// When [`Names::poll_question`] is to be asked next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.known.values().filter(|known| !known.asked).map(|known| known.again_ms).min()
    }
}

impl Records for Names {
    fn naptr(&self, _domain: &str) -> Found<Naptr> {
        Found::Known(Vec::new())
    }

    fn srv(&self, _service: &str) -> Found<Srv> {
        Found::Known(Vec::new())
    }

    fn addresses(&self, host: &str, v6: bool) -> Found<IpAddr> {
        let addresses = self.known.get(host).map(|known| known.addresses.iter().copied());
        Found::Known(addresses.into_iter().flatten().filter(|address| address.is_ipv6() == v6).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_addresses_for_an_hour_when_nobody_answers_for_it() {
        let mut names = Names::new(["PBX.example", "192.0.2.1", "[2001:db8::1]"].into_iter());
        assert_eq!(names.poll_question(0).as_deref(), Some("pbx.example"));
        assert_eq!((names.poll_question(0), names.poll_timeout()), (None, None), "asked once");
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        names.handle_found(5, "pbx.example", vec![address]);
        assert_eq!(names.addresses("pbx.example", false), Found::Known(vec![address]));
        assert_eq!(names.addresses("pbx.example", true), Found::Known(Vec::new()));
        assert_eq!(names.poll_timeout(), Some(60_005));
        let mut now = 60_005;
        let mut looked = 0;
        while names.addresses("pbx.example", false) == Found::Known(vec![address]) {
            now = names.poll_timeout().unwrap();
            assert!(names.poll_question(now).is_some());
            names.handle_found(now, "pbx.example", Vec::new());
            looked += 1;
        }
        assert!((3_600_000..3_620_000).contains(&now) && looked < 400, "{now}, {looked}");
    }
}
