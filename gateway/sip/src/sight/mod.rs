//! What operators and their tools see of signalling: HEP for a capture server, pcap for a packet analyser, and texts
//! without the numbers and keys that are nobody's business.

mod hep;
mod pcap;
mod redact;

pub use hep::{Hep, HepProtocol, HepTransport};
pub use pcap::{Pcap, PcapPacket};
pub use redact::{masked_text, redact};
