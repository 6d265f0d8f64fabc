//! The parameters of a digest header: `Digest name=value, name="value"` (RFC 7616 3.3, 3.4), read strictly and bounded.

/// Longest header that is looked at.
const MOST_BYTES: usize = 4096;
/// Most parameters.
const MOST_PARAMETERS: usize = 32;

/// A header that cannot be understood in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParametersError {
    /// It is not the Digest scheme.
    #[error("not the Digest scheme")]
    Scheme,
    /// It breaks the grammar, is too long or names a parameter twice.
    #[error("not a list of parameters, each once")]
    Grammar,
}

/// Parameters by lower-case name, in the order they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a header's value.
    pub(crate) fn read(value: &str) -> Result<Self, ParametersError> {
        let value = value.trim();
        if value.len() > MOST_BYTES || value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(ParametersError::Grammar);
        }
        let (scheme, mut rest) = value.split_once([' ', '\t']).ok_or(ParametersError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(ParametersError::Scheme);
        }
        let mut found: Vec<(String, String)> = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(Self(found));
            }
            let (name, after) = rest.split_once('=').ok_or(ParametersError::Grammar)?;
            let name = name.trim_end().to_ascii_lowercase();
            let (value, after) = value_of(after.trim_start()).ok_or(ParametersError::Grammar)?;
            let known = found.iter().any(|(other, _)| *other == name);
            if !is_token(&name) || known || found.len() >= MOST_PARAMETERS {
                return Err(ParametersError::Grammar);
            }
            found.push((name, value));
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(ParametersError::Grammar);
            }
        }
    }

    /// A parameter's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return is_token(value).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    // `/` and `=` are no token characters, but base 64 without quotes is seen from peers.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!%*+`'~/=".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// A text as a quoted string; control characters, which could end a header, are left out.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars().filter(|c| !c.is_control()) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_read_however_they_are_spaced() {
        let read =
            Parameters::read("digest  realm = \"a \\\"b\\\"\",NC=00000001 ,\tqop=auth, uri=\"sip:a,b@c\"").unwrap();
        for (name, value) in [("realm", "a \"b\""), ("nc", "00000001"), ("qop", "auth"), ("uri", "sip:a,b@c")] {
            assert_eq!(read.get(name), Some(value));
        }
        assert_eq!(Parameters::read("Basic abc"), Err(ParametersError::Scheme));
        let twice = "Digest nonce=a, nonce=b";
        for wrong in
            [twice, "Digest realm=\"a", "Digest realm", "Digest a=b c=d", "Digest a=\"b\"c", "Digest a=b\r\nX: y"]
        {
            assert_eq!(Parameters::read(wrong), Err(ParametersError::Grammar), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_is_read_back_and_ends_no_header(text in "\\PC{0,60}|[\\x00-\\x7f]{0,60}") {
            let header = format!("Digest realm={}, qop=auth", quoted(&text));
            prop_assert!(!header.chars().any(char::is_control));
            let kept: String = text.chars().filter(|c| !c.is_control()).collect();
            let read = Parameters::read(&header).unwrap();
            prop_assert_eq!(read.get("realm"), Some(kept.as_str()));
            prop_assert_eq!(read.get("qop"), Some("auth"));
        }

        #[test]
        fn no_header_makes_it_panic(text in "(Digest )?\\PC{0,200}") {
            let _ = Parameters::read(&text);
        }
    }
}
