//! The yardstick: answers every INVITE at once and sends every packet back as it came, so that what remains of a
//! figure is the network's, the kernel's and the callers' own.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use trunkline_caller::{Message, offer};

use crate::clock::pin;

/// How often it looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Packets taken from a socket before the other one is looked at.
const IN_A_ROW: usize = 64;
/// Receive buffer of the socket that all calls' sound comes to, in bytes.
const BUFFER: usize = 4 << 20;

/// What stands between a caller and the reflector: takes Call-ID and offer of a caller and the reflector's own
/// description, and gives the description that the caller is answered with.
pub type Relay = Box<dyn FnMut(&str, &[u8], &[u8]) -> anyhow::Result<Vec<u8>> + Send>;

/// A running reflector; dropped, it ends.
#[derive(Debug)]
pub struct Reflector {
    sip: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reflector {
    /// Starts one on any port of `ip`, on `core`.
    ///
    /// # Errors
    /// When there is no port or thread.
    pub fn start(ip: IpAddr, core: Option<usize>, relay: Option<Relay>) -> anyhow::Result<Self> {
        let (signals, sound) = (UdpSocket::bind((ip, 0))?, UdpSocket::bind((ip, 0))?);
        for socket in [&signals, &sound] {
            socket.set_nonblocking(true)?;
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(socket, BUFFER);
        }
        let sip = signals.local_addr()?;
        let description = offer(sound.local_addr()?, 1);
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("reflector".to_owned()).spawn(move || {
            if let Some(core) = core {
                let _ = pin(&[core]);
            }
            Reflecting { signals, sound, description, relay }.run(&stopped);
        })?;
        Ok(Self { sip, stop, thread: Some(thread) })
    }

    /// Where it answers SIP.
    #[must_use]
    pub const fn sip(&self) -> SocketAddr {
        self.sip
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Reflecting {
    signals: UdpSocket,
    sound: UdpSocket,
    description: Vec<u8>,
    relay: Option<Relay>,
}

impl Reflecting {
    fn run(&mut self, stop: &AtomicBool) {
        let wait = Timespec { tv_sec: 0, tv_nsec: LOOK_EVERY.subsec_nanos().into() };
        let mut buffer = [0; 4096];
        while !stop.load(Ordering::Relaxed) {
            let mut sockets = [PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.sound, PollFlags::IN)];
            let _ = poll(&mut sockets, Some(&wait));
            for _ in 0..IN_A_ROW {
                let Ok((length, from)) = self.sound.recv_from(&mut buffer) else { break };
                let _ = self.sound.send_to(&buffer[..length], from);
            }
            for _ in 0..IN_A_ROW {
                let Ok((length, from)) = self.signals.recv_from(&mut buffer) else { break };
                if let Some(answer) = self.answer(&buffer[..length]) {
                    let _ = self.signals.send_to(&answer, from);
                }
            }
        }
    }

    fn answer(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let request = Message::parse(datagram)?;
        let mut response = Message::response(&request, 200, "OK");
        match request.method()? {
            "ACK" => return None,
            "INVITE" => {
                for (_, value) in response.headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("To")) {
                    value.push_str(";tag=reflector");
                }
                let description = match &mut self.relay {
                    Some(relay) => relay(request.header("Call-ID")?, &request.body, &self.description),
                    None => Ok(self.description.clone()),
                };
                let Ok(description) = description else {
                    return Some(Message::response(&request, 503, "Service Unavailable").to_bytes());
                };
                let contact = format!("<sip:reflector@{}>", self.signals.local_addr().ok()?);
                response = response.with("Contact", contact).with_body("application/sdp", description);
            }
            _ => {}
        }
        Some(response.to_bytes())
    }
}
