//! Identity (RFC 8224): who calls, signed by whoever answers for the number (PASSporT, RFC 8225; SHAKEN, RFC 8588). It is
//! handed on as it came: one that is cut or written anew proves nothing.

/// Most of them in a message that are handed on: the first, and what diversions added (RFC 8946).
const MOST: usize = 4;
/// Most bytes of all of them together.
const MOST_BYTES: usize = 4096;

/// The values of Identity as one text; `None` without any.
pub(super) fn read(headers: &[(String, String)]) -> Option<String> {
    let taken = signatures(headers).join(", ");
    (!taken.is_empty()).then_some(taken)
}

/// The values of Identity in their order, those that are none and those beyond what is handed on left out.
pub(crate) fn signatures(headers: &[(String, String)]) -> Vec<&str> {
    let named = |name: &str| name.eq_ignore_ascii_case("Identity") || name.eq_ignore_ascii_case("y");
    taken(headers.iter().filter(|(name, _)| named(name)).map(|(_, value)| value.trim()))
}

/// The headers that a text holds which [`read`] made.
pub(super) fn write(text: &str) -> Vec<String> {
    taken(crate::address::list(text).into_iter()).into_iter().map(str::to_owned).collect()
}

fn taken<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut room = MOST_BYTES;
    let fits = |value: &&str| {
        let left = room.checked_sub(value.len() + 2);
        room = left.unwrap_or(room);
        left.is_some()
    };
    values.filter(|value| is_identity(value)).filter(fits).take(MOST).collect()
}

/// Whether a value is a signed token with where its certificate is: `header.payload.signature;info=<https://...>`, of which the
/// compact form leaves the first two empty (RFC 8224 4, RFC 8225 7).
fn is_identity(value: &str) -> bool {
    let (token, parameters) = value.split_once(';').unwrap_or((value, ""));
    let parts: Vec<&str> = token.trim_end().split('.').collect();
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_signed = matches!(parts[..], [_, _, signature] if !signature.is_empty());
    is_signed
        && parts.iter().all(|part| part.bytes().all(base64url))
        && parameters.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && crate::address::split_outside(parameters, b';').iter().any(|part| {
            let (name, place) = part.split_once('=').unwrap_or((part, ""));
            let place = place.trim();
            name.trim().eq_ignore_ascii_case("info") && place.starts_with('<') && place.ends_with('>')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "eyJhbGciOiJFUzI1NiJ9.eyJvcmlnIjp7InRuIjoiMSJ9fQ.c2lnbmF0dXJl;info=<https://cert.example/a,b;c>;alg=ES256;ppt=\"shaken\"";

    fn header(value: &str) -> Vec<(String, String)> {
        vec![("identity".to_owned(), value.to_owned())]
    }

    #[test]
    fn a_signed_token_goes_in_and_out_as_it_is() {
        let two = [header(ONE), vec![("y".to_owned(), "..c2ln;info=<https://b.example>".to_owned())]].concat();
        let text = read(&two).unwrap();
        assert_eq!(write(&text), [ONE, "..c2ln;info=<https://b.example>"]);
    }

    #[test]
    fn what_is_no_token_is_left_out_and_nothing_is_cut() {
        for wrong in [
            "",
            "a.b.c",
            "a.b;info=<x>",
            "a.b.;info=<x>",
            "a.b.c;info=x",
            "a b.c.d;info=<x>",
            "a.b.c;info=<x>\r\nX: y",
            "\u{e4}.b.c;info=<x>",
        ] {
            assert_eq!(read(&header(wrong)), None, "{wrong:?}");
            assert!(write(wrong).is_empty(), "{wrong:?}");
        }
        let long = format!("a.b.{};info=<x>", "c".repeat(MOST_BYTES));
        assert_eq!(read(&[header(&long), header(ONE)].concat()).as_deref(), Some(ONE));
        let many: Vec<_> = (0..9).flat_map(|n| header(&format!("a.b.c{n};info=<x>"))).collect();
        assert_eq!(write(&read(&many).unwrap()).len(), MOST);
    }
}
