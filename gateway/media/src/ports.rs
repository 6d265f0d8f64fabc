//! Port pairs for RTP and RTCP: even and the next (RFC 3550 11), random, bound per call, quarantined after use.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::MediaError;
use crate::sys;

/// A port pair rests this long, so that a new call does not hear the packets of the one before.
const QUARANTINE: Duration = Duration::from_secs(2);
/// Receive buffer in bytes: some hundred packets, as much as 20 ms ticks can ever leave waiting.
const RECEIVE_BUFFER: usize = 64 * 1024;
/// DSCP EF (RFC 3246) in the upper six bits of the traffic class.
const EXPEDITED: u8 = 46 << 2;
/// Tries for a pair when the operating system chooses the ports.
const EPHEMERAL_TRIES: usize = 64;

/// Gives out port pairs.
#[derive(Debug)]
pub(crate) struct Ports {
    ip: IpAddr,
    first: u16,
    last: u16,
    resting: Mutex<VecDeque<(Instant, u16)>>,
}

/// A bound port pair, waiting for its leg. Dropping it gives the ports back.
#[derive(Debug)]
pub struct LegSocket {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    address: SocketAddr,
    ports: Arc<Ports>,
}

impl LegSocket {
    /// The RTP port, for the `m=` line; RTCP is on the next.
    #[must_use]
    pub const fn rtp_port(&self) -> u16 {
        self.address.port()
    }

    /// The address that RTP is bound to.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LegSocket {
    fn drop(&mut self) {
        self.ports.rest(self.address.port());
    }
}

impl Ports {
    pub(crate) fn new(ip: IpAddr, range: &RangeInclusive<u16>) -> Result<Self, MediaError> {
        let (first, last) = (*range.start(), *range.end());
        let problem = |problem| MediaError::Config { setting: "rtp ports", problem };
        if (first, last) != (0, 0) {
            if first < 1024 {
                return Err(problem("begin below 1024"));
            }
            if last <= first.next_multiple_of(2) {
                return Err(problem("hold no even port with its successor"));
            }
        }
        Ok(Self { ip, first: first.next_multiple_of(2), last, resting: Mutex::default() })
    }

    /// Binds a pair, starting the search at `random`.
    pub(crate) fn allocate(self: &Arc<Self>, random: u64) -> Result<LegSocket, MediaError> {
        if self.last == 0 {
            return self.allocate_ephemeral();
        }
        let pairs = u64::from((self.last - self.first).div_ceil(2));
        for step in 0..pairs {
            let port = self.first + 2 * ((random.wrapping_add(step)) % pairs) as u16;
            if self.is_resting(port) {
                continue;
            }
            match self.bind(port) {
                Ok(socket) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(MediaError::Socket(error)),
            }
        }
        Err(MediaError::NoPorts { first: self.first, last: self.last })
    }

    fn allocate_ephemeral(self: &Arc<Self>) -> Result<LegSocket, MediaError> {
        for _ in 0..EPHEMERAL_TRIES {
            let probe = UdpSocket::bind((self.ip, 0)).map_err(MediaError::Socket)?;
            let port = probe.local_addr().map_err(MediaError::Socket)?.port() & !1;
            drop(probe);
            match self.bind(port) {
                Ok(socket) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(MediaError::Socket(error)),
            }
        }
        Err(MediaError::NoPorts { first: 0, last: 0 })
    }

    fn bind(self: &Arc<Self>, port: u16) -> io::Result<LegSocket> {
        let rtp = self.open(port)?;
        let rtcp = self.open(port.checked_add(1).ok_or(io::ErrorKind::AddrInUse)?)?;
        sys::enable_timestamps(&rtp)?;
        let address = rtp.local_addr()?;
        Ok(LegSocket { rtp, rtcp, address, ports: self.clone() })
    }

    fn open(&self, port: u16) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind((self.ip, port))?;
        socket.set_nonblocking(true)?;
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        let marked = match self.ip {
            IpAddr::V4(_) => rustix::net::sockopt::set_ip_tos(&socket, EXPEDITED),
            IpAddr::V6(_) => rustix::net::sockopt::set_ipv6_tclass(&socket, u32::from(EXPEDITED)),
        };
        // Some containers forbid marking; sound without priority is better than none.
        if let Err(error) = marked {
            tracing::debug!(%error, "cannot mark RTP as expedited");
        }
        Ok(socket)
    }

    fn is_resting(&self, port: u16) -> bool {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        while resting.front().is_some_and(|(since, _)| since.elapsed() >= QUARANTINE) {
            resting.pop_front();
        }
        resting.iter().any(|(_, rests)| *rests == port)
    }

    fn rest(&self, port: u16) {
        if self.last != 0 {
            self.resting.lock().unwrap_or_else(PoisonError::into_inner).push_back((Instant::now(), port));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn pairs_are_even_distinct_and_run_out_with_a_name() {
        let base = 41_200;
        let ports = Arc::new(Ports::new(LOOPBACK, &(base..=base + 9)).unwrap());
        let mut taken: Vec<LegSocket> = std::iter::from_fn(|| ports.allocate(3).ok()).collect();
        let mut numbers: Vec<u16> = taken.iter().map(LegSocket::rtp_port).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), taken.len());
        assert!(taken.len() <= 5 && numbers.iter().all(|port| port % 2 == 0));
        assert!(matches!(ports.allocate(0), Err(MediaError::NoPorts { first: 41_200, last: 41_209 })));
        // A port that was just given back rests, so the range stays exhausted.
        taken.pop();
        assert!(matches!(ports.allocate(0), Err(MediaError::NoPorts { .. })));
    }

    #[test]
    fn the_operating_system_may_choose() {
        let ports = Arc::new(Ports::new(LOOPBACK, &(0..=0)).unwrap());
        let socket = ports.allocate(0).unwrap();
        assert_eq!(socket.rtp_port() % 2, 0);
        assert_eq!(socket.rtcp.local_addr().unwrap().port(), socket.rtp_port() + 1);
    }

    #[test]
    fn ranges_that_hold_no_pair_are_refused() {
        for range in [100..=2000, 20_001..=20_002, 20_000..=20_000] {
            assert!(matches!(Ports::new(LOOPBACK, &range), Err(MediaError::Config { .. })), "{range:?}");
        }
    }
}
