//! The system calls that the standard library has no safe form of: batched receive with the kernel's own receive
//! times, and real-time priority. All unsafe code of the crate is here.
#![allow(unsafe_code, reason = "the named home of batch-socket and scheduling calls")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

/// Packets taken per system call.
pub(crate) const BATCH: usize = 16;
/// Bytes kept of a packet; longer ones are cut and marked.
pub(crate) const PACKET: usize = 1600;
/// Room for one receive time.
const CONTROL: usize = 64;

/// One received packet.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) source: SocketAddr,
    /// When the kernel took it in, in microseconds since 1970; `None` when it did not say.
    pub(crate) received_us: Option<u64>,
    pub(crate) data: &'a [u8],
    /// The packet was longer than what is kept.
    pub(crate) cut: bool,
}

/// Buffers for [`Batch::receive`], made once per worker.
pub(crate) struct Batch {
    packets: Box<[[u8; PACKET]; BATCH]>,
    names: Box<[MaybeUninit<libc::sockaddr_storage>; BATCH]>,
    controls: Box<[Control; BATCH]>,
    headers: Box<[MaybeUninit<libc::mmsghdr>; BATCH]>,
    slices: Box<[MaybeUninit<libc::iovec>; BATCH]>,
    count: usize,
}

/// Control data must be aligned as its header is.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            packets: Box::new([[0; PACKET]; BATCH]),
            names: Box::new([const { MaybeUninit::zeroed() }; BATCH]),
            controls: Box::new([Control([0; CONTROL]); BATCH]),
            headers: Box::new([const { MaybeUninit::zeroed() }; BATCH]),
            slices: Box::new([const { MaybeUninit::zeroed() }; BATCH]),
            count: 0,
        }
    }

    /// Takes up to [`BATCH`] packets that are waiting on `socket` and returns how many; never waits, and counts an
    /// error (such as an ICMP answer to what was sent) as none.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> usize {
        self.count = 0;
        for index in 0..BATCH {
            self.slices[index]
                .write(libc::iovec { iov_base: self.packets[index].as_mut_ptr().cast(), iov_len: PACKET });
            let mut header: libc::msghdr = {
                // SAFETY: msghdr is a plain C structure of integers and pointers; all zeros is a valid value.
                unsafe { MaybeUninit::zeroed().assume_init() }
            };
            header.msg_name = self.names[index].as_mut_ptr().cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = self.slices[index].as_mut_ptr();
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL as _;
            self.headers[index].write(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
        }
        // SAFETY: every header was just written and points to buffers of the stated sizes, which `self` owns and
        // which do not move during the call; the descriptor is open as long as `socket` is borrowed.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr().cast(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        self.count = usize::try_from(received).unwrap_or(0).min(BATCH);
        self.count
    }

    /// Packet `index` of the last [`Batch::receive`]; `None` beyond its count or for a source that is no IP address.
    pub(crate) fn get(&self, index: usize) -> Option<Datagram<'_>> {
        if index >= self.count {
            return None;
        }
        // SAFETY: `receive` wrote every header before the call, and the kernel only changed fields in place.
        let header = unsafe { self.headers[index].assume_init_ref() };
        // SAFETY: zeroed when made, and written by the kernel since; any bytes are a valid sockaddr_storage.
        let name = unsafe { self.names[index].assume_init_ref() };
        let length = (header.msg_len as usize).min(PACKET);
        Some(Datagram {
            source: socket_address(name)?,
            received_us: receive_time(&self.controls[index].0, header.msg_hdr.msg_controllen),
            data: &self.packets[index][..length],
            cut: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        })
    }
}

fn socket_address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage, which is larger and no less aligned, holds a sockaddr_in.
            let name = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for sockaddr_in6.
            let name = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), 0, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The SO_TIMESTAMPNS message of a packet's control data, read as bytes: header (length, level, type), then seconds
/// and nanoseconds.
fn receive_time(control: &[u8; CONTROL], length: usize) -> Option<u64> {
    const WORD: usize = size_of::<usize>();
    let control = control.get(..length)?;
    let level = i32::from_ne_bytes(*control.get(WORD..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*control.get(WORD + 4..)?.first_chunk()?);
    if (level, kind) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    let data = control.get(size_of::<libc::cmsghdr>()..)?;
    let seconds = isize::from_ne_bytes(*data.first_chunk()?);
    let nanos = isize::from_ne_bytes(*data.get(WORD..)?.first_chunk()?);
    Some(u64::try_from(seconds).ok()? * 1_000_000 + u64::try_from(nanos).ok()? / 1000)
}

/// Asks the kernel to note when each packet came in.
pub(crate) fn enable_timestamps(socket: &UdpSocket) -> io::Result<()> {
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
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks for real-time priority for the calling thread; false when the system does not allow it.
pub(crate) fn try_realtime(priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameters are a valid structure that outlives the call; 0 means the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    fn pair() -> (UdpSocket, UdpSocket) {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        a.connect(b.local_addr().unwrap()).unwrap();
        b.set_nonblocking(true).unwrap();
        enable_timestamps(&b).unwrap();
        (a, b)
    }

    #[test]
    fn packets_come_with_source_time_and_size() {
        let (from, to) = pair();
        for n in 0..20_u8 {
            from.send(&[n; 100]).unwrap();
        }
        from.send(&[9; 4000]).unwrap();
        let mut batch = Batch::new();
        let mut seen = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(5);
        while seen.len() < 21 && Instant::now() < deadline {
            for index in 0..batch.receive(&to) {
                let packet = batch.get(index).unwrap();
                assert_eq!(packet.source, from.local_addr().unwrap());
                let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
                assert!(packet.received_us.is_some_and(|at| wall.abs_diff(at) < 10_000_000));
                seen.push((packet.data[0], packet.data.len(), packet.cut));
            }
        }
        let mut expected: Vec<_> = (0..20).map(|n| (n, 100, false)).collect();
        expected.push((9, PACKET, true));
        assert_eq!(seen, expected);
        assert_eq!(batch.receive(&to), 0);
        assert!(batch.get(0).is_none());
    }
}
