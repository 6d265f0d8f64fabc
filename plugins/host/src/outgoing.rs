//! What a guest may put into a request, checked before anything leaves; secrets are put in here, on the host's side.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use trunkline_egress::HostPattern;
use url::Url;

use crate::bindings::host::secrets::{Placement, SecretRef};
use crate::bindings::host::types::{ErrorCode, ProviderError};

/// Headers that say who is spoken to, who speaks, or how the bytes are framed. Only the host writes them.
const HOSTS_OWN: [&str; 17] = [
    "host",
    "authorization",
    "proxy-authorization",
    "cookie",
    "connection",
    "upgrade",
    "transfer-encoding",
    "content-length",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
    "expect",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "via",
];

/// Headers a secret may not be written into either: they frame the message.
const FRAMING: [&str; 11] = [
    "host",
    "connection",
    "upgrade",
    "transfer-encoding",
    "content-length",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
    "expect",
    "via",
];

const MAX_HEADERS: usize = 64;
const MAX_URL: usize = 8192;

/// A secret this session may use.
#[derive(Clone)]
pub(crate) struct SessionSecret {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) scope: Vec<HostPattern>,
}

pub(crate) fn refusal(code: ErrorCode, message: impl Into<String>) -> ProviderError {
    ProviderError { code, message: message.into(), retryable: false, retry_after_ms: None, vendor_code: None }
}

/// A request as the guest wrote it.
pub(crate) struct Draft<'a> {
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) secrets: &'a [SecretRef],
    /// `None` where there is no body a secret could go into.
    pub(crate) body: Option<Vec<u8>>,
}

/// A request that may leave.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Checks a draft against the hosts allowed and fills the secrets in.
pub(crate) fn check(
    draft: Draft<'_>,
    schemes: [&str; 2],
    allow: &[HostPattern],
    secrets: &[SessionSecret],
) -> Result<Checked, ProviderError> {
    if draft.url.len() > MAX_URL || draft.url.contains(['\r', '\n', '\t']) {
        return Err(refusal(ErrorCode::InvalidSettings, "the URL is too long or has control characters"));
    }
    let mut url = Url::parse(draft.url)
        .map_err(|error| refusal(ErrorCode::InvalidSettings, format!("the URL cannot be read: {error}")))?;
    let plain = schemes.contains(&url.scheme())
        && url.username().is_empty()
        && url.password().is_none()
        && url.host_str().is_some();
    if !plain {
        return Err(refusal(
            ErrorCode::InvalidSettings,
            format!("the URL must be {} or {} with a host and no user information", schemes[0], schemes[1]),
        ));
    }
    if !allow.iter().any(|pattern| pattern.matches(&url)) {
        let origin = HostPattern::origin_of(&url).map_or_else(String::new, |origin| origin.to_string());
        return Err(refusal(ErrorCode::Unauthorized, format!("{origin} is not among the hosts of the manifest")));
    }
    if draft.headers.len() > MAX_HEADERS {
        return Err(refusal(ErrorCode::InvalidSettings, format!("more than {MAX_HEADERS} headers")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in draft.headers {
        let name = header_name(name)?;
        if HOSTS_OWN.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-") {
            return Err(refusal(ErrorCode::Unauthorized, format!("header {name} is the host's to write")));
        }
        headers.append(name, header_value(value)?);
    }
    let mut body = draft.body;
    let target = url.clone();
    for reference in draft.secrets {
        let unknown = || {
            refusal(ErrorCode::Unauthorized, format!("secret `{}` is not configured for this plugin", reference.name))
        };
        let secret = secrets.iter().find(|secret| secret.name == reference.name).ok_or_else(unknown)?;
        if !secret.scope.iter().any(|pattern| pattern.matches(&target)) {
            return Err(refusal(
                ErrorCode::Unauthorized,
                format!("secret `{}` may not be sent to this host", reference.name),
            ));
        }
        let text = format!("{}{}", reference.prefix, secret.value);
        match reference.placement {
            Placement::Header => {
                let name = header_name(&reference.field)?;
                if FRAMING.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-") {
                    return Err(refusal(ErrorCode::Unauthorized, format!("a secret cannot go into header {name}")));
                }
                let mut value = header_value(&text)?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            Placement::Query => drop(url.query_pairs_mut().append_pair(&reference.field, &text)),
            Placement::BodyField => {
                let no_body = || refusal(ErrorCode::InvalidSettings, "there is no JSON body for the secret");
                body = Some(with_field(body.as_deref().ok_or_else(no_body)?, &reference.field, text)?);
            }
        }
    }
    Ok(Checked { url, headers, body: body.unwrap_or_default() })
}

fn header_name(name: &str) -> Result<HeaderName, ProviderError> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| refusal(ErrorCode::InvalidSettings, "a header's name is not a token"))
}

fn header_value(value: &str) -> Result<HeaderValue, ProviderError> {
    HeaderValue::from_str(value)
        .map_err(|_| refusal(ErrorCode::InvalidSettings, "a header's value has control characters"))
}

