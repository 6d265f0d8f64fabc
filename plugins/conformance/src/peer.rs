//! The scripted peer: a server on loopback that says what the recording says when it is told to.

use std::net::SocketAddr;

use futures_util::SinkExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::recording::{Ending, Peer};

/// Longest request head.
const MAX_HEAD: usize = 64 << 10;

/// A running peer.
#[derive(Debug)]
pub struct ScriptedPeer {
    /// Where it listens.
    pub address: SocketAddr,
    orders: mpsc::UnboundedSender<Peer>,
    task: tokio::task::JoinHandle<()>,
}

impl ScriptedPeer {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// When loopback has no port left.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (orders, mut queue) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            // One connection after the other, as the orders are for the newest.
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that breaks is what some recordings are about.
                drop(serve(stream, &mut queue).await);
            }
        });
        Ok(Self { address, orders, task })
    }

    /// Tells it what to do next; what is told before a connection exists waits for it.
    pub fn order(&self, order: Peer) {
        // The task ends only with the peer itself.
        drop(self.orders.send(order));
    }
}

impl Drop for ScriptedPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, orders: &mut mpsc::UnboundedReceiver<Peer>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    if let Some(key) = header("sec-websocket-key") {
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await?;
        return websocket(WebSocketStream::from_raw_socket(stream, Role::Server, None).await, orders).await;
    }
    let length = header("content-length").and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
    http(stream, orders).await
}

async fn http(mut stream: TcpStream, orders: &mut mpsc::UnboundedReceiver<Peer>) -> std::io::Result<()> {
    while let Some(order) = orders.recv().await {
        match order {
            Peer::Head { status, headers } => {
                let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let head = format!(
                    "HTTP/1.1 {status} Scripted\r\n{lines}transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
            }
            Peer::Send { send } if send.is_empty() => {}
            Peer::Send { send } => stream.write_all(format!("{:x}\r\n{send}\r\n", send.len()).as_bytes()).await?,
            Peer::End(Ending::End) => {
                stream.write_all(b"0\r\n\r\n").await?;
                return stream.shutdown().await;
            }
            Peer::End(Ending::Cut) => return stream.shutdown().await,
        }
        stream.flush().await?;
    }
    Ok(())
}

async fn websocket(
    mut socket: WebSocketStream<TcpStream>,
    orders: &mut mpsc::UnboundedReceiver<Peer>,
) -> std::io::Result<()> {
    let failed = |error: tokio_tungstenite::tungstenite::Error| std::io::Error::other(error.to_string());
    while let Some(order) = orders.recv().await {
        match order {
            Peer::Send { send } => socket.send(Message::Text(send.into())).await.map_err(failed)?,
            Peer::End(Ending::End) => return socket.close(None).await.map_err(failed),
            Peer::End(Ending::Cut) => return socket.get_mut().shutdown().await,
            Peer::Head { .. } => {}
        }
    }
    Ok(())
}
