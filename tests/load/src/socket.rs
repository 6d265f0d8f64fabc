//! UDP in batches, with the time at which the kernel took each packet in.
#![allow(unsafe_code, reason = "the system calls for it have no safe form in the standard library")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use crate::clock::Now;

/// Packets taken per system call.
const BATCH: usize = 16;
/// System calls for one socket at a time.
const ROUNDS: usize = 4;
/// Bytes of a packet: more than any SIP message that fits no UDP datagram without fragments.
const PACKET: usize = 4096;
/// Room for the time of a packet.
const CONTROL: usize = 64;
/// Tries for an even port whose successor is free too.
const TRIES: usize = 200;

/// Buffers for [`Inbox::receive`].
pub(crate) struct Inbox {
    packets: Vec<[u8; PACKET]>,
    controls: Vec<Control>,
}

/// Control data must be aligned as its header is.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { packets: vec![[0; PACKET]; BATCH], controls: vec![Control([0; CONTROL]); BATCH] }
    }

    /// Hands what waits on `socket` to `each`, with its time on the monotonic clock; never waits.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, now: Now, mut each: impl FnMut(u64, &[u8])) {
        for _ in 0..ROUNDS {
            let taken = self.take(socket);
            let count = taken.iter().flatten().count();
            for (index, (length, control)) in taken.into_iter().flatten().enumerate() {
                let arrival = self.stamp(index, control).map_or(now.us, |wall| now.at_wall(wall));
                each(arrival, &self.packets[index][..length.min(PACKET)]);
            }
            if count < BATCH {
                return;
            }
        }
    }

    /// One batch: of each packet its length and that of its control data.
    fn take(&mut self, socket: &UdpSocket) -> [Option<(usize, usize)>; BATCH] {
        let mut slices: [libc::iovec; BATCH] = std::array::from_fn(|index| libc::iovec {
            iov_base: self.packets[index].as_mut_ptr().cast(),
            iov_len: PACKET,
        });
        let mut headers: [libc::mmsghdr; BATCH] = {
            // SAFETY: mmsghdr is a plain C structure of integers and pointers; all zeros is a valid value.
            unsafe { MaybeUninit::zeroed().assume_init() }
        };
        for ((header, slice), control) in headers.iter_mut().zip(&mut slices).zip(&mut self.controls) {
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
        }
        // SAFETY: every header points to buffers of the stated sizes, which live in `slices` and in `self` and do not
        // move during the call; the descriptor is open as long as `socket` is borrowed.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        // An error is the answer to something sent before (ICMP), or that nothing waits.
        let received = usize::try_from(received).unwrap_or(0);
        std::array::from_fn(|index| {
            let header = &headers[index];
            (index < received).then_some((header.msg_len as usize, header.msg_hdr.msg_controllen))
        })
    }

    /// The SO_TIMESTAMPNS message of a packet's control data, read as bytes: header (length, level, type), then seconds
    /// and nanoseconds. Microseconds since 1970.
    fn stamp(&self, index: usize, length: usize) -> Option<u64> {
        const WORD: usize = size_of::<usize>();
        let control = self.controls[index].0.get(..length)?;
        let level = i32::from_ne_bytes(*control.get(WORD..)?.first_chunk()?);
        let kind = i32::from_ne_bytes(*control.get(WORD + 4..)?.first_chunk()?);
        if (level, kind) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            return None;
        }
        let time = control.get(size_of::<libc::cmsghdr>()..)?;
        let seconds = isize::from_ne_bytes(*time.first_chunk()?);
        let nanos = isize::from_ne_bytes(*time.get(WORD..)?.first_chunk()?);
        Some(u64::try_from(seconds).ok()? * 1_000_000 + u64::try_from(nanos).ok()? / 1000)
    }
}

/// A socket whose packets are stamped.
pub(crate) fn open(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((ip, port))?;
    socket.set_nonblocking(true)?;
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int that outlives the call, and the descriptor is open.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            std::ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

/// Sockets for RTP, on an even port, and RTCP, on the next.
pub(crate) fn pair(ip: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..TRIES {
        let first = open(ip, 0)?;
        let port = first.local_addr()?.port();
        if let Ok(second) = open(ip, port ^ 1) {
            return Ok(if port % 2 == 0 { (first, second) } else { (second, first) });
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no even port with a free successor"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    /// The kernel begins to stamp a little after the first socket of the machine has asked for it; a packet that came
    /// before bears the time at which it was read.
    fn until_stamped(rtp: &UdpSocket, rtcp: &UdpSocket) {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let mut stamped = false;
        while !stamped {
            assert!(std::time::Instant::now() < deadline, "no packet is stamped");
            let sent = Now::read().us;
            rtcp.send_to(b"?", rtp.local_addr().unwrap()).unwrap();
            std::thread::sleep(Duration::from_millis(10));
            Inbox::new().receive(rtp, Now::read(), |arrival, _| stamped = arrival < sent + 5000);
        }
    }

    #[test]
    fn packets_come_whole_in_order_and_with_the_time_they_came_in() {
        let (rtp, rtcp) = pair(Ipv4Addr::LOCALHOST.into()).unwrap();
        let (to, next) = (rtp.local_addr().unwrap(), rtcp.local_addr().unwrap());
        assert!(to.port() % 2 == 0 && next.port() == to.port() + 1);
        until_stamped(&rtp, &rtcp);
        let before = Now::read().us;
        let count = 3 * BATCH + 1;
        for number in 0..count {
            rtcp.send_to(&vec![number as u8; number + 1], to).unwrap();
        }
        let after = Now::read().us;
        // Looked at later than they came.
        std::thread::sleep(Duration::from_millis(30));
        let mut seen = Vec::new();
        Inbox::new().receive(&rtp, Now::read(), |arrival, bytes| seen.push((arrival, bytes.to_vec())));
        assert_eq!(seen.len(), count);
        for (number, (arrival, bytes)) in seen.iter().enumerate() {
            assert_eq!(*bytes, vec![number as u8; number + 1]);
            assert!((before.saturating_sub(1000)..=after + 5000).contains(arrival), "{arrival} {before} {after}");
        }
    }
}
