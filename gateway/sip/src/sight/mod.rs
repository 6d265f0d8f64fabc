//! What operators and their tools see of signalling: HEP for a capture server, pcap for a packet analyser, and texts
//! without the numbers and keys that are nobody's business.

mod export;
mod hep;
mod pcap;
mod redact;

pub(crate) use export::{Crossed, HepExport};
pub use export::{HepConfig, HepCounts};
pub use hep::{Hep, HepProtocol, HepTransport};
pub use pcap::{Pcap, PcapPacket};
pub use redact::{masked_text, redact};