/// Writes a string at an RFC 6901 pointer; everything above it must exist.
fn with_field(body: &[u8], pointer: &str, text: String) -> Result<Vec<u8>, ProviderError> {
    let refused = || refusal(ErrorCode::InvalidSettings, "the secret's place is not in the JSON body");
    let mut json: Value = serde_json::from_slice(body).map_err(|_| refused())?;
    let (parent, field) = pointer.rsplit_once('/').ok_or_else(refused)?;
    let parent = json.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(refused)?;
    parent.insert(field.replace("~1", "/").replace("~0", "~"), Value::String(text));
    serde_json::to_vec(&json).map_err(|_| refused())
}

/// Replaces every secret in what comes back, so that a server that echoes a request does not hand it to the guest.
/// A secret that is cut by a piece's border is not found; those of fewer than 8 bytes are not looked for.
pub(crate) fn scrub(mut bytes: Vec<u8>, secrets: &[SessionSecret]) -> Vec<u8> {
    for secret in secrets.iter().filter(|secret| secret.value.len() >= 8) {
        let needle = secret.value.as_bytes();
        let mut from = 0;
        while let Some(at) = bytes[from..].windows(needle.len()).position(|window| window == needle) {
            bytes[from + at..from + at + needle.len()].fill(b'*');
            from += at + needle.len();
        }
    }
    bytes
}

pub(crate) fn scrub_text(text: String, secrets: &[SessionSecret]) -> String {
    secrets
        .iter()
        .filter(|secret| secret.value.len() >= 8)
        .fold(text, |text, secret| if text.contains(&secret.value) { text.replace(&secret.value, "***") } else { text })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets() -> Vec<SessionSecret> {
        vec![SessionSecret {
            name: "key".into(),
            value: "canary-12345".into(),
            scope: vec!["https://api.test".parse().unwrap()],
        }]
    }

    fn run(
        url: &str,
        headers: &[(&str, &str)],
        placement: Option<(Placement, &str)>,
        body: Option<&str>,
    ) -> Result<Checked, ProviderError> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let references: Vec<_> = placement
            .into_iter()
            .map(|(placement, field)| SecretRef {
                name: "key".into(),
                placement,
                field: field.into(),
                prefix: "Bearer ".into(),
            })
            .collect();
        let draft =
            Draft { url, headers: &headers, secrets: &references, body: body.map(|text| text.as_bytes().to_vec()) };
        let allow = ["https://api.test".parse().unwrap(), "https://other.test".parse().unwrap()];
        check(draft, ["http", "https"], &allow, &secrets())
    }

    #[test]
    fn secrets_go_where_the_plugin_says_and_only_to_their_hosts() {
        let checked = run("https://api.test/v1", &[], Some((Placement::Header, "Authorization")), None).unwrap();
        assert_eq!(checked.headers["authorization"], "Bearer canary-12345");
        assert!(checked.headers["authorization"].is_sensitive());
        let checked = run("https://api.test/v1?a=b", &[], Some((Placement::Query, "key")), None).unwrap();
        assert_eq!(checked.url.query(), Some("a=b&key=Bearer+canary-12345"));
        let checked =
            run("https://api.test/", &[], Some((Placement::BodyField, "/auth/a~1b")), Some(r#"{"auth":{}}"#)).unwrap();
        assert_eq!(checked.body, br#"{"auth":{"a/b":"Bearer canary-12345"}}"#);
        assert!(
            run("https://other.test/", &[], Some((Placement::Header, "x-key")), None)
                .unwrap_err()
                .message
                .contains("may not be sent")
        );
    }

    #[test]
    fn hosts_outside_the_manifest_and_headers_of_the_host_are_refused() {
        assert_eq!(run("https://evil.test/", &[], None, None).unwrap_err().code, ErrorCode::Unauthorized);
        for url in [
            "http://api.test/",
            "https://api.test@evil.test/",
            "https://u:p@api.test/",
            "file:///etc/passwd",
            "https://api.test/\r\nX: y",
        ] {
            assert!(run(url, &[], None, None).is_err(), "{url}");
        }
        for header in [
            ("Host", "evil"),
            ("authorization", "x"),
            ("Content-Length", "1"),
            ("x", "a\r\nb: c"),
            ("a b", "x"),
            ("Sec-WebSocket-Key", "x"),
        ] {
            assert!(run("https://api.test/", &[header], None, None).is_err(), "{header:?}");
        }
        assert!(run("https://api.test/", &[], Some((Placement::Header, "Host")), None).is_err());
    }

    #[test]
    fn an_echoed_secret_is_struck_out() {
        assert_eq!(scrub(b"a canary-12345 b canary-12345".to_vec(), &secrets()), b"a ************ b ************");
        assert_eq!(scrub_text("x canary-12345".to_owned(), &secrets()), "x ***");
    }

    proptest! {
        #[test]
        fn whatever_a_guest_writes_no_line_break_and_no_foreign_host_leaves(url in ".{0,60}", name in ".{0,20}", value in ".{0,20}") {
            let url = if url.len() % 2 == 0 { format!("https://api.test/{url}") } else { url };
            if let Ok(checked) = run(&url, &[(&name, &value)], None, None) {
                prop_assert!(["api.test", "other.test"].contains(&checked.url.host_str().unwrap()));
                for (name, value) in &checked.headers {
                    prop_assert!(!HOSTS_OWN.contains(&name.as_str()));
                    prop_assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n')));
                }
            }
        }
    }
}
