//! SRTP and SRTCP of one leg (RFC 3711, RFC 7714), without sockets: a packet in, the packet to send or to read out.
//!
//! Why not a library: `rtc-srtp`, the only maintained one without C, allocates for every packet and keeps state for every
//! source that a packet merely claims; here nothing is allocated and nothing remembered before a packet has proved
//! genuine. The ciphers are ring's and RustCrypto's, what is ours is checked with the standards' vectors and against
//! libsrtp.

mod transform;
mod window;

use transform::{Place, RTCP, RTCP_HEADER, RTP, Transform};
use trunkline_leg::{MasterKey, SrtpSpec, SrtpSuite};
use window::Window;

/// The version of RTP and RTCP.
const VERSION: u8 = 2;
/// Bytes that protection adds to a packet at most: a tag of 16 and the word of RTCP.
pub(crate) const MAX_OVERHEAD: usize = 20;
/// Sources that are remembered, the one that was silent for longest is given up for a new one.
const SOURCES: usize = 8;
/// Packets under a new key after which the one before it is forgotten: those on their way when it changed have come.
const OLD_KEY_PACKETS: u32 = 200;
/// The last index of RTCP that a key may protect (RFC 3711 9.2).
const LAST_RTCP_INDEX: u64 = (1 << 31) - 1;

/// Why a packet was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too short, not of the version, or not encrypted.
    Malformed,
    /// It came before, or so late that nobody knows.
    Replayed,
    /// Its tag is wrong: altered, or made by somebody without the key.
    Forged,
}

/// Both directions of a leg.
#[derive(Debug)]
pub(crate) struct Srtp {
    spec: SrtpSpec,
    sender: Sender,
    receiver: Receiver,
}

/// Session keys of one master key.
#[derive(Debug, Clone)]
struct Keys {
    rtp: Transform,
    rtcp: Transform,
}

#[derive(Debug)]
struct Sender {
    keys: Keys,
    /// What was sent, by the source it was sent as.
    ssrc: Option<u32>,
    sent: Window,
    rtcp_index: u64,
}

#[derive(Debug)]
struct Receiver {
    keys: Keys,
    /// The keys before, for packets that were under way, and how many more packets they are kept.
    before: Option<(Keys, u32)>,
    sources: [Source; SOURCES],
    /// Counts packets, to know which source was silent for longest.
    clock: u64,
}

/// What was received from one source.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    ssrc: Option<u32>,
    rtp: Window,
    rtcp: Window,
    /// No packet has come under the newest key yet.
    rtp_fresh: bool,
    rtcp_fresh: bool,
    used: u64,
}

impl Srtp {
    /// The state before the first packet. `None` only if a key does not fit its suite. Derives keys: not for the media
    /// thread.
    pub(crate) fn new(spec: &SrtpSpec) -> Option<Self> {
        let keys = |master: &MasterKey| Keys::derive(spec.suite, master);
        Some(Self {
            sender: Sender { keys: keys(&spec.send)?, ssrc: None, sent: Window::default(), rtcp_index: 0 },
            receiver: Receiver { keys: keys(&spec.receive)?, before: None, sources: Default::default(), clock: 0 },
            spec: spec.clone(),
        })
    }

    /// Goes on with the keys of `next`, which is new and is left with keys that are of no more use. A key that stays
    /// keeps all its state; with another one the counters go on too (RFC 3711 3.3.1), since an index that begins anew
    /// could repeat one.
    pub(crate) fn rekey(&mut self, next: &mut Self) {
        let suite = self.spec.suite != next.spec.suite;
        if suite || self.spec.send != next.spec.send {
            std::mem::swap(&mut self.sender.keys, &mut next.sender.keys);
        }
        if suite || self.spec.receive != next.spec.receive {
            std::mem::swap(&mut self.receiver.keys, &mut next.receiver.keys);
            self.receiver.before = Some((next.receiver.keys.clone(), OLD_KEY_PACKETS));
            for source in &mut self.receiver.sources {
                (source.rtp_fresh, source.rtcp_fresh) = (true, true);
            }
        }
        std::mem::swap(&mut self.spec, &mut next.spec);
    }

