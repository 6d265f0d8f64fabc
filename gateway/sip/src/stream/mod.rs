//! SIP over connections: TCP and what stands on it. A connection is a stream of bytes, in which messages follow each other
//! by their Content-Length (RFC 3261 18.3), and CRLF keeps it alive (RFC 5626 3.5.1); or a WebSocket, of which each frame
//! is a message (RFC 7118).

mod framer;
mod listen;
mod serve;
mod websocket;

pub use framer::{Framer, Piece, Unframed};

pub(crate) use listen::listen;
pub(crate) use serve::serve_ours;
