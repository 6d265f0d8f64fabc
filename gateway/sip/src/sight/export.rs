//! Messages on their way to a capture server: through a bounded queue to a task that takes the keys out and sends them, so
//! that a server that is slow or gone costs signalling nothing but what it does not see.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::hep::{Hep, HepProtocol, HepTransport};
use super::redact::redact;

/// Messages that wait to be sent; those beyond are dropped.
const QUEUE: usize = 1024;
/// Most of a message that is searched for its Call-ID.
const HEAD: usize = 16 * 1024;

/// Where every message is shown to.
#[derive(Clone, PartialEq, Eq)]
pub struct HepConfig {
    /// UDP address of the capture server.
    pub collector: SocketAddr,
    /// Number of this gateway among those that capture.
    pub agent: u32,
    /// The server's password; empty for none. It goes over the network as it is.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for HepConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collector, agent, .. } = self;
        f.debug_struct("HepConfig").field("collector", collector).field("agent", agent).finish_non_exhaustive()
    }
}

/// What became of messages for the capture server, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HepCounts {
    /// Sent; whether they came nobody says.
    pub sent: u64,
    /// Not taken, because many waited.
    pub dropped: u64,
    /// Not sent, because the network said so.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// A message as it crossed the socket.
#[derive(Debug)]
pub(crate) struct Crossed {
    /// Microseconds since the Unix epoch.
    pub(crate) at_us: u64,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) transport: HepTransport,
    pub(crate) bytes: Vec<u8>,
}

/// The way to the capture server.
#[derive(Debug, Clone)]
pub(crate) struct HepExport {
    queue: mpsc::Sender<Crossed>,
    counters: Arc<Counters>,
}

impl HepExport {
    /// Begins to send, on the runtime that this is called in, until the last of its clones is gone.
    pub(crate) fn start(config: HepConfig) -> std::io::Result<Self> {
        let any = if config.collector.is_ipv4() {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        tokio::spawn(run(config, socket, waiting, Arc::clone(&counters)));
        Ok(Self { queue, counters })
    }

    /// Shows a message. Never waits.
    pub(crate) fn show(&self, crossed: Crossed) {
        if self.queue.try_send(crossed).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> HepCounts {
        let Counters { sent, dropped, failed } = &*self.counters;
        let [sent, dropped, failed] = [sent, dropped, failed].map(|count| count.load(Ordering::Relaxed));
        HepCounts { sent, dropped, failed }
    }
}

async fn run(config: HepConfig, socket: UdpSocket, mut waiting: mpsc::Receiver<Crossed>, counters: Arc<Counters>) {
    while let Some(crossed) = waiting.recv().await {
        let payload = redact(&crossed.bytes);
        let packet = Hep {
            at_us: crossed.at_us,
            from: crossed.from,
            to: crossed.to,
            transport: crossed.transport,
            protocol: HepProtocol::Sip,
            agent: config.agent,
            password: &config.password,
            correlation: call_id(&payload),
            payload: &payload,
        };
        let packet = packet.encode();
        let count = match socket.send_to(&packet, config.collector).await {
            Ok(_) => &counters.sent,
            Err(error) => {
                tracing::debug!(%error, "a message was not shown to the capture server");
                &counters.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The Call-ID of a message, by which a capture server puts calls together; empty when it cannot be read.
fn call_id(message: &[u8]) -> &str {
    let head = message.get(..HEAD).unwrap_or(message);
    let mut lines = head.split(|byte| *byte == b'\n');
    let value = lines.by_ref().take_while(|line| !line.trim_ascii().is_empty()).find_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line.get(..at)?.trim_ascii(), line.get(at + 1..)?);
        (name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i")).then_some(value.trim_ascii())
    });
    value.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_call_however_it_writes_it() {
        assert_eq!(call_id(b"OPTIONS sip:x SIP/2.0\r\nCall-ID: a@b\r\n\r\n"), "a@b");
        assert_eq!(call_id(b"OPTIONS sip:x SIP/2.0\r\nFrom: x\r\ni :\tc\r\n\r\n"), "c");
        assert_eq!(call_id(b"OPTIONS sip:x SIP/2.0\r\nFrom: x\r\n\r\nCall-ID: body\r\n"), "");
        assert_eq!(call_id(b"Call-ID: \xff\r\n"), "");
    }

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_dropped_counted_and_never_waited_for() {
        let config = HepConfig { collector: "127.0.0.1:9".parse().unwrap(), agent: 1, password: String::new().into() };
        let export = HepExport::start(config).unwrap();
        // Nothing is sent before this test waits: it has the only thread.
        for _ in 0..QUEUE + 10 {
            let (from, to) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.2:5060".parse().unwrap());
            export.show(Crossed { at_us: 0, from, to, transport: HepTransport::Udp, bytes: Vec::new() });
        }
        assert_eq!(export.counts(), HepCounts { dropped: 10, ..HepCounts::default() });
        while export.counts().sent + export.counts().failed < QUEUE as u64 {
            tokio::task::yield_now().await;
        }
    }
}
