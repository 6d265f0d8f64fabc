//! User-to-User (RFC 7433): some bytes that one end's application hands to the other's.

use super::{MOST_VALUE, values};

/// Most of them in a message that are looked at.
const MOST: usize = 4;

/// What one application hands over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserToUser {
    /// The bytes, at most 1024.
    pub data: Vec<u8>,
    /// `purpose`, a token; empty for the default, `isdn-uui`.
    pub purpose: String,
    /// `content`, a token; empty for the purpose's default.
    pub content: String,
}

pub(super) fn read(headers: &[(String, String)]) -> Vec<UserToUser> {
    values(headers, "User-to-User").filter_map(one).take(MOST).collect()
}

fn one(value: &str) -> Option<UserToUser> {
    let (data, parameters) = value.split_once(';').unwrap_or((value, ""));
    let parameter = |name: &str| {
        parameters.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    // `hex` is all there is, and the default (RFC 7433 4.1).
    if parameter("encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case("hex")) {
        return None;
    }
    let data = unhex(data.trim().trim_matches('"'))?;
    let token = |name: &str| parameter(name).filter(|token| is_token(token)).unwrap_or_default();
    Some(UserToUser { data, purpose: token("purpose"), content: token("content") })
}

impl UserToUser {
    /// Of a text, in UTF-8.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self { data: text.as_bytes().to_vec(), ..Self::default() }
    }

    /// The text, when it is one that can be shown. With the default purpose the first byte is a protocol discriminator
    /// (ITU-T Q.931 4.5.30); 4 says that characters follow.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let data = self.data.strip_prefix(&[4]).unwrap_or(&self.data);
        let text = std::str::from_utf8(data).ok()?;
        (!text.chars().any(char::is_control)).then(|| text.to_owned())
    }

    /// As a header's value; `None` when it is empty, too long, or a parameter is no token.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        if self.data.is_empty() || self.data.len() > MOST_VALUE {
            return None;
        }
        let mut value: String = self.data.iter().map(|byte| format!("{byte:02x}")).collect();
        value.push_str(";encoding=hex");
        for (name, token) in [("purpose", &self.purpose), ("content", &self.content)] {
            if !token.is_empty() {
                value.push_str(&format!(";{name}={}", Some(token).filter(|token| is_token(token))?));
            }
        }
        Some(value)
    }
}

fn is_token(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let fits = !text.is_empty() && text.len() <= 2 * MOST_VALUE && text.len().is_multiple_of(2);
    if !fits || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
