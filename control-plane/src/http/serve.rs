//! A listener: bounded connections, TLS or not, header time-out, and a shutdown that lets requests in progress finish.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::edge::Edge;

/// Longest a client may take for a request's head, and may leave a connection idle.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// Longest a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// The first byte of a TLS connection: a record of type handshake (RFC 8446 5.1).
const TLS_HANDSHAKE: u8 = 22;
/// Most bytes that are read of a client that does not speak TLS.
const READ_OF_PLAIN: u64 = 64 * 1024;

/// Accepts until `stopping`, over TLS when there is an acceptor; connections are tracked in `tasks`.
pub(crate) async fn run(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    edge: Edge,
    connections: usize,
    stopping: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(connections));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(100);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: trying again at once would only spin.
                tracing::warn!(listener = edge.listener, %error, "cannot accept; raise the limit of open files");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (builder, tls, edge, stopping) = (builder.clone(), tls.clone(), edge.clone(), stopping.clone());
        tasks.spawn(async move {
            let _place = place;
            let Some(tls) = tls else { return connection(stream, builder, edge, stopping).await };
            let handshake = async {
                let mut first = [0];
                match stream.peek(&mut first).await {
                    Ok(1) if first[0] == TLS_HANDSHAKE => tls.accept(stream).await.map(Some),
                    Ok(1) => refuse_plain(stream).await.map(|()| None),
                    _ => Ok(None),
                }
            };
            let shaken = tokio::select! {
                shaken = tokio::time::timeout(HANDSHAKE_LIMIT, handshake) => shaken,
                () = stopping.cancelled() => return,
            };
            match shaken {
                Ok(Ok(Some(stream))) => connection(stream, builder, edge, stopping).await,
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(listener = edge.listener, %error, "no TLS connection"),
            }
        });
    }
}

/// Serves one connection to its end.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    builder: auto::Builder<TokioExecutor>,
    edge: Edge,
    stopping: CancellationToken,
) {
    let service =
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| edge.clone().handle(request.map(Body::new)));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended early");
    }
}

/// Tells a client that speaks plain HTTP where it is, instead of an alert that it cannot read.
async fn refuse_plain(mut stream: TcpStream) -> std::io::Result<()> {
    let said = "This port speaks TLS: write https:// instead of http://. A gateway that joined over plain HTTP joins \
                again, with `trunkline enrol https://...`.\n";
    let length = said.len();
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close";
    stream.write_all(format!("{head}\r\ncontent-length: {length}\r\n\r\n{said}").as_bytes()).await?;
    stream.shutdown().await?;
    // What the client sent is read, or the answer could be lost to a reset.
    tokio::io::copy(&mut stream.take(READ_OF_PLAIN), &mut tokio::io::sink()).await.map(drop)
}
