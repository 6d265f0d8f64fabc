//! One leg's side of RTCP: when to report, what to put in, and what the far end's reports mean.

use super::interval::Interval;
use super::{AboutUs, BUFFER, Extended, Heard, Learned, Report, Sent, Since, VoipMetrics, ntp, ntp_middle, read};
use crate::reports::ReceptionReport;

/// A round trip beyond this is a clock that was set, not a network.
const ROUND_TRIP_MAX: u32 = 60 << 16;

/// What to report, as of now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Microseconds since 1970.
    pub(crate) wall_us: u64,
    /// RTP timestamp of now.
    pub(crate) rtp_timestamp: u32,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// The source that is heard, and its figures.
    pub(crate) heard: Option<(u32, ReceptionReport)>,
    pub(crate) voip: Option<VoipMetrics>,
    /// Whether the leg sends RTP: who does not asks for the round trip in its own way.
    pub(crate) sends: bool,
}

/// The far end's clock as last sent, and when it came.
#[derive(Debug, Clone, Copy)]
struct Clock {
    ssrc: u32,
    ntp_middle: u32,
    at: u64,
}

impl Clock {
    fn since(&self, now: u64) -> Since {
        let delay = (now.saturating_sub(self.at) << 16) / 1_000_000;
        Since { ntp_middle: self.ntp_middle, delay: u32::try_from(delay).unwrap_or(u32::MAX) }
    }
}

/// RTCP of one leg. Times are microseconds of the call.
#[derive(Debug)]
pub(crate) struct RtcpSession {
    ssrc: u32,
    cname: [u8; 16],
    interval: Interval,
    random: u64,
    report_due: bool,
    bye_due: bool,
    sender_report: Option<Clock>,
    reference: Option<Clock>,
    about_us: Option<AboutUs>,
    voip: Option<VoipMetrics>,
    round_trip_us: Option<u64>,
    packet: [u8; BUFFER],
}

impl RtcpSession {
    /// A session of `bits_per_second` one way that begins at `now`; `seed` is random.
    pub(crate) fn new(ssrc: u32, seed: &[u8; 32], bits_per_second: u32, now: u64) -> Self {
        let [.., a, b, c, d, e, f, g, h] = *seed;
        // Zero is the one state that a shift register never leaves.
        let mut random = u64::from_le_bytes([a, b, c, d, e, f, g, h]) | 1;
        let interval = Interval::new(bits_per_second, now, draw(&mut random));
        Self {
            ssrc,
            cname: cname(seed),
            interval,
            random,
            report_due: false,
            bye_due: false,
            sender_report: None,
            reference: None,
            about_us: None,
            voip: None,
            round_trip_us: None,
            packet: [0; BUFFER],
        }
    }

    /// Takes a packet that arrived at `now`; `None` when it is malformed. `wall_us` is the wall clock of `now`.
    pub(crate) fn handle(&mut self, now: u64, wall_us: u64, data: &[u8]) -> Option<Learned> {
        let learned = read(data, self.ssrc)?;
        self.interval.packet(data.len());
        let clock = |(ssrc, ntp_middle)| Clock { ssrc, ntp_middle, at: now };
        self.sender_report = learned.sender_report.map(clock).or(self.sender_report);
        self.reference = learned.reference.map(clock).or(self.reference);
        self.about_us = learned.about_us.or(self.about_us);
        self.voip = learned.voip.or(self.voip);
        if let Some((last, delay)) = learned.echo {
            let round_trip = ntp_middle(ntp(wall_us)).wrapping_sub(last).wrapping_sub(delay);
            // A clock step can make it negative or absurd.
            if round_trip < ROUND_TRIP_MAX {
                self.round_trip_us = Some((u64::from(round_trip) * 1_000_000) >> 16);
            }
        }
        Some(learned)
    }

    /// Time has come to `now`.
    pub(crate) fn handle_time(&mut self, now: u64) {
        let random = draw(&mut self.random);
        self.report_due |= self.interval.expire(now, random);
    }

    /// The leg ends: one more report, with a goodbye.
    pub(crate) fn say_goodbye(&mut self) {
        self.bye_due = true;
    }

    /// Nothing can be sent now: what was due is not, and a goodbye is lost.
    pub(crate) fn drop_due(&mut self) {
        (self.report_due, self.bye_due) = (false, false);
    }

    /// Whether there is a packet to send; then [`RtcpSession::build`] makes it.
    pub(crate) const fn is_due(&self) -> bool {
        self.report_due || self.bye_due
    }

    /// The report that is due.
    pub(crate) fn build(&mut self, now: u64, figures: &Figures) -> usize {
        let ntp = ntp(figures.wall_us);
        let heard = figures.heard.map(|(ssrc, report)| {
            let clock = self.sender_report.filter(|clock| clock.ssrc == ssrc);
            Heard { ssrc, report, last_report: clock.map_or_else(Since::default, |clock| clock.since(now)) }
        });
        let report = Report {
            sent: Sent {
                ssrc: self.ssrc,
                ntp,
                rtp_timestamp: figures.rtp_timestamp,
                packets: figures.packets as u32,
                bytes: figures.bytes as u32,
            },
            heard,
            extended: Extended {
                voip: figures.voip,
                reference: (!figures.sends && !self.bye_due).then_some(ntp),
                answer: self.reference.map(|clock| (clock.ssrc, clock.since(now))),
            },
            cname: &self.cname,
            bye: self.bye_due,
        };
        let length = report.write(&mut self.packet);
        self.interval.packet(length);
        self.drop_due();
        length
    }

    /// The packet as built, to be sent to `to`.
    pub(crate) fn packet(&self, length: usize) -> &[u8] {
        self.packet.get(..length).unwrap_or_default()
    }

    /// Round trip in microseconds, once known.
    pub(crate) const fn round_trip_us(&self) -> Option<u64> {
        self.round_trip_us
    }

    /// What the far end says it hears of us.
    pub(crate) const fn about_us(&self) -> Option<AboutUs> {
        self.about_us
    }

    /// The far end's VoIP metrics about us.
    pub(crate) const fn voip(&self) -> Option<VoipMetrics> {
        self.voip
    }
}

/// xorshift64: for the spread of intervals, not for secrets.
fn draw(state: &mut u64) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) as u32
}

/// Sixteen characters that identify this leg to RTCP and nothing else (RFC 7022).
fn cname(seed: &[u8; 32]) -> [u8; 16] {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    std::array::from_fn(|n| LETTERS[usize::from(seed[16 + n] & 31)])
}
