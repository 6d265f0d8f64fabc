//! JSON bodies, read strictly: type, size, syntax, shape, unknown fields, each refused with its own code and pointer.

use axum::body::{Body, to_bytes};
use axum::extract::FromRequest;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::{Fault, Problem, Result};
use crate::server::Shared;

/// A body of type `T`, all of whose fields are known.
#[derive(Debug)]
pub(crate) struct Input<T>(pub(crate) T);

/// A body that is any JSON value.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) Value);

/// A body of type `T` that may carry fields of a later version.
#[derive(Debug)]
pub(crate) struct Lenient<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Lenient<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &Shared) -> Result<Self> {
        typed(&read(request, app.config.limits.body_bytes).await?).map(Self)
    }
}

impl FromRequest<Shared> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &Shared) -> Result<Self> {
        read(request, app.config.limits.body_bytes).await.map(Self)
    }
}

impl<T: DeserializeOwned + Serialize> FromRequest<Shared> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &Shared) -> Result<Self> {
        shape(&read(request, app.config.limits.body_bytes).await?).map(Self)
    }
}

/// Reads at most `limit` bytes of JSON whose text every engine can store.
pub(crate) async fn read(request: Request<Body>, limit: usize) -> Result<Value> {
    let value = json(request, limit).await?;
    let mut faults = Vec::new();
    refuse_nul(&value, "", &mut faults);
    if faults.is_empty() { Ok(value) } else { Err(Problem::invalid(faults)) }
}

/// Reads at most `limit` bytes of JSON, whatever its text; who stores it looks for U+0000 in what is stored.
pub(crate) async fn json(request: Request<Body>, limit: usize) -> Result<Value> {
    let media = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let unsupported = || {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body's type is not supported",
            "Expected `Content-Type: application/json`.",
        )
    };
    // `curl -d` calls whatever it sends a form. Taking JSON under that name is no way in for a page that makes a browser
    // post a form: a request is authorised by the bearer key it carries itself, and there is no cookie or other
    // credential that a browser would add.
    let form = media == "application/x-www-form-urlencoded";
    if !form && media != "application/json" && media != "application/merge-patch+json" {
        return Err(unsupported());
    }
    let Ok(bytes) = to_bytes(request.into_body(), limit).await else {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The body is too large",
            format!("Expected at most {limit} bytes, sent to their end."),
        ));
    };
    let begins = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if form && !begins.is_some_and(|byte| b"{[".contains(byte)) {
        return Err(unsupported());
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "malformed_json", "The body is not JSON", "See `errors`.").and(
            "body",
            "",
            "malformed_json",
            error.to_string(),
        )
    })
}

/// Turns a value into `T`.
pub(crate) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error: serde_path_to_error::Error<serde_json::Error>| {
        let mut pointer = String::new();
        for segment in error.path() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
                serde_path_to_error::Segment::Map { key } => pointer.push_str(&format!("/{}", escape(key))),
                serde_path_to_error::Segment::Enum { variant } => pointer.push_str(&format!("/{}", escape(variant))),
                serde_path_to_error::Segment::Unknown => {}
            }
        }
        let message: String = error.inner().to_string().chars().take(300).collect();
        let code = if message.starts_with("unknown field") { "unknown_field" } else { "invalid_value" };
        if code == "unknown_field"
            && let Some(field) = message.split('`').nth(1)
            && !pointer.ends_with(&format!("/{}", escape(field)))
        {
            pointer.push_str(&format!("/{}", escape(field)));
        }
        Problem::invalid(vec![Fault::body(pointer, code, message)])
    })
}

/// Turns a value into `T`, refusing what `T` does not know.
pub(crate) fn shape<T: DeserializeOwned + Serialize>(value: &Value) -> Result<T> {
    let typed: T = typed(value)?;
    let known = serde_json::to_value(&typed).map_err(|_| Problem::internal())?;
    let mut faults = Vec::new();
    unknown(value, &known, "", &mut faults);
    if faults.is_empty() { Ok(typed) } else { Err(Problem::invalid(faults)) }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Fields of `given` that did not survive becoming `T` and coming back.
fn unknown(given: &Value, known: &Value, at: &str, faults: &mut Vec<Fault>) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (key, value) in given {
                let pointer = format!("{at}/{}", escape(key));
                match known.get(key) {
                    Some(known) => unknown(value, known, &pointer, faults),
                    // An absent optional field may be written as null.
                    None if value.is_null() && faults.len() < 20 => {
                        faults.push(Fault::body(pointer, "unknown_field", "null, but not known here; leave it out"));
                    }
                    None if faults.len() < 20 => faults.push(Fault::body(pointer, "unknown_field", "not known here")),
                    None => {}
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                unknown(given, known, &format!("{at}/{index}"), faults);
            }
        }
        _ => {}
    }
}

/// U+0000 cannot be stored as text by every engine.
fn refuse_nul(value: &Value, at: &str, faults: &mut Vec<Fault>) {
    match value {
        Value::String(text) if text.contains('\0') => {
            faults.push(Fault::body(at, "invalid_value", "expected no U+0000"));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_nul(item, &format!("{at}/{index}"), faults);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                let pointer = format!("{at}/{}", escape(key));
                if key.contains('\0') {
                    faults.push(Fault::body(pointer.replace('\0', ""), "invalid_value", "expected no U+0000"));
                }
                refuse_nul(item, &pointer, faults);
            }
        }
        _ => {}
    }
}

/// JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_patch_follows_the_examples_of_rfc_7396() {
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!(["a", "b"]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        ] {
            let mut merged = target;
            merge(&mut merged, &patch);
            assert_eq!(merged, result);
        }
    }

    #[test]
    fn unknown_fields_are_pointed_at_wherever_they_are() {
        let given = json!({"name":"t","peers":["10.0.0.1"],"colour":"red"});
        let problem = shape::<trunkline_api::object::TrunkBody>(&given).unwrap_err();
        assert_eq!(serde_json::to_value(&problem).unwrap()["errors"][0]["pointer"], "/colour");
        let given = json!({"name":"a","pipeline":{"cascade":{"tts":[{"provider":"x","speed":1}]}}});
        let problem = shape::<trunkline_api::AgentSpec>(&given).unwrap_err();
        let pointer = serde_json::to_value(&problem).unwrap()["errors"][0]["pointer"].clone();
        assert_eq!(pointer, "/pipeline/cascade/tts/0/speed");
    }
}
