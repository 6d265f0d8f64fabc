//! Keys that come as INFO, from peers that send no telephone-event: `application/dtmf-relay` and `application/dtmf`.

use trunkline_leg::DtmfDigit;

/// The types that are read, for Accept.
pub(crate) const TYPES: &str = "application/dtmf-relay, application/dtmf";

/// Why an INFO was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotADigit {
    /// Its body is of another type.
    Type,
    /// Its body says no key.
    Body,
}

/// The key that an INFO's body names; `None` for one without a body, which only asks whether the call is alive.
pub(crate) fn pressed(content_type: &str, body: &[u8]) -> Result<Option<DtmfDigit>, NotADigit> {
    if body.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(body).map_err(|_| NotADigit::Body)?;
    let named = content_type.split(';').next().unwrap_or("").trim();
    let signal = if named.eq_ignore_ascii_case("application/dtmf-relay") {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("signal"))
            .map(|(_, value)| value)
    } else if named.eq_ignore_ascii_case("application/dtmf") {
        Some(text)
    } else {
        return Err(NotADigit::Type);
    };
    signal.and_then(|signal| digit(signal.trim())).map(Some).ok_or(NotADigit::Body)
}

/// A key by its sign, or by its event code (RFC 4733 table 3), which some write for `*` and `#`.
fn digit(signal: &str) -> Option<DtmfDigit> {
    let mut characters = signal.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => DtmfDigit::from_char(character),
        _ => signal.parse().ok().filter(|code| (10..16).contains(code)).and_then(DtmfDigit::from_event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn char(content_type: &str, body: &str) -> Result<Option<char>, NotADigit> {
        pressed(content_type, body.as_bytes()).map(|digit| digit.map(DtmfDigit::as_char))
    }

    #[test]
    fn keys_are_read_as_peers_write_them() {
        for (content_type, body, expected) in [
            ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", '5'),
            ("Application/DTMF-Relay; x=y", "Signal= *\r\nDuration= 250\r\n", '*'),
            ("application/dtmf-relay", "Duration=100\nsignal=d", 'D'),
            ("application/dtmf-relay", "Signal=11", '#'),
            ("application/dtmf", "0", '0'),
            ("application/dtmf", " #\r\n", '#'),
        ] {
            assert_eq!(char(content_type, body), Ok(Some(expected)), "{body:?}");
        }
        assert_eq!(char("", ""), Ok(None));
    }

    #[test]
    fn what_names_no_key_is_refused() {
        for body in ["Signal=", "Signal=55", "Signal=16", "Duration=5", "Signal", "\r\n", "Signal=!"] {
            assert_eq!(char("application/dtmf-relay", body), Err(NotADigit::Body), "{body:?}");
        }
        assert_eq!(pressed("application/dtmf", &[0xff]), Err(NotADigit::Body));
        assert_eq!(char("application/dtmf", "12"), Ok(Some('A')), "an event code");
        assert_eq!(char("application/dtmf", "123"), Err(NotADigit::Body));
        assert_eq!(char("application/media_control+xml", "<x/>"), Err(NotADigit::Type));
    }
}
