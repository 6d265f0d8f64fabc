//! SIP over WebSocket as its server (RFC 7118): the subprotocol `sip`, a message a frame, text or binary.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::serve::{SILENT, STRANGER};
use crate::receive::{Arrived, Way, arrive};
use crate::shared::Shared;
use crate::transport::Hop;
use crate::wires::{Flow, Outgoing};

/// The subprotocol (RFC 7118 4.1).
const SIP: &str = "sip";

/// Serves a connection from its handshake to its end.
pub(crate) async fn serve<S>(shared: &Arc<Shared>, stream: S, hop: Hop, names: Vec<String>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let local = shared.locals().advertised(hop);
    let Ok((flow, outgoing)) = Flow::new(hop, local, names, false, &shared.stop).await else { return };
    let known = shared.is_known(&flow);
    let stranger = if known { None } else { shared.wires.flows.stranger(hop.address.ip(), false) };
    if !known && stranger.is_none() {
        return;
    }
    let most = shared.config.limits.max_message;
    let config = WebSocketConfig::default()
        .max_message_size(Some(most))
        .max_frame_size(Some(most))
        .write_buffer_size(most)
        .max_write_buffer_size(16 * most);
    let handshake = tokio_tungstenite::accept_hdr_async_with_config(stream, speaks_sip, Some(config));
    let socket = match tokio::time::timeout(STRANGER, handshake).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return tracing::debug!(peer = %hop, %error, "a WebSocket was not opened"),
        Err(_) => return tracing::debug!(peer = %hop, "a WebSocket took too long to open"),
    };
    if !shared.wires.flows.add(&flow) {
        return;
    }
    exchange(shared, &flow, outgoing, socket, known).await;
    flow.closed.cancel();
    shared.wires.flows.remove(&flow);
}

/// Whether the client offers to speak SIP; it is told that we do.
#[allow(clippy::result_large_err, reason = "the type is the library's")]
fn speaks_sip(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if offered.any(|name| name.trim().eq_ignore_ascii_case(SIP)) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SIP));
        return Ok(response);
    }
    let mut refused = ErrorResponse::new(Some("the subprotocol sip is spoken here (RFC 7118)\n".to_owned()));
    *refused.status_mut() = StatusCode::BAD_REQUEST;
    Err(refused)
}

async fn exchange<S>(
    shared: &Arc<Shared>,
    flow: &Arc<Flow>,
    mut outgoing: Outgoing,
    socket: WebSocketStream<S>,
    mut known: bool,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let way = Way::flow(flow);
    let (mut sink, mut stream) = socket.split();
    // Whatever it says until then that says nothing.
    let shown_by = Instant::now() + STRANGER;
    let notes = Arc::clone(&shared.wires.notes);
    let writing = async {
        while let Some(bytes) = outgoing.next(flow, &notes).await {
            // SIP is text; a description in another encoding than UTF-8 has to go as it is.
            let message = match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Message::text(text),
                Err(error) => Message::binary(error.into_bytes()),
            };
            match tokio::time::timeout(STRANGER, sink.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
        flow.closed.cancel();
        let _ = tokio::time::timeout(STRANGER, sink.close()).await;
    };
    let reading = async {
        loop {
            let until = if known { Instant::now() + SILENT } else { shown_by };
            let next = tokio::select! {
                () = flow.closed.cancelled() => break,
                next = tokio::time::timeout_at(until, stream.next()) => next,
            };
            let Ok(Some(Ok(message))) = next else { break };
            let bytes = match message {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Close(_) => break,
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            match arrive(shared, &way, &bytes).await {
                Arrived::Served => known = true,
                Arrived::Refused => {}
                Arrived::Stranger => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    break;
                }
            }
        }
        flow.closed.cancel();
    };
    tokio::join!(writing, reading);
}
