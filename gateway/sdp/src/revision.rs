//! Whether the far end's o= line keeps RFC 3264 8: the same session, and a version that is one higher exactly when the
//! description is another one. What it describes counts either way; the judgement is for whoever looks for a peer's fault.

use std::cmp::Ordering;

/// Most digits of a version that are compared.
const MAX_DIGITS: usize = 32;

/// What the o= line of a description says, beside the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// There was none before, or one of the two has no o= line.
    First,
    /// The same description under the same version.
    Same,
    /// Another description, its version one higher.
    Next,
    /// Its version is more than one higher.
    Skipped,
    /// The same description under a higher version.
    Needless,
    /// Another description under the same version.
    Unannounced,
    /// A lower version.
    Backwards,
    /// Another session altogether, as when somebody between put another far end in its place.
    OtherSession,
}

impl Revision {
    /// Whether RFC 3264 8 allows it within a dialog.
    #[must_use]
    pub const fn is_lawful(self) -> bool {
        matches!(self, Self::First | Self::Same | Self::Next)
    }
}

/// An o= line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Everything but the version: user name, session and address.
    session: String,
    /// Digits without leading zeros; their number has no limit (RFC 8866 9).
    version: String,
}

impl Origin {
    /// `<username> <sess-id> <sess-version> <nettype> <addrtype> <unicast-address>`.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let fields: Vec<&str> = value.split_ascii_whitespace().collect();
        let [user, id, version, net, kind, address] = fields.as_slice() else { return None };
        let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        let version = version.trim_start_matches('0');
        (digits && version.len() <= MAX_DIGITS)
            .then(|| Self { session: [*user, id, net, kind, address].join(" "), version: version.to_owned() })
    }

    /// What this one says beside the one `before`.
    pub(crate) fn revision(&self, before: &Self, same_body: bool) -> Revision {
        if self.session != before.session {
            return Revision::OtherSession;
        }
        match (numeric(&self.version, &before.version), same_body) {
            (Ordering::Equal, true) => Revision::Same,
            (Ordering::Equal, false) => Revision::Unannounced,
            (Ordering::Less, _) => Revision::Backwards,
            (Ordering::Greater, true) => Revision::Needless,
            (Ordering::Greater, false) if self.version == successor(&before.version) => Revision::Next,
            (Ordering::Greater, false) => Revision::Skipped,
        }
    }
}

fn numeric(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// One more, in digits.
fn successor(version: &str) -> String {
    let mut digits = version.as_bytes().to_vec();
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return String::from_utf8(digits).unwrap_or_default();
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
    String::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(version: &str) -> Origin {
        Origin::parse(&format!("- 77 {version} IN IP4 198.51.100.7")).unwrap()
    }

    #[test]
    fn versions_of_any_length_are_judged() {
        for (before, now, same_body, expected) in [
            ("1", "1", true, Revision::Same),
            ("1", "1", false, Revision::Unannounced),
            ("0", "1", false, Revision::Next),
            ("9", "10", false, Revision::Next),
            ("0999", "1000", false, Revision::Next),
            ("18446744073709551615", "18446744073709551616", false, Revision::Next),
            ("1", "3", false, Revision::Skipped),
            ("1", "2", true, Revision::Needless),
            ("10", "9", false, Revision::Backwards),
        ] {
            let revision = origin(now).revision(&origin(before), same_body);
            assert_eq!(revision, expected, "{before} {now}");
            assert_eq!(
                revision.is_lawful(),
                matches!(expected, Revision::Same | Revision::Next),
                "{before} {now} {same_body}"
            );
        }
        let other = Origin::parse("- 78 2 IN IP4 198.51.100.7").unwrap();
        assert_eq!(other.revision(&origin("1"), false), Revision::OtherSession);
        for bad in ["", "- 1 1", "- 1 x IN IP4 a", "- 1 -1 IN IP4 a", "- 1 1 IN IP4 a b"] {
            assert_eq!(Origin::parse(bad), None, "{bad}");
        }
    }
}
