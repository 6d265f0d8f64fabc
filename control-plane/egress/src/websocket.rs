//! WebSocket connections (RFC 6455) through the same guard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{AUTHORIZATION, HOST, HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Error as WsError};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};
use url::Url;

use crate::client::{Egress, check_url, plain};
use crate::error::EgressError;
use crate::pattern::{HostPattern, default_port};

/// What to connect to.
#[derive(Debug, Clone)]
pub struct WebSocketRequest {
    /// `ws` or `wss`, without user information.
    pub url: Url,
    /// Headers beside the handshake's own.
    pub headers: HeaderMap,
    /// Subprotocols, best first.
    pub subprotocols: Vec<String>,
    /// Hosts this caller may reach; `None` leaves it to the client's guard alone.
    pub allow: Option<Arc<[HostPattern]>>,
    /// From name resolution to the end of the handshake.
    pub timeout: Duration,
    /// Most bytes of one message, either way.
    pub max_message: usize,
}

impl WebSocketRequest {
    /// With 10 s and 1 MiB a message.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            allow: None,
            timeout: Duration::from_secs(10),
            max_message: 1 << 20,
        }
    }

    /// Adds `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`EgressError::Url`] when the token has characters a header cannot have.
    pub fn bearer(mut self, token: &str) -> Result<Self, EgressError> {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value
            .map_err(|_| EgressError::Url { url: plain(&self.url), why: "the token is not a valid header value" })?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(self)
    }
}

/// A message. Pings are answered by the connection itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
    /// The other side closes, with its code (1005 when it gave none, RFC 6455 7.1.5) and reason.
    Close(u16, String),
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open connection.
#[derive(Debug)]
pub struct WebSocket {
    stream: Stream,
    /// The subprotocol the server chose.
    pub subprotocol: Option<String>,
}

/// The sending half.
#[derive(Debug)]
pub struct WebSocketSender(futures_util::stream::SplitSink<Stream, tungstenite::Message>);

/// The receiving half.
#[derive(Debug)]
pub struct WebSocketReceiver(futures_util::stream::SplitStream<Stream>);

impl Egress {
    /// Connects and finishes the handshake.
    ///
    /// # Errors
    /// [`EgressError::Refused`] when the handshake is answered with a status; otherwise as [`Egress::request`].
    pub async fn connect_websocket(&self, request: WebSocketRequest) -> Result<WebSocket, EgressError> {
        let limit = request.timeout;
        let timeout =
            EgressError::Timeout { what: "answer", limit_ms: limit.as_millis().try_into().unwrap_or(u64::MAX) };
        tokio::time::timeout(limit, self.handshake(request)).await.map_err(|_| timeout)?
    }

    async fn handshake(&self, request: WebSocketRequest) -> Result<WebSocket, EgressError> {
        check_url(&request.url, &["ws", "wss"], request.allow.as_deref())?;
        let refused = |why| EgressError::Url { url: plain(&request.url), why };
        let host = request.url.host_str().ok_or_else(|| refused("it has no host"))?;
        let port = request
            .url
            .port()
            .or_else(|| default_port(request.url.scheme()))
            .ok_or_else(|| refused("it has no port"))?;
        let mut opening = request.url.as_str().into_client_request().map_err(|_| refused("it is not a URI"))?;
        for (name, value) in &request.headers {
            if *name != HOST && !is_handshake(name) {
                opening.headers_mut().append(name.clone(), value.clone());
            }
        }
        if !request.subprotocols.is_empty() {
            let value = HeaderValue::from_str(&request.subprotocols.join(", "));
            opening
                .headers_mut()
                .insert(SEC_WEBSOCKET_PROTOCOL, value.map_err(|_| refused("a subprotocol is not a token"))?);
        }
        let tcp = self.guard.connect(request.url.scheme(), host, port).await?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(request.max_message))
            .max_frame_size(Some(request.max_message))
            .max_write_buffer_size(request.max_message.saturating_mul(2).max(1 << 20));
        let connector = Connector::Rustls(Arc::clone(&self.tls));
        let (stream, response) =
            tokio_tungstenite::client_async_tls_with_config(opening, tcp, Some(config), Some(connector))
                .await
                .map_err(from_tungstenite)?;
        let subprotocol =
            response.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(WebSocket { stream, subprotocol })
    }
}

/// Headers that belong to the handshake (RFC 6455 4.1), not to the caller.
fn is_handshake(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "upgrade") || name.as_str().starts_with("sec-websocket-")
}

fn from_tungstenite(error: WsError) -> EgressError {
    match error {
        WsError::Http(response) => {
            let retry_after = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            EgressError::Refused {
                status: response.status().as_u16(),
                retry_after_ms: retry_after.and_then(crate::retry_after_ms),
            }
        }
        WsError::Capacity(tungstenite::error::CapacityError::MessageTooLong { max_size, .. }) => {
            EgressError::TooLarge { what: "a WebSocket message", limit: max_size }
        }
        other => EgressError::Protocol(crate::client::chain(&other)),
    }
}

impl WebSocket {
    /// Two halves for two tasks. Pings are answered while the receiving half is polled and the sending half flushes.
    #[must_use]
    pub fn split(self) -> (WebSocketSender, WebSocketReceiver) {
        let (sink, stream) = self.stream.split();
        (WebSocketSender(sink), WebSocketReceiver(stream))
    }
}

impl WebSocketSender {
    /// Sends and flushes a message.
    ///
    /// # Errors
    /// [`EgressError::Protocol`] when the connection is gone, [`EgressError::TooLarge`] past the limit.
    pub async fn send(&mut self, message: Message) -> Result<(), EgressError> {
        let message = match message {
            Message::Text(text) => tungstenite::Message::Text(text.into()),
            Message::Binary(bytes) => tungstenite::Message::Binary(bytes),
            Message::Close(code, reason) => {
                tungstenite::Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
            }
        };
        self.0.send(message).await.map_err(from_tungstenite)
    }
}

impl WebSocketReceiver {
    /// The next message; `None` when the connection has ended.
    ///
    /// # Errors
    /// [`EgressError::Protocol`] when it broke, [`EgressError::TooLarge`] past the limit.
    pub async fn receive(&mut self) -> Result<Option<Message>, EgressError> {
        loop {
            return Ok(Some(match self.0.next().await {
                None | Some(Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) => return Ok(None),
                Some(Err(error)) => return Err(from_tungstenite(error)),
                Some(Ok(tungstenite::Message::Text(text))) => Message::Text(text.as_str().to_owned()),
                Some(Ok(tungstenite::Message::Binary(bytes))) => Message::Binary(bytes),
                Some(Ok(tungstenite::Message::Close(frame))) => match frame {
                    Some(frame) => Message::Close(frame.code.into(), frame.reason.as_str().to_owned()),
                    None => Message::Close(1005, String::new()),
                },
                Some(Ok(_)) => continue,
            }));
        }
    }
}
