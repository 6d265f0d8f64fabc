//! Peers over connections: TCP, TLS and WebSocket, which say exactly what a test wants said.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::{Message, WebSocket};
use trunkline_sip::stream::{Framer, Piece};

use super::{OFFER, header};

const PATIENCE: Duration = Duration::from_secs(10);

/// What messages go over.
pub(crate) trait Line {
    fn send(&mut self, text: &str);
    /// The same, where the far end may have closed.
    fn try_send(&mut self, text: &str);
    /// The next message; `None` at the end of the connection.
    fn recv(&mut self) -> Option<String>;
}

/// A stream of bytes.
pub(crate) struct Bytes<S> {
    pub(crate) stream: S,
    framer: Framer,
    /// Signs of life that came.
    pub(crate) pongs: usize,
}

impl<S: Read + Write> Line for Bytes<S> {
    fn try_send(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes());
    }

    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
        self.stream.flush().unwrap();
    }

    fn recv(&mut self) -> Option<String> {
        loop {
            match self.framer.poll_piece().unwrap() {
                Some(Piece::Message(message)) => return Some(String::from_utf8(message).unwrap()),
                Some(Piece::Pong) => self.pongs += 1,
                Some(Piece::Ping) => {}
                None => {
                    let mut buffer = [0; 4096];
                    match self.stream.read(&mut buffer) {
                        Ok(0) => return None,
                        Ok(read) => self.framer.handle_bytes(&buffer[..read]),
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came"),
                        Err(_) => return None,
                    }
                }
            }
        }
    }
}

struct Frames<S>(WebSocket<S>, VecDeque<String>);

impl<S: Read + Write> Line for Frames<S> {
    fn try_send(&mut self, text: &str) {
        let _ = self.0.send(Message::text(text));
    }

    fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    fn recv(&mut self) -> Option<String> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// A peer.
pub(crate) struct Connected<L> {
    pub(crate) line: L,
    via: &'static str,
    local: SocketAddr,
    to: SocketAddr,
    /// Whether it is gone to by `sips:`.
    pub(crate) scheme: &'static str,
}

fn tcp_from(ip: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

impl Connected<Bytes<TcpStream>> {
    pub(crate) fn tcp(to: SocketAddr) -> Self {
        Self::tcp_from(Ipv4Addr::LOCALHOST, to)
    }

    pub(crate) fn tcp_from(ip: Ipv4Addr, to: SocketAddr) -> Self {
        Self::over(tcp_from(ip, to), to)
    }

    /// A connection that was opened to the test.
    pub(crate) fn over(stream: TcpStream, to: SocketAddr) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let local = stream.local_addr().unwrap();
        let line = Bytes { stream, framer: Framer::new(65_536), pongs: 0 };
        Self { line, via: "TCP", local, to, scheme: "sip" }
    }
}

type OverTls = StreamOwned<ClientConnection, TcpStream>;

impl Connected<Bytes<OverTls>> {
    /// A client that trusts `authority`, and has a certificate of its own or none.
    pub(crate) fn tls(ip: Ipv4Addr, to: SocketAddr, files: &Certificates, own: bool) -> Self {
        let tcp = tcp_from(ip, to);
        let local = tcp.local_addr().unwrap();
        let line = Bytes { stream: files.client(tcp, own), framer: Framer::new(65_536), pongs: 0 };
        Self { line, via: "TLS", local, to, scheme: "sip" }
    }
}

impl Connected<Box<dyn Line>> {
    pub(crate) fn websocket(to: SocketAddr, files: Option<&Certificates>) -> Self {
        let tcp = tcp_from(Ipv4Addr::LOCALHOST, to);
        let local = tcp.local_addr().unwrap();
        let mut request = format!("ws://{to}/").into_client_request().unwrap();
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("sip"));
        let line: Box<dyn Line> = match files {
            None => {
                let (socket, _) = tokio_tungstenite::tungstenite::client(request, tcp).unwrap();
                Box::new(Frames(socket, VecDeque::new()))
            }
            Some(files) => {
                let (socket, _) = tokio_tungstenite::tungstenite::client(request, files.client(tcp, false)).unwrap();
                Box::new(Frames(socket, VecDeque::new()))
            }
        };
        Self { line, via: if files.is_some() { "WSS" } else { "WS" }, local, to, scheme: "sip" }
    }
}

impl Line for Box<dyn Line> {
    fn try_send(&mut self, text: &str) {
        self.as_mut().try_send(text);
    }

    fn send(&mut self, text: &str) {
        self.as_mut().send(text);
    }

    fn recv(&mut self) -> Option<String> {
        self.as_mut().recv()
    }
}

impl<L: Line> Connected<L> {
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.line.send(text);
    }

    pub(crate) fn recv(&mut self) -> Option<String> {
        self.line.recv()
    }

    /// The next message that begins so, skipping others.
    pub(crate) fn expect(&mut self, start: &str) -> String {
        for _ in 0..50 {
            let message = self.recv().unwrap_or_else(|| panic!("{start} never came: the connection is closed"));
            if message.starts_with(start) {
                return message;
            }
        }
        panic!("{start} never came");
    }

    pub(crate) fn request(&self, method: &str, call: &str, cseq: u32, to: &str, rest: &str) -> String {
        let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let headers = if headers.is_empty() { String::new() } else { format!("{}\r\n", headers.trim_end()) };
        let (scheme, via) = (self.scheme, self.via);
        // A WebSocket's client has no address to be found at (RFC 7118 5).
        let host = if via.starts_with('W') { "df7jal23ls0d.invalid".to_owned() } else { self.local.to_string() };
        let transport = if via.starts_with('W') { "ws".to_owned() } else { via.to_ascii_lowercase() };
        format!(
            "{method} {scheme}:100@{} SIP/2.0\r\nVia: SIP/2.0/{via} {host};branch=z9hG4bK{call}{cseq}{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=from{call}\r\nTo: <sip:100@example.org>{to}\r\n\
             Call-ID: {call}\r\nCSeq: {cseq} {method}\r\nContact: <{scheme}:alice@{host};transport={transport}>\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            self.to,
            body.len()
        )
    }

    pub(crate) fn invite(&self, call: &str, cseq: u32, to: &str) -> String {
        self.request("INVITE", call, cseq, to, &format!("Content-Type: application/sdp\r\n\r\n{OFFER}"))
    }

    /// Answers a request of the endpoint.
    pub(crate) fn answer(&mut self, request: &str, status: &str, headers: &str) {
        self.send(&format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\n{headers}Content-Length: 0\r\n\r\n",
            header(request, "Via"),
            header(request, "From"),
            header(request, "To"),
            header(request, "Call-ID"),
            header(request, "CSeq")
        ));
    }
}

/// An authority, a server's certificate and a client's, as files.
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// The server is `localhost` and 127.0.0.1, the client `client`.
    pub(crate) fn make(folder: &Path, client: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        for (name, subjects) in [("server", vec!["localhost", "127.0.0.1"]), ("client", vec![client])] {
            let key = KeyPair::generate().unwrap();
            let subjects: Vec<String> = subjects.into_iter().map(str::to_owned).collect();
            let certificate = CertificateParams::new(subjects).unwrap().signed_by(&key, &issuer).unwrap();
            std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
            std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        }
        Self { folder: folder.to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn client(&self, tcp: TcpStream, own: bool) -> OverTls {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = if own {
            let chain = vec![CertificateDer::from_pem_file(self.path("client.pem")).unwrap()];
            let key = PrivateKeyDer::from_pem_file(self.path("client.key")).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp)
    }
}
