//! The CLI's side of the admin API.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use trunkline_egress::{Egress, EgressConfig, Request};

use crate::admin;
use crate::endpoints::Endpoints;

/// The largest file that is fetched: a capture is a little over 64 MiB at most.
const MAX_FILE: usize = 96 << 20;

/// The largest answer that is no file.
const MAX_ANSWER: usize = 64 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a command got no answer.
pub(crate) enum ClientError {
    /// No gateway answers.
    Unreachable(anyhow::Error),
    /// It answered with a refusal.
    Refused(anyhow::Error),
}

/// Asks the gateway that keeps its state in `state`; returns `data` of the envelope.
pub(crate) fn ask(state: &Path, method: http::Method, path: &str) -> Result<Value, ClientError> {
    let answer = send(state, method, path).map_err(ClientError::Unreachable)?;
    match answer {
        (200..=299, mut body) => Ok(body["data"].take()),
        (status, body) => {
            let detail = body["detail"].as_str().unwrap_or("no detail").to_owned();
            Err(ClientError::Refused(anyhow::anyhow!("{status}: {detail}")))
        }
    }
}

/// Asks for a file, of any size, as it comes.
pub(crate) fn fetch(state: &Path, path: &str) -> Result<Vec<u8>, ClientError> {
    match raw(state, http::Method::GET, path, Some(MAX_FILE)).map_err(ClientError::Unreachable)? {
        (200..=299, body) => Ok(body),
        (status, body) => {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let detail = body["detail"].as_str().unwrap_or("no detail").to_owned();
            Err(ClientError::Refused(anyhow::anyhow!("{status}: {detail}")))
        }
    }
}

/// Asks over the socket of the state folder, where nobody else can listen.
fn over(
    socket: UnixStream,
    method: http::Method,
    path: &str,
    token: &str,
    max: Option<usize>,
) -> anyhow::Result<(u16, Vec<u8>)> {
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exchange = async {
        let socket = TokioIo::new(tokio::net::UnixStream::from_std(socket)?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(socket).await?;
        let connection = tokio::spawn(connection);
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "gateway")
            .header(http::header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), max.unwrap_or(MAX_ANSWER)).collect().await;
        connection.abort();
        let body = body.map_err(|error| anyhow::anyhow!("the gateway's answer: {error}"))?;
        Ok((status, body.to_bytes().to_vec()))
    };
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, exchange).await.context("the gateway did not answer within a minute")?
    })
}

fn send(state: &Path, method: http::Method, path: &str) -> anyhow::Result<(u16, Value)> {
    let (status, body) = raw(state, method, path, None)?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn raw(state: &Path, method: http::Method, path: &str, max: Option<usize>) -> anyhow::Result<(u16, Vec<u8>)> {
    let endpoints = Endpoints::read(state)?;
    let token = admin::read_token(state).context("admin.token in the state folder cannot be read; run as its owner")?;
    if let Ok(socket) = UnixStream::connect(state.join(admin::socket::FILE)) {
        return over(socket, method, path, &token, max);
    }
    if !endpoints.admin.ip().is_loopback() {
        bail!("the admin API is not on loopback");
    }
    super::listener::belongs_to(endpoints.admin, std::fs::metadata(state)?.uid())?;
    let url: url::Url = format!("http://{}{path}", endpoints.admin).parse()?;
    let host = format!("http://{}", endpoints.admin).parse()?;
    let egress = Egress::new(EgressConfig { private_hosts: vec![host], ..EgressConfig::default() })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut request = Request::new(method, url).bearer(&token)?;
        request.max_body = max.or(request.max_body);
        let response = egress.request(request).await?;
        let status = response.status.as_u16();
        Ok((status, response.body.bytes().await?.to_vec()))
    })
}
