//! A REST client that keeps status and body apart, so that refusals can be looked at.

use std::time::Duration;

use anyhow::bail;
use serde_json::Value;

/// A server's base address with a bearer key.
#[derive(Debug, Clone)]
pub struct Rest {
    base: String,
    key: String,
    agent: ureq::Agent,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: String,
    /// The body as JSON; `Null` when it is not.
    pub body: Value,
}

impl Rest {
    /// A client of `http://address`, sending `key` unless it is empty.
    #[must_use]
    pub fn new(address: &str, key: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            .build()
            .into();
        Self { base: format!("http://{address}"), key: key.to_owned(), agent }
    }

    /// Sends a request with an optional JSON text as body.
    pub fn send(&self, method: &str, path: &str, body: Option<&str>) -> anyhow::Result<Answer> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if !self.key.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.key));
        }
        let mut response = match body {
            Some(body) => self.agent.run(request.header("content-type", "application/json").body(body.to_owned())?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let content_type =
            response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let text = response.body_mut().read_to_string()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status: response.status().as_u16(), content_type, body })
    }

    /// GET that must succeed; returns `data` of the envelope, or the whole body where there is none.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        expect(self.send("GET", path, None)?, path)
    }

    /// POST that must succeed.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        expect(self.send("POST", path, Some(&body.to_string()))?, path)
    }

    /// PATCH that must succeed.
    pub fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        expect(self.send("PATCH", path, Some(&body.to_string()))?, path)
    }

    /// The base address, `http://host:port`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }
}

fn expect(answer: Answer, path: &str) -> anyhow::Result<Value> {
    if !(200..300).contains(&answer.status) {
        bail!("{path} answered {}: {}", answer.status, answer.body);
    }
    let mut body = answer.body;
    Ok(match body.get_mut("data") {
        Some(data) => data.take(),
        None => body,
    })
}