    /// Protects the RTP packet in `buffer[..length]` and returns its new length, at most [`MAX_OVERHEAD`] more. `None`
    /// for what is no RTP, does not fit, or would use an index twice.
    pub(crate) fn protect_rtp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let header = Header::of(buffer.get(..length)?)?;
        let sender = &mut self.sender;
        if sender.ssrc != Some(header.ssrc) {
            (sender.ssrc, sender.sent) = (Some(header.ssrc), Window::default());
        }
        let index = sender.sent.estimate(header.seq).filter(|index| sender.sent.is_open(*index))?;
        let protected = sender.keys.rtp.protect_rtp(header.at(index), buffer, header.length, length)?;
        sender.sent.enter(index);
        Some(protected)
    }

    /// Protects the RTCP packet in `buffer[..length]` and returns its new length, as for RTP.
    pub(crate) fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let ssrc = rtcp_ssrc(buffer.get(..length)?)?;
        let index = self.sender.rtcp_index;
        if index > LAST_RTCP_INDEX {
            return None;
        }
        let protected = self.sender.keys.rtcp.protect_rtcp(Place { ssrc, index }, buffer, length)?;
        self.sender.rtcp_index += 1;
        Some(protected)
    }

    /// Writes the RTP packet that `packet` protects to `plain` and returns its length.
    pub(crate) fn open_rtp(&mut self, packet: &[u8], plain: &mut [u8]) -> Result<usize, Refused> {
        let header = Header::of(packet).ok_or(Refused::Malformed)?;
        let receiver = &mut self.receiver;
        let known = receiver.find(header.ssrc);
        let source = known.map_or_else(Source::default, |at| receiver.sources[at]);
        let index = source.rtp.estimate(header.seq).filter(|index| source.rtp.is_open(*index));
        let mut open = |keys: &Keys, index: u64| {
            let buffer = copy(packet, plain)?;
            keys.rtp.open_rtp(header.at(index), buffer, header.length)
        };
        if let Some((index, length)) = index.and_then(|index| Some((index, open(&receiver.keys, index)?))) {
            receiver.admit(known, header.ssrc, |source| {
                source.rtp.enter(index);
                source.rtp_fresh = false;
            });
            return Ok(length);
        }
        let anew = u64::from(header.seq);
        if source.rtp_fresh
            && index != Some(anew)
            && let Some(length) = open(&receiver.keys, anew)
        {
            // Some begin to count anew with a new key, though they should not. Nothing can have come twice under it.
            receiver.admit(known, header.ssrc, |source| {
                (source.rtp, source.rtp_fresh) = (Window::default(), false);
                source.rtp.enter(anew);
            });
            return Ok(length);
        }
        let Some(index) = index else { return Err(Refused::Replayed) };
        let length = receiver.before.as_ref().and_then(|(keys, _)| open(keys, index)).ok_or(Refused::Forged)?;
        if let Some(source) = known.and_then(|at| receiver.sources.get_mut(at)) {
            source.rtp.enter(index);
        }
        Ok(length)
    }

    /// Writes the RTCP packet that `packet` protects to `plain` and returns its length.
    pub(crate) fn open_rtcp(&mut self, packet: &[u8], plain: &mut [u8]) -> Result<usize, Refused> {
        let ssrc = rtcp_ssrc(packet).ok_or(Refused::Malformed)?;
        let receiver = &mut self.receiver;
        let known = receiver.find(ssrc);
        let source = known.map_or_else(Source::default, |at| receiver.sources[at]);
        let mut why = Refused::Malformed;
        if let Some(index) = receiver.keys.rtcp.rtcp_index(packet) {
            let seen = !source.rtcp.is_open(index);
            // As for RTP: some count anew with a new key.
            why = if seen && !source.rtcp_fresh { Refused::Replayed } else { Refused::Forged };
            let buffer = copy(packet, plain).filter(|_| why == Refused::Forged);
            let opened = buffer.and_then(|buffer| receiver.keys.rtcp.open_rtcp(Place { ssrc, index }, buffer));
            if let Some(length) = opened {
                receiver.admit(known, ssrc, |source| {
                    if seen {
                        source.rtcp = Window::default();
                    }
                    source.rtcp.enter(index);
                    source.rtcp_fresh = false;
                });
                return Ok(length);
            }
        }
        let Some((keys, _)) = &receiver.before else { return Err(why) };
        // The suite before may have had the index elsewhere.
        let index = keys.rtcp.rtcp_index(packet).ok_or(why)?;
        let buffer = copy(packet, plain).filter(|_| source.rtcp.is_open(index)).ok_or(why)?;
        let length = keys.rtcp.open_rtcp(Place { ssrc, index }, buffer).ok_or(why)?;
        if let Some(source) = known.and_then(|at| receiver.sources.get_mut(at)) {
            source.rtcp.enter(index);
        }
        Ok(length)
    }
}

impl Keys {
    fn derive(suite: SrtpSuite, master: &MasterKey) -> Option<Self> {
        Some(Self { rtp: Transform::derive(suite, master, RTP)?, rtcp: Transform::derive(suite, master, RTCP)? })
    }
}

impl Receiver {
    fn find(&self, ssrc: u32) -> Option<usize> {
        self.sources.iter().position(|source| source.ssrc == Some(ssrc))
    }

    /// A packet under the newest key was genuine: writes down what came.
    fn admit(&mut self, known: Option<usize>, ssrc: u32, note: impl FnOnce(&mut Source)) {
        self.clock += 1;
        let quietest = || (0..SOURCES).min_by_key(|at| self.sources[*at].used).unwrap_or(0);
        let at = known.unwrap_or_else(quietest);
        let Some(source) = self.sources.get_mut(at) else { return };
        if known.is_none() {
            *source = Source { ssrc: Some(ssrc), ..Source::default() };
        }
        source.used = self.clock;
        note(source);
        if let Some((_, left)) = &mut self.before {
            *left -= 1;
            if *left == 0 {
                self.before = None;
            }
        }
    }
}

/// What the header of an RTP packet says that protection goes by.
struct Header {
    ssrc: u32,
    seq: u16,
    /// Bytes up to the payload, with contributing sources and extension.
    length: usize,
}

impl Header {
    /// Not by parsing the packet: its padding, if any, is encrypted.
    fn of(packet: &[u8]) -> Option<Self> {
        let [first, _, seq @ ..] = packet.first_chunk::<4>()?;
        if first >> 6 != VERSION {
            return None;
        }
        let ssrc = u32::from_be_bytes(*packet.get(8..)?.first_chunk()?);
        let mut length = 12 + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let words = u16::from_be_bytes(*packet.get(length + 2..)?.first_chunk()?);
            length += 4 + 4 * usize::from(words);
        }
        (length <= packet.len()).then_some(Self { ssrc, seq: u16::from_be_bytes(*seq), length })
    }

    const fn at(&self, index: u64) -> Place {
        Place { ssrc: self.ssrc, index }
    }
}

fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<RTCP_HEADER>()?;
    (header[0] >> 6 == VERSION).then(|| u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}

fn copy<'a>(packet: &[u8], plain: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let buffer = plain.get_mut(..packet.len())?;
    buffer.copy_from_slice(packet);
    Some(buffer)
}

#[cfg(test)]
mod tests;
