//! Port pairs for RTP and RTCP: even and the next (RFC 3550 11), random, bound per call, quarantined after use.
//!
//! What is free is known, so that a range that is used up is refused without asking the system for every port of it:
//! calls are answered by one thread, which must not wait for thousands of `bind`s.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::MediaError;
use crate::sys;

/// A port pair rests this long, so that a new call does not hear the packets of the one before.
const QUARANTINE: Duration = Duration::from_secs(2);
/// A pair that another program holds is not asked for again before this.
const FOREIGN: Duration = Duration::from_secs(30);
/// Pairs asked of the system for one call at most.
const PROBES: usize = 8;
/// Receive buffer in bytes: some hundred packets, as much as 20 ms ticks can ever leave waiting.
const RECEIVE_BUFFER: usize = 64 * 1024;
/// DSCP EF (RFC 3246) in the upper six bits of the traffic class.
const EXPEDITED: u8 = 46 << 2;

/// Gives out port pairs.
#[derive(Debug)]
pub(crate) struct Ports {
    ip: IpAddr,
    /// Both 0 when the operating system chooses.
    first: u16,
    last: u16,
    pool: Mutex<Pool>,
}

/// The pairs of the range that no leg has, by their even port.
#[derive(Debug, Default)]
struct Pool {
    /// In no order: one is taken at random.
    free: Vec<u16>,
    /// When each becomes free, soonest first within each of the two.
    resting: VecDeque<(Instant, u16)>,
    foreign: VecDeque<(Instant, u16)>,
}

impl Pool {
    fn wake(&mut self, now: Instant) {
        for waiting in [&mut self.resting, &mut self.foreign] {
            while let Some((_, port)) = waiting.front().filter(|(until, _)| *until <= now).copied() {
                waiting.pop_front();
                self.free.push(port);
            }
        }
    }

    /// A free pair at random.
    fn take(&mut self, random: u64) -> Option<u16> {
        let index = random.checked_rem(self.free.len() as u64)?;
        Some(self.free.swap_remove(index as usize))
    }
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
        let first = first.next_multiple_of(2);
        let pool = Pool { free: pairs(first, last).collect(), ..Pool::default() };
        Ok(Self { ip, first, last, pool: Mutex::new(pool) })
    }

    /// Binds a pair that `random` chooses.
    pub(crate) fn allocate(self: &Arc<Self>, random: u64) -> Result<LegSocket, MediaError> {
        for probe in 0..PROBES {
            let port = if self.last == 0 { self.ephemeral()? } else { self.take(random.rotate_left(probe as u32))? };
            match self.bind(port) {
                Ok(socket) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => self.set_aside(port),
                Err(error) => {
                    self.give_back(port);
                    return Err(MediaError::Socket(error));
                }
            }
        }
        Err(self.exhausted())
    }

    /// Pairs that a call could have now; `None` when the operating system chooses.
    pub(crate) fn free_pairs(&self) -> Option<usize> {
        (self.last != 0).then(|| {
            let mut pool = self.pool();
            pool.wake(Instant::now());
            pool.free.len()
        })
    }

    /// Pairs of the range; `None` when the operating system chooses.
    pub(crate) fn pairs(&self) -> Option<usize> {
        (self.last != 0).then(|| pairs(self.first, self.last).count())
    }

    fn take(&self, random: u64) -> Result<u16, MediaError> {
        let mut pool = self.pool();
        pool.wake(Instant::now());
        pool.take(random).ok_or_else(|| self.exhausted())
    }

    const fn exhausted(&self) -> MediaError {
        MediaError::NoPorts { first: self.first, last: self.last }
    }

    /// An even port that the system would give out now.
    fn ephemeral(&self) -> Result<u16, MediaError> {
        let probe = UdpSocket::bind((self.ip, 0)).map_err(MediaError::Socket)?;
        Ok(probe.local_addr().map_err(MediaError::Socket)?.port() & !1)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another program holds the pair.
    fn set_aside(&self, port: u16) {
        if self.last != 0 {
            self.pool().foreign.push_back((Instant::now() + FOREIGN, port));
        }
    }

    fn give_back(&self, port: u16) {
        if self.last != 0 {
            self.pool().free.push(port);
        }
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

    fn rest(&self, port: u16) {
        if self.last != 0 {
            self.pool().resting.push_back((Instant::now() + QUARANTINE, port));
        }
    }
}

/// The even ports of a range whose successor is in it too.
fn pairs(first: u16, last: u16) -> impl Iterator<Item = u16> {
    (first..last).step_by(2)
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
        assert_eq!((ports.pairs(), ports.free_pairs()), (Some(5), Some(5)));
        let mut taken: Vec<LegSocket> = std::iter::from_fn(|| ports.allocate(3).ok()).collect();
        let mut numbers: Vec<u16> = taken.iter().map(LegSocket::rtp_port).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), taken.len());
        assert!(taken.len() <= 5 && numbers.iter().all(|port| port % 2 == 0));
        assert_eq!(ports.free_pairs(), Some(0));
        assert!(matches!(ports.allocate(0), Err(MediaError::NoPorts { first: 41_200, last: 41_209 })));
        // A port that was just given back rests, so the range stays exhausted.
        taken.pop();
        assert!(matches!(ports.allocate(0), Err(MediaError::NoPorts { .. })));
        assert_eq!(ports.free_pairs(), Some(0));
        let rested = Instant::now() + QUARANTINE;
        ports.pool().wake(rested);
        assert!(ports.allocate(0).is_ok());
    }

    #[test]
    fn a_range_held_by_another_program_is_given_up_after_a_few_probes() {
        let (base, pairs) = (21_000_u16, 64);
        let held: Vec<UdpSocket> = (0..pairs).filter_map(|n| UdpSocket::bind((LOOPBACK, base + 2 * n)).ok()).collect();
        let ports = Arc::new(Ports::new(LOOPBACK, &(base..=base + 2 * pairs - 1)).unwrap());
        for call in 1..=usize::from(pairs) / PROBES {
            assert!(matches!(ports.allocate(call as u64), Err(MediaError::NoPorts { .. })));
            // Each call asked the system for a few of them, and none of them is asked for again.
            assert_eq!(ports.free_pairs(), Some(usize::from(pairs) - call * PROBES));
        }
        drop(held);
        ports.pool().wake(Instant::now() + FOREIGN);
        assert!(ports.allocate(1).is_ok(), "what the other program gave back is found again");
    }

    #[test]
    fn sockets_are_marked_as_expedited() {
        let ports = Arc::new(Ports::new(LOOPBACK, &(0..=0)).unwrap());
        let socket = ports.allocate(0).unwrap();
        for socket in [&socket.rtp, &socket.rtcp] {
            assert_eq!(rustix::net::sockopt::ip_tos(socket).unwrap(), EXPEDITED);
        }
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
