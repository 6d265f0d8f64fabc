//! Scanners by the names that they give themselves. Whoever hides its name is told by its persistence.

use aho_corasick::AhoCorasick;

use crate::guard::{Message, Name};

/// Names that scanners bear: of SIPVicious and its copies, of the usual SIP command lines that look for open gateways, and
/// of nmap's probe.
pub const DEFAULT_SCANNERS: [&str; 14] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sip-scan",
    "sipscan",
    "sipcli",
    "sipsak",
    "sundayddr",
    "pplsip",
    "VaxSIPUserAgent",
    "VaxIPUserAgent",
    "sipv.scan",
    "scan@scanner",
    "sip:nm@nm",
];

/// Bytes of a header's value, or of the first line, that are looked at.
const LOOKED_AT: usize = 160;
/// Shorter ones would be found in names of people.
const SHORTEST: usize = 5;
/// Longer ones in nothing.
const LONGEST: usize = 64;

/// Whether a text can be a pattern: 5 to 64 printable ASCII characters.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Finds them.
#[derive(Debug)]
pub(crate) struct Scanners(Option<AhoCorasick>);

impl Scanners {
    /// By texts that may stand anywhere in the first line, User-Agent, From, To or Contact, in upper or lower case. What is no
    /// pattern is left out.
    pub(crate) fn new(patterns: &[String]) -> Self {
        let patterns: Vec<&String> = patterns.iter().filter(|text| is_pattern(text)).collect();
        let found = AhoCorasick::builder().ascii_case_insensitive(true).build(&patterns);
        Self(found.ok().filter(|_| !patterns.is_empty()))
    }

    /// Whether a message bears such a name.
    pub(crate) fn sent(&self, message: &Message<'_>) -> bool {
        let Some(patterns) = &self.0 else { return false };
        let bears = |text: &str| {
            let bytes = text.as_bytes();
            patterns.is_match(bytes.get(..LOOKED_AT).unwrap_or(bytes))
        };
        let looked_at = [Name::From, Name::To, Name::Contact];
        bears(message.line)
            || message.headers.iter().any(|header| {
                let named = looked_at.contains(&header.name) || header.written.eq_ignore_ascii_case("user-agent");
                named && bears(&header.value)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::scan;

    fn sent(text: &str) -> bool {
        let patterns = DEFAULT_SCANNERS.map(str::to_owned);
        Scanners::new(&patterns).sent(&scan(text.as_bytes()).unwrap())
    }

    fn options(more: &str) -> String {
        format!("OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:100@192.0.2.1>\r\n{more}\r\n")
    }

    #[test]
    fn scanners_are_known_by_their_names_wherever_these_stand() {
        for more in [
            "User-Agent: friendly-scanner\r\n",
            "user-agent: SIPCLI/v1.8\r\n",
            "User-Agent: VaxSIPUserAgent/3.1\r\n",
            "f: \"sipvicious\"<sip:100@1.1.1.1>;tag=6336\r\n",
            "t: \"SIPVicious\"<sip:100@1.1.1.1>\r\n",
            "Contact: <sip:nm@nm>\r\n",
        ] {
            assert!(sent(&options(more)), "{more}");
        }
        assert!(sent(&options("").replace("sip:100@192", "sip:sipvicious@192")));
        assert!(!sent(&options("User-Agent: Asterisk PBX 20.5\r\nX-Note: sipvicious\r\n")));
        assert!(!sent(&options(&format!("User-Agent: {}sipcli\r\n", "x".repeat(LOOKED_AT)))), "nobody reads for ever");
    }

    #[test]
    fn every_default_is_a_pattern_and_what_is_none_matches_nothing() {
        assert!(DEFAULT_SCANNERS.iter().all(|text| is_pattern(text)));
        for text in ["", "sip", "a\r\nb c d", "\u{e4}\u{f6}\u{fc}\u{e4}"] {
            assert!(!is_pattern(text));
            let none = Scanners::new(&[text.to_owned()]);
            assert!(!none.sent(&scan(options("User-Agent: sipcli\r\n").as_bytes()).unwrap()), "{text}");
        }
    }
}
